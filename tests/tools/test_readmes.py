"""The pages of the house: short where they must be, and true where a machine can tell."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from metanode.cli.main import COMMANDS
from tools.tidy import TOP_LEVEL, tracked_files

ROOT = Path(__file__).resolve().parents[2]
PAGES = [name for name in tracked_files(ROOT) if name.endswith(".md")]
MANUAL = (ROOT / "metanode" / "cli" / "README.md").read_text(encoding="utf-8")
FRONT_BYTES = 12_288


def text_of(page: str) -> str:
    """Return a page as it stands."""
    return (ROOT / page).read_text(encoding="utf-8")


def anchors(page: str) -> set[str]:
    """Return the places of a page that a link may name, as forges make them of headings."""
    heads = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads}


def test_the_front_page_is_short() -> None:
    """Catches a front page that grows into a manual again."""
    assert len(text_of("README.md").encode()) <= FRONT_BYTES


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Catches a link to a file or a heading that has gone."""
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        path, _, anchor = target.partition("#")
        place = (ROOT / page).parent / path if path else ROOT / page
        assert place.exists(), target
        if anchor:
            assert anchor in anchors(place.resolve().relative_to(ROOT).as_posix()), target


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page: str) -> None:
    """Catches a page that sends its reader to a file that was moved."""
    folder = (ROOT / page).parent
    for name in re.findall(r"`([\w./]+/[\w./]*)`", text_of(page)):
        if name.split("/")[0] in TOP_LEVEL or name.endswith(".py"):
            assert (ROOT / name).exists() or (folder / name).exists(), name


def test_the_manual_names_every_command() -> None:
    """Catches a command that an operator would not find."""
    first = MANUAL.split("Contents:")[0]
    assert set(COMMANDS) == set(re.findall(r"`(\w+)`", first))


def patterns() -> Iterator[re.Pattern[str]]:
    """Yield what each text in the program's source may look like once it is filled in."""
    for file in sorted((ROOT / "metanode").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.JoinedStr | ast.Constant):
                continue
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            fixed = [part.value for part in parts if isinstance(part, ast.Constant)]
            if all(isinstance(each, str) for each in fixed) and len("".join(fixed)) > 20:
                yield re.compile(
                    ".*".join(
                        re.escape(part.value) if isinstance(part, ast.Constant) else ""
                        for part in parts
                    )
                )


def test_the_bad_input_that_the_manual_shows_is_what_the_program_says() -> None:
    """Catches a manual that quotes a line which the program no longer prints."""
    section = MANUAL.split("## Bad input")[1].split("\n## ")[0]
    lines = re.findall(r"^\| [^|`]+ \| `+ ?(.*?) ?`+ \|$", section, re.MULTILINE)
    assert len(lines) >= 8
    said = list(patterns())
    for line in lines:
        assert any(pattern.search(line) for pattern in said), line


def test_the_annotated_example_is_a_test() -> None:
    """Catches an example of a test that no longer stands where the page says."""
    page = text_of("tests/README.md")
    (name,) = re.findall(r"From `(\S+)`", page)
    file = text_of(f"tests/{name}")
    example = page.split("```python\n")[1].split("```")[0]
    shown = [re.sub(r"\s+# \(\d\)$", "", line) for line in example.splitlines()]
    assert len(shown) > 15
    for line in shown:
        assert line.strip() == "..." or line in file, line
