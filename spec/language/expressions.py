"""From the text of a guard or an effect to the typed intermediate form.

The language is a whitelisted subset of Python expressions: names, ``cell[i, j]``, ``and or not``,
``== != in``, ``< <= > >=`` (numbers and ordered sorts), ``+ -``, ``x if c else y``,
``implies(a, b)``, ``all(φ for x in Sort if ψ)``, ``any(...)``, ``count(x for x in Sort if φ)``,
``min(a, b)``, ``max(a, b)``, ``len(s)``, ``head(s)`` and ``at(s, 2)`` of a sequence (a comparison
with an element that is not there is false), ``none``, ``among(e, a, φ)`` (φ with Peer, N, T, F and
R of those who sign attempt a of e; or of an event, an epoch or a key), and calls of definitions,
which are expanded in place. Python's own parser reads the text; nothing is ever executed.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping

from attrs import evolve, frozen

from spec.language.declarations import (
    Cell,
    Definition,
    Enum,
    Opt,
    Range,
    Seq,
    Sort,
    SpecError,
    parse_signature,
)
from spec.language.ir import (
    BOOL,
    INT,
    Among,
    And,
    Arithmetic,
    Choose,
    Compare,
    Constant,
    Equal,
    Implies,
    LeadsTo,
    Literal,
    Node,
    Not,
    Nothing,
    Or,
    Quantified,
    Read,
    Type,
    Variable,
    enum_type,
    opt_type,
    sort_type,
)

_UNTYPED_NONE: Type = ("opt", "?")
SCOPES = (("Event", "Attempt"), ("Event",), ("Epoch",), ("Key",))
"""What ``among`` may name: who signs an attempt, the holders in force if they are those whom an
event names, the holders of an epoch, the members of a key.
"""
_COMPARISONS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


def cell_type(cell: Cell) -> Type:
    """Return the type of a cell's value."""
    if isinstance(cell.type, Enum):
        return enum_type(cell.type.name)
    if isinstance(cell.type, Opt):
        return opt_type(cell.type.sort)
    if isinstance(cell.type, Range):
        return INT
    if isinstance(cell.type, Seq):
        raise SpecError(
            f"cell {cell.name} is a sequence of a network: what may be said of it is len, head and"
            " at; and in an effect on it, append, tail, remove and empty"
        )
    if cell.type == "bool":
        return BOOL
    raise SpecError(f"cell {cell.name}: unknown type {cell.type!r}")


@frozen
class Names:
    """Everything a text may name."""

    sorts: Mapping[str, Sort]
    enums: Mapping[str, Enum]
    cells: Mapping[str, Cell]
    definitions: Mapping[str, Definition]
    constants: tuple[str, ...]

    def enum_of(self, value: str) -> Enum | None:
        """Return the enum that has this value, if any."""
        return next((e for e in self.enums.values() if value in e.values), None)

    def is_taken(self, name: str) -> bool:
        """Return whether a parameter or a bound variable of this name would hide something."""
        return bool(name in self.cells or self.enum_of(name) or name in self.constants)


