"""From one epoch to the next: locks go along, so that nothing is signed twice (F-24, F-39).

The regroup table runs beside the votes, locks and releases of signing, which are those that a node
runs. Rosters are any that meet SAFE-SIGN 1: the next one may share a few members with the last.
Each attempt to sign belongs to one epoch; only those who work with its shares vote, lock and
release in it. When all are ready, when shares are erased and how a regroup ends is the matter of
``regroup_retry``: here holders may fence themselves at any time, which only adds runs. Nobody
renounces the event: what may expire is signed by the same holders in every epoch. Here there are
two epochs; ``regroup_epochs`` has any number of them, and the proof for every size.

Of the attempts of a night only the one that is decided stands here: that no two are is the matter
of ``regroup_retry``, and is SAFE-SIGN for one more event (``Decide``). Liars say that they are
ready, hand over and show no lock, or any lock that has a certificate, vote for everything, and
release everything.
"""

from __future__ import annotations

from attrs import evolve

from model_checks.cases import PEERS_AND_DIGESTS, Case, Counts, Model, one_event, quorum
from model_checks.models.shared import ANYBODY_ASKS, ONE_PAYOUT, promised
from model_checks.system import Move, Network, Property, Scope
from spec.language.declarations import Cell, Definition, Opt
from spec.protocol import PROTOCOL

EACH_SHARE = "for p in Peer for h in Epoch"
_IN_ORDER = "all(implies(a < b, epoch_of[a] <= epoch_of[b]) for a in Attempt for b in Attempt)"
_FOUNDED = (
    "all(implies(first_epoch(k) and roster_has[q, k], faulty[q] or holding[q, k] != no_share) "
    "for q in Peer for k in Epoch)"
)
_DEALT = (
    "any(follows[h, g] and among(g, count(q for q in Peer if faulty[q] or "
    "holding[q, g] in (active, fenced, erased)) >= T) for g in Epoch)"
)
"""Shares of h are made by T of those who work with shares of the epoch before."""
_HANDED_OVER = (
    "any(follows[k, g] and among(g, count(q for q in Peer if handed_over[q, k]) >= T) "
    "for g in Epoch)"
)
_IN_FORCE = PROTOCOL.names.definitions["share_in_force"]
_SIGNED = (
    "among(e, a, count(p for p in Peer if not faulty[p] and released_in[p, e, a, d]) + F >= T) "
)

