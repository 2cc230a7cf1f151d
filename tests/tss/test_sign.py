"""Signing between honest parties."""

from __future__ import annotations

import hashlib
import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from random import Random

import attrs
import pytest
from coincurve import PublicKey
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from hypothesis import given, settings
from hypothesis import strategies as st

from metanode.errors import LocalFault
from metanode.tss import curve
from metanode.tss.lane import Signature, tweaked_key
from metanode.tss.messages import Message
from metanode.tss.sign import SignSession
from metanode.tss.verify import verify_signature
from tests.tss.support import COMPACT, DIGEST, deal, deliver, generate, seeded, sign_sessions


def outcome(sessions: dict[int, SignSession]) -> Signature:
    """Return the one signature that all sessions agree on."""
    results = {session.result for session in sessions.values()}
    assert len(results) == 1, [session.abort for session in sessions.values()]
    result = results.pop()
    assert result is not None
    return result


def check_everywhere(public: bytes, digest: bytes, signature: Signature) -> None:
    """Verify with libsecp256k1, OpenSSL and fastecdsa; check low s and the recovery id."""
    r, s = signature.r, signature.s
    assert s <= curve.ORDER // 2
    assert verify_signature(public, digest, r, s)
    key = PublicKey(public)
    x, y = key.point()
    openssl = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256K1()).public_key()
    openssl.verify(
        utils.encode_dss_signature(r, s), digest, ec.ECDSA(utils.Prehashed(hashes.SHA256()))
    )
    compact = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((signature.recovery_id,))
    assert PublicKey.from_signature_and_message(compact, digest, hasher=None) == key


@pytest.mark.parametrize(("threshold", "count"), [(2, 3), (3, 4)])
def test_signing_after_real_key_generation(threshold: int, count: int) -> None:
    """Catches key generation and signing that work apart but not together."""
    shares = generate(threshold, count)
    for chosen in combinations(shares, threshold):
        sessions = sign_sessions(shares, chosen)
        deliver(sessions)
        check_everywhere(shares[1].public_key, DIGEST, outcome(sessions))


@settings(max_examples=8)
@given(st.binary(min_size=32, max_size=32), st.integers(min_value=0, max_value=curve.ORDER - 1))
def test_any_digest_and_tweak(digest: bytes, tweak: int) -> None:
    """Catches digests above the order, zero digests and a tweak added to the wrong place."""
    shares = deal(2, 3)
    sessions = sign_sessions(shares, (1, 3), digest=digest, tweak=tweak, seed=digest)
    deliver(sessions)
    check_everywhere(tweaked_key(shares[1].public_key, tweak), digest, outcome(sessions))


@pytest.mark.parametrize("seed", range(4))
def test_order_and_repetition_do_not_matter(seed: int) -> None:
    """Catches a session that depends on delivery order or stumbles over duplicates."""
    shares = deal(3, 4)
    sessions = sign_sessions(shares, (1, 2, 4))
    deliver(sessions, shuffle=Random(seed), copies=2)
    check_everywhere(shares[1].public_key, DIGEST, outcome(sessions))


def test_compact_parameters_sign_and_do_not_mix() -> None:
    """Catches a preset that works on paper only, or that shares session ids with another."""
    shares = deal(2, 2)
    sessions = sign_sessions(shares, (1, 2), parameters=COMPACT)
    deliver(sessions)
    check_everywhere(shares[1].public_key, DIGEST, outcome(sessions))
    assert sessions[1].session_id != sign_sessions(shares, (1, 2))[1].session_id


def test_parallel_sessions_on_one_share() -> None:
    """Catches state shared between sessions: three digests signed in one interleaved run."""
    shares = deal(3, 3)
    digests = [hashlib.sha256(bytes((k,))).digest() for k in range(3)]
    runs = [sign_sessions(shares, (1, 2, 3), digest=digest) for digest in digests]
    queue: list[Message] = [m for run in runs for s in run.values() for m in s.start()]
    random = Random(1)
    while queue:
        message = queue.pop(random.randrange(len(queue)))
        # Every session sees every message: the session id alone must sort them out.
        for run in runs:
            for party, session in run.items():
                if party != message.sender:
                    queue += session.receive(message)
    for digest, run in zip(digests, runs, strict=True):
        check_everywhere(shares[1].public_key, digest, outcome(run))


def test_sessions_in_threads() -> None:
    """Catches hidden global state: several threads sign with one key share at the same time."""
    shares = deal(3, 3)
    digests = [hashlib.sha256(bytes((k,))).digest() for k in range(4)]

    def run(digest: bytes) -> Signature:
        sessions = sign_sessions(shares, (1, 2, 3), digest=digest)
        deliver(sessions)
        return outcome(sessions)

    with ThreadPoolExecutor(4) as pool:
        for digest, signature in zip(digests, pool.map(run, digests), strict=True):
            check_everywhere(shares[1].public_key, digest, signature)


