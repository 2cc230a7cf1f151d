"""The page of one subject: what holds and at which sizes, its searches, networks and runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from model_checks.cases import Case
from model_checks.models import CASES, NETWORKS
from model_checks.report.evidence import Answer, Subject, illegal, rows_run, size_of
from model_checks.report.findings_part import Part
from model_checks.report.markup import (
    Html,
    anchor,
    element,
    join,
    link,
    prose,
    row,
    table,
)
from model_checks.report.outcomes import at, model_row, to_network, told_run
from model_checks.report.protocol_part import network_of
from model_checks.report.results import Results
from model_checks.report.start import subject_anchor

HELD_HEADINGS = ("property", "network", "proved", "holds at", "refuted at")
RUN_HEADINGS = ("network", "size", "result", "verdict", "states", "steps", "depth", "time")


def subject_page(subject: Subject, found: Results) -> Iterator[Html]:
    """Yield the page."""
    yield element(
        "h1", subject.title, element("span", f"models/{subject.name}.py", class_="soft"),
        id=subject_anchor(subject.name),
    )
    yield from prose(subject.doc)
    yield element("h2", "What holds, and at which sizes", id=anchor("held", subject.name))
    yield element(
        "p", "Proved is said of a network only where the proof is of that network. What holds or"
        " is refuted, does so at the sizes that stand there.", class_="soft",
    )
    yield table(HELD_HEADINGS, _held(subject), "cards held")
    yield element("h2", "Searches and proofs", id=anchor("runs", subject.name))
    yield table(RUN_HEADINGS, _runs(subject, found), "cards models")
    yield element("h2", "Networks", id=anchor("networks", subject.name))
    rows = [
        link(f"{table_name} {number}", anchor("row", table_name, str(number)))
        for (table_name, number), names in rows_run().items()
        if set(names) & set(subject.networks)
    ]
    if rows:
        yield element("p", "Rows that run here: ", join(rows, ", "), ".")
    for name in subject.networks:
        yield network_of(NETWORKS[name])
    yield element("h2", "Counterexamples", id=anchor("counterexamples", subject.name))
    drawn = list(Part(found).counterexamples(subject.networks))
    yield from drawn or [element("p", "None in these results.")]


def _held(subject: Subject) -> Iterator[Html]:
    """Yield a row for each network and outcome, our networks before the variants."""
    asked: dict[tuple[str, str], list[Answer]] = {}
    for answer in subject.answers:
        asked.setdefault((answer.network, answer.property), []).append(answer)
    alike: dict[tuple[bool, str, Html, Html, Html], list[str]] = {}
    for (network, name), told in asked.items():
        kind = told[0].kind.replace("_", " ")
        key = (
            all(a.variant for a in told), network,
            _lines(told, "proved", "not inductive"),
            _lines(told, "holds", "reached", "not reached, as expected", "open"),
            _lines(told, "refuted"),
        )
        alike.setdefault(key, []).append(f"{name} ({kind})")
    listed = [*subject.networks, *(network for network, _ in asked)]  # proofs have names as well
    order = sorted(alike, key=lambda key: (key[0], listed.index(key[1])))
    for key in order:
        variant, network, *cells = key
        names = alike[key]
        shown = join((to_network(network), " (variant)" if variant else ""))
        yield row(HELD_HEADINGS, (", ".join(names), shown, *cells))


def _lines(told: Sequence[Answer], *verdicts: str) -> Html:
    """Return the answers with these verdicts, a line for each."""
    return join(element("div", _at(a)) for a in told if a.verdict in verdicts)


def _at(answer: Answer) -> Html:
    if answer.verdict in ("proved", "not inductive"):
        return join((f"{answer.result}, by {answer.model.engine}",))
    said = () if answer.verdict == "holds" else (told_run(answer), " at ")
    return join((*said, at(answer)))


def _runs(subject: Subject, found: Results) -> Iterator[Html]:
    models = {model.name: model for model in found.models}
    for case in CASES:
        if case.network.name in subject.networks:
            model = models.get(case.name)
            if model is None:
                yield row(RUN_HEADINGS, _not_run(case))
            else:
                yield model_row(RUN_HEADINGS, model, case.network.name, size_of(case))
    names = {case.name for case in (*subject.model.proofs, *subject.model.controls)}
    for model in found.models:
        if not model.is_search and model.name.partition(", ")[0] in names:
            yield model_row(RUN_HEADINGS, model, model.name.partition(", ")[0], "every size")


def _not_run(case: Case) -> tuple[str, ...]:
    refused = illegal(case)
    size = f"{size_of(case)} (no node accepts it)" if refused else size_of(case)
    return (to_network(case.network.name), size, "not in these results", "", "", "", "", "")
