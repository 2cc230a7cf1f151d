"""The start page: what was checked, how far to trust it, the weakest evidence first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from model_checks.report.evidence import (
    GRADES,
    Subject,
    illegal,
    illegal_cases,
    left_out,
    promises,
    rows_idle,
    rows_outside,
    size_of,
    subjects,
)
from model_checks.report.markup import Html, anchor, element, fold, join, link, row, table
from model_checks.report.outcomes import (
    at,
    explored_in,
    proved_in,
    refuted_in,
    scored,
    strength,
    summary,
)
from model_checks.report.results import Mutant, Results
from spec.findings import FINDINGS

PROMISE_HEADINGS = (
    "promise", "evidence", "proved for every size in", "explored only, at", "refuted in",
)
SUBJECT_HEADINGS = ("subject", "proved for every size", "explored only", "at the sizes", "refuted")
WORDS = (
    ("proved for every size", (
        "z3 and cvc5 have each shown that the property is inductive, for every n, t and f that"
        " SAFE-SIGN 1 allows and any number of events, attempts and digests: in the network that"
        " is named, and in no other one."
    )),
    ("proved in part", (
        "proved for every size in one of the networks that are asked, only explored in another."
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
    yield from summary(found)
    yield element("dl", *(
        each for word, meaning in WORDS
        for each in (element("dt", word), element("dd", meaning))
    ))
    yield element("h2", "What is weakest", id="weakest")
    yield element("ol", *(element("li", told) for told in _weakest(found, mutants, rows)),
                  class_="weakest")
    yield element("h2", "Each promise, the weakest first", id="promises")
    yield table(PROMISE_HEADINGS, _promises(found), "cards promises")
    yield element("h2", "Each subject, the weakest first", id="subjects")
    yield element(
        "p", "A subject is one file of models, with a page of its own: its networks, every search"
        " with its size, and every counterexample with its states.",
    )
    yield table(SUBJECT_HEADINGS, map(_subject, sorted(subjects(found), key=lambda s: s.rank)),
                "cards subjects")


def _promises(found: Results) -> Iterator[Html]:
    for promise in promises(found):
        name, spec = promise.spec.name, promise.spec
        told = element("div", spec.meaning, class_="soft")
        if spec.looked_at and not promise.answers:
            told = join((told, element("div", f"Looked at in {spec.looked_at}.", class_="soft")))
        cells = (
            join((link(name, anchor("property", name)), told)), strength(promise),
            proved_in(promise), explored_in(promise), refuted_in(promise),
        )
        yield row(PROMISE_HEADINGS, cells)


def _subject(subject: Subject) -> Html:
    proved = subject.names("proved")
    only: dict[str, None] = dict.fromkeys(a.property for a in subject.explored_only)
    refuted = dict.fromkeys(a.network for a in subject.answers if a.verdict == "refuted")
    cells = (
        join((link(subject.title, subject_anchor(subject.name)), _opening(subject.doc))),
        ", ".join(proved) or element("span", "nothing" if only else "", class_="weak"),
        ", ".join(only) or ("nothing" if proved else "variants only, which must fail"),
        join(element("div", at(a)) for a in subject.sizes()),
        f"{len(refuted)} variants" if len(refuted) != 1 else "1 variant",
    )
    return row(SUBJECT_HEADINGS, cells)


def _opening(doc: str) -> Html:
    return element("div", doc.partition("\n\n")[0].replace("`", ""), class_="soft")


def _weakest(found: Results, mutants: Sequence[Mutant], rows: int) -> Iterator[Html]:
    """Yield what an auditor should doubt first, each with where to read on."""
    graded = {
        grade: [p.spec.name for p in promises(found) if p.grade == number]
        for number, grade in enumerate(GRADES)
    }
    yield from _named("Not as expected in these results", graded["not as expected"])
    said = "There is no theorem of composition: keys, signatures, hashes and time are symbols here"
    yield join((f"{said}. ", link("Limits", "limits"), " has what the checks leave out."))
    yield from _named("Asked of no network, looked at in tests", graded["asked of no network"])
    yield from _named(
        "A way to it exists, and that every fair run takes it was not shown",
        graded["possible, not shown to be inevitable"],
    )
    if cases := illegal_cases(found):
        which = (
            element("div", link(c.network.name, anchor("network", c.network.name)),
                    f" at {size_of(c)}: {illegal(c)}") for c in cases
        )
        said = f"{len(cases)} searches that must hold are at sizes which no node accepts."
        yield _folded(said, "which sizes", *which)
        yield from _named(
            "Nothing but such sizes stands behind", graded["only at sizes that no node accepts"]
        )
    if outside := rows_outside():
        links = join((link(f"{t} {n}", anchor("row", t, str(n))) for t, n in outside), ", ")
        said = f"{len(outside)} of {rows} rows run in no network, and are asked by record only."
        yield _folded(said, "which rows", element("p", links))
    if idle := rows_idle():
        links = join((link(f"{t} {n}", anchor("row", t, str(n))) for t, n in idle), ", ")
        said = f"{len(idle)} of {rows} rows change nothing, so that only a record asks about them."
        yield _folded(said, "which rows", element("p", links))
    yield from _named("Explored at small sizes only, proved in no network", graded["only explored"])
    yield from _named(
        "Proved in one network, and only explored in another one", graded["proved in part"]
    )
    if cases := left_out(found):
        yield join((
            f"{len(cases)} searches, the deeper ones, are not in these results: ",
            element("code", "check --deep --json"), " has them.",
        ))
    said = "; ".join(scored(mutants)) if mutants else "that was not asked for this report"
    yield join(("What notices when a row is broken (", link("mutants", "mutation"), f"): {said}."))
    if later := [link(finding.id, finding.id) for finding in FINDINGS if finding.later]:
        yield join(("Findings that name what is not built yet: ", join(later, ", "), "."))


def _folded(said: str, which: str, *inside: Html) -> Html:
    return join((said, fold(join([which]), anchor(which), *inside, folded=True)))


def _named(told: str, names: Sequence[str]) -> Iterator[Html]:
    """Yield what is said of some promises, with links to them, if there are any."""
    if names:
        links = join((link(name, anchor("property", name)) for name in names), ", ")
        yield join((f"{told} ({len(names)}): ", links, "."))
