"""The JSON-RPC client against servers that misbehave."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import anyio
import pytest

from metanode.chains import json_decimal
from metanode.chains.json_decimal import base_units
from metanode.chains.rpc import RpcClient, RpcError
from metanode.errors import Unavailable

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def answering(reply: bytes, limit: int = 1000) -> AsyncIterator[RpcClient]:
    """Serve the same bytes to whoever connects; b"" never answers."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)

    async def handle(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            if not reply:
                await anyio.sleep_forever()
            try:
                await stream.send(reply)
            except anyio.BrokenResourceError:
                return

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        url = f"http://127.0.0.1:{port}"
        async with RpcClient(url, timeout_s=0.3, max_response_bytes=limit) as rpc:
            yield rpc
        tasks.cancel_scope.cancel()


def http(body: bytes, status: str = "200 OK") -> bytes:
    """Return a whole HTTP response."""
    head = f"HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def test_a_batch_is_answered_call_by_call() -> None:
    """Catches a refusal that takes the other answers with it, or an answer to another question."""
    body = (
        b'[{"result": 7, "error": null, "id": 1},'
        b' {"result": null, "error": {"code": -8, "message": "no"}, "id": 2}]'
    )
    async with answering(http(body)) as rpc:
        seven, refusal = await rpc.batch("m", [(1,), (2,)])
        assert seven == 7
        assert isinstance(refusal, RpcError)
        assert refusal.code == -8


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b'"no"', b"{}", b"[7, 8]",
        b'[{"result": 7, "error": null, "id": 1}]',
        b'[{"result": 7, "error": null, "id": 2}, {"result": 8, "error": null, "id": 1}]',
        b'[{"result": 7, "error": null, "id": 1}, {"result": 8, "error": null, "id": 2}, {}]',
        b'[{"result": 7, "error": null, "id": 1}, {"error": null, "id": 2}]',
        b'{"result": null, "error": {"code": -28, "message": "Loading"}, "id": null}',
    ],
)
async def test_another_answer_than_one_for_each_call_is_none(body: bytes) -> None:
    """Catches a block that is taken for another one, or that is missing."""
    async with answering(http(body)) as rpc:
        with pytest.raises(Unavailable):
            await rpc.batch("m", [(1,), (2,)])


async def test_result_and_error() -> None:
    """Catches an amount that goes through a float, and an error without its code."""
    async with answering(http(b'{"result": 20999999.97690001, "error": null, "id": 1}')) as rpc:
        assert await rpc.call("m") == Decimal("20999999.97690001")
    body = b'{"result": null, "error": {"code": -25, "message": "no"}, "id": 1}'
    async with answering(http(body, "500 Internal Server Error")) as rpc:
        with pytest.raises(RpcError, match="no") as refusal:
            await rpc.call("m")
        assert refusal.value.code == -25


@pytest.mark.parametrize(
    "reply",
    [
        http(b"<html>"),
        http(b"[]"),
        http(b'{"result": 1, "error": null, "id": 2}'),
        http(b'{"result": 1, "error": null}'),
        http(b'{"result": NaN, "error": null, "id": 1}'),
        http(b'{"result": null, "error": "no", "id": 1}'),
        http(b'{"result": null, "error": {"code": "x"}, "id": 1}'),
        http(b'{"error": {"code": -28, "message": "Loading"}, "id": 1}', "500 x"),
        http(b"", "502 Bad Gateway"),
        http(b" " * 2000),
        http(b"[" * 900),
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}",
        b"garbage\r\n\r\n",
        http(b"{}")[:-1],
        b"",
    ],
)
async def test_anything_else_is_unavailable(reply: bytes) -> None:
    """Catches a malformed, endless or missing reply that crashes the node or is believed."""
    async with answering(reply) as rpc:
        with pytest.raises(Unavailable):
            await rpc.call("m")


async def test_a_refused_password_is_told_and_tried_again_later() -> None:
    """Catches a node that ends because its daemon has another password for a while."""
    async with answering(http(b"", "401 Unauthorized")) as rpc:
        with pytest.raises(Unavailable, match=r"chain\.rpc_user .* chain\.rpc_password_file"):
            await rpc.call("m")


async def test_a_password_that_has_changed_is_read_again() -> None:
    """Catches a node that knows only the cookie of its daemon's last start."""
    given: list[tuple[str, str] | None] = [("__cookie__", "old")]
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    wanted = b"Basic " + base64.b64encode(b"__cookie__:new")

    async def handle(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            known = wanted in await stream.receive()
            body = b'{"result": 7, "error": null, "id": 2}'
            await stream.send(http(body) if known else http(b"", "401 Unauthorized"))

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        async with RpcClient(f"http://127.0.0.1:{port}", lambda: given[0]) as rpc:
            with pytest.raises(Unavailable):
                await rpc.call("m")
            given[0] = ("__cookie__", "new")
            assert await rpc.call("m") == 7
        tasks.cancel_scope.cancel()


def test_decimals_are_written_exactly() -> None:
    """Catches an amount in scientific notation or with lost digits."""
    value = {"a": Decimal("1E-8"), "b": [Decimal("21000000.00000000"), True, None, "é"]}
    text = json_decimal.dumps(value)
    assert text == '{"a":0.00000001,"b":[21000000.00000000,true,null,"\\u00e9"]}'
    assert json_decimal.loads(text.encode()) == value


def test_base_units_are_exact() -> None:
    """Catches half a satoshi, and a float or a text that is taken for an amount."""
    assert base_units(Decimal("0.00000001")) == 1
    assert base_units(2) == 200_000_000
    for bad in (Decimal("0.000000001"), 1.0, "1", None, True, Decimal("NaN"), Decimal("Infinity"),
                Decimal("1E+999999"), Decimal("-1E+999990"), Decimal("1E+10")):
        with pytest.raises(Unavailable):
            base_units(bad)
