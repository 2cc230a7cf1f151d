"""Why a session stopped and whom that blames: one row per kind.

A party may be blamed only for what it alone can have done, given authenticated channels. ``ban``
marks the failures that an adversary can use to learn another party's correlation bits one yes-or-
no answer at a time (selective failure): the pair must not run another multiplication until it has
fresh base transfers. ``transferable`` says that the signed frames named by the evidence convince
a third party.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum, unique
from typing import Any

import cbor2
from attrs import field, frozen

from metanode.errors import MetanodeError, check


@unique
class AbortKind(StrEnum):
    """Every reason for which a session ends without a result."""

    MALFORMED = "malformed"
    EQUIVOCATION = "equivocation"
    COMMITMENT = "commitment"
    PROOF = "proof"
    SHARE = "share"
    OT_CONSISTENCY = "ot_consistency"
    MUL_CHECK = "mul_check"
    KEY_MISMATCH = "key_mismatch"
    INVALID_SIGNATURE = "invalid_signature"
    TIMEOUT = "timeout"


@frozen
class Rule:
    """What follows from one kind. ``attributed`` permits culprits; ``why`` is the reason."""

    attributed: bool
    transferable: bool
    ban: bool
    why: str


RULES: dict[AbortKind, Rule] = {
    AbortKind.MALFORMED: Rule(True, True, False, "the sender's own frame fails a public check"),
    AbortKind.EQUIVOCATION: Rule(True, True, False, "two frames of one sender for one slot"),
    AbortKind.COMMITMENT: Rule(True, True, False, "the opening contradicts the same sender's hash"),
    AbortKind.PROOF: Rule(True, True, False, "a published proof fails for everybody alike"),
    AbortKind.SHARE: Rule(True, True, False, "a dealt share contradicts its commitments"),
    AbortKind.OT_CONSISTENCY: Rule(True, False, True, "only a guess at choice bits fails so"),
    AbortKind.MUL_CHECK: Rule(True, False, True, "one multiplication had unequal inputs"),
    AbortKind.KEY_MISMATCH: Rule(False, False, False, "a sum over all: anyone may be at fault"),
    AbortKind.INVALID_SIGNATURE: Rule(False, False, False, "a sum over all, as above"),
    AbortKind.TIMEOUT: Rule(False, False, False, "silence proves nothing"),
}


Slot = tuple[int, bool]
"""A place for one message of one party: (round, whether it is a broadcast)."""


@frozen(kw_only=True)
class Evidence:
    """What shows the culprits' fault, apart from their signatures, which the caller has.

    ``slots`` are the places whose messages, signed by a culprit, convince a third party.
    ``broadcasts`` (by round and party) and ``chain_parts`` (part and salt by party) are what they
    must be held against; both are bound by the culprit's own messages, so nobody vouches for them.
    """

    session_id: bytes
    reason: str
    slots: tuple[Slot, ...] = ()
    broadcasts: Mapping[tuple[int, int], bytes] = field(factory=dict, repr=False)
    chain_parts: Mapping[int, tuple[bytes, bytes]] = field(factory=dict, repr=False)

    def plain(self) -> list[Any]:
        """Return it as nested lists."""
        return [
            self.session_id,
            self.reason,
            [list(slot) for slot in self.slots],
            [[*place, payload] for place, payload in sorted(self.broadcasts.items())],
            [[party, *opening] for party, opening in sorted(self.chain_parts.items())],
        ]

    @classmethod
    def from_plain(cls, plain: Any) -> Evidence:
        """Return the evidence of :meth:`plain`; ``ValueError`` or ``TypeError`` for anything else.
        """
        session_id, reason, slots, broadcasts, chain_parts = plain
        found = cls(
            session_id=session_id,
            reason=reason,
            slots=tuple((number, public) for number, public in slots),
            broadcasts={(number, party): payload for number, party, payload in broadcasts},
            chain_parts={party: (part, salt) for party, part, salt in chain_parts},
        )
        opened = [item for opening in found.chain_parts.values() for item in opening]
        octets = [session_id, *found.broadcasts.values(), *opened]
        numbers = [n for place in found.broadcasts for n in place] + list(found.chain_parts)
        numbers += [number for number, _ in found.slots]
        exact = (
            all(type(item) is bytes for item in octets)
            and all(type(number) is int for number in numbers)
            and all(type(public) is bool for _, public in found.slots)
            and type(reason) is str
        )
        if not exact or found.plain() != plain:
            raise ValueError("not evidence")
        return found


@frozen
class Abort:
    """The end of a session without a result.

    ``kind`` is one of :class:`AbortKind`; ``culprits`` are party indices, empty when nobody can be
    named; ``evidence`` is the canonical CBOR of :meth:`Evidence.plain`.
    """

    kind: str
    culprits: tuple[int, ...]
    evidence: bytes = field(repr=False)
    transferable: bool
    ban: bool


class Blame(MetanodeError):
    """Raised inside a step to end the session; never leaves
    :class:`metanode.tss.session.Session`. ``shown`` are the fields of :class:`Evidence`.
    """

    def __init__(
        self, kind: AbortKind, reason: str, culprits: Iterable[int] = (), **shown: Any
    ) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.culprits = tuple(sorted(set(culprits)))
        self.shown = shown

    def abort(self, session_id: bytes) -> Abort:
        """Return the value that callers see, with the flags of this kind's row."""
        rule = RULES[self.kind]
        check(rule.attributed or not self.culprits, f"{self.kind.value} cannot name a culprit")
        evidence = Evidence(session_id=session_id, reason=self.reason, **self.shown)
        blamed = bool(self.culprits)
        return Abort(
            kind=self.kind.value, culprits=self.culprits,
            evidence=cbor2.dumps(evidence.plain(), canonical=True),
            transferable=rule.transferable and blamed, ban=rule.ban and blamed,
        )
