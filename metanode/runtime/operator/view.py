"""What the page looks at: one document about one node or several, asked for again and again.

A look remembers what was shown already, so that the movements of a quarter of an hour are sent
once and not with every document.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import anyio.lowlevel
from attrs import define

from metanode import __version__
from metanode.runtime.operator.movements import Movements
from metanode.runtime.operator.readiness import readiness

PERIOD_S: Final = 0.5
"""Between two documents: a person follows no more."""

Look = Callable[[], Awaitable[Mapping[str, Any]]]
"""The next document, with what is new since the one before."""


@define
class NodeView:
    """The view of the node itself; ``run`` is another number after each start."""

    name: str
    run: int
    status: Callable[[], Mapping[str, Any]]
    movements: Movements
    clock: Callable[[], float]

    def page(self, rest: str) -> dict[str, Any] | None:
        """Return the document with the movements after a number; None for what is no number."""
        if rest and not (rest.isascii() and rest.isdecimal() and len(rest) < 16):
            return None
        return self.document(int(rest or 0))

    def document(self, since: int = 0) -> dict[str, Any]:
        """Return the document with the movements after a number."""
        return document(self.clock(), [self._node(since)])

    def _node(self, since: int) -> dict[str, Any]:
        status = self.status()
        return {
            "name": self.name, "node_id": status["node_id"], "fault": None, "run": self.run,
            "status": status, "readiness": readiness(status),
            "moves": self.movements.since(since), "last": self.movements.last,
        }

    def begin(self) -> Look:
        """Begin to look: the first document has all movements that are kept."""
        seen = 0

        async def look() -> Mapping[str, Any]:
            nonlocal seen
            await anyio.lowlevel.checkpoint()
            shown = self.document(seen)
            seen = self.movements.last
            return shown

        return look


def document(now: float, nodes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the document about some nodes."""
    return {"at": round(now, 3), "version": __version__, "nodes": nodes}


def away(name: str, node_id: str, reason: str) -> dict[str, Any]:
    """Return what is said of a node that does not answer."""
    return {
        "name": name, "node_id": node_id, "fault": reason, "run": 0, "status": None,
        "readiness": None, "moves": [], "last": 0,
    }
