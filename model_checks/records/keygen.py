"""A key from its slot to lock-in: nobody confirms what is not in store, a key counts when all
confirmed it, and one key at most is locked in, for good.
"""

from __future__ import annotations

from model_checks.records.record import Record

_CERTIFIED = "count(j for j in Key if k < j and key[p, j] == certified_by_all)"
_MADE = "key[p, k] in (stored, certified_by_all)"

KEYGEN = Record(
    table="keygen",
    taken={
        "Start": "key[p, k] == no_key and phase[p] == Keygen and keygen_certificate[p, k] "
        "and same_roster[p, k]",
        "Store": "key[p, k] == generating and share_verified[p, k]",
        "Show": f"{_MADE} or key[p, k] == locked_in",
        "Certify": "key[p, k] == stored and all(confirmed[q, k] for q in Peer)",
        "LockIn": "key[p, k] == certified_by_all and lock_in_valid[k] "
        "and all(key[p, j] != locked_in for j in Key)",
        "Announce": "key[p, k] == locked_in",
        "Fail": "key[p, k] == generating",
        "Outdate": f"{_MADE} and before_lock_in[p] and {_CERTIFIED} > 2",
        "Retire": f"{_MADE} and any(key[p, j] == locked_in for j in Key)",
    },
    then={
        "Start": "after(key[p, k]) == generating",
        "Store": "after(key[p, k]) == stored and after(key_share[p, k]) and after(confirmed[p, k])",
        "Show": "after(key[p, k]) == key[p, k] and after(confirmations_shown[p, k])",
        "Certify": "after(key[p, k]) == certified_by_all",
        "LockIn": "after(key[p, k]) == locked_in and after(key_announced[p, k])",
        "Announce": "after(key_announced[p, k])",
        "Fail": "after(key[p, k]) == abandoned",
        "Outdate": "after(key[p, k]) == abandoned",
        "Retire": "after(key[p, k]) == abandoned",
    },
    steps={
        "LockedInForGood": "implies(key[p, k] == locked_in, after(key[p, k]) == locked_in)",
        "AbandonedForGood": "implies(key[p, k] == abandoned, after(key[p, k]) == abandoned)",
        "OneKey": "implies(key[p, k] != locked_in and after(key[p, k]) == locked_in, "
        "not any(key[p, j] == locked_in for j in Key))",
        "StoredBeforeConfirmed": "implies(after(confirmed[p, k]), "
        "confirmed[p, k] or (after(key_share[p, k]) and share_verified[p, k]))",
        "SharesStay": "implies(key_share[p, k], after(key_share[p, k]))",
        "AnnouncedIsLockedIn": "implies(after(key_announced[p, k]), "
        "key_announced[p, k] or after(key[p, k]) == locked_in)",
    },
    crash="all(after(key[p, k]) == key[p, k] and after(key_share[p, k]) == key_share[p, k] "
    "for k in Key)",
    first="all(key[p, k] == no_key and not key_share[p, k] for k in Key)",
)
