"""A dishonest member in a signing run: foreign instances, wrong lanes, garbage, floods."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.errors import PeerFault
from metanode.protocol.events import sessions as session
from metanode.protocol.events.run import KeygenPlan, SignPlan, instance_of
from metanode.tss.abort import AbortKind
from spec import messages as m
from tests.simulation.hostile import MIDDLE, OLDEST, OUTSIDER, YOUNGEST, changes, network, once
from tests.simulation.simulator import Simulation

OTHER = bytes([9]) * 32


def aborts(sim: Simulation, number: int) -> list[str]:
    """Return the kinds of aborts that a node noted."""
    return [note["kind"] for note in sim.noted("session.aborted", number)]


def signers(sim: Simulation) -> list[str]:
    """Return the signers of the newest payout."""
    return sim.core(MIDDLE).report()["payouts"][-1]["signers"]


def test_garbage_in_a_step_ends_the_run_and_keeps_the_lock() -> None:
    """Catches an event lost, or signed with another digest, after an abort."""
    sim = network(1)
    sim.tamper[OLDEST] = changes(m.Step, once(lambda s: [evolve(s, payload=b"garbage")]))
    sim.run_until(lambda: bool(sim.noted("session.aborted")), 8.0, "a run is aborted")
    victim = next(n for _, n, note in sim.notes if note["event"] == "session.aborted")
    assert aborts(sim, victim) == [AbortKind.MALFORMED.value]
    assert sim.noted("session.aborted", victim)[0]["culprits"] == [
        sim.nodes[OLDEST].node_id.hex()[:16]
    ]
    (event,) = sim.checkers.releases
    assert sim.core(victim).settlement.status(event) == "PENDING"
    assert sim.nodes[victim].disk.lock(event) is not None
    sim.settle()
    assert len(sim.checkers.releases[event]) == 1, "the same digest was signed in the end"


def test_a_member_that_sends_garbage_in_every_run_does_not_stop_the_payouts() -> None:
    """RoundProgress: catches a culprit that is chosen again in every round for ever."""
    sim = network(2)
    sim.tamper[OLDEST] = changes(m.Step, lambda s: [evolve(s, payload=b"garbage")])
    sim.settle(24.0)
    assert sim.nodes[OLDEST].node_id.hex() not in signers(sim)


def test_a_member_that_never_steps_does_not_stop_the_payouts() -> None:
    """RoundProgress: catches a run that a silent member stalls in every round for ever."""
    sim = network(3)
    sim.tamper[OLDEST] = changes(m.Release, lambda s: [])
    sim.settle(24.0)
    assert sim.nodes[OLDEST].node_id.hex() not in signers(sim)


def flipped(step: m.Release | m.Step) -> list[object]:
    """Change one bit in the last fifth of a payload: inside the multiplication's vectors."""
    octets = bytearray(step.payload)
    octets[-len(octets) // 5] ^= 1
    return [evolve(step, payload=bytes(octets))]


@pytest.mark.parametrize("kind", [m.Release, m.Step])
def test_a_cheat_in_the_multiplication_is_caught_and_the_next_rounds_do_without(kind: type) -> None:
    """Catches a wrong signature being used, and a payout that never comes.

    A failed consistency check bans the pair until it has fresh base transfers.
    """
    sim = network(4)
    sim.tamper[OLDEST] = changes(kind, flipped)
    sim.settle(24.0)
    kinds = {kind for number in (YOUNGEST, MIDDLE) for kind in aborts(sim, number)}
    assert kinds
    bans = [n for n in (YOUNGEST, MIDDLE) if sim.noted("peer.banned", n)]
    cheat = {AbortKind.OT_CONSISTENCY.value, AbortKind.MUL_CHECK.value}
    for number in bans:
        liar = sim.nodes[OLDEST].node_id
        assert sim.nodes[number].disk.get("pair_banned", sim.nodes[number].node_id, liar)
    assert bool(bans) == bool(kinds & cheat)
    assert sim.nodes[OLDEST].node_id.hex() not in signers(sim)


def test_steps_of_another_attempt_enter_no_run() -> None:
    """F-23: catches messages of attempt 1 that reach attempt 2: the instance names the attempt."""
    members = (b"a" * 33, b"b" * 33)
    plan = KeygenPlan(members, 2, 1)
    name = instance_of(OTHER, 1, OTHER, plan, members)
    assert name != instance_of(OTHER, 2, OTHER, plan, members)
    assert name != instance_of(OTHER, 1, OTHER, plan, members[::-1])
    sim = network(5)
    old: list[m.Release] = []

    def replay(message: m.Release) -> list[object]:
        if not old:
            old.append(message)
            return []  # the first run comes to nothing
        return [message, old[0], evolve(old[0], instance=message.instance)]

    sim.tamper[OLDEST] = changes(m.Release, replay)
    sim.settle(24.0)


def running(sim: Simulation) -> m.Release:
    """Run until the signers have begun, and return a message of one of them."""
    caught: list[m.Release] = []
    sim.tamper[OLDEST] = changes(m.Release, lambda r: [caught.append(r), r][1:])
    sim.run_until(lambda: bool(caught), 8.0, "a run begins", exactly=True)
    return caught[0]


def test_a_step_from_outside_the_session_is_its_senders_fault() -> None:
    """Catches a holder that is no member of the run and yet heard in it."""
    sim = network(6, bad=OUTSIDER)
    release = running(sim)
    for to in (YOUNGEST, MIDDLE, OLDEST):
        sim.inject(OUTSIDER, evolve(release, payload=b"x"), to)
    sim.settle()
    faults = sim.faults_of(OUTSIDER)
    assert faults
    assert all("outside the session" in fault.reason for fault in faults)


def test_an_early_message_from_outside_does_not_spoil_the_begin() -> None:
    """Catches a begin that stops at the first bad early message and loses those of the members.

    An outsider can foretell the run: document, round and members are no secret.
    """
    sim = network(11, bad=OUTSIDER)
    ids = tuple(sorted(sim.nodes[n].node_id for n in (OLDEST, MIDDLE, YOUNGEST)))

    def foretell(message: m.SigningSet) -> list[object]:
        document = sim.core(OUTSIDER).hearing.book(message.round).document
        key = sim.core(OUTSIDER).ctx.epoch
        plan = SignPlan.of("payout", key.roster, key.package, document.sighashes())
        instance = instance_of(document.event, message.round, document.digest, plan, ids)
        return [m.Release(instance, 0, 1, b"x", 0), message]

    sim.tamper[OUTSIDER] = changes(m.SigningSet, foretell)
    sim.settle()
    assert sim.noted("session.early_fault"), "the members heard it"
    rounds = {note["round"] for note in sim.noted("round.signing")}
    assert len(rounds) == 1, "the first run succeeded nevertheless"
    finished = [n for n in (OLDEST, MIDDLE, YOUNGEST) if sim.noted("session.finished", n)]
    assert len(finished) >= 1
    assert not sim.noted("round.ended")


def test_a_lane_that_does_not_exist_is_its_senders_fault() -> None:
    """Catches an index error, or a message taken for another input's."""
    sim = network(7)
    release = running(sim)
    sim.inject(OLDEST, evolve(release, lane=63), MIDDLE)
    sim.settle()
    assert any("lane" in fault.reason for fault in sim.faults_of(OLDEST))
    assert not sim.refusals


def test_a_flood_of_unknown_runs_pushes_out_only_its_own_senders_messages() -> None:
    """Catches an early buffer that one member fills: the others' early messages must survive."""
    sim = network(8, bad=OUTSIDER)
    core = sim.core(MIDDLE)
    early = m.Release(OTHER, 0, 1, b"early", 0)
    core.sessions.receive(sim.nodes[YOUNGEST].node_id, early)
    for number in range(1000):
        flood = m.Release(number.to_bytes(32, "big"), 0, 1, bytes(1000), 0)
        core.sessions.receive(sim.nodes[OUTSIDER].node_id, flood)
    kept = core.sessions._early
    assert [message for message, _ in kept[sim.nodes[YOUNGEST].node_id][OTHER]] == [early]
    mine = kept[sim.nodes[OUTSIDER].node_id]
    assert sum(len(messages) for messages in mine.values()) <= session.EARLY_PER_SENDER
    sim.settle()


def test_early_messages_of_one_sender_are_bounded_in_octets() -> None:
    """Catches a buffer bounded in messages only: each may have a megabyte."""
    sim = network(9, deposit=False)
    core, sender = sim.core(MIDDLE), sim.nodes[OUTSIDER].node_id
    big = bytes(m.PAYLOAD_OCTETS)
    for number in range(12):
        core.sessions.receive(sender, m.Step(OTHER, number, 2, big, 0))
    held = core.sessions._early.get(sender, {})
    octets = sum(len(one.payload) for messages in held.values() for one, _ in messages)
    assert octets <= session.EARLY_OCTETS_PER_SENDER + len(big)


def test_messages_after_the_end_are_ignored() -> None:
    """Catches a finished run that is entered again by a late or repeated message."""
    sim = network(10)
    release = running(sim)
    sim.settle()
    before = sim.core(MIDDLE).report()["payouts"]
    for payload in (release.payload, b"late"):
        sim.inject(OLDEST, evolve(release, payload=payload), MIDDLE)
    sim.run(0.2)
    assert sim.core(MIDDLE).report()["payouts"] == before
    assert not sim.faults_of(OLDEST)
    assert release.instance not in sim.core(MIDDLE).sessions._early.get(
        sim.nodes[OLDEST].node_id, {}
    )


@pytest.mark.parametrize(
    "field",
    [{"lane": 64}, {"lane": -1}, {"stage": 16}, {"payload": bytes(m.PAYLOAD_OCTETS + 1)}],
)
def test_fields_out_of_bounds_cannot_be_built(field: dict[str, object]) -> None:
    """Catches a bound that only the sender keeps."""
    good = m.Step(OTHER, 0, 1, b"", 0)
    with pytest.raises((ValueError, PeerFault)):
        evolve(good, **field)
