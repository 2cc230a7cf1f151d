"""The house style holds for the whole tree, and the check for it sees each breach."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.tidy import MAX_FUNCTION_LINES, MAX_MODULE_LINES, breaches


def test_tree_is_tidy() -> None:
    """Catches any breach of the house style in the files git would commit."""
    assert breaches() == []


LONG_FUNCTION = "def f():\n" + "    x = 1\n" * MAX_FUNCTION_LINES


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("metanode/a.py", "x = 1\n" * (MAX_MODULE_LINES + 1), "501 lines, 500 allowed"),
        ("metanode/a.py", LONG_FUNCTION, "a.py:1: f has 71 lines, 70 allowed"),
        ("tests/a.py", "x = '" + "a" * 100 + "'\n", "a.py:1: 106 columns, 100 allowed"),
        ("tools/a.py", "x = 1 \n", "a.py:1: space at the end"),
        ("metanode/a.py", "\nassert True\n", "a.py:2: assert vanishes"),
        ("spec/a.py", "assert True\n", "a.py:1: assert vanishes"),
        ("spec/a.py", "import cbor2\n", "spec imports cbor2"),
        ("spec/a.py", "from metanode.errors import check\n", "spec imports metanode"),
        ("tools/a.txt", "see /ro" + "ot/x\n", "machine path"),
        ("README.md", "from py" + "pi.org\n", "registry host"),
        ("docs/a.md", "x\n", "docs: not part of the fixed top level"),
    ],
)
def test_each_breach_is_seen(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    """Catches a rule of the style check that has stopped to look."""
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    found = breaches(tmp_path)
    assert len(found) == 1
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tests/a.py", "assert True\n"),
        ("spec/a.py", "import hashlib\nfrom attrs import frozen\nfrom spec.b import c\n"),
        ("metanode/a.py", 'def f():\n    """' + "x\n" * 80 + '"""\n'),
        ("tools/a.sh", "#!/usr/bin/env sh\n# run/home/x and a/work/b are no machine paths\n"),
        (".ci/run", "x\n"),
    ],
)
def test_clean_files_pass(tmp_path: Path, name: str, text: str) -> None:
    """Catches a style check that complains about what is allowed."""
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    assert breaches(tmp_path) == []
