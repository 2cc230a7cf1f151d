"""What the demo does with a local network: deposits, rounds, one SIGKILL, and the final accounts.

The scenario speaks through a ``Reporter``; it looks at the network only as an operator and a user
could, by ``status`` and by the chain's RPC, and checks the outcome on the chain itself.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, Protocol

import anyio
from attrs import define, field, frozen
from coincurve import PrivateKey

from metanode.chains.json_decimal import base_units
from metanode.chains.rpc import RpcClient
from metanode.custody.payout import custody_address, custody_script
from metanode.custody.scripts import address_of, key_script
from metanode.custody.types import Outpoint
from metanode.devnet.local_network import LocalNetwork
from metanode.devnet.wallet import deposit
from metanode.errors import Unavailable
from metanode.runtime.secrets.keystore import read_node_id
from spec.parameters import DEVNET

PATIENCE_S = 90.0
BUSY_S = 0.6
BUSY_CHANCE = 0.8


class Reporter(Protocol):
    """Where progress goes: a live display or plain lines."""

    def step(self, text: str) -> None:
        """Say that something begins or happened."""

    def detail(self, text: str) -> None:
        """Say more about the step."""

    def look(self, nodes: list[dict[str, Any] | None]) -> None:
        """Show what the nodes are doing now."""


@frozen
class Accepted:
    """A deposit as its user made it: what must come back, and where."""

    name: str
    txid: bytes
    index: int
    amount: int
    script: bytes
    kind: str


@define
class Outcome:
    """The accounts at the end; ``trace_ends`` are the hashes of the nodes' last trace lines."""

    payouts: list[dict[str, Any]] = field(factory=list)
    deposits: list[dict[str, Any]] = field(factory=list)
    faults: list[str] = field(factory=list)
    trace_ends: dict[int, str] = field(factory=dict)
    phases: dict[str, float] = field(factory=dict)
    killed: str = ""


