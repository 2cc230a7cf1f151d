"""Nights that renew the pool: newcomers, spent stakes, absence, and dealings that are spoilt."""

from __future__ import annotations

from metanode.custody.scripts import key_script
from tests.simulation.nights import hold, network, roster, spend_stake
from tests.simulation.test_regroup import pays


def test_a_staked_newcomer_gets_a_free_seat_by_itself() -> None:
    """Catches a night that never brings anybody in, and a key that changes with its holders."""
    sim = network(71, seats=5, joiners=1)
    sim.join(4)
    epoch = sim.core(0).ctx.epoch.number
    sim.run_until(hold(sim, range(5), epoch), 40.0, "the fifth holds a share")
    key = sim.core(4).ctx.epoch
    assert (key.threshold, key.byzantine) == (4, 1)
    pays(sim)
    assert not sim.refusals


def test_a_holder_whose_stake_is_spent_gets_no_reward_and_is_replaced() -> None:
    """Catches a stake without teeth: rewards that go on, and a seat that stays."""
    sim = network(72, joiners=1)
    sim.join(4)
    spend_stake(sim, 3)
    sim.run(2.5)
    before = len(sim.users.received(key_script(sim.nodes[3].node_id)))
    sim.deposit(2_000_000)
    sim.settle()
    paid = [len(sim.users.received(key_script(sim.nodes[n].node_id))) for n in range(4)]
    assert paid[3] == before
    assert min(paid[:3]) > 1, "the others have their stakes and rewards"
    epoch = sim.core(0).ctx.epoch.number
    sim.run_until(hold(sim, (0, 1, 2, 4), epoch), 40.0, "the newcomer has the seat")
    assert roster(sim, 3) == [0, 1, 2, 4]
    assert not sim.core(3).ctx.holds_share
    pays(sim)
