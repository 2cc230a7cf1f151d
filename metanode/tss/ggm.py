"""GGM trees: from two base transfers to all-but-one of four leaves (SoftSpokenOT, Roy 2022, k = 2).

The builder (Bob) knows both keys of each base transfer and so all leaves of each tree; the
evaluator (Alice) knows one key of each and so all leaves but the one at index Δ, whose bits are
the complements of her choices, most significant first. A per-tree proof shows that the
corrections belong to one tree.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from metanode.tss.oracle import Prefix, Tag, index
from metanode.tss.parameters import (
    GGM_DIGEST_BYTES,
    LEAVES_PER_TREE,
    SEED_BYTES,
    TREE_DEPTH,
    TREES,
)

_CORRECTION_BYTES = 2 * SEED_BYTES * (TREE_DEPTH - 1)
_PROOF_BYTES = 2 * GGM_DIGEST_BYTES


def xor(left: bytes, right: bytes) -> bytes:
    """Return the bytewise XOR of two strings of one length."""
    mixed = int.from_bytes(left, "little") ^ int.from_bytes(right, "little")
    return mixed.to_bytes(len(left), "little")


def _children(expand: Prefix, tree: bytes, node: bytes) -> tuple[bytes, bytes]:
    both = expand.wide(tree, node)
    return both[:SEED_BYTES], both[SEED_BYTES:]


class _Oracles:
    """The three hashes of one pair's trees."""

    def __init__(self, context: bytes) -> None:
        self.expand = Prefix(Tag.GGM, context)
        self.leaf = Prefix(Tag.GGM_PROOF, context)
        self.digest = Prefix(Tag.GGM_DIGEST, context)


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
        tree = index(number)
        nodes = list(keys[number * TREE_DEPTH])
        for level in range(1, TREE_DEPTH):
            nodes = [child for node in nodes for child in _children(oracles.expand, tree, node)]
            for side in (0, 1):
                total = keys[number * TREE_DEPTH + level][side]
                for node in nodes[side::2]:
                    total = xor(total, node)
                corrections.append(total)
        hashes = [oracles.leaf.wide(tree, node) for node in nodes]
        total = hashes[0]
        for value in hashes[1:]:
            total = xor(total, value)
        proof += (total, oracles.digest.wide(tree, *hashes))
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
            oracles.expand,
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
    expand: Prefix, number: int, choices: Sequence[int], keys: Sequence[bytes], corrections: bytes
) -> tuple[list[bytes], int]:
    """Return all leaves (a placeholder at the missing one) and the missing index."""
    tree = index(number)
    nodes = [b"", b""]
    nodes[choices[0]] = keys[0]
    missing = 1 - choices[0]
    for level in range(1, TREE_DEPTH):
        side = choices[level]
        start = ((level - 1) * 2 + side) * SEED_BYTES
        known = xor(corrections[start : start + SEED_BYTES], keys[level])
        children: list[bytes] = []
        for position, node in enumerate(nodes):
            if position == missing:
                children += (b"", b"")
                continue
            pair = _children(expand, tree, node)
            known = xor(known, pair[side])
            children += pair
        children[2 * missing + side] = known
        missing = 2 * missing + 1 - side
        nodes = children
    return nodes, missing


def _check_tree(
    oracles: _Oracles, number: int, nodes: Sequence[bytes], missing: int, proof: bytes
) -> bool:
    tree = index(number)
    total = proof[:GGM_DIGEST_BYTES]
    hashes: list[bytes] = []
    for position, node in enumerate(nodes):
        value = b"" if position == missing else oracles.leaf.wide(tree, node)
        if position != missing:
            total = xor(total, value)
        hashes.append(value)
    hashes[missing] = total
    return hmac.compare_digest(oracles.digest.wide(tree, *hashes), proof[GGM_DIGEST_BYTES:])
