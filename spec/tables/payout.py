"""A signed payout on its way to the chain: the extension of an event that ended in SUCCESS."""

from __future__ import annotations

from spec.language.declarations import Cell, Enum, Row, Table

SETTLEMENT = Enum("Settlement", ("UNSIGNED", "SIGNED", "BROADCAST", "COMPLETED", "REVERTED",
                                 "REORGED"))

CELLS = (
    Cell("settlement", SETTLEMENT, ("Peer", "Event"), "UNSIGNED", "disk", "e's transaction, at p"),
    Cell("chain_has_it", "bool", ("Event",), "False", "given",
         "chain: in the mempool or in a block"),
    Cell("chain_final", "bool", ("Event",), "False", "given", "chain: deep enough to be final"),
    Cell("chain_conflict", "bool", ("Event",), "False", "given",
         "chain: final, but another transaction spent an input"),
    Cell("left_its_block", "bool", ("Event",), "False", "given",
         "chain: its block was disconnected"),
)

_ON_CHAIN = ("BROADCAST", "COMPLETED")

TABLE = Table("payout", "settlement[p, e]", "a signed payout and the chain", rows=(
    Row("UNSIGNED", "Finish(p: Peer, e: Event)", "SIGNED", "status[p, e] == SUCCESS",
        why="every node that knows the signatures can bring the payout to the chain"),
    Row(("SIGNED", "REORGED"), "Accepted(p: Peer, e: Event)", "BROADCAST", "chain_has_it[e]",
        why="the chain was asked: the reply to a broadcast alone is never trusted"),
    Row("BROADCAST", "Dropped(p: Peer, e: Event)", "SIGNED", "not chain_has_it[e]",
        why="dropped from the mempool: the same transaction is sent again, never fresh inputs"),
    Row("BROADCAST", "Final(p: Peer, e: Event)", "COMPLETED", "chain_final[e]",
        why="only now may the next payout begin"),
    Row(_ON_CHAIN, "Reorg(p: Peer, e: Event)", "REORGED", "left_its_block[e]",
        why="its block left the chain; it is sent again"),
    Row(("SIGNED", "BROADCAST", "REORGED"), "Conflict(p: Peer, e: Event)", "REVERTED",
        "chain_conflict[e]",
        why="an input went elsewhere for good; the deposits that remain are a new event"),
))
