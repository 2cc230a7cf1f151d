"""Forged signatures, unknown documents and hostile chain news."""

from __future__ import annotations

import pytest
from attrs import evolve

from spec import messages as m
from tests.protocol.rounds.support import IDS, Holder

OTHER = bytes([5]) * 32
ONE = bytes(31) + b"\1"


def waiting(*names: str) -> Holder:
    """Return a node with a chain on which deposits wait."""
    node = Holder.make()
    for _ in range(3):
        node.mine()
    node.mine(*(names or ("a deposit",)))
    return node


def flipped(found: m.SignatureFound) -> m.SignatureFound:
    """Return signatures of which the first has one bit turned."""
    rs = bytearray(found.signatures[0].rs)
    rs[40] ^= 1
    return evolve(found, signatures=(m.EcdsaSignature(bytes(rs)), *found.signatures[1:]))


def test_forged_signatures_settle_nothing() -> None:
    """Catches a payout believed without verifying it: the deposit would never be paid."""
    node = waiting("a", "b")
    document = node.certified()
    real = node.signatures(document)
    first, second, *rest = real.signatures
    for forged in (
        evolve(real, signatures=(m.EcdsaSignature(ONE + ONE), second, *rest)),
        evolve(real, signatures=(m.EcdsaSignature(bytes(64)), second, *rest)),
        evolve(real, signatures=(m.EcdsaSignature(b"\xff" * 64), second, *rest)),
        evolve(real, signatures=(second, first, *rest)),
        evolve(real, signatures=real.signatures[:-1]),
        evolve(real, signatures=(first, second, second, *rest)),
        evolve(real, signatures=()),
        evolve(real, event=OTHER),
        evolve(real, digest=OTHER),
        flipped(real),
    ):
        node.hear(1, forged)
        assert not node.rows()
        assert not node.payouts.payouts
    node.hear(2, real)
    assert node.book.status(document.event) == "SUCCESS"


def test_a_forged_signature_that_comes_first_does_not_keep_out_the_real_one() -> None:
    """Catches an event that a forger closes: signatures for a known document must verify."""
    node = waiting()
    real = node.signatures(node.proposed())
    node.hear(1, flipped(real))
    node.hear(1, real)
    assert node.book.status(real.event) == "SUCCESS"


def test_signatures_that_were_verified_once_lend_nothing_to_others() -> None:
    """Catches a check that is remembered for more than it was about."""
    node = waiting("a", "b")
    document = node.paid()
    real = node.signatures(document)
    assert node.payouts.verified(real)
    assert not node.payouts.verified(flipped(real))
    assert not node.payouts.verified(evolve(real, digest=OTHER))
    assert not node.payouts.verified(evolve(real, document=b"no document"))


def test_what_nobody_has_signed_leaves_no_trace() -> None:
    """Catches a store and a memory that grow with what a member claims was signed."""
    node = waiting()
    real = node.signatures(node.proposed())
    for number in range(100):
        found = evolve(real, event=number.to_bytes(32, "big"))
        for forged in (found, evolve(found, document=b"no document"), flipped(real)):
            node.hear(1, forged)
            assert not node.effects.trace
            assert not node.effects.writes
    assert not node.payouts.payouts
    assert len(node.windows._read) == 1


def test_before_there_is_a_key_signatures_are_ignored() -> None:
    """Catches a node without a key that fails on a payout, or remembers it."""
    ahead = waiting()
    real = ahead.signatures(ahead.proposed())
    node = Holder.make(holds=False)
    node.hear(1, real)
    assert not node.rows()
    assert not node.payouts.payouts


@pytest.mark.parametrize(
    "change",
    [
        {"signatures": (m.EcdsaSignature(bytes(64)),) * (m.INPUTS_LIMIT + 1)},
        {"signers": (b"\x02" * 33,) * (m.MEMBERS_LIMIT + 1)},
        {"document": bytes(m.DOCUMENT_OCTETS + 1)},
        {"event": b"short"},
        {"digest": b"short"},
    ],
)
def test_oversized_announcements_cannot_be_built_or_read(change: dict[str, object]) -> None:
    """Catches a list or a document without a bound."""
    good = m.SignatureFound(OTHER, OTHER, b"", (), ())
    with pytest.raises(ValueError):
        evolve(good, **change)


def test_who_signed_is_said_and_proves_nothing() -> None:
    """F-15: catches a real payout that is refused for who shows it, or whom it names."""
    node = waiting()
    real = node.signatures(node.proposed())
    node.hear(3, evolve(real, signers=(b"\x02" + bytes(32),)))
    assert node.book.status(real.event) == "SUCCESS"
    assert IDS[3] in node.ctx.links
