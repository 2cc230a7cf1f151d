"""What this node sees of the chain, and which payout to propose: the transfers that most peers can
validate, or the one that is locked.

The offers of a round name transfers and a height. The candidate is a pure function of the offers
heard and of the node's own ledger: equal offers give equal candidates, and everything in it is
rebuilt here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import define, field, frozen

from metanode.chains.base import ChainUpdate
from metanode.custody.errors import LedgerMismatch, OutsideWindow, Unpayable
from metanode.custody.ledger import Ledger
from metanode.custody.payout import (
    PayoutDocument,
    build_payout,
    decode_document,
    payable_transfers,
    payout_event,
)
from metanode.custody.transfers import Transfer, classify_all
from metanode.custody.types import BlockSummary, Deposit, Outpoint, Snapshot
from metanode.errors import MetanodeError
from metanode.protocol.context import Context, outpoint_of, outpoint_ref
from metanode.protocol.inputs import LinkUp
from metanode.protocol.keys.epoch import KeyEpoch
from metanode.protocol.tables.effects import Reindex
from metanode.protocol.tables.registry import admits, handles, message
from spec.messages import TRANSFERS_LIMIT, LockedCandidate, Offer, Publish

SIGHTINGS_PER_WITNESS = 2048
REBUILT_KEPT = 64


@frozen
class Cutoff:
    """The newest block that this node treats as settled, and what can be paid from it."""

    snapshot: Snapshot
    transfers: tuple[Transfer, ...]


@define
class Candidates:
    """Chooses and rebuilds payouts; ``seen`` are deposits that somebody saw unconfirmed.

    Of the chain news at hand, ``undone`` are the blocks that went, ``ripe`` the deposits that have
    become deep enough.
    """

    ctx: Context
    ledger: Ledger
    seen: dict[Outpoint, set[bytes]] = field(factory=dict)
    undone: list[BlockSummary] = field(factory=list)
    ripe: list[Deposit] = field(factory=list)
    _sightings: dict[bytes, dict[Outpoint, None]] = field(factory=dict)
    _untold: list[Outpoint] = field(factory=list)
    _telling: Sequence[Outpoint] = ()
    _indexed: bool = True
    _cutoff: tuple[tuple[int, bytes], Cutoff] | None = None
    _rebuilt: dict[tuple[object, ...], PayoutDocument] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    # --- the chain, and what others see of it ---

    def index(self, update: ChainUpdate, sightings: Sequence[Outpoint]) -> bool:
        """Take chain news into the ledger; return whether they fit.

        If they do not, the shell is asked to scan the chain again, and what was undone so far is
        news still when that comes to an end.
        """
        me = self.ctx.me
        self._untold += [outpoint for outpoint in sightings if self.note_seen(outpoint, me)]
        if self._indexed:
            self.undone, self.ripe = [], []
        self._indexed = False
        try:
            for block_hash in update.disconnected:
                self.undone.append(self.ledger.disconnect(block_hash))
            for block in update.connected:
                self.ledger.connect(block)
                settled = self._settled(block.height)
                self.ripe += self.ledger.deposits_at(settled)
                for spend in self.ledger.spends_at(settled):
                    self._forget(spend.outpoint)
        except LedgerMismatch as fault:
            self.ctx.note("chain.reindex", reason=str(fault))
            self.ctx.ask(Reindex())
            return False
        self._indexed = True
        return True

    def resume(self, ledger: Ledger, seen: Iterable[Outpoint]) -> bool:
        """Take up an index that was kept, and what this node had seen by then.

        Return whether that is news: what became of the deposits in it may not be booked yet. An
        index without blocks is the beginning of a new scan.
        """
        self.ledger, self._cutoff = ledger, None
        self._untold += [outpoint for outpoint in seen if self.note_seen(outpoint, self.ctx.me)]
        if ledger.tip is None:
            return False
        deposits = [coin for coin in ledger.coins if isinstance(coin, Deposit)]
        ripe = [deposit for deposit in deposits if deposit.height <= self.settled]
        self.undone, self.ripe = [], sorted(ripe, key=lambda deposit: deposit.order)
        self._indexed = True
        return True

    @property
    def is_indexed(self) -> bool:
        """Whether the last chain news fitted; if not, the chain is scanned again."""
        return self._indexed

    @handles("sightings_told")
    def sightings_told(self) -> None:
        ctx, entry = self.ctx, self.ctx.input
        if isinstance(entry, LinkUp):
            if seen := self.seen_by(ctx.me)[-TRANSFERS_LIMIT:]:
                self._telling = seen
                ctx.fire("peer.Publish", to=entry.peer)
            return
        while self._untold:
            self._telling = self._untold[:TRANSFERS_LIMIT]
            del self._untold[:TRANSFERS_LIMIT]
            ctx.fire("peer.Publish")

    @message("published")
    def published(self, p: bytes) -> Publish:
        return Publish(tuple(outpoint_ref(outpoint) for outpoint in self._telling))

    @admits("publish")
    def admit_publish(self, sender: bytes, message: Publish) -> bool:
        """Note what a member saw; :meth:`note_seen` bounds it."""
        for reference in message.seen:
            self.note_seen(outpoint_of(reference), sender)
        return True

    def _settled(self, tip: int) -> int:
        """Return the height of the newest block that is deep enough below a tip."""
        return tip - self.ctx.settings.confirmations + 1

    @property
    def settled(self) -> int:
        """The height of the newest block that this node treats as settled; -1 if there is none."""
        return -1 if self.ledger.tip is None else self._settled(self.ledger.tip[0])

    def cutoff(self) -> Cutoff | None:
        """Return the cut-off at the wanted depth with its transfers, or None without a chain."""
        tip = self.ledger.tip
        if tip is None:
            return None
        if self.ledger.block_hash(self.settled) is None:
            return None
        if self._cutoff is None or self._cutoff[0] != tip:
            try:
                self._cutoff = (tip, self._at(self.settled))
            except OutsideWindow:
                return None  # the index is still warming up
        return self._cutoff[1]

    def eligible(self) -> tuple[Transfer, ...]:
        """Return what this node can validate now: confirmed, seen before, unspent up to the tip."""
        cutoff = self.cutoff()
        if cutoff is None:
            return ()
        return tuple(
            t for t in cutoff.transfers
            if self._was_seen(t) and self.ledger.spent_by(t.deposit.outpoint) is None
        )

    def note_seen(self, outpoint: Outpoint, witness: bytes) -> bool:
        """Note that a peer saw a deposit unconfirmed; return whether that is news.

        Each witness has room for its newest sightings and cannot push out those of others.
        """
        sightings = self._sightings.setdefault(witness, {})
        if outpoint in sightings:
            return False
        sightings[outpoint] = None
        self.seen.setdefault(outpoint, set()).add(witness)
        if len(sightings) > SIGHTINGS_PER_WITNESS:
            oldest = next(iter(sightings))
            del sightings[oldest]
            self.seen[oldest].discard(witness)
            if not self.seen[oldest]:
                del self.seen[oldest]
        return True

    def _forget(self, outpoint: Outpoint) -> None:
        """Forget who saw a deposit: it is spent and settled, and asked for no more."""
        for witness in self.seen.pop(outpoint, ()):
            del self._sightings[witness][outpoint]

    def seen_by(self, witness: bytes) -> list[Outpoint]:
        """Return what a witness saw, the oldest first."""
        return list(self._sightings.get(witness, ()))

    # --- the candidate ---

    def choose(
        self, offers: Mapping[bytes, Offer], locked: Iterable[LockedCandidate]
    ) -> PayoutDocument | None:
        """Return the document to propose in this round, or None when there is nothing to agree on.

        A locked candidate goes first, the newest one: only its digest may be tried again. Otherwise
        the cut-off is the highest block that t peers have, and the transfers are those that t peers
        offer and that this node can validate there.
        """
        newest = sorted(locked, key=lambda c: c.certificate.attempt, reverse=True)
        for candidate in newest:
            document = self.rebuild(candidate.document)
            if document is not None:
                return document
        key = self.ctx.epoch
        if len(offers) < key.quorum.threshold:
            return None
        heights = sorted((offer.height for offer in offers.values()), reverse=True)
        height = heights[key.quorum.threshold - 1]
        mine = {t.deposit.outpoint: t for t in self.eligible() if t.deposit.height <= height}
        counts = dict.fromkeys(mine, 0)
        for offer in offers.values():
            for outpoint in {outpoint_of(reference) for reference in offer.transfers} & set(mine):
                counts[outpoint] += 1
        agreed = [t for o, t in mine.items() if counts[o] >= key.quorum.threshold]
        return self._build(height, agreed, key)

    def rebuild(self, encoded: bytes, spent_too: bool = False) -> PayoutDocument | None:
        """Build from the own ledger what a document describes; None unless the bytes are equal.

        F-17: a document from elsewhere is a request. One that was locked in an epoch before keeps
        that epoch's holders: its digest is the only one that may still be signed. None also when
        this node has no such block, or when a deposit in it has been spent since, unless
        ``spent_too``. A rebuilt document is kept as long as the chain stays as it is.
        """
        key = (self.ledger.tip, encoded, spent_too)
        if key not in self._rebuilt:
            document = self._rebuild(encoded, spent_too)
            if document is None:
                return None
            if len(self._rebuilt) >= REBUILT_KEPT:
                self._rebuilt.clear()
            self._rebuilt[key] = document
        return self._rebuilt[key]

    def _rebuild(self, encoded: bytes, spent_too: bool) -> PayoutDocument | None:
        try:
            request = decode_document(encoded)
            key = self.ctx.epochs.get(request.key_epoch)
            if key is None:
                return None
            if self.ledger.block_hash(request.cutoff_height) != request.cutoff_hash:
                return None
            wanted = set(request.transfers)
            transfers = [
                t for t in self._at(request.cutoff_height).transfers if t.deposit.outpoint in wanted
            ]
        except MetanodeError:
            return None
        if not spent_too and any(self.ledger.spent_by(o) is not None for o in wanted):
            return None
        document = self._build(request.cutoff_height, transfers, key)
        return document if document is not None and document.encode() == encoded else None

    def _at(self, height: int) -> Cutoff:
        settings, key = self.ctx.settings, self.ctx.epoch
        snapshot = self.ledger.snapshot(height)
        transfers, _ = classify_all(snapshot, settings.custody, settings.hrp, key.public_key)
        return Cutoff(snapshot, transfers)

    def _build(
        self, height: int, transfers: list[Transfer], key: KeyEpoch
    ) -> PayoutDocument | None:
        settings = self.ctx.settings
        try:
            snapshot = self.ledger.snapshot(height)
            chosen = payable_transfers(snapshot, transfers, settings.custody)
            if not chosen:
                return None
            lead = chosen[0].deposit.outpoint
            return build_payout(
                snapshot, chosen, key.roster, settings.custody, network_id=settings.network_id,
                chain=settings.chain, key_id=key.key_id, key_epoch=key.number,
                public_key=key.public_key,
                event=payout_event(settings.network_id, key.key_id, lead),
            )
        except (Unpayable, OutsideWindow):
            return None

    def _was_seen(self, transfer: Transfer) -> bool:
        """Return whether this node or f + 1 members saw a deposit, or it is deep enough without."""
        outpoint = transfer.deposit.outpoint
        witnesses = self.seen.get(outpoint, set()) & set(self.ctx.epoch.roster)
        if self.ctx.me in witnesses or len(witnesses) > self.ctx.settings.byzantine:
            return True
        tip = self.ledger.tip
        settings = self.ctx.settings
        deep = settings.confirmations * settings.preset.unseen_depth_factor
        return tip is not None and tip[0] - transfer.deposit.height + 1 >= deep
