"""A system of any size as formulas of first-order logic, for a prover.

Sorts are uninterpreted: nothing says how many individuals they have. An ordered sort comes with a
strict total order (three axioms, which every finite order obeys, and two more on demand; whole
numbers would not do, since a finite sort ends and they do not). Cells are functions of their
indices. ``none`` and the individuals of a sort make a data type; in an ordered sort ``none`` is
below everything. Counts read as quorums, see ``model_checks/engines/quorums.py``. Cells that hold a
number are whole numbers of any size, and that they stay in their ranges is proved like an
invariant.

A state is a mapping from a cell's name to a function of index terms. The state after an action is
such a mapping too, written in terms of the state before: "the new value where the index is the
updated one, else the old value". So there are no primed symbols and no frame axioms.

Every finite instance of the system, of whatever sizes, whose N, T and F are within SAFE-SIGN 1, is
a model of these formulas. So what is proved here holds in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import z3
from attrs import frozen

from model_checks.engines.arithmetic import constants_known, linear
from model_checks.engines.ground import COMPARE
from model_checks.engines.quorums import (
    Members,
    Quorums,
    Threshold,
    canonical,
    members_of,
    threshold,
)
from model_checks.system import TRUE, Action, System, Update
from spec.language import ir
from spec.language.assembly import cells_read, children
from spec.language.cells import FIRST_INDEX
from spec.language.declarations import Enum, SpecError
from spec.language.expressions import cell_type

SymbolicState = Mapping[str, Callable[..., Any]]
Scope = Mapping[str, Any]


@frozen
class Optional:
    """The data type of ``none`` and the individuals of a sort."""

    sort: Any
    nothing: Any
    some: Any
    is_some: Any
    value: Any


@cache
def _optional(name: str) -> Optional:
    declaration = z3.Datatype(f"Optional_{name}")
    declaration.declare(f"no_{name}")
    declaration.declare(f"some_{name}", (f"the_{name}", z3.DeclareSort(name)))
    made = declaration.create()
    nothing, some = made.constructor(0), made.constructor(1)
    return Optional(made, nothing(), some, made.recognizer(1), made.accessor(1, 0))


@cache
def _enumeration(enum: Enum) -> tuple[Any, dict[str, Any]]:
    # z3 keeps one table of sorts, and a variant of a network may have other values.
    name = "_".join((enum.name, *enum.values))
    sort, values = z3.EnumSort(name, list(enum.values))
    return sort, dict(zip(enum.values, values, strict=True))


class Symbols:
    """The sorts and functions that stand for a system, and what is known about them."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.sorts = {name: z3.DeclareSort(name) for name in system.names.sorts}
        self.before: SymbolicState = {
            cell.name: z3.Function(
                cell.name, *(self.sorts[s] for s in cell.index), self.sort_of(cell_type(cell))
            )
            for cell in system.cells.values()
        }
        self.quorums = Quorums(
            self.sorts, {cell: self.before[cell] for cell in self._populations()}
        )
        self._orders: dict[str, Any] = {}
        self._counts_numbers = False
        self.names_later = False
        """Whether counts after a step have names, too: where what shrinks is to be followed."""
        self.orders_end = False
        """Whether an ordered sort has a first and a last individual, as every finite one has."""

    def _populations(self) -> tuple[str, ...]:
        """Return the cells that say who is in which population; SpecError if that can change, or if
        nothing says that each has N members."""
        named = self.system.network.populations
        for cell in named:
            if cell not in self.system.rigid:
                raise SpecError(f"population {cell!r} is not rigid: it could change")
            if not any(size_of(node) == cell for node in self.system.assumptions):
                raise SpecError(f"population {cell!r}: no assumption says that each has N members")
        return named

    def sort_of(self, kind: ir.Type) -> Any:
        """Return the z3 sort of a type."""
        match kind:
            case ("bool",):
                return z3.BoolSort()
            case ("int",):
                return z3.IntSort()
            case ("sort", name):
                return self.sorts[name]
            case ("opt", name):
                return self.optional(name).sort
            case ("enum", name):
                return self._enum(name)[0]
        raise SpecError(f"no sort for the type {kind}")

    def optional(self, name: str) -> Optional:
        """Return the data type of an optional individual."""
        return _optional(name)

    def _enum(self, name: str) -> tuple[Any, dict[str, Any]]:
        return _enumeration(self.system.names.enums[name])

    # --- terms

    def term(self, node: ir.Node, scope: Scope, state: SymbolicState) -> Any:
        """Return the z3 term of a node in a state; raises :class:`SpecError` if it has none."""
        found = self._term(node, scope, state)
        if node.type[0] == "opt" and found.sort() == self.sorts[node.type[1]]:
            return self.optional(node.type[1]).some(found)
        return found

    def _term(self, node: ir.Node, scope: Scope, state: SymbolicState) -> Any:
        def of(child: ir.Node) -> Any:
            return self.term(child, scope, state)

        match node:
            case ir.Literal(type=kind, value=value):
                if kind == ir.BOOL:
                    return z3.BoolVal(bool(value))
                if kind == ir.INT:
                    return z3.IntVal(int(value))
                return self._enum(kind[1])[1][str(value)]
            case ir.Nothing(type=kind):
                return self.optional(kind[1]).nothing
            case ir.Variable(name=name):
                return scope[name]
            case ir.Read(cell=cell, index=index):
                return state[cell](*(of(term) for term in index))
            case ir.Not(body=body):
                return z3.Not(of(body))
            case ir.And(parts=parts):
                return z3.And([of(part) for part in parts])
            case ir.Or(parts=parts):
                return z3.Or([of(part) for part in parts])
            case ir.Implies(left=left, right=right):
                return z3.Implies(of(left), of(right))
            case ir.Equal(left=left, right=right) if left.type == ir.INT:
                return z3.And(*(of(ir.Compare(ir.BOOL, op, left, right)) for op in (">=", "<=")))
            case ir.Equal(left=left, right=right):
                return of(left) == of(right)
            case ir.Compare(left=left) if left.type == ir.INT:
                return self._numbers(node, scope, state)
            case ir.Compare(operator=operator, left=left, right=right):
                return self._ordered(operator, left.type, of(left), of(right))
            case ir.Constant(name=name):
                self._counts_numbers = True
                return z3.Int(name)
            case ir.Arithmetic(operator=operator, left=left, right=right):
                one, other = of(left), of(right)
                return one + other if operator == "+" else one - other
            case ir.Choose(test=test, then=then, otherwise=otherwise):
                return z3.If(of(test), of(then), of(otherwise))
            case ir.Quantified(kind="all" | "any"):
                return self._quantified(node, scope, state)
            case ir.Quantified():
                raise SpecError("a count beside a cell's number has no meaning for every size")
        raise SpecError(f"{type(node).__name__} has no meaning for every size")

    def _quantified(self, node: ir.Quantified, scope: Scope, state: SymbolicState) -> Any:
        """Return one quantifier over all the variables of a chain of quantifiers of one kind.

        "Some h that is the value of c has φ" is "c has a value, and φ of it": so no prover has to
        guess it.
        """
        named = _the_one(node)
        if named is not None:
            term, rest = self.term(named[0], scope, state), named[1]
            optional = self.optional(node.sort)
            inside = self.term(rest, {**scope, node.variable: optional.value(term)}, state)
            return z3.And(optional.is_some(term), inside)
        bound: dict[str, Any] = {}
        body: ir.Node = node
        while isinstance(body, ir.Quantified) and body.kind == node.kind:
            # SMT-LIB knows no prime in a name.
            name = body.variable.replace("'", "_")
            bound[body.variable] = z3.Const(name, self.sorts[body.sort])
            body = body.body
        inside = self.term(body, {**scope, **bound}, state)
        return (z3.ForAll if node.kind == "all" else z3.Exists)(list(bound.values()), inside)

    def _numbers(self, node: ir.Compare, scope: Scope, state: SymbolicState) -> Any:
        if _holds_numbers(node.left) or _holds_numbers(node.right):
            one, other = (self.term(side, scope, state) for side in (node.left, node.right))
            return COMPARE[node.operator](one, other)
        found = threshold(node)
        if found is None:
            self._counts_numbers = True
            one, other = linear(node.left).term(), linear(node.right).term()
            return COMPARE[node.operator](one, other)
        formula = self._count(found, scope, state)
        return z3.Not(formula) if found.negated else formula

    def _count(self, found: Threshold, scope: Scope, state: SymbolicState) -> Any:
        def inside(count: ir.Quantified, one: Any, given: Scope) -> Any:
            return self.term(count.body, {**given, count.variable: one}, state)

        def place(members: Members | None, given: Scope) -> tuple[Any, ...]:
            index = members.index if members else ()
            return tuple(self.term(term, given, self.before) for term in index)

        counted = found.counted
        members = members_of(counted, self.quorums.populations)
        population = members.population if members else ""
        unchanged = all(state[cell] is self.before[cell] for cell in cells_read(counted))
        if not found.least.multiples or not (unchanged or self.names_later):
            return self.quorums.at_least(
                counted.sort, found.least, lambda one: inside(counted, one, scope), population,
                place(members, scope),
            )
        form, free = canonical(found)

        def given(terms: tuple[Any, ...]) -> Scope:
            return {str(number): term for number, term in enumerate(terms)}

        return self.quorums.name(
            form,
            tuple(scope[name] for name in free),
            lambda one, *terms: inside(form.counted, one, given(terms)),
            population,
            lambda *terms: place(
                members_of(form.counted, self.quorums.populations), given(terms)
            ),
            later=not unchanged,
        )

    def _ordered(self, operator: str, kind: ir.Type, left: Any, right: Any) -> Any:
        if operator in (">", ">="):
            return self._ordered(operator.replace(">", "<"), kind, right, left)
        strict = self._below(kind, left, right)
        return strict if operator == "<" else z3.Or(left == right, strict)

    def _below(self, kind: ir.Type, left: Any, right: Any) -> Any:
        name, sort = kind[1], self.sorts[kind[1]]
        if name not in self._orders:
            self._orders[name] = z3.Function(f"below_{name}", sort, sort, z3.BoolSort())
        below = self._orders[name]
        if kind[0] == "sort":
            return below(left, right)
        optional = self.optional(kind[1])
        inside = below(optional.value(left), optional.value(right))
        return z3.And(optional.is_some(right), z3.Or(z3.Not(optional.is_some(left)), inside))

    # --- states

    def parameters(self, action: Action) -> Scope:
        """Return a constant for each parameter of an action."""
        return {
            name: z3.Const(f"{name} of {action.name}", self.sorts[sort])
            for name, sort in action.parameters.items()
        }

    def first(self) -> SymbolicState:
        """Return the initial states: cells hold their first value, rigid ones anything."""
        state = dict(self.before)
        for name, node in self.system.first.items():
            state[name] = lambda *index, node=node: self.term(
                node, {FIRST_INDEX(k): place for k, place in enumerate(index)}, self.before
            )
        return state

    def initially(self) -> tuple[Any, ...]:
        """Return what holds in the initial states beside the first values: what the network says,
        and that numbers are chosen within their ranges.
        """
        first, system = self.first(), self.system
        ranges = (c.formula for c in system.properties if c.property.kind == "range")
        chosen = (each for each in ranges if not cells_read(each) & system.first.keys())
        return tuple(self.term(node, {}, first) for node in (*system.initially, *chosen))

    def after(self, action: Action, scope: Scope) -> SymbolicState:
        """Return the state after an action, in terms of the state before it."""
        state = dict(self.before)
        for update in action.updates:
            state[update.cell] = self._written(state[update.cell], update, scope)
        return state

    def _written(self, old: Callable[..., Any], update: Update, scope: Scope) -> Callable[..., Any]:
        """Return a cell after an effect: the new value where the index is one that is written."""

        def new(*places: Any) -> Any:
            inner = dict(scope)
            same = []
            for place, node in zip(places, update.index, strict=True):
                if isinstance(node, ir.Variable) and node.name in update.variables.keys() - inner:
                    inner[node.name] = place
                else:
                    same.append(place == self.term(node, inner, self.before))
            if update.where != TRUE:
                same.append(self.term(update.where, inner, self.before))
            value = self.term(update.value, inner, self.before)
            return z3.If(z3.And(same), value, old(*places)) if same else value

        return new

    def guard(self, action: Action, scope: Scope) -> tuple[Any, ...]:
        """Return the conjuncts of an action's guard in the state before it."""
        return tuple(self.term(g.formula, scope, self.before) for g in action.guards)

    def background(self) -> tuple[Any, ...]:
        """Return what holds in every state: assumptions, orders, quorum axioms.

        Call it after every formula of interest was turned into a term, since the axioms are made
        from the sizes that occur in them.
        """
        sized = self.quorums.populations.keys()  # their sizes are what the axioms are made of
        assumed = [
            self.term(node, {}, self.before) for node in self.system.assumptions
            if size_of(node) not in sized
        ]
        meanings = self.quorums.meanings()
        axioms = [axiom.formula for axiom in self.quorums.axioms()]
        orders = [axiom for name in self._orders for axiom in self._order(name)]
        numbers = constants_known() if self._counts_numbers else ()
        return (*assumed, *meanings, *axioms, *orders, *numbers)

    def _order(self, name: str) -> tuple[Any, ...]:
        below = self._orders[name]
        one, two, three = z3.Consts("one two three", self.sorts[name])
        first, last = z3.Consts(f"first_{name} last_{name}", self.sorts[name])
        ends = (z3.Not(below(one, first)), z3.Not(below(last, one)))
        return (
            *(z3.ForAll([one], end) for end in (ends if self.orders_end else ())),
            z3.ForAll([one], z3.Not(below(one, one))),
            z3.ForAll(
                [one, two, three],
                z3.Implies(z3.And(below(one, two), below(two, three)), below(one, three)),
            ),
            z3.ForAll([one, two], z3.Or(below(one, two), one == two, below(two, one))),
        )


