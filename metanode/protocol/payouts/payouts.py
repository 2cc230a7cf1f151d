"""Payouts: the runs that sign them, signatures from wherever they come, the way to the chain.

Everything that must survive is in the tables' disk cells and in the event book; what is here is
made of that again after a start.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import define, field

from metanode.chains.base import TxState
from metanode.custody.payout import (
    PayoutDocument,
    SignedPayout,
    attach,
    decode_document,
    payout_event,
)
from metanode.errors import Malformed, MetanodeError
from metanode.protocol.context import Context
from metanode.protocol.events.event_book import EventBook
from metanode.protocol.events.purpose import Purpose, Task, signatures_of
from metanode.protocol.events.run import Run, SignPlan, instance_of, lane_nonce
from metanode.protocol.inputs import ChainNews, Input, LinkUp, PayoutAnswer, Tick
from metanode.protocol.rounds.candidate import Candidates
from metanode.protocol.rounds.inbox import Inbox
from metanode.protocol.tables.effects import Broadcast, LookUp
from metanode.protocol.tables.registry import fact, handles
from metanode.tss.sign import LanesSession
from metanode.tss.verify import verify_signature
from spec.messages import Certificate, LockedCandidate, SignatureFound

OPEN = ("SIGNED", "BROADCAST", "REORGED")
WAITING_PER_SENDER = 4
TOLD_AGAIN = 4
SHOWN: dict[TxState, str] = {"pending": "present", "included": "present", "final": "final"}
"""What the chain's answers are in the tables; every other one means that it has no such payout."""


@define
class Payout:
    """A payout with finished signatures.

    ``send_at`` is when it may be sent again at the earliest (unix seconds), ``pause`` how long the
    next pause is, and ``reason`` why the chain's daemon refused it last.
    """

    document: PayoutDocument
    signed: SignedPayout
    found: SignatureFound
    looked_up: float = 0.0
    send_at: float = 0.0
    pause: float = 0.0
    reason: str = ""


