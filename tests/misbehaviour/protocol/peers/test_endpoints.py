"""Texts that are no endpoint are refused with ValueError."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.protocol.peers.endpoints import parse_endpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        ":1",
        "1.2.3.4",
        "1.2.3.4:",
        "1.2.3.4:0",
        "1.2.3.4:65536",
        "1.2.3.4:99999999999999999999",
        "1.2.3.4:+1",
        "1.2.3.4:01",
        "1.2.3.4: 1",
        "1.2.3.4:١",
        "1.2.3:1",
        "01.2.3.4:1",
        "1.2.3.4.5:1",
        "0x7f.0.0.1:1",
        "2130706433:1",
        "::1:1",
        "[::1]",
        "[::1:1",
        "[1.2.3.4]:1",
        "[fe80::1%eth0]:1",
        "[::1]]:1",
        "a b:1",
        "host\n:1",
        "-host:1",
        "host-:1",
        "a..b:1",
        "x" * 300 + ":1",
        "ünïcode.org:1",
    ],
)
def test_bad_texts_are_refused(text: str) -> None:
    """Catches spellings that the resolver understands and the address checks do not."""
    with pytest.raises(ValueError, match=r"."):
        parse_endpoint(text, allow_names=True)


@given(st.text(max_size=60))
def test_any_text_parses_canonically_or_raises_value_error(text: str) -> None:
    """Catches another exception, and an endpoint whose text does not read back."""
    with contextlib.suppress(ValueError):
        endpoint = parse_endpoint(text, allow_names=True)
        assert parse_endpoint(str(endpoint), allow_names=True) == endpoint
