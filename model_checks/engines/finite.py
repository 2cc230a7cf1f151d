"""A finite instance as formulas without quantifiers: one solver variable per cell and index.

A term is a Python value where it is known and a solver term where it depends on the state, so that
only what the state decides is left to the solver. Truth values are Boolean; an enum value is its
place in the enum, an individual its number, ``none`` 0 and individual i of an optional i + 1, as
bit vectors. Numbers that count are pseudo-Boolean sums; where a cell holds a number, numbers are
signed bit vectors of ``WIDTH`` bits, which no range comes near to filling.

Every state that the solver finds is checked on the interpreter before anyone sees it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import z3
from attrs import frozen

from model_checks.engines.oracle import Instance, Oracle, State, Step
from model_checks.system import Action, Checked
from spec.language import ir
from spec.language.cells import FIRST_INDEX
from spec.language.declarations import SpecError
from spec.language.expressions import cell_type
from spec.language.interpreter import Value, evaluate

WIDTH = 16
"""Bits of a number that a cell holds."""
STEPS = 20_000_000
"""z3's ``rlimit`` for one question about a finite instance."""

Terms = tuple[Any, ...]
"""A term for each slot of the instance, in the oracle's order."""

Environment = Mapping[str, int]


class EnginesDisagree(Exception):
    """The solver and the interpreter read one formula differently: a defect of an engine."""