NETWORK = Network(
    name="regroup_handover",
    doc="signing goes on while the holders change",
    rows=(
        ("regroup", "Found"),
        ("regroup", "Prepare"),
        ("regroup", "Fence"),
        ("regroup", "ShowLock"),
        ("regroup", "HandOver"),
        ("regroup", "TakeOver"),
        ("regroup", "Activate"),
        ("session", "Ack"),
        ("session", "Begin"),
        ("session", "Release"),
    ),
    untracked=("session",),
    cells=(
        Cell("faulty", "bool", ("Peer",), "False", "given", "p may say anything"),
        Cell("epoch_of", Opt("Epoch"), ("Attempt",), "none", "given", "whose shares sign in a"),
    ),
    rigid=("faulty", "roster_has", "epoch_of"),
    assume=(
        "all(count(p for p in Peer if roster_has[p, h]) == N for h in Epoch)",
        "all(count(p for p in Peer if roster_has[p, h] and faulty[p]) <= F for h in Epoch)",
        "all(epoch_of[a] != none for a in Attempt)",
        _IN_ORDER,
        "all(any(epoch_of[a] == h for a in Attempt) for h in Epoch)",
        "all(implies(g < h, any(follows[h, k] for k in Epoch)) for g in Epoch for h in Epoch)",
    ),
    given={
        "follows[k, h]": "h < k and not any(h < j and j < k for j in Epoch)",
        "share_checked[p, h]": f"{_FOUNDED} and {_DEALT}",
        "locks_taken[p, h]": "any(follows[h, g] and among(g, count(q for q in Peer if "
        "handed_over[q, h] and all(implies(lock_shown[q, h, e, a, d], a <= lock_attempt[p, e]) "
        "for e in Event for a in Attempt for d in Digest)) >= T) for g in Epoch)",
        "locks_all_shown[p, k]": "all(implies(lock[p, e] == d and lock_attempt[p, e] == a, "
        "lock_shown[p, k, e, a, d]) for e in Event for a in Attempt for d in Digest)",
        "kind[e]": "payout",
        "epoch_signs[h, e, a]": "epoch_of[a] == h",
        "status[p, e]": "IN_PROGRESS",
        "session[p, e, a]": "absent",
        "coordinator[e, a]": "none",
        "is_member[p, e, a]": "True",
        "renounced[p, e]": "False",
        "instance_used[p, i]": "False",
        "vote[q, e, a, d]": "faulty[q] or voted[q, e, a] == d",
    },
    without=tuple(
        (f"session.{event}", "session_digest[p, e, a] == d")
        for event in ("Ack", "Begin", "Release")
    ),
    definitions=(
        ONE_PAYOUT,
        *ANYBODY_ASKS,
        Definition("all_ready(k: Epoch)", "True", "at any time, which only adds runs"),
        Definition("seats_fair(h: Epoch)", "True", "who comes and goes is `night_seats`"),
        Definition("rivals(h: Epoch, k: Epoch)", "False", "of a night, the attempt that follows"),
        Definition(
            "holds(q: Peer, a: Attempt)",
            "any(epoch_of[a] == h and roster_has[q, h] for h in Epoch)",
            "q is in the roster whose shares sign in a",
        ),
    ),
    scopes=(
        Scope("e: Event, a: Attempt", "roster_has[q, h]", {}, "h: Epoch", "epoch_of[a] == h"),
        Scope("g: Epoch", "roster_has[q, g]"),
    ),
    populations=("roster_has",),
    moves=(
        Move(
            "Decide(k: Epoch)",
            _HANDED_OVER,
            {"succession_signed[k]": "True"},
            "T holders of the epoch before voted for k",
            fair=True,
        ),
        Move(
            "LieHandOver(q: Peer, h: Epoch, k: Epoch)",
            ("faulty[q]", "follows[k, h]", "roster_has[q, h]"),
            {"handed_over[q, k]": "True"},
            "it fences nothing and forgets its locks",
        ),
        Move(
            "LieLock(q: Peer, k: Epoch, e: Event, a: Attempt, d: Digest)",
            ("faulty[q]", "not handed_over[q, k]", "certified(e, a, d)"),
            {"lock_shown[q, k, e, a, d]": "True"},
            "it may show any certificate",
        ),
    ),
    properties=(
        *promised("NoDoubleSign", "CertificateUnique"),
        Property(
            "FencedForGood",
            f"all(implies(holding[p, h] == fenced, after(holding[p, h]) in (fenced, erased)) "
            f"{EACH_SHARE})",
            "step",
            "who has handed over works with that share no more, whatever crashes",
        ),
        Property(
            "CanActivate", f"any(holding[p, h] == active and not first_epoch(h) {EACH_SHARE})",
            "reachable", "a regroup comes to its end",
        ),
        Property(
            "OldSignsOn",
            "any(holding[p, h] == prepared and follows[h, k] and released_in[p, e, a, d] and "
            "epoch_of[a] == k for p in Peer for h in Epoch for k in Epoch for e in Event "
            "for a in Attempt for d in Digest)",
            "reachable",
            "the old epoch signs while the new shares are made",
        ),
        Property(
            "NewSigns",
            f"any({_SIGNED}and epoch_of[a] == h and not first_epoch(h) "
            "for e in Event for a in Attempt for d in Digest for h in Epoch)",
            "reachable",
            "the new epoch signs",
        ),
        Property(
            "LockTravels",
            "any(lock[p, e] != none and lock_attempt[p, e] == a and not holds(p, a) "
            "for p in Peer for e in Event for a in Attempt)",
            "reachable",
            "a new member takes over a lock that it had no part in",
        ),
    ),
)

