"""A signed payout on its way to the chain: only the chain's word moves it, and a payout that was
dropped, or whose block was left, is sent again.
"""

from __future__ import annotations

from model_checks.records.record import Record

PAYOUT = Record(
    table="payout",
    taken={
        "Finish": "settlement[p, e] == UNSIGNED and status[p, e] == SUCCESS",
        "Accepted": "settlement[p, e] in (SIGNED, REORGED) "
        "and on_chain[e] not in (unseen, disconnected, displaced)",
        "Dropped": "settlement[p, e] == BROADCAST and on_chain[e] == unseen",
        "Final": "settlement[p, e] == BROADCAST and on_chain[e] == final",
        "Reorg": "settlement[p, e] in (BROADCAST, COMPLETED) and on_chain[e] == disconnected",
        "Conflict": "settlement[p, e] in (SIGNED, BROADCAST, REORGED) and on_chain[e] == displaced",
    },
    then={
        "Finish": "after(settlement[p, e]) == SIGNED",
        "Accepted": "after(settlement[p, e]) == BROADCAST",
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
        "RevertedForGood": "implies(settlement[p, e] == REVERTED, "
        "after(settlement[p, e]) == REVERTED)",
    },
    crash="all(after(settlement[p, e]) == settlement[p, e] for e in Event)",
    first="all(settlement[p, e] == UNSIGNED for e in Event)",
)
