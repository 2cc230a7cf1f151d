"""What a node keeps resident: the libraries that it must not load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEPT_OUT = {
    # libraries of the command line, of tests and of trials
    "httpx", "rich", "pygments", "click", "metanode.cli", "metanode.devnet",
    # parts of the standard library that only programs for people, or tests, need
    "unittest", "multiprocessing", "pydoc", "doctest", "sqlite3.dump", "tkinter", "pdb",
    # parts of numpy that work with secrets has no use for; numpy loads them when they are named
    "numpy.random", "numpy.fft", "numpy.ma", "numpy.polynomial", "numpy.testing", "numpy.f2py",
}


def test_a_node_loads_no_console_and_no_second_client() -> None:
    """Catches an import that costs every node megabytes for what only the command line shows."""
    probe = (
        "import sys, metanode.runtime.node, anyio._backends._trio, sqlalchemy.dialects.sqlite; "
        f"print(sorted({KEPT_OUT!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_logs_leave_rich_to_who_asks_for_it() -> None:
    """Catches a program that shows a table and finds rich missing, because a node's logs keep it
    out of their own imports.
    """
    probe = (
        "import rich.console, metanode.runtime.operator.logs, rich.table, sys; "
        "print(sys.modules['rich'] is rich)"
    )
    before = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True
    )
    after = subprocess.run(
        [sys.executable, "-c", "import metanode.runtime.operator.logs, rich.table; print(True)"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )
    assert (before.stdout, after.stdout) == ("True\n", "True\n")
