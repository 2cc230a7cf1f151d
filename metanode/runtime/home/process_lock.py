"""One node per home: two processes with one signing key would sign against each other."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from metanode.errors import UserError
from metanode.runtime.store.faults import remedy
from metanode.runtime.store.files import PRIVATE_FILE


class ProcessLock:
    """An exclusive lock on a file, held until :meth:`release` or the end of the process.

    The kernel drops it when the process dies, also after kill -9, so a stale lock cannot exist. The
    file holds the process id of the last holder, for the message only.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock; UserError when another process holds it."""
        if self._descriptor is not None:
            return
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        except OSError as error:
            fault = f"cannot open {self._path}: {remedy(self._path, error)}"
            raise UserError(fault) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise UserError(
                f"another node (process {holder}) already runs on {self._path.parent}: stop it, or "
                "use another home"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> ProcessLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
