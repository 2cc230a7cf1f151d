"""The operator's window over HTTP on loopback: pages to read, and what may be asked of the node.

Every request needs a bearer token that the node writes to ``admin.json`` (mode 0600) when it
starts: anyone who may read the home may ask. One of the two tokens only reads: it is the one in the
address of the page, which browsers keep and people pass on. Without a token there is only what is
``public``: the page, which shows nothing by itself, the description of this interface, and the two
probes. One request per connection, bounded size, time and number of connections, so that a local
program cannot tie the node up.
"""

from __future__ import annotations

import hmac
import json
import secrets
import ssl
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import anyio
import h11
from anyio.abc import ByteReceiveStream, SocketAttribute, SocketStream, TaskStatus
from attrs import field, frozen

from metanode.errors import Unavailable, UserError
from metanode.protocol.peers.endpoints import Endpoint
from metanode.runtime.home.home import Home
from metanode.runtime.operator.feed import MAX_FEEDS, follow
from metanode.runtime.operator.view import Look
from metanode.runtime.store.files import atomic_write, read_bounded, refuse_shared

MAX_HEADER_BYTES = 8 << 10
MAX_BODY_BYTES = 64 << 10
MAX_CONNECTIONS = 16
REQUEST_TIMEOUT_S = 5.0
CLIENT_TIMEOUT_S = 5.0
TOKEN_BYTES = 32
MAX_ADMIN_FILE_BYTES = 4096
JSON = "application/json"
METRICS = "text/plain; version=0.0.4; charset=utf-8"

Answer = tuple[int, str, bytes]
Page = Callable[[str], Mapping[str, Any] | None]
"""The rest of the path ("" or "ID") → what is shown, or None where there is nothing."""

Public = Callable[[], Answer]
"""What anybody may read who can connect."""

