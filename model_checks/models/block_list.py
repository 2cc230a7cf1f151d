"""Whom nodes block, with liars and silence: a correct node is never blocked (F-06, F-08, F-09).

Evidence convinces a third party, so only a peer that signed two conflicting messages can be shown
to have done so; a liar may do that at any time. A peer may be cut off for as long as the network
likes. Sets for signing are never formed from this table; ``HonestTogether`` says that even if they
were, no correct peer would be missing.
"""

from __future__ import annotations

from attrs import evolve

from model_checks.cases import Case, Counts, Model, ProofCase, quorum
from model_checks.models.shared import promised
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell

_PAIRS = "for p in Peer for q in Peer"
_OF_SETS = ("BlockNeedsProof", "BlockedConflicted", "HonestTogether", "BlocksCanEnd", "CanBlock")

NETWORK = Network(
    name="block_list",
    doc="suspicion, evidence, blocks that end",
    rows=(
        ("block_list", "Silence"),
        ("block_list", "GoodPing"),
        ("block_list", "Block"),
        ("block_list", "Over"),
    ),
    crash=False,  # nothing here is kept in memory
    cells=(
        Cell("faulty", "bool", ("Peer",), "False", "given", "q may do anything"),
        Cell("conflicting", "bool", ("Peer",), "False", "network", "q signed two bodies for one"),
        Cell("cut_off", "bool", ("Peer",), "False", "given", "nobody hears q just now"),
    ),
    rigid=("faulty",),
    assume=("count(p for p in Peer if faulty[p]) <= F",),
    given={
        "evidence_verified[p, q]": "conflicting[q]",
        "pings_missed[p, q]": "cut_off[q]",
        "ping_good[p, q]": "not cut_off[q]",
        "block_over[p, q]": "True",
    },
    moves=(
        Move(
            "Equivocate(q: Peer)", ("faulty[q]",), {"conflicting[q]": "True"},
            "a liar signs two proposals",
        ),
        Move("CutOff(q: Peer)", ("not cut_off[q]",), {"cut_off[q]": "True"}, "a partition begins"),
        Move("Heal(q: Peer)", ("cut_off[q]",), {"cut_off[q]": "False"}, "it ends", fair=True),
    ),
    properties=(
        *promised("BlockNeedsProof"),
        Property(
            "BlockedConflicted",
            f"all(implies(standing[p, q] == blocked, conflicting[q]) {_PAIRS})",
            doc="who is blocked has signed two bodies for one",
        ),
        Property(
            "HonestTogether",
            f"all(implies(standing[p, q] == blocked, faulty[q]) {_PAIRS})",
            doc="whatever is lost or said, no correct peer is ever blocked",
        ),
        Property(
            "SuspectCanClear",
            f"all(implies(not faulty[p] and not faulty[q], standing[p, q] == clear) {_PAIRS})",
            "always_can",
            "F-09: suspicion of correct peers can always be cleared by pings alone",
        ),
        Property(
            "BlocksCanEnd", f"all(standing[p, q] != blocked {_PAIRS} if not faulty[p])",
            "always_can", "no block must be for ever",
        ),
        Property(
            "SuspectsTheSilent",
            f"all(implies(standing[p, q] != suspect and after(standing[p, q]) == suspect, "
            f"cut_off[q]) and implies(standing[p, q] == suspect and "
            f"after(standing[p, q]) == clear, not cut_off[q]) {_PAIRS})",
            "step",
            "F-09: silence makes a suspect, a good ping clears it, and nothing else does",
        ),
        Property("CanSuspect", f"any(standing[p, q] == suspect and not faulty[q] {_PAIRS})",
                 "reachable", "the adversary's power: silence makes anyone a suspect"),
        Property("CanBlock", f"any(standing[p, q] == blocked {_PAIRS})", "reachable"),
    ),
)

ENDS = evolve(
    NETWORK,
    name="block_list_ends",
    doc="in the end suspicion clears, once nobody is cut off any more, and no block is for ever",
    fair=("block_list.GoodPing", "block_list.Over"),
    disturbances=("CutOff",),
    properties=(
        Property(
            "SuspectClears",
            f"all(implies(not faulty[p] and not faulty[q], standing[p, q] == clear) {_PAIRS})",
            "eventually_always",
            "F-09: suspicion of correct peers is cleared by pings alone",
        ),
        Property(
            "BlocksEnd",
            "all(leads_to(standing[p, q] == blocked, standing[p, q] != blocked) "
            f"{_PAIRS} if not faulty[p])",
            "liveness",
            "each block ends, however much evidence there is for another one",
        ),
    ),
)

