"""What strangers say about endpoints costs a bounded amount and displaces nothing of value."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from metanode.protocol.peers.address_book import MAX_KNOWN
from metanode.protocol.peers.endpoints import Endpoint
from metanode.protocol.peers.exclusion import ExclusionTable
from metanode.protocol.peers.peering import KEEPALIVES_READ_A_PERIOD, Peering
from spec.parameters import MAINNET, Preset
from tests.support import node

SMALL = 512


def peering(*preconfigured: Endpoint, preset: Preset = MAINNET) -> Peering:
    """Return peering at time 0, with no randomness."""
    return Peering(
        preset=preset,
        listening=None,
        preconfigured=preconfigured,
        entropy=bytes,
        now=0.0,
    )


def test_only_linked_peers_are_listened_to() -> None:
    """Catches a keepalive that teaches us endpoints without a link behind it."""
    core = peering()
    assert core.keepalive_received(node(1), ["8.8.8.8:1"], 0.0) == ()
    assert core.known == ()


def test_bad_endpoints_are_refused_one_by_one() -> None:
    """Catches one bad entry that hides or spoils the good ones."""
    core = peering()
    core.link_up(node(1), "9.9.9.9", None, 0.0)
    entries = ["8.8.8.8:1", "127.0.0.1:22", "10.0.0.1:80", "x", "host.org:1", "[::1]:9", ""]
    assert core.keepalive_received(node(1), entries, 0.0) == tuple(entries[1:])
    assert core.known == (Endpoint("8.8.8.8", 1),)


def test_a_keepalive_is_read_up_to_eight_and_eight_a_period() -> None:
    """Catches a peer that fills our table with one message, or with many."""
    core = peering(preset=evolve(MAINNET, hearsay_per_source=1000))
    core.link_up(node(1), "9.9.9.9", None, 0.0)
    core.tick(0.0)
    for message in range(20):
        entries = [f"8.8.{message}.{number}:1" for number in range(200)]
        core.keepalive_received(node(1), entries, 0.0)
    assert len(core.known) == 8 * KEEPALIVES_READ_A_PERIOD


def test_gossip_cannot_displace_peers_that_we_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches an eclipse: the table, a small one here, is flushed with the attacker's endpoints."""
    monkeypatch.setattr("metanode.protocol.peers.address_book.MAX_KNOWN", SMALL)
    configured = Endpoint("8.8.8.8", 1)
    core = peering(configured)
    reached = Endpoint("8.8.4.4", 1)
    core.link_up(node(1), "8.8.4.4", reached, 0.0)
    core.link_down(node(1), 1.0)
    core.link_up(node(2), "9.9.9.9", None, 0.0)
    number = 0
    for period in range(1, SMALL // 8 + 10):
        core.tick(15.0 * period)
        for _ in range(KEEPALIVES_READ_A_PERIOD):
            entries = [f"11.{number >> 8 & 255}.{number & 255}.{index}:1" for index in range(1, 9)]
            number += 1
            core.keepalive_received(node(2), entries, 15.0 * period)
        if period == SMALL // 16:
            assert reached in core.known
    assert len(core.known) <= SMALL < MAX_KNOWN
    assert configured in core.known


def test_the_exclusion_table_is_bounded() -> None:
    """Catches memory that many misbehaving addresses can take."""
    table = ExclusionTable(MAINNET)
    for number in range(MAINNET.exclusion_entries + 100):
        table.add(str(number), 0.0, points=2)
    assert len(table) == MAINNET.exclusion_entries
    assert not table.excluded("0", 1.0)
    assert table.excluded(str(MAINNET.exclusion_entries), 1.0)


@given(st.lists(st.text(max_size=40), max_size=12))
def test_any_texts_are_survived(entries: list[str]) -> None:
    """Catches an exception on odd endpoints."""
    core = peering()
    core.link_up(node(1), "9.9.9.9", None, 0.0)
    core.keepalive_received(node(1), entries, 0.0)
    core.tick(100.0)
