"""The table of speeds compares like with like."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_checks.export import promela
from model_checks.export.promela import SpinResult
from tools import bench_models


def spin_of(states: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let SPIN find so many states in a second."""

    def verify(text: str, directory: Path, *, seconds: float) -> SpinResult:
        return SpinResult(states, violated=False, complete=True, seconds=1.0)

    monkeypatch.setattr(promela, "missing", lambda: "")
    monkeypatch.setattr(promela, "verify", verify)


def test_spin_stands_beside_our_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a ratio of two different models' speeds, or one upside down."""
    spin_of(289, monkeypatch)
    ours, theirs = bench_models.beside_spin("small", bench_models.commit(3), "Manager", 1)
    assert (ours["distinct"], theirs["distinct"]) == (288, 289)
    assert theirs["distinct_per_second"] == 289
    assert ours["times_spin"] == round(ours["distinct_per_second"] / 289, 1)


def test_another_count_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a comparison with a model that means something else."""
    spin_of(288, monkeypatch)
    with pytest.raises(ValueError, match="SPIN has 288 states, 288 \\+ 1 expected"):
        list(bench_models.beside_spin("small", bench_models.commit(3), "Manager", 1))


def test_without_spin_our_search_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a bench that needs what a machine may not have."""
    monkeypatch.setattr(promela, "missing", lambda: "spin not installed")
    (ours,) = bench_models.beside_spin("small", bench_models.commit(3), "Manager", 1)
    assert "times_spin" not in ours
