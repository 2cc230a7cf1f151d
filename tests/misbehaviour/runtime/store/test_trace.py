"""A trace that somebody edited: the check names the line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from metanode.errors import UserError
from metanode.runtime.store.trace import TraceWriter, line_hash, read_trace

Lines = list[bytes]


def _rehash(line: bytes) -> bytes:
    record = json.loads(line.replace(b'"number":2', b'"number":9'))
    record["hash"] = line_hash(record)
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _swap(lines: Lines) -> Lines:
    return [lines[0], lines[2], lines[1], *lines[3:]]


EDITS: dict[str, tuple[Callable[[Lines], Lines], str]] = {
    "value changed": (
        lambda lines: [lines[0], lines[1].replace(b'"number":2', b'"number":9'), *lines[2:]],
        ":2: the record was changed",
    ),
    "value and hash changed": (
        lambda lines: [lines[0], _rehash(lines[1]), *lines[2:]],
        ":3: prev is not the hash",
    ),
    "line dropped": (lambda lines: [lines[0], *lines[2:]], ":2: seq is 3, 2 must follow"),
    "first line dropped": (lambda lines: lines[1:], ":1: seq is 2, 1 must follow"),
    "line doubled": (lambda lines: [lines[0], *lines], ":2: seq is 1, 2 must follow"),
    "lines swapped": (_swap, ":2: seq is 3, 2 must follow"),
    "space added": (
        lambda lines: [lines[0], lines[1].replace(b",", b", ", 1), *lines[2:]],
        ":2: the record was changed",
    ),
    "not JSON": (lambda lines: [lines[0], b"rubbish\n", *lines[2:]], ":2: not a JSON record"),
    "no object": (lambda lines: [lines[0], b"[]\n", *lines[2:]], ":2: not a JSON record"),
    "last line cut": (lambda lines: [*lines[:3], lines[3][:-5]], ":4: the line is cut short"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_edit_is_found_with_its_line(tmp_path: Path, edit: str) -> None:
    """Catches an edit of the evidence that the chain does not show."""
    writer = TraceWriter(tmp_path)
    for number in range(1, 5):
        writer.append({"number": number})
    writer.close()
    path = tmp_path / "trace-000001.jsonl"
    change, complaint = EDITS[edit]
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(UserError) as caught:
        list(read_trace(tmp_path))
    assert f"{path}{complaint}" in str(caught.value)


def test_edited_tail_is_not_continued(tmp_path: Path) -> None:
    """Catches a node that signs on under a forged record by linking to it."""
    writer = TraceWriter(tmp_path)
    writer.append({"number": 1})
    writer.close()
    path = tmp_path / "trace-000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"number":1', b'"number":2'))
    with pytest.raises(UserError, match="last line: the record was changed"):
        TraceWriter(tmp_path)