def tree_of(text: str) -> ast.expr:
    """Return what Python's parser makes of a text; raises :class:`SpecError`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        try:
            return ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            said = error.msg if isinstance(error, SyntaxError) else str(error)
            raise SpecError(f"{text!r} is not an expression: {said}") from None


@frozen
class Parser:
    """Parses texts in one scope; ``scope`` maps bound names to their terms.

    ``depth`` counts the binders around the text: a bound variable is named after it, so that
    expanding a definition under a quantifier captures nothing. Only a ``temporal`` text may say
    ``leads_to``.
    """

    names: Names
    scope: Mapping[str, Node]
    depth: int = 0
    temporal: bool = False

    def parse(self, text: str, want: Type = BOOL) -> Node:
        """Return the typed form of ``text``, which must have the type ``want``."""
        return self._coerce(self._walk(tree_of(text)), want, text)

    def parse_reference(self, text: str) -> tuple[Cell, tuple[Node, ...]]:
        """Return the cell and the index terms of a reference such as ``lock[p, e]``."""
        return self._reference(tree_of(text), text)

    def parse_places(self, text: str) -> Places:
        """Return what a reference such as ``lock[q, e] for q in Peer if q != p`` names."""
        if " for " not in text:
            return Places(*self.parse_reference(text), {}, (), self)
        tree = tree_of(f"({text.strip()})")
        if not isinstance(tree, ast.GeneratorExp):
            raise SpecError(f"{text!r} is not a reference to cells")
        bound, conditions, inner = self._bound(tree)
        cell, index = inner._reference(tree.elt, text)
        return Places(cell, index, dict(bound), tuple(conditions), inner)

    def _reference(self, tree: ast.AST, text: str) -> tuple[Cell, tuple[Node, ...]]:
        match tree:
            case ast.Name(id=name) if name not in self.scope:
                parts: list[ast.expr] = []
            case ast.Subscript(value=ast.Name(id=name), slice=inside):
                parts = inside.elts if isinstance(inside, ast.Tuple) else [inside]
            case _:
                raise SpecError(f"{text!r} is not a reference to a cell")
        cell = self.names.cells.get(name)
        if cell is None:
            self._walk(tree)  # raises if the name is none at all
            raise SpecError(f"{text!r} is not a reference to a cell")
        return cell, self._index(cell, parts)

    def parse_any(self, text: str) -> Node:
        """Return the typed form of a text of any type."""
        return self._walk(tree_of(text))

    def _coerce(self, node: Node, want: Type, source: str | ast.AST) -> Node:
        """Return the node as one of type ``want``; ``source`` becomes text only to be shown."""
        if node.type == want:
            return node
        if want[0] == "opt" and isinstance(node, Nothing):
            return Nothing(want)
        if want[0] == "opt" and node.type == sort_type(want[1]):
            return evolve(node, type=want)
        if want[0] == "enum" and node.type[0] == "enum":
            found = self._of_enum(node, want)
            if found is not None:
                return found
        text = source if isinstance(source, str) else ast.unparse(source)
        raise SpecError(f"{text!r} has type {_show(node.type)}, {_show(want)} is needed")

    def _of_enum(self, node: Node, want: Type) -> Node | None:
        """Return the node as one of an enum that shares a value's name with another, if it is."""
        if isinstance(node, Literal) and node.value in self.names.enums[want[1]].values:
            return evolve(node, type=want)
        if isinstance(node, Choose):
            sides = [self._of_enum(side, want) for side in (node.then, node.otherwise)]
            if sides[0] is not None and sides[1] is not None:
                return Choose(want, node.test, sides[0], sides[1])
        return node if node.type == want else None

    def _unify(self, left: Node, right: Node, tree: ast.AST) -> tuple[Node, Node]:
        types = (left.type, right.type)
        optional = (opt_type(kind[1]) for kind in types if kind[0] == "sort")
        for want in (*types, *(optional if _UNTYPED_NONE in types else ())):
            if want != _UNTYPED_NONE:
                try:
                    return self._coerce(left, want, tree), self._coerce(right, want, tree)
                except SpecError:
                    continue
        shown = f"{_show(left.type)} with {_show(right.type)}"
        raise SpecError(f"{ast.unparse(tree)!r} compares {shown}")

    def _boolean(self, tree: ast.AST) -> Node:
        return self._coerce(self._walk(tree), BOOL, tree)

    def _walk(self, tree: ast.AST) -> Node:
        if self.temporal and not (
            isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name)
            and tree.func.id in ("leads_to", "all")
        ):
            return evolve(self, temporal=False)._walk(tree)
        match tree:
            case ast.Constant(value=bool() as truth):
                return Literal(BOOL, truth)
            case ast.Constant(value=int() as number):
                return Literal(INT, number)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as number)):
                return Literal(INT, -number)
            case ast.Name(id=name):
                return self._name(name)
            case ast.Subscript(value=ast.Name(id=name), slice=inside):
                parts = inside.elts if isinstance(inside, ast.Tuple) else [inside]
                return self._cell(name, parts)
            case ast.BoolOp(op=ast.And(), values=values):
                return And(BOOL, tuple(self._boolean(v) for v in values))
            case ast.BoolOp(op=ast.Or(), values=values):
                return Or(BOOL, tuple(self._boolean(v) for v in values))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Not(BOOL, self._boolean(operand))
            case ast.IfExp(test=test, body=body, orelse=otherwise):
                left, right = self._unify(self._walk(body), self._walk(otherwise), tree)
                return Choose(left.type, self._boolean(test), left, right)
            case ast.Compare(left=left_tree, ops=[operator], comparators=[right_tree]):
                return self._compare(tree, left_tree, operator, right_tree)
            case ast.BinOp(left=left_tree, op=ast.Add() | ast.Sub() as sign, right=right_tree):
                sides = [
                    self._coerce(self._walk(t), INT, t) for t in (left_tree, right_tree)
                ]
                return Arithmetic(INT, "+" if isinstance(sign, ast.Add) else "-", *sides)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, arguments, tree)
        raise SpecError(f"{ast.unparse(tree)!r} is not in the table language")

    def _name(self, name: str) -> Node:
        if name in self.scope:
            return self.scope[name]
        if name == "none":
            return Nothing(_UNTYPED_NONE)
        if name in self.names.cells:  # a network's own cell may have the name of an enum's value
            return self._cell(name, [])
        if (enum := self.names.enum_of(name)) is not None:
            return Literal(enum_type(enum.name), name)
        if name in self.names.constants:
            return Constant(INT, name)
        raise SpecError(f"unknown name {name!r}")

    def _cell(self, name: str, parts: list[ast.expr]) -> Node:
        cell = self.names.cells.get(name)
        if cell is None:
            raise SpecError(f"unknown cell {name!r}")
        index = self._index(cell, parts)
        return Read(cell_type(cell), name, index)

    def _index(self, cell: Cell, parts: list[ast.expr]) -> tuple[Node, ...]:
        if len(parts) != len(cell.index):
            raise SpecError(f"cell {cell.name} takes {len(cell.index)} indices, {len(parts)} given")
        index = []
        for part, sort in zip(parts, cell.index, strict=True):
            term = self._walk(part)
            if term.type != sort_type(sort):
                raise SpecError(f"{cell.name}[...]: {ast.unparse(part)} is not a {sort}")
            index.append(term)
        return tuple(index)

    def _compare(self, tree: ast.AST, left: ast.AST, op: ast.cmpop, right: ast.AST) -> Node:
        compared = self._comparison(tree, left, op, right)
        there = needed(compared)
        return And(BOOL, (*there, compared)) if there else compared

    def _comparison(self, tree: ast.AST, left: ast.AST, op: ast.cmpop, right: ast.AST) -> Node:
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.Tuple):
                raise SpecError(f"{ast.unparse(tree)!r}: write x in (a, b)")
            subject = self._walk(left)
            among = Or(
                BOOL,
                tuple(
                    Equal(BOOL, *self._unify(subject, self._walk(item), tree))
                    for item in right.elts
                ),
            )
            return among if isinstance(op, ast.In) else Not(BOOL, among)
        sides = self._unify(self._walk(left), self._walk(right), tree)
        if isinstance(op, ast.Eq):
            return Equal(BOOL, *sides)
        if isinstance(op, ast.NotEq):
            return Not(BOOL, Equal(BOOL, *sides))
        symbol = _COMPARISONS.get(type(op))
        kind = sides[0].type
        ordered = kind[0] in ("sort", "opt") and self.names.sorts[kind[1]].ordered
        if symbol is None or not (kind == INT or ordered):
            raise SpecError(f"{ast.unparse(tree)!r}: {_show(kind)} has no order")
        return Compare(BOOL, symbol, *sides)

    def _call(self, name: str, arguments: list[ast.expr], tree: ast.AST) -> Node:
        if name == "implies" and len(arguments) == 2:
            return Implies(BOOL, self._boolean(arguments[0]), self._boolean(arguments[1]))
        if name in ("all", "any", "count") and len(arguments) == 1:
            generator = arguments[0]
            if isinstance(generator, ast.GeneratorExp):
                return self._quantified(name, generator)
        if name == "among" and arguments:
            return self._among(arguments, tree)
        if name in self.names.definitions:
            return self._expand(self.names.definitions[name], arguments)
        if name == "leads_to" and len(arguments) == 2:
            return self._leads_to(arguments, tree)
        if name in ("min", "max") and len(arguments) == 2:
            one, two = (self._coerce(self._walk(part), INT, part) for part in arguments)
            return Choose(INT, Compare(BOOL, "<=" if name == "min" else ">=", one, two), one, two)
        if name in ("len", "head") and len(arguments) == 1:
            cell, index = self.sequence(arguments[0])
            return self.element(cell, index, 0 if name == "len" else 1)
        if name == "at" and len(arguments) == 2:
            cell, index = self.sequence(arguments[0])
            return self.element(cell, index, self.position(cell, arguments[1]))
        raise SpecError(f"{ast.unparse(tree)!r} is not in the table language")

    def sequence(self, tree: ast.AST) -> tuple[Cell, tuple[Node, ...]]:
        """Return the sequence that is named, and its index."""
        cell, index = self._reference(tree, ast.unparse(tree))
        if not isinstance(cell.type, Seq):
            raise SpecError(f"{ast.unparse(tree)!r} is not a sequence")
        return cell, index

    def position(self, cell: Cell, tree: ast.AST) -> int:
        """Return a place in a sequence, from 1."""
        length = cell.type.length if isinstance(cell.type, Seq) else 0
        match tree:
            case ast.Constant(value=int() as number) if 1 <= number <= length:
                return number
        raise SpecError(f"{ast.unparse(tree)!r} is not a place in {cell.name}: 1 to {length}")

    def element(self, cell: Cell, index: tuple[Node, ...], place: int) -> Node:
        """Return the term for an element of a sequence, or with 0 for its length."""
        part = self.names.cells[part_name(cell.name, place)]
        return Read(cell_type(part), part.name, index)

    def _leads_to(self, arguments: list[ast.expr], tree: ast.AST) -> Node:
        if not self.temporal:
            raise SpecError(
                f"{ast.unparse(tree)!r}: leads_to speaks of runs: write it outermost, or right"
                " inside all(...), in a property of the kind liveness"
            )
        inner = evolve(self, temporal=False)
        return LeadsTo(BOOL, *(inner._boolean(part) for part in arguments))

    def _among(self, arguments: list[ast.expr], tree: ast.AST) -> Node:
        index = tuple(self._walk(argument) for argument in arguments[:-1])
        sorts = tuple(term.type[1] for term in index if term.type[0] == "sort")
        if len(sorts) != len(index) or sorts not in SCOPES:
            meant = " or ".join(", ".join(scope) for scope in SCOPES)
            raise SpecError(f"{ast.unparse(tree)!r}: among takes {meant}, then a formula")
        return Among(BOOL, sorts, index, self._boolean(arguments[-1]))

    def _expand(self, definition: Definition, arguments: list[ast.expr]) -> Node:
        _, parameters = parse_signature(definition.signature)
        if len(arguments) != len(parameters):
            raise SpecError(f"{definition.name} takes {len(parameters)} arguments")
        scope = {}
        for (parameter, sort), argument in zip(parameters.items(), arguments, strict=True):
            term = self._walk(argument)
            if term.type != sort_type(sort):
                raise SpecError(f"{definition.name}: {ast.unparse(argument)} is not a {sort}")
            scope[parameter] = term
        return Parser(self.names, scope, self.depth).parse(definition.text)

    def _quantified(self, kind: str, tree: ast.GeneratorExp) -> Node:
        bound, conditions, inner = self._bound(tree)
        if kind == "count":
            counted = tree.elt.id if isinstance(tree.elt, ast.Name) else ""
            variable = Variable(sort_type(bound[0][1]), bound[0][0])
            if len(bound) != 1 or not conditions or inner.scope.get(counted) != variable:
                raise SpecError(f"{ast.unparse(tree)!r}: write count(x for x in Sort if ...)")
            return Quantified(INT, "count", *bound[0], _conjunction(conditions))
        body = evolve(inner, temporal=self.temporal and kind == "all")._boolean(tree.elt)
        if conditions and kind == "all":
            body = Implies(BOOL, _conjunction(conditions), body)
        elif conditions:
            body = And(BOOL, (*conditions, body))
        for fresh, sort in reversed(bound):
            body = Quantified(BOOL, kind, fresh, sort, body)
        return body

    def _bound(
        self, tree: ast.GeneratorExp
    ) -> tuple[list[tuple[str, str]], list[Node], Parser]:
        """Return the variables of ``for x in Sort if ...`` with their sorts, the conditions, and
        the parser of what stands before it.
        """
        scope = dict(self.scope)
        bound: list[tuple[str, str]] = []
        conditions: list[Node] = []
        for clause in tree.generators:
            if not isinstance(clause.target, ast.Name) or not isinstance(clause.iter, ast.Name):
                raise SpecError(f"{ast.unparse(tree)!r}: write for x in Sort")
            variable, sort = clause.target.id, clause.iter.id
            if sort not in self.names.sorts:
                raise SpecError(f"{ast.unparse(tree)!r}: {sort} is not a sort")
            if variable in scope:
                raise SpecError(f"{ast.unparse(tree)!r}: {variable} is bound twice")
            if self.names.is_taken(variable):
                raise SpecError(f"{ast.unparse(tree)!r}: {variable} hides another name")
            fresh = f"{variable}'{self.depth + len(bound)}"
            scope[variable] = Variable(sort_type(sort), fresh)
            bound.append((fresh, sort))
            inner = Parser(self.names, dict(scope), self.depth + len(bound))
            conditions += [inner._boolean(condition) for condition in clause.ifs]
        return bound, conditions, Parser(self.names, scope, self.depth + len(bound))


