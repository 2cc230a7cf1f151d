"""Four nodes on a real daemon that dies again and again, until so many payouts are made.

    python -m tests.daemons.campaign --payouts 100 --restarts 10 --seed 7

Blocks are mined all along, with MWEB transactions among them on Litecoin. The daemon is ended by
SIGKILL and by its own ``stop`` in turn, at moments that the seed decides, and started again. At the
end the chain itself must show that each deposit was settled exactly once, and the traces of all
nodes must together be a run of the protocol.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from attrs import define, field, frozen
from coincurve import PrivateKey

from metanode.chains.json_decimal import base_units
from metanode.chains.rpc import RpcClient, RpcError
from metanode.custody.payout import custody_script
from metanode.custody.scripts import address_of, data_script, key_script
from metanode.custody.transaction import Input, Output
from metanode.custody.types import Outpoint
from metanode.devnet import wallet
from metanode.devnet.daemon import WALLET, DaemonError, find_program, program_at
from metanode.devnet.daemon_network import DaemonNetwork
from metanode.devnet.demo_scenario import Scenario
from metanode.errors import MetanodeError, Unavailable
from spec.parameters import DEVNET

PATIENCE_S = 300.0
"""Without a new payout; a node asks a daemon that was away every half minute."""
COIN_BATCH = 40
FEE = 1_000
AMOUNTS = range(60_000, 3_000_000)
REFUNDS = 0.25
"""The share of deposits whose memo names no address."""
PEG_INS = 0.2
"""The share of deposits beside which somebody moves coins into MWEB."""
PEG_IN_COINS = Decimal("0.01")


@frozen
class Deposit:
    """What a user paid in, where it must come out, and where it must not."""

    outpoint: Outpoint
    amount: int
    target: bytes
    other: bytes
    funding: bytes
    raw: bytes


def verdict(made: Deposit, transactions: Iterable[Mapping[str, Any]]) -> str:
    """Return what is wrong with a deposit by the transactions of all blocks, or ""."""
    spent = {"txid": made.outpoint.txid.hex(), "vout": made.outpoint.index}
    spenders, paid, lost = [], [], []
    for tx in transactions:
        if any(entry.get("txid") == spent["txid"] and entry["vout"] == spent["vout"]
               for entry in tx["vin"]):
            spenders.append(tx["txid"])
        if tx["txid"] == made.funding.hex():
            continue  # it paid the user's own coin
        for output in tx["vout"]:
            script = output.get("scriptPubKey", {}).get("hex")
            if script == made.target.hex():
                paid.append((tx["txid"], base_units(output["value"])))
            elif script == made.other.hex():
                lost.append(tx["txid"])
    if len(spenders) != 1:
        return f"{made.outpoint} is spent {len(spenders)} times: {', '.join(spenders)}"
    if [txid for txid, _ in paid] != spenders or lost:
        return f"{made.outpoint} is paid {len(paid)} times, and {len(lost)} times to the wrong one"
    if not 0 < paid[0][1] <= made.amount:
        return f"{made.outpoint} held {made.amount} and paid {paid[0][1]}"
    return ""


@define
class Printed:
    """Says what happens, a line each with the time since the start."""

    began: float = field(factory=time.monotonic)

    def step(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:7.1f} s  {text}", flush=True)

    def detail(self, text: str) -> None:
        self.step(f"  {text}")

    def look(self, nodes: list[dict[str, Any] | None]) -> None:
        """Show nothing of what the nodes are doing."""


@define
class Campaign:
    """One run on a network that is prepared."""

    network: DaemonNetwork
    rpc: RpcClient
    report: Printed
    seed: int
    payouts: int
    restarts: int
    chance: random.Random = field(init=False)
    scenario: Scenario = field(init=False)
    coins: list[tuple[PrivateKey, Input, bytes]] = field(factory=list)
    deposits: list[Deposit] = field(factory=list)
    settled: set[str] = field(factory=set)
    paid_out: set[str] = field(factory=set)
    restarted: int = 0
    progress: float = 0.0

    def __attrs_post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.scenario = Scenario(self.network, self.rpc, self.report, self.seed)

    async def run(self) -> tuple[list[str], dict[int, str]]:
        """Return what is wrong with the deposits, and the hashes of the nodes' last trace lines."""
        await self.scenario.meet()
        await self.scenario.make_key()
        if self.network.program.family == "litecoin":
            forks = (await self.rpc.call("getblockchaininfo"))["softforks"]
            if not forks["mweb"]["active"]:
                raise Unavailable("MWEB is not active: nothing was tried")
            self.report.detail("MWEB is active, and somebody moves coins into it all along")
        self.progress = time.monotonic()
        while len(self.paid_out) < self.payouts or self.restarted < self.restarts:
            await self.deposit()
            await anyio.sleep(self.chance.random() * DEVNET.round_period_s)
            await self.look()
            if self.restarted < self.restarts and len(self.paid_out) >= self.next_restart():
                await self.restart()
        self.report.step(f"{len(self.paid_out)} payouts; the last of {len(self.deposits)} deposits")
        while not {str(made.outpoint) for made in self.deposits} <= self.settled:
            await self.send_again()
            await anyio.sleep(1)
            await self.look()
        return await self.audit(), await self.trace_ends()

    def next_restart(self) -> int:
        """Return after how many payouts the daemon is restarted next: at even distances."""
        return self.payouts * (self.restarted + 1) // (self.restarts + 1)

    async def deposit(self) -> None:
        """Pay custody from a fresh key, to a fresh address or with a memo that names none."""
        if not self.coins:
            await self.fill_purse()
        key, coin, funding = self.coins.pop()
        home = key_script(key.public_key.format())
        payee = key_script(self.new_key().public_key.format())
        memo = f"pay:{address_of(payee, self.network.hrp)}"
        is_refund = self.chance.random() < REFUNDS
        outputs = [
            Output(coin.amount - FEE, custody_script(self.scenario.public_key)),
            Output(0, data_script(b"no address" if is_refund else memo.encode())),
        ]
        unsigned = wallet.spend(key, [coin], outputs)
        if unsigned is None:
            raise Unavailable("a coin that does not pay for its own deposit")
        raw = wallet.sign_with(key, unsigned)
        target, other = (home, payee) if is_refund else (payee, home)
        self.deposits.append(
            Deposit(Outpoint(unsigned.txid, 0), coin.amount - FEE, target, other, funding, raw)
        )
        await self.rpc.call("sendrawtransaction", raw.hex())
        if self.network.program.family == "litecoin" and self.chance.random() < PEG_INS:
            await anyio.to_thread.run_sync(self._peg_in)

    async def fill_purse(self) -> None:
        """Split money of the daemon's wallet into confirmed coins, each of a key of its own."""
        keys = [self.new_key() for _ in range(COIN_BATCH)]
        payments = [
            (key_script(key.public_key.format()), self.chance.choice(AMOUNTS) + FEE)
            for key in keys
        ]
        purse = self.new_key()
        home = address_of(key_script(purse.public_key.format()), self.network.hrp)
        total = sum(amount for _, amount in payments) + 100 * FEE
        await self.scenario.confirmed(await self.network.fund(self.rpc, home, total))
        txid = await wallet.pay(self.rpc, purse, payments)
        await self.scenario.confirmed(Outpoint(txid, 0))
        self.coins = [
            (key, Input(Outpoint(txid, n), amount), txid)
            for n, (key, (_, amount)) in enumerate(zip(keys, payments, strict=True))
        ]

    async def restart(self) -> None:
        """End the daemon at some moment of a round, in the next way, and start it again."""
        await anyio.sleep(self.chance.random() * DEVNET.round_period_s)
        kill = self.restarted % 2 == 0
        pause = 0.5 + self.chance.random() * DEVNET.round_period_s
        how = "SIGKILL" if kill else "stop"
        self.restarted += 1
        self.report.step(
            f"{how} for the daemon after {len(self.paid_out)} payouts, back in {pause:.1f} s "
            f"({self.restarted} of {self.restarts})"
        )
        await anyio.to_thread.run_sync(self._end, kill)
        await anyio.sleep(pause)
        await anyio.to_thread.run_sync(self._begin)
        await self.send_again()

    async def send_again(self) -> None:
        """Send what is not settled again, as users do: a daemon that is killed forgets it."""
        for made in self.deposits:
            if str(made.outpoint) not in self.settled:
                try:
                    await self.rpc.call("sendrawtransaction", made.raw.hex())
                except RpcError:
                    continue  # it is in a block, or even spent

    async def look(self) -> None:
        """Read from the nodes what is paid; raises Unavailable when nothing was for too long."""
        fallen = self.network.fallen()
        if fallen:
            raise Unavailable(f"a node ended by itself: {fallen}")
        before = len(self.settled)
        for status in await self.network.statuses():
            for payout in status["payouts"] if status else ():
                if payout["state"] == "COMPLETED":
                    self.paid_out.add(payout["txid"])
                    self.settled.update(payout["transfers"])
        if len(self.settled) > before:
            self.progress = time.monotonic()
        elif time.monotonic() > self.progress + PATIENCE_S:
            waiting = [d for d in self.deposits if str(d.outpoint) not in self.settled]
            raise Unavailable(
                f"no deposit was settled for {PATIENCE_S:.0f} s, {len(waiting)} wait; logs are in "
                f"{self.network.directory}"
            )

    async def audit(self) -> list[str]:
        """Return what is wrong, by the blocks alone."""
        transactions: list[dict[str, Any]] = []
        for height in range(1, await self.rpc.call("getblockcount") + 1):
            block = await self.rpc.call("getblock", await self.rpc.call("getblockhash", height), 2)
            transactions += block["tx"]
        return [said for made in self.deposits if (said := verdict(made, transactions))]

    async def trace_ends(self) -> dict[int, str]:
        """Return the hashes of the nodes' last trace lines."""
        found = enumerate(await self.network.statuses())
        return {number: status["trace"]["hash"] for number, status in found if status is not None}

    def new_key(self) -> PrivateKey:
        """Return the next key that the seed decides."""
        return PrivateKey(self.chance.randbytes(32))

    def _end(self, kill: bool) -> None:
        daemon = self.network.daemon
        if not kill:
            self.network.at_rest(lambda: daemon.call("stop"))
        self.network.at_rest(daemon.kill if kill else daemon.stop)

    def _begin(self) -> None:
        daemon = self.network.daemon

        def begin() -> None:
            daemon.start()
            daemon.open_wallet()

        self.network.at_rest(begin)

    def _peg_in(self) -> None:
        daemon = self.network.daemon
        address = daemon.call("getnewaddress", "", "mweb", wallet=WALLET)
        daemon.call("sendtoaddress", address, PEG_IN_COINS, wallet=WALLET)


