"""The duplicate filter: a flooded message is handled and passed on once."""

from __future__ import annotations

from collections import OrderedDict

from metanode.errors import check

DEFAULT_LIFETIME_S = 60.0
DEFAULT_MAX_ENTRIES = 65_536


class DuplicateFilter:
    """Remembers digests for ``lifetime_s`` seconds, at most ``max_entries`` of them.

    When it is full the oldest entry goes first: a flood of new messages can only make an old
    message count as new again, which costs work, never safety.
    """

    def __init__(
        self, lifetime_s: float = DEFAULT_LIFETIME_S, max_entries: int = DEFAULT_MAX_ENTRIES
    ) -> None:
        """Set the lifetime of an entry in seconds and the bound on entries; both positive."""
        check(lifetime_s > 0 and max_entries > 0, "duplicate filter needs positive bounds")
        self._lifetime_s = lifetime_s
        self._max_entries = max_entries
        self._seen: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of digests held."""
        return len(self._seen)

    def is_new(self, digest: bytes, now: float) -> bool:
        """Remember ``digest`` and tell whether it was not seen in the last ``lifetime_s`` seconds.

        A repeated digest keeps its first time, so that a repeater cannot keep an entry alive for
        ever.
        """
        self._expire(now)
        if digest in self._seen:
            return False
        if len(self._seen) >= self._max_entries:
            self._seen.popitem(last=False)
        self._seen[digest] = now
        return True

    def _expire(self, now: float) -> None:
        while self._seen:
            digest, since = next(iter(self._seen.items()))
            if now - since < self._lifetime_s:
                return
            del self._seen[digest]
