"""Find deposits, change and spends of one script in a block as ``getblock <hash> 2`` prints it."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from metanode.chains.json_decimal import base_units
from metanode.custody.scripts import memo_of
from metanode.custody.types import BlockSummary, Coin, Deposit, Outpoint, Spend
from metanode.errors import Unavailable

_MEDIAN = 2  # getblockstats gives the percentiles 10, 25, 50, 75, 90
_NO_PARENT = bytes(32)


def scan_block(
    block: dict[str, Any], fee_rate: int, script: bytes, coins: set[Outpoint]
) -> tuple[BlockSummary, dict[Outpoint, Outpoint]]:
    """Return the summary of a block, and for each deposit the output that paid it.

    ``coins`` are the custody coins made before this block. An output to ``script`` is change when
    its transaction spends a custody coin, else a deposit. The deposits' refund scripts are still
    None: they are those of the returned outputs, which the caller looks up (:func:`with_refunds`).
    """
    height, block_hash = block["height"], bytes.fromhex(block["hash"])
    known = set(coins)
    deposits: list[Deposit] = []
    change: list[Coin] = []
    spends: list[Spend] = []
    sources: dict[Outpoint, Outpoint] = {}
    for position, transaction in enumerate(block["tx"]):
        txid = bytes.fromhex(transaction["txid"])
        spent = spent_outpoints(transaction)
        own = [outpoint for outpoint in spent if outpoint in known]
        spends.extend(Spend(outpoint, txid) for outpoint in own)
        for output in transaction["vout"]:
            if bytes.fromhex(output["scriptPubKey"]["hex"]) != script:
                continue
            outpoint = Outpoint(txid, output["n"])
            amount = base_units(output["value"])
            known.add(outpoint)
            if own:
                change.append(Coin(outpoint, amount, height))
                continue
            memo = _memo(transaction)
            deposits.append(Deposit(outpoint, amount, height, block_hash, position, memo, None))
            if spent:
                sources[outpoint] = spent[0]
    summary = BlockSummary(
        height=height, hash=block_hash,
        parent=bytes.fromhex(block.get("previousblockhash", _NO_PARENT.hex())), time=block["time"],
        median_time=block["mediantime"], fee_rate=fee_rate, deposits=tuple(deposits),
        change=tuple(change), spends=tuple(spends),
    )
    return summary, sources


def with_refunds(summary: BlockSummary, scripts: dict[Outpoint, bytes | None]) -> BlockSummary:
    """Return the summary with the refund script of each deposit filled in."""
    deposits = tuple(
        evolve(deposit, refund_script=scripts.get(deposit.outpoint)) for deposit in summary.deposits
    )
    return evolve(summary, deposits=deposits)


def spent_outpoints(transaction: dict[str, Any]) -> list[Outpoint]:
    """Return what the inputs spend, in order; a coinbase spends nothing."""
    return [
        Outpoint(bytes.fromhex(entry["txid"]), entry["vout"]) for entry in transaction["vin"]
        if "txid" in entry
    ]


def fee_rate_of(stats: dict[str, Any]) -> int:
    """Return the median fee rate (sat/vB) of a block from ``getblockstats``."""
    percentiles = stats.get("feerate_percentiles")
    if not isinstance(percentiles, list) or len(percentiles) != 5:
        raise Unavailable("the chain daemon sent no fee rate percentiles")
    return int(percentiles[_MEDIAN])


def _memo(transaction: dict[str, Any]) -> bytes | None:
    """Return the data of the first OP_RETURN output, None when there is none."""
    for output in transaction["vout"]:
        memo = memo_of(bytes.fromhex(output["scriptPubKey"]["hex"]))
        if memo is not None:
            return memo
    return None
