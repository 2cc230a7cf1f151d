"""When new shares are due, and for whom: at the nightly hour, or when the operator asks."""

from __future__ import annotations

from typing import Any

from attrs import define, field, frozen

from metanode.protocol.context import Context
from metanode.protocol.keys.epoch import KeyEpoch
from metanode.protocol.requests.request import NEW_SHARES, Request
from metanode.protocol.requests.requests import Requests


@frozen
class Wish:
    """New shares to follow ``epoch``; ``members`` None: for those who hold shares now."""

    epoch: int
    members: tuple[bytes, ...] | None = None
    threshold: int = 0
    byzantine: int = 0

    @classmethod
    def of(cls, request: Request) -> Wish:
        """Return what an operator's request asks for."""
        fields = request.fields
        if request.kind == "keyrefresh":
            return cls(fields["epoch"])
        members = tuple(fields["members"])
        return cls(fields["epoch"], members, fields["threshold"], fields["byzantine"])

    def is_met_by(self, draft: KeyEpoch, key: KeyEpoch) -> bool:
        """Return whether a draft that would follow the epoch in force is what was asked for."""
        if self.members is not None:
            numbers = (draft.roster, draft.threshold, draft.byzantine)
            return numbers == (self.members, self.threshold, self.byzantine)
        found = (draft.members, draft.threshold, draft.byzantine, draft.barred)
        return found == (key.members, key.threshold, key.byzantine, key.barred)


@define
class Wishes:
    """What somebody here wants to follow the epoch in force.

    ``agreed`` are the outcomes of the attempts that this node has a plan for, by number.
    """

    ctx: Context
    requests: Requests
    agreed: dict[int, set[tuple[Any, ...]]] = field(factory=dict)

    def asked(self, key: KeyEpoch) -> list[Wish]:
        """Return what the operator asks for in the place of an epoch, the oldest request first."""
        found = [r for _, r in self.requests.open() if r.kind in NEW_SHARES]
        return [wish for wish in map(Wish.of, found) if wish.epoch == key.number]

    def wish(self) -> Wish | None:
        """Return what is due now: the operator's oldest wish, else the night's refresh."""
        return next(iter(self._all()), None)

    def wanted(self, draft: KeyEpoch) -> bool:
        """Return whether a draft is what somebody here asked for, or the night."""
        key = self.ctx.key
        if key is None or draft.follows != key.number:
            return False
        if any(wish.is_met_by(draft, key) for wish in self._all()):
            return True
        refresh = any(wish.members is None for wish in self._all())
        return refresh and self._is_nights(draft)

    def _is_nights(self, draft: KeyEpoch) -> bool:
        """Return whether a draft is what the night came to; this node may have lost its plan in a
        crash, and not the share that it made.
        """
        outcome = (draft.members, draft.threshold, draft.byzantine, draft.barred)
        made = self.ctx.state("regroup", draft.number) == "prepared"
        return made or outcome in self.agreed.get(draft.number, ())

    def parties(self) -> set[bytes]:
        """Return the peers that take part now without holding a share: their messages are heard."""
        key = self.ctx.key
        wishes = [] if key is None else self.asked(key)
        return {member for wish in wishes for member in wish.members or ()}

    def _all(self) -> list[Wish]:
        key = self.ctx.key
        if key is None:
            return []
        return [*self.asked(key), *([Wish(key.number)] if self._night_is_due(key) else [])]

    def night(self) -> int | None:
        """Return the number of the night whose work is still to be done, or None."""
        key = self.ctx.key
        if key is None or not self._night_is_due(key):
            return None
        return int(self.ctx.now // self.ctx.preset.regroup_period_s)

    def _night_is_due(self, key: KeyEpoch) -> bool:
        """Return whether the nightly hour has passed since the shares in force were made."""
        preset = self.ctx.preset
        first = key.slot * preset.keygen_period_s
        made = key.number * preset.round_period_s if key.follows else first
        return made < self.ctx.now // preset.regroup_period_s * preset.regroup_period_s
