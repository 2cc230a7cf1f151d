"""A system of some size as formulas over numbered slots: what the explicit engines compile.

A slot is one cell at one index, such as ``lock[2, 0]``. Every value is a small number: the place of
the value among those that the cell may hold, so ``none`` is 0 and individual k is k + 1; the lowest
number of a range is 0, and where a formula reads it the difference is added. Parameters and
quantifiers are gone: there is one ground action for each choice of the parameters.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import cached_property
from operator import ge, gt, le, lt
from typing import Any

from attrs import frozen

from model_checks.engines.oracle import Instance, State, Step
from model_checks.system import Action, Checked, Update
from model_checks.two_states import AFTER
from spec.language import ir
from spec.language.declarations import Range, SpecError
from spec.language.interpreter import Value


@frozen
class Formula:
    """Base of ground formulas; a truth value is 0 or 1."""


@frozen
class Number(Formula):
    """A constant."""

    value: int


@frozen
class Slot(Formula):
    """The value of a slot; from the number of slots on, of the state after the step."""

    number: int
    size: int


@frozen
class Negation(Formula):
    """Not."""

    body: Formula


@frozen
class Conjunction(Formula):
    """And, of at least two parts."""

    parts: tuple[Formula, ...]


@frozen
class Disjunction(Formula):
    """Or, of at least two parts."""

    parts: tuple[Formula, ...]


@frozen
class Equality(Formula):
    """Two values are the same."""

    left: Formula
    right: Formula


@frozen
class Order(Formula):
    """``<``, ``<=``, ``>`` or ``>=``."""

    operator: str
    left: Formula
    right: Formula


@frozen
class Conditional(Formula):
    """``then`` if ``test`` else ``otherwise``."""

    test: Formula
    then: Formula
    otherwise: Formula


@frozen
class Count(Formula):
    """How many of the parts hold, and ``extra`` more that always do."""

    parts: tuple[Formula, ...]
    extra: int


@frozen
class Sum(Formula):
    """``left + right``, or ``left - right``."""

    operator: str
    left: Formula
    right: Formula


FALSE, TRUE = Number(0), Number(1)
COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
"""What each sign of order does, on numbers and on a solver's terms."""


def negate(body: Formula) -> Formula:
    """Return the negation, simplified; it is pushed down to the parts of ``and`` and ``or``."""
    match body:
        case Number(value):
            return Number(1 - value)
        case Negation(inner):
            return inner
        case Conjunction(parts):
            return disjoin([negate(part) for part in parts])
        case Disjunction(parts):
            return conjoin([negate(part) for part in parts])
    return Negation(body)


def conjoin(parts: list[Formula]) -> Formula:
    """Return the conjunction; false if it asks two different values of one slot."""
    flat: dict[Formula, None] = {}
    for part in parts:
        if part == FALSE:
            return FALSE
        if part != TRUE:
            flat.update(dict.fromkeys(part.parts if isinstance(part, Conjunction) else (part,)))
    asked: dict[int, int] = {}
    for part in flat:
        literal = slot_and_value(part)
        if literal and asked.setdefault(literal[0], literal[1]) != literal[1]:
            return FALSE
    if len(flat) < 2:
        return next(iter(flat), TRUE)
    return Conjunction(tuple(flat))


def disjoin(parts: list[Formula]) -> Formula:
    """Return the disjunction, simplified."""
    flat: dict[Formula, None] = {}
    for part in parts:
        if part == TRUE:
            return TRUE
        if part != FALSE:
            flat.update(dict.fromkeys(part.parts if isinstance(part, Disjunction) else (part,)))
    if any(negate(part) in flat for part in flat):
        return TRUE
    if len(flat) < 2:
        return next(iter(flat), FALSE)
    return Disjunction(tuple(flat))


def slot_and_value(formula: Formula) -> tuple[int, int] | None:
    """Return the slot and the one value that it must have, if the formula says just that."""
    match formula:
        case Slot(number, 2):
            return number, 1
        case Negation(Slot(number, 2)):
            return number, 0
        case Equality(Slot(number, _), Number(value)):
            return number, value
    return None


def equate(left: Formula, right: Formula) -> Formula:
    """Return the equation, simplified; a constant stands on the right."""
    if left == right:
        return TRUE
    if isinstance(left, Number):
        left, right = right, left
    if isinstance(right, Number):
        if isinstance(left, Number):
            return FALSE
        if isinstance(left, Sum) and isinstance(left.right, Number):
            moved = left.right.value if left.operator == "-" else -left.right.value
            return equate(left.left, Number(right.value + moved))
        if isinstance(left, Slot):
            if not 0 <= right.value < left.size:
                return FALSE
            if left.size == 2:
                return left if right.value else Negation(left)
    return Equality(left, right)


def choose(test: Formula, then: Formula, otherwise: Formula) -> Formula:
    """Return the conditional, simplified."""
    if isinstance(test, Number):
        return then if test.value else otherwise
    return then if then == otherwise else Conditional(test, then, otherwise)


