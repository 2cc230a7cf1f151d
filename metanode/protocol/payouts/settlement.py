"""From a certificate to settled deposits: events, locks, finished signatures, payouts on the chain,
swaps.

Everything that must survive is in the tables' disk cells; what is here besides are documents and
messages that ride on them, loaded again at start.
"""

from __future__ import annotations

from typing import Any

from attrs import define, field

from metanode.custody.payout import (
    PayoutDocument,
    SignedPayout,
    attach,
    custody_script,
)
from metanode.custody.transfers import Declined, Transfer, classify, transfer_id
from metanode.custody.types import BlockSummary, Outpoint
from metanode.errors import MetanodeError
from metanode.protocol.context import Context
from metanode.protocol.requests.request import request_event
from metanode.protocol.rounds.candidate import Candidates
from metanode.tss.verify import verify_signature
from spec.messages import (
    EcdsaSignature,
    LockedCandidate,
    SignatureFound,
)

PENDING = ("PendingRelease", "PendingRefund")
OPEN = ("SIGNED", "BROADCAST", "REORGED")
WAITING_PER_SENDER = 4


@define
class Payout:
    """A payout with finished signatures."""

    document: PayoutDocument
    signed: SignedPayout
    found: SignatureFound
    looked_up: float = 0.0


@define
class Settlement:
    """The events of a node and what becomes of them."""

    ctx: Context
    candidates: Candidates
    locked: dict[bytes, LockedCandidate] = field(factory=dict)
    payouts: dict[bytes, Payout] = field(factory=dict)
    _waiting: dict[bytes, dict[bytes, SignatureFound]] = field(factory=dict)
    _stored: dict[bytes, SignatureFound] = field(factory=dict)
    _pending: dict[bytes, Outpoint] = field(factory=dict)
    _declined: set[Outpoint] = field(factory=set)

    # --- events
    # --------------------------------------------------------------------------------------

    def create(self, event: bytes) -> None:
        """Create an event that this node derived itself, if it is new."""
        if self.status(event) == "UNKNOWN":
            self._fire("event", "Create", e=event, given={"event_known": True})

    def prepare(self, event: bytes, attempt: int, digest: bytes) -> None:
        """Bring an event to IN_PROGRESS for an attempt; raises a transition error if it may not."""
        self.create(event)
        self.recover(event)
        self._fire("event", "Setup", e=event, a=attempt, d=digest, given={"event_over": False})

    def recover(self, event: bytes) -> None:
        """The session of an event is lost or failed: try it again later, with the lock kept."""
        if self.status(event) == "IN_PROGRESS":
            self._fire("event", "Recover", e=event)
        elif self.status(event) == "FAILED":
            self._fire("event", "Retry", e=event, given={"event_over": False})

    def status(self, event: bytes) -> str:
        """Return the status of an event."""
        return self.ctx.tables.state("event", self.ctx.me, event)

    def note_lock(self, candidate: LockedCandidate) -> None:
        """Remember the document and certificate of a lock that was just written."""
        self.locked[candidate.certificate.event] = candidate

    def locks(self) -> tuple[LockedCandidate, ...]:
        """Return the locks of payouts that are neither signed nor on the chain."""
        return tuple(
            c
            for e, c in self.locked.items()
            if self.status(e) in ("PENDING", "IN_PROGRESS")
            and self.candidates.rebuild(c.document) is not None
        )

    def lock_of(self, event: bytes) -> LockedCandidate | None:
        """Return the lock of an event, to be shown."""
        return self.locked.get(event)

    def locks_to_show(self) -> dict[bytes, LockedCandidate]:
        """Return the locks that the next epoch must know, by event.

        Not those of payouts that are final on the chain, which nothing can be signed against any
        more (SAFE-SIGN 6), nor those of events that are not signed with an epoch's shares, nor
        those of requests: no other digest has the same event.
        """
        network_id = self.ctx.settings.network_id
        return {
            event: candidate
            for event, candidate in sorted(self.locked.items())
            if self._settlement(event) != "COMPLETED"
            and not self.ctx.makes_shares(candidate.certificate)
            and event != request_event(network_id, "sign", candidate.document)
        }

    # --- signatures
    # ----------------------------------------------------------------------------------

    def signed(
        self,
        document: PayoutDocument,
        signers: tuple[bytes, ...],
        signatures: tuple[tuple[int, int], ...],
    ) -> bool:
        """Take finished signatures of a payout; return whether they verify and are new."""
        event, key = document.event, self.ctx.epoch
        digests = document.sighashes()
        valid = len(digests) == len(signatures) and all(
            verify_signature(key.public_key, digest, r, s)
            for digest, (r, s) in zip(digests, signatures, strict=True)
        )
        if not valid:
            return False
        self.create(event)
        if self.status(event) in ("SUCCESS", "EXPIRED"):
            return False
        found = SignatureFound(
            event,
            document.encode(),
            signers,
            tuple(EcdsaSignature(_join(r, s)) for r, s in signatures),
        )
        self._fire(
            "event",
            "Signature",
            e=event,
            d=document.digest,
            given={"signature_valid": valid},
            carry={"announced": found, "signature_kept": found},
        )
        self._fire("payout", "Finish", e=event)
        payout = Payout(document, attach(document, signatures, key.public_key), found)
        self.payouts[event] = payout
        self._broadcast(payout)
        self.ctx.note(
            "payout.signed",
            txid=payout.signed.txid.hex(),
            inputs=len(signatures),
            transfers=len(document.transfers),
            signers=[signer.hex()[:16] for signer in signers],
        )
        return True

    def on_signature(self, sender: bytes, message: SignatureFound) -> PayoutDocument | None:
        """Take signatures that a peer announces; what verifies is taken, whoever sent it (F-15).

        The document is rebuilt from the own ledger first; while the ledger is behind, the message
        waits.
        """
        if self.ctx.key is None or self.status(message.event) == "SUCCESS":
            return None
        document = self.candidates.rebuild(message.document, spent_too=True)
        if document is None or document.event != message.event:
            waiting = self._waiting.setdefault(sender, {})
            waiting[message.event] = message
            if len(waiting) > WAITING_PER_SENDER:
                waiting.pop(next(iter(waiting)))
            return None
        pairs = tuple(_split(signature.rs) for signature in message.signatures)
        return document if self.signed(document, message.signers, pairs) else None

    def announce_to(self, peer: bytes) -> None:
        """Tell a peer that came up about the newest payouts, which it may have missed."""
        for event, payout in list(self.payouts.items())[-4:]:
            self._fire(
                "event",
                "Announce",
                e=event,
                d=payout.document.digest,
                carry={"announced": [(peer, payout.found)]},
            )

    # --- the chain
    # -----------------------------------------------------------------------------------

    def open_payout(self) -> bool:
        """Return whether a signed payout is not final yet: the next one waits for it (F-03)."""
        return any(state in OPEN for _, state in self.ctx.tables.view.entries("settlement"))

    def tick(self) -> None:
        """Ask the chain about open payouts."""
        for event, payout in self.payouts.items():
            due = payout.looked_up + self.ctx.preset.payout_query_s <= self.ctx.now
            if due and self._settlement(event) in OPEN:
                payout.looked_up = self.ctx.now
                self.ctx.call("lookup", event=event, txid=payout.signed.txid)

    def on_status(self, event: bytes, state: str) -> None:
        """Take what the chain says of a payout: unknown, pending, included or final."""
        payout = self.payouts.get(event)
        if payout is None or self._settlement(event) not in OPEN:
            return
        on_chain = state in ("pending", "included", "final")
        facts = {
            "chain_has_it": on_chain,
            "chain_final": state == "final",
            "chain_conflict": self._lost_an_input(payout),
        }
        now = self._settlement(event)
        if facts["chain_conflict"]:
            self._fire("payout", "Conflict", e=event, given=facts)
            self.ctx.note("payout.reverted", txid=payout.signed.txid.hex())
            return
        if on_chain and now in ("SIGNED", "REORGED"):
            self._fire("payout", "Accepted", e=event, given=facts)
        elif not on_chain and now == "BROADCAST":
            self._fire("payout", "Dropped", e=event, given=facts)
        if not on_chain:
            self._broadcast(payout)
        if state == "final":
            self._fire("payout", "Final", e=event, given=facts)
            self.ctx.note(
                "payout.final",
                txid=payout.signed.txid.hex(),
                transfers=len(payout.document.transfers),
            )

    def _lost_an_input(self, payout: Payout) -> bool:
        """Return whether another transaction spent an input, as deep as what counts as settled."""
        ledger = self.candidates.ledger
        if ledger.tip is None:
            return False
        settled = ledger.tip[0] - self.ctx.settings.confirmations + 1
        for spent in payout.document.transaction.inputs:
            height = ledger.spent_at(spent.outpoint)
            other = ledger.spent_by(spent.outpoint) != payout.signed.txid
            if height is not None and height <= settled and other:
                return True
        return False

    def connected(self, block: BlockSummary) -> None:
        """A block was connected: look at what became confirmed, and at signatures that waited."""
        waiting, self._waiting = self._waiting, {}
        for sender, messages in waiting.items():
            for message in messages.values():
                self.on_signature(sender, message)
        cutoff = self.candidates.cutoff()
        if cutoff is None:
            return
        settings, script = self.ctx.settings, custody_script(self.ctx.epoch.public_key)
        settled = self.candidates.ledger.deposits_at(cutoff.snapshot.height)
        for deposit in dict.fromkeys((*cutoff.snapshot.deposits, *settled)):
            verdict = classify(deposit, settings.custody, settings.hrp, script)
            if isinstance(verdict, Declined):
                self._decline(verdict)
                continue
            if self._swap(verdict.id) in ("none_yet", "Waiting", "Cancelled"):
                self._deposit(verdict)
            if self._swap(verdict.id) in PENDING:
                self._pending[verdict.id] = deposit.outpoint
        self._settle_spent(cutoff.snapshot.height)

    def disconnected(self, block: BlockSummary) -> None:
        """A block was disconnected: deposits in it are gone, payouts in it are no longer on the
        chain.
        """
        for deposit in block.deposits:
            swap = transfer_id(deposit.outpoint)
            if self._swap(swap) in PENDING:
                self._pending.pop(swap, None)
                self._fire("swap", "Removed", s=swap, given={"deposit_gone": True})
        spenders = {spend.txid for spend in block.spends}
        for event, payout in self.payouts.items():
            state = self._settlement(event)
            if payout.signed.txid in spenders and state in ("BROADCAST", "COMPLETED"):
                self._fire("payout", "Reorg", e=event, given={"left_its_block": True})
                self._broadcast(payout)

    # --- start
    # ---------------------------------------------------------------------------------------

    def restore(self, locked: list[LockedCandidate], found: list[SignatureFound]) -> None:
        """Take locks and signatures from the store after a start."""
        for candidate in locked:
            self.note_lock(candidate)
        self._stored = {message.event: message for message in found}

    def resume(self) -> None:
        """Rebuild the payouts of finished events, as soon as the ledger reaches their blocks."""
        for message in tuple(self._stored.values()):
            document = self.candidates.rebuild(message.document, spent_too=True)
            if document is None:
                continue
            pairs = [_split(signature.rs) for signature in message.signatures]
            try:
                signed = attach(document, pairs, self.ctx.epoch.public_key)
            except MetanodeError as fault:
                self.ctx.note("payout.unusable", reason=str(fault))
                continue
            self.payouts[message.event] = Payout(document, signed, message)
            del self._stored[message.event]
            if self._settlement(message.event) == "UNSIGNED":
                self._fire("payout", "Finish", e=message.event)

    def report(self) -> list[dict[str, Any]]:
        """Return the payouts of this node for the operator, the newest last."""
        return [
            {
                "event": event.hex(),
                "txid": payout.signed.txid.hex(),
                "state": self._settlement(event),
                "digest": payout.document.digest.hex(),
                "signers": [signer.hex() for signer in payout.found.signers],
                "transfers": [str(outpoint) for outpoint in payout.document.transfers],
                "inputs": len(payout.document.transaction.inputs),
                "outputs": len(payout.document.transaction.outputs),
            }
            for event, payout in self.payouts.items()
        ]

    # --- helpers
    # -------------------------------------------------------------------------------------

    def _fire(self, table: str, event: str, **arguments: Any) -> None:
        self.ctx.tables.fire(table, event, p=self.ctx.me, **arguments)

    def _settlement(self, event: bytes) -> str:
        return self.ctx.tables.state("payout", self.ctx.me, event)

    def _swap(self, swap: bytes) -> str:
        return self.ctx.tables.state("swap", self.ctx.me, swap)

    def _broadcast(self, payout: Payout) -> None:
        self.ctx.call(
            "broadcast", event=payout.document.event, raw=payout.signed.raw, txid=payout.signed.txid
        )

    def _deposit(self, transfer: Transfer) -> None:
        facts = {
            "deposit_confirmed": True,
            "memo_valid": transfer.kind == "release",
            "float_enough": True,
        }
        self._fire("swap", "Deposit", s=transfer.id, given=facts)
        self.ctx.note(
            "deposit.confirmed",
            outpoint=str(transfer.deposit.outpoint),
            amount=transfer.deposit.amount,
            kind=transfer.kind,
            reason=transfer.reason,
        )

    def _decline(self, declined: Declined) -> None:
        if declined.deposit.outpoint not in self._declined:
            self._declined.add(declined.deposit.outpoint)
            self.ctx.note(
                "deposit.declined",
                outpoint=str(declined.deposit.outpoint),
                amount=declined.deposit.amount,
                kind=declined.kind,
                reason=declined.reason,
            )

    def _settle_spent(self, height: int) -> None:
        """Settle the deposits that were spent at or below ``height``: only the custody key can
        spend.
        """
        for swap, outpoint in tuple(self._pending.items()):
            spent_at = self.candidates.ledger.spent_at(outpoint)
            if spent_at is not None and spent_at <= height:
                del self._pending[swap]
                self._fire("swap", "Settled", s=swap, given={"payout_final": True})


def _join(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _split(rs: bytes) -> tuple[int, int]:
    return int.from_bytes(rs[:32], "big"), int.from_bytes(rs[32:], "big")
