"""One page for a whole local network: what all its nodes say, served beside them.

The server is that of a node's admin port, on a folder of its own, so that ``metanode page --home``
finds it too. It asks the nodes with their tokens, which it reads anew for each question, since a
node that was started again has another one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
from attrs import define, field, frozen

from metanode.errors import MetanodeError
from metanode.protocol.peers.endpoints import Endpoint
from metanode.runtime.home.home import Home
from metanode.runtime.operator.admin import AdminServer, address_of_page, fetch_json
from metanode.runtime.operator.public import page_headers, public_pages
from metanode.runtime.operator.view import Look, away, document
from metanode.runtime.secrets.keystore import read_node_id

FOLDER: Final = "watch"
PATIENCE_S: Final = 2.0
"""So long may a node take to answer; the page shows the others meanwhile."""


@define
class _Seen:
    """What a look has of a node: the run that it was, and its last movement."""

    run: int = 0
    last: int = 0


@frozen
class NetworkView:
    """The nodes of some homes, named "node 1" and so on."""

    homes: Sequence[Home]
    clock: Callable[[], float]

    def begin(self) -> Look:
        """Begin to look: the first document has all movements that the nodes have kept."""
        seen = [_Seen() for _ in self.homes]

        async def look() -> Mapping[str, Any]:
            found: list[dict[str, Any]] = [{} for _ in self.homes]

            async def ask(number: int) -> None:
                found[number] = await self._ask(number, seen[number])

            async with anyio.create_task_group() as tasks:
                for number in range(len(self.homes)):
                    tasks.start_soon(ask, number)
            return document(self.clock(), found)

        return look

    async def _ask(self, number: int, seen: _Seen) -> dict[str, Any]:
        name, home = f"node {number + 1}", self.homes[number]
        node_id = read_node_id(home.identity).hex()
        reason = f"it has not answered for {PATIENCE_S:g} s"
        with anyio.move_on_after(PATIENCE_S):
            try:
                node = await self._view(home, seen.last)
                if node["run"] != seen.run and seen.last:
                    node = await self._view(home, 0)
            except MetanodeError as error:
                return away(name, node_id, str(error))
            seen.run, seen.last = node["run"], node["last"]
            return {**node, "name": name}
        return away(name, node_id, reason)

    async def _view(self, home: Home, since: int) -> dict[str, Any]:
        told = await anyio.to_thread.run_sync(
            fetch_json, home, f"/view/{since}", abandon_on_cancel=True
        )
        node: dict[str, Any] = told["nodes"][0]
        return node


@define
class Watch:
    """Serves the page of a network below ``directory``, on a free port."""

    directory: Path
    view: NetworkView
    home: Home = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.home = Home(self.directory / FOLDER)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve as long as the context lasts; gives the address with the token."""
        self.home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        ready: dict[str, Any] = {"ready": True, "reasons": []}
        server = AdminServer(
            self.home, Endpoint("127.0.0.1", 0), lambda: {"nodes": len(self.view.homes)},
            lambda: b"", public=public_pages(lambda: ready, lambda: 0.0), begin=self.view.begin,
            headers=page_headers(),
        )
        async with anyio.create_task_group() as tasks:
            await tasks.start(server.serve)
            yield address_of_page(self.home)
            tasks.cancel_scope.cancel()
