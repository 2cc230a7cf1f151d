"""Files of a signing history that were cut, altered, bloated or made up; histories that clash."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import pytest

from metanode.errors import UserError
from metanode.runtime.home.owner import Owner
from metanode.runtime.store import history as signing_history
from metanode.runtime.store.history import check_exportable, decode_history, read_history
from metanode.runtime.store.signing_log import (
    HistoryConflict,
    Lock,
    SafetyViolation,
    SigningHistory,
    SigningLog,
    Vote,
    additions,
)
from tests.runtime.store.history_vectors import FULL, ME, NETWORK

OWNER = Owner(NETWORK, ME.node_id)
TEXT = json.dumps(FULL).encode()
EVENT = b"\xe1" * 32
DIGESTS = [bytes([0xD1 + i]) * 32 for i in range(2)]


def refuse(path: Path, data: bytes) -> str:
    """Check that a file is refused with one line that names it; return the line."""
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        read_history(path, OWNER)
    assert str(caught.value).startswith(f"{path} is no signing history of this node: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("start", range(4))
def test_every_cut_is_refused(tmp_path: Path, start: int) -> None:
    """Catches a file that lost its end and is taken for a shorter history."""
    for length in range(start * 16, len(TEXT), 64):
        refuse(tmp_path / "history.json", TEXT[:length])


def test_flipped_bits_change_nothing_unnoticed(tmp_path: Path) -> None:
    """Catches a flip that makes a history laxer: what is still read has every mark, or another."""
    path, chance = tmp_path / "history.json", random.Random(5)
    good = decode_history(TEXT, OWNER)
    read = 0
    for _ in range(150):
        data = bytearray(TEXT)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        try:
            found = read_history(path, OWNER)
        except UserError:
            continue
        # Unsigned marks can be altered by who writes the file, never dropped or a lock forged.
        read += 1
        assert found.locks.keys() == good.locks.keys()
        assert {lock.digest for lock in found.locks.values()} == {DIGESTS[0]}
        assert len(found.votes) == len(good.votes)
        assert len(found.sessions_used) == len(good.sessions_used)
    assert read < 40


def test_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a file that fills the memory, and an export that no import would take."""
    monkeypatch.setattr(signing_history, "MAX_HISTORY_BYTES", len(TEXT) - 1)
    path = tmp_path / "history.json"
    path.write_bytes(TEXT)
    with pytest.raises(UserError, match="longer than"):
        read_history(path, OWNER)
    with pytest.raises(UserError, match="cannot be exported: it is longer"):
        check_exportable(TEXT, OWNER, path)


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff\xfe",
        b"\xef\xbb\xbf" + TEXT,
        b'{"metadata": "\\ud800"}',
        b'{"metadata": {"interchange_format_version": "\\ud800", "network_id": ""}, "data": []}',
        b"1" * 5_000,
        b'"' + b"a" * 5_000 + b'"',
        b"null",
    ],
    ids=["lists", "objects", "not utf-8", "bom", "surrogate", "version", "digits", "text", "null"],
)
def test_strange_json_is_one_line(tmp_path: Path, data: bytes) -> None:
    """Catches a crash, or a line of megabytes, on what a JSON reader chokes on."""
    assert len(refuse(tmp_path / "history.json", data)) < 600


def test_missing_file_is_named(tmp_path: Path) -> None:
    """Catches a traceback for a path that is not there, or that is a directory."""
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(UserError, match="cannot read"):
            read_history(path, OWNER)


def made(votes: dict[int, bytes], lock: tuple[int, bytes] | None = None) -> SigningHistory:
    """Return a history of one event."""
    locks = {} if lock is None else {EVENT: Lock(EVENT, *lock, b"certificate", b"")}
    return SigningHistory(
        votes=MappingProxyType({(EVENT, a): d for a, d in votes.items()}),
        locks=MappingProxyType(locks),
        releases=frozenset(),
        sessions_used=frozenset(),
    )


