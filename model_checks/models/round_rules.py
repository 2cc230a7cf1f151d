"""What a node does in rounds: one proposal, one set, one vote in each, and never back (F-05, F-06).

The lifecycle of one node runs as it is, all of its table. What the clock and the chain say, what
others have signed, and whether the node's share is in force is chosen freely, at the beginning or
at any time. Of votes, locks and releases ``signing`` has what is safe; here each rule of the
lifecycle has the promise that it keeps: whoever offers, proposes, chooses a set, votes and rests
does so for a reason, once a round, and in that order.
"""

from __future__ import annotations

from model_checks.cases import Case, Counts, Model, one_event, quorum
from model_checks.models.shared import ONE_PAYOUT
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Definition

_EACH = "for p in Peer for r in Attempt"
_RESTARTED = "any(after(began_in_round[p, r]) != began_in_round[p, r] for r in Attempt)"


def _becomes(phase: str) -> str:
    return f"phase[p] != {phase} and after(phase[p]) == {phase}"


def _toggled(event: str, cell: str, why: str) -> tuple[Move, Move]:
    """Return the moves that make a fact of p true, and false again."""
    return (
        Move(f"{event}(p: Peer)", (f"not {cell}[p]",), {f"{cell}[p]": "True"}, why),
        Move(f"No{event}(p: Peer)", (f"{cell}[p]",), {f"{cell}[p]": "False"}, why),
    )


