"""Reshare between honest parties: leavers, joiners, other thresholds, the same key."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import attrs
import pytest

from metanode.errors import LocalFault
from metanode.tss.keyshare import Keyshare, confirmation_digest
from metanode.tss.reshare import ReshareSession
from metanode.tss.verify import verify_signature
from tests.tss.support import (
    DIGEST,
    deal,
    deliver,
    identity_keys,
    reshare_sessions,
    results_of,
    seeded,
    sign_sessions,
)
from tests.tss.test_keygen import interpolate


def signs(shares: dict[int, Keyshare], signers: list[int]) -> bool:
    """Return whether these members give a good signature."""
    sessions = sign_sessions(shares, signers)
    deliver(sessions)
    signature = sessions[signers[0]].result
    return signature is not None and verify_signature(
        shares[signers[0]].public_key, DIGEST, signature.r, signature.s
    )


@pytest.mark.parametrize(
    ("old", "dealers", "holders", "threshold"),
    [
        ((2, 3), [1, 2, 3], [1, 2, 3], 2),
        ((2, 3), [1, 3], [1, 2, 3, 4, 5], 3),
        ((3, 4), [1, 2, 4], [4, 5], 2),
        ((2, 3), [1, 2], [4, 5, 6], 2),
        ((2, 2), [1, 2], [1, 2, 3], 3),
    ],
    ids=["same-roster", "joiners-and-higher-t", "leavers-and-lower-t", "all-new", "all-needed"],
)
def test_the_key_moves_to_the_new_members(
    old: tuple[int, int], dealers: list[int], holders: list[int], threshold: int
) -> None:
    """Catches a quorum change that moves the key, or leaves somebody with a share that is none."""
    before = deal(*old)
    sessions = reshare_sessions(before, dealers, holders, threshold)
    deliver(sessions)
    assert {session.state for session in sessions.values()} == {"finished"}
    after = results_of(sessions)
    assert sorted(after) == list(range(1, len(holders) + 1))
    packages = {confirmation_digest(s.package) for s in sessions.values() if s.package}
    assert len(packages) == 1
    for share in after.values():
        assert (share.public_key, share.key_id) == (before[1].public_key, before[1].key_id)
        assert (share.threshold, share.epoch) == (threshold, before[1].epoch + 1)
        assert share.chain_code == before[1].chain_code
        assert Keyshare.from_bytes(share.to_bytes()) == share
    for chosen in combinations(after.values(), threshold):
        assert interpolate(chosen) == before[1].public_key
    assert signs(after, list(range(1, threshold + 1)))


def test_one_key_through_growing_and_shrinking_quorums() -> None:
    """Catches an error that only the second change shows: 2 of 3, 3 of 5, 2 of 2."""
    shares = dict(deal(2, 3))
    for dealers, holders, threshold in (([2, 3], [1, 2, 3, 4, 5], 3), ([1, 4, 5], [1, 2], 2)):
        sessions = reshare_sessions(shares, dealers, holders, threshold)
        deliver(sessions)
        shares = results_of(sessions)
    assert shares[1].public_key == deal(2, 3)[1].public_key
    assert shares[1].epoch == 2
    assert signs(shares, [1, 2])


def test_who_only_deals_ends_without_a_share_and_who_only_holds_begins_without() -> None:
    """Catches a leaver that goes on holding, or that is sent transfers it has no use for."""
    sessions = reshare_sessions(deal(2, 3), [1, 2], [3, 4], 2)
    deliver(sessions)
    ended = [sessions[number].result is None for number in (1, 2, 3, 4)]
    assert ended == [True, True, False, False]
    assert sessions[1].package == sessions[4].package
    assert [len(sessions[1].members), len(set(sessions[1].members))] == [4, 4]


def test_shares_of_two_epochs_do_not_combine() -> None:
    """Catches old shares that help the new ones: what F-25 must erase would be of use."""
    old = deal(2, 3)
    sessions = reshare_sessions(old, [1, 2, 3], [1, 2, 3], 2)
    deliver(sessions)
    new = results_of(sessions)
    for one, other in ((1, 2), (2, 3), (3, 1)):
        assert interpolate([old[one], new[other]]) != old[1].public_key


GOOD: dict[str, Any] = {
    "identity": identity_keys(4)[0],
    "old": deal(2, 3)[1].package,
    "old_members": identity_keys(3),
    "dealers": [1, 2],
    "new_members": identity_keys(4),
    "threshold": 3,
    "session_context": b"",
    "entropy": seeded("x"),
    "keyshare": deal(2, 3)[1],
}


@pytest.mark.parametrize(
    "change",
    [
        {"identity": identity_keys(5)[4]},
        {"identity": identity_keys(4)[2]},
        {"identity": identity_keys(4)[1]},
        {"keyshare": None},
        {"keyshare": attrs.evolve(deal(2, 3)[1], epoch=1)},
        {"dealers": [1]},
        {"dealers": [2, 1]},
        {"dealers": [1, 1, 2]},
        {"dealers": [1, 4]},
        {"threshold": 1},
        {"threshold": 5},
        {"old_members": identity_keys(4)},
        {"new_members": identity_keys(4)[::-1]},
        {"new_members": identity_keys(1), "threshold": 1},
    ],
)
def test_bad_configuration_is_refused(change: dict[str, Any]) -> None:
    """Catches too few dealers, foreign shares and rosters that do not name the members."""
    ReshareSession(**GOOD)
    with pytest.raises(LocalFault):
        ReshareSession(**{**GOOD, **change})


def test_address_depends_on_everything_that_must_be_agreed() -> None:
    """Catches two changes that accept each other's messages."""
    changes: list[dict[str, Any]] = [
        {},
        {"dealers": [1, 3]},
        {"dealers": [1, 2, 3]},
        {"threshold": 2},
        {"new_members": identity_keys(5)},
        {"session_context": b"another"},
        {"old": deal(2, 3, "other")[1].package, "keyshare": deal(2, 3, "other")[1]},
    ]
    addresses = {ReshareSession(**{**GOOD, **change}).session_id for change in changes}
    assert len(addresses) == len(changes)
