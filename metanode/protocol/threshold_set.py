"""The threshold set of a round: exactly t holders who all see each other, the same at every peer.

Pure functions of the signing sets. Peers with a share proof that a more senior peer also shows are
pruned from the bottom first; then the first set of t mutually visible peers in order of seniority
is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def in_turn(peers: Sequence[bytes], number: int) -> tuple[bytes, ...]:
    """Return the peers in their order, beginning with another one in each round (F-34).

    Else the same senior peers would be chosen in every round, and one of them who never signs would
    stop all payouts.
    """
    start = number % len(peers) if peers else 0
    return (*peers[start:], *peers[:start])


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
