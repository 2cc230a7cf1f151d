"""The mark of a home that came out of a backup, which may have forgotten what it signed since.

As long as the mark is there, its node observes: nothing that it signs leaves it. What the others
show of its votes meanwhile is compared with its own log, and kept in the mark.
"""

from __future__ import annotations

import json
from typing import Final

import attrs
from attrs import define, field

from metanode.errors import UserError
from metanode.runtime.home.home import Home
from metanode.runtime.store.files import atomic_write, read_bounded

MARK: Final = "restored.json"
MAX_MARK_BYTES: Final = 64 << 10
ROUNDS_NEEDED: Final = 10
"""Rounds in which enough holders were heard, before the operator may end the observation."""
FORGOTTEN_KEPT: Final = 100


@define
class Observation:
    """How far an observation has come; times in unix seconds.

    ``rounds`` counts those with at least t - 1 other holders linked, ``shown`` the own votes that
    others have shown and the log knows, ``forgotten`` those that it does not know.
    """

    backup_made: int
    restored: int
    rounds: int = 0
    shown: int = 0
    forgotten: list[str] = field(factory=list)

    def forget(self, vote: str) -> bool:
        """Keep a vote that the log does not know; return whether it is new."""
        if vote in self.forgotten or len(self.forgotten) >= FORGOTTEN_KEPT:
            return False
        self.forgotten.append(vote)
        return True


def vote_name(event: bytes, attempt: int) -> str:
    """Return how a vote is named in the mark."""
    return f"{event.hex()}/{attempt}"


def is_observing(home: Home) -> bool:
    """Tell whether a home was restored, and its node may vote for nothing yet."""
    return (home.path / MARK).exists()


def write_observation(home: Home, observation: Observation) -> None:
    """Write the mark."""
    atomic_write(home.path / MARK, json.dumps(attrs.asdict(observation)).encode("ascii"))


def read_observation(home: Home) -> Observation | None:
    """Return how far the observation has come, None where none is going on.

    Raises UserError for a mark that cannot be read: its node must not sign.
    """
    if not is_observing(home):
        return None
    try:
        found = json.loads(read_bounded(home.path / MARK, MAX_MARK_BYTES))
        return Observation(
            int(found["backup_made"]), int(found["restored"]), int(found["rounds"]),
            int(found["shown"]), [str(vote) for vote in found["forgotten"]],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{home.path / MARK} is damaged: restore the backup anew into an empty directory"
        ) from error
