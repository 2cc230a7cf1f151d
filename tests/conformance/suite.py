"""Tests of the running code, generated from the tables: every row once, every conjunct on its own.

For each row out of each of its states there is one case in which it may run, and for each conjunct
of its guard one in which that conjunct alone is false (MC/DC). The states are found by z3 on the
typed guards, grounded on a few individuals, so the suite is the same on every machine. A case says
nothing about how it was reached: every value of every cell is set.

Nothing here runs the code: ``tests/conformance/side_by_side.py`` hands a case to the node's tables
and to the interpreter, and says where they differ.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import Any

import z3
from attrs import define, field, frozen

from model_checks.engines import ground
from model_checks.engines.ground import Formula, Ground
from model_checks.engines.oracle import Instance, Slot
from model_checks.substitution import populated
from model_checks.system import Network, close
from spec.language.assembly import Guard, Protocol, Rule
from spec.language.declarations import Cell, Opt
from spec.language.interpreter import Index, Value
from spec.protocol import PROTOCOL

SIZES = {
    "Peer": 4, "Event": 1, "Attempt": 3, "Digest": 2, "Instance": 1, "Key": 5, "Swap": 1, "Link": 2,
}
CONSTANTS = {"N": 4, "T": 3, "F": 1, "R": 3}
RESOURCE_LIMIT = 5_000_000
"""Work that z3 may do for one case; deterministic, unlike a time limit."""


def individual(protocol: Protocol, sort: str, number: int) -> Value:
    """Return what stands for an individual at a node: a number, or an id of 33 or 32 octets."""
    return _individual(sort, number, ordered=protocol.names.sorts[sort].ordered)


def _individual(sort: str, number: int, *, ordered: bool) -> Value:
    return number + 1 if ordered else bytes([number + 1]) * (33 if sort == "Peer" else 32)


@cache
def _individuals(sort: str, ordered: bool) -> tuple[Value, ...]:
    return tuple(_individual(sort, n, ordered=ordered) for n in range(SIZES.get(sort, 2)))


@cache
def _places(sorts: tuple[tuple[str, bool], ...]) -> tuple[Index, ...]:
    return tuple(itertools.product(*(_individuals(*sort) for sort in sorts)))


@frozen
class Case:
    """One event in one state; ``false`` is the conjunct that alone is false, None: it may run.

    ``masked`` says that a row before it runs wherever this conjunct alone is false: a runner that
    tries the rows in their order may then forget the conjunct, and nobody can tell.
    """

    rule: Rule
    false: str | None
    parameters: Mapping[str, Value]
    values: Mapping[Slot, Value] = field(repr=False)
    masked: bool = False

    def __str__(self) -> str:
        return name_of(self.rule, self.false)


def name_of(rule: Rule, false: str | None) -> str:
    """Return the name of the case of a rule in which one conjunct, or none, is false."""
    return f"{rule.name} (row {rule.number})" + (f": all but {false}" if false else "")


@frozen
class Suite:
    """All cases, and the (row, conjunct) pairs that no state tells apart."""

    cases: tuple[Case, ...]
    impossible: tuple[tuple[str, str], ...]


@define
class Bench:
    """Everything that a node could know, as the interpreter's view."""

    protocol: Protocol
    values: dict[Slot, Value] = field(factory=dict, repr=False)

    def read(self, cell: str, index: Index) -> Value:
        """Return the value of a cell."""
        return self.values.get((cell, index), first_value(self.protocol.cells[cell]))

    def individuals(self, sort: str) -> tuple[Value, ...]:
        """Return the individuals of a sort."""
        return _individuals(sort, self.protocol.names.sorts[sort].ordered)

    def constant(self, name: str) -> int:
        """Return N, T, F or R."""
        return CONSTANTS[name]

    def among(self, sorts: tuple[str, ...], index: Index) -> Bench:
        """Return this view: all peers are one population."""
        return self

    def places(self, cell: Cell) -> tuple[Index, ...]:
        """Return every index of a cell."""
        sorts = self.protocol.names.sorts
        return _places(tuple((sort, sorts[sort].ordered) for sort in cell.index))

    def facts(self) -> dict[str, Any]:
        """Return the given facts as the node is told them."""
        cells = (cell for cell in self.protocol.cells.values() if cell.kept == "given")
        return {
            c.name: {place: self.read(c.name, place) for place in self.places(c)} for c in cells
        }

    def known(self) -> Iterator[tuple[str, Index, Value]]:
        """Yield what a node holds itself: all but facts and ghosts."""
        for cell in self.protocol.cells.values():
            if cell.kept not in ("given", "ghost"):
                name, first = cell.name, first_value(cell)
                for place in self.places(cell):
                    yield name, place, self.values.get((name, place), first)