# Sets for signing as published: members must not block each other. Here T is 3 of N = 4.
_MUTUAL = "standing[{0}, {1}] != blocked and standing[{1}, {0}] != blocked"
_SET_OF_THREE = Property(
    "SetPossible",
    "any(p != q and q != x and p != x and "
    + " and ".join(_MUTUAL.format(*pair) for pair in ("pq", "qx", "px"))
    + " for p in Peer for q in Peer for x in Peer)",
    doc="F-08: there are three of four who do not block each other",
)
SETS = evolve(
    NETWORK,
    name="block_list_sets",
    doc="blocks on evidence leave T peers who do not block each other",
    rows=(("block_list", "Block"), ("block_list", "Over")),
    moves=NETWORK.moves[:1],
    properties=(_SET_OF_THREE, *(p for p in NETWORK.properties if p.name in _OF_SETS)),
)
BLOCKS_SHAPE_SETS = evolve(
    SETS,
    name="block_list_shapes_sets",
    doc="F-08: everybody blocks whom it likes, and blocks decide who may be in a signing set",
    given={**NETWORK.given, "evidence_verified[p, q]": "p != q"},
)
SILENCE_IS_GUILT = evolve(
    NETWORK,
    name="block_list_silence_is_guilt",
    doc="F-09: who does not answer is blocked",
    given={**NETWORK.given, "evidence_verified[p, q]": "conflicting[q] or cut_off[q]"},
)
WORD_IS_ENOUGH = evolve(
    NETWORK,
    name="block_list_word_is_enough",
    doc="F-06: who differs is blocked on a node's own observation: a liar misleads it",
    given={
        **NETWORK.given, "evidence_verified[p, q]": "conflicting[q] or any(faulty[x] for x in Peer)"
    },
)

# Records of what a peer did in runs, for one node: they carry no block by themselves.
RECORDS = Network(
    name="block_list_records",
    doc="what is written down of a peer that a run has shown to be at fault",
    rows=(("block_list", "Ban"), ("block_list", "Blame"), ("block_list", "Pardon")),
    untracked=("block_list",),
    honest="",
    rigid=("conduct",),
    moves=(
        Move(
            "Reshare(p: Peer, q: Peer)", ("not fresh_transfers[p, q]",),
            {"fresh_transfers[p, q]": "True"}, "new shares, with new base transfers",
        ),
    ),
    properties=(
        Property(
            "BannedForCheating",
            f"all(implies(pair_banned[p, q], conduct[p, q] == cheating) {_PAIRS})",
            doc="no pair is banned but for a failed check of its transfers",
        ),
        Property(
            "BlamedForFault",
            f"all(implies(blamed[p, q], conduct[p, q] != blameless) {_PAIRS})",
            doc="nobody is blamed who did nothing",
        ),
        Property(
            "PardonedAfresh",
            f"all(implies(pair_banned[p, q] and not after(pair_banned[p, q]), "
            f"fresh_transfers[p, q]) {_PAIRS})",
            "step",
            "a ban is lifted when the guessed bit is worthless",
        ),
        Property(
            "CanPardon", f"any(fresh_transfers[p, q] and conduct[p, q] == cheating and "
            f"not pair_banned[p, q] and blamed[p, q] {_PAIRS})", "reachable",
        ),
    ),
)

LEMMAS = (
    Property(
        "OnlyLiarsConflict", "all(implies(conflicting[q], faulty[q]) for q in Peer)", "lemma",
        "a correct peer signs one body",
    ),
)
"""Why no correct peer is ever blocked, for every n: F-06."""

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            NETWORK, {"Peer": 3}, quorum(4, 1, 3),
            pinned=Counts(
                distinct=15232, generated=129796, depth=18, reached={"CanBlock": 2, "CanSuspect":
                2},
            ),
        ),
        Case(
            ENDS, {"Peer": 3}, quorum(4, 1, 3),
            pinned=Counts(
                distinct=18176, generated=138308, depth=17,
            ),
        ),
        Case(
            RECORDS, {"Peer": 2}, quorum(2, 0, 2),
            pinned=Counts(
                distinct=38416, generated=801329, depth=13, reached={"CanPardon": 2},
            ),
        ),
        Case(
            SETS, {"Peer": 4}, quorum(4, 1, 3),
            pinned=Counts(
                distinct=113, generated=549, depth=8, reached={"CanBlock": 2},
            ),
        ),
        Case(
            BLOCKS_SHAPE_SETS, {"Peer": 4}, quorum(4, 1, 3),
            refuted=("SetPossible",), whole=False,
            pinned=Counts(
                distinct=351, generated=649, depth=3, reached={"CanBlock": 1},
                violated={"BlockedConflicted": 1, "HonestTogether": 1, "SetPossible": 2},
            ),
        ),
        Case(
            SILENCE_IS_GUILT, {"Peer": 3}, quorum(4, 1, 3),
            refuted=("HonestTogether",), whole=False,
            pinned=Counts(
                distinct=100, generated=136, depth=3, reached={"CanBlock": 2, "CanSuspect": 2},
                violated={"BlockedConflicted": 2, "HonestTogether": 2},
            ),
        ),
        Case(
            WORD_IS_ENOUGH, {"Peer": 3}, quorum(4, 1, 3),
            refuted=("HonestTogether",), whole=False,
            pinned=Counts(
                distinct=37, generated=37, depth=2, reached={"CanBlock": 1},
                violated={"BlockedConflicted": 1, "HonestTogether": 1},
            ),
        ),
    ),
    proofs=(ProofCase(NETWORK, LEMMAS, obligations=40, findings=("F-06", "F-09")),),
    controls=(
        ProofCase(
            SILENCE_IS_GUILT, LEMMAS,
            fails=(
                "BlockedConflicted / block_list.Block",
                "HonestTogether / block_list.Block",
                "BlockedConflicted / block_list.Block#2",
                "HonestTogether / block_list.Block#2",
            ),
        ),
        ProofCase(
            WORD_IS_ENOUGH, LEMMAS,
            fails=(
                "BlockedConflicted / block_list.Block",
                "HonestTogether / block_list.Block",
                "BlockedConflicted / block_list.Block#2",
                "HonestTogether / block_list.Block#2",
            ),
        ),
    ),
)
