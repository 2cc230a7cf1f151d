"""The handing over at one node: what it says, to whom, in which order, and what it waits for."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from attrs import evolve

from metanode.protocol import inputs
from metanode.protocol.context import regroup_event
from metanode.protocol.events.event_book import TakenOver
from metanode.protocol.keys.epoch import KeyEpoch
from metanode.protocol.tables.effects import EraseShare
from spec import messages as m
from tests.protocol.reshare.support import (
    FIRST,
    NEXT,
    Holder,
    epoch,
    ids_of,
    messages,
    named,
    payout_lock,
    share_of,
    sign_document,
)
from tests.protocol.support import NETWORK_ID

ME, PERIOD = 0, 2


def asked(numbers: Iterable[int] | None = None, number: int = ME, **quorum: int) -> Holder:
    """Return a node whose operator asks for a refresh, or for these holders."""
    holder = Holder.at(number)
    holder.asks() if numbers is None else holder.asks("quorumchange", numbers, **quorum)
    holder.node.take()
    return holder


def ready(holder: Holder, draft: KeyEpoch) -> None:
    """Let a node make a draft, and hear that the others have their shares of it."""
    holder.makes(draft)
    me = holder.node.ctx.me
    for number in range(8):
        if draft.roster.count(ids_of([number])[0]) and ids_of([number])[0] != me:
            holder.node.receive(number, word_of(draft))


def word_of(draft: KeyEpoch) -> m.SharePrepared:
    """Return a member's word."""
    return m.SharePrepared(draft.number, draft.encode())


def succeed(holder: Holder, draft: KeyEpoch) -> None:
    """Let the node learn from a peer that a draft follows."""
    assert holder.node.receive(1, named(draft)) is None


def hand_over(
    holder: Holder, number: int, draft: KeyEpoch, *locks: m.LockedCandidate
) -> None:
    """Let another node step back for a draft, as an honest one does."""
    other = asked(None, number)
    for candidate in locks:
        other.locks(candidate)
    ready(other, draft)
    for send in other.node.take().sends:
        if send.to == holder.node.ctx.me and type(send.message) in (m.LockShown, m.HandedOver):
            assert holder.node.receive(number, send.message) is None


def erased(holder: Holder) -> list[int]:
    """Return the epochs whose files were to be erased."""
    return [each.epoch for each in holder.node.requests if isinstance(each, EraseShare)]


def test_a_share_is_on_disk_before_anybody_is_told() -> None:
    """DurableBeforeSend: catches a member whose word outlives its share."""
    holder, draft = asked(), epoch(NEXT)
    effects = holder.makes(draft)
    assert holder.holding(NEXT) == "prepared"
    (kept,) = [w.attachment for w in effects.writes if w.cell == "holding"]
    assert kept == draft
    assert kept.keyshare is not None
    assert messages(effects, m.SharePrepared) == {None: word_of(draft)}


def test_nobody_steps_back_before_all_have_their_shares() -> None:
    """F-25: catches an old epoch that stops for an attempt that never ends."""
    holder, draft = asked(), epoch(NEXT)
    holder.makes(draft)
    effects = holder.hears(draft, (1, 2))
    assert holder.holding(1) == "active"
    assert not messages(effects, m.HandedOver)
    refusal = holder.node.ctx.tables.why_not("regroup.Fence", h=1, k=NEXT)
    assert "all_ready" in str(refusal)
    effects = holder.hears(draft, (3,))
    assert holder.holding(1) == "fenced"
    assert set(messages(effects, m.HandedOver)) == set(ids_of((1, 2, 3)))


def test_locks_go_to_the_new_holders_and_the_word_to_all() -> None:
    """F-24: catches a joiner without the locks, and a leaver that is left in the dark."""
    holder, draft = asked((0, 1, 2, 4)), epoch(NEXT, (0, 1, 2, 4))
    shown = payout_lock()
    holder.locks(shown)
    holder.makes(draft)
    effects = holder.hears(draft, (1, 2, 4))
    locks, words = messages(effects, m.LockShown), messages(effects, m.HandedOver)
    assert set(locks) == set(ids_of((1, 2, 4)))
    assert set(locks.values()) == {m.LockShown(NEXT, shown)}
    assert set(words) == set(ids_of((1, 2, 3, 4)))
    (told,) = set(words.values())
    assert {s.member for s in told.prepared} == set(draft.roster)
    order = [type(send.message) for send in effects.sends]
    assert order.index(m.HandedOver) > order.index(m.LockShown)