def first_value(cell: Cell) -> Value:
    """Return the first value of a cell."""
    return _WORDS.get(cell.first, cell.first)


_WORDS = {"False": False, "True": True, "none": None}


# --- finding the states --------------------------------------------------------------------------


def generate(protocol: Protocol = PROTOCOL) -> Suite:
    """Return the suite of a protocol; the same every time."""
    finder = _Finder(protocol)
    cases: list[Case] = []
    impossible: list[tuple[str, str]] = []
    for machine in protocol.machines.values():
        for rule in machine.rules:
            for false in (None, *range(len(rule.guards))):
                case = finder.case(rule, false)
                if case is not None:
                    cases.append(case)
                else:
                    text = "may run" if false is None else rule.guards[false].text
                    impossible.append((rule.name, text))
    return Suite(tuple(cases), tuple(impossible))


@frozen(slots=False)
class _Finder:
    """Finds states in which given conjuncts are true and one is false."""

    protocol: Protocol

    @cached_property
    def ground(self) -> Ground:
        """All tables on a few individuals."""
        rows = tuple((table, "*") for table in self.protocol.machines)
        network = Network(name="suite", doc="every table", rows=rows, honest="", crash=False)
        sizes = {sort: SIZES.get(sort, 2) for sort in self.protocol.names.sorts}
        return Ground(Instance(close(network, self.protocol), sizes, CONSTANTS))

    def _ground(self, guard: Guard, scope: Mapping[str, int]) -> Any:
        """Return a guard on the few individuals: all peers are one population."""
        return self.ground.formula(populated(guard.formula, {}), scope)

    def case(self, rule: Rule, false: int | None) -> Case | None:
        """Return a case, if there is one without a row before it that runs instead."""
        alone = self._search(rule, false, alone=True) if false is not None else None
        return alone or self._search(rule, false, alone=False)

    def _search(self, rule: Rule, false: int | None, *, alone: bool) -> Case | None:
        """Return a case for the first choice of parameters that has one."""
        machine = self.protocol.machines[rule.table]
        rules = machine.rules_for(rule.source, rule.event)
        others = rules[: rules.index(rule)] if alone else ()
        sizes = self.ground.instance.sizes
        ranges = (range(sizes[sort]) for sort in rule.parameters.values())
        for chosen in sorted(itertools.product(*ranges), key=_alike):
            scope = dict(zip(rule.parameters, chosen, strict=True))
            wanted = [self._ground(guard, scope) for guard in rule.guards]
            if false is not None:
                wanted[false] = ground.negate(wanted[false])
            for other in others:
                both = [self._ground(guard, scope) for guard in other.guards]
                wanted.append(ground.negate(ground.conjoin(both)))
            record = (machine.cell.name, tuple(scope[name] for name in machine.subject))
            found = self._solve(wanted, record, rule.source)
            if found is not None:
                parameters = {
                    name: individual(self.protocol, sort, scope[name])
                    for name, sort in rule.parameters.items()
                }
                text = None if false is None else rule.guards[false].text
                return Case(rule, text, parameters, found, false is not None and not alone)
        return None

    def _solve(self, wanted: list[Formula], record: Slot, source: str) -> dict[Slot, Value] | None:
        if ground.FALSE in wanted:
            return None
        terms = _Terms()
        solver = z3.Solver(ctx=terms.context)
        solver.set("rlimit", RESOURCE_LIMIT)
        solver.set("random_seed", 1)
        for formula in wanted:
            solver.add(terms.of(formula) != 0)
        numbers, domains = self.ground.numbers, self.ground.domains
        own = numbers.get(record)
        if own is not None:
            solver.add(terms.slot(own) == domains[own].index(source))
        for number, term in terms.slots.items():
            solver.add(term >= 0, term < len(domains[number]))
        answer = solver.check()
        if answer == z3.unknown:
            raise RuntimeError(f"z3 gave up on {record[0]} in {source}")
        if answer == z3.unsat:
            return None
        model = solver.model()
        values = {
            number: model.eval(term, model_completion=True).as_long()
            for number, term in terms.slots.items()
        }
        return {self._place(n): self._value(n, value) for n, value in sorted(values.items())}

    def _place(self, number: int) -> Slot:
        name, index = self.ground.slots[number]
        sorts = self.protocol.cells[name].index
        return name, tuple(
            individual(self.protocol, sort, part)
            for sort, part in zip(sorts, index, strict=True)
            if isinstance(part, int)
        )

    def _value(self, number: int, value: int) -> Value:
        name, _ = self.ground.slots[number]
        cell, held = self.protocol.cells[name], self.ground.domains[number][value]
        if isinstance(cell.type, Opt) and isinstance(held, int):
            return individual(self.protocol, cell.type.sort, held)
        return held


