"""Exact arithmetic modulo n on the rows of a multiplication, all rows at once.

A row is ``ROW_SCALARS`` scalars of 32 bytes: the inputs and one check scalar. Sums and products are
taken digit by digit in numpy: sixteen digits of 16 bits where there is a product (float64, whose 53
bits hold every sum of products here exactly), eight words of 32 bits elsewhere (int64). Most
significant digits come first, as in the encodings. Python's integers do the same one scalar at a
time, four times as slowly. Rows of several lanes stand one lane after the other, and all lanes
have equally many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from metanode.tss.curve import ORDER
from metanode.tss.parameters import INPUTS, ROW_SCALARS, SCALAR_BYTES

Digits = npt.NDArray[np.float64]
"""One line for each 16-bit digit, one column for each row."""
Words = npt.NDArray[np.int64]
"""One line for each 32-bit word, one column for each scalar. Words may be negative or too large
until :func:`_reduced` carries."""

_DIGITS = SCALAR_BYTES // 2
_WORDS = SCALAR_BYTES // 4
_WORD_MASK = 2**32 - 1
_POSITIVE = 2 * ORDER
"""Added to a difference of two 256-bit numbers so that it is not negative."""


def _digits_of(values: Iterable[int]) -> npt.NDArray[np.uint16]:
    """Return one line of digits for each scalar."""
    encoded = b"".join([value.to_bytes(SCALAR_BYTES, "big") for value in values])
    return np.frombuffer(encoded, ">u2").astype(np.uint16).reshape(-1, _DIGITS)


def _words_of(value: int) -> Words:
    """Return the words of a number that may exceed 256 bits; the first one takes the excess."""
    words = [value >> 32 * place & _WORD_MASK for place in range(_WORDS - 1)]
    return np.array([value >> 32 * (_WORDS - 1), *reversed(words)], np.int64)


# glibc maps each block of 128 KiB or more anew, page by page, until a larger one has been freed.
# This one touches no page and saves a tenth of a signature's time.
np.empty(1 << 24, np.uint8)

_BLOCK = 512
"""Rows of one matrix product: of more, the library would make work for several threads, who cost
more than they save at this size."""

_FOLD = _words_of(2**256 - ORDER)[:, None]
"""2^256 mod n, as a column: 129 bits."""
_FOLD_FROM = 3
"""Its words before this one are zero."""


def _carry(words: Words) -> Words:
    """Carry in place, so that each word has 32 bits; return what goes beyond 256 bits."""
    carry = np.zeros(words.shape[1], np.int64)
    for word in words[::-1]:
        word += carry
        np.right_shift(word, 32, out=carry)
        word &= _WORD_MASK
    return carry


def _reduced(words: Words) -> bytes:
    """Return the numbers mod n, 32 bytes each; each must be in 0..2^280. Overwrites ``words``.

    With 2^256 = n + δ: a number low + q·2^256 is v = low + q·δ, below 2n; and v ≥ n exactly when
    v + δ goes beyond 256 bits, which leaves v - n.
    """
    fold = _FOLD[_FOLD_FROM:]
    low = words[_FOLD_FROM:]
    quotient = _carry(words)
    low += (quotient + 1) * fold
    reaches_order = _carry(words)
    low -= (1 - reaches_order) * fold
    _carry(words)
    return words.T.astype(">u4").tobytes()


def split_rows(data: bytes) -> tuple[Digits, Words]:
    """Return the digits of all inputs, input after input, and the words of the check scalars."""
    digits = np.frombuffer(data, ">u2").reshape(-1, ROW_SCALARS * _DIGITS)
    words = np.frombuffer(data, ">u4").reshape(-1, ROW_SCALARS * _WORDS)
    return (
        digits[:, : INPUTS * _DIGITS].T.astype(np.float64, order="C"),
        words[:, INPUTS * _WORDS :].T.astype(np.int64, order="C"),
    )


def subtract_rows(left: bytes, right: bytes, addends: Sequence[Sequence[int]]) -> bytes:
    """Return left - right + addends mod n, in rows; ``addends`` are ``ROW_SCALARS`` for each lane,
    and each of its rows gets the same ones.
    """
    words = _all_words(left)
    words -= _all_words(right)
    added = np.stack([_words_of(each + _POSITIVE) for lane in addends for each in lane], axis=1)
    lanes = words.reshape(_WORDS, len(addends), -1, ROW_SCALARS)
    lanes += added.reshape(_WORDS, len(addends), 1, ROW_SCALARS)
    return _reduced(words)


def _all_words(data: bytes) -> Words:
    return np.frombuffer(data, ">u4").reshape(-1, _WORDS).T.astype(np.int64, order="C")


def add_chosen(
    rows: tuple[Digits, Words], other: tuple[Digits, Words], bits: npt.NDArray[np.uint8],
    less: Sequence[int],
) -> tuple[Digits, Words]:
    """Return rows + bit·(other - less), where ``less``, one for each lane, is for the check scalars
    only. Overwrites ``other``.
    """
    inputs, check = other
    lanes = check.reshape(_WORDS, len(less), -1)
    lanes -= np.stack([_words_of(each) for each in less], axis=1)[:, :, None]
    for own, chosen in ((rows[0], inputs), (rows[1], check)):
        chosen *= bits
        chosen += own
    return inputs, check


def combine_rows(rows: tuple[Digits, Words], factors: Sequence[int]) -> bytes:
    """Return check + Σ factor·input mod n of every row, 32 bytes each.

    The matrix holds factor·2^16k mod n for each digit of each input: multiplying by it reduces too.
    """
    inputs, check = rows
    lines = ((f << 16 * place) % ORDER for f in factors for place in reversed(range(_DIGITS)))
    matrix = _digits_of(lines).T.astype(np.float64)
    sums = np.empty((_DIGITS, inputs.shape[1]))
    for start in range(0, inputs.shape[1], _BLOCK):
        block = slice(start, start + _BLOCK)
        np.matmul(matrix, inputs[:, block], out=sums[:, block])
    products = sums.astype(np.int64)
    words: Words = products[0::2] << 16
    words += products[1::2]
    words += check
    words += _words_of(_POSITIVE)[:, None]
    return _reduced(words)


def pack_weights(values: Iterable[int]) -> npt.NDArray[np.uint16]:
    """Return public scalars in the form that the inner products take; read-only."""
    packed = _digits_of(values)
    packed.flags.writeable = False
    return packed


def inner_products(
    inputs: Digits, weights: npt.NDArray[np.uint16]
) -> tuple[tuple[int, ...], ...]:
    """Return Σ weight·input mod n of each lane, for each input; all lanes have these weights."""
    lanes = inputs.reshape(INPUTS * _DIGITS, -1, len(weights)).transpose(1, 0, 2)
    products = np.matmul(lanes, weights.astype(np.float64)).reshape(-1, _DIGITS, _DIGITS)
    # Each line moves one place to the right, so that digits of one weight stand in one column.
    skewed = np.zeros((len(products), _DIGITS, 2 * _DIGITS))
    skewed[:, :, :_DIGITS] = products
    skewed = skewed.reshape(len(products), -1)[:, : _DIGITS * (2 * _DIGITS - 1)]
    totals = [_value(line) for line in skewed.reshape(len(products), _DIGITS, -1).sum(axis=1)]
    return tuple(tuple(totals[at : at + INPUTS]) for at in range(0, len(totals), INPUTS))


def weighted_bits(
    bits: npt.NDArray[np.uint8], weights: npt.NDArray[np.uint16]
) -> tuple[int, ...]:
    """Return Σ weight·bit mod n of each lane; all lanes have these weights."""
    lanes = bits.reshape(-1, len(weights)).astype(np.float64)
    return tuple(_value(line) for line in lanes @ weights.astype(np.float64))


def _value(digits: Digits) -> int:
    value = 0
    for digit in digits.astype(np.int64).tolist():
        value = (value << 16) + digit
    return value % ORDER
