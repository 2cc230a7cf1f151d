"""Proof by induction, for every size: one obligation per property and action, two solvers each.

A property holds in every reachable state when it holds initially and every action preserves it,
given that all properties of the system hold before the action. A lemma is a property that is there
for this purpose only. Each obligation asks whether it can fail; ``unsat`` means that it cannot. z3
answers first; cvc5 gets the same question as SMT-LIB 2 text and must agree. What neither decides
within its budget is not proved.

When z3 finds a state in which an action breaks a property, the obligation is named ``property /
action`` and the state is shown cell by cell. Such a state need not be reachable: either a row is
wrong or a lemma is missing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import z3
from attrs import define, field, frozen

from model_checks.engines.provers import (
    CVC5_STEPS,
    PROVED,
    REFUTED,
    SEED,
    UNKNOWN,
    Z3_STEPS,
    ask_cvc5,
    ask_z3,
    smt_lib,
)
from model_checks.engines.symbolic import Scope, Symbols
from model_checks.system import Action, Checked, System

INITIAL = "initial"
"""What stands for an action where the initial states are asked for."""

PROVABLE = ("invariant", "lemma")


@frozen
class Obligation:
    """``formulas`` contradict each other exactly when the action preserves the property."""

    property: str
    action: str
    formulas: tuple[Any, ...] = field(repr=False)
    scope: Scope = field(repr=False)

    @property
    def name(self) -> str:
        """How the obligation is named in reports."""
        return f"{self.property} / {self.action}"


@frozen
class Finding:
    """The answers to one obligation; ``example`` shows how it fails, as lines of text."""

    obligation: str
    z3: str
    cvc5: str = ""
    example: tuple[str, ...] = ()

    @property
    def proved(self) -> bool:
        """Whether both solvers, or the one that was asked, proved it."""
        return self.z3 == PROVED and self.cvc5 in ("", PROVED)

    def __str__(self) -> str:
        answers = f"z3: {self.z3}" + (f", cvc5: {self.cvc5}" if self.cvc5 else "")
        return "\n  ".join((f"{self.obligation}: {answers}", *self.example))


@define
class Proof:
    """All obligations of a system, answered."""

    system: str
    findings: list[Finding] = field(factory=list)
    axioms: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether every obligation is proved."""
        return bool(self.findings) and all(finding.proved for finding in self.findings)

    @property
    def failures(self) -> list[Finding]:
        """The obligations that are not proved."""
        return [finding for finding in self.findings if not finding.proved]


def provable(system: System) -> tuple[Checked, ...]:
    """Return the invariants and lemmas of a system."""
    return tuple(c for c in system.properties if c.property.kind in PROVABLE)


class Induction:
    """The obligations of one system."""

    def __init__(self, system: System, properties: tuple[Checked, ...] | None = None) -> None:
        self.system = system
        self.symbols = Symbols(system)
        self.properties = provable(system) if properties is None else properties
        self.hypotheses = tuple(self._term(c, self.symbols.before) for c in self.properties)

    def _term(self, checked: Checked, state: Any) -> Any:
        return self.symbols.term(checked.formula, {}, state)

    def obligations(self) -> tuple[Obligation, ...]:
        """Return them all, with the background facts that the formulas of the system need."""
        parts = [*self._initial(), *self._steps()]
        background = self.symbols.background()
        return tuple(
            Obligation(name, action, (*background, *formulas), scope)
            for name, action, formulas, scope in parts
        )

    def _initial(self) -> Iterator[tuple[str, str, tuple[Any, ...], Scope]]:
        first = self.symbols.first()
        for checked in self.properties:
            yield checked.property.name, INITIAL, (z3.Not(self._term(checked, first)),), {}

    def _steps(self) -> Iterator[tuple[str, str, tuple[Any, ...], Scope]]:
        for action in self.system.actions:
            scope = self.symbols.parameters(action)
            step = (*self.hypotheses, *self.symbols.guard(action, scope))
            after = self.symbols.after(action, scope)
            for checked in self.properties:
                broken = z3.Not(self._term(checked, after))
                yield checked.property.name, action.name, (*step, broken), scope

    def prove(
        self,
        *,
        second_solver: bool = True,
        seed: int = SEED,
        progress: Callable[[Finding], None] = lambda _: None,
    ) -> Proof:
        """Answer every obligation; never stops at the first failure."""
        proof = Proof(self.system.name)
        for obligation in self.obligations():
            finding = self.answer(obligation, second_solver=second_solver, seed=seed)
            proof.findings.append(finding)
            progress(finding)
        proof.axioms = tuple(axiom.text for axiom in self.symbols.quorums.axioms())
        return proof

    def answer(
        self, obligation: Obligation, *, second_solver: bool = True, seed: int = SEED
    ) -> Finding:
        """Return the answers to one obligation."""
        answer = ask_z3(obligation.formulas, Z3_STEPS, seed)
        if answer.verdict == REFUTED:
            lines = tuple(self._example(obligation, answer.model))
            return Finding(obligation.name, REFUTED, example=lines)
        if answer.verdict == UNKNOWN or not second_solver:
            return Finding(obligation.name, answer.verdict)
        second = ask_cvc5(smt_lib(obligation.formulas), CVC5_STEPS, seed)
        return Finding(obligation.name, PROVED, second)

    # --- examples

    def _example(self, obligation: Obligation, model: Any) -> Iterator[str]:
        names = self._individuals(model)
        action = next((a for a in self.system.actions if a.name == obligation.action), None)
        if action is not None:
            chosen = ", ".join(
                f"{name}={_shown(model.eval(term, True), names)}"
                for name, term in obligation.scope.items()
            )
            yield f"{action.name}({chosen})"
        for name, cell in self.system.cells.items():
            ranges = [self._universe(model, sort) for sort in cell.index]
            usual = None
            if name in self.system.first:
                usual = self.symbols.term(self.system.first[name], {}, self.symbols.before)
            for index in itertools.product(*ranges):
                value = model.eval(self.symbols.before[name](*index), True)
                if usual is not None and value.eq(usual):
                    continue
                inside = ", ".join(_shown(term, names) for term in index)
                yield f"{name}[{inside}] = {_shown(value, names)}"

    def _universe(self, model: Any, sort: str) -> list[Any]:
        return list(model.get_universe(self.symbols.sorts[sort]) or ())

    def _individuals(self, model: Any) -> dict[str, str]:
        """Return a short name for each individual of a model: the sort's initial and a number."""
        return {
            str(individual): f"{sort.lower()}{number}"
            for sort in self.system.sorts
            for number, individual in enumerate(self._universe(model, sort))
        }


def _shown(value: Any, names: dict[str, str]) -> str:
    if value.num_args() == 1:
        return _shown(value.arg(0), names)
    text = str(value)
    return "none" if text.startswith("no_") else names.get(text, text)


def action_named(system: System, name: str) -> Action:
    """Return the action of this name; raises KeyError."""
    return {action.name: action for action in system.actions}[name]