async def play(directory: Path, options: argparse.Namespace, report: Printed) -> list[str]:
    """Run one campaign to its end; return what is wrong."""
    program = program_at(options.daemon) if options.daemon else find_program()
    if program is None:
        raise DaemonError("no daemon: install litecoind, or give --daemon PATH")
    network = DaemonNetwork(directory, program=program)
    try:
        await network.prepare()
        report.step(f"four homes and {program.version} are ready in {directory}")
        async with network.rpc() as rpc:
            campaign = Campaign(
                network, rpc, report, options.seed, options.payouts, options.restarts
            )
            faults, ends = await campaign.run()
            report.step(
                f"{len(campaign.deposits)} deposits, {len(campaign.paid_out)} payouts, "
                f"{campaign.restarted} restarts of the daemon"
            )
    finally:
        network.stop()
    legal, said = await anyio.to_thread.run_sync(network.judge_traces, ends)
    report.step(f"traces: {said}")
    return faults if legal else [*faults, f"a trace is not legal: {said}"]


def main(arguments: Sequence[str]) -> int:
    """Run the command line; the exit code is 1 when a deposit was not settled exactly once."""
    parser = argparse.ArgumentParser(prog="python -m tests.daemons.campaign", description=__doc__)
    parser.add_argument("--payouts", type=int, default=100)
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--daemon", help="litecoind or bitcoind (default: METANODE_DAEMON, path)")
    options = parser.parse_args(arguments)
    replay = (
        f"python -m tests.daemons.campaign --payouts {options.payouts} "
        f"--restarts {options.restarts} --seed {options.seed}"
    )
    if options.daemon:
        replay += f" --daemon {options.daemon}"
    report = Printed()
    report.step(f"seed {options.seed}; again with: {replay}")
    directory = Path(tempfile.mkdtemp(prefix="metanode-campaign-"))
    try:
        faults = anyio.run(play, directory, options, report, backend="trio")
    except MetanodeError as error:
        faults = [str(error)]
    for fault in faults:
        print(fault)
    if faults:
        print(f"replay: {replay}")
        return 1
    shutil.rmtree(directory, ignore_errors=True)
    print(f"seed {options.seed}: every deposit was settled exactly once, every trace is legal")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
