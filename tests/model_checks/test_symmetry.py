"""Orbits instead of states: the same verdicts, fewer states; refused where not exact."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from model_checks.engines.check import check
from model_checks.engines.explicit import Explicit
from model_checks.engines.oracle import Instance, Result
from model_checks.engines.symmetry import SymmetryRefused, comparators
from model_checks.models import (
    block_list,
    keygen_lock_in,
    link_duplicates,
    refund_against_payout,
    signing,
    signing_variants,
    two_phase_commit,
)
from model_checks.system import Network, close
from tests.model_checks.random_systems import CONSTANTS, SIZES, random_system, seeds


def verdicts(result: Result) -> tuple[dict[str, int], dict[str, int]]:
    """Return which properties fail and which witnesses are reached, with the lengths of traces."""
    return (
        {name: len(steps) for name, steps in result.violated.items()},
        {name: len(steps) for name, steps in result.reached.items()},
    )


@pytest.mark.parametrize("count", range(1, 9))
def test_comparators_sort(count: int) -> None:
    """Catches a comparator network that does not sort: by the 0-1 principle, all 0-1 inputs do."""
    for bits in itertools.product((0, 1), repeat=count):
        columns = list(bits)
        for low, high in comparators(count):
            columns[low], columns[high] = sorted((columns[low], columns[high]))
        assert columns == sorted(bits)


def test_orbits_of_two_phase_commit() -> None:
    """Catches orbits merged or split: with their sizes they must add up to all states."""
    managers = 5
    instance = Instance(close(two_phase_commit.NETWORK), {"Manager": managers}, {})
    orbits = Explicit(instance, ("Manager",), "Manager")
    few, all_states = orbits.explore(), Explicit(instance, records="Manager").explore()
    assert verdicts(few) == verdicts(all_states)
    assert few.depth == all_states.depth
    layout, total = orbits.layout, 0
    for state in np.concatenate(orbits.levels, axis=1)[0].tolist():
        records = Counter(state >> r.shift & (1 << r.width) - 1 for r in layout.records)
        same = math.prod(math.factorial(count) for count in records.values())
        total += math.factorial(managers) // same
    assert total == all_states.distinct


@pytest.mark.parametrize(
    ("managers", "orbits"), [(3, (80, 318, 11)), (6, (553, 4328, 20)), (8, (1461, 15_287, 26))]
)
def test_orbit_counts(managers: int, orbits: tuple[int, int, int]) -> None:
    """Catches a change of the reduction."""
    instance = Instance(close(two_phase_commit.NETWORK), {"Manager": managers}, {})
    result = Explicit(instance, ("Manager",), "Manager").explore()
    assert (result.distinct, result.generated, result.depth) == orbits


SIGNING = {"Peer": 3, "Event": 1, "Attempt": 2, "Digest": 2, "Instance": 1}


@pytest.mark.parametrize(
    ("network", "sizes", "constants", "sorts"),
    [
        (signing.NETWORK, SIGNING, {"N": 3, "F": 0, "T": 2}, ("Peer",)),
        (signing.NETWORK, SIGNING, {"N": 3, "F": 0, "T": 2}, ("Digest",)),
        (signing.EAGER_LIARS, SIGNING, {"N": 3, "F": 1, "T": 2}, ("Peer", "Digest")),
        (signing_variants.LOCK_IN_MEMORY, SIGNING, {"N": 3, "F": 0, "T": 2}, ("Peer", "Digest")),
        (signing_variants.FIRST_VOTE_FINAL, SIGNING, {"N": 3, "F": 1, "T": 2}, ("Peer", "Digest")),
        (signing.EAGER_LIARS, {**SIGNING, "Attempt": 1, "Digest": 3}, {"N": 3, "F": 0, "T": 2},
         ("Peer", "Digest")),
        (refund_against_payout.NETWORK, {**SIGNING, "Attempt": 1, "Digest": 1},
         {"N": 3, "F": 0, "T": 2, "R": 1}, ("Peer",)),
        (keygen_lock_in.ENDS_LOCALLY, {"Peer": 3, "Key": 2}, {"N": 3, "F": 0, "T": 3}, ("Peer",)),
    ],
)
def test_verdicts_are_the_same(
    network: Network, sizes: dict[str, int], constants: dict[str, int], sorts: tuple[str, ...]
) -> None:
    """Catches a reduction that loses a counterexample, or makes one longer."""
    instance = Instance(close(network), sizes, constants)
    full, reduced = check(instance), check(instance, sorts)
    assert verdicts(reduced) == verdicts(full)
    assert reduced.depth == full.depth
    assert reduced.distinct < full.distinct
    assert {n for n, c in reduced.stuck.items() if c} == {n for n, c in full.stuck.items() if c}


@pytest.mark.parametrize(("seed", "numbers"), seeds(20))
def test_random_systems(seed: int, numbers: bool) -> None:
    """Catches a relabelling of held digests, or a record, that is not exact."""
    instance = Instance(random_system(seed, numbers), {**SIZES, "Digest": 3}, CONSTANTS)
    full, reduced = Explicit(instance).explore(), Explicit(instance, ("Peer", "Digest")).explore()
    assert verdicts(reduced) == verdicts(full)
    assert reduced.depth == full.depth
    assert full.distinct / 12 <= reduced.distinct <= full.distinct


@pytest.mark.parametrize(
    ("network", "sizes", "sorts", "message"),
    [
        (block_list.NETWORK, {"Peer": 3}, ("Peer",), "indexed by two of Peer"),
        (link_duplicates.NETWORK, {"Peer": 2, "Link": 2}, ("Peer",), "holds a Peer"),
        (signing.NETWORK, SIGNING, ("Attempt",), "Attempt is ordered"),
        (signing.NETWORK, SIGNING, ("Nobody",), "no sort Nobody"),
        (signing.NETWORK, {**SIGNING, "Digest": 5}, ("Digest",), "120 permutations of Digest"),
        (signing.NETWORK, {**SIGNING, "Attempt": 12}, ("Peer",), "record of a Peer has"),
    ],
)
def test_refused(
    network: Network, sizes: dict[str, int], sorts: tuple[str, ...], message: str
) -> None:
    """Catches a reduction that is not exact and says nothing."""
    instance = Instance(close(network), sizes, {"N": 3, "F": 0, "T": 2})
    with pytest.raises(SymmetryRefused, match=message):
        Explicit(instance, sorts)
