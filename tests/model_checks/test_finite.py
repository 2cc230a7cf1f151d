"""The solver's terms of a finite instance say what the interpreter says, state by state."""

from __future__ import annotations

from typing import Any

import pytest
import z3

from model_checks.engines.finite import WIDTH, FiniteTerms
from model_checks.engines.oracle import Instance, Oracle, State
from spec.language import ir
from spec.language.expressions import cell_type
from spec.language.interpreter import evaluate
from tests.model_checks.random_systems import CONSTANTS, SIZES, random_system

STATES = 6


def some_states(oracle: Oracle) -> list[State]:
    """Return a few states from the beginning of the search, initial ones first."""
    found = dict.fromkeys(list(oracle.initial())[:STATES])
    for state in list(found):
        steps = (after for _, after in oracle.steps(state) if not set(oracle.left(after)))
        found.update(dict.fromkeys(steps))
    return list(found)[:: max(1, len(found) // STATES)]


def constants(terms: FiniteTerms, state: State) -> tuple[Any, ...]:
    """Return a state as solver constants."""
    made = []
    for value, cell in zip(state, terms.cells, strict=True):
        kind = cell_type(cell)
        if kind == ir.BOOL:
            made.append(z3.BoolVal(bool(value)))
        elif kind == ir.INT:
            made.append(z3.BitVecVal(int(value or 0), WIDTH))
        else:
            place = terms.instance.values(cell).index(value)
            made.append(z3.BitVecVal(place, terms._bits(kind)))
    return tuple(made)


def is_true(term: Any) -> bool:
    """Return what a term without variables says."""
    return bool(term) if isinstance(term, int) else z3.is_true(z3.simplify(term))


@pytest.mark.parametrize("seed", range(12))
def test_terms_of_random_systems(seed: int) -> None:
    """Catches a number, an effect on all, or an order that the solver reads differently."""
    instance = Instance(random_system(seed, numbers=True), SIZES, CONSTANTS)
    oracle, terms = Oracle(instance), FiniteTerms(instance)
    seen = set()
    for state in some_states(oracle):
        solver, view = constants(terms, state), oracle.view(state)
        assert is_true(z3.And(terms.ranges(solver)))
        assert is_true(z3.And(terms.initial(solver))) == oracle.is_initial(state)
        for checked in instance.system.properties:
            if checked.property.kind in ("invariant", "reachable", "range"):
                truth = is_true(terms.truth(checked.formula, {}, solver))
                assert truth == oracle.holds(checked, state), checked.property.text
        for action in instance.system.actions:
            for chosen in terms.choices(action):
                enabled = all(evaluate(g.formula, view, chosen) for g in action.guards)
                assert is_true(terms.guard(action, chosen, solver)) == enabled
                after = oracle.apply(action, chosen, view)
                made = terms.after(action, chosen, solver)
                left = set(oracle.left(after))
                seen.add(bool(left))
                expected = constants(terms, after)
                assert all(is_true(one == two) for one, two in zip(made, expected, strict=True))
                assert is_true(z3.And(terms.ranges(made))) != bool(left)
    assert seen
