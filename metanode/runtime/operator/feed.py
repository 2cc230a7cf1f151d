"""Server-sent events over an HTTP connection that is open as long as somebody looks.

EventSource sends no header and would have to put the token into the address; the page reads the
stream by ``fetch``. A reader that does not read, and one that has gone, ends its stream.
"""

from __future__ import annotations

import json
from typing import Final

import anyio
import h11
from anyio.abc import SocketStream

from metanode.runtime.operator.view import PERIOD_S, Look

EVENTS: Final = "text/event-stream"
MAX_FEEDS: Final = 4
"""Streams at a time: each costs a status every half second."""
PATIENCE_S: Final = 5.0
"""So long may a document wait to be read."""


async def follow(
    protocol: h11.Connection, stream: SocketStream, look: Look, headers: list[tuple[str, str]]
) -> None:
    """Send what a look shows until the reader is gone, or the task is cancelled."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_until_gone, stream, tasks.cancel_scope)
        answer = h11.Response(status_code=200, headers=[("Content-Type", EVENTS), *headers])
        if not await _sent(stream, protocol.send(answer)):
            tasks.cancel_scope.cancel()
            return
        while True:
            text = json.dumps(await look(), sort_keys=True, separators=(",", ":"))
            event = h11.Data(data=f"data: {text}\n\n".encode())
            if not await _sent(stream, protocol.send(event)):
                break
            await anyio.sleep(PERIOD_S)
        tasks.cancel_scope.cancel()


async def _sent(stream: SocketStream, octets: bytes | None) -> bool:
    """Send, and return whether the reader has taken it in time."""
    with anyio.move_on_after(PATIENCE_S):
        try:
            await stream.send(octets or b"")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return False
        return True
    return False


async def _until_gone(stream: SocketStream, scope: anyio.CancelScope) -> None:
    """End the stream with its reader; what a reader says meanwhile is dropped."""
    try:
        while True:
            await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        scope.cancel()
