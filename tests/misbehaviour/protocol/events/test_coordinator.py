"""Dishonest coordinators, and members who play the coordinator: forged SETUP and BEGIN."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.errors import PeerFault
from spec import messages as m
from tests.protocol.events.support import IDS, Events, setup_of, task_of, turn_of
from tests.protocol.support import DIGEST, EVENT, OTHER, ROUND, signed

HERE = turn_of(ROUND)
"""The coordinator of the attempt, which is dishonest."""

MEMBER, THIEF, LAST = ((HERE + n) % 4 for n in (2, 3, 1))
MADE = signed([HERE, MEMBER, THIEF], attempt=ROUND, members=IDS)


def forged(real: m.Certificate) -> m.Certificate:
    """Return a certificate with the signatures of a real one over another digest."""
    return evolve(real, digest=bytes(32))


def asked() -> Events:
    """Return a member that has acknowledged the coordinator's set-up."""
    events = Events.at(MEMBER, task_of())
    events.node.receive(HERE, setup_of(task_of()))
    assert events.session() == "acked"
    events.node.take()
    return events


@pytest.mark.parametrize(
    "change",
    [
        {"members": IDS[:3]}, {"document": b"documenT"}, {"key_epoch": 2}, {"purpose": "payout"},
        {"event": OTHER}, {"digest": OTHER}, {"attempt": ROUND + 1},
    ],
)
def test_a_setup_that_is_not_rebuilt_alike_is_refused(change: dict[str, object]) -> None:
    """F-17: catches a set-up trusted on its coordinator's word; a true one still works."""
    events = Events.at(MEMBER, task_of())
    events.node.receive(HERE, setup_of(task_of(), **change))
    events.node.tick()
    effects = events.node.take()
    assert not effects.sends
    assert not [write for write in effects.writes if write.cell == "voted"]
    events.node.receive(HERE, setup_of(task_of()))
    assert events.session() == "acked"


def test_a_setup_from_a_member_that_does_not_coordinate_is_refused() -> None:
    """F-20: catches a member that takes over an attempt that is not its own."""
    events = Events.at(MEMBER, task_of())
    events.node.receive(THIEF, setup_of(task_of()))
    events.node.tick()
    assert events.session() == "absent"
    assert not events.node.sent(m.Vote)


def test_a_thief_cannot_end_a_lower_attempt() -> None:
    """F-20: catches an attempt that makes room because somebody else has set up a higher one."""
    later = task_of(ROUND + 1)
    events = Events.at(MEMBER, task_of(), later)
    events.node.receive(HERE, setup_of(task_of()))
    thief = next(n for n in range(4) if n not in (MEMBER, turn_of(ROUND + 1)))
    events.node.receive(thief, setup_of(later))
    assert (events.session(), events.session(ROUND + 1)) == ("acked", "absent")


def test_a_foreign_setup_does_not_push_out_the_coordinators() -> None:
    """Catches a waiting set-up that anybody can overwrite: the coordinator sends it once only."""
    events = Events.at(MEMBER)
    events.node.receive(HERE, setup_of(task_of()))
    for number in range(20):
        events.node.receive(THIEF, setup_of(task_of(), document=b"%d" % number))
        events.node.receive(THIEF, setup_of(task_of(ROUND + number)))
    events.aim.tasks[EVENT, ROUND] = task_of()
    events.node.tick()
    assert events.session() == "acked"


@pytest.mark.parametrize("fault", ["forged", "too few", "twice", "stranger", "too many"])
def test_a_begin_without_a_certificate_is_its_senders_fault(fault: str) -> None:
    """SAFE-SIGN 3: catches a session that starts on a coordinator's word; nothing changes."""
    events = asked()
    votes = {
        "forged": MADE.votes,
        "too few": MADE.votes[:2],
        "twice": (*MADE.votes[:2], MADE.votes[0]),
        "stranger": (*MADE.votes[:2], m.SignedVote(b"\x02" + bytes(32), bytes(64))),
        "too many": signed(range(4), attempt=ROUND, members=IDS).votes,
    }[fault]
    made = forged(MADE) if fault == "forged" else evolve(MADE, votes=votes)
    found = events.node.receive(HERE, m.Begin(made))
    assert found is not None
    assert found.culprits() == (IDS[HERE],)
    effects = events.node.take()
    assert (effects.writes, effects.sends) == ([], [])
    assert events.session() == "acked"
    assert events.node.receive(HERE, m.Begin(MADE)) is None
    assert events.session() == "begun"


def test_a_begin_from_a_member_that_does_not_coordinate_is_its_fault() -> None:
    """Catches a BEGIN that anybody can send: the coordinator alone chooses the first voters."""
    events = asked()
    found = events.node.receive(THIEF, m.Begin(MADE))
    assert found is not None
    assert found.culprits() == (IDS[THIEF],)
    assert events.session() == "acked"


