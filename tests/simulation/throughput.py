"""``python -m tests.simulation.throughput --deposits 500``: many deposits in one block.

The chain has six confirmations and blocks that come long after the rounds, so that nothing may wait
for a payout to be mined: all deposits must be signed in as many rounds as payouts are needed, and a
few more.
"""

from __future__ import annotations

import argparse
import sys
import time

from attrs import evolve

from tests.simulation.simulator import Simulation, SimulationFailure, at_fees, with_key

CONFIRMATIONS = 6
SPARE_ROUNDS = 4


def sign_all(deposits: int, versions: int, seed: int = 1) -> tuple[Simulation, int]:
    """Sign the payouts of so many deposits of one block; return the network and the rounds."""

    def deep(sim: Simulation) -> None:
        at_fees(versions)(sim)
        for node in sim.nodes:
            node.settings = evolve(node.settings, confirmations=CONFIRMATIONS)

    sim = with_key(
        seed, begin_s=98.1, watch=deep,
        replay=f"python -m tests.simulation.throughput --deposits {deposits} --seed {seed}",
    )
    sim.run(0.3)
    while len(sim.users.deposits) < deposits:
        sim.deposit(1_000_000)
        if len(sim.users.deposits) % 10 == 0:
            sim.users.ledger.mempool.block_vbytes = 0  # they wait for one block
    sim.run(0.5)
    sim.users.ledger.mempool.block_vbytes = 1_000_000
    sim.users.mine(CONFIRMATIONS)
    sim.run(0.3)
    begun = sim.core(0).ctx.round_number()
    custody = sim.nodes[0].settings.custody
    needed = -(-deposits // custody.transfers_per_payout)
    period = sim.nodes[0].settings.preset.round_period_s
    sim.run_until(
        lambda: all(_signed(sim, number) == deposits for number in range(sim.members)),
        (needed + SPARE_ROUNDS) * period, f"{deposits} deposits are signed",
    )
    rounds = sim.core(0).ctx.round_number() - begun
    spent = [o for p in sim.core(0).payouts.payouts.values() for o in p.document.inputs]
    sim.require(len(spent) == len(set(spent)), "no coin is in two payouts")
    return sim, rounds


def _signed(sim: Simulation, number: int) -> int:
    return sum(len(p.document.transfers) for p in sim.core(number).payouts.payouts.values())


def main() -> int:
    """Run what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation.throughput", description=__doc__
    )
    parser.add_argument("--deposits", type=int, default=500)
    parser.add_argument("--versions", type=int, default=3, help="fees of each payout")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    begun = time.monotonic()
    try:
        sim, rounds = sign_all(chosen.deposits, chosen.versions, chosen.seed)
    except SimulationFailure as fault:
        print(fault, file=sys.stderr)
        return 1
    payouts = len(sim.core(0).payouts.payouts)
    print(f"{chosen.deposits} deposits in {payouts} payouts: signed within {rounds} rounds "
          f"({time.monotonic() - begun:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
