"""Key epochs: their documents, their names, and what a document must hold to be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from metanode.custody.types import Outpoint
from metanode.errors import LocalFault, Malformed
from metanode.protocol.keys.epoch import KeyEpoch, Member, decode_epoch
from metanode.protocol.wire.codec import decode_canonical, encode_canonical
from metanode.tss import curve
from metanode.tss.keyshare import PublicPackage
from spec.messages import DOCUMENT_OCTETS
from spec.parameters import quorum_fault

NETWORK = bytes([9]) * 32
POINTS = tuple(curve.encode_point(curve.generator_mult(number)) for number in range(1, 6))
HEIGHTS = (140, 120, 120, 130)


def epoch_of(number: int = 5, follows: int = 3, threshold: int = 3, byzantine: int = 1) -> KeyEpoch:
    """Return an epoch of four members; the second and third have the oldest stakes."""
    members = tuple(
        Member(POINTS[place], Outpoint(bytes([place + 1]) * 32, place), height)
        for place, height in enumerate(HEIGHTS)
    )
    members = tuple(sorted(members, key=lambda member: member.node_id))
    package = PublicPackage(
        bytes([7]) * 32, number, threshold, POINTS[4], POINTS[:4], bytes([8]) * 32
    )
    return KeyEpoch(
        slot=77, follows=follows, members=members, byzantine=byzantine, package=package
    )


def test_a_document_is_read_as_it_was_written() -> None:
    """Catches a field that is lost, or read as another one."""
    epoch = epoch_of()
    again = decode_epoch(epoch.encode())
    assert again == epoch
    assert again.encode() == epoch.encode()
    assert (again.number, again.threshold, again.byzantine) == (5, 3, 1)


def other_package(**change: object) -> Callable[[KeyEpoch], KeyEpoch]:
    """Return a change to the public package."""
    return lambda epoch: evolve(epoch, package=evolve(epoch.package, **change))


def other_member(**change: object) -> Callable[[KeyEpoch], KeyEpoch]:
    """Return a change to the first member."""

    def changed(epoch: KeyEpoch) -> KeyEpoch:
        return evolve(epoch, members=(evolve(epoch.members[0], **change), *epoch.members[1:]))

    return changed


CHANGES: dict[str, Callable[[KeyEpoch], KeyEpoch]] = {
    "slot": lambda epoch: evolve(epoch, slot=78),
    "follows": lambda epoch: evolve(epoch, follows=4),
    "byzantine": lambda epoch: evolve(epoch, byzantine=0),
    "number": other_package(epoch=6),
    "threshold": other_package(threshold=4),
    "key id": other_package(key_id=bytes(32)),
    "public key": other_package(public_key=POINTS[0]),
    "public shares": other_package(public_shares=POINTS[1:]),
    "chain code": other_package(chain_code=bytes(32)),
    "member": other_member(node_id=curve.encode_point(curve.generator_mult(99))),
    "stake": other_member(stake=Outpoint(bytes(32), 0)),
    "stake index": other_member(stake=Outpoint(bytes([1]) * 32, 3)),
    "seniority": other_member(height=1),
}


@pytest.mark.parametrize("field", CHANGES)
def test_the_name_of_an_epoch_covers_every_field(field: str) -> None:
    """Catches an epoch that differs in something the key did not sign."""
    epoch = epoch_of()
    assert CHANGES[field](epoch).digest(NETWORK) != epoch.digest(NETWORK)


def test_the_name_of_an_epoch_belongs_to_one_network() -> None:
    """Catches a signature of a test network that counts in the real one."""
    assert epoch_of().digest(NETWORK) != epoch_of().digest(bytes(32))


def test_roster_seniority_and_quorum() -> None:
    """Catches party indices that follow the stakes, and an order that ids of equal stakes break."""
    epoch = epoch_of()
    assert list(epoch.roster) == sorted(POINTS[:4])
    ages = {member.node_id: (member.height, member.node_id) for member in epoch.members}
    assert list(epoch.seniority) == sorted(epoch.roster, key=ages.__getitem__)
    assert [ages[node][0] for node in epoch.seniority] == [120, 120, 130, 140]
    assert (epoch.quorum.holders, epoch.quorum.threshold, epoch.quorum.faulty) == (
        epoch.roster, 3, 1
    )
    third = epoch.roster[2]
    assert epoch.index_of(third) == 3
    assert epoch.public_share(third) == POINTS[2]


def test_an_epoch_without_a_share_says_so() -> None:
    """Catches a node that would sign with nothing."""
    with pytest.raises(LocalFault, match="no share of epoch 5"):
        _ = epoch_of().share


def test_unsafe_numbers_are_refused() -> None:
    """SAFE-SIGN 1: catches a quorum that could sign twice, or that one silent member stops."""
    for threshold, byzantine in ((2, 1), (4, 1), (3, 2), (0, 0), (5, 0)):
        assert quorum_fault(4, threshold, byzantine) is not None
        document = epoch_of(threshold=threshold, byzantine=byzantine).encode()
        with pytest.raises(Malformed):
            decode_epoch(document)


def replaced(**change: Any) -> bytes:
    """Return a document with other fields."""
    return encode_canonical({**decode_canonical(epoch_of().encode()), **change})


MEMBER = {"height": 1, "index": 0, "node": POINTS[0], "txid": bytes(32)}


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"\xff",
        encode_canonical([1]),
        encode_canonical({}),
        epoch_of().encode() + b"\0",
        bytes(DOCUMENT_OCTETS + 1),
        replaced(extra=1),
        replaced(epoch=3),
        replaced(epoch=1 << 32),
        replaced(epoch=True),
        replaced(follows=5),
        replaced(follows=-1),
        replaced(slot=1 << 63),
        replaced(threshold=257),
        replaced(byzantine=256),
        replaced(key_id=bytes(31)),
        replaced(chain_code="text"),
        replaced(public_key=bytes(33)),
        replaced(public_shares=[bytes(33)] * 4),
        replaced(public_shares=list(POINTS[:3])),
        replaced(public_shares=list(POINTS[:1]) * 257),
        replaced(public_shares={}),
        replaced(members=[]),
        replaced(members=[MEMBER] * 4),
        replaced(members=[1, 2, 3, 4]),
        replaced(members=[{**MEMBER, "height": 1 << 32}]),
        replaced(members=[{**MEMBER, "node": bytes(32)}]),
        replaced(members=decode_canonical(epoch_of().encode())["members"][::-1]),
    ],
)
def test_what_is_no_document_is_refused(document: bytes) -> None:
    """Catches a document without a bound, with a form of its own, or that ends in a traceback."""
    with pytest.raises(Malformed):
        decode_epoch(document)
