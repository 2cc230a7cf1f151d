"""Envelopes: what was said, by whom, on which network."""

from __future__ import annotations

import pytest

from metanode.errors import LocalFault
from metanode.identity import Identity
from metanode.protocol.wire.codec import Codec, decode_canonical
from metanode.protocol.wire.envelope import open_envelope, parse_envelope, seal, verify_signed
from spec.messages import MESSAGES, PARTIES_LIMIT, PAYLOAD_OCTETS, Keepalive, Release

NETWORK = bytes(range(32))
CODEC = Codec(MESSAGES)
ALICE, BOB = Identity.from_secret(11), Identity.from_secret(12)
MESSAGE = Keepalive(("1.2.3.4:5",))


def test_an_envelope_opens_to_what_was_sealed() -> None:
    """Catches a lost sender or message, also when another peer passed the envelope on."""
    frame = seal(ALICE, NETWORK, CODEC, MESSAGE)
    for link_peer in ((), (ALICE.node_id,), (BOB.node_id,)):
        sender, message, envelope = open_envelope(NETWORK, CODEC, frame, *link_peer)
        assert (sender, message, envelope.raw) == (ALICE.node_id, MESSAGE, frame)


def test_the_raw_frame_is_evidence() -> None:
    """Catches an envelope that cannot be shown to a third party."""
    _, _, envelope = open_envelope(NETWORK, CODEC, seal(ALICE, NETWORK, CODEC, MESSAGE))
    again = open_envelope(NETWORK, CODEC, envelope.raw)[2]
    assert again == envelope
    assert parse_envelope(envelope.raw) == envelope


def test_the_signature_can_travel_alone() -> None:
    """Catches a certificate that cannot be checked: the body is rebuilt from the fields."""
    envelope = parse_envelope(seal(ALICE, NETWORK, CODEC, MESSAGE))
    body = CODEC.encode(MESSAGE)
    assert verify_signed(NETWORK, ALICE.node_id, body, envelope.signature)
    assert not verify_signed(NETWORK, BOB.node_id, body, envelope.signature)
    assert not verify_signed(bytes(32), ALICE.node_id, body, envelope.signature)


def test_the_digest_names_sender_and_body() -> None:
    """Catches two messages with one name in the duplicate filter, or one message with two."""
    first = parse_envelope(seal(ALICE, NETWORK, CODEC, MESSAGE))
    other = parse_envelope(seal(BOB, NETWORK, CODEC, MESSAGE))
    second = parse_envelope(seal(ALICE, NETWORK, CODEC, Keepalive(())))
    assert len({first.digest(), other.digest(), second.digest()}) == 3
    assert first.digest() == parse_envelope(seal(ALICE, NETWORK, CODEC, MESSAGE)).digest()


def test_the_frame_has_the_keys_of_the_grammar() -> None:
    """Catches a changed wire format."""
    frame = seal(ALICE, NETWORK, CODEC, MESSAGE)
    assert sorted(decode_canonical(frame)) == ["body", "sender", "signature"]


def test_the_longest_payload_of_the_catalogue_fits_a_frame() -> None:
    """Catches bounds of messages that together are over the bound of a frame."""
    release = Release(bytes(32), 0, 0, bytes(PAYLOAD_OCTETS), PARTIES_LIMIT)
    assert open_envelope(NETWORK, CODEC, seal(ALICE, NETWORK, CODEC, release))[1] == release


def test_an_envelope_that_no_peer_would_take_is_our_own_fault() -> None:
    """Catches a message that is only refused at the other end."""
    with pytest.raises(LocalFault, match="too long"):
        seal(ALICE, NETWORK, CODEC, Keepalive(("x" * (1 << 20),)))
