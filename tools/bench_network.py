#!/usr/bin/env python3
"""Measure a network of four nodes on the loopback: a round in its phases, frames/s, memory.

    python tools/bench_network.py [--json FILE] [--rounds 6] [--nodes 4,16,60 [--shares 32]]

The nodes are processes of their own with a devnet chain, as in the demo; the times of a round come
from the traces of the nodes. Frames are counted on one link between two link managers that share
this process. Times are wall-clock time: all processes share the cores of this machine. With
``--nodes`` whole networks of these sizes are measured instead (``tools/network_sizes.py``).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

# A checkout must be measurable before the package is installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import anyio
import anyio.lowlevel
from attrs import asdict, frozen
from coincurve import PrivateKey
from rich.console import Console
from rich.table import Table

from metanode.chains.rpc import RpcClient
from metanode.custody.payout import custody_script
from metanode.custody.scripts import address_of, key_script
from metanode.devnet.local_network import LocalNetwork
from metanode.devnet.types import DEVNET_HRP
from metanode.devnet.wallet import deposit, faucet
from metanode.identity import Identity
from metanode.protocol.peers.endpoints import Endpoint
from metanode.protocol.wire.codec import Codec
from metanode.protocol.wire.envelope import open_envelope, seal
from metanode.runtime.net.certificates import make_credentials
from metanode.runtime.net.links import LinkCallbacks, LinkManager
from metanode.runtime.store.trace import read_trace
from metanode.tss.verify import verify_signature
from spec.messages import MESSAGES, Keepalive
from spec.parameters import DEVNET, LARGEST_ROSTER, MAINNET
from tools import network_sizes

DEFAULT_ROUNDS = 6
SMALLEST = 4
PATIENCE_S = 120.0
AMOUNT = 3_000_000
FRAMES = 20_000
FRAMES_CHECKED = 2_000
WINDOW = 100
"""Frames under way at once; a link takes 128 before it counts as stuck."""
VERIFICATIONS = 200

# Phase → (from, to): the moments of a round, as rows of the tables (see `moments`).
PHASES: Mapping[str, tuple[str, str]] = {
    "offer": ("tick", "Offer"),
    "proposal": ("Offer", "RoundTick"),
    "set": ("RoundTick", "Matched"),
    "vote": ("Matched", "SetFound"),
    "certificate": ("SetFound", "Certified"),
    "signing": ("Certified", "Signature"),
}
PHASE_NOTES = {
    "offer": "the tick is noticed, transfers are offered",
    "proposal": "t offers are in, the payout is built and proposed",
    "set": "t equal proposals are in and their proofs checked",
    "vote": "signing sets are in, the threshold set is found",
    "certificate": "t equal votes are in; vote and lock are flushed",
    "signing": "DKLs23 over all inputs, result verified and stored",
}


@frozen
class Report:
    """What was measured: seconds are medians over rounds, memory is the peak of each node."""

    rounds: int
    inputs: int
    phases_s: dict[str, float]
    round_s: float
    slowest_round_s: float
    verify_ms: float
    frame_octets: int
    frames_per_s: float
    checked_frames_per_s: float
    memory_mb: list[float]


Moments = dict[str, float]


def moments(records: Iterable[Mapping[str, Any]]) -> dict[int, Moments]:
    """Return round → row → unix seconds of one node, for the rounds that ended in a signature."""
    found: dict[int, Moments] = defaultdict(dict)
    for record in records:
        if record["kind"] != "transition":
            continue
        number = int(record["at"] // DEVNET.round_period_s)
        if (record["table"], record["event"]) == ("event", "Signature"):
            found[number].setdefault("Signature", record["at"])
        elif record["table"] == "peer" and record["event"] in {end for _, end in PHASES.values()}:
            found[number].setdefault(record["event"], record["at"])
    for number, times in found.items():
        times["tick"] = float(number * DEVNET.round_period_s)
    return {
        number: times for number, times in found.items() if {"Signature", "Offer"} <= set(times)
    }


def split(nodes: list[dict[int, Moments]]) -> tuple[dict[str, float], list[float]]:
    """Return each phase's median over rounds of the median over nodes, and every round's time.

    A round's time runs from the tick to the first node that holds the verified signatures.
    """
    per_phase: dict[str, list[float]] = {phase: [] for phase in PHASES}
    totals = []
    for number in sorted(set().union(*nodes)):
        taking_part = [node[number] for node in nodes if number in node]
        totals.append(min(t["Signature"] for t in taking_part) - taking_part[0]["tick"])
        for phase, (begin, end) in PHASES.items():
            spans = [t[end] - t[begin] for t in taking_part if begin in t and end in t]
            if spans:
                per_phase[phase].append(statistics.median(spans))
    medians = {phase: statistics.median(spans) for phase, spans in per_phase.items() if spans}
    return medians, totals


async def until(
    network: LocalNetwork, what: str, done: Callable[[list[dict[str, Any]]], object]
) -> list[dict[str, Any]]:
    """Wait until ``done`` holds of all nodes' statuses; SystemExit names what did not come."""
    with anyio.move_on_after(PATIENCE_S):
        while True:
            statuses = [status for status in await network.statuses() if status is not None]
            if len(statuses) == network.size and done(statuses):
                return statuses
            await anyio.sleep(0.2)
    raise SystemExit(f"did not come within {PATIENCE_S:.0f} s: {what}")


