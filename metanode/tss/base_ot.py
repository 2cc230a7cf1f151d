"""Endemic oblivious transfer (Masny-Rindal 2019), a batch of 128 under one sender key.

Per transfer m with choice d the receiver draws R_{1-d} uniformly and sets R_d = t·G - H2C(m, d,
R_{1-d}); the sender's key M = y·G yields one secret per branch, y·(R_b + H2C(m, b, R_{1-b})). The
receiver knows t·M for its branch only. Security rests on H2C having an UNKNOWN discrete
logarithm: were it h·G for a computable h, the receiver could open both branches and d could be
read from the wire.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from metanode.tss import curve, oracle
from metanode.tss.curve import Entropy, Point, Workspace
from metanode.tss.oracle import Tag
from metanode.tss.parameters import BASE_OTS, POINT_BYTES, SEED_BYTES

PAIR_BYTES = 2 * POINT_BYTES
"""R_0‖R_1 of one transfer."""

Bytes = npt.NDArray[np.uint8]

_NUMBERS = np.arange(BASE_OTS)
_BRANCHES = (
    np.stack(np.broadcast_arrays(_NUMBERS[:, None], np.arange(2)), axis=2)
    .astype(">u2")
    .view(np.uint8)
)
"""(number, branch) of each transfer and branch as 4 bytes, as :func:`oracle.index` has them."""


def _lines(items: list[bytes]) -> Bytes:
    """Return strings of one length as the lines of an array."""
    return np.frombuffer(b"".join(items), np.uint8).reshape(len(items), -1)


def _masks(context: bytes, branches: Bytes, others: Bytes) -> list[bytes]:
    """Return the 64 bytes that H2C decodes, for each line of (number, branch) and R_{1-b}."""
    return oracle.wide_each(Tag.H2C, (context,), branches, others)


def hash_to_curve(context: bytes, number: int, branch: int, other: bytes) -> Point:
    """Return H2C(m, b, R_{1-b}): SHA-512, then ellswift decoding."""
    (mask,) = _masks(context, _BRANCHES[number, branch][None, :], _lines([other]))
    return curve.decode_ellswift(mask)


def _keys(
    context: bytes, sender_key: bytes, branches: Bytes, pairs: Bytes, shared: list[bytes]
) -> list[bytes]:
    """Return the transfers' keys, one for each line."""
    hashed = oracle.digest_each(Tag.KDF, (context, sender_key), branches, pairs, _lines(shared))
    return [key[:SEED_BYTES] for key in hashed]


class BaseOtReceiver:
    """The receiver's side. ``context`` is the 32-byte pair session id; ``message`` goes to the
    sender.

    ``choices`` are the 128 choice bits; ``keys`` gives the chosen keys once M is known.
    """

    def __init__(self, context: bytes, entropy: Entropy) -> None:
        packed = np.frombuffer(curve.draw(entropy, BASE_OTS // 8), np.uint8)
        chosen = np.unpackbits(packed, bitorder="little")
        self.choices: list[int] = chosen.tolist()
        self._context = context
        self._chosen = _BRANCHES[_NUMBERS, chosen]
        workspace = Workspace()
        others = _lines([workspace.random_point(entropy) for _ in range(BASE_OTS)])
        self._secrets: list[bytes] = []
        own = [
            self._offer(workspace, mask, entropy) for mask in _masks(context, self._chosen, others)
        ]
        points = np.empty((BASE_OTS, 2, POINT_BYTES), np.uint8)
        points[_NUMBERS, chosen] = _lines(own)
        points[_NUMBERS, 1 - chosen] = others
        self._pairs = points.reshape(BASE_OTS, PAIR_BYTES)
        self.message = points.tobytes()

    def _offer(self, workspace: Workspace, mask: bytes, entropy: Entropy) -> bytes:
        """Return R_d = t·G - mask and keep t."""
        while True:
            secret = curve.encode_scalar(curve.random_scalar(entropy))
            own = workspace.masked_generator(secret, mask)
            if own is not None:
                self._secrets.append(secret)
                return own

    def keys(self, sender_key: bytes) -> list[bytes] | None:
        """Return the 128 chosen 16-byte keys, or None when M is not a point."""
        point = curve.parse_point(sender_key)
        if point is None:
            return None
        workspace = Workspace()
        shared = [workspace.ecdh(secret, point) for secret in self._secrets]
        return _keys(self._context, sender_key, self._chosen, self._pairs, shared)


def send(
    context: bytes, message: bytes, entropy: Entropy
) -> tuple[bytes, list[tuple[bytes, bytes]]] | None:
    """Answer a receiver's message: (M, both keys of each transfer), or None when it is malformed.

    Malformed means a wrong length, bytes that are not points, or points chosen so that a branch is
    infinity, which a cheating receiver can do with R_b = -H2C(m, b, R_{1-b}).
    """
    if len(message) != BASE_OTS * PAIR_BYTES:
        return None
    points = np.frombuffer(message, np.uint8).reshape(BASE_OTS, 2, POINT_BYTES)
    branches = _BRANCHES.reshape(2 * BASE_OTS, -1)
    masks = _masks(context, branches, points[:, ::-1].reshape(2 * BASE_OTS, POINT_BYTES))
    secret = curve.random_scalar(entropy)
    encoded_secret = curve.encode_scalar(secret)
    workspace = Workspace()
    shared = []
    for place, mask in enumerate(masks):
        point = message[place * POINT_BYTES : (place + 1) * POINT_BYTES]
        one = workspace.masked_ecdh(encoded_secret, point, mask)
        if one is None:
            return None
        shared.append(one)
    sender_key = curve.encode_point(curve.generator_mult(secret))
    pairs = np.repeat(points.reshape(BASE_OTS, PAIR_BYTES), 2, axis=0)
    keys = _keys(context, sender_key, branches, pairs, shared)
    return sender_key, list(zip(keys[::2], keys[1::2], strict=True))
