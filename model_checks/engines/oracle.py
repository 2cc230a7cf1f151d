"""The slow engine that the others are compared with: breadth-first search on the interpreter.

It evaluates the same typed formulas with the same interpreter as the node does, one state at a
time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping

from attrs import define, field, frozen

from model_checks.system import TRUE, Action, Checked, System
from model_checks.two_states import StepView
from spec.language.assembly import cells_read
from spec.language.cells import FIRST_INDEX, bounds
from spec.language.declarations import Cell, Enum, Range, SpecError, check_bounds
from spec.language.expressions import cell_type
from spec.language.interpreter import Index, Value, evaluate
from spec.language.ir import Node

MOST_FIRST_STATES = 1 << 24
"""So many choices of the first values are looked at; more of them would take hours."""

Slot = tuple[str, Index]
State = tuple[Value, ...]


@frozen
class Instance:
    """A system of finite size: individuals are the numbers below the size of their sort."""

    system: System
    sizes: Mapping[str, int]
    constants: Mapping[str, int]

    def individuals(self, sort: str) -> range:
        """The individuals of a sort."""
        return range(self.sizes[sort])

    def slots(self) -> tuple[Slot, ...]:
        """Every cell at every index, in a fixed order."""
        return tuple(
            (cell.name, index) for cell in self.system.cells.values()
            for index in itertools.product(*(self.individuals(s) for s in cell.index))
        )

    def values(self, cell: Cell) -> tuple[Value, ...]:
        """The values that a cell may hold."""
        if isinstance(cell.type, Enum):
            return cell.type.values
        if isinstance(cell.type, Range):
            return tuple(self.range_of(cell))
        kind = cell_type(cell)
        return (False, True) if kind == ("bool",) else (None, *self.individuals(kind[1]))

    def range_of(self, cell: Cell) -> range:
        """The numbers that a cell may hold."""
        blank = StateView(self, {}, ())
        low, high = (evaluate(b, blank, {}) for b in bounds(self.system.names, cell))
        if not isinstance(low, int) or not isinstance(high, int):
            raise TypeError(f"the bounds of {cell.name} are no numbers")
        check_bounds(cell.name, low, high)
        return range(low, high + 1)

    def first(self, name: str, index: Index) -> Value:
        """The first value of a cell at an index; None where it is chosen."""
        node = self.system.first.get(name)
        scope = {FIRST_INDEX(place): each for place, each in enumerate(index)}
        return None if node is None else evaluate(node, StateView(self, {}, ()), scope)

    def choices(self, action: Action) -> Iterator[dict[str, Value]]:
        """Every choice of an action's parameters."""
        sorts = [self.individuals(s) for s in action.parameters.values()]
        for values in itertools.product(*sorts):
            yield dict(zip(action.parameters, values, strict=True))


@frozen
class StateView:
    """A state as the interpreter's view."""

    instance: Instance
    places: Mapping[Slot, int]
    state: State

    def read(self, cell: str, index: Index) -> Value:
        """Return the value of a cell in this state."""
        return self.state[self.places[cell, index]]

    def individuals(self, sort: str) -> Iterable[Value]:
        """Return the individuals of a sort."""
        return self.instance.individuals(sort)

    def constant(self, name: str) -> int:
        """Return a constant."""
        return self.instance.constants[name]

    def among(self, sorts: tuple[str, ...], index: Index) -> StateView:
        """Return the same view: all peers of a system are one population."""
        return self


@frozen
class Step:
    """One step of a trace: the action and its parameters."""

    action: str
    parameters: Mapping[str, Value]

    def __str__(self) -> str:
        inside = ", ".join(f"{k}={v!r}" for k, v in self.parameters.items())
        return f"{self.action}({inside})"


