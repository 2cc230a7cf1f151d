"""Dishonest coordinators, and members who play the coordinator: forged SETUP and BEGIN."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.protocol.context import keygen_event
from spec import messages as m
from tests.simulation.hostile import certificate, changes, forged
from tests.simulation.simulator import NETWORK_ID, QUICK, Simulation

OTHER = bytes([3]) * 32


def coordinator(sim: Simulation, attempt: int) -> int:
    """Return the number of the coordinator of an attempt of epoch 1."""
    ids = sorted(node.node_id for node in sim.nodes)
    return sim.number_of(ids[(1 + attempt) % len(ids)])


def slot_of(sim: Simulation) -> int:
    """Return the number of the current keygen slot."""
    return int(sim.now // QUICK.keygen_period_s)


def begun(seed: int, **options: object) -> tuple[Simulation, int]:
    """Return a new network and the coordinator of its first keygen slot, which is dishonest."""
    probe = Simulation(seed=seed)
    bad = coordinator(probe, slot_of(probe))
    sim = Simulation(seed=seed, dishonest={bad}, keygen_s=2.0, **options)
    sim.start_all()
    return sim, bad


def has_key(sim: Simulation) -> bool:
    """Return whether all nodes have the key in force."""
    return all(n.core is not None and n.core.ctx.key is not None for n in sim.nodes)


@pytest.mark.parametrize("field", ["members", "document", "key_epoch", "purpose", "event"])
def test_a_setup_that_is_not_rebuilt_alike_is_refused(field: str) -> None:
    """F-17: catches a set-up trusted on its coordinator's word; the next slot's works."""
    sim, bad = begun(1)

    def lie(message: m.Setup) -> list[object]:
        members = message.members[:3]
        change = {
            "members": members,
            "document": message.document[:-1] + b"\0",
            "key_epoch": 2,
            "purpose": "payout",
            "event": OTHER,
        }[field]
        return [evolve(message, **{field: change})]

    sim.tamper[bad] = changes(m.Setup, lie)
    sim.run(2.0)
    honest = [n for n in range(4) if n != bad]
    event = keygen_event(NETWORK_ID, slot_of(sim))
    for number in honest:
        assert sim.nodes[number].disk.get("voted", sim.nodes[number].node_id, event, 0) is None
        assert not sim.noted("session.begun", number)
    sim.tamper.clear()
    sim.run_until(lambda: has_key(sim), 20.0, "the next slot makes the key")
    assert not sim.refusals


def test_a_setup_from_a_member_that_does_not_coordinate_is_refused() -> None:
    """F-20: catches a member that takes over an attempt that is not its own."""
    sim, bad = begun(2)
    thief = (bad + 1) % 4
    stolen: list[m.Setup] = []

    def hand_over(message: m.Setup) -> list[object]:
        stolen.append(message)
        return []

    sim.tamper[bad] = changes(m.Setup, hand_over)
    sim.run_until(lambda: bool(stolen), 2.0, exactly=True)
    victim = next(n for n in range(4) if n not in (bad, thief))
    sim.inject(thief, stolen[0], victim)
    sim.run(1.0)
    assert not any(sim.nodes[victim].disk.cells.get("voted", {}))
    sim.tamper.clear()
    sim.run_until(lambda: has_key(sim), 20.0, "the next slot makes the key")


def test_a_foreign_setup_does_not_push_out_the_coordinators() -> None:
    """Catches a waiting set-up that anybody can overwrite: the coordinator sends it once only."""
    sim, bad = begun(3)
    honest = coordinator(sim, slot_of(sim) + 1)
    thief = next(n for n in range(4) if n not in (bad, honest))
    sim.tamper[bad] = changes(m.Setup, lambda s: [])
    seen: list[m.Setup] = []

    def note(message: m.Setup) -> list[object]:
        seen.append(message)
        return [message]

    sim.tamper[honest] = changes(m.Setup, note)
    victim = next(n for n in range(4) if n not in (bad, honest, thief))
    sim.run(2.5)
    sim.nodes[victim].offset = -0.4  # its slot begins later, so the set-up has to wait there
    sim.run_until(lambda: bool(seen), 4.0, "the set-up", exactly=True)
    sim.run(0.05)
    sim.inject(thief, evolve(seen[0], document=b"garbage"), victim)
    sim.run_until(lambda: has_key(sim), 5.0, "the second slot makes the key")


@pytest.mark.parametrize("fault", ["forged", "too few", "twice", "stranger"])
def test_a_begin_without_a_certificate_is_its_senders_fault(fault: str) -> None:
    """SAFE-SIGN 3: catches a session that starts on a coordinator's word; nothing changes."""
    sim, bad = begun(4)
    sim.checkers.honest -= {bad}

    def forge(message: m.Begin) -> list[object]:
        real = message.certificate
        votes = {
            "forged": real.votes,
            "too few": real.votes[:3],
            "twice": (*real.votes[:3], real.votes[0]),
            "stranger": (*real.votes[:3], m.SignedVote(b"\x02" + bytes(32), bytes(64))),
        }[fault]
        made = forged(real) if fault == "forged" else evolve(real, votes=votes)
        return [m.Begin(made)]

    sim.tamper[bad] = changes(m.Begin, forge)
    sim.run(2.0)
    honest = [n for n in range(4) if n != bad]
    assert not any(sim.noted("session.begun", number) for number in honest)
    assert len(sim.faults_of(bad)) == 3
    assert all(not sim.nodes[n].disk.attachments.get("lock") for n in honest)
    sim.tamper.clear()
    sim.run_until(lambda: has_key(sim), 24.0, "a later slot makes the key")


