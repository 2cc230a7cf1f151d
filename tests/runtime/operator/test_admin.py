"""/status and /metrics over loopback HTTP, on both event loops, and against rude clients."""

from __future__ import annotations

import json
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from metanode.errors import Unavailable, UserError
from metanode.protocol.peers.endpoints import Endpoint
from metanode.runtime.home.home import Home
from metanode.runtime.operator.admin import (
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    AdminServer,
    fetch,
    fetch_json,
    fetch_status,
    post,
)
from metanode.runtime.operator.metrics import Metrics

STATUS = {"state": "Idle", "links": 3}


def ask(port: int, request: bytes) -> bytes:
    """Send raw bytes and return all that comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


def serving(home: Path, backend: str, question: Callable[[int], Any]) -> Any:
    """Serve on ``home`` while ``question(port)`` runs in a thread; return its answer."""

    async def run() -> Any:
        metrics = Metrics()
        metrics.frame("in", 100)
        server = AdminServer(Home(home), Endpoint("127.0.0.1", 0), lambda: STATUS, metrics.render)
        async with anyio.create_task_group() as tasks:
            bound = await tasks.start(server.serve)
            answer = await anyio.to_thread.run_sync(question, bound.port)
            tasks.cancel_scope.cancel()
        return answer

    return anyio.run(run, backend=backend)


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_client_gets_both_pages(tmp_path: Path, backend: str) -> None:
    """Catches a page that does not arrive, and an admin file others may read or that stays."""

    def question(_port: int) -> tuple[Any, bytes, int]:
        mode = (tmp_path / "admin.json").stat().st_mode
        return fetch_status(Home(tmp_path)), fetch(Home(tmp_path), "/metrics"), stat.S_IMODE(mode)

    status, metrics, mode = serving(tmp_path, backend, question)
    assert status == STATUS
    assert b'metanode_frames_total{direction="in"} 1.0' in metrics
    assert mode == 0o600
    assert not (tmp_path / "admin.json").exists()


@pytest.mark.parametrize(
    ("request_bytes", "code"),
    [
        (b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n", b"401"),
        (b"GET /status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\n\r\n", b"401"),
        (b"GET /nothing HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKEN\r\n\r\n", b"404"),
        (b"POST /status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKEN\r\n\r\n", b"405"),
        (b"rubbish\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * (MAX_HEADER_BYTES - 18), b"400"),
    ],
)
def test_rude_requests_get_an_error(tmp_path: Path, request_bytes: bytes, code: bytes) -> None:
    """Catches an answer without the token, and a request that ends the server."""

    def question(port: int) -> tuple[bytes, bytes, str]:
        token = json.loads((tmp_path / "admin.json").read_bytes())["token"]
        first = ask(port, request_bytes.replace(b"TOKEN", token.encode()))
        ask(port, b"")
        after = b"GET /status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n\r\n"
        return first, ask(port, after % token.encode()), token

    first, after, token = serving(tmp_path, "trio", question)
    assert first.split(b" ", 2)[1] == code
    assert token.encode() not in first
    assert after.split(b" ", 2)[1] == b"200"
    assert json.loads(after.split(b"\r\n\r\n", 1)[1]) == STATUS


def test_no_node_runs(tmp_path: Path) -> None:
    """Catches a traceback where the node is down, whether it ended cleanly or was killed."""
    with pytest.raises(UserError, match="no node runs on"):
        fetch_status(Home(tmp_path))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        stale = {"host": "127.0.0.1", "port": unused.getsockname()[1], "token": "t"}
        admin = tmp_path / "admin.json"
        admin.write_text(json.dumps(stale))
        admin.chmod(0o600)
        with pytest.raises(UserError, match="no node runs on"):
            fetch_status(Home(tmp_path))
    admin.write_text("{}")
    with pytest.raises(UserError, match="damaged"):
        fetch_status(Home(tmp_path))


def test_wrong_token_is_unavailable(tmp_path: Path) -> None:
    """Catches a client that takes an error page for a status."""

    def question(_port: int) -> Any:
        admin = tmp_path / "admin.json"
        admin.write_text(json.dumps({**json.loads(admin.read_text()), "token": "other"}))
        with pytest.raises(Unavailable, match="answered 401"):
            fetch_status(Home(tmp_path))

    serving(tmp_path, "trio", question)


def test_port_in_use_is_named(tmp_path: Path) -> None:
    """Catches a traceback for a port that another program holds."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = Endpoint("127.0.0.1", taken.getsockname()[1])
        server = AdminServer(Home(tmp_path), listen, lambda: STATUS, Metrics().render)
        with pytest.raises(UserError, match=f"admin.listen {listen} cannot be used"):
            anyio.run(server.serve, backend="trio")
    assert "token" not in repr(server)


