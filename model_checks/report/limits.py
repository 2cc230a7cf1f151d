"""What the checks do not say, as far as the tables and the results can tell it themselves."""

from __future__ import annotations

from collections.abc import Iterator

from model_checks.models import NETWORKS
from model_checks.report.markup import Html, element, join, link
from model_checks.report.outcomes import answers
from model_checks.report.results import Results
from model_checks.report.sequence import rule_of
from model_checks.report.state_chart import row_anchor
from model_checks.system import close
from spec.findings import FINDINGS
from spec.invariants import PROPERTIES
from spec.protocol import PROTOCOL

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
    yield element("h2", "Limits", id="limits")
    asked = {answer.property for answer in answers(results)}
    unasked = [prop for prop in PROPERTIES if prop.name not in asked]
    items: list[Html] = [element("li", text) for text in STATED]
    names = (link(prop.name, f"property-{prop.name}") for prop in unasked)
    if unasked:
        items.append(element("li", "No model of these results is asked: ", join(names, ", ")))
    outside = list(rows_outside())
    if outside:
        items.append(
            element(
                "li",
                "Rows that no network runs, or that change nothing there: ",
                join(outside, ", "),
            )
        )
    open_ = (join((link(f.id, f.id), f" ({f.later})")) for f in FINDINGS if f.later)
    items.append(element("li", "Not built yet: ", join(open_, "; ")))
    yield element("ul", *items)


def rows_outside() -> Iterator[Html]:
    """Yield links to the rows that play no part in any network, in the order of the tables."""
    run = set()
    for network in NETWORKS.values():
        for action in close(network).actions:
            rule = rule_of(action)
            if rule is not None:
                run.add((rule.table, rule.number))
    for machine in PROTOCOL.machines.values():
        for number in range(1, len(machine.table.rows) + 1):
            if (machine.table.name, number) not in run:
                rule = next(r for r in machine.rules if r.number == number)
                yield link(f"{machine.table.name} {number}", row_anchor(rule))
