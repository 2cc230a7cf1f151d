"""Assembling a protocol: every table parsed, every name resolved, every type checked.

``assemble`` takes the plain data of ``declarations.py`` and returns a :class:`Protocol` whose rows
carry typed guards and effects. It refuses, with the table and the row named: unknown names,
ill-typed texts, guards that read a ghost, effects on given facts or on another table's state, two
effects on one cell, one event with two signatures, states that do not exist, rows without a reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

from attrs import field, frozen

from spec.language.cells import bounds, first_value
from spec.language.declarations import (
    ANY,
    SAME,
    Cell,
    Definition,
    Enum,
    Range,
    Row,
    Sort,
    SpecError,
    Table,
    parse_signature,
)
from spec.language.expressions import Names, Parser, cell_type
from spec.language.ir import (
    Among,
    And,
    Implies,
    Literal,
    Node,
    Not,
    Or,
    Quantified,
    Read,
    Type,
    Variable,
    sort_type,
)

_Named = TypeVar("_Named", Sort, Cell, Definition, Enum)


@frozen
class Effect:
    """``cell[index] := value``, both read before the row."""

    cell: Cell
    index: tuple[Node, ...]
    value: Node


@frozen
class Guard:
    """One conjunct: its text, as the auditor reads it, and its typed form."""

    text: str
    formula: Node


@frozen
class Rule:
    """One row for one source state, ready to be run: ``row`` is the text it came from."""

    table: str
    source: str
    event: str
    target: str
    parameters: Mapping[str, str]
    guards: tuple[Guard, ...]
    effects: tuple[Effect, ...]
    row: Row = field(repr=False)
    number: int = 0

    @property
    def name(self) -> str:
        """Unique in the protocol: table, source, event, target."""
        return f"{self.table}: {self.source} -{self.event}-> {self.target}"


@frozen
class Machine:
    """A table with its state cell, its states and its rules, in the order of the table."""

    table: Table
    cell: Cell
    subject: tuple[str, ...]
    states: tuple[str, ...]
    rules: tuple[Rule, ...]
    signatures: Mapping[str, Mapping[str, str]]

    @property
    def first(self) -> str:
        """The state of a record that nobody has touched."""
        return self.cell.first

    def rules_for(self, state: str, event: str) -> tuple[Rule, ...]:
        """The rules of a pair; empty when the pair is undefined, which is a protocol error."""
        return tuple(r for r in self.rules if r.source == state and r.event == event)


@frozen
class Protocol:
    """A whole protocol: names, machines by table name, cells by name."""

    names: Names
    machines: Mapping[str, Machine]

    @property
    def cells(self) -> Mapping[str, Cell]:
        """Every cell by name."""
        return self.names.cells

    def lost_in_a_crash(self) -> tuple[Cell, ...]:
        """The cells that a crash of their peer resets: derived from ``kept`` and nothing else."""
        return tuple(c for c in self.cells.values() if c.kept == "memory")


def assemble(
    *,
    sorts: Iterable[Sort],
    cells: Iterable[Cell],
    tables: Iterable[Table],
    definitions: Iterable[Definition] = (),
    constants: tuple[str, ...] = (),
) -> Protocol:
    """Check a protocol and return it with every text parsed; raises :class:`SpecError`."""
    cell_map = _unique("cell", cells)
    enums = _unique("enum", (c.type for c in cell_map.values() if isinstance(c.type, Enum)))
    names = Names(
        _unique("sort", sorts), enums, cell_map, _unique("definition", definitions), constants
    )
    _check_names(names)
    table_list = tuple(tables)
    owners = {_state_cell_name(table): table.name for table in table_list}
    if len(owners) != len(table_list):
        raise SpecError("two tables share one state cell")
    machines = {table.name: _machine(names, table, owners) for table in table_list}
    return Protocol(names, machines)


def _unique(what: str, items: Iterable[_Named]) -> dict[str, _Named]:
    result: dict[str, _Named] = {}
    for item in items:
        if item.name in result and result[item.name] != item:
            raise SpecError(f"{what} {item.name} is declared twice")
        result[item.name] = item
    return result


def _check_names(names: Names) -> None:
    for enum in names.enums.values():
        for value in enum.values:
            if value in names.cells or value in names.sorts:
                raise SpecError(f"enum value {value} of {enum.name} is already a name")
    for cell in names.cells.values():
        for sort in cell.index:
            if sort not in names.sorts:
                raise SpecError(f"cell {cell.name}: index {sort} is not a sort")
        kind = cell_type(cell)  # refuses sequences, which rows do not write
        if kind[0] == "opt" and kind[1] not in names.sorts:
            raise SpecError(f"cell {cell.name}: {kind[1]} is not a sort")
        if isinstance(cell.type, Range):
            bounds(names, cell)
        first_value(names, cell)
    for definition in names.definitions.values():
        scope = _scope(names, parse_signature(definition.signature)[1])
        try:
            Parser(names, scope).parse(definition.text)
        except SpecError as error:
            raise SpecError(f"definition {definition.name}: {error}") from None


def _scope(names: Names, parameters: Mapping[str, str]) -> dict[str, Node]:
    scope: dict[str, Node] = {}
    for parameter, sort in parameters.items():
        if sort not in names.sorts:
            raise SpecError(f"parameter {parameter}: {sort} is not a sort")
        if names.is_taken(parameter):
            raise SpecError(f"parameter {parameter} hides another name")
        scope[parameter] = Variable(sort_type(sort), parameter)
    return scope


def _state_cell_name(table: Table) -> str:
    return re.split(r"[\[ ]", table.cell.strip(), maxsplit=1)[0]


def _machine(names: Names, table: Table, owners: Mapping[str, str]) -> Machine:
    cell = names.cells.get(_state_cell_name(table))
    if cell is None or not isinstance(cell.type, Enum):
        raise SpecError(f"table {table.name}: {table.cell} is not a cell of an enum type")
    inside = re.findall(r"\w+", table.cell)[1:]
    if len(inside) != len(cell.index):
        raise SpecError(f"table {table.name}: {cell.name} takes {len(cell.index)} indices")
    rules: list[Rule] = []
    signatures: dict[str, Mapping[str, str]] = {}
    for number, row in enumerate(table.rows, start=1):
        try:
            rules += _rules(names, table, cell, tuple(inside), row, number, owners)
            event, parameters = parse_signature(row.event)
            if signatures.setdefault(event, parameters) != parameters:
                raise SpecError(f"event {event} has another signature in an earlier row")
        except SpecError as error:
            where = f"table {table.name}, row {number} ({row.source} –{row.event}→ {row.target})"
            raise SpecError(f"{where}: {error}") from None
    return Machine(table, cell, tuple(inside), cell.type.values, tuple(rules), signatures)


def _rules(
    names: Names,
    table: Table,
    cell: Cell,
    subject: tuple[str, ...],
    row: Row,
    number: int,
    owners: Mapping[str, str],
) -> list[Rule]:
    if not row.why.strip():
        raise SpecError("the row does not say why")
    if not isinstance(cell.type, Enum):
        raise SpecError(f"{cell.name} is not a state cell")
    event, parameters = parse_signature(row.event)
    for index, sort in zip(subject, cell.index, strict=True):
        if parameters.get(index) != sort:
            raise SpecError(f"event {event} needs the parameter {index}: {sort} of {table.cell}")
    parser = Parser(names, _scope(names, parameters))
    guards = tuple(Guard(text, parser.parse(text)) for text in row.only_if)
    for guard in guards:
        for name in cells_read(guard.formula):
            if names.cells[name].kept == "ghost":
                raise SpecError(f"{guard.text!r} reads the ghost cell {name}")
        if _denies_among(guard.formula):
            raise SpecError(f"{guard.text!r} denies what holds among those who may be unknown")
    effects = tuple(_effect(parser, target, value, owners) for target, value in row.then.items())
    written = [(effect.cell.name, effect.index) for effect in effects]
    if len(set(written)) != len(written):
        raise SpecError("two effects write one cell")
    sources = row.source if isinstance(row.source, tuple) else (row.source,)
    if sources == (ANY,):
        sources = cell.type.values
    targets = {s: s if row.target == SAME else row.target for s in sources}
    for state in (*sources, *targets.values()):
        if state not in cell.type.values:
            raise SpecError(f"{state!r} is not a state of {cell.type.name}")
    return [
        Rule(table.name, s, event, targets[s], parameters, guards, effects, row, number)
        for s in sources
    ]


def _effect(parser: Parser, target: str, value: str, owners: Mapping[str, str]) -> Effect:
    if " for " in target:
        raise SpecError(f"{target!r}: a row writes single places; all of them, a move only")
    cell, index = parser.parse_reference(target)
    if cell.kept == "given":
        raise SpecError(f"{target} is a given fact: no row may write it")
    if cell.name in owners:
        raise SpecError(
            f"{target} is the state of table {owners[cell.name]}: only its rows move it"
        )
    kind: Type = cell_type(cell)
    node = parser.parse(value, kind)
    if cell.kept == "network" and node != Literal(kind, True):
        raise SpecError(f"{target}: what was sent stays sent, so a network cell only becomes True")
    return Effect(cell, index, node)


def _denies_among(node: Node, denied: bool = False) -> bool:
    """Return whether ``among``, which is false of those whom nobody knows, could make this true."""
    if isinstance(node, Among) and denied:
        return True
    if isinstance(node, Implies):
        return _denies_among(node.left, not denied) or _denies_among(node.right, denied)
    turned = not denied if isinstance(node, Not) else denied
    return any(_denies_among(child, turned) for child in children(node))


def cells_read(node: Node) -> set[str]:
    """Return the names of the cells that a formula reads."""
    found = {node.cell} if isinstance(node, Read) else set()
    for child in children(node):
        found |= cells_read(child)
    return found


def children(node: Node) -> tuple[Node, ...]:
    """Return the direct sub-terms of a node."""
    match node:
        case Read(index=index):
            return index
        case And(parts=parts) | Or(parts=parts):
            return parts
        case Not(body=body) | Quantified(body=body):
            return (body,)
        case Among(index=index, body=body):
            return (*index, body)
        case Implies(left=left, right=right):
            return (left, right)
    fields = ("left", "right", "test", "then", "otherwise")
    return tuple(getattr(node, name) for name in fields if hasattr(node, name))
