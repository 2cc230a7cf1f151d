"""Small random systems, and slow answers about them, for comparing engines."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable

from model_checks.engines.oracle import Instance, Oracle, State
from model_checks.system import Move, Network, Property, System, close
from spec.language import ir
from spec.language.declarations import Cell, Enum, Opt, Range, Seq, Sort
from spec.language.interpreter import Environment, evaluate

LAMP = Enum("RandomLamp", ("lamp_off", "lamp_dim", "lamp_bright"))
CELLS = (
    Cell("lit", "bool", ("Peer",), "False", "memory", "-"),
    Cell("lamp", LAMP, ("Peer",), "lamp_off", "disk", "-"),
    Cell("wish", Opt("Digest"), ("Peer",), "none", "disk", "-"),
    Cell("told", "bool", ("Digest",), "False", "network", "-"),
    Cell("bell", "bool", (), "False", "disk", "-"),
    Cell("mark", Opt("Attempt"), (), "none", "disk", "-"),
    Cell("liar", "bool", ("Peer",), "False", "given", "-"),
    Cell("level", Range(-1, "T"), ("Peer",), "for x: 0", "memory", "-"),
    Cell("dice", Range(1, 3), (), "any", "disk", "-"),
    Cell("pair", "bool", ("Digest", "Digest"), "for x, y: x == y", "disk", "-"),
    Cell("line", Seq("Digest", 2), (), "empty", "disk", "-"),
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
_MORE_GUARDS = (
    "level[p] < T", "level[p] + 1 >= dice", "dice != 2", "level[p] == dice - 2",
    "count(x for x in Peer if level[x] > 0) < dice", "any(pair[d, x] for x in Digest if x != d)",
    "len(line) < 2", "head(line) == d", "at(line, 2) != wish[p]",
)
_EFFECTS = (
    ("lit[p]", ("True", "False", "not lit[p]", "told[d]")),
    ("lamp[p]", ("lamp_off", "lamp_dim", "lamp_bright", "(lamp_dim if bell else lamp[p])")),
    ("wish[p]", ("d", "none", "(d if lit[p] else wish[p])")),
    ("told[d]", ("True", "bell")),
    ("bell", ("True", "False", "not bell", "count(x for x in Peer if lit[x]) == 1")),
    ("mark", ("a", "none", "mark")),
)
_MORE_EFFECTS = (
    ("level[p]", ("level[p] + 1", "level[p] - 1", "dice - 1", "(0 if bell else min(dice, T))")),
    ("dice", ("dice + 1", "max(1, dice + level[p] - 1)", "count(x for x in Peer if lit[x]) + 1")),
    ("lit[q] for q in Peer if q != p", ("lit[p]", "wish[q] == d", "not lit[q]")),
    ("level[q] for q in Peer", ("level[q] + 1", "max(level[q], level[p])", "(0 if lit[q] else 1)")),
    ("level[q] for q in Peer if lit[q]", ("level[q] - 1", "dice - level[q]")),
    ("told[e] for e in Digest if told[d] or e == d", ("True", "not told[e]", "bell")),
    ("pair[e, d] for e in Digest", ("pair[d, e]", "told[e]", "e == d")),
    ("line", ("append(line, d)", "tail(line)", "(remove(line, 2) if bell else append(empty, d))")),
    ("wish[p]", ("head(line)", "(at(line, 2) if len(line) > 1 else wish[p])")),
)
_FAIR = (False, False, True, "weak", "strong", "weak for some d", "strong for some d, a")
_FORMULAS = (
    "all(not lit[x] for x in Peer)", "any(wish[x] == y for x in Peer for y in Digest)",
    "bell and any(told[y] for y in Digest)", "all(lamp[x] == lamp_bright for x in Peer)",
    "count(x for x in Peer if lit[x]) >= T", "mark != none", "all(told[y] for y in Digest)",
    "any(lit[x] and liar[x] for x in Peer)", "all(lamp[x] != lamp_dim for x in Peer)",
)
_MORE_FORMULAS = (
    "dice == 3", "any(level[x] == T for x in Peer)", "all(level[x] >= dice - 2 for x in Peer)",
    "all(pair[x, y] == pair[y, x] for x in Digest for y in Digest)",
    "any(head(line) == wish[x] for x in Peer)",
)
_STEPS = (
    "implies(bell, after(bell))", "all(implies(told[y], after(told[y])) for y in Digest)",
    "all(wish[x] in (none, after(wish[x])) for x in Peer)", "mark <= after(mark)",
)
_MORE_STEPS = (
    "after(dice) <= dice + 1", "all(after(level[x]) - level[x] in (0, 1) for x in Peer)",
)


def seeds(count: int) -> list[tuple[int, bool]]:
    """Return arguments of ``random_system``: so many without numbers, and half as many with."""
    return [(n, False) for n in range(count)] + [(n, True) for n in range(30, 30 + count // 2)]


def random_system(seed: int, numbers: bool = False) -> System:
    """Return a closed system with random moves and every kind of property.

    With ``numbers`` also of cells that hold them, of first values by choice, and of effects on all.
    """
    choose = random.Random(seed)
    moves = []
    formulas = _FORMULAS + (_MORE_FORMULAS if numbers else ())
    guards, steps = (
        one + (more if numbers else ())
        for one, more in ((_GUARDS, _MORE_GUARDS), (_STEPS, _MORE_STEPS))
    )
    for number in range(choose.randint(3, 7)):
        effects = _effects(choose, _EFFECTS + (_MORE_EFFECTS * 2 if numbers else ()))
        moves.append(
            Move(
                f"Move{number}(p: Peer, d: Digest, a: Attempt)",
                tuple(choose.sample(guards, choose.randint(1, 3))),
                {target: choose.choice(values) for target, values in effects},
                fair=choose.choice(_FAIR if number else _FAIR[2:]),
            )
        )
    properties = [Property(f"State{n}", text) for n, text in enumerate(choose.sample(formulas, 3))]
    properties += [
        Property(f"Way{n}", f"not ({text})", "reachable")
        for n, text in enumerate(choose.sample(formulas, 3))
    ]
    properties += [Property(f"Step{n}", text, "step") for n, text in enumerate(steps)]
    for kind in ("always_can", "liveness"):
        first, second = choose.sample(formulas, 2)
        properties.append(Property(f"{kind}_1", first, kind))
        properties.append(Property(f"{kind}_2", f"implies({first}, {second})", kind))
    for kind in ("infinitely_often", "eventually_always", "deadlock"):
        properties.append(Property(kind, choose.choice(formulas), kind))
    properties.append(Property("Each", choose.choice(_EACH), "liveness"))
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
        initially=("dice != 2",) if numbers else (),
        properties=tuple(properties),
    )
    return close(network)


_EACH = (
    "all(leads_to(lit[x], not lit[x]) for x in Peer)",
    "all(leads_to(wish[x] == y, told[y]) for x in Peer for y in Digest)",
    "all(leads_to(lamp[x] == lamp_dim, lamp[x] == lamp_bright) for x in Peer if not liar[x])",
    "leads_to(bell, not bell)",
)


def _effects(
    choose: random.Random, known: tuple[tuple[str, tuple[str, ...]], ...]
) -> list[tuple[str, tuple[str, ...]]]:
    """Return one or two effects, on different cells."""
    first = choose.choice(known)
    cell = first[0].partition("[")[0]
    others = [each for each in known if each[0].partition("[")[0] != cell]
    return [first, choose.choice(others)] if choose.random() < 0.5 else [first]


class SlowGraph:
    """Every state and step of an instance, found by the oracle."""

    def __init__(self, instance: Instance) -> None:
        self.oracle = Oracle(instance)
        self.instance = instance
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
                    if not set(self.oracle.left(after))
                ]
                waiting += [after for _, after in self.steps[state]]

    def wishes(self, formula: ir.Node) -> list[tuple[set[State], set[State]]]:
        """Return, for each individual, where ``leads_to`` asks for something and where it has it.
        """
        variables = dict[str, str]()
        while isinstance(formula, ir.Quantified):
            variables[formula.variable] = formula.sort
            formula = formula.body
        condition: ir.Node = ir.Literal(ir.BOOL, True)
        if isinstance(formula, ir.Implies):
            condition, formula = formula.left, formula.right
        assert isinstance(formula, ir.LeadsTo)
        found = []
        for chosen in itertools.product(*map(self.instance.individuals, variables.values())):
            scope = dict(zip(variables, chosen, strict=True))
            premise = self.where(condition, scope) & self.where(formula.left, scope)
            found.append((premise, self.where(formula.right, scope)))
        return found

    def parts(self, formula: ir.Node) -> tuple[set[State], set[State]]:
        """Return where a property asks for something, and where it has it."""
        premise, goal = set(self.steps), formula
        if isinstance(formula, ir.Implies):
            premise, goal = self.where(formula.left), formula.right
        return premise, self.where(goal)

    def where(self, formula: ir.Node, scope: Environment | None = None) -> set[State]:
        """Return the states in which a formula holds."""
        return {s for s in self.steps if evaluate(formula, self.oracle.view(s), scope or {})}

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

    def avoids(self, goal: set[State], often: set[State] | None = None) -> set[State]:
        """Return from where a fair run avoids the goal, and comes to ``often`` for ever."""
        inside = set(self.steps) - goal
        result = self._fair(inside, often)
        while True:
            more = {
                state
                for state in inside - result
                if any(after in result for _, after in self.steps[state])
            }
            if not more:
                return result
            result |= more

    def _fair(self, inside: set[State], often: set[State] | None) -> set[State]:
        """Return states of components that are fair: without those that owe a strong group."""
        result: set[State] = set()
        for component in self._components(inside):
            taken = set[object]()
            for state in component:
                moved = (n for n, t in self.steps[state] if t in component and t != state)
                taken |= {self._group(name) for name in moved}
            due = {state: self._due(state) for state in component}
            strong = {s for s in component if any(g[1] and g not in taken for g in due[s])}
            weak = set.intersection(*due.values()) - taken
            if any(not group[1] for group in weak) or (often is not None and not often & component):
                continue
            result |= self._fair(component - strong, often) if strong else component
        return result

    def _group(self, name: tuple[str, tuple[object, ...]]) -> tuple[object, ...]:
        """Return whose fairness a step serves: the action and the parameters that are kept."""
        action = self.actions[name[0]]
        chosen = dict(zip(action.parameters, name[1], strict=True))
        kept = tuple(value for each, value in chosen.items() if each not in action.some)
        return (action.name, action.strong, kept)

    def _due(self, state: State) -> set[tuple[object, ...]]:
        return {
            self._group(name) for name, after in self.steps[state]
            if self.actions[name[0]].fair and after != state
        }

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
