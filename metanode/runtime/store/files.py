"""Files that are whole or absent: atomic replacement, bounded reads, private modes.

A file is replaced by writing a temporary file beside it, flushing it, renaming it over the old one
and flushing the directory. After a crash the name holds the old bytes or the new ones, never a
mixture.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from metanode.errors import Unavailable, UserError
from metanode.runtime.store.faults import remedy

PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def sync_directory(directory: Path) -> None:
    """Flush the names in ``directory`` to the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write(path: Path, data: bytes, mode: int = PRIVATE_FILE) -> None:
    """Replace ``path`` by ``data`` with permission bits ``mode``; durable when this returns.

    Raises Unavailable when the disk refuses; the old file, if any, is then unchanged.
    """
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, mode)
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
        temporary = None
        sync_directory(path.parent)
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {remedy(path, error)}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Return the content of ``path``, at most ``max_bytes``.

    Raises UserError when the file is missing, unreadable or longer.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read(max_bytes + 1)
    except OSError as error:
        raise UserError(f"cannot read {path}: {remedy(path, error)}") from error
    if len(data) > max_bytes:
        raise UserError(f"{path} is longer than {max_bytes} bytes: put the right file there")
    return data


def refuse_shared(path: Path) -> None:
    """Raise UserError when group or world may read or write ``path``.

    A credential of the service manager may have a bit for its group: there it is the mask of the
    access list that lets this user in, and nobody else.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UserError(f"cannot read {path}: {remedy(path, error)}") from error
    credentials = os.environ.get("CREDENTIALS_DIRECTORY", "")
    masked = os.path.isabs(credentials) and path.absolute().parent == Path(credentials)
    if mode & (_OTHERS & ~stat.S_IRGRP if masked else _OTHERS):
        raise UserError(
            f"{path} is open to other users (mode {stat.S_IMODE(mode):04o}): run chmod 600 {path}"
        )


def make_directory(path: Path) -> None:
    """Create ``path`` with mode 0700 when it is missing, durably; parents are created too.

    Raises UserError when something else has that name or the parent cannot be written.
    """
    try:
        path.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        sync_directory(path.parent)
    except OSError as error:
        raise UserError(f"cannot create the directory {path}: {remedy(path, error)}") from error
