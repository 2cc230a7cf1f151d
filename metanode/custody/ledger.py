"""The index of custody coins: a pure fold over block summaries, with undo for reorganisations.

Blocks come in from one chain adapter, in order. A rejected block leaves the index as it was. What
is older than the window need not be in memory: whoever keeps the index on disk answers for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from attrs import frozen

from metanode.custody.errors import LedgerMismatch, OutsideWindow
from metanode.custody.policy import CustodyPolicy
from metanode.custody.stakes import Stake, StakeBook
from metanode.custody.types import BlockSummary, Coin, Deposit, Outpoint, Snapshot, Spend
from metanode.errors import check

DEFAULT_WINDOW_BLOCKS = (
    1000  # deeper than any reorganisation that has happened outside of test chains
)
MEDIAN_BLOCKS = 11  # of whose times a block's median is: consensus/chain.h, nMedianTimeSpan


@frozen
class Spent:
    """A custody coin that is gone: what it was, who spent it, and in which block."""

    coin: Deposit | Coin
    txid: bytes
    height: int


class Ledger:
    """Deposits and change of one custody script, as of any of the last ``window_blocks`` blocks.

    A coin whose spending has left the window is looked up in ``past``, so that :meth:`spent_by`
    never mistakes an old spend for an unspent coin; without it, all are remembered. ``stakes`` are
    those that are followed in the same blocks.
    """

    def __init__(
        self, policy: CustodyPolicy, window_blocks: int = DEFAULT_WINDOW_BLOCKS, *,
        past: Callable[[Outpoint], Spent | None] | None = None,
    ) -> None:
        check(
            window_blocks >= policy.fee_window_blocks,
            "the window must hold the blocks that the fee is a median of",
        )
        self._policy = policy
        self._window_blocks = window_blocks
        self._past = past
        self._blocks: deque[BlockSummary] = deque()
        self._unspent: dict[Outpoint, Deposit | Coin] = {}
        self._spent: dict[Outpoint, Spent] = {}
        self.stakes = StakeBook()

    def restore(
        self, blocks: Iterable[BlockSummary], unspent: Iterable[Deposit | Coin],
        spent: Iterable[Spent], stakes: Iterable[Stake] = (),
    ) -> None:
        """Begin with what was kept: the window, the unspent coins, and those spent within it.

        Raises :class:`LedgerMismatch` when these do not belong together.
        """
        unspent_by = {coin.outpoint: coin for coin in unspent}
        spent_by = {each.coin.outpoint: each for each in spent}
        for block in blocks:
            self._check_parent(block)
            self._blocks.append(block)
            for coin in block.coins:
                known = spent_by.get(coin.outpoint)
                if coin != (known.coin if known else unspent_by.get(coin.outpoint)):
                    raise LedgerMismatch(f"coin {coin.outpoint} is not what its block made")
            for spend in block.spends:
                known = spent_by.get(spend.outpoint)
                if known is None or (known.txid, known.height) != (spend.txid, block.height):
                    raise LedgerMismatch(f"spent coin {spend.outpoint} is not there")
        if unspent_by.keys() & spent_by.keys():
            raise LedgerMismatch("a coin is spent and unspent")
        self._unspent, self._spent = unspent_by, spent_by
        self.stakes = StakeBook(stakes)

    @property
    def blocks(self) -> tuple[BlockSummary, ...]:
        """Return the blocks of the window, the oldest first."""
        return tuple(self._blocks)

    @property
    def coins(self) -> tuple[Deposit | Coin, ...]:
        """Return the coins in memory: those that are unspent, or were spent within the window."""
        return (*self._unspent.values(), *(spent.coin for spent in self._spent.values()))

    @property
    def tip(self) -> tuple[int, bytes] | None:
        """Return (height, hash) of the newest block, or None before the first."""
        return (self._blocks[-1].height, self._blocks[-1].hash) if self._blocks else None

    def block_hash(self, height: int) -> bytes | None:
        """Return the hash of the block at ``height``, or None when it is outside the window."""
        if not self._blocks or not self._blocks[0].height <= height <= self._blocks[-1].height:
            return None
        return self._blocks[height - self._blocks[0].height].hash

    def connect(self, block: BlockSummary) -> None:
        """Add the next block. The first block may have any height (the birth of the custody key).

        Raises :class:`LedgerMismatch`, and changes nothing, when the parent is not the tip, a coin
        exists already, or a spend names a coin that is unknown or spent.
        """
        self._check_parent(block)
        created: dict[Outpoint, Deposit | Coin] = {}
        for coin in block.coins:
            if coin.outpoint in created or self._is_known(coin.outpoint):
                raise LedgerMismatch(f"coin {coin.outpoint} exists already")
            if coin.height != block.height:
                raise LedgerMismatch(f"coin {coin.outpoint} names another height")
            created[coin.outpoint] = coin
        spent: dict[Outpoint, Spent] = {}
        for spend in block.spends:
            coin_spent = created.get(spend.outpoint) or self._unspent.get(spend.outpoint)
            if coin_spent is None or spend.outpoint in spent:
                raise LedgerMismatch(f"spent coin {spend.outpoint} is not there")
            spent[spend.outpoint] = Spent(coin_spent, spend.txid, block.height)
        # Every check has passed: from here on nothing can fail.
        self._unspent.update(created)
        for outpoint in spent:
            del self._unspent[outpoint]
        self._spent.update(spent)
        self._blocks.append(block)
        self.stakes.connect(block)
        if len(self._blocks) > self._window_blocks:
            oldest = self._blocks.popleft()
            for spend in oldest.spends if self._past is not None else ():
                del self._spent[spend.outpoint]

    def disconnect(self, block_hash: bytes) -> BlockSummary:
        """Take the newest block off again and return it; it must have this hash.

        Raises :class:`LedgerMismatch` when it has not, or when the window is used up.
        """
        if not self._blocks or self._blocks[-1].hash != block_hash:
            raise LedgerMismatch(f"block {block_hash.hex()} is not the tip")
        block = self._blocks.pop()
        for spend in block.spends:
            self._unspent[spend.outpoint] = self._spent.pop(spend.outpoint).coin
        for coin in block.coins:
            del self._unspent[coin.outpoint]
        self.stakes.disconnect(block)
        return block

    def snapshot(self, height: int) -> Snapshot:
        """Return the coins that were unspent after the block at ``height``, and the fee rate there.

        Raises :class:`OutsideWindow` when the index does not hold that block, or not all of those
        before it that the fee rate is a median of.
        """
        if self.block_hash(height) is None:
            raise OutsideWindow(f"no block at height {height} in the index")
        first = self._blocks[0].height
        if first > self._policy.index_start(height):
            # The fee rate would depend on where this index happens to begin, and peers disagree.
            raise OutsideWindow(f"the index starts too late for the fee rate at height {height}")
        block = self._blocks[height - first]
        coins = [coin for coin in self._unspent.values() if coin.height <= height]
        for position in range(height - first + 1, len(self._blocks)):
            spent_later = (self._spent[s.outpoint].coin for s in self._blocks[position].spends)
            coins.extend(coin for coin in spent_later if coin.height <= height)
        deposits = [c for c in coins if isinstance(c, Deposit) and c.matures <= height + 1]
        change = [coin for coin in coins if isinstance(coin, Coin)]
        return Snapshot(
            height=height,
            hash=block.hash,
            deposits=tuple(sorted(deposits, key=lambda deposit: deposit.order)),
            change=tuple(sorted(change, key=lambda coin: (coin.height, coin.outpoint))),
            fee_rate=self._fee_rate(height - first),
        )

    def median_time(self, height: int) -> int | None:
        """Return the median time (unix seconds) of the block at a height, None outside the window.

        It is that of eleven blocks, the upper one of an even number: as daemons compute it.
        """
        if self.block_hash(height) is None:
            return None
        oldest, first = self._blocks[0].height, max(0, height + 1 - MEDIAN_BLOCKS)
        if first < oldest:
            return None
        times = sorted(self._blocks[at - oldest].time for at in range(first, height + 1))
        return times[len(times) // 2]

    def deposits_at(self, height: int) -> tuple[Deposit, ...]:
        """Return the deposits that the block at ``height`` made, spent since or not."""
        if self.block_hash(height) is None:
            return ()
        return self._blocks[height - self._blocks[0].height].deposits

    def unspent_deposits(self) -> list[Deposit]:
        """Return the deposits that are unspent at the tip, in no order."""
        return [coin for coin in self._unspent.values() if isinstance(coin, Deposit)]

    def spends_at(self, height: int) -> tuple[Spend, ...]:
        """Return what the block at ``height`` spent."""
        if self.block_hash(height) is None:
            return ()
        return self._blocks[height - self._blocks[0].height].spends

    def coin(self, outpoint: Outpoint) -> Deposit | Coin | None:
        """Return the custody coin of an outpoint, spent or not, or None if the index has none."""
        spent = self._spent_coin(outpoint)
        return spent.coin if spent else self._unspent.get(outpoint)

    def spent_by(self, outpoint: Outpoint) -> bytes | None:
        """Return the id of the transaction that spent this custody coin, None while unspent."""
        spent = self._spent_coin(outpoint)
        return spent.txid if spent else None

    def spent_at(self, outpoint: Outpoint) -> int | None:
        """Return the height of the block in which this custody coin was spent, or None."""
        spent = self._spent_coin(outpoint)
        return spent.height if spent else None

    def _spent_coin(self, outpoint: Outpoint) -> Spent | None:
        if outpoint in self._unspent or self._past is None:
            return self._spent.get(outpoint)
        return self._spent.get(outpoint) or self._past(outpoint)

    def _is_known(self, outpoint: Outpoint) -> bool:
        return outpoint in self._unspent or outpoint in self._spent

    def _check_parent(self, block: BlockSummary) -> None:
        if not self._blocks:
            if self._unspent or self._spent:
                raise LedgerMismatch("the reorganisation is deeper than the window: index again")
            return
        tip = self._blocks[-1]
        if block.parent != tip.hash or block.height != tip.height + 1:
            raise LedgerMismatch(f"block {block.hash.hex()} does not follow {tip.hash.hex()}")

    def _fee_rate(self, position: int) -> int:
        """Return the bounded median rate of the blocks up to ``position``; lower middle if even."""
        start = max(0, position + 1 - self._policy.fee_window_blocks)  # 0 only at the genesis block
        rates = sorted(self._blocks[i].fee_rate for i in range(start, position + 1))
        return self._policy.bounded_fee_rate(rates[(len(rates) - 1) // 2])
