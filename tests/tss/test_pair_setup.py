"""The set-up of a pair: base transfers one way, the other way by extension."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from metanode.errors import LocalFault
from metanode.tss.keyshare import PairState
from metanode.tss.ot_extension import delta_bits
from metanode.tss.pair_setup import PairSetup, ReceivingSetup, SendingSetup, pair_setup, receives
from metanode.tss.parameters import LEAVES_PER_TREE, SEED_BYTES, TREES
from tests.tss.support import seeded

SID = hashlib.sha256(b"set-up").digest()


def run(one: int, other: int) -> dict[int, PairState]:
    """Return what both sides keep."""
    sides: dict[int, PairSetup] = {
        party: pair_setup(SID, party, peer, seeded("pair", party))
        for party, peer in ((one, other), (other, one))
    }
    offers = {party: side.offer() for party, side in sides.items()}
    answers = {p: side.answer(offers[other if p == one else one]) for p, side in sides.items()}
    trees = {p: side.complete(answers[other if p == one else one]) for p, side in sides.items()}
    closed = {p: side.close(trees[other if p == one else one]) for p, side in sides.items()}
    return {party: state for party, state in closed.items() if state is not None}


def test_one_side_of_each_pair_receives() -> None:
    """Catches a pair in which both wait, and a roster in which the work falls on some."""
    for one, other in combinations(range(1, 61), 2):
        assert receives(one, other) != receives(other, one)
    for count in (2, 3, 4, 10, 60):
        load = Counter(
            i for i in range(1, count + 1) for j in range(1, count + 1) if i != j and receives(i, j)
        )
        assert all(abs(load[i] - (count - 1) / 2) <= 1 for i in range(1, count + 1)), count
    assert isinstance(pair_setup(SID, 1, 2, seeded("x")), SendingSetup)
    assert isinstance(pair_setup(SID, 2, 1, seeded("x")), ReceivingSetup)


@pytest.mark.parametrize("pair", [(1, 2), (2, 1), (1, 3)])
def test_both_directions_end_with_trees_of_their_own(pair: tuple[int, int]) -> None:
    """Catches a direction without trees, with the other's, or whose Δ is not what is missing."""
    states = run(*pair)
    assert set(states) == set(pair)
    one, other = (states[party] for party in pair)
    assert one.zero_seed == other.zero_seed
    assert one.delta != other.delta
    assert one.leaves != other.leaves
    for bob, alice in ((one, other), (other, one)):
        leaves = np.frombuffer(bob.leaves, np.uint8).reshape(TREES, LEAVES_PER_TREE, SEED_BYTES)
        known = np.frombuffer(alice.punctured, np.uint8).reshape(TREES, -1, SEED_BYTES)
        bits = delta_bits(alice.delta)
        for tree in range(TREES):
            missing = int(bits[tree, 0] + 2 * bits[tree, 1])
            for e in range(1, LEAVES_PER_TREE):
                assert np.array_equal(known[tree, e - 1], leaves[tree, e ^ missing])
            assert leaves[tree, missing].tobytes() not in alice.punctured


def test_choices_of_both_directions_are_balanced() -> None:
    """Catches a Δ that is constant, or the same in both directions."""
    for state in run(1, 2).values():
        ones = int(delta_bits(state.delta).sum())
        assert 35 < ones < 93, "five standard deviations around one half"


def test_moves_out_of_order_are_a_local_fault() -> None:
    """Catches a pair state without leaves or zero seed, which a step left out would give."""
    side = pair_setup(SID, 2, 1, seeded("x"))
    assert side.close({}) is None
    side._kept = (b"", b"")
    with pytest.raises(LocalFault):
        side.close({})
