"""Cases about numbers: the pair (r, s), the nonce point, the sum that makes it, the digest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count, product

from tools.vectors.cases import KEY, Case, H, R, S, both_forms, case, octets
from tools.vectors.curve import (
    G,
    N,
    P,
    Point,
    finite,
    first_point,
    key_for,
    scalar,
    sign_with,
    times,
)


def ordinary() -> Iterator[Case]:
    """Yield the signature that the malformed ones are made of."""
    yield from both_forms("ordinary", "nothing is wrong with it", KEY, H, R, S, valid=True)


def ranges() -> Iterator[Case]:
    """Yield the pairs of bounds, under a key for which (1, 1) is a signature."""
    bounds = {"0": 0, "1": 1, "n-1": N - 1, "n": N, "n+1": N + 1, "p": P}
    h = scalar("range")
    key = key_for(first_point([1]), 1, 1, h)
    why = "r and s must be in 1..n-1 and not be reduced; (1, 1) fits this key"
    for (r_name, r), (s_name, s) in product(bounds.items(), repeat=2):
        name = f"range, r={r_name}, s={s_name}"
        yield from both_forms(name, why, key, h, r, s, valid=r == s == 1)
    for name, r, s in (
        ("r+n", 1 + N, 1),
        ("s+n", 1, 1 + N),
        ("r-n", 1 - N, 1),
        ("s-n", 1, 1 - N),
        ("r+2^256", 1 + 2**256, 1),
        ("s+2^256", 1, 1 + 2**256),
        ("r+n·2^256", 1 + (N << 256), 1),
        ("-r", -1, 1),
        ("-s", 1, -1),
    ):
        yield from both_forms(f"range, {name} for 1", "congruent to a signature", key, h, r, s)


def infinity() -> Iterator[Case]:
    """Yield r = -h/d: whatever s is, R = ((h + r·d)/s)·G is infinity, which has no x."""
    secret, h = scalar("infinity"), scalar("infinity, digest")
    key = finite(times(secret, G))
    r = -h * pow(secret, -1, N) % N
    for name, s in (("1", 1), ("2", 2), ("(n-1)/2", N // 2), ("low", scalar("infinity, s") // 2)):
        yield from both_forms(f"infinity, s={name}", "R is infinity", key, h, r, s)


def wrapped_x() -> Iterator[Case]:
    """Yield nonce points whose x, r or r + n is on the other side of n or p."""
    h, s = scalar("wrap"), 5
    above_n = {"smallest x above n": count(N + 1), "largest x below p": range(P - 1, N, -1)}
    for name, candidates in above_n.items():
        point = first_point(candidates)
        r = point[0] - N
        key = key_for(point, r, s, h)
        yield from both_forms(f"wrap, {name}", "r = x - n", key, h, r, s, valid=True)
        yield from both_forms(f"wrap, {name}, r=x", "r must be x modulo n", key, h, point[0], s)
    for x in (1, 2, 3):
        point = first_point([x])
        true_key = key_for(point, x, s, h)
        yield from both_forms(f"wrap, x={x}", "r = x", true_key, h, x, s, valid=True)
        r = P - N + x
        why = "r = p - n + x: r + n is x modulo p, and not below p"
        yield from both_forms(f"wrap, r=p-n+{x}", why, key_for(point, r, s, h), h, r, s)


def low_s() -> Iterator[Case]:
    """Yield both sides of the bound n/2, and negated signatures."""
    h = scalar("low s")
    point = finite(times(scalar("low s, nonce"), G))
    r = point[0] % N
    for name, s in (("1", 1), ("(n-1)/2", N // 2)):
        key = key_for(point, r, s, h)
        yield from both_forms(f"low s, s={name}", "s is low", key, h, r, s, valid=True)
        why = "the negated s verifies too, and would be a second form of the same"
        yield from both_forms(f"high s, s=-{name}", why, key, h, r, N - s)
    yield from both_forms("high s, ordinary", "the ordinary signature, negated", KEY, H, R, N - S)


def sums() -> Iterator[Case]:
    """Yield the sums u1·G + u2·Q in which implementations have gone wrong."""
    cube_root = pow(3, (N - 1) // 3, N)
    special = {"1": 1, "n-1": N - 1, "2^128": 2**128, "cube root of 1": cube_root}
    why = "a multiplier that implementations treat in a special way"
    for (name_1, u1), (name_2, u2) in product(special.items(), repeat=2):
        keys = (finite(times(secret, G)) for secret in count(2))
        yield from first_low(f"sum, u1={name_1}, u2={name_2}", why, ((u1, u2, key) for key in keys))
    why = "a table of sums of G and Q has a doubling or infinity in it"
    close = {"G": 1, "-G": N - 1, "2·G": 2, "G/2": N // 2 + 1, "cube root of 1·G": cube_root}
    for name, secret in close.items():
        key = finite(times(secret, G))
        labels = (f"sum, Q={name}, {attempt}" for attempt in count())
        tries = ((scalar(f"{label}, u1"), scalar(f"{label}, u2"), key) for label in labels)
        yield from first_low(f"sum, Q={name}", why, tries)
    u1 = scalar("sum, doubling")
    halves = ((u1, u2, finite(times(u1 * pow(u2, -1, N), G))) for u2 in count(2))
    yield from first_low("sum, u1·G=u2·Q", "the last addition is a doubling", halves)


def first_low(name: str, why: str, tries: Iterable[tuple[int, int, Point]]) -> Iterator[Case]:
    """Yield the valid case of the first u1, u2 and key whose s is low."""
    for u1, u2, key in tries:
        found = sign_with(u1, u2, key)
        if found is not None:
            yield from both_forms(name, why, key, *found, valid=True)
            return


def digests() -> Iterator[Case]:
    """Yield digests of 0 modulo n, of n and more, and of other lengths than 32 octets."""
    point = finite(times(scalar("digests, nonce"), G))
    r, s = point[0] % N, scalar("digests, s") // 2
    for name, h in (("0", 0), ("1", 1), ("n-1", N - 1), ("2^256-1", 2**256 - 1)):
        key = key_for(point, r, s, h)
        why = "a digest is taken modulo n"
        yield from both_forms(f"digest, {name}", why, key, h, r, s, valid=True)
        if h + N < 2**256:
            yield from both_forms(f"digest, {name}+n", why, key, h + N, r, s, valid=True)
    signature = octets(R) + octets(S)
    for name, digest in (
        ("empty", b""),
        ("20 octets", octets(H)[:20]),
        ("31 octets", octets(H)[:31]),
        ("33 octets", octets(H) + b"\0"),
        ("33 octets with a zero first", b"\0" + octets(H)),
        ("64 octets", octets(H) + bytes(32)),
    ):
        why = "the release rule is for digests of 32 octets and cuts none"
        yield case(f"digest, {name}", why, "compact", signature, digest=digest)
