"""Drafts of the next epoch: known from all their members' words, and shown to anyone."""

from __future__ import annotations

from metanode.protocol.keys.epoch import KeyEpoch
from metanode.protocol.reshare.drafts import DRAFTS_PER_MEMBER, Drafts
from spec import messages as m
from tests.simulation.epochs import draft_of, said, wish
from tests.simulation.simulator import Simulation, with_key


def drafts_at(sim: Simulation, number: int = 0) -> Drafts:
    """Return a node's drafts; its operator asks for a refresh."""
    wish(sim, number)
    return sim.core(number).handover.drafts


def hear(drafts: Drafts, sim: Simulation, number: int, draft: KeyEpoch) -> None:
    """Let a node say that it has its share."""
    word = said(sim, number, draft)
    message = m.SharePrepared(draft.number, draft.encode())
    drafts.note(word.member, message, word.signature)


def test_a_draft_is_ready_when_all_its_members_said_so() -> None:
    """F-25: catches a step back while a member has no share."""
    sim = with_key(52)
    drafts, draft = drafts_at(sim), draft_of(sim, 10)
    drafts.keep(draft)
    for number in range(4):
        assert not drafts.is_ready(draft)
        assert sim.nodes[number].node_id in drafts.unready(draft)
        hear(drafts, sim, number, draft)
    assert drafts.is_ready(draft)
    assert drafts.unready(draft) == []
    view = sim.core(0).ctx.tables.view
    assert all(view.get("ready_said", node.node_id, 10) for node in sim.nodes)


def test_who_took_no_part_knows_a_draft_from_all_its_members() -> None:
    """Catches a leaver that never learns what follows, and a draft on one member's word."""
    sim = with_key(53)
    drafts, draft = drafts_at(sim), draft_of(sim, 10)
    for number in range(4):
        assert not drafts.known
        hear(drafts, sim, number, draft)
    assert drafts.known == {10: draft}


def test_words_that_came_before_the_draft_count() -> None:
    """Catches a fast member that a slow one never hears."""
    sim = with_key(54)
    drafts, draft = drafts_at(sim), draft_of(sim, 10)
    for number in (1, 2, 3):
        hear(drafts, sim, number, draft)
    drafts.keep(draft)
    assert drafts.unready(draft) == [sim.nodes[0].node_id]
    assert sim.core(0).ctx.tables.view.get("ready_said", sim.nodes[2].node_id, 10)
    drafts.sign(m.SharePrepared(10, draft.encode()))
    assert drafts.is_ready(draft)
    assert {s.member for s in drafts.statements(draft)} == set(draft.roster)


def test_statements_convince_who_heard_nobody() -> None:
    """Catches a liar that says it has its share to some only: what one knows all may know."""
    sim = with_key(55)
    first, second, draft = drafts_at(sim), drafts_at(sim, 1), draft_of(sim, 10)
    for number in range(4):
        hear(first, sim, number, draft)
    shown = first.statements(draft)
    assert [s.member for s in shown] == list(draft.roster)
    second.take(sim.nodes[0].node_id, m.SharePrepared(10, draft.encode()), shown)
    assert second.is_ready(draft)


def test_a_draft_that_does_not_follow_is_none() -> None:
    """Catches drafts of another key, of another epoch before, of the past, or not asked for."""
    sim = with_key(56)
    drafts = drafts_at(sim)
    later = draft_of(sim, 20, after=draft_of(sim, 10))
    fewer = draft_of(sim, 10, (0, 1, 2), threshold=2, byzantine=0)
    past = draft_of(sim, 1)
    for draft in (later, fewer, past):
        for number in range(4):
            hear(drafts, sim, number, draft)
    assert not drafts.known
    assert not drafts._said


def test_drafts_of_the_past_are_forgotten() -> None:
    """Catches memory that grows with every night."""
    sim = with_key(57)
    drafts = drafts_at(sim)
    for number in (10, 11):
        drafts.keep(draft_of(sim, number))
        hear(drafts, sim, 1, draft_of(sim, number))
    drafts.forget(10)
    assert list(drafts.known) == [11]
    assert list(drafts._said) == [11]


def test_a_night_of_failed_attempts_does_not_silence_a_member() -> None:
    """Catches a member whose word counts no more after a few attempts that came to nothing."""
    sim = with_key(58)
    drafts = drafts_at(sim)
    last = 10 + DRAFTS_PER_MEMBER
    for number in range(10, last + 1):
        hear(drafts, sim, 1, draft_of(sim, number))
    newest = draft_of(sim, last)
    drafts.keep(newest)
    assert sim.nodes[1].node_id not in drafts.unready(newest)
    assert sum(sim.nodes[1].node_id in words for words in drafts._said.values()) == (
        DRAFTS_PER_MEMBER
    )
