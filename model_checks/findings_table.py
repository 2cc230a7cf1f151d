"""The findings of ``spec/findings.py`` with their evidence: what refutes the source's rule, and
what shows that ours holds.

Evidence is a variant of a network that must be refuted, with its shortest run; the network with our
rule, in which the same property holds; a proof for every size; a claim about thresholds; or, where
a finding is about bytes or the wire and no state machine shows it, a test of the running code.
Tests are found by the number of the finding in their docstring; :data:`TESTS` adds those that do
not name it. The table fails when a variant is no longer refuted, when a rule no longer holds, when
a test is gone, or when a finding has no evidence at all.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from attrs import asdict, frozen

from model_checks.cases import Case, ProofCase
from model_checks.engines.arithmetic import CLAIMS
from model_checks.models import CASES, CONTROLS, PROOFS
from model_checks.runner import Verdict, break_proof, explore_case, judge, prove
from model_checks.system import Network
from spec.findings import FINDINGS, Finding
from spec.language.assembly import cells_read
from spec.protocol import PROTOCOL

TESTS_FOLDER = Path(__file__).resolve().parent.parent / "tests"
HEADINGS = ("finding", "shown by", "engine", "result", "depth", "verdict")

_PROTOCOL = "tests/protocol/"
_LIARS = "tests/misbehaviour/protocol/"
_WRONG_VOTES = "test_a_member_that_votes_wrong_or_never_does_not_stop_the_payouts"
_MEMBERS = "test_a_key_that_waits_for_a_liar_binds_its_members"

TESTS: Mapping[str, tuple[str, ...]] = {
    "F-07": ("tests/custody/test_payout.py::test_event_and_checksum_depend_on_everything",),
    "F-31": (
        f"{_PROTOCOL}peers/test_peering.py::test_the_crawl_slows_down_when_enough_weight_is_known",
    ),
    "F-33": (f"{_LIARS}keys/test_keygen.py::{_MEMBERS}",),
    "F-34": (
        f"{_LIARS}rounds/test_network_of_rounds.py::{_WRONG_VOTES}",
        f"{_PROTOCOL}rounds/test_threshold_set.py::test_all_alive_take_one_step_a_member",
    ),
}
"""Tests that carry a finding and do not name it."""

READ_ONLY_BY: Mapping[str, tuple[str, str]] = {"F-08": ("standing", "block_list")}
"""Findings whose rule is that no other table reads a cell."""


@frozen
class Line:
    """One piece of evidence for one finding; ``fault`` is what is wrong with it."""

    finding: str
    shown_by: str
    engine: str
    result: str
    depth: str = ""
    fault: str = ""

    def row(self) -> tuple[str, ...]:
        """Return the cells of its line in the table."""
        verdict = self.fault or "as expected"
        return (self.finding, self.shown_by, self.engine, self.result, self.depth, verdict)

    def as_json(self) -> dict[str, str]:
        """Return it for machines."""
        return asdict(self)


def variants(finding: str) -> list[Case]:
    """Return the cases that must refute the rule of a finding's source: small ones, if any."""
    found = [
        case for case in CASES if case.refuted
        and (finding in _numbers(case.network.doc) or finding in case.findings)
    ]
    return [case for case in found if not case.deep] or found


def proved(finding: str) -> list[ProofCase]:
    """Return what proves the rule of a finding for every size."""
    return [case for case in PROOFS if finding in case.findings]


def ours(finding: str) -> list[Case]:
    """Return a case with our rule for the variants of a finding: it asks the same properties."""
    wanted = {name for case in variants(finding) for name in case.refuted}
    asked = {p.name for case in variants(finding) for p in case.network.properties}
    held = [
        case for case in CASES
        if not case.refuted and not case.deep and wanted <= _asked(case.network)
    ]
    held.sort(key=lambda c: (finding not in c.findings, -len(asked & _asked(c.network))))
    return held[:1] if wanted else []


def _asked(network: Network) -> set[str]:
    return {prop.name for prop in network.properties}


def _short(case: Case) -> str:
    """Return the network's name with its numbers n, f and t."""
    numbers = [f"{name}={case.constants[name]}" for name in "NFTR" if name in case.constants]
    return " ".join((case.network.name, *numbers))


def _numbers(text: str) -> set[str]:
    return set(re.findall(r"\bF-\d\d\b", text))


