"""GGM trees: from two base transfers to all-but-one of four leaves (SoftSpokenOT, Roy 2022, k = 2).

The builder (Bob) knows both keys of each base transfer and so all leaves of each tree; the
evaluator (Alice) knows one key of each and so all leaves but the one at index Δ, whose bits are
the complements of her choices, most significant first.

The proof. Each leaf has a hash of 64 bytes, bound to pair, tree and leaf. Bob sends per tree the
XOR of its four hashes (``sums``), from which Alice takes the one that she cannot compute, and for
all trees together one hash over all 256 leaf hashes in order (``digest``). She recomputes it.

Why one digest for all trees is as binding as one for each. Roy's proof has a digest d_T per tree,
and Alice goes on only if all of them hold: to go on or to stop is the one bit that she lets out.
With leaf hashes h_T (four for each tree, of one length, so that joining them is injective):

- Per tree, by collision resistance d_T stands for one list h_T that Bob knows when he sends it. A
  choice Δ_T passes if and only if what Alice opens under it, with ``sums``, is h_T. That is a set
  A_T of choices, and she goes on if and only if Δ_T is in A_T for every T.
- Joined, the digest stands for one list (h_1, …, h_64), and what she opens equals it if and only
  if it does so in every place, tree by tree: h_T depends on Δ_T alone. So she goes on if and only
  if Δ_T is in A_T for every T, with the same sets. No error in one tree can make up for another's,
  because nothing is added up across trees.

So each strategy of a cheating Bob has the same chance, and shows him the same bit, under either
proof; a forgery is a collision of the 512-bit hash, among one value in place of 64. Inside one
tree, two choices that both pass have all four leaves in common (each opens what the other lacks),
so that whoever passes with more than one choice possible has dealt a true tree.

Selective failure. Bob can still spoil a correction that Alice uses only when she chose a certain
side: she then stops with probability one half, and by going on tells him that bit of Δ. The
failure is ``ot_consistency``, names him and bans him; it cannot be shown to others, because what
Alice opened hangs on her secret choices. With b bits guessed he goes unnoticed with probability
2^-b, which is what SoftSpokenOT's bound accounts for.

Alice's indices are secret: they address small numpy arrays and Python lists, which is not constant
time against whoever shares her processor's caches (see ``README.md`` beside this file).
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from metanode.tss import oracle
from metanode.tss.oracle import Tag
from metanode.tss.parameters import (
    GGM_DIGEST_BYTES,
    LEAVES_PER_TREE,
    SEED_BYTES,
    TREE_DEPTH,
    TREES,
)

Nodes = npt.NDArray[np.uint8]
"""(tree, place, byte): one level of all trees, or the hashes of all leaves."""

CORRECTION_BYTES = TREES * (TREE_DEPTH - 1) * 2 * SEED_BYTES
"""Length of the corrections: one for each tree, level below the first and side."""
SUM_BYTES = TREES * GGM_DIGEST_BYTES
"""Length of the sums: one for each tree."""

_ALL = np.arange(TREES)
_TREE_NUMBERS = _ALL.astype(">u2").view(np.uint8).reshape(TREES, 2)


def xor(first: bytes, other: bytes) -> bytes:
    """Return the bytewise XOR of two strings of one length."""
    mixed = int.from_bytes(first, "little") ^ int.from_bytes(other, "little")
    return mixed.to_bytes(len(first), "little")


def _numbered(nodes: Nodes) -> tuple[Nodes, Nodes]:
    """Return the number of each node's tree, and the nodes, line by line."""
    return np.repeat(_TREE_NUMBERS, nodes.shape[1], axis=0), nodes.reshape(-1, SEED_BYTES)


def _children(context: bytes, nodes: Nodes) -> Nodes:
    """Return the level below: the two children of each node, side by side."""
    hashed = b"".join(oracle.digest_each(Tag.GGM, (context,), *_numbered(nodes)))
    return np.frombuffer(hashed, np.uint8).reshape(TREES, -1, SEED_BYTES)


def _leaf_hashes(context: bytes, leaves: Nodes) -> Nodes:
    """Return what stands for each leaf in the proof: 64 bytes."""
    hashed = b"".join(oracle.wide_each(Tag.GGM_PROOF, (context,), *_numbered(leaves)))
    return np.frombuffer(hashed, np.uint8).reshape(TREES, -1, GGM_DIGEST_BYTES)


