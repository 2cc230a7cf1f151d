"""Attempts have coordinators, and some coordinators are silent (F-20, F-21, F-22).

The session table runs with the event table: set-up, ACK, BEGIN, release; a higher attempt takes
over, and silence ends a session at any time. Each attempt has one coordinator; attempts have
different ones, because the attempt's number names it. Liars send nothing: that is the worst that a
coordinator can do to progress, and what it can say that is false is the matter of ``signing``. One
digest is enough for progress.
"""

from __future__ import annotations

from attrs import evolve

from model_checks.cases import EACH_PEER, Case, Counts, Model, ProofCase, one_event, quorum
from model_checks.models.shared import ALL_WORK, ONE_PAYOUT, promised
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Definition

_ONE_EACH = "all(count(p for p in Peer if chosen[p, a]) == 1 for a in Attempt)"
_DIFFERENT = (
    "all(not (chosen[p, a] and chosen[p, b]) "
    "for p in Peer for a in Attempt for b in Attempt if a != b)"
)
_THE_SAME = "all(chosen[p, a] == chosen[p, b] for p in Peer for a in Attempt for b in Attempt)"
_BY_CHOICE = Definition("coordinates(p: Peer, e: Event, a: Attempt)", "chosen[p, a]", "one each")
_SIGNED = (
    "any(count(p for p in Peer if released_in[p, e, a, d]) >= T "
    "for e in Event for a in Attempt for d in Digest)"
)
_STANDS = (
    "any(not any(a < b for b in Attempt) and all(implies(chosen[p, a], not faulty[p]) and "
    "session[p, e, a] == absent for p in Peer) for e in Event for a in Attempt)"
)
_FRESH_START = Property(
    "FreshStartSigns",
    "implies(all(session[p, e, a] == absent for p in Peer for e in Event for a in Attempt), "
    f"{_SIGNED})",
    "always_can",
    "before any session there is a way to a signature",
)

NETWORK = Network(
    name="coordinator_rotation",
    doc="a silent coordinator is followed by another one",
    rows=(
        ("session", "Coordinate"),
        ("session", "absent -Setup-> created"),
        ("session", "Ack"),
        ("session", "Convene"),
        ("session", "Begin"),
        ("session", "Release"),
        ("session", "Supersede"),
        ("session", "Expire"),
        ("event", "Create"),
        ("event", "PENDING -Setup-> IN_PROGRESS"),
        ("event", "IN_PROGRESS -Recover-> PENDING"),
    ),
    crash=False,
    cells=(
        Cell("faulty", "bool", ("Peer",), "False", "given", "p is silent"),
        Cell("chosen", "bool", ("Peer", "Attempt"), "False", "given", "a's coordinator is p"),
    ),
    rigid=("faulty", "chosen"),
    assume=("count(p for p in Peer if faulty[p]) <= F", _ONE_EACH, _DIFFERENT),
    given={
        "members_valid[e, a]": "True",
        "run[e, a]": "silent_run",
        "digest_rebuilt[e, d]": "True",
        "kind[e]": "payout",
        "event_over[e]": "False",
        "is_member[p, e, a]": "True",
        "instance_used[p, i]": "False",
        "vote[q, e, a, d]": "voted[q, e, a] == d",
    },
    definitions=(ALL_WORK, ONE_PAYOUT, _BY_CHOICE),
    properties=(
        Property(
            "CoordinatorCanRotate",
            f"implies({_STANDS}, {_SIGNED})",
            "always_can",
            "whatever became of earlier attempts, one with a correct coordinator can sign",
        ),
        _FRESH_START,
        *promised("OneSession", "NoStepBeforeBegin"),
        Property("CanSign", _SIGNED, "reachable"),
        Property(
            "SilentFirst",
            f"any(faulty[p] and chosen[p, a] for p in Peer for a in Attempt) and {_SIGNED}",
            "reachable",
            "an attempt is lost to a silent coordinator, and the event is signed all the same",
        ),
        Property(
            "TakenOver",
            "any(session[p, e, a] == expired and session[p, e, b] == stepping "
            "for p in Peer for e in Event for a in Attempt for b in Attempt)",
            "reachable",
            "F-20: a higher attempt takes over",
        ),
    ),
)

