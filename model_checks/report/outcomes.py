"""What the engines said: the models, each property with who looked at it, and the mutants."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from attrs import frozen

from model_checks.cases import Case, ProofCase
from model_checks.models import CONTROLS, PROOFS
from model_checks.mutants import reasons
from model_checks.report.markup import Html, anchor, element, fold, join, link, row, table
from model_checks.report.results import Model, Mutant, Results
from model_checks.report.sequence import searched
from spec.invariants import PROPERTIES, Property

MODEL_HEADINGS = (
    "model", "asked", "engine", "result", "verdict", "time", "states", "steps", "depth",
)
PROPERTY_HEADINGS = ("model", "engine", "result", "time", "states")
SPECIFIED_HEADINGS = ("property", "kind", "meaning", "result", "looked at by")
EVERY_SIZE = ", every size"
LOOKERS = ("explicit", "z3", "cvc5", "log validation")


@frozen
class Answer:
    """What one model says of one property."""

    property: str
    model: Model
    result: str


def trace_anchor(model: str, prop: str) -> str:
    """Return the id of a counterexample."""
    return anchor("trace", model, prop)


def answers(results: Results) -> list[Answer]:
    """Return what each model says of each property that it was asked."""
    found: list[Answer] = []
    for model in results.models:
        case = searched(model.name)
        if model.is_search and case is not None:
            found += _searched(model, case)
        elif model.name.endswith(EVERY_SIZE):
            found += _proved(model, model.name.removesuffix(EVERY_SIZE))
        elif model.engine != "explicit":
            name = model.name.partition(", every n")[0]
            found.append(Answer(name, model, model.result))
    return found


def _searched(model: Model, case: Case) -> Iterator[Answer]:
    for prop in case.network.properties:
        if prop.name in model.traces:
            run = model.run(prop.name)
            result = f"refuted{run.told if run else ' from the first state on'}"
        elif prop.kind == "reachable":
            reached = prop.name not in case.unreached
            result = "reached" if reached else "not reached, as expected"
        else:
            result = "holds"
        if not case.whole and prop.name not in model.traces:
            result = "open: ended before"
        yield Answer(prop.name, model, result)


def _proved(model: Model, network: str) -> Iterator[Answer]:
    failed = [part.partition(" / ")[0] for part in model.note.split("; ")]
    for case in (*PROOFS, *CONTROLS):
        if case.name == network:
            for name in _obliged(case):
                if model.result == "holds":
                    yield Answer(name, model, "holds for every size")
                elif name in failed:
                    yield Answer(name, model, f"not inductive: {_step_of(model.note, name)}")


def _step_of(note: str, name: str) -> str:
    pairs = (part.partition(" / ") for part in note.split("; "))
    return ", ".join(step for lemma, _, step in pairs if lemma == name)


def _obliged(case: ProofCase) -> list[str]:
    """Return the names of the properties that an induction is about."""
    return list(dict.fromkeys(c.property.name for c in case.induction().properties))


def summary(results: Results, mutants: Sequence[Mutant]) -> Iterator[Html]:
    """Yield the counts of the verdicts."""
    counts = Counter(model.result for model in results.models)
    wrong = [model for model in results.models if not model.expected]
    count = f"{len(results.models) - len(wrong)} of {len(results.models)} models are as expected"
    if results.holds:
        yield element("p", element("span", "Verdict: good. ", class_="good"), f"{count}.")
    else:
        told = element("span", "Verdict: NOT as expected. ", class_="bad")
        links = join((_to_model(model) for model in wrong), ", ")
        yield element("p", told, f"{count}{'; these are not: ' if wrong else ''}", links, ".")
    figures = [(str(n), f"models: {result}") for result, n in sorted(counts.items())]
    if all(model.expected for model in results.models if model.result == "refuted"):
        figures = [(n, f"{t}, as they must be" if "refuted" in t else t) for n, t in figures]
    figures.append((f"{sum(m.distinct for m in results.models):,}", "states visited"))
    figures.append((f"{sum(m.seconds for m in results.models):.0f} s", "of all engines together"))
    if mutants:
        figures.append((_score(mutants), "mutants noticed"))
    boxes = (element("li", element("b", number), label) for number, label in figures)
    yield element("ul", *boxes, class_="counts")


def models(results: Results) -> Iterator[Html]:
    """Yield every model with every engine."""
    yield element("h2", "Models", id="models")
    yield element(
        "p",
        "Some models must be refuted: they leave out a rule, and show that the check would notice."
        " The verdict compares with what is expected and with the recorded numbers.",
    )
    yield table(MODEL_HEADINGS, map(_model, results.models), "cards models")


def _to_model(model: Model) -> Html:
    return link(model.name, anchor("model", model.engine, model.name))


def _model(model: Model) -> Html:
    name, _, rest = model.name.partition(" ")
    claim, comma, about = model.name.partition(", ")
    shown: str = name if model.is_search or not comma else claim
    asked = rest if model.is_search else about
    if model.is_search and searched(model.name) is not None:
        shown = link(name, anchor("network", name))
    verdict: Html = element("span", "as expected", class_="good")
    if not model.expected:
        faults = (element("code", fault, class_="line") for fault in model.faults)
        verdict = element("span", "not as expected", *faults, class_="bad")
    if model.note:
        asked = f"{asked}: {model.note}"
    numbers = (f"{n:,}" if n else "" for n in (model.distinct, model.generated, model.depth))
    cells = (shown, asked, model.engine, model.result, verdict, f"{model.seconds:.1f} s", *numbers)
    return row(MODEL_HEADINGS, cells, id=anchor("model", model.engine, model.name))


def properties(results: Results) -> Iterator[Html]:
    """Yield each property with every model and engine that looked at it."""
    yield element("h2", "Properties", id="properties")
    found = answers(results)
    by_name: dict[str, list[Answer]] = {prop.name: [] for prop in PROPERTIES}
    for answer in found:
        by_name.setdefault(answer.property, []).append(answer)
    meaning = {prop.name: prop for prop in PROPERTIES}
    yield element(
        "p",
        "What the protocol promises, what came out, and who looked: the explicit search of a"
        " network, the provers z3 and cvc5 for every size, and log validation, which asks after"
        " each line of the traces of real runs. A variant leaves out a rule and must fail. A"
        " property that no engine is asked says where it is looked at instead.",
    )
    yield table(
        SPECIFIED_HEADINGS,
        (
            row(
                SPECIFIED_HEADINGS,
                (link(p.name, anchor("answers", p.name)) if by_name[p.name] else p.name,
                 p.kind, p.meaning, _together(by_name[p.name]), _looked_at(p, by_name[p.name])),
                id=anchor("property", p.name),
            )
            for p in PROPERTIES
        ),
        "cards properties",
    )
    yield element("h3", "Property by engine", id="engines")
    yield element(
        "p",
        "Also the lemmas of the proofs, the witnesses that a state can be reached at all, and the"
        " claims about thresholds. Open: the search of a variant that must fail ended with the"
        " counterexample of another property.",
    )
    for name, asked in by_name.items():
        if asked:
            told = meaning[name].meaning if name in meaning else ""
            yield fold(
                join((element("b", name), f" {told} ({_tally(asked)})")), anchor("answers", name),
                table(PROPERTY_HEADINGS, map(_answer, asked), "cards answers"), folded=True,
            )


def _together(asked: list[Answer]) -> Html:
    """Return what all models together say of a property, a line for each kind of answer."""
    results = [answer.result for answer in asked]
    counts = (
        ("proved for every size", results.count("holds for every size")),
        ("searches: holds in {}", results.count("holds")),
        ("variants: refuted in {}", sum(r.startswith("refuted") for r in results)),
        ("variants: unprovable in {}", sum(r.startswith("not inductive") for r in results)),
    )
    lines = [element("div", text.format(number)) for text, number in counts if number]
    if any(not answer.model.expected for answer in asked):
        lines.append(element("div", "a model is not as expected", class_="bad"))
    return join(lines)


def _looked_at(prop: Property, asked: list[Answer]) -> str:
    engines = {engine for answer in asked for engine in answer.model.engine.split(", ")}
    logs = {"log validation"} if prop.formula else set()
    listed = [name for name in LOOKERS if name in engines | logs]
    return "; ".join(filter(None, (", ".join(listed), prop.looked_at)))


def _tally(asked: list[Answer]) -> str:
    words = (re.match(r"not \w+|\w+", answer.result) for answer in asked)
    counts = Counter(word[0] for word in words if word)
    return ", ".join(f"{number} {word}" for word, number in counts.items())


def _answer(answer: Answer) -> Html:
    model, result = answer.model, answer.result
    shown: Html = element("span", result)
    if answer.property in model.traces and model.run(answer.property) is not None:
        shown = link(result, trace_anchor(model.name, answer.property))
    name = link(model.name, anchor("model", model.engine, model.name))
    states = f"{model.distinct:,}" if model.distinct else ""
    cells = (name, model.engine, shown, f"{model.seconds:.1f} s", states)
    return row(PROPERTY_HEADINGS, cells)


def mutation(mutants: Sequence[Mutant]) -> Iterator[Html]:
    """Yield the mutation score with the survivors, or that there is none."""
    yield element("h2", "Mutants", id="mutation")
    if not mutants:
        yield element(
            "p", "This report was made without a mutation run. Give it the output of ",
            element("code", "python -m model_checks mutants --json"), " with ",
            element("code", "--mutants FILE"), ".",
        )
        return
    verdicts = sorted({mutant.verdict for mutant in mutants})
    kinds = sorted({mutant.kind for mutant in mutants})
    counts = Counter((mutant.kind, mutant.verdict) for mutant in mutants)
    headings = ("kind", *verdicts)
    rows = (row(headings, (kind, *(str(counts[kind, v]) for v in verdicts))) for kind in kinds)
    yield element(
        "p",
        f"{_score(mutants)} of the changes that change a behaviour are noticed. A mutant is a table"
        " with one guard, effect, target, first value or place of keeping changed.",
    )
    yield table(headings, rows, "numbers")
    survivors = [mutant for mutant in mutants if mutant.verdict == "survived"]
    yield element("h3", f"Survivors: {len(survivors)}")
    yield element("ul", *map(_survivor, survivors)) if survivors else element("p", "None.")


def _survivor(mutant: Mutant) -> Html:
    said = [element("code", mutant.name), f" {reasons().get(mutant.name, mutant.by)} "]
    if mutant.unexplained:
        said.append(element("span", "no reason given", class_="bad"))
    return element("li", *said)


def _score(mutants: Sequence[Mutant]) -> str:
    real = [mutant for mutant in mutants if mutant.verdict != "equivalent"]
    noticed = sum(mutant.verdict != "survived" for mutant in real)
    return f"{noticed} of {len(real)}"
