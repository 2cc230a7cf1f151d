"""Small random systems, and slow answers about them, for comparing engines."""

from __future__ import annotations

import random
from collections.abc import Iterable

from model_checks.engines.oracle import Instance, Oracle, State
from model_checks.system import Move, Network, Property, System, close
from spec.language import ir
from spec.language.declarations import Cell, Enum, Opt, Sort
from spec.language.interpreter import evaluate

LAMP = Enum("RandomLamp", ("lamp_off", "lamp_dim", "lamp_bright"))
CELLS = (
    Cell("lit", "bool", ("Peer",), "False", "memory", "-"),
    Cell("lamp", LAMP, ("Peer",), "lamp_off", "disk", "-"),
    Cell("wish", Opt("Digest"), ("Peer",), "none", "disk", "-"),
    Cell("told", "bool", ("Digest",), "False", "network", "-"),
    Cell("bell", "bool", (), "False", "disk", "-"),
    Cell("mark", Opt("Attempt"), (), "none", "disk", "-"),
    Cell("liar", "bool", ("Peer",), "False", "given", "-"),
)
SIZES = {"Peer": 2, "Digest": 2, "Attempt": 2}
CONSTANTS = {"T": 2, "N": 2, "F": 1}

_GUARDS = (
    "lit[p]", "not lit[p]", "lamp[p] == lamp_dim", "lamp[p] in (lamp_off, lamp_bright)",
    "wish[p] in (none, d)", "wish[p] == d", "told[d]", "not told[d]", "bell", "not bell",
    "count(x for x in Peer if lit[x]) >= T", "count(x for x in Peer if lit[x]) + F > T - 1",
    "mark < a", "a < mark", "any(wish[x] == d for x in Peer)", "liar[p]", "not liar[p]",
    "all(implies(lit[x], told[y]) for x in Peer for y in Digest)", "mark == none",
    "(lit[p] if bell else told[d])", "not (lit[p] and told[d])",
)
_EFFECTS = (
    ("lit[p]", ("True", "False", "not lit[p]", "told[d]")),
    ("lamp[p]", ("lamp_off", "lamp_dim", "lamp_bright", "(lamp_dim if bell else lamp[p])")),
    ("wish[p]", ("d", "none", "(d if lit[p] else wish[p])")),
    ("told[d]", ("True", "bell")),
    ("bell", ("True", "False", "not bell", "count(x for x in Peer if lit[x]) == 1")),
    ("mark", ("a", "none", "mark")),
)
_FORMULAS = (
    "all(not lit[x] for x in Peer)", "any(wish[x] == y for x in Peer for y in Digest)",
    "bell and any(told[y] for y in Digest)", "all(lamp[x] == lamp_bright for x in Peer)",
    "count(x for x in Peer if lit[x]) >= T", "mark != none", "all(told[y] for y in Digest)",
    "any(lit[x] and liar[x] for x in Peer)", "all(lamp[x] != lamp_dim for x in Peer)",
)
_STEPS = (
    "implies(bell, after(bell))", "all(implies(told[y], after(told[y])) for y in Digest)",
    "all(wish[x] in (none, after(wish[x])) for x in Peer)", "mark <= after(mark)",
)


def random_system(seed: int) -> System:
    """Return a closed system with random moves and every kind of property."""
    choose = random.Random(seed)
    moves = []
    for number in range(choose.randint(3, 7)):
        effects = choose.sample(_EFFECTS, choose.randint(1, 2))
        moves.append(
            Move(
                f"Move{number}(p: Peer, d: Digest, a: Attempt)",
                tuple(choose.sample(_GUARDS, choose.randint(1, 3))),
                {target: choose.choice(values) for target, values in effects},
                fair=number == 0 or choose.random() < 0.4,
            )
        )
    properties = [Property(f"State{n}", text) for n, text in enumerate(choose.sample(_FORMULAS, 3))]
    properties += [
        Property(f"Way{n}", f"not ({text})", "reachable")
        for n, text in enumerate(choose.sample(_FORMULAS, 3))
    ]
    properties += [Property(f"Step{n}", text, "step") for n, text in enumerate(_STEPS)]
    for kind in ("always_can", "liveness"):
        first, second = choose.sample(_FORMULAS, 2)
        properties.append(Property(f"{kind}_1", first, kind))
        properties.append(Property(f"{kind}_2", f"implies({first}, {second})", kind))
    network = Network(
        name=f"random_{seed}",
        doc="-",
        honest="",
        cells=CELLS,
        sorts=(Sort("Attempt", "-", ordered=True),),
        moves=tuple(moves),
        crash=choose.random() < 0.5,
        rigid=("liar",),
        assume=("count(x for x in Peer if liar[x]) <= F",),
        properties=tuple(properties),
    )
    return close(network)


