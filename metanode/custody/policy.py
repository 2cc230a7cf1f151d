"""The custody policy: every number that decides amounts. All members must hold the same values."""

from __future__ import annotations

from typing import Any

from attrs import Attribute, field, fields, frozen

from metanode.custody.document import MAX_VERSIONS
from metanode.custody.scripts import data_script, is_witness_script, witness_script
from metanode.custody.transaction import virtual_size
from metanode.custody.types import ID_BYTES, MAX_MONEY, whole
from spec.chains import family
from spec.messages import INPUTS_LIMIT
from spec.parameters import Preset

BASIS_POINTS = 10_000
LONGEST_SCRIPT_BYTES = 67  # of those that a payout pays: P2PK with an uncompressed key
OUTPUT_BYTES = 8 + 1  # the amount, and the length of a script that is shorter than 253 bytes
SPENDING_BYTES = 148  # what Bitcoin Core counts for the input that spends an output
WITNESS_SPENDING_BYTES = 67  # the same for a witness program: GetDustThreshold, policy/policy.cpp
DEAREST_TRANSFER_VBYTES = virtual_size(
    1, [bytes(LONGEST_SCRIPT_BYTES), data_script(bytes(ID_BYTES)), witness_script(0, bytes(20))]
)
"""Virtual bytes of a payout of one transfer with change, at most."""
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
    blocks with odd fees moves it only within them. No deposit pays more than
    ``fee_share_cap_bps`` of itself for mining. ``dust_rate`` is that of the chain's daemons.
    """

    service_fee_bps: int = field(validator=whole(0, BASIS_POINTS // 2))
    minimum_deposit: int = field(validator=whole(1, MAX_MONEY))
    refund_cost: int = field(validator=whole(0, MAX_MONEY))
    dust_rate: int = field(validator=whole(1, MAX_FEE_RATE))
    fee_rate_floor: int = field(validator=whole(1, MAX_FEE_RATE))
    fee_rate_cap: int = field(validator=whole(1, MAX_FEE_RATE))
    fee_window_blocks: int = field(validator=whole(1, 1000))
    transfers_per_payout: int = field(validator=whole(1, MAX_TRANSFERS))
    change_inputs: int = field(validator=whole(0, MAX_CHANGE_INPUTS))
    reserve_bps: int = field(validator=whole(0, BASIS_POINTS))
    fee_versions: int = field(validator=whole(1, MAX_VERSIONS))
    fee_share_cap_bps: int = field(validator=whole(1, BASIS_POINTS))
    payout_window_blocks: int = field(validator=whole(1, 100_000))

    @fee_rate_cap.validator
    def _cap_is_above_floor(self, _attribute: Attribute[int], value: Any) -> None:
        if value < self.fee_rate_floor:
            raise ValueError("fee_rate_cap must not be below fee_rate_floor")

    @dust_rate.validator
    def _minimum_leaves_something(self, _attribute: Attribute[int], value: Any) -> None:
        limit = value * (OUTPUT_BYTES + LONGEST_SCRIPT_BYTES + SPENDING_BYTES)
        if self.minimum_deposit < limit:
            raise ValueError(f"minimum_deposit must be at least the dust limit, {limit}")

    @fee_share_cap_bps.validator
    def _minimum_bears_the_floor(self, _attribute: Attribute[int], value: Any) -> None:
        share = self.fee_rate_floor * DEAREST_TRANSFER_VBYTES
        if share * BASIS_POINTS > self.minimum_deposit * value:
            raise ValueError(
                f"a deposit of minimum_deposit would wait for ever: at fee_rate_floor mining costs "
                f"{share}, more than fee_share_cap_bps of it"
            )

    @fee_versions.validator
    def _signatures_fit(self, _attribute: Attribute[int], value: Any) -> None:
        if value * (self.transfers_per_payout + self.change_inputs) > INPUTS_LIMIT:
            raise ValueError(
                "fee_versions times (transfers_per_payout + change_inputs) must be at most "
                f"{INPUTS_LIMIT}"
            )

    @classmethod
    def of(cls, preset: Preset, hrp: str = "", **changes: int) -> CustodyPolicy:
        """Return the policy of a preset on the chains with an address prefix, with changes."""
        named = {each.name for each in fields(cls)} & {each.name for each in fields(Preset)}
        values = {name: getattr(preset, name) for name in named}
        return cls(**{"dust_rate": family(hrp).dust_rate, **values, **changes})

    def dust_limit(self, script: bytes) -> int:
        """Return the least amount of an output with this script that daemons relay."""
        size = OUTPUT_BYTES + len(script)
        size += WITNESS_SPENDING_BYTES if is_witness_script(script) else SPENDING_BYTES
        return size * self.dust_rate

    def window_of(self, height: int) -> int:
        """Return the number of the window in which deposits of the block at ``height`` are paid."""
        return height // self.payout_window_blocks

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