class FiniteTerms:
    """The terms of one instance."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.oracle = Oracle(instance)
        self.cells = [instance.system.cells[name] for name, _ in self.oracle.slots]

    # --- states

    def state(self, label: str) -> Terms:
        """Return fresh solver terms; cells that never change have the same in every state."""
        rigid = self.instance.system.rigid
        return tuple(
            self._variable(f"{name}{list(index)}{'' if name in rigid else label}", cell_type(cell))
            for (name, index), cell in zip(self.oracle.slots, self.cells, strict=True)
        )

    def _variable(self, name: str, kind: ir.Type) -> Any:
        return z3.Bool(name) if kind == ir.BOOL else z3.BitVec(name, self._bits(kind))

    def _values(self, kind: ir.Type) -> int:
        """Return how many values a type has; numbers are not counted."""
        if kind[0] == "enum":
            return len(self.instance.system.names.enums[kind[1]].values)
        return self.instance.sizes[kind[1]] + 1

    def _bits(self, kind: ir.Type) -> int:
        return WIDTH if kind == ir.INT else max(1, (self._values(kind) - 1).bit_length())

    def ranges(self, state: Terms) -> list[Any]:
        """Return: every cell holds one of its values."""
        found = []
        for term, cell in zip(state, self.cells, strict=True):
            kind = cell_type(cell)
            if kind == ir.INT:
                numbers = self.instance.range_of(cell)
                found += [term >= numbers[0], term <= numbers[-1]]
            elif kind != ir.BOOL:
                found.append(z3.ULE(term, self._values(kind) - 1))
        return found

    def initial(self, state: Terms) -> list[Any]:
        """Return: the cells hold their first values, and the assumptions hold."""
        system = self.instance.system
        found = []
        for term, cell, (_, index) in zip(state, self.cells, self.oracle.slots, strict=True):
            if cell.name in system.first:
                scope = {FIRST_INDEX(k): int(each or 0) for k, each in enumerate(index)}
                found.append(term == self._value(system.first[cell.name], scope, state))
        asked = (*system.assumptions, *system.initially)
        return [*found, *(self.truth(node, {}, state) for node in asked)]

    def after(self, action: Action, chosen: Environment, state: Terms) -> Terms:
        """Return the state after an action, in terms of the state before it."""
        new = list(state)
        for update in action.updates:
            individuals = map(self.instance.individuals, update.variables.values())
            for values in itertools.product(*individuals):
                scope = {**chosen, **dict(zip(update.variables, values, strict=True))}
                index = tuple(self.term(term, scope, state) for term in update.index)
                place = self.oracle.places[update.cell, index]
                where = self.term(update.where, scope, state)
                value = self._value(update.value, scope, state)
                if isinstance(where, int):
                    new[place] = value if where else new[place]
                else:
                    new[place] = z3.If(where, value, new[place])
        return tuple(new)

    def guard(self, action: Action, chosen: Environment, state: Terms) -> Any:
        """Return whether the action is enabled."""
        return _all(self.truth(g.formula, chosen, state) for g in action.guards)

    def choices(self, action: Action) -> Iterator[dict[str, int]]:
        """Every choice of an action's parameters."""
        sorts = [self.instance.individuals(s) for s in action.parameters.values()]
        for numbers in itertools.product(*sorts):
            yield dict(zip(action.parameters, numbers, strict=True))

    def read(self, model: Any, state: Terms) -> State:
        """Return the state that a model describes, as the oracle writes states."""
        found: list[Value] = []
        for term, cell in zip(state, self.cells, strict=True):
            value = model.eval(term, True)
            if cell_type(cell) == ir.INT:
                found.append(value.as_signed_long())
                continue
            values = self.instance.values(cell)
            number = int(z3.is_true(value)) if z3.is_bool(value) else value.as_long()
            found.append(values[number])
        return tuple(found)

    # --- terms

    def truth(self, node: ir.Node, scope: Environment, state: Terms) -> Any:
        """Return a formula as a solver term."""
        return self._lifted(self.term(node, scope, state), ir.BOOL)

    def _value(self, node: ir.Node, scope: Environment, state: Terms) -> Any:
        """Return the solver term of what a cell is to hold."""
        if node.type == ir.INT:
            return self._number(node, scope, state)
        return self._lifted(self.term(node, scope, state), node.type)

    def _number(self, node: ir.Node, scope: Environment, state: Terms) -> Any:
        """Return a number as a signed bit vector."""
        match node:
            case ir.Literal(value=int() as value):
                return z3.BitVecVal(value, WIDTH)
            case ir.Constant(name=name):
                return z3.BitVecVal(self.instance.constants[name], WIDTH)
            case ir.Read():
                return self.term(node, scope, state)
            case ir.Choose(test=test, then=then, otherwise=otherwise):
                sides = (self._number(side, scope, state) for side in (then, otherwise))
                return z3.If(self.truth(test, scope, state), *sides)
            case ir.Arithmetic(operator=operator, left=left, right=right):
                one, two = (self._number(side, scope, state) for side in (left, right))
                return one + two if operator == "+" else one - two
            case ir.Quantified(kind="count", variable=variable, sort=sort, body=body):
                found = z3.BitVecVal(0, WIDTH)
                for number in self.instance.individuals(sort):
                    holds = self.truth(body, {**scope, variable: number}, state)
                    found = found + z3.If(holds, z3.BitVecVal(1, WIDTH), z3.BitVecVal(0, WIDTH))
                return found
        raise SpecError(f"{type(node).__name__} is not a number")

    def _lifted(self, term: Any, kind: ir.Type) -> Any:
        if not isinstance(term, int):
            return term
        return z3.BoolVal(bool(term)) if kind == ir.BOOL else z3.BitVecVal(term, self._bits(kind))

    def term(self, node: ir.Node, scope: Environment, state: Terms) -> Any:
        """Return the value of a node, or the solver term for it."""
        match node:
            case ir.Literal(type=kind, value=str() as name):
                return self.instance.system.names.enums[kind[1]].values.index(name)
            case ir.Literal(value=bool() | int() as value):
                return value
            case ir.Nothing():
                return 0
            case ir.Variable(type=kind, name=name):
                return scope[name] + (kind[0] == "opt")
            case ir.Read(cell=cell, index=index):
                place = tuple(self.term(part, scope, state) for part in index)
                return state[self.oracle.places[cell, place]]
            case ir.Not(body=body):
                return _not(self.term(body, scope, state))
            case ir.And(parts=parts):
                return _all(self.term(part, scope, state) for part in parts)
            case ir.Or(parts=parts):
                return _any(self.term(part, scope, state) for part in parts)
            case ir.Implies(left=left, right=right):
                parts = (ir.Not(ir.BOOL, left), right)
                return _any(self.term(part, scope, state) for part in parts)
            case ir.Equal(left=left, right=right) if left.type == ir.INT:
                return _all(
                    self._at_least(*sides, scope, state) for sides in ((left, right), (right, left))
                )
            case ir.Equal(left=left, right=right):
                return self.term(left, scope, state) == self.term(right, scope, state)
            case ir.Compare(operator=operator, left=left, right=right):
                return self._compare(operator, left, right, scope, state)
            case ir.Choose():
                return self._choose(node, scope, state)
            case ir.Quantified(kind=kind, variable=variable, sort=sort, body=body):
                bodies = (
                    self.term(body, {**scope, variable: number}, state)
                    for number in self.instance.individuals(sort)
                )
                return _all(bodies) if kind == "all" else _any(bodies)
        raise SpecError(f"{type(node).__name__} has no finite term")

    def _choose(self, node: ir.Choose, scope: Environment, state: Terms) -> Any:
        test = self.term(node.test, scope, state)
        if isinstance(test, int):
            return self.term(node.then if test else node.otherwise, scope, state)
        sides = (
            self._lifted(self.term(side, scope, state), node.type)
            for side in (node.then, node.otherwise)
        )
        return z3.If(test, *sides)

    def _compare(
        self, operator: str, left: ir.Node, right: ir.Node, scope: Environment, state: Terms
    ) -> Any:
        if operator in ("<", ">"):
            flipped = {"<": ">=", ">": "<="}[operator]
            return _not(self._compare(flipped, left, right, scope, state))
        if operator == "<=":
            left, right = right, left
        if left.type == ir.INT:
            return self._at_least(left, right, scope, state)
        more, less = self.term(left, scope, state), self.term(right, scope, state)
        if isinstance(more, int) and isinstance(less, int):
            return more >= less
        return z3.UGE(self._lifted(more, left.type), self._lifted(less, right.type))

    def _at_least(self, left: ir.Node, right: ir.Node, scope: Environment, state: Terms) -> Any:
        """Return ``left >= right`` for numbers."""
        if not (_counts(left) and _counts(right)):
            return self._number(left, scope, state) >= self._number(right, scope, state)
        known, terms = self._sum(left, 1, scope, state)
        more, others = self._sum(right, -1, scope, state)
        # −b is (not b) − 1, so that all weights are one.
        terms, wanted = [*terms, *others], -(known + more)
        if wanted <= 0:
            return True
        return z3.PbGe([(term, 1) for term in terms], wanted) if terms else False

    def _sum(
        self, node: ir.Node, sign: int, scope: Environment, state: Terms
    ) -> tuple[int, list[Any]]:
        """Return a number, times the sign, as a known part and truth values that count one each."""
        match node:
            case ir.Literal(value=int() as value):
                return sign * value, []
            case ir.Constant(name=name):
                return sign * self.instance.constants[name], []
            case ir.Arithmetic(operator=operator, left=left, right=right):
                other = sign if operator == "+" else -sign
                one, terms = self._sum(left, sign, scope, state)
                two, more = self._sum(right, other, scope, state)
                return one + two, [*terms, *more]
            case ir.Quantified(kind="count", variable=variable, sort=sort, body=body):
                found = [
                    self.term(body, {**scope, variable: number}, state)
                    for number in self.instance.individuals(sort)
                ]
                known = sum(sign for value in found if isinstance(value, int) and value)
                open_terms = [value for value in found if not isinstance(value, int)]
                if sign > 0:
                    return known, open_terms
                return known - len(open_terms), [z3.Not(term) for term in open_terms]
        raise SpecError(f"{type(node).__name__} is not a number")


