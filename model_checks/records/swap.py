"""A swap: only a confirmed deposit is owed, it is owed one thing, and what is settled stays so."""

from __future__ import annotations

from model_checks.records.record import Record

_SWAP = "swap[p, s]"
_PAYABLE = "(float_enough[s] and memo_valid[s])"
_OWED = f"{_SWAP} in (PendingRelease, PendingRefund)"

SWAP = Record(
    table="swap",
    taken={
        "Initiate": f"{_SWAP} == none_yet and request_known[s]",
        "Cancel": f"{_SWAP} == Waiting and request_over[s]",
        "Deposit": f"{_SWAP} in (none_yet, Waiting, Cancelled) and deposit_confirmed[s]",
        "Settled": f"{_OWED} and payout_final[s]",
        "Removed": f"{_OWED} and deposit_gone[s]",
    },
    then={
        "Initiate": f"after({_SWAP}) == Waiting",
        "Cancel": f"after({_SWAP}) == Cancelled",
        "Deposit": f"after({_SWAP}) == (PendingRelease if {_PAYABLE} else PendingRefund)",
        "Settled": f"after({_SWAP}) == (Completed if {_SWAP} == PendingRelease else Refunded)",
        "Removed": f"after({_SWAP}) == none_yet",
    },
    steps={
        "SettledForGood": f"implies({_SWAP} in (Completed, Refunded), after({_SWAP}) == {_SWAP})",
        "PayOrRefund": f"implies({_SWAP} == PendingRelease, after({_SWAP}) not in "
        f"(PendingRefund, Refunded)) and implies({_SWAP} == PendingRefund, "
        f"after({_SWAP}) not in (PendingRelease, Completed))",
    },
    crash=f"all(after({_SWAP}) == {_SWAP} for s in Swap)",
    first=f"all({_SWAP} == none_yet for s in Swap)",
)
