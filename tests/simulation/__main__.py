"""``python -m tests.simulation --seed 7`` replays one campaign; ``--seeds 1-50`` runs many."""

from __future__ import annotations

import argparse
import sys

from tests.simulation.campaign import campaign
from tests.simulation.simulator import SimulationFailure


def main() -> int:
    """Run the campaigns that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="one seed")
    parser.add_argument("--seeds", default="1-20", help="a range such as 1-50")
    parser.add_argument("--verbose", action="store_true", help="print what the nodes noted")
    chosen = parser.parse_args()
    first, _, last = chosen.seeds.partition("-")
    seeds = [chosen.seed] if chosen.seed is not None else range(int(first), int(last or first) + 1)
    failed = 0
    for seed in seeds:
        try:
            sim = campaign(seed)
        except SimulationFailure as fault:
            failed += 1
            print(f"seed {seed}: {fault}", file=sys.stderr)
            continue
        if chosen.verbose:
            for time, node, note in sim.notes:
                print(f"{time - sim.begin:8.3f} node {node} {dict(note)}")
        print(f"seed {seed}: settled after {sim.now - sim.begin:.1f} s, digest {sim.digest()[:16]}")
    return 1 if failed else 0


sys.exit(main())
