"""Properties that need steps: two-state formulas, and whether a goal can always be reached."""

from __future__ import annotations

import pytest

from model_checks.engines.check import check
from model_checks.engines.edges import helps
from model_checks.engines.explicit import Explicit
from model_checks.engines.oracle import Instance, Oracle, Result
from model_checks.system import Move, Network, Property, close
from spec.language.declarations import Cell, Enum, SpecError
from tests.model_checks.random_systems import CONSTANTS, SIZES, SlowGraph, random_system, seeds

STAGE = Enum("Stage", ("stage_one", "stage_two", "stage_three", "stage_four"))


def explore(
    *moves: Move, properties: tuple[Property, ...], disturbances: tuple[str, ...] = ()
) -> Result:
    """Check one cell that goes through stages."""
    network = Network(
        name="stages",
        doc="-",
        honest="",
        crash=False,
        cells=(Cell("stage", STAGE, (), "stage_one", "disk", "-"),),
        moves=moves,
        disturbances=disturbances,
        properties=properties,
    )
    return check(Instance(close(network), {}, {}))


def go(source: str, target: str, fair: bool = True) -> Move:
    """Return a move from one stage to another."""
    event = f"From_{source}_to_{target}()"
    return Move(event, (f"stage == stage_{source}",), {"stage": f"stage_{target}"}, fair=fair)


def test_step_property() -> None:
    """Catches a two-state formula that reads the same state twice."""
    only_up = Property("Up", "implies(stage == stage_two, after(stage) != stage_one)", "step")
    assert not explore(go("one", "two"), go("two", "three"), properties=(only_up,)).violated
    result = explore(go("one", "two"), go("two", "one"), properties=(only_up,))
    assert [str(step) for step in result.violated["Up"]] == [
        "From_one_to_two()",
        "From_two_to_one()",
    ]


@pytest.mark.parametrize("text", ["after(stage, stage)", "after(1)", "after(T + 1)"])
def test_step_property_that_is_none(text: str) -> None:
    """Catches a text that means nothing."""
    with pytest.raises(SpecError, match="is not after"):
        explore(properties=(Property("Odd", f"{text} == stage", "step"),))


def test_always_can() -> None:
    """Catches a trap that is not seen, or a trace that is not the shortest way into it."""
    goal = Property("Home", "stage == stage_one", "always_can")
    moves = (go("one", "two"), go("two", "three"), go("three", "one"))
    assert explore(*moves, properties=(goal,)).stuck == {"Home": 0}
    result = explore(*moves, go("one", "four"), properties=(goal,))
    assert result.stuck == {"Home": 1}
    assert [str(step) for step in result.violated["Home"]] == ["From_one_to_four()"]


def test_a_way_needs_no_favours() -> None:
    """Catches a way out that only the adversary, or a crash, could open."""
    goal = Property("Home", "stage == stage_one", "always_can")
    result = explore(go("one", "two"), go("two", "one", fair=False), properties=(goal,))
    assert result.stuck == {"Home": 1}


def test_always_can_of_an_implication() -> None:
    """Catches an implication that is taken for its own goal, which every state reaches at once."""
    text = "implies(stage == stage_two, stage == stage_three)"
    goal = Property("Onward", text, "always_can")
    assert not explore(go("one", "two"), go("two", "three"), properties=(goal,)).violated
    result = explore(go("one", "two"), go("two", "four"), properties=(goal,))
    assert [str(step) for step in result.violated["Onward"]] == ["From_one_to_two()"]


@pytest.mark.parametrize(("seed", "numbers"), seeds(30))
def test_random_systems(seed: int, numbers: bool) -> None:
    """Catches a backward search that misses or invents a way, with and without symmetry."""
    instance = Instance(random_system(seed, numbers), SIZES, CONSTANTS)
    graph = SlowGraph(instance)
    search = Explicit(instance)
    helping = {a.ground.name for a in search.actions if helps(a.ground)}
    plain, orbits = check(instance), check(instance, ("Peer", "Digest"))
    for checked in instance.system.properties:
        if checked.property.kind == "always_can":
            name = checked.property.name
            premise, goal = graph.parts(checked.formula)
            stuck = premise - graph.can_reach(goal, helping)
            assert plain.stuck[name] == len(stuck)
            assert (orbits.stuck[name] > 0) == bool(stuck)
            if stuck:
                steps = plain.violated[name]
                assert len(steps) == len(orbits.violated[name])
                last = Oracle(instance).replay(plain.starts[name], steps)[-1]
                assert last in stuck
