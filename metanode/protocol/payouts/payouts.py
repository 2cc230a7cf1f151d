"""Payouts: the runs that sign them, signatures from wherever they come, the way to the chain.

Everything that must survive is in the tables' disk cells and in the event book; what is here is
made of that again after a start.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from attrs import define, field

from metanode.chains.base import TxState
from metanode.custody.document import (
    PayoutDocument,
    SignedVersion,
    attach,
    decode_document,
)
from metanode.errors import Malformed, MetanodeError
from metanode.protocol.context import Context, outpoint_of
from metanode.protocol.events.event_book import EventBook
from metanode.protocol.events.purpose import Purpose, Task, signatures_of
from metanode.protocol.events.run import Run, SignPlan, instance_of, lane_nonce
from metanode.protocol.inputs import ChainNews, Input, LinkUp, PayoutAnswer, Received, Tick
from metanode.protocol.payouts.windows import Windows
from metanode.protocol.rounds.candidate import Candidates
from metanode.protocol.rounds.inbox import Inbox
from metanode.protocol.tables.effects import Broadcast, LookUp
from metanode.protocol.tables.registry import fact, handles
from metanode.tss.sign import LanesSession
from metanode.tss.verify import verify_signature
from spec.messages import Certificate, Ping, SignatureFound

TO_SEND = ("SIGNED", "REFUSED", "REORGED")
OPEN = (*TO_SEND, "BROADCAST")
PAYOUTS_SHOWN = 200
"""Payouts of a list that are over; those that are not are all shown."""
LOOKED_UP_AT_ONCE = 4
"""So many open payouts are looked up in each period; of more, each is looked up less often."""
TOLD_AGAIN = 4
TOLD_AT_ONCE = 64
SHOWN: dict[TxState, str] = {"pending": "present", "included": "present", "final": "final"}
"""What the chain's answers are in the tables; every other one means that it has no such payout."""
IN_A_BLOCK = ("included", "final")


@define
class Payout:
    """A payout with finished signatures.

    ``version`` is the dearest version that was sent, ``since`` the height of the chain when that
    was, as the first blocks told that came after it; ``mined`` is the version that the daemon says
    is in a block. ``send_at`` is when it may be sent again at the earliest (unix seconds),
    ``pause`` how long the next pause is, and ``reason`` why the chain's daemon refused it last.
    ``learned_in`` is the round in which this node learned of it; -1 if that was before a restart.
    """

    document: PayoutDocument
    signed: tuple[SignedVersion, ...]
    found: SignatureFound
    version: int = 0
    since: int | None = None
    mined: bytes | None = None
    looked_up: float = 0.0
    send_at: float = 0.0
    pause: float = 0.0
    reason: str = ""
    learned_in: int = -1

    @property
    def sent(self) -> SignedVersion:
        """The version that is on its way."""
        return self.signed[self.version]

    @property
    def has_dearer(self) -> bool:
        """Whether there is a version with a higher fee."""
        return self.version + 1 < len(self.signed)


