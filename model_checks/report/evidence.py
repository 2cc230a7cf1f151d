"""What the results are evidence of, and how strong it is: the data of the start page.

Evidence for a promise is what holds where our rules run. What holds in a variant, which must fail
in something else, is none; and what was proved of one network says nothing of another one.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from attrs import frozen

from model_checks.cases import Case, Model, ProofCase
from model_checks.models import CASES, CONTROLS, MODELS, NETWORKS, PROOFS
from model_checks.report import results
from model_checks.report.results import Mutant, Results
from model_checks.report.sequence import searched
from model_checks.system import close
from model_checks.traces import rule_of
from spec.invariants import PROPERTIES, Property
from spec.parameters import quorum_fault
from spec.protocol import PROTOCOL

EVERY_SIZE = ", every size"
EVERY_N = ", every n"
POSSIBLE = "always_can"
GRADES = (
    "not as expected",
    "asked of no network",
    "only at sizes that no node accepts",
    "possible, not shown to be inevitable",
    "only explored",
    "proved in part",
    "proved for every size",
)
"""How strong the evidence for a promise is, the weakest first."""


@frozen
class Answer:
    """What one model says of one property; ``result`` says it in words.

    ``verdict`` is proved, holds, refuted, reached, not reached, open (the search ended before) or
    not inductive. ``size`` is that of a search, empty where every size is meant; ``illegal`` is why
    no node accepts the size. ``variant``: the network must fail, so what holds there shows nothing.
    """

    property: str
    model: results.Model
    network: str
    verdict: str
    result: str
    kind: str = ""
    size: str = ""
    peers: int = 0
    illegal: str = ""
    variant: bool = False


def answers(found: Results) -> list[Answer]:
    """Return what each model says of each property that it was asked."""
    told: list[Answer] = []
    for model in found.models:
        case = searched(model.name)
        if model.is_search and case is not None:
            told += _searched(model, case)
        elif model.name.endswith(EVERY_SIZE):
            told += _proved(model, model.name.removesuffix(EVERY_SIZE))
        elif not model.is_search:
            name = model.name.partition(EVERY_N)[0]
            told.append(Answer(name, model, name, model.result, model.result))
    return told


def _searched(model: results.Model, case: Case) -> Iterator[Answer]:
    for prop in case.network.properties:
        verdict, result = "holds", "holds"
        if prop.name in model.traces:
            run = model.run(prop.name)
            told = run.told if run else " from the first state on"
            verdict, result = "refuted", f"refuted{told}"
        elif not case.whole:
            verdict, result = "open", "open: ended before"
        elif prop.kind == "reachable":
            reached = prop.name not in case.unreached
            verdict = result = "reached" if reached else "not reached, as expected"
        yield Answer(
            prop.name, model, case.network.name, verdict, result, prop.kind, size_of(case),
            case.sizes.get("Peer", 0), illegal(case), bool(case.refuted),
        )


def _proved(model: results.Model, network: str) -> Iterator[Answer]:
    failed = [part.partition(" / ")[0] for part in model.note.split("; ")]
    for case in (*PROOFS, *CONTROLS):
        if case.name == network:
            for name, kind in _obliged(case):
                if model.result == "holds":
                    yield Answer(name, model, network, "proved", "holds for every size", kind)
                elif name in failed:
                    step = _step_of(model.note, name)
                    yield Answer(name, model, network, "not inductive", f"not inductive: {step}",
                                 kind, variant=case in CONTROLS)


def _step_of(note: str, name: str) -> str:
    pairs = (part.partition(" / ") for part in note.split("; "))
    return ", ".join(step for lemma, _, step in pairs if lemma == name)


@cache
def _obliged_by_name(network: str) -> tuple[tuple[str, str], ...]:
    case = next(case for case in (*PROOFS, *CONTROLS) if case.name == network)
    induction = case.induction()
    checked = (*induction.properties, *induction.implied)
    return tuple({c.property.name: c.property.kind for c in checked}.items())


def _obliged(case: ProofCase) -> tuple[tuple[str, str], ...]:
    """Return the names and kinds of the properties that an induction is about."""
    return _obliged_by_name(case.name)


def size_of(case: Case) -> str:
    """Return the size of a search in short: what is not named is one, and Peer is N."""
    constants = case.constants
    sizes = [
        f"{name} {number}" for name, number in case.sizes.items()
        if number != 1 and not (name == "Peer" and constants.get("N") == number)
    ]
    numbers = " ".join(f"{name.lower()}={number}" for name, number in constants.items())
    return ", ".join(filter(None, (numbers, *sizes)))


def illegal(case: Case) -> str:
    """Return why no node accepts a case's n, t and f; "" where it would, or there are none."""
    numbers = case.constants
    if not {"N", "T", "F"} <= numbers.keys():
        return ""
    return quorum_fault(numbers["N"], numbers["T"], numbers["F"]) or ""


@frozen
class Promise:
    """A property of ``spec/invariants.py`` with all that was said of it."""

    spec: Property
    answers: tuple[Answer, ...]

    def of(self, verdict: str, *, variant: bool = False) -> list[Answer]:
        """Return the answers with a verdict, of our networks or of variants."""
        return [a for a in self.answers if a.verdict == verdict and a.variant == variant]

    @property
    def refuted(self) -> list[Answer]:
        """The variants in which it fails."""
        return [a for a in self.answers if a.verdict == "refuted"]

    @property
    def explored_only(self) -> list[str]:
        """The networks in which it was explored and not proved."""
        proved = {a.network for a in self.of("proved")}
        return list(dict.fromkeys(a.network for a in self.of("holds") if a.network not in proved))

    @property
    def grade(self) -> int:
        """The place in :data:`GRADES`."""
        proved, explored = self.of("proved"), self.of("holds")
        if any(not a.model.expected for a in self.answers):
            return 0
        if not proved and not explored:
            return 1
        if not proved:
            if all(a.illegal for a in explored):
                return 2
            return 3 if all(a.kind == POSSIBLE for a in explored) else 4
        return 5 if self.explored_only else 6

    @property
    def peers(self) -> int:
        """How many peers the largest search had that a node would accept."""
        return max((a.peers for a in self.of("holds") if not a.illegal), default=0)


