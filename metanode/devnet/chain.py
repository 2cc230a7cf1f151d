"""The tree of blocks and the set of unspent coins, with atomic connect and disconnect."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache

from btclib.block import Block, genesis_block
from btclib.block.build import build_block, build_coinbase
from btclib.block.mining import mine

from metanode.devnet.types import (
    BlockNode,
    ChainTransaction,
    DevnetError,
    Ref,
    RpcCode,
    UnspentCoin,
)
from metanode.devnet.validation import Place, check_in_block, coins_spent
from metanode.errors import LocalFault, check

HALVING_INTERVAL = 150  # blocks, regtest
POW_LIMIT_BITS = bytes.fromhex("207fffff")  # regtest: every second hash is a solution
BLOCK_VERSION = 0x20000000
MEDIAN_BLOCKS = 11  # the median time is that of the last eleven blocks
PARSED_BLOCKS_KEPT = 256
GENESIS_WORDS = b"the embedded chain of metanode"

_OP_RETURN = b"\x6a"
_PERCENTILES = (10, 25, 50, 75, 90)  # of getblockstats, by virtual size


class BlockTree:
    """All blocks ever seen, the active chain, and the coins that are unspent at its tip."""

    def __init__(self) -> None:
        genesis = _genesis()
        self.root = BlockNode(
            hash=genesis.header.hash, height=0, parent=None,
            time=int(genesis.header.time.timestamp()),
            median_time=int(genesis.header.time.timestamp()),
            raw=genesis.serialize(check_validity=False), transaction_count=1,
        )
        self.nodes: dict[bytes, BlockNode] = {self.root.hash: self.root}
        self.active: list[BlockNode] = [self.root]
        self.coins: dict[Ref, UnspentCoin] = {}  # the genesis coinbase cannot be spent
        self.locations: dict[bytes, tuple[BlockNode, int]] = {}
        self._tips: set[bytes] = {self.root.hash}
        self._parsed: OrderedDict[bytes, tuple[ChainTransaction, ...]] = OrderedDict()

    @property
    def tip(self) -> BlockNode:
        """Return the newest block of the active chain."""
        return self.active[-1]

    def node(self, block_hash: bytes) -> BlockNode:
        """Return a block by its hash; raises :class:`DevnetError` -5 when it is unknown."""
        found = self.nodes.get(block_hash)
        if found is None:
            raise DevnetError(RpcCode.INVALID_ADDRESS_OR_KEY, "Block not found")
        return found

    def next_place(self) -> Place:
        """Return where the next block will stand."""
        return Place(len(self.active), lambda height: self.active[height].median_time)

    def is_active(self, node: BlockNode) -> bool:
        """Tell whether the block is part of the active chain."""
        return node.height < len(self.active) and self.active[node.height] is node

    def confirmations(self, node: BlockNode) -> int:
        """Return 1 for the tip, 2 for its parent, and -1 off the active chain."""
        return len(self.active) - node.height if self.is_active(node) else -1

    def tips(self) -> list[BlockNode]:
        """Return the ends of all branches."""
        return [self.nodes[block_hash] for block_hash in self._tips]

    def transactions(self, node: BlockNode) -> tuple[ChainTransaction, ...]:
        """Return the parsed transactions of a block; the recent ones are kept."""
        parsed = self._parsed.get(node.hash)
        if parsed is None:
            block = Block.parse(node.raw, check_validity=False)
            parsed = tuple(ChainTransaction.of(tx) for tx in block.transactions)
            self._keep(node.hash, parsed)
        return parsed

    def build(
        self, transactions: Sequence[ChainTransaction], fees: int, script: bytes, now: int
    ) -> bytes:
        """Return the bytes of a solved block on the tip, which pays ``script`` subsidy and fees."""
        coinbase = build_coinbase(
            self.tip.height + 1,
            script,
            fees=fees,
            halving_interval=HALVING_INTERVAL,
            # Two blocks with equal parents, times and contents must still differ.
            extra_nonce=len(self.nodes).to_bytes(4, "big"),
        )
        time = datetime.fromtimestamp(max(now, self.tip.median_time + 1), UTC)
        listed = [coinbase, *(t.tx for t in transactions)]
        candidate = build_block(self.tip.hash, listed, time, POW_LIMIT_BITS, version=BLOCK_VERSION)
        header = mine(candidate.header)
        if header is None:
            raise LocalFault("no solution to a regtest target within a million hashes")
        return Block(header, candidate.transactions, check_validity=False).serialize(
            check_validity=False
        )

    def add(self, raw: bytes) -> BlockNode:
        """Put a block into the tree without connecting it; raises ``LocalFault`` if it is odd."""
        block = Block.parse(raw, check_validity=False)
        block.assert_valid(POW_LIMIT_BITS)
        parent = self.nodes.get(block.header.previous_block_hash)
        if parent is None:
            raise LocalFault("the block's parent is unknown")
        time = int(block.header.time.timestamp())
        check(time > parent.median_time, "a block is later than the median of those before it")
        times = [time]
        ancestor: BlockNode | None = parent
        while ancestor is not None and len(times) < MEDIAN_BLOCKS:
            times.append(ancestor.time)
            ancestor = ancestor.parent
        node = BlockNode(
            hash=block.header.hash, height=parent.height + 1, parent=parent, time=time,
            median_time=sorted(times)[len(times) // 2], raw=raw,
            transaction_count=len(block.transactions),
        )
        self.nodes[node.hash] = node
        self._tips.discard(parent.hash)
        self._tips.add(node.hash)
        self._keep(node.hash, tuple(ChainTransaction.of(tx) for tx in block.transactions))
        return node

    def connect(self, node: BlockNode, verified: Callable[[ChainTransaction], bool]) -> None:
        """Make the child of the tip the new tip.

        ``verified`` tells which transactions need no second script check. Every check comes before
        the first change, so a refused block (:class:`DevnetError`) changes nothing.
        """
        check(node.parent is self.tip, "only a child of the tip can be connected")
        created: dict[Ref, UnspentCoin] = {}
        undo: list[tuple[Ref, UnspentCoin]] = []
        gone: set[Ref] = set()
        paid: list[tuple[int, int]] = []

        def find(ref: Ref) -> UnspentCoin | None:
            return None if ref in gone else created.get(ref) or self.coins.get(ref)

        for position, transaction in enumerate(self.transactions(node)):
            if position:
                if verified(transaction):
                    paid_in = sum(coin.amount for coin in coins_spent(transaction, find))
                    fee = paid_in - sum(output.value for output in transaction.tx.vout)
                else:
                    fee = check_in_block(transaction, find, self.next_place())
                paid.append((fee // transaction.vsize, transaction.vsize))
                for ref in transaction.spent():
                    coin = find(ref)
                    if coin is None:
                        raise DevnetError(RpcCode.VERIFY_ERROR, "bad-txns-inputs-missingorspent")
                    undo.append((ref, coin))
                    gone.add(ref)
            created.update(_outputs(transaction, node.height, coinbase=position == 0))
        for ref, _ in undo:
            self.coins.pop(ref, None)
        self.coins.update((ref, coin) for ref, coin in created.items() if ref not in gone)
        for position, transaction in enumerate(self.transactions(node)):
            self.locations[transaction.txid] = (node, position)
        node.undo = undo
        node.fee_rates = _percentiles(paid)
        node.total_weight = sum(t.tx.weight for t in self.transactions(node)[1:])
        self.active.append(node)

    def disconnect(self) -> BlockNode:
        """Take the tip off the active chain, restore the coins it spent, and return it."""
        check(len(self.active) > 1, "the genesis block stays")
        node = self.active.pop()
        for transaction in self.transactions(node):
            self.locations.pop(transaction.txid, None)
            for index in range(len(transaction.tx.vout)):
                self.coins.pop((transaction.txid, index), None)
        own = {transaction.txid for transaction in self.transactions(node)}
        self.coins.update((ref, coin) for ref, coin in node.undo if ref[0] not in own)
        node.undo = []
        return node

    def best(self) -> BlockNode:
        """Return the end of the longest branch without an invalid block; the tip wins a tie.

        The active chain itself is always valid: who invalidates a block disconnects it.
        """
        best = self.tip
        for tip in self.tips():
            for node in self.path_to(tip):
                if node.invalid:
                    break
                if node.height > best.height:
                    best = node
        return best

    def path_to(self, target: BlockNode) -> list[BlockNode]:
        """Return the blocks from the active chain (exclusive) up to ``target``."""
        path = []
        node = target
        while not self.is_active(node):
            path.append(node)
            if node.parent is None:
                raise LocalFault("a branch that does not start at the genesis block")
            node = node.parent
        return path[::-1]

    def _keep(self, block_hash: bytes, parsed: tuple[ChainTransaction, ...]) -> None:
        self._parsed[block_hash] = parsed
        self._parsed.move_to_end(block_hash)
        if len(self._parsed) > PARSED_BLOCKS_KEPT:
            self._parsed.popitem(last=False)


@cache
def _genesis() -> Block:
    """Return the first block: that of Bitcoin's regtest but for its words, so nobody mixes them."""
    first = genesis_block("regtest")
    coinbase = first.transactions[0]
    coinbase.vin[0].script_sig = bytes([len(GENESIS_WORDS)]) + GENESIS_WORDS
    candidate = build_block(bytes(32), [coinbase], first.header.time, POW_LIMIT_BITS, version=1)
    header = mine(candidate.header)
    if header is None:
        raise LocalFault("no solution to a regtest target within a million hashes")
    return Block(header, candidate.transactions, check_validity=False)


def _outputs(
    transaction: ChainTransaction, height: int, *, coinbase: bool
) -> list[tuple[Ref, UnspentCoin]]:
    """Return the coins that a transaction makes; OP_RETURN outputs can never be spent."""
    return [
        ((transaction.txid, index), UnspentCoin(output.value, script, height, coinbase))
        for index, output in enumerate(transaction.tx.vout)
        if (script := output.script_pub_key.script)[:1] != _OP_RETURN
    ]


def _percentiles(paid: list[tuple[int, int]]) -> tuple[int, int, int, int, int]:
    """Return the fee rates (sat/vB) at 10, 25, 50, 75 and 90 % of the block's virtual size."""
    if not paid:
        return (0, 0, 0, 0, 0)
    paid = sorted(paid)
    total = sum(vsize for _, vsize in paid)

    def rate_at(percent: int) -> int:
        passed = 0
        for rate, vsize in paid:
            passed += vsize
            if passed * 100 >= total * percent:
                return rate
        return paid[-1][0]

    p10, p25, p50, p75, p90 = (rate_at(percent) for percent in _PERCENTILES)
    return (p10, p25, p50, p75, p90)
