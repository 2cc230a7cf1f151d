"""Threshold arithmetic agrees with the functions that the node calls, and refutes what is wrong."""

from __future__ import annotations

import pytest

from model_checks.engines.arithmetic import CLAIMS, ONE, Claim, Linear, always, linear
from spec.language.declarations import SpecError
from spec.language.ir import BOOL, INT, Arithmetic, Constant, Literal
from spec.parameters import faults_tolerated, quorum_fault, refund_quorum, threshold

T, F, N, R = (Linear(0, ((name, 1),)) for name in "TFNR")


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_both_solvers_say_what_is_expected(claim: Claim) -> None:
    """Catches a wrong inequality, and a claim that would hold of anything."""
    assert claim.as_expected(), claim.verdict()


def test_the_claims_include_ones_that_fail() -> None:
    """Catches a table of claims without negative controls."""
    assert [claim.name for claim in CLAIMS if not claim.holds] == [
        "HalfIsEnough",
        "FloorWithoutPlusOne",
        "RefundByOneFewer",
        "VotesByTodaysNumbers",
    ]
    assert all(claim.numbers() for claim in CLAIMS if not claim.holds)


def test_a_refuted_claim_gives_numbers_that_break_it() -> None:
    """Catches a counterexample that is none: t ≤ n/2 must be refused by the node as well."""
    half = next(claim for claim in CLAIMS if claim.name == "HalfIsEnough")
    numbers = half.numbers()
    assert (numbers["N"], numbers["T"]) == (2, 1)
    assert "two sets could sign twice" in (quorum_fault(*numbers.values()) or "")


@pytest.mark.parametrize("holders", range(1, 60))
def test_the_proved_constants_are_those_of_the_node(holders: int) -> None:
    """Catches arithmetic that is proved about other functions than the node calls."""
    shares, faulty = threshold(holders), faults_tolerated(holders)
    assert 3 * (shares - 1) <= 2 * holders < 3 * shares
    assert quorum_fault(holders, shares, faulty) is None
    assert shares + faulty == holders
    numbers = {"N": holders, "T": shares, "F": faulty}
    assert N.plus(T, -1).plus(ONE).plus(F).value(numbers) == refund_quorum(holders, shares, faulty)


def test_normal_forms() -> None:
    """Catches a size that is written in two ways and taken for two sizes."""
    term = Arithmetic(
        INT,
        "-",
        Arithmetic(INT, "+", Constant(INT, "T"), Literal(INT, 2)),
        Arithmetic(INT, "+", Constant(INT, "F"), Literal(INT, 2)),
    )
    assert linear(term) == T.plus(F, -1)
    assert str(T.plus(F, -1).plus(ONE)) == "-F+T+1"
    assert str(Linear()) == "0"
    with pytest.raises(SpecError, match="not a sum"):
        linear(Literal(BOOL, True))


@pytest.mark.parametrize(
    ("sizes", "claim", "least", "expected"),
    [
        ((T, T), "shared", F.plus(ONE), True),
        ((T, T), "shared", F.plus(ONE).plus(ONE), False),
        ((T, T.plus(F, -1)), "shared", ONE, True),
        ((T.plus(F, -1), T.plus(F, -1)), "shared", ONE, False),
        ((R, T), "shared", F.plus(ONE), True),
        ((R.plus(ONE, -1), T), "shared", F.plus(ONE), False),
        ((T.plus(F, -1),), "at_least", ONE, True),
        ((F,), "at_least", ONE, False),
    ],
)
def test_what_sets_of_these_sizes_share(
    sizes: tuple[Linear, ...], claim: str, least: Linear, expected: bool
) -> None:
    """Catches an axiom about quorums that is too strong by one, and one that is lost."""
    assert always(sizes, claim, least) is expected
