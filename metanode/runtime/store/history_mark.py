"""The history mark: a third file that knows how far the signing log and the event store have come.

SQLite opens a file whose ``-wal`` is gone, or an older copy of a file, without a word: votes are
forgotten, and a second one could be given. So each flush ends with a line here that says where both
stores stand. A start compares: a store may be at the mark, or one write ahead of it (the node died
between the two), and nothing else. Whatever is put in a store's place is judged by that.

The file has two slots that are written in turn, each with a checksum: a write that power loss has
torn leaves the other one, and a store is then one write ahead.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import cbor2
from attrs import field, frozen

from metanode.errors import Malformed, Unavailable, UserError
from metanode.runtime.store.faults import remedy
from metanode.runtime.store.files import PRIVATE_FILE, atomic_write, read_bounded
from metanode.runtime.store.tally import Head

KIND = "metanode history mark 1"
TITLE = "history mark"
SLOT_BYTES = 512
SLOTS = 2
_CHECK_BYTES = 32
_LENGTH_BYTES = 2

REPLACE = (
    "make a new home with `init`, and let the network replace this node "
    "(`quorumchange --replace OLD=NEW`)"
)
_IMPORT = "or `history import` an export that was made after this node last ran"


@frozen
class Stand:
    """Where a store stands now, and where it stood before its last write."""

    now: Head = field(factory=Head)
    before: Head = field(factory=Head)


@frozen
class Marked:
    """What the mark knows: the number of its own last write, and where both stores stood then."""

    number: int
    log: Head
    store: Head


class HistoryMark:
    """The mark of one home, open for writing."""

    def __init__(self, path: Path, node_id: bytes, marked: Marked) -> None:
        self.path, self._node_id, self.marked = path, node_id, marked
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(f"cannot open {path}: {remedy(path, error)}") from error

    @classmethod
    def create(cls, path: Path, node_id: bytes, log: Head, store: Head) -> HistoryMark:
        """Make the file; UserError when it is there."""
        if path.exists():
            raise UserError(f"{path} exists already and is never overwritten: name another home")
        marked = Marked(0, log, store)
        atomic_write(path, _slot(node_id, marked) + bytes(SLOT_BYTES), PRIVATE_FILE)
        return cls(path, node_id, marked)

    @classmethod
    def read(cls, path: Path, node_id: bytes) -> HistoryMark:
        """Open the file; UserError when it is missing, damaged or another node's."""
        return cls(path, node_id, read_mark(path, node_id))

    def judge(self, log: tuple[Path, Stand], store: tuple[Path, Stand]) -> None:
        """Raise UserError unless both stores are where this node left them; else catch up."""
        fault = misfit(log, store, self.marked, self.marked)
        if fault is not None:
            raise UserError(fault)
        self.put(log[1].now, store[1].now)

    def put(self, log: Head, store: Head) -> None:
        """Say where both stores stand; on disk when this returns. Unavailable when it fails."""
        if (log, store) == (self.marked.log, self.marked.store):
            return
        marked = Marked(self.marked.number + 1, log, store)
        try:
            place = SLOT_BYTES * (marked.number % SLOTS)
            os.pwrite(self._descriptor, _slot(self._node_id, marked), place)
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise Unavailable(f"cannot write {self.path}: {remedy(self.path, error)}") from error
        self.marked = marked

    def close(self) -> None:
        """Close the file; harmless when it is closed."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read_mark(path: Path, node_id: bytes) -> Marked:
    """Return what a mark says; UserError when it is missing, damaged or another node's."""
    if not path.is_file():
        raise UserError(
            f"{TITLE} missing: {path}; without it nobody can tell whether the signing log is "
            f"the newest: put the file itself back, or {REPLACE}"
        )
    data = read_bounded(path, SLOTS * SLOT_BYTES)
    slots = [data[i * SLOT_BYTES : (i + 1) * SLOT_BYTES] for i in range(SLOTS)]
    found = [opened for slot in slots if (opened := _opened(slot)) is not None]
    if not found:
        raise UserError(f"{TITLE} damaged: {path}: put the file itself back, or {REPLACE}")
    owner, marked = max(found, key=lambda each: each[1].number)
    if owner != node_id:
        raise UserError(f"{path} belongs to another node; put this node's own {TITLE} back")
    return marked


def misfit(
    log: tuple[Path, Stand], store: tuple[Path, Stand], first: Marked, last: Marked
) -> str | None:
    """Return the line that says which store is not where the mark has it; None when both are.

    ``first`` and ``last`` are what the mark said before and after the stores were copied: what a
    running node writes meanwhile fits. For a node that is stopped they are the same.
    """
    return _between("signing log", log, (first.log, last.log), f", {_IMPORT}") or _between(
        "event store", store, (first.store, last.store)
    )


def _between(
    title: str, found: tuple[Path, Stand], ends: tuple[Head, Head], more: str = ""
) -> str | None:
    path, stand = found
    first, last = ends
    if first.written + 1 < stand.now.written < last.written:
        return None
    nearest = first if stand.now.written <= first.written + 1 else last
    return gone(title, path, stand, nearest, more)


def gone(title: str, path: Path, stand: Stand, marked: Head, more: str = "") -> str | None:
    """Return the line that says how a store is not where the mark has it; None when it is."""
    if marked in (stand.now, stand.before):
        return None
    name, now = path.name, stand.now
    if now.written < marked.written:
        return (
            f"{title} has gone back in time: {path} is at write {now.written} with {now.records} "
            f"records, this node has made {marked.written} writes and {marked.records} records: "
            f"put the newest {name} back together with its {name}-wal (this node checks them)"
            f"{more}; else {REPLACE}"
        )
    if now.written > marked.written + 1:
        return (
            f"{TITLE} is older than the {title} {path} ({marked.written} of {now.written} writes): "
            f"put the newest {TITLE} back (this node checks it); else {REPLACE}"
        )
    return (
        f"{title} {path} does not continue what this node has written: it comes from another copy "
        f"of this home: put the newest {name} back together with its {name}-wal (this node checks "
        f"them){more}; else {REPLACE}"
    )


def _slot(node_id: bytes, marked: Marked) -> bytes:
    plain = [KIND, node_id, marked.number, marked.log.plain(), marked.store.plain()]
    body = cbor2.dumps(plain, canonical=True)
    data = len(body).to_bytes(_LENGTH_BYTES, "big") + body
    return (hashlib.sha256(data).digest() + data).ljust(SLOT_BYTES, b"\0")


def _opened(slot: bytes) -> tuple[bytes, Marked] | None:
    """Return whose a slot is and what it says; None when it was never written, or torn."""
    check, data = slot[:_CHECK_BYTES], slot[_CHECK_BYTES:]
    end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big")
    if len(slot) != SLOT_BYTES or hashlib.sha256(data[:end]).digest() != check:
        return None
    try:
        kind, node_id, number, log, store = cbor2.loads(data[_LENGTH_BYTES:end])
        return (node_id, Marked(number, Head.of(log), Head.of(store))) if kind == KIND else None
    except (cbor2.CBORError, ValueError, TypeError, Malformed):
        return None
