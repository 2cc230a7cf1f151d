"""A swap: only a confirmed deposit is owed, it is owed one thing, and what is settled stays so."""

from __future__ import annotations

from model_checks.records.record import Record

_SWAP = "swap[p, s]"
_OWED = f"{_SWAP} in (PendingRelease, PendingRefund)"

SWAP = Record(
    table="swap",
    taken={
        "Deposit": f"{_SWAP} == none_yet and deposit[s] not in (no_deposit, spent)",
        "Settled": f"{_OWED} and deposit[s] == spent",
        "Removed": f"{_OWED} and deposit[s] == no_deposit",
    },
    then={
        "Deposit": f"after({_SWAP}) == "
        "(PendingRefund if deposit[s] == refundable else PendingRelease)",
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
