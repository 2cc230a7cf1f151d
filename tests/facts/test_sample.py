"""Facts, inputs and messages that are wrong are noticed; a few are tried here and now."""

from __future__ import annotations

import os
import random
import subprocess
import sys

from tests.facts.ledger import known, reasons
from tests.facts.mutations import mutations

SAMPLE = 3


def test_the_ledger_names_what_there_is() -> None:
    """Catches a ledger that speaks of facts, steps and messages that are gone.

    What stands in neither file was not tried yet: ``python -m tests.facts`` tries it.
    """
    every, noticed, excused = set(mutations()), set(known()), set(reasons())
    assert (noticed | excused) - every == set()
    assert noticed & excused == set()
    assert noticed, "nothing was ever tried"


def test_a_few_are_noticed() -> None:
    """Catches a test that no longer notices what it noticed; other ones with each commit."""
    seed = int(os.environ.get("METANODE_SEED") or random.randrange(1 << 32))
    command = [sys.executable, "-m", "tests.facts", "--sample", str(SAMPLE), "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, f"{' '.join(command[1:])}\n{done.stdout}{done.stderr}"
