"""The rows of a multiplication in numpy digits, against Python's integers."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from metanode.tss import vectors
from metanode.tss.curve import ORDER

EDGES = (0, 1, 2**128, 2**256 - ORDER, ORDER - 1, ORDER, ORDER + 1, 2**256 - 1)
NUMBERS = st.one_of(st.sampled_from(EDGES), st.integers(min_value=0, max_value=2**256 - 1))
SCALARS = st.one_of(
    st.sampled_from([value for value in EDGES if value < ORDER]),
    st.integers(min_value=0, max_value=ORDER - 1),
)
ROWS = st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=9)


def encode(rows) -> bytes:
    """Return the bytes of rows of numbers."""
    return b"".join(value.to_bytes(32, "big") for row in rows for value in row)


def decode(data: bytes) -> list[int]:
    """Return the numbers of consecutive 32 bytes."""
    return [int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data), 32)]


@settings(max_examples=150)
@given(ROWS, st.data())
def test_differences(left, data) -> None:
    """Catches a lost carry or borrow, and a result that is not below n."""
    right = data.draw(st.lists(st.tuples(*[NUMBERS] * 3), min_size=len(left), max_size=len(left)))
    added = data.draw(st.tuples(SCALARS, SCALARS, SCALARS))
    expected = [
        (a - b + c) % ORDER
        for row, other in zip(left, right, strict=True)
        for a, b, c in zip(row, other, added, strict=True)
    ]
    assert decode(vectors.subtract_rows(encode(left), encode(right), [added])) == expected


@settings(max_examples=150)
@given(ROWS, st.tuples(SCALARS, SCALARS), st.data())
def test_combinations_of_chosen_rows(own, factors, data) -> None:
    """Catches a rounded product, a wrong digit order and a check scalar that is reduced wrongly."""
    other = data.draw(st.lists(st.tuples(*[NUMBERS] * 3), min_size=len(own), max_size=len(own)))
    bits = data.draw(st.lists(st.sampled_from([0, 1]), min_size=len(own), max_size=len(own)))
    less = data.draw(SCALARS)
    chosen = [
        (p + bit * x, q + bit * y, r + bit * (z - less))
        for (p, q, r), (x, y, z), bit in zip(own, other, bits, strict=True)
    ]
    rows = vectors.add_chosen(
        vectors.split_rows(encode(own)),
        vectors.split_rows(encode(other)),
        np.array(bits, np.uint8),
        [less],
    )
    expected = [(r + factors[0] * p + factors[1] * q) % ORDER for p, q, r in chosen]
    assert decode(vectors.combine_rows(rows, factors)) == expected


@settings(max_examples=60)
@given(ROWS, st.data())
def test_inner_products(rows, data) -> None:
    """Catches digits that are added in the wrong place."""
    values = data.draw(st.lists(SCALARS, min_size=len(rows), max_size=len(rows)))
    bits = data.draw(st.lists(st.sampled_from([0, 1]), min_size=len(rows), max_size=len(rows)))
    weights = vectors.pack_weights(values)
    expected = tuple(
        sum(g * row[k] for g, row in zip(values, rows, strict=True)) % ORDER for k in (0, 1)
    )
    assert vectors.inner_products(vectors.split_rows(encode(rows))[0], weights) == (expected,)
    chosen = sum(g for g, bit in zip(values, bits, strict=True) if bit) % ORDER
    assert vectors.weighted_bits(np.array(bits, np.uint8), weights) == (chosen,)


def test_the_largest_rows_lose_nothing() -> None:
    """Catches a float64 that is too narrow: 512 rows in which every digit is as large as it gets.
    """
    top, count = 2**256 - 1, 512
    full = vectors.split_rows(encode([(top, top, top)] * count))
    other = vectors.split_rows(encode([(top, top, top)] * count))
    rows = vectors.add_chosen(full, other, np.ones(count, np.uint8), [0])
    factors = (ORDER - 1, ORDER - 1)
    assert decode(vectors.combine_rows(rows, factors)) == [
        (2 * top + 2 * (ORDER - 1) * 2 * top) % ORDER
    ] * count
    weights = vectors.pack_weights([ORDER - 1] * count)
    assert vectors.inner_products(rows[0], weights) == (((-2 * top * count) % ORDER,) * 2,)
