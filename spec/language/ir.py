"""The typed intermediate form of the table language: what every engine and the runtime read.

Types are tuples: ``("bool",)``, ``("int",)``, ``("sort", name)``, ``("opt", sort)`` and
``("enum", name)``. Every node carries its type; sub-terms are nodes. A printer for a new engine is
one function over these classes.
"""

from __future__ import annotations

from attrs import frozen

Type = tuple[str, ...]
BOOL: Type = ("bool",)
INT: Type = ("int",)


def sort_type(name: str) -> Type:
    """The type of an individual of the sort."""
    return ("sort", name)


def opt_type(sort: str) -> Type:
    """The type of an individual of the sort or none."""
    return ("opt", sort)


def enum_type(name: str) -> Type:
    """The type of a named finite value."""
    return ("enum", name)


@frozen
class Node:
    """Base of all terms and formulas."""

    type: Type


@frozen
class Literal(Node):
    """A truth value, a number, or the name of an enum value."""

    value: bool | int | str


@frozen
class Nothing(Node):
    """``none`` of an optional type."""


@frozen
class Constant(Node):
    """A number fixed for one key epoch: N, T, F or R."""

    name: str


@frozen
class Variable(Node):
    """A row's parameter or a bound variable."""

    name: str


@frozen
class Read(Node):
    """The value of ``cell[index...]``."""

    cell: str
    index: tuple[Node, ...]


@frozen
class Not(Node):
    """Negation."""

    body: Node


@frozen
class And(Node):
    """Conjunction, evaluated from left to right."""

    parts: tuple[Node, ...]


@frozen
class Or(Node):
    """Disjunction, evaluated from left to right."""

    parts: tuple[Node, ...]


@frozen
class Implies(Node):
    """``left`` implies ``right``."""

    left: Node
    right: Node


@frozen
class LeadsTo(Node):
    """Whenever ``left`` holds, ``right`` holds then or later: of runs, not of states."""

    left: Node
    right: Node


@frozen
class Equal(Node):
    """Equality of two terms of one type (an individual equals itself as an optional)."""

    left: Node
    right: Node


@frozen
class Compare(Node):
    """``<``, ``<=``, ``>``, ``>=`` on numbers or on individuals of an ordered sort."""

    operator: str
    left: Node
    right: Node


@frozen
class Choose(Node):
    """``then`` if ``test`` else ``otherwise``."""

    test: Node
    then: Node
    otherwise: Node


@frozen
class Quantified(Node):
    """``all``, ``any`` or ``count`` of ``body`` over the individuals of a sort."""

    kind: str
    variable: str
    sort: str
    body: Node


@frozen
class Among(Node):
    """``body`` with Peer, N, T, F and R of those whom the index names (F-19).

    An event and an attempt name the holders who sign it, an epoch or a key its own holders.
    ``sorts`` are those of the index.
    """

    sorts: tuple[str, ...]
    index: tuple[Node, ...]
    body: Node


@frozen
class Arithmetic(Node):
    """``+`` or ``-`` on numbers."""

    operator: str
    left: Node
    right: Node
