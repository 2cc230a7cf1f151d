"""Thresholds in their normal form, and axioms that every real family of quorums obeys."""

from __future__ import annotations

import itertools

import pytest
import z3

from model_checks.engines.arithmetic import ONE, Linear
from model_checks.engines.provers import PROVED, ask_z3
from model_checks.engines.quorums import Quorums, canonical, threshold
from model_checks.system import Network, Property, close
from spec.language.declarations import Cell, SpecError
from spec.language.ir import Compare, Node, Not, Quantified
from spec.parameters import faults_tolerated, refund_quorum
from spec.parameters import threshold as shares_of

T, F, R = (Linear(0, ((name, 1),)) for name in "TFR")


def compared(text: str) -> Compare:
    """Return a comparison, parsed."""
    network = Network(
        name="one formula",
        doc="-",
        honest="",
        crash=False,
        cells=(Cell("busy", "bool", ("Peer", "Digest"), "False", "memory", "-"),),
        properties=(Property("asked", f"all({text} for d in Digest)"),),
    )
    node: Node = close(network).properties[0].formula
    while isinstance(node, Quantified | Not):
        node = node.body
    if not isinstance(node, Compare):
        raise TypeError(text)
    return node


COUNT = "count(p for p in Peer if busy[p, d])"


@pytest.mark.parametrize(
    ("text", "least", "negated"),
    [
        (f"{COUNT} >= T", T, False),
        (f"{COUNT} + F >= T", T.plus(F, -1), False),
        (f"{COUNT} >= T - F", T.plus(F, -1), False),
        (f"{COUNT} > F", F.plus(ONE), False),
        (f"{COUNT} <= F", F.plus(ONE), True),
        (f"{COUNT} < T", T, True),
        (f"T <= {COUNT}", T, False),
        (f"T - {COUNT} <= F", T.plus(F, -1), False),
        (f"T > {COUNT} + F", T.plus(F, -1), True),
        (f"{COUNT} >= 3", Linear(3), False),
    ],
)
def test_the_normal_form_of_a_threshold(text: str, least: Linear, negated: bool) -> None:
    """Catches a threshold that is off by one, or turned around."""
    found = threshold(compared(text))
    assert found is not None
    assert (found.least, found.negated) == (least, negated)


def test_numbers_alone_are_no_threshold_and_two_counts_are_refused() -> None:
    """Catches a comparison of two counts that is read as something else."""
    assert threshold(compared("T > F")) is None
    with pytest.raises(SpecError, match="two counts"):
        threshold(compared(f"{COUNT} >= {COUNT}"))


def test_names_of_variables_do_not_matter() -> None:
    """Catches one threshold that gets two names, so that a proof about one says nothing of both."""
    found = [
        threshold(compared(f"count({name} for {name} in Peer if busy[{name}, d]) >= T"))
        for name in ("p", "q")
    ]
    (one, free), (other, _) = (canonical(one) for one in found if one is not None)
    assert one == other
    assert len(free) == 1


@pytest.mark.parametrize("holders", [1, 2, 3, 4])
def test_every_real_family_of_quorums_obeys_the_axioms(holders: int) -> None:
    """Catches an axiom that is false of some network: it would prove anything there."""
    peer = z3.DeclareSort("Peer")
    quorums = Quorums({"Peer": peer})
    sizes = (T, T.plus(F, -1), F.plus(ONE), R)
    numbers = {"N": holders, "T": shares_of(holders), "F": faults_tolerated(holders)}
    numbers["R"] = refund_quorum(numbers["N"], numbers["T"], numbers["F"])
    facts = []
    peers = [z3.Const(f"peer {k}", peer) for k in range(holders)]
    facts += closed(peer, peers)
    for size in sizes:
        family = quorums.family("Peer", size)
        least = size.value(numbers)
        sets = [
            members
            for count in range(least, holders + 1)
            for members in itertools.combinations(range(holders), count)
        ]
        named = [z3.Const(f"{size} is {members}", family.sort) for members in sets or [()]]
        facts += closed(family.sort, named)
        if size == T:
            quorums_of_t = named
        for quorum, members in zip(named, sets, strict=False):
            facts.append(family.is_quorum(quorum))
            facts += [family.contains(p, quorum) == (k in members) for k, p in enumerate(peers)]
        if not sets:
            facts.append(z3.Not(family.is_quorum(named[0])))
    axioms = quorums.axioms()
    assert [axiom.text for axiom in axioms if "share" in axiom.text] == [
        "a set of -F+T and a set of R share 1",
        "a set of -F+T and a set of T share 1",
        "a set of R and a set of T share F+1",
        "a set of T and a set of T share F+1",
    ]
    for axiom in axioms:
        assert ask_z3([*facts, axiom.formula]).verdict == "sat", axiom.text
    shares = [quorums.family("Peer", T).contains(p, q) for p in peers for q in quorums_of_t]
    assert ask_z3([*facts, z3.Not(z3.Or(shares))]).verdict == PROVED, "the facts say nothing"


def closed(sort: object, individuals: list[object]) -> list[object]:
    """Return: the sort has these individuals, all different, and no others."""
    one = z3.Const("any", sort)
    return [z3.Distinct(*individuals), z3.ForAll([one], z3.Or([one == i for i in individuals]))]
