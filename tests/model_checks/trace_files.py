"""Traces as the files of their nodes, and edits of them that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from model_checks.conformance import check_traces
from model_checks.trace_log import Refusal
from spec.trace_format import FIRST_PREV, canonical_json, line_hash

NODE = "node-1"
"""The node whose trace is edited."""
Record = dict[str, Any]
Traces = dict[str, list[Record]]


def chained(records: list[Record]) -> list[Record]:
    """Number the records and chain them by hash, as the writer of the trace does."""
    done: list[Record] = []
    for number, record in enumerate(records, start=1):
        bare = {name: value for name, value in record.items() if name != "hash"}
        bare = json.loads(canonical_json(bare))
        bare.update(seq=number, prev=done[-1]["hash"] if done else FIRST_PREV)
        done.append({**bare, "hash": line_hash(bare)})
    return done


def written(root: Path, traces: Traces) -> list[Path]:
    """Write traces, chained, as the directories of their nodes."""
    for name, records in traces.items():
        save(root / name, chained(records))
    return [root / name for name in sorted(traces)]


def save(directory: Path, records: list[Record]) -> None:
    """Write records as they are."""
    directory.mkdir(parents=True, exist_ok=True)
    lines = b"".join(canonical_json(record) + b"\n" for record in records)
    (directory / "trace-000001.jsonl").write_bytes(lines)


def place(records: list[Record], table: str, event: str, source: str = "") -> int:
    """Return where the first line of an event stands."""
    return next(
        number
        for number, record in enumerate(records)
        if (record.get("table"), record.get("event")) == (table, event)
        and source in ("", record["from"])
    )


def key(record: Record, start: str) -> str:
    """Return the cell that a line has read whose name begins so."""
    return next(name for name in record["reads"] if name.startswith(start))


def refused(root: Path, traces: Traces, line: int, match: str, name: str = NODE) -> None:
    """Write the traces, whose chains are whole again, and expect the refusal of a line."""
    with pytest.raises(Refusal, match=match) as caught:
        check_traces(written(root, traces))
    assert caught.value.where == f"{root / name / 'trace-000001.jsonl'}:{line + 1}"
