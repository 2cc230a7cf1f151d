"""Counting without numbers: ``count(x for x in S if φ) >= e`` for every size of S at once.

**Reading.** For each size ``e`` that a system compares a count with (T, T − F, F + 1, ...) there is
a sort of *quorums*, with the relations "Q is an e-quorum" and "x is in Q". The comparison reads
"some e-quorum lies inside φ". In a finite system, take for the e-quorums all subsets of S with at
least e elements: then the reading is exact, in both directions.

**What is lost, and why that is sound.** A prover does not know that the e-quorums are all large
subsets; it may choose any family that obeys the axioms below. Every finite system obeys them, so
every behaviour of every finite system is among those that the prover considers, and what is
impossible for it never happens. The opposite is not claimed: it may find a step that no real
system has, when the axioms are too weak. Then a proof fails; nothing false is proved.

**Axioms**, made from the sizes that occur, each justified for every N, T and F within SAFE-SIGN 1
by a linear question about Venn regions (:func:`model_checks.engines.arithmetic.always`):

* an e-quorum is not empty, when e ≥ 1;
* an e-quorum and a g-quorum share an h-quorum, or at least a peer: the largest h that occurs.

A size that is a small number needs no quorum: "two are in φ" reads "x and y that differ are in φ".

**Populations.** Where peers are not one population but one for each epoch, a count is of members of
one of them: ``count(q for q in Peer if roster_has[q, h] and φ)``. "Q is an e-quorum of h" has h
as an argument, all in Q are members of h, and the axioms are about quorums of the same h: N, T and
F are numbers of h, and each population has its own.

**For the provers' sake** a count over the state before a step has a name: a predicate that holds
exactly when there is such a quorum, with a function that picks one, and a function that picks, from
each quorum, somebody outside φ when there is none. This adds no assumption. Patterns say when an
axiom is of use, so that both solvers find the same few instances.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import z3
from attrs import define, evolve, field, frozen

from model_checks.engines.arithmetic import ONE, Linear, always, linear
from model_checks.substitution import rebuild
from spec.language.declarations import SpecError
from spec.language.ir import INT, And, Arithmetic, Compare, Node, Quantified, Read, Variable

POPULATION = {"Peer": "N"}
"""The constant that says how many individuals a sort has; of other sorts nothing is known."""

EXACT = 4
"""Up to so many individuals are counted exactly: there are two of them where two differ."""

Predicate = Callable[[Any], Any]

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
    """The quorums of one size within one sort, or within each population of a cell."""

    individuals: str
    least: Linear
    sort: Any
    is_quorum: Any
    contains: Any
    population: str = ""
    of: tuple[Any, ...] = ()
    """A constant for each index of the population."""

    def is_one(self, quorum: Any, of: tuple[Any, ...] | None = None) -> Any:
        """Return: this is a quorum, of the population with these indices."""
        return self.is_quorum(quorum, *(self.of if of is None else of))


@frozen
class Members:
    """Whose members a count is of: the cell, and the terms of its index."""

    population: str
    index: tuple[Node, ...]


def members_of(counted: Quantified, populations: Collection[str]) -> Members | None:
    """Return the population that a count is of, which its body names first."""
    parts = counted.body.parts if isinstance(counted.body, And) else (counted.body,)
    first = parts[0]
    if isinstance(first, Read) and first.cell in populations:
        one, *others = first.index
        if isinstance(one, Variable) and one.name == counted.variable:
            return Members(first.cell, tuple(others))
    return None


@frozen
class Axiom:
    """A fact about quorums, in words and as a formula."""

    text: str
    formula: Any


@frozen
class NamedCount:
    """A predicate that stands for a threshold, over the individuals that its body speaks of."""

    predicate: Any
    meaning: tuple[Any, ...]


def canonical(found: Threshold) -> tuple[Threshold, tuple[str, ...]]:
    """Return the threshold with its free variables called 0, 1, ... and what they were called.

    Two thresholds that differ in the names of variables only become equal.
    """
    free: list[str] = []

    def rename(node: Node, bound: Mapping[str, str]) -> Node:
        if isinstance(node, Variable):
            if node.name in bound:
                return evolve(node, name=bound[node.name])
            if node.name not in free:
                free.append(node.name)
            return evolve(node, name=str(free.index(node.name)))
        if isinstance(node, Quantified):
            name = f"bound {len(bound)}"
            inside = rename(node.body, {**bound, node.variable: name})
            return evolve(node, variable=name, body=inside)
        return rebuild(node, lambda child: rename(child, bound))

    counted = rename(found.counted, {})
    if not isinstance(counted, Quantified):
        raise SpecError("a count stays a count")
    return evolve(found, counted=counted, negated=False), tuple(free)


Place = tuple[Any, ...]
"""The terms that say which population is meant; none where there is one."""


@define
class Quorums:
    """The quorum families that formulas ask for, and the axioms that hold among them.

    ``populations`` maps a cell to its function: those who belong to which population, for good.
    """

    sorts: Mapping[str, Any]
    populations: Mapping[str, Any] = field(factory=dict)
    families: dict[tuple[str, Linear, str], Family] = field(factory=dict)
    named: dict[Threshold, NamedCount] = field(factory=dict)
    later: dict[Threshold, NamedCount] = field(factory=dict)
    """The counts in the state after the step that is looked at."""
    depth: int = 0
    """How many counts the formula that is being written stands in."""

    def family(self, sort: str, least: Linear, population: str = "") -> Family:
        """Return the quorums of this size, declared at the first call."""
        key = (sort, least, population)
        if key not in self.families:
            name = f"{least}_of_{population or sort}"
            of: Place = ()
            if population:
                member = self.populations[population]
                kinds = [member.domain(place) for place in range(1, member.arity())]
                of = tuple(z3.Const(f"of {place}", kind) for place, kind in enumerate(kinds))
            quorum = z3.DeclareSort(f"Quorum_{name}")
            indices = [term.sort() for term in of]
            is_quorum = z3.Function(f"is_{name}", quorum, *indices, z3.BoolSort())
            contains = z3.Function(f"in_{name}", self.sorts[sort], quorum, z3.BoolSort())
            self.families[key] = Family(sort, least, quorum, is_quorum, contains, population, of)
        return self.families[key]

    def at_least(
        self, sort: str, least: Linear, inside: Predicate, population: str = "", of: Place = ()
    ) -> Any:
        """Return the formula: at least ``least`` individuals satisfy ``inside``."""
        if not least.multiples and least.constant <= 0:
            return z3.BoolVal(True)
        exact = not least.multiples and least.constant <= (1 if population else EXACT)
        # A count inside a count speaks of the individual outside: its own has another name.
        nested, self.depth = f" {self.depth}" * bool(self.depth), self.depth + 1
        individuals = [
            z3.Const(f"member{f' {place}' * bool(place)} of {sort}{nested}", self.sorts[sort])
            for place in range(least.constant if exact else 1)
        ]
        bodies = [inside(one) for one in individuals]
        self.depth -= 1
        if exact:
            apart = [z3.Distinct(*individuals)] if len(individuals) > 1 else []
            return z3.Exists(individuals, z3.And(*apart, *bodies) if apart else bodies[0])
        family = self.family(sort, least, population)
        quorum = z3.Const(f"set of {least}", family.sort)
        within = z3.Implies(family.contains(individuals[0], quorum), bodies[0])
        return z3.Exists(
            [quorum], z3.And(family.is_one(quorum, of), z3.ForAll(individuals, within))
        )

    def name(
        self, found: Threshold, individuals: tuple[Any, ...], inside: Callable[..., Any],
        population: str = "", of: Callable[..., Place] = lambda *_: (), *, later: bool = False,
    ) -> Any:
        """Return a predicate that says the same as ``at_least``; ``found`` is canonical.

        ``individuals`` are what the free variables of ``found`` stand for; ``inside(x, *free)`` is
        the body of the count, ``of(*free)`` says which population it is of.
        """
        known = self.later if later else self.named
        if found not in known:
            family = self.family(found.counted.sort, found.least, population)
            sorts = [term.sort() for term in individuals]
            name = f"{'later_' if later else ''}{len(known)}"
            known[found] = self._named(name, family, sorts, inside, of)
        return known[found].predicate(*individuals)

    def _named(
        self, number: str, family: Family, sorts: list[Any], inside: Callable[..., Any],
        of: Callable[..., Place],
    ) -> NamedCount:
        member = self.sorts[family.individuals]
        enough = z3.Function(f"enough_{number}", *sorts, z3.BoolSort())
        pick = z3.Function(f"quorum_{number}", *sorts, family.sort)
        outsider = z3.Function(f"outsider_{number}", *sorts, family.sort, member)
        free = [z3.Const(f"free {place}", sort) for place, sort in enumerate(sorts)]
        one, quorum = z3.Const("one", member), z3.Const("quorum", family.sort)
        picked, out = pick(*free), outsider(*free, quorum)
        is_in, place = family.contains(one, picked), of(*free)
        meaning = (
            for_all(free, z3.Implies(enough(*free), family.is_one(picked, place)), enough(*free)),
            for_all(
                [*free, one], z3.Implies(z3.And(enough(*free), is_in), inside(one, *free)), is_in
            ),
            for_all(
                [*free, quorum],
                z3.Implies(
                    z3.And(family.is_one(quorum, place), z3.Not(enough(*free))),
                    z3.And(family.contains(out, quorum), z3.Not(inside(out, *free))),
                ),
                *([enough(*free)] if any(not _is_in(term, place) for term in free) else []),
                family.is_one(quorum, place),
            ),
        )
        return NamedCount(enough, meaning)

    def meanings(self) -> tuple[Any, ...]:
        """Return what the named counts mean."""
        counts = (*self.named.values(), *self.later.values())
        return tuple(formula for count in counts for formula in count.meaning)

    def axioms(self) -> tuple[Axiom, ...]:
        """Return the axioms among the families so far; each has passed its linear question."""
        families = sorted(
            self.families.values(), key=lambda f: (f.individuals, f.population, str(f.least))
        )
        found: list[Axiom] = []
        for place, one in enumerate(families):
            if one.population:
                found.append(self._within(one))
            if always((one.least,), "at_least", ONE):
                found.append(self._not_empty(one))
            for other in families[place:]:
                if self._are_of_one_population(one, other):
                    found += self._overlaps(one, other, families)
        return tuple(found)

    def _are_of_one_population(self, one: Family, other: Family) -> bool:
        """Return whether N says how many there are of whom both are sets."""
        known = one.population or (not self.populations and one.individuals in POPULATION)
        same = (one.individuals, one.population) == (other.individuals, other.population)
        return bool(known and same)

    def _within(self, one: Family) -> Axiom:
        quorum = z3.Const("quorum", one.sort)
        member = z3.Const("member", self.sorts[one.individuals])
        inside = (one.is_one(quorum), one.contains(member, quorum))
        body = z3.Implies(z3.And(inside), self.populations[one.population](member, *one.of))
        text = f"a set of {one.least} in {one.population} has members of it only"
        return Axiom(text, for_all([quorum, member, *one.of], body, *inside))

    def _not_empty(self, one: Family) -> Axiom:
        quorum = z3.Const("quorum", one.sort)
        sorts = [term.sort() for term in one.of]
        name = f"a_member_{one.least}{'_of_' if one.population else ''}{one.population}"
        member = z3.Function(name, one.sort, *sorts, self.sorts[one.individuals])
        is_quorum = one.is_one(quorum)
        body = z3.Implies(is_quorum, one.contains(member(quorum, *one.of), quorum))
        text = f"a set of {one.least} is not empty"
        return Axiom(text, for_all([quorum, *one.of], body, is_quorum))

    def _overlaps(self, one: Family, other: Family, families: list[Family]) -> Iterator[Axiom]:
        sizes = (one.least, other.least)
        alike = (f for f in families if self._are_of_one_population(one, f))
        targets = [ONE, *(f.least for f in alike)]
        proved = [size for size in dict.fromkeys(targets) if always(sizes, "shared", size)]
        for size in proved:
            if not any(_not_below(bigger, size) for bigger in proved if bigger != size):
                where = f" of one {one.population}" if one.population else ""
                text = f"a set of {one.least} and a set of {other.least}{where} share {size}"
                yield Axiom(text, self._overlap(one, other, size))

    def _overlap(self, one: Family, other: Family, size: Linear) -> Any:
        first, second = z3.Const("first", one.sort), z3.Const("second", other.sort)
        quorums = (one.is_one(first), other.is_one(second, one.of))
        where = f"_in_{one.population}" if one.population else ""
        name = f"shared_{size}_of_{one.least}_and_{other.least}{where}"
        member = self.sorts[one.individuals]
        bound = [first, second, *one.of]
        sorts = [term.sort() for term in bound]

        def in_both(peer: Any) -> Any:
            return z3.And(one.contains(peer, first), other.contains(peer, second))

        if size == ONE:
            peer = z3.Function(name, *sorts, member)(*bound)
            return for_all(bound, z3.Implies(z3.And(quorums), in_both(peer)), *quorums)
        family = self.family(one.individuals, size, one.population)
        part = z3.Function(name, *sorts, family.sort)(*bound)
        peer = z3.Const("peer", member)
        is_in = family.contains(peer, part)
        return z3.And(
            for_all(bound, z3.Implies(z3.And(quorums), family.is_one(part, one.of)), *quorums),
            for_all([*bound, peer], z3.Implies(z3.And(*quorums, is_in), in_both(peer)), is_in),
        )


def for_all(bound: list[Any], body: Any, *pattern: Any) -> Any:
    """Return the quantified formula, to be used where terms like all of ``pattern`` occur."""
    if not bound:
        return body
    patterns = [z3.MultiPattern(*pattern)] if pattern else []
    return z3.ForAll(bound, body, patterns=patterns)


def _is_in(term: Any, terms: Place) -> bool:
    return any(term.eq(other) for other in terms)


def _not_below(one: Linear, other: Linear) -> bool:
    return always((one.plus(other, -1),), "at_least", _ZERO)
