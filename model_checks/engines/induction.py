"""Proof by induction, for every size: one obligation per property and action, two solvers each.

A property holds in every reachable state when it holds initially and every action preserves it,
given that all properties that are being proved hold before the action. A lemma is a property that
is there for this purpose only. An obligation is a set of formulas that contradict each other
exactly when the action preserves the property. z3 answers first; cvc5 gets the same formulas as
SMT-LIB 2 text and must agree. What neither decides within its budget is not proved.

Where a proof fails, the finite engine looks for a state, of a few individuals, in which everything
holds and one step of the action breaks the property; the obligation is named ``property / action``
and the state is shown cell by cell. Such a state need not be reachable: either a row is wrong or a
lemma is missing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import z3
from attrs import define, field, frozen

from model_checks.engines.finite import Broken, SmallStates
from model_checks.engines.oracle import Instance
from model_checks.engines.provers import (
    ATTEMPT_STEPS,
    PROVED,
    REFUTED,
    SEED,
    UNKNOWN,
    confirm,
    contradict,
    smt_lib,
)
from model_checks.engines.symbolic import Scope, SymbolicState, Symbols
from model_checks.system import Action, Checked, System
from spec.language.ir import Node, Quantified

INITIAL = "initial"
"""What stands for an action where the initial states are asked for."""

LEMMAS = "lemmas"
"""What stands for an action where a property is to follow from the others in each state."""

SMALL = {"Peer": 4, "Event": 1, "Attempt": 3, "Epoch": 3}
"""So many individuals take part in the search for a breaking step ..."""

SMALL_OTHERS = 2
"""... and so many of every other sort."""

SMALL_CONSTANTS = {"N": 4, "T": 3, "F": 1, "R": 3}


@frozen
class Obligation:
    """``formulas`` contradict each other exactly when the action preserves the property, or where
    it is ``implied`` by the others, when it follows from them."""

    checked: Checked
    action: Action | None
    formulas: tuple[Any, ...] = field(repr=False)
    implied: bool = False

    @property
    def name(self) -> str:
        """How the obligation is named in reports."""
        bare = LEMMAS if self.implied else INITIAL
        action = bare if self.action is None else self.action.name
        return f"{self.checked.property.name} / {action}"


@frozen
class Finding:
    """The answers to one obligation, with a small example of how it fails, if one was found."""

    obligation: str
    z3: str
    cvc5: str
    example: Broken | None = None

    @property
    def proved(self) -> bool:
        """Whether both solvers, or the one that was asked, proved it."""
        return self.z3 == PROVED and self.cvc5 in ("", PROVED)

    def __str__(self) -> str:
        answers = f"z3: {self.z3}" + (f", cvc5: {self.cvc5}" if self.cvc5 else "")
        lines = self.example.lines() if self.example else ()
        return "\n    ".join((f"{self.obligation}: {answers}", *lines))


@define
class Proof:
    """All obligations of a system, answered; ``axioms`` are the facts about quorums it rests on."""

    system: str
    findings: list[Finding] = field(factory=list)
    axioms: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether every obligation is proved."""
        return bool(self.findings) and not self.failures

    @property
    def failures(self) -> list[Finding]:
        """The obligations that are not proved."""
        return [finding for finding in self.findings if not finding.proved]


def chosen(system: System, names: tuple[str, ...] = ()) -> tuple[Checked, ...]:
    """Return the lemmas of a system and the invariants of these names, or all invariants."""
    return tuple(
        c for c in system.properties if c.property.kind in ("lemma", "range")
        or (c.property.kind == "invariant" and (not names or c.property.name in names))
    )


