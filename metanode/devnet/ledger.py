"""The embedded chain as one object: block tree, mempool, journal and clock.

Not concurrent: one task calls it at a time, and no call takes longer than one block needs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from metanode.devnet.chain import BlockTree
from metanode.devnet.mempool import Mempool
from metanode.devnet.policy import KILO
from metanode.devnet.store import BlockFile, Kind
from metanode.devnet.types import DEVNET_HRP, BlockNode, ChainTransaction, DevnetError, RpcCode
from spec.chains import family

FEE_TOO_HIGH = "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)"
BLOCK_FILE_NAME = "blocks.journal"


class DevnetLedger:
    """Blocks, unspent coins and unconfirmed transactions, kept in ``directory`` when one is given.

    ``clock`` gives unix seconds; :meth:`set_mock_time` overrides it. Opening replays the journal,
    so a killed process comes back with every block it had; unconfirmed transactions are lost, as
    they are in a real node that is killed. What it relays follows the daemons of the chains whose
    addresses begin with ``hrp``.
    """

    def __init__(
        self, clock: Callable[[], float], directory: Path | None = None, hrp: str = DEVNET_HRP
    ) -> None:
        self.hrp = hrp
        self._clock = clock
        self._mock_time: int | None = None
        self.tree = BlockTree()
        self.mempool = Mempool(lambda ref: self.tree.coins.get(ref), family(hrp))
        self._file = BlockFile(directory / BLOCK_FILE_NAME) if directory else None
        if self._file is not None:
            self._replay(self._file)

    def close(self) -> None:
        """Close the journal."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def now(self) -> int:
        """Return the chain's clock in unix seconds: the mock time if one is set."""
        return int(self._clock()) if self._mock_time is None else self._mock_time

    def set_mock_time(self, time: int) -> None:
        """Stop the clock at ``time``; 0 lets it run again."""
        if not 0 <= time < 1 << 32:
            raise DevnetError(RpcCode.INVALID_PARAMETER, "Mocktime must be 0..2^32-1")
        self._mock_time = time or None

    def submit(self, transaction: ChainTransaction, max_fee_rate: int = 0) -> bytes:
        """Accept a transaction into the mempool and return its id; a known one is fine.

        ``max_fee_rate`` is in base units per 1,000 virtual bytes, 0 for no limit. Raises
        :class:`DevnetError`: -27 when it is mined already, else -25 or -26 with the reason.
        """
        if transaction.txid in self.mempool.entries:
            return transaction.txid
        outputs = range(len(transaction.tx.vout))
        if any((transaction.txid, index) in self.tree.coins for index in outputs):
            raise DevnetError(
                RpcCode.ALREADY_IN_UTXO_SET, "Transaction outputs already in utxo set"
            )
        place = self.tree.next_place()
        if max_fee_rate:
            entry, _ = self.mempool.check(transaction, place)
            if entry.fee > max_fee_rate * transaction.vsize // KILO:
                raise DevnetError(RpcCode.VERIFY_ERROR, FEE_TOO_HIGH)
        self.mempool.accept(transaction, place)
        return transaction.txid

    def mine(self, script: bytes) -> BlockNode:
        """Mine one block with what the mempool holds; ``script`` receives subsidy and fees."""
        template = self.mempool.block_template()
        transactions = [entry.transaction for entry in template]
        fees = sum(entry.fee for entry in template)
        raw = self.tree.build(transactions, fees, script, self.now())
        # On disk before in memory: what a client has seen mined survives a crash.
        self._journal(b"B", raw)
        node = self.tree.add(raw)
        accepted = {transaction.raw for transaction in transactions}
        self.tree.connect(node, lambda transaction: transaction.raw in accepted)
        self.mempool.confirm(transactions)
        return node

    def invalidate(self, block_hash: bytes) -> None:
        """Set a block and what follows it aside; the longest remaining branch becomes active."""
        if self.tree.node(block_hash) is self.tree.root:
            raise DevnetError(RpcCode.INVALID_PARAMETER, "the genesis block stays")
        self._journal(b"I", block_hash)
        self._invalidate(block_hash)

    def reconsider(self, block_hash: bytes) -> None:
        """Take back :meth:`invalidate` for a block, its ancestors and its descendants."""
        self.tree.node(block_hash)
        self._journal(b"R", block_hash)
        self._reconsider(block_hash)

    def _invalidate(self, block_hash: bytes) -> None:
        node = self.tree.node(block_hash)
        node.invalid = True
        returned: list[ChainTransaction] = []
        while self.tree.is_active(node):
            returned = self._disconnect_tip() + returned
        self._activate_best(returned)

    def _reconsider(self, block_hash: bytes) -> None:
        target = self.tree.node(block_hash)
        for node in self.tree.nodes.values():
            if node.invalid and (_descends(node, target) or _descends(target, node)):
                node.invalid = False
        self._activate_best([])

    def _activate_best(self, returned: list[ChainTransaction]) -> None:
        path = self.tree.path_to(self.tree.best())
        if path:
            while self.tree.tip is not path[0].parent:
                returned = self._disconnect_tip() + returned
            for node in path:
                self.tree.connect(node, lambda _: False)
        self.mempool.rebuild(
            [t for t in returned if t.txid not in self.tree.locations], self.tree.next_place()
        )

    def _disconnect_tip(self) -> list[ChainTransaction]:
        return list(self.tree.transactions(self.tree.disconnect())[1:])

    def _journal(self, kind: Kind, payload: bytes) -> None:
        if self._file is not None:
            self._file.append(kind, payload)

    def _replay(self, file: BlockFile) -> None:
        """Bring back the journal's state; scripts were checked before a block was written."""
        for kind, payload in file.records():
            if kind == b"I":
                self._invalidate(payload)
            elif kind == b"R":
                self._reconsider(payload)
            else:
                node = self.tree.add(payload)
                if node.parent is self.tree.tip:
                    self.tree.connect(node, lambda _: True)
        # A reorganisation in the journal returned transactions to the mempool; a real node that is
        # killed forgets them.
        self.mempool.clear()


def _descends(node: BlockNode, ancestor: BlockNode) -> bool:
    """Tell whether ``ancestor`` is ``node`` or lies below it."""
    current: BlockNode | None = node
    while current is not None and current.height > ancestor.height:
        current = current.parent
    return current is ancestor
