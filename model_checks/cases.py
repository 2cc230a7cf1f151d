"""What a model's file says about its networks: the sizes at which each is explored, with the
expected verdict and the pinned numbers, and what is proved of it for every size.

Any change of a row shows in the numbers: states, steps, depth, lengths of the shortest traces. They
are what an auditor signs. ``check --update`` writes them anew, in the model's own file.
"""

from __future__ import annotations

import ast
import difflib
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from attrs import asdict, evolve, field, fields, frozen

from model_checks.engines.check import check
from model_checks.engines.explicit import MAX_STATES, Progress
from model_checks.engines.induction import Induction, chosen
from model_checks.engines.oracle import Instance, Result
from model_checks.engines.provers import ATTEMPT_STEPS
from model_checks.system import Checked, Network, Property, System, close
from spec.language.assembly import Protocol

EACH_PEER = ("Peer",)
PEERS_AND_DIGESTS = ("Peer", "Digest")
WIDTH = 100


def one_event(peers: int, attempts: int = 1, digests: int = 1) -> dict[str, int]:
    """Return the sizes of a network that signs one event."""
    sizes = {"Peer": peers, "Event": 1, "Attempt": attempts, "Digest": digests}
    return {**sizes, "Instance": 1}


def quorum(n: int, f: int, t: int) -> dict[str, int]:
    """Return the constants: share holders, liars among them, shares needed to sign."""
    return {"N": n, "F": f, "T": t}


@frozen
class Counts:
    """What a search counts: states (orbits under symmetry), steps, depth, lengths of traces."""

    distinct: int = 0
    generated: int = 0
    depth: int = 0
    reached: Mapping[str, int] = field(factory=dict)
    violated: Mapping[str, int] = field(factory=dict)
    stuck: Mapping[str, int] = field(factory=dict)
    """Of an ``always_can`` property: the states without a way out."""

    @classmethod
    def of(cls, result: Result) -> Counts:
        """Return what a result counts."""
        return cls(
            result.distinct,
            result.generated,
            result.depth,
            {name: len(steps) for name, steps in sorted(result.reached.items())},
            {name: len(steps) for name, steps in sorted(result.violated.items())},
            {name: count for name, count in sorted(result.stuck.items()) if count},
        )

    def text(self, indent: int) -> str:
        """Return the literal as it stands in a model's file, after ``indent`` blanks."""
        parts = [f"distinct={self.distinct}, generated={self.generated}, depth={self.depth}"]
        for key in ("reached", "violated", "stuck"):
            inside = ", ".join(f'"{name}": {n}' for name, n in getattr(self, key).items())
            parts += [f"{key}={{{inside}}}"] if inside else []
        whole, margin = ", ".join(parts), " " * (indent + 4)
        filled = textwrap.fill(whole, WIDTH - 1, initial_indent=margin, subsequent_indent=margin)
        return f"Counts(\n{filled},\n{' ' * indent})"


@frozen
class Case:
    """One network at one size, and what must come of it.

    ``refuted`` names what must fail; where ``whole`` is false the search ends there, and what else
    it finds on the way is pinned only. ``unreached`` names the witnesses that must stay unreached:
    the adversary's power where there are no liars. Everything else must hold, and every witness be
    reached. ``findings`` are those that it shows, beside those that the network's text names.
    """

    network: Network
    sizes: Mapping[str, int]
    constants: Mapping[str, int] = field(factory=dict)
    symmetry: tuple[str, ...] = ()
    pinned: Counts = field(kw_only=True)
    refuted: tuple[str, ...] = ()
    unreached: tuple[str, ...] = ()
    whole: bool = True
    """Whether the search goes on after the counterexamples."""
    deep: bool = False
    """Whether it takes longer than a few seconds."""
    records: str = "Peer"
    findings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The network's name, its sizes and its constants."""
        numbers = {**self.sizes, **self.constants}
        return " ".join((self.network.name, *(f"{key}={value}" for key, value in numbers.items())))

    @property
    def instance(self) -> Instance:
        """The network at this size."""
        return Instance(close(self.network), self.sizes, self.constants)

    def run(
        self, max_states: int = MAX_STATES, progress: Callable[[Progress], None] | None = None
    ) -> Result:
        """Explore it."""
        until = () if self.whole else self.refuted
        return check(self.instance, self.symmetry, self.records, max_states, progress, until)

    def faults(self, result: Result) -> list[str]:
        """Return what differs from the expectation and from the pinned numbers, one line each."""
        missing = [name for name in self.refuted if name not in result.violated]
        found = [f"{name} is not refuted any more" for name in missing]
        if self.whole:
            wrong = sorted(result.violated.keys() - set(self.refuted))
            found += [f"{name} is violated: {len(result.violated[name])} steps" for name in wrong]
            witnesses = {p.name for p in self.network.properties if p.kind == "reachable"}
            unreached = witnesses - result.reached.keys()
            found += [f"witness {name} is not reached" for name in unreached - set(self.unreached)]
            found += [f"witness {name} is reached" for name in set(self.unreached) - unreached]
        now, pinned = asdict(Counts.of(result)), asdict(self.pinned)
        differing = (key for key in now if now[key] != pinned[key])
        return found + [f"{key} is {now[key]}, pinned is {pinned[key]}" for key in differing]


