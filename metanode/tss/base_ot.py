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
from metanode.tss.curve import Entropy, Point, Workspace
from metanode.tss.oracle import Prefix, Tag
from metanode.tss.parameters import BASE_OTS, HASH_BYTES, POINT_BYTES

PAIR_BYTES = 2 * POINT_BYTES
"""R_0‖R_1 of one transfer."""


_BRANCH_FRAMES = tuple(
    (oracle.frame(oracle.index(number, 0)), oracle.frame(oracle.index(number, 1)))
    for number in range(BASE_OTS)
)
_POINT_HEAD = oracle.frame_head(POINT_BYTES)
_PAIR_HEAD = oracle.frame_head(PAIR_BYTES)
_SHARED_HEAD = oracle.frame_head(HASH_BYTES)


def _mask(prefix: Prefix, number: int, branch: int, other: bytes) -> bytes:
    """Return the 64 bytes that H2C decodes."""
    return prefix.wide_framed(_BRANCH_FRAMES[number][branch] + _POINT_HEAD + other)


def hash_to_curve(prefix: Prefix, number: int, branch: int, other: bytes) -> Point:
    """Return H2C(m, b, R_{1-b}): SHA-512, then ellswift decoding."""
    return curve.decode_ellswift(_mask(prefix, number, branch, other))


def _branch_key(prefix: Prefix, number: int, branch: int, points: bytes, shared: bytes) -> bytes:
    framed = _BRANCH_FRAMES[number][branch] + _PAIR_HEAD + points + _SHARED_HEAD + shared
    return prefix.digest_framed(framed)


class BaseOtReceiver:
    """The receiver's side. ``context`` is the 32-byte pair session id; ``message`` goes to the
    sender.

    ``choices`` are the 256 choice bits; ``keys`` gives the chosen keys once M is known.
    """

    def __init__(self, context: bytes, entropy: Entropy) -> None:
        packed = np.frombuffer(curve.draw(entropy, BASE_OTS // 8), np.uint8)
        self.choices: list[int] = np.unpackbits(packed, bitorder="little").tolist()
        self._context = context
        self._secrets: list[bytes] = []
        self._points: list[bytes] = []
        prefix, workspace = Prefix(Tag.H2C, context), Workspace()
        for number, choice in enumerate(self.choices):
            secret, points = self._offer(workspace, prefix, number, choice, entropy)
            self._secrets.append(secret)
            self._points.append(points)
        self.message = b"".join(self._points)

    @staticmethod
    def _offer(
        workspace: Workspace, prefix: Prefix, number: int, choice: int, entropy: Entropy
    ) -> tuple[bytes, bytes]:
        while True:
            other = workspace.random_point(entropy)
            secret = curve.encode_scalar(curve.random_scalar(entropy))
            own = workspace.masked_generator(secret, _mask(prefix, number, choice, other))
            if own is not None:
                return secret, other + own if choice else own + other

    def keys(self, sender_key: bytes) -> list[bytes] | None:
        """Return the 256 chosen 32-byte keys, or None when M is not a point."""
        point = curve.parse_point(sender_key)
        if point is None:
            return None
        prefix, workspace = Prefix(Tag.KDF, self._context, sender_key), Workspace()
        return [
            _branch_key(prefix, number, choice, points, workspace.ecdh(secret, point))
            for number, (choice, secret, points) in enumerate(
                zip(self.choices, self._secrets, self._points, strict=True)
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
    encoded_secret = curve.encode_scalar(secret)
    to_curve, prefix = Prefix(Tag.H2C, context), Prefix(Tag.KDF, context, sender_key)
    workspace = Workspace()
    keys = []
    for number in range(BASE_OTS):
        points = message[number * PAIR_BYTES : (number + 1) * PAIR_BYTES]
        encoded = (points[:POINT_BYTES], points[POINT_BYTES:])
        branches = []
        for branch in (0, 1):
            mask = _mask(to_curve, number, branch, encoded[1 - branch])
            shared = workspace.masked_ecdh(encoded_secret, encoded[branch], mask)
            if shared is None:
                return None
            branches.append(_branch_key(prefix, number, branch, points, shared))
        keys.append((branches[0], branches[1]))
    return sender_key, keys