def _the_one(node: ir.Quantified) -> tuple[ir.Read, ir.Node] | None:
    """Return c and φ of ``any(c == h and φ for h)``; c is an optional cell."""
    body = node.body
    if node.kind != "any" or not isinstance(body, ir.And):
        return None
    first, *others = body.parts
    if not isinstance(first, ir.Equal):
        return None
    cell, one = first.left, first.right
    if not isinstance(cell, ir.Read) or not isinstance(one, ir.Variable):
        return None
    if one.name != node.variable or cell.type[0] != "opt" or _names(cell, node.variable):
        return None
    return cell, ir.And(ir.BOOL, tuple(others))


def _names(node: ir.Node, variable: str) -> bool:
    """Return whether a term names a variable."""
    if isinstance(node, ir.Variable):
        return node.name == variable
    return any(_names(child, variable) for child in children(node))


def size_of(assumption: ir.Node) -> str | None:
    """Return the cell of which an assumption says that each population has N members."""
    body = assumption
    while isinstance(body, ir.Quantified) and body.kind == "all":
        body = body.body
    if not isinstance(body, ir.Equal) or body.right != ir.Constant(ir.INT, "N"):
        return None
    counted = body.left
    if isinstance(counted, ir.Quantified) and isinstance(counted.body, ir.Read):
        members = members_of(counted, (counted.body.cell,))
        return members.population if members else None
    return None


def _holds_numbers(node: ir.Node) -> bool:
    """Return whether a cell's number is part of a number, or a choice between numbers is."""
    if isinstance(node, ir.Arithmetic):
        return _holds_numbers(node.left) or _holds_numbers(node.right)
    return isinstance(node, ir.Read | ir.Choose)
