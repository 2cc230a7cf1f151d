"""The checkers themselves: each must see the fault that it is there for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from attrs import evolve

from metanode.protocol.tables.effects import Send, Write
from spec import messages as m
from tests.simulation.checkers import Violated
from tests.simulation.disk import FakeDisk
from tests.simulation.hostile import certificate
from tests.simulation.simulator import Simulation, SimulationFailure, turns, with_key

EVENT, DIGEST, OTHER = (bytes([i]) * 32 for i in (1, 2, 3))


def quiet() -> Simulation:
    """Return a network with a key in which nothing happens."""
    return with_key(1)


def locked(sim: Simulation, digest: bytes, attempt: int) -> m.LockedCandidate:
    """Return a lock with a certificate."""
    made = certificate(sim, [1, 2, 3], event=EVENT, digest=digest, attempt=attempt)
    return m.LockedCandidate(b"", made)


def release(sim: Simulation, number: int, digest: bytes, attempt: int) -> None:
    """Let a node lock on a digest and release its share of it, on its disk and at the checkers."""
    node = sim.nodes[number]
    before = node.disk.get("lock", node.node_id, EVENT)
    earlier = node.disk.get("lock_attempt", node.node_id, EVENT)
    writes = [
        Write("lock", (node.node_id, EVENT), before, digest, locked(sim, digest, attempt)),
        Write("lock_attempt", (node.node_id, EVENT), earlier, attempt),
        Write("released", (node.node_id, EVENT, digest), False, True),
    ]
    node.disk.flush(writes)
    sim.checkers.on_flush(node.node_id, writes)


def test_two_digests_that_may_both_be_signed_are_a_double_sign() -> None:
    """Catches a NoDoubleSign that counts wrongly: honest releases + f >= t, for two digests."""
    sim = quiet()
    release(sim, 0, DIGEST, 5)
    release(sim, 1, DIGEST, 5)
    release(sim, 2, OTHER, 6)
    with pytest.raises(Violated, match="NoDoubleSign"):
        release(sim, 3, OTHER, 6)


def note(sim: Simulation, number: int, cell: str, before: object, after: object) -> None:
    """Let a node write a cell about the event, on its disk and at the checkers."""
    node = sim.nodes[number]
    writes = [Write(cell, (node.node_id, EVENT), before, after)]
    node.disk.flush(writes)
    sim.checkers.on_flush(node.node_id, writes)


def test_a_payout_beside_a_refund_is_seen_in_either_order() -> None:
    """F-16: catches a NoPayAndRefund that looks at one node only, or once."""
    sim = quiet()
    note(sim, 3, "renounced", False, True)
    note(sim, 0, "status", "UNKNOWN", "PENDING")
    note(sim, 0, "status", "PENDING", "EXPIRED")
    release(sim, 1, DIGEST, 5)
    with pytest.raises(Violated, match="NoPayAndRefund.* 3 shares can be out"):
        release(sim, 2, DIGEST, 5)
    sim = quiet()
    note(sim, 3, "renounced", False, True)
    for number in (0, 1):
        note(sim, number, "status", "UNKNOWN", "PENDING")
    note(sim, 0, "status", "PENDING", "SUCCESS")
    with pytest.raises(Violated, match="NoPayAndRefund.* is expired and signed"):
        note(sim, 1, "status", "PENDING", "EXPIRED")


def test_a_release_of_who_renounced_is_seen_in_either_order() -> None:
    """F-16: catches a statement that is not true, or does not stay true."""
    sim = quiet()
    note(sim, 0, "renounced", False, True)
    with pytest.raises(Violated, match="RenouncedNeverReleases"):
        release(sim, 0, DIGEST, 5)
    sim = quiet()
    release(sim, 0, DIGEST, 5)
    with pytest.raises(Violated, match="RenouncedNeverReleases"):
        note(sim, 0, "renounced", False, True)


def test_a_statement_that_is_not_on_disk_must_not_leave() -> None:
    """Catches a DurableBeforeSend that forgets one kind of message."""
    sim = quiet()
    said = Send("renounced_said", m.Renounced(EVENT))
    with pytest.raises(Violated, match="DurableBeforeSend"):
        sim.checkers.before_send(sim.nodes[0].node_id, [said])
    note(sim, 0, "renounced", False, True)
    sim.checkers.before_send(sim.nodes[0].node_id, [said])


def test_two_certificates_of_one_attempt_are_seen() -> None:
    """Catches a CertificateUnique that compares nothing."""
    sim = quiet()
    release(sim, 0, DIGEST, 5)
    with pytest.raises(Violated, match="CertificateUnique"):
        release(sim, 1, OTHER, 5)


def test_a_release_without_its_lock_is_seen() -> None:
    """Catches a checker that trusts the table's own guard."""
    sim = quiet()
    node = sim.nodes[0]
    with pytest.raises(Violated, match="NoDoubleSignLocal"):
        sim.checkers.on_flush(
            node.node_id, [Write("released", (node.node_id, EVENT, DIGEST), False, True)]
        )


