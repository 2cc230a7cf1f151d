"""Cryptographic runs at honest nodes: instances, lanes, waiting messages, expiry."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.protocol.blame.book import accusations
from metanode.protocol.events import run as runs
from metanode.protocol.events import sessions as session
from metanode.protocol.events.run import KeygenPlan, Run, SignPlan, instance_of, lane_nonce
from metanode.tss.abort import Abort, AbortKind
from metanode.tss.messages import Message
from metanode.tss.parameters import LANES
from spec import messages as m
from tests.protocol.events.support import IDS, QUORUM, Events, Lane, enter, running, task_of
from tests.protocol.support import DIGEST, EVENT, OTHER, PRESET, ROUND, START

PLAN = KeygenPlan(IDS, 3, 1)
SIGNING = SignPlan("payout", IDS, bytes(32), 1, bytes(33), bytes(32), (DIGEST,))
OTHER_PLANS = (
    KeygenPlan(IDS, 2, 1),
    KeygenPlan(IDS, 3, 2),
    KeygenPlan(IDS[1:], 3, 1),
    SIGNING,
    SignPlan("lock_in", IDS, bytes(32), 1, bytes(33), bytes(32), (DIGEST,)),
    SignPlan("payout", IDS, bytes(32), 2, bytes(33), bytes(32), (DIGEST,)),
    SignPlan("payout", IDS, bytes(32), 1, bytes(33), bytes(32), (EVENT,)),
    SignPlan("payout", IDS, EVENT, 1, bytes(33), bytes(32), (DIGEST,)),
    SignPlan("payout", IDS, bytes(32), 1, bytes(33), EVENT, (DIGEST,)),
)


def test_an_instance_names_everything_about_its_run() -> None:
    """F-23, InstanceMatch: catches two runs with one name."""
    names = {
        instance_of(EVENT, 1, DIGEST, PLAN, IDS[:3]),
        instance_of(DIGEST, 1, DIGEST, PLAN, IDS[:3]),
        instance_of(EVENT, 2, DIGEST, PLAN, IDS[:3]),
        instance_of(EVENT, 1, EVENT, PLAN, IDS[:3]),
        instance_of(EVENT, 1, DIGEST, PLAN, IDS[1:]),
        instance_of(EVENT, 1, DIGEST, PLAN, IDS),
        *(instance_of(EVENT, 1, DIGEST, other, IDS) for other in OTHER_PLANS),
    }
    assert len(names) == 6 + len(OTHER_PLANS)
    assert len({lane_nonce(name, lane) for name in names for lane in range(3)}) == 3 * len(names)


def test_nodes_of_two_suites_share_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches an honest node that is convicted of malformed messages by a newer version's rules."""
    name = instance_of(EVENT, 1, DIGEST, PLAN, IDS[:3])
    monkeypatch.setattr(runs, "SUITE", b"metanode/dkls23/secp256k1/v2")
    assert instance_of(EVENT, 1, DIGEST, PLAN, IDS[:3]) != name


