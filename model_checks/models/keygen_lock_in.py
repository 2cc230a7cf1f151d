"""One key for the network (F-27): shares, confirmations by all, and one lock-in.

The keygen table runs as it is; phases and certificates of keygen sessions are left out, so a key
may be made at any time. A key's lock-in signature needs T holders that have it certified, liars
included, and is an event of its own, one for the whole network: that no two keys are signed there
is what ``signing`` shows, and is taken from it here (``SignLockIn``). A key is outdated by three
newer ones, so one of the cases has four keys.

``ROSTERS`` has keys of different members (F-33). Then lock-in is no event of one roster any more:
each key is signed by T of its own holders, of whom a correct one signs once.
"""

from __future__ import annotations

from attrs import evolve

from model_checks.cases import EACH_PEER, Case, Counts, Model, ProofCase, quorum
from model_checks.models.shared import promised
from model_checks.system import Move, Network, Property
from spec.language.declarations import Cell, Opt

_EVERY_KEY = "for p in Peer for k in Key"
_CERTIFIED = (
    "count(q for q in Peer if faulty[q] or key[q, k] in (certified_by_all, locked_in)) >= T"
)

_SLOT_LEFT = (
    "all(not faulty[p] for p in Peer) and not any(lock_in_valid[k] for k in Key) "
    "and any(all(key[p, k] == no_key for p in Peer) for k in Key)"
)
_LOCKED_IN = "any(all(key[p, k] == locked_in for p in Peer) for k in Key)"

NETWORK = Network(
    name="keygen_lock_in",
    doc="several keys are made; one is locked in, everywhere the same",
    rows=(("keygen", "*"),),
    cells=(Cell("faulty", "bool", ("Peer",), "False", "given", "p may say anything"),),
    rigid=("faulty",),
    assume=(
        "count(p for p in Peer if faulty[p]) <= F",
        "count(p for p in Peer if not faulty[p]) >= T",  # SAFE-SIGN 1: n - f >= t
    ),
    given={
        "phase[p]": "Keygen",
        "keygen_certificate[p, k]": "True",
        "same_roster[p, k]": "True",
        "share_verified[p, k]": "True",
        "before_lock_in[p]": "True",
    },
    moves=(
        Move(
            "ForgeConfirmation(q: Peer, k: Key)", ("faulty[q]",), {"confirmed[q, k]": "True"},
            "a liar confirms a key that it never stored",
        ),
        Move(
            "SignLockIn(k: Key)", (_CERTIFIED, "not any(lock_in_valid[j] for j in Key)"),
            {"lock_in_valid[k]": "True"}, "T holders sign the key's name; the event is signed once",
            fair=True,
        ),
    ),
    properties=(
        *promised("LockInAgreement", "KeyAvailable"),
        Property(
            "AllHoldShares",
            "all(implies(key[p, k] == locked_in, "
            f"all(faulty[q] or key_share[q, k] for q in Peer)) {_EVERY_KEY})",
            doc="every correct member holds its share of a key whose address is shown",
        ),
        Property(
            "ConfirmedIsStored",
            f"all(implies(confirmed[p, k] and not faulty[p], key_share[p, k]) {_EVERY_KEY})",
            doc="a correct node confirms only what is on its disk",
        ),
        Property(
            "LockedInForGood",
            "all(implies(key[p, k] == locked_in, after(key[p, k]) == locked_in) "
            f"{_EVERY_KEY})",
            "step",
            "a key whose address is shown is never given up",
        ),
        Property(
            "ShareIsKept", f"all(implies(key_share[p, k], after(key_share[p, k])) {_EVERY_KEY})",
            "step", "no share is ever lost",
        ),
        Property(
            "KeygenCanEnd",
            f"implies({_SLOT_LEFT}, {_LOCKED_IN})",
            "always_can",
            "while no key is locked in and a slot is left, the members can all lock one in",
        ),
        Property("CanLockIn", f"any(key[p, k] == locked_in and not faulty[p] {_EVERY_KEY})",
                 "reachable"),
        Property(
            "CanRetire",
            "any(key[p, k] == abandoned and key_share[p, k] and key[p, j] == locked_in "
            "for p in Peer for k in Key for j in Key)",
            "reachable",
            "a key that was stored and not chosen is dropped",
        ),
        Property(
            "LiarHasNoShare",
            "any(faulty[q] and key[p, k] == locked_in and confirmed[q, k] and not key_share[q, k] "
            "for p in Peer for q in Peer for k in Key)",
            "reachable",
            "the adversary's power: its confirmation counts though it stored nothing",
        ),
    ),
)

