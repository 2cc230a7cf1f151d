"""One step of one record, from every state of a small instance: the requirements of a
:class:`~model_checks.records.record.Record`, decided by z3.

For each row and each choice of its parameters the solver looks for a state in which the row may run
and a requirement does not hold of its step; for each event, for one in which it should be taken and
no row takes it. What it finds is checked on the interpreter before anyone sees it. Choices that
differ only in which individuals they name, of a sort without an order, are one choice.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import z3
from attrs import evolve, frozen

from model_checks.engines.finite import STEPS, Broken, EnginesDisagree, FiniteTerms, Terms
from model_checks.engines.oracle import Instance, State, Step
from model_checks.records.record import CONSTANTS, SIZES, Record
from model_checks.substitution import populated
from model_checks.system import Action, Network, Property, System, Update, close
from model_checks.two_states import AFTER, StepView, later_text, with_later
from spec.language.assembly import Guard, Machine, Protocol, Rule, cells_read
from spec.language.declarations import SpecError
from spec.language.expressions import Names, Parser, cell_type
from spec.language.interpreter import evaluate
from spec.language.ir import BOOL, Equal, Literal, Node, Read, Variable, sort_type
from spec.protocol import PROTOCOL

TAKEN = "taken"
THEN = "then"
CRASH = "crash"
FIRST = "first"


@frozen
class Asked:
    """A requirement of a step, parsed; the event's or the subject's parameters are its scope."""

    name: str
    formula: Node


@frozen
class Unmet:
    """A requirement that does not hold, with a state and the step from it, if there is one."""

    table: str
    requirement: str
    example: Broken | None = None

    def lines(self) -> tuple[str, ...]:
        """Return it as text: the requirement, then the step and the state before it."""
        told = self.example.lines() if self.example else ()
        return (f"{self.table}: {self.requirement} does not hold", *(f"  {line}" for line in told))


class _TwoStates(FiniteTerms):
    """Terms over a state followed by the state after a step."""

    def term(self, node: Node, scope: Mapping[str, int], state: Terms) -> Any:
        """Return the value of a node, or the solver term for it."""
        if isinstance(node, Read) and node.cell.startswith(AFTER):
            index = tuple(self.term(part, scope, state) for part in node.index)
            place = self.oracle.places[node.cell.removeprefix(AFTER), index]
            return state[len(self.cells) + place]
        return super().term(node, scope, state)


@frozen(slots=False)
class OneStep:
    """The requirements on one record, against the rows of a protocol."""

    record: Record
    protocol: Protocol = PROTOCOL
    beside: OneStep | None = None
    """Another version of the table, whose cells are to be known here too."""

    def unmet(self) -> Iterator[Unmet]:
        """Yield what does not hold, the first of each row and event."""
        yield from self.unmet_by_rows()
        yield from self.unmet_by_cells()

    def unmet_by_rows(self) -> Iterator[Unmet]:
        """Yield the events that are taken elsewhere, and the rows whose steps do something else."""
        events = self.machine.signatures.keys()
        for event in sorted(events ^ self.record.taken.keys()):
            said = "nothing says when it is taken" if event in events else "no row takes it"
            yield Unmet(self.record.table, f"{TAKEN} {event} ({said})")
        for event in self.record.taken:
            if event in events:
                yield from self._taken(event)
        for rule, action in self.actions:
            yield from self._steps(rule, action)

    def unmet_by_cells(self) -> Iterator[Unmet]:
        """Yield what does not hold at the start or after a crash: this depends on no row."""
        yield from self._first()
        yield from self._crash()

    @cached_property
    def machine(self) -> Machine:
        """The table."""
        return self.protocol.machines[self.record.table]

    @cached_property
    def names(self) -> Names:
        """The names that requirements may use: those of the protocol, and ``after(x)``."""
        return with_later(self.protocol.names)

    @cached_property
    def actions(self) -> tuple[tuple[Rule, Action], ...]:
        """Every row out of each of its states, as an action."""
        return tuple((rule, _action(self.machine, rule)) for rule in self.machine.rules)

    @cached_property
    def asked(self) -> Mapping[str, tuple[Asked, ...]]:
        """What is asked of a step, by event."""
        subject = dict(zip(self.machine.subject, self.machine.cell.index, strict=True))
        always = tuple(
            Asked(name, self._parse(name, text, subject))
            for name, text in self.record.steps.items()
        )
        found = {}
        for event, parameters in self.machine.signatures.items():
            own = tuple(
                Asked(f"{kind} {event}", self._parse(f"{kind} {event}", text[event], parameters))
                for kind, text in ((TAKEN, self.record.taken), (THEN, self.record.then))
                if event in text
            )
            found[event] = (*own, *always)
        return found

    @cached_property
    def terms(self) -> _TwoStates:
        """The terms of the instance with all cells that the rows or the requirements name."""
        nodes = [asked.formula for each in self.asked.values() for asked in each]
        actions = [action for _, action in (*self.actions, *(self.beside or self).actions)]
        nodes += [guard.formula for action in actions for guard in action.guards]
        updates = [update for action in actions for update in action.updates]
        nodes += [update.value for update in updates]
        named = {cell.removeprefix(AFTER) for node in nodes for cell in cells_read(node)}
        named |= {update.cell for update in updates}
        return _TwoStates(Instance(_system(self.protocol, named), SIZES, CONSTANTS))

    @cached_property
    def before(self) -> Terms:
        """Any state."""
        return self.terms.state("")

    @cached_property
    def solver(self) -> Any:
        """The solver that knows of a state no more than the types of its cells."""
        solver = z3.SolverFor("QF_FD")
        solver.set("rlimit", STEPS)
        solver.add(*self.terms.ranges(self.before))
        return solver

    def _parse(self, name: str, text: str, scope: Mapping[str, str]) -> Node:
        where = f"{self.record.table}, {name}"
        variables = {each: Variable(sort_type(sort), each) for each, sort in scope.items()}
        try:
            return Parser(self.names, variables).parse(later_text(where, text))
        except SpecError as error:
            raise SpecError(f"{where}: {error}") from None

    def _state(self, *wanted: Any) -> State | None:
        """Return a state in which the terms hold, or None."""
        if any(isinstance(term, int) and not term for term in wanted):
            return None
        answer = self.solver.check(*(term for term in wanted if not isinstance(term, int)))
        if answer == z3.unknown:
            raise SpecError(f"{self.record.table}: z3 gave up")
        return self.terms.read(self.solver.model(), self.before) if answer == z3.sat else None

    def _steps(self, rule: Rule, action: Action) -> Iterator[Unmet]:
        """Yield what the step of a row does not meet."""
        asked = self.asked[rule.event]
        for chosen in self._choices(rule.parameters):
            guard = self.terms.guard(action, chosen, self.before)
            both = (*self.before, *self.terms.after(action, chosen, self.before))
            held = [self.terms.truth(each.formula, chosen, both) for each in asked]
            state = self._state(guard, z3.Not(z3.And(*held)))
            if state is not None:
                wrong = self._first_wrong(action, chosen, state, asked)
                step = Step(rule.name, chosen)
                broken = Broken(self.terms.instance, wrong, step, state)
                yield Unmet(self.record.table, wrong, broken)
                return

    def _first_wrong(
        self, action: Action, chosen: Mapping[str, int], state: State, asked: tuple[Asked, ...]
    ) -> str:
        oracle = self.terms.oracle
        view = oracle.view(state)
        if all(evaluate(guard.formula, view, chosen) for guard in action.guards):
            step = StepView(view, oracle.view(oracle.apply(action, chosen, view)))
            for each in asked:
                if not evaluate(each.formula, step, chosen):
                    return each.name
        raise EnginesDisagree(f"{self.record.table}: {action.origin} from {state}")

    def _taken(self, event: str) -> Iterator[Unmet]:
        """Yield the event if it is not taken where it should be."""
        wanted = next(a for a in self.asked[event] if a.name == f"{TAKEN} {event}").formula
        rows = [action for rule, action in self.actions if rule.event == event]
        for chosen in self._choices(self.machine.signatures[event]):
            guards = [self.terms.guard(action, chosen, self.before) for action in rows]
            refused = [z3.Not(guard) for guard in guards if not isinstance(guard, int)]
            if any(isinstance(guard, int) and guard for guard in guards):
                continue
            state = self._state(self.terms.truth(wanted, chosen, self.before), *refused)
            if state is None:
                continue
            view = self.terms.oracle.view(state)
            enabled = (all(evaluate(g.formula, view, chosen) for g in a.guards) for a in rows)
            if any(enabled) or not evaluate(wanted, view, chosen):
                raise EnginesDisagree(f"{self.record.table}: {event} from {state}")
            step = Step(f"{event} refused", chosen)
            name = f"{TAKEN} {event}"
            yield Unmet(self.record.table, name, Broken(self.terms.instance, name, step, state))
            return

    def covers(self, other: OneStep, known: set[object]) -> bool:
        """Return whether every step of the other version is a step of this one too.

        Rows whose text is known to be in both are not looked at.
        """
        for rule, action in other.actions:
            if _text(rule) in known:
                continue
            rows = [mine for each, mine in self.actions if each.event == rule.event]
            for chosen in self._choices(rule.parameters):
                after = self.terms.after(action, chosen, self.before)
                others = []
                for mine in rows:
                    then = self.terms.after(mine, chosen, self.before)
                    alike = [x == y for x, y in zip(after, then, strict=True) if x is not y]
                    guard = self.terms.guard(mine, chosen, self.before)
                    others.append(z3.Not(z3.And(guard, *alike)))
                if self._state(self.terms.guard(action, chosen, self.before), *others) is not None:
                    return False
        return True

    def _choices(self, parameters: Mapping[str, str]) -> Iterator[dict[str, int]]:
        """Yield the choices of parameters, one of those that only name other individuals."""
        sorts = self.protocol.names.sorts
        for numbers in itertools.product(*(range(SIZES[sort]) for sort in parameters.values())):
            used: dict[str, int] = {}
            for number, sort in zip(numbers, parameters.values(), strict=True):
                if not sorts[sort].ordered:
                    if number > used.get(sort, 0):
                        break
                    used[sort] = max(used.get(sort, 0), number + 1)
            else:
                yield dict(zip(parameters, numbers, strict=True))

    def _first(self) -> Iterator[Unmet]:
        """Yield ``first`` unless it holds of the first values."""
        system = self._asking(FIRST, self.record.first)
        formula = system.properties[0].formula
        instance = Instance(system, SIZES, CONSTANTS)
        oracle = _TwoStates(instance).oracle
        state = next(oracle.initial())
        if not evaluate(formula, oracle.view(state), {}):
            yield Unmet(self.record.table, FIRST, Broken(instance, FIRST, None, state))

    def _crash(self) -> Iterator[Unmet]:
        """Yield ``crash`` unless it holds of every crash; who forgets nothing stays as it is."""
        system = self._asking(CRASH, self.record.crash)
        crash = next(iter(system.actions), Action("Crash", {"p": "Peer"}, (), (), False, CRASH))
        terms = _TwoStates(Instance(system, SIZES, CONSTANTS))
        formula = self._parse(CRASH, self.record.crash, {"p": "Peer"})
        before = terms.state("")
        both = (*before, *terms.after(crash, {"p": 0}, before))
        solver = z3.SolverFor("QF_FD")
        solver.add(*terms.ranges(before), z3.Not(terms.truth(formula, {"p": 0}, both)))
        if solver.check() != z3.unsat:
            state = terms.read(solver.model(), before)
            step = Step(crash.name, {"p": 0})
            yield Unmet(self.record.table, CRASH, Broken(terms.instance, CRASH, step, state))

    def _asking(self, name: str, text: str) -> System:
        """Return the system without rows of the cells that a requirement names."""
        asked = Property(f"{self.record.table}, {name}", f"all({text} for p in Peer)", "step")
        return close(Network(name=name, doc="", honest="", properties=(asked,)), self.protocol)


def same_steps(record: Record, protocol: Protocol, original: Protocol = PROTOCOL) -> bool:
    """Return whether two versions of a table take the same events, with the same outcome, in every
    state: then they differ in their text only.
    """
    one, other = OneStep(record, protocol), OneStep(record, original)
    known = set(map(_text, one.machine.rules)) & set(map(_text, other.machine.rules))
    return all(
        evolve(mine, beside=theirs).covers(theirs, known)
        for mine, theirs in ((one, other), (other, one))
    )


def _text(rule: Rule) -> object:
    effects = tuple((e.cell.name, e.index, e.value) for e in rule.effects)
    return rule.source, rule.event, rule.target, tuple(g.formula for g in rule.guards), effects


def _action(machine: Machine, rule: Rule) -> Action:
    """Return a row as an action, whether or not it changes anything."""
    kind = cell_type(machine.cell)
    index = tuple(
        Variable(sort_type(sort), name)
        for name, sort in zip(machine.subject, machine.cell.index, strict=True)
    )
    state = Read(kind, machine.cell.name, index)
    source = Guard(f"in {rule.source}", Equal(BOOL, state, Literal(kind, rule.source)))
    updates = (
        Update(machine.cell.name, index, Literal(kind, rule.target)),
        *(Update(effect.cell.name, effect.index, effect.value) for effect in rule.effects),
    )
    asked = (Guard(guard.text, populated(guard.formula, {})) for guard in rule.guards)
    guards = (source, *asked)
    return Action(rule.event, rule.parameters, guards, updates, False, rule.name)


def _system(protocol: Protocol, named: set[str]) -> System:
    """Return a system of these cells, for an instance: it has no actions of its own."""
    network = Network(name="one step", doc="")
    cells = {name: cell for name, cell in protocol.cells.items() if name in named}
    first = {
        name: Parser(protocol.names, {}).parse(cell.first, cell_type(cell))
        for name, cell in cells.items()
    }
    return System(network, protocol.names, cells, frozenset(), first, (), (), ())
