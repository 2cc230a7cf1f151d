"""Step through a model by hand: which actions are enabled, and why the others are not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from attrs import frozen

from model_checks.cases import Case
from model_checks.console import Unusable
from model_checks.engines.oracle import Instance, Oracle, State, StateView, Step
from model_checks.system import Action
from model_checks.traces import Traces, place, written
from model_checks.user_spec import instance_of
from spec.language.assembly import Guard, children
from spec.language.interpreter import Environment, Value, evaluate
from spec.language.ir import Constant, Node, Quantified, Read

HELP = "a number takes that step, b goes back, q ends"
MAX_READINGS = 6
"""So many values are told of a false conjunct: of a formula with a long meaning, the first."""
SHOWN_FALSE = 3
"""Choices of one action that the console lists with their false conjuncts."""


@frozen
class Subject:
    """What is explored: a file's model, or a network here, with the case that checks it."""

    instance: Instance
    case: Case | None = None


def subject_of(spec: str, sorts: Iterable[str], constants: Iterable[str]) -> Subject:
    """Return the model of a file, or the network of this name; raises :class:`Unusable`.

    A network is taken at the first size at which it is checked, or at that of the case with the
    whole name; ``sorts`` and ``constants`` change some of its numbers.
    """
    if spec.endswith(".py") or Path(spec).exists():
        return Subject(instance_of(spec, sorts, constants))
    from model_checks.models import CASES

    case = next((c for c in CASES if spec in (c.name, c.network.name)), None)
    if case is None:
        raise Unusable(f"{spec}: neither a Python file nor a network of model_checks.models")
    sizes, numbers = dict(case.sizes), dict(case.constants)
    for option, given, known, least in (
        ("--sort", sorts, sizes, 1), ("--const", constants, numbers, 0)
    ):
        for text in given:
            name, _, number = text.partition("=")
            if name not in known or not number.isdecimal() or int(number) < least:
                names = " or ".join(known) or "nothing"
                raise Unusable(f"{option} {text}: give NAME=NUMBER, at least {least}, for {names}")
            known[name] = int(number)
    if (sizes, numbers) == (dict(case.sizes), dict(case.constants)):
        return Subject(case.instance, case)
    return Subject(Instance(case.instance.system, sizes, numbers))


@frozen
class FalseConjunct:
    """A conjunct that is false, and what it has read."""

    text: str
    readings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.text} ({', '.join(self.readings)})" if self.readings else self.text


def false_conjuncts(action: Action, view: StateView, chosen: Environment) -> list[FalseConjunct]:
    """Return every conjunct of an action's guard that keeps this choice of parameters back."""
    return [
        FalseConjunct(guard.text, _told(guard, view, chosen))
        for guard in action.guards if not _holds(guard, view, chosen)
    ]


def _told(guard: Guard, view: StateView, chosen: Environment) -> tuple[str, ...]:
    readings = dict.fromkeys(_readings(guard.formula, view, chosen))
    return tuple(readings)[:MAX_READINGS]


def _holds(guard: Guard, view: StateView, chosen: Environment) -> bool:
    """Return whether a conjunct holds; one that makes no sense after a false one does not."""
    try:
        return bool(evaluate(guard.formula, view, chosen))
    except (TypeError, LookupError, ValueError):
        return False


def _readings(node: Node, view: StateView, chosen: Environment) -> Iterator[str]:
    """Yield what a formula has asked for: cells, counts and constants, with their values."""
    if isinstance(node, Read | Constant | Quantified):
        try:
            yield from _reading(node, view, chosen)
        except (TypeError, LookupError):
            return
    else:
        for child in children(node):
            yield from _readings(child, view, chosen)


def _reading(
    node: Read | Constant | Quantified, view: StateView, chosen: Environment
) -> Iterator[str]:
    if isinstance(node, Read):
        index = tuple(evaluate(term, view, chosen) for term in node.index)
        yield f"{place((node.cell, index))} is {written(view.read(node.cell, index))}"
    elif isinstance(node, Constant):
        yield f"{node.name} is {view.constant(node.name)}"
    elif node.kind == "count":
        yield f"the count is {written(evaluate(node, view, chosen))}"


