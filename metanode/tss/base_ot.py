"""Endemic oblivious transfer (Masny-Rindal 2019), a batch of 256 under one sender key.

Per transfer m with choice d the receiver draws R_{1-d} uniformly and sets R_d = t·G - H2C(m, d,
R_{1-d}); the sender's key M = y·G yields one secret per branch, y·(R_b + H2C(m, b, R_{1-b})). The
receiver knows t·M for its branch only. Security rests on H2C having an UNKNOWN discrete
logarithm: were it h·G for a computable h, the receiver could open both branches and d could be
read from the wire.
"""

from __future__ import annotations

import numpy as np

from metanode.tss import curve, oracle
from metanode.tss.curve import Entropy, Point
from metanode.tss.oracle import Prefix, Tag
from metanode.tss.parameters import BASE_OTS, POINT_BYTES

PAIR_BYTES = 2 * POINT_BYTES
"""R_0‖R_1 of one transfer."""


def hash_to_curve(prefix: Prefix, number: int, branch: int, other: bytes) -> Point:
    """Return H2C(m, b, R_{1-b}): SHA-512, then ellswift decoding."""
    return curve.decode_ellswift(prefix.wide(oracle.index(number, branch), other))


def _branch_key(prefix: Prefix, number: int, branch: int, points: bytes, shared: bytes) -> bytes:
    return prefix.digest(oracle.index(number, branch), points, shared)


class BaseOtReceiver:
    """The receiver's side. ``context`` is the 32-byte pair session id; ``message`` goes to the
    sender.

    ``choices`` are the 256 choice bits; ``keys`` gives the chosen keys once M is known.
    """

    def __init__(self, context: bytes, entropy: Entropy) -> None:
        packed = np.frombuffer(curve.draw(entropy, BASE_OTS // 8), np.uint8)
        self.choices: list[int] = np.unpackbits(packed, bitorder="little").tolist()
        self._context = context
        self._scalars: list[int] = []
        self._points: list[bytes] = []
        prefix = Prefix(Tag.H2C, context)
        for number, choice in enumerate(self.choices):
            scalar, points = self._offer(prefix, number, choice, entropy)
            self._scalars.append(scalar)
            self._points.append(points)
        self.message = b"".join(self._points)

    @staticmethod
    def _offer(prefix: Prefix, number: int, choice: int, entropy: Entropy) -> tuple[int, bytes]:
        while True:
            other = curve.encode_point(curve.random_point(entropy))
            mask = curve.negate(hash_to_curve(prefix, number, choice, other))
            scalar = curve.random_scalar(entropy)
            chosen = curve.combine([curve.generator_mult(scalar), mask])
            if chosen is not None:
                own = curve.encode_point(chosen)
                return scalar, other + own if choice else own + other

    def keys(self, sender_key: bytes) -> list[bytes] | None:
        """Return the 256 chosen 32-byte keys, or None when M is not a point."""
        point = curve.parse_point(sender_key)
        if point is None:
            return None
        prefix = Prefix(Tag.KDF, self._context, sender_key)
        return [
            _branch_key(prefix, number, choice, points, curve.ecdh(scalar, point))
            for number, (choice, scalar, points) in enumerate(
                zip(self.choices, self._scalars, self._points, strict=True)
            )
        ]


def send(
    context: bytes, message: bytes, entropy: Entropy
) -> tuple[bytes, list[tuple[bytes, bytes]]] | None:
    """Answer a receiver's message: (M, both keys of each transfer), or None when it is malformed.

    Malformed means a wrong length, bytes that are not points, or points chosen so that a branch is
    infinity, which a cheating receiver can do with R_b = -H2C(m, b, R_{1-b}).
    """
    if len(message) != BASE_OTS * PAIR_BYTES:
        return None
    secret = curve.random_scalar(entropy)
    sender_key = curve.encode_point(curve.generator_mult(secret))
    to_curve = Prefix(Tag.H2C, context)
    prefix = Prefix(Tag.KDF, context, sender_key)
    keys = []
    for number in range(BASE_OTS):
        points = message[number * PAIR_BYTES : (number + 1) * PAIR_BYTES]
        encoded = (points[:POINT_BYTES], points[POINT_BYTES:])
        branches = []
        for branch in (0, 1):
            own = curve.parse_point(encoded[branch])
            if own is None:
                return None
            mask = hash_to_curve(to_curve, number, branch, encoded[1 - branch])
            base = curve.combine([own, mask])
            if base is None:
                return None
            shared = curve.ecdh(secret, base)
            branches.append(_branch_key(prefix, number, branch, points, shared))
        keys.append((branches[0], branches[1]))
    return sender_key, keys