ENDS = evolve(
    NETWORK,
    name="keygen_ends",
    doc="in the end a key is locked in, once no run fails and nobody crashes",
    fair=("keygen.Start", "keygen.Store", "keygen.Certify", "keygen.LockIn"),
    disturbances=("Crash", "keygen.Fail"),
    properties=(
        Property(
            "KeygenEnds", f"leads_to(calm and {_SLOT_LEFT}, {_LOCKED_IN})", "liveness",
            "while no key is locked in and a slot is left, the members lock one in",
        ),
    ),
)
ENDS_LOCALLY = evolve(
    NETWORK,
    name="keygen_ends_locally",
    doc="F-27: a key counts at a node as soon as it is finished there",
    without=(
        ("keygen.Certify", "among(k, all(confirmed[q, k] for q in Peer))"),
        ("keygen.LockIn", "lock_in_valid[k]"),
    ),
)
LOCK_IN_UNSIGNED = evolve(
    NETWORK,
    name="keygen_lock_in_unsigned",
    doc="confirmations of all are not enough: two keys may both have them",
    without=(("keygen.LockIn", "lock_in_valid[k]"),),
)

# F-33: keys of different members. A correct peer signs one lock-in; the first vote is final here.
_SAME_AS = (
    "all(implies(key[p, j] in ({states}), all(implies(member[q, j], member[q, k]) and "
    "implies(member[q, k], member[q, j]) for q in Peer)) for j in Key)"
)
ROSTERS = evolve(
    NETWORK,
    name="keygen_rosters",
    doc="a node that makes or holds a key begins no other one with different members",
    cells=(
        *NETWORK.cells,
        Cell("member", "bool", ("Peer", "Key"), "False", "given", "p is to hold a share of k"),
        Cell("signs", Opt("Key"), ("Peer",), "none", "disk", "whose lock-in p has signed"),
    ),
    rigid=("faulty", "member"),
    assume=(*NETWORK.assume, "all(count(p for p in Peer if member[p, k]) == N for k in Key)"),
    given={
        **NETWORK.given,
        "keygen_certificate[p, k]": "member[p, k]",
        "same_roster[p, k]": _SAME_AS.format(
            states="generating, stored, certified_by_all, locked_in"
        ),
    },
    moves=(
        NETWORK.moves[0],
        Move(
            "NotAsked(q: Peer, k: Key)", ("not member[q, k]", "not confirmed[q, k]"),
            {"confirmed[q, k]": "True"}, "who is no member need not confirm",
        ),
        Move(
            "SignFor(p: Peer, k: Key)",
            ("not faulty[p]", "key[p, k] in (certified_by_all, locked_in)", "signs[p] == none"),
            {"signs[p]": "k"},
            "a holder of the key signs its name",
        ),
        Move(
            "SignLockIn(k: Key)",
            ("count(q for q in Peer if member[q, k] and (faulty[q] or signs[q] == k)) >= T",),
            {"lock_in_valid[k]": "True"},
            "T of its holders have",
        ),
    ),
    properties=tuple(p for p in NETWORK.properties if p.name in ("LockInAgreement", "CanLockIn")),
)
ANY_MEMBERS = evolve(
    ROSTERS, name="keygen_any_members", doc="F-33: any N staked nodes may make the next key",
    given={**ROSTERS.given, "same_roster[p, k]": "True"},
)
COUNTED_ROSTERS = evolve(
    ROSTERS,
    name="keygen_counted_rosters",
    doc="F-33, halfway: a node asks it of keys that count, and not of those that it makes or holds",
    given={
        **ROSTERS.given, "same_roster[p, k]": _SAME_AS.format(states="certified_by_all, locked_in")
    },
)

