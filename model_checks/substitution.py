"""Putting terms in the place of variables, and formulas in the place of given facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve, fields_dict

from spec.language.assembly import children
from spec.language.ir import Among, Node, Quantified, Read, Variable, sort_type

StandIns = Mapping[str, tuple[tuple[str, ...], Node]]
"""For each cell that is replaced: the names of its indices, and the formula over them."""


def substitute(node: Node, stand_ins: StandIns) -> Node:
    """Return the formula with every read of a replaced cell turned into what stands in for it."""
    if isinstance(node, Read):
        index = tuple(substitute(term, stand_ins) for term in node.index)
        if node.cell in stand_ins:
            variables, formula = stand_ins[node.cell]
            return bind(formula, dict(zip(variables, index, strict=True)))
        return evolve(node, index=index)
    return rebuild(node, lambda child: substitute(child, stand_ins))


def bind(node: Node, values: Mapping[str, Node]) -> Node:
    """Return the formula with variables replaced by terms; no quantifier captures one of theirs."""
    if isinstance(node, Variable):
        # The place says whether an individual or an optional one is meant, not the term.
        return evolve(values[node.name], type=node.type) if node.name in values else node
    if isinstance(node, Quantified) and any(node.variable in _free(v) for v in values.values()):
        fresh = f"{node.variable}'"
        new = Variable(sort_type(node.sort), fresh)
        node = evolve(node, variable=fresh, body=bind(node.body, {node.variable: new}))
        return bind(node, values)
    return rebuild(node, lambda child: bind(child, values))


def _free(node: Node) -> set[str]:
    """Return the variables of a term without quantifiers."""
    return {getattr(node, "name", "")}.union(*(_free(child) for child in children(node)))


def one_population(node: Node) -> Node:
    """Return the formula where all peers are one population: ``among`` names nobody else."""
    if isinstance(node, Among):
        return one_population(node.body)
    return rebuild(node, one_population)


def rebuild(node: Node, change: Callable[[Node], Node]) -> Node:
    """Return the node with every sub-term changed."""
    changed: dict[str, Any] = {}
    for name in fields_dict(type(node)):
        value = getattr(node, name)
        if isinstance(value, Node):
            changed[name] = change(value)
        elif isinstance(value, tuple) and value and all(isinstance(v, Node) for v in value):
            changed[name] = tuple(change(v) for v in value)
    return evolve(node, **changed) if changed else node
