"""A fair run as a way and a loop, both short: what is shown of a liveness property that fails.

The loop stays in one strongly connected component that is fair in itself, the nearest one. It goes
from the nearest step that serves somebody who is due to the next such step, and home again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from attrs import frozen

from model_checks.engines.edges import Edges
from model_checks.engines.oracle import ReplayError
from model_checks.engines.packed import Mask


@frozen
class Due:
    """Fairness of one group of steps: served where it is not ``possible`` (unless it is strong), or
    by an edge of ``taken``.
    """

    strong: bool
    possible: Mask
    taken: frozenset[int]


def lasso(
    edges: Edges, start: int, inside: Mask, kernel: Mask, dues: Sequence[Due]
) -> tuple[list[int], list[int]]:
    """Return the edges of a way from ``start``, and of a fair loop where it ends.

    The way stays ``inside``, the loop in the kernel; an empty loop is a run that pauses for ever.
    """
    graph = _Graph(edges)
    fair = graph.fair_components(graph.reached(start, inside), kernel, dues)
    way = graph.way(start, lambda state: bool(inside[state]), lambda _, state: state in fair)
    entry = int(edges.target[way[-1]]) if way else start
    owed = [due for due in dues if not due.strong]
    while True:
        loop = graph.loop(entry, fair, owed)
        visited = {entry, *(int(edges.target[edge]) for edge in loop)}
        missed = [
            due for due in dues
            if due.strong and not due.taken & {*loop} and any(due.possible[s] for s in visited)
        ]
        if not missed:
            return way, loop
        owed += missed


class _Graph:
    """The edges, found by their source."""

    def __init__(self, edges: Edges) -> None:
        self.edges = edges
        self._order = np.argsort(edges.source, kind="stable")
        states = np.arange(len(edges.first))
        self._first = np.searchsorted(edges.source[self._order], states)

    def out(self, state: int) -> list[int]:
        """Return the edges out of a state."""
        return list(self._order[self._first[state] : self._first[state + 1]].tolist())

    def reached(self, start: int, inside: Mask) -> list[int]:
        """Return the states that are reached from one, inside, the nearest first."""
        found, queue = {start: None}, deque([start])
        while queue:
            for edge in self.out(queue.popleft()):
                target = int(self.edges.target[edge])
                if inside[target] and target not in found:
                    found[target] = None
                    queue.append(target)
        return list(found)

    def way(
        self, start: int, inside: Callable[[int], bool], arrived: Callable[[int | None, int], bool]
    ) -> list[int]:
        """Return the edges of a shortest way; it may end with an edge, or where it begins."""
        if arrived(None, start):
            return []
        ways: dict[int, tuple[int, ...]] = {start: ()}
        queue = deque([start])
        while queue:
            state = queue.popleft()
            for edge in self.out(state):
                target = int(self.edges.target[edge])
                if not inside(target):
                    continue
                if arrived(edge, target):
                    return [*ways[state], edge]
                if target not in ways:
                    ways[target] = (*ways[state], edge)
                    queue.append(target)
        raise ReplayError("no fair way goes on from a state that should have one")

    def loop(self, entry: int, fair: Mapping[int, int], owed: Sequence[Due]) -> list[int]:
        """Return the edges of a loop from a state of a component that serves all who are due."""
        here, loop, left = entry, list[int](), list(owed)

        def serves(edge: int | None, state: int) -> bool:
            return any(_serves(due, edge, state) for due in left)

        def at_home(state: int) -> bool:
            return fair.get(state) == fair[entry]

        left = [due for due in left if not _serves(due, None, entry)]
        while left:
            for edge in self.way(here, at_home, serves):
                here = int(self.edges.target[edge])
                loop.append(edge)
                left = [due for due in left if not _serves(due, edge, here)]
        return [*loop, *self.way(here, at_home, lambda _, state: state == entry)]

    def fair_components(
        self, states: Sequence[int], kernel: Mask, dues: Sequence[Due]
    ) -> dict[int, int]:
        """Return the states of components of the kernel that are fair, with their component."""
        fair: dict[int, int] = {}
        for number, component in enumerate(self._components(states, kernel)):
            inside = {*component}
            edges = {
                edge for state in component for edge in self.out(state)
                if int(self.edges.target[edge]) in inside
            }
            if all(due.taken & edges or _is_idle(due, component) for due in dues):
                fair.update(dict.fromkeys(component, number))
        return fair

    def _components(self, states: Sequence[int], kernel: Mask) -> list[list[int]]:
        """Return the strongly connected components of the kernel among some states (Tarjan)."""
        number: dict[int, int] = {}
        low: dict[int, int] = {}
        stack: list[int] = []
        standing: set[int] = set()
        found: list[list[int]] = []
        for root in states:
            if root in number or not kernel[root]:
                continue
            work = [(root, iter(self.out(root)))]
            number[root] = low[root] = len(number)
            stack.append(root)
            standing.add(root)
            while work:
                state, rest = work[-1]
                for edge in rest:
                    target = int(self.edges.target[edge])
                    if not kernel[target]:
                        continue
                    if target not in number:
                        number[target] = low[target] = len(number)
                        stack.append(target)
                        standing.add(target)
                        work.append((target, iter(self.out(target))))
                        break
                    if target in standing:
                        low[state] = min(low[state], number[target])
                else:
                    work.pop()
                    if work:
                        parent = work[-1][0]
                        low[parent] = min(low[parent], low[state])
                    if low[state] == number[state]:
                        component = [stack.pop()]
                        while component[-1] != state:
                            component.append(stack.pop())
                        standing.difference_update(component)
                        found.append(component)
        return found


def _serves(due: Due, edge: int | None, state: int) -> bool:
    return edge in due.taken or (not due.strong and not due.possible[state])


def _is_idle(due: Due, component: Sequence[int]) -> bool:
    """Return whether a component owes nothing although it takes no step of the group."""
    possible = [bool(due.possible[state]) for state in component]
    return not any(possible) if due.strong else not all(possible)
