"""A user's own proof: what a file says of every state, for every size, by induction on its lemmas.

The invariants, the lemmas and the ranges of the file are proved together, as those of the networks
here are: each holds in the first states, and each action keeps each of them where all hold before.
z3 answers and cvc5 confirms. What fails is shown with a small state, if there is one, in which all
of them hold and one step breaks one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import z3
from attrs import field, frozen

from model_checks.console import QUIET_SECONDS, Unusable
from model_checks.engines.finite import Broken, SmallStates
from model_checks.engines.induction import SMALL, SMALL_CONSTANTS, Finding, Induction, chosen
from model_checks.engines.oracle import Instance, Oracle, State
from model_checks.engines.quorums import POPULATION
from model_checks.engines.symbolic import Symbols
from model_checks.system import Checked, Property, System
from model_checks.traces import Change, Traces, wrapped
from model_checks.user_spec import Spec, placed, used_constants, used_sorts
from spec.language.declarations import Seq, SpecError
from spec.language.ir import BOOL, Literal
from spec.parameters import quorum_fault, refund_quorum

FEW = (2, 3)
"""So many individuals of each sort take part where a small example is looked for, fewest first."""
PROVED_KINDS = ("invariant", "lemma", "range")
THRESHOLDS = ("N", "T", "F", "R")
SAFE_SIGN = "1 <= T <= N, F >= 0, 2T - N > F and N - F >= T (SAFE-SIGN 1)"
"""What the engine takes for granted, in words: see :func:`model_checks.engines.arithmetic`."""


@frozen
class Example:
    """A small state from which one step breaks a property, or a first state that lacks it."""

    sizes: Mapping[str, int]
    state: Mapping[str, Any]
    """The cells that are not at their first value, by place."""
    shown: tuple[str, ...]
    step: str
    changes: tuple[Change, ...] = ()

    @property
    def size(self) -> str:
        """How many individuals of each sort there are, and the constants."""
        return ", ".join(f"{name} = {number}" for name, number in self.sizes.items())

    def lines(self) -> list[str]:
        """Return what to print, as a run of one step."""
        begin = "      0  a state with: " if self.step else "      0  at the start: "
        told = wrapped(begin, self.shown or ("nothing that is not as usual",))
        if not self.step:
            return told
        return [*told, f"      1  {self.step}", *wrapped(" " * 11, list(map(str, self.changes)))]

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "sizes": dict(self.sizes), "state": dict(self.state), "step": self.step or None,
            "changed": {str(c).partition(":")[0]: [c.before, c.after] for c in self.changes},
        }


@frozen
class Failure:
    """An obligation that is not proved."""

    finding: Finding
    broken: str
    action: str
    example: Example | None

    @property
    def why(self) -> str:
        """What the solvers said, in words."""
        if self.example is not None and self.example.step:
            return f"a step breaks it where all of them hold, with {self.example.size}"
        if self.example is not None:
            return f"a first state does not have it, with {self.example.size}"
        if self.finding.cvc5:
            return "z3 proves it, cvc5 does not"
        return f"neither proved nor refuted: no example with up to {FEW[-1]} of each sort"

    def lines(self) -> list[str]:
        """Return what to print."""
        told = [f"  {self.finding.obligation}: {self.why}"]
        return told + (self.example.lines() if self.example else [])

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "obligation": self.finding.obligation, "property": self.broken,
            "action": self.action, "z3": self.finding.z3, "cvc5": self.finding.cvc5 or None,
            "why": self.why, "example": self.example.as_json() if self.example else None,
        }


@frozen
class UserProof:
    """The outcome: what was to be proved, what it rests on, and what failed."""

    name: str
    properties: tuple[Property, ...]
    not_asked: tuple[Property, ...]
    assumed: tuple[str, ...]
    obligations: int
    failures: tuple[Failure, ...] = ()
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether every obligation was proved by both solvers."""
        return self.obligations > 0 and not self.failures

    def lines(self) -> list[str]:
        """Return what to print."""
        failed = {failure.broken for failure in self.failures}
        kept = "proved" if self.holds else "kept as long as the others hold"
        told = [
            f"{p.name} ({p.kind}): {'NOT PROVED' if p.name in failed else kept}"
            for p in self.properties
        ]
        told += [f"{p.name} ({p.kind}): not asked, it is not about each state by itself"
                 for p in self.not_asked]
        told += [f"assumed: {text}" for text in self.assumed]
        for failure in self.failures:
            told += failure.lines()
        if any(failure.example and failure.example.step for failure in self.failures):
            told.append("no run may come to such a state: then a lemma that excludes it is missing")
        took = f", {self.seconds:.2f} s"
        if self.holds:
            return [*told, f"proved for every size: {self.obligations} obligations by z3 and cvc5"
                    + took]
        return [*told, f"NOT PROVED: {len(self.failures)} of {self.obligations} obligations fail"
                + took]

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "name": self.name, "proved": self.holds, "obligations": self.obligations,
            "properties": {p.name: p.kind for p in self.properties},
            "not_asked": {p.name: p.kind for p in self.not_asked},
            "assumed": list(self.assumed),
            "failures": [failure.as_json() for failure in self.failures],
            "seconds": round(self.seconds, 3),
        }


