"""JSON shapes of blocks, transactions and coins, as Bitcoin Core's RPC prints them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from metanode.devnet.chain import BlockTree
from metanode.devnet.types import BlockNode, ChainTransaction, UnspentCoin

JsonObject = dict[str, Any]  # the shapes of a foreign interface, checked by the adapter's tests


def coins(amount: int) -> Decimal:
    """Return base units as a decimal number of coins with eight places."""
    return Decimal(amount).scaleb(-8)


def header_view(tree: BlockTree, node: BlockNode) -> JsonObject:
    """Return the shape of ``getblockheader``."""
    confirmations = tree.confirmations(node)
    view: JsonObject = {
        "hash": node.hash.hex(), "confirmations": confirmations, "height": node.height,
        "time": node.time, "mediantime": node.median_time, "nTx": node.transaction_count,
    }
    if node.parent is not None:
        view["previousblockhash"] = node.parent.hash.hex()
    if confirmations > 1:
        view["nextblockhash"] = tree.active[node.height + 1].hash.hex()
    return view


def block_view(tree: BlockTree, node: BlockNode, verbosity: int) -> JsonObject:
    """Return the shape of ``getblock`` with ids (1) or whole transactions (2)."""
    view = header_view(tree, node)
    transactions = tree.transactions(node)
    if verbosity == 1:
        view["tx"] = [transaction.txid.hex() for transaction in transactions]
    else:
        view["tx"] = [transaction_view(transaction) for transaction in transactions]
    view["size"] = len(node.raw)
    return view


def transaction_view(transaction: ChainTransaction) -> JsonObject:
    """Return the shape of ``getrawtransaction`` verbose, without the block's part."""
    tx = transaction.tx
    inputs: list[JsonObject] = []
    for spending in tx.vin:
        if tx.is_coinbase:
            entry: JsonObject = {"coinbase": spending.script_sig.hex()}
        else:
            entry = {
                "txid": spending.prev_out.tx_id.hex(),
                "vout": spending.prev_out.vout,
                "scriptSig": {"hex": spending.script_sig.hex()},
            }
        entry["txinwitness"] = [item.hex() for item in spending.script_witness.stack]
        entry["sequence"] = spending.sequence
        inputs.append(entry)
    return {
        "txid": transaction.txid.hex(),
        "hash": tx.hash.hex(),
        "version": tx.version,
        "size": len(transaction.raw),
        "vsize": transaction.vsize,
        "locktime": tx.lock_time,
        "vin": inputs,
        "vout": [
            {
                "value": coins(output.value),
                "n": index,
                "scriptPubKey": {"hex": output.script_pub_key.script.hex()},
            }
            for index, output in enumerate(tx.vout)
        ],
        "hex": transaction.raw.hex(),
    }


def coin_view(tree: BlockTree, coin: UnspentCoin) -> JsonObject:
    """Return the shape of ``gettxout``."""
    return {
        "bestblock": tree.tip.hash.hex(),
        "confirmations": 0 if coin.height is None else tree.tip.height + 1 - coin.height,
        "value": coins(coin.amount),
        "scriptPubKey": {"hex": coin.script.hex()},
        "coinbase": coin.coinbase,
    }
