"""What a cell may hold and where it begins, from the texts of its declaration."""

from __future__ import annotations

import re

from attrs import evolve

from spec.language.declarations import Cell, Range, SpecError
from spec.language.expressions import Names, Parser, cell_type
from spec.language.ir import INT, Node, Variable, sort_type


def bounds(names: Names, cell: Cell) -> tuple[Node, Node]:
    """Return the lowest and the highest value of a cell that holds a number, over constants."""
    if not isinstance(cell.type, Range):
        raise SpecError(f"cell {cell.name} holds no number")
    try:
        low, high = (
            Parser(evolve(names, cells={}), {}).parse(str(bound), INT)
            for bound in (cell.type.low, cell.type.high)
        )
    except SpecError as error:
        raise SpecError(f"cell {cell.name}, its range: {error}") from None
    return low, high


FIRST_INDEX = "index {}".format
"""What the indices are called, by their place, in a first value that depends on them."""
_FOR_EACH = re.compile(r"for\s+(\w+(?:\s*,\s*\w+)*)\s*:(.*)", re.DOTALL)


def first_value(names: Names, cell: Cell) -> Node:
    """Return the first value of a cell, over its indices; it reads no cell."""
    scope: dict[str, Node] = {}
    text, found = cell.first.strip(), _FOR_EACH.fullmatch(cell.first.strip())
    if found is not None:
        variables, text = re.findall(r"\w+", found[1]), found[2]
        if len(variables) != len(cell.index):
            raise SpecError(f"cell {cell.name}: {found[1]!r} does not name its indices")
        scope = {
            variable: Variable(sort_type(sort), FIRST_INDEX(place))
            for place, (variable, sort) in enumerate(zip(variables, cell.index, strict=True))
        }
    try:
        return Parser(evolve(names, cells={}), scope).parse(text, cell_type(cell))
    except SpecError as error:
        raise SpecError(f"cell {cell.name}, first value: {error}") from None
