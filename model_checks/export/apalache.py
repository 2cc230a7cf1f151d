"""The types that Apalache asks for: a module's variables, constants and operators, annotated.

An unordered sort is an uninterpreted type, named like it in capitals, and an ordered one is a set
of numbers from 0 on; enums are strings. Snowcat, Apalache's type checker, has no value that belongs
to several types: so each sort has a ``none`` of its own. Of an ordered sort it is -1, below all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from attrs import evolve

from model_checks.export.tla_names import none_of
from model_checks.substitution import rebuild
from model_checks.system import Action, Checked, System, Update
from spec.language import ir
from spec.language.assembly import Guard
from spec.language.declarations import Cell, Enum, Opt, Range

_OURS = re.compile(r"\s*\\\* @type: [\w<>(), =-]*;")


def with_nones(system: System) -> System:
    """Return the system with a name in place of each ``none``, by its sort."""
    return evolve(
        system,
        first={name: _named(node) for name, node in system.first.items()},
        actions=tuple(map(_action, system.actions)),
        assumptions=tuple(map(_named, system.assumptions)),
        properties=tuple(Checked(c.property, _named(c.formula)) for c in system.properties),
        initially=tuple(map(_named, system.initially)),
    )


def _action(action: Action) -> Action:
    updates = tuple(
        Update(u.cell, tuple(map(_named, u.index)), _named(u.value), u.variables, _named(u.where))
        for u in action.updates
    )
    guards = tuple(Guard(guard.text, _named(guard.formula)) for guard in action.guards)
    return evolve(action, guards=guards, updates=updates)


def _named(node: ir.Node) -> ir.Node:
    if isinstance(node, ir.Nothing):
        return ir.Variable(node.type, none_of(node.type[1]))
    return rebuild(node, _named)


def type_of_sort(system: System, sort: str) -> str:
    """Return the type of an individual; two sorts whose names differ in case only have two."""
    if system.names.sorts[sort].ordered:
        return "Int"
    before = list(system.names.sorts)[: list(system.names.sorts).index(sort)]
    alike = [name for name in before if name.upper() == sort.upper()]
    return sort.upper() + "_" * len(alike)


def type_of_cell(system: System, cell: Cell) -> str:
    """Return the type of a variable: a function of a tuple where there are several indices."""
    match cell.type:
        case Enum():
            value = "Str"
        case Range():
            value = "Int"
        case Opt(sort=sort):
            value = type_of_sort(system, sort)
        case _:
            value = "Bool"
    index = [type_of_sort(system, sort) for sort in cell.index]
    if not index:
        return value
    return f"{index[0]} -> {value}" if len(index) == 1 else f"<<{', '.join(index)}>> -> {value}"


def annotation(written: str) -> str:
    """Return the comment that says of which type the next name is."""
    return f"\\* @type: {written};"


def disarmed(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines in which nothing but our own annotations is taken for one."""
    for line in lines:
        yield line if _OURS.fullmatch(line) else line.replace("@", "(at)")


def declarations(
    system: System, sorts: tuple[str, ...], constants: tuple[str, ...], nones: set[str]
) -> Iterator[str]:
    """Yield the lines that declare constants and variables, each with its type before it, and the
    ``none`` of the sorts that need one.
    """
    typed = {sort: f"Set({type_of_sort(system, sort)})" for sort in sorts}
    typed |= dict.fromkeys(constants, "Int")
    yield from ["CONSTANTS"] if typed else []
    yield from _declared({name: (_about(system, name), typed[name]) for name in typed})
    yield "VARIABLES"
    yield from _declared({
        name: (f"{cell.kept}: {cell.doc}", type_of_cell(system, cell))
        for name, cell in system.cells.items()
    })
    yield ""
    every = ", ".join(type_of_cell(system, cell) for cell in system.cells.values())
    yield annotation(f"() => <<{every}>>")
    yield f"vars == <<{', '.join(system.cells)}>>"
    yield ""
    for sort in (each for each in sorts if each in nones):
        value = type_of_sort(system, sort)
        yield annotation(f"() => {value}")
        yield f"{none_of(sort)} == " + ("-1" if value == "Int" else f'"none_OF_{value}"')
        yield ""
    yield "\\* none is a number below every individual of an ordered sort"
    yield annotation("Int => Int")
    yield "Rank(x) == x"
    yield ""


def _about(system: System, name: str) -> str:
    sort = system.names.sorts.get(name)
    if sort is None:
        return "a number"
    return f"{sort.doc}, numbers from 0 on" if sort.ordered else sort.doc


def _declared(names: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    for number, (name, (about, written)) in enumerate(names.items(), start=1):
        yield f"  \\* {about}"
        yield f"  {annotation(written)}"
        yield f"  {name}{',' if number < len(names) else ''}"


def type_of_action(system: System, action: Action) -> str:
    """Return the type of an action's operator."""
    given = ", ".join(type_of_sort(system, sort) for sort in action.parameters.values())
    return f"({given}) => Bool"


def sizes_fixed(
    system: System, sizes: Mapping[str, int], constants: Mapping[str, int]
) -> Iterator[str]:
    """Yield the operator that ``apalache-mc check --cinit=ConstInit`` takes the constants from."""
    yield "\\* for --cinit=ConstInit"
    yield "ConstInit =="
    for sort, size in sizes.items():
        value = type_of_sort(system, sort)
        each = (str(n) if value == "Int" else f'"{n}_OF_{value}"' for n in range(size))
        yield f"  /\\ {sort} = {{{', '.join(each)}}}"
    yield from (f"  /\\ {name} = {number}" for name, number in constants.items())
    yield ""
