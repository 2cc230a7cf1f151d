"""Random crashes, loss, partitions and deposits, all of them from one seed; then calm."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.simulation.simulator import CALM, Crash, Simulation, Weather, with_key, writes_cell

STORM_S = 7.0
LIMIT_S = 30.0
MOMENTS = ("voted", "lock", "released", "signature_kept", "status", "settlement", "swap")


def campaign(seed: int, watch: Callable[[Simulation], None] = lambda _sim: None) -> Simulation:
    """Run one seed to its end: a storm of seven seconds, then calm until all is settled."""
    dice = random.Random(f"campaign {seed}")
    sim = with_key(seed, watch=watch, replay=f"python -m tests.simulation --seed {seed}")
    sim.weather = Weather(
        latency=(0.002, dice.choice((0.01, 0.05))),
        loss=dice.choice((0.0, 0.03, 0.1)),
        duplicate=dice.choice((0.0, 0.1)),
        reorder=dice.choice((0.0, 0.2)),
    )
    for _ in range(dice.randrange(1, 4)):
        amount, kind = dice.randrange(60_000, 5_000_000), dice.choice(("release", "refund"))
        sim.at(dice.uniform(0.3, 6.0), lambda a=amount, k=kind: sim.deposit(a, k))
    for _ in range(dice.randrange(1, 5)):
        crash = Crash(
            node=dice.randrange(sim.members),
            when=writes_cell(dice.choice(MOMENTS)),
            point=dice.choice(("before", "after", "amid")),
            restart_s=dice.uniform(0.2, 4.0),
        )
        sim.at(dice.uniform(0.0, 6.0), lambda c=crash: sim.crashes.append(c))
    if dice.random() < 0.4:
        lonely, begin = dice.randrange(sim.members), dice.uniform(0.5, 4.0)
        sim.at(begin, lambda: sim.partition([lonely]))
        sim.at(begin + dice.uniform(0.5, 4.0), sim.heal)
    sim.mine_every(0.7)
    sim.run(STORM_S)
    sim.weather, sim.crashes = CALM, []
    sim.heal()
    sim.run_until(sim.all_running, 5.0, "every node is back")
    sim.settle(LIMIT_S)
    sim.require(not sim.refusals, f"honest nodes ran into refused transitions: {sim.refusals}")
    sim.require(not sim.faults, f"honest nodes blamed each other: {sim.faults}")
    return sim
