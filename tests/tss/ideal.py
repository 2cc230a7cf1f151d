"""Ideal base transfers: what the curve gives, from a hash, for tests of everything around them.

A key generation of six parties takes 30 batches of base transfers, 40 ms each; with these it takes
a tenth. The real ones have their own tests (``test_transfers.py``) and run in ``test_keygen.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import pytest

from metanode.tss import base_ot, curve
from metanode.tss.curve import Entropy
from metanode.tss.parameters import BASE_OTS, SEED_BYTES

REAL = (base_ot.BaseOtReceiver, base_ot.send)


def _key(context: bytes, sender_key: bytes, number: int, branch: int) -> bytes:
    return hashlib.sha256(context + sender_key + bytes((number, branch))).digest()[:SEED_BYTES]


class IdealReceiver:
    """Stands for :class:`metanode.tss.base_ot.BaseOtReceiver`."""

    def __init__(self, context: bytes, entropy: Entropy) -> None:
        packed = np.frombuffer(entropy(BASE_OTS // 8), np.uint8)
        self.choices: list[int] = np.unpackbits(packed, bitorder="little").tolist()
        self.message = entropy(BASE_OTS * base_ot.PAIR_BYTES)
        self._context = context

    def keys(self, sender_key: bytes) -> list[bytes] | None:
        """Return the chosen keys, or None when the sender's key is not a point."""
        if curve.parse_point(sender_key) is None:
            return None
        return [_key(self._context, sender_key, m, c) for m, c in enumerate(self.choices)]


def ideal_send(
    context: bytes, message: bytes, entropy: Entropy
) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Stand for :func:`metanode.tss.base_ot.send`."""
    assert len(message) == BASE_OTS * base_ot.PAIR_BYTES
    sender_key = curve.encode_point(curve.generator_mult(curve.random_scalar(entropy)))
    both = [
        (_key(context, sender_key, m, 0), _key(context, sender_key, m, 1)) for m in range(BASE_OTS)
    ]
    return sender_key, both


@contextmanager
def _transfers(receiver: object, send: object) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base_ot, "BaseOtReceiver", receiver)
        patch.setattr(base_ot, "send", send)
        yield


def ideal_transfers() -> AbstractContextManager[None]:
    """Let dealings use ideal base transfers inside the block."""
    return _transfers(IdealReceiver, ideal_send)


def real_transfers() -> AbstractContextManager[None]:
    """Let dealings use the real base transfers inside the block."""
    return _transfers(*REAL)
