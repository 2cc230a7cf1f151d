"""The steps between explored states as arrays, and what needs them: ``always_can``.

A property of this kind holds when every reachable state has a way to a state of its goal. Ways are
made of rows and of moves marked fair. With symmetry the graph is that of the orbits, which has the
same ways.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from model_checks.engines.explicit import CHUNK, Explicit
from model_checks.engines.fingerprint import Keys, keys_of
from model_checks.engines.ground import TRUE, Formula, GroundAction
from model_checks.engines.oracle import ReplayError, Result
from model_checks.engines.packed import Compiler, Mask, PackedAction, Words
from model_checks.system import Checked
from spec.language import ir

Indices = NDArray[np.int64]


@frozen
class Space:
    """All states that a search has found, ordered by key; ``level`` is the distance of each."""

    states: Words
    keys: Keys
    level: Indices

    @property
    def size(self) -> int:
        """How many states there are."""
        return len(self.keys)

    def find(self, short: Words) -> Indices:
        """Return the places of states that are known to be among them, by their short forms."""
        return np.searchsorted(self.keys, keys_of(short))


def space_of(search: Explicit) -> Space:
    """Return the states of a finished search."""
    states = np.concatenate(search.levels, axis=1)
    level = np.repeat(np.arange(len(search.levels)), [each.shape[1] for each in search.levels])
    keys = keys_of(search.short(states))
    order = np.argsort(keys)
    return Space(states.take(order, axis=1), keys.take(order), level.take(order))


@frozen
class Edges:
    """Steps from ``source`` to ``target`` by action number ``action``, sorted by target."""

    source: Indices
    target: Indices
    action: Indices
    first: Indices
    """Where the edges to each state begin; one longer than the states."""

    def into(self, targets: Indices) -> Indices:
        """Return the numbers of the edges to any of these states."""
        begin, lengths = self.first[targets], self.first[targets + 1] - self.first[targets]
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if len(ends) else 0
        return np.repeat(begin - (ends - lengths), lengths) + np.arange(total)


def edges_of(
    search: Explicit, space: Space, wanted: Callable[[GroundAction], bool] = lambda action: True,
    origins: Indices | None = None,
) -> Edges:
    """Return the steps by the wanted actions that change the state, from all states or some."""
    origins = np.arange(space.size) if origins is None else origins
    sources, targets, actions = [], [], []
    for number, action in enumerate(search.actions):
        if not wanted(action.ground):
            continue
        source, target = _steps(search, space, action, origins)
        sources.append(source)
        targets.append(target)
        actions.append(np.full(len(source), number))
    if not sources:
        empty = np.zeros(0, np.int64)
        return Edges(empty, empty, empty, np.zeros(space.size + 1, np.int64))
    target = np.concatenate(targets)
    order = np.argsort(target)
    target = target[order]
    first = np.searchsorted(target, np.arange(space.size + 1))
    return Edges(np.concatenate(sources)[order], target, np.concatenate(actions)[order], first)


def _steps(
    search: Explicit, space: Space, action: PackedAction, origins: Indices
) -> tuple[Indices, Indices]:
    sources, targets = [], []
    for start in range(0, len(origins), CHUNK):
        part = origins[start : start + CHUNK]
        states = space.states.take(part, axis=1)
        chosen = np.flatnonzero(action.enabled(states) & action.changes(states))
        if len(chosen):
            sources.append(part[chosen])
            after = action.apply(states.take(chosen, axis=1))
            targets.append(space.find(search.short(after)))
    if not sources:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    source, target = np.concatenate(sources), np.concatenate(targets)
    moved = source != target
    return source[moved], target[moved]


def can_reach(edges: Edges, goal: Mask, within: Mask | None = None) -> Mask:
    """Return the states with a way to the goal, through states of ``within`` only."""
    found = goal.copy() if within is None else goal & within
    frontier = np.flatnonzero(found)
    while len(frontier):
        before = edges.source[edges.into(frontier)]
        before = before[~found[before]]
        if within is not None:
            before = before[within[before]]
        found[before] = True
        frontier = np.unique(before)
    return found


def premise_and_goal(search: Explicit, checked: Checked) -> tuple[Formula, Formula]:
    """Return ``a`` and ``b`` of a property ``implies(a, b)``; otherwise true and the property."""
    if isinstance(checked.formula, ir.Implies):
        left, right = checked.formula.left, checked.formula.right
        return search.model.formula(left, {}), search.model.formula(right, {})
    return TRUE, search.model.property(checked)


def helps(action: GroundAction) -> bool:
    """Return whether a way may use this action: a row, or a move that is bound to happen."""
    return action.action.fair or action.action.origin not in ("adversary", "crash")


def _has_way(search: Explicit, space: Space, goal: Mask) -> Mask:
    """Return the states with a way to the goal.

    Steps mostly lead to deeper levels, so one sweep from the deepest level up decides nearly all
    states, each at its first good step. Edges are stored only for those that it leaves open.
    """
    good = goal.copy()
    deepest_first = np.argsort(-space.level, kind="stable")
    helping = [action for action in search.actions if helps(action.ground)]
    for start in range(0, space.size, CHUNK):
        todo = deepest_first[start : start + CHUNK]
        for action in helping:
            todo = todo[~good[todo]]
            states = space.states.take(todo, axis=1)
            chosen = np.flatnonzero(action.enabled(states) & action.changes(states))
            if len(chosen):
                after = action.apply(states.take(chosen, axis=1))
                targets = space.find(search.short(after))
                good[todo[chosen[good[targets]]]] = True
    return can_reach(edges_of(search, space, helps, np.flatnonzero(~good)), good)


def check_always_can(search: Explicit, result: Result) -> None:
    """Add the verdicts on ``always_can`` properties: a trace to a nearest state that is stuck."""
    wanted = [c for c in search.instance.system.properties if c.property.kind == "always_can"]
    if not wanted:
        return
    space = space_of(search)
    compiler = Compiler(search.layout)
    for checked in wanted:
        premise, goal = (compiler.predicate(f) for f in premise_and_goal(search, checked))
        stuck = premise(space.states) & ~_has_way(search, space, goal(space.states))
        result.stuck[checked.property.name] = int(np.count_nonzero(stuck))
        if stuck.any():
            places = np.flatnonzero(stuck)
            nearest = places[np.argmin(space.level[places])]
            level = int(space.level[nearest])
            first, steps = search.trace(level, space.states[:, nearest : nearest + 1])
            last = search.oracle.replay(first, steps)[-1]
            packed = search.layout.pack([search.model.encode(last)])
            if not premise(packed)[0] or goal(packed)[0]:
                raise ReplayError(f"{checked.property.name}: the replayed state is not stuck")
            result.violated[checked.property.name] = steps
            result.starts[checked.property.name] = first
