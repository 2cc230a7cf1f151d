"""The stream of documents: long, bounded, and for who has the token."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from metanode.protocol.peers.endpoints import Endpoint
from metanode.runtime.home.home import Home
from metanode.runtime.operator import admin, feed
from metanode.runtime.operator.admin import AdminServer
from metanode.runtime.operator.feed import MAX_FEEDS
from metanode.runtime.operator.movements import Movements
from metanode.runtime.operator.view import NodeView
from tests.runtime.operator.made_status import status


def serving(home: Path, backend: str, question: Callable[[int, str, Movements], Any]) -> Any:
    """Serve the feed of a node while a question runs in a thread; return its answer."""

    async def run() -> Any:
        moves = Movements(round_s=6)
        view = NodeView("this node", 5, status, moves, time.time)
        server = AdminServer(
            Home(home), Endpoint("127.0.0.1", 0), status, lambda: b"", begin=view.begin
        )
        async with anyio.create_task_group() as tasks:
            bound = await tasks.start(server.serve)
            token = json.loads((home / "admin.json").read_bytes())["token"]
            answer = await anyio.to_thread.run_sync(question, bound.port, token, moves)
            tasks.cancel_scope.cancel()
        return answer

    return anyio.run(run, backend=backend)


def connect(port: int, token: str) -> socket.socket:
    """Ask for the feed."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(
        b"GET /feed HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n\r\n" % token.encode()
    )
    return connection


def documents(connection: socket.socket) -> Iterator[dict[str, Any]]:
    """Yield the documents of a feed; the chunks of HTTP stand between them."""
    text = b""
    while chunk := connection.recv(65536):
        text += chunk
        while (begin := text.find(b"data: ")) >= 0 and (end := text.find(b"\n\n", begin)) >= 0:
            yield json.loads(text[begin + 6 : end])
            text = text[end:]


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_documents_go_on_and_movements_come_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    """Catches a feed that the time of a request ends, and one that repeats what moved."""
    monkeypatch.setattr(admin, "REQUEST_TIMEOUT_S", 0.3)
    monkeypatch.setattr(feed, "PERIOD_S", 0.2)

    def question(port: int, token: str, moves: Movements) -> list[Any]:
        moves.sample(1.0, 3, 0, 4)
        with connect(port, token) as connection:
            found = documents(connection)
            first = next(found)
            moves.sample(2.0, 2, 0, 4)
            later = [next(found) for _ in range(4)]
        return [first, *later]

    first, *later = serving(tmp_path, backend, question)
    assert first["nodes"][0]["status"] == status()
    assert [m["number"] for m in first["nodes"][0]["moves"]] == [1]
    assert [m["number"] for each in later for m in each["nodes"][0]["moves"]] == [2]


def test_so_many_may_look_and_a_place_is_free_when_one_goes(tmp_path: Path) -> None:
    """Catches streams without end that cost a status each, and a place that is never given back."""

    def question(port: int, token: str, _moves: Movements) -> tuple[bytes, dict[str, Any]]:
        looking = [connect(port, token) for _ in range(MAX_FEEDS)]
        for each in looking:
            next(documents(each))
        with connect(port, token) as over:
            refused = b"".join(iter(lambda: over.recv(65536), b""))
        looking[0].close()
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with connect(port, token) as again:
                if (found := next(documents(again), None)) is not None:
                    break
            time.sleep(0.05)
        for each in looking:
            each.close()
        assert found is not None
        return refused, found

    refused, found = serving(tmp_path, "trio", question)
    assert refused.startswith(b"HTTP/1.1 503")
    assert b"pages look already" in refused
    assert found["nodes"][0]["name"] == "this node"


def test_a_feed_needs_the_token_and_ends_for_who_does_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a feed for everybody, and a reader that stops reading and holds its place."""
    monkeypatch.setattr(feed, "PATIENCE_S", 0.3)
    monkeypatch.setattr(feed, "PERIOD_S", 0.0)

    def question(port: int, token: str, _moves: Movements) -> bytes:
        with connect(port, "other") as stranger:
            refused = stranger.recv(65536)
        idle = [connect(port, token) for _ in range(MAX_FEEDS)]
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with connect(port, token) as again:
                if next(documents(again), None) is not None:
                    break
            time.sleep(0.1)
        else:
            raise AssertionError("who does not read holds every place")
        for each in idle:
            each.close()
        return refused

    assert serving(tmp_path, "trio", question).startswith(b"HTTP/1.1 401")
