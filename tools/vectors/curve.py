"""Textbook arithmetic on secp256k1, slow and plain, and ways to numbers that nobody chose.

Notation: G generates the group of prime order n over the field of p elements; Q is the public key
and d its secret; h is the digest as a number; (r, s) the signature; R = (h/s)·G + (r/s)·Q must have
an x that is r modulo n.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import count

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)

Point = tuple[int, int]


def add(first: Point | None, second: Point | None) -> Point | None:
    """Return the sum; None is infinity. The curve's constant 7 does not enter the formulas."""
    if first is None or second is None:
        return first or second
    (x, y), (other_x, other_y) = first, second
    if x == other_x and (y + other_y) % P == 0:
        return None
    if first == second:
        slope = 3 * x * x * pow(2 * y, -1, P)
    else:
        slope = (other_y - y) * pow(other_x - x, -1, P)
    sum_x = (slope * slope - x - other_x) % P
    return sum_x, (slope * (x - sum_x) - y) % P


def times(scalar: int, point: Point | None) -> Point | None:
    """Return scalar·point."""
    total = None
    for bit in bin(scalar % N)[2:]:
        total = add(total, total)
        if bit == "1":
            total = add(total, point)
    return total


def finite(point: Point | None) -> Point:
    """Return the point; infinity here would be an error of this program."""
    if point is None:
        raise ValueError("a formula gave infinity")
    return point


def scalar(label: str) -> int:
    """Return a number in 1..n-1 that nobody chose."""
    return int.from_bytes(hashlib.sha256(label.encode()).digest(), "big") % (N - 1) + 1


def point_at(x: int) -> Point | None:
    """Return the point with this x and an even y, or None."""
    square = (x**3 + 7) % P
    y = pow(square, (P + 1) // 4, P)
    if y * y % P != square:
        return None
    return x, y if y % 2 == 0 else P - y


def first_point(candidates: Iterable[int]) -> Point:
    """Return the point of the first x that has one."""
    return next(point for x in candidates if (point := point_at(x)) is not None)


def point_with_small_y() -> Point:
    """Return the point with the smallest y: x is a cube root of y² - 7 (p is 7 modulo 9)."""
    for y in count(1):
        x = pow(y * y - 7, (P + 2) // 9, P)
        if (x**3 + 7 - y * y) % P == 0:
            return x, y
    raise ValueError("unreachable")


def key_for(nonce_point: Point, r: int, s: int, h: int) -> Point:
    """Return the key under which the verification equation gives R = nonce_point."""
    minus_h_g = times(-h, G)
    return finite(times(pow(r, -1, N), add(times(s, nonce_point), minus_h_g)))


def sign_with(u1: int, u2: int, key: Point) -> tuple[int, int, int] | None:
    """Return (h, r, s) with h/s = u1 and r/s = u2, which no secret is needed for.

    None when s is not low: then the caller tries other numbers.
    """
    r = finite(add(times(u1, G), times(u2, key)))[0] % N
    s = r * pow(u2, -1, N) % N
    return (u1 * s % N, r, s) if s <= N // 2 else None


def some_signature(label: str, key: Point) -> tuple[int, int, int]:
    """Return (h, r, s) valid under ``key``; r has 256 bits, so that its DER needs a zero octet."""
    for attempt in count():
        u1, u2 = scalar(f"{label}, u1, {attempt}"), scalar(f"{label}, u2, {attempt}")
        numbers = sign_with(u1, u2, key)
        if numbers is not None and numbers[1] >= 2**255:
            return numbers
    raise ValueError("unreachable")
