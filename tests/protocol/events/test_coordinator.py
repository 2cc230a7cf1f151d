"""SETUP, ACK and BEGIN among honest nodes."""

from __future__ import annotations

import pytest

from metanode.errors import LocalFault
from metanode.protocol.inputs import Start
from spec import messages as m
from tests.protocol.events.support import IDS, Events, setup_of, task_of, turn_of
from tests.protocol.support import DIGEST, EVENT, OTHER, PRESET, ROUND, START, signed

HERE = turn_of(ROUND)
"""The coordinator of the attempt of the first round."""

MEMBER = (HERE + 2) % 4
GRACE = PRESET.convene_share * PRESET.round_period_s


def acked(*, links: int = 4) -> Events:
    """Return a coordinator that has asked all members, of whom so many are up, and has voted."""
    events = Events.at(HERE, task_of())
    others = [node for node in IDS if node != IDS[HERE]]
    events.node.ctx.links.intersection_update(others[: links - 1])
    events.node.tick()
    return events


def vote_from(events: Events, *numbers: int) -> None:
    """Have these nodes vote for the task."""
    for number in numbers:
        events.node.receive(number, task_of().vote)


def test_the_coordinator_rotates_with_the_attempts() -> None:
    """F-20, F-21: catches a coordinator by block number: it could be silent for 1000 blocks."""
    turns = [task_of(attempt).coordinator for attempt in range(8)]
    assert turns[:4] != sorted(turns[:4]), "the epoch shifts the turns"
    assert sorted(turns[:4]) == list(IDS)
    assert turns[4:] == turns[:4]
    assert task_of(0, key_epoch=2).coordinator == task_of(1).coordinator


def test_a_key_generation_needs_all_votes_and_a_signature_t() -> None:
    """Catches a key generation without a member, and a lock-in that waits for everybody."""
    assert task_of(1, needs_all=True).votes_needed == 4
    assert task_of(1).votes_needed == 3


def test_the_vote_says_everything_that_is_agreed_on() -> None:
    """F-17, F-22: catches an ACK that fits another set-up."""
    vote = task_of(5).vote
    assert (vote.attempt, vote.event, vote.digest, vote.members) == (5, EVENT, DIGEST, IDS)


def test_set_ups_are_sent_once_an_attempt() -> None:
    """Catches a coordinator that asks again with every tick, and a member that asks too."""
    events = Events.at(HERE, task_of())
    for _ in range(3):
        events.node.tick()
    sends = [send for send in events.node.take().sends if isinstance(send.message, m.Setup)]
    assert [(send.message, send.to) for send in sends] == [(setup_of(task_of()), None)]
    assert events.session() == "acked"
    quiet = Events.at(MEMBER, task_of())
    quiet.node.tick()
    assert not quiet.node.sent(m.Setup)


def test_a_member_acknowledges_what_it_has_rebuilt() -> None:
    """F-17: catches an ACK that is not durable, not of this attempt, or sent twice."""
    events = Events.at(MEMBER, task_of())
    for _ in range(2):
        assert events.node.receive(HERE, setup_of(task_of())) is None
    effects = events.node.take()
    assert [send.message for send in effects.sends] == [task_of().vote]
    assert ("voted", DIGEST) in {(write.cell, write.after) for write in effects.writes}
    assert events.session() == "acked"


def test_a_set_up_waits_for_the_members_own_view() -> None:
    """Catches a member that refuses for good what it will know a moment later."""
    events = Events.at(MEMBER)
    events.node.receive(HERE, setup_of(task_of()))
    events.node.tick()
    assert events.session() == "absent"
    events.aim.tasks[EVENT, ROUND] = task_of()
    events.node.tick()
    assert events.session() == "acked"


def test_an_ack_cannot_send_the_vote_for_another_digest() -> None:
    """Catches a firing for one digest that sends a vote for another: the message has the row's
    index, whatever is at hand.
    """
    for other in (
        m.Vote(1, EVENT, ROUND, OTHER, IDS), m.Vote(1, EVENT, ROUND + 1, DIGEST, IDS)
    ):
        events = Events.at(MEMBER, task_of())
        events.aim.tasks.clear()
        ctx = events.node.ctx
        ctx.tables.view.put("session", (ctx.me, EVENT, ROUND), "created")
        ctx.tables.view.put("session_digest", (ctx.me, EVENT, ROUND), DIGEST)
        ctx.tables.view.put("status", (ctx.me, EVENT), "IN_PROGRESS")
        events.book.know(EVENT, "sign")
        events.votes.taken_up(task_of().vote, task_of().quorum)
        events.votes.voting(other)
        with pytest.raises(LocalFault, match="the row is about"):
            ctx.fire("session.Ack", **task_of().about)
        assert not events.node.take().sends
        assert ctx.state("session", EVENT, ROUND) == "created"


def test_exactly_t_of_those_who_were_asked_begin() -> None:
    """F-22: catches a session of all voters, or one that a dead member stalls."""
    events = acked(links=3)
    vote_from(events, *(n for n in range(4) if n != HERE))
    (begin,) = events.node.sent(m.Begin)
    assert len(begin.certificate.votes) == 3
    assert IDS[HERE] in {vote.voter for vote in begin.certificate.votes}
    assert events.session() == "begun"
    assert events.book.lock_of(EVENT) == m.LockedCandidate(b"document", begin.certificate)
    assert events.aim.done == [("begun", EVENT)]