class Induction:
    """The obligations of one system: for ``properties``, or for all invariants and lemmas.

    ``implied`` are to follow in each state from these, and from those of them that stand before; no
    step is looked at for them. Since they hold where the others hold, lemmas among them may be
    used before each step: they are the cuts of a long argument. Of the individuals in the outer
    quantifiers of what is ``shrinking`` less and less is true: no step makes it true of anyone.
    That is asked of each action first, and may be used for its other obligations. ``steps`` is
    z3's budget for one attempt at one of them.
    """

    def __init__(
        self, system: System, properties: tuple[Checked, ...] = (), steps: int = ATTEMPT_STEPS,
        implied: tuple[Checked, ...] = (), shrinking: tuple[Checked, ...] = (),
    ) -> None:
        self.system = system
        self.steps = steps
        self.symbols = Symbols(system)
        self.properties = properties or chosen(system)
        self.implied = implied
        self.shrinking = shrinking
        self.symbols.names_later = bool(shrinking)
        before = self.symbols.before
        self._inductive = tuple(self.symbols.term(c.formula, {}, before) for c in self.properties)
        cuts = (c for c in implied if c.property.kind == "lemma")
        self.known = (*self.properties, *cuts)
        self.hypotheses = tuple(self.symbols.term(c.formula, {}, before) for c in self.known)
        self._known_instances: dict[str, tuple[Any, ...]] = {}

    def obligations(self) -> Iterator[Obligation]:
        """Yield them one by one: the initial states, each action in turn, then what follows."""
        for action in (None, *self.system.actions):
            for checked in self.shrinking if action else ():
                yield self.obligation(checked, action)
            for checked in self.properties:
                yield self.obligation(checked, action)
        before: tuple[Any, ...] = self._inductive
        for place, checked in enumerate(self.implied):
            goal, constants = self._skolemized(checked)
            wrong = z3.Not(self.symbols.term(goal, constants, self.symbols.before))
            known = (*self.properties, *self.implied[:place])
            instances = self._for_individuals(list(constants.values()), known)
            formulas = (*before, *instances, wrong)
            yield Obligation(checked, None, (*self.symbols.background(), *formulas), implied=True)
            before = (*before, self.symbols.term(checked.formula, {}, self.symbols.before))

    def obligation(self, checked: Checked, action: Action | None) -> Obligation:
        """Return the obligation of one property and one action, or None for the initial states."""
        goal, constants = self._skolemized(checked)
        self.symbols.quorums.later.clear()
        if action is None:
            wrong = z3.Not(self.symbols.term(goal, constants, self.symbols.first()))
            formulas = [*self.symbols.initially(), wrong]
        else:
            scope = self.symbols.parameters(action)
            after = self.symbols.after(action, scope)
            shrinks = checked in self.shrinking
            wrong = z3.Not(
                self.symbols.term(goal, constants, self.symbols.before if shrinks else after)
            )
            formulas = [
                *self.hypotheses,
                *self.symbols.guard(action, scope),
                *self._instances(checked),
                *([self.symbols.term(goal, constants, after)] if shrinks else []),
                *(() if shrinks else self._shrunk(after, list(constants.values()))),
                wrong,
            ]
        # The background comes last, since it is made for the counts in the other formulas.
        return Obligation(checked, action, (*self.symbols.background(), *formulas))

    def _shrunk(self, after: SymbolicState, constants: list[Any]) -> Iterator[Any]:
        """Yield that what shrinks was true before of whom it is true after, for these and all."""
        before = self.symbols.before
        for checked in self.shrinking:
            variables, body = outer(checked.formula)
            bound = {
                name: z3.Const(f"any {name}", self.symbols.sorts[sort])
                for name, sort in variables.items()
            }
            for scope in (bound, *self._scopes(variables, constants)):
                shrunk = z3.Implies(
                    self.symbols.term(body, scope, after), self.symbols.term(body, scope, before)
                )
                yield z3.ForAll(list(bound.values()), shrunk) if scope is bound else shrunk

    def _scopes(self, variables: Mapping[str, str], constants: list[Any]) -> Iterator[Scope]:
        """Yield every choice of constants for some variables."""
        pools = [
            [c for c in constants if c.sort() == self.symbols.sorts[sort]]
            for sort in variables.values()
        ]
        for individuals in itertools.product(*pools):
            yield dict(zip(variables, individuals, strict=True))

    def _skolemized(self, checked: Checked) -> tuple[Node, Scope]:
        """Return the property without its outer quantifiers, and constants for their variables."""
        variables, body = outer(checked.formula)
        name = checked.property.name
        return body, {
            variable: z3.Const(f"{variable} of {name}", self.symbols.sorts[sort])
            for variable, sort in variables.items()
        }

    def _instances(self, goal: Checked) -> tuple[Any, ...]:
        """Return the hypotheses for the individuals of the goal: the same for every action.

        They follow from the hypotheses. They are there because a solver would not try them: nothing
        in the goal need mention them before.
        """
        known = self._known_instances.get(goal.property.name)
        if known is None:
            _, constants = self._skolemized(goal)
            known = tuple(self._for_individuals(list(constants.values()), self.known))
            self._known_instances[goal.property.name] = known
        return known

    def _for_individuals(
        self, constants: list[Any], known: tuple[Checked, ...]
    ) -> Iterator[Any]:
        for checked in known:
            variables, body = outer(checked.formula)
            for scope in self._scopes(variables, constants):
                yield self.symbols.term(body, scope, self.symbols.before)

    def prove(
        self, *, second_solver: bool = True, examples: bool = True, seed: int = SEED,
        progress: Callable[[Finding], None] = lambda _: None,
    ) -> Proof:
        """Answer every obligation; a failure does not end it."""
        proof = Proof(self.system.name)
        for obligation in self.obligations():
            finding = self.answer(
                obligation, second_solver=second_solver, examples=examples, seed=seed
            )
            proof.findings.append(finding)
            progress(finding)
        proof.axioms = tuple(axiom.text for axiom in self.symbols.quorums.axioms())
        return proof

    def answer(
        self, obligation: Obligation, *, second_solver: bool = True, examples: bool = True,
        seed: int = SEED,
    ) -> Finding:
        """Return the answers to one obligation."""
        if contradict(obligation.formulas, seed, self.steps):
            second = confirm(smt_lib(obligation.formulas), seed) if second_solver else ""
            return Finding(obligation.name, PROVED, second)
        of_one_state = not obligation.implied and obligation.checked not in self.shrinking
        example = self.example(obligation) if examples and of_one_state else None
        return Finding(obligation.name, REFUTED if example else UNKNOWN, "", example)

    def example(self, obligation: Obligation) -> Broken | None:
        """Return a small state in which the action breaks the property, if there is one."""
        return self._small.breaking_step(obligation.checked, obligation.action)

    @cached_property
    def _small(self) -> SmallStates:
        sizes = {s: SMALL.get(s, SMALL_OTHERS) for s in self.system.names.sorts}
        others = dict.fromkeys(self.system.names.constants, SMALL_OTHERS)
        instance = Instance(self.system, sizes, {**others, **SMALL_CONSTANTS})
        return SmallStates(instance, self.properties)


def outer(formula: Node, most: int | None = None) -> tuple[dict[str, str], Node]:
    """Return the variables of the outer universal quantifiers with their sorts, and the rest.

    No more than ``most`` of them are taken.
    """
    variables: dict[str, str] = {}
    while isinstance(formula, Quantified) and formula.kind == "all" and len(variables) != most:
        variables[formula.variable] = formula.sort
        formula = formula.body
    return variables, formula
