"""A JSON-RPC client for Bitcoin Core and its kin: exact amounts, bounded replies, typed errors.

One call is under way at a time, in the order in which they were asked, so that a daemon's queue is
never filled by one node. The password is read anew when the daemon refuses it: a daemon writes
another cookie at each start. Beyond that nothing is tried twice: whether that is sound is known
only to the caller.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

import anyio
import httpcore

from metanode.chains import json_decimal, replies
from metanode.errors import MetanodeError, Unavailable

DEFAULT_TIMEOUT_S = 30.0
KEEPALIVE_S = 5.0  # daemons end an idle connection after 30 s; one that is about to end is not used
MAX_RESPONSE_BYTES = 64 * 1024 * 1024  # a full block as JSON with hexadecimal has up to some 20 MB
MAX_MESSAGE_CHARACTERS = 300  # of what a daemon says when it refuses
IN_WARMUP = -28  # rpc/protocol.h: the daemon is starting

Shape = TypeVar("Shape")
Password = tuple[str, str] | None
"""User and password, or nothing for a daemon that asks for none."""

_REFUSED_STATUSES = {401, 403}
_FAULTS = (
    httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
)
_BODY_STATUSES = {200, 400, 404, 500, 503}  # those with which a daemon sends a JSON-RPC error


class RpcError(MetanodeError):
    """The daemon refused a call: ``code`` and ``message`` of its JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message


