"""The release verifier and the share proof."""

from __future__ import annotations

import pytest
from coincurve import PrivateKey
from fastecdsa import ecdsa

from metanode.custody.transaction import der_signature
from metanode.tss import curve
from metanode.tss.curve import ORDER
from metanode.tss.proofs import prove_share, verify_share
from metanode.tss.verify import recovery_id, verify_compact, verify_signature
from tests.spec.vectors.der import verify_der
from tests.tss.support import DIGEST, seeded

SECRET = 0x1234567890ABCDEF << 64 | 77
PUBLIC = curve.encode_point(curve.generator_mult(SECRET))
H = int.from_bytes(DIGEST, "big")


def sign(nonce: int) -> tuple[int, int]:
    """Sign DIGEST with a given nonce, low s."""
    x, _ = curve.affine(curve.generator_mult(nonce))
    r = x % ORDER
    s = (H + r * SECRET) * curve.inverse(nonce) % ORDER
    return r, min(s, ORDER - s)


R, S = sign(987654321)


def test_accepts_a_good_signature() -> None:
    """Catches a verifier that refuses everything."""
    assert verify_signature(PUBLIC, DIGEST, R, S)


@pytest.mark.parametrize(
    ("r", "s"),
    [
        (R, ORDER - S),
        (0, S),
        (R, 0),
        (ORDER, S),
        (R, ORDER),
        (R + ORDER, S),
        (-R, S),
        (R, -S),
        (2**256, S),
        (R, 2**300),
        (R + 1, S),
        (R, S + 1),
        (True, S),
        (float(R), S),
        ("1", S),
        (None, S),
    ],
)
def test_refuses_bad_numbers(r: object, s: object) -> None:
    """Catches high s, values out of range and values of another type, without raising."""
    assert not verify_signature(PUBLIC, DIGEST, r, s)


@pytest.mark.parametrize(
    ("public", "digest"),
    [
        (PUBLIC, DIGEST[:31]),
        (PUBLIC, DIGEST + b"\x00"),
        (PUBLIC, bytes(32)),
        (PUBLIC, bytearray(DIGEST)),
        (PUBLIC[:32], DIGEST),
        (bytes(33), DIGEST),
        (b"\x02" + b"\xff" * 32, DIGEST),
        (curve.encode_point(curve.generator_mult(2)), DIGEST),
        ("x" * 33, DIGEST),
    ],
)
def test_refuses_bad_keys_and_digests(public: object, digest: object) -> None:
    """Catches truncated, mistyped or foreign keys and digests."""
    assert not verify_signature(public, digest, R, S)


def test_forms_of_keys_and_signatures() -> None:
    """Catches an entry point that is not the rule; spec/vectors holds the cases against parsers."""
    point = curve.parse_point(PUBLIC)
    assert point is not None
    x, y = (value.to_bytes(32, "big") for value in curve.affine(point))
    compact = R.to_bytes(32, "big") + S.to_bytes(32, "big")
    for key in (PUBLIC, b"\x04" + x + y):
        assert verify_signature(key, DIGEST, R, S)
        assert verify_compact(key, DIGEST, compact)
        assert verify_der(key, DIGEST, der_signature(R, S))
    for key in (b"\x06" + x + y, b"\x07" + x + y, b"\x04" + y + x, b"\x02" + x + y, x + y, x):
        assert not verify_signature(key, DIGEST, R, S)
    assert not verify_compact(PUBLIC, DIGEST, der_signature(R, S))
    assert not verify_der(PUBLIC, DIGEST, compact)


def test_both_libraries_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a rule that became OR: one refusal must be enough, whichever library it is."""
    with monkeypatch.context() as patch:
        patch.setattr(curve, "ecdsa_accepts", lambda *_: False)
        assert not verify_signature(PUBLIC, DIGEST, R, S)
    with monkeypatch.context() as patch:
        patch.setattr(ecdsa, "verify", lambda *_, **__: False)
        assert not verify_signature(PUBLIC, DIGEST, R, S)


def test_bounds_hold_without_the_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a bound that only libsecp256k1 keeps: the rule states r, s and low s by itself."""
    monkeypatch.setattr(curve, "ecdsa_accepts", lambda *_: True)
    monkeypatch.setattr(ecdsa, "verify", lambda *_, **__: True)
    half = ORDER // 2
    for r, s in ((1, 1), (ORDER - 1, half)):
        assert verify_signature(PUBLIC, DIGEST, r, s)
    for r, s in ((0, 1), (1, 0), (ORDER, 1), (-1, 1), (1, -1), (1, half + 1), (1, ORDER)):
        assert not verify_signature(PUBLIC, DIGEST, r, s)


def test_share_proof_is_bound_to_share_and_context() -> None:
    """Catches a replayed proof: other context, other share, other bytes all fail (F-10)."""
    proof = prove_share(SECRET, PUBLIC, b"peer 1, round 7", seeded("proof"))
    assert len(proof) == 65
    assert verify_share(PUBLIC, b"peer 1, round 7", proof)
    assert not verify_share(PUBLIC, b"peer 1, round 8", proof)
    other = curve.encode_point(curve.generator_mult(5))
    assert not verify_share(other, b"peer 1, round 7", proof)
    for at in (0, 5, 33, 64):
        bad = proof[:at] + bytes((proof[at] ^ 1,)) + proof[at + 1 :]
        assert not verify_share(PUBLIC, b"peer 1, round 7", bad)


@pytest.mark.parametrize(
    ("public", "proof"),
    [
        (bytes(33), bytes(65)),
        (PUBLIC, b""),
        (PUBLIC, bytes(65)),
        (PUBLIC, PUBLIC + bytes(32)),
        (PUBLIC, PUBLIC + ORDER.to_bytes(32, "big")),
        (b"", bytes(65)),
    ],
)
def test_share_proof_never_raises(public: bytes, proof: bytes) -> None:
    """Catches a crash or an acceptance on malformed proofs."""
    assert not verify_share(public, b"", proof)


def test_share_proofs_do_not_repeat_a_nonce() -> None:
    """Catches nonce reuse under a broken entropy source: it would reveal the share."""
    first = prove_share(SECRET, PUBLIC, b"a", bytes)
    second = prove_share(SECRET, PUBLIC, b"b", bytes)
    assert first[:33] != second[:33]


@pytest.mark.parametrize("digest", [DIGEST, bytes(32), ORDER.to_bytes(32, "big"), b"\xff" * 32])
def test_the_recovery_id_is_that_of_the_signer(digest: bytes) -> None:
    """Catches a wrong parity, and a digest of 0 mod n, which adds nothing to the nonce point."""
    seen = set()
    for number in range(1, 9):
        key = PrivateKey(bytes([number]) * 32)
        made = key.sign_recoverable(digest, hasher=None)
        r, s = int.from_bytes(made[:32], "big"), int.from_bytes(made[32:64], "big")
        found = recovery_id(key.public_key.format(), digest, r, s)
        assert found == made[64]
        seen.add(found)
    assert seen == {0, 1}, "both parities came up"
