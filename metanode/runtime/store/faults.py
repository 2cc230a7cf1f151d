"""What the machine refuses, as one line each: the cause, and what the operator does about it.

No line here may ever lead to an older copy of a store: the causes below have harmless remedies, and
a store that is truly damaged is told by ``history_mark.py``, which checks whatever is put back.
"""

from __future__ import annotations

import errno
import os
import pwd
import sqlite3
from pathlib import Path

FREE_SPACE = "free some space"
READ_ONLY = "mount the file system writable, and look at the kernel's log for why it is not"
DISK_FAILS = "the disk fails: look at the kernel's log, and move the whole home to another disk"
OTHER_PROCESS = "stop the other process that holds it"
TOO_MANY = "raise the limit of open files (ulimit -n)"
LOOK = "look at the kernel's log"
NO_MEMORY = "free some memory"

_REMEDIES = {
    errno.ENOSPC: FREE_SPACE,
    errno.EDQUOT: "free some space, or raise the quota",
    errno.EROFS: READ_ONLY,
    errno.EIO: DISK_FAILS,
    errno.EMFILE: TOO_MANY,
    errno.ENFILE: TOO_MANY,
    errno.ENOMEM: NO_MEMORY,
    errno.EBUSY: OTHER_PROCESS,
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "name a file",
    errno.ENAMETOOLONG: "give a shorter path",
    errno.ELOOP: "check the path",
    errno.EFBIG: "raise the limit of this user (ulimit -f)",
}

_OF_SQLITE = {
    sqlite3.SQLITE_FULL: FREE_SPACE,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_IOERR: DISK_FAILS,
    sqlite3.SQLITE_BUSY: OTHER_PROCESS,
    sqlite3.SQLITE_LOCKED: OTHER_PROCESS,
    sqlite3.SQLITE_PROTOCOL: OTHER_PROCESS,
    sqlite3.SQLITE_NOMEM: NO_MEMORY,
}
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""What SQLite says of a file whose content is wrong; SQLITE_ERROR: a table is not there."""
SIDE_ROOM = 64 << 10
_PRIMARY = 0xFF  # an extended code has its primary code in the low octet


def remedy(path: Path, error: OSError) -> str:
    """Return ``cause: remedy`` for what the system said of ``path``."""
    number = error.errno
    if number in (errno.EACCES, errno.EPERM):
        return f"{os.strerror(number)}: {_owners(path)}"
    if number in _REMEDIES:
        return f"{os.strerror(number)}: {_REMEDIES[number]}"
    return f"{os.strerror(number) if number else error}: {LOOK}"


def _owners(path: Path) -> str:
    """Return how to get at a path that is another user's, or closed to its own."""
    me = os.geteuid()
    for place in (path, *path.parents):
        try:
            owner = place.stat().st_uid
        except FileNotFoundError:
            continue
        except OSError:
            break
        if owner != me:
            return f"{place} belongs to {_name(owner)}, this is {_name(me)}: run this as its owner"
        return f"the mode of {place} forbids it: run chmod u+rwX {place}"
    return "run this as the owner of the home"


def _is_full(directory: Path) -> bool:
    """Return whether a file system has no room for the files that SQLite keeps beside its own."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < SIDE_ROOM or (found.f_files > 0 and not found.f_favail)


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def sqlite_code(error: BaseException | None) -> int:
    """Return SQLite's primary code of an error, 0 when it has none."""
    return int(getattr(error, "sqlite_errorcode", None) or 0) & _PRIMARY


def sqlite_remedy(path: Path, error: BaseException | None) -> str | None:
    """Return ``cause: remedy`` for what SQLite said of the machine; None when it is of the content.

    What SQLite cannot open or write is asked of the system, which knows why.
    """
    code = sqlite_code(error)
    if code in DAMAGE:
        return None
    if code == sqlite3.SQLITE_IOERR and _is_full(path.parent):
        code = sqlite3.SQLITE_FULL  # so it ends as well, if the room for a side file is missing
    if code == sqlite3.SQLITE_FULL:
        return remedy(path, OSError(errno.ENOSPC, ""))
    for place, mode in ((path, os.R_OK | os.W_OK), (path.parent, os.W_OK | os.X_OK)):
        if place.exists() and not os.access(place, mode):
            read_only = os.statvfs(place).f_flag & os.ST_RDONLY
            cause = OSError(errno.EROFS if read_only else errno.EACCES, "")
            return remedy(place, cause)
    if code == sqlite3.SQLITE_READONLY:
        # A file that may be written, and yet not: the one beside it that SQLite shares memory by.
        return f"{path.name}-wal or {path.name}-shm cannot be written: {_owners(path)}"
    return f"{error}: {_OF_SQLITE.get(code, LOOK)}"