CLOCKS_APART = evolve(
    NETWORK,
    name="regroup_clocks_apart",
    doc="attempts are numbered by clocks: those of the later epoch may have the lower numbers",
    assume=tuple(text for text in NETWORK.assume if text != _IN_ORDER),
)
TOLD_AGAIN = evolve(
    NETWORK,
    name="regroup_told_again",
    doc="who has erased its share of the epoch before shows its locks to members who were away",
    rows=(*NETWORK.rows, ("regroup", "Erase")),
)

NUMBER_OF_HOLDERS = "(N if first_epoch(h) else LATER_N)"
LATER_SCOPES = (
    evolve(NETWORK.scopes[0], numbers={"T": "T if first_epoch(h) else LATER_T"}),
    evolve(NETWORK.scopes[1], numbers={"T": "T if first_epoch(g) else LATER_T"}),
)
FEWER_HOLDERS = evolve(
    NETWORK,
    name="regroup_fewer_holders",
    doc="the next epoch has fewer holders and a smaller t: each attempt is counted with its own",
    constants=("LATER_N", "LATER_T"),
    assume=(
        f"all(count(p for p in Peer if roster_has[p, h]) == {NUMBER_OF_HOLDERS} for h in Epoch)",
        *NETWORK.assume[1:],
    ),
    scopes=LATER_SCOPES,
)
TODAYS_NUMBERS = evolve(
    FEWER_HOLDERS,
    name="regroup_todays_numbers",
    doc="F-39: votes of an earlier epoch are counted with the holders and the t of the later one",
    definitions=(
        *NETWORK.definitions,
        Definition(
            "lock_permits(p: Peer, e: Event, a: Attempt, d: Digest)",
            "lock[p, e] in (none, d) or any(lock_attempt[p, e] < b and b < a and "
            "among(e, a, count(q for q in Peer if vote[q, e, b, d]) >= T) for b in Attempt)",
            "whoever votes in attempt a counts as it does there",
        ),
    ),
)
LOCKS_FORGOTTEN = evolve(
    NETWORK, name="regroup_locks_forgotten", doc="F-24: a new epoch begins with a clean slate",
    given={**NETWORK.given, "locks_taken[p, h]": "True"},
)
NO_FENCE = evolve(
    NETWORK,
    name="regroup_without_fence",
    doc="F-24: holders hand their locks over, and go on locking and signing in the old epoch",
    definitions=(
        *NETWORK.definitions,
        evolve(_IN_FORCE, text=_IN_FORCE.text.replace("== active", "in (active, fenced)")),
    ),
)
TAKEN_EARLY = evolve(
    NETWORK,
    name="regroup_locks_taken_early",
    doc="F-32: a holder takes a lock over while it still signs with its old share",
    without=(
        *NETWORK.without,
        ("regroup.TakeOver", "not works_before(p, h)"),
        ("regroup.Activate", "not works_before(p, h)"),
    ),
)
ALL_VOTE = evolve(
    NETWORK,
    name="regroup_all_vote",
    doc="F-24: who has a share of the new epoch votes there, before it took the locks over",
    without=(*NETWORK.without, ("session.Ack", "works(p, e, a)")),
)