@define
class Payouts(Purpose):
    """The payouts of a node that are signed, by event, and the purpose of those to be signed."""

    ctx: Context
    book: EventBook
    candidates: Candidates
    inbox: Inbox
    kind: str = "payout"
    payouts: dict[bytes, Payout] = field(factory=dict)
    _waiting: dict[bytes, dict[bytes, SignatureFound]] = field(factory=dict)
    _verified: SignatureFound | None = None

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    # --- the purpose: no coordinator sets a payout up, a round does ---

    def rebuild(self, event: bytes, attempt: int) -> Task | None:
        """Return nothing: a payout is proposed in a round, not set up."""
        return None

    def oldest(self) -> int:
        """Return the current round, or the next one when this one has no time left for signing."""
        over = self.ctx.round_share() >= self.ctx.preset.signing_share
        return self.ctx.round_number() + over

    def begin(self, task: Task, certificate: Certificate) -> Run | None:
        """Return the signing run that a round's certificate allows; its voters are the signers."""
        ctx, document = self.ctx, self.inbox.book(task.attempt).document
        key = ctx.epochs.get(task.key_epoch)
        if document is None or key is None or key.keyshare is None:
            return None
        members = tuple(vote.voter for vote in certificate.votes)
        plan = SignPlan.of(self.kind, key.roster, key.package, document.sighashes())
        instance = instance_of(task.event, task.attempt, task.digest, plan, members)
        signers = [key.index_of(member) for member in members]
        lanes = tuple(
            LanesSession(key.share, signers, digests, lane_nonce(instance, lane), ctx.entropy)
            for lane, digests in enumerate(plan.lanes)
        )
        ctx.note(
            "round.signing",
            round=task.attempt,
            inputs=len(plan.digests),
            signers=[member.hex()[:16] for member in members],
        )
        return Run(
            self.kind, key.number, task.event, task.attempt, task.digest, members, key.roster,
            key.quorum, lanes, plan=plan,
        )

    def verifies(self, run: Run) -> bool:
        """Return whether the signatures of a run are those of the document that it is locked on."""
        found = self._found(run)
        return found is not None and self.verified(found)

    def finished(self, run: Run) -> None:
        """Take the signatures of a run."""
        found = self._found(run)
        if found is not None:
            self._take(found)

    def concerns(self, event: bytes, document: bytes, attempt: int | None) -> bool:
        """Return whether a document is that of a payout, and the event the one it is about."""
        try:
            request = decode_document(document)
        except Malformed:
            return False
        network_id, lead = self.ctx.settings.network_id, request.transfers[0]
        return event == request.event == payout_event(network_id, request.key_id, lead)

    def verified(self, found: SignatureFound) -> bool:
        """Return whether signatures verify, one for each input of the document as rebuilt here."""
        document = self._document(found)
        if document is None or document.digest != found.digest:
            return False
        kept = self.payouts.get(found.event)
        if found == self._verified or (kept is not None and found == kept.found):
            return True
        digests, pairs = document.sighashes(), _pairs(found)
        valid = len(digests) == len(pairs) and all(
            verify_signature(document.public_key, digest, r, s)
            for digest, (r, s) in zip(digests, pairs, strict=True)
        )
        if valid:
            self._verified = found
        return valid

    def heard(self, sender: bytes, found: SignatureFound) -> None:
        """Take signatures that a peer shows, if they verify, from any sender (F-15).

        While the ledger is behind, so that it does not give the document, the message waits.
        """
        if self.ctx.key is None or self.book.status(found.event) == "SUCCESS":
            return
        if self._document(found) is not None:
            self._take(found)
            return
        waiting = self._waiting.setdefault(sender, {})
        waiting[found.event] = found
        if len(waiting) > WAITING_PER_SENDER:
            waiting.pop(next(iter(waiting)))

    def waiting(self) -> Iterable[tuple[bytes, SignatureFound]]:
        """Return what waited for the chain, when there is news of it."""
        if not isinstance(self.ctx.input, ChainNews):
            return ()
        waiting, self._waiting = self._waiting, {}
        return [(sender, found) for sender, kept in waiting.items() for found in kept.values()]

    def tells(self, entry: Input) -> Iterable[tuple[bytes, bytes]]:
        """Return the newest payouts for a peer that came up: it may have missed them."""
        if not isinstance(entry, LinkUp):
            return ()
        return [(event, entry.peer) for event in list(self.payouts)[-TOLD_AGAIN:]]

    # --- locks ---

    def locks(self) -> tuple[LockedCandidate, ...]:
        """Return the locks of payouts that are neither signed nor on the chain."""
        return tuple(
            candidate
            for event, candidate in self.book.locked.items()
            if self.book.kind(event) == self.kind
            and self.book.status(event) in ("PENDING", "IN_PROGRESS")
            and self.candidates.rebuild(candidate.document) is not None
        )

    # --- the chain ---

    @fact
    def on_chain(self, e: bytes) -> str:
        payout, entry = self.payouts.get(e), self.ctx.input
        if payout is None:
            return "unseen"
        if isinstance(entry, ChainNews) and payout.signed.txid in self._undone():
            return "disconnected"
        if self._lost_an_input(payout):
            return "displaced"
        if (mined := self._mined_at(payout)) is not None:
            return "final" if mined <= self.candidates.settled else "present"
        if isinstance(entry, PayoutAnswer) and entry.event == e:
            return SHOWN.get(entry.state, "unseen")
        return "unseen"

    @handles("payout_followed")
    def payout_followed(self) -> None:
        ctx, entry = self.ctx, self.ctx.input
        if isinstance(entry, Tick):
            self._look_up()
        if not isinstance(entry, PayoutAnswer) or entry.event not in self.payouts:
            return
        event, payout = entry.event, self.payouts[entry.event]
        if ctx.tries("payout.Conflict", e=event):
            ctx.note("payout.reverted", txid=payout.signed.txid.hex())
        self._hear_reason(payout, entry)
        if ctx.tries("payout.Accepted", e=event):
            payout.pause = payout.send_at = 0.0
        ctx.tries("payout.Dropped", e=event)
        if self._state(event) in ("SIGNED", "REORGED") and payout.send_at <= ctx.now:
            self._broadcast(payout)
        if ctx.tries("payout.Final", e=event):
            transfers = len(payout.document.transfers)
            ctx.note("payout.final", txid=payout.signed.txid.hex(), transfers=transfers)

    def _hear_reason(self, payout: Payout, answer: PayoutAnswer) -> None:
        """Keep why a daemon refuses a payout until it does no more."""
        if answer.reason and answer.reason != payout.reason:
            txid = payout.signed.txid.hex()
            self.ctx.note("payout.refused", txid=txid, reason=answer.reason)
        if answer.reason or answer.state != "unknown":
            payout.reason = answer.reason

    @handles("payouts_gone")
    def payouts_gone(self) -> None:
        gone = self._undone()
        left = [payout for payout in self.payouts.values() if payout.signed.txid in gone]
        for payout in self.ctx.each(left):
            if self.ctx.tries("payout.Reorg", e=payout.document.event):
                self._broadcast(payout)

    @handles("payout_resumed")
    def payout_resumed(self) -> None:
        missing = [
            found
            for event, found in self.book.found.items()
            if event not in self.payouts and self.book.kind(event) == self.kind
        ]
        for found in self.ctx.each(missing):
            if self._keep(found) is not None:
                self.ctx.tries("payout.Finish", e=found.event)

    def _undone(self) -> set[bytes]:
        """Return the transactions that spent custody coins in the blocks just undone."""
        return {spend.txid for block in self.candidates.undone for spend in block.spends}

    def _lost_an_input(self, payout: Payout) -> bool:
        """Return whether another transaction spent an input, as deep as what counts as settled."""
        ledger, settled = self.candidates.ledger, self.candidates.settled
        for spent in payout.document.transaction.inputs:
            height = ledger.spent_at(spent.outpoint)
            other = ledger.spent_by(spent.outpoint) != payout.signed.txid
            if height is not None and height <= settled and other:
                return True
        return False

    def _mined_at(self, payout: Payout) -> int | None:
        """Return the height of the block that a payout is in, by this node's own index."""
        ledger, txid = self.candidates.ledger, payout.signed.txid
        spent = payout.document.transaction.inputs[0].outpoint
        return ledger.spent_at(spent) if ledger.spent_by(spent) == txid else None

    def _look_up(self) -> None:
        """Ask the chain about open payouts."""
        for event, payout in self.payouts.items():
            due = payout.looked_up + self.ctx.preset.payout_query_s <= self.ctx.now
            if due and self._state(event) in OPEN:
                payout.looked_up = self.ctx.now
                self.ctx.ask(LookUp(event, payout.signed.txid))

    def _broadcast(self, payout: Payout) -> None:
        """Send a payout; each time that it comes to nothing, the pause before the next doubles."""
        preset = self.ctx.preset
        payout.pause = min(max(2 * payout.pause, preset.payout_query_s), preset.payout_resend_s)
        payout.send_at = self.ctx.now + payout.pause
        self.ctx.ask(Broadcast(payout.document.event, payout.signed.txid, payout.signed.raw))

    # --- signatures ---

    def _found(self, run: Run) -> SignatureFound | None:
        """Return the results of a run as they are announced, with the document that is locked."""
        locked = self.book.lock_of(run.event)
        if run.results is None or locked is None or locked.certificate.digest != run.digest:
            return None
        return signatures_of(run, locked.document)

    def _document(self, found: SignatureFound) -> PayoutDocument | None:
        document = self.candidates.rebuild(found.document, spent_too=True)
        return document if document is not None and document.event == found.event else None

    def _take(self, found: SignatureFound) -> None:
        """Take finished signatures, if they are new: ``event.Signature``, ``payout.Finish``."""
        ctx = self.ctx
        if not self.book.take(found, self.kind):
            return
        ctx.fire("payout.Finish", e=found.event)
        payout = self._keep(found)
        if payout is None:
            return
        self._broadcast(payout)
        ctx.note(
            "payout.signed",
            txid=payout.signed.txid.hex(),
            inputs=len(found.signatures),
            transfers=len(payout.document.transfers),
            signers=[signer.hex()[:16] for signer in found.signers],
        )

    def _keep(self, found: SignatureFound) -> Payout | None:
        """Put signatures into their payout; None while the ledger does not reach its blocks."""
        document = self._document(found)
        if document is None:
            return None
        try:
            signed = attach(document, _pairs(found), document.public_key)
        except MetanodeError as fault:
            self.ctx.note("payout.unusable", reason=str(fault))
            return None
        payout = self.payouts[found.event] = Payout(document, signed, found)
        return payout

    def _state(self, event: bytes) -> str:
        return self.ctx.state("payout", event)

    def report(self) -> list[dict[str, Any]]:
        """Return the payouts of this node for the operator, the newest last."""
        return [
            {
                "event": event.hex(),
                "txid": payout.signed.txid.hex(),
                "state": self._state(event),
                "digest": payout.document.digest.hex(),
                "signers": [signer.hex() for signer in payout.found.signers],
                "transfers": [str(outpoint) for outpoint in payout.document.transfers],
                "inputs": len(payout.document.transaction.inputs),
                "outputs": len(payout.document.transaction.outputs),
                "reason": payout.reason,
            }
            for event, payout in self.payouts.items()
        ]


def _pairs(found: SignatureFound) -> list[tuple[int, int]]:
    octets = [signature.rs for signature in found.signatures]
    return [(int.from_bytes(rs[:32], "big"), int.from_bytes(rs[32:], "big")) for rs in octets]