ROTATES = evolve(
    NETWORK,
    name="coordinator_rotates",
    doc="in the end the attempt of a correct coordinator signs, once no session expires or is"
    " superseded; all coordinators before it are silent",
    assume=(
        *NETWORK.assume,
        (
            "all(implies(chosen[p, a] and any(a < b for b in Attempt), faulty[p]) "
            "for p in Peer for a in Attempt)"
        ),
    ),
    # Recover and Set-up can take turns in a node's book for ever: what is possible now and then
    # happens.
    fair=(
        "strong session.Coordinate", "strong session.Setup", "strong session.Ack",
        "strong session.Convene", "strong session.Begin", "session.Release", "event.Create",
        "event.Setup", "event.Recover",
    ),
    disturbances=("session.Expire", "session.Supersede"),
    properties=(
        Property(
            "CoordinatorRotates", f"leads_to(calm and {_STANDS}, {_SIGNED})", "liveness",
            "a silent coordinator is followed by another one, and the event is signed",
        ),
    ),
)
ALL_MUST_ANSWER = evolve(
    NETWORK,
    name="coordinator_waits_for_all",
    doc="F-22: the coordinator waits for every member's ACK",
    definitions=(
        ALL_WORK, _BY_CHOICE, Definition("needs_all(e: Event)", "True", "the published rule")
    ),
)
SAME_COORDINATOR = evolve(
    NETWORK,
    name="coordinator_stays",
    doc="F-21: one coordinator for all attempts",
    assume=("count(p for p in Peer if faulty[p]) <= F", _ONE_EACH, _THE_SAME),
    properties=(_FRESH_START,),
)
# F-20: who coordinates follows from a node's own block number, of which two are at hand just now.
_SAID = "any(thinks(p, q) and {}[q, e, a, d] for q in Peer)"
_BEGIN_GUARDS = ("session_digest[p, e, a] == d", "not thinks(p, p)", "may_lock(p, e, a, d)")
OWN_HEIGHT = evolve(
    NETWORK,
    name="coordinator_by_own_height",
    doc="F-20: one node is a block ahead: each waits for a coordinator who waits for another",
    rows=tuple(
        row for row in NETWORK.rows
        if row not in (("session", "absent -Setup-> created"), ("session", "Begin"))
    ),
    cells=(
        Cell("faulty", "bool", ("Peer",), "False", "given", "p is silent"),
        Cell("ahead", "bool", ("Peer",), "False", "given", "p has seen the next block"),
        Cell("before", "bool", ("Peer",), "False", "given", "p coordinates before that block"),
        Cell("since", "bool", ("Peer",), "False", "given", "p coordinates since that block"),
    ),
    rigid=("faulty", "ahead", "before", "since"),
    assume=(
        "all(not faulty[p] for p in Peer)",
        "count(p for p in Peer if before[p]) == 1 and count(p for p in Peer if since[p]) == 1",
    ),
    definitions=(
        ALL_WORK,
        ONE_PAYOUT,
        Definition(
            "thinks(p: Peer, q: Peer)",
            "ahead[p] and since[q] or not ahead[p] and before[q]",
            "by its own block number p takes q for the coordinator",
        ),
        evolve(_BY_CHOICE, text="thinks(p, p)"),
    ),
    moves=(
        Move(
            "Setup(p: Peer, e: Event, a: Attempt, d: Digest)",
            ("session[p, e, a] == absent", _SAID.format("setup_sent"), "status[p, e] == PENDING",
             "not thinks(p, p)"),
            {"session[p, e, a]": "created", "session_digest[p, e, a]": "d"},
            "the row Setup, from whom p takes for the coordinator",
            fair=True,
        ),
        Move(
            "Begin(p: Peer, e: Event, a: Attempt, d: Digest)",
            ("session[p, e, a] == acked", _SAID.format("begin_sent"), *_BEGIN_GUARDS),
            {"session[p, e, a]": "begun", "lock[p, e]": "d", "lock_attempt[p, e]": "a"},
            "the row Begin, likewise",
            fair=True,
        ),
    ),
    properties=(
        _FRESH_START,
        Property("CanSign", _SIGNED, "reachable", "it works while all are at one block"),
    ),
)

LEMMAS = (
    Property(
        "LockIsCertified",
        "all(implies(lock[p, e] == d and lock_attempt[p, e] == a, certified(e, a, d)) "
        "for p in Peer for e in Event for a in Attempt for d in Digest)",
        "lemma",
        "SAFE-SIGN 3: only with a certificate does a node lock",
    ),
)
"""Why a session steps only under a certified lock, for every n."""

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            OWN_HEIGHT, one_event(3), quorum(3, 1, 2), EACH_PEER,
            refuted=("FreshStartSigns",),
            pinned=Counts(
                distinct=30630, generated=156764, depth=25, reached={"CanSign": 12},
                violated={"FreshStartSigns": 0}, stuck={"FreshStartSigns": 54},
            ),
        ),
        Case(
            NETWORK, one_event(3, 2), quorum(3, 1, 2), EACH_PEER,
            pinned=Counts(
                distinct=1019046, generated=9935760, depth=40, reached={"CanSign": 12,
                "SilentFirst": 12, "TakenOver": 13},
            ),
        ),
        Case(
            ROTATES, one_event(4, 2), quorum(4, 1, 3), EACH_PEER,
            pinned=Counts(
                distinct=2340, generated=14883, depth=26,
            ),
        ),
        Case(
            ALL_MUST_ANSWER, one_event(3, 2), quorum(3, 1, 2), EACH_PEER,
            refuted=("CoordinatorCanRotate", "FreshStartSigns"), unreached=("SilentFirst",),
            pinned=Counts(
                distinct=413286, generated=4021392, depth=40, reached={"CanSign": 16, "TakenOver":
                17}, violated={"CoordinatorCanRotate": 0, "FreshStartSigns": 0},
                stuck={"CoordinatorCanRotate": 106, "FreshStartSigns": 27},
            ),
        ),
        Case(
            SAME_COORDINATOR, one_event(3, 2), quorum(3, 1, 2), EACH_PEER,
            refuted=("FreshStartSigns",),
            pinned=Counts(
                distinct=530201, generated=5118859, depth=40, violated={"FreshStartSigns": 0},
                stuck={"FreshStartSigns": 6},
            ),
        ),
    ),
    proofs=(ProofCase(NETWORK, LEMMAS, obligations=51),),
)
