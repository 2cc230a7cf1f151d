"""The benchmark of whole networks: its numbers of members, and what it takes for signed."""

from __future__ import annotations

import pytest

from spec.parameters import faults_tolerated, quorum_fault, threshold
from tools.network_sizes import numbers_for, signed


@pytest.mark.parametrize(("nodes", "shares"), [(4, None), (16, None), (60, None), (60, 32), (7, 5)])
def test_a_measured_network_is_a_safe_one(nodes: int, shares: int | None) -> None:
    """Catches a t that was wished for with liars that it does not bear, and is refused by init."""
    t, f = numbers_for(nodes, shares)
    assert quorum_fault(nodes, t, f) is None
    assert t == (threshold(nodes) if shares is None else shares)
    assert quorum_fault(nodes, t, f + 1) is not None


def test_the_usual_numbers_are_those_of_the_formulas() -> None:
    """Catches sixty nodes that are measured with another f than they would have."""
    assert numbers_for(60, None) == (41, faults_tolerated(60))
    assert numbers_for(60, 32) == (32, 3)


def test_a_payout_counts_from_its_signatures_on() -> None:
    """Catches a benchmark that waits for blocks, or that counts what is refused."""
    payouts = [
        {"state": state, "transfers": [f"{state}:0"]} for state in ("PENDING", "REVERTED")
    ]
    assert signed({"payouts": payouts}) == {"PENDING:0"}
