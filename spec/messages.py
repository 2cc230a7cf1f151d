"""Every message: its fields, their bounds, and the network cell that it stands for.

An effect on a network cell is a send, and the message that it sends is the one that names that cell
in ``CELL``. ``INDEX`` names the fields that are the cell's index, after the sender's own place and
without a link's number, which is each end's own: what is sent carries the index of the row that
sends it, and what is heard is noted under the index that it carries. Data that rides along
(documents, proofs, payloads) are the other fields. On the wire a
message is the map ``{"b": {fields}, "k": KIND}`` in deterministic CBOR inside a signed envelope
(``wire.cddl``). A field out of bounds raises ``ValueError`` or ``TypeError`` at construction,
wherever it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, ClassVar, TypeVar

from attrs import field, frozen
from attrs.validators import optional

from spec.fields import exactly, many, natural, octets, one_of, optional_octets, part, text
from spec.night_messages import (
    Answer,
    Attendance,
    Complaint,
    Opened,
    Proven,
    Withheld,
)
from spec.parts import (
    ADDRESS_CHARACTERS as ADDRESS_CHARACTERS,
)
from spec.parts import (
    CONFIRMS_ANSWERED as CONFIRMS_ANSWERED,
)
from spec.parts import (
    CONFIRMS_ASKED as CONFIRMS_ASKED,
)
from spec.parts import (
    DOCUMENT_OCTETS as DOCUMENT_OCTETS,
)
from spec.parts import (
    FEE_RATE_LIMIT as FEE_RATE_LIMIT,
)
from spec.parts import (
    HASH_OCTETS as HASH_OCTETS,
)
from spec.parts import (
    INPUTS_LIMIT as INPUTS_LIMIT,
)
from spec.parts import (
    MEMBERS_LIMIT as MEMBERS_LIMIT,
)
from spec.parts import (
    NODE_ID_OCTETS as NODE_ID_OCTETS,
)
from spec.parts import (
    PARTIES_LIMIT as PARTIES_LIMIT,
)
from spec.parts import (
    PAYLOAD_OCTETS as PAYLOAD_OCTETS,
)
from spec.parts import (
    SHARE_PROOF_OCTETS as SHARE_PROOF_OCTETS,
)
from spec.parts import (
    SIGNATURE_OCTETS as SIGNATURE_OCTETS,
)
from spec.parts import (
    TRANSFERS_LIMIT as TRANSFERS_LIMIT,
)
from spec.parts import (
    Certificate as Certificate,
)
from spec.parts import (
    EcdsaSignature as EcdsaSignature,
)
from spec.parts import (
    EventDigest as EventDigest,
)
from spec.parts import (
    LockedCandidate as LockedCandidate,
)
from spec.parts import (
    OutpointRef as OutpointRef,
)
from spec.parts import (
    SignedVote as SignedVote,
)

# --- the handshake of a link, before there are envelopes ----------------------------------------


@frozen
class Hello:
    """Opens the handshake: the sender's claimed identity, and the cookie that is to be signed."""

    KIND: ClassVar[str] = "hello"
    CELL: ClassVar[str] = "hello_sent"
    INDEX: ClassVar[tuple[str, ...]] = ()
    version: int = natural(1 << 16)
    network: bytes = octets(HASH_OCTETS)
    node_id: bytes = octets(NODE_ID_OCTETS)
    cookie: bytes = octets(HASH_OCTETS)


@frozen
class Proof:
    """Answers the cookie: a signature over role, network, both cookies, ids and channel keys."""

    KIND: ClassVar[str] = "proof"
    CELL: ClassVar[str] = "proof_sent"
    INDEX: ClassVar[tuple[str, ...]] = ()
    salt: bytes = octets(HASH_OCTETS)
    signature: bytes = octets(SIGNATURE_OCTETS)


@frozen
class Ready:
    """The other side's proof was accepted."""

    KIND: ClassVar[str] = "ready"
    CELL: ClassVar[str] = "ready_sent"
    INDEX: ClassVar[tuple[str, ...]] = ()


# --- peering ------------------------------------------------------------------------------------


HEALTH = ("ok", "chain_away", "disk_full", "clock_off", "no_share")
"""How a node is: well; or without its chain daemon, with a disk that is nearly full, with a clock
that most peers contradict, or a holder whose share is not there. The gravest is said."""


