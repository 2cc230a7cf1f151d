"""Keys and their documents, and what a node with a key does at its start."""

from __future__ import annotations

from attrs import evolve

from metanode.custody.types import Outpoint
from metanode.protocol.keys.epoch import Member
from metanode.protocol.keys.keygen import keygen_document
from metanode.tss.verify import verify_signature
from tests.simulation.simulator import NETWORK_ID, Simulation, with_key

MEMBERS = tuple(
    Member(number.to_bytes(33, "big"), Outpoint(bytes([number]) * 32, 0), 100 + number)
    for number in range(4)
)


def test_the_document_of_a_key_generation_names_all_it_rests_on() -> None:
    """F-19: catches a threshold or a roster that two members understand differently."""
    base = keygen_document(NETWORK_ID, 7, MEMBERS, 3, 1)
    others = [
        keygen_document(bytes(32), 7, MEMBERS, 3, 1),
        keygen_document(NETWORK_ID, 8, MEMBERS, 3, 1),
        keygen_document(NETWORK_ID, 7, MEMBERS[:3], 3, 1),
        keygen_document(NETWORK_ID, 7, MEMBERS[::-1], 3, 1),
        keygen_document(NETWORK_ID, 7, MEMBERS, 4, 1),
        keygen_document(NETWORK_ID, 7, MEMBERS, 3, 0),
        keygen_document(NETWORK_ID, 7, (evolve(MEMBERS[0], height=9), *MEMBERS[1:]), 3, 1),
    ]
    assert len({base, *others}) == 8


def test_all_nodes_hold_one_key_with_different_shares() -> None:
    """Catches a key that differs between nodes, and a share that is not a share."""
    sim = with_key(1)
    epochs = [sim.core(number).ctx.epoch for number in range(4)]
    assert len({e.public_key for e in epochs}) == 1
    assert len({e.key_id for e in epochs}) == 1
    assert len({e.roster for e in epochs}) == 1
    assert len({e.seniority for e in epochs}) == 1
    assert epochs[0].roster == tuple(sorted(epochs[0].roster))
    assert len({e.keyshare.secret_share for e in epochs}) == 4
    for epoch in epochs:
        assert {epoch.public_share(p) for p in epoch.roster} == set(epoch.keyshare.public_shares)


def test_the_lock_in_is_a_signature_of_the_key_over_its_own_name() -> None:
    """F-27: catches a lock-in that anyone could make, or that fits another key or network."""
    sim = with_key(2)
    core = sim.core(0)
    announcement = core.keygen.announcement
    (key,) = sim.nodes[0].disk.usable_keys()
    r, s = (int.from_bytes(announcement.signature[i : i + 32], "big") for i in (0, 32))
    assert verify_signature(key.public_key, key.digest(NETWORK_ID), r, s)
    assert not verify_signature(key.public_key, key.digest(bytes(32)), r, s)
    assert {c.member for c in announcement.confirmations} == set(key.roster)


def test_a_node_restarts_with_its_key() -> None:
    """KeyAvailable: catches a share, or its lock-in, that does not come back from the disk."""
    sim = with_key(3)
    before = sim.core(1).ctx.epoch
    sim.crash(1)
    sim.start(1)
    after = sim.core(1).ctx.epoch
    assert (after.public_key, after.roster, after.seniority) == (
        before.public_key, before.roster, before.seniority
    )
    assert after.keyshare.to_bytes() == before.keyshare.to_bytes()
    assert sim.core(1).keygen.announcement is not None


def test_the_address_is_hidden_until_the_key_is_locked_in() -> None:
    """F-27: catches deposits to a key that may never count."""
    sim = Simulation(seed=4, keygen_s=6.0)
    sim.start_all()
    sim.run_until(lambda: len(sim.noted("keygen.certified")) == 4, 8.0, "a certified key")
    assert all(sim.core(number).report()["key"] is None for number in range(4))
    assert not any(node.chain.watching for node in sim.nodes)


def test_nothing_is_generated_while_a_member_is_missing_or_after_the_lock_in() -> None:
    """Catches a key of three, and slots that go on for ever."""
    sim = Simulation(seed=5, keygen_s=2.0)
    sim.start_all([0, 1, 3])
    sim.run(5.0)
    assert "Setup" not in sim.sent
    sim.start(2)
    sim.run_until(lambda: len(sim.noted("key.locked_in")) == 4, 12.0, "the key")
    setups = sim.sent["Setup"]
    sim.run(9.0)
    assert sim.sent["Setup"] == setups
