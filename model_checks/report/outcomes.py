"""What the engines said: the models, each property with who looked at it, and the mutants."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from model_checks.models import NETWORKS
from model_checks.mutants import reasons
from model_checks.report.evidence import (
    EVERY_SIZE,
    GRADES,
    POSSIBLE,
    Answer,
    Promise,
    answers,
    promises,
    score,
    subject_of,
)
from model_checks.report.markup import Html, anchor, element, fold, join, link, row, table
from model_checks.report.results import Model, Mutant, Results
from model_checks.report.sequence import searched
from spec.invariants import PROPERTIES, Property

MODEL_HEADINGS = ("model", "asked", "result", "verdict", "states", "steps", "depth", "time")
PROPERTY_HEADINGS = ("model", "engine", "result", "time", "states")
SPECIFIED_HEADINGS = (
    "property", "kind", "meaning", "evidence", "proved in", "explored only", "refuted in",
    "looked at by",
)
LOOKERS = ("explicit", "z3", "cvc5", "log validation")


def trace_anchor(model: str, prop: str) -> str:
    """Return the id of a counterexample."""
    return anchor("trace", model, prop)


def summary(results: Results) -> Iterator[Html]:
    """Yield the verdict, and how many promises have evidence of each strength."""
    wrong = [model for model in results.models if not model.expected]
    count = f"{len(results.models) - len(wrong)} of {len(results.models)} models are as expected"
    refuted = sum(model.result == "refuted" for model in results.models)
    count += f" ({refuted} must be refuted)"
    if results.holds:
        visited = sum(model.distinct for model in results.models)
        took = sum(model.seconds for model in results.models)
        told = f"{count}; {visited:,} states were visited, all engines took {took:,.0f} s."
        yield element("p", element("span", "Verdict: good. ", class_="good"), told)
    else:
        bad = element("span", "Verdict: NOT as expected. ", class_="bad")
        links = join((_to_model(model) for model in wrong), ", ")
        yield element("p", bad, f"{count}{'; these are not: ' if wrong else ''}", links, ".")
    counts = Counter(promise.grade for promise in promises(results))
    figures = [(str(n), f"promises: {GRADES[grade]}") for grade, n in sorted(counts.items())]
    boxes = (element("li", element("b", number), label) for number, label in figures)
    yield element("ul", *boxes, class_="counts")


def others(results: Results) -> Iterator[Html]:
    """Yield the models that belong to no subject: records of one table, and claims."""
    yield element("h1", "Records and claims", id="models")
    yield element(
        "p",
        "A record says of one table when an event is taken and what it has done, and z3 looks for"
        " a difference in every state; a claim is arithmetic over thresholds, for every n.",
    )
    yield table(
        MODEL_HEADINGS,
        (
            model_row(MODEL_HEADINGS, model, *_name_and_claim(model)) for model in results.models
            if searched(model.name) is None
            and not subject_of(model.name.removesuffix(EVERY_SIZE))
        ),
        "cards models",
    )


def _name_and_claim(model: Model) -> tuple[str, str]:
    name, _, claim = model.name.partition(", ")
    return name, claim


def _to_model(model: Model) -> Html:
    return link(model.name, anchor("model", model.engine, model.name))


def model_row(
    headings: tuple[str, ...], model: Model, name: str, about: str
) -> Html:
    """Return a model's line: what it is, what came of it, and what it took."""
    shown = to_network(name) if searched(model.name) is not None else element("span", name)
    verdict: Html = element("span", "as expected", class_="good")
    if not model.expected:
        faults = (element("code", fault, class_="line") for fault in model.faults)
        verdict = element("span", "not as expected", *faults, class_="bad")
    result = f"{model.result} ({model.engine})"
    if model.note:
        result = f"{result}: {model.note}"
    numbers = (f"{n:,}" if n else "" for n in (model.distinct, model.generated, model.depth))
    cells = (shown, about, result, verdict, *numbers, f"{model.seconds:.1f} s")
    return row(headings, cells, id=anchor("model", model.engine, model.name))