def test_a_coordinator_waits_for_linked_voters_and_not_for_the_dead() -> None:
    """F-34: catches a BEGIN of whoever was first, and a grace that all have to wait."""
    first, second, third = (n for n in range(4) if n != HERE)
    for up in (3, 4):
        events = acked(links=up)
        vote_from(events, first)
        assert not events.node.sent(m.Begin)
        vote_from(events, second)
        assert bool(events.node.sent(m.Begin)) == (up == 3), "all who are up have voted"
        events.node.tick(START + 0.1 + 0.99 * GRACE)
        assert not events.node.sent(m.Begin)
        events.node.tick(START + 0.11 + GRACE)
        assert bool(events.node.sent(m.Begin)) == (up == 4)
        vote_from(events, third)
        assert not events.node.sent(m.Begin)


def test_a_key_generation_waits_for_everybody() -> None:
    """Catches a dealing that begins without one of its members, however long it takes."""
    task = task_of(needs_all=True, purpose="keygen")
    events = Events.at(HERE, task)
    events.aim.kind = "keygen"
    events.book.purposes.by_kind["keygen"] = events.aim
    events.node.tick()
    for number in [n for n in range(4) if n != HERE][:2]:
        events.node.receive(number, task.vote)
    events.node.tick(START + 1.9)
    assert not events.node.sent(m.Begin)


def test_members_begin_with_the_certificate_and_the_others_wait() -> None:
    """Catches a session without its lock on disk, and a voter that signs beside the chosen t."""
    chosen = [n for n in range(4) if n != MEMBER]
    for voters, state in (([HERE, MEMBER, chosen[0]], "begun"), (chosen, "expired")):
        events = Events.at(MEMBER, task_of())
        events.node.receive(HERE, setup_of(task_of()))
        made = signed(voters, attempt=ROUND, members=IDS)
        assert len(made.votes) == len(set(voters)) == 3
        assert events.node.receive(HERE, m.Begin(made)) is None
        assert events.session() == state
        written = {write.cell for write in events.node.take().writes}
        assert ("lock" in written) == (state == "begun")
        assert events.book.status(EVENT) == ("IN_PROGRESS" if state == "begun" else "PENDING")


def test_a_higher_attempt_takes_over_while_nothing_is_released() -> None:
    """F-20: catches an attempt that blocks all later ones, and two that go on side by side."""
    later = task_of(ROUND + 1)
    events = Events.at(MEMBER, task_of(), later)
    events.node.receive(HERE, setup_of(task_of()))
    events.node.receive(turn_of(ROUND + 1), setup_of(later))
    assert (events.session(), events.session(ROUND + 1)) == ("expired", "acked")


@pytest.mark.parametrize("number", [HERE, MEMBER])
def test_an_event_of_which_nothing_was_released_is_tried_again(number: int) -> None:
    """F-35: catches an event that one early abort strands, at its coordinator or elsewhere."""
    events = Events.at(number, task_of())
    events.node.ctx.tables.view.put("status", (events.node.ctx.me, EVENT), "FAILED")
    events.node.tick()
    if number != HERE:
        events.node.receive(HERE, setup_of(task_of()))
    assert events.session() == "acked"


@pytest.mark.parametrize("state", ["acked", "stepping"])
def test_a_coordinator_makes_room_for_its_own_attempt_too(state: str) -> None:
    """F-20: catches an attempt that ends one whose share is out, or waits for one without."""
    events = Events.at(HERE, task_of())
    put, me = events.node.ctx.tables.view.put, events.node.ctx.me
    put("session", (me, EVENT, ROUND - 1), state)
    put("status", (me, EVENT), "IN_PROGRESS")
    events.node.tick()
    wanted = ("expired", "acked") if state == "acked" else ("stepping", "absent")
    assert (events.session(ROUND - 1), events.session()) == wanted


def test_an_attempt_whose_time_is_over_ends_and_its_event_waits() -> None:
    """SessionEnds: catches an attempt without an end, and who was missed in it."""
    events = Events.at(MEMBER, task_of())
    events.node.receive(HERE, setup_of(task_of()))
    events.node.tick(START + 1.0)
    assert events.session() == "acked"
    events.aim.first, events.aim.tasks = ROUND + 1, {}
    events.node.tick(START + 2.1)
    assert events.session() == "expired"
    assert events.book.status(EVENT) == "PENDING"
    assert events.aim.done == [("ended", EVENT)]
    assert set(events.aim.missed) == set(IDS) - {IDS[MEMBER]}, "they have not voted"
    assert not events.coordinators.tasks


def test_events_that_a_restart_interrupted_are_tried_again() -> None:
    """Catches an event that waits for ever for a session that memory has lost."""
    again = Events.at(MEMBER)
    again.node.ctx.tables.view.put("status", (again.node.ctx.me, EVENT), "IN_PROGRESS")
    again.node.take_in(Start())
    assert again.book.status(EVENT) == "PENDING"
