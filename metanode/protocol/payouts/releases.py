"""What the operators may release: coins that no round pays, checked by each node for its operator.

A node builds a release from its own index of the chain, and asks for its digests only when its own
operator has named coins, payee and fee rate, so that t operators must name the same. No digest that
comes from elsewhere counts as a release, whatever it is called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from attrs import define, frozen

from metanode.custody.release import MAX_RELEASED, Release, build_release
from metanode.custody.transfers import Declined, classify
from metanode.custody.types import Coin, Deposit, Outpoint
from metanode.errors import UserError
from metanode.protocol.context import Context
from metanode.protocol.payouts.windows import Windows
from metanode.protocol.requests.request import NO_KEY, Request
from metanode.protocol.requests.requests import Requests
from metanode.protocol.rounds.candidate import Candidates

SHOWN = 1000
"""Coins of a list: more than anybody reads. Dust is cheap to send."""

FIELDS = ("outpoints", "address", "fee_rate")


@frozen
class Wanted:
    """A release as an operator writes it; ``fee_rate`` is None for the least of the policy."""

    outpoints: tuple[Outpoint, ...]
    address: str
    fee_rate: int | None

    @classmethod
    def read(cls, given: Mapping[str, object]) -> Wanted:
        """Read what is posted; UserError for anything else."""
        names, address, rate = (given.get(name) for name in FIELDS)
        strange = set(given) - set(FIELDS)
        if strange or type(address) is not str or not (rate is None or type(rate) is int):
            raise UserError(f"a release is an object of {', '.join(FIELDS)}")
        if not isinstance(names, list) or not all(type(name) is str for name in names):
            raise UserError("outpoints are a list of texts, each txid:index")
        if not 0 < len(names) <= MAX_RELEASED:
            raise UserError(f"a release has 1 to {MAX_RELEASED} outpoints: name fewer at once")
        try:
            outpoints = tuple(Outpoint.parse(name.lower()) for name in names)
        except ValueError as fault:
            raise UserError(f"{fault}: copy it from `custody held`") from fault
        if len(set(outpoints)) != len(outpoints):
            raise UserError("an outpoint is given twice: name each coin once")
        return cls(outpoints, address, rate)


@define
class Releases:
    """Lists what nobody is paid, and builds what takes it out."""

    ctx: Context
    candidates: Candidates
    requests: Requests

    @property
    def windows(self) -> Windows:
        """The coins of the custody, and the payouts that take some of them."""
        return self.candidates.windows

    # --- what there is ---

    def held(self) -> dict[str, Any]:
        """Return the coins that no round pays, the oldest first, and the change that waits."""
        declined = list(self._declined())
        change = [
            coin
            for coin in self.windows.ledger.coins
            if isinstance(coin, Coin) and self.windows.ledger.spent_by(coin.outpoint) is None
        ]
        change.sort(key=lambda coin: (coin.height, coin.outpoint))
        return {
            "coins": [
                {**_coin(each.deposit), "kind": each.kind, "reason": each.reason}
                for each in islice(declined, SHOWN)
            ],
            "change": [_coin(coin) for coin in islice(change, SHOWN)],
            "count": len(declined),
            "total": sum(each.deposit.amount for each in declined),
            "change_count": len(change),
            "change_total": sum(coin.amount for coin in change),
            "fee_rate": self.ctx.settings.custody.fee_rate_floor,
        }

    def _declined(self) -> Iterator[Declined]:
        if self.ctx.key is None:
            return
        for deposit in sorted(self.windows.ledger.unspent_deposits(), key=lambda each: each.order):
            verdict = self._verdict(deposit)
            if isinstance(verdict, Declined):
                yield verdict

    def _verdict(self, deposit: Deposit) -> object:
        settings = self.ctx.settings
        return classify(deposit, settings.custody, settings.hrp, self.ctx.epoch.public_key)

    # --- what an operator wants ---

    def check(self, given: Mapping[str, object]) -> Release:
        """Return the release that ``given`` describes; UserError says why there can be none.

        A coin that this release has spent already is no reason: see :meth:`describe`.
        """
        wanted = Wanted.read(given)
        if self.ctx.key is None:
            raise UserError(NO_KEY)
        deposits = [self._deposit(outpoint) for outpoint in wanted.outpoints]
        settings, rate = self.ctx.settings, wanted.fee_rate
        release = build_release(
            deposits, wanted.address, settings.custody.fee_rate_floor if rate is None else rate,
            settings.custody, hrp=settings.hrp, public_key=self.ctx.epoch.public_key,
        )
        for deposit in deposits:
            self._check(deposit, release)
        return release

    def _deposit(self, outpoint: Outpoint) -> Deposit:
        coin = self.windows.ledger.coin(outpoint)
        if coin is None:
            raise UserError(
                f"{outpoint} is no coin of the custody in this node's chain: see `custody held`"
            )
        if isinstance(coin, Coin):
            raise UserError(f"{outpoint} is change: the next payouts spend it, leave it to them")
        return coin

    def _check(self, deposit: Deposit, release: Release) -> None:
        """Refuse a coin that is spent, that is not settled, or that a round pays.

        A coin that passes cannot become part of a payout between request and signature: its verdict
        is a function of what its transaction id commits to and of settings that all members share.
        If a reorganisation takes it away, the signature is one of a transaction that no chain
        takes; if it comes back it is the same coin, with the same verdict.
        """
        outpoint, settled = deposit.outpoint, self.windows.settled
        ledger, confirmations = self.windows.ledger, self.ctx.settings.confirmations
        spender = ledger.spent_by(outpoint)
        if spender is not None and spender != release.txid:
            raise UserError(f"{outpoint} is spent by {spender.hex()}: there is nothing to release")
        payout = self._payout_of(outpoint)
        if payout is not None:
            raise UserError(f"{outpoint} is in a payout that is {payout}: leave it to that payout")
        if not isinstance(self._verdict(deposit), Declined):
            raise UserError(
                f"{outpoint} is paid by a round, without you: `status` says what it waits for"
            )
        if deposit.height > settled:
            has = max(0, confirmations - (deposit.height - settled))
            raise UserError(f"{outpoint} has {has} of {confirmations} confirmations: wait for them")
        if deposit.matures > settled + 1:
            raise UserError(
                f"{outpoint} is of new coins, which can be spent from block {deposit.matures} on: "
                "wait until that block is settled"
            )

    def _payout_of(self, outpoint: Outpoint) -> str | None:
        """Return how far the payout is that spends a coin and may still be mined, if there is one.

        No payout takes what is declined. This is for the case that the settings were once others.
        """
        if outpoint in self.windows.taken():
            return "signed"
        locked = any(outpoint in document.inputs for document in self.windows.locks())
        return "agreed on" if locked else None

    # --- what it takes ---

    def ask(self, given: Mapping[str, object], place: int) -> Request:
        """Return the request to sign one digest of a release, to be put to this node now."""
        release = self.check(given)
        digest, label = release.digests[place], release.labels[place]
        document = {"key_id": self.ctx.epoch.key_id.hex(), "digest": digest.hex(), "label": label}
        return self.requests.check("sign", document, of_release=True)

    def missing(self, release: Release) -> list[int]:
        """Return the places of the digests that are to be signed still."""
        if self.windows.ledger.spent_by(release.transaction.inputs[0].outpoint) is not None:
            return []  # it is in a block
        return [n for n, digest in enumerate(release.digests) if self._signature(digest) is None]

    def describe(self, release: Release) -> dict[str, Any]:
        """Return a release as JSON: what it pays, what is signed, and where it stands."""
        transaction = release.transaction
        found = [rs for rs in map(self._signature, release.digests) if rs is not None]
        whole = len(found) == len(release.digests)
        spent_at = self.windows.ledger.spent_at(transaction.inputs[0].outpoint)
        return {
            "txid": release.txid.hex(),
            "amount": release.paid + transaction.fee,
            "paid": release.paid,
            "fee": transaction.fee,
            "fee_rate": release.fee_rate,
            "daemon_rate": self.candidates.fee_floor,
            "inputs": [str(spent.outpoint) for spent in transaction.inputs],
            "signed": len(found),
            "raw": release.sign(found).hex() if whole else None,
            "block": spent_at,
        }

    def _signature(self, digest: bytes) -> bytes | None:
        """Return r and s of a digest that was signed at the word of this node's operator, or None.

        It may be that of an earlier request: with other holders, or with another label.
        """
        for event, request in self.requests.asked.items():
            found = self.requests.book.found.get(event)
            if found is not None and request.kind == "sign" and request.fields["digest"] == digest:
                return found.signatures[0].rs
        return None


def _coin(coin: Deposit | Coin) -> dict[str, Any]:
    return {"outpoint": str(coin.outpoint), "amount": coin.amount, "height": coin.height}
