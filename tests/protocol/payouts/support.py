"""A holder with deposits that wait, and what becomes of a payout of it."""

from __future__ import annotations

from metanode.custody.payout import PayoutDocument
from tests.protocol.rounds.support import Holder


def waiting(*names: str, confirmations: int = 1) -> Holder:
    """Return a node with a chain on which deposits wait."""
    node = Holder.make(confirmations)
    for _ in range(3):
        node.mine()
    node.mine(*(names or ("a deposit",)))
    for _ in range(confirmations - 1):
        node.mine()
    return node


def state(node: Holder, document: PayoutDocument) -> str:
    """Return where a payout stands."""
    return node.ctx.state("payout", document.event)


def spends(document: PayoutDocument, txid: bytes) -> list:
    """Return a transaction that spends all inputs of a payout."""
    return [(spent.outpoint, txid) for spent in document.transaction.inputs]
