"""The documents of a key generation, and the states in which its shares count."""

from __future__ import annotations

from metanode.protocol.keys.epoch import FIRST_EPOCH, Member, members_plain
from metanode.protocol.wire.codec import encode_canonical

USABLE = ("stored", "certified_by_all", "locked_in")


def keygen_document(
    network_id: bytes, slot: int, members: tuple[Member, ...], threshold: int, byzantine: int
) -> bytes:
    """Return what the members of a key generation agree on, in canonical CBOR."""
    return encode_canonical(
        {
            "byzantine": byzantine,
            "epoch": FIRST_EPOCH,
            "members": members_plain(members),
            "network": network_id,
            "slot": slot,
            "threshold": threshold,
        }
    )
