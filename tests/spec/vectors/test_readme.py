"""What spec/vectors/README.md says of the files is so."""

from __future__ import annotations

import re

import pytest

from tests.spec.vectors.support import DIRECTORY, load

README = (DIRECTORY / "README.md").read_text(encoding="utf-8")
FILES = sorted(path.name for path in DIRECTORY.glob("*.json"))


def test_every_file_has_a_section_and_no_section_lacks_its_file() -> None:
    """Catches a file that nobody explains, and a section about one that is gone."""
    sections = re.findall(r"^## `([\w./]+)`", README, re.MULTILINE)
    folders = [f"{path.name}/" for path in DIRECTORY.iterdir() if path.is_dir()]
    assert sorted(sections) == sorted([*FILES, *folders])


@pytest.mark.parametrize("name", FILES)
def test_every_field_is_explained(name: str) -> None:
    """Catches a field that the file's section does not name, and rows of unequal form."""
    document = load(name)
    section = README.split(f"## `{name}`")[1].split("\n## ")[0]
    assert document.pop("title")
    assert document.pop("source")
    rows = [row for group in document.values() for row in group]
    rows += [key for row in rows for key in row.get("keys", [])]
    named = set(re.findall(r"`(\w+)`", section))
    assert set(document) | {field for row in rows for field in row} <= named


def test_the_numbers_of_rows_are_right() -> None:
    """Catches rows that got lost, or a README that fell behind."""
    assert len(load("rfc6979.json")["cases"]) == 2 + 7
    vectors = load("bip32.json")
    assert [len(vector["keys"]) for vector in vectors["vectors"]] == [6, 6, 2, 3]
    assert len(vectors["invalid"]) == 16
    runs = load("threshold_ecdsa.json")
    counts = f"{len(runs['runs'])} runs, {len(runs['messages'])} messages"
    assert f"| `threshold_ecdsa.json` | {counts} |" in README
    for name in ("bip143.json", "bip324_ellswift.json", "ecdsa_edge_cases.json"):
        assert f"| `{name}` | {len(load(name)['cases'])} |" in README
