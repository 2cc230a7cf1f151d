"""What a user's file says beside its ``NETWORK``: at which sizes it is checked where the command
line says nothing, and the lemmas of its proof.

``SIZES`` and ``CONSTANTS`` map names to numbers, ``SYMMETRY`` names sorts, ``LEMMAS`` is a tuple of
properties. Whatever is wrong with one of them is refused with the place of the name or the number.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from attrs import field, frozen

from model_checks.console import Unusable
from model_checks.system import Property
from spec.language.expressions import Names

LEAST = {"SIZES": 1, "CONSTANTS": 0}
"""The least number that each may hold: a sort without individuals would make all true."""


@frozen
class Said:
    """What the file says; a mapping or tuple that it does not define is empty."""

    sizes: dict[str, int] = field(factory=dict)
    constants: dict[str, int] = field(factory=dict)
    symmetry: tuple[str, ...] = ()
    lemmas: tuple[Property, ...] = ()


def lemmas_of(file: Path, module: ModuleType) -> tuple[Property, ...]:
    """Return the file's ``LEMMAS``; raises :class:`Unusable` for what is none."""
    given = getattr(module, "LEMMAS", ())
    tree = ast.parse(file.read_text(encoding="utf-8"))
    if not isinstance(given, tuple | list):
        _refuse(file, tree, "LEMMAS", None, "write a tuple of properties of kind 'lemma'")
    for number, lemma in enumerate(given):
        if not isinstance(lemma, Property):
            _refuse(file, tree, "LEMMAS", number, f"{lemma!r} is no Property")
        if lemma.kind != "lemma":
            _refuse(
                file, tree, "LEMMAS", number, f"{lemma.name} is of kind {lemma.kind!r}: what stands"
                " here is of kind 'lemma', everything else among the network's properties"
            )
    return tuple(given)


def said_by(file: Path, module: ModuleType, names: Names) -> Said:
    """Return what a file says, given the names of its network; raises :class:`Unusable`."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    sorts, constants = tuple(names.sorts), tuple(names.constants)
    return Said(
        _numbers(file, module, tree, "SIZES", "sort", sorts),
        _numbers(file, module, tree, "CONSTANTS", "constant", constants),
        _symmetry(file, module, tree, names), lemmas_of(file, module),
    )


def _numbers(
    file: Path, module: ModuleType, tree: ast.Module, name: str, what: str, known: tuple[str, ...]
) -> dict[str, int]:
    given = getattr(module, name, {})
    if not isinstance(given, dict):
        shown = f'{name} = {{"{known[-1] if known else "Name"}": 3}}'
        _refuse(file, tree, name, None, f"write the numbers by name, such as {shown}")
    twice = _twice(tree, name)
    if twice is not None:
        _refuse(file, tree, name, twice[1], f"{twice[0]!r} is given twice")
    for place, (key, number) in enumerate(given.items()):
        if not isinstance(key, str) or key not in known:
            listed = ", ".join(known) or "none"
            _refuse(file, tree, name, place, f"there is no {what} {key!r}; known: {listed}")
        # A truth value is an int to Python, and none to a reader.
        if not isinstance(number, int) or isinstance(number, bool) or number < LEAST[name]:
            told = f"{key} is {number!r}: give a whole number, at least {LEAST[name]}"
            _refuse(file, tree, name, place, told, of_value=True)
    return dict(given)


def _symmetry(file: Path, module: ModuleType, tree: ast.Module, names: Names) -> tuple[str, ...]:
    given = getattr(module, "SYMMETRY", ())
    if not isinstance(given, tuple | list):
        _refuse(
            file, tree, "SYMMETRY", None, f"write a tuple of sorts, such as ({str(given)!r},)"
        )
    for number, sort in enumerate(given):
        if not isinstance(sort, str) or sort not in names.sorts:
            listed = ", ".join(names.sorts)
            _refuse(file, tree, "SYMMETRY", number, f"there is no sort {sort!r}; known: {listed}")
        if names.sorts[sort].ordered:
            told = f"{sort} is ordered: its individuals are not interchangeable"
            _refuse(file, tree, "SYMMETRY", number, told)
        if sort in given[:number]:
            _refuse(file, tree, "SYMMETRY", number, f"{sort!r} is given twice")
    return tuple(given)


def _refuse(
    file: Path, tree: ast.Module, name: str, number: int | None, told: str, *,
    of_value: bool = False,
) -> NoReturn:
    """Raise :class:`Unusable` with the place of a part of a constant of the file.

    ``number`` is that of an element, from 0, None for the whole; ``of_value`` asks for the value of
    an entry, not for its name. Where the constant is not written out, its definition is meant.
    """
    line, column = 1, 1
    for value in _values(tree, name):
        node: ast.expr = value
        if number is not None and isinstance(value, ast.Dict) and number < len(value.keys):
            node = (value.values[number] if of_value else value.keys[number]) or value
        elif number is not None and isinstance(value, ast.Tuple | ast.List):
            node = value.elts[number] if number < len(value.elts) else value
        line, column = node.lineno, node.col_offset + 1
    raise Unusable(f"{file}:{line}:{column}: {name}: {told}")


def _twice(tree: ast.Module, name: str) -> tuple[str, int] | None:
    """Return the first name that stands twice in a mapping that is written out, and its place."""
    for value in _values(tree, name):
        keys = value.keys if isinstance(value, ast.Dict) else []
        names = [key.value if isinstance(key, ast.Constant) else None for key in keys]
        for number, key in enumerate(names):
            if key is not None and key in names[:number]:
                return str(key), number
    return None


def _values(tree: ast.Module, name: str) -> Iterator[ast.expr]:
    """Yield what a constant of the file is set to."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        named = any(isinstance(each, ast.Name) and each.id == name for each in targets)
        if named and isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            yield node.value
