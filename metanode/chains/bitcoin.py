"""The adapter for Bitcoin and its kin (Litecoin, the embedded devnet) over JSON-RPC.

It needs no wallet in the daemon: blocks are scanned for the custody script. Bitcoin Core from 23 on
tells with each block what its inputs spent; another daemon must run with ``-txindex=1``, so that a
deposit's sender is known. Without it, blocks with deposits wait, and the reason is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anyio
from attrs import frozen

from metanode.chains.base import (
    Broadcasted,
    ChainParameters,
    ChainUpdate,
    Cursor,
    StakeVerdict,
    TooDeep,
    TxStatus,
)
from metanode.chains.blockscan import (
    Source,
    empty_summary,
    is_header_of,
    may_concern,
    scan_block,
    with_refunds,
)
from metanode.chains.replies import (
    Block,
    BlockStats,
    ChainInfo,
    Header,
    Height,
    Id,
    Indexes,
    MempoolInfo,
    Raw,
    Shape,
    Transaction,
)
from metanode.chains.rpc import Daemon, RpcError
from metanode.chains.unspent_outputs import Lock, StakeCoins, unspent_outputs
from metanode.custody.ledger import MEDIAN_BLOCKS
from metanode.custody.scripts import key_script
from metanode.custody.transaction import input_outpoints
from metanode.custody.types import BlockSummary, Outpoint
from metanode.errors import LocalFault, Unavailable, check
from spec.chains import title_of
from spec.parameters import FULL_BLOCK_WEIGHT

NEW_MEMPOOL_TRANSACTIONS_PER_CALL = 500
BLOCKS_ON_THE_WAY = 2  # a header is known a moment before its block
BLOCKS_AT_ONCE = 4
"""So many blocks are asked for in one request: the largest ones stay far below what a reply may be.
"""
SERIALISED = 0  # getblock's verbosity
WITH_SPENT_OUTPUTS = 3  # getblock's verbosity; litecoind 0.21 takes it for 2
METHOD_NOT_FOUND = -32601  # rpc/protocol.h
BLOCK_CLOCK_S = 24 * 3600
"""How far the clocks of miners may be behind. In seldom blocks, medians of them are hours behind.
"""
WEIGHT_OF_A_BYTE = 4  # at most
NOT_FOUND = -5  # rpc/protocol.h, RPC_INVALID_ADDRESS_OR_KEY
OUT_OF_RANGE = -8  # rpc/protocol.h, RPC_INVALID_PARAMETER
GONE = (NOT_FOUND, OUT_OF_RANGE)  # what a daemon says of a block when there is another by now


@frozen
class _Visited:
    """A block behind the cursor, and the custody coins that it made and spent."""

    height: int
    hash: bytes
    created: frozenset[Outpoint]
    spent: frozenset[Outpoint]

    @classmethod
    def of(cls, block: BlockSummary) -> _Visited:
        created = frozenset(coin.outpoint for coin in block.coins)
        spent = frozenset(spend.outpoint for spend in block.spends)
        return cls(block.height, block.hash, created, spent)


class BitcoinAdapter:
    """Implements :class:`metanode.chains.base.ChainAdapter` over one daemon."""

    def __init__(
        self, rpc: Daemon, parameters: ChainParameters, lock: Callable[[], Lock] = anyio.Lock
    ) -> None:
        self._rpc = rpc
        self._parameters = parameters
        self._key: bytes | None = None
        self._birth_height = 0
        self._visited: list[_Visited] = []
        self._coins: set[Outpoint] = set()  # custody coins, spent ones until they leave the window
        self._stakes: set[Outpoint] = set()  # those that are followed
        self._asking: list[Outpoint] = []  # those that may be
        self._stake_coins = StakeCoins(rpc, lock)
        self._sightings: dict[Id, tuple[Outpoint, ...]] = {}  # by id of the mempool's transactions
        self._fee_floor = 0
        self._polling = lock()

    @property
    def parameters(self) -> ChainParameters:
        """Return the chain's parameters."""
        return self._parameters

    def watch(
        self, public_key: bytes, birth_height: int, cursor: Cursor | None = None
    ) -> None:
        """Watch the custody script of a key (33 bytes).

        Polling starts at ``birth_height``, or goes on where the ``cursor`` stands.
        """
        cursor = cursor or Cursor()
        check(birth_height >= 0, "the birth height must not be negative")
        check(not self._polling.locked(), "the script must not change during a poll")
        self._key = public_key
        self._birth_height = birth_height
        self._visited = [_Visited.of(block) for block in cursor.blocks]
        self._coins = set(cursor.coins)
        self._stakes = set(cursor.stakes)
        self._sightings = {}

    async def check_daemon(self) -> None:
        """Raise :class:`Unavailable`, with the mend, unless the daemon can serve this network now.

        It must follow the chain of this network, have caught up with its own headers, and still
        hold the blocks that are yet to be read. What fee it demands at least is noted.
        """
        genesis = await self._rpc.require(Id, "getblockhash", 0)
        info = await self._rpc.require(ChainInfo, "getblockchaininfo")
        expected = self._parameters.chains()
        is_test = all(chain.is_regtest for chain in expected)
        found = any((c.genesis, c.daemon) == (genesis, info.chain) for c in expected)
        # Without a name, a chain of blocks mined at will is as good as any other.
        if not found and not (is_test and info.chain == "regtest" and not self._parameters.chain):
            wanted = " or ".join(chain.title for chain in expected) or "a regtest chain"
            raise Unavailable(
                f"the chain daemon follows {title_of(genesis, info.chain)} ({info.chain}), and "
                f"this network is of {wanted}: correct chain.rpc_url or chain.chain"
            )
        behind = info.headers - info.blocks
        if behind > BLOCKS_ON_THE_WAY or (info.initialblockdownload and not is_test):
            raise Unavailable(
                f"the chain daemon is catching up: it has block {info.blocks} of {info.headers}; "
                "the node goes on by itself when it is done"
            )
        needed = self._visited[-1].height if self._visited else self._birth_height
        if info.pruned and self._key is not None and info.pruneheight > needed:
            raise Unavailable(
                f"the chain daemon has pruned its blocks below {info.pruneheight}, and deposits "
                f"are looked for from block {needed} on: let it download them again without prune"
            )
        self._fee_floor = (await self._rpc.require(MempoolInfo, "getmempoolinfo")).fee_floor

    async def tip(self) -> tuple[int, bytes]:
        """Return height and id of the newest block."""
        block_hash = await self._rpc.require(Id, "getbestblockhash")
        return (await self._header(block_hash)).height, block_hash

    async def genesis(self) -> bytes:
        """Return the id of the chain's first block, which tells it from other chains."""
        return await self._rpc.require(Id, "getblockhash", 0)

    async def height_before(self, time: int) -> int:
        """Return a height below all blocks that were mined at a time (unix seconds) or later.

        That is looked for by the blocks' own times, a day early. A chain whose newest blocks say
        that this time has not come tells nothing: then it is 0.
        """
        low: int = 0
        high: int = await self._rpc.require(Height, "getblockcount")
        if (await self._header_at(high)).mediantime < time - BLOCK_CLOCK_S:
            return 0
        while low < high:  # the first block whose median is late enough: medians only grow
            middle = (low + high) // 2
            if (await self._header_at(middle)).mediantime < time - BLOCK_CLOCK_S:
                low = middle + 1
            else:
                high = middle
        return max(0, low - MEDIAN_BLOCKS)

    async def poll(self) -> ChainUpdate:
        """Return the blocks that came and went since the last poll, at most ``blocks_per_poll``.

        The cursor is a stack of blocks: those that left the active chain are popped and reported,
        then the new ones are pushed. All changes are made at the end at once, so that a poll that
        fails or is cancelled is repeated by the next. Raises :class:`LocalFault` when no script is
        watched, :class:`Unavailable` when the daemon is away, and :class:`TooDeep` when the
        reorganisation is deeper than the window.
        """
        async with self._polling:
            disconnected, kept = await self._left_behind()
            dropped = self._visited[kept:]
            coins = self._coins.difference(*(visited.created for visited in dropped))
            parent = self._visited[kept - 1] if kept else None
            tip_height = await self._rpc.require(Height, "getblockcount")
            first = parent.height + 1 if parent else self._birth_height
            last = min(tip_height, first + self._parameters.blocks_per_poll - 1)
            summaries = await self._read(first, last, parent.hash if parent else None, coins)
            caught_up = first + len(summaries) > tip_height
            self._advance(kept, [_Visited.of(summary) for summary in summaries], coins)
            return ChainUpdate(disconnected, tuple(summaries), caught_up, self._fee_floor)

    async def mempool_deposits(self) -> tuple[Outpoint, ...]:
        """Return the unconfirmed deposits that are in the mempool now.

        Only transactions that were not there before are fetched, a bounded number per call; the
        rest follows with the next calls.
        """
        script = key_script(self._watched())
        present = set(await self._rpc.require(list[Id], "getrawmempool"))
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
        clock. It is followed before it is asked for: no block comes in between unseen.
        """
        self._asking.append(outpoint)
        try:
            verdict = await self._judge(outpoint, owner_node_id, minimum, min_age_s)
            if verdict.ok:
                self._stakes.add(outpoint)
        finally:
            self._asking.remove(outpoint)
        return verdict

    async def _judge(
        self, outpoint: Outpoint, owner_node_id: bytes, minimum: int, min_age_s: int
    ) -> StakeVerdict:
        coin = await self._stake_coins.unspent(outpoint)
        if coin is None:
            return StakeVerdict(False, "spent")
        if coin.confirmations < self._parameters.stake_confirmations:
            return StakeVerdict(False, "unconfirmed", coin.value)
        if coin.locking.hex != key_script(owner_node_id):
            return StakeVerdict(False, "foreign", coin.value)
        if coin.value < minimum:
            return StakeVerdict(False, "short", coin.value)
        tip, block = await self._stake_coins.headers(coin)
        height = tip.height - coin.confirmations + 1
        age_s = max(0, tip.mediantime - block.time)
        if age_s < min_age_s:
            return StakeVerdict(False, "young", coin.value, age_s)
        return StakeVerdict(True, "ok", coin.value, age_s, height, block.time)

    async def broadcast(self, raw: bytes, txid: bytes) -> Broadcasted:
        """Send a transaction and look up what became of it.

        ``sent``: accepted now. ``known``: it was in the mempool or a block already. ``conflict``:
        an input is spent by another transaction. ``rejected``: neither there nor in conflict. The
        reason is what the daemon said, if it refused.
        """
        reason = ""
        before = await self.lookup(txid)
        try:
            await self._rpc.ask(Id, "sendrawtransaction", raw.hex())
        except RpcError as refusal:
            reason = refusal.message  # codes differ between versions: the look-up decides
        status = await self.lookup(txid)
        if status.state != "unknown":
            sent = not reason and before.state == "unknown"
            return Broadcasted("sent" if sent else "known")
        conflict = await self._is_spent(input_outpoints(raw))
        return Broadcasted("conflict" if conflict else "rejected", reason)

    async def lookup(self, txid: bytes, inputs: Sequence[Outpoint] = ()) -> TxStatus:
        """Find a transaction in the mempool or, where the daemon has an index, the active chain.

        ``inputs`` are its inputs, if known: when it is nowhere and one of them is spent, its state
        is ``replaced`` instead of ``unknown``.
        """
        found = await self._transaction(Id(txid))
        if found is not None and found.blockhash is not None and found.confirmations < 1:
            # An index keeps what is in no block any more; in the mempool it may be all the same.
            mempool = await self._rpc.require(list[Id], "getrawmempool")
            found = found if txid in mempool else None
        if found is None:
            replaced = bool(inputs) and await self._is_spent(inputs)
            return TxStatus("replaced" if replaced else "unknown")
        if found.confirmations < 1 or found.blockhash is None:
            return TxStatus("pending")
        height = (await self._header(found.blockhash)).height
        is_final = found.confirmations >= self._parameters.final_confirmations
        return TxStatus("final" if is_final else "included", found.confirmations, height)

    def _watched(self) -> bytes:
        if self._key is None:
            raise LocalFault("no script is watched")
        return self._key

    async def _left_behind(self) -> tuple[tuple[bytes, ...], int]:
        """Return the visited blocks that left the chain, newest first, and how many remain."""
        self._watched()
        gone: list[bytes] = []
        kept = len(self._visited)
        while kept:
            block_hash = self._visited[kept - 1].hash
            try:
                found = await self._rpc.ask(Header, "getblockheader", block_hash.hex())
                if found.confirmations >= 0:
                    return tuple(gone), kept
            except RpcError as fault:
                if fault.code != NOT_FOUND:
                    raise Unavailable(f"cannot read a block's header: {fault}") from fault
            gone.append(block_hash)
            kept -= 1
        if gone and self._visited[0].height > self._birth_height:
            raise TooDeep(f"none of the newest {len(gone)} blocks in the index is in the chain")
        return tuple(gone), 0

    async def _read(
        self, first: int, last: int, parent: bytes | None, coins: set[Outpoint]
    ) -> list[BlockSummary]:
        """Return the blocks of the active chain between two heights, and add the coins they made.

        They are fewer when the tip moves while they are read: the next poll sorts it out.
        """
        summaries: list[BlockSummary] = []
        hashes = await self._ask_all(Id, "getblockhash", [(at,) for at in range(first, last + 1)])
        for start in range(0, len(hashes), BLOCKS_AT_ONCE):
            group = hashes[start:start + BLOCKS_AT_ONCE]
            raws = await self._ask_all(Raw, "getblock", [(h.hex(), SERIALISED) for h in group])
            for block_hash, raw in zip(group, raws, strict=False):
                height = first + len(summaries)
                summary = await self._summary(height, block_hash, raw, coins)
                if summary is None or parent not in (None, summary.parent):
                    return summaries
                coins |= {coin.outpoint for coin in summary.coins}
                summaries.append(summary)
                parent = block_hash
            if len(raws) < len(group):
                break
        return summaries

    async def _summary(
        self, height: int, block_hash: Id, raw: bytes, coins: set[Outpoint]
    ) -> BlockSummary | None:
        """Scan a block of the active chain; None when it is gone by now.

        Most blocks have nothing to do with us. Their bytes show that without taking them apart,
        which would cost both sides many times as much.
        """
        rpc, key, price = self._rpc, self._watched(), 0
        if not is_header_of(raw, block_hash):
            raise Unavailable(f"the chain daemon answers another block for {height}")
        try:
            if len(raw) * WEIGHT_OF_A_BYTE >= FULL_BLOCK_WEIGHT:
                asked = block_hash.hex(), ["feerate_percentiles", "total_weight"]
                price = (await rpc.ask(BlockStats, "getblockstats", *asked)).price
            stakes = self._stakes.union(self._asking)
            if not may_concern(raw, key, stakes):
                return empty_summary(height, block_hash, raw, price)
            block = await rpc.ask(Block, "getblock", block_hash.hex(), WITH_SPENT_OUTPUTS)
        except RpcError as fault:
            if fault.code in GONE:
                return None
            raise Unavailable(f"cannot read block {height}: {fault}") from fault
        if (block.height, block.hash) != (height, block_hash):
            raise Unavailable(f"the chain daemon answers block {block.height} for {height}")
        summary, sources = scan_block(block, price, key_script(key), coins, stakes)
        return with_refunds(
            summary, {outpoint: await self._script_of(src) for outpoint, src in sources.items()}
        )

    async def _script_of(self, source: Source) -> bytes | None:
        """Return the locking script of an output, spent or not; None when nobody could tell it."""
        if source.script is not None:
            return source.script
        transaction = await self._transaction(Id(source.outpoint.txid))
        if transaction is not None:
            spent = (o.script for o in transaction.vout if o.n == source.outpoint.index)
            return next(spent, None)
        await self._demand_index()
        return None

    async def _demand_index(self) -> None:
        """Raise :class:`Unavailable` unless the daemon can find confirmed transactions by id."""
        try:
            index = (await self._rpc.ask(Indexes, "getindexinfo")).txindex
        except RpcError as fault:
            if fault.code == METHOD_NOT_FOUND:
                return  # older than the question: what it does not find is not there
            raise Unavailable(f"cannot ask for the daemon's indexes: {fault}") from fault
        if index is None:
            raise Unavailable(
                "a deposit's sender cannot be looked up: set txindex=1 in the chain daemon's "
                "configuration and start it again"
            )
        if not index.synced:
            raise Unavailable(
                "a deposit's sender cannot be looked up yet: the chain daemon builds its index of "
                f"transactions and is at block {index.best_block_height}"
            )

    async def _ask_all(
        self, shape: type[Shape], method: str, params: list[tuple[Any, ...]]
    ) -> list[Shape]:
        """Ask about blocks of the active chain; what comes after one that is gone is left out."""
        found: list[Shape] = []
        for reply in await self._rpc.ask_all(shape, method, params):
            if not isinstance(reply, RpcError):
                found.append(reply)
            elif reply.code in GONE:
                break
            else:
                raise Unavailable(f"the chain daemon refuses {method}: {reply}") from reply
        return found

    async def _header_at(self, height: int) -> Header:
        return await self._header(await self._rpc.require(Id, "getblockhash", height))

    async def _header(self, block_hash: bytes) -> Header:
        return await self._rpc.require(Header, "getblockheader", block_hash.hex())

    async def _transaction(self, txid: Id) -> Transaction | None:
        try:
            return await self._rpc.ask(Transaction, "getrawtransaction", txid.hex(), True)
        except RpcError as fault:
            if fault.code != NOT_FOUND:
                raise Unavailable(f"cannot look up {txid.hex()}: {fault}") from fault
            return None

    async def _is_spent(self, outpoints: Sequence[Outpoint]) -> bool:
        """Tell whether one of the outputs is spent, in a block or in the mempool."""
        for reply in await unspent_outputs(self._rpc, outpoints):
            if isinstance(reply, RpcError):
                raise Unavailable(f"the chain daemon refuses gettxout: {reply}") from reply
            if reply is None:
                return True
        return False

    def _deposits_in(self, transaction: Transaction, script: bytes) -> tuple[Outpoint, ...]:
        if any(spent in self._coins for spent in transaction.spent):
            return ()  # one of our own payouts: what it pays to custody is change
        return tuple(
            Outpoint(transaction.txid, output.n)
            for output in transaction.vout if output.script == script
        )

    def _advance(self, kept: int, visited: list[_Visited], coins: set[Outpoint]) -> None:
        """Make the poll's changes, all at once and without a pause."""
        self._visited = self._visited[:kept] + visited
        self._coins = coins
        surplus = len(self._visited) - self._parameters.reorg_window_blocks
        for old in self._visited[: max(0, surplus)]:
            self._coins -= old.spent
        del self._visited[: max(0, surplus)]
