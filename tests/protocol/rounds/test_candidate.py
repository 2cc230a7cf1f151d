"""The candidate: a pure function of the offers and of the own ledger."""

from __future__ import annotations

import itertools

import pytest
from attrs import evolve

from metanode.custody.document import decode_document
from metanode.errors import Malformed
from metanode.protocol.context import outpoint_ref
from spec import messages as m
from tests.simulation.hostile import certificate
from tests.simulation.simulator import Simulation, with_key

A, B, C, D = range(4)


def waiting(deposits: int = 3, seed: int = 1) -> Simulation:
    """Return a network with confirmed deposits that no round has taken up yet."""
    sim = with_key(seed, begin_s=98.05)
    sim.run(0.4)
    for number in range(deposits):
        sim.deposit(500_000 + 100_000 * number)
    sim.run(0.4)
    sim.users.mine()
    sim.run(0.5)
    return sim


def offers(sim: Simulation) -> dict[bytes, m.Offer]:
    """Return what each node would offer now."""
    found = {}
    for node in sim.nodes:
        candidates = sim.core(node.number).candidates
        cutoff = candidates.cutoff()
        refs = tuple(outpoint_ref(t.deposit.outpoint) for t in candidates.eligible())
        found[node.node_id] = m.Offer(7, cutoff.snapshot.height, cutoff.snapshot.hash, refs, None)
    return found


def choose(sim: Simulation, number: int, heard: dict[bytes, m.Offer], locked: tuple = ()) -> bytes:
    """Return the encoded candidate of a node, or nothing."""
    document = sim.core(number).candidates.choose(heard, locked)
    return b"" if document is None else document.encode()


def test_equal_offers_give_equal_documents_at_every_node() -> None:
    """Catches a document that depends on who builds it, or on the order of the offers."""
    sim = waiting()
    heard = offers(sim)
    built = {
        choose(sim, number, dict(order))
        for number in range(4)
        for order in itertools.permutations(heard.items())
    }
    assert len(built) == 1
    assert len(decode_document(built.pop()).transfers) == 3


def test_only_what_t_members_offer_is_paid() -> None:
    """Catches a transfer that fewer than t can validate: they would refuse to sign it."""
    sim = waiting()
    heard = offers(sim)
    ids = list(heard)
    for peer in ids[:2]:
        heard[peer] = evolve(heard[peer], transfers=heard[peer].transfers[1:])
    built = decode_document(choose(sim, A, heard))
    assert len(built.transfers) == 2
    for peer in ids[2:]:
        heard[peer] = evolve(heard[peer], transfers=heard[peer].transfers[:1])
    assert choose(sim, A, heard) == b"", "no transfer has t offers"


def test_fewer_than_t_offers_are_no_candidate() -> None:
    """Catches a proposal in a minority partition."""
    sim = waiting()
    heard = dict(list(offers(sim).items())[:2])
    assert choose(sim, A, heard) == b""


def test_the_cut_off_is_what_t_members_have() -> None:
    """Catches a document at a height that a quorum has not seen yet."""
    sim = waiting()
    heard = offers(sim)
    tip = sim.core(A).candidates.cutoff().snapshot.height
    ids = list(heard)
    heard[ids[0]] = evolve(heard[ids[0]], height=tip + 5)
    assert decode_document(choose(sim, A, heard)).cutoff_height == tip
    for peer in ids[:2]:
        heard[peer] = evolve(heard[peer], height=tip - 1)
    assert choose(sim, A, heard) == b"", "the deposits are younger than that"


def test_a_transfer_named_twice_counts_once() -> None:
    """Catches one member whose offer counts for several."""
    sim = waiting(1)
    heard = offers(sim)
    ids = list(heard)
    for peer in ids[1:]:
        heard[peer] = evolve(heard[peer], transfers=())
    heard[ids[0]] = evolve(heard[ids[0]], transfers=heard[ids[0]].transfers * 5)
    assert choose(sim, A, heard) == b""


def lock_on(sim: Simulation, document: bytes, attempt: int) -> m.LockedCandidate:
    """Return a document with a certificate for it."""
    request = decode_document(document)
    digest = sim.core(A).candidates.rebuild(document).digest
    made = certificate(sim, [A, B, C], event=request.event, digest=digest, attempt=attempt)
    return m.LockedCandidate(document, made)


def test_a_locked_document_goes_first_and_the_newest_of_several() -> None:
    """SAFE-SIGN 4: catches a fresh candidate proposed while a lock is open."""
    sim = waiting()
    heard = offers(sim)
    whole = choose(sim, A, heard)
    fewer = {peer: evolve(o, transfers=o.transfers[:1]) for peer, o in heard.items()}
    old = choose(sim, A, fewer)
    assert old != whole
    locks = (lock_on(sim, whole, 3), lock_on(sim, old, 5))
    for order in (locks, locks[::-1]):
        assert choose(sim, B, heard, order) == old
    assert choose(sim, B, {}, locks[:1]) == whole, "no offers are needed for it"


def test_a_locked_document_that_cannot_be_rebuilt_is_passed_over() -> None:
    """F-17: catches a document signed because others locked it, although this chain differs."""
    sim = waiting()
    heard = offers(sim)
    whole = choose(sim, A, heard)
    lock = lock_on(sim, whole, 3)
    broken = evolve(lock, document=whole[:-1] + bytes([whole[-1] ^ 1]))
    assert choose(sim, B, heard, (broken,)) == whole


def test_rebuild_needs_every_byte() -> None:
    """F-17: catches a payload that differs where only its envelope was compared."""
    sim = waiting()
    core = sim.core(A).candidates
    whole = choose(sim, A, offers(sim))
    assert core.rebuild(whole) is not None
    for position in range(0, len(whole), 7):
        changed = whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :]
        assert core.rebuild(changed) is None
    assert core.rebuild(b"") is None
    assert core.rebuild(whole + b"\0") is None


def test_a_spent_deposit_is_no_candidate_but_still_a_document() -> None:
    """Catches a second payout, and a late signature that cannot be checked any more."""
    sim = waiting(1)
    whole = choose(sim, A, offers(sim))
    sim.mine_every(0.7)
    sim.settle()
    core = sim.core(A).candidates
    assert core.eligible() == ()
    assert core.rebuild(whole) is None
    assert core.rebuild(whole, spent_too=True) is not None


def test_a_node_without_a_chain_has_no_candidate() -> None:
    """Catches an index error, or a document from nothing, before the first block came."""
    sim = with_key(2)
    core = sim.core(A)
    core.reset_ledger()
    assert core.candidates.cutoff() is None
    assert core.candidates.eligible() == ()


def test_garbage_is_no_document() -> None:
    """Catches an exception of another kind from the decoder."""
    with pytest.raises(Malformed):
        decode_document(b"\xff" * 40)
