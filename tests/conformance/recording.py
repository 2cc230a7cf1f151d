"""Runs of the simulator as the traces that real nodes would have written."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache

from metanode.protocol.tables.effects import Effects
from spec.trace_format import transition
from tests.model_checks.trace_files import Record, Traces
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
