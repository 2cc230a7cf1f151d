"""Liveness under weak and strong fairness: what does every fair run come to?

A run is fair when no row or move that is marked fair stays possible for ever without being taken,
or where it is strongly fair, becomes possible again and again; for each choice of its parameters
that fairness does not leave open. Runs may pause for ever where nothing fair is possible; a step
that changes nothing is no step. The states from which some fair run avoids the goal are those with
a way into the greatest fixpoint of Emerson and Lei (1986), for strong fairness as Kesten, Pnueli
and Raviv (1998) have it. One of them is shown as a stem and a loop, see ``lasso.py``. Fairness
names peers, so orbits would not do: the search must be one without symmetry.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import numpy as np
from attrs import define, field, frozen

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
from model_checks.engines.ground import TRUE, Formula
from model_checks.engines.lasso import Due, lasso
from model_checks.engines.oracle import ReplayError, Result
from model_checks.engines.packed import Compiler, Mask
from model_checks.system import LIVENESS, Checked
from spec.language import ir
from spec.language.declarations import SpecError
from spec.language.interpreter import Value


def check_liveness(search: Explicit, result: Result) -> None:
    """Add the verdicts on liveness properties: a stem and a loop, both replayed on the oracle."""
    wanted = [c for c in search.instance.system.properties if c.property.kind in LIVENESS]
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
        for wish in _wishes(search, checked):
            if checked.property.name not in result.violated:
                _check(graph, checked, wish, result)


@frozen
class _Wish:
    """That ``goal`` follows ``premise``, for some individuals; or comes, from the beginning."""

    about: Mapping[str, Value]
    premise: Formula
    goal: Formula
    from_start: bool = False


def _wishes(search: Explicit, checked: Checked) -> Iterator[_Wish]:
    """Yield what a property asks for: ``leads_to`` inside a quantifier, of each individual."""
    variables: dict[str, str] = {}
    body = checked.formula
    while isinstance(body, ir.Quantified) and body.kind == "all":
        variables[body.variable] = body.sort
        body = body.body
    condition: ir.Node = ir.Literal(ir.BOOL, True)
    if isinstance(body, ir.Implies) and isinstance(body.right, ir.LeadsTo):
        condition, body = body.left, body.right
    if not isinstance(body, ir.LeadsTo):
        if checked.property.kind != "liveness":
            yield _Wish({}, TRUE, search.model.property(checked))
            return
        from_start = not isinstance(checked.formula, ir.Implies)
        yield _Wish({}, *premise_and_goal(search, checked), from_start)
        return
    premise = ir.And(ir.BOOL, (condition, body.left))
    for chosen in itertools.product(*map(search.instance.individuals, variables.values())):
        scope = dict(zip(variables, chosen, strict=True))
        about = {name.partition("'")[0]: value for name, value in scope.items()}
        formula = search.model.formula
        yield _Wish(about, formula(premise, scope), formula(body.right, scope))


def _check(graph: _FairGraph, checked: Checked, wish: _Wish, result: Result) -> None:
    search, space, kind = graph.search, graph.space, checked.property.kind
    compiler = Compiler(search.layout)
    premise, goal = (compiler.predicate(f)(space.states) for f in (wish.premise, wish.goal))
    everywhere = np.ones(space.size, np.bool_)
    inside, often = (everywhere, ~goal) if kind == "eventually_always" else (~goal, everywhere)
    kernel = graph.kernel(inside, often)
    wrong = can_reach(graph.edges, kernel, inside) & premise
    if wish.from_start:
        wrong &= space.level == 0
    if not wrong.any():
        return
    places = np.flatnonzero(wrong)
    start = int(places[np.argmin(space.level[places])])
    first, stem = search.trace(int(space.level[start]), space.states[:, start : start + 1])
    edges, loop_edges = lasso(graph.edges, start, inside, kernel, graph.dues(often))
    way, loop = (
        [search.actions[int(graph.edges.action[edge])].ground.step for edge in part]
        for part in (edges, loop_edges)
    )
    states = search.oracle.replay(first, [*stem, *way, *loop])
    if states[len(stem) + len(way)] != states[-1]:
        raise ReplayError(f"{checked.property.name}: the loop does not close")
    name = checked.property.name
    result.violated[name], result.starts[name] = [*stem, *way], first
    result.loops[name] = loop
    if wish.about:
        result.about[name] = wish.about


@frozen
class _Group:
    """Steps of which one is to be taken: where it is ``possible``, and the edges that take one."""

    strong: bool
    possible: Mask
    taken: Indices


@define
class _FairGraph:
    """The whole graph with the groups of steps that are fair."""

    search: Explicit
    space: Space
    edges: Edges
    groups: list[_Group] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        members: dict[tuple[object, ...], list[int]] = {}
        for number, packed in enumerate(self.search.actions):
            action, chosen = packed.ground.action, packed.ground.chosen
            if action.fair:
                kept = tuple(v for name, v in chosen.items() if name not in action.some)
                members.setdefault((action.name, action.strong, *kept), []).append(number)
        for (_, strong, *_), numbers in members.items():
            taken = np.flatnonzero(np.isin(self.edges.action, numbers))
            possible = np.zeros(self.space.size, np.bool_)
            possible[self.edges.source[taken]] = True
            self.groups.append(_Group(bool(strong), possible, taken))

    def kernel(self, inside: Mask, often: Mask) -> Mask:
        """Return states among which fair runs stay ``inside`` and come to ``often`` for ever.

        From each of them there is such a run; every such run comes to stay among them.
        """
        inside = inside.copy()
        while True:
            before = int(np.count_nonzero(inside))
            if not often.all():
                inside &= can_reach(self.edges, often, inside)
            for group in self.groups:
                source, target = self.edges.source[group.taken], self.edges.target[group.taken]
                served = np.zeros(self.space.size, np.bool_)
                served[source[inside[source] & inside[target]]] = True
                if group.strong:
                    inside &= ~group.possible | can_reach(self.edges, served, inside)
                else:
                    inside &= can_reach(self.edges, served | ~group.possible, inside)
            if int(np.count_nonzero(inside)) == before:
                return inside

    def dues(self, often: Mask) -> list[Due]:
        """Return what a loop must serve to be fair."""
        found = [Due(g.strong, g.possible, frozenset(g.taken.tolist())) for g in self.groups]
        return found if often.all() else [*found, Due(False, ~often, frozenset())]
