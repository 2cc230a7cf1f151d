"""A node's trace, line by line, in the words of the tables: read, checked and typed.

Checked here is what one line says for itself: the chain of hashes and numbers, that the row exists
and is the one named, that every cell, parameter and value fits its type. Whether the step was legal
is the matter of ``recorded_view`` (the row on what the line says it read), ``replay`` (the node's
own cells) and ``conformance`` (all nodes together).

N, T and F, where a guard asked for them, stand among the reads: N also where it ranged over peers.
Inside ``among`` they have its index: ``T[e, a]`` is the threshold of those who sign the attempt.

``input`` names what has come in, a kind of ``spec/inputs.py``. ``turn`` is where the row stands
under it: the number of the input since the last start, the step, and how often its list was begun.

Beside ``transition`` there are two kinds of record: ``started`` (the node's process began: memory
cells are at their first values; ``node`` is its id; with ``"resumed": true`` its disk held records
of before the trace) and ``trace_repaired`` (a line that a crash had cut short was removed).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from spec.inputs import INPUTS
from spec.language.assembly import Protocol, Rule, children
from spec.language.declarations import Cell, Enum, Opt
from spec.language.interpreter import Index, Value
from spec.language.ir import Among, Node
from spec.trace_format import (
    FILE_PATTERN,
    FIRST_PREV,
    MAX_LINE_BYTES,
    REPAIRED,
    SEALED,
    canonical_json,
    line_hash,
    reference,
)

STARTED = "started"
TRANSITION = "transition"
Place = tuple[str, Index]
Scope = tuple[tuple[str, ...], Index]
"""Whose numbers are meant: sorts and individuals of an ``among``; empty: those in force."""

_REFERENCE = re.compile(r"(\w+)\[(.*)\]")
_TRUTHS = {"True": True, "False": False}


class Refusal(Exception):
    """A trace that no run of the protocol leaves: ``where`` is file and line."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where, self.reason = where, reason


class Unusable(Exception):
    """There is nothing to judge: no such file, no trace in it."""


@frozen
class Line:
    """One record; ``rule`` and what follows it are empty unless it is a transition."""

    where: str
    seq: int
    at: float
    kind: str
    node: str = ""
    resumed: bool = False
    rule: Rule | None = None
    parameters: Mapping[str, Value] = field(factory=dict)
    reads: Mapping[Place, Value] = field(factory=dict)
    numbers: Mapping[Scope, Mapping[str, int]] = field(factory=dict)
    writes: tuple[Place, ...] = ()
    sends: tuple[str, ...] = ()
    input: str = ""
    turn: tuple[int, int, int] = (0, 0, 0)

    @property
    def ran(self) -> Rule:
        """The rule of a transition."""
        if self.rule is None:
            raise TypeError(f"{self.where} is no transition")
        return self.rule

    @property
    def attempts(self) -> list[int]:
        """The attempts that a transition's parameters name."""
        named = self.rule.parameters if self.rule is not None else {}
        return [number(self.parameters[name]) for name, s in named.items() if s == "Attempt"]

    def refuse(self, reason: str) -> Refusal:
        """Return the refusal of this line, which names its row."""
        if self.rule is None:
            return Refusal(self.where, f"{self.kind}: {reason}")
        rule = self.rule
        row = f"row {rule.number} of {rule.table} ({rule.source} -{rule.event}-> {rule.target})"
        return Refusal(self.where, f"{row}: {reason}")


def show(place: Place) -> str:
    """Return a cell at an index as the trace writes it."""
    return reference(*place)


def number(value: Value) -> int:
    """Return an individual of an ordered sort as the number that it is."""
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no number")
    return value


def first_value(protocol: Protocol, cell: str) -> Value:
    """Return the first value of a cell."""
    first = protocol.cells[cell].first
    return {"False": False, "True": True, "none": None}.get(first, first)


