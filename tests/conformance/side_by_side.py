"""The node's tables beside the interpreter: one event on both, and where they differ.

Chained, :func:`attempt` is a lockstep run from the state of any case of the generated suite.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from metanode.errors import LocalFault
from metanode.protocol.tables.effects import Effects
from metanode.protocol.tables.runner import Refused, Tables, Undefined
from metanode.protocol.tables.view import NodeView, Quorum
from spec.language.interpreter import Change, Value, enabled, first_false, holds, outcome
from tests.conformance.suite import CONSTANTS, Bench, Case, name_of
from tests.protocol.tables.support import with_messages


def node_view(bench: Bench) -> NodeView:
    """Return a node's view that holds the same, and is told the same."""
    holders = tuple(peer for peer in bench.individuals("Peer") if isinstance(peer, bytes))
    view = NodeView(bench.protocol, Quorum(holders, CONSTANTS["T"], CONSTANTS["F"]))
    for cell, place, value in bench.known():
        view.put(cell, place, value)
    for each in bench.protocol.cells.values():
        if each.kept == "given":
            view.providers[each.name] = partial(_told, bench, each.name)
    view.scopes = lambda _sorts, _index: view.quorum
    return view


def _told(bench: Bench, cell: str, *index: Value) -> Value:
    return bench.read(cell, index)


def attempt(
    tables: Tables, bench: Bench, table: str, event: str, parameters: Mapping[str, Value]
) -> str | None:
    """Run an event on the tables and on the bench; return how they differ, or None."""
    machine = bench.protocol.machines[table]
    subject = tuple(parameters[name] for name in machine.subject)
    state = str(bench.read(machine.cell.name, subject))
    rules = machine.rules_for(state, event)
    able = enabled(machine, state, event, bench, parameters)
    if len(able) > 1:
        return f"{table}: {len(able)} rows may run for {event} in {state}"
    changes = outcome(able[0], bench, parameters) if able else ()
    try:
        did = name_of(with_messages(tables).fire(f"{table}.{event}", **parameters), None)
    except Undefined:
        did = "undefined"
    except Refused as refusal:
        did = f"refused: {list(refusal.conjuncts)}"
    except LocalFault as fault:
        did = f"fault: {fault}"
    if able:
        meant = name_of(able[0], None)
    elif rules:
        false = (first_false(rule, bench, parameters) for rule in rules)
        meant = f"refused: {[f'({guard.text})' for guard in false if guard is not None]}"
    else:
        meant = "undefined"
    effects = tables.take()
    if able:
        moved = Change(machine.cell.name, machine.cell.kept, subject, state, able[0].target)
        changes = (*changes, moved) if able[0].target != state else changes
        bench.values.update({(c.cell, c.index): c.after for c in changes if c.kept != "ghost"})
    where = f"{table}: {event} in {state}"
    if did != meant:
        return f"{where}: the interpreter says {meant}, the node {did}"
    return _other_cells(tables, bench, where) or _other_effects(effects, changes, where)


def _other_cells(tables: Tables, bench: Bench, where: str) -> str | None:
    for cell, place, value in bench.known():
        found = tables.view.get(cell, *place)
        if found != value:
            return f"{where}: {cell} is {found!r} at the node, {value!r} is meant"
    return None


def _other_effects(effects: Effects, changes: tuple[Change, ...], where: str) -> str | None:
    writes = {(w.cell, w.index): (w.before, w.after) for w in effects.writes}
    meant = {
        (c.cell, c.index): (c.before, c.after)
        for c in changes
        if c.kept == "disk" and c.before != c.after
    }
    if writes != meant or len(writes) != len(effects.writes):
        return f"{where}: it writes {sorted(map(str, writes))}, {sorted(map(str, meant))} is meant"
    sends = sorted(send.cell for send in effects.sends)
    if sends != sorted(c.cell for c in changes if c.kept == "network"):
        return f"{where}: it sends {sends}"
    return None


def check_case(case: Case, tables: Tables, bench: Bench) -> str | None:
    """Run a case; return how the node differs from what the table says, or None."""
    rule = case.rule
    false = [guard.text for guard in rule.guards if not holds(guard, bench, case.parameters)]
    if false != ([case.false] if case.false else []):
        return f"{case}: the state is not the one looked for, {false} is false"
    return attempt(tables, bench, rule.table, rule.event, case.parameters)
