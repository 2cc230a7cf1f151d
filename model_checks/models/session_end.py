"""Every session comes to an end, whatever the others do, and stays there.

The whole session table runs at correct nodes. Votes, BEGINs and results come or do not: no row that
waits for somebody else is fair here. Only the clock is: a session may be idle at any time, and then
it expires.
"""

from __future__ import annotations

from model_checks.cases import Case, Counts, Model, one_event, quorum
from model_checks.models.shared import ALL_WORK, ANYBODY_ASKS, ONE_PAYOUT, promised
from model_checks.system import Network, Property

_OPEN = "session[p, e, a] in (created, acked, begun, stepping)"
_OVER = "session[p, e, a] in (finished, expired)"
_EACH = "for p in Peer for e in Event for a in Attempt"

NETWORK = Network(
    name="session_end",
    doc="sessions from set-up to their end",
    rows=(("session", "*"),),
    fair=("session.Expire",),
    honest="",
    given={
        "status[p, e]": "IN_PROGRESS if any(session[p, e, a] == created for a in Attempt) "
        "else PENDING",
        "phase[p]": "Signing",
        "coordinator[e, a]": "none",
        "members_valid[e, a]": "True",
        "digest_rebuilt[e, d]": "True",
        "is_member[p, e, a]": "voted[p, e, a] != none",
        "vote[q, e, a, d]": "voted[q, e, a] == d",
        "run[e, a]": "verified if any(count(p for p in Peer if released[p, e, d]) >= T "
        "for d in Digest) else going",
    },
    without=(
        ("session.Expire", "run[e, a] == silent_run"), ("session.Abort", "run[e, a] == faulty")
    ),
    crash=False,  # a crash ends a session as well, and every session afresh may be one more
    definitions=(ALL_WORK, ONE_PAYOUT, *ANYBODY_ASKS),
    properties=(
        Property(
            "SessionEnds", f"implies(any({_OPEN} {_EACH}), all(not {_OPEN} {_EACH}))", "liveness",
            "no session is open for ever",
        ),
        *promised("DurableBeforeSend"),
        Property(
            "OverForGood",
            f"all(implies({_OVER}, after(session[p, e, a]) == session[p, e, a]) {_EACH})",
            "step",
            "finished and expired sessions ignore everything",
        ),
        Property(
            "InstanceOnce",
            "all(implies(session[p, e, a] != stepping and after(session[p, e, a]) == stepping, "
            "any(not instance_used[p, i] and after(instance_used[p, i]) for i in Instance)) "
            f"{_EACH})",
            "step",
            "F-23: each run is entered under a name that was never used before",
        ),
        Property(
            "StepsAreOfARun",
            "all(implies(stepped[p, i], instance_used[p, i]) for p in Peer for i in Instance)",
            doc="F-23: no message of a run leaves a node that has not entered it",
        ),
        Property("CanFinish", f"any(session[p, e, a] == finished {_EACH})", "reachable"),
    ),
)

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            NETWORK, one_event(2, 2) | {"Instance": 2}, quorum(2, 0, 2),
            pinned=Counts(
                distinct=22492, generated=131157, depth=25, reached={"CanFinish": 9},
            ),
        ),
    ),
)