@frozen
class UserProver:
    """Proves a file; ``sizes`` and ``constants`` say where a small example is looked for first."""

    spec: Spec
    sizes: Mapping[str, int] = field(factory=dict)
    constants: Mapping[str, int] = field(factory=dict)

    def prove(self) -> UserProof:
        """Return the outcome; raises :class:`Unusable` for what cannot be asked for every size."""
        began = time.perf_counter()
        try:
            system = self._system()
            _check_terms(system)
        except SpecError as error:
            raise Unusable(placed(self.spec.file, error)) from None
        asked = chosen(system)
        if not any(c.property.kind != "lemma" for c in asked):
            raise Unusable(placed(self.spec.file, _nothing_to_prove(system)))
        induction = Induction(system, asked)
        induction.symbols.orders_end = True
        small = tuple(self._small_states(induction))
        if not any(states.breaking_step(_NEVER, None) for states in small):
            raise Unusable(
                f"{self.spec.file}: no state of up to {FEW[-1]} of each sort is a first state: if"
                " what the file assumes contradicts itself, anything can be proved; otherwise give"
                " a size that has one, with --sort and --const"
            )
        failures, number = [], 0
        watch = _Told(system.name, len(asked) * (len(system.actions) + 1))
        for number, obligation in enumerate(induction.obligations(), start=1):
            finding = induction.answer(obligation, examples=False)
            if not finding.proved:
                found = None if finding.cvc5 else next(filter(None, (
                    states.breaking_step(obligation.checked, obligation.action) for states in small
                )), None)
                action = obligation.action.name if obligation.action else ""
                failures.append(Failure(
                    finding, obligation.checked.property.name, action,
                    _example(found, system) if found else None,
                ))
            watch(number)
        left = (c.property for c in system.properties if c.property.kind not in PROVED_KINDS)
        return UserProof(
            system.name, tuple(c.property for c in asked), tuple(left),
            tuple(self._assumed(induction)), number, tuple(failures), time.perf_counter() - began,
        )

    def _system(self) -> System:
        """Return the network with the file's lemmas, its own constants not below zero."""
        own = [n for n in used_constants(self.spec.system) if n not in THRESHOLDS]
        return self.spec.with_lemmas(f"{name} >= 0" for name in own)

    def _assumed(self, induction: Induction) -> Iterator[str]:
        """Yield what the proof rests on, in words."""
        system, network = induction.system, self.spec.network
        used = used_constants(system)
        thresholds = [name for name in THRESHOLDS if name in used]
        quorums = induction.symbols.quorums
        counted = [f for f in quorums.families.values() if f.individuals in POPULATION]
        if network.populations:
            cells = ", ".join(network.populations)
            yield f"each population of {cells} has its own N, T and F: {SAFE_SIGN}"
        elif thresholds or counted:
            yield SAFE_SIGN
            if counted:
                yield "there are N of Peer"
        if "R" in used:
            yield "R = N - T + 1 + F"
        yield from (f"{name} >= 0" for name in used if name not in THRESHOLDS)
        yield from (f"as the file says, {text}" for text in network.assume)
        yield from (f"at first, as the file says, {text}" for text in network.initially)
        for cell in network.cells:
            if isinstance(cell.type, Seq):
                yield f"{cell.name} has {cell.type.length} places, as the file says, not any number"
        for axiom in quorums.axioms():
            yield f"{axiom.text}, which both solvers prove of those numbers"

    def _small_states(self, induction: Induction) -> Iterator[SmallStates]:
        """Yield the finite systems in which a small example is looked for."""
        system = induction.system
        sizes = dict(self.sizes)
        constants = {"N": sizes.get("Peer", SMALL["Peer"]), **self.constants}
        if not _legal({**SMALL, **sizes}, {**SMALL_CONSTANTS, **constants}):
            # An example with other numbers than those that are assumed would show nothing.
            sizes.pop("Peer", None)
            constants = {n: number for n, number in constants.items() if n not in THRESHOLDS}
        n, t, f = ({**SMALL_CONSTANTS, **constants}[name] for name in ("N", "T", "F"))
        constants["R"] = refund_quorum(n, t, f)
        seen = []
        for few, given, numbers in ((FEW[0], sizes, constants), *((few, {}, {}) for few in FEW)):
            size = {s: given.get(s, SMALL.get(s, few)) for s in system.names.sorts}
            number = {
                c: numbers.get(c, SMALL_CONSTANTS.get(c, few)) for c in system.names.constants
            }
            if (size, number) not in seen:
                seen.append((size, number))
                try:
                    yield SmallStates(Instance(system, size, number), induction.known)
                except SpecError:  # such as a range that is empty at this size
                    continue