def test_a_begin_from_a_member_that_does_not_coordinate_is_its_fault() -> None:
    """Catches a BEGIN that anybody can send: the coordinator alone chooses the first voters."""
    sim, bad = begun(5)
    thief = (bad + 1) % 4
    caught: list[m.Begin] = []

    def hand_over(message: m.Begin) -> list[object]:
        caught.append(message)
        return []

    sim.tamper[bad] = changes(m.Begin, hand_over)
    sim.run_until(lambda: bool(caught), 2.0, "BEGIN", exactly=True)
    victim = next(n for n in range(4) if n not in (bad, thief))
    sim.inject(thief, caught[0], victim)
    sim.run(0.5)
    assert not sim.noted("session.begun", victim)
    assert [fault.reason for fault in sim.faults_of(thief)]


def test_a_begin_for_an_attempt_nobody_asked_for_is_ignored() -> None:
    """Catches a session without a vote of this node: t others cannot speak for it."""
    sim, bad = begun(6)
    sim.run(1.0)
    made = certificate(sim, range(4), event=OTHER, digest=OTHER, attempt=slot_of(sim))
    for to in (n for n in range(4) if n != bad):
        sim.inject(bad, m.Begin(made), to)
    sim.run(0.3)
    assert not sim.refusals
    assert not sim.faults_of(bad)
    sim.run_until(lambda: has_key(sim), 20.0, "the key")


def test_a_begin_that_is_held_back_until_the_slot_is_over_ends_no_node() -> None:
    """Catches a late certificate that starts a key generation nobody waits for any more."""
    sim, bad = begun(7)
    held: list[m.Begin] = []

    def hold(message: m.Begin) -> list[object]:
        held.append(message)
        return []

    sim.tamper[bad] = changes(m.Begin, hold)
    sim.run(3.9)  # 95 % of the slot is over: the members have left it
    assert held
    for to in (n for n in range(4) if n != bad):
        sim.inject(bad, held[0], to)
    sim.run(0.05)
    sim.tamper.clear()
    sim.run_until(lambda: has_key(sim), 24.0, "a later slot makes the key")


def test_a_begin_from_the_slot_before_disturbs_no_later_slot() -> None:
    """Catches two key generations at once: the late one must not use the new slot's members."""
    sim, bad = begun(8)
    held: list[m.Begin] = []

    def hold(message: m.Begin) -> list[object]:
        held.append(message)
        return []

    sim.tamper[bad] = changes(m.Begin, hold)
    sim.run(4.3)
    sim.tamper.clear()
    for to in (n for n in range(4) if n != bad):
        sim.inject(bad, held[0], to)
    sim.run_until(lambda: has_key(sim), 24.0, "a later slot makes the key")


