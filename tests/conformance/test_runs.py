"""Runs of real cores with crashes at bad moments leave traces that are legal."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path

import pytest

from model_checks.conformance import check_traces
from model_checks.trace_log import Refusal
from tests.conformance.recording import recorded, run
from tests.model_checks.trace_files import Record, written
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


@pytest.mark.parametrize("seed", range(10))
def test_what_an_input_fired_in_another_order(tmp_path: Path, seed: int) -> None:
    """Catches a node that runs the rows of an input in an order that its text does not have."""
    traces = json.loads(run())
    pairs = [
        (name, at)
        for name, records in traces.items()
        for at, (one, two) in enumerate(pairwise(records))
        if one.get("turn") == two.get("turn") is not None and _trigger(one) != _trigger(two)
    ]
    name, at = random.Random(seed).choice(pairs)
    records = traces[name]
    records[at], records[at + 1] = records[at + 1], records[at]
    with pytest.raises(Refusal) as caught:
        check_traces(written(tmp_path, traces))
    file = tmp_path / name / "trace-000001.jsonl"
    assert caught.value.where in (f"{file}:{at + 1}", f"{file}:{at + 2}")


def _trigger(record: Record) -> tuple[str, str]:
    return record["table"], record["event"]