@define
class Scenario:
    """One run; ``seed`` decides which node is killed, and when."""

    network: LocalNetwork
    rpc: RpcClient
    report: Reporter
    seed: int
    random: random.Random = field(init=False)
    user: PrivateKey = field(init=False)
    public_key: bytes = b""
    deposits: list[Accepted] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.user = PrivateKey(self.random.randbytes(32))

    async def run(self) -> Outcome:
        """Play the scenario; raises Unavailable when something does not happen in time."""
        outcome = Outcome()
        await self.meet()
        await self.make_key()
        self.report.step("a user deposits twice: one memo names an address, the other is no good")
        await self.fund(3_000_000, 2_000_000)
        await self.early_in_a_round()
        first = await self.deposit("deposit 1", 3_000_000, "release")
        second = await self.deposit("deposit 2", 2_000_000, "refund")
        await self.settled([first, second])
        outcome.killed = await self.kill_in_a_round()
        await self.all_back()
        await self.audit(outcome)
        return outcome

    async def meet(self) -> None:
        """Wait until all nodes are linked and see each other's stakes."""
        size = self.network.size
        self.report.step(f"{size} nodes start; each knows one peer at most")
        for number in range(size):
            self.network.start(number)

        def linked(statuses: list[dict[str, Any]]) -> bool:
            return all(len(s["links"]) == size - 1 for s in statuses)

        def listed(statuses: list[dict[str, Any]]) -> bool:
            return all(sum(p["listing"] == "listed" for p in s["peers"]) == size for s in statuses)

        await self.until("a link from each node to each other", linked)
        self.report.detail("every node has one authenticated link to each other node")
        await self.until("every stake proved", listed)
        self.report.detail("stakes proved: unspent, enough, 72 h old, made out to their node")

    async def make_key(self) -> None:
        """Wait until the same key is locked in everywhere."""
        self.report.step("key generation: DKLs23, repeated until keygen_until, then locked in")
        statuses = await self.until(
            "a key locked in by all",
            lambda all_of: bool(
                len({(s["key"] or {}).get("public_key") for s in all_of}) == 1
                and all_of[0]["key"] is not None
            ),
        )
        key = statuses[0]["key"]
        self.public_key = bytes.fromhex(key["public_key"])
        size = self.network.size
        self.report.detail(
            f"certified by {size} of {size}, any {key['threshold']} can sign: {key['public_key']}"
        )
        self.report.detail(f"custody address {custody_address(self.public_key, self.network.hrp)}")

    async def fund(self, *amounts: int) -> None:
        """Give the user a confirmed coin for each deposit to come, with something for the fee."""
        address = address_of(key_script(self.user.public_key.format()), self.network.hrp)
        coins = [await self.network.fund(self.rpc, address, each + 100_000) for each in amounts]
        for coin in coins:
            await self.confirmed(coin)

    async def early_in_a_round(self) -> None:
        """Wait for a new block in the first half of a round: deposits made now are paid together.

        A deposit must be seen unconfirmed before it counts; just after a block it waits longest.
        """
        while time.time() % DEVNET.round_period_s > DEVNET.round_period_s / 2:
            await anyio.sleep(0.05)
        await self.new_block()

    async def new_block(self) -> None:
        """Wait until the chain grows."""
        before = await self.rpc.call("getblockcount")
        while await self.rpc.call("getblockcount") == before:
            await anyio.sleep(0.05)

    async def deposit(self, name: str, amount: int, kind: str) -> Accepted:
        """Make a deposit of a user, with a memo that can be paid or one that cannot."""
        script = key_script(self.user.public_key.format())
        target = key_script(PrivateKey(self.random.randbytes(32)).public_key.format())
        payee = address_of(target, self.network.hrp)
        memo = f"pay:{payee}".encode() if kind == "release" else b"hello"
        txid = await deposit(self.rpc, self.user, custody_script(self.public_key), amount, memo)
        self.report.detail(f"{name}: {amount} to custody, memo {memo.decode()!r}")
        made = Accepted(name, txid, 0, amount, target if kind == "release" else script, kind)
        self.deposits.append(made)
        return made

    async def settled(self, wanted: list[Accepted]) -> None:
        """Wait until a final payout of some node settles these deposits."""
        names = {f"{d.txid.hex()}:{d.index}": d.name for d in wanted}

        def done(statuses: list[dict[str, Any]]) -> bool:
            final = {
                t for s in statuses for p in s["payouts"] if p["state"] == "COMPLETED"
                for t in p["transfers"]
            }
            return set(names) <= final

        statuses = await self.until(
            "a payout of " + ", ".join(names.values()), done, all_nodes=False
        )
        for payout in _payouts(statuses):
            if set(payout["transfers"]) & set(names):
                signers = ", ".join(self.name_of(signer) for signer in payout["signers"])
                self.report.detail(
                    f"payout {payout['txid'][:16]}: {payout['inputs']} inputs, "
                    f"{payout['outputs']} outputs, signed by {signers}"
                )

    async def kill_in_a_round(self) -> str:
        """Deposit, kill a random node at a random moment of a round, start it again later."""
        number = self.random.randrange(self.network.size)
        await self.fund(4_000_000)
        await self.new_block()
        made = await self.deposit("deposit 3", 4_000_000, "release")
        await self.confirmed(Outpoint(made.txid, made.index))
        # A round is busy for its first half second: most kills must fall into it.
        busy = self.random.random() < BUSY_CHANCE
        moment = self.random.random() * (BUSY_S if busy else DEVNET.round_period_s)
        wait = DEVNET.round_period_s - time.time() % DEVNET.round_period_s + moment
        name = f"node {number + 1}"
        self.report.step(f"SIGKILL for {name}, {moment:.2f} s into the round that pays deposit 3")
        await anyio.sleep(wait)
        self.network.kill(number)
        pause = 0.5 + self.random.random() * DEVNET.round_period_s
        self.report.detail(f"{name} is dead; it is started again in {pause:.1f} s")
        await anyio.sleep(pause)
        self.network.start(number)
        await self.settled([made])
        return f"{name} at {moment:.2f} s, back after {pause:.1f} s"

    async def confirmed(self, outpoint: Outpoint) -> None:
        """Wait until an output is in a block."""
        with anyio.move_on_after(PATIENCE_S):
            while True:
                coin = await self.rpc.call("gettxout", outpoint.txid.hex(), outpoint.index, True)
                if coin is None or coin["confirmations"] > 0:
                    return
                await anyio.sleep(0.1)
        raise Unavailable(f"{outpoint} was not mined within {PATIENCE_S:.0f} s")

    async def all_back(self) -> None:
        """Wait until every node, the killed one too, has its links and the key again."""
        await self.until(
            "the killed node back among the others",
            lambda all_of: all(
                len(s["links"]) == self.network.size - 1 and s["key"] is not None for s in all_of
            ),
        )
        self.report.detail("the killed node has recovered: same key, same locks, all links")

    async def audit(self, outcome: Outcome) -> None:
        """Look at the chain alone: each deposit spent once, and its owner paid once."""
        self.report.step("the accounts, read from the chain")
        spent, outputs = await self._read_chain()
        for made in self.deposits:
            spenders = spent.get((made.txid.hex(), made.index), [])
            paid = [
                (txid, value)
                for txid, script, value in outputs
                if script == made.script and txid in spenders
            ]
            once = len(spenders) == 1 and len(paid) == 1
            if not once:
                outcome.faults.append(
                    f"not settled once: {made.name}: "
                    f"spent {len(spenders)} times, paid {len(paid)} times"
                )
            outcome.deposits.append(
                {
                    "name": made.name,
                    "kind": made.kind,
                    "amount": made.amount,
                    "paid": sum(value for _, value in paid),
                    "txid": spenders[0] if spenders else "",
                    "once": once,
                }
            )
        answers = dict(enumerate(await self.network.statuses()))
        outcome.trace_ends = {n: s["trace"]["hash"] for n, s in answers.items() if s is not None}
        statuses = [status for status in answers.values() if status is not None]
        for payout in _payouts(statuses):
            outcome.payouts.append(
                {
                    **payout,
                    "signers": [self.name_of(s) for s in payout["signers"]],
                    "seconds": _round_seconds(statuses, payout["txid"]),
                }
            )

    async def _read_chain(
        self,
    ) -> tuple[dict[tuple[str, int], list[str]], list[tuple[str, bytes, int]]]:
        """Return who spends each output, and all outputs (txid, script, amount)."""
        spent: dict[tuple[str, int], list[str]] = {}
        outputs = []
        for height in range(await self.rpc.call("getblockcount") + 1):
            block = await self.rpc.call("getblock", await self.rpc.call("getblockhash", height), 2)
            for tx in block["tx"]:
                for entry in tx["vin"]:
                    if "txid" in entry:
                        spent.setdefault((entry["txid"], entry["vout"]), []).append(tx["txid"])
                for entry in tx["vout"]:
                    script = bytes.fromhex(entry["scriptPubKey"]["hex"])
                    outputs.append((tx["txid"], script, base_units(entry["value"])))
        return spent, outputs

    async def until(
        self, what: str, done: Callable[[list[dict[str, Any]]], bool], all_nodes: bool = True
    ) -> list[dict[str, Any]]:
        """Wait until ``done`` holds of the nodes' statuses; Unavailable names what did not come."""
        with anyio.move_on_after(PATIENCE_S):
            while True:
                nodes = await self.network.statuses()
                self.report.look(nodes)
                statuses = [s for s in nodes if s is not None]
                fallen = self.network.fallen()
                if fallen:
                    number, said = next(iter(fallen.items()))
                    raise Unavailable(f"node {number + 1} ended by itself: {said}")
                enough = len(statuses) == self.network.size or not all_nodes
                if statuses and enough and done(statuses):
                    return statuses
                await anyio.sleep(0.2)
        raise Unavailable(
            f"did not come within {PATIENCE_S:.0f} s: {what}; logs are in {self.network.directory}"
        )

    def name_of(self, node_id: str) -> str:
        """Return the name of a node by its id."""
        for number, home in enumerate(self.network.homes):
            if read_node_id(home.identity).hex() == node_id:
                return f"node {number + 1}"
        return node_id[:10]


def _payouts(statuses: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the payouts that any node knows, once each."""
    found = {p["txid"]: p for s in statuses for p in s["payouts"] if p["state"] == "COMPLETED"}
    return list(found.values())


def _round_seconds(statuses: list[dict[str, Any]], txid: str) -> float | None:
    """Return the time from the start of the round to the first valid signature, from the nodes'
    notes.
    """
    times = [
        note["at"] % DEVNET.round_period_s for s in statuses for note in s["recent"]
        if note["event"] == "payout.signed" and note.get("txid") == txid
    ]
    return round(min(times), 2) if times else None
