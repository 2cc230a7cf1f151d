"""What an examination finds: one line each, with the command that mends it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal

import attrs
from attrs import frozen

from metanode.errors import MetanodeError, cause_and_mend

Level = Literal["ok", "warning", "fault"]
EXIT_CODES: Final[dict[Level, int]] = {"ok": 0, "warning": 1, "fault": 2}

@frozen
class Finding:
    """One thing that was looked at: ``about`` names it, ``mend`` says what to do about it."""

    about: str
    level: Level
    text: str
    mend: str = ""

    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return attrs.asdict(self)


def ok(about: str, text: str) -> Finding:
    """Return what is as it must be."""
    return Finding(about, "ok", text)


def warning(about: str, text: str, mend: str) -> Finding:
    """Return what works now and may not work long, or costs something."""
    return Finding(about, "warning", text, mend)


def fault(about: str, text: str, mend: str) -> Finding:
    """Return what keeps the node from doing its work."""
    return Finding(about, "fault", text, mend)


def told_by(about: str, error: MetanodeError) -> Finding:
    """Return a fault whose message names cause and mend itself, one after the other."""
    cause, mend = cause_and_mend(error)
    return fault(about, cause, mend.removeprefix("run "))


def worst(findings: Iterable[Finding]) -> Level:
    """Return the gravest level among some findings."""
    return max((each.level for each in findings), key=EXIT_CODES.__getitem__, default="ok")
