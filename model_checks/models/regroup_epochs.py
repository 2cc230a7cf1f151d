"""Why nothing is signed twice while epochs follow each other: for every n, t and f of each of them.

The network is that of ``regroup_handover``, with any number of epochs, each with holders, t and f
of its own, which may share members or none; any number of attempts and digests; liars in each of
them; crashes at any time. In every network beside this one there are two epochs.

The argument, in the order of the lemmas. Say that d *can still be signed* in attempt a when enough
holders of a's epoch released it there, or may yet (``enough``). No step makes that true again: that
is asked of each step first. Within one epoch the argument is that of ``signing``. From one epoch to
the next: who released what can still be signed keeps the lock on it (``LockStays``) and showed it
when it handed over (``ReleaseShown``); who works in a later epoch has taken it over from T, of whom
one correct member had it (``LockIsShown``), so its lock is on the same (``LockTaken``); so it votes
for nothing else (``LaterEpochFences``), and goes on to show it to the epoch after
(``LockTravelsOn``). A certificate for anything else says that there are voters who did
(``NewerCertificateFences``), so that d could no longer be signed.

The proof needs two guards that the table did not have (F-46), which ``SKIPS_ONE`` leaves out: a
member that still works with a share of two epochs ago must not take over a lock.
"""

from __future__ import annotations

from attrs import evolve

from model_checks.cases import PEERS_AND_DIGESTS, Case, Counts, Model, ProofCase, one_event, quorum
from model_checks.engines.provers import ATTEMPT_STEPS
from model_checks.models.regroup_handover import (
    EACH_SHARE,
    LATER_SCOPES,
    LOCKS_FORGOTTEN,
    NETWORK,
    NUMBER_OF_HOLDERS,
    TOLD_AGAIN,
)
from model_checks.system import Network, Property
from spec.language.declarations import Cell, Definition, Opt

_PEER = "for p in Peer for e in Event"
_ATTEMPT_DIGEST = "for a in Attempt for d in Digest"
_TWO_ATTEMPTS = "for a in Attempt for b in Attempt for d in Digest for k in Digest"
_LATER = "h < k and not first_epoch(h)"
_PAIRS = "for p in Peer for h in Epoch for k in Epoch"
_IN_USE = "(active, fenced, erased)"
_FROM = (
    "among(g, count(q for q in Peer if handed_over[q, h] and all(implies("
    "lock_shown[q, h, x, b, k], b <= lock_attempt[p, x]) "
    "for x in Event for b in Attempt for k in Digest)) >= T)"
)
_TAKEN = (
    f"follows[h, g] and {_FROM} and succession_signed[h] and epoch_of[a] < h and enough(e, a, d)"
)
_OF_A = "epoch_of[a] == g"

STANDING = (
    Definition(
        "gone(q: Peer, g: Epoch)",
        "holding[q, g] in (fenced, erased) or holding[q, g] != active and moved_on(q, g)",
        "q signs nothing with its share of g any more",
    ),
    Definition(
        "out_of(q: Peer, a: Attempt)",
        "any(epoch_of[a] == h and gone(q, h) for h in Epoch)",
        "q signs nothing in a any more",
    ),
    Definition(
        "may_yet(q: Peer, e: Event, a: Attempt, d: Digest)",
        "not out_of(q, a) and "
        "(lock[q, e] == d and lock_attempt[q, e] == a or "
        "not any(a < c and voted[q, e, c] not in (none, d) for c in Attempt))",
        "q may yet release d in a",
    ),
    Definition(
        "works_in(p: Peer, b: Attempt)",
        "any(epoch_of[b] == h and holding[p, h] == active for h in Epoch)",
        "p's share of b's epoch is in force",
    ),
    Definition(
        "enough(e: Event, a: Attempt, d: Digest)",
        "among(e, a, count(q for q in Peer if not faulty[q] and "
        "(released_in[q, e, a, d] or may_yet(q, e, a, d))) >= T - F)",
        "enough correct holders have released d in a, or may yet",
    ),
    Definition(
        "shown_since(q: Peer, k: Epoch, e: Event, a: Attempt, d: Digest)",
        "any(a <= c and lock_shown[q, k, e, c, d] for c in Attempt)",
        "q showed its lock on d, of attempt a or a later one, to the members of k",
    ),
)
"""What the lemmas speak of."""

