"""The fast engine against the oracle: counts, verdicts, traces, bounds, long states."""

from __future__ import annotations

import numpy as np
import pytest

from model_checks.engines import fingerprint, packed
from model_checks.engines.explicit import Explicit, Progress, SearchTooLarge
from model_checks.engines.oracle import Instance, Oracle, ReplayError, Result, Step
from model_checks.models import two_phase_commit
from model_checks.system import Move, Network, Property, close
from spec.language.declarations import Cell, Enum, Sort
from tests.model_checks.random_systems import CONSTANTS, SIZES, random_system, seeds


def lengths(result: Result) -> tuple[dict[str, int], dict[str, int]]:
    """Return the lengths of all traces."""
    return (
        {name: len(steps) for name, steps in result.violated.items()},
        {name: len(steps) for name, steps in result.reached.items()},
    )


def two_phase(managers: int) -> Instance:
    """Return two-phase commit."""
    return Instance(close(two_phase_commit.NETWORK), {"Manager": managers}, {})


@pytest.mark.parametrize(("managers", "counts"), [(3, (288, 1146, 11)), (6, (50_816, 402_306, 20))])
def test_published_counts(managers: int, counts: tuple[int, int, int]) -> None:
    """Catches any error of the search: these numbers are published for this protocol."""
    result = Explicit(two_phase(managers), records="Manager").explore()
    assert (result.distinct, result.generated, result.depth) == counts
    assert not result.violated
    assert result.collision == 0.0
    assert lengths(result)[1] == {"CanAbort": managers, "CanCommit": 3 * managers + 1}


@pytest.mark.parametrize(("seed", "numbers"), seeds(40))
def test_random_systems_like_the_oracle(seed: int, numbers: bool) -> None:
    """Catches a formula or an update that means something else when it is compiled."""
    instance = Instance(random_system(seed, numbers), SIZES, CONSTANTS)
    fast, slow = Explicit(instance).explore(), Oracle(instance).explore()
    assert (fast.distinct, fast.generated, fast.depth) == (
        slow.distinct, slow.generated, slow.depth,
    )
    assert lengths(fast) == lengths(slow)
    assert fast.fired == slow.fired


WIDE = Network(
    name="wide",
    doc="more than 64 bits",
    honest="",
    crash=False,
    sorts=(Sort("Seat", "-"),),
    cells=(
        Cell("colour", Enum("SeatColour", tuple(f"c{n}" for n in range(8))), ("Seat",), "c0",
             "disk", "-"),
        Cell("taken", "bool", ("Seat",), "False", "disk", "-"),
    ),
    moves=(
        Move("Take(s: Seat)", ("not taken[s]", "count(x for x in Seat if taken[x]) < 2"),
             {"taken[s]": "True", "colour[s]": "c5"}),
        Move("Paint(s: Seat)", ("taken[s]", "colour[s] == c5"), {"colour[s]": "c7"}),
        Move("Leave(s: Seat)", ("taken[s]", "colour[s] == c7"), {"taken[s]": "False"}),
    ),
    properties=(
        Property("FewPainted", "count(x for x in Seat if colour[x] == c7) <= 2"),
        Property("Two", "count(x for x in Seat if taken[x] and colour[x] == c7) == 2", "reachable"),
    ),
)


def test_states_of_several_words() -> None:
    """Catches fields or fingerprints that go wrong beyond 64 bits: 18 seats of 4 bits."""
    search = Explicit(Instance(close(WIDE), {"Seat": 18}, {}), ("Seat",), records="Seat")
    result = search.explore()
    assert search.layout.words == 2
    assert 0 < result.collision < 1e-12
    assert lengths(result) == ({"FewPainted": 7}, {"Two": 4})
    keys = np.concatenate([fingerprint.keys_of(level) for level in search.levels])
    assert len(np.unique(keys)) == result.distinct


@pytest.mark.parametrize(("bits", "coded"), [(5, False), (7, True)])
@pytest.mark.parametrize("seed", range(12))
def test_words_do_not_matter(
    seed: int, bits: int, coded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a state lost or doubled by its fingerprint, or its code: words of few bits."""
    instance = Instance(random_system(seed), SIZES, CONSTANTS)
    one = Explicit(instance).explore()
    monkeypatch.setattr(packed, "WORD_BITS", bits)
    search = Explicit(instance)
    several = search.explore()
    assert search.layout.words > 1
    assert (search.codes is not None) == coded
    assert (several.collision == 0.0) == coded
    assert (several.distinct, several.generated, several.depth) == (
        one.distinct, one.generated, one.depth,
    )
    assert lengths(several) == lengths(one)


def test_equal_fingerprints_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a collision that would silently drop a state."""
    monkeypatch.setattr(fingerprint, "_mixed", lambda word: word & np.uint64(0))
    states = np.array([[1, 2], [3, 4]], np.uint64)
    with pytest.raises(fingerprint.FingerprintCollision):
        fingerprint.distinct(states)


def test_recent_filter_loses_nothing() -> None:
    """Catches a filter that drops a state nobody has seen, key 0 and equal slots included."""
    random = np.random.default_rng(7)
    recent = fingerprint.Recent(bits=4)
    seen: set[int] = set()
    for _ in range(50):
        states = random.integers(0, 300, (1, 40)).astype(np.uint64)
        passed = set(recent.new(states)[0].tolist())
        assert set(states[0].tolist()) - seen <= passed
        seen |= set(states[0].tolist())


def test_bound_says_how_far_it_came() -> None:
    """Catches a search that eats the memory, or gives up without a word."""
    with pytest.raises(SearchTooLarge, match=r"more than 10,000 states: stopped at depth \d+ with"):
        Explicit(two_phase(6), records="Manager").explore(max_states=10_000)


def test_progress() -> None:
    """Catches a long run that says nothing."""
    seen: list[Progress] = []
    result = Explicit(two_phase(3), records="Manager").explore(progress=seen.append)
    assert [each.depth for each in seen] == list(range(1, result.depth + 1))
    assert seen[-1].distinct == sum(each.frontier for each in seen) == 288


def test_until_stops_at_the_counterexample() -> None:
    """Catches a variant that is explored to its end although it is refuted."""
    search = Explicit(two_phase(6), records="Manager")
    result = search.explore(until=("CanAbort",))
    assert not result.complete
    assert result.depth == 7


def test_trace_is_a_run_of_the_oracle() -> None:
    """Catches a trace that is no run, and a replay that accepts one."""
    instance = two_phase(3)
    result = Explicit(instance, ("Manager",), "Manager").explore()
    steps, oracle = result.reached["CanCommit"], Oracle(instance)
    states = oracle.replay(result.starts["CanCommit"], steps)
    assert len(states) == len(steps) + 1
    with pytest.raises(ReplayError, match="step 1, Commit"):
        oracle.replay(states[0], [Step("Commit", {})])
    with pytest.raises(ReplayError, match="initial"):
        oracle.replay(states[1], [])
