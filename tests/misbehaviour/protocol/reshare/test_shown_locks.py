"""Locks that are none, or old, or too many: they end at the holder that shows them."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.protocol.reshare import shown_locks as lock_book
from metanode.protocol.reshare.drafts import DRAFTS_PER_MEMBER
from spec import messages as m
from tests.simulation.epochs import draft_of, payout_lock
from tests.simulation.hostile import OLDEST, forged, network
from tests.simulation.simulator import Simulation

NEXT = 10**6
HONEST = tuple(number for number in range(4) if number != OLDEST)
VICTIM = HONEST[0]
SIGNERS = (0, 1, 2)


def shown(sim: Simulation, *locks: m.LockedCandidate, epoch: int = NEXT) -> None:
    """Let the liar show locks to its victim."""
    for candidate in locks:
        sim.inject(OLDEST, m.LockShown(epoch, candidate), VICTIM)
    sim.run(0.1)


def kept(sim: Simulation, epoch: int = NEXT) -> list[m.LockedCandidate]:
    """Return the locks of the liar that its victim keeps."""
    book = sim.core(VICTIM).handover.books._books.get(epoch)
    holders = [sim.nodes[OLDEST].node_id]
    return [] if book is None else [candidate for candidate, _ in book.newest(holders)]


def bad_locks(sim: Simulation) -> dict[str, m.LockedCandidate]:
    """Return what is no lock, by what is wrong with it."""
    real = payout_lock(sim, SIGNERS, attempt=5)
    votes = real.certificate.votes
    return {
        "forged": evolve(real, certificate=forged(real.certificate)),
        "no votes": evolve(real, certificate=evolve(real.certificate, votes=())),
        "too few": evolve(real, certificate=evolve(real.certificate, votes=votes[:2])),
        "a voter twice": evolve(
            real, certificate=evolve(real.certificate, votes=(*votes[:2], votes[0]))
        ),
        "a stranger": evolve(
            real,
            certificate=evolve(
                real.certificate, votes=(*votes[:2], m.SignedVote(b"\x02" + bytes(32), bytes(64)))
            ),
        ),
        "another attempt": evolve(real, certificate=evolve(real.certificate, attempt=6)),
        "an unknown epoch": evolve(real, certificate=evolve(real.certificate, key_epoch=NEXT)),
        "another document": payout_lock(sim, SIGNERS, attempt=5, digest=bytes([4]) * 32),
        "another event": payout_lock(sim, SIGNERS, attempt=5, event=bytes([4]) * 32),
        "no document": payout_lock(sim, SIGNERS, attempt=5, document=b"\x80"),
    }


def test_what_is_no_lock_is_its_senders_fault() -> None:
    """SAFE-SIGN 4: catches a lock on one holder's word, or one that nobody can ever pay."""
    sim = network(31, deposit=False)
    bad = bad_locks(sim)
    shown(sim, *bad.values())
    assert len(sim.faults_of(OLDEST)) == len(bad)
    assert not kept(sim)
    blocked = sim.core(VICTIM).blocks.is_blocked(sim.nodes[OLDEST].node_id)
    assert not blocked, "nothing here convinces a third party"
    assert not sim.refusals
    shown(sim, payout_lock(sim, SIGNERS, attempt=5))
    assert len(kept(sim)) == 1, "the true one is still taken"


def test_an_older_lock_does_not_take_the_place_of_a_newer_one() -> None:
    """SAFE-SIGN 4: catches a lock that goes back because a holder shows what was before."""
    sim = network(32, deposit=False)
    newer = payout_lock(sim, SIGNERS, attempt=9, variant=1)
    shown(sim, newer, payout_lock(sim, SIGNERS, attempt=5))
    assert kept(sim) == [newer]
    honest = sim.nodes[HONEST[1]].node_id
    book = sim.core(VICTIM).handover.books._books[NEXT]
    newest = payout_lock(sim, SIGNERS, attempt=11, variant=2)
    sim.inject(HONEST[1], m.LockShown(NEXT, newest), VICTIM)
    sim.run(0.1)
    assert book.newest([sim.nodes[OLDEST].node_id, honest]) == [(newest, honest)]


def test_locks_without_end_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches memory that one holder's locks fill; the others' locks still have room."""
    monkeypatch.setattr(lock_book, "LOCKS_PER_HOLDER", 8)
    sim = network(33, deposit=False)
    flood = [payout_lock(sim, SIGNERS, attempt=5, deposit=number) for number in range(1, 25)]
    shown(sim, *flood)
    assert len(kept(sim)) == 8
    sim.inject(HONEST[1], m.LockShown(NEXT, flood[-1]), VICTIM)
    sim.run(0.1)
    book = sim.core(VICTIM).handover.books._books[NEXT]
    assert len(book.newest([sim.nodes[HONEST[1]].node_id])) == 1
    assert not sim.refusals


@pytest.mark.parametrize("kind", [m.LockShown, m.HandedOver])
def test_books_of_epochs_that_nobody_knows_are_few(kind: type) -> None:
    """Catches a book for every number that a liar can think of."""
    sim = network(34, deposit=False)
    real, document = payout_lock(sim, SIGNERS, attempt=5), draft_of(sim, NEXT).encode()
    for number in (0, 1, 2, 1 << 32, (1 << 63) - 1, *range(NEXT, NEXT + 100)):
        told: object = m.LockShown(number, real)
        if kind is m.HandedOver:
            told = m.HandedOver(number, bytes(32), document, ())
        sim.inject(OLDEST, told, VICTIM)
    sim.run(0.2)
    core = sim.core(VICTIM)
    assert len(core.handover.books._books) <= DRAFTS_PER_MEMBER
    if kind is m.LockShown:
        shown = list(core.ctx.tables.view.entries("lock_shown"))
        assert 0 < len(shown) <= DRAFTS_PER_MEMBER
    assert core.ctx.epoch.number == 1
    assert not sim.refusals


def test_locks_of_a_stranger_are_not_kept() -> None:
    """Catches a book that anybody with a stake may write in."""
    sim = network(35, deposit=False, joiners=1)
    sim.join(4)
    sim.run(2.0)
    for number in range(NEXT, NEXT + 3):
        real = payout_lock(sim, SIGNERS, attempt=5)
        sim.inject(4, m.LockShown(number, real), VICTIM)
        sim.inject(4, m.HandedOver(number, bytes(32), b"", ()), VICTIM)
    sim.run(0.1)
    assert not sim.core(VICTIM).handover.books._books
