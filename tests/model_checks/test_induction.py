"""What the proofs for every size rest on; what must not be provable is not.

That each proof holds by both solvers is what `python -m model_checks check --fast` asks.
"""

from __future__ import annotations

from functools import cache

import pytest
from attrs import evolve

from model_checks.cases import ProofCase
from model_checks.engines.finite import EnginesDisagree, SmallStates
from model_checks.engines.induction import INITIAL, Finding, Induction, Obligation, chosen, outer
from model_checks.engines.oracle import Instance, Oracle
from model_checks.models import CONTROLS, PROOFS, signing, two_phase_commit
from model_checks.system import Checked, Property, close
from spec.language.interpreter import evaluate
from spec.language.ir import BOOL, Literal


def named(name: str) -> ProofCase:
    """Return the case of a network."""
    return next(case for case in (*PROOFS, *CONTROLS) if case.name == name)


@cache
def of_signing() -> tuple[Induction, tuple[Obligation, ...]]:
    """Return the proof of signing and what must be shown for it, written out once."""
    induction = named("signing").induction()
    return induction, tuple(induction.obligations())


def test_what_signing_rests_on() -> None:
    """Catches an axiom about quorums that slips in, or one more than the proof needs."""
    induction, _ = of_signing()
    assert [c.property.name for c in induction.properties] == [
        "NoDoubleSign",
        "CertificateUnique",
        "VoteIsOnDisk",
        "AttemptHasLock",
        "LockIsCertified",
        "ReleaseWasLocked",
        "ReleasedInSome",
        "NewerCertificateFences",
        "MovedLockFences",
        "LaterVoteFences",
    ]
    assert [axiom.text for axiom in induction.symbols.quorums.axioms()] == [
        "a set of -F+T is not empty",
        "a set of -F+T and a set of T share 1",
        "a set of F+1 is not empty",
        "a set of T is not empty",
        "a set of T and a set of T share F+1",
    ]


@pytest.mark.parametrize("seed", [2, 17, 40])
def test_the_proof_does_not_hang_on_a_seed(seed: int) -> None:
    """Catches a proof that one lucky search found."""
    induction, obligations = of_signing()
    found = [
        induction.answer(each, second_solver=False, examples=False, seed=seed)
        for each in obligations
    ]
    assert found
    assert [finding.obligation for finding in found if not finding.proved] == []


@pytest.mark.parametrize("case", CONTROLS, ids=lambda case: case.name)
def test_a_control_fails_where_it_should(case: ProofCase) -> None:
    """Catches lemmas that prove a broken protocol as well: a proof that proves nothing.

    The first obligation that fails is looked at by `check --fast`, the others here.
    """
    induction = case.induction()
    actions = {action.name: action for action in induction.system.actions}
    asked = (*induction.properties, *induction.shrinking)
    properties = {c.property.name: c for c in asked}
    assert case.fails
    for name in case.fails[1:]:
        property_name, action_name = name.split(" / ")
        obligation = induction.obligation(properties[property_name], actions[action_name])
        assert obligation.name == name
        if obligation.checked in induction.shrinking:  # of two states: no single one shows it
            assert not induction.answer(obligation, second_solver=False, examples=False).proved
        else:
            assert induction.example(obligation) is not None, name


def test_a_failure_is_told_with_its_state() -> None:
    """Catches a failure without the obligation, or without the cells that show it."""
    case = named("signing_lock_in_memory")
    induction = evolve(case, steps=50_000).induction()  # a small budget: what fails takes all of it
    crash = next(a for a in induction.system.actions if a.name == "Crash")
    checked = next(c for c in induction.properties if c.property.name == "ReleaseWasLocked")
    finding = induction.answer(induction.obligation(checked, crash))
    assert not finding.proved
    told = str(finding)
    assert told.startswith("ReleaseWasLocked / Crash: ")
    assert "Crash(p=" in told
    assert "lock_attempt[" in told


def test_without_its_lemmas_nothing_is_proved() -> None:
    """Catches lemmas that are there for show."""
    system = close(signing.NETWORK)
    induction = Induction(system, chosen(system, ("NoDoubleSign",)))
    release = next(a for a in system.actions if a.name == "session.Release")
    finding = induction.answer(induction.obligation(induction.properties[0], release))
    assert not finding.proved
    assert finding.example is not None


@pytest.mark.parametrize("case", PROOFS, ids=lambda case: case.name)
def test_every_action_can_happen_where_all_lemmas_hold(case: ProofCase) -> None:
    """Catches lemmas that contradict each other or a guard, from which anything would follow."""
    induction = case.induction()
    nothing = Checked(Property("Nothing", "False"), Literal(BOOL, False))
    never = {
        action.name
        for action in induction.system.actions
        if induction.example(Obligation(nothing, action, ())) is None
    }
    # To be outdated, a key needs three newer ones; the search has two keys. Only shares of later
    # nights are erased unused.
    expected = {
        "keygen_lock_in": {"keygen.Outdate", "keygen.Outdate#2"},
        "regroup_retry": {"regroup.Erase"},
    }
    assert never == expected.get(case.name, set())


def test_a_wrong_initial_state_is_told() -> None:
    """Catches a property that is false from the start and passes by its steps alone."""
    wrong = Property("NobodyWorks", "all(manager[m] != working for m in Manager)")
    system = close(evolve(two_phase_commit.NETWORK, properties=(wrong,)))
    proof = Induction(system).prove()
    assert [f.obligation for f in proof.failures] == [f"NobodyWorks / {INITIAL}"]
    assert proof.failures[0].example is not None


def test_an_answer_of_one_solver_alone_is_no_proof() -> None:
    """Catches a report in which a second solver that gave up counts as agreement."""
    assert Finding("a / b", "unsat", "unsat").proved
    assert not Finding("a / b", "unsat", "unknown").proved
    assert not Finding("a / b", "unknown", "").proved


def test_a_breaking_step_is_one_for_the_interpreter() -> None:
    """Catches a state that the solver shows and the interpreter would not."""
    consistent = two_phase_commit.NETWORK.properties[0]
    system = close(evolve(two_phase_commit.NETWORK, properties=(consistent,)))
    instance = Instance(system, {"Manager": 2}, {})
    action = next(a for a in system.actions if a.name == "HearAbort")
    found = SmallStates(instance, system.properties).breaking_step(system.properties[0], action)
    assert found is not None
    assert found.step is not None
    oracle = Oracle(instance)
    view = oracle.view(found.before)
    assert oracle.holds(system.properties[0], found.before)
    assert all(evaluate(g.formula, view, found.step.parameters) for g in action.guards)
    assert not oracle.holds(system.properties[0], oracle.apply(action, found.step.parameters, view))
    assert issubclass(EnginesDisagree, Exception)


def test_outer_quantifiers() -> None:
    """Catches a goal that loses a quantifier on its way."""
    formula = close(two_phase_commit.NETWORK).properties[0].formula
    assert list(outer(formula)[0].values()) == ["Manager", "Manager"]
    assert len(outer(formula, 1)[0]) == 1


def test_what_is_implied_follows_from_the_lemmas() -> None:
    """Catches a property that is taken for implied, and one that no obligation is made for."""
    case = named("keygen_lock_in")
    assert case.implied == ("KeyAvailable",)
    for lemmas, proved in ((case.lemmas, True), ((), False)):
        proves = ("AllHoldShares",) if lemmas else ("LockInAgreement",)
        induction = evolve(case, lemmas=lemmas, proves=proves).induction()
        last = list(induction.obligations())[-1]
        assert last.name == "KeyAvailable / lemmas"
        assert induction.answer(last).proved == proved
