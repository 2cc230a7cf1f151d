"""Each node is killed at each moment of a round, before or after its disk was written."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from metanode.protocol.tables.effects import Effects
from spec import messages as m
from tests.simulation.simulator import Crash, sends, turns, with_key, writes_cell

MOMENTS: dict[str, Callable[[Effects], bool]] = {
    "offer": sends(m.Offer),
    "proposal": sends(m.Proposal),
    "set": sends(m.SigningSet),
    "vote": sends(m.Vote),
    "lock and release": writes_cell("lock"),
    "step": sends(m.Step),
    "signature": writes_cell("signature_kept"),
    "payout on the chain": writes_cell("settlement"),
    "deposit settled": writes_cell("swap"),
}
POINTS = ("before", "after", "amid")


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("place", range(4))
def test_a_crash_at_each_moment_of_a_round(moment: str, place: int) -> None:
    """Catches lost votes or locks, a second digest after a restart, and a deposit paid twice.

    The place is the node's in the order of the round: with all up, the first three are the signers.
    """
    for point in POINTS:
        sim = with_key(place)
        crash = Crash(node=turns(sim)[place], when=MOMENTS[moment], point=point, restart_s=0.7)
        sim.crashes.append(crash)
        sim.mine_every(0.7)
        sim.run(0.3)
        sim.deposit()
        sim.settle()
        sim.run_until(sim.all_running, 3.0, "the node is back")
        never_votes = place == 3 and moment in ("vote", "lock and release", "step")
        assert never_votes == bool(sim.crashes), "the crash must have happened"


@pytest.mark.parametrize("point", POINTS)
def test_all_three_signers_crash_at_their_release(point: str) -> None:
    """F-14: catches a share that was released and forgotten: only the locked digest is signed."""
    sim = with_key(9)
    for place in range(3):
        sim.crashes.append(Crash(node=turns(sim)[place], when=writes_cell("released"), point=point))
    sim.mine_every(0.7)
    sim.run(0.3)
    sim.deposit()
    sim.settle()
    for digests in sim.checkers.releases.values():
        assert len(digests) == 1


def test_a_node_that_keeps_crashing_does_not_stop_the_others() -> None:
    """Catches a round that waits for one node for ever: each restart finds it dead again."""
    sim = with_key(10)
    lemming = turns(sim)[0]
    for _ in range(4):
        sim.crashes.append(
            Crash(node=lemming, when=writes_cell("voted"), point="after", restart_s=0.3)
        )
    sim.mine_every(0.7)
    sim.run(0.3)
    sim.deposit()
    sim.settle(40.0)


def test_a_restarted_node_sits_out_the_round_it_was_started_in() -> None:
    """Catches two different proposals or votes of one node in one round, around a crash."""
    sim = with_key(11)
    number = turns(sim)[0]
    sim.crashes.append(Crash(node=number, when=sends(m.Proposal), point="amid", restart_s=0.05))
    sim.mine_every(0.7)
    sim.run(0.3)
    sim.deposit()
    sim.run_until(lambda: sim.nodes[number].starts == 2, 5.0, "the crash")
    crashed_in = sim.core(number).ctx.round_number()
    sim.settle()
    proposed = [note["round"] for note in sim.noted("round.proposed", number)]
    assert proposed.count(crashed_in) <= 1
    assert not any(core.blocks.entries for core in map(sim.core, range(4)))
