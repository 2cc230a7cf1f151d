"""The library as its page shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from metanode import tss

PAGE = (Path(tss.__file__).parent / "USAGE.md").read_text()


def test_the_page_runs() -> None:
    """Catches a page that shows what no longer works."""
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    namespace: dict[str, object] = {}
    exec(program, namespace)  # noqa: S102 - our own page
    assert namespace["signature"] is not None
    lines = [line for line in program.splitlines() if line.strip()]
    assert len(lines) <= 24


def test_every_name_is_there() -> None:
    """Catches a name of the library without a home, and a home's name that is not listed."""
    assert sorted(tss.__all__) == sorted(name for names in tss._HOMES.values() for name in names)
    for name in tss.__all__:
        assert getattr(tss, name).__doc__, name
    with pytest.raises(AttributeError):
        _ = tss.no_such_name


def test_types_are_part_of_the_package() -> None:
    """Catches a package whose users' type checkers see nothing (PEP 561)."""
    assert (Path(tss.__file__).parent.parent / "py.typed").exists()


def test_every_entry_point_is_named_on_the_page_or_in_the_rules() -> None:
    """Catches a session that nobody learns of."""
    for name in tss.__all__:
        if name.endswith("Session"):
            assert name in PAGE