def promises(found: Results) -> list[Promise]:
    """Return every promise of the protocol, the one with the weakest evidence first."""
    told = answers(found)
    listed = [Promise(p, tuple(a for a in told if a.property == p.name)) for p in PROPERTIES]
    return sorted(listed, key=lambda promise: (promise.grade, promise.peers))


@frozen
class Subject:
    """One model's file with what its networks answered."""

    model: Model
    answers: tuple[Answer, ...]

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.model.file.stem

    @property
    def networks(self) -> list[str]:
        """The names of its networks, in order."""
        return list(dict.fromkeys(case.network.name for case in self.model.cases))

    @property
    def doc(self) -> str:
        """What the file says of itself."""
        return _doc(self.name)

    @property
    def title(self) -> str:
        """The name in words."""
        return self.name.replace("_", " ")

    def names(self, verdict: str) -> list[str]:
        """Return the properties with a verdict in our networks, each once."""
        told = (a for a in self.answers if a.verdict == verdict and not a.variant)
        return list(dict.fromkeys(a.property for a in told))

    def sizes(self) -> list[Answer]:
        """Return an answer for each size at which something holds, in our networks."""
        by_size = {a.size: a for a in self.answers if a.verdict == "holds" and not a.variant}
        return sorted(by_size.values(), key=lambda a: (a.peers, a.size))

    @property
    def explored_only(self) -> list[Answer]:
        """What holds in a network in which it is not proved, each property and network once."""
        proved = {(a.network, a.property) for a in self.answers if a.verdict == "proved"}
        only = {
            (a.network, a.property): a for a in self.answers
            if a.verdict == "holds" and not a.variant and (a.network, a.property) not in proved
        }
        return list(only.values())

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """The weakest first: nothing proved, then few peers; variants alone claim nothing."""
        legal = (a.peers for a in self.sizes() if not a.illegal)
        proved = bool(self.names("proved"))
        return not (proved or self.explored_only), proved, max(legal, default=0)


@cache
def _doc(name: str) -> str:
    file = next(model.file for model in MODELS if model.file.stem == name)
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""


def subjects(found: Results) -> list[Subject]:
    """Return every subject in the order of the models."""
    told = answers(found)
    listed = []
    for model in MODELS:
        names = {c.network.name for c in model.cases}
        names |= {p.name for p in (*model.proofs, *model.controls)}
        listed.append(Subject(model, tuple(a for a in told if a.network in names)))
    return listed


@cache
def subject_of(network: str) -> str:
    """Return the name of the subject that a network or a proof belongs to; "" if none."""
    for model in MODELS:
        if network in {c.network.name for c in model.cases} | {
            p.name for p in (*model.proofs, *model.controls)
        }:
            return model.file.stem
    return ""


@cache
def rows_run() -> Mapping[tuple[str, int], tuple[str, ...]]:
    """Return the networks in which each row changes something, by table and number."""
    found: dict[tuple[str, int], list[str]] = {}
    for network in NETWORKS.values():
        for action in close(network).actions:
            rule = rule_of(action, PROTOCOL.machines)
            if rule is not None:
                names = found.setdefault((rule.table, rule.number), [])
                names += [network.name] if network.name not in names else []
    return {row: tuple(names) for row, names in found.items()}


def rows_idle() -> list[tuple[str, int]]:
    """Return the rows that change nothing: they say what is ignored, or that a state stays."""
    return [
        (machine.table.name, number) for machine in PROTOCOL.machines.values()
        for number, row in enumerate(machine.table.rows, start=1)
        if row.target == "same" and not row.then
    ]


def rows_outside() -> list[tuple[str, int]]:
    """Return the rows that change something and run in no network, in the order of the tables."""
    return [
        (machine.table.name, number) for machine in PROTOCOL.machines.values()
        for number in range(1, len(machine.table.rows) + 1)
        if (machine.table.name, number) not in {*rows_run(), *rows_idle()}
    ]


def left_out(found: Results) -> list[Case]:
    """Return the searches that these results do not have, such as the deep ones."""
    names = {model.name for model in found.models}
    return [case for case in CASES if case.name not in names]


def illegal_cases(found: Results) -> list[Case]:
    """Return the searches that count as evidence at sizes that no node accepts."""
    names = {model.name for model in found.models}
    return [c for c in CASES if c.name in names and not c.refuted and illegal(c)]


NOTICED = (
    ("a property of a network, or a proof", ("property", "proof")),
    ("a pinned number of states only", ("counts",)),
    ("a static check of the tables", ("refused", "static")),
    ("a record only, which says the row again", ("record",)),
    ("nothing", ("survived",)),
)


def score(mutants: Sequence[Mutant]) -> list[tuple[str, int]]:
    """Return by what the changes of the tables are noticed; those that change nothing are out.

    A sample of mutants asks no network about what a record has noticed: that is said.
    """
    counts: Counter[str] = Counter(
        "property" if mutant.twice and mutant.verdict == "record" else mutant.verdict
        for mutant in mutants
    )
    found = [(told, sum(counts[verdict] for verdict in verdicts)) for told, verdicts in NOTICED]
    if any(mutant.twice for mutant in mutants):
        return found
    return [
        (f"{told}; networks and proofs were not asked after it", number)
        if told.startswith("a record") else (told, number) for told, number in found
    ]
