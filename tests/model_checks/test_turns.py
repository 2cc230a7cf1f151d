"""What an input fired must be a sequence that ``spec/inputs.py`` declares for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from model_checks.conformance import check_traces
from spec.inputs import INPUTS
from tests.model_checks.made_runs import whole_run
from tests.model_checks.trace_files import NODE, Record, place, refused, written

STEP = INPUTS["setup"].names.index("setup_judged")


def edited(
    root: Path, change: Callable[[list[Record], int], object], at: int, match: str
) -> None:
    """Edit the records of a node, given where its first set-up begins, and expect a refusal."""
    traces = whole_run()
    begin = place(traces[NODE], "session", "Setup")
    fired = [(r["event"], r["input"], r["turn"][1:]) for r in traces[NODE][begin : begin + 3]]
    assert fired == [(event, "setup", [STEP, 1]) for event in ("Setup", "Setup", "Ack")]
    change(traces[NODE], begin)
    refused(root, traces, begin + at, match)


def test_two_lines_of_one_input_that_changed_places(tmp_path: Path) -> None:
    """Catches rows of one input in another order than that of its text."""

    def swap(records: list[Record], at: int) -> None:
        records[at], records[at + 1] = records[at + 1], records[at]

    edited(tmp_path, swap, 1,
           r"row 2 of session \(absent -Setup-> created\): input \d+ \(setup\), step setup_judged:"
           r" it fired session\.Setup after event\.Setup; the text allows next: event\.Setup,"
           r" session\.Ack$")


def test_a_trigger_that_the_input_does_not_declare(tmp_path: Path) -> None:
    """Catches a row that was fired under an input that has nothing to do with it."""
    edited(tmp_path, lambda records, at: records[at].update(input="proposal"), 0,
           r"input \d+ \(proposal\), step proposal_heard: it fired session\.Setup after nothing;"
           r" the text allows next: round\.Hear, round\.Accept$")


def test_an_input_of_two_kinds(tmp_path: Path) -> None:
    """Catches rows of two inputs under one number."""
    edited(tmp_path, lambda records, at: records[at + 1].update(input="tick"), 1,
           r"input \d+ \(tick\): the same input was a setup before")


@pytest.mark.parametrize("part", [0, 1, 2])
def test_numbers_that_fall(part: int, tmp_path: Path) -> None:
    """Catches an input, a step or a list that was left and taken up again."""
    edited(tmp_path, lambda records, at: records[at + 2]["turn"].__setitem__(
        part, records[at + 2]["turn"][part] - 1), 2, r"turn \[.*\] comes after turn \[")


def test_a_step_that_the_input_does_not_have(tmp_path: Path) -> None:
    """Catches a row in a step beyond the last one."""
    steps = len(INPUTS["setup"].names)
    edited(tmp_path, lambda records, at: records[at + 2]["turn"].__setitem__(1, steps), 2,
           rf"it has {steps} steps, and no step {steps}")


def test_a_list_that_begins_anew_may_begin_anywhere(tmp_path: Path) -> None:
    """Catches a position that outlives its list: what follows would be refused."""
    traces = whole_run()
    at = place(traces[NODE], "session", "Setup")
    for more, record in enumerate(traces[NODE][at : at + 3]):
        record["turn"][2] += more
    assert check_traces(written(tmp_path, traces))[-1].endswith("every step legal")


def test_inputs_are_counted_from_each_start(tmp_path: Path) -> None:
    """Catches a node that is refused because it was started anew."""
    traces = whole_run()
    records = traces["node-2"]
    at = next(n for n, r in enumerate(records) if n and r["kind"] == "started")
    assert records[at + 1]["turn"][0] == 1 < records[at - 1]["turn"][0]
    assert check_traces(written(tmp_path, traces))[-1].endswith("every step legal")