def records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the records of a trace directory or file with file and line, their chain checked."""
    files = tuple(sorted(path.glob(FILE_PATTERN))) if path.is_dir() else (path,)
    seq, previous, found = 0, FIRST_PREV, False
    for file in files:
        for where, raw in _raw_lines(file):
            record = _record(where, raw)
            if not found and _is_middle(record) and (path.is_file() or _is_next(path, record)):
                # A file taken alone may start in the middle, a directory after what was sealed.
                seq, previous = record["seq"] - 1, record["prev"]
            found = True
            if record.get("seq") != seq + 1:
                raise Refusal(where, f"seq is {record.get('seq')}, {seq + 1} must follow")
            if record.get("prev") != previous:
                raise Refusal(where, "prev is not the hash of the record before")
            seq, previous = seq + 1, line_hash(record)
            if record.get("hash") != previous or canonical_json(record) != raw.rstrip(b"\n"):
                raise Refusal(where, f"the record was changed: its hash is {previous}")
            yield where, record
    if not found:
        raise Unusable(f"{path}: no trace there; name a trace directory, or one of its files")


def read_lines(path: Path, protocol: Protocol, end: str | None = None) -> list[Line]:
    """Return the lines of a trace; raises :class:`Refusal` or :class:`Unusable`.

    ``end`` is the hash of a line that must be there: without it, the trace was cut off before.
    """
    grammar = _Grammar(protocol)
    lines, found = [], end is None
    for where, record in records(path):
        lines.append(grammar.line(where, record))
        found = found or record["hash"] == end
    if end is not None and not found:
        short = f"no line has the hash {end[:16]}: lines were cut off its end"
        raise lines[-1].refuse(f"the trace ends here, and {short}")
    return lines


def _raw_lines(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with open(path, "rb") as stream:
            number = 0
            while raw := stream.readline(MAX_LINE_BYTES):
                number += 1
                yield f"{path}:{number}", raw
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from error


def _record(where: str, raw: bytes) -> dict[str, Any]:
    try:
        record = json.loads(raw)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        if where.endswith(":1"):
            raise Unusable(f"{where}: this is no trace: its first line is no JSON record")
        raise Refusal(where, "not a JSON record: the line is damaged or cut short")
    if not raw.endswith(b"\n"):
        raise Refusal(where, "the line is cut short")
    return record


def _is_middle(record: Mapping[str, Any]) -> bool:
    seq, previous = record.get("seq"), record.get("prev")
    return type(seq) is int and seq > 1 and isinstance(previous, str)


def _is_next(path: Path, record: Mapping[str, Any]) -> bool:
    """Return whether a record follows the end of what a directory let go and sealed."""
    sealed = path / SEALED
    if not sealed.is_file():
        return False
    ends = [_record(where, raw).get("last") for where, raw in _raw_lines(sealed)]
    return [record["seq"] - 1, record["prev"]] in ends


def _scopes(node: Node) -> set[tuple[str, ...]]:
    own = {node.sorts} if isinstance(node, Among) else set()
    return own.union(*(_scopes(child) for child in children(node)))


def _input(kind: object) -> str:
    if not isinstance(kind, str) or kind not in INPUTS:
        raise ValueError(f"there is no input {kind!r}")
    return kind


def _turn(said: object) -> tuple[int, int, int]:
    match said:
        case [int() as number, int() as step, int() as again] if (
            number > 0 <= step and again >= 0 and not any(isinstance(n, bool) for n in said)
        ):
            return number, step, again
    raise ValueError(f"turn is {said!r}, not the numbers of input, step and list")


@frozen
class _Grammar:
    """Turns records into lines: every name, number and value is looked up in the protocol."""

    protocol: Protocol
    scopes: dict[tuple[str, int], set[tuple[str, ...]]] = field(factory=dict)
    """Among whom each row counts, by table and number."""

    def line(self, where: str, record: Mapping[str, Any]) -> Line:
        kind, seq = record.get("kind"), record["seq"]
        at = record.get("at", 0.0)
        if not isinstance(at, int | float) or isinstance(at, bool):
            raise Refusal(where, f"at is {at!r}, no time")
        if kind in (STARTED, REPAIRED):
            node, resumed = str(record.get("node", "")), record.get("resumed") is True
            return Line(where, seq, at, str(kind), node=node, resumed=resumed)
        if kind != TRANSITION:
            raise Refusal(where, f"kind {kind!r} is unknown")
        rule = self._rule(where, record)
        try:
            reads, numbers = self._reads(rule, record["reads"])
            return Line(
                where,
                seq,
                at,
                TRANSITION,
                rule=rule,
                parameters=self._parameters(rule, record["parameters"]),
                reads=reads,
                numbers=numbers,
                writes=tuple(self._place(text) for text in record["writes"]),
                sends=tuple(self._sent(name) for name in record["sends"]),
                input=_input(record["input"]),
                turn=_turn(record["turn"]),
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
            raise Line(where, seq, at, TRANSITION, rule=rule).refuse(reason) from None

    def _rule(self, where: str, record: Mapping[str, Any]) -> Rule:
        table, number = record.get("table"), record.get("row")
        machine = self.protocol.machines.get(str(table))
        if machine is None:
            raise Refusal(where, f"there is no table {table!r}")
        rules = [rule for rule in machine.rules if rule.number == number]
        if type(number) is not int or not rules:
            raise Refusal(where, f"table {table} has no row {number!r}")
        for rule in rules:
            named = (record.get("event"), record.get("from"), record.get("to"))
            if (rule.event, rule.source, rule.target) == named:
                return rule
        wanted = " or ".join(f"{r.source} -{r.event}-> {r.target}" for r in rules)
        said = f"{record.get('from')} -{record.get('event')}-> {record.get('to')}"
        raise Refusal(where, f"row {number} of {table} is {wanted}, not {said}")

    def _parameters(self, rule: Rule, said: Mapping[str, str]) -> dict[str, Value]:
        if set(said) != set(rule.parameters):
            raise ValueError(f"{rule.event} takes {', '.join(rule.parameters)}")
        return {name: self._individual(sort, said[name]) for name, sort in rule.parameters.items()}

    def _reads(
        self, rule: Rule, said: Mapping[str, str]
    ) -> tuple[dict[Place, Value], dict[Scope, dict[str, int]]]:
        reads: dict[Place, Value] = {}
        numbers: dict[Scope, dict[str, int]] = {}
        for text, value in said.items():
            name, _, inside = text.partition("[")
            if name in self.protocol.names.constants:
                scope = self._scope(rule, text, inside.removesuffix("]"))
                numbers.setdefault(scope, {})[name] = int(value)
                continue
            place = self._place(text)
            reads[place] = self._value(self.protocol.cells[place[0]], value)
        return reads, numbers

    def _scope(self, rule: Rule, text: str, inside: str) -> Scope:
        """Return whose number a line has read: a guard of the row counts among them."""
        where = (rule.table, rule.number)
        if where not in self.scopes:
            self.scopes[where] = {(), *(s for g in rule.guards for s in _scopes(g.formula))}
        parts = inside.split(", ") if inside else []
        sorts = next((each for each in self.scopes[where] if len(each) == len(parts)), None)
        if sorts is None:
            raise ValueError(f"{text!r} is a number of nobody of whom the row speaks")
        return sorts, tuple(self._individual(*pair) for pair in zip(sorts, parts, strict=True))

    def _place(self, text: str) -> Place:
        match = _REFERENCE.fullmatch(text)
        cell = self.protocol.cells.get(match[1]) if match else None
        if match is None or cell is None:
            raise ValueError(f"{text!r} is not a cell of the protocol")
        parts = match[2].split(", ") if match[2] else []
        if len(parts) != len(cell.index):
            raise ValueError(f"{text!r}: {cell.name} takes {len(cell.index)} indices")
        pairs = zip(cell.index, parts, strict=True)
        return cell.name, tuple(self._individual(sort, part) for sort, part in pairs)

    def _sent(self, name: str) -> str:
        cell = self.protocol.cells.get(name)
        if cell is None or cell.kept != "network":
            raise ValueError(f"{name!r} is not a network cell")
        return name

    def _individual(self, sort: str, text: str) -> Value:
        if type(text) is not str or not text:
            raise ValueError(f"{text!r} is not a {sort}")
        if not self.protocol.names.sorts[sort].ordered:
            return text
        if not text.isascii() or not text.isdigit():
            raise ValueError(f"{text!r} is not a {sort}, which is a number")
        return int(text)

    def _value(self, cell: Cell, text: str) -> Value:
        if isinstance(cell.type, Enum):
            if text not in cell.type.values:
                raise ValueError(f"{text!r} is not a {cell.type.name}, the type of {cell.name}")
            return text
        if isinstance(cell.type, Opt):
            return None if text == "None" else self._individual(cell.type.sort, text)
        if text not in _TRUTHS:
            raise ValueError(f"{cell.name} is {text!r}, neither True nor False")
        return _TRUTHS[text]
