"""Frames are cut from a stream exactly as they were put in."""

from __future__ import annotations

import pytest

from metanode.errors import LocalFault
from metanode.protocol.wire.framing import FrameReader, encode_frame


def test_frames_come_out_as_they_went_in_whatever_the_pieces() -> None:
    """Catches a reader that depends on how TCP cuts the stream."""
    payloads = [bytes([n % 251]) * n for n in (1, 2, 3, 255, 256, 4000)]
    stream = b"".join(encode_frame(payload) for payload in payloads)
    for size in (1, 2, 3, 7, 64, 5000, len(stream)):
        reader = FrameReader()
        cut: list[bytes] = []
        for start in range(0, len(stream), size):
            reader.feed(stream[start : start + size])
            cut += reader.frames()
        assert cut == payloads
        assert len(reader._buffer) == 0


def test_the_prefix_is_four_bytes_big_endian() -> None:
    """Catches a changed wire format."""
    assert encode_frame(b"abc") == b"\x00\x00\x00\x03abc"


def test_the_limit_can_be_raised_between_two_frames_of_one_read() -> None:
    """Catches a reader that judges the first big frame by the limit of the handshake."""
    reader = FrameReader(limit=8)
    reader.feed(encode_frame(b"ready") + encode_frame(b"x" * 100))
    frames = reader.frames()
    assert next(frames) == b"ready"
    reader.raise_limit(1000)
    assert next(frames) == b"x" * 100
    assert list(frames) == []


def test_our_own_faults_are_local() -> None:
    """Catches a node that sends what its peers must refuse."""
    for payload, limit in ((b"", 10), (b"12345", 4)):
        with pytest.raises(LocalFault):
            encode_frame(payload, limit)
    with pytest.raises(LocalFault):
        FrameReader(limit=8).raise_limit(7)
