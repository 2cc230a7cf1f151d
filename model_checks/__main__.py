"""``python -m model_checks check``: is every table well formed? Exit code 0 yes, 1 no, 2 misuse."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from model_checks.tables import Report, check_protocol
from spec.assembly import Protocol
from spec.protocol import PROTOCOL


def lines(protocol: Protocol) -> tuple[list[str], bool]:
    """Return what to print about a protocol, and whether all is well."""
    reports, faults = check_protocol(protocol)
    printed = [_row("table", "states", "rows", "events", "undefined", "verdict")]
    for report in reports:
        printed.append(_line(report))
        printed += [f"  {fault}" for fault in report.faults]
    printed += faults
    return printed, not faults and not any(report.faults for report in reports)


def _line(report: Report) -> str:
    numbers = (report.states, report.rows, report.events, report.undefined)
    return _row(report.table, *(str(number) for number in numbers), report.verdict)


def _row(table: str, *cells: str) -> str:
    return f"{table:<12}" + "".join(f"{cell:>11}" for cell in cells[:-1]) + f"   {cells[-1]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m model_checks", description=__doc__)
    parser.add_argument("command", choices=["check"], help="check: are the tables well formed")
    parser.parse_args(arguments)
    printed, well = lines(PROTOCOL)
    sys.stdout.write("\n".join(printed) + "\n")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