def order(operator: str, left: Formula, right: Formula) -> Formula:
    """Return the comparison, simplified."""
    if isinstance(left, Number) and isinstance(right, Number):
        return Number(int(COMPARE[operator](left.value, right.value)))
    if left == right:
        return Number(int("=" in operator))
    return Order(operator, left, right)


def add(operator: str, left: Formula, right: Formula) -> Formula:
    """Return the sum or the difference, simplified."""
    sign = 1 if operator == "+" else -1
    if isinstance(left, Number) and isinstance(right, Number):
        return Number(left.value + sign * right.value)
    if isinstance(right, Number) and isinstance(left, Sum) and isinstance(left.right, Number):
        inner = left.right.value if left.operator == "+" else -left.right.value
        return add("+", left.left, Number(inner + sign * right.value))
    return left if right == FALSE else Sum(operator, left, right)


def outside(value: Formula, low: int, high: int) -> Formula:
    """Return where a number is not between the bounds, simplified."""
    least, most = extremes(value)
    below = FALSE if low <= least else order("<", value, Number(low))
    above = FALSE if most <= high else order(">", value, Number(high))
    return disjoin([below, above])


def extremes(value: Formula) -> tuple[int, int]:
    """Return bounds of a number: it is never outside them, though it may stay far inside."""
    match value:
        case Number(value=number):
            return number, number
        case Slot(size=size):
            return 0, size - 1
        case Count(parts=parts, extra=extra):
            return extra, extra + len(parts)
        case Conditional(then=then, otherwise=otherwise):
            one, other = extremes(then), extremes(otherwise)
            return min(one[0], other[0]), max(one[1], other[1])
        case Sum(operator=operator, left=left, right=right):
            one, other = extremes(left), extremes(right)
            if operator == "+":
                return one[0] + other[0], one[1] + other[1]
            return one[0] - other[1], one[1] - other[0]
    return 0, 1


def count(parts: list[Formula], extra: int = 0) -> Formula:
    """Return how many of the parts hold, simplified."""
    certain = extra + parts.count(TRUE)
    unsure = tuple(part for part in parts if not isinstance(part, Number))
    return Count(unsure, certain) if unsure else Number(certain)


def replace(formula: Formula, value: Callable[[Slot], Formula]) -> Formula:
    """Return a formula with each slot replaced by a formula, simplified."""
    match formula:
        case Slot():
            return value(formula)
        case Negation(body):
            return negate(replace(body, value))
        case Conjunction(parts):
            return conjoin([replace(part, value) for part in parts])
        case Disjunction(parts):
            return disjoin([replace(part, value) for part in parts])
        case Equality(left, right):
            return equate(replace(left, value), replace(right, value))
        case Order(operator, left, right):
            return order(operator, replace(left, value), replace(right, value))
        case Conditional(test, then, otherwise):
            return choose(*(replace(part, value) for part in (test, then, otherwise)))
        case Count(parts, extra):
            return count([replace(part, value) for part in parts], extra)
        case Sum(operator, left, right):
            return add(operator, replace(left, value), replace(right, value))
    return formula


@frozen
class GroundAction:
    """One action with its parameters chosen: all updates read the state before it.

    ``escapes`` says, by cell, where the step would leave the cell's range: there is no such step,
    and the guard leaves it out.
    """

    name: str
    chosen: Mapping[str, Value]
    guard: Formula
    updates: Mapping[int, Formula]
    action: Action
    escapes: Mapping[str, Formula]

    @property
    def step(self) -> Step:
        """The step as a trace shows it."""
        return Step(self.name, self.chosen)


