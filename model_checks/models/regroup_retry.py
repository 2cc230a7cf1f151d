"""A night's regroup with a member who spoils it (F-25, F-26): attempts, absences, old shares.

The regroup table runs alone: locks are the matter of ``regroup_handover``. All attempts of the
night want to follow the first epoch. A liar deals or does not, says that it is ready, late or
never, and hands over to any attempt; it says of everybody that it missed them. In a calm network
correct members miss nobody but liars.

``CORRECT_LEFT_OUT`` shows what that last sentence is worth. Who is left out counts as one of the F:
if a correct member is cut off for an attempt and left out, and a liar stays, then the liar is one
of the T that are needed, and the key is in its hand.
"""

from __future__ import annotations

from attrs import evolve

from model_checks.cases import Case, Counts, Model, ProofCase, quorum
from model_checks.engines.provers import ATTEMPT_STEPS
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Definition

_EACH_SHARE = "for p in Peer for h in Epoch"
_ROWS = ("Found", "Prepare", "Miss", "Fence", "HandOver", "Activate", "Erase", "Outdone")
_LEFT_OUT = "any(rivals(j, h) and j < h and left_out(p, j) for j in Epoch)"
_COUNTS = "succession_signed[h] or first_epoch(h) and not any(succession_signed[k] for k in Epoch)"
_HAS = (
    "(holding[p, h] in (prepared, active, fenced) or first_epoch(h) and holding[p, h] == no_share)"
)

NETWORK = Network(
    name="regroup_retry",
    doc="one member spoils an attempt; the next one goes on without it",
    rows=(*(("regroup", event) for event in _ROWS), ("regroup", "Tell")),
    fair=tuple(f"regroup.{event}" for event in _ROWS),
    crash=False,  # nothing here is kept in memory
    cells=(
        Cell("faulty", "bool", ("Peer",), "False", "given", "p may say anything"),
        Cell("dealt", "bool", ("Peer", "Epoch"), "False", "network", "a liar took part in h"),
    ),
    rigid=("faulty",),
    assume=(
        "count(p for p in Peer if faulty[p]) <= F",
        "count(p for p in Peer if not faulty[p]) >= T",  # SAFE-SIGN 1: n - f >= t
    ),
    given={
        "follows[k, h]": "h < k and not any(i < h for i in Epoch)",
        "roster_has[p, h]": f"not {_LEFT_OUT}",
        "overdue[p, q, h]": "faulty[q] and roster_has[q, h] "
        "and not (dealt[q, h] and ready_said[q, h])",
        "share_checked[p, h]": "all(holding[q, k] != no_share or not first_epoch(k) or faulty[q] "
        "for q in Peer for k in Epoch) and all(implies(faulty[q] and roster_has[q, h], dealt[q, h])"
        " for q in Peer)",
        "locks_all_shown[p, h]": "True",
        "locks_taken[p, h]": "True",
    },
    definitions=(
        Definition("seats_fair(h: Epoch)", "True", "who comes and goes is `night_seats`"),
        Definition(
            "left_out(q: Peer, h: Epoch)",
            "count(p for p in Peer if faulty[p] or missed[p, q, h]) >= T",
            "liars say that they missed everybody",
        ),
    ),
    moves=(
        Move(
            "Deal(q: Peer, h: Epoch)", ("faulty[q]", "not first_epoch(h)"), {"dealt[q, h]": "True"},
            "a liar takes part in making the shares",
        ),
        Move(
            "LieReady(q: Peer, h: Epoch)",
            ("faulty[q]", "dealt[q, h]"),
            {"ready_said[q, h]": "True"},
            "it says that it has its share, whenever it likes; before it would be of no use",
        ),
        Move(
            "Decide(k: Epoch)",
            ("count(q for q in Peer if faulty[q] or handed_over[q, k]) >= T",
             "not first_epoch(k)", "not any(rivals(j, k) and succession_signed[j] for j in Epoch)"),
            {"succession_signed[k]": "True"},
            "T holders, liars included, voted for k; the event is decided once",
            fair=True,
        ),
    ),
    properties=(
        Property(
            "RegroupEnds",
            "any(not first_epoch(h) and all(faulty[p] or holding[p, h] == active for p in Peer) "
            "for h in Epoch)",
            "liveness",
            "in the end every correct member works with new shares, the same night",
        ),
        Property(
            "EpochAvailable",
            f"all(implies({_COUNTS}, "
            f"count(p for p in Peer if not faulty[p] and {_HAS}) >= T) for h in Epoch)",
            doc="of the epoch that counts, which is the decided one or else the first, the correct "
            "members alone have shares enough to sign",
        ),
        Property(
            "SharesHeld",
            f"all(implies({_COUNTS}, faulty[p] or {_HAS}) {_EACH_SHARE})",
            doc="every correct member has its share of it, so with n - f >= t the key is available",
        ),
        Property(
            "RegroupIgnoresBlocks",
            f"all(roster_has[p, h] or any(rivals(j, h) and left_out(p, j) for j in Epoch) "
            f"{_EACH_SHARE})",
            doc="who was not missed by T holders is in the roster, whoever blocks it",
        ),
        Property(
            "OneFollows",
            "all(not (rivals(h, k) and succession_signed[h] and succession_signed[k]) "
            "for h in Epoch for k in Epoch)",
            doc="no two attempts of one night are decided",
        ),
        Property(
            "SecondAttempt",
            "any(holding[p, h] == active and not roster_has[q, h] for p in Peer for q in Peer "
            "for h in Epoch)",
            "reachable",
            "an attempt without the liar comes to its end",
        ),
        Property(
            "LateReady",
            "any(faulty[q] and left_out(q, h) and ready_said[q, h] and all_ready(h) and "
            "any(rivals(h, k) and handed_over[p, k] for k in Epoch) "
            "for p in Peer for q in Peer for h in Epoch)",
            "reachable",
            "the adversary's power: it completes an attempt that was given up",
        ),
        Property(
            "LiarDecides",
            "any(succession_signed[h] and count(p for p in Peer if handed_over[p, h]) < T "
            "for h in Epoch)",
            "reachable",
            "the adversary's power: its vote completes a certificate",
        ),
    ),
)

