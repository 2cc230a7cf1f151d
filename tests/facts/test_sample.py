"""Facts, inputs and messages that are wrong are noticed; a few are tried here and now."""

from __future__ import annotations

import os
import random
import subprocess
import sys

from tests.facts.ledger import known, reasons
from tests.facts.mutations import mutations

SAMPLE = 3


def test_each_mutation_is_noticed_or_survives_with_a_reason() -> None:
    """Catches a fact, a step or a message that came in without a test that would miss it.

    ``python -m tests.facts --left --update`` looks for the tests that notice what is new.
    """
    every, noticed, excused = set(mutations()), set(known()), set(reasons())
    assert sorted(every - noticed - excused) == [], "neither noticed nor excused"
    assert sorted((noticed | excused) - every) == [], "no such mutation any more"
    assert noticed & excused == set()


def test_a_few_are_noticed() -> None:
    """Catches a test that no longer notices what it noticed; other ones with each commit."""
    seed = int(os.environ.get("METANODE_SEED") or random.randrange(1 << 32))
    command = [sys.executable, "-m", "tests.facts", "--sample", str(SAMPLE), "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, f"{' '.join(command[1:])}\n{done.stdout}{done.stderr}"
