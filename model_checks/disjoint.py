"""Can two rules of one (state, event) both be enabled? Decided by z3 over abstracted formulas.

Individuals are whole numbers, ``none`` is −1, enum values are their positions, cells are functions.
Equality, order and the values of one cell therefore mean what they mean in the language. A
quantified formula is opaque, and so is what is said ``among`` others: one truth value (a count: one
number) per distinct formula, the same in both guards. That is sound: what is impossible here is
impossible in the language. Where it is too coarse, a pair is reported although it never occurs;
such a pair is hard to read as well.
"""

from __future__ import annotations

from typing import Any

import z3
from attrs import define, field

from model_checks.engines.ground import COMPARE
from spec.language import ir
from spec.language.assembly import Machine, Protocol, Rule
from spec.language.expressions import cell_type

RESOURCE_LIMIT = 2_000_000
"""Work that z3 may do for one pair; deterministic, unlike a time limit."""

SEED = 1


def example_of_both(protocol: Protocol, machine: Machine, first: Rule, second: Rule) -> str | None:
    """Return an example in which both rules are enabled, or None when there is none."""
    terms = _Terms(protocol)
    solver = z3.Solver()
    solver.set("rlimit", RESOURCE_LIMIT)
    solver.set("random_seed", SEED)
    index = tuple(
        ir.Variable(ir.sort_type(sort), name)
        for name, sort in zip(machine.subject, machine.cell.index, strict=True)
    )
    kind = cell_type(machine.cell)
    held = ir.Read(kind, machine.cell.name, index)
    state = ir.Equal(ir.BOOL, held, ir.Literal(kind, first.source))
    formulas = [state, *(g.formula for rule in (first, second) for g in rule.guards)]
    for formula in formulas:
        solver.add(terms.of(formula))
    solver.add(*terms.ranges)
    answer = solver.check()
    if answer == z3.unsat:
        return None
    if answer != z3.sat:
        return "z3 gave up"
    return terms.describe(solver.model())


@define
class _Terms:
    """Turns formulas into z3 terms; ``ranges`` says of each term which values its type has."""

    protocol: Protocol
    ranges: list[Any] = field(factory=list)
    _opaque: dict[ir.Node, Any] = field(factory=dict)
    _reads: dict[str, Any] = field(factory=dict)

    def of(self, node: ir.Node) -> Any:
        """Return the z3 term of a node."""
        match node:
            case ir.Literal(type=kind, value=value):
                return self._literal(kind, value)
            case ir.Nothing():
                return z3.IntVal(-1)
            case ir.Constant(name=name):
                return self._number(name, 0)
            case ir.Variable(name=name):
                return self._number(f"variable {name}", 0)
            case ir.Read():
                return self._read(node)
            case ir.Not(body=body):
                return z3.Not(self.of(body))
            case ir.And(parts=parts):
                return z3.And(*(self.of(part) for part in parts))
            case ir.Or(parts=parts):
                return z3.Or(*(self.of(part) for part in parts))
            case ir.Implies(left=left, right=right):
                return z3.Implies(self.of(left), self.of(right))
            case ir.Equal(left=left, right=right):
                return self.of(left) == self.of(right)
            case ir.Compare(operator=operator, left=left, right=right):
                return COMPARE[operator](self.of(left), self.of(right))
            case ir.Choose(test=test, then=then, otherwise=otherwise):
                return z3.If(self.of(test), self.of(then), self.of(otherwise))
            case ir.Arithmetic(operator=operator, left=left, right=right):
                one, other = self.of(left), self.of(right)
                return one + other if operator == "+" else one - other
            case ir.Quantified() | ir.Among():
                return self._whole(node)
        raise TypeError(f"no z3 term for {type(node).__name__}")

    def describe(self, model: Any) -> str:
        """Return the cells of an example as text."""
        told = [f"{text} = {model.eval(term)}" for text, term in sorted(self._reads.items())]
        return ", ".join(told) or "always"

    def _literal(self, kind: ir.Type, value: bool | int | str) -> Any:
        if isinstance(value, bool):
            return z3.BoolVal(value)
        if isinstance(value, int):
            return z3.IntVal(value)
        return z3.IntVal(self.protocol.names.enums[kind[1]].values.index(value))

    def _number(self, name: str, least: int) -> Any:
        number = z3.Int(name)
        self.ranges.append(number >= least)
        return number

    def _read(self, node: ir.Read) -> Any:
        boolean = node.type == ir.BOOL
        result = z3.BoolSort() if boolean else z3.IntSort()
        places = [z3.IntSort() for _ in node.index]
        function = z3.Function(node.cell, *places, result)
        term = function(*(self.of(part) for part in node.index)) if places else function()
        if node.type[0] == "opt":
            self.ranges.append(term >= -1)
        elif node.type[0] == "enum":
            self.ranges += [term >= 0, term < len(self.protocol.names.enums[node.type[1]].values)]
        self._reads[str(term)] = term
        return term

    def _whole(self, node: ir.Node) -> Any:
        if node not in self._opaque:
            name = f"formula {len(self._opaque)}"
            self._opaque[node] = z3.Bool(name) if node.type == ir.BOOL else self._number(name, 0)
        return self._opaque[node]
