"""Shares of the suite before: read, they sign, refresh and reshare; nothing else of them passes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import cbor2
import pytest

from metanode.errors import UserError
from metanode.tss import oracle
from metanode.tss.keyshare import Keyshare
from metanode.tss.oracle import Tag
from metanode.tss.verify import verify_signature
from tests.tss.support import (
    DIGEST,
    deal,
    deliver,
    refresh_sessions,
    reshare_sessions,
    results_of,
    seeded,
    sign_sessions,
)

TREES, SEED = 128, 32


def old_pair(seed: object) -> tuple[bytes, bytes, bytes]:
    """Return (leaves, punctured, Δ) of one ordered pair, as v2 left them."""
    leaves = seeded("old leaves", seed)(TREES * 4 * SEED)
    deltas = [byte % 4 for byte in seeded("old deltas", seed)(TREES)]
    punctured = b"".join(
        leaves[(4 * tree + (e ^ delta)) * SEED :][:SEED]
        for tree, delta in enumerate(deltas)
        for e in (1, 2, 3)
    )
    bits = sum(delta << 2 * tree for tree, delta in enumerate(deltas))
    return leaves, punctured, bits.to_bytes(2 * TREES // 8, "little")


def written_by_v2(threshold: int, count: int) -> dict[int, bytes]:
    """Return the bytes of key shares in the format of v2."""
    shares = deal(threshold, count)
    pairs = {(b, a): old_pair((b, a)) for b in shares for a in shares if a != b}
    written = {}
    for party, share in shares.items():
        raw = cbor2.loads(share.to_bytes())
        raw["version"] = 1
        raw["pair_state"] = {
            other: {
                "leaves": pairs[party, other][0],
                "punctured": pairs[other, party][1],
                "delta": pairs[other, party][2],
                "zero_seed": share.pair_state[other].zero_seed,
            }
            for other in share.pair_state
        }
        written[party] = cbor2.dumps(raw, canonical=True)
    return written


WRITTEN = written_by_v2(2, 3)


def read() -> dict[int, Keyshare]:
    """Return the shares as they are read."""
    return {party: Keyshare.from_bytes(data) for party, data in WRITTEN.items()}


def every_quorum_signs(shares: Mapping[int, Keyshare]) -> None:
    """Assert that any two shares sign under the key."""
    for chosen in combinations(shares, 2):
        sessions = sign_sessions(shares, chosen)
        deliver(sessions)
        for session in sessions.values():
            assert session.result is not None, session.abort
            r, s = session.result.r, session.result.s
            assert verify_signature(deal(2, 3)[1].public_key, DIGEST, r, s)


def test_they_sign() -> None:
    """Catches trees, or a Δ, that the two sides take over differently."""
    every_quorum_signs(read())


def test_they_refresh_and_reshare() -> None:
    """Catches a way on that ends with the shares that were read."""
    sessions = refresh_sessions(read())
    deliver(sessions)
    refreshed = results_of(sessions)
    every_quorum_signs(refreshed)
    resharing = reshare_sessions(read(), [1, 3], [1, 2, 3], 2)
    deliver(resharing)
    every_quorum_signs(results_of(resharing))


def test_they_are_written_in_the_format_of_today() -> None:
    """Catches a share that is converted anew with another outcome, or written as it came."""
    for share in read().values():
        again = Keyshare.from_bytes(share.to_bytes())
        assert again == share
        assert cbor2.loads(share.to_bytes())["version"] == 2


def test_what_is_taken_over_is_what_is_written_down() -> None:
    """Catches a leaf that is used bare: then both suites would expand the same seed."""
    share, raw = read()[1], cbor2.loads(WRITTEN[1])["pair_state"][2]
    state = share.pair_state[2]
    for tree in range(64):
        for e in range(4):
            old = raw["leaves"][(4 * tree + e) * SEED :][:SEED]
            wanted = oracle.digest(Tag.OLDER_LEAF, oracle.index(tree), old)[:16]
            assert state.leaves[(4 * tree + e) * 16 :][:16] == wanted
    assert state.delta == raw["delta"][:16]
    assert len(state.leaves) == 64 * 4 * 16
    assert len(state.punctured) == 64 * 3 * 16


@pytest.mark.parametrize("name", ["leaves", "punctured", "delta", "zero_seed"])
def test_a_damaged_one_is_a_user_error(name: str) -> None:
    """Catches an older share that is read with less care."""
    raw = cbor2.loads(WRITTEN[1])
    raw["pair_state"][2][name] = raw["pair_state"][2][name][:-1]
    with pytest.raises(UserError, match="damaged"):
        Keyshare.from_bytes(cbor2.dumps(raw, canonical=True))


def test_an_old_pair_in_a_new_share_is_refused() -> None:
    """Catches the sizes of one format under the number of the other."""
    raw = cbor2.loads(WRITTEN[1])
    raw["version"] = 2
    with pytest.raises(UserError, match="damaged"):
        Keyshare.from_bytes(cbor2.dumps(raw, canonical=True))
