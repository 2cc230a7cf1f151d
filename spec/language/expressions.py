"""From the text of a guard or an effect to the typed intermediate form.

The language is a whitelisted subset of Python expressions: names, ``cell[i, j]``, ``and or not``,
``== != in``, ``< <= > >=`` (numbers and ordered sorts), ``+ -``, ``x if c else y``,
``implies(a, b)``, ``all(φ for x in Sort if ψ)``, ``any(...)``, ``count(x for x in Sort if φ)``,
``none``, ``among(e, a, φ)`` (φ with Peer, N, T, F and R of those who sign attempt a of e; or of an
event, an epoch or a key), and calls of definitions, which are expanded in place. Python's own
parser reads the text; nothing is ever executed.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from attrs import evolve, frozen

from spec.language.declarations import Cell, Definition, Enum, Opt, Sort, SpecError, parse_signature
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


@frozen
class Parser:
    """Parses texts in one scope; ``scope`` maps bound names to their terms.

    ``depth`` counts the binders around the text: a bound variable is named after it, so that
    expanding a definition under a quantifier captures nothing.
    """

    names: Names
    scope: Mapping[str, Node]
    depth: int = 0

    def parse(self, text: str, want: Type = BOOL) -> Node:
        """Return the typed form of ``text``, which must have the type ``want``."""
        try:
            tree = ast.parse(text.strip(), mode="eval").body
        except SyntaxError as error:
            raise SpecError(f"{text!r} is not an expression: {error.msg}") from None
        return self._coerce(self._walk(tree), want, text)

    def parse_reference(self, text: str) -> tuple[Cell, tuple[Node, ...]]:
        """Return the cell and the index terms of a reference such as ``lock[p, e]``."""
        node = self.parse_any(text)
        if not isinstance(node, Read):
            raise SpecError(f"{text!r} is not a reference to a cell")
        return self.names.cells[node.cell], node.index

    def parse_any(self, text: str) -> Node:
        """Return the typed form of a text of any type."""
        try:
            return self._walk(ast.parse(text.strip(), mode="eval").body)
        except SyntaxError as error:
            raise SpecError(f"{text!r} is not an expression: {error.msg}") from None

    def _coerce(self, node: Node, want: Type, source: str | ast.AST) -> Node:
        """Return the node as one of type ``want``; ``source`` becomes text only to be shown."""
        if node.type == want:
            return node
        if want[0] == "opt" and isinstance(node, Nothing):
            return Nothing(want)
        if want[0] == "opt" and node.type == sort_type(want[1]):
            return evolve(node, type=want)
        text = source if isinstance(source, str) else ast.unparse(source)
        raise SpecError(f"{text!r} has type {_show(node.type)}, {_show(want)} is needed")

    def _unify(self, left: Node, right: Node, tree: ast.AST) -> tuple[Node, Node]:
        for want in (left.type, right.type):
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
        match tree:
            case ast.Constant(value=bool() as truth):
                return Literal(BOOL, truth)
            case ast.Constant(value=int() as number):
                return Literal(INT, number)
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
        if (enum := self.names.enum_of(name)) is not None:
            return Literal(enum_type(enum.name), name)
        if name in self.names.constants:
            return Constant(INT, name)
        if name in self.names.cells:
            return self._cell(name, [])
        raise SpecError(f"unknown name {name!r}")

    def _cell(self, name: str, parts: list[ast.expr]) -> Node:
        cell = self.names.cells.get(name)
        if cell is None:
            raise SpecError(f"unknown cell {name!r}")
        if len(parts) != len(cell.index):
            raise SpecError(f"cell {name} takes {len(cell.index)} indices, {len(parts)} given")
        index = []
        for part, sort in zip(parts, cell.index, strict=True):
            term = self._walk(part)
            if term.type != sort_type(sort):
                raise SpecError(f"{name}[...]: {ast.unparse(part)} is not a {sort}")
            index.append(term)
        return Read(cell_type(cell), name, tuple(index))

    def _compare(self, tree: ast.AST, left: ast.AST, op: ast.cmpop, right: ast.AST) -> Node:
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
        raise SpecError(f"{ast.unparse(tree)!r} is not in the table language")

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
            inner = Parser(self.names, scope, self.depth + len(bound))
            conditions += [inner._boolean(condition) for condition in clause.ifs]
        inner = Parser(self.names, scope, self.depth + len(bound))
        if kind == "count":
            counted = tree.elt.id if isinstance(tree.elt, ast.Name) else ""
            if len(bound) != 1 or not conditions or scope.get(counted) != scope[variable]:
                raise SpecError(f"{ast.unparse(tree)!r}: write count(x for x in Sort if ...)")
            return Quantified(INT, "count", *bound[0], _conjunction(conditions))
        body = inner._boolean(tree.elt)
        if conditions and kind == "all":
            body = Implies(BOOL, _conjunction(conditions), body)
        elif conditions:
            body = And(BOOL, (*conditions, body))
        for fresh, sort in reversed(bound):
            body = Quantified(BOOL, kind, fresh, sort, body)
        return body


def _conjunction(parts: list[Node]) -> Node:
    return parts[0] if len(parts) == 1 else And(BOOL, tuple(parts))


def _show(kind: Type) -> str:
    return {"opt": f"optional {kind[-1]}", "enum": kind[-1], "sort": kind[-1]}.get(kind[0], kind[0])
