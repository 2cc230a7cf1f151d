"""Dishonest members of a key generation: confirmations that differ, forged locks, floods."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.errors import Equivocation, PeerFault
from metanode.protocol.wire.envelope import SIGNATURE_TAG
from metanode.tss.abort import AbortKind
from spec import messages as m
from tests.simulation.checkers import CODEC
from tests.simulation.hostile import (
    MIDDLE,
    OLDEST,
    OUTSIDER,
    YOUNGEST,
    changes,
    frames_speak_for_themselves,
    network,
    once,
)
from tests.simulation.simulator import NETWORK_ID, Simulation

OTHER = bytes([6]) * 32


def start(seed: int, bad: int = OLDEST, keygen_s: float = 2.0) -> Simulation:
    """Return a new network with one dishonest member."""
    sim = Simulation(seed=seed, dishonest={bad}, keygen_s=keygen_s)
    sim.start_all()
    return sim


def keys_at(sim: Simulation) -> list[int]:
    """Return the nodes that have a key in force."""
    return [n.number for n in sim.running() if n.core is not None and n.core.ctx.key is not None]


def has_key(sim: Simulation) -> bool:
    """Return whether all nodes have the key in force."""
    return len(keys_at(sim)) == 4


def differing(confirmation: m.Confirmation) -> list[object]:
    """Confirm something else."""
    return [evolve(confirmation, digest=OTHER)]


def consistent_liar(_to: bytes, message: object) -> list[object]:
    """Confirm something else, and never show the true confirmation either."""
    if isinstance(message, m.Confirmations):
        return []
    return differing(message) if isinstance(message, m.Confirmation) else [message]


def test_a_confirmation_that_differs_certifies_nothing() -> None:
    """F-27: catches a key that counts although one member stored another one."""
    sim = start(1)
    sim.tamper[OLDEST] = consistent_liar
    sim.run(7.0)
    honest = [OUTSIDER, YOUNGEST, MIDDLE]
    assert not set(keys_at(sim)) & set(honest)
    assert not [n for n in honest if sim.noted("keygen.certified", n)]


def test_a_key_that_waits_for_a_liar_binds_its_members() -> None:
    """F-33: catches a node that makes a key with others while one is in the making or in store.

    The liar confirms late on purpose: if its victims have made a key with others meanwhile, both
    keys come to count, each with signers enough.
    """
    sim = start(5)
    sim.tamper[OLDEST] = consistent_liar
    keygen = sim.core(OUTSIDER).keygen
    sim.run_until(lambda: bool(keygen._making), 6.0, "a key is being made")
    (members,) = keygen._making.values()
    roster = tuple(sorted(member.node_id for member in members))
    others = tuple(sorted((*roster[1:], bytes([3]) + bytes(32))))
    assert keygen._is_roster(roster)
    assert not keygen._is_roster(others)
    sim.run_until(lambda: bool(keygen.keys), 6.0, "it is in store")
    assert not keygen.certified()
    assert not keygen._is_roster(others)
    assert keygen._is_roster(roster)


def test_two_confirmations_of_one_key_are_evidence() -> None:
    """Catches a member that may say first one thing and then another."""
    sim = start(2)
    sim.tamper[OLDEST] = changes(m.Confirmation, lambda c: [c, *differing(c)])
    sim.run(3.0)
    found = [fault for fault in sim.faults_of(OLDEST) if isinstance(fault, Equivocation)]
    assert len(found) == 3
    liar = sim.nodes[OLDEST].node_id
    assert all(frames_speak_for_themselves(fault.frames, liar) for fault in found)


def test_a_wrong_confirmation_for_one_member_does_not_lock_it_out() -> None:
    """KeyAvailable: catches an honest holder that can never use its share.

    The liar confirms truly to two nodes and falsely to the third. The two certify and lock the key
    in; the third is shown all true confirmations with it and must follow, or the key has one signer
    less for ever.
    """
    sim = start(3)
    victim = sim.nodes[OUTSIDER].node_id
    sim.tamper[OLDEST] = changes(m.Confirmation, differing, to=[victim])
    sim.run_until(lambda: OUTSIDER in keys_at(sim), 12.0, "the victim follows")
    assert has_key(sim)


def test_a_false_confirmation_at_first_can_be_made_good() -> None:
    """Catches one bad slot that spoils all later ones."""
    sim = start(4)
    sim.tamper[OLDEST] = changes(m.Confirmation, once(differing))
    sim.run_until(lambda: has_key(sim), 24.0, "a later slot makes the key")


@pytest.mark.parametrize("field", ["signature", "public_key", "roster", "confirmations", "key"])
def test_a_forged_locked_key_is_not_believed(field: str) -> None:
    """Catches a key in force, and its address shown, on one member's word."""
    sim = start(5, keygen_s=100.0)
    sim.run_until(lambda: len(sim.noted("keygen.certified")) == 4, 8.0, "a certified key")
    core = sim.core(OLDEST)
    key = core.keygen.certified()[0]
    body = CODEC.encode(key.confirmation)
    confirmed = tuple(
        m.SignedConfirmation(n.node_id, n.identity.sign(SIGNATURE_TAG, NETWORK_ID, n.node_id, body))
        for n in sorted(sim.nodes, key=lambda n: n.node_id)
    )
    real = m.KeyLocked(
        key.slot, key.keyshare.epoch, key.roster, key.keyshare.public_key, key.confirmation.digest,
        confirmed, bytes(63) + b"\1",
    )
    change = {
        "signature": b"\xff" * 64,
        "public_key": b"\x02" + bytes(32),
        "roster": key.roster[:3],
        "confirmations": (m.SignedConfirmation(key.roster[0], bytes(64)),),
        "key": key.slot + 1,
    }[field]
    for to in (OUTSIDER, YOUNGEST, MIDDLE):
        sim.inject(OLDEST, evolve(real, **{field: change}), to)
        sim.inject(OLDEST, real, to)
    sim.run(0.2)
    assert keys_at(sim) == []
    if field in ("public_key", "roster"):
        assert len(sim.faults_of(OLDEST)) == 3
    assert not sim.refusals


