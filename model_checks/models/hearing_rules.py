"""What a node makes of what it hears from others: its list of peers, and their part in a round.

Both tables run as they are, for one node and one that it hears. What a ping, a stake, a hash or a
proof is worth is chosen freely; of the peer list it may change at any time, since pings come and
stakes are spent.
"""

from __future__ import annotations

from model_checks.cases import Case, Counts, Model, quorum
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Definition

_PAIRS = "for p in Peer for q in Peer"
_IN_ROUND = f"{_PAIRS} for r in Attempt"


def _becomes(listing: str) -> str:
    return f"listing[p, q] != {listing} and after(listing[p, q]) == {listing}"


def _toggled(event: str, cell: str, why: str) -> tuple[Move, Move]:
    """Return the moves that make a fact of a pair true, and false again."""
    where = f"{cell}[p, q]"
    return (
        Move(f"{event}(p: Peer, q: Peer)", (f"not {where}",), {where: "True"}, why),
        Move(f"No{event}(p: Peer, q: Peer)", (where,), {where: "False"}, why),
    )


PEER_LIST = Network(
    name="peer_list_rules",
    doc="who is listed, checked, refused or missing, each for its reason",
    honest="",
    rows=(("ping", "*"),),
    fair=("strong ping.Boundary",),
    moves=(
        *_toggled("Well", "ping_good", "q's ping is good, or it is not"),
        *_toggled("Silent", "pings_missed", "q is silent for too long, or it is heard"),
        Move("Confirm(p: Peer, q: Peer)", ("stake[p, q] == stake_unconfirmed",),
             {"stake[p, q]": "stake_good"}, "the chain confirms the stake"),
        Move("Spend(p: Peer, q: Peer)", ("stake[p, q] == stake_good",),
             {"stake[p, q]": "stake_spent"}, "the stake is moved"),
    ),
    properties=(
        Property(
            "ListedForAReason",
            f"all(implies({_becomes('listed')}, listing[p, q] == checking and stake[p, q] == "
            f"stake_good or listing[p, q] == missing and ping_good[p, q]) {_PAIRS})",
            "step",
            "whoever is listed has shown a good stake, or is back after a silence",
        ),
        Property(
            "RefusedForItsStake",
            f"all(implies({_becomes('refused')}, stake[p, q] != stake_good) {_PAIRS})",
            "step",
            "nobody with a good stake is refused",
        ),
        Property(
            "MissingWhenSilent",
            f"all(implies({_becomes('missing')}, pings_missed[p, q]) {_PAIRS})",
            "step",
            "F-09: who is heard is not missing",
        ),
        Property(
            "CheckedWhenHeard",
            f"all(implies({_becomes('checking')}, ping_good[p, q]) {_PAIRS})",
            "step",
            "the chain is asked about peers that are heard",
        ),
        Property(
            "ListIsCleared",
            f"all(leads_to(listing[p, q] != unlisted, listing[p, q] == unlisted) {_PAIRS})",
            "liveness",
            "no entry outlives its round by itself",
        ),
        Property(
            "CanComeBack", f"any(listing[p, q] == listed and pings_missed[p, q] {_PAIRS})",
            "reachable",
        ),
    ),
)

ROUND = Network(
    name="round_hearing_rules",
    doc="whose proposal and whose set count in a round, each for its reason",
    honest="",
    rows=(("round", "*"),),
    cells=(Cell("holders", "bool", ("Peer", "Peer"), "False", "given", "p and q hold shares"),),
    rigid=(
        "holders", "proposed", "id_hash_matches", "share_proof_valid", "pair_banned",
        "set_large_enough", "evidence_verified",
    ),
    kept={"pair_banned": "given", "proposed": "given"},
    definitions=(
        Definition("holds_with(p: Peer, q: Peer)", "holders[p, q]", "both have shares in force"),
    ),
    properties=(
        Property(
            "HeardFromHolders",
            "all(implies(heard[p, q, r] in (heard_proposal, accepted, in_view), holders[p, q]) "
            f"{_IN_ROUND})",
            doc="only holders of the epoch in force have a part in its rounds",
        ),
        Property(
            "AcceptedIsTheSame",
            "all(implies(heard[p, q, r] in (accepted, in_view), id_hash_matches[p, q, r] and "
            "share_proof_valid[p, q, r] and not pair_banned[p, q] and "
            "any(proposal_of[p, q, r] == d and proposed[p, r, d] for d in Digest)) "
            f"{_IN_ROUND})",
            doc="F-10, F-11: what counts equals this node's own, is bound to its sender, and comes "
            "from one that it signs with",
        ),
        Property(
            "SetsAreLarge",
            f"all(implies(heard[p, q, r] == in_view, set_large_enough[p, q, r]) {_IN_ROUND})",
            doc="a set of fewer than T counts nowhere",
        ),
        Property(
            "EquivocatedIsProven",
            f"all(implies(heard[p, q, r] == equivocated, evidence_verified[p, q]) {_IN_ROUND})",
            doc="F-05: nobody is left out without evidence",
        ),
        Property("CanCount", f"any(heard[p, q, r] == in_view {_IN_ROUND})", "reachable"),
        Property(
            "CanCatch",
            "any(heard[p, q, r] == equivocated and proposal_of[p, q, r] != none "
            f"{_IN_ROUND})",
            "reachable",
        ),
    ),
)

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            PEER_LIST, {"Peer": 1}, quorum(1, 0, 1),
            pinned=Counts(
                distinct=52, generated=269, depth=10, reached={"CanComeBack": 5},
            ),
        ),
        Case(
            ROUND, {"Peer": 1, "Attempt": 1, "Digest": 2}, quorum(1, 0, 1),
            pinned=Counts(
                distinct=792, generated=1596, depth=4, reached={"CanCatch": 2, "CanCount": 3},
            ),
        ),
    ),
)