def test_two_signatures_never_share_a_nonce_point() -> None:
    """Catches nonce reuse between two runs on one digest: it would reveal the key."""
    shares = deal(2, 2)
    runs = [sign_sessions(shares, (1, 2), instance=bytes((k,)) * 32) for k in range(2)]
    for run in runs:
        deliver(run)
    assert outcome(runs[0]).r != outcome(runs[1]).r


def test_session_id_depends_on_everything() -> None:
    """Catches a session that accepts messages made for another purpose."""
    shares = deal(2, 3)
    share = shares[1]
    variants: list[dict[str, object]] = [
        {},
        {"signers": (1, 3)},
        {"digest": bytes(32)},
        {"instance": b"\x01" * 32},
        {"tweak": 1},
        {"keyshare": attrs.evolve(share, epoch=1)},
        {"keyshare": attrs.evolve(share, key_id=bytes(32))},
        {"keyshare": attrs.evolve(share, public_key=share.public_shares[1])},
        {"parameters": COMPACT},
    ]
    good: dict[str, object] = {
        "keyshare": share,
        "signers": (1, 2),
        "digest": DIGEST,
        "instance": bytes(32),
        "entropy": seeded("x"),
    }
    ids = {SignSession(**{**good, **change}).session_id for change in variants}
    assert len(ids) == len(variants)


@pytest.mark.parametrize(
    "change",
    [
        {"signers": (1,)},
        {"signers": (1, 2, 3)},
        {"signers": (1, 1)},
        {"signers": (2, 3)},
        {"signers": (1, 4)},
        {"signers": (0, 1)},
        {"signers": (True, 2)},
        {"signers": (1.0, 2)},
        {"digest": bytes(31)},
        {"digest": b""},
        {"instance": bytes(31)},
        {"tweak": -1},
        {"tweak": True},
        {"tweak": curve.ORDER},
    ],
)
def test_bad_configuration_is_refused(change: dict[str, object]) -> None:
    """Catches a quorum below or above t, repeated or foreign signers, and odd digests."""
    good: dict[str, object] = {
        "keyshare": deal(2, 3)[1],
        "signers": (1, 2),
        "digest": DIGEST,
        "instance": bytes(32),
        "entropy": seeded("x"),
    }
    with pytest.raises(LocalFault):
        SignSession(**{**good, **change})


def test_single_use_and_not_serialisable() -> None:
    """Catches a session run twice from one state: two answers to one nonce give the key away."""
    sessions = sign_sessions(deal(2, 2), (1, 2))
    deliver(sessions)
    with pytest.raises(LocalFault):
        sessions[1].start()
    with pytest.raises(LocalFault):
        pickle.dumps(sessions[1])


def test_states_are_reported_in_order() -> None:
    """Catches a state that does not say which round is awaited, and secrets kept at the end."""
    sessions = sign_sessions(deal(2, 2), (1, 2))
    assert sessions[1].state == "new"
    assert len(sessions[1].start()) == 2
    assert sessions[1].state == "round-1"
    assert sessions[1].waiting_for == (2,)
    answers = [m for message in sessions[2].start() for m in sessions[1].receive(message)]
    assert [message.round for message in answers] == [2, 2]
    assert sessions[1].state == "round-2"
    assert sessions[1].result is None
    sessions[1].expire()
    assert sessions[1].state == "aborted"
    assert sessions[1].waiting_for == ()
    abort = sessions[1].abort
    assert abort is not None
    assert (abort.kind, abort.culprits) == ("timeout", ())
    assert not abort.ban
    assert not abort.transferable
    assert sessions[1]._keyshare is None
    assert not sessions[1]._bobs


def test_key_parts_hide_the_shares() -> None:
    """Catches zero shares that do not sum to zero, or that leave λ·s visible on the wire."""
    shares = deal(3, 4)
    sessions = sign_sessions(shares, (1, 2, 4))
    seen: dict[int, bytes] = {}

    def look(_: int, message: Message) -> Message:
        if message.round == 2 and message.recipient is None:
            values = sessions[1]._shape(2, 1, None)
            assert values is not None
            decoded = values.decode(message.payload)
            assert decoded is not None
            seen[message.sender] = decoded["key_point"]
        return message

    deliver(sessions, tamper=look)
    points = [curve.parse_point(point) for point in seen.values()]
    total = curve.combine([point for point in points if point is not None])
    assert total is not None
    assert curve.encode_point(total) == shares[1].public_key
    for party, point in seen.items():
        weight = curve.lagrange_at_zero(party, (1, 2, 4))
        bare = curve.generator_mult(weight * shares[party].secret_share)
        assert point != curve.encode_point(bare)


@settings(max_examples=6)
@given(st.integers(min_value=2, max_value=5), st.binary(min_size=32, max_size=32))
def test_zero_shares_sum_to_zero(threshold: int, instance: bytes) -> None:
    """Catches a sign or an order error in the zero sharing."""
    sessions = sign_sessions(deal(threshold, 5), tuple(range(1, threshold + 1)), instance=instance)
    shares = [session._zero_share(session._lanes[0]) for session in sessions.values()]
    assert sum(shares) % curve.ORDER == 0
    assert all(share % curve.ORDER for share in shares)
