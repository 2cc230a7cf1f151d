"""The append-only journal of the embedded chain: blocks, and which ones were set aside by hand.

A record is ``kind (1 byte) ‖ length (4) ‖ payload ‖ first 8 bytes of SHA-256(kind ‖ length ‖
payload)``. A crash can only leave the last record short or torn; opening the file cuts it off. A
bad record with others behind it is damage, not a crash, and is reported.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from metanode.errors import UserError

# A block's bytes; the hash of a block that was invalidated; of one that was reconsidered.
Kind = Literal[b"B", b"I", b"R"]

MAGIC = b"metanode-devnet-2\n"
MAX_PAYLOAD_BYTES = 4_000_000  # the largest block there can be

_KINDS: dict[bytes, Kind] = {b"B": b"B", b"I": b"I", b"R": b"R"}
_MEND = "put a copy of it back, or begin a new chain in another folder"
_HEAD_BYTES = 5
_CHECKSUM_BYTES = 8


class BlockFile:
    """One journal file: read ``records()`` once after opening, then ``append`` to the end.

    The file is locked while open: :class:`UserError` when another process has it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            os.close(self._file)
            raise UserError(f"{path} is in use: stop the chain that runs on it") from fault

    def records(self) -> Iterator[tuple[Kind, bytes]]:
        """Yield (kind, payload) in order, and cut off a torn tail at the end.

        Raises :class:`UserError` when the file is not a journal or is damaged in the middle.
        """
        data = self._path.read_bytes()
        if MAGIC.startswith(data) and len(data) < len(MAGIC):  # new, or torn while being made
            os.ftruncate(self._file, 0)
            self._write(MAGIC)
            return
        if not data.startswith(MAGIC):
            raise UserError(f"{self._path} is not a devnet block file: choose another folder")
        position = len(MAGIC)
        while position < len(data):
            record = self._record_at(data, position)
            if record is None:
                os.ftruncate(self._file, position)
                os.fsync(self._file)
                return
            kind, payload, position = record
            yield kind, payload

    def append(self, kind: Kind, payload: bytes) -> None:
        """Write one record and flush it to the disk before returning."""
        body = kind + len(payload).to_bytes(4, "big") + payload
        self._write(body + hashlib.sha256(body).digest()[:_CHECKSUM_BYTES])

    def close(self) -> None:
        """Close the file; the object is of no use afterwards."""
        os.close(self._file)

    def _record_at(self, data: bytes, position: int) -> tuple[Kind, bytes, int] | None:
        """Return (kind, payload, next position), or None for a torn last record."""
        if not any(data[position:]):
            return None  # a file system may leave zeros where a write was cut off by a power loss
        length = int.from_bytes(data[position + 1 : position + _HEAD_BYTES], "big")
        end = position + _HEAD_BYTES + length
        if len(data) < position + _HEAD_BYTES or len(data) < end + _CHECKSUM_BYTES:
            if length > MAX_PAYLOAD_BYTES:
                raise UserError(f"{self._path} is damaged at byte {position}: {_MEND}")
            return None
        checksum = hashlib.sha256(data[position:end]).digest()[:_CHECKSUM_BYTES]
        kind = _KINDS.get(data[position : position + 1])
        if kind is None or checksum != data[end : end + _CHECKSUM_BYTES]:
            if end + _CHECKSUM_BYTES == len(data):
                return None
            raise UserError(f"{self._path} is damaged at byte {position}: {_MEND}")
        return kind, data[position + _HEAD_BYTES : end], end + _CHECKSUM_BYTES

    def _write(self, data: bytes) -> None:
        start = os.fstat(self._file).st_size
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
            os.fsync(self._file)
        except OSError:
            # A half-written record in the middle would make the file unreadable later.
            os.ftruncate(self._file, start)
            raise
