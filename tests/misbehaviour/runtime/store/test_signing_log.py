"""What the signing log must refuse, whatever the code above it believes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from metanode.errors import UserError
from metanode.runtime.store.cells import CellStore
from metanode.runtime.store.signing_log import (
    Lock,
    Record,
    Release,
    SafetyViolation,
    SessionUse,
    SigningLog,
    Vote,
)
from tests.runtime.support import NODE_ID

EVENT, DIGEST, OTHER, INSTANCE = b"\x01" * 32, b"\xaa" * 32, b"\xbb" * 32, b"\x11" * 32
HISTORY: tuple[Record, ...] = (
    Vote(EVENT, 3, DIGEST),
    Lock(EVENT, 3, DIGEST, b"certificate", b"document"),
    Release(EVENT, DIGEST),
    SessionUse(INSTANCE),
)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SigningLog]:
    """A log with one vote, lock, release and session."""
    made = SigningLog.create(tmp_path / "signing_log.sqlite", NODE_ID)
    made.record(HISTORY)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Vote(EVENT, 3, OTHER), "second vote in attempt 3"),
        (Lock(EVENT, 2, DIGEST, b"c", b""), "goes back from attempt 3 to 2"),
        (Lock(EVENT, 2, OTHER, b"c", b""), "goes back from attempt 3 to 2"),
        (Lock(EVENT, 3, OTHER, b"c", b""), "two locks in attempt 3"),
        (Lock(EVENT, 4, OTHER, b"", b""), "without a certificate"),
        (Lock(EVENT, 8, OTHER, b"c", b""), "after a vote for another digest in attempt 9"),
        (Release(EVENT, OTHER), "with a lock on"),
        (Release(b"\x09" * 32, DIGEST), "with no lock"),
        (SessionUse(INSTANCE), "used before"),
    ],
)
def test_unsafe_record_changes_nothing(log: SigningLog, record: Record, reason: str) -> None:
    """Catches each way to sign twice, and a refusal that keeps the good half of its batch."""
    before = log.load()
    batch: Sequence[Record] = [Vote(EVENT, 9, DIGEST), SessionUse(b"\x12" * 32), record]
    with pytest.raises(SafetyViolation, match=reason):
        log.record(batch)
    assert log.load() == before


def test_conflict_inside_one_batch(log: SigningLog) -> None:
    """Catches a check that reads only what earlier batches wrote."""
    with pytest.raises(SafetyViolation):
        log.record([Vote(EVENT, 7, DIGEST), Vote(EVENT, 7, OTHER)])
    with pytest.raises(SafetyViolation):
        log.record([SessionUse(b"\x13" * 32), SessionUse(b"\x13" * 32)])


def test_missing_log_refuses_to_sign(tmp_path: Path) -> None:
    """Catches a node that takes a lost history for a clean one (F-04)."""
    path = tmp_path / "signing_log.sqlite"
    with pytest.raises(UserError, match="signing log missing.*refuses to sign.*file itself back"):
        SigningLog.open(path, NODE_ID)
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\x00", b"rubbish" * 1000])
def test_damaged_log_refuses_to_sign(tmp_path: Path, content: bytes) -> None:
    """Catches a log cut to nothing, which SQLite would open as an empty database."""
    path = tmp_path / "signing_log.sqlite"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"signing log damaged: .*put the file itself back"):
        SigningLog.open(path, NODE_ID)


def test_damaged_page_is_found(log: SigningLog, tmp_path: Path) -> None:
    """Catches a damaged page that would show only when a vote is looked up."""
    log.close()
    path = tmp_path / "signing_log.sqlite"
    data = bytearray(path.read_bytes())
    data[4096 + 8 : 4096 + 60] = b"\xff" * 52
    path.write_bytes(data)
    with pytest.raises(UserError, match="signing log damaged"):
        SigningLog.open(path, NODE_ID)


def test_log_of_another_node_is_refused(log: SigningLog, tmp_path: Path) -> None:
    """Catches a log copied between homes: its silence says nothing about this node's votes."""
    log.close()
    with pytest.raises(UserError, match="belongs to another node"):
        SigningLog.open(tmp_path / "signing_log.sqlite", b"\x03" + NODE_ID[1:])


def test_another_store_is_no_signing_log(tmp_path: Path) -> None:
    """Catches the event store put in the signing log's place."""
    path = tmp_path / "signing_log.sqlite"
    CellStore.create(path, NODE_ID).close()
    with pytest.raises(UserError, match="no signing log of this version"):
        SigningLog.open(path, NODE_ID)
