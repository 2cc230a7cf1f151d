"""Builders of GGM trees that cheat: each guess at Δ buys one bit, and no error hides another."""

from __future__ import annotations

import hashlib
from itertools import product

import numpy as np
import pytest

from metanode.tss import ggm
from metanode.tss.parameters import (
    GGM_DIGEST_BYTES,
    LEAVES_PER_TREE,
    SEED_BYTES,
    TREE_DEPTH,
    TREES,
)
from tests.tss.support import seeded
from tests.tss.test_ggm import transfers

SID = hashlib.sha256(b"trees").digest()
KEYS, CHOICES, CHOSEN = transfers("cheated")
LEAVES, CORRECTIONS, SUMS, DIGEST = ggm.build_trees(SID, KEYS)


def accepted(corrections: bytes, sums: bytes = SUMS, digest: bytes = DIGEST) -> bool:
    """Return whether the evaluator goes on."""
    opened = ggm.evaluate_trees(SID, CHOICES, CHOSEN, corrections, sums, digest)
    return opened is not None


def spoiled(*sides: tuple[int, int]) -> bytes:
    """Return the corrections with one bit changed for each (tree, side)."""
    data = bytearray(CORRECTIONS)
    for tree, side in sides:
        data[(2 * tree + side) * SEED_BYTES] ^= 1
    return bytes(data)


def unused(tree: int) -> int:
    """Return the side of a tree's correction that the evaluator does not use."""
    return 1 - CHOICES[TREE_DEPTH * tree + 1]


@pytest.mark.parametrize("side", [0, 1])
def test_a_guess_is_accepted_only_when_right(side: int) -> None:
    """Catches a tree that nobody checks, and a check that fails on what was not even used."""
    outcomes = [accepted(spoiled((tree, side))) for tree in range(TREES)]
    assert outcomes == [unused(tree) == side for tree in range(TREES)]
    assert 16 < sum(outcomes) < 48


def test_two_guesses_must_both_be_right() -> None:
    """Catches a digest that a second error repairs, or that stops at the first tree."""
    for first, second in product((0, 1), repeat=2):
        right = unused(3) == first and unused(60) == second
        assert accepted(spoiled((3, first), (60, second))) is right


def test_errors_of_two_trees_do_not_cancel_out() -> None:
    """Catches sums that are added up across trees: equal errors in two, or two exchanged."""
    width = GGM_DIGEST_BYTES
    trees = [SUMS[at : at + width] for at in range(0, len(SUMS), width)]
    paths = [tuple(CHOICES[at : at + TREE_DEPTH]) for at in range(0, len(CHOICES), TREE_DEPTH)]
    last = TREES - 1
    alike = [(paths.index(path), last - paths[::-1].index(path)) for path in sorted(set(paths))]
    assert len(alike) == LEAVES_PER_TREE
    # In trees of equal Δ, equal errors fall on the same leaf: a sum over trees would lose them.
    for one, other in [*alike, (0, 1), (31, 32)]:
        both = list(trees)
        for tree in (one, other):
            both[tree] = bytes(byte ^ 0xA5 for byte in both[tree])
        assert not accepted(CORRECTIONS, sums=b"".join(both))
        exchanged = list(trees)
        exchanged[one], exchanged[other] = trees[other], trees[one]
        assert not accepted(CORRECTIONS, sums=b"".join(exchanged))


def test_every_sum_counts() -> None:
    """Catches a tree whose sum is not looked at."""
    for tree in range(TREES):
        changed = bytearray(SUMS)
        changed[GGM_DIGEST_BYTES * tree + tree % GGM_DIGEST_BYTES] ^= 1
        assert not accepted(CORRECTIONS, sums=bytes(changed))


def proof_for(tree: int, choices: tuple[int, int]) -> tuple[bytes, bytes, bytes]:
    """Return corrections, sums and digest of a builder who bets on both choices of one tree.

    Both corrections are noise; sum and digest fit what that evaluator would open, and no other.
    """
    corrections = bytearray(CORRECTIONS)
    start = 2 * SEED_BYTES * tree
    corrections[start : start + 2 * SEED_BYTES] = seeded("noise", tree)(2 * SEED_BYTES)
    guessed = list(CHOICES)
    guessed[TREE_DEPTH * tree : TREE_DEPTH * (tree + 1)] = choices
    keys = [pair[choice] for pair, choice in zip(KEYS, guessed, strict=True)]
    opened, missing = ggm._open_trees(SID, guessed, keys, bytes(corrections))
    leaves = np.frombuffer(LEAVES, np.uint8).reshape(TREES, LEAVES_PER_TREE, SEED_BYTES).copy()
    leaves[tree] = opened[tree]
    leaves[tree, missing[tree]] = 0
    hashes = ggm._leaf_hashes(SID, leaves)
    sums = np.bitwise_xor.reduce(hashes, axis=1)
    return bytes(corrections), sums.tobytes(), ggm._digest(SID, hashes)


@pytest.mark.parametrize("tree", [0, 50, TREES - 1])
def test_a_tree_made_for_one_choice_is_accepted_by_no_other(tree: int) -> None:
    """Catches a proof that lets two different trees through: the bet on Δ must be all or nothing.

    The digest fits a list of leaf hashes that only one Δ opens; four bets, one is taken.
    """
    own = tuple(CHOICES[TREE_DEPTH * tree : TREE_DEPTH * (tree + 1)])
    for bet in product((0, 1), repeat=TREE_DEPTH):
        assert accepted(*proof_for(tree, bet)) is (bet == own)
