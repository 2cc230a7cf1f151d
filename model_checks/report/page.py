"""The whole page, part by part."""

from __future__ import annotations

from collections.abc import Sequence

from model_checks.report import outcomes, protocol_part
from model_checks.report.findings_part import Page
from model_checks.report.limits import limits
from model_checks.report.markup import Html, document, element, link
from model_checks.report.results import Mutant, Results
from model_checks.report.style import STYLE
from spec.language.assembly import Protocol
from spec.protocol import PROTOCOL

TITLE = "Metanode: the protocol and what was checked of it"
CONTENTS = (
    ("Properties", "properties"), ("Findings", "findings"), ("Models", "models"),
    ("Mutants", "mutation"), ("Limits", "limits"), ("Tables", "tables"),
    ("Cells and formulas", "cells"), ("Networks", "networks"),
    ("Other counterexamples", "counterexamples"),
)


def page(results: Results, mutants: Sequence[Mutant] = (), protocol: Protocol = PROTOCOL) -> str:
    """Return the report as one HTML document."""
    rows = sum(len(machine.table.rows) for machine in protocol.machines.values())
    head = element(
        "header",
        element("h1", TITLE),
        element(
            "p",
            f"{len(protocol.machines)} tables with {rows} rows, which the node runs;"
            f" {len(results.models)} models of them were checked. What the models leave"
            " out is told under ",
            link("Limits", "limits"),
            ".",
        ),
        *outcomes.summary(results, mutants),
        element("nav", *(link(name, target) for name, target in CONTENTS), class_="contents"),
    )
    findings = Page(results)
    parts: list[Html] = [
        *outcomes.properties(results), *findings.findings(), *outcomes.models(results),
        *outcomes.mutation(mutants), *limits(results), *protocol_part.tables(protocol),
        *protocol_part.cells(protocol), *protocol_part.networks(), *findings.others(),
    ]
    foot = element(
        "footer", "Written by python -m model_checks.report; it loads nothing and runs nothing."
    )
    return document(TITLE, STYLE, head, element("main", *parts), foot)