@frozen(slots=False)
class Ground:
    """An instance, grounded."""

    instance: Instance

    @cached_property
    def slots(self) -> tuple[tuple[str, tuple[Value, ...]], ...]:
        """Every cell at every index."""
        return self.instance.slots()

    @cached_property
    def numbers(self) -> Mapping[tuple[str, tuple[Value, ...]], int]:
        """The number of each slot."""
        return {slot: number for number, slot in enumerate(self.slots)}

    @cached_property
    def domains(self) -> tuple[tuple[Value, ...], ...]:
        """The values that each slot may hold, in the order of their numbers."""
        cells = self.instance.system.cells
        return tuple(self.instance.values(cells[name]) for name, _ in self.slots)

    @cached_property
    def actions(self) -> tuple[GroundAction, ...]:
        """Every action with every choice of parameters that its guard allows in some state."""
        found = (
            self._action(action, chosen) for action in self.instance.system.actions
            for chosen in self.instance.choices(action)
        )
        return tuple(action for action in found if action.guard != FALSE or action.escapes)

    def property(self, checked: Checked) -> Formula:
        """Return the ground formula of a property."""
        return self.formula(checked.formula, {})

    def before_step(self, formula: Formula, action: GroundAction) -> Formula:
        """Return what a formula about a step says of the state before it, for this action."""
        count = len(self.slots)

        def value(slot: Slot) -> Formula:
            if slot.number < count:
                return slot
            before = slot.number - count
            return action.updates.get(before, Slot(before, slot.size))

        return replace(formula, value)

    def encode(self, state: State) -> list[int]:
        """Return a state as numbers."""
        return [values.index(value) for values, value in zip(self.domains, state, strict=True)]

    def decode(self, numbers: list[int]) -> State:
        """Return the state that the numbers stand for."""
        return tuple(values[number] for values, number in zip(self.domains, numbers, strict=True))

    def _action(self, action: Action, chosen: Mapping[str, Value]) -> GroundAction:
        scope = {name: _individual(value) for name, value in chosen.items()}
        guard = conjoin([self.formula(g.formula, scope) for g in action.guards])
        updates: dict[int, Formula] = {}
        outsides: dict[str, Formula] = {}
        for update in action.updates:
            individuals = map(self.instance.individuals, update.variables.values())
            for values in itertools.product(*individuals):
                inner = {**scope, **dict(zip(update.variables, values, strict=True))}
                self._update(update, inner, updates, outsides)
        escapes = {cell: conjoin([guard, outside]) for cell, outside in outsides.items()}
        guard = conjoin([guard, *(negate(outside) for outside in outsides.values())])
        possible = {cell: escape for cell, escape in escapes.items() if escape != FALSE}
        if guard == FALSE:  # what it would write may be no value at all
            updates = {}
        return GroundAction(action.name, chosen, guard, updates, action, possible)

    def _update(
        self, update: Update, scope: Mapping[str, int], updates: dict[int, Formula],
        outsides: dict[str, Formula],
    ) -> None:
        """Add what an effect writes to one place, and where that is outside the cell's range."""
        where = self.formula(update.where, scope)
        if where == FALSE:
            return
        number = self.numbers[update.cell, tuple(self._at(term, scope) for term in update.index)]
        value = self.formula(update.value, scope)
        low, size = self._lowest.get(update.cell), len(self.domains[number])
        if low is not None:
            value = add("-", value, Number(low))
            left = conjoin([where, outside(value, 0, size - 1)])
            outsides[update.cell] = disjoin([outsides.get(update.cell, FALSE), left])
        updates[number] = choose(where, value, Slot(number, size))

    @cached_property
    def _lowest(self) -> Mapping[str, int]:
        cells = self.instance.system.cells.values()
        found = {c.name: self.instance.range_of(c) for c in cells if isinstance(c.type, Range)}
        return {name: numbers[0] for name, numbers in found.items()}

    def _at(self, term: ir.Node, scope: Mapping[str, int]) -> int:
        place = self.formula(term, scope)
        if not isinstance(place, Number):
            raise SpecError("an index that depends on the state is not supported")
        return place.value - 1

    def _read(self, node: ir.Read, scope: Mapping[str, int]) -> Formula:
        index = tuple(self._at(term, scope) for term in node.index)
        later = node.cell.startswith(AFTER)
        cell = node.cell.removeprefix(AFTER)
        number = self.numbers[cell, index]
        slot = Slot(number + later * len(self.slots), len(self.domains[number]))
        return add("+", slot, Number(self._lowest.get(cell, 0)))

    def formula(self, node: ir.Node, scope: Mapping[str, int]) -> Formula:
        """Return a term or formula with its variables replaced by the individuals of ``scope``."""
        again = self.formula
        match node:
            case ir.Literal(value=str() as name):
                return Number(self.instance.system.names.enums[node.type[1]].values.index(name))
            case ir.Literal(value=value):
                return Number(int(value))
            case ir.Nothing():
                return Number(0)
            case ir.Constant(name=name):
                if name not in self.instance.constants:
                    raise SpecError(f"constant {name} has no value")
                return Number(self.instance.constants[name])
            case ir.Variable(name=name):
                return Number(scope[name] + 1)
            case ir.Read():
                return self._read(node, scope)
            case ir.Not(body=body):
                return negate(again(body, scope))
            case ir.And(parts=parts):
                return conjoin([again(part, scope) for part in parts])
            case ir.Or(parts=parts):
                return disjoin([again(part, scope) for part in parts])
            case ir.Implies(left=left, right=right):
                return disjoin([negate(again(left, scope)), again(right, scope)])
            case ir.Equal(left=left, right=right):
                return equate(again(left, scope), again(right, scope))
            case ir.Compare(operator=operator, left=left, right=right):
                return order(operator, again(left, scope), again(right, scope))
            case ir.Choose(test=test, then=then, otherwise=otherwise):
                return choose(*(again(part, scope) for part in (test, then, otherwise)))
            case ir.Arithmetic(operator=operator, left=left, right=right):
                return add(operator, again(left, scope), again(right, scope))
            case ir.Quantified():
                return self._quantified(node, scope)
        raise TypeError(f"no ground form of {type(node).__name__}")

    def _quantified(self, node: ir.Quantified, scope: Mapping[str, int]) -> Formula:
        parts = [
            self.formula(node.body, {**scope, node.variable: individual})
            for individual in self.instance.individuals(node.sort)
        ]
        if node.kind == "all":
            return conjoin(parts)
        if node.kind == "any":
            return disjoin(parts)
        return count(parts)


def _individual(value: Value) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is not an individual")
    return value
