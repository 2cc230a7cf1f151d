"""The generated suite on the real table runner, and on runners that were broken on purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import pytest
from attrs import evolve
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from metanode.protocol.tables.runner import TableRunner, Tables
from metanode.protocol.tables.view import NodeView
from spec.language.assembly import Rule
from spec.protocol import PROTOCOL
from tests.conformance import suite as generated
from tests.conformance.side_by_side import attempt, check_case, node_view
from tests.conformance.suite import Bench, Case, bench_of

MACHINES = PROTOCOL.machines
RULES = tuple(each for machine in MACHINES.values() for each in machine.rules)
Make = Callable[[NodeView], Tables]


@lru_cache
def cases() -> tuple[Case, ...]:
    """Return the generated cases."""
    return generated.generate().cases


def real(view: NodeView) -> Tables:
    """Return the tables as the node runs them."""
    return Tables(PROTOCOL, view)


def failures(make: Make, only: Callable[[Case], bool] = lambda case: True) -> list[str]:
    """Run the suite on tables and return what it says."""
    found = []
    for case in filter(only, cases()):
        bench = bench_of(case)
        said = check_case(case, make(node_view(bench)), bench)
        found += [said] if said else []
    return found


def with_rule(broken: Rule, number: int) -> Make:
    """Return tables in which one rule is another."""

    def make(view: NodeView) -> Tables:
        tables, machine = Tables(PROTOCOL, view), MACHINES[broken.table]
        rules = (*machine.rules[:number], broken, *machine.rules[number + 1 :])
        tables._runners[broken.table] = TableRunner(evolve(machine, rules=rules))
        return tables

    return make


def noticed(rule: Rule, broken: Rule) -> bool:
    """Return whether the suite's cases of a rule tell it from a broken one."""
    number = MACHINES[rule.table].rules.index(rule)
    return bool(failures(with_rule(broken, number), lambda case: case.rule == rule))


def test_every_row_and_every_conjunct_has_its_case() -> None:
    """Catches a suite with holes: one run a row and state, one refusal a conjunct."""
    made = generated.generate()
    assert made.impossible == ()
    assert len(made.cases) == sum(1 + len(rule.guards) for rule in RULES)
    assert [str(case) for case in made.cases] == [str(case) for case in cases()]
    assert [case.values for case in made.cases] == [case.values for case in cases()]
    told = {(case.rule.name, case.rule.number, case.false) for case in made.cases}
    assert told == {
        (rule.name, rule.number, text)
        for rule in RULES
        for text in (None, *(guard.text for guard in rule.guards))
    }


def test_the_real_tables_pass() -> None:
    """Catches a runner that does not do what the tables say."""
    assert failures(real) == []


def test_only_a_later_row_of_an_event_can_hide_a_conjunct() -> None:
    """Catches conjuncts that are given up although nothing runs in their place."""
    for case in cases():
        rules = MACHINES[case.rule.table].rules_for(case.rule.source, case.rule.event)
        assert not case.masked or rules.index(case.rule) > 0, str(case)


def test_a_case_that_lost_its_state_is_noticed() -> None:
    """Catches a refusal for another reason than the one that the case is about."""
    case = next(c for c in cases() if c.false is None and len(c.rule.guards) > 1)
    bench = bench_of(case)
    wrong = evolve(case, false=case.rule.guards[0].text)
    said = check_case(wrong, real(node_view(bench)), bench)
    assert said is not None
    assert "the state is not the one looked for" in said


# --- broken cores --------------------------------------------------------------------------------


@pytest.mark.parametrize("table", sorted(MACHINES))
def test_every_conjunct_that_is_skipped_is_noticed(table: str) -> None:
    """Catches a core that stops asking its table, one conjunct at a time: all of them."""
    masked = {str(case) for case in cases() if case.masked}
    for rule_ in MACHINES[table].rules:
        for number, guard in enumerate(rule_.guards):
            if generated.name_of(rule_, guard.text) in masked:
                continue  # a row before it runs instead, so that nobody can tell
            rest = (*rule_.guards[:number], *rule_.guards[number + 1 :])
            assert noticed(rule_, evolve(rule_, guards=rest)), (rule_.name, guard.text)


@pytest.mark.parametrize("table", sorted(MACHINES))
def test_every_effect_that_is_forgotten_is_noticed(table: str) -> None:
    """Catches a core that does not write, or does not send, what its table says."""
    for rule_ in MACHINES[table].rules:
        for number, effect in enumerate(rule_.effects):
            if effect.cell.kept == "ghost":
                continue  # for properties only: a node holds no such cell
            rest = (*rule_.effects[:number], *rule_.effects[number + 1 :])
            assert noticed(rule_, evolve(rule_, effects=rest)), (rule_.name, effect.cell.name)


