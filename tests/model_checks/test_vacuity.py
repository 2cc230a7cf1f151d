"""Moves that never fire and conditions that nothing meets: "holds" must not hide them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from model_checks import __main__ as command
from model_checks.engines.check import check
from model_checks.models import session_rules
from model_checks.vacuity import unasked, with_conditions

SPEC = '''"""A door."""
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Sort

NETWORK = Network(
    name="door",
    doc="-",
    honest="",
    crash=False,
    sorts=(Sort("Guest", "-"),),
    cells=(
        Cell("inside", "bool", ("Guest",), "False", "memory", "-"),
        Cell("paid", "bool", ("Guest",), "False", "memory", "-"),
    ),
    moves=(
        Move("Enter(g: Guest)", ("{enter}",), {{"inside[g]": "True"}}),
        Move("Leave(g: Guest)", ("inside[g]",), {{"inside[g]": "False"}}),
        Move("Pay(g: Guest)", ("not paid[g]",), {{"paid[g]": "True"}}),
    ),
    properties=(
        Property("InsideHasPaid", "all(implies(inside[g], paid[g]) for g in Guest)"),
        Property(
            "PaidForGood", "all(implies(after(inside[g]), after(paid[g])) for g in Guest)", "step"
        ),
    ),
)
'''
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that checks the door with a guard; exit code and output."""

    def checked(enter: str, *arguments: str) -> tuple[int, str]:
        path = tmp_path / "door.py"
        path.write_text(SPEC.format(enter=enter), encoding="utf-8")
        code = command.main(["check", str(path), "--sort", "Guest=2", *arguments])
        return code, capsys.readouterr().out

    return checked


def test_what_is_asked_holds(run: Run) -> None:
    """Catches a complaint about a question that was asked."""
    code, told = run("paid[g]")
    assert code == 0
    assert "NEVER TAKEN" not in told
    assert "VACUOUS" not in told
    assert "\nholds: " in told
    assert "its condition" not in told  # the witnesses of conditions are nobody's properties


def test_a_dead_move_and_a_condition_that_nothing_meets_are_told(run: Run) -> None:
    """Catches "holds" for a door that nobody can ever go through."""
    code, told = run("paid[g] and not paid[g]")
    assert code == 1
    assert "Enter: NEVER TAKEN at this size" in told
    assert "Leave: NEVER TAKEN at this size" in told
    assert "Pay: NEVER" not in told
    assert "InsideHasPaid: VACUOUS at this size: its condition holds in no state" in told
    assert "InsideHasPaid (invariant): holds" in told
    assert "holds, but not all was asked: 4 distinct" in told


def test_machines_are_told_too(run: Run) -> None:
    """Catches a JSON answer that says that all holds."""
    code, told = run("paid[g] and not paid[g]", "--json")
    found = json.loads(told)
    assert (code, found["holds"]) == (1, False)
    assert found["never_taken"] == ["Enter", "Leave"]
    assert found["vacuous"] == ["InsideHasPaid"]
    assert found["steps"] == {"Enter": 0, "Leave": 0, "Pay": 4}
    code, told = run("paid[g]", "--json")
    found = json.loads(told)
    assert (code, found["holds"], found["never_taken"], found["vacuous"]) == (0, True, [], [])


def test_a_violation_is_told_as_one(run: Run) -> None:
    """Catches a fault that is hidden behind what was not asked, in a search that ended early."""
    code, told = run("True")
    assert code == 1
    assert "InsideHasPaid (invariant): VIOLATED" in told
    assert "\nVIOLATED: " in told


def test_the_protocols_own_networks_are_looked_at_in_the_same_way() -> None:
    """Catches conditions that are not looked for where quantifiers and definitions are nested."""
    instance = session_rules.MODEL.cases[0].instance
    result = check(with_conditions(instance))
    left = unasked(instance, result)
    assert left.vacuous == ("OneSession",)  # of two attempts; this size has one
    assert set(left.never_taken) == {f"session.Supersede{n}" for n in ("", "#2", "#3")}
    assert result.reached.keys() == {"CanFinish", "CanResume"}
