"""What a home remembers of its last backup: when it was made, and of which epoch of the key."""

from __future__ import annotations

import json
from typing import Final

import attrs
from attrs import frozen

from metanode.errors import UserError
from metanode.runtime.home.home import Home
from metanode.runtime.store.files import atomic_write, read_bounded

NOTE: Final = "backup.json"
MAX_NOTE_BYTES: Final = 4096


@frozen
class BackupNote:
    """The last backup: unix seconds, where it was written, and the epochs of its shares."""

    made: int
    path: str
    epochs: tuple[int, ...] = ()


def note_backup(home: Home, note: BackupNote) -> None:
    """Remember a backup that was made and tried."""
    atomic_write(home.path / NOTE, json.dumps(attrs.asdict(note)).encode("utf-8"))


def last_backup(home: Home) -> BackupNote | None:
    """Return the last backup, or None if none is known of."""
    try:
        found = json.loads(read_bounded(home.path / NOTE, MAX_NOTE_BYTES))
        return BackupNote(int(found["made"]), str(found["path"]), tuple(map(int, found["epochs"])))
    except (UserError, ValueError, KeyError, TypeError):
        return None