def test_a_forged_lock_in_a_setup_is_its_senders_fault() -> None:
    """SAFE-SIGN 4: catches a lock that moves because a coordinator says so."""
    sim, bad = begun(9)
    real = certificate(sim, range(4), event=OTHER, digest=OTHER, attempt=1)
    shown = m.LockedCandidate(b"x", forged(real))
    sim.tamper[bad] = changes(m.Setup, lambda s: [evolve(s, locked=shown)])
    sim.run(2.0)
    assert sim.faults_of(bad), "the sender of the forgery is named"
    sim.tamper.clear()
    sim.run_until(lambda: has_key(sim), 24.0, "the key")


def test_a_flood_of_setups_is_bounded_and_pushes_out_no_other_members() -> None:
    """Catches memory, or the coordinator's set-up, lost to one member's flood."""
    sim, bad = begun(10)
    sim.tamper[bad] = changes(m.Setup, lambda s: [])
    ids = tuple(sorted(node.node_id for node in sim.nodes))
    sim.run(1.0)
    for number in range(200):
        flood = m.Setup(1, OTHER, 10**9 + number, "keygen", b"", ids)
        for to in (n for n in range(4) if n != bad):
            sim.inject(bad, flood, to)
    sim.run(0.3)
    for number in range(4):
        kept = sim.core(number).coordinators._setups
        assert sum(len(waiting) for waiting in kept.values()) <= 64
    sim.run_until(lambda: has_key(sim), 12.0, "the key of the next slot")


def test_votes_of_a_slot_made_up_by_a_member_begin_nothing() -> None:
    """Catches a coordinator that counts votes for another digest or other members."""
    sim, bad = begun(11)
    sim.tamper[bad] = changes(m.Setup, lambda s: [])
    honest = coordinator(sim, slot_of(sim) + 1)
    ids = tuple(sorted(node.node_id for node in sim.nodes))
    sim.run(3.0)
    event = keygen_event(NETWORK_ID, slot_of(sim) + 1)
    sim.inject(bad, m.Vote(1, event, slot_of(sim) + 1, OTHER, ids), honest)
    sim.run(3.0)
    assert not sim.noted("session.begun"), "one vote is missing: all members take part"
    assert sim.core(honest).pings.is_blocked(sim.nodes[bad].node_id), "it voted twice"


def test_a_member_who_never_signs_cannot_keep_the_key_from_being_locked_in() -> None:
    """F-34: catches a lock-in that the quickest voter is always in, or voters who, passed over
    once, never vote for it again.
    """
    sim = Simulation(seed=12, keygen_s=2.0, dishonest={0})
    sim.start_all()
    mute = {m.Release, m.Step}
    sim.run_until(lambda: len(sim.noted("keygen.certified")) == 4, 8.0, "a certified key")
    sim.tamper[0] = lambda _to, message: [] if type(message) in mute else [message]
    sim.run_until(lambda: has_key(sim), 4.5 * QUICK.round_period_s, "the key is locked in")


def lock_in_begun(sim: Simulation) -> bool:
    """Return whether some node signs the lock-in."""
    return any(note["purpose"] == "lock_in" for note in sim.noted("session.begun"))


def test_a_coordinator_waits_for_linked_voters_and_not_for_the_dead() -> None:
    """F-34: catches a BEGIN of whoever was first, and a grace that all lock-ins have to wait."""
    for dead in (False, True):
        sim = Simulation(seed=13, keygen_s=2.0)
        sim.start_all()
        sim.run_until(lambda s=sim: len(s.noted("keygen.certified")) == 4, 8.0, "a certified key")
        sim.run_until(lambda s=sim: bool(s.noted("setup.sent")[1:]), 4.0, "SETUP", exactly=True)
        late = next(n for n in range(4) if not sim.noted("setup.sent", n))
        began = sim.now
        if dead:
            sim.crash(late)
        else:
            sim.tamper[late] = changes(m.Vote, lambda _vote: [])
        sim.run_until(lambda s=sim: lock_in_begun(s), 2.0, "BEGIN", exactly=True)
        grace = QUICK.convene_share * QUICK.round_period_s
        assert (sim.now - began > 0.99 * grace) != dead
