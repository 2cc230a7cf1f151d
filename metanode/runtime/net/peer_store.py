"""The peer store: endpoints that were reached or added, kept in a file across restarts.

After an outage of any length it is what a node finds the others by. A file that is missing,
damaged, too long or written by another version is ignored with a warning, never an error: the
configured peers and the seeds are left.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Final

from attrs import frozen

from metanode.errors import Malformed, Unavailable, UserError
from metanode.identity import NODE_ID_BYTES
from metanode.protocol.peers.address_book import PeerRecord
from metanode.protocol.peers.endpoints import parse_endpoint
from metanode.protocol.wire.codec import Codec
from metanode.runtime.store.files import atomic_write, read_bounded

MAX_FILE_BYTES: Final = 1024 * 1024
MAX_STORED: Final = 2048
"""Peers in the file: far more than a start needs, and within the codec's item budget."""

Warn = Callable[[str], None]


@frozen
class StoredPeer:
    """One line of the store: an endpoint as text, when it was last seen (unix ms), who answered
    there, and whether the operator added it.
    """

    endpoint: str
    seen_ms: int
    node_id: bytes | None
    added: bool


@frozen
class StoredPeers:
    """The whole file."""

    KIND: ClassVar[str] = "peer_store_2"
    peers: tuple[StoredPeer, ...]


_CODEC: Final = Codec({StoredPeers.KIND: StoredPeers})


class PeerStore:
    """Reads and replaces the file; blocking, so the shell runs it in a worker thread."""

    def __init__(self, path: Path, warn: Warn) -> None:
        """Keep peers at ``path``; ``warn(text)`` is told what went wrong."""
        self._path = path
        self._warn = warn

    def load(self) -> tuple[PeerRecord, ...]:
        """Return the stored peers; empty, with a warning, when the file cannot be used."""
        if not self._path.exists():
            return ()
        try:
            stored: StoredPeers = _CODEC.decode(read_bounded(self._path, MAX_FILE_BYTES))
        except (Malformed, UserError) as error:
            self._warn(f"peer store {self._path} is ignored: {error}")
            return ()
        records = []
        for peer in stored.peers[:MAX_STORED]:
            try:
                endpoint = parse_endpoint(peer.endpoint, allow_names=True)
            except ValueError as error:
                self._warn(f"peer store: {peer.endpoint!r} is ignored: {error}")
                continue
            node_id = peer.node_id
            if node_id is not None and len(node_id) != NODE_ID_BYTES:
                self._warn(f"peer store: {peer.endpoint!r} is ignored: no node id")
                continue
            records.append(PeerRecord(endpoint, peer.seen_ms / 1000, node_id, peer.added))
        return tuple(records)

    def save(self, records: tuple[PeerRecord, ...]) -> None:
        """Replace the file by the first ``MAX_STORED`` records; warns when the disk refuses."""
        peers = tuple(
            StoredPeer(
                str(record.endpoint), int(record.seen_at * 1000), record.node_id, record.added
            )
            for record in records[:MAX_STORED]
        )
        try:
            atomic_write(self._path, _CODEC.encode(StoredPeers(peers)))
        except Unavailable as error:
            self._warn(f"peer store is not saved: {error}")
