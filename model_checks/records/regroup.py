"""A share from its making to its erasure: a holder steps back only when all have their new shares,
hands over every lock, and erases only what another share has replaced.
"""

from __future__ import annotations

from model_checks.records.record import Record
from model_checks.records.safe_sign import certificate

_HOLDING = "holding[p, h]"
_FIRST = "all(not follows[h, g] for g in Epoch)"
_READY = "all(ready_said[q, k] or not roster_has[q, k] for q in Peer)"
_STEPPED_BACK = "all(implies(g < h, holding[p, g] != active) for g in Epoch)"
_NO_LATER = (
    "all(implies(h < k and all(implies(follows[h, g], not follows[k, g]) for g in Epoch), "
    "holding[p, k] in (no_share, prepared)) for k in Epoch)"
)

_BY_T = "count(x for x in Peer if {}[x, q, h]) >= T"
_FAIR = (
    "(asked_for[h] or all((not roster_has[q, h] or any(follows[h, g] and roster_has[q, g] "
    "for g in Epoch) or stake_holds[q, h] and any(follows[h, g] for g in Epoch) and "
    f"{_BY_T.format('says_heard')}) and "
    "(roster_has[q, h] or all(not follows[h, g] or not roster_has[q, g] for g in Epoch) or "
    f"not stake_holds[q, h] or {_BY_T.format('says_silent')} or {_BY_T.format('says_withheld')} or "
    f"{_BY_T.format('says_missed')}) for q in Peer))"
)
_MEMBER_YET = f"{_HOLDING} in (no_share, prepared) and not {_FIRST}"

REGROUP = Record(
    table="regroup",
    taken={
        "Found": f"{_HOLDING} == no_share and roster_has[p, h] and {_FIRST}",
        "Prepare": f"{_HOLDING} == no_share and roster_has[p, h] and share_checked[p, h] "
        f"and not {_FIRST} and {_FAIR}",
        "Attest": f"{_HOLDING} == active and night_begun[n] and not attested[p, n]",
        "AttestAgain": f"{_HOLDING} == active and night_begun[n] and attested[p, n]",
        "Complain": f"{_MEMBER_YET} and lacks[p, q, h]",
        "Answer": f"not {_FIRST} and complained[q, p, h] and part_sent[p, q, h]",
        "Open": f"not {_FIRST} and answered[q, p, h] and answer_void[p, q, h]",
        "ShowProof": f"not {_FIRST} and proof_held[p, q, h]",
        "Accuse": f"{_MEMBER_YET} and unanswered[p, q, h]",
        "Miss": f"{_HOLDING} in (no_share, prepared) and overdue[p, q, h] and not {_FIRST}",
        "Tell": f"{_HOLDING} == prepared and not {_FIRST}",
        "Fence": f"{_HOLDING} == active and follows[k, h] and ({_READY} or succession_signed[k])",
        "ShowLock": f"{_HOLDING} in (fenced, erased) and follows[k, h] and lock[p, e] == d "
        "and lock_attempt[p, e] == a",
        "HandOver": f"{_HOLDING} in (fenced, erased) and follows[k, h] "
        f"and ({_READY} or succession_signed[k]) and locks_all_shown[p, k]",
        "TakeOver": f"{_HOLDING} == prepared and lock_shown[q, h, e, a, d] "
        f"and {certificate()} and lock_attempt[p, e] < a and {_STEPPED_BACK} "
        f"and {_NO_LATER}",
        "Activate": f"{_HOLDING} == prepared and locks_taken[p, h] and succession_signed[h] "
        f"and {_STEPPED_BACK} and {_NO_LATER}",
        "Erase": f"{_HOLDING} in (prepared, active, fenced) and follows[k, h] "
        "and succession_signed[k] and implies(roster_has[p, k], "
        "holding[p, k] in (active, fenced, erased))",
        "Outdone": f"{_HOLDING} == prepared and succession_signed[k] and k != h "
        "and any(follows[k, g] and follows[h, g] for g in Epoch)",
    },
    then={
        "Found": f"after({_HOLDING}) == active",
        "Prepare": f"after({_HOLDING}) == prepared and after(ready_said[p, h])",
        "Tell": f"after({_HOLDING}) == prepared and after(ready_said[p, h])",
        "Attest": f"after({_HOLDING}) == active and after(attested[p, n]) "
        "and after(attended[p, n])",
        "AttestAgain": f"after({_HOLDING}) == active and after(attended[p, n])",
        "Complain": f"after({_HOLDING}) == {_HOLDING} and after(complained[p, q, h])",
        "Answer": f"after({_HOLDING}) == {_HOLDING} and after(answered[p, q, h])",
        "Open": f"after({_HOLDING}) == {_HOLDING} and after(opened[p, q, h])",
        "ShowProof": f"after({_HOLDING}) == {_HOLDING} and after(proof_shown[p, q, h])",
        "Accuse": f"after({_HOLDING}) == {_HOLDING} and after(withheld[p, q, h])",
        "Miss": f"after({_HOLDING}) == {_HOLDING} and after(missed[p, q, h])",
        "Fence": f"after({_HOLDING}) == fenced",
        "ShowLock": f"after({_HOLDING}) == {_HOLDING} and after(lock_shown[p, k, e, a, d])",
        "HandOver": f"after({_HOLDING}) == {_HOLDING} and after(handed_over[p, k])",
        "TakeOver": f"after({_HOLDING}) == prepared and after(lock[p, e]) == d "
        "and after(lock_attempt[p, e]) == a",
        "Activate": f"after({_HOLDING}) == active",
        "Erase": f"after({_HOLDING}) == erased",
        "Outdone": f"after({_HOLDING}) == erased",
    },
    steps={
        "ErasedForGood": f"implies({_HOLDING} == erased, after({_HOLDING}) == erased)",
        "FencedForGood": f"implies({_HOLDING} == fenced, after({_HOLDING}) in (fenced, erased))",
        "OthersAreNotMissed": "all(implies(after(missed[p, q, h]), "
        "missed[p, q, h] or overdue[p, q, h]) for q in Peer)",
        "OthersAreNotAccused": "all(implies(after(withheld[p, q, h]), "
        "withheld[p, q, h] or unanswered[p, q, h]) for q in Peer)",
        "StatementsStay": "all(implies(attested[p, n], after(attested[p, n])) for n in Attempt)",
        "LocksMoveForward": "all(lock_attempt[p, e] == after(lock_attempt[p, e]) or "
        "lock_attempt[p, e] < after(lock_attempt[p, e]) for e in Event)",
        "OneShareWorks": f"implies({_HOLDING} == prepared and after({_HOLDING}) == active, "
        f"{_STEPPED_BACK})",
        "HandedOverIfSteppedBack": "all(implies(after(handed_over[p, k]), "
        f"handed_over[p, k] or {_HOLDING} in (fenced, erased)) for k in Epoch)",
    },
    crash="all(after(attested[p, n]) == attested[p, n] for n in Attempt) and "
    "all(after(holding[p, h]) == holding[p, h] and "
    "after(ready_said[p, h]) == ready_said[p, h] and "
    "after(handed_over[p, h]) == handed_over[p, h] and "
    "all(after(missed[p, q, h]) == missed[p, q, h] for q in Peer) and "
    "all(after(lock_shown[p, h, e, a, d]) == lock_shown[p, h, e, a, d] "
    "for e in Event for a in Attempt for d in Digest) for h in Epoch)",
    first="all(holding[p, h] == no_share for h in Epoch)",
)
