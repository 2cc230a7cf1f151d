"""The manifest: what is compared, what is written, what a change looks like."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_checks import manifest_file
from model_checks.manifest_file import entry, merged, recorded, stale, update
from model_checks.networks.cases import CASES, faults

CASE = next(c for c in CASES if c.network.name == "swap_other_coins")
COMMIT = CASES[0]


def test_an_entry_says_what_the_row_of_the_issue_has() -> None:
    """Catches a number that nobody pins."""
    found = entry(COMMIT, COMMIT.run())
    assert found["result"] == "holds"
    assert found["tier"] == "fast"
    assert (found["distinct"], found["generated"], found["depth"]) == (288, 1146, 11)
    assert "seconds" in found


def test_seconds_and_result_are_not_compared() -> None:
    """Catches a manifest that fails on a slower machine."""
    result = COMMIT.run()
    slower = {**entry(COMMIT, result), "seconds": 99.0}
    assert faults(COMMIT, result, slower) == []
    assert faults(COMMIT, result, {**slower, "generated": 7}) == [
        "generated is 1146, recorded is 7"
    ]


def test_update_writes_and_shows_the_change(tmp_path: Path) -> None:
    """Catches a change that is written without being shown, or shown without being written."""
    path = tmp_path / "manifest.toml"
    first = {case.name: entry(case, case.run()) for case in (COMMIT, CASE)}
    assert any(line.startswith("+distinct = 288") for line in update(first, path))
    assert recorded(path) == first
    slower = {COMMIT.name: {**first[COMMIT.name], "seconds": 99.0}}
    assert update(slower, path) == []
    changed = {COMMIT.name: {**first[COMMIT.name], "depth": 12}}
    shown = update(changed, path)
    assert "-depth = 11" in shown
    assert "+depth = 12" in shown
    assert recorded(path)[CASE.name] == first[CASE.name]


def test_names_without_a_case_are_told_and_dropped() -> None:
    """Catches numbers of a case that is gone."""
    old = {"gone": {"depth": 1}, COMMIT.name: {"depth": 2}}
    assert stale(old) == ["manifest.toml: no case is named 'gone'"]
    assert merged(old, {}, [COMMIT.name]) == {COMMIT.name: {"depth": 2}}


def test_no_file_is_no_entry(tmp_path: Path) -> None:
    """Catches a first run that fails because nothing is recorded yet."""
    assert recorded(tmp_path / "manifest.toml") == {}


def test_the_manifest_in_the_tree_knows_every_case() -> None:
    """Catches a case that was never recorded."""
    assert set(recorded()) == {case.name for case in CASES}
    assert stale(recorded()) == []


@pytest.mark.parametrize("key", manifest_file.UNCOMPARED)
def test_what_is_not_compared_is_written(key: str) -> None:
    """Catches a name in the list that no entry has."""
    assert key in entry(COMMIT, COMMIT.run())