class Daemon(ABC):
    """A chain daemon that answers calls, wherever it runs."""

    @abstractmethod
    async def call(self, method: str, *params: Any) -> Any:
        """Call a method and return its result; see :meth:`RpcClient.call`."""

    async def ask(self, shape: type[Shape], method: str, *params: Any) -> Shape:
        """Call a method and return its result in a shape of :mod:`metanode.chains.replies`.

        Raises what :meth:`call` raises, and :class:`Unavailable` for a result of another shape.
        """
        found: Shape = replies.read(shape, method, await self.call(method, *params))
        return found

    async def require(self, shape: type[Shape], method: str, *params: Any) -> Shape:
        """Ask what a daemon has no reason to refuse: a refusal is :class:`Unavailable` too."""
        try:
            return await self.ask(shape, method, *params)
        except RpcError as fault:
            raise Unavailable(f"the chain daemon refuses {method}: {fault}") from fault

    async def batch(self, method: str, params: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Call a method several times; return the results in order, ``RpcError`` for a refusal."""
        results: list[Any] = []
        for each in params:
            try:
                results.append(await self.call(method, *each))
            except RpcError as refusal:
                results.append(refusal)
        return results

    async def ask_all(
        self, shape: type[Shape], method: str, params: Sequence[tuple[Any, ...]]
    ) -> list[Shape | RpcError]:
        """Call a method several times, as :meth:`batch`, and return the results in a shape."""
        return [
            found if isinstance(found, RpcError) else replies.read(shape, method, found)
            for found in await self.batch(method, params)
        ]


class RpcClient(Daemon):
    """Calls one daemon at ``url`` with HTTP basic authentication; an async context manager.

    ``password`` gives user and password when the client begins and each time they are refused.
    """

    def __init__(
        self, url: str, password: Callable[[], Password] | Password = None, *,
        timeout_s: float = DEFAULT_TIMEOUT_S, max_response_bytes: int = MAX_RESPONSE_BYTES,
    ) -> None:
        self._url = url
        self._read_password = password if callable(password) else lambda: password
        self._password: Password = None
        self._max_response_bytes = max_response_bytes
        # httpcore rather than httpx, which loads a console for its own command line, 9 MB of a
        # node's memory. It reads no proxy from the environment, which must not see the password.
        self._http = httpcore.AsyncConnectionPool(keepalive_expiry=KEEPALIVE_S)
        phases = ("connect", "read", "write", "pool")
        self._limits = {"timeout": dict.fromkeys(phases, timeout_s)}
        self._turn = anyio.Lock()
        self._calls = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(self, method: str, *params: Any) -> Any:
        """Call a method and return its result, fractions as ``Decimal``.

        Raises :class:`RpcError` when the daemon refuses, :class:`Unavailable` when it does not
        answer, not with JSON-RPC, or does not accept the password.
        """
        request = self._request(method, params)
        return self._result(method, request["id"], await self._exchange(method, request))

    async def batch(self, method: str, params: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Call a method several times in one request; see :meth:`Daemon.batch`."""
        if len(params) < 2:
            return await super().batch(method, params)
        requests = [self._request(method, each) for each in params]
        answer = await self._exchange(method, requests)
        if not isinstance(answer, list):
            answer = [answer] * len(requests)  # all are refused at once
        if len(answer) != len(requests):
            raise Unavailable(f"{self._url} answers {method} with {len(answer)} replies")
        results: list[Any] = []
        # Daemons answer in the order of the requests, and each answer says whose it is.
        for request, reply in zip(requests, answer, strict=True):
            try:
                results.append(self._result(method, request["id"], reply))
            except RpcError as refusal:
                results.append(refusal)
        return results

    def _request(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        self._calls += 1
        return {"jsonrpc": "1.0", "id": self._calls, "method": method, "params": list(params)}

    async def _exchange(self, method: str, content: Any) -> Any:
        """Post one request or several; return what comes back, if it is JSON."""
        async with self._turn:
            status, body = await self._authenticated(json_decimal.dumps(content).encode())
        if status in _REFUSED_STATUSES:
            raise Unavailable(
                f"{self._url} refuses the RPC user or password: correct chain.rpc_user or the file "
                "named in chain.rpc_password_file (for a cookie, leave chain.rpc_user empty)"
            )
        if status not in _BODY_STATUSES:
            raise Unavailable(f"{self._url} answers {method} with HTTP status {status}")
        try:
            return json_decimal.loads(body)
        except ValueError as fault:
            raise Unavailable(f"{self._url} answers {method} with no JSON") from fault

    def _result(self, method: str, call: int, reply: Any) -> Any:
        """Return the result in a reply, or raise what :meth:`call` raises."""
        if not isinstance(reply, dict) or reply.get("id") != call:
            raise Unavailable(f"{self._url} answers {method} with no JSON-RPC reply")
        error = reply.get("error")
        if error is None and "result" in reply:
            return reply["result"]
        code = error.get("code") if isinstance(error, dict) else None
        if not isinstance(error, dict) or type(code) is not int:
            raise Unavailable(f"{self._url} answers {method} with a malformed error")
        if code == IN_WARMUP:
            raise Unavailable(f"{self._url} is starting: {error.get('message')}")
        raise RpcError(code, str(error.get("message"))[:MAX_MESSAGE_CHARACTERS])

    async def _authenticated(self, content: bytes) -> tuple[int, bytes]:
        """Post with the password at hand; if that is refused, with another one that is there by
        now.
        """
        if self._password is None:
            self._password = self._read_password()
        status, body = await self._post(content)
        if status in _REFUSED_STATUSES and (fresh := self._read_password()) != self._password:
            self._password = fresh
            status, body = await self._post(content)
        return status, body

    async def _post(self, content: bytes) -> tuple[int, bytes]:
        # Not compressed: what is counted is then what is read.
        headers: dict[bytes | str, bytes | str] = {
            "content-type": "application/json", "accept-encoding": "identity"
        }
        if self._password is not None:
            opened = b64encode(":".join(self._password).encode()).decode("ascii")
            headers["authorization"] = f"Basic {opened}"
        try:
            async with self._http.stream(
                "POST", self._url, content=content, headers=headers, extensions=self._limits
            ) as response:
                found = {name.lower(): value for name, value in response.headers}
                length = found.get(b"content-length", b"0").decode("latin-1")
                if not length.isdecimal() or int(length) > self._max_response_bytes:
                    raise Unavailable(f"{self._url} sends a reply of {length[:20]} bytes")
                parts, size = [], 0
                async for part in response.aiter_stream():
                    parts.append(part)
                    size += len(part)
                    if size > self._max_response_bytes:
                        raise Unavailable(f"{self._url} sends more than {size} bytes")
                return response.status, b"".join(parts)
        except _FAULTS as fault:
            reason = str(fault) or type(fault).__name__
            raise Unavailable(f"no answer from {self._url}: {reason}") from fault
