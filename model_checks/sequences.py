"""Sequences of bounded length, as plain cells: one for the length, one for each place.

Places beyond the length hold one value that means nothing, so that equal sequences are equal
states. A sequence that becomes too long, or shorter than empty, leaves the range of its length,
which is an error as any other. Every engine sees plain cells only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from attrs import define, evolve, field

from spec.language.declarations import Cell, Enum, Opt, Range, Seq, SpecError
from spec.language.expressions import Parser, Places, cell_type, needed, part_name, tree_of
from spec.language.ir import (
    BOOL,
    INT,
    Arithmetic,
    Choose,
    Compare,
    Equal,
    Implies,
    Literal,
    Node,
    Not,
)

EMPTY = "empty"
LONGEST = 16


def parts(cell: Cell) -> Iterator[Cell]:
    """Yield the plain cells of a sequence: its length, then its places."""
    kind = cell.type
    if not isinstance(kind, Seq):
        raise SpecError(f"cell {cell.name} is no sequence")
    if cell.first != EMPTY or not 1 <= kind.length <= LONGEST:
        raise SpecError(
            f"cell {cell.name}: a sequence begins {EMPTY!r}, and has 1 to {LONGEST} places"
        )
    yield evolve(cell, name=part_name(cell.name, 0), type=Range(0, kind.length), first="0")
    of, nothing = (Opt(kind.of), "none") if isinstance(kind.of, str) else (kind.of, "")
    if isinstance(of, Range):
        nothing = str(of.low)
    elif isinstance(of, Enum):
        nothing = of.values[0]
    for place in range(1, kind.length + 1):
        yield evolve(cell, name=part_name(cell.name, place), type=of, first=nothing)


def written(found: Places, text: str) -> tuple[list[tuple[Cell, Node]], tuple[Node, ...]]:
    """Return what an effect on a sequence makes of its plain cells, and what must hold for it."""
    effect = _Effect(found.inner, found.cell)
    values = effect.value(tree_of(text))
    return list(zip(effect.parts, values, strict=True)), tuple(effect.needs)


@define
class _Effect:
    """Reads an expression of a sequence as its length and its elements."""

    parser: Parser
    cell: Cell
    needs: list[Node] = field(factory=list)

    @property
    def parts(self) -> list[Cell]:
        """The plain cells of the sequence."""
        return [self.parser.names.cells[each.name] for each in parts(self.cell)]

    def value(self, tree: ast.AST) -> list[Node]:
        """Return the length and the elements that an expression stands for."""
        match tree:
            case ast.Name(id="empty"):
                return [self.parser.parse(each.first, cell_type(each)) for each in self.parts]
            case ast.IfExp(test=test, body=body, orelse=otherwise):
                return self._choice(self.parser.parse(ast.unparse(test)), body, otherwise)
            case ast.Call(func=ast.Name(id="append"), args=[inside, last]):
                return self._appended(inside, last)
            case ast.Call(func=ast.Name(id="tail"), args=[inside]):
                return self._removed(inside, 1)
            case ast.Call(func=ast.Name(id="remove"), args=[inside, place]):
                return self._removed(inside, self.parser.position(self.cell, place))
        other, index = self.parser.sequence(tree)
        if other.type != self.cell.type:
            raise SpecError(f"{ast.unparse(tree)!r} is another kind of sequence")
        places = range(len(self.parts))
        return [self.parser.element(other, index, place) for place in places]

    def _choice(self, test: Node, body: ast.AST, otherwise: ast.AST) -> list[Node]:
        yes, no = _Effect(self.parser, self.cell), _Effect(self.parser, self.cell)
        sides = zip(yes.value(body), no.value(otherwise), strict=True)
        chosen: list[Node] = [Choose(one.type, test, one, other) for one, other in sides]
        self.needs += [Implies(BOOL, test, need) for need in yes.needs]
        self.needs += [Implies(BOOL, Not(BOOL, test), need) for need in no.needs]
        return chosen

    def _appended(self, inside: ast.AST, last: ast.AST) -> list[Node]:
        length, *elements = self.value(inside)
        new = self.parser.parse(ast.unparse(last), cell_type(self.parts[1]))
        self.needs += needed(new)
        return [Arithmetic(INT, "+", length, Literal(INT, 1)), *(
            Choose(new.type, Equal(BOOL, length, Literal(INT, place)), new, old)
            for place, old in enumerate(elements)
        )]

    def _removed(self, inside: ast.AST, gone: int) -> list[Node]:
        """Return a sequence without one place; one that was not there leaves no length."""
        length, *elements = self.value(inside)
        last = self.parts[-1]
        moved = [*elements[1:], self.parser.parse(last.first, cell_type(last))]
        there = Compare(BOOL, ">=", length, Literal(INT, gone))
        shorter = Arithmetic(INT, "-", length, Literal(INT, 1))
        kept = [old if place < gone else new
                for place, (old, new) in enumerate(zip(elements, moved, strict=True), start=1)]
        return [Choose(INT, there, shorter, Literal(INT, -1)), *kept]
