"""GGM trees between honest parties: all leaves but one, and the proof as it is written down."""

from __future__ import annotations

import hashlib
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metanode.tss import ggm, oracle
from metanode.tss.oracle import Tag
from metanode.tss.parameters import BASE_OTS, LEAVES_PER_TREE, SEED_BYTES, TREE_DEPTH, TREES
from tests.tss.support import seeded

SID = hashlib.sha256(b"pair").digest()
SEEDS = st.integers(min_value=0, max_value=2**32)


def transfers(seed: object) -> tuple[list[tuple[bytes, bytes]], list[int], list[bytes]]:
    """Return key pairs, choices and chosen keys of ideal base transfers."""
    raw = seeded("ggm", seed)(2 * BASE_OTS * SEED_BYTES)
    halves = [raw[at : at + SEED_BYTES] for at in range(0, len(raw), SEED_BYTES)]
    keys = list(zip(halves[::2], halves[1::2], strict=True))
    choices = [byte & 1 for byte in seeded("choices", seed)(BASE_OTS)]
    return keys, choices, [pair[c] for pair, c in zip(keys, choices, strict=True)]


@settings(max_examples=6)
@given(SEEDS)
def test_trees_open_all_leaves_but_one(seed: int) -> None:
    """Catches a wrong index convention: exactly leaf Δ is missing and Δ is the complement path."""
    keys, choices, chosen = transfers(seed)
    leaves, *proof = ggm.build_trees(SID, keys)
    opened = ggm.evaluate_trees(SID, choices, chosen, *proof)
    assert opened is not None
    punctured, deltas = opened
    for tree in range(TREES):
        first, second = choices[TREE_DEPTH * tree : TREE_DEPTH * tree + 2]
        assert deltas[tree] == 2 * (1 - first) + (1 - second)
        for e in range(1, LEAVES_PER_TREE):
            own = ((LEAVES_PER_TREE - 1) * tree + e - 1) * SEED_BYTES
            full = (LEAVES_PER_TREE * tree + (e ^ deltas[tree])) * SEED_BYTES
            assert punctured[own : own + SEED_BYTES] == leaves[full : full + SEED_BYTES]


def xor(*strings: bytes) -> bytes:
    """Return the bytewise XOR."""
    return reduce(lambda a, b: bytes(x ^ y for x, y in zip(a, b, strict=True)), strings)


def test_trees_are_what_is_written_down() -> None:
    """Catches an array in the wrong order: every tree again, one hash at a time."""
    keys, _, _ = transfers(0)
    leaves, corrections, sums, digest = ggm.build_trees(SID, keys)
    hashes = []
    for tree in range(TREES):
        number = oracle.index(tree)
        pairs = [oracle.digest(Tag.GGM, SID, number, root) for root in keys[2 * tree]]
        left, right = [[pair[at : at + 16] for pair in pairs] for at in (0, 16)]
        own = [left[0], right[0], left[1], right[1]]
        assert leaves[64 * tree : 64 * tree + 64] == b"".join(own)
        for side, both in enumerate((left, right)):
            expected = xor(keys[2 * tree + 1][side], *both)
            at = 32 * tree + 16 * side
            assert corrections[at : at + 16] == expected
        marks = [oracle.wide(Tag.GGM_PROOF, SID, number, leaf) for leaf in own]
        assert sums[64 * tree : 64 * tree + 64] == xor(*marks)
        hashes += marks
    assert digest == oracle.wide(Tag.GGM_DIGEST, SID, b"".join(hashes))


@pytest.mark.parametrize("part", ["corrections", "sums", "digest"])
@pytest.mark.parametrize("change", ["changed", "shorter", "longer", "empty"])
def test_bad_trees_are_refused(part: str, change: str) -> None:
    """Catches a part of the proof that does not count, or whose length is taken on trust."""
    keys, choices, chosen = transfers(1)
    _, corrections, sums, digest = ggm.build_trees(SID, keys)
    proof = {"corrections": corrections, "sums": sums, "digest": digest}
    assert ggm.evaluate_trees(SID, choices, chosen, **proof) is not None
    data = proof[part]
    proof[part] = {
        "changed": bytes(byte ^ 1 for byte in data),
        "shorter": data[:-1],
        "longer": data + b"\x00",
        "empty": b"",
    }[change]
    assert ggm.evaluate_trees(SID, choices, chosen, **proof) is None


def test_trees_of_another_pair_are_refused() -> None:
    """Catches a proof that is not bound to the session and the direction."""
    keys, choices, chosen = transfers(1)
    _, *proof = ggm.build_trees(SID, keys)
    assert ggm.evaluate_trees(bytes(32), choices, chosen, *proof) is None
