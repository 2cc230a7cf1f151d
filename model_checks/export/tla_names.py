"""Names that a TLA+ module can bear: no cell has the name of an operator, no variable one in use.

A name stands for one thing in all of a module, so what would be hidden gets an underscore more.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from model_checks.substitution import rebuild
from model_checks.system import Action, Checked, System, Update
from model_checks.two_states import AFTER
from spec.language import ir
from spec.language.assembly import Guard

RESERVED = frozenset(
    [
        "ACTION", "ASSUME", "ASSUMPTION", "AXIOM", "BOOLEAN", "BY", "CASE", "CHOOSE", "CONSTANT",
        "CONSTANTS", "COROLLARY", "DEF", "DEFINE", "DEFS", "DOMAIN", "ELSE", "ENABLED", "EXCEPT",
        "EXTENDS", "FALSE", "HAVE", "HIDE", "IF", "IN", "INSTANCE", "LAMBDA", "LEMMA", "LET",
        "LOCAL", "MODULE", "NEW", "OBVIOUS", "OMITTED", "ONLY", "OTHER", "PICK", "PROOF",
        "PROPOSITION", "PROVE", "QED", "RECURSIVE", "SF_", "STATE", "STRING", "SUBSET", "SUFFICES",
        "TAKE", "TEMPORAL", "THEN", "THEOREM", "TRUE", "UNCHANGED", "UNION", "USE", "VARIABLE",
        "VARIABLES", "WF_", "WITH", "WITNESS", "Nat", "Int", "Cardinality", "IsFiniteSet",
        "ConstInit", "FairSpec", "Init", "Next", "None", "Rank", "Spec", "TypeOK", "vars", "x",
        "i0", "i1", "i2", "i3", "i4",
    ]
)
"""Words of TLA+, of the modules that are extended, and of every module here."""


def none_of(sort: str) -> str:
    """Return the name of a sort's own ``none``, where types are written."""
    return f"None{sort}"


def renamed(system: System) -> System:
    """Return the system with the names that its module bears."""
    taken = {*RESERVED, *system.names.sorts, *system.names.constants}
    taken |= {action.name.replace(".", "_").replace("#", "_") for action in system.actions}
    taken |= {name for action in system.actions for name in action.parameters}
    taken |= {checked.property.name for checked in system.properties}
    taken |= {f"Never{checked.property.name}" for checked in system.properties}
    taken |= {none_of(sort) for sort in system.names.sorts}
    cells = {}
    for name in system.cells:
        cells[name] = _free(name.replace(".", "_"), taken)
        taken.add(cells[name])

    def said(node: ir.Node) -> ir.Node:
        return _renamed(node, cells, {}, taken)

    actions = tuple(_action(action, cells, taken) for action in system.actions)
    return evolve(
        system,
        cells={cells[n]: evolve(cell, name=cells[n]) for n, cell in system.cells.items()},
        rigid=frozenset(cells[name] for name in system.rigid),
        first={cells[name]: said(node) for name, node in system.first.items()},
        actions=actions,
        assumptions=tuple(map(said, system.assumptions)),
        properties=tuple(Checked(c.property, said(c.formula)) for c in system.properties),
        initially=tuple(map(said, system.initially)),
    )


def _action(action: Action, cells: Mapping[str, str], taken: set[str]) -> Action:
    def said(node: ir.Node) -> ir.Node:
        return _renamed(node, cells, {}, taken)

    updates = tuple(
        Update(cells[u.cell], u.index, said(u.value), u.variables, said(u.where))
        for u in action.updates
    )
    guards = tuple(Guard(guard.text, said(guard.formula)) for guard in action.guards)
    return evolve(action, guards=guards, updates=updates)


def _renamed(
    node: ir.Node, cells: Mapping[str, str], bound: Mapping[str, str], taken: set[str]
) -> ir.Node:
    if isinstance(node, ir.Read):
        later = AFTER if node.cell.startswith(AFTER) else ""
        node = evolve(node, cell=later + cells[node.cell.removeprefix(AFTER)])
    if isinstance(node, ir.Variable):
        return evolve(node, name=bound.get(node.name, node.name))
    if isinstance(node, ir.Quantified):
        # A bound variable carries the depth of its binder behind a quote, a prime in TLA+.
        name = _free(node.variable.replace("'", "_"), {*taken, *bound.values()})
        body = _renamed(node.body, cells, {**bound, node.variable: name}, taken)
        return evolve(node, variable=name, body=body)
    return rebuild(node, lambda child: _renamed(child, cells, bound, taken))


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name
