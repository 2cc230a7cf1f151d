"""The rules of SAFE-SIGN for one vote and one lock, said anew: the tables say them by definitions.

Each is a text about peer p, event e, attempt ``a`` (``r`` where it is a round) and digest d.
"""

from __future__ import annotations


def certificate(a: str = "a") -> str:
    """T peers voted for d in the attempt."""
    return f"(not count(x for x in Peer if vote[x, e, {a}, d]) < T)"


def first_vote(a: str = "a") -> str:
    """Nothing else was voted for in the attempt."""
    return f"(voted[p, e, {a}] == none or voted[p, e, {a}] == d)"


def lock_permits(a: str = "a") -> str:
    """Nothing else is locked, or a certificate from between the lock and the attempt overrides."""
    return (
        "(lock[p, e] == none or lock[p, e] == d or any("
        f"{certificate('b')} for b in Attempt if b < {a} and lock_attempt[p, e] < b))"
    )


def works(a: str = "a") -> str:
    """A share of the epoch that signs is in force, for what is signed at all; nothing renounced."""
    return (
        f"(not renounced[p, e] and (kind[e] in (keygen, lock_in, regroup, succession) "
        f"or not all(not epoch_signs[x, e, {a}] or holding[p, x] != active for x in Epoch)))"
    )


def may_lock(a: str = "a") -> str:
    """A certificate, of all where all take part; no newer lock, and no newer vote for another."""
    return (
        f"({certificate(a)} and (kind[e] not in (keygen, regroup) "
        f"or all(vote[x, e, {a}, d] for x in Peer)) and lock_attempt[p, e] < {a} "
        f"and all(b <= {a} or voted[p, e, b] == none or voted[p, e, b] == d for b in Attempt))"
    )
