"""Threshold arithmetic for every n: linear integer questions over Venn regions, two solvers.

A statement about sets of peers ("two quorums share a correct peer") depends on nothing but the
sizes of the regions that the sets cut the population into. Each region becomes a whole number not
below zero; the statement is proved when no choice of numbers, of any size, breaks it. That is
exact: nothing is abstracted.

:data:`CLAIMS` are the statements that the protocol rests on, beside those that must fail.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from functools import cache, reduce
from typing import Any

import z3
from attrs import field, frozen

from model_checks.engines.provers import PROVED, REFUTED, ask_cvc5, ask_z3, smt_lib
from spec.language.declarations import SpecError
from spec.language.ir import INT, Arithmetic, Constant, Literal, Node


@frozen
class Linear:
    """A number: a constant plus multiples of N, T and F, in one normal form."""

    constant: int = 0
    multiples: tuple[tuple[str, int], ...] = ()

    def plus(self, other: Linear, sign: int = 1) -> Linear:
        """Return the sum, or with ``sign=-1`` the difference."""
        multiples = dict(self.multiples)
        for name, times in other.multiples:
            multiples[name] = multiples.get(name, 0) + sign * times
        kept = tuple(sorted((name, times) for name, times in multiples.items() if times))
        return Linear(self.constant + sign * other.constant, kept)

    def term(self) -> Any:
        """Return the z3 term."""
        return total(times * z3.Int(name) for name, times in self.multiples) + self.constant

    def value(self, constants: Mapping[str, int]) -> int:
        """Return the number for given constants."""
        return self.constant + sum(times * constants[name] for name, times in self.multiples)

    def __str__(self) -> str:
        signs = {1: "+", -1: "-"}
        parts = [f"{signs.get(times, f'{times:+d}')}{name}" for name, times in self.multiples]
        if self.constant or not parts:
            parts.append(f"{self.constant:+d}")
        return "".join(parts).removeprefix("+")


ONE = Linear(1)


def total(terms: Iterable[Any]) -> Any:
    """Return the sum of z3 terms (z3's own writes sums of one, which cvc5 refuses)."""
    return reduce(lambda one, other: one + other, terms, z3.IntVal(0))


def linear(node: Node) -> Linear:
    """Return the normal form of a term without counts; raises :class:`SpecError` on others."""
    match node:
        case Literal(type=kind, value=int() as number) if kind == INT:
            return Linear(number)
        case Constant(name=name):
            return Linear(0, ((name, 1),))
        case Arithmetic(operator=operator, left=left, right=right):
            return linear(left).plus(linear(right), 1 if operator == "+" else -1)
    raise SpecError(f"{type(node).__name__} is not a sum of numbers and constants")


def safe_sign_1() -> tuple[Any, ...]:
    """SAFE-SIGN 1 as ``spec.parameters.quorum_fault`` checks it, and nothing more."""
    n, t, f = _constants()
    return (n >= 1, t >= 1, t <= n, f >= 0, 2 * t - n > f, n - f >= t)


def constants_known() -> tuple[Any, ...]:
    """What is known of the constants of a network: SAFE-SIGN 1, and R as ``refund_quorum``."""
    n, t, f = _constants()
    return (*safe_sign_1(), z3.Int("R") == n - t + 1 + f)


def derived_constants() -> tuple[Any, ...]:
    """``t`` and ``f`` as ``spec.parameters.threshold`` and ``faults_tolerated`` compute them."""
    n, t, f = _constants()
    least = z3.If(2 * t - n - 1 < n - t, 2 * t - n - 1, n - t)
    return (n >= 1, *_floor_of_two_thirds(t - 1), f == z3.If(least > 0, least, 0))


def _constants() -> tuple[Any, ...]:
    return tuple(z3.Int(name) for name in ("N", "T", "F"))


def _floor_of_two_thirds(term: Any) -> tuple[Any, ...]:
    n = z3.Int("N")
    return (3 * term <= 2 * n, 2 * n < 3 * term + 3)


class Venn:
    """The regions that named sets cut a population of N into."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.regions = {
            key: z3.Int("region_" + "".join(map(str, key)))
            for key in itertools.product((0, 1), repeat=len(names))
        }

    def facts(self) -> tuple[Any, ...]:
        """Regions hold zero or more peers, N together."""
        sizes = self.regions.values()
        return (*(size >= 0 for size in sizes), total(sizes) == z3.Int("N"))

    def size(self, inside: str, outside: str = "") -> Any:
        """Return how many peers lie in all sets of ``inside`` and none of ``outside``."""
        wanted = dict.fromkeys(inside.split(), 1) | dict.fromkeys(outside.split(), 0)
        places = {self.names.index(name): bit for name, bit in wanted.items()}
        return total(
            region
            for key, region in self.regions.items()
            if all(key[place] == bit for place, bit in places.items())
        )


@cache
def always(sizes: tuple[Linear, ...], claim: str, least: Linear) -> bool:
    """Return whether SAFE-SIGN 1 gives, for sets of at least ``sizes`` among N peers, the claim.

    ``claim`` is ``shared`` (the sets have ``least`` peers in common), ``exists`` (a set of
    ``least`` exists among N) or ``at_least`` (without a population: every size of ``sizes`` is
    not below ``least``). Both solvers must agree; otherwise the answer is no.
    """
    names = "ABCDEFGH"[: len(sizes)]
    venn = Venn(*names)
    facts = [*constants_known()]
    if claim == "shared":
        facts += venn.facts()
        facts += [venn.size(name) >= size.term() for name, size in zip(names, sizes, strict=True)]
        conclusion = venn.size(" ".join(names)) >= least.term()
    elif claim == "exists":
        conclusion = z3.Int("N") >= least.term()
    else:
        conclusion = z3.And([size.term() >= least.term() for size in sizes])
    return decide((*facts, z3.Not(conclusion))) == PROVED


def decide(formulas: Iterable[Any]) -> str:
    """Return the verdict of both solvers on a question, or say that they disagree."""
    formulas = tuple(formulas)
    first = ask_z3(formulas).verdict
    second = ask_cvc5(smt_lib(formulas))
    return first if first == second else f"z3: {first}, cvc5: {second}"


@frozen
class Claim:
    """A statement about the numbers; ``holds`` is what must come out."""

    name: str
    doc: str
    holds: bool
    counterexample_to: Callable[[], tuple[Any, ...]] = field(repr=False)

    def verdict(self) -> str:
        """Return ``unsat`` (no counterexample: proved) or ``sat`` (refuted)."""
        return decide(self.counterexample_to())

    def as_expected(self) -> bool:
        """Return whether both solvers say what is expected."""
        return self.verdict() == (PROVED if self.holds else REFUTED)

    def numbers(self) -> dict[str, int]:
        """Return the smallest n at which the statement fails, with t and f; {} when it holds."""
        formulas = self.counterexample_to()
        for holders in range(1, 16):
            answer = ask_z3((*formulas, z3.Int("N") == holders))
            if answer.verdict == REFUTED:
                return {
                    name: answer.model.eval(z3.Int(name), True).as_long()
                    for name in ("N", "T", "F")
                }
        return {}


def _two_signers(*numbers: Any) -> tuple[Any, ...]:
    """Two signing sets, no correct peer in both."""
    venn = Venn("A", "B", "L")
    t, f = z3.Ints("T F")
    return (
        *numbers,
        *venn.facts(),
        venn.size("A") >= t,
        venn.size("B") >= t,
        venn.size("L") <= f,
        venn.size("A B", "L") == 0,
    )


def _bad_constants() -> tuple[Any, ...]:
    return (*derived_constants(), z3.Not(z3.And(safe_sign_1())))


def _not_all_others() -> tuple[Any, ...]:
    n, t, f = _constants()
    return (*derived_constants(), t + f != n)


def _correct_cannot_sign() -> tuple[Any, ...]:
    venn = Venn("L")
    t, f = z3.Ints("T F")
    return (*safe_sign_1(), *venn.facts(), venn.size("L") <= f, venn.size("", "L") < t)


def _all_liars() -> tuple[Any, ...]:
    venn = Venn("A", "L")
    t, f = z3.Ints("T F")
    return (
        *safe_sign_1(),
        *venn.facts(),
        venn.size("A") >= t,
        venn.size("L") <= f,
        venn.size("A", "L") == 0,
    )


def _half() -> tuple[Any, ...]:
    n, t, f = _constants()
    return _two_signers(n >= 1, t >= 1, t <= n, f >= 0, n - f >= t, 2 * t <= n)


def _no_plus_one() -> tuple[Any, ...]:
    n, t, f = _constants()
    return _two_signers(n >= 1, t >= 1, f >= 0, 3 * f < n, *_floor_of_two_thirds(t))


def _third() -> tuple[Any, ...]:
    n, t, f = _constants()
    return _two_signers(n >= 1, f >= 0, 3 * f < n, *_floor_of_two_thirds(t - 1))


def _refund(fewer: int) -> Callable[[], tuple[Any, ...]]:
    """A payout can be signed, and r peers swear that they never released: no liar caught."""

    def question() -> tuple[Any, ...]:
        venn = Venn("A", "R", "L")
        n, t, f = _constants()
        return (
            *safe_sign_1(),
            *venn.facts(),
            venn.size("A") >= t,
            venn.size("R") >= n - t + 1 + f - fewer,
            venn.size("L") <= f,
            venn.size("A R", "L") == 0,
        )

    return question


def _handover() -> tuple[Any, ...]:
    """Some digest can be signed, and t old members hand over locks: no correct one knows it."""
    return _two_signers(*safe_sign_1())


def _todays_numbers() -> tuple[Any, ...]:
    """Of 7, 5, 2 five signed A; with 4, 3, 1 as many as three of them vote for B afterwards."""
    venn = Venn("A", "B", "L")
    n, t, f = _constants()
    return (
        *venn.facts(),
        n == 7,
        t == 5,
        f == 2,
        venn.size("A") >= t,
        venn.size("B") >= 3,
        venn.size("L") <= f,
        venn.size("A B", "L") == 0,
    )


def _activation() -> tuple[Any, ...]:
    venn = Venn("A", "L")
    t, f = z3.Ints("T F")
    return (
        *safe_sign_1(),
        *venn.facts(),
        venn.size("A") >= t + f,
        venn.size("L") <= f,
        venn.size("A", "L") < t,
    )


CLAIMS = (
    Claim(
        "ConstantsAreSafe", "t = floor(2n/3)+1 with f = faults_tolerated meets SAFE-SIGN 1", True,
        _bad_constants,
    ),
    Claim(
        "TAndFMakeN", "t + f = n, so an activation by t + f waits for every member", True,
        _not_all_others,
    ),
    Claim(
        "QuorumsShareACorrectPeer", "SAFE-SIGN 1: two sets of t share a correct peer", True,
        lambda: _two_signers(*safe_sign_1()),
    ),
    Claim(
        "AnyThirdOfLiars", "t = floor(2n/3)+1 and 3f < n: two sets of t share a correct peer", True,
        _third,
    ),
    Claim("QuorumHoldsACorrectPeer", "t peers are never all liars", True, _all_liars),
    Claim("CorrectPeersSuffice", "the correct peers alone are t", True, _correct_cannot_sign),
    Claim(
        "RefundExcludesPayout", "F-16: n − t + 1 + f that never released leave no set of t", True,
        _refund(0),
    ),
    Claim(
        "HandoverKeepsLocks", "F-24: t old members know every lock behind a possible signature",
        True, _handover,
    ),
    Claim(
        "ActivationKeepsKey", "F-25: t + f acknowledgements hold t shares of correct peers", True,
        _activation,
    ),
    Claim("HalfIsEnough", "F-01: t ≤ n/2", False, _half),
    Claim("FloorWithoutPlusOne", "t = floor(2n/3)", False, _no_plus_one),
    Claim("RefundByOneFewer", "F-16 with n − t + f", False, _refund(1)),
    Claim(
        "VotesByTodaysNumbers",
        "F-39: 3 votes of 7/5/2, after 4/3/1 has come, rule out that 5 signed something else",
        False,
        _todays_numbers,
    ),
)