_NO_RETRY = tuple(p for p in NETWORK.properties if p.name not in ("SecondAttempt", "LateReady"))
NIGHT_SKIPPED = evolve(
    NETWORK,
    name="regroup_night_skipped",
    doc="F-26: every attempt waits for everybody, so one silent member skips every night",
    given={**NETWORK.given, "roster_has[p, h]": "True"},
    properties=_NO_RETRY,
)
BLOCKS_DECIDE = evolve(
    NETWORK,
    name="regroup_blocks_decide",
    doc="F-26: whom somebody blocks is not in the roster",
    given={**NETWORK.given, "roster_has[p, h]": f"not {_LEFT_OUT} and (first_epoch(h) or "
           "all(standing[q, p] != blocked for q in Peer))"},
    moves=(
        *NETWORK.moves,
        Move(
            "Block(q: Peer, p: Peer)",
            ("faulty[q]", "not faulty[p]",
             "all(holding[x, h] == no_share for x in Peer for h in Epoch)"),
            {"standing[q, p]": "blocked"},
            "a liar keeps a block list as well; here it has done so before the night",
        ),
    ),
    properties=_NO_RETRY,
)
ERASED_AT_ONCE = evolve(
    NETWORK,
    name="regroup_erased_at_once",
    doc="F-25: a member erases its old share as soon as it has a new one",
    moves=(
        *NETWORK.moves,
        Move(
            "EraseOld(p: Peer, h: Epoch, k: Epoch)",
            ("not faulty[p]", "follows[k, h]", "holding[p, k] == prepared",
             "holding[p, h] in (active, fenced)"),
            {"holding[p, h]": "erased"},
            "the published rule",
        ),
    ),
)
NOT_ALL_READY = evolve(
    NETWORK,
    name="regroup_not_all_ready",
    doc="F-25: T members are enough to go over to the new shares",
    without=(
        ("regroup.Fence", "all_ready(k) or succession_signed[k]"),
        ("regroup.HandOver", "all_ready(k) or succession_signed[k]"),
    ),
)
CORRECT_LEFT_OUT = evolve(
    NETWORK,
    name="regroup_correct_left_out",
    doc="what a retry costs: a correct member is cut off and left out, the liar stays",
    cells=(*NETWORK.cells, Cell("cut_off", "bool", ("Peer",), "False", "given", "nobody hears p")),
    rigid=("faulty", "cut_off"),
    assume=(*NETWORK.assume, "count(p for p in Peer if cut_off[p]) <= 1"),
    given={**NETWORK.given, "overdue[p, q, h]": "cut_off[q] and p != q"},
)
TWO_SUCCESSORS = evolve(
    NETWORK,
    name="regroup_two_successors",
    doc="F-37: acknowledgements of all members of an attempt activate it, and nothing else does",
    moves=tuple(
        evolve(m, only_if=("not first_epoch(k)", "all_ready(k)")) if m.event.startswith("Dec")
        else m for m in NETWORK.moves
    ),
)

_HOLDS = "holding[p, h] in (prepared, active, fenced)"

PROVES = ("SharesHeld", "OneFollows")
"""The invariants that these lemmas prove; EpochAvailable is the first of them, counted."""

