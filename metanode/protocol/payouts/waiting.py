"""Why each deposit waits: what a node tells its operator of every coin that is not paid yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import define, field, frozen

from metanode.custody.payout import agreed_fee_rate, payable_transfers
from metanode.custody.transfers import Declined, Transfer, classify
from metanode.custody.types import Deposit, Outpoint
from metanode.protocol.context import Context
from metanode.protocol.payouts.payouts import Payout, Payouts
from metanode.protocol.rounds.candidate import Candidates, Cutoff

SHOWN = 1000
"""Deposits of a list, and those whose reasons are logged: more than anybody reads."""


@frozen
class Reason:
    """Why a deposit waits: a word for programs, and a sentence."""

    code: str
    text: str


@define
class Waiting:
    """The deposits that are not spent, each with what it waits for."""

    ctx: Context
    candidates: Candidates
    payouts: Payouts
    _told: dict[Outpoint, str] = field(factory=dict)

    def report(self) -> list[dict[str, Any]]:
        """Return the oldest deposits that wait, for the operator."""
        return [
            {
                "outpoint": str(deposit.outpoint),
                "amount": deposit.amount,
                "height": deposit.height,
                "waits_for": reason.code,
                "reason": reason.text,
            }
            for deposit, reason in self._reasons()
        ]

    def tell(self) -> None:
        """Log each deposit whose reason is another one than before."""
        told: dict[Outpoint, str] = {}
        for deposit, reason in self._reasons():
            told[deposit.outpoint] = reason.code
            if self._told.get(deposit.outpoint) != reason.code:
                self.ctx.note(
                    "deposit.waiting", outpoint=str(deposit.outpoint), amount=deposit.amount,
                    waits_for=reason.code, reason=reason.text,
                )
        self._told = told

    def _reasons(self) -> Iterator[tuple[Deposit, Reason]]:
        if self.ctx.key is None:
            return
        unspent = sorted(self.candidates.ledger.unspent_deposits(), key=lambda each: each.order)
        bound = {
            outpoint: payout
            for event in self.candidates.windows.signed
            if (payout := self.payouts.payouts.get(event)) is not None
            and not self.candidates.windows.is_dead(payout.document)
            for outpoint in payout.document.inputs
        }
        cutoff = self.candidates.cutoff()
        for deposit in unspent[:SHOWN]:
            yield deposit, self._reason(deposit, bound.get(deposit.outpoint), cutoff)

    def _reason(self, deposit: Deposit, bound: Payout | None, cutoff: Cutoff | None) -> Reason:
        settings, settled = self.ctx.settings, self.candidates.settled
        verdict = classify(deposit, settings.custody, settings.hrp, self.ctx.epoch.public_key)
        if isinstance(verdict, Declined):
            return Reason(verdict.kind, verdict.reason)
        if bound is not None:
            return self._on_its_way(bound)
        if deposit.height > settled:
            has = settings.confirmations - (deposit.height - settled)
            text = f"it has {max(0, has)} of {settings.confirmations} confirmations"
            return Reason("confirmations", text)
        if deposit.matures > settled + 1:
            text = f"these are new coins, which can be spent from block {deposit.matures} on"
            return Reason("maturity", text)
        if not self.candidates.was_seen(verdict):
            deep = settings.confirmations * settings.preset.unseen_depth_factor
            text = (
                "neither this node nor enough others saw it before it was confirmed, so it counts "
                f"at {deep} confirmations, in block {deposit.height + deep - 1}"
            )
            return Reason("sighting", text)
        return self._in_line(verdict, cutoff)

    def _in_line(self, transfer: Transfer, cutoff: Cutoff | None) -> Reason:
        """Return what keeps a deposit that counts from being in the next payout."""
        custody = self.ctx.settings.custody
        if cutoff is None:
            return Reason("index", "the blocks before it are not all read yet")
        rate = agreed_fee_rate(cutoff.snapshot, custody, self.candidates.fee_floor)
        if not payable_transfers(cutoff.snapshot, (transfer,), custody, rate):
            share = custody.fee_share_cap_bps / 100
            text = (
                f"it is too small at {rate} base units a vB: mining would cost more than {share:g}"
                " % of it, or leave dust; it waits for lower fees"
            )
            return Reason("fees", text)
        for locked in self.candidates.windows.locks():
            if transfer.deposit.outpoint in locked.transfers:
                text = "its payout is agreed on and not signed yet; each round tries again"
                return Reason("signature", text)
        return Reason("round", "it is in line for one of the next rounds")

    def _on_its_way(self, payout: Payout) -> Reason:
        state = self.ctx.state("payout", payout.document.event)
        text = f"payout {payout.sent.txid.hex()} is signed"
        if state == "REFUSED":
            return Reason("daemon", f"{text}, and the chain daemon refuses it: {payout.reason}")
        if state == "BROADCAST":
            return Reason("block", f"{text} and sent, and not deep enough in the chain yet")
        return Reason("broadcast", f"{text}, and the chain does not have it yet")