@frozen
class ProofCase:
    """A network with its lemmas; ``proves`` names the invariants, none stands for all others.
    ``implied`` are not inductive: they follow from what is proved, in every state. Of what is
    ``shrinking``, no step makes it true of anyone of whom it was false.

    A control is a variant of a network from whose rows something is missing. With the very same
    lemmas its proof must fail, at the obligations that ``fails`` names and at no others: a step
    that breaks a property in a state in which all of them hold.
    """

    network: Network
    lemmas: tuple[Property, ...] = ()
    proves: tuple[str, ...] = ()
    implied: tuple[str, ...] = ()
    shrinking: tuple[str, ...] = ()
    obligations: int = 0
    fails: tuple[str, ...] = ()
    steps: int = ATTEMPT_STEPS
    """z3's budget for one attempt at one obligation: enough for several of its seeds."""
    findings: tuple[str, ...] = ()
    """Whose rule it proves."""

    @property
    def name(self) -> str:
        """The network's name."""
        return self.network.name

    def system(self, protocol: Protocol | None = None) -> System:
        """Return the network with its lemmas, closed."""
        properties = (*self.network.properties, *self.lemmas)
        return close(evolve(self.network, properties=properties), protocol)

    def induction(self, protocol: Protocol | None = None) -> Induction:
        """Return the obligations."""
        system = self.system(protocol)
        def named(names: tuple[str, ...]) -> tuple[Checked, ...]:
            return tuple(c for c in system.properties if c.property.name in names)

        implied, shrinking = named(self.implied), named(self.shrinking)
        asked = chosen(system, self.proves)
        proved = tuple(c for c in asked if c not in implied and c not in shrinking)
        return Induction(system, proved, self.steps, implied, shrinking)


@frozen(kw_only=True)
class Model:
    """One subject: ``proofs`` must be proved by both solvers, no control may be proved."""

    file: Path = field(converter=Path)
    cases: tuple[Case, ...] = ()
    proofs: tuple[ProofCase, ...] = ()
    controls: tuple[ProofCase, ...] = ()

    def updated(self, new: Mapping[str, Counts]) -> str:
        """Return the file's text with these numbers, by the case's name.

        The file has its cases in the order of ``cases``, each with its numbers as a literal.
        """
        source = self.file.read_text(encoding="utf-8")
        places = list(_literals(source))
        if [counts for counts, _ in places] != [case.pinned for case in self.cases]:
            raise ValueError(f"{self.file}: the numbers do not stand in the order of the cases")
        lines = source.splitlines(keepends=True)
        for case, (_, call) in reversed(list(zip(self.cases, places, strict=True))):
            if call.end_lineno is not None and new.get(case.name, case.pinned) != case.pinned:
                first, last = lines[call.lineno - 1], lines[call.end_lineno - 1]
                begin = first[: call.col_offset]
                text = new[case.name].text(len(begin) - len(begin.lstrip()))
                lines[call.lineno - 1 : call.end_lineno] = [
                    f"{begin}{text}{last[call.end_col_offset :]}"
                ]
        return "".join(lines)


def _literals(source: str) -> Iterator[tuple[Counts, ast.Call]]:
    """Yield the pinned numbers of a file from top to bottom, each with its place."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    named = (c for c in calls if isinstance(c.func, ast.Name) and c.func.id == Counts.__name__)
    for call in sorted(named, key=lambda c: c.lineno):
        values = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
        yield Counts(**{f.name: values[f.name] for f in fields(Counts) if f.name in values}), call


def update(models: Iterable[Model], new: Mapping[str, Counts]) -> list[str]:
    """Write the models' files with new numbers and return the difference, line by line."""
    shown: list[str] = []
    for model in models:
        before, after = model.file.read_text(encoding="utf-8"), model.updated(new)
        if after != before:
            model.file.write_text(after, encoding="utf-8")
            shown += _difference(model.file.name, before.splitlines(), after.splitlines())
    return shown


def _difference(name: str, before: Sequence[str], after: Sequence[str]) -> Iterable[str]:
    return difflib.unified_diff(before, after, name, name, n=1, lineterm="")
