"""How strong the report says that evidence is: what is proved where, at which sizes, what is none.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve

from model_checks.cases import Case
from model_checks.models import CASES
from model_checks.report import evidence, results
from model_checks.report.evidence import Answer, Promise, promises, rows_idle, rows_outside
from model_checks.report.pages import START, report
from spec.invariants import PROPERTIES
from tests.model_checks.pages import Reader


def case_of(network: str, **constants: int) -> Case:
    """Return the case of a network with these constants."""
    return next(
        c for c in CASES
        if c.network.name == network and constants.items() <= dict(c.constants).items()
    )


def searched(case: Case, result: str = "holds") -> results.Model:
    """Return the result of a search as it is expected."""
    return results.Model(case.name, "explicit", result, True, 9, 9, 9, 1.0)


def promise(name: str, *models: results.Model) -> Promise:
    """Return what some models say of a promise."""
    listed = promises(results.Results(True, models))
    return next(each for each in listed if each.spec.name == name)


def test_proved_is_said_of_that_network_only() -> None:
    """"Proved for every size" of a promise that another network was only explored for."""
    proof = results.Model("signing, every size", "z3, cvc5", "holds", True)
    handed = searched(case_of("regroup_handover"))
    alone = promise("NoDoubleSign", proof)
    assert evidence.GRADES[alone.grade] == "proved for every size"
    both = promise("NoDoubleSign", proof, handed)
    assert evidence.GRADES[both.grade] == "proved in part"
    assert both.explored_only == ["regroup_handover"]
    text = Reader(report(results.Results(True, (proof, handed)))[START]).text
    assert f"{both.spec.meaning} proved in part signing regroup_handover : n=" in text


def test_what_holds_in_a_variant_is_no_evidence() -> None:
    """A promise that seems explored because a network that must fail does not fail in it."""
    variant = next(
        c for c in CASES if c.refuted and c.whole
        and any(p.name in {q.name for q in PROPERTIES} and p.name not in c.refuted
                and p.kind == "invariant" for p in c.network.properties)
    )
    name = next(
        p.name for p in variant.network.properties
        if p.name in {q.name for q in PROPERTIES} and p.name not in variant.refuted
    )
    assert evidence.GRADES[promise(name, searched(variant, "refuted")).grade] == (
        "asked of no network"
    )


def test_sizes_that_no_node_accepts_are_named() -> None:
    """Evidence at a size at which no node starts, that reads like any other."""
    case = case_of("signing", N=4, F=1, T=3)
    assert evidence.illegal(case) == ""
    wrong = evolve(case, constants={"N": 3, "F": 1, "T": 2})
    assert "2t-n > f must hold" in evidence.illegal(wrong)
    assert evidence.size_of(case) == "n=4 f=1 t=3, Attempt 2, Digest 2"


def graded(**told: Any) -> str:
    """Return the grade of a promise of which one model says this."""
    model = results.Model("a model", "explicit", "holds", True)
    answer = Answer(PROPERTIES[0].name, model, "a network", "holds", "holds", **told)
    return evidence.GRADES[Promise(PROPERTIES[0], (answer,)).grade]


def test_possible_is_not_called_inevitable() -> None:
    """A liveness promise of which only a way is known, shown as if every run took it."""
    assert graded(kind="liveness") == "only explored"
    assert graded(kind=evidence.POSSIBLE) == "possible, not shown to be inevitable"


def test_a_size_that_no_node_accepts_is_weaker_than_a_small_one() -> None:
    """Evidence of a network that cannot be started, in one line with that of one that can."""
    assert graded(kind="invariant", illegal="n-f >= t must hold") == (
        "only at sizes that no node accepts"
    )


def test_every_row_that_changes_something_runs_in_a_network() -> None:
    """Catches a row of which no network says anything, and one that is said to change nothing."""
    assert rows_outside() == []
    assert ("ping", 5) in rows_idle()
    assert not {("peer", 1), ("regroup", 10)} & set(rows_idle())
