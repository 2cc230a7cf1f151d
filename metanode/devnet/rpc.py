"""The JSON-RPC methods of the embedded chain: names, parameters and replies of Bitcoin Core.

A method is a coroutine named ``rpc_<method>``. Those that mine many blocks let other requests in
between the blocks.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import anyio.lowlevel

from metanode.custody.scripts import MAX_MEMO_BYTES, script_of_address
from metanode.devnet.faucet import pay_from_faucet
from metanode.devnet.ledger import DevnetLedger
from metanode.devnet.policy import INCREMENTAL_FEE_RATE, KILO, MAX_FEE_RATE, MIN_RELAY_FEE_RATE
from metanode.devnet.types import COIN, ChainTransaction, DevnetError, RpcCode
from metanode.devnet.validation import MAX_MONEY, parse_transaction
from metanode.devnet.views import (
    JsonObject,
    block_view,
    coin_view,
    coins,
    header_view,
    transaction_view,
)
from metanode.errors import UserError

MAX_BLOCKS_PER_CALL = 1000


class DevnetRpc:
    """Answers calls on one :class:`DevnetLedger`."""

    def __init__(self, ledger: DevnetLedger) -> None:
        self._ledger = ledger
        self._methods: dict[str, Callable[..., Awaitable[Any]]] = {
            name.removeprefix("rpc_"): method
            for name, method in inspect.getmembers(self, inspect.iscoroutinefunction)
            if name.startswith("rpc_")
        }

    async def call(self, method: str, params: list[Any]) -> Any:
        """Run a method; raises :class:`DevnetError` for an unknown one or wrong parameters."""
        found = self._methods.get(method)
        if found is None:
            raise DevnetError(RpcCode.METHOD_NOT_FOUND, "Method not found")
        try:
            answer = found(*params)  # of a coroutine function: nothing of its body runs yet
        except TypeError as fault:
            raise DevnetError(RpcCode.INVALID_PARAMS, f"{method}: {fault}") from fault
        return await answer

    # --- blocks ---------------------------------------------------------------------------------

    async def rpc_getblockchaininfo(self) -> JsonObject:
        """Return the state of the chain in short."""
        tip = self._ledger.tree.tip
        return {
            "chain": "regtest", "blocks": tip.height, "headers": tip.height,
            "bestblockhash": tip.hash.hex(), "time": tip.time, "mediantime": tip.median_time,
            "initialblockdownload": False,
        }

    async def rpc_getnetworkinfo(self) -> JsonObject:
        """Return what a wallet asks for before it sends."""
        return {
            "subversion": "/metanode-devnet:1/",
            "relayfee": coins(MIN_RELAY_FEE_RATE * KILO),
            "incrementalfee": coins(INCREMENTAL_FEE_RATE * KILO),
            "connections": 0,
        }

    async def rpc_getindexinfo(self) -> JsonObject:
        """Return the indexes: every transaction is found by its id."""
        return {"txindex": {"synced": True, "best_block_height": self._ledger.tree.tip.height}}

    async def rpc_getblockcount(self) -> int:
        """Return the height of the tip."""
        return self._ledger.tree.tip.height

    async def rpc_getbestblockhash(self) -> str:
        """Return the hash of the tip."""
        return self._ledger.tree.tip.hash.hex()

    async def rpc_getblockhash(self, height: Any) -> str:
        """Return the hash of the active block at ``height``."""
        active = self._ledger.tree.active
        index = _integer(height)
        if not 0 <= index < len(active):
            raise DevnetError(RpcCode.INVALID_PARAMETER, "Block height out of range")
        return active[index].hash.hex()

    async def rpc_getblockheader(self, block_hash: Any, verbose: Any = True) -> Any:
        """Return a header, as JSON or as 80 bytes of hexadecimal."""
        node = self._ledger.tree.node(_hash(block_hash))
        return header_view(self._ledger.tree, node) if verbose else node.raw[:80].hex()

    async def rpc_getblock(self, block_hash: Any, verbosity: Any = 1) -> Any:
        """Return a block: 0 hexadecimal, 1 with ids, 2 with transactions."""
        tree = self._ledger.tree
        node = tree.node(_hash(block_hash))
        if _integer(verbosity) == 0:
            return node.raw.hex()
        return block_view(tree, node, min(verbosity, 2))

    async def rpc_getblockstats(self, block: Any, stats: Any = None) -> JsonObject:
        """Return the fee rates of a block, named by height or hash; other figures are not kept."""
        del stats  # Core returns a selection; the whole is as small
        tree = self._ledger.tree
        if type(block) is int and not 0 <= block < len(tree.active):
            raise DevnetError(RpcCode.INVALID_PARAMETER, "Target block height out of range")
        node = tree.active[block] if type(block) is int else tree.node(_hash(block))
        return {
            "blockhash": node.hash.hex(), "height": node.height,
            "feerate_percentiles": list(node.fee_rates), "txs": node.transaction_count,
            "total_weight": node.total_weight,
        }

    async def rpc_getchaintips(self) -> list[JsonObject]:
        """Return the ends of all branches."""
        tree = self._ledger.tree
        return [
            {
                "height": node.height,
                "hash": node.hash.hex(),
                "status": "active" if node is tree.tip else "valid-fork",
            }
            for node in {tree.tip, *tree.tips()}
        ]

    async def rpc_invalidateblock(self, block_hash: Any) -> None:
        """Set a block aside, with all that follows it."""
        self._ledger.invalidate(_hash(block_hash))

    async def rpc_reconsiderblock(self, block_hash: Any) -> None:
        """Take ``invalidateblock`` back."""
        self._ledger.reconsider(_hash(block_hash))

    async def rpc_setmocktime(self, time: Any) -> None:
        """Stop the clock at a unix time; 0 lets it run."""
        self._ledger.set_mock_time(_integer(time))

    async def rpc_generatetoaddress(self, count: Any, address: Any) -> list[str]:
        """Mine ``count`` blocks to an address and return their hashes."""
        script = self._script(address)
        if not 0 <= _integer(count) <= MAX_BLOCKS_PER_CALL:
            message = f"at most {MAX_BLOCKS_PER_CALL} blocks at once"
            raise DevnetError(RpcCode.INVALID_PARAMETER, message)
        hashes = []
        for _ in range(count):
            hashes.append(self._ledger.mine(script).hash.hex())
            await anyio.lowlevel.checkpoint()
        return hashes

    # --- transactions -----------------------------------------------------------------------------

    async def rpc_sendrawtransaction(self, raw: Any, max_fee_rate: Any = None) -> str:
        """Put a transaction into the mempool and return its id.

        ``max_fee_rate`` is in coins per 1,000 virtual bytes; 0 sets no limit.
        """
        most = MAX_FEE_RATE * KILO if max_fee_rate is None else _rate(max_fee_rate)
        return self._ledger.submit(parse_transaction(raw), most).hex()

    async def rpc_testmempoolaccept(self, raws: Any) -> list[JsonObject]:
        """Say whether a transaction would be accepted, without accepting it."""
        if not isinstance(raws, list) or len(raws) != 1:
            raise DevnetError(RpcCode.INVALID_PARAMETER, "give exactly one transaction")
        transaction = parse_transaction(raws[0])
        reply: JsonObject = {"txid": transaction.txid.hex(), "vsize": transaction.vsize}
        try:
            entry, _ = self._ledger.mempool.check(transaction, self._ledger.tree.next_place())
        except DevnetError as refusal:
            reason = refusal.message.partition(",")[0]
            if refusal.code is RpcCode.VERIFY_ERROR:
                reason = "missing-inputs"
            return [{**reply, "allowed": False, "reject-reason": reason}]
        return [{**reply, "allowed": True, "fees": {"base": coins(entry.fee)}}]

    async def rpc_getmempoolinfo(self) -> JsonObject:
        """Return how much is in the mempool, and what it takes to enter it."""
        mempool = self._ledger.mempool
        relay = MIN_RELAY_FEE_RATE * KILO
        return {
            "loaded": True, "size": len(mempool.entries),
            "bytes": sum(entry.transaction.vsize for entry in mempool.entries.values()),
            "mempoolminfee": coins(max(relay, mempool.minimum)), "minrelaytxfee": coins(relay),
        }

    async def rpc_devnet_mempoolminfee(self, rate: Any) -> None:
        """Raise what it takes to stay in the mempool, coins per 1,000 vB, as if it were full."""
        self._ledger.mempool.raise_minimum(_rate(rate))

    async def rpc_devnet_blocksize(self, vbytes: Any) -> None:
        """Set how many virtual bytes of transactions the next blocks take: 0 leaves all waiting."""
        self._ledger.mempool.block_vbytes = _integer(vbytes)

    async def rpc_getrawmempool(self) -> list[str]:
        """Return the ids of all unconfirmed transactions."""
        return [txid.hex() for txid in self._ledger.mempool.entries]

    async def rpc_getmempoolentry(self, txid: Any) -> JsonObject:
        """Return size and fee of an unconfirmed transaction."""
        entry = self._ledger.mempool.entries.get(_hash(txid))
        if entry is None:
            raise DevnetError(RpcCode.INVALID_ADDRESS_OR_KEY, "Transaction not in mempool")
        return {"vsize": entry.transaction.vsize, "fees": {"base": coins(entry.fee)}}

    async def rpc_getrawtransaction(self, txid: Any, verbose: Any = False) -> Any:
        """Return a transaction of the mempool or of the active chain."""
        key = _hash(txid)
        tree = self._ledger.tree
        entry = self._ledger.mempool.entries.get(key)
        if entry is not None:
            return _raw_or_view(entry.transaction, verbose)
        location = tree.locations.get(key)
        if location is None:
            message = "No such mempool or blockchain transaction"
            raise DevnetError(RpcCode.INVALID_ADDRESS_OR_KEY, message)
        node, position = location
        reply = _raw_or_view(tree.transactions(node)[position], verbose)
        if verbose:
            reply["blockhash"] = node.hash.hex()
            reply["confirmations"] = tree.confirmations(node)
            reply["blocktime"] = reply["time"] = node.time
        return reply

    async def rpc_gettxout(self, txid: Any, index: Any, include_mempool: Any = True) -> Any:
        """Return an unspent output, or null."""
        ref = (_hash(txid), _integer(index))
        if not include_mempool:
            coin = self._ledger.tree.coins.get(ref)
        elif ref in self._ledger.mempool.spenders:
            return None
        else:
            coin = self._ledger.mempool.find(ref)
        return None if coin is None else coin_view(self._ledger.tree, coin)

    async def rpc_scantxoutset(self, action: Any, descriptors: Any = None) -> JsonObject:
        """Return the confirmed unspent outputs of scripts given as ``raw(<hex>)``."""
        if action != "start" or not isinstance(descriptors, list):
            raise DevnetError(RpcCode.INVALID_PARAMETER, "only start with descriptors is known")
        scripts = {_described_script(descriptor) for descriptor in descriptors}
        tree = self._ledger.tree
        found = [
            {
                "txid": txid.hex(), "vout": index, "scriptPubKey": coin.script.hex(),
                "amount": coins(coin.amount), "coinbase": coin.coinbase, "height": coin.height,
            }
            for (txid, index), coin in tree.coins.items()
            if coin.script in scripts
        ]
        return {
            "success": True, "height": tree.tip.height, "bestblock": tree.tip.hash.hex(),
            "unspents": found,
        }

    def _script(self, address: Any) -> bytes:
        try:
            return script_of_address(str(address), self._ledger.hrp)
        except UserError as fault:
            raise DevnetError(RpcCode.INVALID_ADDRESS_OR_KEY, str(fault)) from fault

    async def rpc_devnet_faucet(self, address: Any, amount: Any, memo: Any = None) -> JsonObject:
        """Send ``amount`` coins (not base units) from the faucet; return {"txid", "vout"}."""
        script = self._script(address)
        payload = None if memo is None else str(memo).encode()
        if payload is not None and len(payload) > MAX_MEMO_BYTES:
            message = f"a memo has at most {MAX_MEMO_BYTES} bytes"
            raise DevnetError(RpcCode.INVALID_PARAMETER, message)
        transaction = pay_from_faucet(self._ledger, [(_amount(amount), script)], payload)
        return {"txid": transaction.txid.hex(), "vout": 0}


def _raw_or_view(transaction: ChainTransaction, verbose: Any) -> Any:
    return transaction_view(transaction) if verbose else transaction.raw.hex()


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise DevnetError(RpcCode.TYPE_ERROR, f"{value!r} is not a whole number")
    return value


def _hash(value: Any) -> bytes:
    try:
        decoded = bytes.fromhex(value)
    except (TypeError, ValueError) as fault:
        raise DevnetError(RpcCode.INVALID_PARAMETER, "not a hexadecimal hash") from fault
    if len(decoded) != 32:
        raise DevnetError(RpcCode.INVALID_PARAMETER, "a hash has 64 hexadecimal digits")
    return decoded


def _amount(value: Any) -> int:
    """Return base units for a decimal number of coins, more than none."""
    units = _rate(value)
    if not units:
        raise DevnetError(RpcCode.TYPE_ERROR, "Invalid amount")
    return units


def _rate(value: Any) -> int:
    """Return base units for a decimal number of coins."""
    if type(value) is not int and not isinstance(value, Decimal):
        raise DevnetError(RpcCode.TYPE_ERROR, "Amount is not a number")
    units = Decimal(value) * COIN
    if units != int(units) or not 0 <= units <= MAX_MONEY:
        raise DevnetError(RpcCode.TYPE_ERROR, "Amount out of range")
    return int(units)


def _described_script(descriptor: Any) -> bytes:
    text = str(descriptor).split("#")[0]
    try:
        if not text.startswith("raw(") or not text.endswith(")"):
            raise ValueError("not a raw() descriptor")
        return bytes.fromhex(text[4:-1])
    except ValueError as fault:
        raise DevnetError(RpcCode.INVALID_ADDRESS_OR_KEY, f"descriptor: {fault}") from fault
