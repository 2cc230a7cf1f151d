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
from numpy.typing import NDArray

from model_checks.engines.codes import Codes, Numbers, TooManyRecords
from model_checks.engines.fingerprint import Keys, Recent, Seen, collision_bound, distinct
from model_checks.engines.ground import TRUE, Ground
from model_checks.engines.oracle import Instance, Oracle, ReplayError, Result, State, Step
from model_checks.engines.packed import Compiler, Mask, PackedAction, Predicate, Words, lay_out
from model_checks.engines.symmetry import canonical
from model_checks.system import Checked
from model_checks.two_states import StepView
from spec.language.declarations import SpecError
from spec.language.interpreter import evaluate

CHUNK = 1 << 16
"""States handled at a time: large enough for numpy, small enough for the memory."""
BATCH = 1 << 16
"""Successors that are brought to their short form at a time."""
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
        self._orbits = canonical(self.model, self.layout, symmetry) if symmetry else None
        plain = self.layout.words == 1 and not symmetry
        self.codes = None if plain else Codes.of(self.layout, self._orbits)
        rows = [self.model.encode(state) for state in self.oracle.initial()]
        if not rows:
            raise SpecError(f"network {instance.system.name}: no state may be the first one")
        self.starts = self.layout.pack(rows)
        self.levels: list[Words] = []
        self._tests: dict[str, tuple[Checked, Predicate]] = {}
        self._end_tests: dict[str, tuple[Checked, Predicate]] = {}
        self._step_tests: dict[str, tuple[Checked, tuple[Predicate | None, ...]]] = {}
        for checked in instance.system.properties:
            kind, name = checked.property.kind, checked.property.name
            if kind in ("invariant", "lemma", "reachable"):
                predicate = compiler.predicate(self.model.property(checked))
                self._tests[name] = (checked, predicate)
            elif kind == "step":
                self._step_tests[name] = (checked, self._step_predicates(compiler, checked))
            elif kind == "deadlock":
                predicate = compiler.predicate(self.model.property(checked))
                self._end_tests[name] = (checked, predicate)

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

    def canonical(self, states: Words) -> Words:
        """Return the state that stands for the orbit of each; without symmetry, itself."""
        return self._long(self.short(states)) if self.symmetry else states

    def short(self, states: Words) -> Words:
        """Return what tells orbits apart, in one word where possible."""
        if self.codes is not None:
            return self.codes.encode(states)
        return states if self._orbits is None else self._orbits(states)

    def _long(self, short: Words) -> Words:
        return short if self.codes is None else self.codes.decode(short)

    def explore(
        self, max_states: int = MAX_STATES, progress: Callable[[Progress], None] | None = None,
        until: Collection[str] = (),
    ) -> Result:
        """Search all states; raises :class:`SearchTooLarge` beyond ``max_states``.

        With ``until`` the search ends as soon as it has a trace for each of these properties (a
        violation, or for a witness the way to it), and the result is not complete.
        """
        began = time.perf_counter()
        try:
            result = self._explore(max_states, progress, until, began)
        except TooManyRecords:  # states as they are, known by fingerprints if they are long
            self.codes = None
            result = self._explore(max_states, progress, until, began)
        result.seconds = time.perf_counter() - began
        return result

    def _explore(
        self, max_states: int, progress: Callable[[Progress], None] | None, until: Collection[str],
        began: float,
    ) -> Result:
        fired = {action.name: 0 for action in self.instance.system.actions}
        result, seen, recent = Result(fired=fired), Seen(), Recent()
        short, keys = distinct(self.short(self.starts))
        words = len(short)
        self.levels = []
        result.generated = len(keys)
        while len(keys):
            self.levels.append(self._long(short))
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
            short, keys = self._next_level(seen, recent, result)
        result.collision = collision_bound(result.distinct, words)
        return result

    def successors(self, states: Words) -> Iterator[tuple[int, Words, Words]]:
        """Yield the number of each action enabled somewhere, those states, and those after it."""
        for number, action in enumerate(self.actions):
            chosen = np.flatnonzero(action.enabled(states))
            if len(chosen):
                before = states[:, chosen]
                yield number, before, action.apply(before)

    def _next_level(self, seen: Seen, recent: Recent, result: Result) -> tuple[Words, Keys]:
        """Return what is reached from the last level and was not seen before."""
        level = self.levels[-1]
        found: list[Words] = []
        batch = _Batch(self)
        for start in range(0, level.shape[1], CHUNK):
            states = level[:, start : start + CHUNK]
            batch.begin(states)
            stuck = np.ones(states.shape[1], np.bool_)
            for number, action in enumerate(self.actions):
                enabled = action.enabled(states)
                if action.escapes:
                    self._check_ranges(number, states, stuck, result)
                count = int(np.count_nonzero(enabled))
                if not count:
                    continue
                if self._end_tests:
                    stuck &= ~enabled
                result.generated += count
                result.fired[action.ground.name] += count
                self._check_steps(number, states, enabled, result)
                # A step that changes nothing counts, but leads nowhere.
                chosen = (enabled & action.changes(states)).nonzero()[0]
                if len(chosen):
                    batch.add(action, chosen)
                if batch.waiting >= BATCH:
                    found.append(recent.new(batch.end()))
            if batch.waiting:
                found.append(recent.new(batch.end()))
            self._check_ends(states, stuck, result)
        if not found:
            return level[:, :0], level[0, :0]
        return seen.fresh(*distinct(np.concatenate(found, axis=1)))

    def _check_level(self, result: Result) -> None:
        level = len(self.levels) - 1
        for start in range(0, self.levels[level].shape[1], CHUNK):
            # All properties of one array of states: they have much in common.
            states = self.levels[level][:, start : start + CHUNK]
            for name, (checked, predicate) in self._tests.items():
                wanted = checked.property.kind == "reachable"
                found = result.reached if wanted else result.violated
                if name in found:
                    continue
                hits = predicate(states) == wanted
                if not np.count_nonzero(hits):
                    continue
                place = int(np.argmax(hits))
                first, steps = self.trace(level, states[:, place : place + 1])
                last = self.oracle.replay(first, steps)[-1]
                if self.oracle.holds(checked, last) != wanted:
                    raise ReplayError(f"{name}: the interpreter disagrees about the last state")
                found[name], result.starts[name] = steps, first

    def _check_steps(self, number: int, states: Words, enabled: Mask, result: Result) -> None:
        for name, (checked, predicates) in self._step_tests.items():
            predicate = predicates[number]
            if predicate is None or name in result.violated:
                continue
            wrong = np.flatnonzero(enabled & ~predicate(states))
            if len(wrong):
                first, steps = self.trace(len(self.levels) - 1, states[:, wrong[:1]])
                steps = [*steps, self._wrong_step(first, steps, checked)]
                result.violated[name], result.starts[name] = steps, first

    def _check_ranges(self, number: int, states: Words, stuck: Mask, result: Result) -> None:
        """Look for steps that leave a range; a state that has one is not ``stuck``."""
        for cell, escapes in self.actions[number].escapes.items():
            wrong = escapes(states)
            stuck &= ~wrong
            name = self.instance.system.ranges[cell]
            if name in result.violated or not np.count_nonzero(wrong):
                continue
            place = int(np.argmax(wrong))
            first, steps = self.trace(len(self.levels) - 1, states[:, place : place + 1])
            last = self.oracle.replay(first, steps)[-1]
            for step, after in self.oracle.steps(last):
                if cell in self.oracle.left(after):
                    result.violated[name], result.starts[name] = [*steps, step], first
                    break
            else:
                raise ReplayError(f"{name}: the interpreter sees no step that leaves the range")

    def _check_ends(self, states: Words, stuck: Mask, result: Result) -> None:
        """Look for states without a step, where that is not allowed."""
        for name, (checked, allowed) in self._end_tests.items():
            if name in result.violated or not np.count_nonzero(stuck):
                continue
            wrong = np.flatnonzero(stuck & ~allowed(states))
            if len(wrong):
                first, steps = self.trace(len(self.levels) - 1, states[:, wrong[:1]])
                last = self.oracle.replay(first, steps)[-1]
                if any(True for _ in self.oracle.steps(last)) or self.oracle.holds(checked, last):
                    raise ReplayError(f"{name}: the interpreter sees a step, or an allowed end")
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
        path = [self.short(target)]
        before = target
        for earlier in reversed(self.levels[:level]):
            before = self._predecessor(earlier, path[-1])
            path.append(self.short(before))
        path.reverse()
        here = self.starts[:, _columns_equal(self.short(self.starts), path[0])][:, :1]
        first = self.model.decode(self.layout.unpack(here))
        steps: list[Step] = []
        # Each state of the path stands for its orbit: walk through real ones, from the start on.
        for wanted in path[1:]:
            for number, _, after in self.successors(here):
                if _columns_equal(self.short(after), wanted).any():
                    steps.append(self.actions[number].ground.step)
                    here = after
                    break
            else:
                raise ReplayError("no step leads along the path that was found")
        return first, steps

    def _predecessor(self, level: Words, target: Words) -> Words:
        """Return a state of a level from which a step leads to the state of this short form."""
        for start in range(0, level.shape[1], BATCH):
            states = level[:, start : start + BATCH]
            for action in self.actions:
                chosen = np.flatnonzero(action.enabled(states) & action.changes(states))
                if len(chosen):
                    before = states.take(chosen, axis=1)
                    places = np.flatnonzero(
                        _columns_equal(self.short(action.apply(before)), target)
                    )
                    if len(places):
                        return before[:, places[:1]]
        raise ReplayError("a state has no predecessor in the level before it")


