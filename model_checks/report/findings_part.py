"""The findings, each with what refutes the source's rule, and all other counterexamples."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from model_checks import findings_table
from model_checks.models import CONTROLS
from model_checks.report.evidence import EVERY_SIZE
from model_checks.report.markup import (
    Html,
    anchor,
    element,
    fold,
    join,
    lines,
    link,
    scroll,
)
from model_checks.report.outcomes import trace_anchor
from model_checks.report.results import Model, Results, Run
from model_checks.report.sequence import diagram
from model_checks.report.state_chart import row_anchor
from spec.findings import FINDINGS, Finding
from spec.protocol import PROTOCOL

LEGEND = (
    "A lane for each peer, from top to bottom as it happened; red boxes are what only liars do,"
    " grey ones the world, a crash or a rule of the source. The text of a box leads to the row or"
    " to the move. An arrow leads from what one peer wrote to the first step of another one whose"
    " guard asks for it. A dashed frame is around what is repeated for ever."
)


class Part:
    """Writes findings, and counterexamples where they belong."""

    def __init__(self, results: Results) -> None:
        self.searches = {m.name: m for m in results.models if m.is_search}
        self.proofs = {m.name: m for m in results.models if not m.is_search}

    def findings(self) -> Iterator[Html]:
        """Yield every finding."""
        yield element("h1", "Findings", id="findings")
        yield element(
            "p",
            "Rules of the sources that fail, and the rule that this protocol has instead. M is the"
            " metanode peer protocol, N is Nano's peering, T is the TSS node architecture.",
        )
        yield element("nav", *(link(f.id, f.id) for f in FINDINGS), aria_label="Findings")
        for finding in FINDINGS:
            yield self._finding(finding)

    def _finding(self, finding: Finding) -> Html:
        pairs: list[tuple[str, Html]] = [
            ("source rule", join([finding.source_rule])),
            ("what breaks", join([finding.what_breaks])),
            ("rule", join([finding.rule])),
        ]
        if finding.held_by:
            pairs.append(("carried by", join(map(_carrier, finding.held_by), ", ")))
        if finding.later:
            pairs.append(("not built yet", join([finding.later])))
        evidence = list(self._evidence(finding))
        if evidence:
            pairs.append(("shown by", element("div", *(element("div", e) for e in evidence))))
        listed = (join((element("dt", name), element("dd", told))) for name, told in pairs)
        return element(
            "article", element("h2", finding.id), element("dl", *listed), id=finding.id
        )

    def _evidence(self, finding: Finding) -> Iterator[Html]:
        for case in findings_table.variants(finding.id):
            model = self.searches.get(case.name)
            for name in case.refuted:
                yield join((_code(case.name), " ", self._refuted(model, name)))
        for case in findings_table.ours(finding.id):
            model = self.searches.get(case.name)
            word = model.result if model else "not in these results"
            yield join((_code(case.name), f" with our rule: {word}"))
        for control in CONTROLS:
            if re.search(rf"\b{finding.id}\b", control.network.doc):
                yield self._by_proof(control.name, "a proof that must fail")
        for proof in findings_table.proved(finding.id):
            yield self._by_proof(proof.name, "our rule")
        for name, model in self.proofs.items():
            if re.search(rf"\b{finding.id}\b", name):
                yield join((_code(name), f" ({model.engine}): {model.result}"))
        for line in findings_table.code_tests(finding.id):
            yield join(("test ", _code(line.shown_by)))

    def _refuted(self, model: Model | None, name: str) -> Html:
        if model is None:
            return join([f"{name}: not in these results"])
        if name not in model.traces:
            return element("span", f"{name} is NOT refuted any more", class_="bad")
        run = model.run(name)
        if run is None:
            return join([f"{name} refuted from the first state on"])
        return link(f"{name} refuted{run.told}", trace_anchor(model.name, name))

    def _by_proof(self, network: str, role: str) -> Html:
        model = self.proofs.get(f"{network}{EVERY_SIZE}")
        said = f"{model.result} ({model.engine})" if model else "not in these results"
        return join((_code(f"{network}{EVERY_SIZE}"), f", {role}: {said}"))

    def counterexamples(self, networks: Collection[str]) -> Iterator[Html]:
        """Yield every counterexample that was found in some networks; the first is unfolded."""
        first = True
        for model in self.searches.values():
            for name in model.traces if model.name.partition(" ")[0] in networks else ():
                drawn = self._drawing(model, name, folded=not first)
                if drawn is not None:
                    if first:
                        yield element("p", LEGEND)
                    first = False
                    yield drawn

    def _drawing(self, model: Model, name: str, *, folded: bool) -> Html | None:
        run = model.run(name)
        if run is None:
            return None
        title = f"{name} fails{run.told}"
        network = model.name.partition(" ")[0]
        told: list[Html] = [join(("Network ", link(network, anchor("network", network)), ". "))]
        if run.start:
            told += [join(("At the start: ", join(map(_code, run.start), ", "), ". "))]
        if not model.traces[name] and not run.loop:
            told += [join(["Whatever is done, it is not reached: this is how far a run comes."])]
        return fold(
            join((title, " in ", _code(model.name))), trace_anchor(model.name, name),
            element("p", *told, class_="soft"), scroll(diagram(model.name, run, title), title),
            *_states(run), folded=folded,
        )


def _states(run: Run) -> Iterator[Html]:
    """Yield the steps as a list, each with the cells that it changed."""
    if not run.changes:
        return
    steps = [*run.steps, *run.loop]
    items = [
        element("li", _code(step), element("div", lines(changed), class_="soft"))
        for step, changed in zip(steps, run.changes, strict=False)
    ]
    if run.loop:
        items[len(run.steps)] = element(
            "li", element("b", "From here for ever:", class_="bad"), element("br"),
            _code(run.loop[0]), element("div", lines(run.changes[len(run.steps)]), class_="soft"),
        )
    yield element("p", "What each step changes:")
    yield element("ol", *items)
    if run.end:
        yield element("p", f"{run.end[0].upper()}{run.end[1:]}.", class_="bad")


def _code(text: str) -> Html:
    return element("code", text)


def _carrier(text: str) -> Html:
    """Return what carries a finding's rule, as a link where this report shows it."""
    kind, _, name = text.partition(" ")
    if kind == "cell" and name in PROTOCOL.cells:
        return link(text, anchor("cell", name))
    if kind == "formula" and name in PROTOCOL.names.definitions:
        return link(text, anchor("formula", name))
    for machine in PROTOCOL.machines.values():
        if text == f"spec.{machine.table.name}.TABLE":
            return link(f"table {machine.table.name}", anchor("table", machine.table.name))
        for rule in machine.rules:
            if rule.name == text:
                return link(text, row_anchor(rule))
    return _code(text)