LEMMAS = (
    Property(
        "FoundersHaveShares",
        "all(implies(holding[p, h] != no_share and not first_epoch(h) and first_epoch(g) and "
        "roster_has[q, g] and not faulty[q] and not faulty[p], holding[q, g] != no_share) "
        "for p in Peer for q in Peer for g in Epoch for h in Epoch)",
        "lemma",
        "shares of a later epoch are made when the founders have theirs",
    ),
    Property(
        "HoldersAreListed",
        f"all(implies(holding[p, h] != no_share and not faulty[p], roster_has[p, h]) {EACH_SHARE})",
        "lemma",
        "only members of an epoch have shares of it",
    ),
    Property(
        "OneShareWorks",
        "all(implies(g < h and holding[p, g] == active and holding[p, h] == active, faulty[p]) "
        "for p in Peer for g in Epoch for h in Epoch)",
        "lemma",
        "F-46: nobody signs with shares of two epochs",
    ),
    Property(
        "VotedWithShare",
        f"all(implies(voted[p, e, a] != none and {_OF_A} and not faulty[p], "
        f"holding[p, g] in {_IN_USE}) {_PEER} for a in Attempt for g in Epoch)",
        "lemma",
        "who voted had a share in force",
    ),
    Property(
        "HandedOverIsGone",
        "all(implies(handed_over[p, k] and follows[k, h] and not faulty[p], "
        "holding[p, h] in (fenced, erased) and roster_has[p, h]) "
        "for p in Peer for h in Epoch for k in Epoch)",
        "lemma",
        "who has handed over has stepped back",
    ),
    Property(
        "ErasedIsSucceeded",
        "all(implies(holding[p, h] == erased and not faulty[p], "
        f"any(follows[k, h] and succession_signed[k] for k in Epoch)) {EACH_SHARE})",
        "lemma",
        "no share is erased before the next epoch is decided",
    ),
    Property(
        "AttemptHasLock",
        f"all(implies(lock[p, e] == none, lock_attempt[p, e] == none) {_PEER})",
        "lemma",
        "the lock and its attempt are written together",
    ),
    Property(
        "LockIsCertified",
        "all(implies(lock[p, e] != none, any(lock_attempt[p, e] == a and "
        f"any(lock[p, e] == d and certified(e, a, d) for d in Digest) for a in Attempt)) {_PEER})",
        "lemma",
        "only with a certificate does a node lock, or take a lock over",
    ),
    Property(
        "ShownIsCertified",
        f"all(implies(lock_shown[p, k, e, a, d], certified(e, a, d)) {_PEER} {_ATTEMPT_DIGEST} "
        "for k in Epoch)",
        "lemma",
        "not even a liar can show a lock without its certificate",
    ),
    Property(
        "ReleaseWasLocked",
        "all(implies(released_in[p, e, a, d], certified(e, a, d) and lock_attempt[p, e] >= a) "
        f"{_PEER} {_ATTEMPT_DIGEST})",
        "lemma",
        "a release stands on a certificate, and locks only move to later attempts",
    ),
    Property(
        "LockStays",
        "all(implies(released_in[p, e, a, d] and enough(e, a, d), "
        f"lock[p, e] == d and a <= lock_attempt[p, e]) {_PEER} {_ATTEMPT_DIGEST})",
        "lemma",
        "a lock only moves away from what was released when that can no longer be signed",
    ),
    Property(
        "LaterVoteFences",
        "all(implies((released_in[p, e, a, d] or lock[p, e] == d and lock_attempt[p, e] == a and "
        "not out_of(p, a)) and a < b and d != k and voted[p, e, b] == k and not faulty[p], "
        f"not enough(e, a, d)) {_PEER} {_TWO_ATTEMPTS})",
        "lemma",
        "who locked or released votes for another digest only when shown a newer certificate",
    ),
    Property(
        "LaterEpochFences",
        "all(implies(voted[p, e, b] == k and d != k and epoch_of[a] < epoch_of[b] and "
        f"not faulty[p], not enough(e, a, d)) {_PEER} {_TWO_ATTEMPTS})",
        "lemma",
        "who votes in a later epoch has taken over the lock on what can still be signed",
    ),
    Property(
        "LockTaken",
        "all(implies(epoch_of[a] < h and holding[p, h] in (active, fenced) and not faulty[p] "
        "and enough(e, a, d), lock[p, e] == d and a <= lock_attempt[p, e]) "
        f"{_PEER} {_ATTEMPT_DIGEST} for h in Epoch)",
        "lemma",
        "who works in a later epoch has the lock on what can still be signed",
    ),
    Property(
        "ReleaseShown",
        f"all(implies({_OF_A} and follows[k, g] and handed_over[p, k] and not faulty[p] and "
        "released_in[p, e, a, d] and enough(e, a, d), shown_since(p, k, e, a, d)) "
        f"{_PEER} {_ATTEMPT_DIGEST} for g in Epoch for k in Epoch)",
        "lemma",
        "who released what can still be signed showed the lock when it handed over",
    ),
    Property(
        "LockShownOn",
        "all(implies(epoch_of[a] < h and follows[k, h] and holding[p, h] == fenced and "
        "handed_over[p, k] and not faulty[p] and enough(e, a, d), shown_since(p, k, e, a, d)) "
        f"{_PEER} {_ATTEMPT_DIGEST} for h in Epoch for k in Epoch)",
        "lemma",
        "and so did who had taken it over",
    ),
    Property(
        "LockTravelsOn",
        "all(implies(epoch_of[a] < h and follows[k, h] and succession_signed[k] and "
        "enough(e, a, d), among(h, count(q for q in Peer if faulty[q] or "
        "handed_over[q, k] and shown_since(q, k, e, a, d)) >= T)) "
        "for e in Event for a in Attempt for d in Digest for h in Epoch for k in Epoch)",
        "lemma",
        "T of those who held the epoch before showed it, or lie",
    ),
    Property(
        "DecidedByT",
        "all(implies(succession_signed[k] and follows[k, h], "
        "among(h, count(q for q in Peer if faulty[q] or handed_over[q, k]) >= T)) "
        "for h in Epoch for k in Epoch)",
        "lemma",
        "T of those who held the epoch before handed over, or lie",
    ),
)
CUTS = (
    Property(
        "NewerCertificateFences",
        "all(implies(a < b and d != k and certified(e, b, k), not enough(e, a, d)) "
        f"for e in Event {_TWO_ATTEMPTS})",
        "lemma",
        "a certificate leaves too few who released, or may yet release, another digest in an "
        "earlier attempt, be it of the same epoch or of an earlier one",
    ),
    Property(
        "WhoMayVote",
        "all(implies(not faulty[p] and a < b and d != k and enough(e, a, d) and works_in(p, b) and "
        "lock_permits(p, e, b, k), epoch_of[a] == epoch_of[b] and not released_in[p, e, a, d] and "
        "not (lock[p, e] == d and lock_attempt[p, e] == a)) "
        f"{_PEER} {_TWO_ATTEMPTS})",
        "lemma",
        "who may vote for another digest than can still be signed, may do so in the same epoch "
        "only, and only if it has no part in signing it",
    ),
    Property(
        "LockIsShown",
        "all(implies(epoch_of[a] < k and follows[k, g] and succession_signed[k] and "
        "enough(e, a, d), not among(g, count(q for q in Peer if handed_over[q, k] and "
        "(faulty[q] or not shown_since(q, k, e, a, d))) >= T)) "
        "for e in Event for a in Attempt for d in Digest for g in Epoch for k in Epoch)",
        "lemma",
        "of any T who handed over, a correct one showed the lock on what can still be signed",
    ),
    Property(
        "TakenIsNew",
        f"all(implies({_TAKEN}, any(a <= c and c <= lock_attempt[p, e] and certified(e, c, d) "
        f"for c in Attempt)) {_PEER} {_ATTEMPT_DIGEST} for g in Epoch for h in Epoch)",
        "lemma",
        "who has taken over the locks of T has one that is as new",
    ),
    Property(
        "LockIsOnIt",
        "all(implies(enough(e, a, d) and certified(e, c, d) and a <= c and "
        f"c <= lock_attempt[p, e], lock[p, e] == d) {_PEER} {_ATTEMPT_DIGEST} for c in Attempt)",
        "lemma",
        "a lock that is as new as one on what can still be signed is on the same",
    ),
    Property(
        "TakenIsOnIt",
        f"all(implies({_TAKEN}, lock[p, e] == d and a <= lock_attempt[p, e]) "
        f"{_PEER} {_ATTEMPT_DIGEST} for g in Epoch for h in Epoch)",
        "lemma",
        "and it is on what can still be signed",
    ),
)
PROVES = ("NoDoubleSign", "CertificateUnique")
SHRINKS = Property(
    "EnoughShrinks",
    "all(enough(e, a, d) for e in Event for a in Attempt for d in Digest)",
    "lemma",
    "what can no longer be signed, never can be again",
)