@frozen
class Ping:
    """Every ping period: state, health, stake and a proof of the share of a node.

    A holder of the epoch in force that sends no proof is not listed, whatever its health is.
    """

    KIND: ClassVar[str] = "ping"
    CELL: ClassVar[str] = "pinged"
    INDEX: ClassVar[tuple[str, ...]] = ()
    sequence: int = natural()
    time_ms: int = natural()
    phase: str = text(16)
    stake: OutpointRef = part(OutpointRef)  # noqa: RUF009 - declares a field, makes no value
    key_id: bytes | None = optional_octets(HASH_OCTETS)
    share_proof: bytes | None = optional_octets(SHARE_PROOF_OCTETS)
    key_epoch: int = natural()
    health: str = one_of(HEALTH)


@frozen
class Keepalive:
    """Up to eight endpoints that the sender knows, its own first, and the receiver's address as the
    sender sees it (empty: it does not say).
    """

    KIND: ClassVar[str] = "keepalive"
    CELL: ClassVar[str] = "kept_alive"
    INDEX: ClassVar[tuple[str, ...]] = ()
    endpoints: tuple[str, ...] = many(8)
    seen_as: str = text(ADDRESS_CHARACTERS, default="")


@frozen
class Publish:
    """Deposits that the sender saw before they were confirmed."""

    KIND: ClassVar[str] = "publish"
    CELL: ClassVar[str] = "published"
    INDEX: ClassVar[tuple[str, ...]] = ()
    seen: tuple[OutpointRef, ...] = many(TRANSFERS_LIMIT)


@frozen
class ConfirmReq:
    """What the sender lacks of open events: votes, a certificate, signatures.

    ``nonce`` binds the answer to the question: one that answers is alive now. The crawler asks for
    nothing else.
    """

    KIND: ClassVar[str] = "confirm_req"
    CELL: ClassVar[str] = "confirm_asked"
    INDEX: ClassVar[tuple[str, ...]] = ()
    nonce: bytes = octets(HASH_OCTETS)
    asked: tuple[EventDigest, ...] = many(CONFIRMS_ASKED)


@frozen
class ConfirmAck:
    """The answer to one question: votes as their voters signed them, however few they are.

    Signatures and certificates are told in messages of their own, ``SignatureFound`` and ``Begin``.
    """

    KIND: ClassVar[str] = "confirm_ack"
    CELL: ClassVar[str] = "confirm_answered"
    INDEX: ClassVar[tuple[str, ...]] = ()
    nonce: bytes = octets(HASH_OCTETS)
    votes: tuple[Certificate, ...] = many(CONFIRMS_ANSWERED)


# --- a signing round ----------------------------------------------------------------------------


@frozen
class Offer:
    """The transfers that the sender can validate as a round starts, and the lock that it holds.

    ``fee_floor`` is the least that its chain daemon takes, in base units a vB, rounded up.
    """

    KIND: ClassVar[str] = "offer"
    CELL: ClassVar[str] = "offered"
    INDEX: ClassVar[tuple[str, ...]] = ("round",)
    round: int = natural()
    height: int = natural(1 << 32)
    block: bytes = octets(HASH_OCTETS)
    fee_floor: int = natural(FEE_RATE_LIMIT)
    transfers: tuple[OutpointRef, ...] = many(TRANSFERS_LIMIT)
    locked: LockedCandidate | None = field(
        default=None, validator=optional(exactly(LockedCandidate))
    )


@frozen
class Proposal:
    """⟨H(document), H(id, document), share proof⟩ for one round."""

    KIND: ClassVar[str] = "proposal"
    CELL: ClassVar[str] = "proposed"
    INDEX: ClassVar[tuple[str, ...]] = ("round", "document_hash")
    round: int = natural()
    key_epoch: int = natural()
    document_hash: bytes = octets(HASH_OCTETS)
    id_hash: bytes = octets(HASH_OCTETS)
    share_proof: bytes = octets(SHARE_PROOF_OCTETS)


@frozen
class SigningSet:
    """The peers whose proposals the sender accepted in this round, sorted."""

    KIND: ClassVar[str] = "signing_set"
    CELL: ClassVar[str] = "set_sent"
    INDEX: ClassVar[tuple[str, ...]] = ("round",)
    round: int = natural()
    key_epoch: int = natural()
    members: tuple[bytes, ...] = many(MEMBERS_LIMIT, NODE_ID_OCTETS)


@frozen
class Vote:
    """A round's checksum or a coordinator's ACK: one an attempt, durable before it leaves."""

    KIND: ClassVar[str] = "vote"
    CELL: ClassVar[str] = "vote"
    INDEX: ClassVar[tuple[str, ...]] = ("event", "attempt", "digest")
    key_epoch: int = natural()
    event: bytes = octets(HASH_OCTETS)
    attempt: int = natural()
    digest: bytes = octets(HASH_OCTETS)
    members: tuple[bytes, ...] = many(PARTIES_LIMIT, NODE_ID_OCTETS)


