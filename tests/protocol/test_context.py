"""Numbers of the clock, names of events, and what the cores share."""

from __future__ import annotations

import pytest

from metanode.custody.types import Outpoint
from metanode.errors import LocalFault
from metanode.protocol import context
from tests.simulation.simulator import START, Simulation, with_key


def test_rounds_and_slots_are_the_clock_divided_by_their_periods() -> None:
    """F-12: catches a round number that depends on when a node was started."""
    sim = Simulation(seed=1)
    sim.start(0)
    ctx = sim.core(0).ctx
    ctx.now = START + 7.5
    assert ctx.round_number() == START // 2 + 3
    assert ctx.round_share() == pytest.approx(0.75)
    assert ctx.keygen_slot() == START // 4 + 1
    assert ctx.slot_share() == pytest.approx(0.875)


def test_events_of_different_kinds_and_networks_never_meet() -> None:
    """NoSlotReuse: catches one event id for two things."""
    names = {
        context.keygen_event(network, slot) for network in (b"a" * 32, b"b" * 32) for slot in (1, 2)
    } | {context.lock_in_event(network) for network in (b"a" * 32, b"b" * 32)}
    assert len(names) == 6


def test_outpoints_travel_unchanged() -> None:
    """Catches a mixed-up byte order between custody and the messages."""
    outpoint = Outpoint(bytes(range(32)), 7)
    assert context.outpoint_of(context.outpoint_ref(outpoint)) == outpoint


def test_without_a_key_there_is_no_epoch() -> None:
    """Catches a core that signs or rebuilds before a key is locked in."""
    sim = Simulation(seed=2)
    sim.start(0)
    with pytest.raises(LocalFault):
        _ = sim.core(0).ctx.epoch


def test_a_node_counts_itself_among_the_living_and_no_stranger() -> None:
    """Catches a round that waits for a peer without a link, or for one without a share."""
    sim = with_key(3)
    ctx = sim.core(0).ctx
    assert ctx.live_holders() == {node.node_id for node in sim.nodes}
    sim.crash(2)
    ctx.links.add(b"\x02" * 33)
    assert ctx.live_holders() == {node.node_id for node in sim.nodes if node.number != 2}
