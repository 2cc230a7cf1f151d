"""Refresh between honest parties."""

from __future__ import annotations

from itertools import combinations

import pytest

from metanode.errors import LocalFault
from metanode.tss.keyshare import Keyshare
from metanode.tss.refresh import RefreshSession
from metanode.tss.verify import verify_signature
from tests.tss.support import (
    DIGEST,
    deal,
    deliver,
    identity_keys,
    refresh_sessions,
    results_of,
    seeded,
    sign_sessions,
)
from tests.tss.test_keygen import interpolate


def refreshed(threshold: int, count: int, epochs: int = 1) -> dict[int, Keyshare]:
    """Return the shares of a dealt key after some refreshes."""
    shares = dict(deal(threshold, count))
    for epoch in range(epochs):
        sessions = refresh_sessions(shares, seed=epoch)
        deliver(sessions)
        shares = results_of(sessions)
    return shares


@pytest.mark.parametrize(("threshold", "count"), [(2, 2), (2, 3), (3, 4)])
def test_the_key_stays_and_every_share_changes(threshold: int, count: int) -> None:
    """Catches a refresh that moves the key, or leaves a share, a seed or a transfer as it was."""
    old, new = deal(threshold, count), refreshed(threshold, count)
    assert sorted(new) == sorted(old)
    for index, share in new.items():
        before = old[index]
        assert (share.key_id, share.public_key) == (before.key_id, before.public_key)
        assert (share.threshold, share.chain_code) == (before.threshold, before.chain_code)
        assert share.epoch == before.epoch + 1
        assert share.secret_share != before.secret_share
        assert share.public_shares != before.public_shares
        assert Keyshare.from_bytes(share.to_bytes()) == share
        for peer, pair in share.pair_state.items():
            kept = before.pair_state[peer]
            assert pair.leaves != kept.leaves
            assert pair.punctured != kept.punctured
            assert pair.zero_seed != kept.zero_seed
    for chosen in combinations(new.values(), threshold):
        assert interpolate(chosen) == old[1].public_key


def test_shares_of_two_epochs_do_not_combine() -> None:
    """Catches an old share that still helps to sign after the refresh."""
    old, new = deal(2, 3), refreshed(2, 3)
    for one, other in ((1, 2), (2, 3), (3, 1)):
        assert interpolate([old[one], new[other]]) != old[1].public_key
    mixed = sign_sessions({1: old[1], 2: new[2]}, [1, 2])
    deliver(mixed)
    assert all(session.result is None for session in mixed.values())


def test_the_key_is_the_same_after_ten_epochs() -> None:
    """Catches drift: an error of one refresh that the next ones carry on."""
    shares = refreshed(2, 2, epochs=10)
    assert {share.epoch for share in shares.values()} == {10}
    assert {share.public_key for share in shares.values()} == {deal(2, 2)[1].public_key}
    sessions = sign_sessions(shares, [1, 2])
    deliver(sessions)
    signature = sessions[1].result
    assert signature is not None
    assert verify_signature(shares[1].public_key, DIGEST, signature.r, signature.s)


def test_refreshes_of_other_shares_or_contexts_do_not_meet() -> None:
    """Catches an address that ignores the old shares, the run or the members."""
    shares = deal(2, 3)
    base = refresh_sessions(shares)[1].session_id
    others = {
        refresh_sessions(shares, context=b"another")[1].session_id,
        refresh_sessions(deal(2, 3, "other"))[1].session_id,
        refresh_sessions(refreshed(2, 3))[1].session_id,
        refresh_sessions(deal(3, 3))[1].session_id,
    }
    assert len({base, *others}) == 5


@pytest.mark.parametrize("keys", [identity_keys(2), identity_keys(3)[::-1], [b""] * 3])
def test_a_wrong_roster_is_refused(keys: list[bytes]) -> None:
    """Catches a refresh among others than the members of the epoch."""
    with pytest.raises(LocalFault):
        RefreshSession(deal(2, 3)[1], b"", keys, seeded("x"))