class _Batch:
    """Successors that wait to be brought to their short form, many at a time."""

    def __init__(self, search: Explicit) -> None:
        self._search = search
        self._codes = search.codes
        self._states: list[Words] = []
        self._numbers: list[Numbers] = []
        self.waiting = 0

    def begin(self, states: Words) -> None:
        """Go on with the successors of these states."""
        self._before = states
        if self._codes is not None:
            self._records = self._codes.read(states)

    def add(self, action: PackedAction, chosen: NDArray[np.intp]) -> None:
        """Add what an action makes of some of the states."""
        self.waiting += len(chosen)
        if self._codes is None:
            self._states.append(action.apply(self._before.take(chosen, axis=1)))
            return
        numbers, write = self._records.take(chosen, axis=1), action.write
        if write is not None and not self._codes.rests:
            self._codes.after(numbers, write)
        else:
            after = action.apply(self._before.take(chosen, axis=1))
            self._codes.read_again(numbers, after, action.records)
            if self._codes.rests:
                self._states.append(after)
        self._numbers.append(numbers)

    def end(self) -> Words:
        """Return the short forms."""
        if self._codes is None:
            short = self._search.short(np.concatenate(self._states, axis=1))
        else:
            states = np.concatenate(self._states, axis=1) if self._codes.rests else None
            short = self._codes.codes(np.concatenate(self._numbers, axis=1), states)
        self._states, self._numbers, self.waiting = [], [], 0
        return short


def _columns_equal(states: Words, target: Words) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray((states == target).all(axis=0))
