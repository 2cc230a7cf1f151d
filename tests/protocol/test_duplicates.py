"""The duplicate filter lets a message through once in its window."""

from __future__ import annotations

from metanode.protocol.duplicates import DuplicateFilter


def test_a_digest_is_new_once_in_its_lifetime() -> None:
    """Catches a flood that never ends, and a filter that never forgets."""
    seen = DuplicateFilter(lifetime_s=60)
    assert seen.is_new(b"a", 0.0)
    assert not seen.is_new(b"a", 59.9)
    assert seen.is_new(b"b", 59.9)
    assert seen.is_new(b"a", 60.0)
    assert not seen.is_new(b"b", 60.0)
    assert seen.is_new(b"b", 200.0)
    assert len(seen) == 1
