"""Is what a node sees enough? A static check of every guard and effect that a node executes.

A node executes a row with itself as the row's peer, on what it knows. What others have sent only
grows, and a node's view of it lags behind the truth but never runs ahead. So a formula that asks
only that something WAS sent is sound: true at the node, it is true in the network. Sound as well
are the node's own memory and disk, which nobody else writes, what it has itself sent, and the facts
that it is given. Unsound is

* to ask that something was NOT sent by others (it may be on its way), and
* to read memory or disk of another peer: no message carries it.

A guard that does so needs a certificate or another reason why it is right; :data:`JUSTIFIED` names
them. A justification that nothing needs any more is a fault too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from model_checks.tables import network_read_negatively
from spec.language.assembly import Machine, Protocol, Rule, children
from spec.language.ir import Node, Read, Variable
from spec.messages import MESSAGE_OF_CELL
from spec.protocol import PROTOCOL

JUSTIFIED: Mapping[tuple[str, str], str] = {}
"""(row, text) and why it is sound all the same."""

LOCAL = ("memory", "disk", "ghost")


@frozen
class Breach:
    """One text of a row that a node's view does not carry."""

    row: str
    text: str
    reason: str
    justified: str = ""


def breaches(
    protocol: Protocol = PROTOCOL, justified: Mapping[tuple[str, str], str] = JUSTIFIED
) -> list[Breach]:
    """Return every breach of the tables, each with its justification if there is one."""
    found = [b for machine in protocol.machines.values() for b in _breaches(protocol, machine)]
    unique = {(b.row, b.text, b.reason): b for b in found}
    return [
        Breach(b.row, b.text, b.reason, justified.get((b.row, b.text), "")) for b in unique.values()
    ]


def faults(
    protocol: Protocol = PROTOCOL, justified: Mapping[tuple[str, str], str] = JUSTIFIED
) -> list[str]:
    """Return the breaches without a justification, and the justifications without a breach."""
    found = breaches(protocol, justified)
    lines = [f"{b.row}: {b.text!r} {b.reason}" for b in found if not b.justified]
    needed = {(b.row, b.text) for b in found}
    lines += [f"{row}: {text!r} is justified, but sound" for row, text in justified.keys() - needed]
    return lines


def message_faults(protocol: Protocol = PROTOCOL) -> list[str]:
    """Return the cells that others should hear of and cannot, or hear of before anything is sent.

    A network cell is sent in the one message that names it, and at first nothing is sent.
    """
    network = {c.name: c for c in protocol.cells.values() if c.kept == "network"}
    lines = [f"cell {name}: no message says it" for name in network.keys() - MESSAGE_OF_CELL.keys()]
    lines += [
        f"cell {name}: a message says it, but it is not kept in the network"
        for name in MESSAGE_OF_CELL.keys() - network.keys()
    ]
    lines += [f"cell {c.name}: sent before anything is" for c in network.values()
              if c.first != "False"]
    return sorted(lines)


def lines(protocol: Protocol = PROTOCOL) -> list[str]:
    """Return what to print: how much was looked at, and every row that is listed."""
    rules = [rule for machine in protocol.machines.values() for rule in machine.rules]
    texts = sum(len(rule.guards) + len(rule.effects) for rule in rules)
    found = breaches(protocol)
    head = f"local views: {texts} guards and effects of {len(rules)} rows, {len(found)} listed"
    told = [f"  {b.row}: {b.text!r} {b.reason}: {b.justified or 'NOT JUSTIFIED'}" for b in found]
    return [head, *told]


def _breaches(protocol: Protocol, machine: Machine) -> Iterator[Breach]:
    own = machine.subject[0]
    for fault in network_read_negatively(protocol, machine):
        row, text, reason = _parts(machine, fault)
        yield Breach(row, text, reason)
    for rule in machine.rules:
        for text, formula in _formulas(rule):
            for cell in sorted(_foreign(protocol, formula, own)):
                yield Breach(rule.name, text, f"reads {cell} of another peer")
        for effect in rule.effects:
            if effect.cell.index[:1] == ("Peer",) and not _is_own(effect.index[0], own):
                yield Breach(rule.name, effect.cell.name, "writes a cell of another peer")


def _parts(machine: Machine, fault: str) -> tuple[str, str, str]:
    """Return row, text and reason of a line of the tables' check."""
    for rule in machine.rules:
        for guard in rule.guards:
            start = f"{rule.name}: {guard.text!r} "
            if fault.startswith(start):
                return rule.name, guard.text, fault.removeprefix(start)
    return machine.table.name, fault, ""


def _formulas(rule: Rule) -> Iterator[tuple[str, Node]]:
    for guard in rule.guards:
        yield guard.text, guard.formula
    for effect in rule.effects:
        yield effect.cell.name, effect.value


def _foreign(protocol: Protocol, node: Node, own: str) -> set[str]:
    found: set[str] = set()
    if isinstance(node, Read):
        cell = protocol.cells[node.cell]
        local = cell.kept in LOCAL and cell.index[:1] == ("Peer",)
        if local and not _is_own(node.index[0], own):
            found.add(node.cell)
    for child in children(node):
        found |= _foreign(protocol, child, own)
    return found


def _is_own(term: Node, own: str) -> bool:
    return isinstance(term, Variable) and term.name == own
