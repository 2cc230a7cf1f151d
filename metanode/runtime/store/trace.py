"""The trace: every transition of the node as one line of JSON, numbered and chained by hash.

The form of a line is in ``spec/trace_format.py``. Changing, dropping or inserting a line breaks the
chain at that line; only cutting whole lines off the end goes unseen by the file alone, which is why
``status`` shows the last hash. The chain runs on over file borders (``trace-000001.jsonl``,
``trace-000002.jsonl``, ...). Of these the newest are kept. Before an older one goes, its last
number and hash are written to ``sealed.jsonl``: by that line the next file is known to go on from
it, and a copy that was put by is known to be the one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from metanode.errors import LocalFault, Unavailable, UserError
from metanode.runtime.store.faults import FREE_SPACE, remedy
from metanode.runtime.store.files import PRIVATE_FILE, sync_directory
from spec.trace_format import (
    FILE_PATTERN,
    FIRST_PREV,
    MAX_LINE_BYTES,
    REPAIRED,
    RESERVED,
    SEALED,
    STARTED,
    line_hash,
    transition,
)
from spec.trace_format import canonical_json as format_json

MAX_FILE_BYTES = 64 << 20
KEPT_FILES = 16
_MEND = "move the trace away (evidence is lost, safety is not)"


def canonical_json(record: Mapping[str, Any]) -> bytes:
    """Return the one JSON encoding of a record; LocalFault for what cannot stand in a trace."""
    try:
        return format_json(record)
    except (TypeError, ValueError) as error:
        raise LocalFault(f"trace record: {error}") from error


@frozen
class TraceEnd:
    """Where a chain stands: the number of its last record and that record's hash."""

    seq: int = 0
    hash: str = FIRST_PREV


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _check_line(where: str, line: bytes, before: TraceEnd) -> TraceEnd:
    """Return the chain's end after ``line``; UserError that starts with ``where``."""
    record = _parse(line)
    if record is None:
        raise UserError(f"{where}: not a JSON record")
    if record.get("seq") != before.seq + 1:
        raise UserError(f"{where}: seq is {record.get('seq')}, {before.seq + 1} must follow")
    if record.get("prev") != before.hash:
        raise UserError(f"{where}: prev is not the hash of the record before")
    found = line_hash(record)
    if record.get("hash") != found or canonical_json(record) != line.rstrip(b"\n"):
        raise UserError(f"{where}: the record was changed (its hash is {found})")
    return TraceEnd(before.seq + 1, found)


def _last_input(lines: Sequence[bytes]) -> int:
    """Return the number of the last input that these lines tell of, 0 for none since a start."""
    for line in reversed(lines):
        record = _parse(line) or {}
        if record.get("kind") == STARTED:
            return 0
        turn = record.get("turn")
        if isinstance(turn, list) and turn and type(turn[0]) is int:
            return turn[0]
    return 0


def trace_files(path: Path) -> tuple[Path, ...]:
    """Return the trace files under a directory in order, or the one file that ``path`` is."""
    return tuple(sorted(path.glob(FILE_PATTERN))) if path.is_dir() else (path,)


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with open(path, "rb") as stream:
            number = 0
            while line := stream.readline(MAX_LINE_BYTES):
                number += 1
                yield f"{path}:{number}", line
    except OSError as error:
        raise UserError(f"cannot read {path}: {remedy(path, error)}") from error


def _begin(path: Path, first: Mapping[str, Any]) -> TraceEnd:
    """Return where the chain stands before the first record that is kept.

    A file taken alone may start in the middle, a directory after what was sealed.
    """
    seq, prev = first.get("seq"), first.get("prev")
    if type(seq) is not int or not isinstance(prev, str):
        return TraceEnd()
    known = path.is_file() or [seq - 1, prev] in _sealed(path)
    return TraceEnd(seq - 1, prev) if known else TraceEnd()


def _sealed(directory: Path) -> list[Any]:
    """Return number and hash at the end of each file that was let go."""
    path = directory / SEALED
    lines = [] if not path.exists() else [_parse(line) or {} for _, line in _lines(path)]
    return [line.get("last") for line in lines]


