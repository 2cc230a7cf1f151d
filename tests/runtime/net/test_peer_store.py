"""The peer store remembers endpoints across restarts."""

from __future__ import annotations

from pathlib import Path

from metanode.protocol.peers.address_book import PeerRecord
from metanode.protocol.peers.endpoints import Endpoint
from metanode.runtime.net.peer_store import MAX_STORED, PeerStore


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    """Catches lost peers, also IPv6 and configured names; times hold to a millisecond."""
    warnings: list[str] = []
    store = PeerStore(tmp_path / "peers", warnings.append)
    records = (
        PeerRecord(Endpoint("1.2.3.4", 5), 1_790_000_000.125),
        PeerRecord(Endpoint("2001:db8::1", 6), 1_790_000_001.0),
        PeerRecord(Endpoint("peer.example.org", 7), 1_790_000_002.0),
    )
    assert store.load() == ()
    store.save(records)
    assert PeerStore(tmp_path / "peers", warnings.append).load() == records
    store.save(records[:1])
    assert store.load() == records[:1]
    assert warnings == []
    assert [path.name for path in tmp_path.iterdir()] == ["peers"]


def test_the_store_is_bounded(tmp_path: Path) -> None:
    """Catches a file that grows with gossip; the first records are the newest."""
    store = PeerStore(tmp_path / "peers", print)
    records = tuple(
        PeerRecord(Endpoint(f"1.2.{number >> 8}.{number & 255}", 5), 1.0)
        for number in range(MAX_STORED + 5)
    )
    store.save(records)
    assert store.load() == records[:MAX_STORED]
