"""When new shares are due, and which drafts somebody here asked for."""

from __future__ import annotations

from attrs import evolve

from metanode.protocol.reshare.wishes import Wish
from tests.protocol.reshare.support import NEXT, Holder, epoch, ids_of
from tests.protocol.support import START

DAY = 86400
MIDNIGHT = START - START % DAY + DAY


def test_nothing_is_due_until_somebody_asks() -> None:
    """Catches new shares by day that nobody wants."""
    holder = Holder.at()
    assert holder.wishes.wish() is None
    assert not list(holder.regroups.due())


def test_the_night_refreshes_once() -> None:
    """Catches a night without a refresh, and one that never ends."""
    holder = Holder.at(now=MIDNIGHT - 1)
    ctx, wishes = holder.node.ctx, holder.wishes
    assert wishes.wish() is None
    ctx.now += 1
    assert wishes.wish() == Wish(1)
    draft = epoch(ctx.round_number())
    assert wishes.wanted(draft)
    ctx.use(draft)
    assert wishes.wish() is None
    ctx.now += DAY
    assert wishes.wish() == Wish(draft.number)


def test_what_the_operator_asks_for_comes_before_the_night() -> None:
    """Catches an operator who must wait for a night that cannot succeed."""
    holder = Holder.at(now=MIDNIGHT + 1)
    holder.asks("quorumchange", (0, 1, 2), 3, 0)
    wish = holder.wishes.wish()
    assert wish is not None
    assert wish.members == ids_of((0, 1, 2))
    other = Holder.at(now=MIDNIGHT + 1)
    other.asks(after=7)
    assert other.wishes.wish() == Wish(1), "a wish for another epoch is none"


def test_only_what_was_asked_for_is_wanted() -> None:
    """Catches shares for holders, or with numbers, that the operator did not choose."""
    chosen = (0, 1, 2, 4)
    holder = Holder.at()
    holder.asks("quorumchange", chosen)
    wanted = holder.wishes.wanted
    assert wanted(epoch(NEXT, chosen))
    assert not wanted(epoch(NEXT))
    assert not wanted(epoch(NEXT, chosen, byzantine=0))
    assert not wanted(epoch(NEXT, chosen, threshold=4, byzantine=0))
    assert not wanted(epoch(NEXT + 1, chosen, follows=NEXT))
    assert holder.wishes.parties() == set(ids_of(chosen))


def test_a_refresh_wants_the_same_holders_or_fewer() -> None:
    """F-26: catches a night that brings a new holder in, or counts on one liar less (F-38)."""
    holder = Holder.at()
    holder.asks()
    wanted, three = holder.wishes.wanted, (0, 1, 2)
    assert wanted(epoch(NEXT))
    assert not wanted(epoch(NEXT, three, threshold=3, byzantine=0))
    assert not wanted(epoch(NEXT, three, threshold=2, byzantine=0))
    assert not wanted(epoch(NEXT, (0, 1, 2, 4)))
    aged = epoch(NEXT)
    aged = evolve(aged, members=(evolve(aged.members[0], height=1), *aged.members[1:]))
    assert not wanted(aged), "a stake that is not what the roster says"
    assert holder.wishes.parties() == set()


def test_a_wish_is_met_by_what_is_in_force_and_by_nothing_else() -> None:
    """Catches a request that is never done, and one that is done too early."""
    holder = Holder.at()
    refresh = holder.asks()
    change = holder.asks("quorumchange", (0, 1, 2), 3, 0)
    holder.node.tick()
    assert not holder.requests.is_met(refresh)
    assert "key_made" in str(holder.node.ctx.tables.why_not("event.KeyMade", e=refresh))
    holder.node.ctx.use(epoch(NEXT))
    holder.node.tick()
    assert holder.book.status(refresh) == "SUCCESS"
    assert holder.book.status(change) == "PENDING"
    holder.node.ctx.use(epoch(NEXT + 1, (0, 1, 2), threshold=3, byzantine=0, follows=NEXT))
    holder.node.tick()
    assert holder.book.status(change) == "SUCCESS"
