"""Random storms: crashes, loss, duplicates, reordering and a partition, then calm."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_checks.conformance import check_traces
from tests.conformance.recording import recorded
from tests.model_checks.trace_files import Traces, written
from tests.simulation.campaign import campaign


@pytest.mark.parametrize("seed", range(1, 11))
def test_a_random_storm_pays_every_deposit_once(seed: int, tmp_path: Path) -> None:
    """Catches what nobody thought of; a failure names the one line that replays it.

    Every step of every node is held against the tables, as that of a real node would be.
    """
    traces: Traces = {}
    campaign(seed, lambda sim: traces.update(recorded(sim, resumed=True)))
    assert check_traces(written(tmp_path, traces))[-1].endswith("every step legal")
