"""Sealed messages: who can read them, and what an opening proves."""

from __future__ import annotations

import pytest

from metanode.identity import Identity
from metanode.sealing import (
    SEALED_BYTES_MORE,
    open_sealed,
    opened_before_all,
    opening_of,
    seal_to,
)
from tests.support import entropy

RECEIVER = Identity.generate(entropy("receiver"))
OTHER = Identity.generate(entropy("other"))
TEXT = b"a share and a seed"


def sealed(text: bytes = TEXT) -> bytes:
    """Return a text that is sealed to the receiver."""
    return seal_to(RECEIVER.node_id, text, entropy("sender"))


def test_only_the_receiver_reads_it() -> None:
    """Catches a key that does not depend on the receiver, and a text in the clear."""
    message = sealed()
    assert open_sealed(RECEIVER, message) == TEXT
    assert open_sealed(OTHER, message) is None
    assert TEXT not in message
    assert len(message) == len(TEXT) + SEALED_BYTES_MORE


@pytest.mark.parametrize("place", [0, 1, 40, -1])
def test_a_changed_message_is_no_text(place: int) -> None:
    """Catches a cipher without authentication."""
    message = bytearray(sealed())
    message[place] ^= 1
    assert open_sealed(RECEIVER, bytes(message)) is None


def test_an_opening_shows_the_text_to_anybody() -> None:
    """Catches an opening that needs the receiver's key to be checked."""
    message = sealed()
    opening = opening_of(RECEIVER, message, entropy("proof"))
    assert opening is not None
    assert opened_before_all(RECEIVER.node_id, message, opening.encode()) == (True, TEXT)


def test_an_opening_of_rubbish_shows_that_there_is_no_text() -> None:
    """Catches an accused that goes free because what it sealed cannot be read."""
    rubbish = sealed()[:40] + bytes(20)
    opening = opening_of(RECEIVER, rubbish, entropy("proof"))
    assert opening is not None
    assert opened_before_all(RECEIVER.node_id, rubbish, opening.encode()) == (True, None)
    assert opening_of(RECEIVER, bytes(60), entropy("proof")) is None
    assert opened_before_all(RECEIVER.node_id, bytes(60), b"") == (True, None)


def test_nobody_makes_an_opening_that_shows_another_text() -> None:
    """Catches a false complaint that convicts: another shared point, another receiver, a changed
    proof.
    """
    message = sealed()
    opening = opening_of(RECEIVER, message, entropy("proof"))
    foreign = opening_of(OTHER, message, entropy("proof"))
    assert opening is not None
    assert foreign is not None
    encoded = opening.encode()
    for wrong in (
        foreign.encode(), foreign.shared + opening.proof, encoded[:-1], encoded[:33] + bytes(64),
        encoded[:-1] + bytes([encoded[-1] ^ 1]), b"", bytes(97),
    ):
        assert opened_before_all(RECEIVER.node_id, message, wrong) == (False, None)
    assert opened_before_all(OTHER.node_id, message, encoded) == (False, None)