def _proved(network: Network, fails: tuple[str, ...] = ()) -> ProofCase:
    """Return the proof of a network with its lemmas, or the control that fails at some of them."""
    network = evolve(network, definitions=(*network.definitions, *STANDING))
    return ProofCase(
        network, (*LEMMAS, *CUTS, SHRINKS), PROVES,
        implied=tuple(cut.name for cut in CUTS), shrinking=(SHRINKS.name,),
        obligations=0 if fails else 404, fails=fails, steps=2 * ATTEMPT_STEPS,
        findings=() if fails else ("F-24", "F-46"),
    )


# Small enough to be searched to its end: the first epoch has four holders, one of them a liar, and
# each later one a holder of its own; both attempts are of the first epoch, and each asks for one
# digest and as few voters as can do. Nothing is kept in memory here.
THREE_EPOCHS = evolve(
    NETWORK,
    name="regroup_three_epochs",
    doc="a holder that heard of nothing is in the epoch after the next",
    crash=False,
    constants=("LATER_N",),
    cells=(
        *NETWORK.cells,
        Cell("wanted", Opt("Digest"), ("Attempt",), "none", "given", "what attempt a asks for"),
        Cell("invited", "bool", ("Peer", "Attempt"), "False", "given", "p hears of attempt a"),
    ),
    rigid=(*NETWORK.rigid, "wanted", "invited"),
    assume=(
        f"all(count(p for p in Peer if roster_has[p, h]) == {NUMBER_OF_HOLDERS} for h in Epoch)",
        "count(p for p in Peer if faulty[p]) <= F",
        f"all(implies(roster_has[p, h] and faulty[p], first_epoch(h)) {EACH_SHARE})",
        "all(any(epoch_of[a] == h and first_epoch(h) for h in Epoch) for a in Attempt)",
        "all(wanted[a] != none for a in Attempt)",
        "all(count(p for p in Peer if invited[p, a]) + F == T for a in Attempt)",
        "all(not (invited[p, a] and faulty[p]) for p in Peer for a in Attempt)",
        "count(p for p in Peer if all(invited[p, a] for a in Attempt)) == 1",
        "all(implies(a < b, wanted[a] != wanted[b]) for a in Attempt for b in Attempt)",
        f"all(not (roster_has[p, h] and roster_has[p, k] and {_LATER}) {_PAIRS})",
    ),
    definitions=(
        *NETWORK.definitions,
        Definition(
            "first_vote(p: Peer, e: Event, a: Attempt, d: Digest)",
            "voted[p, e, a] in (none, d) and wanted[a] == d and invited[p, a]",
            "of whom the attempt asks, for what it asks",
        ),
    ),
    scopes=tuple(
        evolve(s, numbers={"T": s.numbers["T"].replace("LATER_T", "LATER_N")}) for s in LATER_SCOPES
    ),
    properties=(
        *(p for p in NETWORK.properties if p.name == "NoDoubleSign"),
        Property(
            "LeftBehind",
            "any(holding[p, h] == prepared and holding[p, g] == active and first_epoch(g) and "
            "not follows[h, g] for p in Peer for g in Epoch for h in Epoch)",
            "reachable",
            "who works with the oldest share has one of the newest epoch",
        ),
        Property(
            "BothReleased",
            "any(released_in[p, e, a, d] and released_in[p, e, b, k] for p in Peer for e in Event "
            "for a in Attempt for b in Attempt for d in Digest for k in Digest if d != k)",
            "reachable",
            "the lock of a holder moved after its release",
        ),
    ),
)
_ONE_BEFORE = Definition(
    "works_before(p: Peer, h: Epoch)",
    "any(follows[h, g] and holding[p, g] == active for g in Epoch)",
    "p still signs with its share of the epoch before; of others nothing is asked",
)
_SKIPPED = (
    ("regroup.TakeOver", "not moved_on(p, h)"), ("regroup.Activate", "not moved_on(p, h)"),
)


