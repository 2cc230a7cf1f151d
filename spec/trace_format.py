"""The form of a trace: how a node writes down its transitions, and how anyone reads them back.

A line is the canonical JSON (sorted keys, no spaces, ASCII) of a record with ``seq`` (from 1,
without gaps), ``prev`` (the hash of the line before, 64 zeros at the start) and ``hash``: SHA-256
of the line's canonical JSON without ``hash``. Kinds: ``started`` (what was kept in memory begins
anew), ``transition`` and ``trace_repaired`` (a line that a crash had cut short was removed).

A transition says under which ``input`` it was made, and its ``turn`` is [the number of that input
among those since ``started`` that made transitions, the place of the step among the input's, the
number of the individual in that step]. By these a trace is checked against ``spec/inputs.py``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from spec.language.interpreter import Index, Value

FIRST_PREV = "0" * 64
RESERVED = frozenset({"seq", "prev", "hash"})
STARTED, TRANSITION, REPAIRED = "started", "transition", "trace_repaired"
MAX_LINE_BYTES = 1 << 20
FILE_PATTERN = "trace-*.jsonl"
SEALED = "sealed.jsonl"
"""Beside the files: a line for each that was let go; ``last`` is number and hash of its end."""
SHOWN_OCTETS = 8


def canonical_json(record: Mapping[str, Any]) -> bytes:
    """Return the one JSON encoding of a record; bytes become hex, other types raise TypeError."""
    text = json.dumps(
        record, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain
    )
    return text.encode("ascii")


def transition(record: Mapping[str, Any], at: float, number: int) -> dict[str, Any]:
    """Return a transition as it stands in a trace; ``number`` is that of its input."""
    return {"kind": TRANSITION, "at": at, **record, "turn": [number, *record["turn"]]}


def line_hash(record: Mapping[str, Any]) -> str:
    """Return the hex SHA-256 of a record without its ``hash`` field."""
    bare = {name: value for name, value in record.items() if name != "hash"}
    return hashlib.sha256(canonical_json(bare)).hexdigest()


def reference(cell: str, index: Index) -> str:
    """Return ``cell[index]`` as text: byte strings as their first 8 octets."""
    return f"{cell}[{', '.join(show(part) for part in index)}]"


def show(value: Value) -> str:
    """Return a value as short text: ids and digests are public, and told apart by 8 octets."""
    return value[:SHOWN_OCTETS].hex() if isinstance(value, bytes) else str(value)


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} cannot stand in a trace")
