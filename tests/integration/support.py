"""A running network of four hand-made homes, and what its users, operators and auditors do.

Everything goes through the command line, the files of the homes, the status page and the chain's
RPC: nothing here reaches into a node.
"""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
from attrs import define, field, frozen
from coincurve import PrivateKey

from metanode.chains.json_decimal import base_units
from metanode.chains.rpc import RpcClient
from metanode.custody.payout import custody_script
from metanode.custody.scripts import address_of, key_script
from metanode.devnet.faucet import FAUCET_SCRIPT
from metanode.devnet.local_network import LocalNetwork, free_ports
from metanode.devnet.wallet import deposit, faucet
from metanode.errors import MetanodeError
from metanode.runtime.home.home import Home
from metanode.runtime.operator.admin import fetch_status
from spec.parameters import COINBASE_MATURITY_BLOCKS

HRP = "bcrt"
SIZE = 4
STAKE = 2_000_000
PATIENCE_S = 90.0
STEP_S = 0.25
"""Between two looks at all nodes: a look costs each of them some milliseconds."""
LOG_LINES = 40
"""Of each node's log, beside a test that fails."""
STAKE_AGE_S = 73 * 3600
MEDIAN_BLOCKS = 12
"""Blocks that make the chain's median time that of their own."""


def metanode(*arguments: object, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run one command line to its end in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "metanode", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def edit(path: Path, pattern: str, line: str) -> None:
    """Replace the one line of a file that matches, as an operator does with an editor."""
    text, count = re.subn(rf"(?m)^{pattern}$", line, path.read_text())
    assert count == 1, f"{path} has {count} lines like {pattern}"
    path.write_text(text)


def wait_until(
    what: str, condition: Callable[[], Any], patience_s: float = PATIENCE_S, step_s: float = STEP_S
) -> Any:
    """Return what ``condition`` returns as soon as that is true; fails after ``patience_s``."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(step_s)
    raise AssertionError(f"did not come within {patience_s:.0f} s: {what}")


@define
class HandMadeNetwork(LocalNetwork):
    """Four homes as their operators make them: options, a colleague's file, an editor, the RPC."""

    async def prepare(self) -> None:
        """Make the homes, start the chain, pay the stakes, and write them into the homes."""
        await anyio.to_thread.run_sync(self._make_homes)
        await self._start_chain(int(self.rpc_url.rpartition(":")[2]))
        stakes = await self._pay_stakes()
        for home, stake in zip(self.homes, stakes, strict=True):
            edit(home.config, r'# outpoint = ""', f'outpoint = "{stake}"')

    def start(self, number: int) -> None:
        """Start a node: with `run --home DIR`, or as odd ones with `--home DIR` alone."""
        home = self.homes[number]
        home.admin.unlink(missing_ok=True)
        form = ["--home", str(home.path)] if number % 2 else ["run", "--home", str(home.path)]
        self._nodes[number] = self._spawn(form, home.path / "output.log")

    def interrupt(self, number: int) -> int:
        """Stop a node as its operator does, and return its exit code."""
        process = self._nodes.pop(number)
        process.terminate()
        return process.wait(30)

    @contextmanager
    def halted(self) -> Iterator[None]:
        """Stop every node where it stands; a node that has sent something has traced it before."""
        running = [process for process in self._nodes.values() if process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in running:
                process.send_signal(signal.SIGCONT)

    def kill_chain(self) -> None:
        """SIGKILL the chain."""
        assert self._chain is not None
        self._chain.kill()
        self._chain.wait()

    async def revive_chain(self) -> None:
        """Start the chain again on the same data and the same port."""
        (self.directory / "chain.log").unlink()
        await self._start_chain(int(self.rpc_url.rpartition(":")[2]))

    def _make_homes(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        port, *listening = free_ports(SIZE + 1)
        self.rpc_url = f"http://127.0.0.1:{port}"
        first = self.directory / "node-1"
        for number, listen in enumerate(listening, start=1):
            home = self.directory / f"node-{number}"
            options: list[object] = ["--home", home, "--listen", f"127.0.0.1:{listen}"]
            if number == 1:
                options += ["--preset", "devnet", "--name", "by-hand", "--stake-minimum", STAKE]
                options += ["--rpc-url", self.rpc_url, "--keygen-until", int(time.time())]
                options += ["--new-passphrase-file", self.directory / "passphrase"]
            else:
                options += ["--network-file", first / "config.toml"]
                options += ["--peer", f"127.0.0.1:{listening[0]}"]
                options += ["--passphrase-file", self.directory / "passphrase"]
            done = metanode("init", *options)
            assert done.returncode == 0, done.stderr
            if number > 1:  # the daemon's address is nobody else's business: each writes its own
                edit(home / "config.toml", "rpc_url = .*", f'rpc_url = "{self.rpc_url}"')
            found = re.search(r"stake address: (\S+)", done.stdout)
            assert found is not None
            (home / "stake-address").write_text(found[1])
            self.homes.append(Home(home))

    async def _pay_stakes(self) -> list[str]:
        """Pay the stakes in blocks dated 73 hours back, then come back to the present."""
        stakes = []
        miner = address_of(FAUCET_SCRIPT, HRP)
        async with RpcClient(self.rpc_url) as rpc:
            await rpc.call("setmocktime", int(time.time()) - STAKE_AGE_S)
            await rpc.call("generatetoaddress", COINBASE_MATURITY_BLOCKS + 1, miner)
            for home in self.homes:
                address = (home.path / "stake-address").read_text()
                paid = await rpc.call("devnet_faucet", address, Decimal(STAKE).scaleb(-8))
                stakes.append(f"{paid['txid']}:{paid['vout']}")
            await rpc.call("generatetoaddress", 1, miner)
            await rpc.call("setmocktime", 0)
            await rpc.call("generatetoaddress", MEDIAN_BLOCKS, miner)
        return stakes


@frozen
class Deposit:
    """A user's deposit; ``script`` is where its money must come out."""

    txid: str
    amount: int
    script: bytes

    @property
    def outpoint(self) -> str:
        """The coin that the payout must spend."""
        return f"{self.txid}:0"


@define
class Live:
    """The running network as the tests use it; ``deposits`` are all that must be paid once."""

    network: HandMadeNetwork
    user: PrivateKey = field(factory=lambda: PrivateKey(b"\x07" * 32))
    random: random.Random = field(factory=lambda: random.Random(20))
    deposits: list[Deposit] = field(factory=list)
    betrayed: set[int] = field(factory=set)
    """Nodes in whose name an attacker has sent what their traces do not tell."""
    first_block: int = COINBASE_MATURITY_BLOCKS

    def begin(self) -> None:
        """Make everything and wait until the nodes hold a key."""
        self.run(self.network.prepare)
        for number in range(SIZE):
            self.network.start(number)
        wait_until("a key that every node has locked in", self.ready)

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a coroutine function to its end."""
        return anyio.run(function, *arguments, backend="trio")

    def rpc(self, method: str, *parameters: Any) -> Any:
        """Call the chain."""

        async def call() -> Any:
            async with RpcClient(self.network.rpc_url) as client:
                return await client.call(method, *parameters)

        return self.run(call)

    def status(self, number: int) -> dict[str, Any] | None:
        """Return what a node says of itself, or None while it does not answer."""
        try:
            return fetch_status(self.network.homes[number])
        except MetanodeError:
            return None

    def statuses(self) -> list[dict[str, Any]]:
        """Return what the nodes say that answer."""
        fallen = self.network.fallen()
        assert not fallen, f"a node ended by itself: {fallen}"
        found = [self.status(number) for number in range(SIZE)]
        return [status for status in found if status is not None]

    def told(self, number: int) -> str:
        """Return what a node says of itself, and the end of its log: beside a failure."""
        log = self.network.homes[number].path / "output.log"
        lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:] if log.exists() else []
        return "\n".join([json.dumps(self.status(number), default=str), *lines])

    def ready(self) -> bool:
        """Tell whether all nodes are linked with each other and hold the same key."""
        found = self.statuses()
        keys = {(status["key"] or {}).get("public_key") for status in found}
        linked = all(len(status["links"]) == SIZE - 1 for status in found)
        return len(found) == SIZE and linked and len(keys) == 1 and None not in keys

    def assert_legal(self) -> None:
        """Check that the traces of all nodes, up to now, are together a run of the protocol."""
        found = {number: self.status(number) for number in range(SIZE)}
        ends = {
            number: status["trace"]["hash"]
            for number, status in found.items()
            if status is not None and number not in self.betrayed
        }
        with self.network.halted():
            legal, said = self.network.judge_traces(ends, self.betrayed)
        assert legal, said

    @property
    def public_key(self) -> bytes:
        """The key that the nodes hold together."""
        for status in self.statuses():
            if status["key"] is not None:
                return bytes.fromhex(status["key"]["public_key"])
        raise AssertionError("no node has a key")

    def deposit(self, amount: int, memo: bytes | None = None) -> Deposit:
        """Fund the user and pay ``amount`` to custody; by default the memo names a new address."""
        target = key_script(PrivateKey(self.random.randbytes(32)).public_key.format())
        text = b"pay:" + address_of(target, HRP).encode() if memo is None else memo
        txid = self.run(self._deposit, amount, text)
        made = Deposit(txid, amount, target)
        self.deposits.append(made)
        return made

    async def _deposit(self, amount: int, memo: bytes) -> str:
        home = key_script(self.user.public_key.format())
        key = await anyio.to_thread.run_sync(lambda: self.public_key)
        async with RpcClient(self.network.rpc_url) as rpc:
            coin = await faucet(rpc, address_of(home, HRP), amount + 100_000)
            with anyio.fail_after(PATIENCE_S):
                while True:
                    found = await rpc.call("gettxout", coin.txid.hex(), coin.index)
                    if found and found["confirmations"]:
                        break
                    await anyio.sleep(0.1)
            txid = await deposit(rpc, self.user, custody_script(key), amount, memo)
        return txid.hex()

    def payout_of(self, made: Deposit) -> dict[str, Any] | None:
        """Return the payout of a deposit that some node calls final, if there is one."""
        for status in self.statuses():
            for payout in status["payouts"]:
                if payout["state"] == "COMPLETED" and made.outpoint in payout["transfers"]:
                    return payout
        return None

    def paid(self, made: Deposit) -> dict[str, Any]:
        """Wait until a deposit is paid and return the payout."""
        found = wait_until(f"a payout of {made.outpoint}", lambda: self.payout_of(made))
        assert isinstance(found, dict)
        return found

    def transaction(self, txid: str) -> dict[str, Any]:
        """Return a transaction as the chain's RPC shows it."""
        view = self.rpc("getrawtransaction", txid, True)
        assert isinstance(view, dict)
        return view

    def accounts(self, *deposits: Deposit) -> list[tuple[list[str], list[int]]]:
        """Return for each deposit the transactions that spend it, and what its target received."""
        transactions = self.run(self._read_chain)
        return [(spenders(transactions, made), received(transactions, made)) for made in deposits]

    async def _read_chain(self) -> list[dict[str, Any]]:
        async with RpcClient(self.network.rpc_url) as rpc:
            newest = await rpc.call("getblockcount")
            found = []
            for height in range(self.first_block, newest + 1):
                block = await rpc.call("getblock", await rpc.call("getblockhash", height), 2)
                found += block["tx"]
        return found


def spenders(transactions: list[dict[str, Any]], made: Deposit) -> list[str]:
    """Return the transactions that spend a deposit."""
    return [
        view["txid"]
        for view in transactions
        if any(f"{i.get('txid')}:{i.get('vout')}" == made.outpoint for i in view["vin"])
    ]


def received(transactions: list[dict[str, Any]], made: Deposit) -> list[int]:
    """Return every amount that was paid to the target of a deposit."""
    return [
        base_units(output["value"])
        for view in transactions
        for output in view["vout"]
        if output["scriptPubKey"]["hex"] == made.script.hex()
    ]
