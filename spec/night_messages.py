"""The messages of a night: whom holders heard, and complaints about a dealing."""

from __future__ import annotations

from typing import ClassVar

from attrs import field, frozen
from attrs.validators import optional

from spec.fields import exactly, many, natural, octets, part
from spec.parts import HASH_OCTETS, NODE_ID_OCTETS, PAYLOAD_OCTETS, Certificate, OutpointRef

OPENING_OCTETS = 97
ATTENDANCE_LIMIT = 12
"""Candidates, and silent holders, that one statement names: T statements fit into a document."""
NIGHTS_LIMIT = 1 << 16


@frozen
class Candidacy:
    """A peer without a share, and the stake with which it wants one."""

    node: bytes = octets(NODE_ID_OCTETS)
    stake: OutpointRef = part(OutpointRef)  # noqa: RUF009 - declares a field, makes no value


@frozen
class Silence:
    """A holder that was not heard for so many nights, each from its hour to the next."""

    node: bytes = octets(NODE_ID_OCTETS)
    nights: int = natural(NIGHTS_LIMIT)


@frozen
class Attendance:
    """Whom the sender heard in the day before a night: one statement a night, kept for good.

    ``heard`` are candidates whose stake is good, the oldest stakes first, ``silent`` the holders
    whom it did not hear for a night or longer, the longest first.
    """

    KIND: ClassVar[str] = "attendance"
    CELL: ClassVar[str] = "attended"
    INDEX: ClassVar[tuple[str, ...]] = ("night",)
    night: int = natural()
    heard: tuple[Candidacy, ...] = many(ATTENDANCE_LIMIT)
    silent: tuple[Silence, ...] = many(ATTENDANCE_LIMIT)


@frozen
class Complaint:
    """The sender has not got what a member had to send it in a stage of the run of an attempt.

    In the first stage it shows the certificate: the coordinator may have kept that to itself.
    """

    KIND: ClassVar[str] = "complaint"
    CELL: ClassVar[str] = "complained"
    INDEX: ClassVar[tuple[str, ...]] = ("accused", "epoch")
    epoch: int = natural()
    accused: bytes = octets(NODE_ID_OCTETS)
    instance: bytes = octets(HASH_OCTETS)
    stage: int = natural(16)
    certificate: Certificate | None = field(
        default=None, validator=optional(exactly(Certificate))
    )


@frozen
class Answer:
    """To a complaint, before all: what was sent, sealed to the identity key of who complained."""

    KIND: ClassVar[str] = "answer"
    CELL: ClassVar[str] = "answered"
    INDEX: ClassVar[tuple[str, ...]] = ("complainer", "epoch")
    epoch: int = natural()
    complainer: bytes = octets(NODE_ID_OCTETS)
    instance: bytes = octets(HASH_OCTETS)
    stage: int = natural(16)
    sealed: bytes = octets(at_most=PAYLOAD_OCTETS)


@frozen
class Opened:
    """The sender opens what was sealed to it in an answer: it is no message of the run.

    ``opening`` is the shared point of both keys and a proof that it is (``metanode/sealing.py``).
    """

    KIND: ClassVar[str] = "opened"
    CELL: ClassVar[str] = "opened"
    INDEX: ClassVar[tuple[str, ...]] = ("accused", "epoch")
    epoch: int = natural()
    accused: bytes = octets(NODE_ID_OCTETS)
    instance: bytes = octets(HASH_OCTETS)
    stage: int = natural(16)
    opening: bytes = octets(OPENING_OCTETS)


@frozen
class Proven:
    """A record of blame (``metanode/protocol/blame/record.py``): frames that the accused signed in
    the dealing of an attempt show that it has spoilt it.
    """

    KIND: ClassVar[str] = "proven"
    CELL: ClassVar[str] = "proof_shown"
    INDEX: ClassVar[tuple[str, ...]] = ("accused", "epoch")
    epoch: int = natural()
    accused: bytes = octets(NODE_ID_OCTETS)
    record: bytes = octets(at_most=PAYLOAD_OCTETS)


@frozen
class Withheld:
    """Members complained of another one in attempts up to this, and the sender heard no answer, or
    it was shown a proof.
    """

    KIND: ClassVar[str] = "withheld"
    CELL: ClassVar[str] = "withheld"
    INDEX: ClassVar[tuple[str, ...]] = ("accused", "epoch")
    epoch: int = natural()
    accused: bytes = octets(NODE_ID_OCTETS)