def _counts(node: ir.Node) -> bool:
    """Return whether a number is made of counts and constants only."""
    if isinstance(node, ir.Arithmetic):
        return _counts(node.left) and _counts(node.right)
    return isinstance(node, ir.Literal | ir.Constant | ir.Quantified)


def _not(term: Any) -> Any:
    return not term if isinstance(term, int) else z3.Not(term)


def _all(terms: Iterable[Any]) -> Any:
    left = []
    for term in terms:
        if not isinstance(term, int):
            left.append(term)
        elif not term:
            return False
    return z3.And(left) if left else True


def _any(terms: Iterable[Any]) -> Any:
    return _not(_all(_not(term) for term in terms))


@frozen
class Broken:
    """A state in which all properties hold, and a step after which one of them does not."""

    instance: Instance
    property: str
    step: Step | None
    before: State

    def lines(self) -> tuple[str, ...]:
        """Return the step and the cells that are not at their first value, a line each."""
        oracle = Oracle(self.instance)
        told = [str(self.step) if self.step else "initially"]
        for (name, index), value in zip(oracle.slots, self.before, strict=True):
            chosen = name not in self.instance.system.first
            if value != (False if chosen else self.instance.first(name, index)):
                told.append(f"{name}[{', '.join(map(str, index))}] = {value!r}")
        return tuple(told)


