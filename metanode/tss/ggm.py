"""GGM trees: from two base transfers to all-but-one of four leaves (SoftSpokenOT, Roy 2022, k = 2).

The builder (Bob) knows both keys of each base transfer and so all leaves of each tree; the
evaluator (Alice) knows one key of each and so all leaves but the one at index Δ, whose bits are
the complements of her choices, most significant first. A per-tree proof shows that the
corrections belong to one tree.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from metanode.tss.oracle import Prefix, Tag, frame, frame_head, index
from metanode.tss.parameters import (
    GGM_DIGEST_BYTES,
    LEAVES_PER_TREE,
    SEED_BYTES,
    TREE_DEPTH,
    TREES,
)

_CORRECTION_BYTES = 2 * SEED_BYTES * (TREE_DEPTH - 1)
_PROOF_BYTES = 2 * GGM_DIGEST_BYTES


def xor(first: bytes, *others: bytes) -> bytes:
    """Return the bytewise XOR of strings of one length."""
    mixed = int.from_bytes(first, "little")
    for other in others:
        mixed ^= int.from_bytes(other, "little")
    return mixed.to_bytes(len(first), "little")


_TREE_FRAMES = tuple(frame(index(number)) for number in range(TREES))
_NODE_HEAD = frame_head(SEED_BYTES)
_PLACEHOLDERS = (bytes(SEED_BYTES), bytes(SEED_BYTES))
"""Stand for the children of the missing node: zero, which a sum does not notice."""
_HASH_HEAD = frame_head(GGM_DIGEST_BYTES)


class _Oracles:
    """The three hashes of one pair's trees; each takes the number of the tree first."""

    def __init__(self, context: bytes) -> None:
        self._expand = Prefix(Tag.GGM, context)
        self._leaf = Prefix(Tag.GGM_PROOF, context)
        self._digest = Prefix(Tag.GGM_DIGEST, context)

    def children(self, number: int, node: bytes) -> tuple[bytes, bytes]:
        """Return the two nodes below one."""
        both = self._expand.wide_framed(_TREE_FRAMES[number] + _NODE_HEAD + node)
        return both[:SEED_BYTES], both[SEED_BYTES:]

    def leaf(self, number: int, node: bytes) -> bytes:
        """Return the 64 bytes that stand for one leaf in the proof."""
        return self._leaf.wide_framed(_TREE_FRAMES[number] + _NODE_HEAD + node)

    def digest(self, number: int, hashes: Sequence[bytes]) -> bytes:
        """Return the hash over those of all leaves."""
        return self._digest.wide_framed(_HASH_HEAD.join((_TREE_FRAMES[number], *hashes)))


def build_trees(
    context: bytes, keys: Sequence[tuple[bytes, bytes]]
) -> tuple[bytes, bytes, bytes]:
    """Return (leaves, corrections, proof) for 256 key pairs of 32 bytes.

    ``leaves`` are 128·4 seeds in order; ``corrections`` 64 bytes and ``proof`` 128 bytes per tree.
    """
    oracles = _Oracles(context)
    leaves: list[bytes] = []
    corrections: list[bytes] = []
    proof: list[bytes] = []
    for number in range(TREES):
        nodes = list(keys[number * TREE_DEPTH])
        for level in range(1, TREE_DEPTH):
            nodes = [child for node in nodes for child in oracles.children(number, node)]
            for side in (0, 1):
                key = keys[number * TREE_DEPTH + level][side]
                corrections.append(xor(key, *nodes[side::2]))
        hashes = [oracles.leaf(number, node) for node in nodes]
        proof += (xor(*hashes), oracles.digest(number, hashes))
        leaves += nodes
    return b"".join(leaves), b"".join(corrections), b"".join(proof)


def evaluate_trees(
    context: bytes,
    choices: Sequence[int],
    keys: Sequence[bytes],
    corrections: bytes,
    proof: bytes,
) -> tuple[bytes, list[int]] | None:
    """Return (punctured leaves, Δ per tree), or None when any tree's proof fails.

    The punctured leaves are 128·3 seeds: per tree, leaf e⊕Δ for e = 1, 2, 3. Every tree is checked
    before the verdict, so that only one bit about the choices can ever leave.
    """
    if len(corrections) != TREES * _CORRECTION_BYTES or len(proof) != TREES * _PROOF_BYTES:
        return None
    oracles = _Oracles(context)
    leaves: list[bytes] = []
    deltas: list[int] = []
    sound = True
    for number in range(TREES):
        first = number * TREE_DEPTH
        nodes, missing = _open_tree(
            oracles,
            number,
            choices[first : first + TREE_DEPTH],
            keys[first : first + TREE_DEPTH],
            corrections[number * _CORRECTION_BYTES : (number + 1) * _CORRECTION_BYTES],
        )
        own = proof[number * _PROOF_BYTES : (number + 1) * _PROOF_BYTES]
        sound &= _check_tree(oracles, number, nodes, missing, own)
        leaves += (nodes[e ^ missing] for e in range(1, LEAVES_PER_TREE))
        deltas.append(missing)
    return (b"".join(leaves), deltas) if sound else None


def _open_tree(
    oracles: _Oracles,
    number: int,
    choices: Sequence[int],
    keys: Sequence[bytes],
    corrections: bytes,
) -> tuple[list[bytes], int]:
    """Return all leaves (a placeholder at the missing one) and the missing index."""
    nodes = list(_PLACEHOLDERS)
    nodes[choices[0]] = keys[0]
    missing = 1 - choices[0]
    for level in range(1, TREE_DEPTH):
        side = choices[level]
        start = ((level - 1) * 2 + side) * SEED_BYTES
        children: list[bytes] = []
        for position, node in enumerate(nodes):
            children += _PLACEHOLDERS if position == missing else oracles.children(number, node)
        known = corrections[start : start + SEED_BYTES]
        children[2 * missing + side] = xor(known, keys[level], *children[side::2])
        missing = 2 * missing + 1 - side
        nodes = children
    return nodes, missing


def _check_tree(
    oracles: _Oracles, number: int, nodes: Sequence[bytes], missing: int, proof: bytes
) -> bool:
    known = [node for position, node in enumerate(nodes) if position != missing]
    hashes = [oracles.leaf(number, node) for node in known]
    hashes.insert(missing, xor(proof[:GGM_DIGEST_BYTES], *hashes))
    return hmac.compare_digest(oracles.digest(number, hashes), proof[GGM_DIGEST_BYTES:])
