"""Bounded model checking finds the shortest runs, and the interpreter agrees with each of them."""

from __future__ import annotations

import pytest
from attrs import evolve

from model_checks.engines.bmc import MAX_DEPTH, Run, replay, shortest_run
from model_checks.engines.finite import EnginesDisagree
from model_checks.engines.oracle import Instance, Oracle
from model_checks.networks import signing, two_phase_commit
from model_checks.system import Checked, Network, close


def asked(
    network: Network, name: str, constants: dict[str, int], **sizes: int
) -> tuple[Instance, Checked]:
    """Return an instance and one of its properties."""
    system = close(network)
    checked = next(c for c in system.properties if c.property.name == name)
    return Instance(system, {"Event": 1, "Instance": 1, "Digest": 2, **sizes}, constants), checked


ALONE = {"N": 1, "T": 1, "F": 0}


@pytest.mark.parametrize(
    ("network", "steps"),
    [
        (signing.NAIVE_RETRY, 6),
        (signing.NO_LOCK, 6),
        (signing.LATER_VOTE_FORGOTTEN, 6),
        (signing.LOCK_IN_MEMORY, 7),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_the_broken_rules_sign_twice_even_alone(network: Network, steps: int) -> None:
    """Catches a control that is refuted no more, or by a longer run."""
    instance, checked = asked(network, "NoDoubleSign", ALONE, Peer=1, Attempt=2)
    run = shortest_run(instance, checked)
    assert run is not None
    assert len(run.steps) == steps


def test_half_is_not_enough() -> None:
    """Catches F-01 unseen: t = 1 of n = 2 signs twice within one attempt."""
    instance, checked = asked(
        signing.NETWORK, "NoDoubleSign", {"N": 2, "T": 1, "F": 0}, Peer=2, Attempt=1
    )
    run = shortest_run(instance, checked)
    assert run is not None
    assert len(run.steps) == 6


@pytest.mark.parametrize(
    ("name", "managers", "steps"),
    [("CanAbort", 3, 3), ("CanCommit", 2, 7), ("Consistent", 2, None)],
)
def test_two_phase_commit(name: str, managers: int, steps: int | None) -> None:
    """Catches a run that is not the shortest, and one where there is none."""
    instance, checked = asked(two_phase_commit.NETWORK, name, {}, Manager=managers)
    run = shortest_run(instance, checked)
    assert (len(run.steps) if run else None) == steps


def test_the_lengths_are_those_of_the_breadth_first_search() -> None:
    """Catches an unrolling that allows two steps at once, or none."""
    instance, _ = asked(two_phase_commit.NETWORK, "CanCommit", {}, Manager=2)
    searched = Oracle(instance).explore()
    for checked in instance.system.properties:
        if checked.property.kind == "reachable":
            run = shortest_run(instance, checked)
            assert run is not None
            assert len(run.steps) == len(searched.reached[checked.property.name])


def test_the_rule_as_it_stands_is_not_refuted() -> None:
    """Catches an engine that refutes everything."""
    instance, checked = asked(signing.NETWORK, "NoDoubleSign", ALONE, Peer=1, Attempt=2)
    assert shortest_run(instance, checked, 8) is None


def test_a_run_that_is_none_is_refused() -> None:
    """Catches a replay that nods at anything."""
    instance, checked = asked(two_phase_commit.NETWORK, "CanAbort", {}, Manager=2)
    run = shortest_run(instance, checked)
    assert run is not None
    broken: list[Run] = [
        evolve(run, steps=run.steps[:-1]),
        evolve(run, steps=(evolve(run.steps[0], action="HearAbort"), *run.steps[1:])),
        evolve(run, initial=run.last),
        evolve(run, steps=(), last=run.initial),
    ]
    for one in broken:
        with pytest.raises(EnginesDisagree):
            replay(instance, checked, one)


def test_deep_runs_are_left_to_the_explicit_engine() -> None:
    """Catches a question that would run for hours."""
    instance, checked = asked(two_phase_commit.NETWORK, "CanAbort", {}, Manager=2)
    with pytest.raises(ValueError, match="10 steps"):
        shortest_run(instance, checked, MAX_DEPTH + 1)
