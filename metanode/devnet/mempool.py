"""Unconfirmed transactions of the embedded chain: acceptance, packages, replacement (BIP125)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import frozen

from metanode.devnet.policy import (
    INCREMENTAL_FEE_RATE,
    KILO,
    check_relay_fee,
    check_standard,
    check_standard_inputs,
)
from metanode.devnet.types import ChainTransaction, DevnetError, Ref, UnspentCoin, rejected
from metanode.devnet.validation import (
    Place,
    check_amounts,
    check_final,
    check_form,
    check_scripts,
    check_sequence,
    coins_spent,
)
from spec.chains import Family

MAX_TRANSACTIONS = 5000
MAX_BLOCK_VBYTES = 990_000  # leaves room for the header and the coinbase
MAX_BLOCK_CHECKS = 79_600  # MAX_BLOCK_SIGOPS_COST less what is kept for the coinbase
MAX_PACKAGE = 25  # transactions, itself among them: -limitancestorcount, -limitdescendantcount
MAX_PACKAGE_VBYTES = 101_000  # -limitancestorsize, -limitdescendantsize
CARVE_OUT_VBYTES = 10_000  # EXTRA_DESCENDANT_TX_SIZE_LIMIT: one small child more is allowed
MAX_REPLACED = 100  # MAX_BIP125_REPLACEMENT_CANDIDATES
_OP_RETURN = b"\x6a"


@frozen(eq=False)
class MempoolEntry:
    """An accepted transaction, its fee in base units, and the cost of its signature checks."""

    transaction: ChainTransaction
    fee: int
    checks: int


class Mempool:
    """Transactions in the order in which they were accepted, so parents precede their children.

    ``minimum`` is the least fee rate in base units per 1,000 virtual bytes, 0 for none beyond that
    of relay: a real daemon raises it when its memory is full. ``block_vbytes`` is how much a block
    takes.
    """

    def __init__(self, confirmed: Callable[[Ref], UnspentCoin | None], family: Family) -> None:
        self._confirmed = confirmed
        self._family = family
        self.entries: dict[bytes, MempoolEntry] = {}
        self.spenders: dict[Ref, bytes] = {}
        self.minimum = 0
        self.block_vbytes = MAX_BLOCK_VBYTES

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

    def check(
        self, transaction: ChainTransaction, place: Place, *, returned: bool = False
    ) -> tuple[MempoolEntry, set[bytes]]:
        """Return the new entry and the ids that it would replace.

        Raises :class:`DevnetError`; the order is that of ``MemPoolAccept::PreChecks``. ``returned``
        tells that the transaction was in a block that has left the chain: it need not pay again.
        """
        check_form(transaction)
        check_standard(transaction, self._family.dust_rate)
        check_final(transaction, place, "non-final")
        rivals = {self.spenders[ref] for ref in transaction.spent() if ref in self.spenders}
        if rivals and not (self._family.replaces and self._opted_in(rivals)):
            raise rejected("txn-mempool-conflict")
        coins = coins_spent(transaction, self.find)
        check_sequence(transaction, coins, place, "non-BIP68-final")
        fee = check_amounts(transaction, coins, place.height)
        checks = check_standard_inputs(transaction, coins)
        if not returned:
            check_relay_fee(transaction.vsize, checks, fee, self.minimum)
        ancestors = self._ancestors(transaction)
        self._check_package(transaction, ancestors, rivals)
        if ancestors & rivals:
            raise rejected("bad-txns-spends-conflicting-tx")
        replaced = self._with_descendants(rivals)
        if rivals:
            self._check_replacement(transaction, fee, rivals, replaced)
        check_scripts(transaction, coins)
        if len(self.entries) - len(replaced) >= MAX_TRANSACTIONS:
            raise rejected("mempool full")
        return MempoolEntry(transaction, fee, checks), replaced

    def accept(
        self, transaction: ChainTransaction, place: Place, *, returned: bool = False
    ) -> None:
        """Add a transaction, and drop those that it replaces; refused ones change nothing."""
        entry, replaced = self.check(transaction, place, returned=returned)
        for txid in replaced:
            self._remove(txid)
        self.entries[transaction.txid] = entry
        for ref in transaction.spent():
            self.spenders[ref] = transaction.txid

    def raise_minimum(self, minimum: int) -> None:
        """Set ``minimum``, and evict what pays less, as a daemon does whose memory is full."""
        self.minimum = minimum
        for txid in list(self.entries):
            if txid not in self.entries:
                continue  # evicted with its parent
            family = self._with_descendants({txid})
            totals = [self._totals({txid}), self._totals(family)]  # a child can pay for its parent
            if all(fee * KILO < minimum * vsize for fee, vsize in totals):
                for gone in family:
                    self._remove(gone)

    def has_room(self, txid: bytes, more: int) -> bool:
        """Return whether ``more`` transactions can follow this one while it is unconfirmed."""
        ancestors = self._ancestors(self.entries[txid].transaction)
        longest = max(len(self._with_descendants({each})) for each in ancestors | {txid})
        return max(longest, len(ancestors) + 1) + more <= MAX_PACKAGE

    def block_template(self) -> list[MempoolEntry]:
        """Return what the next block should hold: the dearest that fit, parents first."""
        chosen: dict[bytes, MempoolEntry] = {}
        space, checks = self.block_vbytes, MAX_BLOCK_CHECKS
        packages = {
            txid: self._ancestors(entry.transaction) | {txid}
            for txid, entry in self.entries.items()
        }

        def rate(txid: bytes) -> float:
            fee, vsize = self._totals(packages[txid])
            return fee / vsize

        for txid in sorted(packages, key=rate, reverse=True):
            added = {each: self.entries[each] for each in packages[txid] - chosen.keys()}
            size = sum(entry.transaction.vsize for entry in added.values())
            cost = sum(entry.checks for entry in added.values())
            if size <= space and cost <= checks:
                space, checks = space - size, checks - cost
                chosen |= added
        return [entry for txid, entry in self.entries.items() if txid in chosen]

    def confirm(self, transactions: Iterable[ChainTransaction]) -> None:
        """Remove what a block holds, and what conflicts with it."""
        for transaction in transactions:
            self._remove(transaction.txid)
            rivals = {self.spenders[ref] for ref in transaction.spent() if ref in self.spenders}
            for txid in self._with_descendants(rivals):
                self._remove(txid)

    def rebuild(self, returned: Iterable[ChainTransaction], place: Place) -> None:
        """Accept all anew after a reorganisation, ``returned`` first, dropping what fails."""
        waiting = [*returned, *(entry.transaction for entry in self.entries.values())]
        self.clear()
        for transaction in waiting:
            try:
                self.accept(transaction, place, returned=True)
            except DevnetError:
                continue  # it depends on a coin that the new chain does not have: gone, as in Core
        self.raise_minimum(self.minimum)

    def forget(self, txid: bytes) -> None:
        """Forget a transaction, and what spends its outputs."""
        for gone in self._with_descendants({txid} & self.entries.keys()):
            self._remove(gone)

    def clear(self) -> None:
        """Forget everything."""
        self.entries.clear()
        self.spenders.clear()

    def _opted_in(self, rivals: set[bytes]) -> bool:
        return all(self.entries[txid].transaction.replaceable() for txid in rivals)

    def _check_package(
        self, transaction: ChainTransaction, ancestors: set[bytes], rivals: set[bytes]
    ) -> None:
        """Limit the unconfirmed transactions that are mined together, number and size."""
        replaces_one = len(rivals) == 1  # what it replaces makes room for it
        fault = self._package_fault(transaction, ancestors, MAX_PACKAGE, int(replaces_one))
        is_small_child = transaction.vsize <= CARVE_OUT_VBYTES
        if fault and not (
            is_small_child and not self._package_fault(transaction, ancestors, 2, 1 + replaces_one)
        ):
            raise rejected("too-long-mempool-chain", fault)

    def _package_fault(
        self, transaction: ChainTransaction, ancestors: set[bytes], most: int, spare: int
    ) -> str:
        """Return what is too long, or "": ``spare`` descendants more are allowed."""
        if len(ancestors) + 1 > most:
            return f"too many unconfirmed ancestors [limit: {most}]"
        if self._totals(ancestors)[1] + transaction.vsize > MAX_PACKAGE_VBYTES:
            return f"exceeds ancestor size limit [limit: {MAX_PACKAGE_VBYTES}]"
        for txid in ancestors:
            family = self._with_descendants({txid})
            vsize = self._totals(family)[1] + transaction.vsize
            if vsize > MAX_PACKAGE_VBYTES + spare * CARVE_OUT_VBYTES:
                limit = MAX_PACKAGE_VBYTES
                return f"exceeds descendant size limit for tx {txid.hex()} [limit: {limit}]"
            if len(family) + 1 > MAX_PACKAGE + spare:
                return f"too many descendants for tx {txid.hex()} [limit: {MAX_PACKAGE}]"
        return ""

    def _check_replacement(
        self, transaction: ChainTransaction, fee: int, rivals: set[bytes], replaced: set[bytes]
    ) -> None:
        """Apply BIP125: dearer per byte and in all, few to evict, and no new unconfirmed coins."""
        said = f"rejecting replacement {transaction.txid.hex()}"
        for txid in rivals:
            rival = self.entries[txid]
            if fee * rival.transaction.vsize <= rival.fee * transaction.vsize:
                raise rejected("insufficient fee", f"{said}; new feerate <= old feerate")
        if len(replaced) > MAX_REPLACED:
            detail = f"{said}; too many conflicting transactions ({len(replaced)} > {MAX_REPLACED})"
            raise rejected("too many potential replacements", detail)
        known = {ref[0] for txid in rivals for ref in self.entries[txid].transaction.spent()}
        if any(ref[0] in self.entries and ref[0] not in known for ref in transaction.spent()):
            detail = f"replacement {transaction.txid.hex()} adds unconfirmed input"
            raise rejected("replacement-adds-unconfirmed", detail)
        old_fees, _ = self._totals(replaced)
        if fee < old_fees:
            detail = f"{said}, less fees than conflicting txs; {fee} < {old_fees}"
            raise rejected("insufficient fee", detail)
        relay = INCREMENTAL_FEE_RATE * transaction.vsize
        if fee - old_fees < relay:
            detail = f"{said}, not enough additional fees to relay; {fee - old_fees} < {relay}"
            raise rejected("insufficient fee", detail)

    def _totals(self, txids: Iterable[bytes]) -> tuple[int, int]:
        """Return the fees and the virtual bytes of some entries."""
        entries = [self.entries[txid] for txid in txids]
        return sum(e.fee for e in entries), sum(e.transaction.vsize for e in entries)

    def _ancestors(self, transaction: ChainTransaction) -> set[bytes]:
        """Return the unconfirmed transactions that must be mined before this one."""
        found: set[bytes] = set()
        queue = [transaction]
        while queue:
            for txid, _ in queue.pop().spent():
                if txid in self.entries and txid not in found:
                    found.add(txid)
                    queue.append(self.entries[txid].transaction)
        return found

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
