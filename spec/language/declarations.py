"""The table language: what a protocol is made of, as plain data.

Rules of this file
------------------
* A **cell** is a variable of the protocol. Its ``kept`` says where its truth lives, and with that
  what a crash does to it, who may write it and what an effect on it means:

  ========= ===================================== ============================ =====================
  kept      at a node                             after a crash                an effect on it is
  ========= ===================================== ============================ =====================
  memory    a field of the node's state           its first value              a change of state
  disk      a flushed record                      unchanged                    a WRITE
  network   what the node has sent and seen       unknown, heard again         a SEND
  given     a fact from outside (chain, clock,    asked again                  refused at import
            configuration, a checked signature)
  ghost     nothing: properties only              –                            allowed, never read
  ========= ===================================== ============================ =====================

* A **row** says: in this state, on this event, if every guard holds, go there and do that. A pair
  (state, event) without a row is a protocol error and changes nothing.
* Guards and effects are TEXT in one small language (see ``expressions.py``), parsed and
  type-checked when the protocol is assembled. A mistake is refused at import and names the row.
* Every row says why it is there.

Nothing here runs anything. ``interpreter.py`` gives the meaning of a row, the node executes rows
through ``metanode/protocol/tables/runner.py``, and ``model_checks`` checks them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from attrs import field, frozen

KEPT = ("memory", "disk", "network", "given", "ghost")
SAME = "same"
ANY = "any"


class SpecError(Exception):
    """A protocol description that is not well formed; the message names the table and the row."""


@frozen
class Sort:
    """A set of individuals, such as peers; ``ordered`` sorts may be compared by ``<``."""

    name: str
    doc: str
    ordered: bool = False


@frozen
class Enum:
    """A finite type whose values are names, written once for the whole protocol."""

    name: str
    values: tuple[str, ...]


@frozen
class Opt:
    """An individual of the sort or ``none``; in an ordered sort ``none`` is below everything."""

    sort: str


@frozen
class Range:
    """The whole numbers from ``low`` to ``high``, both included; a bound is a number or a text of
    numbers and constants, such as ``"N - 1"``. A cell of this type is a number where it is read.
    """

    low: int | str
    high: int | str

    def __str__(self) -> str:
        return f"{self.low}..{self.high}"


@frozen
class Seq:
    """A sequence of at most ``length`` elements: values of an enum, individuals of a sort (by its
    name), or numbers. It begins ``empty``.
    """

    of: str | Enum | Range
    length: int

    def __str__(self) -> str:
        of = self.of if isinstance(self.of, str | Range) else self.of.name
        return f"at most {self.length} of {of}"


WIDEST = 4096
"""Bounds lie between minus this and this: sums of a few cells are far from any machine's limits."""


def check_bounds(cell: str, low: object, high: object) -> None:
    """Raise :class:`SpecError` if numbers are not the bounds of a range."""
    numbers = [bound for bound in (low, high) if isinstance(bound, int)]
    ordered = numbers == sorted(numbers)
    if not ordered or any(abs(number) > WIDEST for number in numbers):
        raise SpecError(
            f"cell {cell}: there is no range from {low} to {high}: bounds are between"
            f" -{WIDEST} and {WIDEST}, and the first is not above the second"
        )


def check_texts(where: str, values: Iterable[object]) -> None:
    """Raise :class:`SpecError` for the first value that is no text."""
    for value in values:
        if not isinstance(value, str):
            raise SpecError(f"{where}: {value!r} is not a text: write it in quotes")


type_of_cell = str | Enum | Opt | Range | Seq


@frozen
class Cell:
    """One variable: ``name[index...]`` of a type, its first value and the place it is kept.

    Where the first value depends on the index, ``first`` is ``for n: text`` with a name for each
    index. In a network it may also be ``any``: each value that the network's ``initially`` allows.
    """

    name: str
    type: type_of_cell
    index: tuple[str, ...]
    first: str
    kept: str
    doc: str

    def __attrs_post_init__(self) -> None:
        check_texts(f"cell {self.name}", (self.first, self.doc))
        if self.kept not in KEPT:
            raise SpecError(f"cell {self.name}: kept={self.kept!r} is none of {', '.join(KEPT)}")
        if isinstance(self.type, Range):
            check_bounds(self.name, self.type.low, self.type.high)


@frozen
class Definition:
    """A named formula, so that a guard reads as the rule it is: ``name(parameters) := text``."""

    signature: str
    text: str
    doc: str

    @property
    def name(self) -> str:
        """The name before the parenthesis."""
        return parse_signature(self.signature)[0]


def texts(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return conjuncts as a tuple: a single one may be written without the comma."""
    return (value,) if isinstance(value, str) else value


@frozen
class Row:
    """``source`` –event [only_if] / then→ ``target``.

    ``source`` is a state, a tuple of states or ``"any"``; ``target`` a state or ``"same"``;
    ``event`` is ``Name(parameter: Sort, ...)``; ``only_if`` are the conjuncts of the guard.
    ``then`` maps a cell reference to the expression of its new value, read before the row.
    """

    source: str | tuple[str, ...]
    event: str
    target: str
    only_if: tuple[str, ...] = field(default=(), converter=texts)
    then: Mapping[str, str] = field(factory=dict)
    why: str = ""
    fair: bool = False


@frozen
class Table:
    """One transition table; ``cell`` is the reference to its state, such as ``status[p, e]``."""

    name: str
    cell: str
    doc: str
    rows: tuple[Row, ...]


_SIGNATURE = re.compile(r"\s*(\w+)\s*\((.*)\)\s*")


def parse_signature(text: str) -> tuple[str, dict[str, str]]:
    """Split ``Name(p: Peer, d: Digest)`` into the name and the parameters in order."""
    match = _SIGNATURE.fullmatch(text)
    if match is None:
        raise SpecError(f"{text!r} is not of the form Name(parameter: Sort, ...)")
    name, inside = match.groups()
    parameters: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in inside.split(","))):
        parameter, colon, sort = (piece.strip() for piece in part.partition(":"))
        if not colon or not parameter.isidentifier() or not sort.isidentifier():
            raise SpecError(f"{text!r}: {part!r} is not of the form parameter: Sort")
        if parameter in parameters:
            raise SpecError(f"{text!r}: parameter {parameter} appears twice")
        parameters[parameter] = sort
    return name, parameters
