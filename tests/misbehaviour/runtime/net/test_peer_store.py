"""A damaged peer store costs a warning and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from metanode.protocol.peers.address_book import PeerRecord
from metanode.protocol.peers.endpoints import Endpoint
from metanode.protocol.wire.codec import encode_canonical
from metanode.runtime.net.peer_store import MAX_FILE_BYTES, PeerStore

RECORD = PeerRecord(Endpoint("1.2.3.4", 5), 1.0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        b"\xff" * 100,
        b"{}",
        bytes(MAX_FILE_BYTES + 1),
        encode_canonical({"k": "peer_store_0", "b": {"peers": []}}),
        encode_canonical({"k": "peer_store_2", "b": {"peers": [{"endpoint": 1, "seen_ms": 1}]}}),
    ],
)
def test_a_damaged_file_starts_empty_with_a_warning(tmp_path: Path, content: bytes) -> None:
    """Catches a node that does not start because of a cache."""
    path = tmp_path / "peers"
    path.write_bytes(content)
    warnings: list[str] = []
    store = PeerStore(path, warnings.append)
    assert store.load() == ()
    assert len(warnings) == 1
    store.save((RECORD,))
    assert store.load() == (RECORD,)


def test_every_cut_of_a_file_is_survived(tmp_path: Path) -> None:
    """Catches an exception on a file that a full disk cut short."""
    path = tmp_path / "peers"
    store = PeerStore(path, lambda text: None)
    store.save((RECORD, RECORD))
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert store.load() == ()


def test_bad_endpoints_in_a_good_file_are_skipped(tmp_path: Path) -> None:
    """Catches one bad line that loses the others."""
    path = tmp_path / "peers"
    peers = [
        {"endpoint": "nonsense", "seen_ms": 1000, "node_id": None, "added": False},
        {"endpoint": "1.2.3.4:5", "seen_ms": 1000, "node_id": None, "added": False},
    ]
    path.write_bytes(encode_canonical({"k": "peer_store_2", "b": {"peers": peers}}))
    warnings: list[str] = []
    assert PeerStore(path, warnings.append).load() == (RECORD,)
    assert len(warnings) == 1


def test_a_disk_that_refuses_is_a_warning(tmp_path: Path) -> None:
    """Catches a node that stops because a cache cannot be written."""
    warnings: list[str] = []
    PeerStore(tmp_path / "missing" / "peers", warnings.append).save((RECORD,))
    assert len(warnings) == 1
