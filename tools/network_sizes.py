"""Measure whole networks of 4, 16, 60 processes: links, key, payouts, a night, memory, wire.

``tools/bench network --nodes 4,16,60``. The nodes are processes of their own with a devnet chain;
all of them share the cores of this machine. The night is a refresh that all operators ask for. CPU
and octets are counted while nothing is asked for (idle) and for one payout.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from attrs import asdict, define, frozen
from coincurve import PrivateKey
from rich.console import Console
from rich.table import Table

from metanode.chains.rpc import RpcClient
from metanode.custody.payout import custody_script
from metanode.custody.scripts import address_of, key_script
from metanode.devnet.types import DEVNET_HRP
from metanode.devnet.wallet import deposit, faucet
from metanode.errors import MetanodeError
from metanode.runtime.operator.admin import fetch, post
from metanode.runtime.store.trace import read_trace
from spec.parameters import DEVNET, faults_tolerated, sized, threshold
from tools.forked_network import ForkedNetwork

AMOUNT = 3_000_000
IDLE_S = 20.0
POLL_S = 0.5
ROUNDS_MOST = 8
"""Rounds that a measured payout may take."""


@frozen
class Size:
    """What was measured with n processes; None: it was not come to within its time."""

    nodes: int
    threshold: int
    byzantine: int
    links_s: float
    keygen_s: float
    payout_s: Mapping[int, float]
    night_s: float | None
    memory_mb: float
    memory_all_mb: float
    idle_cores: float
    idle_octets_s: float
    idle_frames_s: float
    payout_frames: float
    payout_octets: float


@define
class Bench:
    """One network that is measured."""

    network: ForkedNetwork
    say: Callable[[str], None]
    patience_s: float
    key: bytes = b""

    async def start(self) -> float:
        """Start all nodes; return when the last one had a link with each other one."""
        begun = time.time()
        for number in range(self.network.size):
            self.network.start(number)
        await self.until("all links", lambda s: self._linked(s) >= self.network.size - 1)
        return time.time() - begun

    def _all_listed(self, status: Mapping[str, Any]) -> bool:
        listed = sum(peer["listing"] == "listed" for peer in status["peers"])
        return bool(listed >= self.network.size)

    @staticmethod
    def _linked(status: Mapping[str, Any]) -> int:
        return len(status["links"])

    async def until(self, what: str, done: Callable[[Mapping[str, Any]], object]) -> None:
        """Wait until ``done`` holds of each node's status; asks no node again that has said yes."""
        waiting = list(range(self.network.size))
        with anyio.move_on_after(self.patience_s):
            while waiting:
                status = await self.network.status(waiting[0])
                if status is not None and done(status):
                    waiting.pop(0)
                else:
                    await anyio.sleep(POLL_S)
            return
        fallen = self.network.fallen()
        raise SystemExit(
            f"did not come within {self.patience_s:.0f} s at {len(waiting)} nodes: {what}"
            + "".join(f"\n{number}: {said[-500:]}" for number, said in fallen.items())
        )

    async def make_key(self) -> float:
        """Wait for the key; return how long its making took, from the set-up to the last lock-in.

        The slot's beginning is waited for and does not count.
        """
        await self.until("all stakes are proved", self._all_listed)
        for home in self.network.homes:
            await anyio.to_thread.run_sync(post, home, "/requests", {"kind": "keygen"})
        await self.until("a key locked in", lambda status: status["key"])
        status = await self.network.status(0) or {}
        self.key = bytes.fromhex(status["key"]["public_key"])
        spans = [self._moments(n, {("keygen", "Start"), ("keygen", "LockIn")}) for n in self._all()]
        last = max(found[-1] for found in spans)
        return last - min(found[0] for found in spans)

    def _all(self) -> range:
        return range(self.network.size)

    def _moments(self, number: int, rows: set[tuple[str, str]], since: float = 0.0) -> list[float]:
        """Return when a node fired one of these rows, in order."""
        records = read_trace(self.network.homes[number].trace)
        return [
            float(r["at"]) for r in records
            if r["kind"] == "transition" and (r["table"], r["event"]) in rows and r["at"] >= since
        ]

    async def pay(self, deposits: int) -> float:
        """Pay some deposits; return the time from the first payout's tick to the last signatures.

        They are as many payouts as a round has no time for more inputs.
        """
        user = PrivateKey(os.urandom(32))
        home = address_of(key_script(user.public_key.format()), DEVNET_HRP)
        begun = time.time()
        async with RpcClient(self.network.rpc_url) as rpc:
            coins = [await faucet(rpc, home, AMOUNT + 100_000) for _ in range(deposits)]
            for coin in coins:
                while not (await rpc.call("gettxout", coin.txid.hex(), coin.index))[
                    "confirmations"
                ]:
                    await anyio.sleep(0.1)
            memo = b"pay:" + home.encode()
            wanted = {
                f"{(await deposit(rpc, user, custody_script(self.key), AMOUNT, memo)).hex()}:0"
                for _ in range(deposits)
            }
        await self.until(f"{deposits} deposits paid", lambda s: wanted <= signed(s))
        period = sized(DEVNET, self.network.size).round_period_s
        rows = {("event", "Signature")}
        found = [moments for n in self._all() if (moments := self._moments(n, rows, begun))]
        first = min(moments[0] for moments in found)
        return min(moments[-1] for moments in found) - first // period * period

    async def night(self) -> float | None:
        """Let all operators ask for a refresh; return how long it took at the last node."""
        status = await self.network.status(0) or {}
        key = status["key"]
        fields = {"kind": "keyrefresh", "key_id": key["key_id"], "epoch": key["epoch"]}
        begun = time.time()
        for home in self.network.homes:
            await anyio.to_thread.run_sync(post, home, "/requests", fields)
        await self.until("the next epoch", lambda s: s["key"] and s["key"]["epoch"] > key["epoch"])
        rows = {("regroup", "Activate")}
        return max(self._moments(n, rows, begun)[-1] for n in self._all()) - begun

    # --- what it costs ---

    def cpu_s(self) -> float:
        """Return the seconds of CPU that all nodes have used."""
        ticks = os.sysconf("SC_CLK_TCK")
        used = 0.0
        for pid in self.network.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            used += (int(fields[11]) + int(fields[12])) / ticks
        return used

    async def wire(self) -> tuple[float, float]:
        """Return the frames and octets that all nodes have sent."""
        frames = octets = 0.0
        for home in self.network.homes:
            try:
                text = (await anyio.to_thread.run_sync(fetch, home, "/metrics")).decode()
            except MetanodeError:
                continue
            for line in text.splitlines():
                if line.startswith('metanode_frames_total{direction="out"}'):
                    frames += float(line.split()[-1])
                elif line.startswith('metanode_frame_bytes_total{direction="out"}'):
                    octets += float(line.split()[-1])
        return frames, octets

    async def idle(self) -> tuple[float, float, float]:
        """Return cores, octets a second and frames a second while nothing is asked for."""
        frames, octets = await self.wire()
        used, begun = self.cpu_s(), time.monotonic()
        await anyio.sleep(IDLE_S)
        used, spent = self.cpu_s() - used, time.monotonic() - begun
        more, heavier = await self.wire()
        spent_all = time.monotonic() - begun
        return used / spent, (heavier - octets) / spent_all, (more - frames) / spent_all