def test_a_begin_for_an_attempt_nobody_asked_for_is_ignored() -> None:
    """Catches a session without a vote of this node: t others cannot speak for it."""
    events = Events.at(MEMBER, task_of())
    assert events.node.receive(HERE, m.Begin(MADE)) is None
    assert events.session() == "absent"
    assert not events.node.take().writes


@pytest.mark.parametrize("change", [{"digest": OTHER}, {"members": IDS[:3]}, {"key_epoch": 2}])
def test_a_certificate_of_something_else_begins_nothing(change: dict[str, object]) -> None:
    """F-17: catches t colluding voters who make this node sign what it has not rebuilt."""
    events = asked()
    wanted: dict[str, object] = {"digest": DIGEST, "members": IDS, "key_epoch": 1, **change}
    other = signed([HERE, THIEF, LAST], attempt=ROUND, **wanted)  # type: ignore[arg-type]
    assert events.node.receive(HERE, m.Begin(other)) is None
    assert events.session() == "acked"
    assert not events.node.take().writes


def test_a_second_begin_changes_nobody_who_signs() -> None:
    """Catches a session whose members change after it has begun."""
    events = asked()
    events.node.receive(HERE, m.Begin(MADE))
    other = signed([HERE, THIEF, LAST], attempt=ROUND, members=IDS)
    assert events.node.receive(HERE, m.Begin(other)) is None
    assert events.sessions.certificate(EVENT, ROUND) == MADE


@pytest.mark.parametrize("kind", ["forged", "too few", "foreign"])
def test_a_false_lock_in_a_setup_is_its_senders_fault(kind: str) -> None:
    """SAFE-SIGN 4: catches a lock that moves because a coordinator says so."""
    real = signed(range(3), attempt=ROUND - 2, digest=OTHER, members=IDS)
    made = {
        "forged": forged(real),
        "too few": evolve(real, votes=real.votes[:2]),
        "foreign": signed(range(3), attempt=ROUND - 2, event=OTHER, members=IDS),
    }[kind]
    lie = setup_of(task_of(), locked=m.LockedCandidate(b"x", made))
    events = Events.at(MEMBER, task_of())
    found = events.node.receive(HERE, lie)
    assert found is not None
    assert found.culprits() == (IDS[HERE],)
    assert not events.node.take().writes
    waiting = Events.at(MEMBER)
    assert waiting.node.receive(HERE, lie) is None, "it cannot be judged yet"
    waiting.aim.tasks[EVENT, ROUND] = task_of()
    waiting.node.tick()
    assert waiting.node.noted("setup.faulty")
    assert waiting.session() == "absent"


@pytest.mark.parametrize("certified", [True, False])
def test_a_lock_moves_by_a_newer_certificate_alone(certified: bool) -> None:
    """SAFE-SIGN 4: catches a vote against the lock, and a lock that no certificate can move."""
    events = Events.at(MEMBER, task_of())
    ctx = events.node.ctx
    ctx.tables.view.put("lock", (ctx.me, EVENT), OTHER)
    ctx.tables.view.put("lock_attempt", (ctx.me, EVENT), ROUND - 9)
    newer = signed(range(3), attempt=ROUND - 2, members=IDS)
    shown = m.LockedCandidate(b"document", newer) if certified else None
    events.node.receive(HERE, setup_of(task_of(), locked=shown))
    assert (events.session() == "acked") == certified
    assert bool(events.node.sent(m.Vote)) == certified


def test_a_flood_of_setups_is_bounded() -> None:
    """Catches memory, or the view that all rules read, filled by one member's flood."""
    events = Events.at(MEMBER, task_of())
    for number in range(200):
        events.node.receive(THIEF, setup_of(task_of(10**9 + number)))
        events.node.receive(THIEF, setup_of(task_of(), digest=number.to_bytes(32, "big")))
    kept = events.coordinators._setups
    assert sum(len(waiting) for waiting in kept.values()) <= 8
    assert len(list(events.node.ctx.tables.view.entries("setup_sent"))) <= 1


def test_votes_for_something_else_begin_nothing() -> None:
    """Catches a coordinator that counts votes for another digest or other members."""
    events = Events.at(HERE, task_of())
    events.node.tick()
    for number in (MEMBER, THIEF):
        events.node.receive(number, task_of().vote)
    events.node.ctx.links.clear()
    for other in (task_of(digest=OTHER).vote, task_of(members=IDS[:3]).vote):
        again = Events.at(HERE, task_of())
        again.node.tick()
        again.node.receive(MEMBER, task_of().vote)
        again.node.receive(THIEF, other)
        again.node.tick(events.node.ctx.now + 1)
        assert not again.node.sent(m.Begin)
        assert isinstance(again.node.receive(THIEF, task_of().vote), PeerFault), "it voted twice"
