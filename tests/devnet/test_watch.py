"""One document about all nodes: those that answer, those that do not, and each movement once."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest

from metanode.devnet import watch
from metanode.devnet.watch import NetworkView, Watch
from metanode.identity import Identity
from metanode.protocol.peers.endpoints import Endpoint
from metanode.runtime.home.home import Home
from metanode.runtime.operator.admin import AdminServer, door
from metanode.runtime.operator.movements import Movements
from metanode.runtime.operator.view import NodeView
from metanode.runtime.secrets.keystore import LIGHT, Passphrase, save_identity
from tests.runtime.operator.made_status import status

pytestmark = pytest.mark.anyio


def made(folder: Path) -> Home:
    """Return a home with an identity and nothing else."""
    folder.mkdir()
    home = Home(folder)
    save_identity(home.identity, Identity.generate(os.urandom), Passphrase(b"long enough"), LIGHT)
    return home


def first(address: str, token: str) -> Any:
    """Return the first document of a feed."""
    good = {"Authorization": f"Bearer {token}"}
    with (
        httpx.Client(trust_env=False) as client,
        client.stream("GET", address, headers=good) as feed,
    ):
        return json.loads(next(feed.iter_lines()).removeprefix("data: "))


class Node:
    """The admin port of a node."""

    def __init__(self, home: Home, run: int = 1) -> None:
        self.moves, self.hangs = Movements(round_s=6), False
        self.view = NodeView("this node", run, status, self.moves, time.time)
        self.server = AdminServer(
            home, Endpoint("127.0.0.1", 0), status, lambda: b"", pages={"view": self.page}
        )

    def page(self, rest: str) -> dict[str, Any] | None:
        """Answer, or hang with the whole process as a stopped one does."""
        if self.hangs:
            time.sleep(0.4)
        return self.view.page(rest)


async def test_nodes_that_answer_and_a_dead_one(tmp_path: Path) -> None:
    """Catches a dead node that hides the others, and movements that come twice or never."""
    homes = [made(tmp_path / f"n{number}") for number in range(2)]
    look: Callable[[], Awaitable[Any]] = NetworkView(homes, time.time).begin()
    async with anyio.create_task_group() as tasks:
        node = Node(homes[0])
        await tasks.start(node.server.serve)
        node.moves.sample(1.0, 3, 0, 4)
        first, dead = (await look())["nodes"]
        assert (first["name"], first["status"], first["fault"]) == ("node 1", status(), None)
        assert (dead["name"], dead["status"]) == ("node 2", None)
        assert "no node runs on" in dead["fault"]
        assert len(dead["node_id"]) == 66
        assert [m["number"] for m in first["moves"]] == [1]
        node.moves.sample(2.0, 3, 0, 4)
        assert [m["number"] for m in (await look())["nodes"][0]["moves"]] == [2]
        assert (await look())["nodes"][0]["moves"] == []
        tasks.cancel_scope.cancel()
    async with anyio.create_task_group() as tasks:
        again = Node(homes[0], run=2)  # started again, with another token and other numbers
        await tasks.start(again.server.serve)
        for number in range(4):
            again.moves.sample(10.0 + number, 3, 0, 4)
        found = (await look())["nodes"][0]
        assert [m["number"] for m in found["moves"]] == [1, 2, 3, 4]
        tasks.cancel_scope.cancel()


async def test_a_node_that_hangs_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a page that stands still because one of four nodes is stopped."""
    monkeypatch.setattr(watch, "PATIENCE_S", 0.1)
    home = made(tmp_path / "n")
    async with anyio.create_task_group() as tasks:
        node = Node(home)
        await tasks.start(node.server.serve)
        node.hangs = True
        [found] = (await NetworkView([home], time.time).begin()())["nodes"]
        assert (found["status"], found["fault"]) == (None, "it has not answered for 0.1 s")
        tasks.cancel_scope.cancel()


async def test_the_page_is_served_and_needs_its_own_token(tmp_path: Path) -> None:
    """Catches a feed of all nodes for whoever finds the port, and a token in the page."""
    home = made(tmp_path / "n")
    async with Watch(tmp_path, NetworkView([home], time.time)).serving() as url:
        address, _, token = url.partition("#token=")
        assert token == door(Home(tmp_path / "watch"), "reader")[1]
        async with httpx.AsyncClient(trust_env=False) as client:
            page = await client.get(address)
            assert page.status_code == 200
            assert "Deposits and payouts" in page.text
            assert token not in page.text
            assert (await client.get(f"{address}feed")).status_code == 401
        told = await anyio.to_thread.run_sync(first, f"{address}feed", token)
        assert [node["name"] for node in told["nodes"]] == ["node 1"]
    assert not (tmp_path / "watch" / "admin.json").exists()
