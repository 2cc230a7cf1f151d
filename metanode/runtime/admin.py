"""The operator's window: GET /status and GET /metrics over HTTP on loopback, nothing else.

Every request needs the bearer token that the node writes to ``admin.json`` (mode 0600) when it
starts: whoever may read the home may ask. One request per connection, bounded header size, time and
number of connections, so that a local program cannot tie the node up.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import h11
from anyio.abc import SocketAttribute, SocketStream, TaskStatus
from attrs import field, frozen

from metanode.errors import Unavailable, UserError
from metanode.runtime.config import Endpoint
from metanode.runtime.files import atomic_write, read_bounded, refuse_shared
from metanode.runtime.home import Home

MAX_HEADER_BYTES = 8 << 10
MAX_CONNECTIONS = 16
REQUEST_TIMEOUT_S = 5.0
CLIENT_TIMEOUT_S = 5.0
TOKEN_BYTES = 32
MAX_ADMIN_FILE_BYTES = 4096
JSON = "application/json"
METRICS = "text/plain; version=0.0.4; charset=utf-8"


@frozen
class AdminServer:
    """What the two pages show: ``status`` returns a JSON object, ``metrics`` exposition text."""

    home: Home
    listen: Endpoint
    status: Callable[[], Mapping[str, Any]]
    metrics: Callable[[], bytes]
    _token: str = field(factory=lambda: secrets.token_urlsafe(TOKEN_BYTES), repr=False)

    async def serve(self, *, task_status: TaskStatus[Endpoint] = anyio.TASK_STATUS_IGNORED) -> None:
        """Answer until cancelled; ``started`` gives the endpoint. UserError: the port is in use."""
        try:
            listener = await anyio.create_tcp_listener(
                local_host=self.listen.host, local_port=self.listen.port
            )
        except OSError as error:
            raise UserError(
                f"admin.listen {self.listen} cannot be used ({error.strerror or error}): "
                "choose another port, or 0"
            ) from error
        port = listener.extra(SocketAttribute.local_port)
        bound = Endpoint(self.listen.host, port)
        document = {"host": bound.host, "port": bound.port, "token": self._token}
        atomic_write(self.home.admin, json.dumps(document).encode("ascii"))
        task_status.started(bound)
        slots = anyio.CapacityLimiter(MAX_CONNECTIONS)

        async def bounded(stream: SocketStream) -> None:
            async with slots, stream:
                with anyio.move_on_after(REQUEST_TIMEOUT_S):
                    await self._connection(stream)

        try:
            async with listener:
                await listener.serve(bounded)
        finally:
            self.home.admin.unlink(missing_ok=True)

    async def _connection(self, stream: SocketStream) -> None:
        protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEADER_BYTES)
        try:
            request = await self._request(protocol, stream)
            if request is None:
                return
            code, kind, body = self._answer(request)
        except h11.RemoteProtocolError:
            code, kind, body = 400, JSON, b'{"error":"bad request"}'
        except (TypeError, ValueError):
            # A status that is no JSON is our defect; it must not end the node that it describes.
            code, kind, body = 500, JSON, b'{"error":"the status cannot be shown"}'
        headers = [
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
            ("Cache-Control", "no-store"),
        ]
        try:
            for event in (
                h11.Response(status_code=code, headers=headers),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                await stream.send(protocol.send(event) or b"")
        except (h11.LocalProtocolError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return  # the asker is gone, or sent what cannot be answered

    async def _request(self, protocol: h11.Connection, stream: SocketStream) -> h11.Request | None:
        """Return the request, or None when the connection ended before it was whole."""
        while True:
            event = protocol.next_event()
            if isinstance(event, h11.Request):
                return event
            if event is not h11.NEED_DATA:
                return None
            try:
                protocol.receive_data(await stream.receive(MAX_HEADER_BYTES))
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return None

    def _answer(self, request: h11.Request) -> tuple[int, str, bytes]:
        headers = dict(request.headers)
        wanted = f"Bearer {self._token}".encode("ascii")
        if not hmac.compare_digest(headers.get(b"authorization", b""), wanted):
            return 401, JSON, b'{"error":"the token of admin.json is needed"}'
        if request.method != b"GET":
            return 405, JSON, b'{"error":"only GET is answered"}'
        if request.target == b"/status":
            return 200, JSON, json.dumps(self.status(), sort_keys=True).encode("utf-8")
        if request.target == b"/metrics":
            return 200, METRICS, self.metrics()
        return 404, JSON, b'{"error":"there are /status and /metrics"}'


def fetch(home: Home, page: str) -> bytes:
    """Ask the node that runs on ``home`` for "/status" or "/metrics" and return the body.

    Raises UserError when no node runs there, Unavailable when it does not answer.
    """
    import httpx

    if not home.path.is_dir():
        raise UserError(f"no home at {home.path}: make one with `init --home {home.path}`")
    not_running = f"no node runs on {home.path}: start it with `run --home {home.path}`"
    if not home.admin.exists():
        raise UserError(not_running)
    refuse_shared(home.admin)
    try:
        document = json.loads(read_bounded(home.admin, MAX_ADMIN_FILE_BYTES))
        endpoint, token = Endpoint(document["host"], int(document["port"])), document["token"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{home.admin} is damaged: restart the node") from error
    try:
        # trust_env=False: a proxy of the environment must never see the token.
        with httpx.Client(trust_env=False, timeout=CLIENT_TIMEOUT_S) as client:
            answer = client.get(
                f"http://{endpoint}{page}", headers={"Authorization": f"Bearer {token}"}
            )
    except httpx.ConnectError as error:
        raise UserError(not_running) from error
    except httpx.HTTPError as error:
        raise Unavailable(f"the node on {home.path} does not answer: try again") from error
    if answer.status_code != httpx.codes.OK:
        raise Unavailable(f"the node on {home.path} answered {answer.status_code}: restart it")
    return answer.content


def fetch_status(home: Home) -> dict[str, Any]:
    """Return the status of the node that runs on ``home``; errors as :func:`fetch`."""
    try:
        document = json.loads(fetch(home, "/status"))
    except ValueError as error:
        raise Unavailable(f"the node on {home.path} sent no JSON: try again") from error
    if not isinstance(document, dict):
        raise Unavailable(f"the node on {home.path} sent no status: try again")
    return document