@pytest.mark.parametrize("state", ["SIGNED", "BROADCAST", "REORGED"])
def test_a_payout_that_is_signed_and_not_final_is_shown(state: str) -> None:
    """F-24: catches a hand-over without the lock of a payout that may still be replaced."""
    holder, draft, shown = asked(), epoch(NEXT), payout_lock()
    holder.locks(shown)
    holder.settled(shown, state)
    holder.makes(draft)
    effects = holder.hears(draft, (1, 2, 3))
    assert set(messages(effects, m.LockShown).values()) == {m.LockShown(NEXT, shown)}


def test_nobody_says_that_it_handed_over_what_it_did_not_show() -> None:
    """F-24: catches a word on locks that a list of what is to be shown has left out."""
    holder, draft, shown = asked(), epoch(NEXT), payout_lock()
    holder.locks(shown)
    final = payout_lock(deposit=2)
    holder.locks(final)
    holder.settled(final)
    holder.book.know(shown.certificate.event, "unknown_kind")
    assert not holder.book.locks_to_show()
    holder.makes(draft)
    effects = holder.hears(draft, (1, 2, 3))
    assert holder.holding(1) == "fenced"
    assert not messages(effects, m.HandedOver)
    assert "locks_all_shown" in str(holder.node.ctx.tables.why_not("regroup.HandOver", h=1, k=NEXT))
    holder.book.know(shown.certificate.event, "payout")
    holder.node.tick()
    effects = holder.node.take()
    assert set(messages(effects, m.LockShown).values()) == {m.LockShown(NEXT, shown)}
    assert messages(effects, m.HandedOver)


def test_after_a_restart_the_locks_of_open_payouts_are_shown_and_no_others() -> None:
    """F-24: catches a restart that forgets what an old lock is about."""
    before, draft = asked(), epoch(NEXT)
    settled, still_open, late = (payout_lock(deposit=number) for number in (1, 2, 3))
    signed_name = named(draft)
    request = sign_document()
    network_id, names = NETWORK_ID, []
    for kind, event, document, attempt in (
        ("sign", before.takes("sign", request), request, 7),
        ("succession", signed_name.event, draft.encode(), 7),
        ("regroup", regroup_event(network_id, FIRST.key_id, 7), b"plan", 7),
    ):
        certificate = evolve(settled.certificate, event=event, attempt=attempt)
        names.append((kind, m.LockedCandidate(document, certificate)))
    after = asked()
    for lock in (settled, still_open, late, *(lock for _, lock in names)):
        found, view = lock.certificate, after.node.ctx.tables.view
        view.put("lock", (after.node.ctx.me, found.event), found.digest)
        view.put("lock_attempt", (after.node.ctx.me, found.event), found.attempt)
    after.settled(settled)
    after.settled(late, "SIGNED")
    after.book.restore([settled, still_open, late, *(lock for _, lock in names)], [])
    assert [after.book.kind(lock.certificate.event) for _, lock in names] == [k for k, _ in names]
    assert set(after.book.locks_to_show().values()) == {still_open, late}
    after.makes(draft)
    effects = after.hears(draft, (1, 2, 3))
    shown = [s.message.locked for s in effects.sends if isinstance(s.message, m.LockShown)]
    assert {lock.certificate.event for lock in shown} == {
        still_open.certificate.event, late.certificate.event
    }
    assert messages(effects, m.HandedOver)