# --- sessions -----------------------------------------------------------------------------------


@frozen
class Setup:
    """A coordinator's request: what to do, with whom, and the document to be rebuilt."""

    KIND: ClassVar[str] = "setup"
    CELL: ClassVar[str] = "setup_sent"
    INDEX: ClassVar[tuple[str, ...]] = ("event", "attempt", "digest")
    key_epoch: int = natural()
    event: bytes = octets(HASH_OCTETS)
    attempt: int = natural()
    digest: bytes = octets(HASH_OCTETS)
    purpose: str = text(16)
    document: bytes = octets(at_most=DOCUMENT_OCTETS)
    members: tuple[bytes, ...] = many(PARTIES_LIMIT, NODE_ID_OCTETS)
    locked: LockedCandidate | None = field(
        default=None, validator=optional(exactly(LockedCandidate))
    )


@frozen
class Begin:
    """The certificate that begins a session; its voters are the members."""

    KIND: ClassVar[str] = "begin"
    CELL: ClassVar[str] = "begin_sent"
    INDEX: ClassVar[tuple[str, ...]] = (
        "certificate.event",
        "certificate.attempt",
        "certificate.digest",
    )
    certificate: Certificate = part(Certificate)  # noqa: RUF009 - declares a field, makes no value


@frozen
class Release:
    """The first signing message of a session, for one party or (0) all: the share is released."""

    KIND: ClassVar[str] = "release"
    CELL: ClassVar[str] = "share"
    INDEX: ClassVar[tuple[str, ...]] = ("instance",)
    instance: bytes = octets(HASH_OCTETS)
    lane: int = natural(INPUTS_LIMIT)
    stage: int = natural(16)
    payload: bytes = octets(at_most=PAYLOAD_OCTETS)
    recipient: int = natural(PARTIES_LIMIT + 1)


@frozen
class Step:
    """A later message of a session; ``lane`` numbers the run's sessions: each signs inputs."""

    KIND: ClassVar[str] = "step"
    CELL: ClassVar[str] = "stepped"
    INDEX: ClassVar[tuple[str, ...]] = ("instance",)
    instance: bytes = octets(HASH_OCTETS)
    lane: int = natural(INPUTS_LIMIT)
    stage: int = natural(16)
    payload: bytes = octets(at_most=PAYLOAD_OCTETS)
    recipient: int = natural(PARTIES_LIMIT + 1)


@frozen
class SignatureFound:
    """The finished signatures of an event, one per input; each node forwards them once."""

    KIND: ClassVar[str] = "signature_found"
    CELL: ClassVar[str] = "announced"
    INDEX: ClassVar[tuple[str, ...]] = ("event", "digest")
    event: bytes = octets(HASH_OCTETS)
    digest: bytes = octets(HASH_OCTETS)
    document: bytes = octets(at_most=DOCUMENT_OCTETS)
    signers: tuple[bytes, ...] = many(MEMBERS_LIMIT, NODE_ID_OCTETS)
    signatures: tuple[EcdsaSignature, ...] = many(INPUTS_LIMIT)


@frozen
class Renounced:
    """The sender never released a share for this event, and takes no part in it any more (F-16)."""

    KIND: ClassVar[str] = "renounced"
    CELL: ClassVar[str] = "renounced_said"
    INDEX: ClassVar[tuple[str, ...]] = ("event",)
    event: bytes = octets(HASH_OCTETS)


# --- keys ---------------------------------------------------------------------------------------


@frozen
class Confirmation:
    """What a member stored at the end of a key generation; it counts when all n say the same."""

    KIND: ClassVar[str] = "confirmation"
    CELL: ClassVar[str] = "confirmed"
    INDEX: ClassVar[tuple[str, ...]] = ("key",)
    key: int = natural()
    key_epoch: int = natural()
    digest: bytes = octets(HASH_OCTETS)


@frozen
class SignedConfirmation:
    """The signature under which a member sent its ``Confirmation``, or its ``SharePrepared``."""

    member: bytes = octets(NODE_ID_OCTETS)
    signature: bytes = octets(SIGNATURE_OCTETS)


@frozen
class Confirmations:
    """The confirmations that the sender has of one key, so that the receiver has them too."""

    KIND: ClassVar[str] = "confirmations"
    CELL: ClassVar[str] = "confirmations_shown"
    INDEX: ClassVar[tuple[str, ...]] = ("key",)
    key: int = natural()
    key_epoch: int = natural()
    digest: bytes = octets(HASH_OCTETS)
    confirmations: tuple[SignedConfirmation, ...] = many(MEMBERS_LIMIT)


