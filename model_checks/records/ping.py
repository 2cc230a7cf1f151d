"""A peer in a node's list: listed with a good stake only, cleared by one good ping.

A ping counts in every state, so that a node notices that the peer is there; a stale one, or one
without a valid proof, counts in none.
"""

from __future__ import annotations

from model_checks.records.record import Record

_GOOD_PING = "(ping_fresh[p, q] and ping_proof_valid[p, q])"
_STAKE = "(stake_owned[p, q] and stake_unspent[p, q] and stake_enough[p, q] and stake_aged[p, q])"

PING = Record(
    table="ping",
    taken={
        "Ping": _GOOD_PING,
        "Stake": "listing[p, q] == checking",
        "Silence": "listing[p, q] == listed and pings_missed[p, q]",
        "Boundary": "True",
    },
    then={
        "Ping": "after(listing[p, q]) == (listed if listing[p, q] in (listed, missing) "
        "else checking)",
        "Stake": f"after(listing[p, q]) == (listed if {_STAKE} else refused)",
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