class Walk:
    """One run, built step by step on the interpreter."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.oracle = Oracle(instance)
        self.traces = Traces(instance)
        self.starts = tuple(self.oracle.initial())
        self.states: list[State] = [self.starts[0]] if len(self.starts) == 1 else []
        self.steps: list[Step] = []

    def choices(self) -> list[tuple[str, State, Step | None]]:
        """Return what can be done next: an initial state, or an enabled step and where it leads."""
        if not self.states:
            return [(", ".join(self.traces.chosen(s)) or "-", s, None) for s in self.starts]
        return [(str(step), after, step) for step, after in self.oracle.steps(self.states[-1])]

    def take(self, number: int) -> None:
        """Do the choice of this number, from 1; raises IndexError where there is none."""
        if number < 1:
            raise IndexError(number)
        _, after, step = self.choices()[number - 1]
        self.states.append(after)
        if step is not None:
            self.steps.append(step)

    def back(self) -> None:
        """Undo the last choice."""
        if self.steps:
            self.steps.pop()
            self.states.pop()
        elif len(self.starts) > 1:
            self.states.clear()

    def cells(self, state: State) -> Iterator[str]:
        """Yield the cells that are not at their first value."""
        yield from self.traces.told(state)

    def disabled(self) -> Iterator[str]:
        """Yield each action that is not enabled, with every conjunct that is false."""
        if not self.states:
            return
        view = self.oracle.view(self.states[-1])
        for action in self.instance.system.actions:
            left = 0
            for number, (chosen, wrong) in enumerate(held_back(self.instance, action, view)):
                if number < SHOWN_FALSE:
                    told = "; ".join(map(str, wrong))
                    yield f"{Step(action.name, chosen)}: false is {told}"
                left = number + 1 - SHOWN_FALSE
            if left > 0:
                yield f"{action.name}: {left} more"

    def verdicts(self) -> Iterator[str]:
        """Yield the properties of this state that do not hold, and the witnesses that do."""
        for checked in self.instance.system.properties:
            kind, name = checked.property.kind, checked.property.name
            if not self.states or kind not in ("invariant", "lemma", "reachable"):
                continue
            if self.oracle.holds(checked, self.states[-1]) == (kind == "reachable"):
                yield f"{name} is {'reached' if kind == 'reachable' else 'VIOLATED'}"

    def lines(self) -> list[str]:
        """Return what to show of where the run stands."""
        told = [f"step {len(self.steps)}" + (f": {self.steps[-1]}" if self.steps else "")]
        if self.steps:
            told += [f"  {c}" for c in self.traces.changes(self.states[-2], self.states[-1])]
            told.append("state:")
        if self.states:
            told += [f"  {cell}" for cell in self.cells(self.states[-1])]
        told += [f"  * {verdict}" for verdict in self.verdicts()]
        if self.states:
            told += ["not enabled:", *(f"     - {text}" for text in self.disabled())]
        told.append("enabled:" if self.states else "initial states:")
        told += [f"  {n:>3}  {text}" for n, (text, *_) in enumerate(self.choices(), start=1)]
        return told


def held_back(
    instance: Instance, action: Action, view: StateView
) -> Iterator[tuple[Mapping[str, Value], list[FalseConjunct]]]:
    """Yield each choice of an action's parameters that is not enabled, with what is false."""
    for chosen in instance.choices(action):
        if not all(_holds(guard, view, chosen) for guard in action.guards):
            yield chosen, false_conjuncts(action, view, chosen)


def explore(
    instance: Instance, ask: Callable[[str], str], tell: Callable[[list[str]], None]
) -> None:
    """Let somebody walk through a model until they end it, or the input ends."""
    walk = Walk(instance)
    tell(walk.lines())
    while True:
        try:
            answer = ask("> ").strip()
        except EOFError:
            return
        if answer == "q":
            return
        try:
            if answer == "b":
                walk.back()
            else:
                walk.take(int(answer))
        except (ValueError, IndexError):
            tell([f"{answer!r}: {HELP}"])
            continue
        tell(walk.lines())