LEMMAS = (
    Property(
        "MissedIsALiar",
        f"all(implies(missed[p, q, h] and not faulty[p], faulty[q]) {_EACH_SHARE} for q in Peer)",
        "lemma",
        "in a calm network correct members miss nobody but liars",
    ),
    Property(
        "ReadyHasShare",
        f"all(implies(ready_said[p, h] and not faulty[p] and not first_epoch(h), {_HOLDS} or "
        f"holding[p, h] == erased) {_EACH_SHARE})",
        "lemma",
        "a correct member says so when the share is on its disk",
    ),
    Property(
        "VotedIsHeld",
        "all(implies(handed_over[q, h] and not faulty[q] and not faulty[p], not first_epoch(h) and "
        f"({_HOLDS} or any(rivals(k, h) and succession_signed[k] for k in Epoch))) {_EACH_SHARE} "
        "for q in Peer)",
        "lemma",
        "what a correct member voted for all correct members hold, unless another one is decided",
    ),
    Property(
        "DecidedIsHeld",
        f"all(implies(succession_signed[h], not first_epoch(h) and (faulty[p] or {_HOLDS})) "
        f"{_EACH_SHARE})",
        "lemma",
        "of T voters one is correct",
    ),
    Property(
        "ErasedIsSucceeded",
        f"all(implies(holding[p, h] == erased and not faulty[p], any(succession_signed[k] and "
        f"(follows[k, h] or rivals(h, k)) for k in Epoch)) {_EACH_SHARE})",
        "lemma",
        "no share is erased before something is decided",
    ),
    Property(
        "FirstIsHeld",
        f"all(implies(first_epoch(h), holding[p, h] != prepared) {_EACH_SHARE})",
        "lemma",
        "shares of the first epoch come from key generation",
    ),
)
"""Why the correct members can always sign, with old shares or with new ones, for every n: F-25.

Either nothing is decided, and nobody erased a share of the first epoch. Or one attempt is: T
holders voted for it, one of them correct, after all of its members had said that they have their
shares; and shares of the attempt that is decided are not erased.
"""

_ONE_NIGHT = {"Peer": 3, "Event": 1, "Attempt": 1, "Digest": 1, "Epoch": 3}

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            NETWORK, _ONE_NIGHT, quorum(3, 1, 2),
            pinned=Counts(
                distinct=239677, generated=2873458, depth=29, reached={"LateReady": 11,
                "LiarDecides": 8, "SecondAttempt": 9},
            ),
        ),
        Case(
            NIGHT_SKIPPED, _ONE_NIGHT, quorum(3, 1, 2),
            refuted=("RegroupEnds",),
            pinned=Counts(
                distinct=127321, generated=1549882, depth=29, reached={"LiarDecides": 9},
                violated={"RegroupEnds": 6},
            ),
        ),
        Case(
            BLOCKS_DECIDE, _ONE_NIGHT, quorum(3, 1, 2),
            refuted=("RegroupIgnoresBlocks", "EpochAvailable"), whole=False,
            pinned=Counts(
                distinct=7849, generated=37462, depth=8, reached={"LiarDecides": 7},
                violated={"EpochAvailable": 7, "RegroupIgnoresBlocks": 1, "SharesHeld": 7},
            ),
        ),
        Case(
            ERASED_AT_ONCE, _ONE_NIGHT, quorum(3, 1, 2),
            refuted=("EpochAvailable",), whole=False,
            pinned=Counts(
                distinct=1271, generated=4798, depth=6, violated={"EpochAvailable": 5,
                "SharesHeld": 5},
            ),
        ),
        Case(
            NOT_ALL_READY, _ONE_NIGHT, quorum(3, 1, 2),
            refuted=("EpochAvailable",), whole=False,
            pinned=Counts(
                distinct=1043, generated=3298, depth=5, reached={"LiarDecides": 4},
                violated={"EpochAvailable": 4, "SharesHeld": 4},
            ),
        ),
        Case(
            CORRECT_LEFT_OUT, _ONE_NIGHT, quorum(3, 1, 2),
            refuted=("EpochAvailable",), whole=False,
            pinned=Counts(
                distinct=13531, generated=90244, depth=10, reached={"LiarDecides": 8,
                "SecondAttempt": 9}, violated={"EpochAvailable": 9, "SharesHeld": 9},
            ),
        ),
        Case(
            TWO_SUCCESSORS, _ONE_NIGHT, quorum(3, 1, 2),
            refuted=("OneFollows", "EpochAvailable"), whole=False,
            pinned=Counts(
                distinct=29534, generated=196025, depth=13, reached={"LateReady": 11,
                "LiarDecides": 6, "SecondAttempt": 8}, violated={"EpochAvailable": 12,
                "OneFollows": 11, "SharesHeld": 12},
            ),
        ),
    ),
    proofs=(
        ProofCase(
            NETWORK, LEMMAS, PROVES, implied=("EpochAvailable",), obligations=137,
            steps=4 * ATTEMPT_STEPS, findings=("F-25",),
        ),
    ),
)
