"""Blame that others can check: the record of a fault in a run, and its judgement by a stranger.

A record holds the frames of the run that the culprit signed, and the public parameters that their
instance binds. :func:`judge` needs nothing else and believes nothing else. Where the fault shows
only with secrets, such as a failed multiplication, a record is the word of the node that made it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from attrs import field, frozen
from attrs.validators import instance_of as exact_type

from metanode.errors import LocalFault, Malformed
from metanode.hashing import tagged_hash
from metanode.protocol.events.run import PLANS, Plan, instance_of
from metanode.protocol.wire.codec import Codec, decode_canonical, encode_canonical
from metanode.protocol.wire.envelope import open_envelope
from metanode.tss.abort import RULES, AbortKind, Evidence, Slot
from metanode.tss.evidence import proves
from spec.fields import many, natural, octets, text
from spec.messages import (
    HASH_OCTETS,
    INPUTS_LIMIT,
    MESSAGES,
    NODE_ID_OCTETS,
    PARTIES_LIMIT,
    Release,
    Step,
)

VERSION: Final = 1
RECORD_OCTETS: Final = 8 << 20
"""More than two frames and all broadcasts of the largest roster have."""
FRAMES_LIMIT: Final = 8
KIND_CHARACTERS: Final = 32
REASON_CHARACTERS: Final = 160
ID_OCTETS: Final = 8
WORD_ONLY: Final = "this node's word only: what shows the fault is secret"

_CODEC: Final = Codec(MESSAGES)


@frozen(kw_only=True)
class BlameRecord:
    """What one node says that another one did in a run that both were in.

    ``time`` is unix time in seconds. ``plan`` and ``evidence`` are canonical CBOR, of a plan and of
    :class:`metanode.tss.abort.Evidence`; ``frames`` are envelopes. ``transferable`` is what the
    accuser found when it judged its own record.
    """

    KIND: ClassVar[str] = "blame"
    version: int = natural(1 << 16)
    network_id: bytes = octets(HASH_OCTETS)
    time: int = natural()
    accuser: bytes = octets(NODE_ID_OCTETS)
    culprit: bytes = octets(NODE_ID_OCTETS)
    event: bytes = octets(HASH_OCTETS)
    attempt: int = natural()
    digest: bytes = octets(HASH_OCTETS)
    members: tuple[bytes, ...] = many(PARTIES_LIMIT, NODE_ID_OCTETS)
    lane: int = natural(INPUTS_LIMIT)
    plan: bytes = octets(at_most=RECORD_OCTETS)
    kind: str = text(KIND_CHARACTERS)
    reason: str = text(REASON_CHARACTERS)
    ban: bool = field(validator=exact_type(bool))
    transferable: bool = field(validator=exact_type(bool))
    evidence: bytes = octets(at_most=RECORD_OCTETS)
    frames: tuple[bytes, ...] = many(FRAMES_LIMIT)

    def encode(self) -> bytes:
        """Return the canonical CBOR of the record: the file that is shown to others."""
        return _RECORDS.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> BlameRecord:
        """Return the record in ``data``; Malformed for anything that is not exactly one."""
        if len(data) > RECORD_OCTETS:
            raise Malformed(f"a blame record has at most {RECORD_OCTETS} bytes")
        record = _RECORDS.decode(data)
        if not isinstance(record, cls) or record.version != VERSION:
            raise Malformed(f"not a blame record of version {VERSION}")
        return record

    @property
    def id(self) -> str:
        """The name by which an operator calls the record: 16 hex digits."""
        return tagged_hash("blame-record", self.encode())[:ID_OCTETS].hex()

    @property
    def purpose(self) -> str:
        """What the run was for."""
        try:
            return str(PLANS.decode(self.plan).purpose)
        except Malformed:
            return "unknown"

    def summary(self) -> dict[str, Any]:
        """Return the record for the operator: no frames."""
        return {
            "id": self.id,
            "time": self.time,
            "purpose": self.purpose,
            "culprit": self.culprit.hex(),
            "accuser": self.accuser.hex(),
            "kind": self.kind,
            "reason": self.reason,
            "ban": self.ban,
            "transferable": self.transferable,
            "event": self.event.hex(),
            "attempt": self.attempt,
            "digest": self.digest.hex(),
            "members": [member.hex() for member in self.members],
        }


_RECORDS: Final = Codec({BlameRecord.KIND: BlameRecord})


@frozen
class Verdict:
    """Whether a record convicts, and why or why not."""

    convicted: bool
    reason: str


def judge(record: BlameRecord) -> Verdict:
    """Return what a stranger must conclude from a record; never raises, whatever is in it."""
    try:
        return _judged(record)
    except (Malformed, LocalFault, ValueError, TypeError, LookupError, OverflowError) as fault:
        return Verdict(False, f"the record contradicts itself: {fault}"[:REASON_CHARACTERS])


def _judged(record: BlameRecord) -> Verdict:
    kind = AbortKind(record.kind)
    if not record.frames:
        return Verdict(False, WORD_ONLY)
    plan: Plan = PLANS.decode(record.plan)
    everybody = plan.members
    instance = instance_of(record.event, record.attempt, record.digest, plan, record.members)
    accused = everybody.index(record.culprit) + 1
    recipient = everybody.index(record.accuser) + 1
    messages: dict[Slot, list[bytes]] = {}
    for frame in record.frames:
        sender, message, _ = open_envelope(record.network_id, _CODEC, frame)
        if sender != record.culprit:
            return Verdict(False, "a frame is not signed by the accused")
        if not isinstance(message, Release | Step) or message.instance != instance:
            return Verdict(False, "a frame is not of this run")
        if message.lane != record.lane or message.recipient not in (0, recipient):
            return Verdict(False, "a frame is of another lane, or for somebody else")
        slot = (message.stage, message.recipient == 0)
        messages.setdefault(slot, []).append(message.payload)
    run = plan.lane(instance, record.lane, record.members)
    evidence = Evidence.from_plain(decode_canonical(record.evidence))
    if record.reason != evidence.reason or record.ban != RULES[kind].ban:
        return Verdict(False, "reason or ban are not those of the evidence")
    if proves(run, kind, accused, recipient, messages, evidence):
        return Verdict(True, "messages that the accused signed show it")
    return Verdict(False, "what the accused signed does not show it")


def encode_records(records: Sequence[BlameRecord]) -> bytes:
    """Return records as they are kept in store."""
    return encode_canonical([record.encode() for record in records])


def decode_records(data: bytes) -> tuple[BlameRecord, ...]:
    """Return the records of :func:`encode_records`; Malformed for anything else."""
    plain = decode_canonical(data)
    if type(plain) is not list or any(type(item) is not bytes for item in plain):
        raise Malformed("not a list of blame records")
    return tuple(BlameRecord.decode(item) for item in plain)
