"""The list of findings is complete, and what it refers to exists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import spec
from spec.findings import FINDINGS, Finding
from spec.protocol import PROTOCOL

ROOT = Path(str(spec.__file__)).parent.parent
RULES = {rule.name for machine in PROTOCOL.machines.values() for rule in machine.rules}


def exists(reference: str) -> bool:
    """Return whether a reference names a row, a cell, a formula, a name or a file."""
    if "->" in reference:
        return reference in RULES
    if reference.startswith("cell "):
        return reference.removeprefix("cell ") in PROTOCOL.cells
    if reference.startswith("formula "):
        return reference.removeprefix("formula ") in PROTOCOL.names.definitions
    if "/" in reference:
        return (ROOT / reference).is_file()
    module, _, name = reference.rpartition(".")
    return hasattr(importlib.import_module(module), name)


def test_findings_are_numbered_without_a_gap() -> None:
    """Catches a finding that was lost."""
    assert [finding.id for finding in FINDINGS] == [f"F-{n:02}" for n in range(1, 47)]


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda each: each.id)
def test_every_finding_says_all_of_it(finding: Finding) -> None:
    """Catches a finding whose rule nothing holds, and which does not say so."""
    assert finding.source_rule.startswith(("M: ", "N: ", "T: ", "M, T: ", "Ours, "))
    assert finding.what_breaks
    assert finding.rule
    assert finding.held_by or finding.later


@pytest.mark.parametrize(
    "reference", sorted({each for finding in FINDINGS for each in finding.held_by})
)
def test_references_exist(reference: str) -> None:
    """Catches a row or file that was renamed under the finding that relies on it."""
    assert exists(reference)


@pytest.mark.parametrize(
    "reference",
    [
        "session: acked -Began-> begun",
        "cell locc",
        "formula certifed",
        "spec/parameter.py",
        "spec.parameters.quorum_fold",
    ],
)
def test_wrong_references_are_seen(reference: str) -> None:
    """Catches a check of references that agrees with everything."""
    assert not exists(reference)


def test_every_number_that_the_tree_mentions_is_a_finding() -> None:
    """Catches a comment that points to a finding which is not there."""
    known = {finding.id for finding in FINDINGS}
    for folder in ("spec", "metanode", "model_checks"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".md", ".cddl"):
                mentioned = set(re.findall(r"\bF-\d+\b", path.read_text(encoding="utf-8")))
                assert mentioned <= known, path.name
