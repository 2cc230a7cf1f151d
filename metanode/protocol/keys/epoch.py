"""One sharing of the key: its holders, its public part, and this node's share of it.

The first epoch comes from key generation, each later one from a regroup. Its document holds all
that everybody may know; the key itself signs it: the first one in the lock-in, each later one by
the shares of the epoch before. So a node that knows the public key can check all the rest itself.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from attrs import field, frozen

from metanode.custody.types import Outpoint
from metanode.errors import LocalFault, Malformed
from metanode.hashing import tagged_hash
from metanode.protocol.tables.view import Quorum
from metanode.protocol.wire.codec import Plain, decode_canonical, encode_canonical
from metanode.tss import curve
from metanode.tss.keyshare import MAX_EPOCH, Keyshare, PublicPackage, confirmation_digest
from spec.messages import (
    DOCUMENT_OCTETS,
    HASH_OCTETS,
    MEMBERS_LIMIT,
    NODE_ID_OCTETS,
    Confirmation,
)
from spec.parameters import quorum_fault

FIRST_EPOCH = 1
NONE_BEFORE = 0
NUMBER_LIMIT = 1 << 63
INDEX_LIMIT = 1 << 32


@frozen
class Member:
    """A node in a roster: its id, its stake, and the stake's height, which is its seniority."""

    node_id: bytes
    stake: Outpoint
    height: int


@frozen(kw_only=True)
class KeyEpoch:
    """A sharing of the key; ``keyshare`` is None at a node that holds no share of it.

    ``slot`` is the keygen slot that made the key; ``follows`` the number of the epoch before, 0 for
    the first; ``members`` are in ascending order of node ids, which gives the party indices 1..n.
    ``barred`` are stakes of nodes that spoilt dealings: they bring nobody in again.
    """

    slot: int
    follows: int = NONE_BEFORE
    members: tuple[Member, ...]
    byzantine: int
    package: PublicPackage
    barred: tuple[Outpoint, ...] = ()
    keyshare: Keyshare | None = field(default=None, repr=False, eq=False)

    @property
    def number(self) -> int:
        """The number of the epoch: 1 for the first, later ones are larger."""
        return self.package.epoch

    @property
    def key_id(self) -> bytes:
        """The 32-byte id of the key, the same in every epoch."""
        return self.package.key_id

    @property
    def public_key(self) -> bytes:
        """The public key (33 bytes), the same in every epoch."""
        return self.package.public_key

    @property
    def threshold(self) -> int:
        """How many shares sign."""
        return self.package.threshold

    @cached_property
    def roster(self) -> tuple[bytes, ...]:
        """The holders in the order of their party indices."""
        return tuple(member.node_id for member in self.members)

    @cached_property
    def quorum(self) -> Quorum:
        """The holders with t and f."""
        return Quorum(self.roster, self.threshold, self.byzantine)

    @cached_property
    def seniority(self) -> tuple[bytes, ...]:
        """The holders, the oldest stake first."""
        return tuple(m.node_id for m in sorted(self.members, key=lambda m: (m.height, m.node_id)))

    @property
    def share(self) -> Keyshare:
        """This node's share; a defect if it has none."""
        if self.keyshare is None:
            raise LocalFault(f"this node holds no share of epoch {self.number}")
        return self.keyshare

    @property
    def confirmation(self) -> Confirmation:
        """What every member of a key generation must confirm."""
        return Confirmation(self.slot, self.number, confirmation_digest(self.package))

    def index_of(self, node_id: bytes) -> int:
        """Return the party index 1..n of a holder."""
        return self.roster.index(node_id) + 1

    def public_share(self, node_id: bytes) -> bytes:
        """Return the public share (33 bytes) of a holder."""
        return self.package.public_shares[self.index_of(node_id) - 1]

    def encode(self) -> bytes:
        """Return the document: everything but the share, in canonical CBOR."""
        return self._document

    @cached_property
    def _document(self) -> bytes:
        package = self.package
        barred: dict[str, Plain] = {"barred": outpoints_plain(self.barred)} if self.barred else {}
        return encode_canonical(
            barred | {
                "byzantine": self.byzantine,
                "chain_code": package.chain_code,
                "epoch": package.epoch,
                "follows": self.follows,
                "key_id": package.key_id,
                "members": members_plain(self.members),
                "public_key": package.public_key,
                "public_shares": list(package.public_shares),
                "slot": self.slot,
                "threshold": package.threshold,
            }
        )

    def digest(self, network_id: bytes) -> bytes:
        """Return what the key signs to name this epoch on this network."""
        return tagged_hash("epoch", network_id, self.encode())