@frozen
class KeyLocked:
    """A key that is locked in: holders, all confirmations, its signature over its own name."""

    KIND: ClassVar[str] = "key_locked"
    CELL: ClassVar[str] = "key_announced"
    INDEX: ClassVar[tuple[str, ...]] = ("key",)
    key: int = natural()
    key_epoch: int = natural()
    roster: tuple[bytes, ...] = many(MEMBERS_LIMIT, NODE_ID_OCTETS)
    public_key: bytes = octets(NODE_ID_OCTETS)
    confirmation: bytes = octets(HASH_OCTETS)
    confirmations: tuple[SignedConfirmation, ...] = many(MEMBERS_LIMIT)
    signature: bytes = octets(SIGNATURE_OCTETS)


# --- the regroup --------------------------------------------------------------------------------


@frozen
class SharePrepared:
    """The sender's share of this epoch is on its disk; ``document`` is the public part of it."""

    KIND: ClassVar[str] = "share_prepared"
    CELL: ClassVar[str] = "ready_said"
    INDEX: ClassVar[tuple[str, ...]] = ("epoch",)
    epoch: int = natural()
    document: bytes = octets(at_most=DOCUMENT_OCTETS)


@frozen
class LockShown:
    """A lock that the sender hands over to the members of an epoch, with its certificate."""

    KIND: ClassVar[str] = "lock_shown"
    CELL: ClassVar[str] = "lock_shown"
    INDEX: ClassVar[tuple[str, ...]] = (
        "epoch",
        "locked.certificate.event",
        "locked.certificate.attempt",
        "locked.certificate.digest",
    )
    epoch: int = natural()
    locked: LockedCandidate = part(LockedCandidate)  # noqa: RUF009 - declares a field


@frozen
class HandedOver:
    """The sender stepped back for this epoch; ``locks`` is the hash over all locks that it showed.

    A receiver that has not got all of them finds another hash, and waits until they are shown
    again. ``prepared`` are the signatures under which all members sent ``SharePrepared`` with this
    document: each holder passes them on, or a liar could stop the old epoch halfway.
    """

    KIND: ClassVar[str] = "handed_over"
    CELL: ClassVar[str] = "handed_over"
    INDEX: ClassVar[tuple[str, ...]] = ("epoch",)
    epoch: int = natural()
    locks: bytes = octets(HASH_OCTETS)
    document: bytes = octets(at_most=DOCUMENT_OCTETS)
    prepared: tuple[SignedConfirmation, ...] = many(MEMBERS_LIMIT)


@frozen
class Missed:
    """The sender waited in vain for a member's part in the attempt that would make this epoch."""

    KIND: ClassVar[str] = "missed"
    CELL: ClassVar[str] = "missed"
    INDEX: ClassVar[tuple[str, ...]] = ("absent", "epoch")
    epoch: int = natural()
    absent: bytes = octets(NODE_ID_OCTETS)


HANDSHAKE: tuple[type, ...] = (Hello, Proof, Ready)
ENVELOPED: tuple[type, ...] = (
    Ping, Keepalive, Publish, ConfirmReq, ConfirmAck, Offer, Proposal, SigningSet, Vote, Setup,
    Begin, Release, Step,
    SignatureFound, Renounced, Confirmation, Confirmations, KeyLocked,
    SharePrepared, LockShown, HandedOver, Missed,
    Attendance, Complaint, Answer, Opened, Proven, Withheld,
)
_Class = TypeVar("_Class", bound=type)


def _by_kind(classes: tuple[_Class, ...]) -> Mapping[str, _Class]:
    return {vars(cls)["KIND"]: cls for cls in classes}


HANDSHAKE_MESSAGES = _by_kind(HANDSHAKE)
MESSAGES = _by_kind((*HANDSHAKE, *ENVELOPED))
"""Every message class by the kind that stands for it on the wire."""

MESSAGE_OF_CELL = {vars(cls)["CELL"]: cls for cls in MESSAGES.values()}
"""The message that an effect on a network cell sends."""


_READERS = {
    cls: tuple(map(attrgetter, vars(cls)["INDEX"])) for cls in (*HANDSHAKE, *ENVELOPED)
}


def index_of(message: object) -> tuple[Any, ...]:
    """Return the index under which a message stands in its cell, without the sender."""
    return tuple(read(message) for read in _READERS[type(message)])
