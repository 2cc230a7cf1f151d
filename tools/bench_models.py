"""How fast are the model checks: `tools/bench models [--json FILE]`.

States a second of the explicit search, with and without symmetry; the time of every proof for every
size. With ``--promela FILE``, and where SPIN is installed, its depth-first search of that model
stands in the same table.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from model_checks.console import table
from model_checks.engines.explicit import Explicit
from model_checks.engines.oracle import Instance
from model_checks.lemmas.cases import PROOFS
from model_checks.networks import signing, two_phase_commit
from model_checks.system import close

SIGNING_SIZES = {"Peer": 5, "Event": 1, "Attempt": 2, "Digest": 2, "Instance": 1}
SIGNING_CONSTANTS = {"N": 5, "F": 1, "T": 4}


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
    """Return the rows of the explicit search."""
    commit = Instance(close(two_phase_commit.NETWORK), {"Manager": managers}, {})
    five = Instance(close(signing.EAGER_LIARS), SIGNING_SIZES, SIGNING_CONSTANTS)
    return [
        search(
            f"two-phase commit, n = {managers}", lambda: Explicit(commit, (), "Manager"), repeat
        ),
        search(
            f"two-phase commit, n = {managers}, symmetry",
            lambda: Explicit(commit, ("Manager",), "Manager"),
            repeat,
        ),
        search("signing, n = 5", lambda: Explicit(five), 1),
        search("signing, n = 5, symmetry", lambda: Explicit(five, ("Peer", "Digest")), repeat),
    ]


def spin(model: Path | None) -> dict[str, Any] | None:
    """Return SPIN's row for a Promela file, or None without one or where SPIN is not installed."""
    if model is None or shutil.which("spin") is None or shutil.which("cc") is None:
        return None
    compiler = ["cc", "-O2", "-DSAFETY", "-DNOREDUCE", "-DMEMLIM=4096", "-o", "pan", "pan.c"]
    with tempfile.TemporaryDirectory() as folder:
        for command in (["spin", "-a", "-o2", str(model.resolve())], compiler):
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
        began = time.perf_counter()
        command = ["./pan", "-m1000000", "-w24"]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - began
    line = next(text for text in done.stdout.splitlines() if "states, stored" in text)
    distinct = int(float(line.split()[0]))
    return {
        "name": f"{model.stem}, SPIN depth first",
        "distinct": distinct,
        "seconds": round(seconds, 3),
        "distinct_per_second": round(distinct / seconds),
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
    parser.add_argument("--promela", type=Path, metavar="FILE", help="a model for spin")
    parser.add_argument("--managers", type=int, default=8, metavar="N")
    parser.add_argument("--repeat", type=int, default=3, metavar="N")
    arguments = parser.parse_args()
    rows = searches(arguments.managers, arguments.repeat)
    other = spin(arguments.promela)
    rows += [other] if other else []
    shown = [("search", "states", "generated", "time", "states/s", "generated/s")]
    for row in rows:
        numbers = (f"{row.get(key, 0):,}" for key in ("distinct", "generated"))
        rates = (f"{row.get(f'{key}_per_second', 0):,}" for key in ("distinct", "generated"))
        shown.append((row["name"], *numbers, f"{row['seconds']:.3f} s", *rates))
    print("\n".join(table(shown)))
    if other is None:
        print("nothing to compare with: no --promela FILE, or spin is not installed")
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