def _alike(chosen: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    """Order choices of individuals: small numbers that differ come first."""
    return len(chosen) - len(set(chosen)), chosen


@define
class _Terms:
    """Ground formulas as z3 numbers, a truth value is 0 or 1; a context of its own each time,
    because what z3 was asked before would otherwise change what it answers.
    """

    context: Any = field(factory=z3.Context)
    slots: dict[int, Any] = field(factory=dict)

    def slot(self, number: int) -> Any:
        """Return the term of a slot."""
        return self.slots.setdefault(number, z3.Int(f"slot {number}", self.context))

    def of(self, formula: Formula) -> Any:
        """Return the term of a formula."""
        match formula:
            case ground.Number(value=value):
                return z3.IntVal(value, self.context)
            case ground.Slot(number=number):
                return self.slot(number)
            case ground.Negation(body=body):
                return self._bit(z3.Not(self._true(body)))
            case ground.Conjunction(parts=parts):
                return self._bit(z3.And(*(self._true(part) for part in parts)))
            case ground.Disjunction(parts=parts):
                return self._bit(z3.Or(*(self._true(part) for part in parts)))
            case ground.Equality(left=left, right=right):
                return self._bit(self.of(left) == self.of(right))
            case ground.Order(operator=operator, left=left, right=right):
                return self._bit(ground.COMPARE[operator](self.of(left), self.of(right)))
            case ground.Conditional(test=test, then=then, otherwise=otherwise):
                return z3.If(self._true(test), self.of(then), self.of(otherwise))
            case ground.Count(parts=parts, extra=extra):
                return z3.Sum(*(self.of(part) for part in parts)) + extra
            case ground.Sum(operator=operator, left=left, right=right):
                one, other = self.of(left), self.of(right)
                return one + other if operator == "+" else one - other
        raise TypeError(f"no z3 term for {type(formula).__name__}")

    def _true(self, part: Formula) -> Any:
        return self.of(part) != 0

    def _bit(self, truth: Any) -> Any:
        return z3.If(truth, z3.IntVal(1, self.context), z3.IntVal(0, self.context))


def bench_of(case: Case, protocol: Protocol = PROTOCOL) -> Bench:
    """Return the state of a case."""
    machine = protocol.machines[case.rule.table]
    subject = tuple(case.parameters[name] for name in machine.subject)
    return Bench(protocol, {**case.values, (machine.cell.name, subject): case.rule.source})
