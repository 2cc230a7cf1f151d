"""Why the correct members can always sign, with old shares or with new ones, for every n: F-25.

Either nothing is decided, and nobody erased a share of the first epoch. Or one attempt is: T
holders voted for it, one of them correct, after all of its members had said that they have their
shares; and shares of the attempt that is decided are not erased.
"""

from __future__ import annotations

from model_checks.system import Property

_EACH = "for p in Peer for h in Epoch"
_HOLDS = "holding[p, h] in (prepared, active, fenced)"

PROVES = ("SharesHeld", "OneFollows")
"""The invariants that these lemmas prove; KeyAvailable is the first of them, counted."""

LEMMAS = (
    Property(
        "MissedIsALiar",
        f"all(implies(missed[p, q, h] and not faulty[p], faulty[q]) {_EACH} for q in Peer)",
        "lemma",
        "in a calm network correct members miss nobody but liars",
    ),
    Property(
        "ReadyHasShare",
        f"all(implies(ready_said[p, h] and not faulty[p] and not first_epoch[h], {_HOLDS} or "
        f"holding[p, h] == erased) {_EACH})",
        "lemma",
        "a correct member says so when the share is on its disk",
    ),
    Property(
        "VotedIsHeld",
        "all(implies(handed_over[q, h] and not faulty[q] and not faulty[p], not first_epoch[h] and "
        f"({_HOLDS} or any(rivals(k, h) and succession[k] for k in Epoch))) {_EACH} for q in Peer)",
        "lemma",
        "what a correct member voted for all correct members hold, unless another one is decided",
    ),
    Property(
        "DecidedIsHeld",
        f"all(implies(succession[h], not first_epoch[h] and (faulty[p] or {_HOLDS})) {_EACH})",
        "lemma",
        "of T voters one is correct",
    ),
    Property(
        "ErasedIsSucceeded",
        f"all(implies(holding[p, h] == erased and not faulty[p], any(succession[k] and "
        f"(follows[k, h] or rivals(h, k)) for k in Epoch)) {_EACH})",
        "lemma",
        "no share is erased before something is decided",
    ),
    Property(
        "FirstIsHeld",
        f"all(implies(first_epoch[h], holding[p, h] != prepared) {_EACH})",
        "lemma",
        "shares of the first epoch come from key generation",
    ),
)
