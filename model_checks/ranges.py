"""Cells that hold a number of a range: a step that leaves it is an error, never a silent wrap.

Every such cell has a property of its own, of the kind ``range``, whose shortest counterexample ends
with the step that leaves the range. It is no step of the search, and nothing follows it.
"""

from __future__ import annotations

from spec.language.cells import bounds
from spec.language.declarations import Cell, Range, SpecError
from spec.language.expressions import Names
from spec.language.ir import BOOL, INT, And, Compare, Node, Quantified, Read, Variable, sort_type


def in_range(names: Names, cell: Cell) -> tuple[str, str, Node]:
    """Return what the property of a cell is called, its text and its formula."""
    if not isinstance(cell.type, Range):
        raise SpecError(f"cell {cell.name} holds no number")
    low, high = bounds(names, cell)
    variables = [Variable(sort_type(sort), f"index {k}") for k, sort in enumerate(cell.index)]
    read = Read(INT, cell.name, tuple(variables))
    formula: Node = And(
        BOOL, (Compare(BOOL, ">=", read, low), Compare(BOOL, "<=", read, high))
    )
    for variable, sort in reversed(list(zip(variables, cell.index, strict=True))):
        formula = Quantified(BOOL, "all", variable.name, sort, formula)
    base, _, length = cell.name.partition(".")
    shown = f"len({base})" if length else base
    return f"{shown} in {cell.type}", f"{cell.type.low} <= {shown} <= {cell.type.high}", formula
