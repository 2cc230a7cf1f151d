"""``manifest.toml``: the recorded outcome of every model, compared, and written anew on demand.

What stands there is what an auditor signs. A change of any row shows as a difference of these
numbers; seconds are for information only, and are not compared.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from model_checks.engines.oracle import Result
from model_checks.networks.cases import CASES, MANIFEST, Case, manifest_text, record

UNCOMPARED = ("seconds",)

Records = Mapping[str, Mapping[str, Any]]


def entry(case: Case, result: Result) -> dict[str, Any]:
    """Return what is recorded of a case: ``result``, the numbers, and the seconds it took."""
    verdict = "refuted" if case.refuted else "holds"
    return {"result": verdict, **record(case, result), "seconds": round(result.seconds, 1)}


def stale(records: Records, path: Path = MANIFEST) -> list[str]:
    """Return the entries that no case has any more."""
    known = {case.name for case in CASES}
    return [f"{path.name}: no case is named {name!r}" for name in records if name not in known]


def recorded(path: Path = MANIFEST) -> dict[str, dict[str, Any]]:
    """Return the entries, or none where there is no file yet."""
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def merged(old: Records, new: Records, names: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Return the entries of these names in order: the new ones, else the old ones.

    An entry that differs in nothing but its seconds stays as it was.
    """
    result: dict[str, Mapping[str, Any]] = {}
    for name in names:
        before, now = old.get(name), new.get(name)
        if now is None or (before is not None and _compared(before) == _compared(now)):
            now = before
        if now is not None:
            result[name] = now
    return result


def update(new: Records, path: Path = MANIFEST) -> list[str]:
    """Write the manifest with new entries and return the difference, line by line."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    after = manifest_text(merged(recorded(path), new, [case.name for case in CASES]))
    path.write_text(after, encoding="utf-8")
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), "recorded", "now", n=1, lineterm=""
    )
    return list(lines)


def _compared(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in UNCOMPARED}
