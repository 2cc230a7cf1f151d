"""Floods cannot grow the duplicate filter, nor can repeating keep an entry alive."""

from __future__ import annotations

from metanode.protocol.duplicates import DuplicateFilter


def test_the_filter_is_bounded_and_drops_the_oldest() -> None:
    """Catches memory that a flood of new messages can take."""
    seen = DuplicateFilter(lifetime_s=60, max_entries=3)
    for name in (b"a", b"b", b"c", b"d"):
        assert seen.is_new(name, 1.0)
    assert len(seen) == 3
    assert not seen.is_new(b"d", 2.0)
    assert seen.is_new(b"a", 2.0)


def test_repeating_does_not_extend_the_window() -> None:
    """Catches a peer that silences a message for ever by repeating it."""
    seen = DuplicateFilter(lifetime_s=60)
    assert seen.is_new(b"a", 0.0)
    for second in range(1, 60):
        assert not seen.is_new(b"a", float(second))
    assert seen.is_new(b"a", 60.0)
