"""Policies that would lose money are refused when they are made."""

from __future__ import annotations

import pytest

from metanode.custody.policy import CustodyPolicy
from spec.parameters import MAINNET
from tests.custody.support import policy


@pytest.mark.parametrize(
    "changes",
    [
        {"service_fee_bps": -1},
        {"service_fee_bps": 5001},
        {"minimum_deposit": 545},
        {"dust_rate": 100},
        {"fee_versions": 0},
        {"fee_versions": 8, "transfers_per_payout": 100},
        {"fee_share_cap_bps": 0},
        {"fee_share_cap_bps": 2500, "fee_rate_floor": 20},
        {"payout_window_blocks": 0},
        {"refund_cost": -1},
        {"dust_rate": 0},
        {"fee_rate_floor": 0},
        {"fee_rate_floor": 10, "fee_rate_cap": 9},
        {"fee_window_blocks": 0},
        {"transfers_per_payout": 0},
        {"transfers_per_payout": 101},
        {"change_inputs": -1},
        {"reserve_bps": 10_001},
        {"reserve_bps": True},
    ],
)
def test_impossible_policies(changes: dict[str, int]) -> None:
    """Catches a policy with dust outputs, negative fees or unbounded batches."""
    with pytest.raises(ValueError):
        policy(**changes)


def test_fees_round_down_and_rates_are_bounded() -> None:
    """Catches a fee that is rounded against the depositor, and a rate outside of its bounds."""
    rules = policy(service_fee_bps=100, fee_rate_floor=2, fee_rate_cap=50)
    assert [rules.service_fee(amount) for amount in (99, 100, 199, 10_000)] == [0, 1, 1, 100]
    assert [rules.bounded_fee_rate(rate) for rate in (0, 2, 20, 50, 10**9)] == [2, 2, 20, 50, 50]


@pytest.mark.parametrize(("hrp", "rate"), [("bc", 3), ("bcrt", 3), ("ltc", 30), ("", 3)])
def test_dust_is_what_the_daemons_of_a_chain_call_dust(hrp: str, rate: int) -> None:
    """Catches a payout that no daemon relays because of one output."""
    rules = CustodyPolicy.of(MAINNET, hrp)
    scripts = {
        b"\x76\xa9\x14" + bytes(20) + b"\x88\xac": 182,
        b"\xa9\x14" + bytes(20) + b"\x87": 180,
        b"\x00\x14" + bytes(20): 98,
        b"\x00\x20" + bytes(32): 110,
        b"\x51\x20" + bytes(32): 110,
    }
    assert {script: rules.dust_limit(script) // rate for script in scripts} == scripts


def test_windows_are_runs_of_blocks() -> None:
    """Catches a deposit that lies in two windows, or in none."""
    rules = policy(payout_window_blocks=12)
    assert [rules.window_of(height) for height in (0, 11, 12, 35, 36)] == [0, 0, 1, 2, 3]
