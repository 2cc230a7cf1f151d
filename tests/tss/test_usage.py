"""The library as its page shows it."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from metanode import tss
from metanode.tss.messages import DealingShapes, Round, sign_rounds
from metanode.tss.parameters import LANES, STANDARD

PAGE = (Path(tss.__file__).parent / "USAGE.md").read_text()


def test_the_page_runs() -> None:
    """Catches a page that shows what no longer works."""
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    namespace: dict[str, object] = {}
    exec(program, namespace)  # noqa: S102 - our own page
    assert namespace["signature"] is not None
    lines = [line for line in program.splitlines() if line.strip()]
    assert len(lines) <= 24


def test_the_page_names_every_package_that_is_needed_and_no_other() -> None:
    """Catches an import that a fresh environment with the packages of the page does not have."""
    library = Path(tss.__file__).parent
    imported = {
        name
        for path in [*library.glob("*.py"), library.parent / "errors.py"]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([each.name for each in node.names] if isinstance(node, ast.Import)
                     else [node.module or ""])
    }
    ours = {name for name in imported if name.split(".")[0] == "metanode"}
    assert {name for name in ours if not name.startswith("metanode.tss")} == {"metanode.errors"}
    others = {name.split(".")[0] for name in imported - ours} - sys.stdlib_module_names
    (sentence,) = re.findall(r"It needs six\npackages: (.*)\n", PAGE)
    assert re.findall(r"`(\w+)`", sentence) == sorted(others)


PROTOCOL = (Path(tss.__file__).parent / "PROTOCOL.md").read_text()
ROW = re.compile(
    r"^\| (dealing|signing) (\d) \| (all|one) \| (\w+) \| ([^ ]+) \| ([^|]+) \|$", re.MULTILINE
)


def sizes(rounds: Iterable[Round], name: str) -> set[tuple[str, str, str, str, int]]:
    """Return (protocol, round, to, field, bytes) of every field."""
    return {
        (name, str(number), to, field, size)
        for number, plan in enumerate(rounds, start=1)
        for to, shape in (("all", plan.broadcast), ("one", plan.direct))
        for field, size in (shape.fields if shape is not None else ())
    }


@pytest.mark.parametrize(("coefficients", "lanes"), [(1, 1), (2, 2), (7, LANES)])
def test_the_page_of_the_protocol_lists_every_field(coefficients: int, lanes: int) -> None:
    """Catches a field, or a length, that whoever writes another decoder would not know of."""
    written = {
        (name, number, to, field, _bytes(size, {"t": coefficients, "k": lanes}))
        for name, number, to, field, size, _ in ROW.findall(PROTOCOL)
    }
    shapes = DealingShapes(coefficients, chain=True)
    real = sizes(sign_rounds(STANDARD, lanes), "signing")
    for receives in (True, False):
        real |= sizes(shapes.rounds(receives=receives), "dealing")
    assert written == real


def test_the_page_of_the_protocol_says_who_sends_what() -> None:
    """Catches a field that the page gives to the wrong role."""
    by_role: dict[str, set[tuple[str, str, str]]] = {}
    for name, number, to, field, _, role in ROW.findall(PROTOCOL):
        if name == "dealing":
            by_role.setdefault(role.split(",")[0], set()).add((number, to, field))
    for receives in (True, False):
        mine = "receiver" if receives else "sender"
        for deals, holds in ((True, True), (True, False), (False, True)):
            roles = {"everybody": True, "dealers": deals, "holders": holds}
            roles[f"{mine} of base transfers"] = holds
            wanted = {each for role, on in roles.items() if on for each in by_role[role]}
            plan = DealingShapes(2, chain=True).rounds(deals=deals, holds=holds, receives=receives)
            assert {row[1:4] for row in sizes(plan, "dealing")} == wanted


def _bytes(size: str, factors: dict[str, int]) -> int:
    terms = [term.partition("·") for term in size.split("+")]
    return sum(int(number) * (factors[name] if name else 1) for number, _, name in terms)


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
