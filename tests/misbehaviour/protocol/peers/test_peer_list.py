"""Dishonest pings: what a liar gains by an odd sequence or phase, and what cannot even be built."""

from __future__ import annotations

import pytest
from attrs import evolve

from spec import messages as m
from tests.protocol.peers.support import PEER, THIRD
from tests.protocol.peers.test_peer_list import MS, alone, answered, hear, listed, ping
from tests.simulation.hostile import OLDEST, changes, network

GREATEST = (1 << 63) - 1


def test_a_high_sequence_harms_only_its_own_sender() -> None:
    """Catches a sequence space that one peer can exhaust for the others, or for itself for good."""
    ctx, peers = alone()
    hear(ctx, peers, ping(GREATEST))
    assert peers.heard[PEER].sequence == GREATEST
    hear(ctx, peers, ping(MS + 1))
    assert peers.heard[PEER].sequence == MS + 1, "a number of the future says nothing"
    hear(ctx, peers, ping(MS + 1), ping(MS))
    assert peers.heard[PEER].sequence == MS + 1
    hear(ctx, peers, ping(MS + 1), place=2)
    answered(ctx, peers, peer=THIRD)
    assert peers.is_listed(THIRD)


def test_a_stake_that_changes_from_ping_to_ping_counts_only_when_the_chain_has_answered() -> None:
    """F-13: catches a peer that is listed for one stake and shows another one."""
    ctx, peers = listed(1)
    other = evolve(ping(MS + 1), stake=m.OutpointRef(b"o" * 32, 0))
    hear(ctx, peers, other)
    assert not peers.members(), "the stake that it shows now was never proved"
    assert not peers.staked()


def test_advertised_states_move_nothing() -> None:
    """F-02: catches a round that ends, or never begins, because a liar advertises Signing."""
    sim = network(7)
    sim.tamper[OLDEST] = changes(m.Ping, lambda p: [evolve(p, phase="Signing")])
    sim.settle()
    assert len({note["round"] for note in sim.noted("round.signing")}) == 1


@pytest.mark.parametrize("change", [{"phase": "x" * 17}, {"sequence": 1 << 63}, {"time_ms": -1}])
def test_fields_out_of_bounds_cannot_be_built(change: dict[str, object]) -> None:
    """Catches a field without a bound."""
    with pytest.raises(ValueError):
        evolve(ping(), **change)
