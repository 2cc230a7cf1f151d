"""The start page: what was checked, how far to trust it, the weakest evidence first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from model_checks.report.evidence import (
    GRADES,
    Subject,
    illegal,
    illegal_cases,
    left_out,
    promises,
    rows_outside,
    rows_run,
    size_of,
    subjects,
)
from model_checks.report.markup import Html, anchor, element, fold, join, link, row, table
from model_checks.report.outcomes import scored, summary, told_of
from model_checks.report.results import Mutant, Results
from spec.findings import FINDINGS

PROMISE_HEADINGS = ("promise", "evidence", "meaning")
SUBJECT_HEADINGS = ("subject", "proved for every size", "explored only", "at the sizes", "refuted")
WORDS = (
    ("proved for every size", (
        "z3 and cvc5 have each shown that the property is inductive, for every n, t and f that"
        " SAFE-SIGN 1 allows and any number of events, attempts and digests: in the network that"
        " is named, and in no other one."
    )),
    ("explored", (
        "all states of a network were visited, by breadth, at the sizes that are named and at no"
        " other ones; what is not named in a size is one."
    )),
    ("possible, not inevitable", (
        "every state has a way to the goal. Nothing says that a run takes it."
    )),
    ("variant, refuted", (
        "a network that leaves one of our rules out, or keeps one of the sources: the property"
        " fails there, so the check would notice. What else holds in a variant is no evidence."
    )),
    ("by record only", (
        "one row is compared with a requirement that says the same from the other side; no run of"
        " several peers has the row."
    )),
)


def subject_anchor(name: str) -> str:
    """Return the id of a subject's page."""
    return anchor("subject", name)


def start(found: Results, mutants: Sequence[Mutant], rows: int) -> Iterator[Html]:
    """Yield the start page; ``rows`` is how many rows the tables have."""
    yield element("h1", "Metanode: the protocol and what was checked of it", id="start")
    yield element(
        "p",
        f"The protocol is tables with {rows} rows, which the nodes run. Networks of several peers"
        " run the same rows here, with crashes and liars: each is explored at small sizes, some"
        " are proved for every size, and variants that leave a rule out must fail. Below, the"
        " weakest evidence comes first.",
        class_="intro",
    )
    yield from summary(found, mutants)
    yield element("dl", *(
        each for word, meaning in WORDS
        for each in (element("dt", word), element("dd", meaning))
    ))
    yield element("h2", "What is weakest", id="weakest")
    yield element("ol", *(element("li", *parts) for parts in _weakest(found, mutants, rows)),
                  class_="weakest")
    yield element("h2", "Each promise, the weakest first", id="promises")
    yield element("p", _tally(found))
    yield table(PROMISE_HEADINGS, _promises(found), "cards promises")
    yield element("h2", "Each subject, the weakest first", id="subjects")
    yield element(
        "p", "A subject is one file of models, with a page of its own: its networks, every search"
        " with its size, and every counterexample with its states.",
    )
    yield table(SUBJECT_HEADINGS, map(_subject, sorted(subjects(found), key=lambda s: s.rank)),
                "cards subjects")


def _tally(found: Results) -> str:
    counts = Counter(promise.grade for promise in promises(found))
    return "; ".join(f"{GRADES[grade]}: {number}" for grade, number in sorted(counts.items())) + "."


def _promises(found: Results) -> Iterator[Html]:
    for promise in promises(found):
        name = promise.spec.name
        meaning: list[str] = [promise.spec.meaning]
        if promise.spec.looked_at:
            meaning.append(f" Looked at in {promise.spec.looked_at}.")
        cells = (link(name, anchor("property", name)), told_of(promise), join(meaning))
        yield row(PROMISE_HEADINGS, cells)


def _subject(subject: Subject) -> Html:
    proved = subject.names("proved")
    only: dict[str, None] = dict.fromkeys(a.property for a in subject.explored_only)
    refuted = dict.fromkeys(a.network for a in subject.answers if a.verdict == "refuted")
    cells = (
        join((link(subject.title, subject_anchor(subject.name)), _opening(subject.doc))),
        ", ".join(proved) or element("span", "nothing", class_="weak"),
        ", ".join(only) or "nothing",
        join(element("div", a.size, *([" (no node accepts it)"] if a.illegal else []))
             for a in subject.sizes()),
        f"{len(refuted)} variants" if len(refuted) != 1 else "1 variant",
    )
    return row(SUBJECT_HEADINGS, cells)


def _opening(doc: str) -> Html:
    return element("div", doc.partition("\n\n")[0].replace("`", ""), class_="soft")


def _weakest(found: Results, mutants: Sequence[Mutant], rows: int) -> Iterator[list[str]]:
    """Yield what an auditor should doubt first, each with where to read on."""
    listed = promises(found)
    by_grade = {
        grade: [link(p.spec.name, anchor("property", p.spec.name))
                for p in listed if p.grade == number]
        for number, grade in enumerate(GRADES)
    }
    if wrong := by_grade["not as expected"]:
        yield ["Not as expected in these results: ", join(wrong, ", "), "."]
    yield [
        ("No composition theorem: keys, signatures, hashes and time are symbols here. What the"
        " checks leave out is listed under "), link("limits", "limits"), ".",
    ]
    if unasked := by_grade["asked of no network"]:
        yield [(f"{len(unasked)} promises are asked of no network, but looked at in tests or by"
               " other names: "), join(unasked, ", "), "."]
    if possible := by_grade["possible, not shown to be inevitable"]:
        yield ["Possible, not inevitable: ", join(possible, ", "),
               ". A way there exists; that a fair run takes it was not asked."]
    if cases := illegal_cases(found):
        told = (
            element("div", link(c.network.name, anchor("network", c.network.name)),
                    f" at {size_of(c)}: {illegal(c)}") for c in cases
        )
        yield [(f"{len(cases)} searches that must hold are at sizes which no node accepts: they"
               " show less than their names say."), fold(join(["which"]), "illegal-sizes", *told,
                                                       folded=True)]
    outside = rows_outside()
    if outside:
        links = join((link(f"{t} {n}", anchor("row", t, str(n))) for t, n in outside), ", ")
        yield [(f"{len(outside)} of {rows} rows run in no network, and are asked by record only;"
               f" {len(rows_run())} run in one at least."),
               fold(join(["which"]), "rows-outside", element("p", links), folded=True)]
    explored = by_grade["only explored"] + by_grade["only at sizes that no node accepts"]
    if explored:
        yield [(f"{len(explored)} promises are explored at small sizes only, and proved for none"
               " beyond: "), join(explored, ", "), "."]
    if part := by_grade["proved in part"]:
        yield ["Proved in one network and only explored in another one: ", join(part, ", "), "."]
    if cases := left_out(found):
        yield [f"{len(cases)} searches, the deeper ones, are not in these results. ",
               element("code", "python -m model_checks check --deep --json"), " has them."]
    yield [link("Mutants", "mutation"), ": what happens when a row is broken. ",
           *("; ".join(scored(mutants)) + "." if mutants else "Not in this report.",)]
    if later := [finding for finding in FINDINGS if finding.later]:
        yield [f"{len(later)} findings name what is not built yet: ",
               join((link(f.id, f.id) for f in later), ", "), "."]
