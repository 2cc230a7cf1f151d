"""``spec/TABLES.md`` says what the tables say, state by state, and is current."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spec.inputs import INPUTS, SENDERS, STEPS, WINDOWS
from spec.language.declarations import Row
from spec.protocol import PROTOCOL
from tests.spec.support import build
from tools.by_state import PAGE, main, page


def blocks(text: str) -> dict[tuple[str, str], str]:
    """Return what the page says of each state, by table and state."""
    found = re.findall(r"^### (\w+): (every state|`\w+`)\n\n(.*?)(?=\n##)", text, re.M | re.S)
    return {(table, state.strip("`")): body for table, state, body in found}


def test_each_row_stands_under_each_of_its_states_and_under_no_other() -> None:
    """Catches a row that the page lacks, or shows in a state in which it cannot run."""
    told = blocks(page())
    for name, machine in PROTOCOL.machines.items():
        for state in machine.states:
            shown = told[name, state] + told.get((name, "every state"), "")
            rules = [rule for rule in machine.rules if rule.source == state]
            events = re.findall(r"^(\w+)\(.*→", shown, re.M)
            assert sorted(events) == sorted(rule.event for rule in rules)
            assert bool(rules) == ("No row begins here" not in shown)
            for rule in rules:
                target = "the same state" if rule.target == state else rule.target
                assert f"{rule.row.event} → {target}\n" in shown


def test_each_definition_and_cell_is_on_the_page() -> None:
    """Catches a formula without its text, and a cell without its place or its meaning."""
    text = page()
    squeezed = re.sub(r"\s+", " ", text)
    for definition in PROTOCOL.names.definitions.values():
        assert re.sub(r"\s+", " ", f"{definition.signature} := {definition.text}") in squeezed
    for cell in PROTOCOL.cells.values():
        section = text.split(f"### Kept: {cell.kept}\n")[1].split("\n### ")[0]
        (line,) = re.findall(rf"^\| `{cell.name}\b.*", section, re.M)
        assert f"| {cell.first} |" in line
        assert line.endswith(f" {cell.doc} |")


def test_a_row_says_what_it_asks_and_what_it_does() -> None:
    """Catches a conjunct or an effect that is left out, or marked as another kind."""
    machine = PROTOCOL.machines["session"]
    (rule,) = (rule for rule in machine.rules if rule.event == "Release")
    shown = blocks(page())["session", rule.source]
    joined = re.sub(r"\n {12}", " ", shown)
    lines = [re.sub(r"\s+", " ", line).strip() for line in joined.split("\n")]
    kinds = {"disk": "write", "memory": "set", "ghost": "ghost"}
    for text in rule.row.only_if:
        assert f"if {text}" in lines
    for effect, (cell, value) in zip(rule.effects, rule.row.then.items(), strict=True):
        if effect.cell.kept == "network":
            assert f"send {cell} in Release" in lines
        else:
            assert f"{kinds[effect.cell.kept]} {cell} := {value}" in lines
    assert f"why {rule.row.why}" in lines


def test_each_input_and_each_trigger_is_on_the_page() -> None:
    """Catches an input whose sender, window or order the page does not show, or shows wrongly."""
    text = page()
    for entry in INPUTS.values():
        steps = ", ".join(entry.names) or "none"
        assert f"| {entry.kind} | {entry.sender} | {entry.window} | {steps} |" in text
    for step in STEPS.values():
        assert f"| {step.name} | {', '.join(step.triggers)} | {step.meaning} |" in text
    told = re.sub(r"\n {12}", " ", blocks(text)["session", "acked"])
    assert "    on    begun (begin, complaint)\n" in told.split("Begin(")[1]
    for each in (*SENDERS, *WINDOWS):
        assert re.search(rf"^\| {each} \| \S", text, re.MULTILINE)


def test_what_happens_everywhere_is_said_once_and_a_state_without_rows_says_so() -> None:
    """Catches an event of every state repeated under each, and an empty block."""
    protocol = build(
        Row("red", "Go(p: Peer)", "green", "rain", why="to test"),
        Row("any", "Ping(p: Peer)", "same", why="to stay"),
    )
    told = blocks(page(protocol))
    assert [state for (_, state), body in told.items() if "Ping" in body] == ["every state"]
    assert "No row begins here" in told["lamp", "dark"]
    assert told["lamp", "red"] == (
        "```text\nGo(p: Peer) → green\n    if    rain\n    why   to test\n```\n"
    )


def test_writing_and_checking(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches a check that writes, and a stale or missing page that passes."""
    target = tmp_path / "TABLES.md"
    assert main(["--check"], target) == 1
    target.write_text("old\n", encoding="utf-8")
    assert main(["--check"], target) == 1
    assert capsys.readouterr().err.count("stale; run tools/gen") == 2
    assert target.read_text(encoding="utf-8") == "old\n"
    assert main([], target) == 0
    assert target.read_text(encoding="utf-8") == page()
    assert main(["--check"], target) == 0
    assert "current" in capsys.readouterr().out


def test_the_page_is_current() -> None:
    """Catches a table that was changed without `tools/gen`."""
    assert PAGE.read_text(encoding="utf-8") == page(), "run tools/gen"