def test_the_succession_is_proposed_by_who_stepped_back() -> None:
    """F-37: catches a vote for an epoch without the fence, or for an old attempt."""
    holder, draft = asked(), epoch(NEXT)
    handover = holder.handover
    holder.makes(draft)
    assert not list(handover.due())
    holder.hears(draft, (1, 2, 3))
    (task,) = handover.due()
    assert (task.document, task.members) == (draft.encode(), FIRST.roster)
    assert (task.purpose, task.needs_all) == ("succession", False)
    assert handover.named(task.digest) == draft
    assert handover.rebuild(bytes(32), task.attempt) is None
    assert handover.rebuild(task.event, task.attempt - 2) is None
    assert handover.rebuild(task.event, task.attempt + 1) is None


def test_of_two_rivals_the_locked_one_is_proposed() -> None:
    """SAFE-SIGN: catches a second digest of one succession, or a night that a lock blocks."""
    holder, first, second = asked(), epoch(NEXT), epoch(NEXT + 1)
    for draft in (second, first):
        ready(holder, draft)
    assert holder.handover.ready() == [first, second]
    (task,) = holder.handover.due()
    assert task.document == first.encode()
    ctx = holder.node.ctx
    ctx.tables.view.put("lock", (ctx.me, task.event), second.digest(NETWORK_ID))
    (task,) = holder.handover.due()
    assert task.document == second.encode()


def test_a_member_goes_on_when_t_holders_handed_over() -> None:
    """F-24: catches a new share that works before the locks are known, and one that never works."""
    holder, draft, shown = asked(), epoch(NEXT), payout_lock()
    ready(holder, draft)
    succeed(holder, draft)
    ctx = holder.node.ctx
    assert ctx.epoch.number == 1
    hand_over(holder, 1, draft, shown)
    assert ctx.epoch.number == 1, "two have handed over, itself among them"
    holder.node.take()
    hand_over(holder, 2, draft)
    assert ctx.epoch.number == NEXT
    assert ctx.holds_share
    assert (holder.holding(1), holder.holding(NEXT)) == ("erased", "active")
    writes = holder.node.take().writes
    (taken,) = [w.attachment for w in writes if w.cell == "lock"]
    assert taken == TakenOver(shown)
    assert holder.book.lock_of(shown.certificate.event) == shown
    assert erased(holder) == [1]


def test_locks_that_were_shown_long_ago_are_still_taken_over() -> None:
    """F-24: catches a member that a sweep of old attempts keeps out for ever."""
    holder, draft, shown = asked(), epoch(NEXT), payout_lock()
    ready(holder, draft)
    succeed(holder, draft)
    hand_over(holder, 1, draft, shown)
    number = holder.node.ctx.round_number()
    holder.node.ctx.tables.view.forget("Attempt", range(number - 2, number + 3))
    hand_over(holder, 2, draft)
    assert holder.node.ctx.epoch.number == NEXT
    assert holder.book.lock_of(shown.certificate.event) == shown


def test_a_share_works_only_when_the_newest_lock_of_t_holders_is_taken_over() -> None:
    """F-24: catches an activation that a list of what to take over has made too easy."""
    holder, draft, shown = asked(), epoch(NEXT), payout_lock(attempt=9, variant=1)
    holder.locks(payout_lock(attempt=7))
    ready(holder, draft)
    hand_over(holder, 1, draft, shown)
    hand_over(holder, 2, draft)
    tables = holder.node.ctx.tables
    holder.node.ctx.epochs.setdefault(NEXT, draft)
    holder.book.found[named(draft).event] = named(draft)
    assert "locks_taken" in str(tables.why_not("regroup.Activate", h=NEXT))
    holder.locks(shown)
    assert tables.why_not("regroup.Activate", h=NEXT) is None


def test_rivals_of_the_epoch_that_follows_are_erased() -> None:
    """Catches a share of a failed attempt that stays on disk."""
    holder, first, second = asked(), epoch(NEXT), epoch(NEXT + 1)
    holder.makes(first)
    ready(holder, second)
    for number in (1, 2):
        hand_over(holder, number, second)
    succeed(holder, second)
    assert (holder.holding(NEXT), holder.holding(NEXT + 1)) == ("erased", "active")
    assert erased(holder) == [1, NEXT]
    assert not holder.node.ctx.drafts


