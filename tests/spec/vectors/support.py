"""Reads the files of ``spec/vectors``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import spec

DIRECTORY = Path(str(spec.__file__)).with_name("vectors")


def load(name: str) -> Any:
    """Return the content of one file."""
    return json.loads((DIRECTORY / name).read_text(encoding="utf-8"))
