"""The trace: numbered, chained, continued over restarts and files."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from metanode.errors import LocalFault, UserError
from metanode.runtime.store.trace import REPAIRED, SEALED, STARTED, TraceWriter, read_trace


def write(directory: Path, *numbers: int, max_file_bytes: int = 1 << 20) -> None:
    """Append one record for each number."""
    writer = TraceWriter(directory, max_file_bytes)
    for number in numbers:
        writer.append({"table": "round", "number": number, "id": b"\xff"})
    writer.close()


def test_chain_goes_on_after_restart(tmp_path: Path) -> None:
    """Catches a restart that begins at 1 again or links to nothing."""
    write(tmp_path, 1, 2)
    write(tmp_path, 3)
    records = list(read_trace(tmp_path))
    assert [r["seq"] for r in records] == [1, 2, 3]
    assert [r["number"] for r in records] == [1, 2, 3]
    assert records[0]["prev"] == "0" * 64
    assert records[2]["prev"] == records[1]["hash"]
    assert records[0]["id"] == "ff"
    assert stat.S_IMODE((tmp_path / "trace-000001.jsonl").stat().st_mode) == 0o600


def test_chain_crosses_files(tmp_path: Path) -> None:
    """Catches a rotation that breaks the chain, and a restart on an empty new file."""
    write(tmp_path, 1, 2, 3, max_file_bytes=1)
    write(tmp_path, 4, max_file_bytes=1)
    files = sorted(tmp_path.glob("*.jsonl"))
    assert len(files) == 5
    assert list(read_trace(tmp_path))[-1]["seq"] == 4
    assert list(read_trace(files[2]))[-1]["seq"] == 3


def transitions(directory: Path, *inputs: int, start: bool = False) -> list[list[int]]:
    """Write so many transitions for each input; return the turns of all that stand there."""
    writer = TraceWriter(directory)
    if start:
        writer.append({"kind": STARTED})
    for number in inputs:
        writer.append_input([{"turn": [2, again]} for again in range(number)], 5.0)
    writer.close()
    return [r["turn"] for r in read_trace(directory) if "turn" in r]


def test_inputs_are_numbered_since_the_start(tmp_path: Path) -> None:
    """Catches two inputs that read as one, also when another process goes on with the trace."""
    assert transitions(tmp_path, 2, 0, 1, start=True) == [[1, 2, 0], [1, 2, 1], [2, 2, 0]]
    assert transitions(tmp_path, 1)[3:] == [[3, 2, 0]]
    assert transitions(tmp_path, 1, start=True)[4:] == [[1, 2, 0]]
    path = tmp_path / "trace-000001.jsonl"
    path.write_bytes(path.read_bytes() + b'{"half":')
    assert transitions(tmp_path, 1)[5:] == [[2, 2, 0]]


def test_torn_last_line_is_cut_and_noted(tmp_path: Path) -> None:
    """Catches a crash that leaves half a line, after which the chain could not go on."""
    write(tmp_path, 1, 2)
    path = tmp_path / "trace-000001.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"half":')
    write(tmp_path, 3)
    records = list(read_trace(tmp_path))
    assert [r.get("kind") for r in records] == [None, None, REPAIRED, None]
    assert records[2]["bytes_cut"] == 8
    assert path.read_bytes().startswith(whole)


def test_only_line_torn(tmp_path: Path) -> None:
    """Catches a crash in the very first record."""
    (tmp_path / "trace-000001.jsonl").write_bytes(b'{"ha')
    write(tmp_path, 1)
    assert list(read_trace(tmp_path))[-1]["seq"] == 2


@pytest.mark.parametrize(
    "fields", [{"seq": 1}, {"hash": ""}, {"prev": ""}, {"x": object()}, {"x": float("nan")}]
)
def test_bad_fields_are_refused(tmp_path: Path, fields: dict[str, object]) -> None:
    """Catches a record that forges the chain's own fields or cannot be read back."""
    writer = TraceWriter(tmp_path)
    with pytest.raises(LocalFault):
        writer.append(fields)
    writer.append({"fine": True})
    writer.close()
    assert list(read_trace(tmp_path))[-1]["seq"] == 1


def test_old_files_are_sealed_and_the_rest_is_still_a_chain(tmp_path: Path) -> None:
    """Catches a trace that grows for ever, and one whose rest cannot be checked any more."""
    writer = TraceWriter(tmp_path, max_file_bytes=1000, kept_files=3)
    hashes = [writer.append({"number": number})["hash"] for number in range(40)]
    writer.close()
    files = sorted(tmp_path.glob("trace-*.jsonl"))
    assert len(files) == 3
    kept = list(read_trace(tmp_path))
    assert [record["number"] for record in kept] == list(range(kept[0]["number"], 40))
    sealed = [json.loads(line) for line in (tmp_path / SEALED).read_text().splitlines()]
    assert sealed[-1]["last"] == [kept[0]["seq"] - 1, kept[0]["prev"]]
    assert all(hashes[line["last"][0] - 1] == line["last"][1] for line in sealed)
    (tmp_path / SEALED).write_text("")
    with pytest.raises(UserError, match="1 must follow"):
        list(read_trace(tmp_path))


def test_a_trace_goes_on_after_its_begin_was_sealed(tmp_path: Path) -> None:
    """Catches a restart that begins the numbers anew, or lets go of more than it should."""
    for first in (0, 20):
        writer = TraceWriter(tmp_path, max_file_bytes=1000, kept_files=2)
        for number in range(first, first + 20):
            writer.append({"number": number})
        writer.close()
    assert [record["seq"] for record in read_trace(tmp_path)][-1] == 40