def test_a_leaver_erases_its_share_and_tells_what_it_has() -> None:
    """Catches a leaver that can still sign, and locks that leave with it."""
    holder, shown = asked((1, 2, 3), threshold=3, byzantine=0), payout_lock()
    draft = epoch(NEXT, (1, 2, 3), threshold=3, byzantine=0)
    holder.locks(shown)
    succeed(holder, draft)
    effects = holder.node.take()
    assert holder.holding(1) == "erased"
    assert not holder.node.ctx.holds_share
    assert set(messages(effects, m.LockShown).values()) == {m.LockShown(NEXT, shown)}
    assert set(messages(effects, m.HandedOver)) == set(ids_of((1, 2, 3)))


def test_a_member_that_learns_of_the_end_first_steps_back_and_goes_over_at_once() -> None:
    """F-24: catches a late member that keeps its own locks to itself, or whose next steps wait."""
    holder, draft = Holder.at(), epoch(NEXT)
    mine, theirs = payout_lock(deposit=1), payout_lock(deposit=2)
    holder.locks(mine)
    ready(holder, draft)
    for number, locks in ((1, (theirs,)), (2, ())):
        hand_over(holder, number, draft, *locks)
    holder.node.take()
    assert holder.holding(1) == "active", "its operator has not asked, so it has not stepped back"
    succeed(holder, draft)
    effects = holder.node.take()
    assert (holder.holding(1), holder.holding(NEXT)) == ("erased", "active")
    assert set(messages(effects, m.LockShown).values()) == {m.LockShown(NEXT, mine)}
    assert set(messages(effects, m.HandedOver)) == set(ids_of((1, 2, 3)))
    assert holder.book.lock_of(theirs.certificate.event) == theirs
    assert erased(holder) == [1]


def test_a_leaver_erases_its_share_of_a_rival_as_well() -> None:
    """Catches a leaver that keeps a share of an attempt that did not win."""
    quorum = {"threshold": 3, "byzantine": 0}
    holder = asked((1, 2, 3), **quorum)
    draft, rival = epoch(NEXT, (1, 2, 3), **quorum), epoch(NEXT + 1)
    holder.makes(rival)
    succeed(holder, draft)
    assert set(messages(holder.node.take(), m.HandedOver)) == set(ids_of((1, 2, 3)))
    assert (holder.holding(1), holder.holding(NEXT + 1)) == ("erased", "erased")
    assert erased(holder) == [1, NEXT + 1]


def test_a_member_that_was_away_for_two_epochs_lets_the_share_of_the_first_go() -> None:
    """Catches a node that waits for ever for others to hand over to an epoch that is over."""
    holder, first = asked(), epoch(NEXT)
    second = epoch(NEXT + 5, (1, 2, 3), follows=NEXT, byzantine=0)
    holder.makes(first)
    succeed(holder, first)
    assert holder.node.ctx.epoch.number == 1
    succeed(holder, second)
    assert holder.node.ctx.epoch == second
    assert not holder.node.ctx.holds_share
    assert (holder.holding(1), holder.holding(NEXT)) == ("erased", "erased")


def test_a_node_with_an_old_disk_keeps_the_share_that_nothing_replaces() -> None:
    """F-25: catches an old share that is erased although the new one is lost."""
    holder, draft = asked(), epoch(NEXT)
    succeed(holder, draft)
    assert holder.holding(1) == "active"
    assert erased(holder) == []
    assert holder.node.noted("epoch.share_lost")


def test_a_peer_that_came_up_is_told_what_it_may_have_missed() -> None:
    """Catches a member that a lost message keeps out."""
    holder, (peer,), draft, shown = asked(), ids_of([1]), epoch(NEXT), payout_lock()
    holder.locks(shown)
    holder.makes(draft)
    holder.node.take_in(inputs.LinkUp(peer))
    assert messages(holder.node.take(), m.SharePrepared) == {peer: word_of(draft)}
    holder.hears(draft, (1, 2, 3))
    holder.node.take_in(inputs.LinkUp(peer))
    effects = holder.node.take()
    assert messages(effects, m.SharePrepared) == {peer: word_of(draft)}
    assert messages(effects, m.LockShown) == {peer: m.LockShown(NEXT, shown)}
    assert set(messages(effects, m.HandedOver)) == {peer}