def test_nodes_that_cut_digests_otherwise_share_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches an honest node that is convicted of malformed messages because its lanes are others.

    One digest is one lane however the cut is made.
    """
    many = evolve(SIGNING, digests=(DIGEST, EVENT))
    names = [instance_of(EVENT, 1, DIGEST, plan, IDS[:3]) for plan in (SIGNING, many)]
    monkeypatch.setattr(runs, "LANES", LANES - 1)
    again = [instance_of(EVENT, 1, DIGEST, plan, IDS[:3]) for plan in (SIGNING, many)]
    assert [old == new for old, new in zip(names, again, strict=True)] == [True, False]


def test_a_plan_says_what_each_lane_signs() -> None:
    """Catches a judge who takes another session's digests for a lane's."""
    digests = tuple(bytes((number,)) * 32 for number in range(2 * LANES + 1))
    plan = evolve(SIGNING, digests=digests)
    assert [len(part) for part in plan.lanes] == [LANES, LANES, 1]
    assert [each for part in plan.lanes for each in part] == list(digests)
    name = instance_of(EVENT, 1, DIGEST, plan, IDS[:3])
    made = [plan.lane(name, number, IDS[:3]) for number in range(3)]
    assert [run.digests for run in made] == plan.lanes
    assert len({run.session_id for run in made}) == 3
    with pytest.raises(LookupError):
        plan.lane(name, 3, IDS[:3])


def test_party_indices_come_from_the_roster_not_from_the_signers() -> None:
    """Catches shares interpolated at the wrong indices when the first holder does not sign."""
    run = Run("payout", 1, EVENT, 1, DIGEST, IDS[1:], IDS, QUORUM, (), plan=PLAN)
    assert [run.party(member) for member in run.members] == [2, 3, 4]


def test_a_run_begins_with_its_release_on_disk() -> None:
    """ReleaseAfterCertificate: catches a first message that leaves before its record, or twice."""
    events, (lane,), run = running(0, 0, 1, 2)
    effects = events.node.take()
    assert {("released", DIGEST), ("instance_used", run.instance)} <= {
        (write.cell, write.index[-1]) for write in effects.writes
    }
    wanted = m.Release(run.instance, 0, 1, b"first", 0)
    assert [(send.to, send.message) for send in effects.sends] == [
        (IDS[1], wanted), (IDS[2], wanted)
    ]
    events.node.tick()
    assert not events.node.take().sends
    assert (events.session(), lane.started) == ("stepping", 1)


@pytest.mark.parametrize("state", ["acked", "expired"])
def test_nothing_is_released_for_a_session_that_has_not_begun(state: str) -> None:
    """SAFE-SIGN 3: catches a certificate at hand that is taken for the row that allows a run."""
    events, (lane,), _ = running(0, 0, 1, 2, begin=False)
    ctx = events.node.ctx
    ctx.tables.view.put("session", (ctx.me, EVENT, ROUND), state)
    events.node.tick()
    assert not events.node.take().sends
    assert lane.started == 0


@pytest.mark.parametrize(
    ("cell", "index", "value"),
    [
        ("lock", (EVENT,), OTHER),
        ("lock_attempt", (EVENT,), ROUND - 1),
        ("holding", (1,), "fenced"),
        ("renounced", (EVENT,), True),
        ("session", (EVENT, ROUND - 1), "stepping"),
    ],
)
def test_a_refused_release_starts_no_lane(cell: str, index: tuple[object, ...], value: str) -> None:
    """Catches nonces that are drawn, or messages that are made, for what may not be released."""
    events, (lane,), run = running(0, 0, 1, 2, begin=False)
    ctx = events.node.ctx
    ctx.tables.view.put(cell, (ctx.me, *index), value)  # type: ignore[arg-type]
    events.node.tick()
    assert not events.node.take().sends
    assert lane.started == 0
    assert events.sessions.running(run.event) is None


def test_a_run_is_never_entered_twice() -> None:
    """Catches a second release of one instance: its nonces would be used again."""
    events, _, run = running(0, 0, 1, 2)
    ctx = events.node.ctx
    ctx.tables.view.put("session", (ctx.me, EVENT, ROUND), "begun")
    again = [Lane()]
    assert enter(events, task_of(), again, 0, 1, 2).instance == run.instance
    events.node.take()
    events.node.tick()
    assert not events.node.take().sends
    assert again[0].started == 0


def test_a_voter_who_was_not_chosen_releases_nothing() -> None:
    """Catches more shares out than the t that sign."""
    events, (lane,), _ = running(3, 0, 1, 2)
    assert (lane.started, events.node.take().sends) == (0, [])


def test_messages_are_answered_and_the_result_is_taken() -> None:
    """Catches a message that stays unheard, and a result that nobody takes."""
    events, (lane,), run = running(0, 0, 1, 2)
    events.node.take()
    lane.then = [Message(bytes(32), 2, 1, 2, b"direct"), Message(bytes(32), 2, 1, None, b"all")]
    assert events.node.receive(2, m.Release(run.instance, 0, 1, b"hello", 0)) is None
    assert lane.heard == [Message(bytes(32), 1, 3, None, b"hello")]
    direct, everybody = (
        m.Step(run.instance, 0, 2, payload, to) for payload, to in ((b"direct", 2), (b"all", 0))
    )
    assert [(send.to, send.message) for send in events.node.take().sends] == [
        (IDS[1], direct), (IDS[1], everybody), (IDS[2], everybody)
    ]
    lane.then = []
    lane.finish()
    events.node.receive(1, m.Step(run.instance, 0, 2, b"bye", 1))
    assert events.session() == "finished"
    assert events.aim.done == [("begun", EVENT), ("finished", EVENT)]
    assert events.sessions.running(EVENT) is None


def test_a_result_that_does_not_verify_finishes_nothing() -> None:
    """Catches a session that ends well because its lanes did, whatever they made."""
    events, (lane,), run = running(0, 0, 1, 2)
    events.aim.good = False
    lane.finish()
    events.node.receive(1, m.Step(run.instance, 0, 2, b"bye", 0))
    assert events.session() == "stepping"
    assert ("finished", EVENT) not in events.aim.done
    events.node.tick(START + PRESET.session_idle_s + 1)
    assert events.session() == "expired"


def test_one_lane_is_no_result_while_another_goes_on() -> None:
    """Catches a payout of which only some inputs are signed."""
    events, lanes, run = running(0, 0, 1, 2, lanes=2)
    for number, state in enumerate(("stepping", "finished")):
        lanes[number].finish()
        events.node.receive(1, m.Step(run.instance, number, 2, b"bye", 0))
        assert events.session() == state


@pytest.mark.parametrize("late", [False, True])
def test_a_silent_run_expires_and_its_event_waits_with_the_lock(late: bool) -> None:
    """SessionEnds, F-14: catches a run that never ends, and a lock that ends with it.

    It ends after the idle time, or with the time of its attempt.
    """
    events, (lane,), run = running(0, 0, 1, 2)
    lane.waiting_for = (2,)
    events.node.tick(START + PRESET.session_idle_s)
    assert events.session() == "stepping"
    if late:
        events.aim.first = ROUND + 1
    else:
        events.node.ctx.now += 1.0
    events.node.tick()
    assert events.session() == "expired"
    assert events.book.status(EVENT) == "PENDING", "a share is out"
    assert events.node.ctx.tables.view.get("lock", events.node.ctx.me, EVENT) == DIGEST
    assert events.sessions.running(EVENT) is None
    assert (events.aim.missed, events.blames.ended) == ([IDS[1]], [run])
    assert (events.sessions.silences(IDS[1]), events.sessions.silences(IDS[2])) == (1, 0)


def test_a_moving_run_does_not_expire() -> None:
    """Catches a run that is ended by the clock while its members work at it."""
    events, (lane,), run = running(0, 0, 1, 2)
    for _ in range(3):
        events.node.ctx.now += PRESET.session_idle_s - 1
        events.node.receive(1, m.Step(run.instance, 0, 2, b"slow", 0))
    events.node.tick()
    assert (events.session(), len(lane.heard)) == ("stepping", 3)


def test_a_fault_ends_the_run_and_says_who() -> None:
    """Catches an event lost after an abort, and a culprit that goes unnamed."""
    events, (lane,), run = running(0, 0, 1, 2)
    lane.fail(AbortKind.MALFORMED, 3)
    events.node.receive(2, m.Step(run.instance, 0, 2, b"garbage", 0))
    assert events.session() == "expired"
    assert events.book.status(EVENT) == "PENDING"
    assert (events.aim.missed, events.blames.ended) == ([IDS[2]], [run])
    assert events.sessions.silences(IDS[2]) == 1
    (note,) = events.node.noted("session.aborted")
    assert note.fields["culprits"] == [IDS[2].hex()[:16]]


def test_a_ban_ends_the_other_runs_with_that_peer() -> None:
    """Catches a run that goes on beside a peer that was banned in another one, or begins so."""
    events, (lane,), run = running(0, 0, 1, 2)
    second, third = [Lane()], [Lane()]
    enter(events, task_of(event=OTHER), second, 0, 1, 3)
    events.node.tick()
    enter(events, task_of(event=DIGEST), third, 0, 2, 3)
    events.node.tick()
    put, me = events.node.ctx.tables.view.put, events.node.ctx.me
    events.blames.then = lambda: put("pair_banned", (me, IDS[1]), True)
    lane.fail(AbortKind.MUL_CHECK, 2)
    events.node.receive(1, m.Step(run.instance, 0, 2, b"cheat", 0))
    states = [events.session(event=event) for event in (EVENT, OTHER, DIGEST)]
    assert states == ["expired", "expired", "stepping"]
    late = bytes([9]) * 32
    fourth = [Lane()]
    enter(events, task_of(event=late), fourth, 0, 1, 2)
    events.node.take()
    events.node.tick()
    assert events.session(event=late) == "expired"
    assert (fourth[0].started, events.node.take().sends) == (0, [])
    assert events.book.status(late) == "FAILED", "nothing was released"


def test_messages_that_come_before_their_run_are_not_lost() -> None:
    """Catches a member that begins last and waits for messages it has already been sent."""
    events, (lane,), run = running(0, 0, 1, 2, begin=False)
    for sender in (1, 2):
        events.node.receive(sender, m.Release(run.instance, 0, 1, b"early", 0))
    assert not lane.heard
    events.node.tick()
    assert [message.sender for message in lane.heard] == [2, 3]


def test_the_waiting_room_of_each_sender_is_bounded() -> None:
    """LimitsHeld: catches an early buffer without a bound in messages or in instances."""
    events = Events.at(0)
    for number in range(3 * session.EARLY_PER_SENDER):
        instance = (number % 9).to_bytes(32, "big")
        events.sessions._wait((IDS[1], m.Release(instance, 0, 1, b"x", 0), b""))
    held = events.sessions._early[IDS[1]]
    assert len(held) <= session.EARLY_INSTANCES_PER_SENDER
    assert sum(map(len, held.values())) <= session.EARLY_PER_SENDER


@pytest.mark.parametrize("count", [1, 3])
def test_each_lane_hears_what_is_for_it(count: int) -> None:
    """Catches messages that are mixed up between the sessions of a payout."""
    events, lanes, run = running(0, 0, 1, 2, lanes=count)
    sent = events.node.sent(m.Release)
    assert [message.lane for message in sent] == [n for n in range(count) for _ in range(2)]
    for number in range(count):
        events.node.receive(1, m.Release(run.instance, number, 1, b"%d" % number, 0))
    assert [[heard.payload for heard in lane.heard] for lane in lanes] == [
        [b"%d" % number] for number in range(count)
    ]


def test_a_run_has_the_results_of_all_its_lanes_in_order() -> None:
    """Catches signatures of a lane of several that are lost, or put into another's place."""
    _, lanes, run = running(0, 0, 1, 2, lanes=3)
    for lane, result in zip(lanes, (("a", "b"), "c", ("d",)), strict=True):
        assert run.results is None
        lane.finish()
        lane.result = result
    assert run.results == ("a", "b", "c", "d")
    assert run.abort is None


