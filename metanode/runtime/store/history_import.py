"""Taking in an exported history: into a log that is whole, or in the place of one that is not.

A log that is missing, damaged or gone back in time may be mended only by a history that leaves it
with the very records that the history mark knows of. Then nothing is forgotten; with anything less
the node could be led to sign twice, so nothing is changed.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import MappingProxyType

from metanode.errors import Unavailable, UserError
from metanode.runtime.home.home import Home
from metanode.runtime.store.faults import remedy
from metanode.runtime.store.files import sync_directory
from metanode.runtime.store.history_mark import REPLACE, gone, read_mark
from metanode.runtime.store.signing_log import (
    TITLE,
    SigningHistory,
    SigningLog,
    additions,
    tally_of,
)
from metanode.runtime.store.sqlite import SIDE_FILES
from metanode.runtime.store.stores import open_stores
from metanode.runtime.store.tally import Head

SET_ASIDE = ".set-aside"
EMPTY = SigningHistory(MappingProxyType({}), MappingProxyType({}), frozenset(), frozenset())


def import_history(
    home: Home, node_id: bytes, theirs: SigningHistory, name: str
) -> tuple[SigningHistory, bool]:
    """Take in a history and return what of it was new, and whether it has mended the log.

    ``name`` is the file's, for messages. UserError when it does not mend a log that needs it, and
    HistoryConflict when it contradicts the log; nothing is changed then.
    """
    try:
        log = SigningLog.open(home.signing_log, node_id)
    except UserError:
        return _mend(home, node_id, EMPTY, theirs, name), True
    headless, stand, ours = log.headless, log.stand, log.load()
    log.close()
    if not (headless and not home.mark.exists()):
        marked = read_mark(home.mark, node_id).log
        fault = gone(TITLE, home.signing_log, stand, marked)
        if fault is not None and stand.now.written > marked.written:
            raise UserError(fault)  # it is the mark that is old, which no history can mend
        if fault is not None:
            return _mend(home, node_id, ours, theirs, name), True
    stores = open_stores(home, node_id)
    try:
        new = stores.log.merge(theirs)
        stores.written()
    finally:
        stores.close()
    return new, False


def _mend(
    home: Home, node_id: bytes, ours: SigningHistory, theirs: SigningHistory, name: str
) -> SigningHistory:
    marked = read_mark(home.mark, node_id).log
    new = additions(ours, theirs)
    whole = SigningHistory(
        votes=MappingProxyType({**ours.votes, **new.votes}),
        locks=MappingProxyType({**ours.locks, **new.locks}),
        releases=ours.releases | new.releases,
        sessions_used=ours.sessions_used | new.sessions_used,
    )
    held = tally_of(whole).head(marked.written)
    if not held.holds_same(marked):
        raise UserError(
            f"{name} does not make the {TITLE} whole: with it there are {held.records} records, "
            f"and this node has written {marked.records}: import an export that was made after "
            f"this node last ran, or {REPLACE}"
        )
    _rebuild(home.signing_log, node_id, whole, marked)
    return new


def _rebuild(path: Path, node_id: bytes, history: SigningHistory, head: Head) -> None:
    """Put a new log in the place of one that is not whole, which is set aside."""
    new = path.with_name(path.name + ".new")
    try:
        for suffix in SIDE_FILES:
            new.with_name(new.name + suffix).unlink(missing_ok=True)
        log = SigningLog.create(new, node_id)
        log.merge(history)
        log.stands_at(head)
        log.close()  # the last connection: all of it is in the one file now
        for suffix in reversed(SIDE_FILES):
            old = path.with_name(path.name + suffix)
            if old.exists():
                os.replace(old, old.with_name(old.name + SET_ASIDE))
        os.replace(new, path)
        sync_directory(path.parent)
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {remedy(path, error)}") from error

