"""Hostile byte streams cost a bounded amount and are refused for good."""

from __future__ import annotations

import pytest

from metanode.errors import Malformed
from metanode.protocol.wire.framing import FrameReader, encode_frame


@pytest.mark.parametrize("length", [4097, 1 << 20, 0xFFFFFFFF])
def test_a_too_long_frame_is_refused_at_its_prefix(length: int) -> None:
    """Catches a reader that allocates or waits for the announced length."""
    reader = FrameReader(limit=4096)
    with pytest.raises(Malformed, match="over the limit"):
        reader.feed(length.to_bytes(4, "big"))
    assert len(reader._buffer) == 0


def test_a_dripped_prefix_is_refused_at_its_last_byte() -> None:
    """Catches a length check that needs the prefix in one piece."""
    reader = FrameReader(limit=4096)
    for byte in b"\x00\x00\x10":
        reader.feed(bytes([byte]))
    with pytest.raises(Malformed):
        reader.feed(b"\x01")


def test_an_empty_frame_is_refused() -> None:
    """Catches a peer that keeps a link busy with nothing."""
    reader = FrameReader()
    with pytest.raises(Malformed, match="empty"):
        reader.feed(bytes(4))


def test_a_refused_stream_stays_refused() -> None:
    """Catches a reader that finds its feet again in the middle of garbage."""
    reader = FrameReader(limit=4)
    with pytest.raises(Malformed):
        reader.feed(encode_frame(b"too long"))
    with pytest.raises(Malformed):
        reader.feed(encode_frame(b"ok"))
    with pytest.raises(Malformed):
        list(reader.frames())


def test_a_good_frame_before_a_bad_one_is_still_cut() -> None:
    """Catches a reader that loses what was complete, or never reaches the bad frame."""
    reader = FrameReader(limit=4)
    reader.feed(encode_frame(b"good") + b"\x00\x00\x00\x05")
    frames = reader.frames()
    assert next(frames) == b"good"
    with pytest.raises(Malformed):
        next(frames)


def test_no_more_than_the_limit_is_held() -> None:
    """Catches unbounded buffering of a frame that never ends."""
    reader = FrameReader(limit=4096)
    reader.feed((4096).to_bytes(4, "big") + bytes(4095))
    assert list(reader.frames()) == []
    assert len(reader._buffer) <= 4096 + 4
