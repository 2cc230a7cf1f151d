"""Signed envelopes: who said what, in a form that can be shown to others.

After the handshake every frame is an envelope: the canonical CBOR map ``{"body": encoded message,
"sender": node id, "signature": 64 bytes}``. The signature covers the network id, the sender and the
body, so that an envelope proves to anyone what its sender said on this network: two conflicting
ones are evidence. The sender is not always the peer of the link, because floods are passed on.
"""

from __future__ import annotations

from typing import Any, Final

from attrs import field, frozen

from metanode.errors import LocalFault, Malformed
from metanode.hashing import tagged_hash
from metanode.identity import NODE_ID_BYTES, SIGNATURE_BYTES, Identity, verify
from metanode.protocol.wire.codec import Codec, decode_canonical, encode_canonical
from metanode.protocol.wire.framing import AUTHENTICATED_LIMIT_BYTES

SIGNATURE_TAG: Final = "envelope"
_KEYS: Final = {"body", "sender", "signature"}


@frozen
class Envelope:
    """One signed message; ``raw`` is the frame it came in and proves it to third parties."""

    sender: bytes
    body: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    raw: bytes = field(repr=False)

    def digest(self) -> bytes:
        """Return the 32-byte name of this envelope: the duplicate filter and evidence use it.

        It covers what is signed and not the signature: a peer that signs the same body twice with
        two signatures has said one thing.
        """
        return tagged_hash("envelope-digest", self.sender, self.body)


def seal(identity: Identity, network_id: bytes, codec: Codec, message: object) -> bytes:
    """Return the frame payload with ``message`` signed by ``identity`` for ``network_id``.

    Raises LocalFault when the message is not in the catalogue or too long for a frame.
    """
    body = codec.encode(message)
    signature = identity.sign(SIGNATURE_TAG, network_id, identity.node_id, body)
    frame = encode_canonical({"body": body, "sender": identity.node_id, "signature": signature})
    if len(frame) > AUTHENTICATED_LIMIT_BYTES:
        name = type(message).__name__
        raise LocalFault(f"{name}: an envelope of {len(frame)} bytes is too long for a frame")
    return frame


def verify_signed(network_id: bytes, sender: bytes, body: bytes, signature: bytes) -> bool:
    """Tell whether ``signature`` is the one of an envelope with that sender and encoded message.

    With it a signature can travel alone, inside a certificate, when the message can be rebuilt.
    """
    return verify(sender, signature, SIGNATURE_TAG, network_id, sender, body)


def parse_envelope(frame: bytes, *link_peer: bytes) -> Envelope:
    """Return the envelope in ``frame`` without checking its signature.

    Raises Malformed, naming ``link_peer`` (the node the frame came from, if any).
    """
    try:
        plain = decode_canonical(frame)
    except Malformed as error:
        raise Malformed(error.reason, *link_peer) from error
    if type(plain) is not dict or plain.keys() != _KEYS:
        raise Malformed("frame is not an envelope", *link_peer)
    sender, body, signature = plain["sender"], plain["body"], plain["signature"]
    if type(sender) is not bytes or len(sender) != NODE_ID_BYTES:
        raise Malformed("envelope: sender is not a node id", *link_peer)
    if type(signature) is not bytes or len(signature) != SIGNATURE_BYTES:
        raise Malformed("envelope: signature has the wrong length", *link_peer)
    if type(body) is not bytes:
        raise Malformed("envelope: body is not bytes", *link_peer)
    return Envelope(sender, body, signature, frame)


def open_envelope(
    network_id: bytes, codec: Codec, frame: bytes, *link_peer: bytes
) -> tuple[bytes, Any, Envelope]:
    """Return (sender's node id, message, envelope) of a received frame.

    Raises Malformed. A broken envelope or signature is the fault of ``link_peer``, which passed it
    on unchecked (nobody is named when it is not given); a signed body that is no message is the
    sender's.
    """
    envelope = parse_envelope(frame, *link_peer)
    return envelope.sender, open_parsed(network_id, codec, envelope, *link_peer), envelope


def open_parsed(network_id: bytes, codec: Codec, envelope: Envelope, *link_peer: bytes) -> Any:
    """Return the message of an envelope, as :func:`open_envelope`."""
    if not verify_signed(network_id, envelope.sender, envelope.body, envelope.signature):
        raise Malformed("envelope: signature is wrong", *link_peer)
    return codec.decode(envelope.body, envelope.sender)
