"""Are the tables well formed: the checks that need no exploration, one function each.

Every function takes a protocol or one of its machines and returns one line per fault, so an empty
list is a pass. They look at what is written, not at what runs: a fault here is a slip of the pen.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from attrs import frozen

from model_checks.disjoint import example_of_both
from spec.language import ir
from spec.language.assembly import Machine, Protocol, Rule, cells_read, children
from spec.language.declarations import ANY, Enum


@frozen
class Report:
    """What one table has, and what is wrong with it."""

    table: str
    states: int
    rows: int
    events: int
    undefined: int
    faults: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """One word for the reader in a hurry."""
        return "well formed" if not self.faults else f"{len(self.faults)} faults"


def pairs(machine: Machine) -> Iterator[tuple[str, str, bool]]:
    """Yield every (state, event) with whether the table defines it."""
    for state in machine.states:
        for event in machine.signatures:
            yield state, event, bool(machine.rules_for(state, event))


def reasons_missing(machine: Machine) -> list[str]:
    """Return the rows that do not say why they are there."""
    return sorted({f"{r.name}: no reason" for r in machine.rules if not r.row.why.strip()})


def states_unlisted(machine: Machine) -> list[str]:
    """Return the states that no row names, neither as its source nor as its target."""
    named = {machine.first}
    for row in machine.table.rows:
        sources = row.source if isinstance(row.source, tuple) else (row.source,)
        named |= {row.target, *sources} - {ANY}
    return [f"{machine.table.name}: no row names {s}" for s in machine.states if s not in named]


def states_unreachable(machine: Machine) -> list[str]:
    """Return the states that no sequence of rows leads to from the first one."""
    reached, edge = {machine.first}, [machine.first]
    while edge:
        source = edge.pop()
        for rule in machine.rules:
            if rule.source == source and rule.target not in reached:
                reached.add(rule.target)
                edge.append(rule.target)
    return [f"{machine.table.name}: {s} is unreachable" for s in machine.states if s not in reached]


def rules_overlapping(protocol: Protocol, machine: Machine) -> list[str]:
    """Return the pairs of rules of one (state, event) that may both be enabled, with an example.

    Two rules that go to the same place and do the same are no exception: one of them is too many.
    """
    found = []
    for first, second in combinations(machine.rules, 2):
        if (first.source, first.event) != (second.source, second.event):
            continue
        example = example_of_both(protocol, machine, first, second)
        if example is not None:
            rows = f"rows {first.number} and {second.number}"
            where = f"{machine.table.name}: {first.event} in {first.source}"
            found.append(f"{where}: {rows} may both run, when {example}")
    return found


def network_read_negatively(protocol: Protocol, machine: Machine) -> list[str]:
    """Return the guards that ask for what others have NOT sent.

    A node's view of the network lags behind the truth but never runs ahead of it, so such a guard
    could hold at a node while it is false in the network. What a node itself has not sent it knows.
    """
    return sorted(
        {
            f"{rule.name}: {guard.text!r} needs others not to have sent {cell}"
            for rule in machine.rules for guard in rule.guards
            for cell in _denied(protocol, guard.formula, machine.subject[0], positive=True)
        }
    )


def cells_idle(protocol: Protocol) -> list[str]:
    """Return the cells that play no part.

    A given fact must be read by a guard or an effect, a network cell sent by a row, and any other
    cell moved by its table or written by a row.
    """
    rules = [rule for machine in protocol.machines.values() for rule in machine.rules]
    read = {cell for rule in rules for cell in _cells_read(rule)}
    written = {effect.cell.name for rule in rules for effect in rule.effects}
    written |= {machine.cell.name for machine in protocol.machines.values()}
    faults = []
    for cell in protocol.cells.values():
        if cell.kept == "given" and cell.name not in read:
            faults.append(f"cell {cell.name}: given, but no row reads it")
        elif cell.kept == "network" and cell.name not in written:
            faults.append(f"cell {cell.name}: no row sends it")
        elif cell.kept in ("memory", "disk", "ghost") and cell.name not in written:
            faults.append(f"cell {cell.name}: no row writes it")
    return faults


def values_unused(protocol: Protocol) -> list[str]:
    """Return the values of enum types that no first value, row or formula uses.

    Of a given fact rows need not name every value: what none of them names they treat alike.
    """
    used = {cell.first for cell in protocol.cells.values()}
    for machine in protocol.machines.values():
        for rule in machine.rules:
            used |= {rule.source, rule.target}
            for node in (*(g.formula for g in rule.guards), *(e.value for e in rule.effects)):
                used |= _literals(node)
    cells = [c for c in protocol.cells.values() if c.kept != "given"]
    enums = {c.type.name: c.type for c in cells if isinstance(c.type, Enum)}
    return [
        f"enum {enum.name}: {value} is never used" for enum in enums.values()
        for value in enum.values if value not in used
    ]


def check_table(protocol: Protocol, machine: Machine) -> Report:
    """Return what the checks say of one table."""
    faults = (
        *reasons_missing(machine), *states_unlisted(machine), *states_unreachable(machine),
        *rules_overlapping(protocol, machine), *network_read_negatively(protocol, machine),
    )
    undefined = sum(1 for *_, defined in pairs(machine) if not defined)
    return Report(
        machine.table.name, len(machine.states), len(machine.table.rows), len(machine.signatures),
        undefined, faults,
    )


def check_protocol(protocol: Protocol) -> tuple[tuple[Report, ...], tuple[str, ...]]:
    """Return a report for each table, and the faults that belong to no single table."""
    reports = tuple(check_table(protocol, machine) for machine in protocol.machines.values())
    return reports, (*cells_idle(protocol), *values_unused(protocol))


def _cells_read(rule: Rule) -> set[str]:
    terms = [guard.formula for guard in rule.guards]
    for effect in rule.effects:
        terms += [effect.value, *effect.index]
    return {cell for term in terms for cell in cells_read(term)}


def _literals(node: ir.Node) -> set[str]:
    found = {node.value} if isinstance(node, ir.Literal) and isinstance(node.value, str) else set()
    for child in children(node):
        found |= _literals(child)
    return found


def _denied(protocol: Protocol, node: ir.Node, own: str, *, positive: bool) -> set[str]:
    """Return the network cells of other peers whose absence helps to make the formula true."""

    def of(child: ir.Node, same: bool) -> set[str]:
        return _denied(protocol, child, own, positive=positive == same)

    match node:
        case ir.Read(cell=cell, index=index):
            if protocol.cells[cell].kept != "network" or positive:
                return set()
            is_own = isinstance(index[0], ir.Variable) and index[0].name == own
            return set() if is_own else {cell}
        case ir.Not(body=body):
            return of(body, False)
        case ir.Implies(left=left, right=right):
            return of(left, False) | of(right, True)
        case ir.And(parts=parts) | ir.Or(parts=parts):
            return set().union(*(of(part, True) for part in parts))
        case ir.Quantified(body=body) | ir.Among(body=body):
            return of(body, True)
        case ir.Choose(test=test, then=then, otherwise=otherwise):
            return of(test, True) | of(test, False) | of(then, True) | of(otherwise, True)
        case ir.Compare(operator=operator, left=left, right=right):
            grows = operator in (">", ">=")
            return of(left, grows) | of(right, not grows)
    return {name for child in children(node) for name in of(child, True) | of(child, False)}
