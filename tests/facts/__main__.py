"""``python -m tests.facts``: each mutation of facts, inputs and messages, and what notices it.

``noticed.json`` names, for each mutation, a test that goes red with it; ``survivors.toml`` names
those that nothing notices, with the reason; what stands in neither was not tried yet. Without
options every mutation is tried: with the test that is named, then with the fastest tests that touch
what is wrong; ``--update`` writes the first file anew. ``--sample N --seed S``
tries a few with the named test only, as CI does. Exit code 0: each is noticed, or a survivor with a
reason; 1: some are not.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.facts.ledger import NOTICED, known, reasons, write_noticed
from tests.facts.mutations import Mutation, mutations

ROOT = Path(__file__).resolve().parents[2]
WHERE = (
    "tests/protocol", "tests/misbehaviour/protocol", "tests/simulation", "tests/conformance",
    "tests/runtime/net", "tests/misbehaviour/runtime/net",
)
"""Where the node runs in the process of the test."""

WORKERS = 2
TESTS_AT_MOST = 40
SECONDS_AT_MOST = 1200
"""A test that hangs is red by pytest's own time limit; what takes longer than this says nothing."""
_RED = re.compile(r"^(?:FAILED|ERROR) (tests/\S+?\.py(?:::.*?)?)(?: - .*)?$", re.MULTILINE)


def _pytest(*arguments: str, seconds: int = SECONDS_AT_MOST) -> tuple[bool, str]:
    """Run tests in a process of their own; return whether all are green, and the first red one."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.facts.plugin", "--no-header",
               "-p", "no:cacheprovider", "-rfE", *arguments]
    tests = [argument for argument in arguments if not argument.startswith("-")]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        print(f"no answer in {seconds} s: {' '.join(arguments)[:200]}", flush=True)
        return True, ""
    found = _RED.search(done.stdout)
    return done.returncode == 0, found[1] if found else tests[0]


def first_noticing(mutation: Mutation, tests: list[str]) -> str:
    """Return the first of these tests that goes red, or nothing."""
    if not tests:
        return ""
    green, red = _pytest("-x", f"--mutation={mutation.name}", *tests)
    return "" if green else red


def touching() -> dict[str, list[str]]:
    """Return, by mark, the tests that touch it, the fast ones first."""
    found: dict[str, list[tuple[float, str]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        _pytest(f"--touched={folder}/touched", "-n", "2", *WHERE, seconds=3600)
        for file in Path(folder).iterdir():
            for line in file.read_text(encoding="utf-8").splitlines():
                record = json.loads(line)
                for mark in record["marks"]:
                    found[mark].append((record["seconds"], record["test"]))
    return {mark: [test for _, test in sorted(tests)] for mark, tests in found.items()}


def _try_all(chosen: list[Mutation], deep: bool) -> dict[str, str]:
    """Return, by mutation, the test that noticed it, or nothing."""
    ledger = known()

    def named(mutation: Mutation) -> str:
        test = ledger.get(mutation.name, "")
        return first_noticing(mutation, [test]) if test else ""

    with ThreadPoolExecutor(WORKERS) as pool:
        found = dict(zip([m.name for m in chosen], pool.map(named, chosen), strict=True))
        left = [m for m in chosen if not found[m.name]]
        if deep and left:
            print(f"{len(left)} to be looked for: noting what each test touches ...", flush=True)
            marks = touching()

            def sought(mutation: Mutation) -> str:
                tests = marks.get(mutation.mark, [])
                test = first_noticing(mutation, tests[:TESTS_AT_MOST])
                none = f"none of {len(tests)} tests" if tests else "no test comes there"
                print(f"{mutation.name}: {test or none}", flush=True)
                return test

            found |= zip([m.name for m in left], pool.map(sought, left), strict=True)
    return found


def main() -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.facts", description=__doc__)
    parser.add_argument("--sample", type=int, help="how many, by the tests that are named")
    parser.add_argument("--seed", type=int, help="which ones")
    parser.add_argument("--only", default="", help="those whose name has this in it")
    parser.add_argument("--left", action="store_true", help="those that neither file names")
    parser.add_argument("--update", action="store_true", help=f"write {NOTICED.name} anew")
    options = parser.parse_args()
    began, every = time.monotonic(), mutations()
    explained = {*known(), *reasons()} if options.left else ()
    chosen = [m for name, m in every.items() if options.only in name and name not in explained]
    if options.sample is not None:
        seed = options.seed if options.seed is not None else random.randrange(1 << 32)
        print(f"seed {seed}; again with: python -m tests.facts --sample {options.sample}"
              f" --seed {seed}")
        able = [m for m in chosen if m.name in known()]
        chosen = random.Random(seed).sample(able, min(options.sample, len(able)))
    found = _try_all(chosen, deep=options.sample is None)
    if options.update:
        write_noticed({**known(), **found}, every)
    excused = reasons()
    unnoticed = [name for name, test in found.items() if not test]
    for name in unnoticed:
        print(f"{'survives' if name in excused else 'NOT NOTICED'}: {name}")
    kinds = Counter(name.partition(" ")[0] for name in found)
    caught = Counter(name.partition(" ")[0] for name, test in found.items() if test)
    for kind, number in kinds.items():
        print(f"{kind:8} {caught[kind]:4} of {number:4} noticed")
    bad = [name for name in unnoticed if name not in excused]
    print(f"{len(found)} tried in {time.monotonic() - began:.0f} s, {len(found) - len(unnoticed)}"
          f" noticed, {len(unnoticed) - len(bad)} survive with a reason, {len(bad)} unexplained")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