class SlowGraph:
    """Every state and step of an instance, found by the oracle."""

    def __init__(self, instance: Instance) -> None:
        self.oracle = Oracle(instance)
        self.actions = {action.name: action for action in instance.system.actions}
        self.starts = list(self.oracle.initial())
        self.steps: dict[State, list[tuple[tuple[str, tuple[object, ...]], State]]] = {}
        waiting = list(self.starts)
        while waiting:
            state = waiting.pop()
            if state not in self.steps:
                self.steps[state] = [
                    ((step.action, tuple(step.parameters.values())), after)
                    for step, after in self.oracle.steps(state)
                ]
                waiting += [after for _, after in self.steps[state]]

    def parts(self, formula: ir.Node) -> tuple[set[State], set[State]]:
        """Return where a property asks for something, and where it has it."""
        premise, goal = set(self.steps), formula
        if isinstance(formula, ir.Implies):
            premise, goal = self.where(formula.left), formula.right
        return premise, self.where(goal)

    def where(self, formula: ir.Node) -> set[State]:
        """Return the states in which a formula holds."""
        return {s for s in self.steps if evaluate(formula, self.oracle.view(s), {})}

    def can_reach(self, goal: set[State], actions: Iterable[str]) -> set[State]:
        """Return the states with a way to the goal, by repeated sweeps."""
        allowed, good = set(actions), set(goal)
        while True:
            more = {
                state
                for state, steps in self.steps.items()
                if state not in good
                and any(after in good and name[0] in allowed for name, after in steps)
            }
            if not more:
                return good
            good |= more

    def avoids(self, goal: set[State]) -> set[State]:
        """Return from where a weakly fair run avoids the goal: it ends in a fair component."""
        inside = set(self.steps) - goal
        fair: set[State] = set()
        for component in self._components(inside):
            taken = {
                name
                for state in component
                for name, after in self.steps[state]
                if after in component and after != state
            }
            due = [
                {
                    name
                    for name, after in self.steps[state]
                    if self.actions[name[0]].fair and after != state
                }
                for state in component
            ]
            if set.intersection(*due) <= taken:
                fair |= component
        result = set(fair)
        while True:
            more = {
                state
                for state in inside - result
                if any(after in result for _, after in self.steps[state])
            }
            if not more:
                return result
            result |= more

    def _components(self, inside: set[State]) -> list[set[State]]:
        """Return the strongly connected components (Kosaraju), single states included."""
        forward = {s: {t for _, t in self.steps[s] if t in inside} for s in inside}
        backward: dict[State, set[State]] = {s: set() for s in inside}
        for state, targets in forward.items():
            for target in targets:
                backward[target].add(state)
        order = _finished(forward, list(inside))
        components, done = [], set[State]()
        for state in reversed(order):
            if state not in done:
                component, waiting = set[State](), [state]
                while waiting:
                    here = waiting.pop()
                    if here not in done:
                        done.add(here)
                        component.add(here)
                        waiting += backward[here]
                components.append(component)
        return components


def _finished(graph: dict[State, set[State]], roots: list[State]) -> list[State]:
    order, seen = [], set[State]()
    for root in roots:
        stack: list[tuple[State, list[State]]] = [] if root in seen else [(root, list(graph[root]))]
        seen.add(root)
        while stack:
            state, rest = stack[-1]
            while rest and rest[-1] in seen:
                rest.pop()
            if rest:
                child = rest.pop()
                seen.add(child)
                stack.append((child, list(graph[child])))
            else:
                order.append(state)
                stack.pop()
    return order
