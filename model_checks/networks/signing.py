"""Signing under SAFE-SIGN: any number of attempts, certificates, locks that move, crashes, f liars.

The rows are the ones that a node runs; where a session or an event stands is left untracked, so
votes, locks and releases may come in any order that their guards allow. The liars vote for anything
at any time.
"""

from __future__ import annotations

from attrs import evolve

from model_checks.system import Move, Network, Property
from spec.language import Cell, Definition

_RELEASES = "count(p for p in Peer if not faulty[p] and released[p, e, {d}])"

# A set-up may offer any digest at any time; that it is the one rebuilt here is another rule (F-17).
_ANY_DIGEST = tuple(
    (f"session.{event}", "session_digest[p, e, a] == d") for event in ("Ack", "Begin", "Release")
)

NETWORK = Network(
    name="signing",
    doc="one event, competing digests, attempts in any order",
    rows=(("session", "Ack"), ("session", "Begin"), ("session", "Release")),
    untracked=("session", "event"),
    cells=(Cell("faulty", "bool", ("Peer",), "False", "given", "p may say anything"),),
    rigid=("faulty",),
    assume=("count(p for p in Peer if faulty[p]) <= F",),
    given={
        "status[p, e]": "IN_PROGRESS",
        "from_coordinator[e, a]": "True",
        "is_coordinator[p, a]": "False",
        "is_member[p, e, a]": "True",
        "needs_all[e]": "False",
        "instance_used[p, i]": "False",
    },
    without=_ANY_DIGEST,
    moves=(
        Move(
            "Forge(q: Peer, e: Event, a: Attempt, d: Digest)",
            ("faulty[q]",),
            {"vote[q, e, a, d]": "True"},
            "a liar votes for everything",
        ),
    ),
    properties=(
        Property(
            "NoDoubleSign",
            "all(not ("
            + _RELEASES.format(d="d")
            + " + F >= T and "
            + _RELEASES.format(d="k")
            + " + F >= T) for e in Event for d in Digest for k in Digest if d != k)",
            doc="two digests of one event can never both be signed",
        ),
        Property(
            "CanSign",
            "any(" + _RELEASES.format(d="d") + " >= T - F for e in Event for d in Digest)",
            "reachable",
            "honest members do release",
        ),
        Property(
            "LockMoves",
            "any(released[p, e, d] and released[p, e, k] for p in Peer for e in Event "
            "for d in Digest for k in Digest if d != k and not faulty[p])",
            "reachable",
            "SAFE-SIGN 4 lets a lock move",
        ),
    ),
)

NAIVE_RETRY = evolve(
    NETWORK,
    name="signing_naive_retry",
    doc="F-14: a retry forgets what was released",
    without=(*_ANY_DIGEST, ("session.Ack", "lock_permits(p, e, a, d)")),
)
NO_LOCK = evolve(
    NETWORK,
    name="signing_certificate_without_lock",
    doc="F-04: a certificate is enough to release, whatever was released before",
    definitions=(
        Definition("lock_permits(p: Peer, e: Event, a: Attempt, d: Digest)", "True", "-"),
    ),
)
LOCK_IN_MEMORY = evolve(
    NETWORK,
    name="signing_lock_in_memory",
    doc="the lock does not survive a crash",
    kept={"lock": "memory", "lock_attempt": "memory"},
)
