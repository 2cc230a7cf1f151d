"""What the checks do not say, as far as the tables and the results can tell it themselves."""

from __future__ import annotations

from collections.abc import Iterator

from model_checks.report.evidence import promises, rows_outside
from model_checks.report.markup import Html, anchor, element, join, link
from model_checks.report.results import Results
from spec.findings import FINDINGS

STATED = (
    (
        "A search says something of the sizes in its name, and of those only. What holds for"
        " every size is what z3 and cvc5 have proved; it holds of every state of the network"
        " as it is written here."
    ),
    (
        "Cryptography is symbolic: no signature is forged, no two texts have one hash, a"
        " share that verifies is right. Liars do what is written as their moves, and are"
        " chosen before the run."
    ),
    (
        "Time has no length. A deadline is a move that may come at any moment; that it comes"
        " in seconds, and that clocks agree, is for the tests of the node."
    ),
    "What is on disk stays there, and was written before anything else happened.",
    (
        "That something happens in the end is looked at in the sizes that are searched, for"
        " runs in which rows marked fair are not put off for ever."
    ),
    (
        "Variants that must fail end their search with the counterexample where nothing else"
        " is asked of them."
    ),
    (
        "A prover that fails to prove does not refute: for negative controls, the search with"
        " the same name has the run."
    ),
    (
        "The checks are about the tables. That the node runs them is for the generated tests"
        " and for the traces of its runs."
    ),
)


def limits(results: Results) -> Iterator[Html]:
    """Yield the stated limits."""
    yield element("h1", "Limits", id="limits")
    unasked = [promise.spec for promise in promises(results) if not promise.answers]
    items: list[Html] = [element("li", text) for text in STATED]
    names = (link(prop.name, f"property-{prop.name}") for prop in unasked)
    if unasked:
        items.append(element("li", "No model of these results is asked: ", join(names, ", ")))
    outside = [link(f"{t} {n}", anchor("row", t, str(n))) for t, n in rows_outside()]
    if outside:
        items.append(
            element(
                "li",
                "Rows that no network runs: ",
                join(outside, ", "),
            )
        )
    open_ = (join((link(f.id, f.id), f" ({f.later})")) for f in FINDINGS if f.later)
    items.append(element("li", "Not built yet: ", join(open_, "; ")))
    yield element("ul", *items)