NETWORK = Network(
    name="round_rules",
    doc="the phases of a node, each with its promise",
    honest="",
    rows=(("peer", "*"),),
    cells=(
        Cell("late", "bool", ("Peer",), "False", "given", "the time of this phase is over"),
        Cell("seen", "bool", (), "False", "given", "T equal proposals are in, in each round"),
        Cell("settled", "bool", (), "False", "given", "the signing sets settle who signs"),
        Cell("chosen", "bool", (), "False", "given", "p is one of those who sign"),
        Cell("conflict", "bool", (), "False", "given", "a member signed another checksum"),
        Cell("under_way", "bool", (), "False", "given", "the event is in progress"),
        Cell("has_key", "bool", (), "False", "given", "a key is locked in"),
        Cell("fenced_off", "bool", ("Peer",), "False", "given", "p has handed its share over"),
    ),
    rigid=(
        "seen", "settled", "chosen", "conflict", "under_way", "has_key", "signature_valid",
    ),
    crash=False,  # a node that starts anew knows in which round: `Restart`
    given={
        "deadline_passed[p]": "late[p]",
        "votes_conflict[p, r]": "conflict",
        "in_threshold_set[p, q, r]": "chosen",
        "heard[p, q, r]": "accepted if seen else silent",
        "status[p, e]": "IN_PROGRESS if under_way else PENDING",
        "renounced[p, e]": "False",
        "key[p, k]": "locked_in if has_key else no_key",
        "keygen_open[p]": "True",
        "regroup_near[p]": "False",
    },
    definitions=(
        ONE_PAYOUT,
        Definition("threshold_set_known(p: Peer, r: Attempt)", "settled", "the sets are heard"),
        Definition("holds_epoch(p: Peer)", "not fenced_off[p]", "p's share is in force"),
        Definition("hands_over(p: Peer)", "fenced_off[p]", "p has stepped back"),
        Definition(
            "share_in_force(p: Peer, e: Event, a: Attempt)", "not fenced_off[p]",
            "p's share is in force",
        ),
    ),
    moves=(
        Move(
            "Restart(p: Peer, r: Attempt)",
            ("not began_in_round[p, r]", "round[p] <= r"),
            {
                "phase[p]": "Idle",
                "round[p]": "none",
                "offered[p, x] for x in Attempt": "False",
                "began_in_round[p, x] for x in Attempt if x <= r": "True",
            },
            "p forgets what it did in the round; what it has sent is out",
        ),
        *_toggled("Late", "late", "clock"),
        *_toggled("Pay", "transfer_eligible", "chain: there is something to pay, or nothing"),
        *_toggled("Fence", "fenced_off", "p's share is handed over, or a new one is in force"),
    ),
    properties=(
        Property(
            "KeygenBeforeKey",
            f"all(implies({_becomes('Keygen')}, not has_key) for p in Peer)",
            "step",
            "no key is made where one is locked in",
        ),
        Property(
            "OffersForAReason",
            "all(implies(after(offered[p, r]) and not offered[p, r], transfer_eligible[p] and "
            f"not fenced_off[p] and not began_in_round[p, r] and round[p] < r) {_EACH})",
            "step",
            "a node offers in a new round, with a share, when there is something to pay",
        ),
        Property(
            "ProposesWhatItOffered",
            "all(implies(after(proposed[p, r, d]) and not proposed[p, r, d], offered[p, r]) "
            f"{_EACH} for d in Digest)",
            "step",
            "who proposes has offered in this round",
        ),
        Property(
            "ProposesToPay",
            "all(implies(after(proposed[p, r, d]) and not proposed[p, r, d], "
            f"transfer_eligible[p]) {_EACH} for d in Digest)",
            "step",
            "and has something to pay",
        ),
        Property(
            "OneProposal",
            "all(not (proposed[p, r, d] and proposed[p, r, x]) "
            f"{_EACH} for d in Digest for x in Digest if d != x)",
            doc="F-05: a correct node proposes one document in a round",
        ),
        Property(
            "RoundsMoveForward",
            f"all(round[p] <= after(round[p]) or {_RESTARTED} for p in Peer)",
            "step",
            "no node goes back to an earlier round",
        ),
        Property(
            "SetAfterProposals",
            "all(implies(set_sent[p, r], seen and any(proposed[p, r, d] for d in Digest)) "
            f"{_EACH})",
            doc="a signing set says who proposed the same as this node in this round",
        ),
        Property(
            "VotesInItsSet",
            "all(implies(voted[p, e, r] != after(voted[p, e, r]), round[p] == r and settled and "
            "chosen and under_way and not fenced_off[p] and any(after(voted[p, e, r]) == d and "
            f"proposed[p, r, d] for d in Digest)) {_EACH} for e in Event)",
            "step",
            "a node votes for its own proposal, in the round's set, for an event under way",
        ),
        Property(
            "SignsItsVote",
            f"all(implies({_becomes('Signing')}, not fenced_off[p] and any(voted[p, e, r] == d "
            "and round[p] == r and after(lock[p, e]) == d and after(lock_attempt[p, e]) == r "
            "for e in Event for r in Attempt for d in Digest)) for p in Peer)",
            "step",
            "what a round signs is locked, and is what the node voted for in it",
        ),
        Property(
            "RestsForAReason",
            f"all(implies({_becomes('Cooldown')}, late[p] or "
            "phase[p] == SetBuilding and settled and not chosen or "
            "phase[p] == ThresholdSet and conflict or phase[p] == Signing and any("
            "lock[p, e] == d and signature_valid[e, d] for e in Event for d in Digest)) "
            "for p in Peer)",
            "step",
            "F-02, F-06: a round ends by the clock, without this node, by a lie, or with the "
            "signature",
        ),
        Property(
            "RestsUntilTheNext",
            "all(implies(phase[p] == Cooldown and after(phase[p]) == Idle, "
            f"any(round[p] < r for r in Attempt) or {_RESTARTED}) for p in Peer)",
            "step",
            "nobody takes part in one round twice",
        ),
        Property(
            "HandsOverItsShare",
            f"all(implies({_becomes('Regroup')}, fenced_off[p]) and implies(phase[p] == Regroup "
            f"and after(phase[p]) == Idle, not fenced_off[p] or {_RESTARTED}) for p in Peer)",
            "step",
            "F-24: between its shares a node does nothing else",
        ),
        Property("CanSign", "any(phase[p] == Signing for p in Peer)", "reachable"),
        Property(
            "CanRest", "any(phase[p] == Cooldown and lock[p, e] != none for p in Peer "
            "for e in Event)", "reachable",
        ),
    ),
)

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            NETWORK, {**one_event(1, 2, 2), "Key": 1}, quorum(1, 0, 1),
            pinned=Counts(
                distinct=549504, generated=2651776, depth=23, reached={"CanRest": 7, "CanSign": 6},
            ),
        ),
    ),
)
