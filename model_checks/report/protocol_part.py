"""The protocol as the report shows it: tables with their charts, cells, formulas, networks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from model_checks.report.evidence import rows_idle, rows_run
from model_checks.report.markup import (
    Html,
    anchor,
    element,
    fold,
    join,
    lines,
    link,
    row,
    scroll,
    table,
)
from model_checks.report.state_chart import chart
from model_checks.system import Network
from spec.findings import FINDINGS
from spec.language.assembly import Machine, Protocol
from spec.language.declarations import Cell, Enum, Opt, Range, Seq
from spec.language.shape import everywhere
from spec.protocol import PROTOCOL

ROW_HEADINGS = ("row", "from", "event", "only if", "then", "to", "why", "runs in")
CELL_HEADINGS = ("cell", "values", "first", "kept", "meaning")
FORMULA_HEADINGS = ("formula", "stands for", "meaning")
MOVE_HEADINGS = ("move", "only if", "then", "why")
ASKED_HEADINGS = ("asked", "kind", "formula", "meaning")


def reference(cell: Cell) -> str:
    """Return the cell with the sorts that it is indexed by."""
    return f"{cell.name}[{', '.join(cell.index)}]" if cell.index else cell.name


def values(cell: Cell) -> str:
    """Return what the cell may hold."""
    if isinstance(cell.type, Enum):
        return ", ".join(cell.type.values)
    if isinstance(cell.type, Range | Seq):
        return str(cell.type)
    return f"{cell.type.sort} or none" if isinstance(cell.type, Opt) else cell.type


def tables(protocol: Protocol) -> Iterator[Html]:
    """Yield the list of the tables; each has a page of its own."""
    yield element("h1", "Tables", id="tables")
    items = (
        element("li", link(name, anchor("table", name)), f": {machine.table.doc}")
        for name, machine in protocol.machines.items()
    )
    yield element("ul", *items)


def table_of(machine: Machine) -> Iterator[Html]:
    """Yield one table with its chart."""
    name = machine.table.name
    yield element("h1", f"Table {name}: ", element("code", machine.table.cell),
                  id=anchor("table", name))
    yield element("p", machine.table.doc)
    yield element(
        "p",
        "Every row that a node may run; a state and an event without a row change nothing. In the"
        " chart, each arrow is a row, or several between the same two states: hover for the"
        " reason, follow the link for the row. The state with the thick frame is the first one.",
        class_="soft",
    )
    if name not in PROTOCOL.machines:
        yield element("p", element("b", "The node does not run this table yet."))
    yield scroll(chart(machine), f"chart of {name}")
    notes = []
    if everywhere(machine):
        notes.append(f"In every state, and without leaving it: {', '.join(everywhere(machine))}.")
    if machine.cell.kept == "memory":
        notes.append(f"A crash leads from any state to {machine.first}.")
    if notes:
        yield element("p", " ".join(notes), class_="soft")
    yield table(ROW_HEADINGS, _rows(machine), "cards rows")


def _rows(machine: Machine) -> Iterator[Html]:
    for number, each in enumerate(machine.table.rows, start=1):
        sources = each.source if isinstance(each.source, tuple) else (each.source,)
        cells = (
            str(number), lines(sources), element("code", each.event), lines(each.only_if),
            lines(_effects(each.then)), element("code", each.target), with_findings(each.why),
            _run_in(machine.table.name, number),
        )
        yield row(ROW_HEADINGS, cells, id=anchor("row", machine.table.name, str(number)))


def _run_in(name: str, number: int) -> Html:
    """Return the networks in which a row runs."""
    names = rows_run().get((name, number), ())
    if not names:
        said = "nothing to change" if (name, number) in rows_idle() else "in no network"
        return element("span", said, class_="weak")
    return join((link(each, anchor("network", each)) for each in names), ", ")


def with_findings(text: str) -> Html:
    """Return text in which the number of a finding leads to it."""
    parts = re.split(r"\b(F-\d\d)\b", text)
    known = {finding.id for finding in FINDINGS}
    return join(link(part, part) if part in known else part for part in parts)


def _effects(then: Mapping[str, str]) -> Iterable[str]:
    return (f"{reference} := {value}" for reference, value in then.items())


def cells(protocol: Protocol) -> Iterator[Html]:
    """Yield the cells and the formulas that rows speak of."""
    yield element("h1", "Cells and formulas", id="cells")
    yield element(
        "p",
        element("span", "", id="crash"),
        "Where a cell is kept decides what a crash does to it: memory goes back to its first value,"
        " disk stays. What is on the network was signed by its first index; what is given, a node"
        " finds out outside the tables; a ghost is for the properties and no row asks for it.",
    )
    yield table(
        CELL_HEADINGS,
        (
            row(
                CELL_HEADINGS,
                (element("code", reference(c)), values(c), element("code", c.first), c.kept, c.doc),
                id=anchor("cell", c.name),
            )
            for c in protocol.cells.values()
        ),
    )
    yield table(
        FORMULA_HEADINGS,
        (
            row(
                FORMULA_HEADINGS,
                (element("code", d.signature), element("code", d.text), d.doc),
                id=anchor("formula", d.name),
            )
            for d in protocol.names.definitions.values()
        ),
    )


def network_of(network: Network) -> Html:
    """Return a network: who else moves, and what is asked."""
    title = join((element("code", network.name), f": {network.doc}"))
    parts = [table(ASKED_HEADINGS, _asked(network))]
    if findings := re.findall(r"\bF-\d\d\b", network.doc):
        parts.insert(0, element("p", "About ", with_findings(", ".join(findings)), "."))
    if network.moves:
        parts.append(table(MOVE_HEADINGS, _moves(network)))
    if network.without:
        left_out = (f"{where}: {text}" for where, text in network.without)
        parts.append(element("p", "Left out: ", join(map(_code, left_out), ", ")))
    return fold(title, anchor("network", network.name), *parts, folded=True)


def _code(text: str) -> Html:
    return element("code", text)


def _asked(network: Network) -> Iterator[Html]:
    for prop in network.properties:
        yield row(
            ASKED_HEADINGS, (prop.name, prop.kind.replace("_", " "), _code(prop.text), prop.doc)
        )


def _moves(network: Network) -> Iterator[Html]:
    for move in network.moves:
        name = move.event.partition("(")[0].strip()
        cells = (
            _code(move.event), lines(move.only_if), lines(_effects(move.then)),
            with_findings(move.why),
        )
        yield row(MOVE_HEADINGS, cells, id=anchor("move", network.name, name))