def signed(status: Mapping[str, Any]) -> set[str]:
    """Return the deposits of payouts whose signatures a node has."""
    states = ("COMPLETED", "SENT", "SIGNED", "PENDING", "BROADCAST")
    return {t for p in status["payouts"] if p["state"] in states for t in p["transfers"]}


async def measure(
    directory: Path, nodes: int, shares: int, faulty: int, night: bool, say: Callable[[str], None]
) -> Size:
    """Measure a network of ``nodes`` processes."""
    network = ForkedNetwork(
        directory, size=nodes, keygen="command", shares=shares, faulty=faulty
    )
    bench = Bench(network, say, patience_s=120.0 + 12.0 * nodes)
    try:
        await network.prepare()
        say(f"{nodes} homes are made")
        links = await bench.start()
        say(f"all links after {links:.1f} s")
        key = await bench.make_key()
        say(f"a key after {key:.1f} s")
        payouts = {}
        cost = (0.0, 0.0)
        at_once = sized(DEVNET, nodes).transfers_per_payout
        for deposits in (2, 20):
            if deposits > ROUNDS_MOST * at_once:
                say(f"{deposits} deposits would take more than {ROUNDS_MOST} rounds: left out")
                continue
            before = await bench.wire()
            payouts[deposits] = await bench.pay(deposits)
            after = await bench.wire()
            cost = cost if deposits != 2 else (after[0] - before[0], after[1] - before[1])
            say(f"{deposits} deposits are signed for {payouts[deposits]:.2f} s after a tick")
        idle = await bench.idle()
        say(f"idle: {idle[0]:.2f} of a core")
        spent = await bench.night() if night else None
        say("no night" if spent is None else f"a night took {spent:.1f} s")
        memory = [network.memory(number) / 1e6 for number in range(nodes)]
        together = network.memory_all() / 1e6
    finally:
        network.stop()
    return Size(
        nodes=nodes, threshold=shares, byzantine=faulty, links_s=round(links, 1),
        keygen_s=round(key, 1), payout_s={k: round(v, 2) for k, v in payouts.items()},
        night_s=None if spent is None else round(spent, 1), memory_mb=round(max(memory), 1),
        memory_all_mb=round(together, 1), idle_cores=round(idle[0], 3),
        idle_octets_s=round(idle[1]), idle_frames_s=round(idle[2]), payout_frames=round(cost[0]),
        payout_octets=round(cost[1]),
    )