Action = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""From the body of a POST to the answer, once it is on disk; UserError says why it is refused."""


@frozen
class AdminServer:
    """``status`` returns a JSON object, ``metrics`` exposition text; ``pages`` and ``actions`` are
    further names to GET and to POST to. ``public`` is answered without the token, "" is the page.
    ``begin`` starts a look that ``/feed`` sends on; ``headers`` go with every answer.
    """

    home: Home
    listen: Endpoint
    status: Callable[[], Mapping[str, Any]]
    metrics: Callable[[], bytes]
    pages: Mapping[str, Page] = field(factory=dict)
    actions: Mapping[str, Action] = field(factory=dict)
    public: Mapping[str, Public] = field(factory=dict)
    begin: Callable[[], Look] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    _feeds: anyio.CapacityLimiter = field(factory=lambda: anyio.CapacityLimiter(MAX_FEEDS))
    _token: str = field(factory=lambda: secrets.token_urlsafe(TOKEN_BYTES), repr=False)
    _reader: str = field(factory=lambda: secrets.token_urlsafe(TOKEN_BYTES), repr=False)

    async def serve(self, *, task_status: TaskStatus[Endpoint] = anyio.TASK_STATUS_IGNORED) -> None:
        """Answer until cancelled; ``started`` gives the endpoint. UserError: the port is in use."""
        try:
            listener = await anyio.create_tcp_listener(
                local_host=self.listen.host, local_port=self.listen.port
            )
        except OSError as error:
            raise UserError(
                f"admin.listen {self.listen} cannot be used ({error.strerror or error}): "
                "set another port there, or port 0 for any that is free"
            ) from error
        port = listener.extra(SocketAttribute.local_port)
        bound = Endpoint(self.listen.host, port)
        document = {
            "host": bound.host, "port": bound.port, "token": self._token, "reader": self._reader,
        }
        atomic_write(self.home.admin, json.dumps(document).encode("ascii"))
        task_status.started(bound)
        slots = anyio.CapacityLimiter(MAX_CONNECTIONS)

        async def bounded(stream: SocketStream) -> None:
            async with stream:
                wanted: h11.Connection | None = None
                async with slots:
                    with anyio.move_on_after(REQUEST_TIMEOUT_S):
                        wanted = await self._connection(stream)
                if wanted is not None:
                    await self._feed(wanted, stream)

        try:
            async with listener:
                await listener.serve(bounded)
        finally:
            self.home.admin.unlink(missing_ok=True)

    async def _connection(self, stream: SocketStream) -> h11.Connection | None:
        """Answer a request; return the connection of one that asks for the feed, and may."""
        protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEADER_BYTES)
        allowed = ""
        try:
            request = await self._request(protocol, stream)
            if request is None:
                return None
            allowed = ", ".join(self._methods(_target(request)))
            answer = await self._answer(protocol, stream, request)
            if answer is None:
                return protocol
            code, kind, body = answer
        except h11.RemoteProtocolError:
            code, kind, body = _error(400, "bad request")
        except (TypeError, ValueError):
            # A status that is no JSON is our defect; it must not end the node that it describes.
            code, kind, body = _error(500, "the status cannot be shown")
        headers = [
            ("Content-Type", kind), ("Content-Length", str(len(body))), *self._common_headers(),
            *_extra(code, allowed),
        ]
        try:
            for event in (
                h11.Response(status_code=code, headers=headers),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                await stream.send(protocol.send(event) or b"")
        except (h11.LocalProtocolError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # the asker is gone, or sent what cannot be answered
        return None

    def _methods(self, target: str) -> tuple[str, ...]:
        """Return the methods that a path answers; GET where there is nothing."""
        name, _, rest = target.partition("/")
        acts = name in self.actions and not rest
        reads = not acts or name in self.pages
        return (*(("GET",) if reads else ()), *(("POST",) if acts else ()))

    def _common_headers(self) -> list[tuple[str, str]]:
        return [("Connection", "close"), ("Cache-Control", "no-store"), *self.headers]

    async def _feed(self, protocol: h11.Connection, stream: SocketStream) -> None:
        """Send a feed, whose place was free when it was asked for."""
        if self.begin is None:
            return
        place = object()
        try:
            self._feeds.acquire_on_behalf_of_nowait(place)
        except anyio.WouldBlock:
            return
        try:
            await follow(protocol, stream, self.begin(), self._common_headers())
        finally:
            self._feeds.release_on_behalf_of(place)

    async def _request(self, protocol: h11.Connection, stream: SocketStream) -> h11.Request | None:
        """Return the request, or None when the connection ended before it was whole."""
        event = await next_event(protocol, stream)
        return event if isinstance(event, h11.Request) else None

    async def _answer(
        self, protocol: h11.Connection, stream: SocketStream, request: h11.Request
    ) -> Answer | None:
        """Return the answer, or None where the feed is to be sent."""
        target = _target(request)
        if target in self.public:
            return self.public[target]() if request.method == b"GET" else _only(("GET",))
        acts, reads = self._rights(request)
        if not (acts or reads):
            return _error(401, "the token of admin.json is needed")
        methods = self._methods(target)
        if request.method.decode("ascii") not in methods:
            return _only(methods)
        if request.method != b"POST":
            return self._read(target)
        if not acts:
            return _error(403, "this token only reads: it is that of the page")
        return await self._act(self.actions[target], await self._body(protocol, stream))

    def _rights(self, request: h11.Request) -> tuple[bool, bool]:
        """Return whether a request has the token that acts, and the one that reads."""
        shown = dict(request.headers).get(b"authorization", b"")
        acts, reads = (
            hmac.compare_digest(shown, f"Bearer {token}".encode("ascii"))
            for token in (self._token, self._reader)
        )
        return acts, reads

    def _read(self, target: str) -> Answer | None:
        """Return what is to be read at a path, or None where the feed is to be sent."""
        name, _, rest = target.partition("/")
        if name == "status" and not rest:
            return _json(self.status())
        if name == "metrics" and not rest:
            return 200, METRICS, self.metrics()
        if name == "feed" and not rest and self.begin is not None:
            if not self._feeds.available_tokens:
                return _error(503, f"{MAX_FEEDS} pages look already: close one")
            return None
        shown = self.pages[name](rest) if name in self.pages else None
        if shown is not None:
            return _json(shown)
        return _error(404, f"there are /status, /metrics{''.join(', /' + p for p in self.pages)}")

    async def _body(self, protocol: h11.Connection, stream: SocketStream) -> bytes | None:
        """Return the whole body, or None when it is too long; h11 refuses one that ends early.

        The rest of a body that is too long is read and dropped, within the time of a request: else
        the asker would see a reset in place of the answer.
        """
        body: bytes | None = b""
        while isinstance(event := await next_event(protocol, stream), h11.Data):
            fits = body is not None and len(body) + len(event.data) <= MAX_BODY_BYTES
            body = body + bytes(event.data) if body is not None and fits else None
        return body

    async def _act(self, action: Action, body: bytes | None) -> Answer:
        if body is None:
            return _error(413, f"the body is longer than {MAX_BODY_BYTES} octets")
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            return _error(400, "the body is no JSON")
        if not isinstance(document, dict):
            return _error(400, "the body is no JSON object")
        try:
            return _json(await action(document))
        except UserError as refusal:
            return _error(400, str(refusal))


async def next_event(protocol: h11.Connection, stream: ByteReceiveStream) -> Any:
    """Return the next event of an HTTP connection, which the end of the stream may end."""
    while (event := protocol.next_event()) is h11.NEED_DATA:
        try:
            protocol.receive_data(await stream.receive(MAX_HEADER_BYTES))
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            protocol.receive_data(b"")
    return event


def _json(document: Mapping[str, Any], code: int = 200) -> Answer:
    return code, JSON, json.dumps(document, sort_keys=True).encode("utf-8")


def _target(request: h11.Request) -> str:
    """Return the path that is asked for, without its slash and without a query."""
    return request.target.decode("latin-1").partition("?")[0].removeprefix("/")


def _only(methods: tuple[str, ...]) -> Answer:
    return _error(405, f"only {' and '.join(methods)} is answered here")


def _extra(code: int, allowed: str) -> list[tuple[str, str]]:
    """Return the headers that HTTP asks for with a code."""
    if code == HTTPStatus.UNAUTHORIZED:
        return [("WWW-Authenticate", "Bearer")]
    if code == HTTPStatus.METHOD_NOT_ALLOWED:
        return [("Allow", allowed)]
    return []


def _error(code: int, text: str) -> Answer:
    return code, JSON, json.dumps({"error": text}).encode("utf-8")


def fetch(home: Home, page: str) -> bytes:
    """Ask the node that runs on ``home`` for a page such as "/status" and return the body.

    Raises UserError when no node runs there, Unavailable when it does not answer.
    """
    code, body = _exchange(home, "GET", page)
    if code != HTTPStatus.OK:
        raise Unavailable(f"the node on {home.path} answered {code}: restart it")
    return body


def fetch_json(home: Home, page: str) -> dict[str, Any]:
    """Return the JSON object of a page of the node that runs on ``home``; errors as :func:`fetch`.
    """
    return _object(home, fetch(home, page))


def post(home: Home, page: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Ask the node that runs on ``home`` to do something; return its answer.

    Raises UserError when no node runs there or when it refuses, with its reason; Unavailable when
    it does not answer.
    """
    code, body = _exchange(home, "POST", page, json.dumps(document).encode("utf-8"))
    answer = _object(home, body)
    if code == HTTPStatus.BAD_REQUEST:
        raise UserError(str(answer.get("error")))
    if code != HTTPStatus.OK:
        said = f"{code} ({answer.get('error')})"
        raise Unavailable(f"the node on {home.path} answered {said}: restart it")
    return answer