async def make_rounds(network: LocalNetwork, rounds: int, say: Callable[[str], None]) -> None:
    """Start the nodes, wait for the key, and make one deposit a round."""
    for number in range(network.size):
        network.start(number)
    statuses = await until(network, "a key locked in", lambda found: all(s["key"] for s in found))
    say("a key is locked in")
    public_key = bytes.fromhex(statuses[0]["key"]["public_key"])
    user = PrivateKey(os.urandom(32))
    home = address_of(key_script(user.public_key.format()), DEVNET_HRP)
    async with RpcClient(network.rpc_url) as rpc:
        for _ in range(rounds):
            coin = await faucet(rpc, home, AMOUNT + 100_000)
            while not (await rpc.call("gettxout", coin.txid.hex(), coin.index))["confirmations"]:
                await anyio.sleep(0.1)
            memo = b"pay:" + home.encode()
            txid = await deposit(rpc, user, custody_script(public_key), AMOUNT, memo)
            wanted = f"{txid.hex()}:0"

            def settled(found: list[dict[str, Any]], wanted: str = wanted) -> bool:
                return all(wanted in transfers_of(status) for status in found)

            await until(network, f"the payout of {wanted}", settled)
            say(f"paid: {wanted}")


def transfers_of(status: Mapping[str, Any]) -> set[str]:
    """Return the deposits whose payout a node calls final."""
    payouts = [p for p in status["payouts"] if p["state"] == "COMPLETED"]
    return {transfer for payout in payouts for transfer in payout["transfers"]}


async def measure_rounds(
    directory: Path, rounds: int, say: Callable[[str], None]
) -> tuple[list[dict[int, Moments]], list[float], int]:
    """Return what the nodes' traces say of the rounds, the nodes' memory, and the inputs signed."""
    network = LocalNetwork(directory)
    try:
        await network.prepare()
        await make_rounds(network, rounds, say)
        memory = [round(network.memory(number) / 1e6, 1) for number in range(network.size)]
        status = await network.status(0) or {"payouts": []}
        inputs = sum(payout["inputs"] for payout in status["payouts"])
    finally:
        network.stop()
    return [moments(read_trace(home.trace)) for home in network.homes], memory, inputs


async def measure_frames(count: int, check_signatures: bool) -> tuple[float, int]:
    """Return frames per second on one link and the octets of a frame."""
    network_id = os.urandom(32)
    sender, receiver = (Identity.generate(os.urandom) for _ in range(2))
    codec = Codec(MESSAGES)
    frame = seal(sender, network_id, codec, Keepalive(("192.0.2.123:17000", "192.168.2.24:17000")))
    received = 0
    arrived = anyio.Event()

    async def take(_node_id: bytes, payload: bytes) -> None:
        nonlocal received
        if check_signatures:
            open_envelope(network_id, codec, payload, _node_id)
        received += 1
        if received == count:
            arrived.set()

    def manager(identity: Identity) -> LinkManager:
        callbacks = LinkCallbacks(on_frame=take, on_up=_ignore, on_down=_ignore)
        credentials = make_credentials(identity, network_id)
        return LinkManager(credentials, MAINNET, callbacks, os.urandom)

    async with anyio.create_task_group() as tasks:
        listening, dialling = manager(receiver), manager(sender)
        for links in (listening, dialling):
            links.start(tasks)
        port = await listening.listen("127.0.0.1", 0)
        outcome = await dialling.dial(Endpoint("127.0.0.1", port))
        if outcome.node_id is None:
            raise SystemExit(f"no link: {outcome.reason}")
        begun = time.perf_counter()
        for sent in range(count):
            while sent - received >= WINDOW:
                await anyio.lowlevel.checkpoint()
            if not dialling.send(outcome.node_id, frame):
                raise SystemExit("the link took no more frames")
        await arrived.wait()
        spent = time.perf_counter() - begun
        tasks.cancel_scope.cancel()
    return count / spent, len(frame)


