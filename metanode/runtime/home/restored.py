"""The mark of a home that came out of a backup, which may have forgotten what it signed since."""

from __future__ import annotations

import json
from typing import Any, Final

from metanode.runtime.home.home import Home
from metanode.runtime.store.files import atomic_write, read_bounded

MARK: Final = "restored.json"
MAX_MARK_BYTES: Final = 4096


def is_observing(home: Home) -> bool:
    """Tell whether a home was restored, and its node may vote for nothing yet."""
    return (home.path / MARK).exists()


def mark_restored(home: Home, backup_made: int, now: int) -> None:
    """Mark a home that is being restored; times in unix seconds."""
    mark = {"backup_made": backup_made, "restored": now}
    atomic_write(home.path / MARK, json.dumps(mark).encode("ascii"))


def read_mark(home: Home) -> dict[str, Any]:
    """Return when the backup was made and when it was restored; an unreadable mark says nothing."""
    try:
        found = json.loads(read_bounded(home.path / MARK, MAX_MARK_BYTES))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