def test_a_flood_of_confirmations_does_not_push_out_the_real_ones() -> None:
    """Catches memory that grows with a flood, and a slot's confirmations lost to one."""
    sim = start(6)
    sim.run(0.05)
    for number in range(300):
        flood = m.Confirmation(10**9 + number, 1, OTHER)
        for to in (OUTSIDER, YOUNGEST, MIDDLE):
            sim.inject(OLDEST, flood, to)
    sim.run_until(lambda: has_key(sim), 6.0, "the first slot's key, flood or not")
    for number in (OUTSIDER, YOUNGEST, MIDDLE):
        assert len(sim.core(number).keygen._confirmations) <= 70


def test_garbage_in_the_key_generation_costs_one_slot() -> None:
    """Catches a half-made key that counts, and a culprit that goes unnamed."""
    sim = start(7)
    sim.tamper[OLDEST] = changes(
        m.Step, once(lambda s: [evolve(s, payload=s.payload[:-1] + bytes([s.payload[-1] ^ 1]))])
    )
    sim.run_until(lambda: bool(sim.noted("session.aborted")), 3.0, "an abort")
    kinds = {note["kind"] for note in sim.noted("session.aborted")}
    assert AbortKind.INVALID_SIGNATURE.value not in kinds
    sim.run_until(lambda: has_key(sim), 30.0, "a later slot makes the key")


def test_a_stranger_takes_no_part_in_the_key_generation() -> None:
    """Catches votes, set-ups or confirmations of a node without a proved stake."""
    sim = Simulation(seed=8, dishonest={OLDEST})
    real = sim.nodes[OLDEST].settings
    sim.nodes[OLDEST].settings = evolve(real, stake=sim.nodes[MIDDLE].settings.stake)
    sim.start_all()
    sim.run(6.0)
    assert not sim.noted("setup.sent", MIDDLE)
    assert not sim.noted("session.begun")
    listed = {member.node_id for member in sim.core(MIDDLE).pings.members()}
    assert sim.nodes[OLDEST].node_id not in listed


def test_confirmations_and_locks_after_the_lock_in_change_nothing() -> None:
    """Catches a locked key that is replaced: it is permanent (LockInAgreement)."""
    sim = network(9)
    before = sim.core(MIDDLE).report()["key"]
    slot = before["slot"]
    for message in (
        m.Confirmation(slot, 1, OTHER),
        m.KeyLocked(slot, 1, (), b"\x02" + bytes(32), OTHER, (), bytes(64)),
        m.KeyLocked(slot + 1, 1, (), b"\x02" + bytes(32), OTHER, (), bytes(64)),
    ):
        sim.inject(OLDEST, message, MIDDLE)
    sim.settle()
    assert sim.core(MIDDLE).report()["key"] == before


@pytest.mark.parametrize(
    "change",
    [
        {"roster": (b"\x02" * 33,) * 257},
        {"confirmations": (m.SignedConfirmation(b"\x02" * 33, bytes(64)),) * 257},
        {"signature": bytes(63)},
        {"key": -1},
    ],
)
def test_oversized_locks_cannot_be_built(change: dict[str, object]) -> None:
    """Catches a list without a bound."""
    good = m.KeyLocked(1, 1, (), b"\x02" + bytes(32), OTHER, (), bytes(64))
    with pytest.raises((ValueError, PeerFault)):
        evolve(good, **change)