def _skips_one(network: Network, name: str) -> Network:
    return evolve(
        network,
        name=name,
        doc="F-46: only who works with the share of the epoch before must not take a lock over",
        definitions=(*network.definitions, _ONE_BEFORE),
        without=(*network.without, *_SKIPPED),
    )


SKIPS_ONE = _skips_one(THREE_EPOCHS, "regroup_skips_an_epoch")
_THREE = one_event(4, 2, 2) | {"Epoch": 3}

MODEL = Model(
    file=__file__,
    cases=(
        Case(
            SKIPS_ONE, _THREE, quorum(4, 1, 3) | {"LATER_N": 1}, PEERS_AND_DIGESTS,
            refuted=("NoDoubleSign",), whole=False, deep=True,
            pinned=Counts(
                distinct=9616370, generated=108421340, depth=27, reached={"BothReleased": 11,
                "LeftBehind": 12}, violated={"NoDoubleSign": 26},
            ),
        ),
        Case(
            THREE_EPOCHS, _THREE, quorum(4, 1, 3) | {"LATER_N": 1}, PEERS_AND_DIGESTS, deep=True,
            findings=("F-46",),
            pinned=Counts(
                distinct=12998664, generated=164866984, depth=43, reached={"BothReleased": 11,
                "LeftBehind": 12},
            ),
        ),
    ),
    proofs=(_proved(TOLD_AGAIN),),
    controls=(
        _proved(
            _skips_one(TOLD_AGAIN, "regroup_told_again_skips_one"),
            fails=(
                "LaterVoteFences / regroup.TakeOver",
                "EnoughShrinks / regroup.TakeOver",
                "OneShareWorks / regroup.Activate",
                "EnoughShrinks / regroup.Activate",
            ),
        ),
        _proved(
            evolve(
                TOLD_AGAIN, name="regroup_told_again_locks_forgotten", doc=LOCKS_FORGOTTEN.doc,
                given=LOCKS_FORGOTTEN.given,
            ),
            fails=("LockTaken / regroup.Activate",),
        ),
    ),
)
