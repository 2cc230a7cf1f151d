"""Forged proofs of knowledge: nothing but the prover's own text passes, and nothing raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.tss import curve, oracle, proofs
from metanode.tss.oracle import Tag
from metanode.tss.parameters import PROOF_BYTES
from metanode.tss.proofs import prove_share, verify_share
from tests.tss.support import other_point, seeded

CONTEXT = b"session, 1, 0"
POINT = curve.generator_mult(77)
PUBLIC = curve.encode_point(POINT)
PROOF = proofs.prove(Tag.DLOG, CONTEXT, 77, PUBLIC, seeded("x"))


def accepts(proof: bytes, context: bytes = CONTEXT, tag: Tag = Tag.DLOG) -> bool:
    """Return whether a proof holds for the one statement."""
    return proofs.verify(tag, context, PUBLIC, POINT, proof)


def test_a_proof_does_not_serve_another_statement() -> None:
    """Catches proofs that are not bound to session, prover, coefficient, purpose and point."""
    assert accepts(PROOF)
    assert not accepts(PROOF, context=b"session, 1, 1")
    assert not accepts(PROOF, context=b"")
    assert not accepts(PROOF, tag=Tag.SHARE_PROOF)
    other = curve.generator_mult(-77)
    assert not proofs.verify(Tag.DLOG, CONTEXT, curve.encode_point(other), other, PROOF)


def test_every_changed_bit_is_refused() -> None:
    """Catches a bit of R or s that does not count."""
    for bit in range(8 * PROOF_BYTES):
        changed = bytearray(PROOF)
        changed[bit // 8] ^= 1 << bit % 8
        assert not accepts(bytes(changed)), bit


def test_another_text_of_the_same_proof_is_refused() -> None:
    """Catches a response that is not reduced, R in another form, and lengths taken on trust."""
    head, response = PROOF[:33], int.from_bytes(PROOF[33:], "big")
    assert not accepts(PROOF[:-1])
    assert not accepts(PROOF + b"\x00")
    assert not accepts(b"")
    assert not accepts(head + bytes(32))
    assert not accepts(head + curve.ORDER.to_bytes(32, "big"))
    assert not accepts(other_point(head) + PROOF[33:])
    assert not accepts(b"\x04" + PROOF[1:])
    if response + curve.ORDER < 2**256:
        assert not accepts(head + (response + curve.ORDER).to_bytes(32, "big"))


def test_r_made_to_fit_a_challenge_is_refused() -> None:
    """Catches e that does not hash R: choose s and e, set R = s·G − e·X; no secret is needed."""
    response = 12345
    for other in (bytes(33), PROOF[:33], PUBLIC):
        challenge = oracle.scalar(Tag.DLOG, CONTEXT, PUBLIC, other)
        scaled = curve.public_mult(-challenge, POINT)
        assert scaled is not None
        forged = curve.combine([curve.generator_mult(response), scaled])
        assert forged is not None
        assert not accepts(curve.encode_point(forged) + curve.encode_scalar(response))


@given(st.binary(max_size=80), st.binary(min_size=65, max_size=65))
def test_noise_is_refused_and_does_not_raise(short: bytes, long: bytes) -> None:
    """Catches an exception that a peer's proof can cause."""
    assert not accepts(short)
    assert not accepts(long)
    assert not accepts(PROOF[:33] + long[33:])
    assert not accepts(long[:33] + PROOF[33:])


@pytest.mark.parametrize("share", [bytes(33), b"", b"\x02" + b"\xff" * 32, PUBLIC[:32]])
def test_a_share_that_is_no_point_has_no_proof(share: bytes) -> None:
    """Catches an identity or malformed share whose proof is looked at."""
    proof = prove_share(77, PUBLIC, b"peer 1, round 9", seeded("s"))
    assert verify_share(PUBLIC, b"peer 1, round 9", proof)
    assert not verify_share(share, b"peer 1, round 9", proof)


@pytest.mark.parametrize("context", [b"peer 2, round 9", b"peer 1, round 8", b""])
def test_a_copied_share_proof_is_refused(context: bytes) -> None:
    """Catches a proof taken from another peer or an older round."""
    proof = prove_share(77, PUBLIC, b"peer 1, round 9", seeded("s"))
    assert not verify_share(PUBLIC, context, proof)
