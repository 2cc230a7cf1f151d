"""The curve wrapper, against fastecdsa as the second implementation."""

from __future__ import annotations

import hashlib
from itertools import combinations

import pytest
from fastecdsa.curve import secp256k1
from hypothesis import given, settings
from hypothesis import strategies as st

from metanode.errors import LocalFault
from metanode.tss import curve
from tests.tss.support import seeded

SCALARS = st.integers(min_value=1, max_value=curve.ORDER - 1)
G = curve.generator_mult(1)


def encode(point) -> bytes:
    """Return fastecdsa's point in compressed form."""
    return bytes((2 | (point.y & 1),)) + point.x.to_bytes(32, "big")


@settings(max_examples=15)
@given(SCALARS, SCALARS)
def test_arithmetic_agrees_with_fastecdsa(a: int, b: int) -> None:
    """Catches a wrong binding: every operation must match an independent library."""
    point_a, point_b = curve.generator_mult(a), curve.generator_mult(b)
    other_a, other_b = secp256k1.G * a, secp256k1.G * b
    assert curve.encode_point(point_a) == encode(other_a)
    product = encode(other_a * b)
    multiplied = curve.public_mult(b, point_a)
    assert multiplied is not None
    assert curve.encode_point(multiplied) == product
    assert curve.ecdh(b, point_a) == hashlib.sha256(product).digest()
    assert curve.secret_mult_equals(b, point_a, multiplied)
    assert not curve.secret_mult_equals(b, point_a, point_a) or b == 1
    total = curve.combine([point_a, curve.negate(point_b)])
    if a != b:
        assert total is not None
        assert curve.encode_point(total) == encode(other_a + -other_b)
    assert curve.affine(point_a) == (other_a.x, other_a.y)


EDGES = st.one_of(SCALARS, st.sampled_from([0, 1, 2, curve.ORDER - 1]))


@given(EDGES, EDGES)
def test_products_of_scalars(a: int, b: int) -> None:
    """Catches a product that differs from the integers', above all where one factor is zero."""
    assert curve.multiply(a, b) == a * b % curve.ORDER
    assert curve.multiply(a + curve.ORDER, -b) == -a * b % curve.ORDER


def test_infinity_is_none_everywhere() -> None:
    """Catches a failed combine that goes on as an undefined point."""
    assert curve.combine([G, curve.negate(G)]) is None
    assert curve.offset_generator(curve.negate(G), 1) is None
    assert curve.public_mult(0, G) is None
    assert curve.evaluate_commitments([curve.negate(G), G], 1) is None
    assert not curve.secret_mult_equals(5, G, None)
    assert not curve.secret_mult_equals(0, G, G)


def test_offset_by_zero_and_horner_through_infinity() -> None:
    """Catches infinity inside a sum being taken for a failure of the whole sum."""
    same = curve.offset_generator(G, 0)
    assert same is not None
    assert curve.encode_point(same) == curve.encode_point(G)
    # 5 - x + x^2·(1): at x = 1 the inner Horner step -1 + 1 is infinity and the value is 5.
    points = [curve.generator_mult(5), curve.negate(G), G]
    value = curve.evaluate_commitments(points, 1)
    assert value is not None
    assert curve.encode_point(value) == curve.encode_point(curve.generator_mult(5))


def test_zero_and_short_input_are_local_faults() -> None:
    """Catches our own misuse passing silently."""
    with pytest.raises(LocalFault):
        curve.generator_mult(curve.ORDER)
    with pytest.raises(LocalFault):
        curve.ecdh(0, G)
    with pytest.raises(LocalFault):
        curve.decode_ellswift(bytes(63))
    with pytest.raises(LocalFault):
        curve.draw(lambda _: b"", 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(33),
        b"\x02" + bytes(32),
        b"\x02" + b"\xff" * 32,
        b"\x04" + bytes(32),
        b"\x02" + (1).to_bytes(32, "big") + b"\x00",
        b"\x02" + (5).to_bytes(32, "big"),
    ],
)
def test_not_points(data: bytes) -> None:
    """Catches identity, hybrid, overlong, off-curve and out-of-range encodings being accepted."""
    assert curve.parse_point(data) is None


def test_scalar_range() -> None:
    """Catches a scalar with two encodings."""
    assert curve.decode_scalar(curve.ORDER.to_bytes(32, "big")) is None
    assert curve.decode_scalar((curve.ORDER - 1).to_bytes(32, "big")) == curve.ORDER - 1
    assert curve.decode_scalar(bytes(31)) is None
    assert curve.decode_scalar(bytes(32)) == 0


def test_random_scalars_are_rejected_not_reduced() -> None:
    """Catches reduction, which would bias scalars, and acceptance of zero."""
    answers = iter([bytes(32), curve.ORDER.to_bytes(32, "big"), b"\xff" * 32, b"\x01" * 32])
    assert curve.random_scalar(lambda _: next(answers)) == int.from_bytes(b"\x01" * 32, "big")


def test_interpolation_in_clear_and_in_the_exponent() -> None:
    """Catches a wrong weight: every t-subset must give the polynomial at zero."""
    entropy = seeded("lagrange")
    coefficients = [curve.random_scalar(entropy) for _ in range(3)]
    shares = {x: curve.evaluate_polynomial(coefficients, x) for x in range(1, 6)}
    for chosen in combinations(shares, 3):
        total = sum(curve.lagrange_at_zero(x, chosen) * shares[x] for x in chosen)
        assert total % curve.ORDER == coefficients[0]
    points = [curve.generator_mult(c) for c in coefficients]
    for x, share in shares.items():
        value = curve.evaluate_commitments(points, x)
        assert value is not None
        assert curve.encode_point(value) == curve.encode_point(curve.generator_mult(share))
