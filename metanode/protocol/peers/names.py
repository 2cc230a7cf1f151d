"""Host names of the operator: a peer's, a seed's. What they stand for is asked, and asked again.

A name that does not resolve stops nothing: it is asked again with growing pauses, and shown. When
none of its addresses answers, its owner may have moved, so it is asked again too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

from attrs import define, field, frozen

from metanode.protocol.peers.endpoints import Endpoint
from spec.parameters import Preset

MAX_ADDRESSES: Final = 16
"""Addresses taken of one name; more of them would be no peer's own."""


@frozen
class Resolve:
    """Decision: ask what a name stands for."""

    name: Endpoint


@define
class Name:
    """A name, the endpoints that it stood for when it was asked last, and what went wrong.

    ``asked`` counts the questions since its addresses were last well.
    """

    addresses: tuple[Endpoint, ...] = ()
    asking: bool = False
    asked: int = 0
    not_before: float = -math.inf
    fault: str | None = None


@define
class Names:
    """The names that a node dials or announces."""

    preset: Preset
    entries: dict[Endpoint, Name] = field(factory=dict)

    def add(self, name: Endpoint) -> None:
        """Ask about a name from now on."""
        self.entries.setdefault(name, Name())

    def drop(self, name: Endpoint) -> tuple[Endpoint, ...]:
        """Forget a name; returns what it stood for."""
        entry = self.entries.pop(name, None)
        return () if entry is None else entry.addresses

    def due(
        self, now: float, is_well: Callable[[Endpoint, tuple[Endpoint, ...]], bool]
    ) -> list[Resolve]:
        """Return the names to be asked about now: those whose addresses are not well."""
        decisions = []
        for name, entry in self.entries.items():
            if entry.addresses and is_well(name, entry.addresses):
                entry.asked = 0
                continue
            waits = now < entry.not_before <= now + self.preset.backoff_longest_s
            if not entry.asking and not waits:
                entry.asking = True
                decisions.append(Resolve(name))
        return decisions

    def resolved(
        self, name: Endpoint, addresses: Iterable[Endpoint], now: float
    ) -> tuple[tuple[Endpoint, ...], tuple[Endpoint, ...]]:
        """Take an answer; returns the endpoints that are new and those that are gone."""
        entry = self.entries.get(name)
        if entry is None:
            return (), ()
        before = entry.addresses
        entry.addresses = tuple(dict.fromkeys(addresses))[:MAX_ADDRESSES]
        self._answered(entry, None, now)
        new = tuple(each for each in entry.addresses if each not in before)
        # Another name may stand for the same address.
        others = {each for other in self.entries.values() for each in other.addresses}
        return new, tuple(each for each in before if each not in others)

    def unresolved(self, name: Endpoint, fault: str, now: float) -> bool:
        """Note that a name does not resolve: what it stood for counts on; tells whether it is news.
        """
        entry = self.entries.get(name)
        if entry is None:
            return False
        news = entry.fault != fault
        self._answered(entry, fault, now)
        return news

    def _answered(self, entry: Name, fault: str | None, now: float) -> None:
        wait = self.preset.backoff_first_s * 2 ** min(entry.asked, 30)
        entry.asking, entry.fault, entry.asked = False, fault, entry.asked + 1
        entry.not_before = now + min(wait, self.preset.backoff_longest_s)

    def faults(self) -> dict[str, str]:
        """Return the names that do not resolve, and why."""
        return {str(n): entry.fault for n, entry in self.entries.items() if entry.fault is not None}
