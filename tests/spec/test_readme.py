"""What spec/README.md says about rows, constants and cells is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import spec
from spec.parameters import constants
from spec.protocol import MODULES, PROTOCOL
from spec.tables.session import TABLE

README = Path(str(spec.__file__)).with_name("README.md").read_text(encoding="utf-8")
REFERENCES = sorted(
    {
        (table, event.strip())
        for table, events in re.findall(r"`(\w+)`: ((?:[A-Z]\w+(?:, )?)+)", README)
        for event in events.split(",")
        if table in PROTOCOL.machines and event.strip()
    }
)


def test_references_were_found() -> None:
    """Catches a README in another form, in which the next test would look at nothing."""
    assert len(REFERENCES) > 30


@pytest.mark.parametrize(("table", "name"), REFERENCES)
def test_rows_exist(table: str, name: str) -> None:
    """Catches a source sentence that points to a row which is gone."""
    machine = PROTOCOL.machines[table]
    assert name in machine.signatures or name in machine.states


def test_names_exist() -> None:
    """Catches a constant, cell, formula or file that was renamed."""
    root = Path(str(spec.__file__)).parent
    files = {path.relative_to(root).as_posix() for path in root.rglob("*.*")}
    files |= {f"{path.name}/" for path in root.iterdir() if path.is_dir()}
    known = {constant.name for constant in constants()} | set(PROTOCOL.cells) | files
    known |= set(PROTOCOL.names.definitions) | set(PROTOCOL.machines) | {"keygen_until", "delay"}
    known |= {"memory", "disk", "network", "given", "ghost", "any", "same"}
    known |= {state for machine in PROTOCOL.machines.values() for state in machine.states}
    known |= {event for machine in PROTOCOL.machines.values() for event in machine.signatures}
    known |= {sort.lower()[0] for sort in PROTOCOL.names.sorts}
    named = set(re.findall(r"`\"?([a-z_A-Z/]+(?:\.py|\.cddl|\.md)?)\"?`", README))
    assert named - known == set()


def test_every_table_file_is_in_the_reading_order() -> None:
    """Catches a table that a reader would not find."""
    for module in MODULES:
        assert f"| `{module.__name__.removeprefix('spec.').replace('.', '/')}.py` |" in README


def test_the_example_is_the_row() -> None:
    """Catches an explanation of a row that no longer says this."""
    (row,) = (row for row in TABLE.rows if row.event.startswith("Begin("))
    example = README[README.index("```python") : README.index("```\n", README.index("```python"))]
    for text in (*row.only_if, row.why, *row.then, *row.then.values()):
        assert f'"{text}"' in example


def test_the_glossary_has_the_words_of_the_field() -> None:
    """Catches a word without its meaning or without what others call it."""
    section = README.split("## Words")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    assert len(rows) > 30
    for row in rows:
        assert len(row) == 3, row
        assert all(cell.strip() for cell in row), row


SOURCES = README.split("## Where each sentence of the sources went")[1].split("\n## ")[0]
TESTS = Path(str(spec.__file__)).parents[1] / "tests"


def sentences() -> list[list[str]]:
    """Return the rows of the table of the sources' sentences, by their cells."""
    lines = [line for line in SOURCES.splitlines() if re.match(r"\| [MNT] \|", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_each_sentence_has_its_place_and_a_test() -> None:
    """Catches a sentence of the sources that is nowhere, or that nothing would miss."""
    rows = sentences()
    assert {row[0] for row in rows} == {"M", "N", "T"}
    assert len(rows) > 50
    for row in rows:
        assert len(row) == 4, row
        assert all(row), row
        assert re.fullmatch(r"`[\w/]+\.py::test_\w+`(, `[\w/]+\.py::test_\w+`)*", row[3]), row


@pytest.mark.parametrize(
    "name", sorted({name for row in sentences() for name in re.findall(r"`([^`]+)`", row[3])})
)
def test_the_tests_of_the_sentences_exist(name: str) -> None:
    """Catches a sentence whose test was renamed or deleted: nothing pins it then."""
    file, _, test = name.partition("::")
    text = (TESTS / file).read_text(encoding="utf-8")
    assert re.search(rf"^(?:async )?def {test}\(", text, re.MULTILINE), name
