"""The findings' table: evidence for each, and a fault where evidence is gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from model_checks import findings_table
from model_checks.findings_table import TESTS, Table, code_tests, ours, variants
from model_checks.models import CASES, PROOFS
from spec.findings import FINDINGS


def lines(finding: str) -> list[findings_table.Line]:
    """Return the evidence for a finding."""
    return list(Table().lines(finding))


def test_every_finding_has_evidence_or_says_what_is_missing() -> None:
    """Catches a finding that nothing shows; models are not run for this."""
    for finding in FINDINGS:
        bare = not variants(finding.id) and not code_tests(finding.id)
        arithmetic = list(findings_table._arithmetic(finding)) if bare else []
        static = list(findings_table._unread(finding))
        assert not bare or arithmetic or static or finding.later, finding.id


@pytest.mark.parametrize(
    ("finding", "depths"),
    [("F-02", {"13"}), ("F-03", {"11"}), ("F-06", {"1"}), ("F-09", {"2"}),
     ("F-16", {"14", "15", "20"}), ("F-29", {"16", "20"})],
)
def test_variants_are_refuted_at_their_depth(finding: str, depths: set[str]) -> None:
    """Catches a shortest counterexample of another length: the rule or the model has changed."""
    found = lines(finding)
    assert {line.depth for line in found if line.engine == "explicit" and line.depth} == depths
    assert any(line.engine == "explicit" and line.result == "holds" for line in found)
    assert not any(line.fault for line in found)


def test_a_variant_that_holds_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a table that stays green when the source's rule is not refuted any more."""
    ours_now = next(c for c in CASES if c.name == "swap_settlement Peer=4 Swap=1 N=4 F=1 T=3")
    tame = evolve(
        ours_now,
        network=evolve(ours_now.network, name="tame", doc="F-03: not wrong at all"),
        refuted=("SwapExclusive",),
    )
    monkeypatch.setattr(findings_table, "CASES", (tame, ours_now))
    faults = [line.fault for line in lines("F-03") if line.fault]
    assert faults == ["SwapExclusive is not refuted any more"]


def test_a_rule_that_fails_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a table that stays green when our own rule is violated."""
    bad = next(c for c in CASES if c.network.name == "swap_other_coins")
    claimed_ours = evolve(bad, network=evolve(bad.network, name="x", doc="ours"), refuted=())
    monkeypatch.setattr(findings_table, "CASES", (bad, claimed_ours))
    faults = [line.fault for line in lines("F-03") if line.fault]
    assert faults == ["BookIsTrue, SwapCanSettle, SwapExclusive violated"]


def test_a_lost_test_is_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Catches a test that was renamed or deleted under the finding that it carries."""
    known = code_tests("F-07")
    assert known
    assert not known[0].fault
    monkeypatch.setitem(TESTS, "F-07", ("tests/custody/test_payout.py::test_gone",))
    assert code_tests("F-07")[0].fault == "no such test"
    assert lines("F-07")[0].fault == "no such test"
    (tmp_path / "pyproject.toml").touch()
    assert code_tests("F-28", tmp_path / "tests") == []


def test_a_finding_without_evidence_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a finding that was added to the list and nowhere else."""
    nothing = evolve(FINDINGS[0], id="F-77", later="")
    monkeypatch.setattr(findings_table, "FINDINGS", (nothing,))
    assert [line.fault for line in lines("F-77")] == ["no evidence"]


def test_a_cell_that_another_table_reads_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches F-08 coming back: a block list that decides about something else."""
    monkeypatch.setattr(findings_table, "READ_ONLY_BY", {"F-08": ("lock", "block_list")})
    assert "read by" in next(line.fault for line in lines("F-08") if line.engine == "tables")


def test_named_findings_exist() -> None:
    """Catches a case or a proof that shows a finding which has another number."""
    named = {finding for case in (*CASES, *PROOFS) for finding in case.findings}
    assert named <= {finding.id for finding in FINDINGS}


@pytest.mark.parametrize("finding", ["F-14", "F-21", "F-35"])
def test_our_rule_is_the_same_network(finding: str) -> None:
    """Catches a comparison with a network that asks something else."""
    wanted = {name for case in variants(finding) for name in case.refuted}
    (case,) = ours(finding)
    assert not case.refuted
    assert wanted <= {p.name for p in case.network.properties}
