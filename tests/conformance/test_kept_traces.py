"""Traces of which the end alone is kept, and those of nodes whose clock was set: legal runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from metanode.runtime.store.trace import SEALED, TraceWriter, read_trace, trace_files
from model_checks.conformance import check_traces
from spec.trace_format import STARTED
from tests.simulation.network import Simulation
from tests.simulation.parts import Node
from tests.simulation.simulator import with_key


def traced(sim: Simulation, place: Path, file_octets: int, kept: int) -> dict[int, TraceWriter]:
    """Let every node of a network that has not started write a trace of its own."""
    writers = {}
    for node in sim.nodes:
        directory = place / f"n{node.number}"
        directory.mkdir()
        writers[node.number] = TraceWriter(directory, file_octets, kept)
        _watch(sim, node, writers[node.number])
    return writers


def _watch(sim: Simulation, node: Node, writer: TraceWriter) -> None:
    starts = 0

    def watch(effects: object) -> None:
        nonlocal starts
        at = round(sim.now, 3)
        if node.starts != starts:
            starts = node.starts
            writer.append({"kind": STARTED, "at": at, "node": node.node_id.hex(), "resumed": True})
        writer.append_input(effects.trace, at)  # type: ignore[attr-defined]

    node.watcher = watch


@pytest.mark.parametrize("stepped", [False, True])
def test_what_is_kept_of_a_trace_is_judged(tmp_path: Path, stepped: bool) -> None:
    """Catches a rest of a trace that the judge refuses, or that may be changed unseen."""
    writers: dict[int, TraceWriter] = {}
    sim = with_key(5, watch=lambda sim: writers.update(traced(sim, tmp_path, 20_000, 3)))
    sim.mine_every(0.7)
    for _ in range(3):
        sim.deposit()
        sim.settle()
        if stepped:
            sim.nodes[1].offset = 0.0 if sim.nodes[1].offset else 3600.0
    whole = []
    for number, writer in writers.items():
        writer.close()
        directory = tmp_path / f"n{number}"
        assert (directory / SEALED).exists()
        assert len(list(read_trace(directory))) > 20
        kept = tmp_path / f"n{number}.jsonl"
        kept.write_bytes(b"".join(path.read_bytes() for path in trace_files(directory)))
        whole.append(kept)
        assert check_traces([kept])[-1].endswith("every step legal")
    assert check_traces(whole)[-1].startswith("4 nodes")


def test_a_clock_that_is_set_leaves_legal_traces(tmp_path: Path) -> None:
    """Catches a node that goes on, after its clock went back, with a memory that no run has."""
    writers: dict[int, TraceWriter] = {}
    sim = with_key(5, watch=lambda sim: writers.update(traced(sim, tmp_path, 1 << 30, 2)))
    sim.mine_every(0.7)
    for by_s in (3600.0, 0.0, -5.0, 0.0, 1.0, 0.0):
        sim.deposit()
        sim.run(1.5)
        for number in (0, 1, 2):
            sim.nodes[number].offset = by_s
        sim.run(3.0)
    sim.settle()
    for writer in writers.values():
        writer.close()
    paths = [tmp_path / f"n{number}" for number in writers]
    assert check_traces(paths)[-1].endswith("every step legal")
