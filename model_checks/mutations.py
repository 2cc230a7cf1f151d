"""Every small way to break the tables, as data in memory: the mutants that the checks must notice.

A mutant changes one thing: a conjunct dropped, negated, loosened or tightened, a name of a state
replaced by the next one, an effect dropped, changed or sent elsewhere, a target changed, a row or
one of its sources dropped, a first value changed, a cell kept elsewhere.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Iterator
from typing import TypeVar

from attrs import evolve, frozen

from spec.language.assembly import Protocol, assemble
from spec.language.declarations import (
    SAME,
    Cell,
    Definition,
    Enum,
    Opt,
    Row,
    Table,
    parse_signature,
)
from spec.names import SORTS
from spec.parameters import CONSTANTS
from spec.protocol import PROTOCOL

_Item = TypeVar("_Item")

DROPPED = "guard dropped"
"""The kind of a mutant that lacks one conjunct of a guard and nothing else."""


@frozen
class Source:
    """The protocol as it is written, before it is assembled."""

    cells: tuple[Cell, ...]
    tables: tuple[Table, ...]
    definitions: tuple[Definition, ...]

    def assemble(self) -> Protocol:
        """Return the protocol; raises :class:`~spec.language.declarations.SpecError`."""
        return assemble(
            sorts=SORTS, cells=self.cells, tables=self.tables, definitions=self.definitions,
            constants=CONSTANTS,
        )


ORIGINAL = Source(
    tuple(PROTOCOL.cells.values()),
    tuple(machine.table for machine in PROTOCOL.machines.values()),
    tuple(PROTOCOL.names.definitions.values()),
)
"""The protocol as it stands."""


@frozen
class Mutant:
    """One change: where, of which kind, and the protocol with it."""

    name: str
    kind: str
    source: Source


def mutants(source: Source = ORIGINAL) -> Iterator[Mutant]:
    """Yield every mutant, in a fixed order."""
    yield from _of_cells(source)
    yield from _of_definitions(source)
    for number, table in enumerate(source.tables):
        for place, row in enumerate(table.rows):
            where = f"{table.name}, row {place + 1} ({_first(row.source)} -{_event(row)}->)"
            for kind, what, changed in _of_row(source, table, row):
                rows = (*table.rows[:place], *changed, *table.rows[place + 1 :])
                tables = _replaced(source.tables, number, evolve(table, rows=rows))
                yield Mutant(f"{where}: {what}", kind, evolve(source, tables=tables))


def _of_cells(source: Source) -> Iterator[Mutant]:
    weaker = {"disk": "memory", "memory": "disk", "network": "memory"}
    for place, cell in enumerate(source.cells):
        if cell.kept in weaker:
            kept = weaker[cell.kept]
            changed = _replaced(source.cells, place, evolve(cell, kept=kept))
            name = f"cell {cell.name}: kept {cell.kept} becomes {kept}"
            yield Mutant(name, "kept", evolve(source, cells=changed))
        first = _other_value(cell, cell.first)
        if cell.kept != "given" and first is not None:
            changed = _replaced(source.cells, place, evolve(cell, first=first))
            name = f"cell {cell.name}: first value {cell.first} becomes {first}"
            yield Mutant(name, "first value", evolve(source, cells=changed))


def _other_value(cell: Cell, value: str) -> str | None:
    if isinstance(cell.type, Enum):
        return _next(cell.type.values, value)
    if cell.type == "bool":
        return {"True": "False", "False": "True"}.get(value)
    return "none" if isinstance(cell.type, Opt) and value != "none" else None


def _next(values: tuple[str, ...], value: str) -> str | None:
    return values[(values.index(value) + 1) % len(values)] if value in values else None


def _of_definitions(source: Source) -> Iterator[Mutant]:
    for place, definition in enumerate(source.definitions):
        texts = [("negate", f"not ({definition.text})"), *_inside(source, definition.text)]
        for what, text in texts:
            changed = _replaced(source.definitions, place, evolve(definition, text=text))
            name = f"definition {definition.name}: {what}"
            yield Mutant(name, "definition", evolve(source, definitions=changed))


def _of_row(source: Source, table: Table, row: Row) -> Iterator[tuple[str, str, tuple[Row, ...]]]:
    """Yield kind, name and the rows that take the place of the row."""
    yield "row", "drop the row", ()
    if isinstance(row.source, tuple):
        for state in row.source:
            rest = tuple(other for other in row.source if other != state)
            yield "source", f"not out of {state}", (evolve(row, source=rest),)
    for place, text in enumerate(row.only_if):
        rest = (*row.only_if[:place], *row.only_if[place + 1 :])
        yield DROPPED, f"drop {text!r}", (evolve(row, only_if=rest),)
        for what, changed in [(f"negate {text!r}", f"not ({text})"), *_inside(source, text)]:
            guards = _replaced(row.only_if, place, changed)
            yield "guard", what, (evolve(row, only_if=guards),)
    yield from _of_effects(source, row)
    yield from _of_target(source, table, row)


def _of_effects(source: Source, row: Row) -> Iterator[tuple[str, str, tuple[Row, ...]]]:
    cells = {cell.name: cell for cell in source.cells}
    parameters = parse_signature(row.event)[1]
    for reference, value in row.then.items():
        rest = {key: text for key, text in row.then.items() if key != reference}
        yield "effect", f"drop {reference} := {value}", (evolve(row, then=rest),)
        cell = cells[reference.partition("[")[0].strip()]
        other = _other_value(cell, value)
        if other is not None:
            changed = {**row.then, reference: other}
            yield "effect", f"{reference} := {other}", (evolve(row, then=changed),)
        for old, sort in parameters.items():
            for new in (p for p, other in parameters.items() if other == sort and p != old):
                elsewhere = _renamed(reference, old, new)
                if elsewhere != reference and elsewhere not in row.then:
                    changed = {**rest, elsewhere: value}
                    yield "effect", f"{elsewhere} := {value}", (evolve(row, then=changed),)


def _of_target(
    source: Source, table: Table, row: Row
) -> Iterator[tuple[str, str, tuple[Row, ...]]]:
    name = table.cell.partition("[")[0].strip()
    kind = next(cell.type for cell in source.cells if cell.name == name)
    if not isinstance(kind, Enum):
        return
    if row.target not in (SAME, row.source):
        yield "target", "stay", (evolve(row, target=SAME),)
    now = _first(row.source) if row.target == SAME else row.target
    target = _next(kind.values, now) or kind.values[0]
    if target != row.target:
        yield "target", f"go to {target}", (evolve(row, target=target),)


def _inside(source: Source, text: str) -> list[tuple[str, str]]:
    """Return what becomes of a formula when one part of it is changed, each with its name."""
    enums = {v: c.type.values for c in source.cells if isinstance(c.type, Enum)
             for v in c.type.values}
    tree = ast.parse(text, mode="eval")
    found: dict[str, str] = {}
    for number, node in enumerate(ast.walk(tree)):
        for what, change in _changes(node, enums):
            mutated = copy.deepcopy(tree)
            target = next(n for place, n in enumerate(ast.walk(mutated)) if place == number)
            change(target)
            found.setdefault(ast.unparse(mutated), f"{what} in {text!r}")
    found.pop(ast.unparse(tree), None)
    return [(what, changed) for changed, what in found.items()]


def _changes(node: ast.AST, enums: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, _Change]]:
    swapped: dict[type[ast.cmpop], type[ast.cmpop]] = {
        ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    }
    if isinstance(node, ast.BoolOp):
        for place, value in enumerate(node.values):
            yield f"drop {ast.unparse(value)!r}", _Drop(place)
    elif isinstance(node, ast.Compare):
        new = swapped.get(type(node.ops[0]))
        if new is not None:
            yield f"{ast.unparse(node)!r} with {new.__name__}", _Operator(new)
        if isinstance(node.ops[0], ast.GtE):
            yield f"{ast.unparse(node)!r} with one fewer", _Fewer()
    elif isinstance(node, ast.Name) and node.id in enums:
        other = _next(enums[node.id], node.id) or node.id
        yield f"{node.id} becomes {other}", _Name(other)


class _Change:
    def __call__(self, node: ast.AST) -> None:
        """Change a node in place."""


@frozen
class _Drop(_Change):
    place: int

    def __call__(self, node: ast.AST) -> None:
        if isinstance(node, ast.BoolOp):
            del node.values[self.place]
            if len(node.values) == 1:  # "x and x" is x, and stays a Boolean operation
                node.values.append(node.values[0])


@frozen
class _Operator(_Change):
    new: type[ast.cmpop]

    def __call__(self, node: ast.AST) -> None:
        if isinstance(node, ast.Compare):
            node.ops = [self.new()]


@frozen
class _Fewer(_Change):
    def __call__(self, node: ast.AST) -> None:
        if isinstance(node, ast.Compare):
            node.comparators = [ast.BinOp(node.comparators[0], ast.Sub(), ast.Constant(1))]


@frozen
class _Name(_Change):
    value: str

    def __call__(self, node: ast.AST) -> None:
        if isinstance(node, ast.Name):
            node.id = self.value


def _renamed(reference: str, old: str, new: str) -> str:
    head, bracket, inside = reference.partition("[")
    parts = [part.strip() for part in inside.rstrip("]").split(",")]
    return head + bracket + ", ".join(new if part == old else part for part in parts) + "]"


def _replaced(items: Iterable[_Item], place: int, item: _Item) -> tuple[_Item, ...]:
    return tuple(item if number == place else old for number, old in enumerate(items))


def _first(source: str | tuple[str, ...]) -> str:
    return source if isinstance(source, str) else source[0]


def _event(row: Row) -> str:
    return parse_signature(row.event)[0]
