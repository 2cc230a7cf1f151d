"""Log validation where the key is handed on: each epoch counts by its own numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from model_checks.conformance import check_traces
from model_checks.epochs import Settings
from model_checks.trace_log import Refusal
from tests.model_checks.made_traces import Made, Quorum, quorum
from tests.model_checks.trace_files import written

NO_LIARS = Settings(faulty=0)
EVENT, FIRST, OTHER = b"E" * 32, b"d" * 32, b"x" * 32
LEDGER = {1: ("ABCD", 3), 2: ("ABCD", 3), 3: ("ABCEF", 4), 4: ("AE", 2)}
"""A key that is renewed, handed on to two who join while one leaves, and in the end to two."""


def handed_on(counts: dict[int, dict[str, Quorum]] | None = None) -> Made:
    """Return a run in which a lock goes from epoch to epoch; ``counts`` as of ``succeed``."""
    made, counts = Made(LEDGER), counts or {}
    made.found()
    made.vote("ABD", 1, EVENT, 5, FIRST)
    made.sign("ABD", 1, EVENT, 5, FIRST)
    made.succeed(1, 2, [(EVENT, 5, FIRST, 1)], counts.get(2))
    made.vote("ABC", 2, EVENT, 7, FIRST)
    made.sign("ABC", 2, EVENT, 7, FIRST)
    made.succeed(2, 3, [(EVENT, 7, FIRST, 2)], counts.get(3))
    made.vote("ABCEF", 3, EVENT, 9, FIRST)
    made.sign("ABCE", 3, EVENT, 9, FIRST)
    made.succeed(3, 4, [(EVENT, 9, FIRST, 3)], counts.get(4))
    made.vote("AE", 4, b"F" * 32, 11, OTHER)
    made.sign("AE", 4, b"F" * 32, 11, OTHER)
    return made


def said_of(root: Path, made: Made, settings: Settings | None = None) -> str:
    """Return the last word about a run, or what it is refused for."""
    try:
        return check_traces(written(root, made.traces), settings)[-1]
    except Refusal as refusal:
        return str(refusal)


def test_a_key_that_is_handed_on_is_legal(tmp_path: Path) -> None:
    """Catches one N or T for the whole run, and a node that joins or leaves and is refused for it.

    Every invariant is asked: no trace is missing.
    """
    made = handed_on()
    lines = sum(map(len, made.traces.values()))
    assert said_of(tmp_path, made) == f"6 nodes, {lines} lines, every step legal"
    assert "T is 4, but 3 by the command line" in said_of(tmp_path, made, Settings(threshold=3))
    assert "n-f >= t must hold, but 2-1 = 1 < 2" in said_of(tmp_path, made, Settings(faulty=1))


def test_nodes_that_have_done_nothing_yet(tmp_path: Path) -> None:
    """Catches two who wait for a share and are taken for one, because no line names either."""
    made = Made({1: ("ABCD", 3), 2: ("ABEF", 3)})
    made.found()
    assert [len(made.traces[name]) for name in "EF"] == [1, 1]
    assert said_of(tmp_path, made).startswith("6 nodes, ")


@pytest.mark.parametrize(("number", "wrong"), [(2, quorum("ABCD", 4)), (3, quorum("ABCEF", 5))])
def test_a_node_that_counts_otherwise_than_its_epoch(
    number: int, wrong: Quorum, tmp_path: Path
) -> None:
    """Catches numbers that are safe in themselves, and not those of the epoch that signs."""
    made = Made(LEDGER)
    made.found()
    for old in range(1, number):
        made.succeed(old, old + 1)
    names, right = LEDGER[number]
    made.vote(names, number, EVENT, 7, FIRST)
    made.lock("A", number, EVENT, 7, FIRST)
    made.lock("B", number, EVENT, 7, FIRST, wrong)
    said = said_of(tmp_path, made)
    assert re.search(rf"T is {right + 1}, but {right} in epoch {number} by .*/A/trace-000001", said)
    assert re.match(r"\S+/B/trace-000001\.jsonl:\d+: row 6 of session", said)


def test_what_all_must_take_part_in(tmp_path: Path) -> None:
    """Catches shares that are made by all, refused because one silent member stops that."""
    made = Made({1: ("ABCD", 3)})
    made.found()
    made.vote("ABCD", 1, EVENT, 7, FIRST, kind="keygen")
    made.lock("ABCD", 1, EVENT, 7, FIRST, quorum("ABCD", 4), kind="keygen")
    assert said_of(tmp_path, made, Settings(faulty=1)).endswith("every step legal")


def test_an_epoch_that_is_unsafe(tmp_path: Path) -> None:
    """Catches an epoch in which two sets could sign, where nobody counts otherwise."""
    made = Made({1: ("ABCD", 3), 2: ("ABCE", 2)})
    made.found()
    made.succeed(1, 2)
    made.vote("BCE", 2, EVENT, 7, FIRST)
    made.lock("B", 2, EVENT, 7, FIRST)
    assert "2t-n > f must hold, but 2*2-4 = 0 <= 0" in said_of(tmp_path, made)


def test_a_fence_before_all_were_asked(tmp_path: Path) -> None:
    """Catches a holder that steps back while a member of the next epoch has no share (F-25)."""
    made = handed_on({3: {"Fence": quorum("ABCE", 3)}})
    assert re.search(r"N is 5, but 4 in epoch 3 by .*/A/", said_of(tmp_path, made))


def test_a_lock_that_is_taken_over_by_the_wrong_numbers(tmp_path: Path) -> None:
    """Catches a certificate of the old epoch that was counted as one of another."""
    made = handed_on({3: {"TakeOver": quorum("ABC", 2)}})
    said = said_of(tmp_path, made)
    assert "regroup (prepared -TakeOver-> prepared): N is 3, but 4 in epoch 2 by " in said


def test_votes_of_an_older_epoch_that_are_counted_by_todays_numbers(tmp_path: Path) -> None:
    """Catches a lock that three votes of an epoch override whose certificates have five (F-19)."""
    made = Made({1: ("ABCDEFG", 5), 2: ("ABCD", 3)})
    made.found()
    made.vote("ABCDE", 1, EVENT, 1, FIRST)
    made.lock("A", 1, EVENT, 1, FIRST)
    made.vote("BCD", 1, EVENT, 3, OTHER)
    made.succeed(1, 2, [(EVENT, 1, FIRST, 1)])
    made.nodes["A"].signers[EVENT, 3] = made.epochs[1]
    with pytest.raises(AssertionError, match="A does not run event.Setup"):
        made.vote("A", 2, EVENT, 7, OTHER)
    assert said_of(tmp_path / "right", made).endswith("every step legal")
    made.nodes["A"].signers[EVENT, 3] = made.epochs[2]
    made.vote("A", 2, EVENT, 8, OTHER)
    said = said_of(tmp_path / "wrong", made)
    assert re.search(r"row 2 of event .*: N is 4, but 7 in epoch 1 by ", said)


def test_two_digests_signed_in_two_epochs(tmp_path: Path) -> None:
    """Catches a second signature under new shares, of holders who say that they took the locks over
    and did not: nobody who signs holds one, so every line is legal for itself (F-24).
    """
    made = Made({1: ("ABCD", 3), 2: ("BEFG", 3)})
    made.found()
    made.vote("ACD", 1, EVENT, 5, FIRST)
    made.sign("ACD", 1, EVENT, 5, FIRST)
    made.succeed(1, 2)
    made.vote("BEF", 2, EVENT, 9, OTHER)
    made.sign("BE", 2, EVENT, 9, OTHER)  # two of the three that it takes
    assert said_of(tmp_path / "two", made, NO_LIARS).endswith("every step legal")
    made.sign("F", 2, EVENT, 9, OTHER)
    said = said_of(tmp_path / "three", made, NO_LIARS)
    assert "after it, NoDoubleSign does not hold in the network" in said


def test_what_is_too_few_in_a_large_epoch_is_not_judged_by_a_small_one(tmp_path: Path) -> None:
    """Catches the least T of all epochs in the place of each epoch's own.

    Of seven, three vote for one digest and three for another: no certificate among seven.
    """
    made = Made({1: ("ABCD", 3), 2: ("ABCDEFG", 5)})
    made.found()
    made.vote("ABC", 1, EVENT, 3, FIRST)
    made.lock("A", 1, EVENT, 3, FIRST)
    made.succeed(1, 2, [(EVENT, 3, FIRST, 1)])
    second = b"S" * 32
    made.vote("ABC", 2, second, 7, FIRST)
    made.vote("DEF", 2, second, 7, OTHER)
    assert said_of(tmp_path / "split", made).endswith("every step legal")


def test_two_certificates_of_one_attempt(tmp_path: Path) -> None:
    """Catches votes of two epochs that are counted as one, and a second certificate in one epoch.

    A round is tried by the old holders, none of whom locks before the fence, and again by the new.
    """
    made = Made({1: ("ABCD", 3), 2: ("DEFG", 3)})
    made.found()
    made.vote("ABC", 1, EVENT, 5, FIRST)
    made.succeed(1, 2)
    made.vote("DEF", 2, EVENT, 5, OTHER)
    made.lock("D", 2, EVENT, 5, OTHER)
    assert said_of(tmp_path / "apart", made).endswith("every step legal")
    same = Made({1: ("ABCDEF", 3)})
    same.found()
    same.vote("ABC", 1, EVENT, 5, FIRST)
    same.vote("DEF", 1, EVENT, 5, OTHER)
    assert "2t-n > f must hold, but 2*3-6 = 0" in said_of(tmp_path / "unsafe", same)
