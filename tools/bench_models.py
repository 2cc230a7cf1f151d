"""How fast are the model checks: `tools/bench models [--json FILE]`.

States a second of the explicit search, with and without symmetry, beside those of SPIN's
depth-first search of the same models, where spin and gcc are installed; the time of every proof for
every size. With symmetry a state is an orbit: one for all that differ in the names of peers and
digests.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from model_checks.console import table
from model_checks.engines.explicit import Explicit
from model_checks.engines.oracle import Instance
from model_checks.export import promela
from model_checks.models import PROOFS, signing, two_phase_commit
from model_checks.system import close

PEERS_AND_DIGESTS = ("Peer", "Digest")
TARGET = 3_000_000
"""States a second, on a machine where the numpy prototype of this engine reached four million."""
SPIN_RATIO = 4
"""How many times as many states a second as SPIN."""


def commit(managers: int) -> Instance:
    """Return two-phase commit."""
    return Instance(close(two_phase_commit.NETWORK), {"Manager": managers}, {})


def five_sign(attempts: int) -> Instance:
    """Return five signers, one of them a liar."""
    sizes = {"Peer": 5, "Event": 1, "Attempt": attempts, "Digest": 2, "Instance": 1}
    return Instance(close(signing.EAGER_LIARS), sizes, {"N": 5, "F": 1, "T": 4})


def search(name: str, build: Callable[[], Explicit], repeat: int) -> dict[str, Any]:
    """Return the best of several searches: states, and states a second."""
    best = None
    for _ in range(repeat):
        explicit = build()
        result = explicit.explore()
        if best is None or result.seconds < best.seconds:
            best = result
    if best is None:
        raise ValueError("repeat must be at least 1")
    return {
        "name": name,
        "distinct": best.distinct,
        "generated": best.generated,
        "depth": best.depth,
        "seconds": round(best.seconds, 3),
        "distinct_per_second": round(best.distinct / best.seconds),
        "generated_per_second": round(best.generated / best.seconds),
    }


def searches(managers: int, repeat: int) -> list[dict[str, Any]]:
    """Return the rows of the explicit search, each followed by SPIN's of the same model."""
    two_phase, two, three = commit(managers), five_sign(2), five_sign(3)
    name = f"two-phase commit, n = {managers}"
    return [
        *beside_spin(name, two_phase, "Manager", repeat),
        search(f"{name}, symmetry", lambda: Explicit(two_phase, ("Manager",), "Manager"), repeat),
        *beside_spin("signing, n = 5, 2 attempts", two, "Peer", repeat),
        search(
            "signing, n = 5, 2 attempts, symmetry",
            lambda: Explicit(two, PEERS_AND_DIGESTS),
            repeat,
        ),
        search(
            "signing, n = 5, 3 attempts, symmetry",
            lambda: Explicit(three, PEERS_AND_DIGESTS),
            repeat,
        ),
    ]


def beside_spin(
    name: str, instance: Instance, records: str, repeat: int
) -> Iterator[dict[str, Any]]:
    """Yield our row and SPIN's; raises ValueError if their counts differ."""
    ours = search(name, lambda: Explicit(instance, (), records), repeat)
    yield ours
    if promela.missing():
        return
    runs = []
    for _ in range(repeat):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(promela.verify(promela.model(instance, []), Path(folder), seconds=600))
    found = min(runs, key=lambda run: run.seconds)
    if found.states != ours["distinct"] + 1:
        raise ValueError(f"{name}: SPIN has {found.states} states, {ours['distinct']} + 1 expected")
    rate = found.states / found.seconds
    ours["times_spin"] = round(ours["distinct_per_second"] / rate, 1)
    yield {
        "name": f"{name}: SPIN, depth first",
        "distinct": found.states,
        "seconds": round(found.seconds, 3),
        "distinct_per_second": round(rate),
    }


def proofs() -> list[dict[str, Any]]:
    """Return the time of each proof, by both solvers and by z3 alone."""
    rows = []
    for case in PROOFS:
        began = time.perf_counter()
        proof = case.induction().prove(second_solver=False, examples=False)
        alone = time.perf_counter() - began
        began = time.perf_counter()
        both = case.induction().prove(examples=False)
        rows.append(
            {
                "name": case.name,
                "obligations": len(proof.findings),
                "proved": both.holds,
                "z3_seconds": round(alone, 2),
                "both_seconds": round(time.perf_counter() - began, 2),
            }
        )
    return rows


def main() -> int:
    """Measure, print the tables, and write them as JSON where asked to."""
    parser = argparse.ArgumentParser(prog="tools/bench models", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--managers", type=int, default=8, metavar="N")
    parser.add_argument("--repeat", type=int, default=3, metavar="N")
    arguments = parser.parse_args()
    rows = searches(arguments.managers, arguments.repeat)
    shown = [("search", "states", "generated", "time", "states/s", "generated/s", "SPIN ×")]
    for row in rows:
        numbers = (f"{row.get(key, 0):,}" for key in ("distinct", "generated"))
        rates = (f"{row.get(f'{key}_per_second', 0):,}" for key in ("distinct", "generated"))
        ratio = str(row.get("times_spin", ""))
        shown.append((row["name"], *numbers, f"{row['seconds']:.3f} s", *rates, ratio))
    print("\n".join(table(shown)))
    print(f"wanted: {TARGET:,} states/s without symmetry, {SPIN_RATIO} times SPIN's")
    if promela.missing():
        print(f"nothing to compare with: {promela.missing()}")
    proved = proofs()
    told = [("proof for every size", "obligations", "z3", "z3, cvc5", "proved")]
    for row in proved:
        times = (f"{row[key]:.2f} s" for key in ("z3_seconds", "both_seconds"))
        told.append((row["name"], str(row["obligations"]), *times, str(row["proved"])))
    print("\n".join(table(told)))
    total = sum(row["both_seconds"] for row in proved)
    print(f"all proofs, both solvers: {total:.1f} s")
    if arguments.json:
        measured = {"searches": rows, "proofs": proved}
        arguments.json.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