@define
class Result:
    """What a search found; ``violated`` maps a property to its shortest trace.

    ``depth`` is the number of states on the longest shortest path, the initial one included.
    ``starts`` maps a property to the initial state of its trace, ``loops`` a liveness property to
    the steps that are repeated for ever (none: nothing happens any more), ``stuck`` an always_can
    property to the number of states that have no way to its goal. ``fired`` says how many steps
    each action made, ``about`` for which individuals a property fails that is asked of each by
    itself. ``collision`` bounds the probability that a state was missed, where states are known by
    their fingerprint.
    """

    distinct: int = 0
    generated: int = 0
    depth: int = 0
    violated: dict[str, list[Step]] = field(factory=dict)
    reached: dict[str, list[Step]] = field(factory=dict)
    complete: bool = True
    starts: dict[str, State] = field(factory=dict)
    loops: dict[str, list[Step]] = field(factory=dict)
    stuck: dict[str, int] = field(factory=dict)
    fired: dict[str, int] = field(factory=dict)
    about: dict[str, Mapping[str, Value]] = field(factory=dict)
    collision: float = 0.0
    seconds: float = 0.0


class ReplayError(Exception):
    """An engine gave a trace that the interpreter does not accept: the engine is wrong."""


class Oracle:
    """Explores an instance."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.slots = instance.slots()
        self.places = {slot: place for place, slot in enumerate(self.slots)}
        cells = instance.system.cells
        ranges = {c.name: instance.range_of(c) for c in cells.values() if isinstance(c.type, Range)}
        self._ranges = {
            place: ranges[name] for place, (name, _) in enumerate(self.slots) if name in ranges
        }

    def view(self, state: State) -> StateView:
        """Return the interpreter's view of a state."""
        return StateView(self.instance, self.places, state)

    def initial(self) -> Iterator[State]:
        """Every initial state: what is chosen takes every value that the network allows."""
        system = self.instance.system
        for place, numbers in self._ranges.items():
            name, index = self.slots[place]
            first = self.instance.first(name, index)
            if name in system.first and first not in numbers:
                raise SpecError(f"cell {name}: the first value {first!r} is not in its range")
        waiting = [*system.assumptions, *system.initially]
        found: list[State] = [()]
        known: set[str] = set()
        for name, group in itertools.groupby(self.slots, lambda slot: slot[0]):
            options: list[tuple[Value, ...]] = [
                (self.instance.first(name, index),)
                if name in system.first
                else self.instance.values(system.cells[name])
                for _, index in group
            ]
            if len(found) * math.prod(map(len, options)) > MOST_FIRST_STATES:
                raise SpecError(
                    f"cell {name}: more than {MOST_FIRST_STATES:,} choices of the first values"
                )
            # What is said of the cells so far leaves fewer choices to go on with.
            known.add(name)
            ready = [formula for formula in waiting if cells_read(formula) <= known]
            waiting = [formula for formula in waiting if formula not in ready]
            longer = (state + more for state in found for more in itertools.product(*options))
            found = [state for state in longer if self._holds_all(ready, state)]
        yield from (state for state in found if self._holds_all(waiting, state))

    def _holds_all(self, formulas: Iterable[Node], state: State) -> bool:
        view = self.view(state)
        return all(evaluate(formula, view, {}) for formula in formulas)

    def is_initial(self, state: State) -> bool:
        """Return whether a run may begin in a state."""
        system = self.instance.system
        return self._holds_all((*system.assumptions, *system.initially), state) and all(
            name not in system.first or value == self.instance.first(name, index)
            for (name, index), value in zip(self.slots, state, strict=True)
        )

    def steps(self, state: State) -> Iterator[tuple[Step, State]]:
        """Every enabled step with the state it leads to."""
        view = self.view(state)
        for action in self.instance.system.actions:
            for chosen in self.instance.choices(action):
                if all(evaluate(g.formula, view, chosen) for g in action.guards):
                    yield Step(action.name, chosen), self.apply(action, chosen, view)

    def apply(self, action: Action, chosen: Mapping[str, Value], view: StateView) -> State:
        """Return the state after an action; every value is read before it."""
        new = list(view.state)
        for update in action.updates:
            individuals = map(self.instance.individuals, update.variables.values())
            for values in itertools.product(*individuals):
                scope = {**chosen, **dict(zip(update.variables, values, strict=True))}
                if update.where != TRUE and not evaluate(update.where, view, scope):
                    continue
                index = tuple(evaluate(term, view, scope) for term in update.index)
                new[self.places[update.cell, index]] = evaluate(update.value, view, scope)
        return tuple(new)

    def left(self, state: State) -> Iterator[str]:
        """Yield the cells whose number is outside their range: no run comes to such a state."""
        for place, numbers in self._ranges.items():
            if state[place] not in numbers:
                yield self.slots[place][0]

    def holds(self, checked: Checked, state: State) -> bool:
        """Return whether a formula holds in a state."""
        return bool(evaluate(checked.formula, self.view(state), {}))

    def explore(self, max_states: int = 1_000_000) -> Result:
        """Search breadth first; every trace is a shortest one."""
        result = Result(fired={action.name: 0 for action in self.instance.system.actions})
        parents: dict[State, tuple[State, Step] | None] = dict.fromkeys(self.initial(), None)
        frontier = list(parents)
        result.generated = len(frontier)
        while frontier:
            result.depth += 1
            self._check(frontier, parents, result)
            fresh: list[State] = []
            for state in frontier:
                stuck = True
                for step, after in self.steps(state):
                    stuck = False
                    if self._check_ranges(state, step, after, parents, result):
                        continue
                    result.generated += 1
                    result.fired[step.action] += 1
                    self._check_step(state, step, after, parents, result)
                    if after not in parents:
                        parents[after] = (state, step)
                        fresh.append(after)
                if stuck:
                    self._check_stuck(state, parents, result)
                if len(parents) > max_states:
                    result.complete = False
                    break
            frontier = fresh if result.complete else []
        result.distinct = len(parents)
        return result

    def _check(
        self, states: list[State], parents: dict[State, tuple[State, Step] | None], result: Result
    ) -> None:
        for checked in self.instance.system.properties:
            kind, name = checked.property.kind, checked.property.name
            found = result.reached if kind == "reachable" else result.violated
            if kind not in ("invariant", "lemma", "reachable") or name in found:
                continue
            for state in states:
                if self.holds(checked, state) == (kind == "reachable"):
                    found[name] = trace_of(state, parents)
                    break

    def _check_step(
        self, state: State, step: Step, after: State,
        parents: dict[State, tuple[State, Step] | None], result: Result,
    ) -> None:
        for checked in self.instance.system.properties:
            name = checked.property.name
            if checked.property.kind == "step" and name not in result.violated:
                view = StepView(self.view(state), self.view(after))
                if not evaluate(checked.formula, view, {}):
                    result.violated[name] = [*trace_of(state, parents), step]

    def _check_ranges(
        self, state: State, step: Step, after: State,
        parents: dict[State, tuple[State, Step] | None], result: Result,
    ) -> bool:
        """Return whether a step leaves a range, and add it to the result."""
        left = set(self.left(after))
        if not left:
            return False
        for cell in left:
            name = self.instance.system.ranges[cell]
            if name not in result.violated:
                result.violated[name] = [*trace_of(state, parents), step]
        return True

    def _check_stuck(
        self, state: State, parents: dict[State, tuple[State, Step] | None], result: Result
    ) -> None:
        for checked in self.instance.system.properties:
            name = checked.property.name
            asked = checked.property.kind == "deadlock" and name not in result.violated
            if asked and not self.holds(checked, state):
                result.violated[name] = trace_of(state, parents)

    def replay(self, first: State, steps: Iterable[Step]) -> list[State]:
        """Return the states of a trace; raises :class:`ReplayError` at a step that is not legal."""
        if not self.is_initial(first):
            raise ReplayError("the trace does not begin in an initial state")
        states = [first]
        for number, step in enumerate(steps, start=1):
            action = next(a for a in self.instance.system.actions if a.name == step.action)
            view = self.view(states[-1])
            for guard in action.guards:
                if not evaluate(guard.formula, view, step.parameters):
                    raise ReplayError(f"step {number}, {step}: {guard.text!r} is false")
            states.append(self.apply(action, step.parameters, view))
        return states


def trace_of(state: State, parents: dict[State, tuple[State, Step] | None]) -> list[Step]:
    """Return the steps from an initial state to this one."""
    steps: list[Step] = []
    entry = parents[state]
    while entry is not None:
        state, step = entry
        steps.append(step)
        entry = parents[state]
    return steps[::-1]
