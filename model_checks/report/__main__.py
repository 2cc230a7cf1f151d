"""Write the report: a folder of pages with the protocol, the evidence and its limits."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from model_checks.console import Unusable
from model_checks.report import results
from model_checks.report.pages import START, report

OUTPUT = Path("report")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = argparse.ArgumentParser(prog="python -m model_checks.report", description=__doc__)
    found.add_argument(
        "--results", type=Path, metavar="FILE", help="of check --json; without it, checks run now"
    )
    found.add_argument("--mutants", type=Path, metavar="FILE", help="of mutants --json")
    found.add_argument(
        "--output", type=Path, default=OUTPUT, metavar="FOLDER", help="is made if it is not there"
    )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report; returns the exit code: 0 written, 2 a file that cannot be used."""
    given = parser().parse_args(arguments)
    try:
        found = _now() if given.results is None else _read(given.results)
        scored: tuple[results.Mutant, ...] = ()
        if given.mutants is not None:
            scored = results.mutants(results.parsed(given.mutants), str(given.mutants))
        _write(given.output, report(found, scored))
    except Unusable as error:
        sys.stderr.write(f"model_checks.report: {error}\n")
        return 2
    sys.stdout.write(f"{given.output / START}: {len(found.models)} models\n")
    return 0


def _write(folder: Path, files: Mapping[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Unusable(f"{folder}: {error.strerror}") from None


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