@pytest.mark.parametrize(
    ("message", "name"),
    [
        (m.Vote(1, EVENT, 5, DIGEST, ()), "DurableBeforeSend"),
        (m.Release(EVENT, 0, 1, b"", 0), "DurableBeforeSend"),
        (m.Step(EVENT, 0, 2, b"", 0), "DurableBeforeSend"),
        (m.SignatureFound(EVENT, EVENT, b"", (), ()), "DurableBeforeSend"),
        (m.Confirmation(99, 1, EVENT), "DurableBeforeSend"),
        (m.KeyLocked(99, 1, (), b"\2" * 33, EVENT, (), bytes(64)), "DurableBeforeSend"),
    ],
)
def test_what_leaves_before_it_is_on_disk_is_seen(message: object, name: str) -> None:
    """Catches a DurableBeforeSend that looks at memory, or not at all."""
    sim = quiet()
    with pytest.raises(Violated, match=name):
        sim.checkers.before_send(sim.nodes[0].node_id, [Send("vote", message)])


def test_two_signed_votes_of_one_attempt_are_seen() -> None:
    """Catches a second vote with other members: the disk keeps the digest only."""
    sim = quiet()
    node = sim.nodes[0]
    node.disk.flush([Write("voted", (node.node_id, EVENT, 5), None, DIGEST)])
    vote = m.Vote(1, EVENT, 5, DIGEST, (node.node_id,))
    sim.checkers.before_send(node.node_id, [Send("vote", vote), Send("vote", vote)])
    with pytest.raises(Violated, match="OneVotePerAttempt"):
        sim.checkers.before_send(node.node_id, [Send("vote", evolve(vote, members=()))])


def test_a_run_without_a_certificate_is_seen() -> None:
    """Catches a NoStepBeforeBegin that takes any recorded run for a certified one."""
    sim = quiet()
    node = sim.nodes[0]
    node.disk.flush([Write("instance_used", (node.node_id, EVENT), False, True)])
    with pytest.raises(Violated, match="NoStepBeforeBegin"):
        sim.checkers.before_send(node.node_id, [Send("share", m.Release(EVENT, 0, 1, b"", 0))])


def test_a_status_that_goes_back_is_seen() -> None:
    """Catches a StatusMonotone that knows no order."""
    sim = quiet()
    node_id = sim.nodes[0].node_id
    with pytest.raises(Violated, match="StatusMonotone"):
        sim.checkers.on_flush(node_id, [Write("status", (node_id, EVENT), "SUCCESS", "PENDING")])


def test_two_locked_keys_are_seen() -> None:
    """Catches a LockInAgreement that each node passes alone."""
    sim = quiet()
    node = sim.nodes[0]
    other = evolve(sim.core(0).keygen.announcement, public_key=b"\2" * 33)
    with pytest.raises(Violated, match="LockInAgreement"):
        sim.checkers.on_flush(
            node.node_id, [Write("key", (node.node_id, 9), "certified_by_all", "locked_in", other)]
        )


def test_an_open_deposit_and_a_wrong_amount_are_seen() -> None:
    """Catches accounts at the end that nobody adds up."""
    sim = quiet()
    sim.deposit()
    with pytest.raises(Violated, match="SwapSettles"):
        sim.checkers.finish(sim.users)


@pytest.mark.parametrize("cell", ["voted", "released", "signature_kept"])
def test_a_disk_that_loses_a_cell_is_caught_in_a_whole_run(
    cell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches checkers that a broken shell would pass: the failure names seed and replay."""
    sim = with_key(2, replay="the line that replays it")
    flush, broken = FakeDisk.flush, sim.nodes[turns(sim)[0]].disk

    def lossy(disk: FakeDisk, writes: Sequence[Write]) -> None:
        flush(disk, [w for w in writes if disk is not broken or w.cell != cell])

    monkeypatch.setattr(FakeDisk, "flush", lossy)
    sim.mine_every(0.7)
    sim.run(0.3)
    sim.deposit()
    with pytest.raises(SimulationFailure) as failure:
        sim.settle()
    text = str(failure.value)
    assert "DurableBeforeSend" in text
    assert "seed 2" in text
    assert "the line that replays it" in text
