"""The parts of messages that several messages have, and how long they may be."""

from __future__ import annotations

from attrs import frozen

from spec.fields import many, natural, octets, part
from spec.parameters import LARGEST_ROSTER

NODE_ID_OCTETS = 33
HASH_OCTETS = 32
SIGNATURE_OCTETS = 64
SHARE_PROOF_OCTETS = 65
MEMBERS_LIMIT = LARGEST_ROSTER
PARTIES_LIMIT = 2 * LARGEST_ROSTER
"""Old and new holders, who make new shares together."""
TRANSFERS_LIMIT = 256
INPUTS_LIMIT = 512
"""Signatures of one payout: inputs times versions."""
FEE_RATE_LIMIT = 10_001
DOCUMENT_OCTETS = 1 << 17
ADDRESS_CHARACTERS = 45
"""The longest text of an IPv6 address."""
PAYLOAD_OCTETS = (1 << 20) - 4096
CONFIRMS_ASKED = 255
"""Pairs of event and digest in one question, as many as Nano's has."""
CONFIRMS_ANSWERED = 8
"""Pairs that one answer is about: their votes fit into a frame."""


@frozen
class OutpointRef:
    """An output of a transaction: the deposit behind a transfer."""

    txid: bytes = octets(HASH_OCTETS)
    index: int = natural(1 << 32)


@frozen
class SignedVote:
    """The signature under which a node sent a ``Vote``: anyone who has both can show them."""

    voter: bytes = octets(NODE_ID_OCTETS)
    signature: bytes = octets(SIGNATURE_OCTETS)


@frozen
class Certificate:
    """At least t equal votes for one digest in one attempt of one event (SAFE-SIGN 3).

    ``members`` is the field of the votes: the threshold set of a round, or those whom SETUP asked.
    """

    key_epoch: int = natural()
    event: bytes = octets(HASH_OCTETS)
    attempt: int = natural()
    digest: bytes = octets(HASH_OCTETS)
    members: tuple[bytes, ...] = many(PARTIES_LIMIT, NODE_ID_OCTETS)
    votes: tuple[SignedVote, ...] = many(PARTIES_LIMIT)


@frozen
class EventDigest:
    """An event, and the digest that a statement about it is asked for."""

    event: bytes = octets(HASH_OCTETS)
    digest: bytes = octets(HASH_OCTETS)


@frozen
class LockedCandidate:
    """A lock that its holder shows: the document to be rebuilt, and the lock's certificate."""

    document: bytes = octets(at_most=DOCUMENT_OCTETS)
    certificate: Certificate = part(Certificate)  # noqa: RUF009 - declares a field, makes no value


@frozen
class EcdsaSignature:
    """r ‖ s, each 32 octets, low-s."""

    rs: bytes = octets(SIGNATURE_OCTETS)
