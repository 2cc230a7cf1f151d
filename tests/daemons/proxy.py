"""An HTTP proxy between client and daemon that spoils the answers to chosen methods.

It speaks real HTTP on both sides, so that what arrives is what a broken daemon, a proxy in front of
one or a bad network would send: it never hands the client a Python object.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Literal

import anyio
import anyio.abc
import h11
import httpx
from attrs import define, field, frozen

from metanode.chains import json_decimal

DELAY_S = 0.05
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"

Framing = Literal["whole", "truncated", "chunked"]


@frozen
class Answer:
    """What the client receives: ``body`` is announced whole, cut off, or in chunks."""

    status: int
    body: bytes
    framing: Framing = "whole"


Memory = dict[str, tuple[int, Any]]
Spoil = Callable[[bytes], Answer]
"""From the daemon's reply to what the client receives."""


@frozen
class Fault:
    """One way to spoil a reply, or not to send it at all."""

    spoil: Spoil | None = None
    how: Literal["answer", "hang", "reset"] = "answer"
    delay_s: float = 0.0


def edited(change: Callable[[dict[str, Any]], None]) -> Spoil:
    """Change the JSON of a reply."""

    def spoil(body: bytes) -> Answer:
        reply: Any = json_decimal.loads(body)
        for each in reply if isinstance(reply, list) else [reply]:  # of a batch, each
            change(each)
        return Answer(200, json_decimal.dumps(reply).encode())

    return spoil


def refusing(code: int, message: str) -> Fault:
    """Refuse with a JSON-RPC error, whatever the daemon said."""

    def change(reply: dict[str, Any]) -> None:
        reply.update(result=None, error={"code": code, "message": message})

    return Fault(edited(change))


def without(*path: str) -> Fault:
    """Leave out a field of the result; a list on the way means each of its entries."""

    def remove(place: Any, names: tuple[str, ...]) -> None:
        if isinstance(place, list):
            for entry in place:
                remove(entry, names)
        elif isinstance(place, dict):
            if len(names) == 1:
                place.pop(names[0], None)
            else:
                remove(place.get(names[0]), names[1:])

    return Fault(edited(lambda reply: remove(reply, ("result", *path))))


def as_other_type(value: Any) -> Any:
    """Return a JSON value of another type."""
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list):
        return {"list": value}
    if isinstance(value, str):
        return 7
    return str(value)


def _other_result(reply: dict[str, Any]) -> None:
    reply["result"] = as_other_type(reply["result"])