def _ignore(*_: object) -> None:
    """Take a link's news and do nothing."""


def measure_verification() -> float:
    """Return the milliseconds that checking one finished signature takes, in two libraries."""
    key = PrivateKey(os.urandom(32))
    digest = os.urandom(32)
    compact = key.sign_recoverable(digest, hasher=None)
    r, s = int.from_bytes(compact[:32], "big"), int.from_bytes(compact[32:64], "big")
    public_key = key.public_key.format()
    begun = time.perf_counter()
    for _ in range(VERIFICATIONS):
        if not verify_signature(public_key, digest, r, s):
            raise SystemExit("a good signature did not verify")
    return (time.perf_counter() - begun) / VERIFICATIONS * 1e3


def show(report: Report, console: Console) -> None:
    """Print the tables."""
    table = Table(
        title=f"a round from tick to valid signature: medians of {report.rounds} rounds, "
        f"{report.inputs} inputs signed"
    )
    table.add_column("phase")
    table.add_column("ms", justify="right")
    table.add_column("what happens")
    for phase, seconds in report.phases_s.items():
        table.add_row(phase, f"{seconds * 1e3:.0f}", PHASE_NOTES[phase])
    table.add_row("verify", f"{report.verify_ms:.1f}", "one signature, two libraries (in signing)")
    table.add_section()
    table.add_row("whole round", f"{report.round_s * 1e3:.0f}", "first node with the signatures")
    table.add_row("slowest round", f"{report.slowest_round_s * 1e3:.0f}", "")
    rest = Table(title="links and memory")
    rest.add_column("measure")
    rest.add_column("value", justify="right")
    size = report.frame_octets
    rest.add_row(f"frames/s on one link, {size} octets", f"{report.frames_per_s:,.0f}")
    rest.add_row("the same, each signature checked", f"{report.checked_frames_per_s:,.0f}")
    rest.add_row("peak memory per node, MB", ", ".join(f"{each:.0f}" for each in report.memory_mb))
    console.print(table)
    console.print(rest)


def run(json_path: str | None, rounds: int = DEFAULT_ROUNDS) -> Report:
    """Measure, print the tables and, when given a path, write the numbers as JSON."""
    console = Console(soft_wrap=not sys.stdout.isatty())
    begun = time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - begun:6.1f} s  {text}", highlight=False)

    frames, octets = anyio.run(measure_frames, FRAMES, False, backend="trio")
    checked, _ = anyio.run(measure_frames, FRAMES_CHECKED, True, backend="trio")
    verify_ms = measure_verification()
    say("links are measured; the network starts")
    with tempfile.TemporaryDirectory(prefix="metanode-bench-") as folder:
        nodes, memory, inputs = anyio.run(
            measure_rounds, Path(folder) / "network", rounds, say, backend="trio"
        )
    phases, totals = split(nodes)
    report = Report(
        rounds=len(totals),
        inputs=inputs,
        phases_s={phase: round(seconds, 4) for phase, seconds in phases.items()},
        round_s=round(statistics.median(totals), 4),
        slowest_round_s=round(max(totals), 4),
        verify_ms=round(verify_ms, 2),
        frame_octets=octets,
        frames_per_s=round(frames),
        checked_frames_per_s=round(checked),
        memory_mb=memory,
    )
    show(report, console)
    if json_path is not None:
        document = {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            **asdict(report),
        }
        Path(json_path).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return report


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="also write the numbers to FILE")
    parser.add_argument("--rounds", type=int, default=DEFAULT_ROUNDS, help="deposits to pay")
    parser.add_argument("--nodes", metavar="N,N", help="measure whole networks of these sizes")
    parser.add_argument("--shares", type=int, help="t of the largest of them")
    parser.add_argument("--no-night", action="store_true", help="leave the refresh out")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds: at least 1 is needed")
    if arguments.nodes is not None:
        sizes = [int(each) if each.isdecimal() else 0 for each in arguments.nodes.split(",")]
        if not all(SMALLEST <= size <= LARGEST_ROSTER for size in sizes):
            parser.error(f"--nodes: numbers from {SMALLEST} to {LARGEST_ROSTER}, as in 4,16,60")
        found = network_sizes.run(sizes, arguments.shares, not arguments.no_night)
        if arguments.json is not None:
            Path(arguments.json).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        return
    run(arguments.json, arguments.rounds)


if __name__ == "__main__":
    main()
