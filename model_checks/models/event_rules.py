"""Where an event stands at one node, of whatever kind it is and whatever becomes of it.

The whole event table runs at one node, with all that it is told chosen freely: what the event is
about, whether its time is over, what the node has released, which signatures verify, whether others
have renounced it. ``event_status`` and ``refund_against_payout`` have what several nodes come to;
here each rule of the table has the promise that it keeps.
"""

from __future__ import annotations

from model_checks.cases import Case, Counts, Model, one_event, quorum
from model_checks.models.refund_against_payout import STATUS_MONOTONE
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Definition

_EACH = "for p in Peer for e in Event"
_NOTHING_OUT = "all(not released[p, e, d] for d in Digest)"


def _becomes(status: str) -> str:
    return f"status[p, e] != {status} and after(status[p, e]) == {status}"


NETWORK = Network(
    name="event_rules",
    doc="the status of an event at one node, each rule with its promise",
    honest="",
    rows=(("event", "*"),),
    cells=(
        Cell("allowed", "bool", ("Digest",), "False", "given", "lock and votes permit d"),
        Cell("given_up", "bool", (), "False", "given", "R holders have renounced the event"),
    ),
    rigid=("kind", "allowed", "given_up"),
    definitions=(
        Definition(
            "first_vote(p: Peer, e: Event, a: Attempt, d: Digest)", "allowed[d]", "as it may be"
        ),
        Definition(
            "lock_permits(p: Peer, e: Event, a: Attempt, d: Digest)", "allowed[d]", "as it may be"
        ),
        Definition("refund_certificate(e: Event)", "given_up", "as others say"),
    ),
    moves=(
        Move("TimeRunsOut(e: Event)", ("not event_over[e]",), {"event_over[e]": "True"}, "clock"),
        Move("MakeKey(e: Event)", ("not key_made[e]",), {"key_made[e]": "True"}, "a key is there"),
        Move(
            "Verify(e: Event, d: Digest)",
            ("not signature_valid[e, d]",),
            {"signature_valid[e, d]": "True"},
            "others, or this node, have signed d",
        ),
        Move(
            "LetOut(p: Peer, e: Event, d: Digest)",
            ("status[p, e] == IN_PROGRESS", "not released[p, e, d]", "not renounced[p, e]"),
            {"released[p, e, d]": "True"},
            "a session releases a share",
        ),
    ),
    properties=(
        STATUS_MONOTONE,
        Property(
            "KnownKind", f"all(implies(status[p, e] != UNKNOWN, kind[e] != unknown_kind) {_EACH})",
            doc="F-17: a node has no event that it has not derived itself",
        ),
        Property(
            "StartsInTime",
            "all(implies(event_over[e] and status[p, e] in (PENDING, FAILED), "
            f"after(status[p, e]) in (PENDING, FAILED, SUCCESS, EXPIRED) and "
            f"implies(status[p, e] == FAILED, after(status[p, e]) != PENDING)) {_EACH})",
            "step",
            "what has run out of time is not tried again",
        ),
        Property(
            "StartsWhatItMayVoteFor",
            f"all(implies({_becomes('IN_PROGRESS')}, any(allowed[d] for d in Digest)) {_EACH})",
            "step",
            "SAFE-SIGN 3 and 4: nothing is begun that the node may not vote for",
        ),
        Property(
            "SuccessIsMade",
            "all(implies(status[p, e] == SUCCESS, key_made[e] or "
            f"any(signature_kept[p, e, d] for d in Digest)) {_EACH})",
            doc="who says SUCCESS has the signature, or the key is there",
        ),
        Property(
            "KeptIsValid",
            "all(implies(signature_kept[p, e, d] or announced[p, e, d], signature_valid[e, d]) "
            f"{_EACH} for d in Digest)",
            doc="F-15: only what verifies is kept, and told",
        ),
        Property(
            "AnnouncedIsKept",
            f"all(implies(announced[p, e, d], signature_kept[p, e, d]) {_EACH} for d in Digest)",
            doc="what is told is in store",
        ),
        Property(
            "RenouncedIsUnreleased",
            f"all(implies(renounced[p, e], event_over[e] and {_NOTHING_OUT}) {_EACH})",
            doc="F-16: a node renounces what ran out of time, if nothing of it is out",
        ),
        Property(
            "ExpiresForAReason",
            f"all(implies({_becomes('EXPIRED')}, event_over[e] and (given_up and {_NOTHING_OUT} "
            f"or kind[e] in (keygen, regroup, key_request))) {_EACH})",
            "step",
            "F-16: expiry needs the end of its time, and the certificate or a kind that nobody "
            "signs",
        ),
        Property(
            "FailsUnreleased",
            f"all(implies({_becomes('FAILED')}, {_NOTHING_OUT}) {_EACH})",
            "step",
            "an event fails only where nothing left the node",
        ),
        Property(
            "AskedByOperators",
            f"all(implies(asked[p, e], kind[e] in (sign, key_request)) {_EACH})",
            doc="F-17: operators ask for signatures and for the key, and for nothing else",
        ),
        Property("CanLapse", f"any(status[p, e] == EXPIRED and not given_up {_EACH})", "reachable"),
        Property(
            "CanSucceed", f"any(status[p, e] == SUCCESS and announced[p, e, d] {_EACH} "
            "for d in Digest)", "reachable",
        ),
        Property("CanAsk", f"any(asked[p, e] {_EACH})", "reachable"),
    ),
)

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            NETWORK, one_event(1, 1, 2), quorum(1, 0, 1) | {"R": 1},
            pinned=Counts(
                distinct=17984, generated=71792, depth=12, reached={"CanAsk": 2, "CanLapse": 3,
                "CanSucceed": 3},
            ),
        ),
    ),
)
