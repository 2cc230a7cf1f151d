"""A signed payout on its way to the chain: the extension of an event that ended in SUCCESS."""

from __future__ import annotations

from spec.language.declarations import Cell, Enum, Row, Table

SETTLEMENT = Enum("Settlement", ("UNSIGNED", "SIGNED", "BROADCAST", "COMPLETED", "REVERTED",
                                 "REORGED"))

ON_CHAIN = Enum("OnChain", ("unseen", "present", "final", "disconnected", "displaced"))

CELLS = (
    Cell("settlement", SETTLEMENT, ("Peer", "Event"), "UNSIGNED", "disk", "e's transaction, at p"),
    Cell("on_chain", ON_CHAIN, ("Event",), "unseen", "given",
         "chain: e's transaction is nowhere; in the mempool or a block; deep enough to be final; or"
         " its block was disconnected; or another transaction, final by now, spent an input"),
)

_ON_CHAIN = ("BROADCAST", "COMPLETED")

TABLE = Table("payout", "settlement[p, e]", "a signed payout and the chain", rows=(
    Row("UNSIGNED", "Finish(p: Peer, e: Event)", "SIGNED", "status[p, e] == SUCCESS",
        why="every node that knows the signatures can bring the payout to the chain"),
    Row(("SIGNED", "REORGED"), "Accepted(p: Peer, e: Event)", "BROADCAST",
        "on_chain[e] in (present, final)",
        why="the chain was asked: the reply to a broadcast alone is never trusted"),
    Row("BROADCAST", "Dropped(p: Peer, e: Event)", "SIGNED", "on_chain[e] == unseen",
        why="it left the mempool: the same transaction is sent again, never one of other inputs"),
    Row("BROADCAST", "Final(p: Peer, e: Event)", "COMPLETED", "on_chain[e] == final",
        why="only now may the next payout begin"),
    Row(_ON_CHAIN, "Reorg(p: Peer, e: Event)", "REORGED", "on_chain[e] == disconnected",
        why="its block left the chain; it is sent again"),
    Row(("SIGNED", "BROADCAST", "REORGED"), "Conflict(p: Peer, e: Event)", "REVERTED",
        "on_chain[e] == displaced",
        why="another transaction has spent an input, and is final; the deposits that remain are a"
            " new event"),
))
