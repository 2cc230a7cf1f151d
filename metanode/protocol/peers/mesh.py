"""Whom a node keeps links with: holders with every other holder, everybody else with a few peers.

A round needs each holder's word in seconds, so holders are a full mesh. Candidates and observers
keep ``degree_beyond`` links: what they must hear is passed on to them (``flood.py``). Sans-IO and
without a state of its own: ``peering.py`` asks.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from attrs import frozen

from spec.parameters import LARGEST_ROSTER, Preset

NO_ROOM: Final = "enough links"
"""Why a link with somebody who is no holder is not kept."""


@frozen
class Circle:
    """The nodes that must all be linked with each other, as far as this node knows them.

    ``inside``: this node is one of them, or may be. ``complete``: all of them are known; before
    the founders are, a node looks for them among all whom it hears of.
    """

    members: frozenset[bytes] = frozenset()
    inside: bool = True
    complete: bool = False

    def needs(self, node_id: bytes | None) -> bool:
        """Return whether this node must have a link with another one."""
        return self.inside and node_id in self.members

    def room(self, preset: Preset, links: int) -> int:
        """Return how many more links this node looks for beside those that it needs."""
        seeking = self.inside and not self.complete
        return max(0, (LARGEST_ROSTER if seeking else preset.degree_beyond) - links)

    def refuses(
        self, preset: Preset, node_id: bytes, linked: Collection[bytes], outbound: bool
    ) -> str | None:
        """Return why a link that was just made is not kept, or None if it is.

        A holder serves all who come, and keeps places free for as many holders as there can be.
        """
        if self.needs(node_id) or (self.inside and not self.complete):
            return None
        if self.inside and not outbound:
            others = sum(peer not in self.members for peer in linked)
            return NO_ROOM if others >= preset.links_inbound - LARGEST_ROSTER else None
        return None if len(linked) < preset.degree_beyond else NO_ROOM

    def excess(self, preset: Preset, links: int) -> int:
        """Return how many links are too many: those of a holder that is one no more."""
        return 0 if self.inside else max(0, links - preset.degree_beyond)
