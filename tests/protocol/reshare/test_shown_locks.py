"""The book of locks that are handed over: what is kept, what the hash covers, what is complete."""

from __future__ import annotations

from attrs import evolve

from metanode.protocol.reshare.shown_locks import LOCKS_PER_HOLDER, LockBook, lock_fault
from spec import messages as m
from tests.protocol.reshare.support import Holder, payout_lock

ALICE, BOB, CAROL = (bytes([2, number]) + bytes(31) for number in (1, 2, 3))


def lock(event: int, attempt: int = 1, digest: int = 1) -> m.LockedCandidate:
    """Return something that looks like a lock: the book judges no votes."""
    name = event.to_bytes(32, "big")
    certificate = m.Certificate(1, name, attempt, bytes([digest]) * 32, (), ())
    return m.LockedCandidate(b"", certificate)


def told(book: LockBook, holder: bytes, *locks: m.LockedCandidate) -> None:
    """Let a holder show locks and say that they are all."""
    other = LockBook()
    for candidate in locks:
        book.show(holder, candidate)
        other.show(holder, candidate)
    book.hand_over(holder, other.hash_of(holder))


def test_the_hash_covers_event_attempt_and_digest_of_every_lock() -> None:
    """Catches a lock that can be kept back, or another one shown in its place."""
    shown = [
        (lock(1), lock(2)),
        (lock(1),),
        (),
        (lock(1), lock(3)),
        (lock(1, attempt=2), lock(2)),
        (lock(1, digest=2), lock(2)),
    ]
    hashes = set()
    for locks in shown:
        book = LockBook()
        for candidate in locks:
            book.show(ALICE, candidate)
        hashes.add(book.hash_of(ALICE))
    assert len(hashes) == len(shown)


def test_the_order_in_which_locks_come_does_not_matter() -> None:
    """Catches a hash that two honest nodes compute differently."""
    first, second = LockBook(), LockBook()
    for number in (1, 2, 3):
        first.show(ALICE, lock(number))
        second.show(ALICE, lock(4 - number))
    assert first.hash_of(ALICE) == second.hash_of(ALICE)


def test_the_newest_lock_of_an_event_is_kept() -> None:
    """SAFE-SIGN 4: catches a newer lock that an older one replaces."""
    book = LockBook()
    assert book.show(ALICE, lock(1, attempt=5))
    assert not book.show(ALICE, lock(1, attempt=4, digest=9))
    assert not book.show(ALICE, lock(1, attempt=5, digest=9))
    assert book.show(ALICE, lock(1, attempt=6, digest=2))
    assert [(c.certificate.attempt, q) for c, q in book.newest([ALICE])] == [(6, ALICE)]


def test_a_holder_is_complete_when_all_that_its_hash_names_is_here() -> None:
    """F-24: catches a member that goes on before it has all the locks."""
    book = LockBook()
    assert ALICE not in book
    book.show(ALICE, lock(1))
    assert not book.is_complete(ALICE)
    book.hand_over(ALICE, bytes(32))
    assert not book.is_complete(ALICE)
    told(book, BOB, lock(1), lock(2))
    assert book.is_complete(BOB)
    told(book, CAROL)
    assert book.is_complete(CAROL), "who has no locks says so"
    assert ALICE in book
    assert BOB in book


def test_a_lock_that_comes_after_the_word_completes_it() -> None:
    """Catches a handing over that only one order of messages can finish."""
    whole, book = LockBook(), LockBook()
    for number in (1, 2):
        whole.show(ALICE, lock(number))
    book.hand_over(ALICE, whole.hash_of(ALICE))
    book.show(ALICE, lock(2))
    assert not book.is_complete(ALICE)
    book.show(ALICE, lock(1))
    assert book.is_complete(ALICE)


def test_who_was_complete_stays_complete() -> None:
    """Catches a member that waits for ever because a holder has settled a payout since.

    A holder that starts again shows only what is still open: less than it showed before.
    """
    book = LockBook()
    told(book, ALICE, lock(1), lock(2))
    assert book.is_complete(ALICE)
    told(book, ALICE, lock(2))
    assert book.is_complete(ALICE)
    assert len(book.newest([ALICE])) == 2
    late = LockBook()
    late.show(ALICE, lock(1))
    late.show(ALICE, lock(2))
    late.hand_over(ALICE, bytes(32))
    told(late, ALICE, lock(2))
    assert late.is_complete(ALICE), "the first telling was lost in part"


def test_a_telling_that_was_cut_short_spoils_one_more_at_most() -> None:
    """Catches half of an earlier telling that keeps every later one from being complete."""
    book = LockBook()
    book.show(ALICE, lock(1))
    told(book, ALICE, lock(2))
    assert not book.is_complete(ALICE)
    told(book, ALICE, lock(2))
    assert book.is_complete(ALICE)


def test_the_newest_lock_of_all_holders_counts() -> None:
    """F-24: catches an old lock of one holder that hides another one's newer lock."""
    book = LockBook()
    book.show(ALICE, lock(1, attempt=3))
    book.show(BOB, lock(1, attempt=5, digest=2))
    book.show(CAROL, lock(2, attempt=1))
    found = [(c.certificate.attempt, q) for c, q in book.newest([ALICE, BOB, CAROL])]
    assert found == [(5, BOB), (1, CAROL)]
    assert [q for _, q in book.newest([ALICE])] == [ALICE]
    assert book.newest([]) == []


def test_a_holder_has_room_for_so_many_locks() -> None:
    """Catches memory that one holder fills; the room of the others is their own."""
    book = LockBook()
    for number in range(LOCKS_PER_HOLDER):
        assert book.show(ALICE, lock(number))
    assert not book.show(ALICE, lock(LOCKS_PER_HOLDER))
    assert book.show(ALICE, lock(7, attempt=2)), "a newer lock of a known event has room"
    assert book.show(BOB, lock(LOCKS_PER_HOLDER))
    assert len(book.newest([ALICE])) == LOCKS_PER_HOLDER


def test_a_lock_is_judged_by_its_own_epoch_and_with_its_document() -> None:
    """SAFE-SIGN 4: catches a lock of an epoch that nobody knows, or of another document."""
    ctx, real = Holder.at(3).node.ctx, payout_lock()
    assert lock_fault(ctx, real) is None
    other = payout_lock(digest=bytes([4]) * 32)
    assert lock_fault(ctx, other) == "it is for another document"
    other = payout_lock(event=bytes([4]) * 32)
    assert lock_fault(ctx, other) == "it is for another event"
    few = payout_lock((0, 1))
    assert lock_fault(ctx, few) == "2 votes, 3 are needed"
    far = evolve(real, certificate=evolve(real.certificate, key_epoch=9))
    assert "not known here" in str(lock_fault(ctx, far))
    garbage = payout_lock(document=b"garbage")
    assert lock_fault(ctx, garbage) is not None