@pytest.mark.parametrize("table", sorted(MACHINES))
def test_every_wrong_target_is_noticed(table: str) -> None:
    """Catches a core that ends in another state."""
    states = MACHINES[table].states
    for rule_ in MACHINES[table].rules:
        wrong = states[states.index(rule_.target) - 1]
        assert noticed(rule_, evolve(rule_, target=wrong)), rule_.name


class WithoutGuards(Tables):
    """A core that moves its records itself and asks nobody."""

    def fire(self, trigger: str, **arguments: Any) -> Rule:
        """Run the first row of the event, whatever its guard says."""
        table, _, event = trigger.partition(".")
        machine = self.protocol.machines[table]
        subject = tuple({"p": self.me, **arguments}[name] for name in machine.subject)
        ruled = machine.rules_for(self.state(table, *subject), event)
        if not ruled:
            return super().fire(trigger, **arguments)
        self.view.put(machine.cell.name, subject, ruled[0].target)
        return ruled[0]


class WithoutWrites(Tables):
    """A core that changes its memory and leaves the disk alone."""

    def _sort(self, *arguments: Any) -> Any:
        return [], super()._sort(*arguments)[1]


class WithoutSends(Tables):
    """A core that keeps its votes to itself."""

    def _sort(self, *arguments: Any) -> Any:
        return super()._sort(*arguments)[0], []


BROKEN = (WithoutGuards, WithoutWrites, WithoutSends)


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_core_fails_the_suite(broken: type[Tables]) -> None:
    """Catches a suite that passes whatever runs."""
    found = failures(lambda view: broken(PROTOCOL, view), lambda case: case.rule.table == "session")
    assert found


# --- lockstep ------------------------------------------------------------------------------------


def lockstep(make: Make) -> type[RuleBasedStateMachine]:
    """Return a machine that drives a node and the interpreter side by side."""

    class Lockstep(RuleBasedStateMachine):
        """Begins in a state of the suite and goes on with any events, legal ones and others."""

        @initialize(number=st.integers(0, len(cases()) - 1))
        def begin(self, number: int) -> None:
            """Take on the state of a case, and its event."""
            case = cases()[number]
            self.bench: Bench = bench_of(case)
            self.tables = make(node_view(self.bench))
            self.do(case.rule.table, case.rule.event, case.parameters)

        def do(self, table: str, event: str, parameters: Mapping[str, Any]) -> None:
            said = attempt(self.tables, self.bench, table, event, parameters)
            assert said is None, said

        @rule(data=st.data())
        def legal(self, data: st.DataObject) -> None:
            """Try to make a row run: take its facts from its case, and its event."""
            case = data.draw(st.sampled_from(cases()), label="row")
            for (cell, index), value in case.values.items():
                if PROTOCOL.cells[cell].kept == "given":
                    self.bench.values[cell, index] = value
            self.do(case.rule.table, case.rule.event, case.parameters)

        @rule(data=st.data())
        def illegal(self, data: st.DataObject) -> None:
            """Any event at any record: most are undefined or refused, and change nothing."""
            table = data.draw(st.sampled_from(sorted(MACHINES)), label="table")
            machine = MACHINES[table]
            event = data.draw(st.sampled_from(sorted(machine.signatures)), label="event")
            parameters = {
                name: data.draw(st.sampled_from(self.bench.individuals(sort)), label=name)
                for name, sort in machine.signatures[event].items()
            }
            self.do(table, event, parameters)

    return Lockstep


LIMITS = settings(
    max_examples=60,
    stateful_step_count=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_lockstep_with_the_interpreter() -> None:
    """Catches a state that only a sequence of events brings about, in which the two differ."""
    run_state_machine_as_test(lockstep(real), settings=LIMITS)


@pytest.mark.parametrize("broken", BROKEN)
def test_lockstep_notices_a_broken_core(broken: type[Tables]) -> None:
    """Catches a lockstep that follows the core wherever it goes."""
    quick = settings(LIMITS, report_multiple_bugs=False, phases=LIMITS.phases[:3])
    with pytest.raises(AssertionError, match="is meant|the interpreter says|it sends"):
        run_state_machine_as_test(lockstep(lambda view: broken(PROTOCOL, view)), settings=quick)
