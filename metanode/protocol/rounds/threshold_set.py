"""The threshold set of a round: exactly t holders who all see each other, the same at every peer.

Pure functions of the signing sets. Peers with a share proof that a more senior peer also shows are
pruned from the bottom first; then the first set of t mutually visible peers in order of seniority
is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb
from typing import TypeVar

Item = TypeVar("Item")

SEARCH_LIMIT = 20_000
"""Steps of the search; with t of n all alive the first branch succeeds after t steps."""


def prune_copies(seniority: Sequence[bytes], proofs: Mapping[bytes, bytes]) -> tuple[bytes, ...]:
    """Return the peers in order of seniority without those whose proof a more senior one shows."""
    seen: set[bytes] = set()
    kept = []
    for peer in seniority:
        proof = proofs.get(peer)
        if proof is None or proof in seen:
            continue
        seen.add(proof)
        kept.append(peer)
    return tuple(kept)


def in_turn(peers: Sequence[Item], number: int) -> tuple[Item, ...]:
    """Return the peers in their order, beginning with another one in each round (F-34).

    Else the same senior peers would be chosen in every round, and one of them that never signs
    would stop all payouts.
    """
    start = number % len(peers) if peers else 0
    return (*peers[start:], *peers[:start])


def signing_order(peers: Sequence[bytes], number: int, spare: int) -> tuple[bytes, ...]:
    """Return the peers with ``spare`` of them last, another choice of them in each round (F-34).

    In C(n, spare) rounds every choice comes once. So up to n - t members that stall rounds together
    are all left out in one of these rounds, wherever they stand. With ``spare`` = 1 it is
    :func:`in_turn`. With dozens of members there are more choices than anybody waits for: then only
    members that stand close together are sure to be left out.
    """
    turned = in_turn(peers, number)
    last = {peers[place] for place in nth_choice(len(peers), spare, number - 1)}
    return (*(p for p in turned if p not in last), *(p for p in turned if p in last))


def nth_choice(count: int, size: int, number: int) -> tuple[int, ...]:
    """Return one of the choices of ``size`` places out of ``count``; numbers go on from the first.

    The choices are in lexicographic order: 0 and 1, 0 and 2, … for a size of 2.
    """
    if not 0 <= size <= count:
        return ()
    rest, place = number % comb(count, size), 0
    chosen: list[int] = []
    for left in range(size, 0, -1):
        while (following := comb(count - place - 1, left - 1)) <= rest:
            rest -= following
            place += 1
        chosen.append(place)
        place += 1
    return tuple(chosen)


def threshold_set(
    seniority: Sequence[bytes], sets: Mapping[bytes, frozenset[bytes]], threshold: int
) -> tuple[bytes, ...] | None:
    """Return the first ``threshold`` peers, in order of seniority, who all name each other.

    ``sets`` maps a peer to its signing set; peers without a set do not count. Returns None when
    there is no such set, or when the search limit is reached, which needs dozens of peers with
    crafted sets.
    """
    peers = [p for p in seniority if p in sets and len(sets[p]) >= threshold and p in sets[p]]
    steps = 0

    def extend(chosen: tuple[bytes, ...], rest: Sequence[bytes]) -> tuple[bytes, ...] | None:
        nonlocal steps
        if len(chosen) == threshold:
            return chosen
        for position, peer in enumerate(rest):
            if len(chosen) + len(rest) - position < threshold:
                return None
            steps += 1
            if steps > SEARCH_LIMIT:
                return None
            later = [q for q in rest[position + 1 :] if q in sets[peer] and peer in sets[q]]
            found = extend((*chosen, peer), later)
            if found is not None:
                return found
        return None

    return extend((), peers)
