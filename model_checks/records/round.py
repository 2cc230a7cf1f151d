"""What a node hears from one peer in one round: the first proposal stays, it counts when it equals
ours and its proof holds, and two signed bodies count for nothing.
"""

from __future__ import annotations

from model_checks.records.record import Record

_HEARD = "heard[p, q, r]"
_IDLE = "(not roster_has[q, x] or holding[p, x] != active)"

ROUND = Record(
    table="round",
    taken={
        "Hear": f"{_HEARD} == silent and not all({_IDLE} for x in Epoch)",
        "Accept": f"{_HEARD} == heard_proposal and proposed[p, r, d] and proposal_of[p, q, r] == d "
        "and share_proof_valid[p, q, r] and id_hash_matches[p, q, r] and not pair_banned[p, q]",
        "HearSet": f"{_HEARD} == accepted and set_large_enough[p, q, r]",
        "Equivocate": f"{_HEARD} != equivocated and evidence_verified[p, q]",
    },
    then={
        "Hear": f"after({_HEARD}) == heard_proposal and after(proposal_of[p, q, r]) == d",
        "Accept": f"after({_HEARD}) == accepted",
        "HearSet": f"after({_HEARD}) == in_view",
        "Equivocate": f"after({_HEARD}) == equivocated",
    },
    steps={
        "FirstProposalStays": f"implies({_HEARD} != silent, "
        "after(proposal_of[p, q, r]) == proposal_of[p, q, r])",
        "EquivocatorsCountNowhere": f"implies({_HEARD} == equivocated, "
        f"after({_HEARD}) == equivocated)",
        "CountsIfProved": f"implies({_HEARD} not in (accepted, in_view) and after({_HEARD}) in "
        "(accepted, in_view), share_proof_valid[p, q, r] and id_hash_matches[p, q, r] "
        "and not pair_banned[p, q])",
    },
    crash=f"all(after({_HEARD}) == silent and after(proposal_of[p, q, r]) == none "
    "for q in Peer for r in Attempt)",
    first=f"all({_HEARD} == silent and proposal_of[p, q, r] == none "
    "for q in Peer for r in Attempt)",
)
