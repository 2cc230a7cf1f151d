"""What attempts are for: one interface for the six kinds of event that are decided by votes.

A *purpose* knows which attempts are due, rebuilds one that another node sets up, begins the run
that a certificate allows, and takes what the run comes to. Coordinators and sessions treat all of
them alike. The six are: keygen and lock-in (``keys/``), regroup and succession (``reshare/``), sign
(``requests/``) and payout (``payouts/``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import define, field, frozen

from metanode.errors import PeerFault
from metanode.protocol.context import Context
from metanode.protocol.events.run import Run, SignPlan, instance_of, lane_nonce
from metanode.protocol.inputs import Input
from metanode.protocol.tables.view import Quorum
from metanode.tss.keyshare import Keyshare
from metanode.tss.sign import SignSession
from spec.messages import Certificate, EcdsaSignature, SignatureFound, Vote


def coordinator_of(members: Sequence[bytes], key_epoch: int, attempt: int) -> bytes:
    """Return the member whose turn an attempt is."""
    return members[(key_epoch + attempt) % len(members)]


@frozen(kw_only=True)
class Task:
    """An attempt as this node itself would set it up.

    ``members`` may all vote, in ascending order; ``quorum`` says how many votes are enough, or all
    of them are (``needs_all``). ``leaders`` are those who take turns in setting it up, if not all.
    """

    purpose: str
    event: bytes
    attempt: int
    key_epoch: int
    document: bytes = field(repr=False)
    digest: bytes
    members: tuple[bytes, ...]
    quorum: Quorum
    needs_all: bool = False
    leaders: tuple[bytes, ...] = ()

    @property
    def coordinator(self) -> bytes:
        """The member whose turn this attempt is."""
        return coordinator_of(self.leaders or self.members, self.key_epoch, self.attempt)

    @property
    def vote(self) -> Vote:
        """The vote of this attempt: it names everything that the members agree on."""
        return Vote(self.key_epoch, self.event, self.attempt, self.digest, self.members)

    @property
    def about(self) -> dict[str, Any]:
        """The parameters of the rows that are about this attempt and its digest."""
        return {"e": self.event, "a": self.attempt, "d": self.digest}

    @property
    def votes_needed(self) -> int:
        """How many equal votes make the certificate."""
        return len(self.members) if self.needs_all else self.quorum.threshold


class Purpose(ABC):
    """One kind of event; ``kind`` is its value of ``spec.safe_sign.KIND``.

    The methods here suit a purpose whose attempts nobody proposes and that ends in no signature;
    each purpose overrides what differs.
    """

    kind: str

    def due(self) -> Iterable[Task]:
        """Return the attempts that may be set up now, as this node sees them."""
        return ()

    @abstractmethod
    def rebuild(self, event: bytes, attempt: int) -> Task | None:
        """Return an attempt that another node sets up, as this node would set it up (F-17)."""

    def consider(self, event: bytes, attempt: int, document: bytes) -> Task | None:
        """Return an attempt as this node would set it up, given what the document shows.

        Only a regroup's document shows anything: the statements on which its roster rests.
        """
        return self.rebuild(event, attempt)

    @abstractmethod
    def oldest(self) -> int:
        """Return the oldest attempt whose time is not over."""

    @abstractmethod
    def begin(self, task: Task, certificate: Certificate) -> Run | None:
        """Return the run that a certificate allows; None when this node cannot take part.

        Rows that must run before it are fired here (``keygen.Start``).
        """

    @abstractmethod
    def verifies(self, run: Run) -> bool:
        """Return whether the results of a run are what it was for."""

    @abstractmethod
    def finished(self, run: Run) -> None:
        """Take the results of a run whose session has finished: step ``run_finished``."""

    def ended(self, event: bytes, attempt: int, missed: Sequence[bytes]) -> None:
        """An attempt has come to nothing; ``missed`` are the members that were waited for, or that
        are to blame: steps ``run_aborted`` and ``attempts_over``.
        """
        return

    @abstractmethod
    def concerns(self, event: bytes, document: bytes, attempt: int | None) -> bool:
        """Return whether an event is of this kind, by its document and, if known, an attempt."""

    def verified(self, found: SignatureFound) -> bool:
        """Return whether finished signatures verify under the key, as the document asks."""
        return False

    def heard(self, sender: bytes, found: SignatureFound) -> None:
        """Take finished signatures that a peer shows: step ``signature_taken``.

        PeerFault for what nobody may send. A signature that cannot be judged yet waits.
        """
        raise PeerFault(f"a signature of a {self.kind}, which ends in shares", sender)

    def waiting(self) -> Iterable[tuple[bytes, SignatureFound]]:
        """Return signatures that waited, with their senders, if they can be judged now."""
        return ()

    def tells(self, entry: Input) -> Iterable[tuple[bytes, bytes]]:
        """Return finished events, each with a peer that an input shows to have missed it."""
        return ()


@define
class Purposes:
    """The purposes of one node by kind."""

    ctx: Context
    by_kind: dict[str, Purpose] = field(factory=dict)

    def add(self, purpose: Purpose) -> None:
        """Take a purpose up."""
        self.by_kind[purpose.kind] = purpose

    def due(self) -> Iterable[Task]:
        """Yield the attempts that may be set up now."""
        for purpose in self.by_kind.values():
            yield from purpose.due()

    def kind_of(self, event: bytes, document: bytes, attempt: int | None = None) -> str | None:
        """Return what an event is about, by its document and, if known, an attempt; or None."""
        kinds = self.by_kind.items()
        return next((k for k, p in kinds if p.concerns(event, document, attempt)), None)

    def consider(self, kind: str, event: bytes, attempt: int, document: bytes) -> Task | None:
        """Return an attempt of a kind as this node would set it up, given its document."""
        purpose = self.by_kind.get(kind)
        return None if purpose is None else purpose.consider(event, attempt, document)


def signing_run(ctx: Context, task: Task, certificate: Certificate, keyshare: Keyshare) -> Run:
    """Return the run in which the voters of a certificate sign the digest of a task."""
    members = tuple(vote.voter for vote in certificate.votes)
    plan = SignPlan.of(task.purpose, task.members, keyshare.package, [task.digest])
    instance = instance_of(task.event, task.attempt, task.digest, plan, members)
    signers = [task.members.index(member) + 1 for member in members]
    nonce = lane_nonce(instance, 0)
    lane = SignSession(keyshare, signers, task.digest, nonce, ctx.entropy)
    return Run(
        task.purpose, task.key_epoch, task.event, task.attempt, task.digest, members, task.members,
        task.quorum, (lane,), plan=plan,
    )


def signatures_of(run: Run, document: bytes) -> SignatureFound:
    """Return the signatures that a run has made of a document, to be shown to anyone."""
    signatures = tuple(
        EcdsaSignature(each.r.to_bytes(32, "big") + each.s.to_bytes(32, "big"))
        for each in run.results or ()
    )
    return SignatureFound(run.event, run.digest, document, run.members, signatures)
