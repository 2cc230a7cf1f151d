"""Liveness under weak fairness: does every fair run come to the goal?

A run is fair when no row or move that is marked fair stays possible for ever without being taken,
for each choice of its parameters by itself. Runs may pause for ever where nothing fair is possible;
a step that changes nothing is no step. The states from which some fair run avoids the goal are the
greatest fixpoint of Emerson and Lei (1986); one of them is shown as a stem and a loop. Fairness
names peers, so orbits would not do: the search must be one without symmetry.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from attrs import define, field

from model_checks.engines.edges import (
    Edges,
    Indices,
    Space,
    can_reach,
    edges_of,
    premise_and_goal,
    space_of,
)
from model_checks.engines.explicit import Explicit
from model_checks.engines.oracle import ReplayError, Result, Step
from model_checks.engines.packed import Compiler, Mask
from model_checks.system import Checked
from spec.language import ir
from spec.language.declarations import SpecError


def check_liveness(search: Explicit, result: Result) -> None:
    """Add the verdicts on liveness properties: a stem and a loop, both replayed on the oracle."""
    wanted = [c for c in search.instance.system.properties if c.property.kind == "liveness"]
    if not wanted:
        return
    if search.symmetry:
        raise SpecError("liveness needs a search without symmetry: fairness names peers")
    if not any(action.fair for action in search.instance.system.actions):
        raise SpecError(
            f"property {wanted[0].property.name}: no row or move is marked fair, "
            "so nothing ever has to happen"
        )
    space = space_of(search)
    graph = _FairGraph(search, space, edges_of(search, space))
    for checked in wanted:
        _check(graph, checked, result)


def _check(graph: _FairGraph, checked: Checked, result: Result) -> None:
    search, space = graph.search, graph.space
    compiler = Compiler(search.layout)
    premise, goal = (compiler.predicate(f) for f in premise_and_goal(search, checked))
    avoiding = graph.avoiding(goal(space.states))
    wrong = avoiding & premise(space.states)
    if not isinstance(checked.formula, ir.Implies):
        wrong &= space.level == 0
    if not wrong.any():
        return
    places = np.flatnonzero(wrong)
    start = int(places[np.argmin(space.level[places])])
    first, stem = search.trace(int(space.level[start]), space.states[:, start : start + 1])
    way, loop = graph.lasso(start, avoiding)
    states = search.oracle.replay(first, [*stem, *way, *loop])
    if states[len(stem) + len(way)] != states[-1]:
        raise ReplayError(f"{checked.property.name}: the loop does not close")
    name = checked.property.name
    result.violated[name], result.starts[name] = [*stem, *way], first
    result.loops[name] = loop


@define
class _FairGraph:
    """The whole graph with, for each fair action, where it is possible and where it is taken."""

    search: Explicit
    space: Space
    edges: Edges
    possible: dict[int, Mask] = field(factory=dict)
    taken: dict[int, Indices] = field(factory=dict)
    _outgoing: Indices | None = None
    _first_out: Indices | None = None

    def __attrs_post_init__(self) -> None:
        for number, action in enumerate(self.search.actions):
            if action.ground.action.fair:
                self.taken[number] = np.flatnonzero(self.edges.action == number)
                possible = np.zeros(self.space.size, np.bool_)
                possible[self.edges.source[self.taken[number]]] = True
                self.possible[number] = possible

    def avoiding(self, goal: Mask) -> Mask:
        """Return the states from which some fair run never comes to the goal."""
        inside = ~goal
        while True:
            before = int(np.count_nonzero(inside))
            for number, possible in self.possible.items():
                served = ~possible
                taken = self.taken[number]
                source, target = self.edges.source[taken], self.edges.target[taken]
                served[source[inside[source] & inside[target]]] = True
                inside &= can_reach(self.edges, served, inside)
            if int(np.count_nonzero(inside)) == before:
                return inside

    def lasso(self, start: int, inside: Mask) -> tuple[list[Step], list[Step]]:
        """Return the way from a state to a fair loop, and the loop, all inside the given states.

        Round by round, every fair action gets its due: it is impossible somewhere, or taken. As
        soon as a round begins where an earlier one began, the rounds between are the loop.
        """
        here, steps = start, list[Step]()
        began: dict[int, int] = {}
        while here not in began:
            began[here] = len(steps)
            due = set(self.possible)
            while True:
                due = {number for number in due if self.possible[number][here]}
                if not due:
                    break
                for edge in self._way_to_serve(here, min(due), inside):
                    number = int(self.edges.action[edge])
                    here = int(self.edges.target[edge])
                    steps.append(self.search.actions[number].ground.step)
                    due = {n for n in due - {number} if self.possible[n][here]}
        return steps[: began[here]], steps[began[here] :]

    def _way_to_serve(self, here: int, number: int, inside: Mask) -> list[int]:
        """Return the edges of a shortest way to a step by an action, or to where it is shut."""
        ways: dict[int, tuple[int, ...]] = {here: ()}
        queue = deque([here])
        while queue:
            state = queue.popleft()
            for edge in self._out(state):
                target = int(self.edges.target[edge])
                if not inside[target]:
                    continue
                way = (*ways[state], edge)
                if self.edges.action[edge] == number or not self.possible[number][target]:
                    return list(way)
                if target not in ways:
                    ways[target] = way
                    queue.append(target)
        raise ReplayError("no fair way goes on from a state that should have one")

    def _out(self, state: int) -> list[int]:
        if self._outgoing is None or self._first_out is None:
            self._outgoing = np.argsort(self.edges.source, kind="stable")
            ordered = self.edges.source[self._outgoing]
            self._first_out = np.searchsorted(ordered, np.arange(self.space.size + 1))
        begin, end = self._first_out[state], self._first_out[state + 1]
        return [int(edge) for edge in self._outgoing[begin:end]]
