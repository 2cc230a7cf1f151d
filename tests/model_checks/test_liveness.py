"""What must happen in the end: fairness, loops, and a slow answer by components to compare with."""

from __future__ import annotations

import pytest

from model_checks.engines.check import check
from model_checks.engines.explicit import Explicit
from model_checks.engines.liveness import check_liveness
from model_checks.engines.oracle import Instance, Oracle, Result, State, Step
from model_checks.models import link_duplicates
from model_checks.system import LIVENESS, Checked, Move, Property, close
from spec.language.declarations import SpecError
from tests.model_checks.random_systems import CONSTANTS, SIZES, SlowGraph, random_system, seeds
from tests.model_checks.test_edges import explore, go

GOAL = Property("Arrives", "stage == stage_four", "liveness")


def loop(result: Result) -> list[str]:
    """Return what is repeated for ever."""
    return [str(step) for step in result.loops["Arrives"]]


def test_fair_moves_are_taken() -> None:
    """Catches fairness that is ignored, and a pause that is taken for a run."""
    moves = (go("one", "two"), go("two", "four"))
    assert not explore(*moves, properties=(GOAL,)).violated


def test_a_move_that_is_not_fair_may_never_come() -> None:
    """Catches a run that is forced on: it may rest before a move that is not fair."""
    result = explore(go("one", "two"), go("two", "four", fair=False), properties=(GOAL,))
    assert [str(step) for step in result.violated["Arrives"]] == ["From_one_to_two()"]
    assert loop(result) == []


def test_weak_fairness_is_weak() -> None:
    """Catches strong fairness: what is possible now and then may be missed for ever."""
    moves = (go("one", "two"), go("two", "one"), go("two", "four"))
    assert loop(explore(*moves, properties=(GOAL,))) == ["From_one_to_two()", "From_two_to_one()"]


def test_what_goes_wrong_ends() -> None:
    """Catches a promise that is broken by what goes wrong for ever, and one that nothing breaks."""
    moves = (go("one", "two"), go("two", "one", fair=False), go("two", "four"))
    undone = ("From_two_to_one",)
    assert loop(explore(*moves, properties=(GOAL,))) == ["From_one_to_two()", "From_two_to_one()"]
    assert not explore(*moves, properties=(GOAL,), disturbances=undone).violated
    before = Property("Undone", "not calm and stage == stage_two", "reachable")
    assert explore(*moves, properties=(before,), disturbances=undone).reached
    dead = (go("one", "three", fair=False), *moves)
    assert explore(*dead, properties=(GOAL,), disturbances=undone).violated
    with pytest.raises(SpecError, match="disturbances name Nowhere, which is no step of it"):
        explore(*moves, properties=(GOAL,), disturbances=("Nowhere",))


def test_a_loop_does_not_excuse() -> None:
    """Catches a loop that starves a move which stays possible."""
    anywhere = Move("Leave()", ("stage != stage_four",), {"stage": "stage_four"}, fair=True)
    moves = (go("one", "two"), go("two", "one"), anywhere)
    assert not explore(*moves, properties=(GOAL,)).violated


def test_a_step_that_changes_nothing_is_none() -> None:
    """Catches a fair move that is served by standing still."""
    still = Move("Wait()", ("stage == stage_one",), {"stage": "stage_one"}, fair=True)
    assert loop(explore(still, go("one", "four", fair=False), properties=(GOAL,))) == []
    assert not explore(still, go("one", "four"), properties=(GOAL,)).violated


def test_leads_to() -> None:
    """Catches an implication that is looked at in the first state only."""
    goal = Property("Arrives", "implies(stage == stage_two, stage == stage_three)", "liveness")
    assert not explore(go("one", "two"), go("two", "three"), properties=(goal,)).violated
    result = explore(go("one", "two"), go("two", "four"), properties=(goal,))
    assert [str(s) for s in result.violated["Arrives"]] == [
        "From_one_to_two()",
        "From_two_to_four()",
    ]


def test_unfair_claim_is_refused() -> None:
    """Catches a liveness property of a system in which nothing has to happen."""
    with pytest.raises(SpecError, match="Arrives: no row or move is marked fair"):
        explore(go("one", "four", fair=False), properties=(GOAL,))


def test_symmetry_is_refused() -> None:
    """Catches liveness on orbits, where a loop may change one peer into another."""
    instance = Instance(random_system(1), SIZES, CONSTANTS)
    search = Explicit(instance, ("Peer",))
    result = search.explore()
    with pytest.raises(SpecError, match="without symmetry"):
        check_liveness(search, result)


def test_loop_of_two_links() -> None:
    """Catches a lasso that does not replay: each end of a duplicate link closes the other's."""
    instance = Instance(close(link_duplicates.WHOEVER_NOTICES), {"Peer": 2, "Link": 2}, {})
    result = check(instance)
    states = Oracle(instance).replay(result.starts["LinkForms"], result.violated["LinkForms"])
    links = dict(zip(instance.slots(), states[-1], strict=True))
    assert all(value == "closed" for (cell, _), value in links.items() if cell == "link")


@pytest.mark.parametrize(("seed", "numbers"), seeds(60))
def test_random_systems(seed: int, numbers: bool) -> None:
    """Catches a fixpoint that disagrees with the fair components of the graph."""
    instance = Instance(random_system(seed, numbers), SIZES, CONSTANTS)
    graph, result = SlowGraph(instance), check(instance)
    for checked in instance.system.properties:
        name, kind = checked.property.name, checked.property.kind
        if kind not in LIVENESS:
            continue
        loops = []
        for premise, goal, often in _asked(graph, checked):
            wrong = graph.avoids(goal, often) & premise
            loops += [(goal, often)] if wrong else []
        assert (name in result.violated) == bool(loops), name
        if loops:
            steps = [*result.violated[name], *result.loops[name]]
            states = Oracle(instance).replay(result.starts[name], steps)
            entry = len(result.violated[name])
            assert states[entry] == states[-1]
            assert any(not set(states[entry:]) & goal for goal, _ in loops)
            assert any(often is None or set(states[entry:]) & often for _, often in loops)
            assert is_fair(graph, states[entry:], result.loops[name]), name


def _asked(
    graph: SlowGraph, checked: Checked
) -> list[tuple[set[State], set[State], set[State] | None]]:
    """Return where a property asks for something, what it asks for, and what must not recur."""
    everywhere, kind, text = set(graph.steps), checked.property.kind, checked.property.text
    if "leads_to" in text:
        return [(premise, goal, None) for premise, goal in graph.wishes(checked.formula)]
    if kind == "infinitely_often":
        return [(everywhere, graph.where(checked.formula), None)]
    if kind == "eventually_always":
        return [(everywhere, set(), everywhere - graph.where(checked.formula))]
    premise, goal = graph.parts(checked.formula)
    return [(premise if text.startswith("implies") else set(graph.starts), goal, None)]


def is_fair(graph: SlowGraph, states: list[State], steps: list[Step]) -> bool:
    """Return whether repeating these steps owes nothing to any group, by the definition."""
    taken = {graph._group((step.action, tuple(step.parameters.values()))) for step in steps}
    due = [graph._due(state) for state in states]
    always, ever = set.intersection(*due), set.union(*due)
    return not any(g not in taken for g in always) and not any(
        g[1] and g not in taken for g in ever
    )
