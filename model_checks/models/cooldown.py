"""Does a round end in a signature when nothing goes wrong? Where a published rule of rest says no.

F-02: a peer rests when T + 1 peers say that they are signing. A session has exactly T signers, so
the rule never fires among correct peers; with one liar who says so too, it ends every session. Here
what a peer says of itself is for display, and no row asks for it.

One round of one event: the peer table's rows for a round, in a calm network (no crash, no
deadline), all of them fair. Liars are silent, except that they say whatever the variant asks. That
rest must not end too early, F-03, is shown by ``swap_settlement``: payouts spend their own deposit.
"""

from __future__ import annotations

from attrs import evolve

from model_checks.cases import EACH_PEER, Case, Counts, Model, one_event, quorum
from model_checks.models.shared import ALL_WORK, ONE_PAYOUT
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell

_ROUND = ("RoundTick", "Matched", "SetFound", "Certified", "Signed")

NETWORK = Network(
    name="cooldown",
    doc="a calm round comes to its signature",
    rows=tuple(("peer", event) for event in _ROUND),
    fair=tuple(f"peer.{event}" for event in _ROUND),
    crash=False,
    cells=(Cell("faulty", "bool", ("Peer",), "False", "given", "p may say anything"),),
    rigid=("faulty",),
    assume=("count(p for p in Peer if faulty[p]) <= F",),
    given={
        "offered[p, r]": "True",
        "transfer_eligible[p]": "True",
        "heard[p, q, r]": "accepted if any(proposed[q, r, d] for d in Digest) else silent",
        "in_threshold_set[p, q, r]": "set_sent[q, r]",
        "status[p, e]": "IN_PROGRESS",
    },
    definitions=(ALL_WORK, ONE_PAYOUT),
    moves=(
        Move(
            "Combine(e: Event, d: Digest)",
            ("count(p for p in Peer if phase[p] == Signing and lock[p, e] == d) >= T",),
            {"signature_valid[e, d]": "True"},
            "T members sign together",
            fair=True,
        ),
    ),
    properties=(
        Property(
            "RoundProgress",
            "any(signature_valid[e, d] for e in Event for d in Digest) and "
            "all(faulty[p] or phase[p] == Cooldown for p in Peer)",
            "liveness",
            "a round with an eligible transfer ends in a signature, and then everybody rests",
        ),
        Property(
            "RestAfterSigning",
            "all(implies(phase[p] != Cooldown and after(phase[p]) == Cooldown, "
            "any(signature_valid[e, d] for e in Event for d in Digest)) for p in Peer)",
            "step",
            "in a calm round nobody rests before the signature is there",
        ),
        Property(
            "AllSign", "count(p for p in Peer if phase[p] == Signing) >= T", "reachable",
            "T members are in the signing phase at once",
        ),
    ),
)

ADVERTISED = evolve(
    NETWORK,
    name="cooldown_by_advertised_state",
    doc="F-02: a peer rests when T + 1 peers say that they are signing",
    moves=(
        *NETWORK.moves,
        Move(
            "Rest(p: Peer)",
            (
                "not faulty[p]",
                "phase[p] == Signing",
                "count(q for q in Peer if faulty[q] or phase[q] == Signing) >= T + 1",
            ),
            {"phase[p]": "Cooldown"},
            "the published rule; liars always say that they are signing",
            fair=True,
        ),
    ),
)
ENDS = evolve(
    NETWORK,
    name="cooldown_ends",
    doc="rest ends with the next round, whatever became of the last one",
    rows=(*NETWORK.rows, ("peer", "Deadline"), ("peer", "NextRound")),
    fair=("peer.NextRound",),
    given={**NETWORK.given, "deadline_passed[p]": "True"},
    properties=(
        Property(
            "CooldownLeaves",
            "implies(any(phase[p] == Cooldown and any(round[p] < r for r in Attempt) "
            "for p in Peer), all(implies(phase[p] == Cooldown, "
            "not any(round[p] < r for r in Attempt)) for p in Peer))",
            "liveness",
            "while rounds go on, no node stays in Cooldown",
        ),
        Property("CanRest", "any(phase[p] == Cooldown for p in Peer)", "reachable"),
    ),
)

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            NETWORK, one_event(4), quorum(4, 1, 3), EACH_PEER,
            pinned=Counts(
                distinct=73, generated=189, depth=22, reached={"AllSign": 12},
            ),
        ),
        Case(
            ADVERTISED, one_event(4), quorum(4, 1, 3), EACH_PEER,
            refuted=("RestAfterSigning", "RoundProgress"),
            pinned=Counts(
                distinct=75, generated=204, depth=22, reached={"AllSign": 12},
                violated={"RestAfterSigning": 13, "RoundProgress": 13},
            ),
        ),
        Case(
            ENDS, one_event(2, 2), quorum(2, 0, 2),
            pinned=Counts(
                distinct=826, generated=1489, depth=23, reached={"CanRest": 2},
            ),
        ),
    ),
)