_NEVER = Checked(Property("Never", "False"), Literal(BOOL, False))
"""What each first state breaks."""


def _nothing_to_prove(system: System) -> SpecError:
    others = [c.property for c in system.properties if c.property.kind != "lemma"]
    if not others:
        return SpecError(f"network {system.name!r}: --prove: there is no invariant to prove")
    first = others[0]
    return SpecError(
        f"{first.name}: --prove: there is no invariant to prove: {first.kind!r} is not about each"
        " state by itself, so induction does not prove it; check it at a size"
    )


def _check_terms(system: System) -> None:
    """Raise SpecError, which names the property or the action, for what no prover can be asked."""
    symbols = Symbols(system)

    def constants(sorts: tuple[str, ...]) -> list[Any]:
        return [z3.Const(f"i{k}", symbols.sorts[sort]) for k, sort in enumerate(sorts)]

    for checked in chosen(system):
        with _Named(checked.property.name):
            symbols.term(checked.formula, {}, symbols.before)
    for action in system.actions:
        with _Named(action.name.partition("#")[0]):
            scope = symbols.parameters(action)
            symbols.guard(action, scope)
            after = symbols.after(action, scope)
            for update in action.updates:
                after[update.cell](*constants(system.cells[update.cell].index))
    with _Named(f"network {system.name}"):
        symbols.initially()
        symbols.background()
        first = symbols.first()
    for name in system.first:
        with _Named(f"cell {name}"):
            first[name](*constants(system.cells[name].index))


@frozen
class _Named:
    """Puts what is asked about in front of an error."""

    name: str

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, SpecError):
            raise SpecError(f"{self.name}: --prove: {error}") from None


def _legal(sizes: Mapping[str, int], constants: Mapping[str, int]) -> bool:
    """Return whether the numbers are within what is assumed of them."""
    n, t, f = (constants[name] for name in ("N", "T", "F"))
    return quorum_fault(n, t, f) is None and sizes["Peer"] == n


def _example(found: Broken, system: System) -> Example:
    instance, oracle, traces = found.instance, Oracle(found.instance), Traces(found.instance)
    numbers = {**instance.sizes, **instance.constants}
    used = (*used_sorts(system), *used_constants(system))
    sizes = {name: numbers[name] for name in used}
    state, shown = dict(traces.unusual(found.before)), tuple(traces.told(found.before))
    if found.step is None:
        return Example(sizes, state, shown, "")
    action = next(a for a in system.actions if a.name == found.step.action)
    after: State = oracle.apply(action, found.step.parameters, oracle.view(found.before))
    changes = traces.changes(found.before, after)
    return Example(sizes, state, shown, str(found.step), changes)


class _Told:
    """Tells on standard error how far a proof has come, every few seconds."""

    def __init__(self, name: str, obligations: int) -> None:
        self.name, self.obligations, self.told = name, obligations, time.monotonic()

    def __call__(self, number: int) -> None:
        now = time.monotonic()
        if now - self.told >= QUIET_SECONDS:
            self.told = now
            sys.stderr.write(f"… {self.name}: {number} of {self.obligations} obligations\n")
            sys.stderr.flush()
