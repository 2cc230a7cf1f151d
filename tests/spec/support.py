"""A small protocol to try the language on, and a view that is a dictionary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from attrs import define, field

from spec.language.assembly import Protocol, assemble
from spec.language.declarations import Cell, Definition, Enum, Opt, Row, Sort, Table
from spec.language.expressions import Names, Parser
from spec.language.interpreter import Environment, Index, Value, evaluate
from spec.language.ir import BOOL, Node, Type, Variable, sort_type
from spec.messages import Certificate, LockedCandidate, OutpointRef

LIGHT = Enum("Light", ("red", "green", "dark"))
SORTS = (
    Sort("Peer", "a node"),
    Sort("Digest", "a document"),
    Sort("Attempt", "a number", ordered=True),
)
CELLS = (
    Cell("light", LIGHT, ("Peer",), "red", "memory", "the state of the table"),
    Cell("other_light", LIGHT, ("Peer",), "red", "memory", "the state of another table"),
    Cell("lock", Opt("Digest"), ("Peer",), "none", "disk", "an optional individual"),
    Cell("last", Opt("Attempt"), ("Peer",), "none", "disk", "an optional ordered individual"),
    Cell("vote", "bool", ("Peer", "Digest"), "False", "network", "what was sent"),
    Cell("rain", "bool", (), "False", "given", "a fact without an index"),
    Cell("secret", "bool", ("Peer",), "False", "ghost", "for properties only"),
)
DEFINITIONS = (
    Definition("voted_for(d: Digest)", "count(q for q in Peer if vote[q, d]) >= T", "a quorum"),
    Definition("only(d: Digest)", "not any(voted_for(x) for x in Digest if x != d)", "nests"),
)
ROW = Row("red", "Go(p: Peer)", "green", why="to test")
OTHER = Table(
    "other",
    "other_light[p]",
    "another table",
    rows=(
        Row(("red", "green"), "Swap(p: Peer)", "dark", why="to test"),
        Row("dark", "Swap(p: Peer)", "green", why="to test"),
    ),
)


def build(
    *rows: Row,
    cells: Iterable[Cell] = CELLS,
    definitions: Iterable[Definition] = DEFINITIONS,
    cell: str = "light[p]",
    sorts: Iterable[Sort] = SORTS,
) -> Protocol:
    """Assemble the small protocol with these rows in its first table."""
    return assemble(
        sorts=sorts,
        cells=cells,
        tables=(Table("lamp", cell, "the table under test", rows=rows or (ROW,)), OTHER),
        definitions=definitions,
        constants=("N", "T", "F"),
    )


NAMES = build().names


def parse(text: str, want: Type = BOOL, names: Names = NAMES, **scope: str) -> Node:
    """Parse a text in which the names of ``scope`` are individuals of the sorts given."""
    variables = {name: Variable(sort_type(sort), name) for name, sort in scope.items()}
    return Parser(names, variables).parse(text, want)


@define
class Dictionary:
    """A view: values by (cell, index), individuals by sort, numbers by constant."""

    protocol: Protocol
    values: dict[tuple[str, Index], Value] = field(factory=dict)
    sorts: Mapping[str, Iterable[Value]] = field(factory=dict)
    numbers: Mapping[str, int] = field(factory=lambda: {"N": 4, "T": 3, "F": 1, "R": 3})
    scopes: Mapping[tuple[tuple[str, ...], Index], Dictionary] = field(factory=dict)

    def read(self, cell: str, index: Index) -> Value:
        """Return what was put there, else the cell's first value."""
        words: dict[str, Value] = {"False": False, "True": True, "none": None}
        first = self.protocol.cells[cell].first
        return self.values.get((cell, index), words.get(first, first))

    def individuals(self, sort: str) -> Iterable[Value]:
        """Return the individuals of a sort; none unless told."""
        return self.sorts.get(sort, ())

    def constant(self, name: str) -> int:
        """Return a constant."""
        return self.numbers[name]

    def among(self, sorts: tuple[str, ...], index: Index) -> Dictionary:
        """Return the view of those whom the index names: this one, unless told."""
        return self.scopes.get((sorts, index), self)


def value_of(
    text: str,
    view: Dictionary,
    want: Type = BOOL,
    environment: Environment | None = None,
    **scope: str,
) -> Any:
    """Parse and evaluate a text."""
    return evaluate(parse(text, want, view.protocol.names, **scope), view, environment or {})


_CERTIFICATE = Certificate(0, bytes(32), 0, bytes(32), (), ())

GOOD: dict[str, Any] = {
    "stake": OutpointRef(bytes(32), 0),
    "certificate": _CERTIFICATE,
    "locked": LockedCandidate(b"", _CERTIFICATE),
    "recipient": 0,
    "key_id": None,
    "share_proof": bytes(65),
    "phase": "Idle",
    "seen_as": "",
    "health": "ok",
    "purpose": "keygen",
    "document": b"",
    "payload": b"",
    "version": 1,
    "node_id": bytes(33),
    "absent": bytes(33),
    "accused": bytes(33),
    "complainer": bytes(33),
    "node": bytes(33),
    "sealed": b"",
    "record": b"",
    "opening": bytes(97),
    "voter": bytes(33),
    "member": bytes(33),
    "public_key": bytes(33),
    "signature": bytes(64),
    "rs": bytes(64),
}


def good(cls: type) -> dict[str, Any]:
    """Return fields with which a class of the message catalogue can be made."""
    values: dict[str, Any] = {}
    for each in attrs.fields(cls):
        if each.type in ("LockedCandidate", LockedCandidate):
            values[each.name] = LockedCandidate(b"", GOOD["certificate"])
        elif each.name in GOOD:
            values[each.name] = GOOD[each.name]
        elif str(each.type).startswith("tuple"):
            values[each.name] = ()
        else:
            values[each.name] = 0 if each.type in ("int", int) else bytes(32)
    return values
