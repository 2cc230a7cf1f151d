"""SoftSpokenOT (Roy 2022) with k = 2: from 64 punctured GGM trees to hundreds of correlated rows.

Bob holds every leaf and a vector x = β‖mask; Alice holds all leaves but Δ_T of each tree T.
Afterwards Bob's row j and Alice's row j (128 bits) are equal when β_j = 0 and differ by Δ when
β_j = 1. The check hashes each column with a random GF(2) matrix U drawn after the columns are
fixed: a Bob who used different x in different trees must have guessed the Δ of those trees.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from attrs import field, frozen

from metanode.tss import oracle
from metanode.tss.fixed_key import BLOCK_BYTES, KEY_BYTES, Bytes, Words, hash_blocks
from metanode.tss.oracle import Tag
from metanode.tss.parameters import (
    BASE_OTS,
    CHECK_BYTES,
    LEAVES_PER_TREE,
    SEED_BYTES,
    TREE_DEPTH,
    TREES,
)

_CHECK_WORDS = CHECK_BYTES // 8
_FIRST_LEAVES = (np.arange(TREES, dtype=np.uint64) * LEAVES_PER_TREE)[:, None]
_PLACES = np.arange(LEAVES_PER_TREE, dtype=np.uint8)
ALL_PLACES = np.broadcast_to(_PLACES, (TREES, LEAVES_PER_TREE))
"""Where Bob's leaves stand in their trees."""


@frozen
class Columns:
    """Bob's message: ``columns`` c (64 × column bytes), x̃ (16 bytes), a hash of t̃ (32 bytes).

    The hash is as binding as t̃: by collision resistance it stands for one t̃ that he knows when he
    sends it, so that the set of Δ that pass is fixed by his message, and Alice's verdict tells him
    what it told him before: whether hers is one of them.
    """

    columns: bytes = field(repr=False)
    x_check: bytes = field(repr=False)
    t_check: bytes = field(repr=False)


def delta_bits(delta: bytes) -> Bytes:
    """Return Δ, packed in 16 bytes, as a (64, 2) array of bits: tree by bit of the leaf index."""
    bits = np.unpackbits(np.frombuffer(delta, np.uint8), bitorder="little")
    return bits.reshape(TREES, TREE_DEPTH)


def pack_delta(deltas: list[int]) -> bytes:
    """Return the 16 bytes for 64 leaf indices; inverse of :func:`delta_bits`."""
    numbers = np.array(deltas, np.uint8)
    bits = (numbers[:, None] >> np.arange(TREE_DEPTH, dtype=np.uint8)[None, :]) & 1
    return np.packbits(bits.reshape(-1), bitorder="little").tobytes()


