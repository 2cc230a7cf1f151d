"""The two files beside this one: which test notices each mutation, and what nothing notices."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

NOTICED = Path(__file__).with_name("noticed.json")
SURVIVORS = Path(__file__).with_name("survivors.toml")


def known() -> dict[str, str]:
    """Return, by mutation, a test that went red with it."""
    if not NOTICED.exists():
        return {}
    found: dict[str, str] = json.loads(NOTICED.read_text(encoding="utf-8"))
    return found


def reasons() -> dict[str, str]:
    """Return, by mutation that nothing notices, why it may survive."""
    entries = tomllib.loads(SURVIVORS.read_text(encoding="utf-8")).get("survivor", [])
    return {name: entry["why"] for entry in entries for name in entry["mutations"]}


def write_noticed(found: Mapping[str, str], every: Collection[str]) -> None:
    """Write which test notices what, of the mutations that there are."""
    kept = {name: found[name] for name in every if found.get(name)}
    NOTICED.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
