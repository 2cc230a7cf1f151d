"""A swap from the first sign of it to its end.

A deposit whose memo names the payout address is its own request; a deposit without a usable memo
goes back to where it came from. Only the chain decides: what a node heard beside it, or when, does
not, or members would book one deposit differently and never agree on its payout (F-36).
"""

from __future__ import annotations

from spec.language.declarations import Cell, Enum, Row, Table

SWAP_STATE = Enum("SwapState", ("none_yet", "Waiting", "PendingRelease", "PendingRefund",
                                "Cancelled", "Completed", "Refunded"))

CELLS = (
    Cell("swap", SWAP_STATE, ("Peer", "Swap"), "none_yet", "disk", "swap s, at p"),
    Cell("deposit_confirmed", "bool", ("Swap",), "False", "given",
         "chain: the deposit is confirmed"),
    Cell("deposit_gone", "bool", ("Swap",), "False", "given", "chain: a reorganisation removed it"),
    Cell("memo_valid", "bool", ("Swap",), "False", "given", "the memo names a payout address"),
    Cell("float_enough", "bool", ("Swap",), "False", "given", "the custody can pay it"),
    Cell("request_known", "bool", ("Swap",), "False", "given", "a user announced the swap"),
    Cell("request_over", "bool", ("Swap",), "False", "given", "clock: 2 h without a deposit"),
    Cell("payout_final", "bool", ("Swap",), "False", "given",
         "chain: the paying transaction is final"),
)

_DEPOSIT = "Deposit(p: Peer, s: Swap)"
_BEFORE = ("none_yet", "Waiting", "Cancelled")
_PAYABLE = "memo_valid[s] and float_enough[s]"

TABLE = Table("swap", "swap[p, s]", "a swap", rows=(
    Row("none_yet", "Initiate(p: Peer, s: Swap)", "Waiting", "request_known[s]",
        why="the user announced a deposit and was shown the custody address"),
    Row("Waiting", "Cancel(p: Peer, s: Swap)", "Cancelled", "request_over[s]",
        why="no deposit came within two hours"),
    Row(_BEFORE, _DEPOSIT, "PendingRelease",
        ("deposit_confirmed[s]", _PAYABLE),
        why="the memo says where to pay and the custody can"),
    Row(_BEFORE, _DEPOSIT, "PendingRefund",
        ("deposit_confirmed[s]", f"not ({_PAYABLE})"),
        why="nowhere to pay, or nothing to pay with: back to the sender"),
    Row("PendingRelease", "Settled(p: Peer, s: Swap)", "Completed", "payout_final[s]",
        why="the payout is final"),
    Row("PendingRefund", "Settled(p: Peer, s: Swap)", "Refunded", "payout_final[s]",
        why="the refund is final"),
    Row(("PendingRelease", "PendingRefund"), "Removed(p: Peer, s: Swap)", "none_yet",
        "deposit_gone[s]",
        why="a reorganisation took the deposit away before it was settled"),
))
