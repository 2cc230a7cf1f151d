"""The formulas of SAFE-SIGN against a plain reading of its sentences, over small domains."""

from __future__ import annotations

import random
from itertools import product

import pytest

from spec.language.ir import BOOL
from spec.protocol import PROTOCOL
from tests.spec.support import Dictionary, parse

PEERS, ATTEMPTS, DIGESTS = (0, 1, 2, 3), (0, 1, 2), (7, 8)
EVENT = 5
T = 3

FORMULAS = {
    name: parse(text, BOOL, PROTOCOL.names, p="Peer", e="Event", a="Attempt", d="Digest")
    for name, text in {
        "certified": "certified(e, a, d)",
        "enough_votes": "enough_votes(e, a, d)",
        "first_vote": "first_vote(p, e, a, d)",
        "lock_permits": "lock_permits(p, e, a, d)",
        "may_lock": "may_lock(p, e, a, d)",
    }.items()
}


def view(values: dict[tuple[str, tuple[object, ...]], object]) -> Dictionary:
    """Return a view of a network of four with these values."""
    sorts = {"Peer": PEERS, "Event": (EVENT,), "Attempt": ATTEMPTS, "Digest": DIGESTS}
    return Dictionary(PROTOCOL, values, sorts)  # type: ignore[arg-type]  # values of all kinds


def holds(name: str, seen: Dictionary, p: int, a: int, d: int) -> bool:
    """Evaluate a formula for one peer, attempt and digest."""
    from spec.language.interpreter import evaluate

    return bool(evaluate(FORMULAS[name], seen, {"p": p, "e": EVENT, "a": a, "d": d}))


def votes(
    voters: dict[tuple[int, int], tuple[int, ...]],
) -> dict[tuple[str, tuple[object, ...]], object]:
    """Return the vote cells of (attempt, digest) → voters."""
    return {("vote", (q, EVENT, a, d)): True for (a, d), who in voters.items() for q in who}


@pytest.mark.parametrize("count", range(5))
def test_a_certificate_is_t_equal_votes(count: int) -> None:
    """Catches t − 1 votes that count, and votes of another attempt or digest that are added."""
    seen = view(votes({(1, 7): PEERS[:count], (1, 8): PEERS, (2, 7): PEERS}))
    assert holds("certified", seen, 0, 1, 7) == (count >= T)


def test_votes_count_by_the_holders_of_their_epoch() -> None:
    """Catches an older attempt's votes that are counted with today's holders and threshold (F-19).

    After a handover from seven holders of whom five sign to four of whom three do, three votes of
    the older epoch override no lock.
    """
    old = tuple(range(7))
    for voters in (old[:3], old[:4], old[:5], old[2:]):
        cells = votes({(1, 8): voters, (2, 8): PEERS[:2]})
        cells |= {("lock", (0, EVENT)): 7, ("lock_attempt", (0, EVENT)): 0}
        seen, before = view(cells), view(cells)
        before.sorts = {**before.sorts, "Peer": old}
        before.numbers = {"N": 7, "T": 5, "F": 2, "R": 5}
        seen.scopes = {(("Event", "Attempt"), (EVENT, 1)): before}
        assert holds("certified", seen, 0, 1, 8) == (len(voters) == 5)
        assert holds("lock_permits", seen, 0, 2, 8) == (len(voters) == 5)


@pytest.mark.parametrize("count", range(5))
def test_key_generation_needs_every_vote(count: int) -> None:
    """Catches a key generation that begins without a member."""
    cells = votes({(1, 7): PEERS[:count]})
    assert holds("enough_votes", view(cells), 0, 1, 7) == (count >= T)
    everyone = view({**cells, ("kind", (EVENT,)): "keygen"})
    assert holds("enough_votes", everyone, 0, 1, 7) == (count == len(PEERS))


def test_one_digest_per_attempt() -> None:
    """Catches a second vote in an attempt (SAFE-SIGN 3), and a vote that cannot be repeated."""
    for voted, digest in product((None, *DIGESTS), DIGESTS):
        seen = view(
            {
                ("voted", (0, EVENT, 1)): voted,
                ("voted", (0, EVENT, 2)): 8,
                ("voted", (1, EVENT, 1)): 8,
            }
        )
        assert holds("first_vote", seen, 0, 1, digest) == (voted in (None, digest))


