"""What grows, and how fast: `tools/bench growth [--json FILE] [--days N] [--payouts N] [--dust N]`.

Two measurements. *Disk*: an idle node of a mainnet network of four is simulated for an hour; what
it writes is written to real files again and again, until so many days are full. *Ticks*: a node
that has made so many payouts, and to whose address so much dust was paid, is timed: a tick, the
tick with which a round begins, and a look at its status.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from attrs import evolve

from metanode.chains.base import ChainUpdate
from metanode.custody.types import BlockSummary, Deposit, Outpoint
from metanode.protocol.node import NodeCore
from metanode.protocol.tables.effects import Effects
from metanode.runtime.home.home import Home
from metanode.runtime.secrets.keystore import LIGHT, Keystore, Passphrase
from metanode.runtime.store.disk import FIRST_VALUES, Disk
from metanode.runtime.store.stores import create_stores, open_stores
from metanode.runtime.store.trace import TraceWriter
from spec.parameters import MAINNET
from tests.simulation.checkers import CODEC
from tests.simulation.simulator import Simulation, with_key

HOUR_S = 3600
DAY_HOURS = 24
DUST = 600
A_BLOCK = 1000
TIMED_TICKS = 100


def disk(days: int) -> dict[str, Any]:
    """Return how many bytes an idle mainnet node has on disk after so many days."""
    sim = with_key(3, begin_s=98.5, preset=MAINNET)
    sim.run(120.0)
    inputs: list[Effects] = []
    sim.nodes[0].watcher = inputs.append
    before = time.perf_counter()
    sim.run(HOUR_S)
    simulated_s = time.perf_counter() - before
    writes = sum(len(effects.writes) for effects in inputs)
    traced = [effects.trace for effects in inputs if effects.trace]
    with tempfile.TemporaryDirectory() as place:
        writer = TraceWriter(Path(place))
        for hour in range(days * DAY_HOURS):
            for records in traced:
                writer.append_input(records, float(hour))
        writer.close()
        files = sorted(path.stat().st_size for path in Path(place).iterdir())
    return {
        "days": days,
        "trace_octets": sum(files),
        "trace_files": len(files),
        "octets_a_day": sum(files) // days,
        "disk_writes_a_day": writes * DAY_HOURS,
        "simulated_hour_s": round(simulated_s, 1),
    }


def size(path: Path) -> int:
    """Return the bytes that all rows of an SQLite file take, free space inside left out."""
    with closing(sqlite3.connect(path)) as connection:
        pages, free, octets = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
    return int((pages - free) * octets)


def a_payout(payouts: int = 20) -> dict[str, Any]:
    """Return how many bytes a payout of one deposit leaves in a node's stores."""
    sim = with_key(5)
    node = sim.nodes[0]
    with tempfile.TemporaryDirectory() as place:
        home = Home(Path(place))
        create_stores(home, node.node_id)
        stores = open_stores(home, node.node_id, FIRST_VALUES)
        keystore = Keystore(home.path, Passphrase(b"no share is made"), LIGHT)
        real = Disk(node.node_id, stores.log, stores.store, keystore, CODEC, stores.mark)
        node.watcher = lambda effects: real.flush(effects.writes)
        sim.mine_every(0.7)
        sizes = []
        for _ in range(payouts + 1):
            sim.deposit()
            sim.settle()
            sizes.append([size(path) for path in (home.signing_log, home.events)])
        real.close()
    log, store = ((sizes[-1][n] - sizes[0][n]) // payouts for n in (0, 1))
    return {"signing_log_octets": log, "event_store_octets": store}


def paid() -> Simulation:
    """Return a network that has settled one payout."""
    sim = with_key(5)
    sim.run(0.3)
    sim.deposit()
    sim.mine_every(0.7)
    sim.settle()
    return sim


def aged(core: NodeCore, payouts: int) -> None:
    """Give a node the memory of so many payouts: that of its one, under other names."""
    view = core.ctx.tables.view
    (event, payout) = next(iter(core.payouts.payouts.items()))
    found, locked = core.book.found[event], core.book.locked[event]
    cells = [
        (cell, index, value)
        for cell in ("status", "lock", "lock_attempt", "voted", "released", "announced",
                     "signature_kept", "settlement", "swap")
        for index, value in list(view.entries(cell))
        if event in index or cell == "swap"
    ]
    for number in range(payouts):
        name = number.to_bytes(32, "big")
        for cell, index, value in cells:
            view.put(cell, tuple(name if part == event or (cell == "swap" and n == 1) else part
                                 for n, part in enumerate(index)), value)
        core.payouts.payouts[name] = evolve(payout)
        core.book.found[name] = found
        core.book.hold(name, locked)
        core.book.kinds[name] = core.book.kinds[event]


def dusted(sim: Simulation, core: NodeCore, dust: int) -> None:
    """Pay so much dust to the custody address, in blocks that are confirmed."""
    height, parent = core.candidates.ledger.tip or (0, bytes(32))
    blocks = []
    for first in range(0, dust + A_BLOCK, A_BLOCK):  # the last of them is empty
        height += 1
        name = height.to_bytes(32, "big")
        deposits = tuple(
            Deposit(Outpoint(number.to_bytes(32, "little"), 0), DUST, height, name, n, None, None)
            for n, number in enumerate(range(first, min(dust, first + A_BLOCK)))
        )
        blocks.append(BlockSummary(height, name, parent, 1, deposits, (), (), int(sim.now)))
        parent = name
    core.on_chain(sim.now, ChainUpdate((), tuple(blocks), True), ())
    core.take()


def timed(work: Callable[[], object], times: int = 1) -> float:
    """Return the milliseconds that one of several turns takes on average."""
    before = time.perf_counter()
    for _ in range(times):
        work()
    return round((time.perf_counter() - before) * 1000 / times, 3)


def ticks(core: NodeCore, now: float) -> dict[str, Any]:
    """Return what a tick, a round's first tick and a look at the status cost."""
    period = core.ctx.preset.round_period_s
    begin = (now // period + 1) * period
    clock = [begin]

    def tick(step: float) -> None:
        clock[0] += step
        core.on_tick(clock[0])
        core.take()

    tick(0.0)
    rounds = [timed(lambda: tick(period)) for _ in range(5)]
    plain = timed(lambda: tick(period / TIMED_TICKS / 2), TIMED_TICKS)
    status: list[int] = []
    look = timed(lambda: status.append(len(json.dumps(core.report()))), 3)
    return {
        "tick_ms": plain, "round_tick_ms": sorted(rounds)[2], "status_ms": look,
        "status_octets": status[-1],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the figures to a file if asked."""
    parser = argparse.ArgumentParser(prog="tools/bench growth", description=__doc__)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--payouts", type=int, default=20_000)
    parser.add_argument("--dust", type=int, default=50_000)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(arguments)
    figures: dict[str, Any] = {}
    if chosen.days:
        figures["disk"] = disk(chosen.days)
        figures["a payout"] = a_payout()
    sim = paid()
    core = sim.core(0)
    figures["new"] = ticks(core, sim.now)
    dusted(sim, core, chosen.dust)
    figures[f"with {chosen.dust} dust outputs"] = ticks(core, core.ctx.now)
    aged(core, chosen.payouts)
    figures[f"and {chosen.payouts} payouts"] = ticks(core, core.ctx.now)
    text = json.dumps(figures, indent=1)
    sys.stdout.write(text + "\n")
    if chosen.json is not None:
        chosen.json.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
