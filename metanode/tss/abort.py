"""Why a session stopped and whom that blames: one row per kind.

A party may be blamed only for what it alone can have done, given authenticated channels. ``ban``
marks the failures that an adversary can use to learn another party's correlation bits one yes-or-
no answer at a time (selective failure): the pair must not run another multiplication until it has
fresh base transfers. ``transferable`` says that the signed frames named by the evidence convince
a third party.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum, unique

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


@frozen
class Abort:
    """The end of a session without a result.

    ``kind`` is one of :class:`AbortKind`; ``culprits`` are party indices, empty when nobody can be
    named; ``evidence`` is canonical CBOR ``[session id, reason, [[party, item]…]]``.
    """

    kind: str
    culprits: tuple[int, ...]
    evidence: bytes = field(repr=False)
    transferable: bool
    ban: bool


class Blame(MetanodeError):
    """Raised inside a step to end the session; never leaves
    :class:`metanode.tss.session.Session`.
    """

    def __init__(
        self,
        kind: AbortKind,
        reason: str,
        culprits: Iterable[int] = (),
        items: Iterable[tuple[int, bytes]] = (),
    ) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.culprits = tuple(sorted(set(culprits)))
        self.items = tuple(items)

    def abort(self, session_id: bytes) -> Abort:
        """Return the value that callers see, with the flags of this kind's row."""
        rule = RULES[self.kind]
        check(rule.attributed or not self.culprits, f"{self.kind.value} cannot name a culprit")
        evidence = cbor2.dumps(
            [session_id, self.reason, [list(item) for item in self.items]], canonical=True
        )
        blamed = bool(self.culprits)
        return Abort(
            kind=self.kind.value,
            culprits=self.culprits,
            evidence=evidence,
            transferable=rule.transferable and blamed,
            ban=rule.ban and blamed,
        )
