"""Stakes as the blocks show them: a pure fold beside the custody's coins.

A stake is told once by the chain's set of unspent outputs, and followed in blocks from then on. So
whether it held at a height is the same at all nodes that have that block, whatever was spent since.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve, field, frozen
from attrs.validators import ge, instance_of, optional

from metanode.custody.types import (
    MAX_MONEY,
    NODE_ID_BYTES,
    BlockSummary,
    Outpoint,
    exact_bytes,
    whole,
)

STAKES_FOLLOWED = 4096
"""Each has cost its owner the least stake; the newest ones are not followed beyond that."""


@frozen
class Stake:
    """An output that makes a node a member: its owner, its worth, its block, and who spent it.

    ``height`` and ``time`` (unix seconds) are those of its block, ``spent_at`` the height of the
    block that spent it, None while it is unspent.
    """

    outpoint: Outpoint
    owner: bytes = field(validator=exact_bytes(NODE_ID_BYTES))
    amount: int = field(validator=whole(0, MAX_MONEY))
    height: int = field(validator=[instance_of(int), ge(0)])
    time: int = field(validator=[instance_of(int), ge(0)])
    spent_at: int | None = field(
        default=None, validator=optional([instance_of(int), ge(0)])
    )

    def holds_at(self, height: int) -> bool:
        """Return whether it was there, and unspent, after the block at a height."""
        return self.height <= height and (self.spent_at is None or self.spent_at > height)


class StakeBook:
    """The stakes that a node follows, by outpoint."""

    def __init__(self, stakes: Iterable[Stake] = ()) -> None:
        self._stakes = {stake.outpoint: stake for stake in stakes}
        self._lost: set[Outpoint] = set()

    @property
    def all(self) -> tuple[Stake, ...]:
        """Return every stake that is followed, the spent ones too."""
        return tuple(self._stakes.values())

    def get(self, outpoint: Outpoint) -> Stake | None:
        """Return a stake, or None for one that is not followed."""
        return self._stakes.get(outpoint)

    def know(self, stake: Stake) -> None:
        """Follow a stake from now on; what blocks have told already stays."""
        self._lost.discard(stake.outpoint)
        if stake.outpoint not in self._stakes and len(self._stakes) < STAKES_FOLLOWED:
            self._stakes[stake.outpoint] = stake

    def lose(self, outpoint: Outpoint) -> None:
        """Note that a member's stake is spent, and that nobody knows since when."""
        if outpoint not in self._stakes and len(self._lost) < STAKES_FOLLOWED:
            self._lost.add(outpoint)

    def held_at(self, outpoint: Outpoint, height: int) -> bool:
        """Return whether a member's stake held after the block at a height.

        One that this node has not heard of yet did: it was checked when its owner came in.
        """
        stake = self._stakes.get(outpoint)
        return outpoint not in self._lost if stake is None else stake.holds_at(height)

    def forget(self, keep: Iterable[Outpoint], before: int) -> None:
        """Drop those that were spent below a height, unless they are of somebody who matters."""
        kept = set(keep)
        self._stakes = {
            outpoint: stake for outpoint, stake in self._stakes.items()
            if stake.spent_at is None or stake.spent_at >= before or outpoint in kept
        }

    def connect(self, block: BlockSummary) -> None:
        """Note what a block spent."""
        for outpoint in block.stakes:
            stake = self._stakes.get(outpoint)
            if stake is not None and stake.spent_at is None:
                self._stakes[outpoint] = evolve(stake, spent_at=block.height)

    def disconnect(self, block: BlockSummary) -> None:
        """Take a block back; a stake that it made is asked for again."""
        for outpoint, stake in tuple(self._stakes.items()):
            if stake.height >= block.height:
                del self._stakes[outpoint]
            elif stake.spent_at is not None and stake.spent_at >= block.height:
                self._stakes[outpoint] = evolve(stake, spent_at=None)
