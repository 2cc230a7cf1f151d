"""Broken envelopes name who passed them on; signed nonsense names who signed it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.errors import Malformed
from metanode.identity import Identity
from metanode.protocol.wire.codec import Codec, encode_canonical
from metanode.protocol.wire.envelope import SIGNATURE_TAG, open_envelope, parse_envelope, seal
from spec.messages import MESSAGES, Keepalive

NETWORK = bytes(range(32))
CODEC = Codec(MESSAGES)
ALICE, MALLORY = Identity.from_secret(11), Identity.from_secret(13)
FRAME = seal(ALICE, NETWORK, CODEC, Keepalive(("1.2.3.4:5",)))
ENVELOPE = parse_envelope(FRAME)
PLAIN: dict[str, Any] = {
    "body": ENVELOPE.body,
    "sender": ENVELOPE.sender,
    "signature": ENVELOPE.signature,
}


def refused(frame: bytes, network: bytes = NETWORK) -> tuple[bytes, ...]:
    """Check that a frame from Mallory's link is malformed and return whom it blames."""
    with pytest.raises(Malformed) as caught:
        open_envelope(network, CODEC, frame, MALLORY.node_id)
    return caught.value.culprits()


CHANGES: dict[str, Any] = {
    "another sender": {**PLAIN, "sender": MALLORY.node_id},
    "another body": {**PLAIN, "body": CODEC.encode(Keepalive(()))},
    "no signature": {**PLAIN, "signature": bytes(64)},
    "signature too short": {**PLAIN, "signature": bytes(63)},
    "sender too long": {**PLAIN, "sender": bytes(34)},
    "sender as text": {**PLAIN, "sender": "alice"},
    "body as a map": {**PLAIN, "body": {"k": "keepalive", "b": {}}},
    "signature as a list": {**PLAIN, "signature": [1] * 64},
    "one key more": {**PLAIN, "extra": 1},
    "one key less": {"body": b"", "sender": ENVELOPE.sender},
    "an array": [1, 2, 3],
    "a number": 1,
}


@pytest.mark.parametrize("plain", CHANGES.values(), ids=CHANGES.keys())
def test_a_broken_envelope_is_the_fault_of_the_link_peer(plain: Any) -> None:
    """Catches a forgery that passes, or one that gets the forged sender blamed."""
    assert refused(encode_canonical(plain)) == (MALLORY.node_id,)


def test_an_envelope_of_another_network_is_refused() -> None:
    """Catches a message replayed from a test network."""
    assert refused(FRAME, network=bytes(32)) == (MALLORY.node_id,)


@pytest.mark.parametrize("body", [b"", b"\x00", b"garbage", CODEC.encode(Keepalive(()))[:-1]])
def test_signed_nonsense_is_the_fault_of_its_signer(body: bytes) -> None:
    """Catches the blame on a peer that only passed on what somebody signed."""
    signature = ALICE.sign(SIGNATURE_TAG, NETWORK, ALICE.node_id, body)
    plain = {"body": body, "sender": ALICE.node_id, "signature": signature}
    assert refused(encode_canonical(plain)) == (ALICE.node_id,)


def test_a_signature_for_another_purpose_does_not_make_an_envelope() -> None:
    """Catches a missing tag: a handshake proof must not become a message."""
    body = CODEC.encode(Keepalive(()))
    signature = ALICE.sign("link-proof", NETWORK, ALICE.node_id, body)
    plain = {"body": body, "sender": ALICE.node_id, "signature": signature}
    assert refused(encode_canonical(plain)) == (MALLORY.node_id,)


@given(st.integers(0, len(FRAME) * 8 - 1))
def test_every_bit_of_the_frame_counts(bit: int) -> None:
    """Catches bytes of the frame that nothing checks."""
    position, shift = divmod(bit, 8)
    changed = bytearray(FRAME)
    changed[position] ^= 1 << shift
    refused(bytes(changed))


@given(st.binary(max_size=200))
def test_noise_is_malformed(frame: bytes) -> None:
    """Catches any other exception."""
    refused(frame)
