"""Properties of a step: ``after(x[i])`` is the value of ``x[i]`` in the state after it.

Every cell gets a twin for that value. Engines tell a twin by its name, which begins with ``AFTER``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from attrs import evolve, frozen

from spec.language.declarations import SpecError
from spec.language.expressions import Names, tree_of
from spec.language.interpreter import Index, Value, View

AFTER = "after_"


def with_later(names: Names) -> Names:
    """Return the names with a twin for each cell."""
    later = {AFTER + n: evolve(cell, name=AFTER + n) for n, cell in names.cells.items()}
    return evolve(names, cells={**names.cells, **later})


def later_text(name: str, text: str) -> str:
    """Return the text of property ``name`` with each ``after(x[i])`` replaced by the twin cell."""
    try:
        tree = tree_of(text)
    except SpecError as error:
        raise SpecError(f"{name}: {error}") from None
    return ast.unparse(_Later(name).visit(tree))


class _Later(ast.NodeTransformer):
    def __init__(self, name: str) -> None:
        self.name = name

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Replace a call of ``after``."""
        if not isinstance(node.func, ast.Name) or node.func.id != "after":
            return self.generic_visit(node)
        inside = node.args[0] if len(node.args) == 1 else node
        cell = inside.value if isinstance(inside, ast.Subscript) else inside
        if not isinstance(cell, ast.Name):
            raise SpecError(f"{self.name}: {ast.unparse(node)!r} is not after(cell)")
        cell.id = AFTER + cell.id
        return inside


@frozen
class StepView:
    """Both states of a step as the interpreter's view."""

    before: View
    later: View

    def read(self, cell: str, index: Index) -> Value:
        """Return the value of a cell before the step, or of a twin after it."""
        if cell.startswith(AFTER):
            return self.later.read(cell.removeprefix(AFTER), index)
        return self.before.read(cell, index)

    def individuals(self, sort: str) -> Iterable[Value]:
        """Return the individuals of a sort."""
        return self.before.individuals(sort)

    def constant(self, name: str) -> int:
        """Return a constant."""
        return self.before.constant(name)

    def among(self, sorts: tuple[str, ...], index: Index) -> StepView:
        """Return the same view: all peers of a system are one population."""
        return self
