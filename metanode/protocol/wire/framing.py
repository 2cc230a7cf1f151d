"""Frames: how a byte stream is cut into messages.

A frame is a 4-byte big-endian length followed by that many bytes. The length is checked against a
limit before anything is kept, so that a peer can never make the node hold more than the limit plus
one read. The limit is small until the peer is authenticated and is raised once, afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator

from metanode.errors import LocalFault, Malformed

PREFIX_BYTES = 4
UNAUTHENTICATED_LIMIT_BYTES = 4 * 1024
AUTHENTICATED_LIMIT_BYTES = 1024 * 1024


def encode_frame(payload: bytes, limit: int = AUTHENTICATED_LIMIT_BYTES) -> bytes:
    """Return ``payload`` behind its length prefix.

    Raises LocalFault when the payload is empty or longer than ``limit`` bytes: the peer would close
    the link, so sending it is a defect of ours.
    """
    if not payload:
        raise LocalFault("an empty frame must not be sent")
    if len(payload) > limit:
        raise LocalFault(f"frame of {len(payload)} bytes is over the limit of {limit}")
    return len(payload).to_bytes(PREFIX_BYTES, "big") + payload


class FrameReader:
    """Cuts incoming bytes into frames, in whatever pieces they arrive.

    Feed it with :meth:`feed` and take frames with :meth:`frames`. The frames are cut one at a time,
    so that :meth:`raise_limit` between two frames already holds for the second one.
    """

    def __init__(self, limit: int = UNAUTHENTICATED_LIMIT_BYTES) -> None:
        """Start with an upper bound of ``limit`` bytes a frame."""
        self._limit = limit
        self._buffer = bytearray()
        self._refusal: str | None = None

    @property
    def limit(self) -> int:
        """The largest frame accepted now, in bytes."""
        return self._limit

    def raise_limit(self, limit: int) -> None:
        """Accept frames of up to ``limit`` bytes from the next frame on; it never goes down."""
        if limit < self._limit:
            raise LocalFault("the frame limit only goes up")
        self._limit = limit

    def feed(self, data: bytes) -> None:
        """Take received bytes; raises Malformed once a refused frame has been seen."""
        if self._refusal is not None:
            raise Malformed(self._refusal)
        self._buffer += data
        self._pending_length()

    def frames(self) -> Iterator[bytes]:
        """Yield the whole frames that are buffered; raises Malformed at an empty or too long
        one."""
        while True:
            length = self._pending_length()
            if length is None or len(self._buffer) < PREFIX_BYTES + length:
                return
            frame = bytes(self._buffer[PREFIX_BYTES : PREFIX_BYTES + length])
            del self._buffer[: PREFIX_BYTES + length]
            yield frame

    def _pending_length(self) -> int | None:
        """Return the checked length of the frame that comes next, or None when it is not known."""
        if self._refusal is not None:
            raise Malformed(self._refusal)
        if len(self._buffer) < PREFIX_BYTES:
            return None
        length = int.from_bytes(self._buffer[:PREFIX_BYTES], "big")
        if length == 0:
            self._refuse("empty frame")
        if length > self._limit:
            self._refuse(f"frame of {length} bytes is over the limit of {self._limit}")
        return length

    def _refuse(self, reason: str) -> None:
        self._refusal = reason
        self._buffer.clear()
        raise Malformed(reason)