def _object(home: Home, body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise Unavailable(f"the node on {home.path} sent no JSON: try again") from error
    if not isinstance(document, dict):
        raise Unavailable(f"the node on {home.path} sent no JSON object: try again")
    return document


def door(home: Home, token: str = "token") -> tuple[Endpoint, str]:
    """Return where the node that runs on ``home`` answers, and a token: "token" or "reader".

    Raises UserError when no node runs there.
    """
    if not home.path.is_dir():
        raise UserError(f"no home at {home.path}: make one with `init --home {home.path}`")
    if not home.admin.exists():
        raise UserError(_not_running(home))
    refuse_shared(home.admin)
    try:
        document = json.loads(read_bounded(home.admin, MAX_ADMIN_FILE_BYTES))
        return Endpoint(document["host"], int(document["port"])), str(document[token])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{home.admin} is damaged: restart the node") from error


def _not_running(home: Home) -> str:
    return f"no node runs on {home.path}: start it with `run --home {home.path}`"


def _exchange(home: Home, method: str, page: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Return the code and the body of an answer."""
    import httpx

    endpoint, token = door(home)
    # No TLS here, and so no certificates of authorities: to read them takes longer than the answer.
    no_authorities = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        # trust_env=False: a proxy of the environment must never see the token.
        with httpx.Client(
            trust_env=False, timeout=CLIENT_TIMEOUT_S, verify=no_authorities
        ) as client:
            answer = client.request(
                method, f"http://{endpoint}{page}", headers={"Authorization": f"Bearer {token}"},
                content=body,
            )
    except httpx.ConnectError as error:
        raise UserError(_not_running(home)) from error
    except httpx.HTTPError as error:
        raise Unavailable(f"the node on {home.path} does not answer: try again") from error
    return answer.status_code, answer.content


def fetch_status(home: Home) -> dict[str, Any]:
    """Return the status of the node that runs on ``home``; errors as :func:`fetch`."""
    return fetch_json(home, "/status")


def address_of_page(home: Home) -> str:
    """Return the address of the page of the node that runs on ``home``; errors as :func:`door`.

    The token stands in the fragment, which no browser sends, and it only reads.
    """
    endpoint, token = door(home, "reader")
    return f"http://{endpoint}/#token={token}"


def probe(home: Home, page: str) -> tuple[int, dict[str, Any]]:
    """Return the code and the JSON object of a page whatever its code; errors as :func:`fetch`."""
    code, body = _exchange(home, "GET", page)
    return code, _object(home, body)
