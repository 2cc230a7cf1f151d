"""Why a node's book says what the chain did, for every n: SAFE-SIGN 6."""

from __future__ import annotations

from model_checks.system import Property

LEMMAS = (
    Property(
        "PayoutHasMemo",
        "all(implies(swap[p, s] in (PendingRelease, Completed), memo_valid[s]) "
        "for p in Peer for s in Swap)",
        "lemma",
        "the memo on the chain decides, the same for all",
    ),
    Property(
        "RefundHasNone",
        "all(implies(swap[p, s] in (PendingRefund, Refunded), not memo_valid[s]) "
        "for p in Peer for s in Swap)",
        "lemma",
        "the memo on the chain decides, the same for all",
    ),
    Property(
        "PaidHasMemo",
        "all(implies(paid[s], memo_valid[s]) and implies(refunded[s], not memo_valid[s]) "
        "for s in Swap)",
        "lemma",
        "of T signers one is correct",
    ),
)
