"""``python -m tests.simulation.reorganisations --seeds 1-200``: the chain changes its mind, at the
worst moments and as deep as twelve confirmations.

Each seed draws the moment, the depth, who is restarted meanwhile, what the mempools forget, and
which depositors take their money back on the new branch. Whatever happens, everything that is still
in the chain is settled in the end, once; and so is a deposit that is made afterwards.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable

from tests.simulation.simulator import Simulation, SimulationFailure, at_fees, with_key

DEEPEST = 12
LIMIT_S = 60.0
MOMENTS = ("deposit.confirmed", "round.proposed", "round.signing", "payout.signed", "mined",
           "payout.final")


def reorganised(
    seed: int, watch: Callable[[Simulation], None] = lambda _sim: None
) -> tuple[Simulation, dict[str, object]]:
    """Run one seed to its end; return the network and what was drawn."""
    dice = random.Random(f"reorganisation {seed}")
    command = f"python -m tests.simulation.reorganisations --seed {seed}"

    def begin(sim: Simulation) -> None:
        at_fees(3)(sim)
        watch(sim)

    sim = with_key(seed, begin_s=98.1, watch=begin, replay=command)
    drawn: dict[str, object] = {
        "moment": dice.choice(MOMENTS), "depth": dice.randrange(1, DEEPEST + 1),
        "restarts": dice.randrange(0, 3), "forgotten": dice.random() < 0.6,
    }
    sim.run(0.3)
    for _ in range(dice.randrange(1, 4)):
        sim.deposit(dice.randrange(60_000, 5_000_000), dice.choice(("release", "refund")))
        if dice.random() < 0.5:
            sim.run(0.4)
            sim.users.mine()
    sim.run(0.4)
    sim.users.mine()
    _wait(sim, str(drawn["moment"]))
    drawn["taken_back"] = _fork(sim, dice, int(str(drawn["depth"])), bool(drawn["forgotten"]))
    for number in dice.sample(range(sim.members), int(str(drawn["restarts"]))):
        sim.crash(number)
        sim.after(dice.uniform(0.1, 3.0), lambda n=number: sim.start(n))
    sim.mine_every(0.4)
    sim.run(4.0)
    later = sim.deposit(900_000)
    sim.settle(LIMIT_S)
    sim.require(sim.users.is_settled(later), "a deposit after the reorganisation is settled")
    sim.require(not sim.refusals, f"honest nodes ran into refused transitions: {sim.refusals}")
    sim.require(not sim.faults, f"honest nodes blamed each other: {sim.faults}")
    return sim, drawn


def _wait(sim: Simulation, moment: str) -> None:
    """Run until the moment, mining only where the moment needs it."""
    noted = "payout.signed" if moment == "mined" else moment
    if noted == "payout.final":
        sim.run_until(lambda: bool(sim.noted("payout.signed")), 12.0, "a payout is signed")
        sim.run(0.2)
        sim.users.mine(2)
    sim.run_until(lambda: bool(sim.noted(noted)), 12.0, f"{noted} is noted")
    if moment == "mined":
        sim.run(0.2)
        sim.users.mine()


def _fork(sim: Simulation, dice: random.Random, depth: int, forgotten: bool) -> int:
    """Set blocks aside and mine another branch that is longer; return how many take back."""
    ledger, taken = sim.users.ledger, 0
    active = ledger.tree.active
    depth = min(depth, len(active) - 2)
    ledger.invalidate(active[-depth].hash)
    loose = [d for d in sim.users.deposits if d.outpoint.txid in ledger.mempool.entries]
    back = [deposit for deposit in loose if dice.random() < 0.5]
    gone = {deposit.outpoint.txid for deposit in (loose if forgotten else back)}
    for number in range(sim.members):
        gone |= {t for p in sim.core(number).payouts.payouts.values() for t in p.document.txids}
    for txid in gone:
        ledger.mempool.forget(txid)
    for deposit in loose:
        if deposit in back:
            sim.users.take_back(deposit)
            taken += 1
        elif deposit.outpoint.txid not in ledger.mempool.entries:
            sim.users.send_again(deposit)
    sim.users.mine(depth + 1)
    return taken


def main() -> int:
    """Run the seeds that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation.reorganisations", description=__doc__
    )
    parser.add_argument("--seed", type=int, help="one seed")
    parser.add_argument("--seeds", default="1-50", help="a range such as 1-200")
    chosen = parser.parse_args()
    first, _, last = chosen.seeds.partition("-")
    seeds = [chosen.seed] if chosen.seed is not None else range(int(first), int(last or first) + 1)
    failed, moments, taken = 0, Counter[str](), 0
    for seed in seeds:
        try:
            sim, drawn = reorganised(seed)
        except SimulationFailure as fault:
            failed += 1
            print(f"seed {seed}: {fault}", file=sys.stderr, flush=True)
            continue
        moments[str(drawn["moment"])] += 1
        taken += int(str(drawn["taken_back"]))
        print(f"seed {seed}: {drawn}, settled after {sim.now - sim.begin:.1f} s", flush=True)
    print(f"{len(seeds)} seeds, {failed} failed; {dict(moments)}; {taken} deposits taken back")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
