"""The meaning of a formula and of a row: the slow oracle that every engine is compared with.

A :class:`View` answers what a cell holds and which individuals a sort has; ``evaluate`` computes a
term on it, ``enabled`` finds the rules that a (state, event) pair allows, ``outcome`` computes the
new values. Nothing is changed here: the caller that runs a rule applies the outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from typing import Protocol as Interface

from attrs import frozen

from spec.language.assembly import Effect, Guard, Machine, Rule
from spec.language.ir import (
    Among,
    And,
    Arithmetic,
    Choose,
    Compare,
    Constant,
    Equal,
    Implies,
    Literal,
    Node,
    Not,
    Nothing,
    Or,
    Quantified,
    Read,
    Variable,
)

Value = bool | int | str | bytes | None
Index = tuple[Value, ...]
Environment = Mapping[str, Value]


class View(Interface):
    """What formulas are evaluated on: the whole network in a model, at a node what it knows."""

    def read(self, cell: str, index: Index) -> Value:
        """Return the value of ``cell[index]``."""

    def individuals(self, sort: str) -> Iterable[Value]:
        """Return the individuals of a sort."""

    def constant(self, name: str) -> int:
        """Return the number of a constant such as T."""

    def among(self, sorts: tuple[str, ...], index: Index) -> View | None:
        """Return the view with Peer and constants of those whom the index names, if known."""


@frozen
class Change:
    """One effect with its values: ``cell[index]`` goes from ``before`` to ``after``."""

    cell: str
    kept: str
    index: Index
    before: Value
    after: Value


def evaluate(node: Node, view: View, environment: Environment) -> Value:
    """Return the value of a term on a view."""
    meaning = _MEANINGS.get(type(node))
    if meaning is None:
        raise TypeError(f"no meaning for {type(node).__name__}")
    return meaning(node, view, environment)


def holds(guard: Guard, view: View, environment: Environment) -> bool:
    """Return whether one conjunct of a guard holds."""
    return bool(evaluate(guard.formula, view, environment))


def first_false(rule: Rule, view: View, environment: Environment) -> Guard | None:
    """Return the first conjunct that does not hold, or None when the rule may run."""
    return next((g for g in rule.guards if not holds(g, view, environment)), None)


def enabled(
    machine: Machine, state: str, event: str, view: View, environment: Environment
) -> tuple[Rule, ...]:
    """Return the rules that may run; more than one means that the table is not deterministic."""
    return tuple(
        rule
        for rule in machine.rules_for(state, event)
        if first_false(rule, view, environment) is None
    )


def outcome(rule: Rule, view: View, environment: Environment) -> tuple[Change, ...]:
    """Return the changes of a rule's effects, all computed on the view before any of them."""
    return tuple(_change(effect, view, environment) for effect in rule.effects)


def _change(effect: Effect, view: View, environment: Environment) -> Change:
    index = tuple(evaluate(term, view, environment) for term in effect.index)
    before = view.read(effect.cell.name, index)
    after = evaluate(effect.value, view, environment)
    return Change(effect.cell.name, effect.cell.kept, index, before, after)


# The kinds that are met most look up the meaning of their parts themselves: half as many calls.


def _nothing(node: Nothing, view: View, environment: Environment) -> None:
    return None


def _literal(node: Literal, view: View, environment: Environment) -> Value:
    return node.value


def _constant(node: Constant, view: View, environment: Environment) -> int:
    return view.constant(node.name)


def _variable(node: Variable, view: View, environment: Environment) -> Value:
    return environment[node.name]


def _read(node: Read, view: View, environment: Environment) -> Value:
    index = [_MEANINGS[type(term)](term, view, environment) for term in node.index]
    return view.read(node.cell, tuple(index))


def _not(node: Not, view: View, environment: Environment) -> bool:
    return not evaluate(node.body, view, environment)


def _and(node: And, view: View, environment: Environment) -> bool:
    for part in node.parts:  # noqa: SIM110 - a generator takes twice as long
        if not _MEANINGS[type(part)](part, view, environment):
            return False
    return True


def _or(node: Or, view: View, environment: Environment) -> bool:
    for part in node.parts:  # noqa: SIM110 - a generator takes twice as long
        if _MEANINGS[type(part)](part, view, environment):
            return True
    return False


def _implies(node: Implies, view: View, environment: Environment) -> bool:
    return not evaluate(node.left, view, environment) or bool(
        evaluate(node.right, view, environment)
    )


def _equal(node: Equal, view: View, environment: Environment) -> bool:
    left, right = node.left, node.right
    first = _MEANINGS[type(left)](left, view, environment)
    return bool(first == _MEANINGS[type(right)](right, view, environment))


def _choose(node: Choose, view: View, environment: Environment) -> Value:
    chosen = node.then if evaluate(node.test, view, environment) else node.otherwise
    return evaluate(chosen, view, environment)


def _among(node: Among, view: View, environment: Environment) -> Value:
    named = tuple([evaluate(term, view, environment) for term in node.index])
    scoped = view.among(node.sorts, named)
    # Of those whom nobody knows nothing holds, not even what holds of all of them.
    return scoped is not None and evaluate(node.body, scoped, environment)


def _quantified(node: Quantified, view: View, environment: Environment) -> bool | int:
    tests = (
        bool(evaluate(node.body, view, {**environment, node.variable: individual}))
        for individual in view.individuals(node.sort)
    )
    if node.kind == "all":
        return all(tests)
    if node.kind == "any":
        return any(tests)
    return sum(tests)


def _arithmetic(node: Arithmetic, view: View, environment: Environment) -> int:
    first, second = _number(node.left, view, environment), _number(node.right, view, environment)
    return first + second if node.operator == "+" else first - second


def _number(node: Node, view: View, environment: Environment) -> int:
    value = evaluate(node, view, environment)
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is not a number")
    return value


def _compare(node: Compare, view: View, environment: Environment) -> bool:
    left, right = evaluate(node.left, view, environment), evaluate(node.right, view, environment)
    # none lies below every individual of an ordered sort
    first, second = (-1 if side is None else side for side in (left, right))
    if not isinstance(first, int) or not isinstance(second, int):
        raise TypeError(f"{left!r} and {right!r} have no order")
    return {"<": first < second, "<=": first <= second, ">": first > second, ">=": first >= second}[
        node.operator
    ]


_MEANINGS: Mapping[type, Callable[[Any, View, Environment], Value]] = {
    Among: _among,
    And: _and,
    Arithmetic: _arithmetic,
    Choose: _choose,
    Compare: _compare,
    Constant: _constant,
    Equal: _equal,
    Implies: _implies,
    Literal: _literal,
    Not: _not,
    Nothing: _nothing,
    Or: _or,
    Quantified: _quantified,
    Read: _read,
    Variable: _variable,
}
"""What each kind of term means; a mapping, because nodes evaluate guards at every tick."""
