"""A key as one node holds it, and the documents that its members agree on."""

from __future__ import annotations

from attrs import field, frozen

from metanode.protocol.codec import Plain, encode_canonical
from metanode.protocol.context import KeyEpoch, Member, whole
from metanode.protocol.hashing import tagged_hash
from metanode.protocol.view import Quorum
from metanode.tss.keyshare import Keyshare, confirmation_digest
from spec.messages import Confirmation

FIRST_EPOCH = 1
USABLE = ("stored", "certified_by_all", "locked_in")


@frozen
class StoredKey:
    """One node's share of one key with the members that made it; what is put in store."""

    slot: int
    members: tuple[Member, ...]
    threshold: int
    byzantine: int
    keyshare: Keyshare = field(repr=False)

    @property
    def roster(self) -> tuple[bytes, ...]:
        """The holders in the order of their party indices."""
        return tuple(sorted(member.node_id for member in self.members))

    @property
    def quorum(self) -> Quorum:
        """The holders with t and f."""
        return Quorum(self.roster, self.threshold, self.byzantine)

    @property
    def confirmation(self) -> Confirmation:
        """What every member must confirm."""
        return Confirmation(self.slot, self.keyshare.epoch, confirmation_digest(self.keyshare))

    def epoch(self) -> KeyEpoch:
        """Return the key epoch that this key is once it is locked in."""
        oldest_first = sorted(self.members, key=lambda m: (m.height, m.node_id))
        share = self.keyshare
        return KeyEpoch(
            slot=self.slot,
            number=share.epoch,
            key_id=share.key_id,
            public_key=share.public_key,
            roster=self.roster,
            quorum=self.quorum,
            seniority=tuple(m.node_id for m in oldest_first),
            keyshare=share,
        )


def keygen_document(
    network_id: bytes, slot: int, members: tuple[Member, ...], threshold: int, byzantine: int
) -> bytes:
    """Return what the members of a key generation agree on, in canonical CBOR."""
    listed: list[Plain] = [
        {"height": m.height, "index": m.stake.index, "node": m.node_id, "txid": m.stake.txid}
        for m in members
    ]
    return encode_canonical(
        {
            "byzantine": byzantine,
            "epoch": FIRST_EPOCH,
            "members": listed,
            "network": network_id,
            "slot": slot,
            "threshold": threshold,
        }
    )


def lock_in_digest(network_id: bytes, key: StoredKey) -> bytes:
    """Return what the key signs to lock itself in: its own name on this network."""
    share = key.keyshare
    return tagged_hash(
        "lock-in",
        network_id,
        share.key_id,
        share.public_key,
        whole(share.epoch),
        key.confirmation.digest,
    )
