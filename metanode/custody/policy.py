"""The custody policy: every number that decides amounts. All members must hold the same values."""

from __future__ import annotations

from typing import Any

from attrs import Attribute, field, fields, frozen

from metanode.custody.types import MAX_MONEY, whole
from spec.chains import family
from spec.parameters import Preset

BASIS_POINTS = 10_000
DUST_VBYTES = 182
"""Virtual bytes of the largest standard output, P2PKH, and of the input that spends it."""
STANDARD_DUST = (
    546  # base units: the highest dust bound of the payable output types (P2PKH, 3 sat/vB)
)
MAX_TRANSFERS = 100  # keeps a payout far under the 100 000 vB that nodes relay
MAX_CHANGE_INPUTS = 100
MAX_FEE_RATE = 10_000  # sat/vB; above it a transaction of one input would cost more than it moves


@frozen(kw_only=True)
class CustodyPolicy:
    """Fees, bounds and limits; amounts in base units, rates in sat/vB.

    A release costs its depositor ``service_fee_bps`` of the amount, a refund costs
    ``refund_cost``, and either costs at least its share of the mining fee. What is left of these
    charges after the mining fee is the members' reward, of which ``reserve_bps`` stays in custody.
    ``fee_rate_floor`` and ``fee_rate_cap`` bound the rate on both sides, so that whoever fills
    blocks with odd fees moves it only within them.
    """

    service_fee_bps: int = field(validator=whole(0, BASIS_POINTS // 2))
    minimum_deposit: int = field(validator=whole(1, MAX_MONEY))
    refund_cost: int = field(validator=whole(0, MAX_MONEY))
    dust_limit: int = field(validator=whole(STANDARD_DUST, MAX_MONEY))
    fee_rate_floor: int = field(validator=whole(1, MAX_FEE_RATE))
    fee_rate_cap: int = field(validator=whole(1, MAX_FEE_RATE))
    fee_window_blocks: int = field(validator=whole(1, 1000))
    transfers_per_payout: int = field(validator=whole(1, MAX_TRANSFERS))
    change_inputs: int = field(validator=whole(0, MAX_CHANGE_INPUTS))
    reserve_bps: int = field(validator=whole(0, BASIS_POINTS))

    @fee_rate_cap.validator
    def _cap_is_above_floor(self, _attribute: Attribute[int], value: Any) -> None:
        if value < self.fee_rate_floor:
            raise ValueError("fee_rate_cap must not be below fee_rate_floor")

    @minimum_deposit.validator
    def _minimum_leaves_something(self, _attribute: Attribute[int], value: Any) -> None:
        if value < STANDARD_DUST:
            raise ValueError(f"minimum_deposit must be at least the dust limit, {STANDARD_DUST}")

    @classmethod
    def of(cls, preset: Preset, hrp: str = "", **changes: int) -> CustodyPolicy:
        """Return the policy of a preset on the chains with an address prefix, with changes.

        The dust limit is at least what daemons of these chains relay.
        """
        values = {each.name: getattr(preset, each.name) for each in fields(cls)}
        dust = family(hrp).dust_rate * DUST_VBYTES
        values["dust_limit"] = max(values["dust_limit"], dust)
        return cls(**{**values, **changes})

    def service_fee(self, amount: int) -> int:
        """Return the service fee of a release of ``amount``, rounded down."""
        return amount * self.service_fee_bps // BASIS_POINTS

    def index_start(self, height: int) -> int:
        """Return the height from which blocks must be indexed to know the fee rate at ``height``.

        An index that is to answer for a key born at ``height`` starts here.
        """
        return max(0, height + 1 - self.fee_window_blocks)

    def bounded_fee_rate(self, rate: int) -> int:
        """Return ``rate`` moved into [``fee_rate_floor``, ``fee_rate_cap``]."""
        return min(max(rate, self.fee_rate_floor), self.fee_rate_cap)
