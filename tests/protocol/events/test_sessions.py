"""Cryptographic runs at honest nodes: instances, lanes, waiting messages, expiry."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.protocol.events import sessions as session
from metanode.protocol.events.run import KeygenPlan, SignPlan, instance_of, lane_nonce
from metanode.protocol.events.sessions import Run
from metanode.protocol.tables.view import Quorum
from spec import messages as m
from tests.simulation.hostile import MIDDLE, OLDEST, OUTSIDER, YOUNGEST
from tests.simulation.simulator import QUICK, Simulation, with_key

IDS = tuple(number.to_bytes(33, "big") for number in range(4))
EVENT, DIGEST = bytes([1]) * 32, bytes([2]) * 32
PLAN = KeygenPlan(IDS, 3, 1)
OTHER_PLANS = (
    KeygenPlan(IDS, 2, 1),
    KeygenPlan(IDS, 3, 2),
    KeygenPlan(IDS[1:], 3, 1),
    SignPlan("payout", IDS, bytes(32), 1, bytes(33), (DIGEST,)),
    SignPlan("lock_in", IDS, bytes(32), 1, bytes(33), (DIGEST,)),
    SignPlan("payout", IDS, bytes(32), 2, bytes(33), (DIGEST,)),
    SignPlan("payout", IDS, bytes(32), 1, bytes(33), (EVENT,)),
    SignPlan("payout", IDS, EVENT, 1, bytes(33), (DIGEST,)),
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


def test_party_indices_come_from_the_roster_not_from_the_signers() -> None:
    """Catches shares interpolated at the wrong indices when the first holder does not sign."""
    run = Run("payout", 1, EVENT, 1, DIGEST, IDS[1:], IDS, Quorum(IDS, 3, 1), (), plan=PLAN)
    assert [run.party(member) for member in run.members] == [2, 3, 4]


def silent_run(seed: int) -> Simulation:
    """Return a network whose signers have begun and then fell silent."""
    sim = with_key(seed, preset=evolve(QUICK, session_idle_s=1))
    for number in (OLDEST, MIDDLE, YOUNGEST):
        sim.tamper[number] = lambda _to, message: (
            [] if isinstance(message, m.Release) else [message]
        )
    sim.run(0.3)
    sim.deposit()
    sim.run(0.4)
    sim.users.mine()
    sim.run_until(lambda: len(sim.noted("round.signing")) == 3, 6.0, "three begin")
    return sim


def test_a_silent_run_expires_and_its_event_waits_with_the_lock() -> None:
    """SessionEnds, F-14: catches a run that never ends, and a lock that ends with it."""
    sim = silent_run(1)
    (event,) = sim.checkers.releases
    sim.run(1.5)
    for number in (OLDEST, MIDDLE, YOUNGEST):
        core = sim.core(number)
        assert core.settlement.status(event) == "PENDING"
        assert core.sessions.running(event) is None
        assert core.settlement.lock_of(event) is not None
        assert sim.nodes[number].disk.get("status", core.ctx.me, event) == "PENDING"


def test_a_run_is_never_entered_twice() -> None:
    """Catches a second release of one instance: its nonces would be used again."""
    sim = silent_run(2)
    core = sim.core(MIDDLE)
    used = [index for index, value in core.ctx.tables.view.entries("instance_used") if value]
    run = core.sessions.running(next(iter(sim.checkers.releases)))
    assert run is not None
    assert (core.ctx.me, run.instance) in used
    refusal = core.ctx.tables.why_not(
        "session",
        "Release",
        quorum=run.quorum,
        p=core.ctx.me, e=run.event, a=run.attempt, d=run.digest, i=run.instance,
        given={"is_member": True},
    )
    assert refusal is not None


def test_messages_that_come_before_their_run_are_not_lost() -> None:
    """Catches a member that begins last and waits for messages it has already been sent."""
    sim = with_key(3)
    late = sim.nodes[YOUNGEST].node_id
    held: list[m.Vote] = []

    def hold(to: bytes, message: object) -> list[object]:
        if isinstance(message, m.Vote) and to == late:
            held.append(message)
            sim.after(0.2, lambda: sim.inject(OLDEST, held[0], YOUNGEST))
            return []
        return [message]

    sim.tamper[OLDEST] = hold
    sim.mine_every(0.7)
    sim.run(0.3)
    sim.deposit()
    sim.settle()
    assert held
    assert len({note["round"] for note in sim.noted("round.signing")}) == 1
    assert not sim.noted("round.ended")


def test_the_waiting_room_of_each_sender_is_bounded() -> None:
    """LimitsHeld: catches an early buffer without a bound in messages or in instances."""
    sim = with_key(4)
    core, sender = sim.core(MIDDLE), sim.nodes[OUTSIDER].node_id
    for number in range(3 * session.EARLY_PER_SENDER):
        instance = (number % 9).to_bytes(32, "big")
        core.sessions.receive(sender, m.Release(instance, 0, 1, b"x", 0))
    held = core.sessions._early[sender]
    assert len(held) <= session.EARLY_INSTANCES_PER_SENDER
    assert sum(map(len, held.values())) <= session.EARLY_PER_SENDER


@pytest.mark.parametrize("inputs", [1, 3])
def test_each_input_has_a_lane_of_its_own(inputs: int) -> None:
    """Catches signatures that are mixed up between the inputs of a payout."""
    sim = with_key(5)
    sim.run(0.3)
    for number in range(inputs):
        sim.deposit(500_000 + number)
    sim.mine_every(0.7)
    sim.settle()
    assert {note["inputs"] for note in sim.noted("round.signing")} == {inputs}
    assert sim.sent["Release"] == 3 * inputs * 2 * 2, "two peers, a broadcast and a direct message"
