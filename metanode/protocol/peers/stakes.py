"""Whose stake held at which block: what rewards and the next roster depend on.

A stake is asked for once, and followed in the index's blocks from then on. Nothing here is a
peer's word: two nodes with one block agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from attrs import define, field

from metanode.chains.base import StakeVerdict
from metanode.custody.ledger import Ledger
from metanode.custody.stakes import Stake
from metanode.custody.types import Outpoint
from metanode.protocol.context import Context
from metanode.protocol.keys.epoch import Member
from metanode.protocol.tables.effects import CheckStake


@define
class Stakes:
    """The stakes of members and candidates at one node; ``ledger`` gives its index of blocks."""

    ctx: Context
    ledger: Callable[[], Ledger]
    _asked: dict[Outpoint, float] = field(factory=dict)
    _shown: tuple[Outpoint, int | None] | None = None

    def note(self, peer: bytes, stake: Outpoint, found: StakeVerdict) -> None:
        """Keep what the chain says of a stake: a good one is followed."""
        book = self.ledger().stakes
        if self.ledger().tip is None:
            return  # no block is read yet: it is asked for again by then
        if found.ok:
            book.know(Stake(stake, peer, found.amount, found.height, found.since))
        elif found.reason == "spent" and self._is_members(stake):
            book.lose(stake)

    def known(self, peer: bytes, stake: Outpoint) -> StakeVerdict | None:
        """Return what blocks tell of a stake, or None if the chain must be asked."""
        found = self.ledger().stakes.get(stake)
        if found is None or found.owner != peer:
            return None
        if found.spent_at is not None:
            return StakeVerdict(False, "spent", found.amount)
        return StakeVerdict(True, "ok", found.amount, 0, found.height, found.time)

    def holds_at(self, stake: Outpoint, height: int) -> bool:
        """Return whether a member's stake held after a block; it did when the member came in."""
        return self.ledger().stakes.held_at(stake, height)

    def rewarded(self, height: int) -> tuple[bytes, ...]:
        """Return the holders who are paid by a payout that is agreed on at a block."""
        members = self.ctx.epoch.members
        return tuple(m.node_id for m in members if self.holds_at(m.stake, height))

    def member_at(self, peer: bytes, stake: Outpoint, height: int) -> Member | None:
        """Return a candidate as it would be a member, if its stake holds and is old enough after a
        block; None also while this node does not know the stake.
        """
        ledger = self.ledger()
        found, now = ledger.stakes.get(stake), ledger.median_time(height)
        if found is None or now is None or found.owner != peer or not found.holds_at(height):
            return None
        old = now - found.time >= self.ctx.preset.stake_age_s
        return Member(peer, stake, found.height) if old else None

    def settled(self) -> int:
        """Return the height of the newest block that this node treats as settled; -1 if none."""
        tip = self.ledger().tip
        return -1 if tip is None else tip[0] - self.ctx.settings.confirmations + 1

    def ask(self, wanted: Iterable[tuple[bytes, Outpoint]]) -> None:
        """Ask for stakes that this node does not know yet, each now and then."""
        ctx, book = self.ctx, self.ledger().stakes
        for peer, stake in wanted:
            due = ctx.steady - self._asked.get(stake, 0.0) >= ctx.preset.stake_query_s
            if due and book.get(stake) is None:
                self._asked[stake] = ctx.steady
                ctx.ask(CheckStake(peer, stake))

    def look(self) -> None:
        """At a round's boundary: ask for the members' stakes, and say so when one's own is gone."""
        ctx, ledger = self.ctx, self.ledger()
        if not ctx.boundary or ctx.key is None or ledger.tip is None:
            return
        members = ctx.key.members
        self._asked = {o: at for o, at in self._asked.items() if ctx.steady - at < 3600}
        self.ask((member.node_id, member.stake) for member in members)
        kept = [member.stake for member in members]
        ledger.stakes.forget(kept, ledger.blocks[0].height)
        mine = ledger.stakes.get(ctx.settings.stake)
        state = (ctx.settings.stake, None if mine is None else mine.spent_at)
        if state != self._shown and state[1] is not None:
            ctx.note("stake.spent", stake=str(state[0]), height=state[1])
        self._shown = state

    def report(self) -> dict[str, Any]:
        """Return this node's own stake, for its operator: what it is worth, and what is wrong."""
        stake = self.ctx.settings.stake
        found, lost = self.ledger().stakes.get(stake), self._is_lost(stake)
        spent = lost if found is None else found.spent_at is not None
        return {
            "outpoint": str(stake),
            "amount": None if found is None else found.amount,
            "height": None if found is None else found.height,
            "spent_at": None if found is None else found.spent_at,
            "state": "spent" if spent else "unknown" if found is None else "good",
        }

    def _is_lost(self, stake: Outpoint) -> bool:
        return not self.ledger().stakes.held_at(stake, 1 << 62)

    def _is_members(self, stake: Outpoint) -> bool:
        key = self.ctx.key
        return key is not None and any(stake == member.stake for member in key.members)
