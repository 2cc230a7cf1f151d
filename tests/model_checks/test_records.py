"""Requirements on one record: all of them are met, each kind of breach is found, and shown."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import pytest
from attrs import evolve

from model_checks.engines.one_step import OneStep, same_steps
from model_checks.mutants import UNNOTICED, fate_of
from model_checks.mutations import DROPPED, ORIGINAL, Mutant, mutants
from model_checks.records import RECORDS
from model_checks.records.block_list import BLOCK_LIST
from model_checks.records.ping import PING
from model_checks.records.record import SIZES, Record
from model_checks.two_states import StepView
from spec.language.assembly import Protocol
from spec.language.declarations import Row, SpecError
from spec.language.interpreter import evaluate
from spec.protocol import PROTOCOL

SEED = 20
DROPS = [mutant for mutant in mutants() if mutant.kind == DROPPED]


def with_row(table: str, number: int, **changes: Any) -> Protocol:
    """Return the protocol with one row changed."""
    row = next(each for each in ORIGINAL.tables if each.name == table).rows[number - 1]
    return _replaced(table, number, evolve(row, **changes))


def without_row(table: str, number: int) -> Protocol:
    """Return the protocol without one row."""
    return _replaced(table, number)


def _replaced(table: str, number: int, *by: Row) -> Protocol:
    tables = []
    for each in ORIGINAL.tables:
        rows = (*each.rows[: number - 1], *by, *each.rows[number:])
        tables.append(evolve(each, rows=rows) if each.name == table else each)
    return evolve(ORIGINAL, tables=tuple(tables)).assemble()


def unmet(protocol: Protocol, record: Record = PING) -> list[str]:
    """Return the names of the requirements that are not met."""
    return sorted({each.requirement for each in OneStep(record, protocol).unmet()})


def test_every_table_has_a_record() -> None:
    """Catches a table of which nothing is asked."""
    assert [record.table for record in RECORDS] == list(PROTOCOL.machines)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.table)
def test_the_requirements_are_met(record: Record) -> None:
    """Catches a row that does what it should not, or nothing where it should."""
    assert [line for each in OneStep(record).unmet() for line in each.lines()] == []


@pytest.mark.parametrize("mutant", random.Random(SEED).sample(DROPS, 12), ids=lambda m: m.name)
def test_no_guard_can_be_dropped(mutant: Mutant) -> None:
    """Catches a guard that no check needs; ``python -m model_checks mutants`` tries all of them."""
    assert fate_of(mutant).verdict not in UNNOTICED


def met_everywhere(one: OneStep) -> bool:
    """Return whether all is met, one state after the other: peer 0 in any, peer 1 in its first."""
    oracle, instance = one.terms.oracle, one.terms.instance
    usual = next(oracle.initial())
    cells = [instance.system.cells[name] for name, _ in oracle.slots]
    options = [
        (value,) if cell.index[0] == "Peer" and index[0] == 1 else instance.values(cell)
        for cell, (_, index), value in zip(cells, oracle.slots, usual, strict=True)
    ]
    for state in product(*options):
        view, chosen = oracle.view(state), {"p": 0, "e": 0}
        taken = set()
        for rule, action in one.actions:
            if not all(evaluate(guard.formula, view, chosen) for guard in action.guards):
                continue
            taken.add(rule.event)
            both = StepView(view, oracle.view(oracle.apply(action, chosen, view)))
            if not all(evaluate(each.formula, both, chosen) for each in one.asked[rule.event]):
                return False
        for event, (wanted, *_) in one.asked.items():
            if event not in taken and evaluate(wanted.formula, view, chosen):
                return False
    return True


PAYOUTS = [m for m in mutants() if m.name.startswith("payout, row") and m.kind != "row"]


PAYOUT = next(record for record in RECORDS if record.table == "payout")


def test_every_state_of_the_original_is_as_required() -> None:
    """Catches an interpreter that refuses everything, and so agrees about every mutant."""
    assert met_everywhere(OneStep(PAYOUT))


@pytest.mark.parametrize("mutant", random.Random(SEED).sample(PAYOUTS, 8), ids=lambda m: m.name)
def test_the_solver_agrees_with_the_interpreter_on_every_state(mutant: Mutant) -> None:
    """Catches a solver that overlooks a state."""
    one = OneStep(PAYOUT, mutant.source.assemble())
    assert met_everywhere(one) == (not list(one.unmet_by_rows()))


def test_an_event_that_nothing_takes_is_shown_with_its_state() -> None:
    """Catches a row that is gone although it changes nothing: its event would be an error."""
    found = list(OneStep(PING, without_row("ping", 5)).unmet())
    assert [each.requirement for each in found] == ["taken Ping"]
    told = found[0].lines()
    assert told[0] == "ping: taken Ping does not hold"
    assert told[1] == "  Ping refused(p=0, q=0)"
    assert "  listing[0, 0] = 'listed'" in told


def test_an_event_that_is_taken_too_often_is_found() -> None:
    """Catches a guard that is gone, where the row changes nothing."""
    assert unmet(with_row("ping", 5, only_if=())) == ["taken Ping"]


def test_a_wrong_outcome_is_found() -> None:
    """Catches a row that leads elsewhere, and one that forgets an effect."""
    assert unmet(with_row("ping", 8, target="refused")) == ["then Silence"]
    assert unmet(with_row("block_list", 6, then={}), BLOCK_LIST) == ["then Ban"]
    elsewhere = {"pair_banned[p, p]": "True", "pair_banned[p, q]": "True"}
    assert unmet(with_row("block_list", 6, then=elsewhere), BLOCK_LIST) == ["OthersStay"]


def test_a_requirement_of_every_step_is_asked_of_every_row() -> None:
    """Catches a search that ends at the first row."""
    asked = evolve(PING, then={}, steps={"Stays": "after(listing[p, q]) == listing[p, q]"})
    steps = [str(each.example.step) for each in OneStep(asked).unmet() if each.example]
    assert len(steps) == sum(rule.source != rule.target for rule in OneStep(PING).machine.rules)
    assert "missing -Ping-> listed" in " ".join(steps)


@pytest.mark.parametrize(
    ("kept", "first", "requirements"),
    [("disk", "unlisted", ["crash"]), ("memory", "missing", ["crash", "first"])],
)
def test_crash_and_first_values(kept: str, first: str, requirements: list[str]) -> None:
    """Catches a cell that outlives a crash, and a record that does not begin where it should."""
    cells = tuple(
        evolve(cell, kept=kept, first=first) if cell.name == "listing" else cell
        for cell in ORIGINAL.cells
    )
    assert unmet(evolve(ORIGINAL, cells=cells).assemble()) == requirements


def test_a_disk_that_is_lost_in_a_crash_is_found() -> None:
    """Catches a record that must survive and does not, and a crash that is no crash."""
    cells = tuple(
        evolve(c, kept="memory") if c.name == "pair_banned" else c for c in ORIGINAL.cells
    )
    assert unmet(evolve(ORIGINAL, cells=cells).assemble(), BLOCK_LIST) == ["crash"]
    assert unmet(PROTOCOL, evolve(BLOCK_LIST, crash="not after(pair_banned[p, p])")) == ["crash"]


def test_events_are_those_of_the_table() -> None:
    """Catches an event of which nothing is said, and one that is gone."""
    forgotten = evolve(PING, taken={k: v for k, v in PING.taken.items() if k != "Boundary"})
    assert unmet(PROTOCOL, forgotten) == ["taken Boundary (nothing says when it is taken)"]
    invented = evolve(PING, taken={**PING.taken, "Pong": "True"})
    assert unmet(PROTOCOL, invented) == ["taken Pong (no row takes it)"]


def test_a_text_that_is_no_formula_names_its_place() -> None:
    """Catches a mistake in a requirement that ends in a traceback, or in nothing."""
    with pytest.raises(SpecError, match="ping, taken Stake: .*lising"):
        unmet(PROTOCOL, evolve(PING, taken={**PING.taken, "Stake": "lising[p, q] == checking"}))
    with pytest.raises(SpecError, match="ping, Later: "):
        unmet(PROTOCOL, evolve(PING, steps={"Later": "after(listing) == checking"}))


def test_the_same_steps_are_recognised() -> None:
    """Catches two texts of one behaviour that differ, and two behaviours that are the same."""
    banned, fresh = "pair_banned[p, q]", "fresh_transfers[p, q]"
    more = (banned, fresh, f"{banned} or {fresh}")
    assert same_steps(BLOCK_LIST, with_row("block_list", 8, only_if=(fresh, banned)))
    assert same_steps(BLOCK_LIST, with_row("block_list", 8, only_if=more))
    assert not same_steps(BLOCK_LIST, with_row("block_list", 8, only_if=(banned,)))
    assert not same_steps(BLOCK_LIST, with_row("block_list", 8, target="suspect"))
    assert not same_steps(BLOCK_LIST, without_row("block_list", 8))


def test_two_rows_that_make_one_are_the_same() -> None:
    """Catches a comparison row by row: what counts is what the table does."""
    row = ORIGINAL.tables[1].rows[0]
    split = (evolve(row, source="unlisted"), evolve(row, source="refused"))
    assert same_steps(PING, _replaced("ping", 1, *split))
    assert not same_steps(PING, _replaced("ping", 1, split[0]))


def test_choices_leave_out_only_what_is_renamed() -> None:
    """Catches a choice of parameters that nobody looks at."""
    chosen = list(OneStep(PING)._choices({"p": "Peer", "q": "Peer", "r": "Attempt"}))
    assert [(c["p"], c["q"]) for c in chosen if c["r"] == 0] == [(0, 0), (0, 1)]
    assert len(chosen) == 2 * SIZES["Attempt"]
    links = list(OneStep(PING)._choices({"l": "Link", "p": "Peer", "w": "Link"}))
    everything = set(product(range(2), repeat=3))
    renamed = {
        tuple(flip ^ c[name] if name != "p" else turn ^ c[name] for name in c)
        for c in links
        for flip, turn in product(range(2), repeat=2)
    }
    assert renamed == everything
