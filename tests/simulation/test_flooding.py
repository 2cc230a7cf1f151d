"""A small network of holders and observers: each flood reaches everybody who lives."""

from __future__ import annotations

from spec.parameters import MAINNET
from tests.simulation.flooding import run


def test_each_flood_reaches_all_with_a_tenth_dead() -> None:
    """Catches floods that end early, observers with a crowd of links, holders without a mesh."""
    found = run(holders=5, observers=25, floods=10, seed=3)
    assert found.reached == found.alive == 27
    assert found.links_of_observers <= MAINNET.degree_beyond
    assert found.mesh
    assert found.frames_a_flood < 27 * MAINNET.degree_beyond
