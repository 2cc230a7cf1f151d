"""The durable half of SAFE-SIGN (rules 2, 3 and 5; findings F-04, F-14, F-23)."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from metanode.errors import LocalFault, UserError
from metanode.runtime.store.signing_log import Lock, Record, Release, SessionUse, SigningLog, Vote
from tests.runtime.support import NODE_ID

EVENT, OTHER_EVENT = b"\x01" * 32, b"\x02" * 32
DIGEST, OTHER = b"\xaa" * 32, b"\xbb" * 32
INSTANCE = b"\x11" * 32


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SigningLog]:
    """An empty log."""
    made = SigningLog.create(tmp_path / "signing_log.sqlite", NODE_ID)
    yield made
    made.close()


def lock(attempt: int, digest: bytes = DIGEST, event: bytes = EVENT) -> Lock:
    """Return a lock with some certificate."""
    return Lock(event, attempt, digest, b"certificate %d" % attempt, b"document")


def test_history_survives_closing(log: SigningLog, tmp_path: Path) -> None:
    """Catches any record that is lost, changed or mixed up between two runs."""
    log.record([Vote(EVENT, 0, DIGEST), Vote(EVENT, 1, OTHER), Vote(OTHER_EVENT, 0, OTHER)])
    log.record([lock(1), Release(EVENT, DIGEST), SessionUse(INSTANCE)])
    log.close()
    again = SigningLog.open(tmp_path / "signing_log.sqlite", NODE_ID)
    history = again.load()
    again.close()
    assert dict(history.votes) == {
        (EVENT, 0): DIGEST,
        (EVENT, 1): OTHER,
        (OTHER_EVENT, 0): OTHER,
    }
    assert dict(history.locks) == {EVENT: lock(1)}
    assert history.locks[EVENT].document == b"document"
    assert history.released(EVENT) == {DIGEST}
    assert history.released(OTHER_EVENT) == frozenset()
    assert history.sessions_used == {INSTANCE}


def test_same_record_again_is_accepted(log: SigningLog) -> None:
    """Catches a log that stops a node from repeating, after a crash, what it did before."""
    records: list[Record] = [Vote(EVENT, 4, DIGEST), lock(4), Release(EVENT, DIGEST)]
    log.record(records)
    before = log.load()
    log.record(records)
    assert log.load() == before


def test_lock_moves_forward(log: SigningLog) -> None:
    """Catches a lock that can never move: the repair that is safe but not live (SAFE-SIGN 4)."""
    log.record([lock(1)])
    log.record([lock(5, OTHER)])
    assert log.load().locks[EVENT] == lock(5, OTHER)


def test_file_is_private_and_flushed(log: SigningLog, tmp_path: Path) -> None:
    """Catches a log others may read, and one whose commits may be lost in a power cut."""
    mode = (tmp_path / "signing_log.sqlite").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    with log._database.transaction() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_creating_never_overwrites(log: SigningLog, tmp_path: Path) -> None:
    """Catches an `init` that wipes a signing history."""
    log.record([Vote(EVENT, 0, DIGEST)])
    with pytest.raises(UserError, match="never overwritten"):
        SigningLog.create(tmp_path / "signing_log.sqlite", NODE_ID)
    assert len(log.load().votes) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: Vote(b"short", 0, DIGEST),
        lambda: Vote(EVENT, -1, DIGEST),
        lambda: Vote(EVENT, True, DIGEST),
        lambda: Vote(EVENT, 2**63, DIGEST),
        lambda: Release(EVENT, DIGEST.hex()),  # type: ignore[arg-type]  # on purpose
        lambda: SessionUse(b""),
    ],
)
def test_malformed_record_is_refused(make: object) -> None:
    """Catches identifiers of a wrong length or type, which SQLite would store without a word."""
    with pytest.raises(LocalFault):
        make()  # type: ignore[operator]  # parametrize erases the type


def test_history_hides_documents(log: SigningLog) -> None:
    """Catches certificates and documents that fill a log line through repr."""
    assert "document" not in repr(lock(1)).replace("Lock(", "")
