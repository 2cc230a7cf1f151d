"""A signed payout on its way to the chain: only the chain's word moves it.

One that was dropped or refused, or whose block was left, is sent again; one that was given up comes
back only if its coins do.
"""

from __future__ import annotations

from model_checks.records.record import Record

PAYOUT = Record(
    table="payout",
    taken={
        "Finish": "settlement[p, e] == UNSIGNED and status[p, e] == SUCCESS",
        "Accepted": "settlement[p, e] in (SIGNED, REFUSED, REORGED, REVERTED) "
        "and on_chain[e] not in (unseen, rejected, passed_over, disconnected, displaced)",
        "Returned": "settlement[p, e] == REVERTED "
        "and on_chain[e] in (unseen, rejected, passed_over)",
        "Refused": "settlement[p, e] == SIGNED and on_chain[e] == rejected",
        "Outbid": "settlement[p, e] not in (UNSIGNED, COMPLETED, REVERTED, REORGED) "
        "and on_chain[e] == passed_over",
        "Dropped": "settlement[p, e] == BROADCAST and on_chain[e] in (unseen, rejected)",
        "Final": "settlement[p, e] == BROADCAST and on_chain[e] == final",
        "Reorg": "settlement[p, e] in (BROADCAST, COMPLETED) and on_chain[e] == disconnected",
        "Conflict": "settlement[p, e] not in (UNSIGNED, COMPLETED, REVERTED) "
        "and on_chain[e] == displaced",
    },
    then={
        "Finish": "after(settlement[p, e]) == SIGNED",
        "Accepted": "after(settlement[p, e]) == BROADCAST",
        "Returned": "after(settlement[p, e]) == SIGNED",
        "Refused": "after(settlement[p, e]) == REFUSED",
        "Outbid": "after(settlement[p, e]) == SIGNED",
        "Dropped": "after(settlement[p, e]) == SIGNED",
        "Final": "after(settlement[p, e]) == COMPLETED",
        "Reorg": "after(settlement[p, e]) == REORGED",
        "Conflict": "after(settlement[p, e]) == REVERTED",
    },
    steps={
        "SignedForGood": "implies(settlement[p, e] != UNSIGNED, "
        "after(settlement[p, e]) != UNSIGNED)",
        "FinalBeforeCompleted": "implies(settlement[p, e] != COMPLETED and "
        "after(settlement[p, e]) == COMPLETED, "
        "on_chain[e] == final and settlement[p, e] == BROADCAST)",
        "RevertedUntilAlive": "implies(settlement[p, e] == REVERTED and "
        "after(settlement[p, e]) != REVERTED, on_chain[e] != displaced)",
    },
    crash="all(after(settlement[p, e]) == settlement[p, e] for e in Event)",
    first="all(settlement[p, e] == UNSIGNED for e in Event)",
)
