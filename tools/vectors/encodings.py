"""Cases about encodings: of keys, of DER and of compact signatures."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from tools.vectors.cases import (
    KEY,
    Case,
    R,
    S,
    case,
    compressed,
    der,
    digits,
    item,
    octets,
    uncompressed,
    xy,
)
from tools.vectors.curve import (
    G,
    P,
    first_point,
    key_for,
    point_at,
    point_with_small_y,
    scalar,
    sign_with,
)

ORDINARY = octets(R) + octets(S)


def keys() -> Iterator[Case]:
    """Yield encodings of the ordinary key, right and wrong."""
    x, y = KEY
    x_and_y = octets(x) + octets(y)
    tag, other_tag = 2 + y % 2, 3 - y % 2
    for name, why, key, valid in (
        ("compressed", "02|03‖x", compressed(KEY), True),
        ("uncompressed", "04‖x‖y", uncompressed(KEY), True),
        ("negated", "the key with the other y", compressed((x, P - y)), False),
        ("negated, uncompressed", "the key with the other y", uncompressed((x, P - y)), False),
        ("hybrid", "06|07‖x‖y is no form here", bytes([tag + 4]) + x_and_y, False),
        ("hybrid, parity", "the tag must tell y's parity", bytes([other_tag + 4]) + x_and_y, False),
        ("y+2", "y's parity alone does not make it the key's y", xy(x, y + 2), False),
        ("tag 00", "00 is infinity", b"\0" + x_and_y, False),
        ("tag 01", "no such form", b"\1" + octets(x), False),
        ("tag 05", "no such form", b"\5" + x_and_y, False),
        ("empty", "infinity is no key", b"", False),
        ("00", "infinity is no key", b"\0", False),
        ("33 zero octets", "infinity is no key", bytes(33), False),
        ("65 zero octets", "infinity is no key", bytes(65), False),
        ("04 and zero octets", "(0, 0) is not on the curve", b"\4" + bytes(64), False),
        ("x alone", "wrong length", octets(x), False),
        ("x and y without tag", "wrong length", x_and_y, False),
        ("04 and x alone", "wrong length for the tag", b"\4" + octets(x), False),
        ("02|03 with x and y", "wrong length for the tag", bytes([tag]) + x_and_y, False),
        ("compressed, short by one", "wrong length", compressed(KEY)[:-1], False),
        ("compressed, long by one", "wrong length", compressed(KEY) + b"\0", False),
        ("uncompressed, short by one", "wrong length", uncompressed(KEY)[:-1], False),
        ("uncompressed, long by one", "wrong length", uncompressed(KEY) + b"\0", False),
    ):
        yield case(f"key, {name}", why, "compact", ORDINARY, key=key, valid=valid)


def coordinates() -> Iterator[Case]:
    """Yield coordinates that are extreme, not below p, or of no point.

    The signatures satisfy a verifier that reduces coordinates modulo p, or that does not ask
    whether a point is on the curve.
    """
    (x, y), (far_x, small_y) = small, low = first_point([1]), point_with_small_y()
    outside = (G[0], G[1] + 1)
    for name, why, point, key, valid in (
        ("x=1", "x below p", small, compressed(small), True),
        ("x=1, uncompressed", "x below p", small, uncompressed(small), True),
        ("x=1+p", "x must be below p", small, b"\2" + octets(x + P), False),
        ("x=1+p, uncompressed", "x must be below p", small, xy(x + P, y), False),
        ("small y", "y below p", low, compressed(low), True),
        ("small y, uncompressed", "y below p", low, uncompressed(low), True),
        ("small y plus p", "y must be below p", low, xy(far_x, small_y + P), False),
        ("off the curve", "the formulas fit any y² = x³ + b", outside, xy(*outside), False),
    ):
        # Off the curve G cannot take part: with u1 = 0, which is h = 0, only Q is multiplied.
        u1 = 0 if point is outside else scalar(f"coordinates, {point[0]}, u1")
        labels = (f"coordinates, {point[0]}, u2, {attempt}" for attempt in count())
        tries = (sign_with(u1, scalar(label), point) for label in labels)
        h, r, s = next(found for found in tries if found is not None)
        signature, digest = octets(r) + octets(s), octets(h)
        yield case(f"key, {name}", why, "compact", signature, key=key, digest=digest, valid=valid)
    none = next(x for x in count() if point_at(x) is None)
    for name, key in (
        (f"x={none}", b"\2" + octets(none)),
        ("x=p", b"\2" + octets(P)),
        ("x=2^256-1", b"\3" + b"\xff" * 32),
    ):
        yield case(f"key, {name}", "no point has this x", "compact", ORDINARY, key=key)


def der_forms() -> Iterator[Case]:
    """Yield what is not the one DER form of the ordinary signature (BIP66)."""
    r, s = item(digits(R)), item(digits(S))
    good = item(r + s, 0x30)
    body, size = r + s, len(r + s)
    r_size, s_size = len(r) - 2, len(s) - 2
    for name, signature in (
        ("empty", b""),
        ("tag alone", b"\x30"),
        ("empty sequence", b"\x30\0"),
        ("r alone", item(r, 0x30)),
        ("cut after r", good[: 2 + len(r)]),
        ("cut in the tag of s", good[: 3 + len(r)]),
        ("cut in r", good[:20]),
        ("last octet missing", good[:-1]),
        ("zero octet after", good + b"\0"),
        ("hash type after", good + b"\1"),
        ("NULL after", good + b"\5\0"),
        ("twice", good + good),
        ("zero octet inside", item(body + b"\0", 0x30)),
        ("NULL inside", item(body + b"\5\0", 0x30)),
        ("third integer", item(body + item(b"\0"), 0x30)),
        ("nested", item(good, 0x30)),
        ("integers nested", item(item(body, 0x30), 0x30)),
        ("length one too small", item(body, 0x30, bytes([size - 1]))),
        ("length one too large", item(body, 0x30, bytes([size + 1]))),
        ("length 81", item(body, 0x30, bytes([0x81, size]))),
        ("length 82", item(body, 0x30, bytes([0x82, 0, size]))),
        ("length 84", item(body, 0x30, bytes([0x84, 0, 0, 0, size]))),
        ("length 88, huge", item(body, 0x30, b"\x88" + b"\xff" * 8)),
        ("length plus 256", item(body, 0x30, bytes([0x82, 1, size]))),
        ("length without end", item(body + b"\0\0", 0x30, b"\x80")),
        ("length of r 81", item(item(digits(R), length=bytes([0x81, r_size])) + s, 0x30)),
        ("length of s 81", item(r + item(digits(S), length=bytes([0x81, s_size])), 0x30)),
        ("length of r 82", item(item(digits(R), length=bytes([0x82, 0, r_size])) + s, 0x30)),
        ("length of r 80", item(item(digits(R), length=b"\x80") + s, 0x30)),
        ("length of r too small", item(item(digits(R), length=bytes([r_size - 1])) + s, 0x30)),
        ("length of r too large", item(item(digits(R), length=bytes([r_size + 1])) + s, 0x30)),
        ("length of s too small", item(r + item(digits(S), length=bytes([s_size - 1])), 0x30)),
        ("length of s too large", item(r + item(digits(S), length=bytes([s_size + 1])), 0x30)),
        ("length of s ff", item(r + item(digits(S), length=b"\xff"), 0x30)),
        ("r without its zero octet", item(item(octets(R)) + s, 0x30)),
        ("r with one zero octet more", item(item(b"\0" + digits(R)) + s, 0x30)),
        ("s with a zero octet", item(r + item(b"\0" + digits(S)), 0x30)),
        ("r empty", item(item(b"") + s, 0x30)),
        ("s empty", item(r + item(b""), 0x30)),
        ("-r", der(-R, S)),
        ("-s", der(R, -S)),
        ("r and s swapped", der(S, R)),
        ("SET", item(body, 0x31)),
        ("primitive sequence", item(body, 0x10)),
        ("r as BIT STRING", item(item(digits(R), 0x03) + s, 0x30)),
        ("r as OCTET STRING", item(item(digits(R), 0x04) + s, 0x30)),
        ("s as ENUMERATED", item(r + item(digits(S), 0x0A), 0x30)),
        ("r constructed", item(item(digits(R), 0x22) + s, 0x30)),
        ("r as REAL 0", item(item(b"", 0x09) + s, 0x30)),
        ("r of 128 octets", item(item(b"\0" * 95 + digits(R)) + s, 0x30)),
        ("compact", octets(R) + octets(S)),
    ):
        yield case(f"der, {name}", "not the DER form of (r, s)", "der", signature)


def compact_forms() -> Iterator[Case]:
    """Yield what is not the 64 octets of the ordinary signature."""
    r, s = octets(R), octets(S)
    for name, signature in (
        ("empty", b""),
        ("one octet", b"\1"),
        ("r alone", r),
        ("short by one", (r + s)[:-1]),
        ("long by one", r + s + b"\0"),
        ("zero octet before", b"\0" + r + s),
        ("recovery id before", b"\x1b" + r + s),
        ("33 octets each", b"\0" + r + b"\0" + s),
        ("twice", r + s + r + s),
        ("64 zero octets", bytes(64)),
        ("r and s swapped", s + r),
        ("little-endian", r[::-1] + s[::-1]),
        ("DER", der(R, S)),
    ):
        yield case(f"compact, {name}", "not the 64 octets r‖s", "compact", signature)
    h, r_1 = scalar("range"), octets(1)
    key = compressed(key_for(first_point([1]), 1, 1, h))
    for name, signature in (("one octet each", b"\1\1"), ("r of 31 octets", r_1[1:] + r_1)):
        why = "zero octets in front may not be left out"
        yield case(f"compact, {name}", why, "compact", signature, key=key, digest=octets(h))
