"""The page of all metrics, made from their catalogue: ``tools/gen`` writes or checks it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import metanode.runtime.operator as package
from metanode.runtime.operator.catalogue import METRICS, Metric

PAGE = Path(str(package.__file__)).with_name("METRICS.md")
HEAD = """# Metrics

Made by `tools/gen` from `catalogue.py`. The node serves them at `/metrics` of its admin port, to
whoever has the token of `admin.json`; `metanode status --metrics` prints them. Units are seconds,
bytes and ratios from 0 to 1; names end with the unit, and with `_total` what only grows. Beside
these there are the `process_...` metrics of the client library. [grafana.json](grafana.json) is a
dashboard of them.

| metric | kind | labels | what it says |
|---|---|---|---|
"""


def row(metric: Metric) -> str:
    """Return the line of a metric."""
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "-"
    values = f" ({metric.of})" if metric.of else ""
    return f"| `{metric.name}` | {metric.kind} | {labels}{values} | {metric.doc} |"


def page() -> str:
    """Return the whole page."""
    return HEAD + "\n".join(row(metric) for metric in METRICS) + "\n"


def main(arguments: Sequence[str] | None = None, place: Path = PAGE) -> int:
    """Write or check the page; 0 written or current, 1 stale."""
    parser = argparse.ArgumentParser(prog="tools/gen", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when stale")
    check = bool(parser.parse_args(arguments).check)
    if place.exists() and place.read_text(encoding="utf-8") == page():
        sys.stdout.write(f"{place.name}: the page is current\n")
        return 0
    if check:
        sys.stderr.write(f"{place.name}: the page is stale; run tools/gen\n")
        return 1
    place.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{place.name}: the page was written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
