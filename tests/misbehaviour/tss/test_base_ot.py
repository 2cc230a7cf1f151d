"""Receivers of base transfers that cheat, and the broken hash-to-curve that would let them."""

from __future__ import annotations

import hashlib

import pytest

from metanode.tss import base_ot, curve, oracle
from metanode.tss.curve import Point, Workspace
from metanode.tss.oracle import Tag
from metanode.tss.parameters import BASE_OTS, SEED_BYTES
from tests.tss.support import seeded

SID = hashlib.sha256(b"transfers").digest()


def hash_times_generator(mask: bytes) -> int:
    """Return the logarithm that the broken hash-to-curve gives its point."""
    return int.from_bytes(mask, "big") % curve.ORDER


def load_broken(self: Workspace, mask: bytes) -> None:
    """Stand for :meth:`Workspace._load_mask`: a hash times the generator."""
    point = curve.generator_mult(hash_times_generator(mask))
    self._right[0] = point[0]


def opened_by_knowing_both_logarithms() -> list[tuple[bool, bool]]:
    """Return, per transfer, which of its two keys a receiver opens that draws R_b = k_b·G.

    Its key for branch b is (k_b + h_b)·M, where h_b is the logarithm of the hashed point, if it has
    one that can be computed.
    """
    secrets = [
        [curve.random_scalar(seeded("k", m, b)) for b in (0, 1)] for m in range(BASE_OTS)
    ]
    encoded = [[curve.encode_point(curve.generator_mult(k)) for k in both] for both in secrets]
    sent = base_ot.send(SID, b"".join(map(b"".join, encoded)), seeded("sender"))
    assert sent is not None
    sender_key, keys = sent
    point = curve.parse_point(sender_key)
    assert point is not None

    def opens(m: int, b: int, point: Point) -> bool:
        number = oracle.index(m, b)
        mask = oracle.wide(Tag.H2C, SID, number, encoded[m][1 - b])
        shared = curve.ecdh(secrets[m][b] + hash_times_generator(mask), point)
        points = b"".join(encoded[m])
        key = oracle.digest(Tag.KDF, SID, sender_key, number, points, shared)
        return key[:SEED_BYTES] == keys[m][b]

    return [(opens(m, 0, point), opens(m, 1, point)) for m in range(BASE_OTS)]


def test_the_attack_works_on_a_hash_times_the_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches an attack that has gone blunt, so that the next test would prove nothing."""
    monkeypatch.setattr(Workspace, "_load_mask", load_broken)
    assert opened_by_knowing_both_logarithms() == [(True, True)] * BASE_OTS


def test_the_attack_fails_on_ours() -> None:
    """Catches a hash-to-curve with a known logarithm: the receiver would hold both keys, know all
    leaves of every tree, and with them Alice's inputs."""
    assert opened_by_knowing_both_logarithms() == [(False, False)] * BASE_OTS


def test_the_keys_of_one_receiver_do_not_serve_another_session() -> None:
    """Catches keys that are not bound to the pair: an offer replayed elsewhere opens nothing."""
    receiver = base_ot.BaseOtReceiver(SID, seeded("receiver"))
    for context, opened in ((SID, BASE_OTS), (hashlib.sha256(b"other").digest(), 0)):
        sent = base_ot.send(context, receiver.message, seeded("sender"))
        assert sent is not None
        sender_key, both = sent
        own = receiver.keys(sender_key)
        assert own is not None
        assert sum(key in pair for key, pair in zip(own, both, strict=True)) == opened