def properties(results: Results) -> Iterator[Html]:
    """Yield each property with every model and engine that looked at it."""
    yield element("h1", "Properties", id="properties")
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
                (link(p.spec.name, anchor("answers", p.spec.name)) if p.answers
                 else p.spec.name, p.spec.kind, p.spec.meaning, strength(p), proved_in(p),
                 explored_in(p), refuted_in(p), _looked_at(p.spec, list(p.answers))),
                id=anchor("property", p.spec.name),
            )
            for p in sorted(promises(results), key=lambda p: PROPERTIES.index(p.spec))
        ),
        "cards properties",
    )
    yield element("h2", "Property by engine", id="engines")
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


def strength(promise: Promise) -> Html:
    """Return how strong the evidence for a promise is."""
    strong = promise.grade == len(GRADES) - 1
    return element("b", GRADES[promise.grade], class_="good" if strong else "weak")


def proved_in(promise: Promise) -> Html:
    """Return the networks in which a promise is proved for every size."""
    return _apart(map(to_network, dict.fromkeys(a.network for a in promise.of("proved"))))


def explored_in(promise: Promise) -> Html:
    """Return the networks in which a promise is not proved, each with its sizes."""
    told = []
    for network in promise.explored_only:
        found = [a for a in promise.of("holds") if a.network == network]
        told.append(join((to_network(network), ": ", *_at_sizes(found))))
    return _apart(told)


def refuted_in(promise: Promise) -> Html:
    """Return the variants in which a promise fails, each with its size, folded away."""
    told = promise.refuted
    if not told:
        return join(())
    lines = _apart(join((told_run(a), f" at {at(a)}: ", _code(a.network))) for a in told)
    head = element("summary", "1 variant" if len(told) == 1 else f"{len(told)} variants")
    return element("details", head, element("div", lines))


def _apart(lines: Iterable[Html]) -> Html:
    return join(element("div", line) for line in lines)


def at(answer: Answer) -> str:
    """Return the size of an answer, and whether a node would accept it."""
    return f"{answer.size} (no node accepts it)" if answer.illegal else answer.size


def to_network(name: str) -> Html:
    """Return a link to a network, or its name where the report does not show it."""
    return link(name, anchor("network", name)) if name in NETWORKS else _code(name)


def _at_sizes(found: Sequence[Answer]) -> Iterator[str]:
    """Yield the sizes at which something holds; what no node accepts, and mere possibility."""
    yield "; ".join(dict.fromkeys(map(at, found)))
    if all(a.kind == POSSIBLE for a in found):
        yield " – possible, not inevitable"


def told_run(answer: Answer) -> Html:
    """Return a refutation, as a link to its run if there is one to see."""
    if answer.model.run(answer.property) is None:
        return element("span", answer.result)
    return link(answer.result, trace_anchor(answer.model.name, answer.property))


def _code(text: str) -> Html:
    return element("code", text)


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
    model = answer.model
    name = link(model.name, anchor("model", model.engine, model.name))
    states = f"{model.distinct:,}" if model.distinct else ""
    cells = (name, model.engine, told_run(answer), f"{model.seconds:.1f} s", states)
    return row(PROPERTY_HEADINGS, cells)


def mutation(mutants: Sequence[Mutant]) -> Iterator[Html]:
    """Yield the mutation score with the survivors, or that there is none."""
    yield element("h1", "Mutants", id="mutation")
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
        "A mutant is a table with one guard, effect, target, first value or place of keeping"
        " changed. What counts is whether a property notices: a record says the row again, and a"
        " static check knows nothing of what a run may do.",
    )
    yield element("ul", *(element("li", line) for line in scored(mutants)))
    yield table(headings, rows, "numbers")
    survivors = [mutant for mutant in mutants if mutant.verdict == "survived"]
    yield element("h2", f"Survivors: {len(survivors)}")
    yield element("ul", *map(_survivor, survivors)) if survivors else element("p", "None.")


def _survivor(mutant: Mutant) -> Html:
    said = [element("code", mutant.name), f" {reasons().get(mutant.name, mutant.by)} "]
    if mutant.unexplained:
        said.append(element("span", "no reason given", class_="bad"))
    return element("li", *said)


def scored(mutants: Sequence[Mutant]) -> list[str]:
    """Return by what the changes are noticed, the best first, each with its share."""
    counts = score(mutants)
    whole = sum(number for _, number in counts)
    return [
        f"{number} of {whole} ({100 * number // whole} %): noticed by {told}"
        for told, number in counts if whole
    ]
