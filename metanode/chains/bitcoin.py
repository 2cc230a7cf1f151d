"""The adapter for Bitcoin and its kin (Litecoin, the embedded devnet) over JSON-RPC.

It needs no wallet in the daemon: blocks are scanned for the custody script. A real daemon must run
with ``-txindex=1``, so that confirmed transactions can be looked up by id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
from attrs import frozen

from metanode.chains.base import (
    BroadcastResult,
    ChainParameters,
    ChainUpdate,
    StakeVerdict,
    TxStatus,
)
from metanode.chains.blockscan import fee_rate_of, scan_block, spent_outpoints, with_refunds
from metanode.chains.json_decimal import base_units
from metanode.chains.rpc import RpcClient, RpcError
from metanode.custody.scripts import key_script
from metanode.custody.transaction import input_outpoints
from metanode.custody.types import BlockSummary, Outpoint
from metanode.errors import LocalFault, Unavailable, check

NEW_MEMPOOL_TRANSACTIONS_PER_CALL = 500
NOT_FOUND = -5  # rpc/protocol.h, RPC_INVALID_ADDRESS_OR_KEY
OUT_OF_RANGE = -8  # rpc/protocol.h, RPC_INVALID_PARAMETER


@frozen
class _Visited:
    """A block behind the cursor, and the custody coins that it made and spent."""

    height: int
    hash: bytes
    created: frozenset[Outpoint]
    spent: frozenset[Outpoint]


class BitcoinAdapter:
    """Implements :class:`metanode.chains.base.ChainAdapter` over one :class:`RpcClient`."""

    def __init__(self, rpc: RpcClient, parameters: ChainParameters) -> None:
        self._rpc = rpc
        self._parameters = parameters
        self._script: bytes | None = None
        self._birth_height = 0
        self._visited: list[_Visited] = []
        self._coins: set[Outpoint] = set()  # custody coins, spent ones until they leave the window
        self._sightings: dict[str, tuple[Outpoint, ...]] = {}  # by id of the mempool's transactions
        self._polling = anyio.Lock()

    @property
    def parameters(self) -> ChainParameters:
        """Return the chain's parameters."""
        return self._parameters

    def watch(self, public_key: bytes, birth_height: int) -> None:
        """Watch the custody script of a key (33 bytes); polling starts at ``birth_height``."""
        check(birth_height >= 0, "the birth height must not be negative")
        check(not self._polling.locked(), "the script must not change during a poll")
        self._script = key_script(public_key)
        self._birth_height = birth_height
        self._visited = []
        self._coins = set()
        self._sightings = {}

    async def tip(self) -> tuple[int, bytes]:
        """Return height and id of the newest block."""
        block_hash = await self._rpc.call("getbestblockhash")
        header = await self._rpc.call("getblockheader", block_hash)
        return header["height"], bytes.fromhex(block_hash)

    async def poll(self) -> ChainUpdate:
        """Return the blocks that came and went since the last poll, at most ``blocks_per_poll``.

        The cursor is a stack of blocks: those that left the active chain are popped and reported,
        then the new ones are pushed. All changes are made at the end at once, so that a poll that
        fails or is cancelled is repeated by the next. Raises :class:`LocalFault` when no script is
        watched and :class:`Unavailable` when the daemon is away or the reorganisation is deeper
        than the window.
        """
        async with self._polling:
            disconnected, kept = await self._left_behind()
            dropped = self._visited[kept:]
            coins = self._coins.difference(*(visited.created for visited in dropped))
            parent = self._visited[kept - 1] if kept else None
            summaries: list[BlockSummary] = []
            visited: list[_Visited] = []
            tip_height = await self._rpc.call("getblockcount")
            height = parent.height + 1 if parent else self._birth_height
            last = min(tip_height, height + self._parameters.blocks_per_poll - 1)
            caught_up = last == tip_height
            for at in range(height, last + 1):
                summary = await self._block_at(at, coins)
                expected = summaries[-1].hash if summaries else parent.hash if parent else None
                if summary is None or expected not in (None, summary.parent):
                    caught_up = False  # the tip moved while we read: the next poll sorts it out
                    break
                created = {coin.outpoint for coin in summary.coins}
                spent = {spend.outpoint for spend in summary.spends}
                coins |= created
                summaries.append(summary)
                visited.append(_Visited(at, summary.hash, frozenset(created), frozenset(spent)))
            self._advance(kept, visited, coins)
            return ChainUpdate(disconnected, tuple(summaries), caught_up)

    async def mempool_deposits(self) -> tuple[Outpoint, ...]:
        """Return the unconfirmed deposits that are in the mempool now.

        Only transactions that were not there before are fetched, a bounded number per call; the
        rest follows with the next calls.
        """
        script = self._watched()
        present = set(await self._rpc.call("getrawmempool"))
        known = {txid: found for txid, found in self._sightings.items() if txid in present}
        for txid in sorted(present - known.keys())[:NEW_MEMPOOL_TRANSACTIONS_PER_CALL]:
            transaction = await self._transaction(txid)
            if transaction is None:
                continue  # it left the mempool since it was listed
            known[txid] = self._deposits_in(transaction, script)
        self._sightings = known
        return tuple(sorted(outpoint for found in known.values() for outpoint in found))

    async def check_stake(
        self, outpoint: Outpoint, owner_node_id: bytes, minimum: int, min_age_s: int
    ) -> StakeVerdict:
        """Judge a stake: unspent, confirmed, made out to the owner, enough, and old enough.

        The age is the median time of the tip less the time of the coin's block, never a local
        clock.
        """
        coin = await self._rpc.call("gettxout", outpoint.txid.hex(), outpoint.index, True)
        if coin is None:
            return StakeVerdict(False, "spent")
        amount = base_units(coin["value"])
        if coin["confirmations"] < self._parameters.stake_confirmations:
            return StakeVerdict(False, "unconfirmed", amount)
        if bytes.fromhex(coin["scriptPubKey"]["hex"]) != key_script(owner_node_id):
            return StakeVerdict(False, "foreign", amount)
        if amount < minimum:
            return StakeVerdict(False, "short", amount)
        try:
            tip = await self._rpc.call("getblockheader", coin["bestblock"])
            height = tip["height"] - coin["confirmations"] + 1
            block_hash = await self._rpc.call("getblockhash", height)
            block = await self._rpc.call("getblockheader", block_hash)
        except RpcError as fault:
            raise Unavailable(f"the chain moved during a stake check: {fault.message}") from fault
        age_s = tip["mediantime"] - block["time"]
        if age_s < min_age_s:
            return StakeVerdict(False, "young", amount, age_s)
        return StakeVerdict(True, "ok", amount, age_s, height)

    async def broadcast(self, raw: bytes, txid: bytes) -> BroadcastResult:
        """Send a transaction and look up what became of it.

        ``sent``: accepted now. ``known``: it was in the mempool or a block already. ``conflict``:
        an input is spent by another transaction. ``rejected``: neither there nor in conflict.
        """
        accepted = True
        before = await self.lookup(txid)
        try:
            await self._rpc.call("sendrawtransaction", raw.hex())
        except RpcError:
            accepted = False  # codes differ between versions: the look-up decides
        status = await self.lookup(txid)
        if status.state != "unknown":
            return "sent" if accepted and before.state == "unknown" else "known"
        if await self._is_spent(input_outpoints(raw)):
            return "conflict"
        return "rejected"

    async def lookup(self, txid: bytes, inputs: Sequence[Outpoint] = ()) -> TxStatus:
        """Find a transaction in the mempool or the active chain.

        ``inputs`` are its inputs, if known: when it is nowhere and one of them is spent, its state
        is ``replaced`` instead of ``unknown``.
        """
        found = await self._transaction(txid.hex())
        if found is None:
            replaced = bool(inputs) and await self._is_spent(inputs)
            return TxStatus("replaced" if replaced else "unknown")
        confirmations = found.get("confirmations", 0)
        if confirmations < 1:
            return TxStatus("pending")
        header = await self._rpc.call("getblockheader", found["blockhash"])
        is_final = confirmations >= self._parameters.final_confirmations
        return TxStatus("final" if is_final else "included", confirmations, header["height"])

    def _watched(self) -> bytes:
        if self._script is None:
            raise LocalFault("no script is watched")
        return self._script

    async def _left_behind(self) -> tuple[tuple[bytes, ...], int]:
        """Return the visited blocks that left the chain, newest first, and how many remain."""
        self._watched()
        gone: list[bytes] = []
        kept = len(self._visited)
        while kept:
            block_hash = self._visited[kept - 1].hash
            try:
                header = await self._rpc.call("getblockheader", block_hash.hex())
                if header["confirmations"] >= 0:
                    return tuple(gone), kept
            except RpcError as fault:
                if fault.code != NOT_FOUND:
                    raise
            gone.append(block_hash)
            kept -= 1
        if gone and self._visited[0].height > self._birth_height:
            raise Unavailable("a reorganisation deeper than the window: restart the node")
        return tuple(gone), 0

    async def _block_at(self, height: int, coins: set[Outpoint]) -> BlockSummary | None:
        """Fetch and scan a block of the active chain; None when it is gone by now."""
        try:
            block_hash = await self._rpc.call("getblockhash", height)
            block = await self._rpc.call("getblock", block_hash, 2)
            stats = await self._rpc.call("getblockstats", block_hash, ["feerate_percentiles"])
        except RpcError as fault:
            if fault.code in (NOT_FOUND, OUT_OF_RANGE):
                return None
            raise Unavailable(f"cannot read block {height}: {fault}") from fault
        summary, refund_sources = scan_block(block, fee_rate_of(stats), self._watched(), coins)
        if not refund_sources:
            return summary
        refunds = {source: await self._script_of(source) for source in set(refund_sources.values())}
        return with_refunds(
            summary, {outpoint: refunds[source] for outpoint, source in refund_sources.items()}
        )

    async def _script_of(self, outpoint: Outpoint) -> bytes | None:
        """Return the locking script of an output, spent or not; None when it cannot be found."""
        transaction = await self._transaction(outpoint.txid.hex())
        if transaction is None or outpoint.index >= len(transaction["vout"]):
            return None
        return bytes.fromhex(transaction["vout"][outpoint.index]["scriptPubKey"]["hex"])

    async def _transaction(self, txid: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = await self._rpc.call("getrawtransaction", txid, True)
        except RpcError as fault:
            if fault.code != NOT_FOUND:
                raise Unavailable(f"cannot look up {txid}: {fault}") from fault
            return None
        return found

    async def _is_spent(self, outpoints: Sequence[Outpoint]) -> bool:
        """Tell whether one of the outputs is spent, in a block or in the mempool."""
        for outpoint in outpoints:
            if await self._rpc.call("gettxout", outpoint.txid.hex(), outpoint.index, True) is None:
                return True
        return False

    def _deposits_in(self, transaction: dict[str, Any], script: bytes) -> tuple[Outpoint, ...]:
        if any(spent in self._coins for spent in spent_outpoints(transaction)):
            return ()  # one of our own payouts: what it pays to custody is change
        txid = bytes.fromhex(transaction["txid"])
        return tuple(
            Outpoint(txid, output["n"]) for output in transaction["vout"]
            if output["scriptPubKey"]["hex"] == script.hex()
        )

    def _advance(self, kept: int, visited: list[_Visited], coins: set[Outpoint]) -> None:
        """Make the poll's changes, all at once and without a pause."""
        self._visited = self._visited[:kept] + visited
        self._coins = coins
        surplus = len(self._visited) - self._parameters.reorg_window_blocks
        for old in self._visited[: max(0, surplus)]:
            self._coins -= old.spent
        del self._visited[: max(0, surplus)]
