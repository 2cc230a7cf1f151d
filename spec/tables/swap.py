"""A swap from the first sign of it to its end.

A deposit whose memo names the payout address is its own request; a deposit without a usable memo
goes back to where it came from. Only the chain decides. What a node has heard elsewhere, or when,
does not count: else members would book one deposit differently and never agree on its payout
(F-36).
"""

from __future__ import annotations

from spec.language.declarations import Cell, Enum, Row, Table

SWAP_STATE = Enum("SwapState", ("none_yet", "PendingRelease", "PendingRefund", "Completed",
                                "Refunded"))
DEPOSIT = Enum("Deposit", ("no_deposit", "payable", "refundable", "spent"))

CELLS = (
    Cell("swap", SWAP_STATE, ("Peer", "Swap"), "none_yet", "disk", "swap s, at p"),
    Cell("deposit", DEPOSIT, ("Swap",), "no_deposit", "given",
         "chain: no_deposit if the deposit is not in the chain, or not deep enough, or if nothing"
         " can be done with it; payable if its memo names an address to pay, refundable if not;"
         " spent if it is booked and was spent, deep enough, which only the custody key can do"),
)

TABLE = Table("swap", "swap[p, s]", "a swap", rows=(
    Row("none_yet", "Deposit(p: Peer, s: Swap)", "PendingRelease", "deposit[s] == payable",
        why="the memo says where to pay, and the deposit itself pays it"),
    Row("none_yet", "Deposit(p: Peer, s: Swap)", "PendingRefund", "deposit[s] == refundable",
        why="the memo names no address to pay: the deposit goes back to its sender"),
    Row("PendingRelease", "Settled(p: Peer, s: Swap)", "Completed", "deposit[s] == spent",
        why="the payout is final"),
    Row("PendingRefund", "Settled(p: Peer, s: Swap)", "Refunded", "deposit[s] == spent",
        why="the refund is final"),
    Row(("PendingRelease", "PendingRefund"), "Removed(p: Peer, s: Swap)", "none_yet",
        "deposit[s] == no_deposit",
        why="a reorganisation took the deposit away before it was settled"),
))
