"""Putting terms in the place of variables, formulas in the place of given facts, and those who are
meant in the place of ``among``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, fields_dict, frozen

from spec.language.assembly import cells_read, children
from spec.language.declarations import SpecError, parse_signature
from spec.language.expressions import Names, Parser, cell_type
from spec.language.ir import (
    BOOL,
    INT,
    Among,
    And,
    Constant,
    Implies,
    Node,
    Quantified,
    Read,
    Variable,
    sort_type,
)

if TYPE_CHECKING:
    from model_checks.system import Network, Scope

StandIns = Mapping[str, tuple[tuple[str, ...], Node]]
"""For each cell that is replaced: the names of its indices, and the formula over them."""


@frozen
class Meant:
    """Whom ``among`` names with an index of some sorts, and their numbers: formulas over it."""

    variables: tuple[str, ...]
    peer: str
    """The variable of ``members`` that stands for the peer in question."""
    members: Node
    numbers: Mapping[str, Node] = field(factory=dict)
    chosen: tuple[str, str] | None = None
    """A variable and its sort that members and numbers speak of beside the index, if any."""
    where: Node | None = None
    """Which individual it is: exactly one, for each index."""


Scopes = Mapping[tuple[str, ...], Meant]
"""By the sorts of the index; what is missing names everybody."""


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


def populated(node: Node, scopes: Scopes) -> Node:
    """Return the formula without ``among``: those who are meant stand in each quantifier.

    Without scopes all peers are one population, and ``among`` names nobody else.
    """
    if not isinstance(node, Among):
        return rebuild(node, lambda child: populated(child, scopes))
    meant = scopes.get(node.sorts)
    if meant is None:
        return populated(node.body, scopes)
    index: dict[str, Node] = dict(zip(meant.variables, node.index, strict=True))
    if meant.chosen is None or meant.where is None:
        return _within(node.body, meant, index, scopes)
    name, sort = meant.chosen
    index[name] = Variable(sort_type(sort), f"{name}''")
    body = _within(node.body, meant, index, scopes)
    return Quantified(BOOL, "any", f"{name}''", sort, And(BOOL, (
        bind(meant.where, index), body
    )))


def _within(node: Node, meant: Meant, index: Mapping[str, Node], scopes: Scopes) -> Node:
    """Return a body of ``among``; one inside another speaks of its own peers."""
    if isinstance(node, Among):
        return populated(node, scopes)
    if isinstance(node, Constant) and node.name in meant.numbers:
        return bind(meant.numbers[node.name], index)
    rebuilt = rebuild(node, lambda child: _within(child, meant, index, scopes))
    if not isinstance(rebuilt, Quantified) or rebuilt.sort != "Peer":
        return rebuilt
    peer = Variable(sort_type("Peer"), rebuilt.variable)
    member = bind(meant.members, {**index, meant.peer: peer})
    if rebuilt.kind == "all":
        return evolve(rebuilt, body=Implies(BOOL, member, rebuilt.body))
    return evolve(rebuilt, body=And(BOOL, (member, rebuilt.body)))


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


@frozen
class Places:
    """What stands in the place of what a network leaves open."""

    scopes: Scopes
    stand_ins: StandIns

    def close(self, node: Node) -> Node:
        """Return a formula as the engines read it."""
        return substitute(populated(node, self.scopes), self.stand_ins)


def places_of(network: Network, names: Names) -> Places:
    """Return what a network puts in the place of given facts and of ``among``."""
    scopes = dict(_meant(scope, network, names) for scope in network.scopes)
    found: dict[str, tuple[tuple[str, ...], Node]] = {}
    places = Places(scopes, found)
    for reference, text in network.given.items():
        name, _, inside = reference.partition("[")
        variables = tuple(part.strip() for part in inside.rstrip("]").split(",") if part.strip())
        cell = names.cells.get(name.strip())
        if cell is None or len(variables) != len(cell.index):
            raise SpecError(f"network {network.name}: {reference!r} is not a cell with its indices")
        scope = {v: Variable(sort_type(s), v) for v, s in zip(variables, cell.index, strict=True)}
        try:
            formula = Parser(names, scope).parse(text, cell_type(cell))
        except SpecError as error:
            raise SpecError(f"network {network.name}, given {reference}: {error}") from None
        found[cell.name] = (variables, places.close(formula))
    for name, (_, formula) in found.items():
        for other in cells_read(formula) & found.keys():
            raise SpecError(f"network {network.name}: given {name} reads {other}: put it below")
    return places


def _meant(scope: Scope, network: Network, names: Names) -> tuple[tuple[str, ...], Meant]:
    _, parameters = parse_signature(f"among({scope.index})")
    _, chosen = parse_signature(f"among({scope.chosen})")
    index = {name: Variable(sort_type(sort), name) for name, sort in parameters.items()}
    known = {**index, **{name: Variable(sort_type(sort), name) for name, sort in chosen.items()}}
    peer = {"q": Variable(sort_type("Peer"), "q")}
    try:
        members = Parser(names, {**known, **peer}).parse(scope.members)
        numbers = {n: Parser(names, known).parse(t, INT) for n, t in scope.numbers.items()}
        where = Parser(names, known).parse(scope.where) if scope.where else None
    except SpecError as error:
        raise SpecError(f"network {network.name}, scope {scope.index}: {error}") from None
    which = next(iter(chosen.items()), None)
    return tuple(parameters.values()), Meant(tuple(index), "q", members, numbers, which, where)