@pytest.mark.parametrize(
    ("theirs", "reason"),
    [
        (made({3: DIGESTS[1]}), "two votes in attempt 3"),
        (made({3: DIGESTS[1], 9: DIGESTS[0]}), "two votes in attempt 3"),
        (made({9: DIGESTS[0]}, (3, DIGESTS[1])), "two locks in attempt 3"),
    ],
)
def test_conflict_writes_nothing(tmp_path: Path, theirs: SigningHistory, reason: str) -> None:
    """Catches a clash that is settled by forgetting one side, or a half-written import."""
    log = SigningLog.create(tmp_path / "log.sqlite", ME.node_id)
    log.merge(made({3: DIGESTS[0]}, (3, DIGESTS[0])))
    before = log.load()
    with pytest.raises(HistoryConflict, match=reason) as caught:
        log.merge(theirs)
    assert "run neither again" in str(caught.value)
    assert log.load() == before
    log.close()


def histories(chance: random.Random) -> Iterator[SigningHistory]:
    """Yield random histories of one event: any votes, perhaps a lock."""
    while True:
        votes = {a: chance.choice(DIGESTS) for a in range(6) if chance.random() < 0.4}
        lock = None
        if votes and chance.random() < 0.6:
            attempt = chance.choice(list(votes))
            lock = (attempt, votes[attempt])
        yield made(votes, lock)


def test_merged_log_forbids_what_either_forbids(tmp_path: Path) -> None:
    """Catches any pair of histories whose sum lets the log accept what one alone refuses."""
    chance = random.Random(11)
    source = histories(chance)
    merged = clashes = asked = 0
    for number in range(12):
        ours, theirs = next(source), next(source)
        logs = []
        for name, parts in {"a": (ours,), "b": (theirs,), "c": (ours, theirs)}.items():
            log = SigningLog.create(tmp_path / f"{number}{name}", ME.node_id)
            logs.append(log)
            try:
                for part in parts:
                    log.merge(part)
            except HistoryConflict:
                clashes += 1
                break
        else:
            merged += 1
            asked += _compare(logs, chance)
        for log in logs:
            log.close()
    assert merged > 3
    assert clashes > 2
    assert asked > 8


def _compare(logs: list[SigningLog], chance: random.Random) -> int:
    """Ask all three logs the same questions; return how often one alone refused."""
    refusals = 0
    for _ in range(6):
        attempt, digest = chance.randrange(8), chance.choice(DIGESTS)
        kinds = [Vote(EVENT, attempt, digest), Lock(EVENT, attempt, digest, b"c", b"")]
        record = chance.choice(kinds)
        answers = [_accepts(log, record) for log in logs]
        assert answers[2] <= min(answers[:2]), (record, [log.load() for log in logs])
        refusals += not min(answers[:2])
    return refusals


def _accepts(log: SigningLog, record: Vote | Lock) -> bool:
    """Ask without leaving a mark: the second record undoes the batch."""
    poison = Lock(b"\x99" * 32, 0, DIGESTS[0], b"", b"")
    try:
        log.record([record, poison])
    except SafetyViolation as refusal:
        return "without a certificate" in str(refusal)
    raise AssertionError("the batch was not undone")


def test_order_of_imports_does_not_matter() -> None:
    """Catches a merge whose result depends on which copy imports from which."""
    source = histories(random.Random(3))
    compared = 0
    for _ in range(300):
        ours, theirs = next(source), next(source)
        try:
            there = additions(ours, theirs)
        except HistoryConflict:
            with pytest.raises(HistoryConflict):
                additions(theirs, ours)
            continue
        here = additions(theirs, ours)
        compared += 1
        assert {**ours.votes, **there.votes} == {**theirs.votes, **here.votes}
        assert {**ours.locks, **there.locks} == {**theirs.locks, **here.locks}
    assert compared > 50