def numbers_for(nodes: int, shares: int | None) -> tuple[int, int]:
    """Return t and f: those of the formulas, or t as wished and the most liars that it allows."""
    if shares is None:
        return threshold(nodes), faults_tolerated(nodes)
    return shares, max(0, min(2 * shares - nodes - 1, nodes - shares))


def show(sizes: Iterable[Size], console: Console) -> None:
    """Print the table."""
    found = list(sizes)
    table = Table(title="whole networks on this machine")
    table.add_column("measure")
    for size in found:
        table.add_column(f"n = {size.nodes}, t = {size.threshold}", justify="right")
    rows: list[tuple[str, Callable[[Size], object]]] = [
        ("all links after the start, s", lambda s: s.links_s),
        ("key made and locked in, s", lambda s: s.keygen_s),
        ("payout of 2 deposits, tick to signature, s", lambda s: s.payout_s.get(2)),
        ("payout of 20 deposits, tick to signature, s", lambda s: s.payout_s.get(20)),
        ("night (refresh), s", lambda s: s.night_s),
        ("peak memory a node, MB", lambda s: s.memory_mb),
        ("memory of all at the end, shared pages once, MB", lambda s: s.memory_all_mb),
        ("idle, cores in all", lambda s: s.idle_cores),
        ("idle, octets/s in all", lambda s: f"{s.idle_octets_s:,.0f}"),
        ("idle, frames/s in all", lambda s: f"{s.idle_frames_s:,.0f}"),
        ("frames from deposit to payout (2)", lambda s: f"{s.payout_frames:,.0f}"),
        ("octets from deposit to payout (2)", lambda s: f"{s.payout_octets:,.0f}"),
    ]
    for title, read in rows:
        table.add_row(title, *(str(read(size)) for size in found))
    console.print(table)


def run(nodes: list[int], shares: int | None, night: bool = True) -> dict[str, Any]:
    """Measure networks of these sizes one after the other, print a table, return the numbers."""
    console = Console(soft_wrap=not sys.stdout.isatty())
    begun = time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - begun:6.1f} s  {text}", highlight=False)

    sizes = []
    for size in nodes:
        t, f = numbers_for(size, shares if size == max(nodes) else None)
        with tempfile.TemporaryDirectory(prefix="metanode-bench-") as folder:
            directory = Path(folder) / "network"
            sizes.append(
                anyio.run(measure, directory, size, t, f, night, say, backend="trio")
            )
    show(sizes, console)
    return {
        "python": platform.python_version(), "machine": platform.machine(),
        "cores": os.cpu_count(), "sizes": [asdict(size) for size in sizes],
    }
