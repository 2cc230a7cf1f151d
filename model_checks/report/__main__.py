"""Write one offline HTML file with the protocol, the results, the findings and the limits."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from model_checks.console import Unusable
from model_checks.report import results
from model_checks.report.page import page

OUTPUT = Path("report.html")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = argparse.ArgumentParser(prog="python -m model_checks.report", description=__doc__)
    found.add_argument(
        "--results", type=Path, metavar="FILE", help="of check --json; without it, checks run now"
    )
    found.add_argument("--mutants", type=Path, metavar="FILE", help="of mutants --json")
    found.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report; returns the exit code: 0 written, 2 a file that cannot be used."""
    given = parser().parse_args(arguments)
    try:
        found = _now() if given.results is None else _read(given.results)
        scored: tuple[results.Mutant, ...] = ()
        if given.mutants is not None:
            scored = results.mutants(results.parsed(given.mutants), str(given.mutants))
        text = page(found, scored)
        try:
            given.output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise Unusable(f"{given.output}: {error.strerror}") from None
    except Unusable as error:
        sys.stderr.write(f"model_checks.report: {error}\n")
        return 2
    size = len(text.encode()) / 1024
    sys.stdout.write(f"{given.output}: {len(found.models)} models, {size:,.0f} KiB\n")
    return 0


def _read(path: Path) -> results.Results:
    return results.models(results.parsed(path), str(path))


def _now() -> results.Results:
    """Return the results of the fast tier, run now."""
    from model_checks import runner

    verdicts = []
    for verdict in runner.run(runner.Selection()):
        verdicts.append(verdict)
        sys.stderr.write(f"{' '.join(verdict.row())}\n")
    holds = all(verdict.as_expected for verdict in verdicts)
    told = {"holds": holds, "models": [v.as_json() for v in verdicts]}
    return results.models(told, "this run")


if __name__ == "__main__":
    sys.exit(main())