def test_one_digest_without_a_signature_ends_the_run_and_blames_nobody() -> None:
    """Catches a payout with an input unsigned that is announced, or that waits for ever."""
    events, lanes, run = running(0, 0, 1, 2, lanes=2)
    lanes[0].finish()
    fault = Abort(AbortKind.INVALID_SIGNATURE, (), b"", transferable=False, ban=False)
    lanes[0].result = ("a signature", fault)
    assert (run.results, run.abort) == (None, fault)
    events.node.receive(1, m.Step(run.instance, 0, 2, b"bye", 0))
    assert events.session() == "expired"
    assert events.blames.ended == [run]
    assert accusations(run, fault, events.node.ctx) == []
    (note,) = events.node.noted("session.aborted")
    assert (note.fields["kind"], note.fields["culprits"]) == ("invalid_signature", [])


def test_certificates_of_old_attempts_are_forgotten() -> None:
    """Catches memory that grows with every attempt."""
    events, (lane,), _ = running(0, 0, 1, 2)
    for attempt in range(ROUND - 20, ROUND):
        enter(events, task_of(attempt), [Lane()], 0, 1, 2)
        key = events.node.ctx.me, EVENT, attempt
        events.node.ctx.tables.view.put("session", key, "finished")
    events.node.tick(START + 2.1)
    assert list(events.sessions._entered) == [(EVENT, ROUND)]
    assert lane.started == 1
