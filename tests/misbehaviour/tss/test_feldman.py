"""Dealt shares against their commitments: off the polynomial, at infinity, out of range."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.tss import feldman
from metanode.tss.curve import ORDER
from metanode.tss.feldman import Commitments, Polynomial
from tests.tss.ideal import ideal_transfers
from tests.tss.support import deliver, keygen_sessions, seeded

POLYNOMIAL = Polynomial((11, 22, 33))
DEALT = Commitments.parse(POLYNOMIAL.commitments())
assert DEALT is not None


@given(st.integers(1, 60), st.integers(0, ORDER - 1))
def test_no_other_share_opens(x: int, share: int) -> None:
    """Catches a check that some wrong share passes."""
    right = POLYNOMIAL.value_at(x)
    assert DEALT.opens_to(x, right)
    assert not DEALT.opens_to(x + 1, right)
    assert DEALT.opens_to(x, share) is (share == right)


def test_zero_never_opens() -> None:
    """Catches a dealer whose polynomial is zero at one party: that share would be no secret."""
    rooted = Polynomial((ORDER - 4, 2))
    dealt = Commitments.parse(rooted.commitments())
    assert dealt is not None
    assert rooted.value_at(2) == 0
    assert dealt.value_at(2) is None
    assert not dealt.opens_to(2, 0)


def test_commitments_that_cancel_out_are_no_commitments() -> None:
    """Catches a sum at infinity that goes on as something else."""
    mirrored = Commitments.parse(Polynomial((ORDER - 11, 1, 2)).commitments())
    assert mirrored is not None
    assert feldman.total([DEALT, mirrored]) is None
    assert feldman.total([DEALT, DEALT]) is not None


@pytest.mark.parametrize("bad", [bytes(33), b"\x02" + (5).to_bytes(32, "big"), b"\x04" * 33, b"x"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_is_no_point_is_no_commitment(bad: bytes, place: int) -> None:
    """Catches a bad point among good ones."""
    points = [POLYNOMIAL.commitments()[at : at + 33] for at in (0, 33, 66)]
    points[place] = bad
    assert Commitments.parse(b"".join(points)) is None


def test_proofs_of_another_order_or_dealer_are_refused() -> None:
    """Catches a list of proofs that is checked as a set, or for whoever made it."""
    shown = POLYNOMIAL.proofs(POLYNOMIAL.commitments(), b"sid", 1, seeded("p"))
    assert DEALT.all_proved(b"sid", 1, shown)
    assert not DEALT.all_proved(b"sid", 2, shown)
    assert not DEALT.all_proved(b"other", 1, shown)
    assert not DEALT.all_proved(b"sid", 1, shown[65:130] + shown[:65] + shown[130:])


def test_a_key_at_infinity_is_nobodys_fault() -> None:
    """Catches a key that two dealers cancel out, or a culprit named for what takes both."""
    sessions = keygen_sessions(2, 2)
    first = sessions[1].start()
    constant = sessions[1]._polynomial.coefficients[0]
    sessions[2]._constant_term = lambda: ORDER - constant
    with ideal_transfers():
        sessions[1].start = lambda: first
        deliver(sessions)
    for session in sessions.values():
        assert session.abort is not None
        assert (session.abort.kind, session.abort.culprits) == ("key_mismatch", ())
