"""Every table of the protocol: total, deterministic, reasoned, reachable, and wholly used."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from model_checks.tables import (
    cells_idle,
    check_protocol,
    network_read_negatively,
    pairs,
    reasons_missing,
    rules_overlapping,
    states_unlisted,
    states_unreachable,
    values_unused,
)
from spec.language.assembly import Machine
from spec.language.declarations import Enum, Opt
from spec.language.interpreter import enabled
from spec.protocol import MODULES, PROTOCOL
from tests.spec.support import Dictionary

MACHINES = list(PROTOCOL.machines.values())
each_table = pytest.mark.parametrize("machine", MACHINES, ids=lambda m: m.table.name)
SMALL = {"Peer": (0, 1, 2, 3), "Attempt": (0, 1, 2)}


def test_every_table_file_is_part_of_the_protocol() -> None:
    """Catches a table that nobody runs."""
    assert [m.table for m in MACHINES] == [module.TABLE for module in MODULES]
    assert set(PROTOCOL.machines) == {"peer", "ping", "round", "keygen", "regroup",
                                      "event", "payout", "session", "link", "block_list",
                                      "swap"}


@each_table
def test_every_state_is_in_the_table(machine: Machine) -> None:
    """Catches a state that the enum has and the table forgot."""
    assert states_unlisted(machine) == []


@each_table
def test_every_pair_is_defined_or_refused(machine: Machine) -> None:
    """Catches a pair (state, event) that would do neither: run a row, or be a protocol error."""
    for state, event, defined in pairs(machine):
        rules = machine.rules_for(state, event)
        assert bool(rules) == defined
        assert all((rule.source, rule.event) == (state, event) for rule in rules)
    expanded = sum(len(machine.rules_for(state, event)) for state, event, _ in pairs(machine))
    assert expanded == len(machine.rules)


@each_table
def test_the_table_is_deterministic(machine: Machine) -> None:
    """Catches two rows of one (state, event) that may both run; decided by z3."""
    assert rules_overlapping(PROTOCOL, machine) == []


def worlds(seed: int, count: int) -> Iterator[tuple[Dictionary, dict[str, object]]]:
    """Yield random views over small domains, and values for every parameter name in use."""
    rng = random.Random(seed)
    sorts = {sort: SMALL.get(sort, (0, 1)) for sort in PROTOCOL.names.sorts}
    for _ in range(count):
        likely = rng.random()
        values = {}
        for cell in PROTOCOL.cells.values():
            places: list[tuple[int, ...]] = [()]
            for sort in cell.index:
                places = [(*place, item) for place in places for item in sorts[sort]]
            for place in places:
                if isinstance(cell.type, Enum):
                    value: object = rng.choice(cell.type.values)
                elif isinstance(cell.type, Opt):
                    value = rng.choice((None, *sorts[cell.type.sort]))
                else:
                    value = rng.random() < likely
                values[cell.name, place] = value
        yield Dictionary(PROTOCOL, values, sorts), {s: rng.choice(i) for s, i in sorts.items()}


def test_sampled_worlds_never_enable_two_rows() -> None:
    """Catches what the abstraction in the proof of determinism might have hidden."""
    ran = set()
    for view, individual in worlds(seed=7, count=60):
        for machine in MACHINES:
            for state, event, _ in pairs(machine):
                environment = {
                    name: individual[sort] for name, sort in machine.signatures[event].items()
                }
                subject = tuple(environment[name] for name in machine.subject)
                view.values[machine.cell.name, subject] = state
                rules = enabled(machine, state, event, view, environment)
                assert len(rules) <= 1, [rule.name for rule in rules]
                ran |= {rule.name for rule in rules}
    named = {rule.name for machine in MACHINES for rule in machine.rules}
    assert len(ran) > 0.8 * len(named), "the worlds are too tame"


@each_table
def test_every_row_says_why(machine: Machine) -> None:
    """Catches a row that an auditor could not question."""
    assert reasons_missing(machine) == []


@each_table
def test_every_state_is_reachable(machine: Machine) -> None:
    """Catches a state that is only there on paper."""
    assert states_unreachable(machine) == []


@each_table
def test_guards_hold_for_late_views(machine: Machine) -> None:
    """Catches a guard that asks for what others have not sent, which no node can know."""
    assert network_read_negatively(PROTOCOL, machine) == []


def test_every_cell_plays_its_part() -> None:
    """Catches a given fact that nobody reads, a message that no row sends, a forgotten record."""
    assert cells_idle(PROTOCOL) == []


def test_every_value_is_used() -> None:
    """Catches a state or verdict that a table no longer has."""
    assert values_unused(PROTOCOL) == []


def test_the_protocol_is_well_formed() -> None:
    """Catches a check that stands in the module but is not part of the whole."""
    reports, faults = check_protocol(PROTOCOL)
    assert [report.table for report in reports] == list(PROTOCOL.machines)
    assert [fault for report in reports for fault in report.faults] == []
    assert faults == ()


def test_every_cell_has_a_word_of_explanation() -> None:
    """Catches a cell that an auditor would have to guess."""
    assert all(cell.doc for cell in PROTOCOL.cells.values())
    assert all(definition.doc for definition in PROTOCOL.names.definitions.values())
    assert all(sort.doc for sort in PROTOCOL.names.sorts.values())
