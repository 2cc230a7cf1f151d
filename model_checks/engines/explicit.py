"""The fast explicit engine: breadth-first search with numpy, a whole level of states at a time.

It finds the same numbers as the oracle: distinct states, generated states (every enabled step, and
the initial states), depth. Its traces are shortest ones, and each is replayed on the oracle before
anybody sees it. With ``symmetry`` one state stands for each orbit; verdicts and lengths of traces
stay the same, counts are those of orbits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator

import numpy as np
from attrs import frozen

from model_checks.engines.fingerprint import Recent, Seen, collision_bound, distinct
from model_checks.engines.ground import TRUE, Ground
from model_checks.engines.oracle import Instance, Oracle, ReplayError, Result, State, Step
from model_checks.engines.packed import (
    Compiler,
    Predicate,
    Words,
    lay_out,
)
from model_checks.engines.symmetry import canonical
from model_checks.system import Checked
from model_checks.two_states import StepView
from spec.interpreter import evaluate

CHUNK = 1 << 16
"""States handled at a time: large enough for numpy, small enough for the memory."""
BATCH = 1 << 14
"""Successors that are brought to their canonical form at a time."""
MAX_STATES = 20_000_000


class SearchTooLarge(Exception):
    """The search met its bound; the message says how far it came."""

    def __init__(self, limit: int, result: Result) -> None:
        super().__init__(
            f"more than {limit:,} states: stopped at depth {result.depth} with "
            f"{result.distinct:,} states, {result.generated:,} generated"
        )
        self.result = result


@frozen
class Progress:
    """How far a search has come."""

    distinct: int
    generated: int
    depth: int
    frontier: int
    seconds: float


class Explicit:
    """One search of an instance; ``levels`` holds the states by their distance from the start."""

    def __init__(
        self, instance: Instance, symmetry: tuple[str, ...] = (), records: str = "Peer"
    ) -> None:
        self.instance = instance
        self.oracle = Oracle(instance)
        self.model = Ground(instance)
        self.layout = lay_out(self.model, records)
        compiler = Compiler(self.layout)
        self.actions = tuple(compiler.action(action) for action in self.model.actions)
        self.symmetry = symmetry
        self.canonical: Callable[[Words], Words] = (
            canonical(self.model, self.layout, symmetry) if symmetry else lambda states: states
        )
        rows = [self.model.encode(state) for state in self.oracle.initial()]
        self.starts = self.layout.pack(rows)
        self.levels: list[Words] = []
        self._tests: dict[str, tuple[Checked, Predicate]] = {}
        self._step_tests: dict[str, tuple[Checked, tuple[Predicate | None, ...]]] = {}
        for checked in instance.system.properties:
            kind, name = checked.property.kind, checked.property.name
            if kind in ("invariant", "lemma", "reachable"):
                predicate = compiler.predicate(self.model.property(checked))
                self._tests[name] = (checked, predicate)
            elif kind == "step":
                self._step_tests[name] = (checked, self._step_predicates(compiler, checked))

    def _step_predicates(
        self, compiler: Compiler, checked: Checked
    ) -> tuple[Predicate | None, ...]:
        """Return what each action asks of the state before it; None: nothing, it always holds."""
        formula = self.model.property(checked)
        asked = [self.model.before_step(formula, action.ground) for action in self.actions]
        return tuple(None if each == TRUE else compiler.predicate(each) for each in asked)

    def predicate(self, formula_of: Checked) -> Predicate:
        """Return the compiled formula of a property of single states."""
        return Compiler(self.layout).predicate(self.model.property(formula_of))

    def explore(
        self,
        max_states: int = MAX_STATES,
        progress: Callable[[Progress], None] | None = None,
        until: Collection[str] = (),
    ) -> Result:
        """Search all states; raises :class:`SearchTooLarge` beyond ``max_states``.

        With ``until`` the search ends as soon as it has a trace for each of these properties (a
        violation, or for a witness the way to it), and the result is not complete.
        """
        began = time.perf_counter()
        result, seen, recent = Result(), Seen(), Recent()
        frontier, keys = distinct(self.canonical(self.starts))
        self.levels = []
        result.generated = len(keys)
        while len(keys):
            self.levels.append(frontier)
            seen.add(keys)
            result.depth += 1
            result.distinct += len(keys)
            result.seconds = time.perf_counter() - began
            if progress is not None:
                counts = (result.distinct, result.generated, result.depth)
                progress(Progress(*counts, len(keys), result.seconds))
            if result.distinct > max_states:
                result.complete = False
                raise SearchTooLarge(max_states, result)
            self._check_level(result)
            if until and set(until) <= result.violated.keys() | result.reached.keys():
                result.complete = False
                break
            frontier, keys = self._next_level(frontier, seen, recent, result)
        result.collision = collision_bound(result.distinct, self.layout.words)
        result.seconds = time.perf_counter() - began
        return result

    def successors(self, states: Words) -> Iterator[tuple[int, Words, Words]]:
        """Yield the number of each action enabled somewhere, those states, and those after it."""
        for number, action in enumerate(self.actions):
            chosen = np.flatnonzero(action.enabled(states))
            if len(chosen):
                before = states[:, chosen]
                yield number, before, action.apply(before)

    def _next_level(
        self, frontier: Words, seen: Seen, recent: Recent, result: Result
    ) -> tuple[Words, Words]:
        found: list[Words] = []
        batch: list[Words] = []
        level = len(self.levels) - 1

        def flush() -> None:
            if batch:
                found.append(recent.new(self.canonical(np.concatenate(batch, axis=1))))
                batch.clear()

        for start in range(0, frontier.shape[1], CHUNK):
            for number, before, after in self.successors(frontier[:, start : start + CHUNK]):
                result.generated += before.shape[1]
                self._check_steps(number, before, level, result)
                batch.append(after)
                if sum(states.shape[1] for states in batch) >= BATCH:
                    flush()
            flush()
        if not found:
            return frontier[:, :0], frontier[0, :0]
        return seen.fresh(*distinct(np.concatenate(found, axis=1)))

    def _check_level(self, result: Result) -> None:
        level = len(self.levels) - 1
        for name, (checked, predicate) in self._tests.items():
            wanted = checked.property.kind == "reachable"
            found = result.reached if wanted else result.violated
            if name in found:
                continue
            holds = predicate(self.levels[level])
            places = np.flatnonzero(holds if wanted else ~holds)
            if not len(places):
                continue
            first, steps = self.trace(level, self.levels[level][:, places[:1]])
            last = self.oracle.replay(first, steps)[-1]
            if self.oracle.holds(checked, last) != wanted:
                raise ReplayError(f"{name}: the interpreter disagrees about the last state")
            found[name], result.starts[name] = steps, first

    def _check_steps(self, number: int, before: Words, level: int, result: Result) -> None:
        for name, (checked, predicates) in self._step_tests.items():
            predicate = predicates[number]
            if predicate is None or name in result.violated:
                continue
            wrong = np.flatnonzero(~predicate(before))
            if len(wrong):
                first, steps = self.trace(level, before[:, wrong[:1]])
                steps = [*steps, self._wrong_step(first, steps, checked)]
                result.violated[name], result.starts[name] = steps, first

    def _wrong_step(self, first: State, steps: list[Step], checked: Checked) -> Step:
        """Return a step that violates a property; with symmetry it may be another peer's."""
        last = self.oracle.replay(first, steps)[-1]
        for step, after in self.oracle.steps(last):
            view = StepView(self.oracle.view(last), self.oracle.view(after))
            if not evaluate(checked.formula, view, {}):
                return step
        raise ReplayError(f"{checked.property.name}: the interpreter sees no wrong step")

    def trace(self, level: int, target: Words) -> tuple[State, list[Step]]:
        """Return an initial state and the steps of a shortest way to a state of a level."""
        path = [target]
        for earlier in reversed(self.levels[:level]):
            path.append(self._predecessor(earlier, path[-1]))
        path.reverse()
        here = self.starts[:, _columns_equal(self.canonical(self.starts), path[0])][:, :1]
        first = self.model.decode(self.layout.unpack(here))
        steps: list[Step] = []
        # Each state of the path stands for its orbit: walk through real ones, from the start on.
        for wanted in path[1:]:
            for number, _, after in self.successors(here):
                if _columns_equal(self.canonical(after), wanted).any():
                    steps.append(self.actions[number].ground.step)
                    here = after
                    break
            else:
                raise ReplayError("no step leads along the path that was found")
        return first, steps

    def _predecessor(self, level: Words, target: Words) -> Words:
        for start in range(0, level.shape[1], CHUNK):
            for _, before, after in self.successors(level[:, start : start + CHUNK]):
                places = np.flatnonzero(_columns_equal(self.canonical(after), target))
                if len(places):
                    return before[:, places[:1]]
        raise ReplayError("a state has no predecessor in the level before it")


def _columns_equal(states: Words, target: Words) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray((states == target).all(axis=0))
