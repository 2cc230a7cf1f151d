"""The threshold set: exactly t who all see each other, the same for equal inputs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from metanode.protocol.threshold_set import prune_copies, threshold_set

Sets = dict[bytes, frozenset[bytes]]


def peers(count: int) -> tuple[bytes, ...]:
    """Return ids in order of seniority."""
    return tuple(number.to_bytes(33, "big") for number in range(count))


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
    dice.shuffle(items)  # type: ignore[attr-defined]
    assert threshold_set(seniority, dict(items), t) == threshold_set(seniority, sets, t)


@given(st.permutations(peers(5)), st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=5))
def test_the_senior_copy_wins(seniority: list[bytes], shown: list[bytes]) -> None:
    """Catches two peers with one proof in the set, and a senior pruned by a junior's copy."""
    proofs = dict(zip(seniority, shown, strict=False))
    kept = prune_copies(seniority, proofs)
    assert [proofs[p] for p in kept] == list(dict.fromkeys(shown))
    assert list(kept) == [p for p in seniority if p in kept]


def test_all_alive_take_one_step_a_member() -> None:
    """Catches a search that is slow where nothing is wrong: 256 members, all see each other."""
    ids = peers(256)
    sets = {peer: frozenset(ids) for peer in ids}
    assert threshold_set(ids, sets, 171) == ids[:171]


def test_nobody_heard_is_no_set() -> None:
    """Catches an empty clique for t = 0 peers."""
    assert threshold_set(peers(4), {}, 3) is None
    assert prune_copies(peers(4), {}) == ()
