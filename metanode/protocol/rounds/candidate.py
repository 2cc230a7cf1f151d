"""What this node sees of the chain, and which payout to propose: the transfers that most peers can
validate, or the one that is locked.

The offers of a round name transfers and a height. The candidate is a pure function of the round, of
the offers heard and of the node's own ledger: equal offers give equal candidates, and everything in
it is built here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import define, evolve, field, frozen

from metanode.chains.base import ChainUpdate
from metanode.custody.errors import LedgerMismatch, OutsideWindow, Unpayable
from metanode.custody.ledger import Ledger
from metanode.custody.payout import (
    PayoutDocument,
    agreed_fee_rate,
    build_payout,
    payable_transfers,
)
from metanode.custody.transfers import Transfer, classify_all
from metanode.custody.types import BlockSummary, Deposit, Outpoint, Snapshot
from metanode.protocol.context import Context, outpoint_of, outpoint_ref
from metanode.protocol.inputs import LinkUp
from metanode.protocol.payouts.windows import Windows, turn_of
from metanode.protocol.peers.stakes import Stakes
from metanode.protocol.tables.effects import Reindex
from metanode.protocol.tables.registry import admits, handles, message
from spec.messages import TRANSFERS_LIMIT, LockedCandidate, Offer, Publish

SIGHTINGS_PER_WITNESS = 2048


@frozen
class Cutoff:
    """The newest block that this node treats as settled, and what can be paid from it."""

    snapshot: Snapshot
    transfers: tuple[Transfer, ...]


@define
class Candidates:
    """Chooses and builds payouts; ``seen`` are deposits that somebody saw unconfirmed.

    Of the chain news at hand, ``undone`` are the blocks that went, ``ripe`` the deposits that have
    become deep enough. ``fee_floor`` is the least that this node's chain daemon takes, in sat/vB.
    """

    ctx: Context
    windows: Windows
    stakes: Stakes
    fee_floor: int = 0
    seen: dict[Outpoint, set[bytes]] = field(factory=dict)
    undone: list[BlockSummary] = field(factory=list)
    ripe: list[Deposit] = field(factory=list)
    _sightings: dict[bytes, dict[Outpoint, None]] = field(factory=dict)
    _untold: list[Outpoint] = field(factory=list)
    _telling: Sequence[Outpoint] = ()
    _indexed: bool = True
    _cutoff: tuple[tuple[int, bytes], Cutoff] | None = None

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    # --- the chain, and what others see of it ---

    @property
    def ledger(self) -> Ledger:
        """The index of the custody's coins."""
        return self.windows.ledger

    def index(self, update: ChainUpdate, sightings: Sequence[Outpoint]) -> bool:
        """Take chain news into the ledger; return whether they fit.

        If they do not, the shell is asked to scan the chain again, and what was undone so far is
        news still when that comes to an end.
        """
        me, self.fee_floor = self.ctx.me, update.fee_floor
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
        self.windows.ledger, self._cutoff = ledger, None
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
        """Note what a member saw, which counts if it is news; :meth:`note_seen` bounds it."""
        news = [self.note_seen(outpoint_of(each), sender) for each in message.seen]
        return any(news)

    def _settled(self, tip: int) -> int:
        """Return the height of the newest block that is deep enough below a tip."""
        return tip - self.ctx.settings.confirmations + 1

    @property
    def settled(self) -> int:
        """The height of the newest block that this node treats as settled; -1 if there is none."""
        return self.windows.settled

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
        """Return what this node can validate now: confirmed, seen before, unspent up to the tip.

        Deposits of payouts that are on their way are left out.
        """
        cutoff = self.cutoff()
        if cutoff is None:
            return ()
        ledger, taken = self.ledger, self.windows.taken()
        return tuple(
            t for t in cutoff.transfers
            if self.was_seen(t)
            and t.deposit.outpoint not in taken
            and ledger.spent_by(t.deposit.outpoint) is None
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

    def unconfirmed(self) -> list[dict[str, Any]]:
        """Return the newest that this node saw and found in no block yet, for the operator."""
        return [
            {"outpoint": str(outpoint), "witnesses": len(self.seen.get(outpoint, ()))}
            for outpoint in self.seen_by(self.ctx.me)[-TRANSFERS_LIMIT:]
            if self.ledger.coin(outpoint) is None
        ]

    # --- the candidate ---

    def choose(
        self, number: int, offers: Mapping[bytes, Offer], shown: Iterable[LockedCandidate]
    ) -> PayoutDocument | None:
        """Return the document to propose in a round, or None when there is nothing to agree on.

        What is locked goes first, the newest lock before others; then the windows with transfers
        that t peers offer and that this node can validate, the oldest first. In every other round
        they take turns, so that one that comes to nothing does not keep the others from being paid.
        """
        shown = list(shown)
        for candidate in shown:
            self.windows.show(candidate)
        locks: dict[int, PayoutDocument] = {}
        for locked in self.windows.locks(shown):
            locks.setdefault(locked.window, locked)
        height, agreed = self._agreed(offers)
        fee_floor = self._fee_floor(offers)
        windows = [*locks, *sorted(agreed.keys() - locks.keys())]
        turn = turn_of(number, len(windows))
        for window in (*windows[turn:], *windows[:turn]):
            document = locks.get(window)
            if document is None:
                document = self._build(height, window, agreed[window], fee_floor)
            if document is not None:
                return document
        return None

    def _agreed(self, offers: Mapping[bytes, Offer]) -> tuple[int, dict[int, list[Transfer]]]:
        """Return the highest block that t peers have, and what t peers offer there, by window."""
        key, settings = self.ctx.epoch, self.ctx.settings
        if len(offers) < key.quorum.threshold:
            return 0, {}
        heights = sorted((offer.height for offer in offers.values()), reverse=True)
        height = heights[key.quorum.threshold - 1]
        mine = {t.deposit.outpoint: t for t in self.eligible() if t.deposit.height <= height}
        counts = dict.fromkeys(mine, 0)
        for offer in offers.values():
            for outpoint in {outpoint_of(reference) for reference in offer.transfers} & set(mine):
                counts[outpoint] += 1
        agreed: dict[int, list[Transfer]] = {}
        for outpoint, transfer in mine.items():
            if counts[outpoint] >= key.quorum.threshold:
                window = settings.custody.window_of(transfer.deposit.height)
                agreed.setdefault(window, []).append(transfer)
        return height, agreed

    def _fee_floor(self, offers: Mapping[bytes, Offer]) -> int:
        """Return the highest fee rate that f + 1 peers say their daemons demand at least.

        So one correct node's daemon demands it, and liars can raise it no further; t would let
        them lower it where t peers are all that offer.
        """
        rates = sorted((offer.fee_floor for offer in offers.values()), reverse=True)
        faulty = self.ctx.settings.byzantine
        return rates[faulty] if len(rates) > faulty else 0

    def _at(self, height: int) -> Cutoff:
        settings, key = self.ctx.settings, self.ctx.epoch
        snapshot = self.ledger.snapshot(height)
        transfers, _ = classify_all(snapshot, settings.custody, settings.hrp, key.public_key)
        return Cutoff(snapshot, transfers)

    def _build(
        self, height: int, window: int, transfers: Sequence[Transfer], fee_floor: int
    ) -> PayoutDocument | None:
        """Build the next payout of a window; None if nothing in it can be paid now."""
        settings, key, ledger = self.ctx.settings, self.ctx.epoch, self.ledger
        try:
            cutoff = self._at(height)
            coins = tuple(c for c in cutoff.snapshot.change if ledger.spent_by(c.outpoint) is None)
            snapshot, custody = evolve(cutoff.snapshot, change=coins), settings.custody
            rate = agreed_fee_rate(snapshot, custody, fee_floor)
            chosen = payable_transfers(snapshot, transfers, custody, rate)
            if not chosen:
                return None
            return build_payout(
                snapshot, chosen, key.roster, custody, network_id=settings.network_id,
                chain=settings.chain, key_id=key.key_id, key_epoch=key.number,
                public_key=key.public_key, part=self.windows.next_part(window),
                fee_floor=fee_floor, waiting=cutoff.transfers,
                rewarded=self.stakes.rewarded(height),
            )
        except (Unpayable, OutsideWindow):
            return None

    def was_seen(self, transfer: Transfer) -> bool:
        """Return whether this node or f + 1 members saw a deposit, or it is deep enough without."""
        outpoint = transfer.deposit.outpoint
        witnesses = self.seen.get(outpoint, set()) & set(self.ctx.epoch.roster)
        if self.ctx.me in witnesses or len(witnesses) > self.ctx.settings.byzantine:
            return True
        tip = self.ledger.tip
        settings = self.ctx.settings
        deep = settings.confirmations * settings.preset.unseen_depth_factor
        return tip is not None and tip[0] - transfer.deposit.height + 1 >= deep