LEMMAS = (
    Property(
        "LockedInIsSigned",
        "all(implies(key[p, k] == locked_in, lock_in_valid[k]) for p in Peer for k in Key)",
        "lemma",
        "the key signed its own name",
    ),
    Property(
        "SignedOnce",
        "all(not (lock_in_valid[k] and lock_in_valid[j]) for k in Key for j in Key if k != j)",
        "lemma",
        "lock-in is one event for the network",
    ),
    Property(
        "CertifiedByAll",
        "all(implies(key[p, k] in (certified_by_all, locked_in), confirmed[q, k]) "
        "for p in Peer for q in Peer for k in Key)",
        "lemma",
        "all members confirmed, and what was sent stays sent",
    ),
)
"""Why there is one key and everybody holds a share of it, for every n: F-27."""

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            ROSTERS, {"Peer": 5, "Key": 2}, quorum(4, 1, 3), EACH_PEER,
            pinned=Counts(
                distinct=170155, generated=1186231, depth=37, reached={"CanLockIn": 14},
            ),
        ),
        Case(
            ANY_MEMBERS, {"Peer": 5, "Key": 2}, quorum(4, 1, 3), EACH_PEER,
            refuted=("LockInAgreement",), whole=False,
            pinned=Counts(
                distinct=336176, generated=2539403, depth=29, reached={"CanLockIn": 14},
                violated={"LockInAgreement": 28},
            ),
        ),
        Case(
            COUNTED_ROSTERS, {"Peer": 5, "Key": 2}, quorum(4, 1, 3), EACH_PEER,
            refuted=("LockInAgreement",), whole=False,
            pinned=Counts(
                distinct=336176, generated=2478239, depth=29, reached={"CanLockIn": 14},
                violated={"LockInAgreement": 28},
            ),
        ),
        Case(
            NETWORK, {"Peer": 3, "Key": 3}, quorum(3, 0, 3), EACH_PEER,
            unreached=("LiarHasNoShare",),
            pinned=Counts(
                distinct=111336, generated=707914, depth=32, reached={"CanLockIn": 11, "CanRetire":
                14},
            ),
        ),
        Case(
            NETWORK, {"Peer": 4, "Key": 2}, quorum(4, 1, 3), EACH_PEER,
            pinned=Counts(
                distinct=12187, generated=72736, depth=30, reached={"CanLockIn": 11, "CanRetire":
                14, "LiarHasNoShare": 11},
            ),
        ),
        Case(
            ENDS, {"Peer": 3, "Key": 2}, quorum(3, 0, 3), EACH_PEER,
            pinned=Counts(
                distinct=2818, generated=11812, depth=24,
            ),
        ),
        Case(
            ENDS, {"Peer": 4, "Key": 2}, quorum(4, 1, 3), EACH_PEER, deep=True,
            pinned=Counts(
                distinct=24374, generated=141089, depth=31,
            ),
        ),
        Case(
            NETWORK, {"Peer": 2, "Key": 4}, quorum(2, 0, 2), EACH_PEER,
            unreached=("LiarHasNoShare",),
            pinned=Counts(
                distinct=189471, generated=1110487, depth=28, reached={"CanLockIn": 8, "CanRetire":
                11},
            ),
        ),
        Case(
            ENDS_LOCALLY, {"Peer": 4, "Key": 2}, quorum(4, 1, 3), EACH_PEER,
            refuted=("LockInAgreement", "KeyAvailable"), whole=False,
            pinned=Counts(
                distinct=4937, generated=23188, depth=9, reached={"CanLockIn": 4, "CanRetire": 7,
                "LiarHasNoShare": 5}, violated={"AllHoldShares": 4, "KeyAvailable": 4,
                "LockInAgreement": 8},
            ),
        ),
        Case(
            LOCK_IN_UNSIGNED, {"Peer": 4, "Key": 2}, quorum(4, 1, 3), EACH_PEER,
            refuted=("LockInAgreement",), whole=False,
            pinned=Counts(
                distinct=12627, generated=76076, depth=19, reached={"CanLockIn": 9, "CanRetire":
                12, "LiarHasNoShare": 9}, violated={"LockInAgreement": 18},
            ),
        ),
    ),
    proofs=(
        ProofCase(NETWORK, LEMMAS, implied=("KeyAvailable",), obligations=73, findings=("F-27",)),
    ),
    controls=(
        ProofCase(
            ENDS_LOCALLY, LEMMAS, implied=("KeyAvailable",),
            fails=(
                "CertifiedByAll / keygen.Certify",
                "LockInAgreement / keygen.LockIn",
                "LockedInIsSigned / keygen.LockIn",
            ),
        ),
        ProofCase(
            LOCK_IN_UNSIGNED, LEMMAS, implied=("KeyAvailable",),
            fails=("LockInAgreement / keygen.LockIn", "LockedInIsSigned / keygen.LockIn"),
        ),
    ),
)
