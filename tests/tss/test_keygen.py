"""Key generation between honest parties."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from random import Random

import pytest

from metanode.errors import LocalFault
from metanode.tss import curve
from metanode.tss.keygen import KeygenSession
from metanode.tss.keyshare import Keyshare, confirmation_digest
from metanode.tss.parameters import LEAVES_PER_TREE, SEED_BYTES, TREES
from tests.tss.support import deliver, generate, identity_keys, keygen_sessions, seeded


def interpolate(shares: Sequence[Keyshare]) -> bytes:
    """Return the public key that these secret shares give."""
    chosen = [share.party_index for share in shares]
    secret = sum(
        curve.lagrange_at_zero(share.party_index, chosen) * share.secret_share for share in shares
    )
    return curve.encode_point(curve.generator_mult(secret))


@pytest.mark.parametrize(("threshold", "count"), [(2, 2), (2, 3), (3, 4)])
def test_every_subset_holds_the_key(threshold: int, count: int) -> None:
    """Catches shares off the polynomial, disagreeing parties and fewer than t being enough."""
    shares = generate(threshold, count)
    assert len(shares) == count
    first = shares[1]
    assert first.threshold == threshold
    for share in shares.values():
        assert share.public_key == first.public_key
        assert share.public_shares == first.public_shares
        assert (share.chain_code, share.key_id) == (first.chain_code, first.key_id)
        assert confirmation_digest(share) == confirmation_digest(first)
    for chosen in combinations(shares.values(), threshold):
        assert interpolate(chosen) == first.public_key
    for few in combinations(shares.values(), threshold - 1):
        assert interpolate(few) != first.public_key


def test_pairs_share_their_zero_seed_and_trees() -> None:
    """Catches pair states that do not belong together, or that repeat between pairs."""
    shares = generate(3, 4)
    seeds = set()
    for i, j in combinations(shares, 2):
        one, other = shares[i].pair_state[j], shares[j].pair_state[i]
        assert one.zero_seed == other.zero_seed
        seeds.add(one.zero_seed)
        for bob, alice in ((one, other), (other, one)):
            size, count = SEED_BYTES, TREES * LEAVES_PER_TREE
            known = {bob.leaves[k : k + size] for k in range(0, len(bob.leaves), size)}
            seen = {alice.punctured[k : k + size] for k in range(0, len(alice.punctured), size)}
            assert seen < known
            assert len(known) == count
            assert len(seen) == count - TREES
    assert len(seeds) == 6


@pytest.mark.parametrize("seed", range(2))
def test_order_and_repetition_do_not_matter(seed: int) -> None:
    """Catches a session that depends on delivery order or stumbles over duplicates."""
    sessions = keygen_sessions(2, 3)
    deliver(sessions, shuffle=Random(seed), copies=2)
    assert {session.state for session in sessions.values()} == {"finished"}
    expected = generate(2, 3)
    results = {party: session.result for party, session in sessions.items()}
    publics = {share.public_key for share in results.values() if share is not None}
    # Entropy is drawn per peer in party order, so the result is the same run's result.
    assert publics == {expected[1].public_key}


def test_two_runs_share_nothing() -> None:
    """Catches a key that does not depend on fresh entropy, or an address that ignores context."""
    other = keygen_sessions(2, 2, seed="other", context=b"elsewhere")
    deliver(other)
    result = other[1].result
    assert result is not None
    assert result.public_key != generate(2, 2)[1].public_key
    assert result.key_id != generate(2, 2)[1].key_id
    assert other[1].session_id != keygen_sessions(2, 2)[1].session_id


@pytest.mark.parametrize(
    "change",
    [
        {"party_index": 4},
        {"party_index": 0},
        {"parties": [1, 2, 4]},
        {"parties": [2, 1, 3]},
        {"parties": [1]},
        {"threshold": 1},
        {"threshold": 4},
        {"epoch": -1},
        {"identity_keys": identity_keys(2)},
        {"identity_keys": [identity_keys(1)[0]] * 3},
        {"identity_keys": identity_keys(3)[::-1]},
        {"identity_keys": [key[:32] for key in identity_keys(3)]},
    ],
)
def test_bad_configuration_is_refused(change: dict[str, object]) -> None:
    """Catches an unchecked threshold, roster or index before anything is sent."""
    good: dict[str, object] = {
        "party_index": 1,
        "parties": [1, 2, 3],
        "threshold": 2,
        "session_context": b"",
        "identity_keys": identity_keys(3),
        "epoch": 0,
        "entropy": seeded("x"),
    }
    KeygenSession(**good)
    with pytest.raises(LocalFault):
        KeygenSession(**{**good, **change})


def test_address_depends_on_every_parameter() -> None:
    """Catches two different dealings that accept each other's messages."""
    base = keygen_sessions(2, 3)[1].session_id
    others = [
        keygen_sessions(3, 3)[1],
        keygen_sessions(2, 4)[1],
        keygen_sessions(2, 3, context=b"x")[1],
        keygen_sessions(2, 3, epoch=1)[1],
    ]
    assert len({base, *(session.session_id for session in others)}) == 5
