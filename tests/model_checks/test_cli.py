"""The command line: verdicts, exit codes, one message for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from attrs import evolve

from model_checks import __main__ as command
from model_checks import console, runner
from model_checks.engines.arithmetic import CLAIMS
from model_checks.models import CASES
from model_checks.records import RECORDS
from spec.protocol import PROTOCOL

ONE = ["--workers", "1"]


def test_tables_come_first_then_the_networks(capsys: pytest.CaptureFixture[str]) -> None:
    """Catches a check that leaves out the tables, a network, or a negative control."""
    assert command.main(["check", "--only", "block_list", *ONE]) == 0
    printed = capsys.readouterr().out.splitlines()
    count = len(PROTOCOL.machines)
    assert printed[0].split() == ["table", "states", "rows", "events", "undefined", "verdict"]
    assert [line.split()[0] for line in printed[1 : count + 1]] == list(PROTOCOL.machines)
    assert all(line.endswith("well formed") for line in printed[1 : count + 1])
    assert printed[count + 1].startswith("local views: ")
    assert printed[count + 2].split() == list(runner.HEADINGS)
    told = printed[count + 3 : -1]
    engines = {line.split("  ")[1].strip() + ("z3" in line) * " z3" for line in told}
    assert engines == {"holds", "refuted", "holds z3", "refuted z3"}
    assert printed[-1] == f"{len(told)} of {len(told)} as expected"


def test_tables_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Catches `--tables` that runs a network."""
    assert command.main(["check", "--tables"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(PROTOCOL.machines) + 1


def test_a_control_that_holds_fails_the_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a negative control that is no longer refuted and passes for good."""
    good = next(c for c in CASES if c.name == "swap_settlement Peer=4 Swap=1 N=4 F=1 T=3")
    claimed = evolve(good, refuted=("SwapExclusive",))
    monkeypatch.setattr(runner, "CASES", (claimed,))
    assert command.main(["check", "--only", good.name, *ONE]) == 1
    assert "SwapExclusive is not refuted any more" in capsys.readouterr().out


def test_a_violation_shows_its_steps(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a violated property without its counterexample, or with exit code 0."""
    bad = next(c for c in CASES if c.network.name == "swap_other_coins")
    monkeypatch.setattr(runner, "CASES", (evolve(bad, refuted=(), whole=True),))
    assert command.main(["check", "--only", bad.name, *ONE]) == 1
    printed = capsys.readouterr().out
    assert "SwapExclusive is violated: 11 steps" in printed
    assert "   11  " in printed


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    """Catches tables or progress between the braces."""
    assert command.main(["check", "--only", "two_phase_commit Manager=3", "--json", *ONE]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["holds"] is True
    model = told["models"][0]
    assert (model["distinct"], model["generated"], model["depth"]) == (288, 1146, 11)


@pytest.mark.parametrize(
    "arguments", [[], ["chek"], ["check", "--fast", "--deep"], ["mutants", "--sample", "x"]]
)
def test_misuse_ends_with_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Catches a misspelt command that passes for a good result."""
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m model_checks" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "--only", "nothing"], "no model is named 'nothing'"),
        (["check", "--only", "Manager=6", "--max-states", "1000", *ONE],
         "more than 1,000 states: stopped at depth 5 with"),
        (["findings", "--only", "F-99"], "no finding is named 'F-99'"),
        (["mutants", "--only", "nothing"], "no mutant is named 'nothing'"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches a traceback, or a model over its budget that does not say how far it came."""
    assert command.main(arguments) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert message in told[0]


def test_findings_show_their_runs_with_states(capsys: pytest.CaptureFixture[str]) -> None:
    """Catches evidence that nobody can look at, or a finding whose run has no states."""
    assert command.main(["findings", "--only", "F-16", "--traces"]) == 0
    printed = capsys.readouterr().out.splitlines()
    head = next(n for n, line in enumerate(printed) if line.startswith("refund_on_own_word Peer="))
    assert printed[head + 1].startswith("  NoPayAndRefund: ")
    assert any(" -> " in line for line in printed[head:])
    assert printed[-1].endswith(" 0 faults")


def test_a_network_is_walked_by_its_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches an explorer for files only."""
    typed = iter(["1", "q"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(typed))
    assert command.main(["explore", "two_phase_commit"]) == 0
    assert "step 1: " in capsys.readouterr().out


def test_every_model_is_run_once() -> None:
    """Catches a network, proof, control or claim that the command forgets."""
    fast = runner.Selection().jobs()
    deep = runner.Selection(deep=True).jobs()
    assert len({(job.kind, job.number) for job in fast}) == len(fast)
    assert len(deep) - len(fast) == sum(case.deep for case in CASES)
    assert sum(job.kind == "claim" for job in fast) == len(CLAIMS)


def test_a_claim_that_is_refuted_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a verdict of the solvers that nobody compares."""
    assert runner.judge(0).as_expected
    monkeypatch.setattr(runner, "CLAIMS", (evolve(CLAIMS[0], holds=False),))
    verdict = runner.judge(0)
    assert verdict.result == "holds"
    assert not verdict.as_expected


def test_tables_are_aligned() -> None:
    """Catches numbers that do not stand below each other."""
    assert console.table([("name", "states"), ("a", "1,000"), ("bb", "7")]) == [
        "name  states",
        "a      1,000",
        "bb         7",
    ]


def test_the_module_runs_from_anywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches a file name that is taken from the current folder."""
    assert command.main(["check", str(tmp_path / "absent.py")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_a_record_that_is_asked_for_something_else_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a requirement on one record that is not checked, or whose failure is not told."""
    assert runner.check_record(1).as_expected
    asked = evolve(RECORDS[1], steps={"Never": "after(listing[p, q]) != listed"})
    monkeypatch.setattr(runner, "RECORDS", (asked,))
    told = runner.check_record(0).faults
    assert told[0] == "ping: Never does not hold"
    assert told[1].startswith("  ping: checking -Stake-> listed(p=0, q=0)")


def test_what_is_no_longer_in_the_tables_is_a_fault_of_its_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Catches a lost cell or conjunct that ends the whole run, and the other verdicts with it."""
    monkeypatch.setattr(runner, "RECORDS", (evolve(RECORDS[1], first="lising[p, q] == listed"),))
    verdict = runner.Job("record", 0).run()
    assert verdict.faults == ("ping, first: unknown cell 'lising'",)
    case = next(each for each in CASES if each.network.name == "signing")
    lost = evolve(case.network, without=(("peer.SetFound", "a conjunct that has gone"),))
    monkeypatch.setattr(runner, "CASES", (evolve(case, network=lost),))
    verdict = runner.Job("search", 0).run()
    assert "a conjunct that has gone" in verdict.faults[0]


@pytest.mark.parametrize("name", command.PASSED_ON)
def test_commands_with_a_command_line_of_their_own(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches a command whose own options the outer command line takes away."""
    with pytest.raises(SystemExit) as ended:
        command.main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: python -m model_checks.{name}" in capsys.readouterr().out