@define
class Payouts(Purpose):
    """The payouts of a node that are signed, by event, and the purpose of those to be signed."""

    ctx: Context
    book: EventBook
    candidates: Candidates
    inbox: Inbox
    kind: str = "payout"
    payouts: dict[bytes, Payout] = field(factory=dict)
    _verified: SignatureFound | None = None
    _told: dict[bytes, int] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    @property
    def windows(self) -> Windows:
        """The windows that the payouts belong to."""
        return self.candidates.windows

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
            return event == decode_document(document).event
        except Malformed:
            return False

    def verified(self, found: SignatureFound) -> bool:
        """Return whether signatures verify, one for each input of each version.

        Nothing else is asked of a document that the custody's key has signed: t members have, and
        its terms are in what they signed.
        """
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

        What does not verify leaves no trace: anybody can make up an event.
        """
        known = self.ctx.key is None or self.book.status(found.event) == "SUCCESS"
        if not known and self.verified(found):
            self._take(found)

    def tells(self, entry: Input) -> Iterable[tuple[bytes, bytes]]:
        """Return what a peer may have missed, without which it votes for no later part of a window:
        when it comes up the newest payouts and all that are on their way, and later on those whose
        deposits it offers.
        """
        if isinstance(entry, LinkUp):
            newest = dict.fromkeys([*self.windows.signed, *list(self.payouts)[-TOLD_AGAIN:]])
            return [(event, entry.peer) for event in list(newest)[-TOLD_AT_ONCE:]]
        if isinstance(entry, Received) and isinstance(entry.message, Ping):
            return self._missed_by(entry.sender)
        return ()

    def _missed_by(self, peer: bytes) -> list[tuple[bytes, bytes]]:
        """Return, once a round, the payouts of deposits that a peer still offers in it."""
        number = self.ctx.round_number()
        offer = self.inbox.book(number).offers.get(peer)
        if offer is None or self._told.get(peer) == number:
            return []
        offered = {outpoint_of(reference) for reference in offer.transfers}
        missed = [
            (event, peer)
            for event, document in self.windows.signed.items()
            if offered.intersection(document.transfers)
            and self.payouts[event].learned_in != number  # else its offer came before that
        ]
        if missed:
            self._told[peer] = number
        return missed[:TOLD_AT_ONCE]

    # --- the chain ---

    @fact
    def on_chain(self, e: bytes) -> str:
        payout, entry = self.payouts.get(e), self.ctx.input
        if payout is None:
            return "unseen"
        document = payout.document
        if isinstance(entry, ChainNews) and self._undone() & set(document.txids):
            return "disconnected"
        if self.windows.is_dead(document):
            return "displaced"
        if (mined := self.windows.mined_at(document)) is not None:
            return "final" if mined <= self.candidates.settled else "present"
        if isinstance(entry, PayoutAnswer) and entry.event == e:
            return self._answered(payout, entry)
        return "unseen"

    def _answered(self, payout: Payout, answer: PayoutAnswer) -> str:
        """Return what the daemon's answer means for a payout that is in no block."""
        state = SHOWN.get(answer.state, "unseen")
        if answer.state in IN_A_BLOCK:
            return state  # the daemon is ahead of the index
        if payout.has_dearer:
            tip, preset = self.candidates.ledger.tip, self.ctx.preset
            since = payout.since
            waits = (
                tip is not None
                and since is not None
                and tip[0] - since >= preset.fee_patience_blocks
            )
            if waits or (state == "unseen" and "fee" in answer.reason):
                return "passed_over"
        return "rejected" if state == "unseen" and answer.reason else state

    @handles("payout_followed")
    def payout_followed(self) -> None:
        ctx, entry = self.ctx, self.ctx.input
        if isinstance(entry, Tick):
            self._look_up()
        if not isinstance(entry, PayoutAnswer) or entry.event not in self.payouts:
            return
        event, payout = entry.event, self.payouts[entry.event]
        if ctx.tries("payout.Conflict", e=event):
            ctx.note("payout.reverted", txid=payout.sent.txid.hex())
        self._hear_reason(payout, entry)
        if ctx.tries("payout.Accepted", e=event):
            payout.pause = payout.send_at = 0.0
            self.windows.signed[event] = payout.document
        ctx.tries("payout.Returned", e=event)
        ctx.tries("payout.Refused", e=event)
        if ctx.tries("payout.Outbid", e=event):
            payout.version += 1
            payout.since, payout.pause, payout.send_at = None, 0.0, 0.0
            ctx.note("payout.outbid", txid=payout.sent.txid.hex(), version=payout.version)
        ctx.tries("payout.Dropped", e=event)
        if self._state(event) in TO_SEND and payout.send_at <= ctx.steady:
            self._broadcast(payout)
        if ctx.tries("payout.Final", e=event):
            self.windows.signed.pop(event, None)
            transfers = len(payout.document.transfers)
            ctx.note("payout.final", txid=self._mined(payout).hex(), transfers=transfers)

    def _hear_reason(self, payout: Payout, answer: PayoutAnswer) -> None:
        """Keep why a daemon refuses a payout until it does no more, and which version it has."""
        txids = payout.document.txids
        payout.mined = answer.txid if answer.state in IN_A_BLOCK else None
        if answer.txid in txids and answer.state in SHOWN:
            payout.version = max(payout.version, txids.index(answer.txid))
        if answer.reason and answer.reason != payout.reason:
            txid = payout.sent.txid.hex()
            self.ctx.note("payout.refused", txid=txid, reason=answer.reason)
        if answer.reason or answer.state != "unknown":
            payout.reason = answer.reason

    @handles("payouts_gone")
    def payouts_gone(self) -> None:
        self._count_blocks()
        gone = self._undone()
        left = [p for p in self.payouts.values() if gone & set(p.document.txids)] if gone else []
        for payout in self.ctx.each(left):
            if self.ctx.tries("payout.Reorg", e=payout.document.event):
                self.windows.signed[payout.document.event] = payout.document
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

    def _count_blocks(self) -> None:
        """Count the blocks that pass a payout over from the first news after it was sent.

        The tip of an index that catches up, as after a start, says nothing of when that was: of
        what such news brings, the newest block alone is known to have come later.
        """
        entry, tip = self.ctx.input, self.candidates.ledger.tip
        if tip is None or not isinstance(entry, ChainNews) or not entry.update.caught_up:
            return
        for event in self.windows.signed:
            payout = self.payouts.get(event)
            if payout is not None and payout.since is None and entry.update.connected:
                payout.since = tip[0] - 1

    def _undone(self) -> set[bytes]:
        """Return the transactions that spent custody coins in the blocks just undone."""
        return {spend.txid for block in self.candidates.undone for spend in block.spends}

    def _mined(self, payout: Payout) -> bytes:
        """Return the id of the version that is in a block, or of the one that was sent last."""
        by_index = self.candidates.ledger.spent_by(payout.document.inputs[0])
        for mined in (by_index, payout.mined):
            if mined in payout.document.txids:
                return mined
        return payout.sent.txid

    def _look_up(self) -> None:
        """Ask the chain about open payouts, and those given up whose coins are there again."""
        signed = [self.payouts[event] for event in self.windows.signed if event in self.payouts]
        period = self.ctx.preset.payout_query_s * (1 + len(signed) // LOOKED_UP_AT_ONCE)
        for payout in signed:
            if payout.looked_up + period > self.ctx.steady:
                continue
            document = payout.document
            if self._state(document.event) in OPEN or not self.windows.is_dead(document):
                payout.looked_up = self.ctx.steady
                self.ctx.ask(LookUp(document.event, document.txids[::-1]))

    def _broadcast(self, payout: Payout) -> None:
        """Send a payout; each time that it comes to nothing, the pause before the next doubles."""
        preset, document = self.ctx.preset, payout.document
        payout.pause = min(max(2 * payout.pause, preset.payout_query_s), preset.payout_resend_s)
        payout.send_at = self.ctx.steady + payout.pause
        sent = payout.sent
        self.ctx.ask(Broadcast(document.event, sent.txid, sent.raw, document.txids[::-1]))

    # --- signatures ---

    def _found(self, run: Run) -> SignatureFound | None:
        """Return the results of a run as they are announced, with the document that is locked."""
        locked = self.book.lock_of(run.event)
        if run.results is None or locked is None or locked.certificate.digest != run.digest:
            return None
        return signatures_of(run, locked.document)

    def _document(self, found: SignatureFound) -> PayoutDocument | None:
        document = self.windows.read(found.document)
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
        payout.learned_in = ctx.round_number()
        self._broadcast(payout)
        ctx.note(
            "payout.signed",
            txid=payout.sent.txid.hex(),
            inputs=len(payout.document.inputs),
            versions=len(payout.signed),
            transfers=len(payout.document.transfers),
            signers=[signer.hex()[:16] for signer in found.signers],
        )

    def _keep(self, found: SignatureFound) -> Payout | None:
        """Put signatures into their payout; None if they are of no use."""
        document = self._document(found)
        if document is None:
            return None
        try:
            signed = attach(document, _pairs(found), document.public_key)
        except MetanodeError as fault:
            self.ctx.note("payout.unusable", reason=str(fault))
            return None
        payout = self.payouts[found.event] = Payout(document, signed, found)
        if self._state(found.event) != "COMPLETED":
            self.windows.signed[found.event] = document
        return payout

    def _state(self, event: bytes) -> str:
        return self.ctx.state("payout", event)

    def report(self) -> list[dict[str, Any]]:
        """Return the open payouts of this node and the newest others, the newest last."""
        newest = {*self.windows.signed, *islice(reversed(self.payouts), PAYOUTS_SHOWN)}
        return [
            {
                "event": event.hex(),
                "txid": self._mined(payout).hex(),
                "version": payout.version,
                "versions": len(payout.signed),
                "state": self._state(event),
                "digest": payout.document.digest.hex(),
                "signers": [signer.hex() for signer in payout.found.signers],
                "transfers": [str(outpoint) for outpoint in payout.document.transfers],
                "inputs": len(payout.document.transaction.inputs),
                "outputs": len(payout.document.transaction.outputs),
                "reason": payout.reason,
            }
            for event, payout in self.payouts.items()
            if event in newest
        ]


def _pairs(found: SignatureFound) -> list[tuple[int, int]]:
    octets = [signature.rs for signature in found.signatures]
    return [(int.from_bytes(rs[:32], "big"), int.from_bytes(rs[32:], "big")) for rs in octets]
