"""The coins of one script, as a daemon's set of unspent outputs tells of them: no wallet is needed.

The daemon looks through the whole set for that, which takes minutes on a large chain.
"""

from __future__ import annotations

from metanode.chains.replies import ScannedCoin, ScannedCoins, ScanProgress
from metanode.chains.rpc import Daemon, RpcError
from metanode.chains.unspent_outputs import unspent_outputs
from metanode.custody.scripts import key_script
from metanode.custody.types import Outpoint
from metanode.errors import Unavailable
from spec.parameters import COINBASE_MATURITY_BLOCKS

SCAN_UNDER_WAY = -8  # rpc/protocol.h, RPC_INVALID_PARAMETER


async def scan_percent(rpc: Daemon) -> int | None:
    """Return how far the daemon's look through its outputs has come; None if it looks for none, or
    does not tell.
    """
    try:
        return (await rpc.ask(ScanProgress, "scantxoutset", "status")).progress
    except (RpcError, Unavailable):
        return None


async def coins_of_key(rpc: Daemon, public_key: bytes) -> list[ScannedCoin]:
    """Return the P2WPKH coins of a key as :func:`coins_of_script` does."""
    return await coins_of_script(rpc, key_script(public_key))


async def coins_of_script(rpc: Daemon, script: bytes) -> list[ScannedCoin]:
    """Return the confirmed coins that can be spent and that nothing in the mempool spends, largest
    first. Raises Unavailable.
    """
    try:
        found = await rpc.ask(ScannedCoins, "scantxoutset", "start", [f"raw({script.hex()})"])
    except RpcError as refusal:
        if refusal.code == SCAN_UNDER_WAY:
            raise Unavailable("the chain daemon looks for other coins now: try again") from refusal
        raise Unavailable(f"the chain daemon refuses scantxoutset: {refusal}") from refusal
    outpoints = [Outpoint(coin.txid, coin.vout) for coin in found.unspents]
    coins = []
    answers = await unspent_outputs(rpc, outpoints)
    for coin, shown in zip(found.unspents, answers, strict=True):
        if isinstance(shown, RpcError):
            raise Unavailable(f"the chain daemon refuses gettxout: {shown}") from shown
        if shown is None or (shown.coinbase and shown.confirmations < COINBASE_MATURITY_BLOCKS):
            continue
        coins.append(coin)
    return sorted(coins, key=lambda coin: (-coin.amount, coin.txid, coin.vout))
