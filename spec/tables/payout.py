"""A signed payout on its way to the chain: the extension of an event that ended in SUCCESS.

A payout is signed at several fees at once. Its versions spend the same coins, so the chain takes at
most one of them. While a payout is on its way, others are signed: they spend other coins. Each
payout comes to an end of its own, and none waits for another one (F-40).
"""

from __future__ import annotations

from spec.language.declarations import Cell, Enum, Row, Table

SETTLEMENT = Enum("Settlement", ("UNSIGNED", "SIGNED", "REFUSED", "BROADCAST", "COMPLETED",
                                 "REVERTED", "REORGED"))

ON_CHAIN = Enum("OnChain", ("unseen", "rejected", "present", "passed_over", "final", "disconnected",
                            "displaced"))

CELLS = (
    Cell("settlement", SETTLEMENT, ("Peer", "Event"), "UNSIGNED", "disk", "e's transaction, at p"),
    Cell("on_chain", ON_CHAIN, ("Event",), "unseen", "given",
         "chain: no version of e's transaction is anywhere; or the daemon has refused it; or one is"
         " in the mempool or a block; or all that were sent are unmined for too long, or offer too"
         " little, and there is a dearer one; or one is deep enough to be final; or its block was"
         " disconnected; or, as deep as what is final, another transaction has spent an input, or"
         " an input is not in the chain any more"),
)

_ON_CHAIN = ("BROADCAST", "COMPLETED")

TABLE = Table("payout", "settlement[p, e]", "a signed payout and the chain", rows=(
    Row("UNSIGNED", "Finish(p: Peer, e: Event)", "SIGNED", "status[p, e] == SUCCESS",
        why="every node that knows the signatures can bring the payout to the chain"),
    Row(("SIGNED", "REFUSED", "REORGED", "REVERTED"), "Accepted(p: Peer, e: Event)", "BROADCAST",
        "on_chain[e] in (present, final)",
        why="the chain was asked: the reply to a broadcast alone is never trusted; a payout that"
            " was given up may still be mined, and then the chain is right"),
    Row("REVERTED", "Returned(p: Peer, e: Event)", "SIGNED",
        "on_chain[e] in (unseen, rejected, passed_over)",
        why="its coins are in the chain again, so it can be mined after all: it is sent again"),
    Row("SIGNED", "Refused(p: Peer, e: Event)", "REFUSED", "on_chain[e] == rejected",
        why="the reason is kept and shown; it is sent again, ever more rarely, and nothing else"
            " waits for it"),
    Row(("SIGNED", "REFUSED", "BROADCAST"), "Outbid(p: Peer, e: Event)", "SIGNED",
        "on_chain[e] == passed_over",
        why="the next version, at a higher fee, replaces the last one: they spend the same coins"),
    Row("BROADCAST", "Dropped(p: Peer, e: Event)", "SIGNED", "on_chain[e] in (unseen, rejected)",
        why="it left the mempool: the same transaction is sent again, never one of other inputs"),
    Row("BROADCAST", "Final(p: Peer, e: Event)", "COMPLETED", "on_chain[e] == final",
        why="deep enough: its change may be spent, and its lock is of no use any more"),
    Row(_ON_CHAIN, "Reorg(p: Peer, e: Event)", "REORGED", "on_chain[e] == disconnected",
        why="its block left the chain; it is sent again"),
    Row(("SIGNED", "REFUSED", "BROADCAST", "REORGED"), "Conflict(p: Peer, e: Event)", "REVERTED",
        "on_chain[e] == displaced",
        why="it can never be mined; the deposits that remain are paid in another part of their"
            " window, which is another event"),
))
