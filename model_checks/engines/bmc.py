"""Bounded model checking: a shortest run that breaks an invariant or reaches a witness, by z3.

The steps of a run are unrolled into one question per length. That is good for wide data and shallow
faults, up to about ten steps; past that the explicit engine is the better one. What is not found
within the bound may still be there: this engine refutes and never proves. Every run that is found
is replayed on the interpreter.
"""

from __future__ import annotations

from typing import Any

import z3
from attrs import field, frozen

from model_checks.engines.finite import STEPS, EnginesDisagree, FiniteTerms, Terms
from model_checks.engines.oracle import Instance, Oracle, State, Step
from model_checks.system import Action, Checked
from spec.language.interpreter import evaluate

MAX_DEPTH = 10
"""Longer runs are refused: the explicit engine finds them sooner."""


@frozen
class Run:
    """A run from an initial state; ``last`` is the state that it leads to."""

    property: str
    initial: State = field(repr=False)
    steps: tuple[Step, ...]
    last: State = field(repr=False)


class Unrolled:
    """The runs of an instance, as formulas, as long as they were asked for so far."""

    def __init__(self, instance: Instance) -> None:
        self.terms = FiniteTerms(instance)
        self.choices = [
            (action, chosen)
            for action in instance.system.actions
            for chosen in self.terms.choices(action)
        ]
        self.states: list[Terms] = [self.terms.state("@0")]
        self.taken: list[list[Any]] = []
        self.solver = z3.SolverFor("QF_FD")
        self.solver.set("rlimit", STEPS)
        self.solver.add(*self.terms.ranges(self.states[0]), *self.terms.initial(self.states[0]))

    def lengthen(self) -> None:
        """Add one step: exactly one choice is taken, and its guard holds."""
        number = len(self.states)
        before, after = self.states[-1], self.terms.state(f"@{number}")
        taken = [z3.Bool(f"step {number} is {place}") for place in range(len(self.choices))]
        self.solver.add(*self.terms.ranges(after), z3.PbEq([(term, 1) for term in taken], 1))
        for term, (action, chosen) in zip(taken, self.choices, strict=True):
            self.solver.add(z3.Implies(term, self._guard(action, chosen, before)))
        new = list(before)
        for term, (action, chosen) in zip(taken, self.choices, strict=True):
            written = self.terms.after(action, chosen, before)
            for place, value in enumerate(written):
                if value is not before[place]:
                    new[place] = z3.If(term, value, new[place])
        self.solver.add(
            *(x == value for x, value in zip(after, new, strict=True) if x is not value)
        )
        self.states.append(after)
        self.taken.append(taken)

    def _guard(self, action: Action, chosen: dict[str, int], before: Terms) -> Any:
        guard = self.terms.guard(action, chosen, before)
        return z3.BoolVal(guard) if isinstance(guard, bool) else guard

    def find(self, checked: Checked) -> Run | None:
        """Return a run of the present length that ends where the property says, if any."""
        formula = self.terms.truth(checked.formula, {}, self.states[-1])
        wanted = formula if checked.property.kind == "reachable" else z3.Not(formula)
        if self.solver.check(wanted) != z3.sat:
            return None
        model = self.solver.model()
        steps = []
        for taken in self.taken:
            place = next(k for k, t in enumerate(taken) if z3.is_true(model.eval(t, True)))
            action, chosen = self.choices[place]
            steps.append(Step(action.name, chosen))
        states = [self.terms.read(model, state) for state in self.states]
        return Run(checked.property.name, states[0], tuple(steps), states[-1])


def shortest_run(instance: Instance, checked: Checked, depth: int = MAX_DEPTH) -> Run | None:
    """Return a shortest run of at most ``depth`` steps, replayed, or None.

    It breaks an invariant or a lemma; of a witness (kind ``reachable``) it shows one. Raises
    :class:`EnginesDisagree` when the interpreter sees another run.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"bounded model checking goes {MAX_DEPTH} steps deep, not {depth}")
    unrolled = Unrolled(instance)
    for length in range(depth + 1):
        if length:
            unrolled.lengthen()
        run = unrolled.find(checked)
        if run is not None:
            replay(instance, checked, run)
            return run
    return None


def replay(instance: Instance, checked: Checked, run: Run) -> None:
    """Run it on the interpreter; raises :class:`EnginesDisagree` where that sees anything else."""
    oracle = Oracle(instance)
    if run.initial not in set(oracle.initial()):
        raise EnginesDisagree(f"{run.property}: not an initial state")
    actions = {action.name: action for action in instance.system.actions}
    state = run.initial
    for number, step in enumerate(run.steps, start=1):
        action, view = actions[step.action], oracle.view(state)
        false = [g.text for g in action.guards if not evaluate(g.formula, view, step.parameters)]
        if false:
            raise EnginesDisagree(f"{run.property}, step {number}: {step} needs {false[0]}")
        state = oracle.apply(action, step.parameters, view)
    if state != run.last:
        raise EnginesDisagree(f"{run.property}: the run ends in another state")
    if oracle.holds(checked, state) != (checked.property.kind == "reachable"):
        raise EnginesDisagree(f"{run.property}: the interpreter sees no breach")
