"""A backup of a whole home: one file, sealed with an AEAD under a passphrase, in bounded pieces.

::

    magic | version, log2_n, r, p | length of label | label | salt | nonce | length, piece | ...

A piece is ChaCha20-Poly1305 over at most 1 MiB of a tar of the home; its nonce has the number of
the piece and whether it is the last one (the STREAM construction), and everything before the first
piece is authenticated with each. So no piece can be cut off, moved or taken from another backup.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import attrs
from attrs import frozen
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from metanode.errors import LocalFault, Unavailable, UserError
from metanode.runtime.home.home import Home
from metanode.runtime.secrets.keystore import KdfCost, Passphrase, derive_key
from metanode.runtime.store.faults import remedy
from metanode.runtime.store.files import PRIVATE_FILE

MAGIC: Final = b"METABACK"
VERSION: Final = 1
SALT_BYTES: Final = 16
PREFIX_BYTES: Final = 7
PIECE_BYTES: Final = 1 << 20
TAG_BYTES: Final = 16
LENGTH_BYTES: Final = 4
MAX_LABEL_BYTES: Final = 16 << 10
MAX_FILE_BYTES: Final = 4 << 30
Progress = Callable[[int], None]
"""Told how many octets have been read or written since the last time."""


@frozen
class BackupLabel:
    """What a backup says of itself without the passphrase; hex, unix seconds."""

    node_id: str
    network_id: str
    made: int
    epochs: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(attrs.asdict(self), sort_keys=True).encode("ascii")

    @classmethod
    def decode(cls, data: bytes) -> BackupLabel:
        """Read what :meth:`encode` wrote; ValueError for anything else."""
        found = json.loads(data)
        try:
            epochs = tuple(int(epoch) for epoch in found["epochs"])
            return cls(str(found["node_id"]), str(found["network_id"]), int(found["made"]), epochs)
        except (KeyError, TypeError) as error:
            raise ValueError("no label of a backup") from error


# --- writing -------------------------------------------------------------------------------------


class _Sealer(io.RawIOBase):
    """A stream that seals what is written to it, piece by piece."""

    def __init__(self, out: IO[bytes], aead: ChaCha20Poly1305, prefix: bytes, head: bytes,
                 told: Progress) -> None:
        super().__init__()
        self._out, self._aead, self._prefix, self._head = out, aead, prefix, head
        self._told, self._number, self._rest = told, 0, bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._rest += data
        self._told(len(data))
        while len(self._rest) > PIECE_BYTES:
            self._seal(bytes(self._rest[:PIECE_BYTES]), last=False)
            del self._rest[:PIECE_BYTES]
        return len(data)

    def finish(self) -> None:
        """Seal what is left, as the last piece."""
        self._seal(bytes(self._rest), last=True)

    def _seal(self, piece: bytes, *, last: bool) -> None:
        sealed = self._aead.encrypt(_nonce(self._prefix, self._number, last), piece, self._head)
        self._out.write(len(sealed).to_bytes(LENGTH_BYTES, "big") + sealed)
        self._number += 1


def _nonce(prefix: bytes, number: int, last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + bytes([last])


def write_archive(
    copy: Home, out: IO[bytes], label: BackupLabel, passphrase: Passphrase, cost: KdfCost, *,
    told: Progress = lambda _n: None, entropy: Callable[[int], bytes] = os.urandom,
) -> None:
    """Write all files below a copy of a home as a backup."""
    said = label.encode()
    salt, prefix = entropy(SALT_BYTES), entropy(PREFIX_BYTES)
    numbers = bytes([VERSION, cost.log2_n, cost.r, cost.p])
    head = MAGIC + numbers + len(said).to_bytes(2, "big") + said + salt + prefix
    out.write(head)
    aead = ChaCha20Poly1305(derive_key(passphrase, salt, cost))
    sealer = _Sealer(out, aead, prefix, head, told)
    with tarfile.open(fileobj=sealer, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(copy.path.rglob("*")):
            if path.is_file():
                tar.add(path, arcname=str(path.relative_to(copy.path)), filter=_plain)
    sealer.finish()


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = PRIVATE_FILE
    return entry


# --- reading -------------------------------------------------------------------------------------


@frozen
class _Head:
    label: BackupLabel
    cost: KdfCost
    salt: bytes
    prefix: bytes
    data: bytes


def _refusal(path: Path, why: str) -> UserError:
    return UserError(f"{path} is no whole backup ({why}): use another copy of it")


def _head(path: Path, stream: IO[bytes]) -> _Head:
    first = stream.read(len(MAGIC) + 6)
    if first[: len(MAGIC)] != MAGIC or len(first) < len(MAGIC) + 6:
        raise _refusal(path, "it does not begin like one")
    version, log2_n, r, p = first[len(MAGIC) : len(MAGIC) + 4]
    if version != VERSION:
        raise UserError(f"{path} has version {version}, not {VERSION}: use the program that wrote "
                        "it")
    length = int.from_bytes(first[-2:], "big")
    rest = stream.read(length + SALT_BYTES + PREFIX_BYTES)
    if length > MAX_LABEL_BYTES or len(rest) < length + SALT_BYTES + PREFIX_BYTES:
        raise _refusal(path, "it was cut short")
    try:
        label, cost = BackupLabel.decode(rest[:length]), KdfCost(log2_n, r, p)
    except (ValueError, LocalFault) as error:
        raise _refusal(path, "its beginning was altered") from error
    salt, prefix = rest[length : length + SALT_BYTES], rest[-PREFIX_BYTES:]
    return _Head(label, cost, salt, prefix, first + rest)


class _Opener(io.RawIOBase):
    """A stream of what :class:`_Sealer` sealed; UserError where it is not whole."""

    def __init__(self, path: Path, stream: IO[bytes], head: _Head, key: bytes,
                 told: Progress) -> None:
        super().__init__()
        self._path, self._stream, self._head, self._told = path, stream, head, told
        self._aead, self._number = ChaCha20Poly1305(key), 0
        self._ready, self._ended = b"", False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._ready and not self._ended:
            self._next()
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def drain(self) -> None:
        """Read to the end, so that a backup that was cut is refused."""
        while not self._ended:
            self._next()

    def _next(self) -> None:
        length = int.from_bytes(self._stream.read(LENGTH_BYTES), "big")
        fits = TAG_BYTES <= length <= PIECE_BYTES + TAG_BYTES
        sealed = self._stream.read(length) if fits else b""
        if not fits or len(sealed) != length:
            raise _refusal(self._path, "it was cut short")
        for last in (False, True):
            try:
                nonce = _nonce(self._head.prefix, self._number, last)
                self._ready = self._aead.decrypt(nonce, sealed, self._head.data)
            except InvalidTag:
                continue
            self._ended = last
            break
        else:
            if self._number == 0:
                raise UserError(
                    f"wrong passphrase for {self._path}, or the file was altered: check the "
                    "passphrase, else use another copy of the backup"
                )
            raise _refusal(self._path, "a piece was altered")
        if self._ended and self._stream.read(1):
            raise _refusal(self._path, "something follows its end")
        self._number += 1
        self._told(len(self._ready))


def read_label(path: Path) -> BackupLabel:
    """Return what a backup says of itself; not authenticated without the passphrase."""
    with _opened(path) as stream:
        return _head(path, stream).label


def _opened(path: Path) -> IO[bytes]:
    try:
        return open(path, "rb")
    except OSError as error:
        raise UserError(f"cannot read {path}: {remedy(path, error)}") from error


def read_archive(
    path: Path, target: Home, passphrase: Passphrase, *, told: Progress = lambda _n: None
) -> BackupLabel:
    """Unpack a backup into a directory; UserError when it is not whole, and nothing is left out."""
    with _opened(path) as stream:
        head = _head(path, stream)
        key = derive_key(passphrase, head.salt, head.cost)
        opener = _Opener(path, stream, head, key, told)
        try:
            with tarfile.open(fileobj=io.BufferedReader(opener), mode="r|") as tar:
                for entry in tar:
                    _unpack(path, tar, entry, target)
            opener.drain()
        except (tarfile.TarError, EOFError) as error:
            raise _refusal(path, "its content is damaged") from error
        except OSError as error:
            raise Unavailable(f"cannot unpack {path}: {remedy(target.path, error)}") from error
    return head.label


def _unpack(path: Path, tar: tarfile.TarFile, entry: tarfile.TarInfo, target: Home) -> None:
    """Write one file; a name that leads elsewhere is refused."""
    parts = Path(entry.name).parts
    known = len(parts) == 1 or (len(parts) == 2 and parts[0] == target.keyshares.name)
    source = tar.extractfile(entry)
    if not known or ".." in parts or Path(entry.name).is_absolute() or source is None:
        raise _refusal(path, f"it holds {entry.name[:60]!r}")
    if entry.size > MAX_FILE_BYTES:
        raise _refusal(path, "a file in it is too long")
    place = target.path / entry.name
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as out:
        for part in _parts(source):
            out.write(part)
        out.flush()
        os.fsync(descriptor)


def _parts(source: IO[bytes]) -> Iterator[bytes]:
    while part := source.read(PIECE_BYTES):
        yield part
