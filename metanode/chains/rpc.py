"""A JSON-RPC client for Bitcoin Core and its kin: exact amounts, bounded replies, typed errors.

It never retries: whether trying again is sound is known only to the caller.
"""

from __future__ import annotations

import ssl
from typing import Any, Self

import httpx

from metanode.chains import json_decimal
from metanode.errors import MetanodeError, Unavailable, UserError

DEFAULT_TIMEOUT_S = 30.0
MAX_RESPONSE_BYTES = 64 * 1024 * 1024  # a full block as JSON with hexadecimal has up to some 20 MB
IN_WARMUP = -28  # rpc/protocol.h: the daemon is starting

_BODY_STATUSES = {200, 400, 404, 500, 503}  # those with which a daemon sends a JSON-RPC error


class RpcError(MetanodeError):
    """The daemon refused a call: ``code`` and ``message`` of its JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message


class RpcClient:
    """Calls one daemon at ``url`` with HTTP basic authentication; an async context manager."""

    def __init__(
        self, url: str, credentials: tuple[str, str] | None = None, *,
        timeout_s: float = DEFAULT_TIMEOUT_S, max_response_bytes: int = MAX_RESPONSE_BYTES,
    ) -> None:
        self._url = url
        self._max_response_bytes = max_response_bytes
        # Certificates of authorities are read for https only: that takes longer than many answers.
        plain = url.startswith("http://")
        verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else True
        # trust_env off: a proxy from the environment must never see the daemon's password.
        self._http = httpx.AsyncClient(
            auth=credentials, timeout=timeout_s, trust_env=False, verify=verify
        )
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
        answer or not with JSON-RPC, :class:`UserError` when it does not accept the password.
        """
        self._calls += 1
        request = {"jsonrpc": "1.0", "id": self._calls, "method": method, "params": list(params)}
        status, body = await self._post(json_decimal.dumps(request).encode())
        if status in (401, 403):
            raise UserError(
                f"{self._url} refuses the RPC user or password: correct chain.rpc_user or the file "
                "named in chain.rpc_password_file"
            )
        if status not in _BODY_STATUSES:
            raise Unavailable(f"{self._url} answers {method} with HTTP status {status}")
        try:
            reply = json_decimal.loads(body)
        except ValueError as fault:
            raise Unavailable(f"{self._url} answers {method} with no JSON") from fault
        if not isinstance(reply, dict) or reply.get("id") != request["id"]:
            raise Unavailable(f"{self._url} answers {method} with no JSON-RPC reply")
        error = reply.get("error")
        if error is None:
            return reply.get("result")
        code = error.get("code") if isinstance(error, dict) else None
        if not isinstance(error, dict) or not isinstance(code, int):
            raise Unavailable(f"{self._url} answers {method} with a malformed error")
        if code == IN_WARMUP:
            raise Unavailable(f"{self._url} is starting: {error.get('message')}")
        raise RpcError(code, str(error.get("message")))

    async def _post(self, content: bytes) -> tuple[int, bytes]:
        # Not compressed: the length that is announced is then the length that arrives.
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        try:
            async with self._http.stream(
                "POST", self._url, content=content, headers=headers
            ) as response:
                length = response.headers.get("content-length", "")
                if not length.isdecimal() or int(length) > self._max_response_bytes:
                    raise Unavailable(f"{self._url} sends a reply of {length or 'unknown'} bytes")
                parts = [part async for part in response.aiter_raw()]
                return response.status_code, b"".join(parts)
        except httpx.HTTPError as fault:
            reason = str(fault) or type(fault).__name__
            raise Unavailable(f"no answer from {self._url}: {reason}") from fault
