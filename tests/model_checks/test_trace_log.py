"""The lines of a trace: what breaks the chain or is not in the words of the tables is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from model_checks.conformance import check_traces, main
from model_checks.trace_log import Refusal, Unusable
from spec.trace_format import show
from tests.model_checks.made_runs import whole_run
from tests.model_checks.trace_files import (
    NODE,
    Record,
    chained,
    place,
    refused,
    save,
    written,
)


def raw(change: Callable[[list[Record]], object], at: int, match: str, root: Path) -> None:
    """Edit the records of a chained trace as they are."""
    records = chained(whole_run()[NODE])
    change(records)
    save(root, records)
    with pytest.raises(Refusal, match=match) as caught:
        check_traces([root])
    assert caught.value.where.endswith(f":{at}")


def test_a_dropped_line(tmp_path: Path) -> None:
    """Catches a gap that goes unseen."""
    raw(lambda records: records.pop(29), 30, "seq is 31, 30 must follow", tmp_path)


def test_an_edited_line(tmp_path: Path) -> None:
    """Catches a changed field under the old hash."""
    raw(lambda records: records[29].update(at=0), 30, "the record was changed", tmp_path)


def test_an_edited_line_with_its_own_hash_anew(tmp_path: Path) -> None:
    """Catches a changed line whose own hash fits, but not the line after it."""

    def edit(records: list[Record]) -> None:
        records[29] = chained([*records[:29], {**records[29], "at": 0}])[29]

    raw(edit, 31, "prev is not the hash of the record before", tmp_path)


def test_reordered_lines(tmp_path: Path) -> None:
    """Catches two lines that changed places."""

    def swap(records: list[Record]) -> None:
        records[29], records[30] = records[30], records[29]

    raw(swap, 30, "seq is 31, 30 must follow", tmp_path)


@pytest.mark.parametrize(("cut", "match"), [(1, "cut short"), (40, "damaged or cut short")])
def test_a_truncated_line(tmp_path: Path, cut: int, match: str) -> None:
    """Catches a file that ends within a line."""
    records = whole_run()[NODE]
    (path,) = written(tmp_path, {NODE: records})
    file = path / "trace-000001.jsonl"
    file.write_bytes(file.read_bytes()[:-cut])
    with pytest.raises(Refusal, match=match) as caught:
        check_traces([path])
    assert caught.value.where.endswith(f":{len(records)}")


def test_lines_cut_off_the_end(tmp_path: Path) -> None:
    """Catches whole lines cut off the end that nobody saw, where a status has shown the end."""
    traces = whole_run()
    records = chained(traces[NODE])
    seen, last = records[-3]["hash"], records[-1]["hash"]
    paths = written(tmp_path, traces)
    where = tmp_path / NODE
    for shown in (seen, last):
        assert check_traces(paths, ends={where: shown})
    save(where, records[:-2])
    assert check_traces(paths, ends={where: seen})
    with pytest.raises(
        Refusal, match=f"no line has the hash {last[:16]}: lines were cut"
    ) as caught:
        check_traces(paths, ends={where: last})
    assert caught.value.where.endswith(f"{NODE}/trace-000001.jsonl:{len(records) - 2}")
    with pytest.raises(Unusable, match="not among those to be judged"):
        check_traces([tmp_path / "node-0"], ends={where: last})
    others = [str(path) for path in paths]
    assert main([*others, "--end", str(where), seen]) == 0
    assert main([*others, "--end", str(where), last]) == 1


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"row": 99}, "table peer has no row 99"),
        ({"row": True}, "has no row True"),
        ({"table": "pear"}, "there is no table 'pear'"),
        ({"to": "Signing"}, "row 8 of peer is Idle -Offer-> Idle, not Idle -Offer-> Signing"),
        ({"event": "Ofer"}, "not Idle -Ofer-> Idle"),
        ({"kind": "transitoin"}, "kind 'transitoin' is unknown"),
        ({"parameters": {}}, "Offer takes p, r"),
        ({"reads": {"lock": "None"}}, "'lock' is not a cell of the protocol"),
        ({"reads": {"lock[a]": "None"}}, "lock takes 2 indices"),
        ({"reads": {"round[a]": "soon"}}, "'soon' is not a Attempt, which is a number"),
        ({"reads": {"phase[a]": "Napping"}}, "'Napping' is not a Phase"),
        ({"reads": {"pinged[a]": "1"}}, "pinged is '1', neither True nor False"),
        ({"reads": None}, "attribute 'items'"),
        ({"sends": ["lock"]}, "'lock' is not a network cell"),
        ({"at": "now"}, "at is 'now', no time"),
        ({"reads": {"T[1]": "3"}}, r"'T\[1\]' is a number of nobody of whom the row speaks"),
        ({"reads": {"N[a, b, c]": "3"}}, "is a number of nobody of whom the row speaks"),
        ({"input": "vot"}, "there is no input 'vot'"),
        ({"input": None}, "there is no input None"),
        ({"turn": [1, 2]}, r"turn is \[1, 2\], not the numbers of input, step and list"),
        ({"turn": [0, 0, 0]}, r"turn is \[0, 0, 0\]"),
        ({"turn": [1, -1, 0]}, r"turn is \[1, -1, 0\]"),
        ({"turn": [1, 0, True]}, r"turn is \[1, 0, True\]"),
        ({"turn": "1, 0, 0"}, "turn is '1, 0, 0'"),
    ],
)
def test_what_is_not_in_the_tables(tmp_path: Path, change: Record, match: str) -> None:
    """Catches a line that the protocol has no words for."""
    traces = whole_run()
    at = place(traces[NODE], "peer", "Offer")
    traces[NODE][at].update(change)
    refused(tmp_path, {NODE: traces[NODE]}, at, match)


@pytest.mark.parametrize("name", ["input", "turn", "reads", "sends"])
def test_a_field_left_out(name: str, tmp_path: Path) -> None:
    """Catches a line that does not say what it was fired under, or on what."""
    traces = whole_run()
    at = place(traces[NODE], "peer", "Offer")
    del traces[NODE][at][name]
    refused(tmp_path, {NODE: traces[NODE]}, at, f"{name} is missing")


def test_one_file_of_a_trace_may_begin_in_the_middle(tmp_path: Path) -> None:
    """Catches a validator that asks a rotated file for what an earlier one has told."""
    save(tmp_path, chained(whole_run()[NODE])[40:])
    file = tmp_path / "trace-000001.jsonl"
    assert "legal" in check_traces([file])[0]
    with pytest.raises(Refusal, match="seq is 41, 1 must follow"):
        check_traces([tmp_path])
    with pytest.raises(Unusable):
        check_traces([tmp_path / "trace-000002.jsonl"])


def test_values_are_those_of_the_trace() -> None:
    """Catches a validator that reads values otherwise than the node writes them."""
    assert [show(v) for v in (None, True, 3, b"\x01" * 33)] == ["None", "True", "3", "01" * 8]
