"""Which pages the report has, and what stands on each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from model_checks.report import outcomes, protocol_part
from model_checks.report.evidence import subjects
from model_checks.report.findings_part import Part
from model_checks.report.limits import limits
from model_checks.report.markup import Html
from model_checks.report.results import Mutant, Results
from model_checks.report.site import Page, files
from model_checks.report.start import start
from model_checks.report.subject import subject_page
from spec.language.assembly import Protocol
from spec.protocol import PROTOCOL

START = "index.html"
CONTENTS = (
    ("Start", START), ("Properties", "properties.html"), ("Findings", "findings.html"),
    ("Tables", "tables.html"), ("Cells and formulas", "cells.html"),
    ("Records and claims", "records.html"), ("Mutants", "mutants.html"), ("Limits", "limits.html"),
)


def report(
    results: Results, mutants: Sequence[Mutant] = (), protocol: Protocol = PROTOCOL
) -> dict[str, str]:
    """Return the files of the report by name."""
    rows = sum(len(machine.table.rows) for machine in protocol.machines.values())
    listed = [
        _page(START, "Metanode: what was checked", start(results, mutants, rows)),
        _page("properties.html", "Properties", outcomes.properties(results)),
        _page("findings.html", "Findings", Part(results).findings()),
        _page("tables.html", "Tables", protocol_part.tables(protocol)),
        _page("cells.html", "Cells and formulas", protocol_part.cells(protocol)),
        _page("records.html", "Records and claims", outcomes.others(results)),
        _page("mutants.html", "Mutants", outcomes.mutation(mutants)),
        _page("limits.html", "Limits", limits(results)),
    ]
    listed += [
        _page(f"table-{name}.html", f"Table {name}", protocol_part.table_of(machine))
        for name, machine in protocol.machines.items()
    ]
    listed += [
        _page(f"subject-{each.name}.html", each.title, subject_page(each, results))
        for each in subjects(results)
    ]
    return files(listed, CONTENTS)


def _page(file: str, title: str, parts: Iterable[Html]) -> Page:
    return Page(file, title, tuple(parts))
