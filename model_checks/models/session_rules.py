"""What a session does at two correct nodes, whatever they are told and however their runs go.

The whole session table runs beside the status of the event, with all that a node is told chosen
freely: who coordinates, what it can rebuild, who is a member, whether a round or a coordinator is
at work. A node may step back from its share at any time, and crash at any time. ``signing`` leaves
sessions out, since votes, locks and releases carry safety; here each of a session's own rules has
the promise that it keeps.
"""

from __future__ import annotations

from attrs import evolve

from model_checks.cases import Case, Counts, Model, one_event, quorum
from model_checks.models.shared import ONE_PAYOUT, promised
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Definition

_EACH = "for p in Peer for e in Event for a in Attempt"
_DIGEST = f"{_EACH} for d in Digest"
_OPEN = "session[p, e, a] in (created, acked, begun, stepping)"
_WITH_D = "session_digest[p, e, a] == d"

NETWORK = Network(
    name="session_rules",
    doc="one session's rules, each with its promise",
    honest="",
    rows=(
        ("session", "*"),
        ("event", "Create"),
        ("event", "PENDING -Setup-> IN_PROGRESS"),
        ("event", "IN_PROGRESS -Recover-> PENDING"),
    ),
    cells=(
        Cell("by_round", "bool", (), "False", "given", "a round is at work, not a coordinator"),
        Cell("stepped_back", "bool", ("Peer",), "False", "disk", "p's share is in force no more"),
    ),
    rigid=("by_round", "coordinator", "digest_rebuilt", "is_member", "members_valid"),
    assume=("all(coordinator[e, a] != none for e in Event for a in Attempt)",),
    given={
        "kind[e]": "payout",
        "event_over[e]": "False",
        "renounced[p, e]": "False",
        "phase[p]": "Signing if by_round else Idle",
    },
    definitions=(
        ONE_PAYOUT,
        Definition(
            "share_in_force(p: Peer, e: Event, a: Attempt)", "not stepped_back[p]",
            "until p steps back",
        ),
    ),
    moves=(
        Move(
            "AskForAnything(q: Peer, e: Event, a: Attempt, d: Digest)",
            ("coordinator[e, a] == q", "not digest_rebuilt[e, d]"),
            {"setup_sent[q, e, a, d]": "True"},
            "a coordinator that lies asks for what nobody can build",
        ),
        Move("StepBack(p: Peer)", ("not stepped_back[p]",), {"stepped_back[p]": "True"},
             "p hands its share over, at any time"),
        Move("Silence(e: Event, a: Attempt)", ("run[e, a] == going",),
             {"run[e, a]": "silent_run"}, "the run has been silent for too long"),
        Move("Cheat(e: Event, a: Attempt)", ("run[e, a] == going",), {"run[e, a]": "faulty"},
             "a check of the run fails"),
        Move(
            "Succeed(e: Event, a: Attempt)",
            ("run[e, a] == going", "any(released_in[p, e, a, d] for p in Peer for d in Digest)"),
            {"run[e, a]": "verified"},
            "the run ends with a result that verifies",
        ),
    ),
    properties=(
        *promised("NoStepBeforeBegin", "OneSession", "DurableBeforeSend", "CertificateUnique"),
        Property(
            "AskedByCoordinator",
            "all(implies(setup_sent[p, e, a, d] or begin_sent[p, e, a, d], "
            f"coordinator[e, a] == p) {_DIGEST})",
            doc="nobody but an attempt's coordinator asks for it, or begins it",
        ),
        Property(
            "BeginShowsCertificate",
            f"all(implies(begin_sent[p, e, a, d], certified(e, a, d)) {_DIGEST})",
            doc="who says that a session begins can show the votes",
        ),
        Property(
            "OwnDocument",
            f"all(implies({_WITH_D}, digest_rebuilt[e, d]) {_DIGEST})",
            doc="F-17: a session is about a document that the node has built itself",
        ),
        Property(
            "AskedFor",
            f"all(implies(session[p, e, a] in (created, acked) and {_WITH_D}, "
            f"asked_for(e, a, d)) {_DIGEST})",
            doc="a session is what the attempt's coordinator asked for",
        ),
        Property(
            "CreatedWhilePending",
            "all(implies(session[p, e, a] == absent and after(session[p, e, a]) == created, "
            f"status[p, e] == PENDING) {_EACH})",
            "step",
            "an event that is under way gets no second set-up",
        ),
        Property(
            "VotesWhileInProgress",
            "all(implies(voted[p, e, a] != after(voted[p, e, a]), status[p, e] == IN_PROGRESS) "
            f"{_EACH})",
            "step",
            "the event's status is on disk before the vote",
        ),
        Property(
            "VotesForItsDocument",
            "all(voted[p, e, a] == after(voted[p, e, a]) or "
            f"after(voted[p, e, a]) == session_digest[p, e, a] {_EACH})",
            "step",
            "a session's vote is for what the session is about",
        ),
        Property(
            "BeginsUnderLock",
            "all(implies(session[p, e, a] != begun and after(session[p, e, a]) == begun, "
            f"after(lock[p, e]) == after(session_digest[p, e, a]) and "
            f"after(lock_attempt[p, e]) == a) {_EACH})",
            "step",
            "SAFE-SIGN 2: what a session begins to sign is what the node is locked on, in its "
            "attempt",
        ),
        Property(
            "BeginsWhenTold",
            f"all(implies(session[p, e, a] in (begun, stepping) and {_WITH_D}, "
            f"by_round or convened(e, a, d)) {_DIGEST})",
            doc="without a round, a session begins when its coordinator says so",
        ),
        Property(
            "ResumedInRoundsOnly",
            "all(implies(session[p, e, a] == absent and after(session[p, e, a]) == begun, "
            f"by_round) {_EACH})",
            "step",
            "what a crash has ended is not begun anew by a lock that is left",
        ),
        Property(
            "MembersOnly",
            "all(implies(session[p, e, a] == stepping or session[p, e, a] == begun and "
            f"coordinator[e, a] != p, is_member[p, e, a]) {_EACH})",
            doc="F-34: only those whose votes are in the certificate sign",
        ),
        Property(
            "OutOfForce",
            "all(implies(stepped_back[p], after(voted[p, e, a]) == voted[p, e, a] and "
            "after(lock[p, e]) == lock[p, e] and after(lock_attempt[p, e]) == lock_attempt[p, e] "
            "and all(implies(after(released_in[p, e, a, d]), released_in[p, e, a, d]) "
            f"for d in Digest)) {_EACH})",
            "step",
            "F-24: who has stepped back votes, locks and releases no more",
        ),
        Property(
            "EndsForAReason",
            f"all(implies({_OPEN} and after(session[p, e, a]) == expired, "
            "run[e, a] in (silent_run, faulty) or any(a < b for b in Attempt) or "
            "not is_member[p, e, a] and any(convened(e, a, d) for d in Digest)) "
            f"{_EACH})",
            "step",
            "a session ends by silence, by cheating, by a later attempt, or without this member",
        ),
        Property(
            "FinishedIsVerified",
            f"all(implies(session[p, e, a] == finished, run[e, a] == verified) {_EACH})",
            doc="a result is verified before anyone hears of it",
        ),
        Property("CanFinish", f"any(session[p, e, a] == finished {_EACH})", "reachable"),
        Property(
            "CanResume",
            f"any(session[p, e, a] == stepping and by_round and not setup_sent[p, e, a, d] "
            f"{_DIGEST})",
            "reachable",
            "a round's certificate begins a session",
        ),
    ),
)

TWO_ATTEMPTS = evolve(
    NETWORK,
    name="session_rules_two_attempts",
    doc="the same for two attempts of one document, which everybody can build and all sign;"
    " nobody crashes",
    rigid=("by_round", "coordinator"),
    given={
        **NETWORK.given,
        "digest_rebuilt[e, d]": "True",
        "is_member[p, e, a]": "True",
        "members_valid[e, a]": "True",
    },
    moves=NETWORK.moves[2:],
    crash=False,
)

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            NETWORK, one_event(2, 1, 2), quorum(2, 0, 2),
            pinned=Counts(
                distinct=1048576, generated=7864576, depth=30, reached={"CanFinish": 12,
                "CanResume": 10},
            ),
        ),
        Case(
            TWO_ATTEMPTS, one_event(2, 2, 1), quorum(2, 0, 2),
            pinned=Counts(
                distinct=439976, generated=3322440, depth=27, reached={"CanFinish": 12,
                "CanResume": 11},
            ),
        ),
    ),
)