def _digest(context: bytes, hashes: Nodes) -> bytes:
    """Return the hash over those of all leaves of all trees."""
    return oracle.wide(Tag.GGM_DIGEST, context, hashes.tobytes())


def _sum_of_each_side(level: Nodes) -> Nodes:
    """Return, per tree, the XOR of all left and of all right children."""
    sums: Nodes = np.bitwise_xor.reduce(level.reshape(TREES, -1, 2, SEED_BYTES), axis=1)
    return sums


def build_trees(
    context: bytes, keys: Sequence[tuple[bytes, bytes]]
) -> tuple[bytes, bytes, bytes, bytes]:
    """Return (leaves, corrections, sums, digest) for 128 key pairs of 16 bytes.

    ``leaves`` are 64·4 seeds in order; ``corrections`` 32 and ``sums`` 64 bytes per tree;
    ``digest`` is 64 bytes.
    """
    joined = b"".join([key for pair in keys for key in pair])
    given = np.frombuffer(joined, np.uint8).reshape(TREES, TREE_DEPTH, 2, SEED_BYTES)
    level: Nodes = given[:, 0]
    corrections = np.empty((TREES, TREE_DEPTH - 1, 2, SEED_BYTES), np.uint8)
    for depth in range(1, TREE_DEPTH):
        level = _children(context, level)
        corrections[:, depth - 1] = given[:, depth] ^ _sum_of_each_side(level)
    hashes = _leaf_hashes(context, level)
    sums = np.bitwise_xor.reduce(hashes, axis=1)
    return level.tobytes(), corrections.tobytes(), sums.tobytes(), _digest(context, hashes)


def evaluate_trees(
    context: bytes, choices: Sequence[int], keys: Sequence[bytes], corrections: bytes, sums: bytes,
    digest: bytes,
) -> tuple[bytes, list[int]] | None:
    """Return (punctured leaves, Δ per tree), or None when the proof fails.

    The punctured leaves are 64·3 seeds: per tree, leaf e⊕Δ for e = 1, 2, 3. Every tree is opened
    before the one comparison, so that only one bit about the choices can ever leave.
    """
    lengths = (len(corrections), len(sums), len(digest))
    if lengths != (CORRECTION_BYTES, SUM_BYTES, GGM_DIGEST_BYTES):
        return None
    leaves, missing = _open_trees(context, choices, keys, corrections)
    others = missing[:, None] ^ np.arange(1, LEAVES_PER_TREE)
    punctured = leaves[_ALL[:, None], others]
    known = _leaf_hashes(context, punctured)
    hashes = np.empty((TREES, LEAVES_PER_TREE, GGM_DIGEST_BYTES), np.uint8)
    hashes[_ALL[:, None], others] = known
    shown = np.frombuffer(sums, np.uint8).reshape(TREES, -1)
    hashes[_ALL, missing] = shown ^ np.bitwise_xor.reduce(known, axis=1)
    if not hmac.compare_digest(_digest(context, hashes), digest):
        return None
    return punctured.tobytes(), missing.tolist()


def _open_trees(
    context: bytes, choices: Sequence[int], keys: Sequence[bytes], corrections: bytes
) -> tuple[Nodes, npt.NDArray[np.intp]]:
    """Return all leaves, what stands at the missing ones being worthless, and which are missing."""
    chosen = np.array(choices, np.intp).reshape(TREES, TREE_DEPTH)
    given = np.frombuffer(b"".join(keys), np.uint8).reshape(TREES, TREE_DEPTH, SEED_BYTES)
    shown = np.frombuffer(corrections, np.uint8).reshape(TREES, -1, 2, SEED_BYTES)
    level: Nodes = np.zeros((TREES, 2, SEED_BYTES), np.uint8)
    level[_ALL, chosen[:, 0]] = given[:, 0]
    missing = 1 - chosen[:, 0]
    for depth in range(1, TREE_DEPTH):
        side = chosen[:, depth]
        level = _children(context, level).copy()
        pairs = level.reshape(TREES, -1, 2, SEED_BYTES)
        # The missing node is not known: what stands for its children must not enter the sums.
        pairs[_ALL, missing] = 0
        known = shown[_ALL, depth - 1, side] ^ given[:, depth]
        pairs[_ALL, missing, side] = known ^ _sum_of_each_side(level)[_ALL, side]
        missing = 2 * missing + 1 - side
    return level, missing