class Table:
    """Gathers the evidence; each model is run once, however many findings it serves."""

    def __init__(self) -> None:
        self.found: dict[str, Verdict] = {}
        self.proofs = cache(self._prove)

    def lines(self, only: str = "") -> Iterator[Line]:
        """Yield all evidence in the order of the findings; ``only`` picks one of them."""
        for finding in FINDINGS:
            if only and finding.id != only.upper():
                continue
            found = [*self._models(finding), *_arithmetic(finding), *_unread(finding)]
            found += code_tests(finding.id)
            if not found and finding.later:
                found = [Line(finding.id, f"not built: {finding.later}", "-", "open")]
            elif not found:
                found = [Line(finding.id, "-", "-", "-", "", "no evidence")]
            yield from found

    def _models(self, finding: Finding) -> Iterator[Line]:
        refuting = variants(finding.id)
        for case in refuting:
            traces = self._explore(case)
            for name in case.refuted:
                depth = str(len(traces[name])) if name in traces else ""
                fault = "" if name in traces else f"{name} is not refuted any more"
                shown = f"{_short(case)}: {name}"
                yield Line(finding.id, shown, "explicit", "refuted", depth, fault)
        for case in ours(finding.id):
            wrong = sorted(self._explore(case))
            fault = f"{', '.join(wrong)} violated" if wrong else ""
            yield Line(finding.id, f"{_short(case)}: our rule", "explicit", "holds", "", fault)
        for number, control in enumerate(CONTROLS):
            if finding.id in _numbers(control.network.doc):
                fault = self.proofs(f"control {number}")
                shown = f"{control.name}: {control.fails[0]}"
                yield Line(finding.id, shown, "z3", "refuted", "", fault)
        for proof in proved(finding.id):
            fault = self.proofs(proof.name)
            yield Line(finding.id, f"{proof.name}, every size", "z3, cvc5", "proved", "", fault)

    def _explore(self, case: Case) -> Mapping[str, tuple[str, ...]]:
        if case.name not in self.found:
            self.found[case.name] = explore_case(case)
        return self.found[case.name].traces

    def shown(self) -> list[str]:
        """Return every counterexample that was found, with its states, a network at a time."""
        return [
            line for name, verdict in self.found.items() if verdict.shown
            for line in (f"{name}:", *verdict.shown)
        ]

    def _prove(self, name: str) -> str:
        if name.startswith("control "):
            return "; ".join(break_proof(int(name.removeprefix("control "))).faults)
        number = next(n for n, case in enumerate(PROOFS) if case.name == name)
        return "; ".join(fault.partition("\n")[0] for fault in prove(number).faults)


def _arithmetic(finding: Finding) -> Iterator[Line]:
    for number, claim in enumerate(CLAIMS):
        if finding.id in _numbers(claim.doc):
            verdict = judge(number)
            word = "holds" if claim.holds else "refuted"
            fault = "; ".join(verdict.faults)
            yield Line(finding.id, f"{claim.name}: {claim.doc}", "z3, cvc5", word, "", fault)


def _unread(finding: Finding) -> Iterator[Line]:
    if finding.id not in READ_ONLY_BY:
        return
    cell, table = READ_ONLY_BY[finding.id]
    readers = {
        machine.table.name for machine in PROTOCOL.machines.values() for rule in machine.rules
        for guard in rule.guards if cell in cells_read(guard.formula)
    }
    fault = ", ".join(sorted(readers - {table}))
    shown = f"no table but {table} reads {cell}"
    yield Line(finding.id, shown, "tables", "holds", "", f"read by {fault}" if fault else "")


def code_tests(finding: str, folder: Path = TESTS_FOLDER) -> list[Line]:
    """Return the tests of the running code that carry a finding: three at most.

    The tests are part of the source and not of a wheel; installed, a line says so.
    """
    if not (folder.parent / "pyproject.toml").is_file():
        return [Line(finding, "the tests in the source", "test", "not here")]
    named = [f"{path}::{name}" for path, name, text in docs_of_tests(folder) if finding in text]
    known = {f"{path}::{name}" for path, name, _ in docs_of_tests(folder)}
    known |= {path for path, _, _ in docs_of_tests(folder)}
    found = []
    for reference in (*TESTS.get(finding, ()), *named):
        fault = "" if reference in known else "no such test"
        found.append(Line(finding, reference, "test", "pinned", "", fault))
    return found[:3]


@cache
def docs_of_tests(folder: Path) -> tuple[tuple[str, str, str], ...]:
    """Return file, name and docstring of every test of the node, its own and its module's."""
    found = []
    for path in sorted(folder.rglob("test_*.py")):
        name = path.relative_to(folder.parent).as_posix()
        if name.startswith(("tests/spec", "tests/model_checks")):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        module = ast.get_docstring(tree) or ""
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found.append((name, node.name, (ast.get_docstring(node) or "") + "\n" + module))
    return tuple(found)
