"""Runs of real cores with crashes at bad moments leave traces that are legal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model_checks.conformance import check_traces
from tests.conformance.recording import recorded, run
from tests.model_checks.trace_files import written
from tests.simulation.parts import Crash, writes_cell
from tests.simulation.simulator import Simulation


@pytest.mark.parametrize(
    ("seed", "cell", "point"),
    [
        (1, "voted", "before"),
        (2, "released", "amid"),
        (5, "lock", "after"),
        (6, "settlement", "after"),
        (7, "key", "after"),
        (8, "signature_kept", "amid"),
    ],
)
def test_a_crash_at_a_flush(tmp_path: Path, seed: int, cell: str, point: str) -> None:
    """Catches a validator that takes a crash for a lie; ``after`` is flushed and never traced."""
    crash = Crash(node=seed % 4, when=writes_cell(cell), point=point, restart_s=0.7)
    said = check_traces(written(tmp_path, json.loads(run(seed, (crash,)))))
    assert sum(": legal, " in each for each in said) == 4
    if point == "after":
        assert any("2 starts" in each or "3 starts" in each for each in said)


def test_nodes_whose_disk_is_older_than_their_trace(tmp_path: Path) -> None:
    """Catches a trace that was moved away, and so begins with a full disk, being refused."""
    sim = Simulation(seed=3, keygen_s=2.0)
    sim.start_all()
    everyone = {node.node_id for node in sim.nodes}
    sim.run_until(lambda: set(sim.checkers.locked_keys) == everyone, 30.0, "a key is locked in")
    for node in sim.nodes:
        sim.crash(node.number)
        node.starts = 0
    traces = recorded(sim, resumed=True)
    sim.start_all()
    sim.run(0.3)
    sim.deposit()
    sim.mine_every(0.4)
    sim.settle(40.0)
    said = check_traces(written(tmp_path, traces))
    assert sum(": legal, " in each for each in said) == 4
    assert any(line.get("event") == "Release" for lines in traces.values() for line in lines)
