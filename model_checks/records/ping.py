"""A peer in a node's list: listed with a good stake only, cleared by one good ping.

A ping counts in every state, so that a node notices that the peer is there; a stale one, or one
without a valid proof, counts in none.
"""

from __future__ import annotations

from model_checks.records.record import Record

_STAKE = (
    "stake[p, q] not in (stake_unconfirmed, stake_spent, stake_short, stake_young, stake_foreign)"
)

PING = Record(
    table="ping",
    taken={
        "Ping": "ping_good[p, q]",
        "Stake": "listing[p, q] not in (unlisted, refused)",
        "Silence": "listing[p, q] == listed and pings_missed[p, q]",
        "Boundary": "True",
    },
    then={
        "Ping": "after(listing[p, q]) == (listed if listing[p, q] in (listed, missing) "
        "else checking)",
        "Stake": f"after(listing[p, q]) == (refused if not ({_STAKE}) else missing "
        "if listing[p, q] == missing else listed)",
        "Silence": "after(listing[p, q]) == missing",
        "Boundary": "after(listing[p, q]) == unlisted",
    },
    steps={
        "ListedForAStake": "implies(listing[p, q] not in (listed, missing) and "
        f"after(listing[p, q]) == listed, {_STAKE})",
        "RefusedAskAgain": "implies(listing[p, q] == refused, after(listing[p, q]) != listed)",
    },
    crash="all(after(listing[p, q]) == unlisted for q in Peer)",
    first="all(listing[p, q] == unlisted for q in Peer)",
)