def test_locks_over_random_histories() -> None:
    """Catches any other reading of SAFE-SIGN 3 and 4 than the two written out here."""
    rng = random.Random(20)
    outcomes = set()
    for _ in range(600):
        voters = {
            (a, d): tuple(q for q in PEERS if rng.random() < 0.6) for a in ATTEMPTS for d in DIGESTS
        }
        lock = rng.choice((None, *DIGESTS))
        locked_at = rng.choice(ATTEMPTS) if lock is not None else None
        seen = view(
            {**votes(voters), ("lock", (0, EVENT)): lock, ("lock_attempt", (0, EVENT)): locked_at}
        )
        for a, d in product(ATTEMPTS, DIGESTS):
            certified = {at for at in ATTEMPTS if len(voters[at, d]) >= T}
            since = -1 if locked_at is None else locked_at
            permits = lock in (None, d) or any(since < b < a for b in certified)
            assert holds("lock_permits", seen, 0, a, d) == permits
            may_lock = a in certified and since < a
            assert holds("may_lock", seen, 0, a, d) == may_lock
            outcomes.add((permits, may_lock, lock in (None, d)))
    assert len(outcomes) >= 5, "the histories are too tame to tell the rules apart"


def test_the_lock_is_not_overridden_by_its_own_attempt_or_a_later_one() -> None:
    """Catches < for ≤ at either end of a lock's window."""
    certified = votes({(0, 8): PEERS, (1, 8): PEERS, (2, 8): PEERS})
    for locked_at, a, expected in ((0, 2, True), (1, 2, False), (0, 1, False), (2, 2, False)):
        seen = view({**certified, ("lock", (0, EVENT)): 7, ("lock_attempt", (0, EVENT)): locked_at})
        assert holds("lock_permits", seen, 0, a, 8) is expected


def test_every_way_to_a_vote_a_lock_and_a_release_has_its_guard() -> None:
    """Catches a row that votes, locks or releases without asking SAFE-SIGN.

    The rows are found by what they write, so that a new one cannot be forgotten.
    """
    works = {"works(p, e, a)", "works(p, e, r)"}
    needed = {
        "voted": (
            works,
            {"first_vote(p, e, a, d)", "first_vote(p, e, r, d)"},
            {"lock_permits(p, e, a, d)", "lock_permits(p, e, r, d)"},
        ),
        "lock": (works, {"may_lock(p, e, a, d)", "may_lock(p, e, r, d)"}),
        "released": (works, {"lock[p, e] == d"}, {"not instance_used[p, i]"}),
    }
    # Who takes a lock over releases nothing with it before it works in the new epoch.
    handed = {
        "certified(e, a, d)", "lock_attempt[p, e] < a", "not works_before(p, h)",
        "not moved_on(p, h)",
    }
    found = dict.fromkeys(needed, 0)
    for machine in PROTOCOL.machines.values():
        for rule in machine.rules:
            written = {effect.cell.name for effect in rule.effects}
            for cell, guards in needed.items():
                if cell in written:
                    found[cell] += 1
                    texts = {guard.text for guard in rule.guards}
                    if rule.event == "TakeOver":
                        assert handed <= texts
                        continue
                    for alternatives in guards:
                        assert texts & alternatives, f"{rule.name} writes {cell}"
    assert found == {"voted": 2, "lock": 4, "released": 1}


def test_what_is_sent_is_written_first() -> None:
    """Catches a vote or a share that leaves without its record in the same row."""
    record = {"vote": "voted", "share": "released", "renounced_said": "renounced"}
    for machine in PROTOCOL.machines.values():
        for rule in machine.rules:
            written = {effect.cell.name for effect in rule.effects}
            for sent, kept in record.items():
                if sent in written:
                    assert kept in written, rule.name


def test_the_memory_of_safe_sign_is_on_disk() -> None:
    """Catches the one word that would let a crash forget a vote, a lock or a release."""
    for name in (
        "voted",
        "lock",
        "lock_attempt",
        "released",
        "instance_used",
        "renounced",
        "status",
        "key",
        "key_share",
        "holding",
        "signature_kept",
        "swap",
        "settlement",
        "standing",
        "pair_banned",
        "blamed",
    ):
        assert PROTOCOL.cells[name].kept == "disk", name
    lost = {cell.name for cell in PROTOCOL.lost_in_a_crash()}
    assert lost == {
        "phase",
        "round",
        "heard",
        "proposal_of",
        "listing",
        "session",
        "session_digest",
        "link",
        "other_end",
        "link_proved",
        "cookie_spent",
    }
