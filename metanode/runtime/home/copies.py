"""A copy of a home's files as they are at one moment, whether its node runs or not.

The two stores that say what the node has signed are copied through SQLite, so that a copy is never
torn. While a node runs, nothing is written into its home for that; where none runs, the files are
copied as they lie, the journal with them.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from metanode.errors import Unavailable
from metanode.runtime.home.home import Home
from metanode.runtime.secrets.keystore import MAX_SEALED_BYTES, share_files
from metanode.runtime.store.faults import remedy, sqlite_remedy
from metanode.runtime.store.files import (
    PRIVATE_FILE,
    atomic_write,
    make_directory,
    read_bounded,
    sync_directory,
)

BUSY_TIMEOUT_S: Final = 10.0
JOURNAL: Final = "-wal"


def copy_file(source: Path, target: Path) -> None:
    """Copy a small file of a home, if it is there."""
    if source.is_file():
        atomic_write(target, read_bounded(source, MAX_SEALED_BYTES))


def copy_store(source: Path, target: Path, *, runs: bool) -> None:
    """Copy a SQLite file of a home, if it is there; ``runs`` tells whether a node writes it.

    Raises Unavailable when it cannot be read.
    """
    if not source.is_file():
        return
    try:
        if not runs:
            for end in ("", JOURNAL):
                if (part := Path(f"{source}{end}")).is_file():
                    shutil.copyfile(part, f"{target}{end}")
                    os.chmod(f"{target}{end}", PRIVATE_FILE)
            return
        target.touch(mode=PRIVATE_FILE)
        address = f"file:{quote(str(source.absolute()))}?mode=ro"
        with (
            closing(sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_S)) as ours,
            closing(sqlite3.connect(target)) as copy,
        ):
            ours.backup(copy)
    except (OSError, sqlite3.Error) as error:
        raise Unavailable(f"cannot copy {source}: {_cause(source, error)}") from error


def _cause(path: Path, error: OSError | sqlite3.Error) -> str:
    if isinstance(error, OSError):
        return remedy(path, error)
    return sqlite_remedy(path, error) or f"{error}: `doctor` tells what is wrong with it"


def parts_of(home: Home) -> list[Path]:
    """Return the small files of a home that a copy of it needs, without stores and shares.

    Left out is what belongs to a running process, what is made again, and evidence.
    """
    left_out = {home.log, home.admin, home.lock}
    return sorted(
        path for path in home.path.iterdir()
        if path.is_file() and path not in left_out
        and ".sqlite" not in path.name and not path.name.startswith(".")
    )


def copy_home(home: Home, target: Home, *, runs: bool) -> None:
    """Copy all of a home that a node cannot do without into a new directory.

    The event store comes first, so that the copied signing log never knows less than it.
    """
    make_directory(target.path)
    make_directory(target.keyshares)
    make_directory(target.trace)
    copy_store(home.events, target.events, runs=runs)
    for share in share_files(home.keyshares):
        copy_file(share, target.keyshares / share.name)
    copy_store(home.signing_log, target.signing_log, runs=runs)
    for part in parts_of(home):
        copy_file(part, target.path / part.name)
    sync_directory(target.path)


@contextmanager
def still(home: Home) -> Iterator[None]:
    """Keep a running node from writing into its stores in the block: it waits, for 5 s at most."""
    with ExitStack() as stack:
        try:
            for store in (home.events, home.signing_log):
                address = f"file:{quote(str(store.absolute()))}?mode=rw"
                connection = sqlite3.connect(
                    address, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None
                )
                stack.enter_context(closing(connection))
                connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise Unavailable(
                f"cannot hold {store} still ({error}): try again, or stop the node for the "
                "time of the backup"
            ) from error
        yield


@contextmanager
def trial_copy(home: Home, *, runs: bool) -> Iterator[Home]:
    """Yield a copy of a home that may be opened and changed at will, and is thrown away."""
    with tempfile.TemporaryDirectory(prefix="metanode-trial-") as place:
        copy = Home(Path(place) / "home")
        copy_home(home, copy, runs=runs)
        yield copy
