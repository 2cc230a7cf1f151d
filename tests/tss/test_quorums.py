"""Every t of n up to six, in any order of delivery: one key, in every t of its shares."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from random import Random

import pytest

from metanode.tss.keyshare import Keyshare, confirmation_digest
from metanode.tss.parameters import SEED_BYTES
from tests.tss.support import (
    DIGEST,
    deal,
    deliver,
    keygen_sessions,
    refresh_sessions,
    reshare_sessions,
    results_of,
    sign_sessions,
)
from tests.tss.test_keygen import interpolate
from tests.tss.test_sign import check_everywhere, outcome

pytestmark = pytest.mark.usefixtures("ideal_base_transfers")

QUORUMS = [(t, n) for n in range(2, 7) for t in range(2, n + 1)]
ALL = pytest.mark.parametrize(("threshold", "count"), QUORUMS)


def seeds(joined: bytes) -> set[bytes]:
    """Return the leaves of all trees."""
    return {joined[at : at + SEED_BYTES] for at in range(0, len(joined), SEED_BYTES)}


def check_shares(shares: Mapping[int, Keyshare], threshold: int, count: int) -> None:
    """Assert that any t of the shares are the key, no t-1 are, and that all pairs fit."""
    assert sorted(shares) == list(range(1, count + 1))
    assert len({confirmation_digest(share) for share in shares.values()}) == 1
    for chosen in combinations(shares.values(), threshold):
        assert interpolate(chosen) == shares[1].public_key
    for few in combinations(shares.values(), threshold - 1):
        assert interpolate(few) != shares[1].public_key
    for i, j in combinations(shares, 2):
        one, other = shares[i].pair_state[j], shares[j].pair_state[i]
        assert one.zero_seed == other.zero_seed
        for bob, alice in ((one, other), (other, one)):
            assert seeds(alice.punctured) < seeds(bob.leaves)


def check_signature(shares: Mapping[int, Keyshare], chosen: tuple[int, ...], seed: int) -> None:
    """Assert that these signers agree on a good signature, whatever the order of delivery."""
    sessions = sign_sessions(shares, chosen, seed=seed)
    deliver(sessions, shuffle=Random(seed), copies=2)
    check_everywhere(shares[chosen[0]].public_key, DIGEST, outcome(sessions))


@ALL
def test_key_generation(threshold: int, count: int) -> None:
    """Catches a size for which shares do not fit, or a delivery that makes parties disagree."""
    sessions = keygen_sessions(threshold, count)
    deliver(sessions, shuffle=Random(count * 10 + threshold), copies=2)
    check_shares(results_of(sessions), threshold, count)


@ALL
def test_refresh(threshold: int, count: int) -> None:
    """Catches a refresh that moves the key or its quorum for some size."""
    old = deal(threshold, count)
    sessions = refresh_sessions(old)
    deliver(sessions, shuffle=Random(count * 10 + threshold), copies=2)
    new = results_of(sessions)
    check_shares(new, threshold, count)
    assert new[1].public_key == old[1].public_key
    for index, share in new.items():
        assert share.secret_share != old[index].secret_share


@ALL
def test_reshare_to_another_quorum(threshold: int, count: int) -> None:
    """Catches dealers, holders or thresholds of some size for which the key moves.

    The new size is the next in the list; dealers are some t or more of the old members, holders
    some members old and new.
    """
    random = Random(count * 10 + threshold)
    old = deal(threshold, count)
    new_threshold, new_count = QUORUMS[(QUORUMS.index((threshold, count)) + 4) % len(QUORUMS)]
    dealers = sorted(random.sample(range(1, count + 1), random.randint(threshold, count)))
    holders = sorted(random.sample(range(1, 8), new_count))
    sessions = reshare_sessions(old, dealers, holders, new_threshold)
    deliver(sessions, shuffle=random, copies=2)
    new = results_of(sessions)
    check_shares(new, new_threshold, new_count)
    assert new[1].public_key == old[1].public_key
    check_signature(new, tuple(range(1, new_threshold + 1)), 0)


@ALL
def test_every_subset_signs_in_any_order(threshold: int, count: int) -> None:
    """Catches a quorum, a delivery order or a repetition that gives no signature, or two."""
    shares = deal(threshold, count)
    for seed, chosen in enumerate(combinations(range(1, count + 1), threshold)):
        check_signature(shares, chosen, seed)


def test_one_key_through_every_large_change() -> None:
    """Catches an error that only large changes show: 5 of 7 to 7 of 10, then 2 of 3."""
    shares = deal(5, 7)
    key = shares[1].public_key
    for dealers, holders, threshold in (
        ([1, 2, 4, 6, 7], range(1, 11), 7),
        (range(2, 10), [1, 5, 10], 2),
    ):
        sessions = reshare_sessions(shares, list(dealers), list(holders), threshold)
        deliver(sessions)
        shares = results_of(sessions)
        assert {share.public_key for share in shares.values()} == {key}
        check_signature(shares, tuple(sorted(shares)[-threshold:]), 1)
    assert [shares[1].epoch, len(shares)] == [2, 3]
