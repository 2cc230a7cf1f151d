"""Runs of the simulator as the traces that real nodes would have written."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest

from metanode.protocol.tables.effects import Effects
from metanode.protocol.tables.runner import Tables
from metanode.protocol.tables.view import NodeView, Quorum
from model_checks.conformance import check_traces
from model_checks.trace_log import Refusal
from spec.protocol import PROTOCOL
from spec.trace_format import transition
from tests.model_checks.trace_files import NODE, Record, Traces, written
from tests.protocol.tables.support import with_messages
from tests.simulation.parts import Crash, Node
from tests.simulation.simulator import Simulation


def recorded(sim: Simulation, resumed: bool = False) -> Traces:
    """Record the traces of a simulation that has not started yet; they grow while it runs."""
    traces: Traces = {}
    for node in sim.nodes:
        traces[f"node-{node.number}"] = records = []
        node.watcher = _watcher(sim, node, records, resumed)
    return traces


def _watcher(
    sim: Simulation, node: Node, records: list[Record], resumed: bool
) -> Callable[[Effects], None]:
    starts = inputs = 0

    def watch(effects: Effects) -> None:
        nonlocal starts, inputs
        at = round(sim.now, 3)
        if node.starts != starts:
            starts, inputs = node.starts, 0
            records.append({"kind": "started", "at": at, "resumed": resumed})
        coming = (c for c in sim.crashes if c.node == node.number and c.when(effects))
        crash = next(coming, None)
        if crash is not None and crash.point != "amid":
            return  # killed before the flush, or between the flush and the trace
        inputs += bool(effects.trace)
        records.extend(transition(line, at, inputs) for line in effects.trace)

    return watch


@lru_cache
def run(seed: int = 5, crashes: tuple[Crash, ...] = ()) -> str:
    """Return, as JSON, the traces of a run with these crashes and one more of node 2."""
    sim = Simulation(seed=seed, keygen_s=2.0, crashes=list(crashes))
    traces = recorded(sim)
    sim.start_all()
    everyone = {node.node_id for node in sim.nodes}
    sim.run_until(lambda: set(sim.checkers.locked_keys) == everyone, 30.0, "a key is locked in")
    sim.run(0.5)
    sim.crash(2)
    sim.deposit()
    sim.mine_every(0.4)
    sim.restart_after(2, 0.5)
    sim.run(0.6)
    sim.settle(40.0)
    return json.dumps(traces)


def whole_run() -> Traces:
    """Return the traces of four nodes from key generation to a settled payout, with one crash."""
    traces: Traces = json.loads(run())
    return traces


def keygen_alone(me: bytes, slot: int) -> list[Record]:
    """Return the trace of a node that makes a key all by itself."""
    tables = with_messages(Tables(PROTOCOL, NodeView(PROTOCOL, Quorum((me,), 1, 0)), me))
    tables.view.scopes = lambda _sorts, _index: tables.view.quorum
    for cell in ("keygen_open", "keygen_certificate", "same_roster", "share_verified",
                 "lock_in_valid"):
        tables.view.providers[cell] = lambda *_index: True
    tables.fire("peer.KeygenTick")
    for event in ("Start", "Store", "Certify", "LockIn"):
        tables.fire(f"keygen.{event}", k=slot)
    lines = [transition(line, 1.0, number) for number, line in enumerate(tables.effects.trace, 1)]
    return [{"kind": "started", "at": 1.0}, *lines]


def place(records: list[Record], table: str, event: str, source: str = "") -> int:
    """Return where the first line of an event stands."""
    return next(
        number
        for number, record in enumerate(records)
        if (record.get("table"), record.get("event")) == (table, event)
        and source in ("", record["from"])
    )


def key(record: Record, start: str) -> str:
    """Return the cell that a line has read whose name begins so."""
    return next(name for name in record["reads"] if name.startswith(start))


def refused(root: Path, traces: Traces, line: int, match: str, name: str = NODE) -> None:
    """Write the traces, whose chains are whole again, and expect the refusal of a line."""
    with pytest.raises(Refusal, match=match) as caught:
        check_traces(written(root, traces))
    assert caught.value.where == f"{root / name / 'trace-000001.jsonl'}:{line + 1}"
