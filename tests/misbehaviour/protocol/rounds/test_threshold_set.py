"""Signing sets crafted to split the threshold set, to be in it alone, or to stall the search."""

from __future__ import annotations

import itertools

from metanode.protocol.rounds.threshold_set import SEARCH_LIMIT, prune_copies, threshold_set
from tests.support import peers


def everyone(ids: tuple[bytes, ...]) -> dict[bytes, frozenset[bytes]]:
    """Return the sets of peers who all see each other."""
    return {peer: frozenset(ids) for peer in ids}


def test_a_one_sided_set_is_in_nobodys_clique() -> None:
    """Catches a peer that gets in by naming all although nobody names it."""
    ids = peers(4)
    sets = everyone(ids)
    for peer in ids[1:]:
        sets[peer] = sets[peer] - {ids[0]}
    assert threshold_set(ids, sets, 3) == ids[1:]


def test_a_peer_that_does_not_name_itself_is_out() -> None:
    """Catches a set that its own sender stands outside of."""
    ids = peers(4)
    sets = everyone(ids) | {ids[0]: frozenset(ids[1:])}
    assert threshold_set(ids, sets, 3) == ids[1:]


def test_sets_without_t_members_do_not_count() -> None:
    """Catches a small set that would make the clique smaller than t."""
    ids = peers(4)
    sets = everyone(ids) | {ids[1]: frozenset(ids[:2])}
    assert threshold_set(ids, sets, 3) == (ids[0], ids[2], ids[3])


def test_strangers_in_sets_are_never_chosen() -> None:
    """Catches a stranger that gets in because members name it."""
    ids, stranger = peers(4), b"\xff" * 33
    sets = {peer: frozenset((*ids, stranger)) for peer in (*ids, stranger)}
    chosen = threshold_set(ids, sets, 3)
    assert chosen is not None
    assert stranger not in chosen


def test_crafted_sets_cannot_make_the_search_endless() -> None:
    """Catches an exponential search: a complete multipartite graph has no clique of its parts + 1.

    Twenty parts of three: 3^20 cliques of twenty, none of 21.
    """
    ids = peers(60)
    parts = [ids[start : start + 3] for start in range(0, 60, 3)]
    sets = {}
    for part in parts:
        for peer in part:
            sets[peer] = frozenset(set(ids) - set(part)) | {peer}
    assert threshold_set(ids, sets, 21) is None
    assert SEARCH_LIMIT <= 100_000


def test_the_search_limit_is_the_same_for_every_order_of_the_sets() -> None:
    """Catches a limit that two honest peers reach differently on equal sets."""
    ids = peers(6)
    sets = everyone(ids)
    sets[ids[0]] = frozenset((ids[0], ids[3], ids[4], ids[5]))
    results = {
        threshold_set(ids, dict(order), 4)
        for order in itertools.islice(itertools.permutations(sets.items()), 0, 720, 7)
    }
    assert len(results) == 1


def test_a_copied_proof_prunes_the_junior_only() -> None:
    """F-10: catches the senior being pruned by a copy."""
    ids = peers(3)
    proofs = {ids[0]: b"x", ids[1]: b"x", ids[2]: b"z"}
    assert prune_copies(ids, proofs) == (ids[0], ids[2])


def test_a_peer_without_a_proof_is_pruned() -> None:
    """Catches a missing proof that counts as a unique one."""
    ids = peers(3)
    assert prune_copies(ids, {ids[1]: b"y"}) == (ids[1],)
