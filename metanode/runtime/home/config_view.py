"""What a configuration means: every key with its value in force, and whose business it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import attrs
from attrs import frozen

from metanode.runtime.home.config import LATER_KEYS, Config
from metanode.runtime.home.config_template import KEYS, PASSED_ON, SHARED, preset_key

Scope = Literal["shared", "passed on", "own"]


@frozen
class Entry:
    """One key: ``value`` is in force, ``given`` tells whether the file has it.

    ``scope``: "shared" keys make up the network id, "passed on" ones a new member takes over, the
    rest is the operator's own.
    """

    key: str
    value: Any
    given: bool
    scope: Scope
    meaning: str


def scope_of(key: str) -> Scope:
    """Return whose business a key is, by its path."""
    return "shared" if key in SHARED else "passed on" if key in PASSED_ON else "own"


def entries(config: Config, document: Mapping[str, Mapping[str, Any]]) -> Iterator[Entry]:
    """Yield all keys in the order of the file; ``document`` is the file as it was written."""
    for path, text in KEYS.items():
        section, key = path.split(".")
        value = getattr(getattr(config, section), key)
        if value is None:
            value = _default(config, path, key)
        given = key in document.get(section, {})
        meaning = text.split("] ", 1)[1] if text.startswith("[") else text
        yield Entry(path, _plain(value), given, scope_of(path), meaning)


def _default(config: Config, path: str, key: str) -> Any:
    """Return what counts where a key is absent, None where nothing does."""
    if path == "network.seats":
        return config.network.members
    if path == "network.online_weight_minimum":
        return round(config.parameters().weight_known_share * 100)
    return getattr(config.parameters(), preset_key(path), None)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, int | str) else str(value)


def differences(ours: Config, theirs: Config) -> list[tuple[str, Any, Any]]:
    """Return the shared keys in which two members differ: (key, our value, their value)."""
    pairs = zip(entries(ours, {}), entries(theirs, {}), strict=True)
    found = [
        (mine.key, mine.value, other.value) for mine, other in pairs
        if mine.scope == "shared" and mine.value != other.value
    ]
    # A key that networks did without at first enters the id only where it is written.
    for name in LATER_KEYS:
        pair = getattr(ours.network, name), getattr(theirs.network, name)
        if None in pair and pair[0] != pair[1] and f"network.{name}" not in {f[0] for f in found}:
            ours_is, theirs_is = ("left out" if value is None else "written" for value in pair)
            found.append((f"network.{name}", ours_is, theirs_is))
    return found


def entry_plain(entry: Entry) -> dict[str, Any]:
    """Return an entry for JSON."""
    return attrs.asdict(entry)