# --- pages below a name, and what is posted ---


async def echo(document: Any) -> Any:
    """Answer with what was posted; refuse what asks for it."""
    await anyio.sleep(0)
    if document.get("refuse"):
        raise UserError("not now: wait")
    return {"echo": document}


def desk(home: Path, question: Callable[[int], Any]) -> Any:
    """Serve a page "things" and an action "echo" while ``question(port)`` runs."""

    async def run() -> Any:
        server = AdminServer(
            Home(home),
            Endpoint("127.0.0.1", 0),
            lambda: STATUS,
            Metrics().render,
            pages={"things": lambda name: {"name": name} if name != "none" else None},
            actions={"echo": echo},
        )
        async with anyio.create_task_group() as tasks:
            bound = await tasks.start(server.serve)
            answer = await anyio.to_thread.run_sync(question, bound.port)
            tasks.cancel_scope.cancel()
        return answer

    return anyio.run(run, backend="trio")


def test_pages_and_actions_by_name(tmp_path: Path) -> None:
    """Catches a page below a name that is not found, and an answer that is not the action's."""

    def question(_port: int) -> None:
        home = Home(tmp_path)
        assert fetch_json(home, "/things") == {"name": ""}
        assert fetch_json(home, "/things/ab") == {"name": "ab"}
        with pytest.raises(Unavailable, match="answered 404"):
            fetch_json(home, "/things/none")
        long = {"text": "x" * (MAX_BODY_BYTES - 100)}
        assert post(home, "/echo", long) == {"echo": long}
        with pytest.raises(UserError, match="^not now: wait$"):
            post(home, "/echo", {"refuse": True})
        with pytest.raises(Unavailable, match="answered 405"):
            post(home, "/things", {})

    desk(tmp_path, question)


@pytest.mark.parametrize(
    ("request_bytes", "code"),
    [
        (b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", b"401"),
        (b"POST /echo HTTP/1.1\r\nHost: x\r\nTOKEN\r\nContent-Length: 2\r\n\r\n[]", b"400"),
        (b"POST /echo HTTP/1.1\r\nHost: x\r\nTOKEN\r\nContent-Length: 1\r\n\r\n{", b"400"),
        (b"POST /echo HTTP/1.1\r\nHost: x\r\nTOKEN\r\nContent-Length: 9\r\n\r\n{}", b"400"),
        (b"POST /echo HTTP/1.1\r\nHost: x\r\nTOKEN\r\n\r\n", b"400"),
        (b"POST /echo/more HTTP/1.1\r\nHost: x\r\nTOKEN\r\nContent-Length: 2\r\n\r\n{}", b"405"),
        (b"PUT /echo HTTP/1.1\r\nHost: x\r\nTOKEN\r\nContent-Length: 2\r\n\r\n{}", b"405"),
        (b"GET /echo HTTP/1.1\r\nHost: x\r\nTOKEN\r\n\r\n", b"405"),
        (
            b"POST /echo HTTP/1.1\r\nHost: x\r\nTOKEN\r\nContent-Length: 60000\r\n\r\n"
            + b"[" * 60_000,
            b"400",
        ),
        (
            b"POST /echo HTTP/1.1\r\nHost: x\r\nTOKEN\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"8000\r\n%b\r\n" % (b"x" * 0x8000) * 3
            + b"0\r\n\r\n",
            b"413",
        ),
    ],
)
def test_rude_posts_get_an_error(tmp_path: Path, request_bytes: bytes, code: bytes) -> None:
    """Catches an action without the token, one that runs on half a body, and a body without end."""

    def question(port: int) -> tuple[bytes, bytes]:
        token = json.loads((tmp_path / "admin.json").read_bytes())["token"].encode()
        header = b"Authorization: Bearer " + token
        first = ask(port, request_bytes.replace(b"TOKEN", header))
        again = b"GET /status HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n" % header
        return first, ask(port, again)

    first, after = desk(tmp_path, question)
    assert first.split(b" ", 2)[1] == code
    assert set(json.loads(first.split(b"\r\n\r\n", 1)[1])) == {"error"}
    assert json.loads(after.split(b"\r\n\r\n", 1)[1]) == STATUS
