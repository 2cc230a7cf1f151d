"""Shares of the suite before, v2: taken over when they are read, without a message.

A pair of v2 has 128 trees with leaves of 32 bytes in each direction, and 256 bits of Δ. What suite
v3 asks of a pair is in there already: the first 64 trees, each leaf hashed down to 16 bytes, and
the bits of Δ that belong to them. Bob does that to every leaf and Alice to those that she knows, so
that both end with trees that fit, and the leaf at Δ is as unknown to her as it was. Tags and sizes
keep the two uses apart: under v2 a leaf is expanded, here it is hashed.

So a home with shares of v2 signs as soon as t holders run this version; sessions of v2 and v3 have
different ids and do not hear each other. The file stays as it is until the share is written again
(import, refresh, reshare), so that the version before can still be gone back to.
"""

from __future__ import annotations

import numpy as np

from metanode.tss import oracle
from metanode.tss.oracle import Tag
from metanode.tss.parameters import BASE_OTS, LEAVES_PER_TREE, SEED_BYTES, TREES, ZERO_SEED_BYTES

_OLD_TREES, _OLD_SEED_BYTES = 128, 32
LENGTHS = {
    "leaves": _OLD_TREES * LEAVES_PER_TREE * _OLD_SEED_BYTES,
    "punctured": _OLD_TREES * (LEAVES_PER_TREE - 1) * _OLD_SEED_BYTES,
    "delta": 2 * _OLD_TREES // 8,
    "zero_seed": ZERO_SEED_BYTES,
}
"""What one party kept of another."""


def _shorter(leaves: bytes) -> bytes:
    """Return the leaves of the first trees, hashed with the number of their tree."""
    lines = np.frombuffer(leaves, np.uint8).reshape(_OLD_TREES, -1, _OLD_SEED_BYTES)[:TREES]
    numbers = np.arange(TREES).astype(">u2").view(np.uint8).reshape(TREES, 2)
    hashed = oracle.digest_each(
        Tag.OLDER_LEAF, (), np.repeat(numbers, lines.shape[1], axis=0),
        lines.reshape(-1, _OLD_SEED_BYTES),
    )
    return b"".join(leaf[:SEED_BYTES] for leaf in hashed)


def taken_over(old: dict[str, bytes]) -> dict[str, bytes]:
    """Return the fields of a pair state from those of v2, whose lengths have been checked."""
    return {
        "leaves": _shorter(old["leaves"]),
        "punctured": _shorter(old["punctured"]),
        "delta": old["delta"][: BASE_OTS // 8],
        "zero_seed": old["zero_seed"],
    }
