"""The books of the swaps: what each deposit asks for, and whether it was settled.

Only the chain decides.
"""

from __future__ import annotations

from attrs import define, field

from metanode.custody.transfers import Declined, Transfer, classify, transfer_id
from metanode.custody.types import Deposit, Outpoint
from metanode.protocol.context import Context
from metanode.protocol.inputs import ChainNews
from metanode.protocol.rounds.candidate import Candidates
from metanode.protocol.tables.registry import fact, handles


@define
class Swaps:
    """The swaps of a node; ``deposits`` are those known since the start that are not settled."""

    ctx: Context
    candidates: Candidates
    deposits: dict[bytes, Outpoint] = field(factory=dict)
    _declined: set[Outpoint] = field(factory=set)
    _index_read: bool = False
    _books_compared: bool = False

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    @fact
    def deposit(self, s: bytes) -> str:
        outpoint, ledger = self.deposits.get(s), self.candidates.ledger
        coin = None if outpoint is None else ledger.coin(outpoint)
        settled = self.candidates.settled
        if not isinstance(coin, Deposit) or coin.height > settled:
            return "no_deposit"
        spent_at = ledger.spent_at(coin.outpoint)
        booked = self.ctx.state("swap", s) != "none_yet"
        if booked and spent_at is not None and spent_at <= settled:
            return "spent"  # a deposit that is spent when first seen is booked before that
        verdict = self._classify(coin)
        if isinstance(verdict, Declined):
            return "no_deposit"
        return "payable" if verdict.kind == "release" else "refundable"

    @handles("deposits_gone")
    def deposits_gone(self) -> None:
        gone = [deposit for block in self.candidates.undone for deposit in block.deposits]
        swaps = [transfer_id(deposit.outpoint) for deposit in gone]
        for swap in self.ctx.each([*swaps, *self._lost_while_down()]):
            if self.ctx.tries("swap.Removed", s=swap):
                self.deposits.pop(swap, None)

    def _lost_while_down(self) -> list[bytes]:
        """Return, once after a start, the swaps in the books whose deposits no block has.

        A reorganisation took them away while this node was down, so that nobody told it.
        """
        if self._books_compared or not self._index_read:
            return []
        self._books_compared = True
        return [
            swap
            for (_, swap), state in self.ctx.tables.view.entries("swap")
            if isinstance(swap, bytes)
            and state in ("PendingRelease", "PendingRefund")
            and swap not in self.deposits
        ]

    @handles("deposits_found")
    def deposits_found(self) -> None:
        for deposit in self.ctx.each(self.candidates.ripe):
            verdict, swap = self._classify(deposit), transfer_id(deposit.outpoint)
            if isinstance(verdict, Declined):
                self._decline(verdict)
                continue
            self.deposits[swap] = deposit.outpoint
            if self.ctx.tries("swap.Deposit", s=swap):
                self.ctx.note(
                    "deposit.confirmed", outpoint=str(deposit.outpoint), amount=deposit.amount,
                    kind=verdict.kind, reason=verdict.reason,
                )

    @handles("deposits_settled")
    def deposits_settled(self) -> None:
        entry = self.ctx.input
        self._index_read = isinstance(entry, ChainNews) and entry.update.caught_up
        spent = [swap for swap in self.deposits if self.deposit(swap) == "spent"]
        for swap in self.ctx.each(spent):
            self.ctx.tries("swap.Settled", s=swap)
            del self.deposits[swap]

    def _classify(self, deposit: Deposit) -> Transfer | Declined:
        settings = self.ctx.settings
        return classify(deposit, settings.custody, settings.hrp, self.ctx.epoch.public_key)

    def _decline(self, declined: Declined) -> None:
        if declined.deposit.outpoint not in self._declined:
            self._declined.add(declined.deposit.outpoint)
            self.ctx.note(
                "deposit.declined", outpoint=str(declined.deposit.outpoint),
                amount=declined.deposit.amount, kind=declined.kind, reason=declined.reason,
            )
