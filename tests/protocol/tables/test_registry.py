"""One home for each fact, message, attachment, step and admission; anything else stops the import.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from metanode.protocol.tables import registry
from metanode.protocol.tables.registry import (
    FACT,
    Misdeclared,
    admits,
    attachment,
    check_complete,
    fact,
    handles,
    homes_in,
    message,
)
from metanode.protocol.tables.runner import Tables
from metanode.protocol.tables.view import NodeView
from spec.protocol import PROTOCOL


@pytest.fixture(autouse=True)
def homes(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    """Nothing is declared yet, and what a test declares is forgotten."""
    empty: dict[tuple[str, str], str] = {}
    monkeypatch.setattr(registry, "HOMES", empty)
    return empty


def declared(decorator: Callable[[Any], Any], name: str, *indices: str) -> Any:
    """Declare a method of this name with these parameters."""
    scope: dict[str, Any] = {}
    source = f"def {name}(self, {', '.join(indices)}): return True"
    exec(compile(source, "core.py", "exec"), scope)  # noqa: S102 - a method made for a test
    return decorator(scope[name])


def test_a_core_gives_the_tables_what_it_declares() -> None:
    """Catches a home that nothing finds, or a fact without the words of its cell."""

    class Core:
        """A core of one fact and one step."""

        @fact
        def block_over(self, p: bytes, q: bytes) -> bool:
            return p == q

        @handles("blocks_over")
        def on_blocks_over(self) -> None:
            return None

    core, tables = Core(), Tables(PROTOCOL, NodeView(PROTOCOL))
    tables.bind(core)
    assert tables.view.read("block_over", (b"a", b"a")) is True
    assert {(kind, name) for kind, name, _ in homes_in(core)} == {
        ("fact", "block_over"), ("step", "blocks_over")
    }
    assert Core.block_over.__doc__ == PROTOCOL.cells["block_over"].doc


@pytest.mark.parametrize(
    ("decorator", "name", "indices", "reason"),
    [
        (fact, "block_ova", "pq", "fact block_ova: spec has no given cell of this name"),
        (fact, "standing", "pq", "fact standing: spec has no given cell of this name"),
        (fact, "block_over", "p", "block_over has 2 indices, the method takes 1"),
        (fact, "block_over", "pqr", "block_over has 2 indices, the method takes 3"),
        (message("pingd"), "pinged", "p", "message pingd: no network cell has this name"),
        (message("lock"), "lock", "pe", "message lock: no network cell has this name"),
        (message("pinged"), "pinged", "pq", "pinged has 1 indices, the method takes 2"),
        (attachment("vote"), "vote", "pead", "attachment vote: no disk cell has this name"),
        (attachment("lock"), "lock", "p", "lock has 2 indices, the method takes 1"),
        (handles("pinged"), "on_ping", "", "step pinged: spec/inputs.py has no such step"),
        (admits("pong"), "admit", "sm", "admission pong: there is no such input"),
    ],
)
def test_what_does_not_fit_is_refused_with_file_and_line(
    decorator: Callable[[Any], Any], name: str, indices: str, reason: str
) -> None:
    """Catches a slip in a name, or an index too many, that only shows when the row is fired."""
    with pytest.raises(Misdeclared, match=re.escape(f"core.py:1: {reason}")):
        declared(decorator, name, *indices)


def test_a_second_home_is_refused_and_the_first_is_named() -> None:
    """Catches two providers of one fact: which of them counts would be an accident."""

    def block_over(self: object, p: bytes, q: bytes) -> bool:
        return True

    fact(block_over)
    first = registry.place_of(block_over)
    with pytest.raises(Misdeclared) as caught:
        declared(fact, "block_over", "p", "q")
    assert str(caught.value) == f"core.py:1: fact block_over has a home already: {first}"


@pytest.mark.parametrize(
    ("kind", "name", "file"),
    [
        ("fact", "block_over", r"tables/block_list.py:\d+"),
        ("fact", "kind", r"safe_sign.py:\d+"),
        ("message", "pinged", r"tables/peer.py:\d+"),
        ("step", "silence", r"inputs.py:\d+"),
        ("admission", "ping", r"messages.py:\d+"),
    ],
)
def test_what_nothing_has_is_refused_where_the_text_declares_it(
    homes: dict[tuple[str, str], str], kind: str, name: str, file: str
) -> None:
    """Catches a node that starts without the one who answers for a fact."""
    with pytest.raises(Misdeclared):
        check_complete()
    homes.update(dict.fromkeys(registry.wanted(), "here"))
    check_complete()
    del homes[kind, name]
    wanted = rf"spec/{file}: {kind} {name}: nothing in the node has it"
    with pytest.raises(Misdeclared, match=wanted):
        check_complete()


def test_only_given_cells_have_facts() -> None:
    """Catches a fact that could stand in the place of what the node's own rows have written."""
    given = {cell.name for cell in PROTOCOL.cells.values() if cell.kept == "given"}
    assert {name for kind, name in registry.wanted() if kind == FACT} == given
    assert len(given) <= 57, "every fact from outside is one more thing to believe"
