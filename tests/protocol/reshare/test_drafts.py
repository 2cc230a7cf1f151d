"""Drafts of the next epoch: known from all their members' words, and shown to anyone."""

from __future__ import annotations

from metanode.protocol.reshare.drafts import DRAFTS_PER_MEMBER
from spec import messages as m
from tests.protocol.reshare.support import FOUNDERS, NEXT, Holder, epoch, ids_of, word


def asking(number: int = 0) -> Holder:
    """Return a node whose operator asks for a refresh."""
    holder = Holder.at(number)
    holder.asks()
    return holder


def test_a_draft_is_ready_when_all_its_members_said_so() -> None:
    """F-25: catches a step back while a member has no share."""
    holder, draft = asking(), epoch(NEXT)
    drafts, view = holder.handover.drafts, holder.node.ctx.tables.view
    drafts.keep(draft)
    for number, node_id in enumerate(ids_of(FOUNDERS)):
        assert not drafts.is_ready(draft)
        assert node_id in drafts.unready(draft)
        if number:
            holder.node.receive(number, word(draft))
        else:
            drafts.sign(draft)
    assert drafts.is_ready(draft)
    assert drafts.unready(draft) == []
    assert all(view.get("ready_said", node_id, NEXT) for node_id in ids_of(FOUNDERS))


def test_who_took_no_part_knows_a_draft_from_all_its_members() -> None:
    """Catches a leaver that never learns what follows, and a draft on one member's word."""
    leaver, draft = Holder.at(4), epoch(NEXT)
    leaver.asks()
    for number in FOUNDERS:
        assert not leaver.node.ctx.drafts
        leaver.node.receive(number, word(draft))
    assert leaver.node.ctx.drafts == {NEXT: draft}


def test_words_that_came_before_the_draft_count() -> None:
    """Catches a fast member that a slow one never hears."""
    holder, draft = asking(), epoch(NEXT)
    drafts, view = holder.handover.drafts, holder.node.ctx.tables.view
    for number in (1, 2, 3):
        holder.node.receive(number, word(draft))
    assert not view.get("ready_said", ids_of([2])[0], NEXT), "what it is about is not known yet"
    drafts.keep(draft)
    assert drafts.unready(draft) == [*ids_of([0])]
    assert view.get("ready_said", ids_of([2])[0], NEXT)
    drafts.sign(draft)
    assert drafts.is_ready(draft)
    assert {s.member for s in drafts.statements(draft)} == set(draft.roster)


def test_statements_convince_who_heard_nobody() -> None:
    """Catches a liar that says it has its share to some only: what one knows all may know."""
    first, second, draft = asking(4), asking(1), epoch(NEXT)
    for number in FOUNDERS:
        first.node.receive(number, word(draft))
    shown = first.handover.drafts.statements(draft)
    assert [s.member for s in shown] == list(draft.roster)
    second.node.receive(0, m.HandedOver(NEXT, bytes(32), draft.encode(), shown))
    assert second.handover.drafts.is_ready(draft)


def test_a_draft_that_does_not_follow_is_none() -> None:
    """Catches drafts of another epoch before, of other holders, or of the past."""
    holder = asking(4)
    later = epoch(NEXT + 10, follows=NEXT)
    fewer = epoch(NEXT, (0, 1, 2), threshold=2, byzantine=0)
    past = epoch(1, follows=0)
    for draft in (later, fewer, past):
        for number in FOUNDERS:
            holder.node.receive(number, word(draft))
    assert not holder.node.ctx.drafts
    assert not holder.handover.drafts._said


def test_drafts_of_the_past_are_forgotten() -> None:
    """Catches memory that grows with every night."""
    holder = asking()
    for number in (10, 11):
        holder.handover.drafts.keep(epoch(number))
        holder.node.receive(1, word(epoch(number)))
    holder.handover.drafts.forget(10)
    assert list(holder.node.ctx.drafts) == [11]
    assert list(holder.handover.drafts._said) == [11]


def test_a_night_of_failed_attempts_does_not_silence_a_member() -> None:
    """Catches a member whose word counts no more after a few attempts that came to nothing."""
    holder, (peer,) = asking(), ids_of([1])
    last = 10 + DRAFTS_PER_MEMBER
    for number in range(10, last + 1):
        holder.node.receive(1, word(epoch(number)))
    drafts, newest = holder.handover.drafts, epoch(last)
    drafts.keep(newest)
    assert peer not in drafts.unready(newest)
    assert sum(peer in words for words in drafts._said.values()) == DRAFTS_PER_MEMBER
