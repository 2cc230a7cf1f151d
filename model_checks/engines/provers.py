"""The two provers, each behind one typed function: z3 decides, cvc5 confirms.

Both work within a budget of steps, not of time, from a fixed seed, so that an answer does not
depend on the machine. ``unknown`` is an answer, and never counts as a proof.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cvc5
import z3
from attrs import frozen

PROVED = "unsat"
REFUTED = "sat"
UNKNOWN = "unknown"

STEPS = 2_000_000
"""z3's ``rlimit`` for a question about numbers or about one finite instance."""

ATTEMPT_STEPS = 600_000
"""z3's ``rlimit`` for one attempt at a proof with quantifiers."""

ATTEMPTS = 8
"""So many attempts, each with a seed of its own: a search that went astray begins anew."""

CVC5_STEPS = 200_000
"""cvc5's ``rlimit`` for one question."""

SEED = 1


@frozen
class Answer:
    """Whether the formulas contradict each other, with a model when they do not."""

    verdict: str
    model: Any = None


def z3_solver(formulas: Iterable[Any], steps: int, seed: int) -> Any:
    """Return a z3 solver that holds the formulas."""
    solver = z3.Solver()
    solver.set("rlimit", steps)
    solver.set("random_seed", seed)
    solver.add(*formulas)
    return solver


def ask_z3(formulas: Iterable[Any], steps: int = STEPS, seed: int = SEED) -> Answer:
    """Return z3's answer to: can these formulas hold together?"""
    solver = z3_solver(formulas, steps, seed)
    verdict = solver.check()
    if verdict == z3.unsat:
        return Answer(PROVED)
    return Answer(REFUTED, solver.model()) if verdict == z3.sat else Answer(UNKNOWN)


def contradict(formulas: Iterable[Any], seed: int = SEED, steps: int = ATTEMPT_STEPS) -> bool:
    """Return whether z3 finds, within its attempts, that quantified formulas contradict each other.

    Quantifiers are instantiated where their patterns match and nowhere else. Each attempt has a
    context of its own: z3's search depends on how its terms are numbered, and so on all questions
    that were asked in a context before.
    """
    formulas = tuple(formulas)
    for attempt in range(ATTEMPTS):
        context = z3.Context()
        solver = z3.Solver(ctx=context)
        solver.set("rlimit", steps)
        solver.set("random_seed", seed + attempt)
        solver.add(*(formula.translate(context) for formula in formulas))
        solver.set("mbqi", False)
        if solver.check() == z3.unsat:
            return True
    return False


def smt_lib(formulas: Iterable[Any]) -> str:
    """Return the same question as SMT-LIB 2 text, for any other solver."""
    solver = z3.Solver()
    solver.add(*formulas)
    return f"(set-logic ALL)\n{solver.to_smt2()}"


def ask_cvc5(text: str, steps: int = CVC5_STEPS, seed: int = SEED, **options: str) -> str:
    """Return cvc5's verdict on an SMT-LIB 2 text: ``unsat``, ``sat`` or ``unknown``."""
    solver = cvc5.Solver(cvc5.TermManager())
    settings = {"rlimit": str(steps), "seed": str(seed), "fresh_binders": "true"}
    for name, value in (settings | options).items():
        solver.setOption(name.replace("_", "-"), value)
    parser = cvc5.InputParser(solver)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, text, "obligation")
    symbols = parser.getSymbolManager()
    verdict = UNKNOWN
    while True:
        command = parser.nextCommand()
        if command.isNull():
            return verdict
        told = str(command.invoke(solver, symbols)).strip()
        if told in (PROVED, REFUTED, UNKNOWN):
            verdict = told


def confirm(text: str, seed: int = SEED) -> str:
    """Return cvc5's verdict on a proof: first by its patterns alone, then by trying all terms."""
    verdict = ask_cvc5(text, seed=seed)
    return ask_cvc5(text, seed=seed, full_saturate_quant="true") if verdict == UNKNOWN else verdict