def _expand(
    context: bytes, salt: bytes, leaves: bytes, places: npt.NDArray[np.uint8], column_bytes: int
) -> Bytes:
    """Return PRG(leaf) for each leaf, as (trees, leaves of a tree, column bytes).

    ``places`` are the leaves' numbers in their trees, 0..3, as (trees, leaves of a tree).
    """
    key = oracle.digest(Tag.PRG_KEY, context, salt)[:KEY_BYTES]
    seeds = np.frombuffer(leaves, np.uint8).reshape(-1, SEED_BYTES)
    numbers = (_FIRST_LEAVES + places).reshape(-1)
    blocks = -(-column_bytes // BLOCK_BYTES)
    streams = hash_blocks(key, numbers, seeds, blocks)
    return streams.reshape(*places.shape, blocks * BLOCK_BYTES)[:, :, :column_bytes]


def _fold(streams: Bytes, first_leaf: int, column_bytes: int) -> Bytes:
    """Return, per tree and bit b, the XOR of the streams whose leaf number has bit b set."""
    folded = np.empty((TREES, TREE_DEPTH, column_bytes), np.uint8)
    for bit in range(TREE_DEPTH):
        chosen = [e - first_leaf for e in range(LEAVES_PER_TREE) if e >> bit & 1]
        folded[:, bit] = np.bitwise_xor.reduce(streams[:, chosen], axis=1)
    return folded


class _CheckMatrix:
    """The random matrix U."""

    def __init__(self, context: bytes, salt: bytes, columns: bytes, choice_bits: int) -> None:
        self._count = choice_bits // 8
        self._binding = (context, salt, oracle.digest(Tag.CHI, context, salt, columns))
        seed = oracle.stream(Tag.CHI, choice_bits * CHECK_BYTES, *self._binding)
        self._rows = np.frombuffer(seed, np.uint64).reshape(2 * self._count, 4, _CHECK_WORDS)

    def apply(self, matrix: Bytes) -> Words:
        """Return row[:ξ]·U ⊕ row[ξ:] for each row, as (rows, 2) words.

        Each half of a byte of a row picks one of the 16 sums of four rows of U.
        """
        groups = len(self._rows)
        sums = np.empty((16, groups, _CHECK_WORDS), np.uint64)
        sums[0] = 0
        for bit in range(4):
            np.bitwise_xor(sums[: 1 << bit], self._rows[:, bit], out=sums[1 << bit : 2 << bit])
        octets = matrix[:, : self._count].T
        places = np.empty((self._count, 2, len(matrix)), np.intp)
        np.bitwise_and(octets, 15, out=places[:, 0])
        np.right_shift(octets, 4, out=places[:, 1])
        places *= groups
        places += np.arange(groups).reshape(-1, 2, 1)
        picked = sums.reshape(-1).view(f"V{CHECK_BYTES}").take(places.reshape(groups, -1))
        hashed: Words = np.bitwise_xor.reduce(picked.view(np.uint64), axis=0)
        hashed = hashed.reshape(-1, _CHECK_WORDS)
        hashed ^= matrix[:, self._count :].copy().view(np.uint64)
        return hashed

    def hash(self, check: Words) -> bytes:
        """Return what stands for t̃ on the wire, bound to the columns."""
        return oracle.digest(Tag.T_CHECK, *self._binding, check.tobytes())


def _transpose(matrix: Bytes, choice_bytes: int) -> Bytes:
    """Turn 128 columns of ξ bits into ξ rows of 16 bytes; the masks at the end are dropped."""
    bits = np.unpackbits(matrix[:, :choice_bytes], axis=1, bitorder="little")
    eights = bits.reshape(-1, 8, choice_bytes * 8)
    eights <<= np.arange(8, dtype=np.uint8)[:, None]
    packed: Bytes = np.bitwise_or.reduce(eights, axis=1)
    return np.ascontiguousarray(packed.T)


def extend_receiver(
    choice_bits: int, context: bytes, salt: bytes, leaves: bytes, masked_choices: bytes
) -> tuple[Columns, Bytes]:
    """Bob: return (message, rows); rows are (ξ, 16) bytes, secret.

    ``context`` is the 32-byte pair session id, ``salt`` Bob's fresh 32 bytes, ``leaves`` his 256
    seeds, ``masked_choices`` the ξ choice bits followed by 128 random bits.
    """
    width = choice_bits // 8 + CHECK_BYTES
    x = np.frombuffer(masked_choices, np.uint8)
    streams = _expand(context, salt, leaves, ALL_PLACES, width)
    columns = (np.bitwise_xor.reduce(streams, axis=1) ^ x).tobytes()
    folded = _fold(streams, 0, width).reshape(BASE_OTS, width)
    matrix = _CheckMatrix(context, salt, columns, choice_bits)
    checks = matrix.apply(np.concatenate((x[None, :], folded)))
    message = Columns(columns, x_check=checks[0].tobytes(), t_check=matrix.hash(checks[1:]))
    return message, _transpose(folded, choice_bits // 8)


def extend_sender(
    choice_bits: int, context: bytes, salt: bytes, punctured: bytes, delta: bytes,
    message: Columns,
) -> Bytes | None:
    """Alice: return her rows, (ξ, 16) bytes, or None when the consistency check fails.

    All columns are compared at once, by their hash and in constant time: the verdict is one bit.
    """
    width = choice_bits // 8 + CHECK_BYTES
    bits = delta_bits(delta)
    missing = bits[:, :1] + 2 * bits[:, 1:]
    streams = _expand(context, salt, punctured, (missing ^ _PLACES[1:]).astype(np.uint8), width)
    received = np.frombuffer(message.columns, np.uint8).reshape(TREES, 1, width)
    folded = _fold(streams, 1, width) ^ (received * bits[:, :, None])
    flat: Bytes = folded.reshape(BASE_OTS, width)
    matrix = _CheckMatrix(context, salt, message.columns, choice_bits)
    x_check = np.frombuffer(message.x_check, np.uint64)[None, :]
    selected = x_check * bits.reshape(-1)[:, None].astype(np.uint64)
    expected = matrix.apply(flat) ^ selected
    if not hmac.compare_digest(matrix.hash(expected), message.t_check):
        return None
    return _transpose(flat, choice_bits // 8)


def row_key(context: bytes, salt: bytes) -> bytes:
    """Return the fixed key that binds row hashes to the pair session and Alice's salt."""
    return oracle.digest(Tag.ROW_KEY, context, salt)[:KEY_BYTES]


def hash_rows(key: bytes, row_sets: Sequence[Bytes], output_bytes: int) -> list[Bytes]:
    """Return H(j, z_j) for every row j of each set, ``output_bytes`` each, a multiple of 16."""
    count = len(row_sets[0])
    numbers = np.tile(np.arange(count, dtype=np.uint64), len(row_sets))
    hashed = hash_blocks(key, numbers, np.concatenate(row_sets), output_bytes // BLOCK_BYTES)
    return [hashed[start : start + count] for start in range(0, len(hashed), count)]
