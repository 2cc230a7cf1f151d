"""What a node does while its key is handed over: it rests, and then it works again (F-24).

The regroup table runs with the rows of the peer table that ask for a share in force, or for its
absence; of a round only its beginning and its end. Members leave and join. Locks are the matter of
``regroup_handover``, and attempts that fail that of ``regroup_retry``: here there is one attempt,
and nobody lies.
"""

from __future__ import annotations

from model_checks.cases import Case, Counts, Model
from model_checks.system import Move, Network, Property
from spec.language.declarations import Definition

_REGROUP = ("Found", "Prepare", "Fence", "HandOver", "Activate", "Erase")
_PEER = ("Offer", "RoundTick", "Deadline", "NextRound", "HandingOver", "RegroupOver")

NETWORK = Network(
    name="regroup_phase",
    doc="no round begins between the old share and the new one, and every node works again",
    honest="",
    rows=(*(("regroup", event) for event in _REGROUP), *(("peer", event) for event in _PEER)),
    fair=(*(f"regroup.{event}" for event in _REGROUP), "peer.RegroupOver"),
    crash=False,  # liveness is asked; a crash takes a node to Idle, which the record says
    rigid=("roster_has",),
    assume=("all(count(p for p in Peer if roster_has[p, h]) >= T for h in Epoch)",),
    given={
        "follows[k, h]": "h < k and not any(i < h for i in Epoch)",
        "share_checked[p, h]": "all(implies(first_epoch(k) and roster_has[q, k], "
        "holding[q, k] != no_share) for q in Peer for k in Epoch)",
        "locks_all_shown[p, h]": "True",
        "locks_taken[p, h]": "count(q for q in Peer if handed_over[q, h]) >= T",
        "transfer_eligible[p]": "True",
        "regroup_near[p]": "False",
        "began_in_round[p, r]": "False",
        "deadline_passed[p]": "True",
    },
    definitions=(
        Definition("seats_fair(h: Epoch)", "True", "who comes and goes is `night_seats`"),
    ),
    moves=(
        Move(
            "Decide(k: Epoch)", ("count(q for q in Peer if handed_over[q, k]) >= T",),
            {"succession_signed[k]": "True"},
            "the old shares sign the name of the epoch that follows", fair=True,
        ),
    ),
    properties=(
        Property(
            "HandingOverEnds",
            "implies(any(phase[p] == Regroup for p in Peer), "
            "all(phase[p] != Regroup for p in Peer))",
            "liveness",
            "no node stays in the phase between its shares",
        ),
        Property(
            "NothingBegins",
            "all(implies(phase[p] == Regroup, after(phase[p]) in (Regroup, Idle)) for p in Peer)",
            "step",
            "no round begins while a node hands its key over",
        ),
        Property(
            "OnlyHoldersOffer",
            "all(implies(after(offered[p, r]), offered[p, r] or holds_epoch(p)) "
            "for p in Peer for r in Attempt)",
            "step",
            "who has no share in force offers nothing to sign",
        ),
        Property(
            "OffersAgain",
            "any(offered[p, r] and phase[p] == Idle and holding[p, h] == active and "
            "not first_epoch(h) for p in Peer for r in Attempt for h in Epoch)",
            "reachable",
            "rounds go on with the new shares",
        ),
        Property(
            "LeaverHandsOver",
            "any(phase[p] == Regroup and not any(roster_has[p, h] and not first_epoch(h) "
            "for h in Epoch) for p in Peer)",
            "reachable",
            "who leaves steps back like everyone",
        ),
        Property(
            "RoundIsEndedFirst", "any(hands_over(p) and phase[p] == Proposing for p in Peer)",
            "reachable", "a round that was begun before ends by itself, and signs nothing",
        ),
    ),
)

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            NETWORK, {"Peer": 3, "Attempt": 1, "Digest": 1, "Epoch": 2}, {"T": 2},
            pinned=Counts(
                distinct=214096, generated=1589974, depth=35, reached={"LeaverHandsOver": 6,
                "OffersAgain": 11, "RoundIsEndedFirst": 7},
            ),
        ),
    ),
)