@frozen
class Places:
    """Which places an effect writes: ``cell[index...]`` for all values of ``variables`` (by name,
    with their sorts) that meet the ``conditions``. ``inner`` parses the value there.
    """

    cell: Cell
    index: tuple[Node, ...]
    variables: Mapping[str, str]
    conditions: tuple[Node, ...]
    inner: Parser


def part_name(sequence: str, place: int) -> str:
    """Return the name of the cell that holds an element of a sequence, or with 0 its length."""
    return f"{sequence}.{place or 'len'}"


def needed(node: Node) -> tuple[Node, ...]:
    """Return what must hold so that the elements of sequences that a term needs are there."""
    found: list[Node] = []
    match node:
        case Read(cell=cell, index=index):
            name, _, place = cell.rpartition(".")
            if place.isdecimal():
                length = Read(INT, part_name(name, 0), index)
                found.append(Compare(BOOL, ">=", length, Literal(INT, int(place))))
        case Equal(left=left, right=right) | Compare(left=left, right=right) | Arithmetic(
            left=left, right=right
        ):
            found += (*needed(left), *needed(right))
        case Not(body=body):
            found += needed(body)
        case Or(parts=parts):
            found += (one for part in parts for one in needed(part))
        case Choose(test=test, then=then, otherwise=otherwise):
            found += needed(test)  # of min and max: what a text tests brings its own with it
            found += (Implies(BOOL, test, one) for one in needed(then))
            found += (Implies(BOOL, Not(BOOL, test), one) for one in needed(otherwise))
    return tuple(dict.fromkeys(found))


def _conjunction(parts: list[Node]) -> Node:
    return parts[0] if len(parts) == 1 else And(BOOL, tuple(parts))


def _show(kind: Type) -> str:
    return {"opt": f"optional {kind[-1]}", "enum": kind[-1], "sort": kind[-1]}.get(kind[0], kind[0])
