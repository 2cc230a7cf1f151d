"""Which peers a share is no longer used with: closed by a ban, asked by every session that signs.

A peer that guesses at Δ and is caught has learned one bit. Run side by side, each session would
give it another try, and a key would be its own after a few hundred. So the
first failure that calls for a ban closes the latch of that peer in the share itself, and every
session on that share asks before it works and before it emits: none answers after the first.

The latch lives as long as the object that it is part of. One share is one :class:`Keyshare` object
in a process, and the caller, who keeps bans across restarts, closes the latch anew when it has
loaded the share. Only a refresh or reshare, which deals new correlations, opens it again.
"""

from __future__ import annotations

from collections.abc import Iterable

from metanode.tss.abort import AbortKind


class Latch:
    """The banned peers of one share: party index → why. It closes and never opens."""

    __slots__ = ("_closed",)

    def __init__(self) -> None:
        self._closed: dict[int, AbortKind] = {}

    @property
    def closed(self) -> tuple[int, ...]:
        """The peers with whom this share is not used any more, ascending."""
        return tuple(sorted(self._closed))

    def close(self, peers: Iterable[int], kind: AbortKind = AbortKind.OT_CONSISTENCY) -> None:
        """Ban peers; the reason of the first ban stays."""
        for peer in peers:
            self._closed.setdefault(peer, kind)

    def reason(self, peers: Iterable[int]) -> tuple[AbortKind, tuple[int, ...]] | None:
        """Return which of these peers are banned and why the first of them is; None if none is."""
        banned = tuple(sorted(set(peers) & set(self._closed)))
        return (self._closed[banned[0]], banned) if banned else None
