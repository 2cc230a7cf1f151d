"""What the page is told: states as tables, steps, rows; and how a question is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from typing import Protocol as Interface

from attrs import frozen

from model_checks.engines.oracle import Slot
from model_checks.traces import Change, place, written
from spec.language.assembly import Rule
from spec.language.declarations import Cell
from spec.language.interpreter import Value

Answer = dict[str, Any]
_NAME = re.compile(r"\w+[(\[]?")
WINDOW = 200
"""Steps that are told at a time, with the place of the run in the middle."""
MAX_TABLE_ROWS = 60
"""Rows of one cell's table; of a node's trace, which may have touched more, the last ones."""


class Refused(ValueError):
    """A question that cannot be answered: one line that says why."""


class View(Interface):
    """Answers the questions of the page."""

    def about(self) -> Answer:
        """Return what never changes: the title, the rows, what can be chosen."""

    def at(self, question: Mapping[str, Any]) -> Answer:
        """Return a place of a run; raises :class:`Refused`."""

    def checks(self) -> Answer:
        """Return the runs that the checks have found; raises :class:`Refused`."""


def whole_number(question: Mapping[str, Any], name: str, limit: int) -> int:
    """Return a number of a question, from 0 to ``limit``; raises :class:`Refused`."""
    number = question.get(name, 0)
    if type(number) is not int or not 0 <= number <= limit:
        raise Refused(f"{name} is a number from 0 to {limit}")
    return number


@frozen
class Held:
    """One place of a state: a cell at an index, its value, and what it was before the last step."""

    slot: Slot
    value: Value
    changed: Change | None = None


def _label(sort: str, value: Value) -> str:
    return f"{sort} {written(value)}"


def tables(
    held: Iterable[Held], cells: Mapping[str, Cell], label: Callable[[str, Value], str] = _label,
    order: Sequence[str] = (),
) -> list[Answer]:
    """Return a state as tables; ``label`` names an individual of a sort, ``order`` has columns.

    A column for each individual of the first index. Cells with no other index share a table, a row
    for each cell; any other cell has its own, a row for what else it is indexed by.
    """
    found: dict[str, dict[str, dict[str, Held]]] = {}
    columns: dict[str, list[str]] = {}
    for each in held:
        name, index = each.slot
        sorts = cells[name].index
        labels = [label(s, value) for s, value in zip(sorts, index, strict=True)]
        title = name if len(index) > 1 else (sorts[0] if sorts else "")
        row = ", ".join(labels[1:]) if len(index) > 1 else name
        column = labels[0] if labels else "value"
        found.setdefault(title, {}).setdefault(row, {})[column] = each
        if column not in columns.setdefault(title, []):
            columns[title].append(column)
    for listed in columns.values():
        listed.sort(key=lambda column: order.index(column) if column in order else len(order))
    titles = sorted(found, key=lambda title: title in cells)  # those with one index come first
    return [_table(title, columns[title], found[title], cells) for title in titles]


def _table(
    title: str, columns: Sequence[str], rows: Mapping[str, Mapping[str, Held]],
    cells: Mapping[str, Cell],
) -> Answer:
    shown = list(rows.items())[-MAX_TABLE_ROWS:]
    return {
        "title": title,
        "doc": cells[title].doc if title in cells else "",
        "left": len(rows) - len(shown),
        "columns": list(columns),
        "rows": [
            {
                "label": label,
                "doc": cells[label].doc if label in cells else "",
                "cells": [_cell(row.get(column)) for column in columns],
            }
            for label, row in shown
        ],
    }


def _cell(held: Held | None) -> Answer:
    if held is None:
        return {"value": ""}
    told: Answer = {"value": written(held.value)}
    if held.changed is not None:
        told["was"] = written(held.changed.before)
    return told


def told_changes(changes: Iterable[Change]) -> list[Answer]:
    """Return what a step changed."""
    return [
        {"cell": place(c.slot), "before": written(c.before), "after": written(c.after)}
        for c in changes
    ]


def meanings(texts: Iterable[str], *meant: Iterable[tuple[str, str]]) -> list[str]:
    """Return what the names in some texts stand for, and the names in these, each once.

    ``meant`` are signatures or references, each with its text; later ones replace earlier ones.
    """
    # A value of an enum may have the name of a formula: the bracket tells them apart.
    lines = {
        _NAME.findall(left)[0]: (f"{left} := {right}", right) for part in meant
        for left, right in part
    }
    found: dict[str, str] = {}
    waiting = list(texts)
    for text in waiting:
        for name in _NAME.findall(text):
            if name in lines and name not in found:
                found[name], right = lines[name]
                waiting.append(right)
    return list(found.values())


def row_of(rule: Rule) -> Answer:
    """Return a row of a table as it stands there."""
    return {
        "where": f"table {rule.table}, row {rule.number}",
        "moves": f"{rule.source} -> {rule.target}",
        "event": rule.row.event,
        "guards": list(rule.row.only_if),
        "effects": [f"{cell} := {value}" for cell, value in rule.row.then.items()],
        "why": rule.row.why,
    }


def around(position: int, total: int) -> tuple[int, int]:
    """Return the steps to tell, from and to: a window with the place of the run in it."""
    first = max(0, min(position - WINDOW // 2, total - WINDOW))
    return first, min(total, first + WINDOW)
