"""Random storms: crashes, loss, duplicates, reordering and a partition, then calm."""

from __future__ import annotations

import pytest

from tests.simulation.campaign import campaign


@pytest.mark.parametrize("seed", range(1, 21))
def test_a_random_storm_pays_every_deposit_once(seed: int) -> None:
    """Catches what nobody thought of; a failure names the one line that replays it."""
    campaign(seed)
