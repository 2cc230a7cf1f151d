"""The status of one event at every node: attempts, crashes, errors, late signatures, expiry.

The event table runs as it is, beside the votes, locks and releases of its sessions. What a session
remembers of its digest is untracked: an attempt may go on whatever became of the session, which
only adds runs. One digest is enough: which of several is signed is the matter of ``signing``.
Statements for a refund are those of ``refund_against_payout``.
"""

from __future__ import annotations

from attrs import evolve

from model_checks.cases import EACH_PEER, Case, Counts, Model, ProofCase, one_event, quorum
from model_checks.models import refund_against_payout as refund
from model_checks.system import Network, Property

_EVERYONE = "for p in Peer for e in Event"
_NOTHING_OUT = "all(not released[p, e, d] for d in Digest)"
_TIME_LEFT = (
    "all(not event_over[e] for e in Event) and any(not any(a < b for b in Attempt) and "
    "all(faulty[p] or voted[p, e, a] == none for p in Peer) for e in Event for a in Attempt)"
)
_DECIDED = f"all(faulty[p] or status[p, e] in (SUCCESS, EXPIRED) {_EVERYONE})"

NETWORK: Network = evolve(
    refund.NETWORK,
    name="event_status",
    doc="where an event stands at each node, from PENDING to SUCCESS or EXPIRED",
    properties=(
        refund.STATUS_MONOTONE,
        Property(
            "SuccessIsSigned",
            "all(implies(status[p, e] == SUCCESS, "
            "any(signature_kept[p, e, d] and signature_valid[e, d] for d in Digest)) "
            f"{_EVERYONE})",
            doc="who says SUCCESS has the signature",
        ),
        Property(
            "FailedBeforeRelease",
            "all(implies(status[p, e] != FAILED and after(status[p, e]) == FAILED, "
            f"{_NOTHING_OUT}) {_EVERYONE})",
            "step",
            "an event fails only where nothing left the node",
        ),
        Property(
            "ReleaseSurvives",
            "all(implies(released[p, e, d], after(released[p, e, d])) "
            f"{_EVERYONE} for d in Digest)",
            "step",
            "no crash makes a node forget what it released",
        ),
        Property(
            "CanRecover", f"any(status[p, e] == PENDING and not ({_NOTHING_OUT}) {_EVERYONE})",
            "reachable", "a node comes back with a share out",
        ),
        Property(
            "LateSignature", f"any(status[p, e] == SUCCESS and {_NOTHING_OUT} {_EVERYONE})",
            "reachable", "F-15: a node takes a signature that it had no part in",
        ),
        Property("CanFail", f"any(status[p, e] == FAILED {_EVERYONE})", "reachable"),
        Property(
            "FailedTakesSignature",
            f"any(status[p, e] == FAILED and signature_valid[e, d] {_EVERYONE} for d in Digest)",
            "reachable",
            "F-15: the others finish after a node gave up",
        ),
        Property("CanExpire", f"any(status[p, e] == EXPIRED {_EVERYONE})", "reachable"),
        Property(
            "EventCanDecide",
            f"implies({_TIME_LEFT}, {_DECIDED})",
            "always_can",
            "while there is time and an attempt is left, the correct nodes can bring the event to "
            "an end everywhere",
        ),
    ),
)

DECIDES: Network = evolve(
    NETWORK,
    name="event_decides",
    doc="in the end an event is decided everywhere, once nothing fails and there is time",
    fair=tuple(f"{table}.{event}" for table, event in NETWORK.rows if event != "ProtocolError"),
    disturbances=("Crash", "event.ProtocolError", "event.Recover", "TimeRunsOut"),
    properties=(
        Property(
            "EventDecides",
            f"leads_to(calm and {_TIME_LEFT}, {_DECIDED})",
            "liveness",
            "while there is time and an attempt is left, the correct nodes bring the event to an "
            "end everywhere",
        ),
    ),
)
FAILED_IS_FINAL = evolve(
    NETWORK,
    name="event_status_failed_is_final",
    doc="F-35: a protocol error with nothing released fails the event for good",
    rows=tuple(row for row in NETWORK.rows if row != ("event", "Retry")),
)

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            NETWORK, one_event(3, 2), quorum(3, 0, 2) | {"R": 2}, EACH_PEER,
            pinned=Counts(
                distinct=172771, generated=1590752, depth=29, reached={"CanExpire": 6, "CanFail":
                3, "CanRecover": 9, "FailedTakesSignature": 11, "LateSignature": 11},
            ),
        ),
        Case(
            DECIDES, one_event(3), quorum(3, 0, 2) | {"R": 2}, EACH_PEER,
            pinned=Counts(
                distinct=8516, generated=57430, depth=24,
            ),
        ),
        Case(
            DECIDES, one_event(4), quorum(4, 1, 3) | {"R": 3}, EACH_PEER, deep=True,
            pinned=Counts(
                distinct=42166, generated=338892, depth=31,
            ),
        ),
        Case(
            FAILED_IS_FINAL, one_event(3, 2), quorum(3, 0, 2) | {"R": 2}, EACH_PEER,
            refuted=("EventCanDecide",),
            pinned=Counts(
                distinct=172771, generated=1548410, depth=29, reached={"CanExpire": 6, "CanFail":
                3, "CanRecover": 9, "FailedTakesSignature": 11, "LateSignature": 11},
                violated={"EventCanDecide": 6}, stuck={"EventCanDecide": 7},
            ),
        ),
    ),
    proofs=(ProofCase(NETWORK, obligations=19),),
)
