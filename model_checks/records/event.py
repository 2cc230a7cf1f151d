"""The status of an event: SUCCESS only with a valid signature or a key, EXPIRED only under a refund
certificate, and both are final: whatever comes later is heard and changes nothing. Who released
nothing may renounce an event that ran out of time, for good.
"""

from __future__ import annotations

from model_checks.records.record import Record
from model_checks.records.safe_sign import first_vote, lock_permits

_FINAL = "status[p, e] in (SUCCESS, EXPIRED)"
_NOTHING_OUT = "all(not released[p, e, d] for d in Digest)"
_CERTIFIED = "not count(x for x in Peer if renounced_said[x, e]) < R"
_REQUEST = ("kind[e] not in (unknown_kind, payout, keygen, lock_in, regroup, succession)")
_CAN_BE_SIGNED = "kind[e] in (unknown_kind, payout, sign, lock_in, succession)"
_SIGNED = "any(after(signature_kept[p, e, d]) and signature_valid[e, d] for d in Digest)"

EVENT = Record(
    table="event",
    taken={
        "Create": "status[p, e] == UNKNOWN and kind[e] != unknown_kind",
        "Setup": f"{_FINAL} or (status[p, e] == PENDING and not event_over[e] "
        f"and {first_vote()} and {lock_permits()})",
        "Signature": f"{_FINAL} or (status[p, e] != UNKNOWN and signature_valid[e, d])",
        "Renounce": "status[p, e] in (PENDING, FAILED, EXPIRED) and event_over[e] "
        f"and {_NOTHING_OUT}",
        "Expire": "status[p, e] in (PENDING, FAILED) and event_over[e] "
        f"and {_CERTIFIED} and {_NOTHING_OUT}",
        "Lapse": f"status[p, e] in (PENDING, FAILED) and event_over[e] and not ({_CAN_BE_SIGNED})",
        "Recover": f"{_FINAL} or status[p, e] == IN_PROGRESS",
        "KeyMade": "status[p, e] in (PENDING, IN_PROGRESS) and key_made[e]",
        "ProtocolError": f"{_FINAL} or status[p, e] == IN_PROGRESS",
        "Retry": "status[p, e] == FAILED and not event_over[e]",
        "Announce": "status[p, e] == SUCCESS and signature_kept[p, e, d]",
        "Ask": f"status[p, e] != UNKNOWN and not ({_FINAL}) and {_REQUEST}",
    },
    then={
        "Create": "after(status[p, e]) == PENDING",
        "Setup": f"{_FINAL} or after(status[p, e]) == IN_PROGRESS",
        "Signature": f"{_FINAL} or (after(status[p, e]) == SUCCESS and "
        "after(signature_kept[p, e, d]) and after(announced[p, e, d]))",
        "Renounce": "after(renounced[p, e]) and after(renounced_said[p, e])",
        "Expire": "after(status[p, e]) == EXPIRED",
        "Lapse": "after(status[p, e]) == EXPIRED",
        "Recover": f"{_FINAL} or after(status[p, e]) == PENDING",
        "KeyMade": "after(status[p, e]) == SUCCESS",
        "ProtocolError": f"{_FINAL} or "
        f"after(status[p, e]) == (FAILED if {_NOTHING_OUT} else PENDING)",
        "Retry": "after(status[p, e]) == PENDING",
        "Announce": "after(announced[p, e, d])",
        "Ask": "after(asked[p, e]) and after(status[p, e]) == status[p, e]",
    },
    steps={
        "FinalIsFinal": f"implies({_FINAL}, after(status[p, e]) == status[p, e])",
        "KnownForGood": "implies(status[p, e] != UNKNOWN, after(status[p, e]) != UNKNOWN)",
        "SuccessIsMade": "implies(status[p, e] != SUCCESS and after(status[p, e]) == SUCCESS, "
        f"key_made[e] or {_SIGNED})",
        "NoExpiryAfterRelease": "implies(status[p, e] != EXPIRED and after(status[p, e]) == EXPIRED"
        f", not ({_CAN_BE_SIGNED}) or ({_NOTHING_OUT} and {_CERTIFIED}))",
        "RenouncesNothingOut": "implies(after(renounced[p, e]), renounced[p, e] or "
        f"(event_over[e] and {_NOTHING_OUT}))",
        "SaidIfRenounced": "implies(after(renounced_said[p, e]), renounced_said[p, e] or "
        "after(renounced[p, e]))",
        "RenouncedForGood": "implies(renounced[p, e], after(renounced[p, e]))",
        "FailedHoldsNothing": "implies(status[p, e] != FAILED and after(status[p, e]) == FAILED, "
        f"{_NOTHING_OUT})",
        "KeptIfValid": "all(implies(after(signature_kept[p, e, d]), "
        "signature_kept[p, e, d] or signature_valid[e, d]) for d in Digest)",
        "SaidIfKept": "all(implies(after(announced[p, e, d]), announced[p, e, d] or "
        "after(signature_kept[p, e, d])) for d in Digest)",
        "AskedIfARequest": f"implies(after(asked[p, e]), asked[p, e] or {_REQUEST})",
        "AskedForGood": "implies(asked[p, e], after(asked[p, e]))",
        "KeptForGood": "all(implies(signature_kept[p, e, d], after(signature_kept[p, e, d])) "
        "for d in Digest)",
    },
    crash="all(after(status[p, e]) == status[p, e] and after(asked[p, e]) == asked[p, e] and "
    "after(renounced[p, e]) == renounced[p, e] and "
    "after(signature_kept[p, e, d]) == signature_kept[p, e, d] for e in Event for d in Digest)",
    first="all(status[p, e] == UNKNOWN and not asked[p, e] and not renounced[p, e] and "
    "not renounced_said[p, e] and not signature_kept[p, e, d] "
    "for e in Event for d in Digest)",
)