def read_trace(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a trace directory or file, each checked; UserError names the line."""
    end = TraceEnd()
    for file in trace_files(path):
        for where, line in _lines(file):
            if not line.endswith(b"\n"):
                raise UserError(f"{where}: the line is cut short")
            if end.seq == 0:
                end = _begin(path, _parse(line) or {})
            end = _check_line(where, line, end)
            yield json.loads(line)


class TraceWriter:
    """Appends records; each one is handed to the system before :meth:`append` returns.

    That survives the death of the process, not of the machine: the trace is evidence, safety rests
    on the signing log alone.
    """

    def __init__(
        self, directory: Path, max_file_bytes: int = MAX_FILE_BYTES, kept_files: int = KEPT_FILES
    ) -> None:
        """Continue the trace in ``directory`` (which must exist); ``kept_files`` are 2 or more.

        A last line that a crash cut short is removed and the removal becomes a record. UserError
        when the last whole record does not check out: a trace that was edited is not continued.
        """
        self._directory = directory
        self._max_file_bytes, self._kept_files = max_file_bytes, kept_files
        self._descriptor = -1
        self._inputs = 0
        files = trace_files(directory)
        self._file_number = int(files[-1].stem.rsplit("-", 1)[1]) if files else 1
        cut = self._repair(files[-1]) if files else 0
        self._end = self._find_end(files)
        self._open()
        if cut:
            self.append({"kind": REPAIRED, "bytes_cut": cut})

    @property
    def end(self) -> TraceEnd:
        """The last record written."""
        return self._end

    def _path(self) -> Path:
        return self._directory / f"trace-{self._file_number:06d}.jsonl"

    def _repair(self, path: Path) -> int:
        size = path.stat().st_size
        with open(path, "r+b") as stream:
            stream.seek(max(0, size - MAX_LINE_BYTES))
            tail = stream.read()
            whole = tail.rfind(b"\n") + 1
            cut = len(tail) - whole
            if cut:
                stream.truncate(size - cut)
                os.fsync(stream.fileno())
        return cut

    def _find_end(self, files: tuple[Path, ...]) -> TraceEnd:
        """Return the end that the last whole line states, after checking that line's own hash."""
        for path in reversed(files):
            size = path.stat().st_size
            if size == 0:
                continue  # rotated, or repaired down to nothing: the end is in the file before
            with open(path, "rb") as stream:
                stream.seek(max(0, size - MAX_LINE_BYTES))
                lines = stream.read().splitlines()
            line = lines[-1]
            self._inputs = _last_input(lines)
            record = _parse(line) or {}
            seq, prev = record.get("seq"), record.get("prev")
            if type(seq) is not int or not isinstance(prev, str):
                raise UserError(f"{path}: the last line is no trace record: {_MEND}")
            try:
                return _check_line(f"{path}: last line", line, TraceEnd(seq - 1, prev))
            except UserError as fault:
                raise UserError(f"{fault}: {_MEND}") from None
        return TraceEnd()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            self._descriptor = os.open(self._path(), flags, PRIVATE_FILE)
            sync_directory(self._directory)
        except OSError as error:
            path = self._path()
            raise Unavailable(f"cannot open {path}: {remedy(path, error)}") from error

    def append_input(self, records: Sequence[Mapping[str, Any]], at: float) -> None:
        """Write the transitions that one input has made, under the number that comes next."""
        self._inputs += bool(records)
        for record in records:
            self.append(transition(record, at, self._inputs))

    def append(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Write one record with ``fields`` and return it whole.

        LocalFault when a field is reserved or no JSON (bytes are written as hex); Unavailable when
        the disk refuses.
        """
        taken = RESERVED.intersection(fields)
        if taken:
            raise LocalFault(f"trace record: the fields {sorted(taken)} are the trace's own")
        # Through JSON and back first, so that the hash is over what a reader will parse.
        record = dict(json.loads(canonical_json(fields)))
        record.update(seq=self._end.seq + 1, prev=self._end.hash)
        record["hash"] = line_hash(record)
        line = canonical_json(record) + b"\n"
        if len(line) > MAX_LINE_BYTES:
            raise LocalFault(f"trace record: {len(line)} bytes, {MAX_LINE_BYTES} allowed")
        try:
            written = os.write(self._descriptor, line)
            if written != len(line):
                os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - written)
                raise Unavailable(f"cannot write {self._path()}: the disk is full: {FREE_SPACE}")
        except OSError as error:
            path = self._path()
            raise Unavailable(f"cannot write {path}: {remedy(path, error)}") from error
        self._end = TraceEnd(record["seq"], record["hash"])
        if record.get("kind") == STARTED:
            self._inputs = 0
        if os.fstat(self._descriptor).st_size >= self._max_file_bytes:
            self._rotate()
        return record

    def _rotate(self) -> None:
        os.fsync(self._descriptor)
        os.close(self._descriptor)
        self._file_number += 1
        self._open()
        for path in trace_files(self._directory)[: -self._kept_files]:
            self._seal(path)

    def _seal(self, path: Path) -> None:
        """Let go of a file, once it is written down where the chain stood at its end."""
        try:
            with open(path, "rb") as stream:
                size = stream.seek(0, os.SEEK_END)
                stream.seek(max(0, size - MAX_LINE_BYTES))
                last = _parse((stream.read().splitlines() or [b""])[-1]) or {}
            line = {"file": path.name, "bytes": size, "last": [last.get("seq"), last.get("hash")]}
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self._directory / SEALED, flags, PRIVATE_FILE)
            try:
                os.write(descriptor, canonical_json(line) + b"\n")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            path.unlink()
        except OSError as error:
            raise Unavailable(f"cannot seal {path}: {remedy(path, error)}") from error

    def close(self) -> None:
        """Flush to the disk and close; harmless when closed already."""
        if self._descriptor >= 0:
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
