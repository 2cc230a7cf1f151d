"""What a node is doing: pings always, one round at a time, each step of a round only in its phase.

A round is entered once and only forward; votes and locks are the matter of SAFE-SIGN, and named
here by its definitions. Whatever a round comes to, its peer rests until the next.
"""

from __future__ import annotations

from model_checks.records.record import Record
from model_checks.records.safe_sign import first_vote, lock_permits, may_lock, works

_LOCKED_IN = "any(key[p, k] == locked_in for k in Key)"
_SHARE = "not all(holding[p, h] != active for h in Epoch)"
_HANDS_OVER = f"not ({_SHARE}) and not all(holding[p, h] != fenced for h in Epoch)"
_SET_KNOWN = "not count(x for x in Peer if in_threshold_set[p, x, r]) < T"
_EQUAL = "count(q for q in Peer if heard[p, q, r] in (accepted, in_view))"

PEER = Record(
    table="peer",
    taken={
        "Ping": "True",
        "Keepalive": "True",
        "Publish": "True",
        "ConfirmReq": "True",
        "ConfirmAck": "True",
        "KeygenTick": f"phase[p] == Idle and keygen_open[p] and not {_LOCKED_IN}",
        "KeygenOver": "phase[p] == Keygen",
        "Offer": f"phase[p] == Idle and round[p] < r and not offered[p, r] and {_SHARE} "
        "and transfer_eligible[p] and not began_in_round[p, r] and not regroup_near[p]",
        "RoundTick": "phase[p] == Idle and round[p] < r and offered[p, r] and transfer_eligible[p]",
        "Matched": f"phase[p] == Proposing and round[p] == r and not {_EQUAL} < T",
        "SetFound": "phase[p] == SetBuilding and round[p] == r and in_threshold_set[p, p, r] "
        f"and {_SET_KNOWN} and proposed[p, r, d] and status[p, e] == IN_PROGRESS "
        f"and {works('r')} and {first_vote('r')} and {lock_permits('r')}",
        "SetElsewhere": "phase[p] == SetBuilding and round[p] == r "
        f"and {_SET_KNOWN} and not in_threshold_set[p, p, r]",
        "Certified": "phase[p] == ThresholdSet and round[p] == r and voted[p, e, r] == d "
        f"and {works('r')} and {may_lock('r')}",
        "Mismatch": "phase[p] == ThresholdSet and round[p] == r and votes_conflict[p, r]",
        "Signed": "phase[p] == Signing and lock[p, e] == d and signature_valid[e, d]",
        "Deadline": "deadline_passed[p] and "
        "phase[p] in (Proposing, SetBuilding, ThresholdSet, Signing)",
        "NextRound": "phase[p] == Cooldown and round[p] < r",
        "HandingOver": f"phase[p] in (Idle, Cooldown) and {_HANDS_OVER}",
        "RegroupOver": f"phase[p] == Regroup and not ({_HANDS_OVER})",
    },
    then={
        "Ping": "after(phase[p]) == phase[p] and after(pinged[p])",
        "Keepalive": "after(phase[p]) == phase[p] and after(kept_alive[p])",
        "Publish": "after(phase[p]) == phase[p] and after(published[p])",
        "ConfirmReq": "after(phase[p]) == phase[p] and after(confirm_asked[p])",
        "ConfirmAck": "after(phase[p]) == phase[p] and after(confirm_answered[p])",
        "KeygenTick": "after(phase[p]) == Keygen",
        "KeygenOver": "after(phase[p]) == Idle",
        "Offer": "after(phase[p]) == Idle and after(offered[p, r])",
        "RoundTick": "after(phase[p]) == Proposing and after(round[p]) == r "
        "and after(proposed[p, r, d])",
        "Matched": "after(phase[p]) == SetBuilding and after(set_sent[p, r])",
        "SetFound": "after(phase[p]) == ThresholdSet and after(voted[p, e, r]) == d "
        "and after(vote[p, e, r, d])",
        "SetElsewhere": "after(phase[p]) == Cooldown",
        "Certified": "after(phase[p]) == Signing and after(lock[p, e]) == d "
        "and after(lock_attempt[p, e]) == r",
        "Mismatch": "after(phase[p]) == Cooldown",
        "Signed": "after(phase[p]) == Cooldown",
        "Deadline": "after(phase[p]) == Cooldown",
        "NextRound": "after(phase[p]) == Idle",
        "HandingOver": "after(phase[p]) == Regroup",
        "RegroupOver": "after(phase[p]) == Idle",
    },
    steps={
        "RoundsOnlyRise": "after(round[p]) == round[p] or round[p] < after(round[p])",
        "RestAfterARound": "implies(phase[p] in (Proposing, SetBuilding, ThresholdSet, Signing), "
        "after(phase[p]) not in (Idle, Keygen, Regroup))",
        "NothingBegunWhileHandingOver": "implies(phase[p] == Regroup, "
        "after(phase[p]) in (Regroup, Idle))",
        "SigningIsLocked": "implies(phase[p] != Signing and after(phase[p]) == Signing, "
        "any(after(lock[p, e]) != none for e in Event))",
        "VotedOnce": "all(implies(voted[p, e, r] != none, after(voted[p, e, r]) == voted[p, e, r]) "
        "for e in Event for r in Attempt)",
    },
    crash="after(phase[p]) == Idle and after(round[p]) == none "
    "and all(after(lock[p, e]) == lock[p, e] and after(lock_attempt[p, e]) == lock_attempt[p, e] "
    "for e in Event)",
    first="phase[p] == Idle and round[p] == none",
)