_FEWER = quorum(3, 0, 2) | {"LATER_N": 1, "LATER_T": 1}

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            NETWORK, one_event(4, 2, 2) | {"Epoch": 2}, quorum(4, 1, 3), PEERS_AND_DIGESTS,
            unreached=("LockTravels",),
            pinned=Counts(
                distinct=3948550, generated=56538249, depth=54, reached={"CanActivate": 11,
                "NewSigns": 19, "OldSignsOn": 8},
            ),
        ),
        Case(
            CLOCKS_APART, one_event(4, 2, 2) | {"Epoch": 2}, quorum(4, 1, 3), PEERS_AND_DIGESTS,
            unreached=("LockTravels",), deep=True,
            pinned=Counts(
                distinct=4652001, generated=64779855, depth=54, reached={"CanActivate": 11,
                "NewSigns": 19, "OldSignsOn": 8},
            ),
        ),
        Case(
            NETWORK, one_event(3, 3, 2) | {"Epoch": 2}, quorum(2, 0, 2), PEERS_AND_DIGESTS,
            pinned=Counts(
                distinct=416430, generated=5501755, depth=42, reached={"CanActivate": 9,
                "LockTravels": 9, "NewSigns": 17, "OldSignsOn": 7},
            ),
        ),
        Case(
            TOLD_AGAIN, one_event(3, 3, 2) | {"Epoch": 2}, quorum(2, 0, 2), PEERS_AND_DIGESTS,
            pinned=Counts(
                distinct=1403184, generated=21079491, depth=44, reached={"CanActivate": 9,
                "LockTravels": 9, "NewSigns": 17, "OldSignsOn": 7},
            ),
        ),
        Case(
            CLOCKS_APART, one_event(3, 3, 2) | {"Epoch": 2}, quorum(2, 0, 2), PEERS_AND_DIGESTS,
            pinned=Counts(
                distinct=750832, generated=9044602, depth=42, reached={"CanActivate": 9,
                "LockTravels": 9, "NewSigns": 17, "OldSignsOn": 7},
            ),
        ),
        Case(
            NETWORK, one_event(4, 2, 2) | {"Epoch": 2}, quorum(3, 0, 2), PEERS_AND_DIGESTS,
            deep=True,
            pinned=Counts(
                distinct=3917451, generated=55619531, depth=45, reached={"CanActivate": 10,
                "LockTravels": 10, "NewSigns": 18, "OldSignsOn": 8},
            ),
        ),
        Case(
            FEWER_HOLDERS, one_event(3, 3, 2) | {"Epoch": 2}, _FEWER, PEERS_AND_DIGESTS,
            unreached=("LockTravels",), findings=("F-39",),
            pinned=Counts(
                distinct=2022986, generated=15643861, depth=38, reached={"CanActivate": 10,
                "NewSigns": 13, "OldSignsOn": 8},
            ),
        ),
        Case(
            TODAYS_NUMBERS, one_event(3, 3, 2) | {"Epoch": 2}, _FEWER, PEERS_AND_DIGESTS,
            refuted=("NoDoubleSign",), whole=False,
            pinned=Counts(
                distinct=1386451, generated=9420748, depth=23, reached={"CanActivate": 10,
                "NewSigns": 13, "OldSignsOn": 8}, violated={"NoDoubleSign": 22},
            ),
        ),
        Case(
            LOCKS_FORGOTTEN, one_event(4, 2, 2) | {"Epoch": 2}, quorum(2, 0, 2), PEERS_AND_DIGESTS,
            refuted=("NoDoubleSign",), whole=False,
            pinned=Counts(
                distinct=31501, generated=312541, depth=26, reached={"CanActivate": 9,
                "LockTravels": 7, "NewSigns": 17, "OldSignsOn": 7}, violated={"NoDoubleSign": 25},
            ),
        ),
        Case(
            NO_FENCE, one_event(4, 2, 2) | {"Epoch": 2}, quorum(2, 0, 2), PEERS_AND_DIGESTS,
            refuted=("NoDoubleSign",), whole=False,
            pinned=Counts(
                distinct=36803, generated=402809, depth=24, reached={"CanActivate": 9,
                "LockTravels": 7, "NewSigns": 17, "OldSignsOn": 7}, violated={"NoDoubleSign": 23},
            ),
        ),
        Case(
            ALL_VOTE, one_event(4, 2, 2) | {"Epoch": 2}, quorum(2, 0, 2), PEERS_AND_DIGESTS,
            refuted=("NoDoubleSign",), whole=False,
            pinned=Counts(
                distinct=1665160, generated=23852287, depth=28, reached={"CanActivate": 9,
                "LockTravels": 7, "NewSigns": 17, "OldSignsOn": 7}, violated={"NoDoubleSign": 27},
            ),
        ),
        Case(
            TAKEN_EARLY, one_event(3, 3, 2) | {"Epoch": 2}, quorum(2, 0, 2), PEERS_AND_DIGESTS,
            refuted=("NoDoubleSign",), whole=False,
            pinned=Counts(
                distinct=70859, generated=477718, depth=18, reached={"CanActivate": 9,
                "LockTravels": 9, "NewSigns": 17, "OldSignsOn": 7}, violated={"NoDoubleSign": 17},
            ),
        ),
    ),
)