class SmallStates:
    """The states of an instance in which all hypotheses hold: what that says is written out once
    for all actions that are asked about.
    """

    def __init__(self, instance: Instance, hypotheses: tuple[Checked, ...]) -> None:
        self._instance, self._hypotheses = instance, hypotheses
        self._terms = FiniteTerms(instance)
        self._before = self._terms.state("")

    @cached_property
    def _held(self) -> list[Any]:
        formulas = [*self._instance.system.assumptions, *(c.formula for c in self._hypotheses)]
        return [self._terms.truth(formula, {}, self._before) for formula in formulas]

    def breaking_step(self, broken: Checked, action: Action | None) -> Broken | None:
        """Return a state with all hypotheses from which the action breaks a property, if any.

        Without an action it asks for an initial state that does not have the property.
        """
        terms, before, name = self._terms, self._before, broken.property.name
        solver = z3.SolverFor("QF_FD")
        solver.set("rlimit", STEPS)
        solver.add(*terms.ranges(before))
        if action is None:
            solver.add(*terms.initial(before), z3.Not(terms.truth(broken.formula, {}, before)))
            if solver.check() != z3.sat:
                return None
            return Broken(self._instance, name, None, terms.read(solver.model(), before))
        solver.add(*self._held)
        for choice in terms.choices(action):
            guard = terms.guard(action, choice, before)
            after = terms.after(action, choice, before)
            violated = z3.Not(terms.truth(broken.formula, {}, after))
            if solver.check(z3.And(guard, violated)) == z3.sat:
                state = terms.read(solver.model(), before)
                found = Broken(self._instance, name, Step(action.name, choice), state)
                _confirm(terms.oracle, found, self._hypotheses, broken, action)
                return found
        return None


def _confirm(
    oracle: Oracle, found: Broken, hypotheses: Iterable[Checked], broken: Checked, action: Action
) -> None:
    """Raise :class:`EnginesDisagree` unless the interpreter sees the same."""
    step = found.step
    if step is None:
        return
    view = oracle.view(found.before)
    after = oracle.apply(action, step.parameters, view)
    enabled = all(evaluate(g.formula, view, step.parameters) for g in action.guards)
    held = all(oracle.holds(checked, found.before) for checked in hypotheses)
    if not enabled or not held or oracle.holds(broken, after):
        raise EnginesDisagree(f"{broken.property.name}: {step} from {found.before}")