def _other_values(reply: dict[str, Any]) -> None:
    """Give each value in an object another type; a plain result becomes another plain value."""

    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: _odd(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [changed(entry) if isinstance(entry, dict) else _odd(entry) for entry in value]
        return _odd(value)

    reply["result"] = changed(reply["result"])


def _odd(value: Any) -> Any:
    """Return a value of the same look that nobody expects."""
    if isinstance(value, bool) or value is None:
        return "yes"
    if isinstance(value, int):
        return Decimal(f"{value}.5")
    if isinstance(value, Decimal):
        return -value
    if isinstance(value, str):
        return "not hexadecimal"
    return None


FAULTS: dict[str, Fault] = {
    "delay": Fault(delay_s=DELAY_S),
    "500": Fault(lambda _: Answer(500, b"Internal Server Error")),
    "queue full": Fault(lambda _: Answer(503, b"Work queue depth exceeded")),
    "html": Fault(lambda _: Answer(200, HTML)),
    "null": Fault(edited(lambda reply: reply.update(result=None, error=None))),
    "other type": Fault(edited(_other_result)),
    "odd values": Fault(edited(_other_values)),
    "no result": Fault(edited(lambda reply: (reply.pop("result"), reply.pop("error", None))[1])),
    "wrong id": Fault(edited(lambda reply: reply.update(id=999_999_999))),
    "half the JSON": Fault(lambda body: Answer(200, body[: len(body) // 2])),
    "truncated": Fault(lambda body: Answer(200, body, "truncated")),
    "chunked": Fault(lambda body: Answer(200, body, "chunked")),
    "401": Fault(lambda _: Answer(401, b"")),
    "starting": refusing(-28, "Loading block index..."),
    "refused": refusing(-1, "something went wrong"),
    "hang": Fault(how="hang"),
    "reset": Fault(how="reset"),
}


@define
class Proxy:
    """Stands at ``url``: what ``faults`` names by method is spoilt, ``seen`` lists all methods.

    In front of a chain that stands still, ``memory`` may keep its replies by call: each is asked
    for once, by whichever proxy shares it.
    """

    upstream: str
    url: str = ""
    memory: Memory | None = None
    faults: dict[str, Fault] = field(factory=dict)
    seen: list[str] = field(factory=list)
    struck: int = 0

    async def handle(self, stream: anyio.abc.SocketStream, http: httpx.AsyncClient) -> None:
        """Serve one connection."""
        connection = h11.Connection(h11.SERVER)
        async with stream:
            try:
                while await self._exchange(connection, stream, http):
                    connection.start_next_cycle()
            except (anyio.BrokenResourceError, anyio.EndOfStream, h11.ProtocolError):
                return  # the client gave up, as it should

    async def _exchange(
        self, connection: h11.Connection, stream: anyio.abc.SocketStream, http: httpx.AsyncClient
    ) -> bool:
        """Pass one call on; return whether the connection lives on."""
        request, content = await _read(connection, stream)
        if request is None:
            return False
        call: Any = json_decimal.loads(content)
        methods = {each["method"] for each in (call if isinstance(call, list) else [call])}
        self.seen += methods
        fault = next((self.faults[method] for method in methods & self.faults.keys()), None)
        kept = {b"authorization", b"content-type"}
        headers = [(name, value) for name, value in request.headers if name in kept]
        status, body = await self._ask(call, content, headers, http)
        answer = Answer(status, body)
        if fault is not None:
            self.struck += 1
            await anyio.sleep(fault.delay_s)
            if fault.how == "hang":
                await anyio.sleep_forever()
            if fault.how == "reset":
                raw: socket.socket = stream.extra(anyio.abc.SocketAttribute.raw_socket)
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False
            if fault.spoil is not None:
                answer = fault.spoil(body)
        return await _send(connection, stream, answer)

    async def _ask(
        self, call: Any, content: bytes, headers: list[tuple[bytes, bytes]],
        http: httpx.AsyncClient,
    ) -> tuple[int, bytes]:
        """Return the daemon's status and reply, from memory if it is kept there."""
        if isinstance(call, list):  # a batch is not kept
            reply = await http.post(self.upstream, content=content, headers=headers)
            return reply.status_code, reply.content
        key = json_decimal.dumps([call["method"], call["params"]])
        if self.memory is None or key not in self.memory:
            reply = await http.post(self.upstream, content=content, headers=headers)
            if self.memory is None:
                return reply.status_code, reply.content
            self.memory[key] = reply.status_code, json_decimal.loads(reply.content)
        status, kept = self.memory[key]
        return status, json_decimal.dumps({**kept, "id": call["id"]}).encode()


async def _read(
    connection: h11.Connection, stream: anyio.abc.SocketStream
) -> tuple[h11.Request | None, bytes]:
    """Read a request with its body; None when the client has closed."""
    request: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            try:
                connection.receive_data(await stream.receive())
            except anyio.EndOfStream:
                connection.receive_data(b"")
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return request, body
        else:
            return None, b""


async def _send(
    connection: h11.Connection, stream: anyio.abc.SocketStream, answer: Answer
) -> bool:
    headers: list[tuple[str, str]] = [("content-type", "application/json")]
    if answer.framing == "chunked":
        headers.append(("transfer-encoding", "chunked"))
    else:
        headers.append(("content-length", str(len(answer.body))))
    if answer.status == 401:
        headers.append(("www-authenticate", 'Basic realm="jsonrpc"'))
    out = connection.send(h11.Response(status_code=answer.status, headers=headers)) or b""
    if answer.framing == "truncated":
        await stream.send(out + answer.body[: len(answer.body) // 2])
        return False
    for start in range(0, len(answer.body), 1000):
        out += connection.send(h11.Data(data=answer.body[start : start + 1000])) or b""
    out += connection.send(h11.EndOfMessage()) or b""
    await stream.send(out)
    return connection.our_state is h11.DONE and connection.their_state is h11.DONE


@asynccontextmanager
async def proxied(upstream: str, memory: Memory | None = None) -> AsyncIterator[Proxy]:
    """Run a proxy in front of a daemon."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    proxy = Proxy(upstream, f"http://127.0.0.1:{port}", memory)
    async with (
        httpx.AsyncClient(timeout=30.0, trust_env=False, verify=False) as http,  # no TLS here
        listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, lambda stream: proxy.handle(stream, http))
        yield proxy
        tasks.cancel_scope.cancel()
