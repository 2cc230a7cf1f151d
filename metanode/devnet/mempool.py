"""Unconfirmed transactions of the embedded chain: acceptance, conflicts, replacement (BIP125)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import frozen

from metanode.devnet.types import ChainTransaction, DevnetError, Ref, RpcCode, UnspentCoin
from metanode.devnet.validation import (
    MIN_RELAY_FEE_RATE,
    check_relay_fee,
    check_scripts,
    check_standard,
)

MAX_MEMPOOL_TRANSACTIONS = 5000
MAX_BLOCK_TRANSACTION_VBYTES = 990_000  # leaves room for the header and the coinbase
_OP_RETURN = b"\x6a"


@frozen(eq=False)
class MempoolEntry:
    """An accepted transaction and its fee in base units."""

    transaction: ChainTransaction
    fee: int


class Mempool:
    """Transactions in the order in which they were accepted, so parents precede their children."""

    def __init__(self, confirmed: Callable[[Ref], UnspentCoin | None]) -> None:
        self._confirmed = confirmed
        self.entries: dict[bytes, MempoolEntry] = {}
        self.spenders: dict[Ref, bytes] = {}

    def find(self, ref: Ref) -> UnspentCoin | None:
        """Return a coin that a new transaction may name: confirmed, or made in the mempool."""
        coin = self._confirmed(ref)
        entry = self.entries.get(ref[0])
        if coin is not None or entry is None or ref[1] >= len(entry.transaction.tx.vout):
            return coin
        output = entry.transaction.tx.vout[ref[1]]
        script = output.script_pub_key.script
        if script[:1] == _OP_RETURN:
            return None
        return UnspentCoin(output.value, script, None, coinbase=False)

    def check(self, transaction: ChainTransaction, next_height: int) -> tuple[int, set[bytes]]:
        """Return (fee, ids that it would replace); raises :class:`DevnetError` when refused."""
        check_standard(transaction)
        conflicts = {self.spenders[ref] for ref in transaction.spent() if ref in self.spenders}
        replaced = self._with_descendants(conflicts)
        if any(ref[0] in replaced for ref in transaction.spent()):
            raise DevnetError(RpcCode.VERIFY_REJECTED, "bad-txns-spends-conflicting-tx")
        fee = check_scripts(transaction, self.find, next_height)
        check_relay_fee(transaction, fee)
        if conflicts:
            self._check_replacement(transaction, fee, conflicts, replaced)
        elif len(self.entries) >= MAX_MEMPOOL_TRANSACTIONS:
            raise DevnetError(RpcCode.VERIFY_REJECTED, "mempool full")
        return fee, replaced

    def accept(self, transaction: ChainTransaction, next_height: int) -> None:
        """Add a transaction, and drop those that it replaces; refused ones change nothing."""
        fee, replaced = self.check(transaction, next_height)
        for txid in replaced:
            self._remove(txid)
        self.entries[transaction.txid] = MempoolEntry(transaction, fee)
        for ref in transaction.spent():
            self.spenders[ref] = transaction.txid

    def block_template(self) -> list[MempoolEntry]:
        """Return what the next block should hold, parents first, within the size of a block."""
        chosen, size = [], 0
        for entry in self.entries.values():
            size += entry.transaction.vsize
            if size > MAX_BLOCK_TRANSACTION_VBYTES:
                break
            chosen.append(entry)
        return chosen

    def confirm(self, transactions: Iterable[ChainTransaction]) -> None:
        """Remove what a block holds, and what conflicts with it."""
        for transaction in transactions:
            self._remove(transaction.txid)
            rivals = {self.spenders[ref] for ref in transaction.spent() if ref in self.spenders}
            for txid in self._with_descendants(rivals):
                self._remove(txid)

    def rebuild(self, returned: Iterable[ChainTransaction], next_height: int) -> None:
        """Accept all anew after a reorganisation, ``returned`` first, dropping what fails."""
        waiting = [*returned, *(entry.transaction for entry in self.entries.values())]
        self.clear()
        for transaction in waiting:
            try:
                self.accept(transaction, next_height)
            except DevnetError:
                continue  # it depends on a coin that the new chain does not have: gone, as in Core

    def clear(self) -> None:
        """Forget everything."""
        self.entries.clear()
        self.spenders.clear()

    def _check_replacement(
        self, transaction: ChainTransaction, fee: int, conflicts: set[bytes], replaced: set[bytes]
    ) -> None:
        """Apply BIP125: the rivals opted in, and the newcomer pays more in total and per byte."""
        if not all(self.entries[txid].transaction.replaceable() for txid in conflicts):
            raise DevnetError(RpcCode.VERIFY_REJECTED, "txn-mempool-conflict")
        old_fees = sum(self.entries[txid].fee for txid in replaced)
        for txid in conflicts:
            rival = self.entries[txid]
            if fee * rival.transaction.vsize <= rival.fee * transaction.vsize:
                raise DevnetError(
                    RpcCode.VERIFY_REJECTED, "insufficient fee, rejecting replacement"
                )
        if fee < old_fees + MIN_RELAY_FEE_RATE * transaction.vsize:
            raise DevnetError(RpcCode.VERIFY_REJECTED, "insufficient fee, rejecting replacement")

    def _with_descendants(self, txids: set[bytes]) -> set[bytes]:
        found, queue = set(txids), list(txids)
        while queue:
            txid = queue.pop()
            for index in range(len(self.entries[txid].transaction.tx.vout)):
                child = self.spenders.get((txid, index))
                if child is not None and child not in found:
                    found.add(child)
                    queue.append(child)
        return found

    def _remove(self, txid: bytes) -> None:
        entry = self.entries.pop(txid, None)
        if entry is not None:
            for ref in entry.transaction.spent():
                self.spenders.pop(ref, None)