def test_who_has_not_stepped_back_is_reminded_once_a_round() -> None:
    """Catches a handing over that one lost message stops, or an operator who asked late."""
    holder, draft = asked(), epoch(NEXT)
    ready(holder, draft)
    hand_over(holder, 1, draft)
    holder.node.take()
    ctx = holder.node.ctx
    holder.node.tick()
    assert not messages(holder.node.take(), m.HandedOver)
    holder.node.tick(ctx.now + PERIOD)
    assert set(messages(holder.node.take(), m.HandedOver)) == set(ids_of((2, 3)))
    holder.node.tick()
    assert not messages(holder.node.take(), m.HandedOver)


def test_a_member_that_was_away_is_shown_all_locks_again() -> None:
    """Catches a member of the epoch in force that nobody tells what was locked."""
    holder, shown = asked((1, 2, 3), threshold=3, byzantine=0), payout_lock()
    draft = epoch(NEXT, (1, 2, 3), threshold=3, byzantine=0)
    holder.locks(shown)
    succeed(holder, draft)
    holder.node.take()
    (peer,) = ids_of([2])
    effects = holder.pinged(2, 1)
    assert messages(effects, m.LockShown) == {peer: m.LockShown(NEXT, shown)}
    assert set(messages(effects, m.HandedOver)) == {peer}
    order = [type(send.message) for send in effects.sends]
    assert order.index(m.HandedOver) > order.index(m.LockShown)


def test_a_restart_goes_on_where_it_was() -> None:
    """Catches a node that forgets its new share, or that takes an old one for it."""
    draft = epoch(NEXT)
    for state, number in (("prepared", 1), ("active", NEXT)):
        holder = Holder.at()
        me, view = holder.node.ctx.me, holder.node.ctx.tables.view
        view.put("holding", (me, NEXT), state)
        if state == "active":
            view.put("holding", (me, 1), "erased")
        holder.book.found[named(draft).event] = named(draft)
        holder.handover.restore([evolve(draft, keyshare=share_of(draft, ME))], [draft])
        holder.node.take_in(inputs.Start())
        assert holder.node.ctx.epoch.number == number
        assert holder.node.ctx.holds_share
        assert holder.holding(NEXT) == state


def test_a_file_that_outlived_its_erasure_is_erased_at_a_start() -> None:
    """Catches an old share that a crash has left on the disk."""
    holder = Holder.at()
    holder.node.ctx.tables.view.put("holding", (holder.node.ctx.me, NEXT), "erased")
    holder.handover.restore([epoch(NEXT, share=ME)], [])
    assert erased(holder) == [NEXT]
    assert not holder.node.ctx.drafts


def test_of_one_succession_there_is_one_epoch() -> None:
    """F-37: catches a node that follows a second epoch after it has learned of the first."""
    holder = Holder.at(4)
    first, second = epoch(NEXT), epoch(NEXT + 1)
    for found in (named(first), named(second)):
        holder.node.receive(1, found)
    assert holder.node.ctx.epoch == first


def test_only_what_follows_the_epoch_in_force_takes_its_place() -> None:
    """F-37: catches a step back for an epoch that follows another one, and a second first epoch."""
    holder = asked()
    draft, later = epoch(NEXT), epoch(NEXT + 5, follows=NEXT)
    ctx, tables = holder.node.ctx, holder.node.ctx.tables
    ctx.drafts |= {NEXT: draft, NEXT + 5: later}
    ctx.tables.view.know("Epoch", NEXT)
    for each in (draft, later):
        holder.book.found[named(each).event] = named(each)
    assert tables.why_not("regroup.Fence", h=1, k=NEXT) is None
    assert "follows" in str(tables.why_not("regroup.Fence", h=1, k=NEXT + 5))
    assert "first_epoch" in str(tables.why_not("regroup.Found", h=NEXT))
    tables.view.put("holding", (ctx.me, 1), "no_share")
    assert tables.why_not("regroup.Found", h=1) is None
