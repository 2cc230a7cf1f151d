"""The threshold set: exactly t who all see each other, the same for equal inputs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.protocol.rounds.threshold_set import (
    in_turn,
    prune_copies,
    signing_order,
    threshold_set,
)
from tests.support import peers

Sets = dict[bytes, frozenset[bytes]]


@st.composite
def views(draw: st.DrawFn) -> tuple[tuple[bytes, ...], Sets, int]:
    """Draw a seniority, signing sets and a threshold."""
    ids = peers(draw(st.integers(1, 8)))
    seniority = tuple(draw(st.permutations(ids)))
    heard = draw(st.sets(st.sampled_from(ids)))
    sets = {peer: frozenset(draw(st.sets(st.sampled_from(ids)))) | {peer} for peer in heard}
    return seniority, sets, draw(st.integers(1, len(ids)))


def mutual(chosen: tuple[bytes, ...], sets: Mapping[bytes, frozenset[bytes]]) -> bool:
    """Return whether all of these name each other."""
    return all(set(chosen) <= sets[peer] for peer in chosen)


def first_by_force(seniority: tuple[bytes, ...], sets: Sets, t: int) -> tuple[bytes, ...] | None:
    """Return the first mutual t-subset in lexicographic order of seniority, by trying all."""
    eligible = [p for p in seniority if p in sets and len(sets[p]) >= t]
    return next((c for c in combinations(eligible, t) if mutual(c, sets)), None)


@given(views())
def test_it_is_a_mutual_clique_of_exactly_t(view: tuple[tuple[bytes, ...], Sets, int]) -> None:
    """Catches a set of another size, or with members that do not see each other."""
    seniority, sets, t = view
    chosen = threshold_set(seniority, sets, t)
    if chosen is not None:
        assert len(set(chosen)) == len(chosen) == t
        assert mutual(chosen, sets)


@given(views())
def test_it_is_the_first_one_by_seniority(view: tuple[tuple[bytes, ...], Sets, int]) -> None:
    """Catches a clique that is missed, or one with a junior where a senior would do."""
    seniority, sets, t = view
    assert threshold_set(seniority, sets, t) == first_by_force(seniority, sets, t)


@given(views(), st.randoms(use_true_random=False))
def test_the_order_of_the_sets_does_not_matter(
    view: tuple[tuple[bytes, ...], Sets, int], dice: object
) -> None:
    """SetAgreement: catches a result that depends on the order in which messages came."""
    seniority, sets, t = view
    items = list(sets.items())
    dice.shuffle(items)  # type: ignore[attr-defined]  # a Random
    assert threshold_set(seniority, dict(items), t) == threshold_set(seniority, sets, t)


@given(st.permutations(peers(5)), st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=5))
def test_the_senior_copy_wins(seniority: list[bytes], shown: list[bytes]) -> None:
    """Catches two peers with one proof in the set, and a senior pruned by a junior's copy."""
    proofs = dict(zip(seniority, shown, strict=False))
    kept = prune_copies(seniority, proofs)
    assert [proofs[p] for p in kept] == list(dict.fromkeys(shown))
    assert list(kept) == [p for p in seniority if p in kept]


@pytest.mark.parametrize(("count", "size"), [(4, 1), (7, 2), (10, 3), (5, 0), (3, 3)])
def test_every_choice_of_members_goes_last_once(count: int, size: int) -> None:
    """F-34: catches liars who stand so far apart that some are in the set of every round."""
    ids = peers(count)
    rounds = range(1000, 1000 + comb(count, size))
    left_out = [frozenset(signing_order(ids, r, size)[count - size :]) for r in rounds]
    assert set(left_out) == {frozenset(choice) for choice in combinations(ids, size)}
    assert all(sorted(signing_order(ids, r, size)) == sorted(ids) for r in rounds)


def test_one_spare_member_is_the_turn_itself() -> None:
    """Catches an order for n = 4 that is not the one in which members take turns."""
    ids = peers(4)
    assert all(signing_order(ids, r, 1) == in_turn(ids, r) for r in range(9))


def test_all_alive_take_one_step_a_member() -> None:
    """Catches a search that is slow where nothing is wrong: 256 members, all see each other."""
    ids = peers(256)
    sets = {peer: frozenset(ids) for peer in ids}
    assert threshold_set(ids, sets, 171) == ids[:171]


def test_nobody_heard_is_no_set() -> None:
    """Catches an empty clique for t = 0 peers."""
    assert threshold_set(peers(4), {}, 3) is None
    assert prune_copies(peers(4), {}) == ()
