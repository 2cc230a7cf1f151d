"""What the commands print: aligned tables, and how far a long search has come."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence

from model_checks.engines.explicit import Progress

QUIET_SECONDS = 2.0
"""A search that takes longer says how far it is, this often."""


class Unusable(Exception):
    """Bad input from the user: one line that names the cause; exit code 2."""


def write(lines: Iterable[str]) -> None:
    """Print lines at once, so that a long run shows what it has."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as aligned lines: numbers to the right, everything else to the left."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(map(_aligned, row, widths)).rstrip() for row in rows]


def _aligned(text: str, width: int) -> str:
    number = text.replace(",", "").replace(".", "").removesuffix(" s").isdigit()
    return text.rjust(width) if number else text.ljust(width)


class Watch:
    """Tells on standard error how far a search has come, every few seconds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.told = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """Take a report of the search."""
        now = time.monotonic()
        if now - self.told >= QUIET_SECONDS:
            self.told = now
            sys.stderr.write(
                f"… {self.name}: depth {progress.depth}, {progress.distinct:,} states, "
                f"{progress.seconds:.0f} s\n"
            )
            sys.stderr.flush()
