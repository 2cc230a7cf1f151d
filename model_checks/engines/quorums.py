"""Counting without numbers: ``count(x for x in S if φ) >= e`` for every size of S at once.

**Reading.** For each size ``e`` that a system compares a count with (T, T − F, F + 1, ...) there is
a sort of *quorums*, with a relation "x is in Q". The comparison reads "some e-quorum lies inside φ".
In a finite system, take for the e-quorums all subsets of S with at least e elements: then the
reading is exact, in both directions.

**What is lost, and why that is sound.** A prover does not know that the e-quorums are all large
subsets; it may choose any family that obeys the axioms below. Every finite system obeys them, so
every behaviour of every finite system is among those that the prover considers, and what is
impossible for it never happens. The opposite is not claimed: it may find a step that no real
system has, when the axioms are too weak. Then a proof fails; nothing false is proved.

**Axioms**, made from the sizes that occur, each justified for every N, T and F within SAFE-SIGN 1 by
a linear question about Venn regions (:func:`model_checks.engines.arithmetic.always`):

* overlap: of an e-quorum and a g-quorum, the common part holds an h-quorum (or a peer, h = 1);
* inclusion: an e-quorum holds an h-quorum when e ≥ h;
* existence: there is an e-quorum when e ≤ N. Where this is not known, a truth value stands for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import z3
from attrs import define, field, frozen

from model_checks.engines.arithmetic import ONE, Linear, always, linear
from spec.ir import INT, Arithmetic, Compare, Node, Quantified
from spec.language import SpecError

POPULATION = {"Peer": "N"}
"""The constant that says how many individuals a sort has; of other sorts nothing is known."""

_ZERO = Linear()


@frozen
class Threshold:
    """``count(variable in sort: body) >= least``, or its negation."""

    counted: Quantified
    least: Linear
    negated: bool


def threshold(node: Compare) -> Threshold | None:
    """Return the normal form of a comparison of numbers, or None when it counts nothing.

    Raises :class:`SpecError` when it compares two counts with each other: no quorum reading.
    """
    counts: list[tuple[int, Quantified]] = []
    rest = _split(node.left, 1, counts).plus(_split(node.right, -1, counts))
    if not counts:
        return None
    if len(counts) > 1:
        raise SpecError("two counts in one comparison have no meaning for every n")
    sign, counted = counts[0]
    operator = node.operator
    bound = _ZERO.plus(rest, -1)
    if sign < 0:
        operator = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}[operator]
        bound = rest
    least = bound.plus(ONE) if operator in (">", "<=") else bound
    return Threshold(counted, least, operator in ("<", "<="))


def _split(node: Node, sign: int, counts: list[tuple[int, Quantified]]) -> Linear:
    """Return the part without counts, times ``sign``; put the counts on the list."""
    match node:
        case Quantified(kind="count"):
            counts.append((sign, node))
            return _ZERO
        case Arithmetic(operator=operator, left=left, right=right) if node.type == INT:
            other = sign if operator == "+" else -sign
            return _split(left, sign, counts).plus(_split(right, other, counts))
    return _ZERO.plus(linear(node), sign)


@frozen
class Family:
    """The quorums of one size within one sort; ``exists`` says whether there is one at all."""

    individuals: str
    least: Linear
    sort: Any
    contains: Any
    exists: Any


@frozen
class Axiom:
    """A fact about quorums, in words and as a formula."""

    text: str
    formula: Any


@define
class Quorums:
    """The quorum families that formulas ask for, and the axioms that hold among them."""

    sorts: Mapping[str, Any]
    families: dict[tuple[str, Linear], Family] = field(factory=dict)

    def at_least(self, sort: str, least: Linear, inside: Callable[[Any], Any]) -> Any:
        """Return the formula: at least ``least`` individuals satisfy ``inside``."""
        if not least.multiples and least.constant <= 0:
            return z3.BoolVal(True)
        individual = z3.Const(f"{sort} in a quorum", self.sorts[sort])
        if least == ONE:
            return z3.Exists([individual], inside(individual))
        family = self.family(sort, least)
        quorum = z3.Const(f"some {least}", family.sort)
        within = z3.Implies(family.contains(individual, quorum), inside(individual))
        some = z3.Exists([quorum], z3.ForAll([individual], within))
        return z3.And(family.exists, some)

    def family(self, sort: str, least: Linear) -> Family:
        """Return the quorums of this size, declared at the first call."""
        if (sort, least) not in self.families:
            quorum = z3.DeclareSort(f"Quorum_{least}_of_{sort}")
            contains = z3.Function(f"in_{least}_of_{sort}", self.sorts[sort], quorum, z3.BoolSort())
            known = sort in POPULATION and always((), "exists", least)
            exists = z3.BoolVal(True) if known else z3.Bool(f"some_{least}_of_{sort}")
            self.families[sort, least] = Family(sort, least, quorum, contains, exists)
        return self.families[sort, least]

    def axioms(self) -> tuple[Axiom, ...]:
        """Return the axioms among the families so far; each has passed its linear question."""
        families = sorted(self.families.values(), key=lambda f: (f.individuals, str(f.least)))
        found: list[Axiom] = []
        for place, one in enumerate(families):
            found += self._inclusions(one, families)
            for other in families[place:]:
                if one.individuals == other.individuals and one.individuals in POPULATION:
                    found += self._overlaps(one, other, families)
        return tuple(found)

    def _inclusions(self, one: Family, families: list[Family]) -> Iterator[Axiom]:
        larger = z3.Const("larger", one.sort)
        individual = z3.Const("member", self.sorts[one.individuals])
        if always((one.least,), "at_least", ONE):
            body = z3.Exists([individual], one.contains(individual, larger))
            yield self._axiom(f"a set of {one.least} is not empty", (one,), [larger], body)
        for other in families:
            same = other.individuals != one.individuals or other.least == one.least
            if same or not _not_below(one.least, other.least):
                continue
            smaller = z3.Const("smaller", other.sort)
            within = z3.Implies(
                other.contains(individual, smaller), one.contains(individual, larger)
            )
            body = z3.Exists([smaller], z3.ForAll([individual], within))
            text = f"a set of {one.least} holds one of {other.least}"
            yield self._axiom(text, (one,), [larger], z3.And(other.exists, body))

    def _overlaps(self, one: Family, other: Family, families: list[Family]) -> Iterator[Axiom]:
        sizes = (one.least, other.least)
        targets = [ONE, *(f.least for f in families if f.individuals == one.individuals)]
        proved = [size for size in dict.fromkeys(targets) if always(sizes, "shared", size)]
        strongest = [
            size
            for size in proved
            if not any(_not_below(bigger, size) for bigger in proved if bigger != size)
        ]
        first, second = z3.Const("first", one.sort), z3.Const("second", other.sort)
        individual = z3.Const("member", self.sorts[one.individuals])
        both = z3.And(one.contains(individual, first), other.contains(individual, second))
        for size in strongest:
            if size == ONE:
                body = z3.Exists([individual], both)
            else:
                family = self.family(one.individuals, size)
                part = z3.Const("part", family.sort)
                within = z3.Implies(family.contains(individual, part), both)
                body = z3.And(family.exists, z3.Exists([part], z3.ForAll([individual], within)))
            text = f"a set of {one.least} and a set of {other.least} share {size}"
            yield self._axiom(text, (one, other), [first, second], body)

    def _axiom(self, text: str, given: tuple[Family, ...], bound: list[Any], body: Any) -> Axiom:
        exist = z3.And([family.exists for family in given])
        return Axiom(text, z3.Implies(exist, z3.ForAll(bound, body)))


def _not_below(one: Linear, other: Linear) -> bool:
    return always((one.plus(other, -1),), "at_least", _ZERO)
