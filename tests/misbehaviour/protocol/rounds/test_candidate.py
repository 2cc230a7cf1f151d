"""Offers crafted to choose, to empty or to split the candidate."""

from __future__ import annotations

from attrs import evolve

from metanode.custody.document import decode_document
from metanode.custody.types import Outpoint
from metanode.protocol.context import outpoint_ref
from metanode.protocol.rounds.candidate import SIGHTINGS_PER_WITNESS
from spec import messages as m
from tests.simulation.simulator import Simulation, with_key

GHOST = m.OutpointRef(bytes([9]) * 32, 0)


def waiting() -> tuple[Simulation, dict[bytes, m.Offer]]:
    """Return a network with two confirmed deposits, and the honest offers."""
    sim = with_key(1, begin_s=98.05)
    sim.run(0.4)
    sim.deposit(500_000)
    sim.deposit(600_000)
    sim.run(0.4)
    sim.users.mine()
    sim.run(0.5)
    heard = {}
    for node in sim.nodes:
        candidates = sim.core(node.number).candidates
        cutoff = candidates.cutoff()
        refs = tuple(outpoint_ref(t.deposit.outpoint) for t in candidates.eligible())
        heard[node.node_id] = m.Offer(7, cutoff.snapshot.height, cutoff.snapshot.hash, refs, None)
    return sim, heard


def count(sim: Simulation, heard: dict[bytes, m.Offer]) -> int:
    """Return how many transfers node 0 would propose to pay."""
    document = sim.core(0).candidates.choose(heard, ())
    return 0 if document is None else len(decode_document(document.encode()).transfers)


def test_f_members_cannot_bring_in_a_deposit_that_is_not_there() -> None:
    """Catches a transfer in the candidate that this node has not validated itself."""
    sim, heard = waiting()
    for peer in heard:
        heard[peer] = evolve(heard[peer], transfers=(GHOST, *heard[peer].transfers))
    assert count(sim, heard) == 2, "not even if all offer it"


def test_one_member_cannot_keep_a_deposit_out() -> None:
    """Catches censorship by one: t others who offer it are enough."""
    sim, heard = waiting()
    liar = next(iter(heard))
    heard[liar] = evolve(heard[liar], transfers=())
    assert count(sim, heard) == 2
    del heard[liar]
    assert count(sim, heard) == 2


def test_one_member_cannot_move_the_cut_off() -> None:
    """Catches a height from one offer: a payout at a block that others do not have, or too old."""
    sim, heard = waiting()
    liar = next(iter(heard))
    for height in (0, 2**32 - 1):
        changed = heard | {liar: evolve(heard[liar], height=height)}
        document = sim.core(0).candidates.choose(changed, ())
        assert document is not None
        assert document.cutoff_height == heard[liar].height


def test_a_locked_document_for_nothing_real_is_passed_over() -> None:
    """F-17: catches a document that is signed because it is called locked."""
    sim, heard = waiting()
    none = m.Certificate(1, bytes(32), 10**9, bytes(32), (), ())
    for octets in (b"", b"\x80", bytes(1000), b"\xff" * 100):
        assert count_locked(sim, heard, m.LockedCandidate(octets, none)) == 2


def count_locked(sim: Simulation, heard: dict[bytes, m.Offer], locked: m.LockedCandidate) -> int:
    """Return how many transfers are proposed when a lock is shown."""
    document = sim.core(0).candidates.choose(heard, (locked,))
    return 0 if document is None else len(document.transfers)


def test_sightings_of_one_witness_are_bounded_and_its_own() -> None:
    """Catches a flood of sightings that pushes out what honest witnesses saw."""
    sim, _ = waiting()
    core = sim.core(0).candidates
    honest, liar = sim.nodes[1].node_id, sim.nodes[2].node_id
    real = Outpoint(bytes([8]) * 32, 1)
    core.note_seen(real, honest)
    for number in range(2 * SIGHTINGS_PER_WITNESS):
        core.note_seen(Outpoint(number.to_bytes(32, "big"), 0), liar)
    assert len(core.seen_by(liar)) == SIGHTINGS_PER_WITNESS
    assert core.seen[real] == {honest}
    assert len(core.seen) <= SIGHTINGS_PER_WITNESS + 8
