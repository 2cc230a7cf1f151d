"""The embedded chain as a server: JSON-RPC over HTTP/1.1 on the loopback interface.

h11 speaks HTTP, anyio carries it, so the server runs on asyncio and on trio. Everything a client
sends is bounded: head, body, idle time and the number of connections.
"""

from __future__ import annotations

import base64
import errno
import hmac
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import h11
from attrs import field, frozen

from metanode.chains import json_decimal
from metanode.devnet.faucet import FAUCET_SCRIPT
from metanode.devnet.ledger import DevnetLedger
from metanode.devnet.rpc import DevnetRpc
from metanode.devnet.types import DEVNET_HRP, DevnetError, RpcCode
from metanode.errors import UserError
from metanode.runtime.operator.admin import next_event

MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_CONNECTIONS = 128
IDLE_TIMEOUT_S = 120.0

_STATUS_OF_CODE = {RpcCode.METHOD_NOT_FOUND: 404, RpcCode.INVALID_REQUEST: 400}


@frozen(kw_only=True)
class DevnetSettings:
    """How to serve a chain. ``directory`` None keeps it in memory; ``port`` 0 takes a free one.

    Addresses begin with ``hrp``, and what is relayed follows the daemons of that family.

    ``block_interval_s`` 0 mines only on request. ``credentials`` is (user, password) for HTTP basic
    authentication, None to ask for none (the interface is loopback either way).
    """

    directory: Path | None
    hrp: str = DEVNET_HRP
    host: str = "127.0.0.1"
    port: int = 0
    block_interval_s: float = 1.0
    miner_script: bytes = FAUCET_SCRIPT
    credentials: tuple[str, str] | None = field(default=None, repr=False)


def read_credentials(path: Path) -> tuple[str, str]:
    """Read ``user:password`` from the first line of a file; raises :class:`UserError`."""
    try:
        line = path.read_text(encoding="utf-8").split("\n", 1)[0]
    except (OSError, UnicodeDecodeError) as fault:
        raise UserError(f"cannot read the RPC password file {path}: {fault}") from fault
    user, separator, password = line.partition(":")
    if not (user and separator and password):
        raise UserError(f"the first line of {path} must be user:password")
    return user, password


async def serve(
    settings: DevnetSettings, *, clock: Callable[[], float] = time.time,
    task_status: anyio.abc.TaskStatus[int] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Open the chain and serve it until cancelled; ``task_status`` receives the port.

    Raises :class:`UserError` when the port is taken or the block file cannot be used.
    """
    ledger = DevnetLedger(clock, settings.directory, settings.hrp)
    try:
        await serve_ledger(ledger, settings, task_status=task_status)
    finally:
        ledger.close()


async def serve_ledger(
    ledger: DevnetLedger, settings: DevnetSettings, *,
    task_status: anyio.abc.TaskStatus[int] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve a ledger that the caller has opened, and closes."""
    try:
        listener = await anyio.create_tcp_listener(
            local_host=settings.host, local_port=settings.port
        )
    except OSError as fault:
        if fault.errno != errno.EADDRINUSE:
            raise
        message = f"port {settings.port} is in use: stop the other chain or choose another port"
        raise UserError(message) from fault
    server = _Server(DevnetRpc(ledger), settings.credentials)
    async with listener, anyio.create_task_group() as tasks:
        if settings.block_interval_s > 0:
            tasks.start_soon(_mine_at_intervals, ledger, settings)
        task_status.started(listener.extra(anyio.abc.SocketAttribute.local_port))
        await listener.serve(server.handle)


async def _mine_at_intervals(ledger: DevnetLedger, settings: DevnetSettings) -> None:
    while True:
        await anyio.sleep(settings.block_interval_s)
        ledger.mine(settings.miner_script)


class _Server:
    """Reads requests off connections and answers them."""

    def __init__(self, rpc: DevnetRpc, credentials: tuple[str, str] | None) -> None:
        self._rpc = rpc
        self._slots = anyio.CapacityLimiter(MAX_CONNECTIONS)
        self._expected = None
        if credentials is not None:
            token = base64.b64encode(":".join(credentials).encode())
            self._expected = b"Basic " + token

    async def handle(self, stream: anyio.abc.SocketStream) -> None:
        """Serve one connection until it closes, idles too long or breaks the protocol."""
        async with stream:
            try:
                self._slots.acquire_nowait()
            except anyio.WouldBlock:
                return
            try:
                await self._converse(stream)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return  # the client is gone; there is nobody to tell
            finally:
                self._slots.release()

    async def _converse(self, stream: anyio.abc.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        while True:
            try:
                with anyio.fail_after(IDLE_TIMEOUT_S):
                    request, body = await _read_request(connection, stream)
                if request is None:
                    return
                status, reply = await self._answer(request, body)
            except TimeoutError:
                return
            except h11.RemoteProtocolError as fault:
                if connection.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                    await _respond(connection, stream, fault.error_status_hint, b"")
                return
            await _respond(connection, stream, status, reply)
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()

    async def _answer(self, request: h11.Request, body: bytes | None) -> tuple[int, bytes]:
        if body is None:
            return 413, b""
        if request.method != b"POST":
            return 405, b""
        if self._expected is not None:
            given = dict(request.headers).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._expected):
                return 401, b""
        try:
            calls = json_decimal.loads(body)
        except ValueError:
            error = {"code": int(RpcCode.PARSE_ERROR), "message": "Parse error"}
            return 500, _encode(None, error, None)
        if not isinstance(calls, list) or not calls:
            return await self._reply(calls)
        replies = [(await self._reply(call))[1] for call in calls]
        return 200, b"[" + b",".join(replies) + b"]"

    async def _reply(self, call: Any) -> tuple[int, bytes]:
        """Return the status and the reply to one call."""
        call_id: Any = None
        try:
            method, params, call_id = _parse_call(call)
            result = await self._rpc.call(method, params)
        except DevnetError as refusal:
            error = {"code": int(refusal.code), "message": refusal.message}
            status = _STATUS_OF_CODE.get(refusal.code, 500)
            return status, _encode(None, error, call_id)
        return 200, _encode(result, None, call_id)


def _parse_call(call: Any) -> tuple[str, list[Any], Any]:
    if not isinstance(call, dict) or not isinstance(call.get("method"), str):
        raise DevnetError(RpcCode.INVALID_REQUEST, "Missing method")
    params = call.get("params", [])
    if not isinstance(params, list):
        raise DevnetError(RpcCode.INVALID_REQUEST, "Params must be an array")
    return str(call["method"]), list(params), call.get("id")


def _encode(result: Any, error: Any, call_id: Any) -> bytes:
    return json_decimal.dumps({"result": result, "error": error, "id": call_id}).encode()


async def _read_request(
    connection: h11.Connection, stream: anyio.abc.SocketStream
) -> tuple[h11.Request | None, bytes | None]:
    """Return (request, body); (None, None) at the end, body None when it is too long."""
    request: h11.Request | None = None
    body = bytearray()
    while True:
        event = await next_event(connection, stream)
        if isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY_BYTES:
                return request, None
        elif isinstance(event, h11.EndOfMessage):
            return request, bytes(body)
        else:
            return None, None


async def _respond(
    connection: h11.Connection, stream: anyio.abc.SocketStream, status: int, body: bytes
) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="jsonrpc"'))
    out = connection.send(h11.Response(status_code=status, headers=headers)) or b""
    if body:
        out += connection.send(h11.Data(data=body)) or b""
    out += connection.send(h11.EndOfMessage()) or b""
    await stream.send(out)