def members_plain(members: tuple[Member, ...]) -> list[Plain]:
    """Return members as they stand in documents."""
    return [
        {"height": m.height, "index": m.stake.index, "node": m.node_id, "txid": m.stake.txid}
        for m in members
    ]


def outpoints_plain(outpoints: tuple[Outpoint, ...]) -> list[Plain]:
    """Return outputs as they stand in documents."""
    return [{"index": outpoint.index, "txid": outpoint.txid} for outpoint in outpoints]


def decode_epoch(document: bytes, keyshare: Keyshare | None = None) -> KeyEpoch:
    """Return the epoch of a document, with a share of it; raises Malformed naming what is wrong.

    What is checked is the form, and that its numbers keep SAFE-SIGN 1; whether the key signed it is
    the caller's question.
    """
    if len(document) > DOCUMENT_OCTETS:
        raise Malformed("an epoch's document is too long")
    plain = decode_canonical(document)
    fields = _Fields(plain)
    members = tuple(_member(item) for item in fields.items("members"))
    shares = tuple(_point(item) for item in fields.items("public_shares"))
    epoch = KeyEpoch(
        slot=fields.number("slot", NUMBER_LIMIT),
        follows=fields.number("follows", MAX_EPOCH + 1),
        members=members,
        byzantine=fields.number("byzantine", MEMBERS_LIMIT),
        package=PublicPackage(
            fields.octets("key_id", HASH_OCTETS), fields.number("epoch", MAX_EPOCH + 1),
            fields.number("threshold", MEMBERS_LIMIT + 1),
            _point(fields.octets("public_key", NODE_ID_OCTETS)), shares,
            fields.octets("chain_code", HASH_OCTETS),
        ),
        barred=tuple(_outpoint(item) for item in fields.items("barred", optional=True)),
        keyshare=keyshare,
    )
    ids = list(epoch.roster)
    if ids != sorted(set(ids)) or len(shares) != len(ids) or epoch.number <= epoch.follows:
        raise Malformed("an epoch's members, shares and number do not fit together")
    if (fault := quorum_fault(len(ids), epoch.threshold, epoch.byzantine)) is not None:
        raise Malformed(f"an epoch with unsafe numbers: {fault}")
    if epoch.encode() != document:
        raise Malformed("an epoch's document has other fields")
    return epoch


class _Fields:
    """The fields of a decoded map, each asked for with its type and bound."""

    def __init__(self, plain: Any) -> None:
        if type(plain) is not dict:
            raise Malformed("an epoch's document is no map")
        self._plain = plain

    def number(self, name: str, below: int) -> int:
        value = self._plain.get(name)
        if type(value) is not int or not 0 <= value < below:
            raise Malformed(f"an epoch's {name} is no number below {below}")
        return value

    def octets(self, name: str, length: int) -> bytes:
        value = self._plain.get(name)
        if type(value) is not bytes or len(value) != length:
            raise Malformed(f"an epoch's {name} has not {length} octets")
        return value

    def items(self, name: str, *, optional: bool = False) -> list[Any]:
        value = self._plain.get(name, [] if optional else None)
        if type(value) is not list or len(value) > MEMBERS_LIMIT:
            raise Malformed(f"an epoch's {name} is no list of at most {MEMBERS_LIMIT}")
        return value


def _member(item: Any) -> Member:
    fields = _Fields(item)
    node_id = fields.octets("node", NODE_ID_OCTETS)
    return Member(node_id, _outpoint(item), fields.number("height", INDEX_LIMIT))


def _outpoint(item: Any) -> Outpoint:
    fields = _Fields(item)
    return Outpoint(fields.octets("txid", HASH_OCTETS), fields.number("index", INDEX_LIMIT))


def _point(item: Any) -> bytes:
    if type(item) is not bytes or curve.parse_point(item) is None:
        raise Malformed("an epoch's public key or share is no point")
    return item
