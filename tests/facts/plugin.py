"""A pytest plugin: makes one thing wrong (``--mutation NAME``), or notes what each test touches.

``--touched FILE`` writes a line of JSON for each test: its id, its seconds, and its marks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from metanode.protocol.node import NodeCore
from metanode.protocol.tables.runner import Tables
from metanode.protocol.tables.view import NodeView
from spec.protocol import PROTOCOL
from tests.facts.mutations import mutations, values_of

VALUES = {cell.name: values_of(cell) for cell in PROTOCOL.cells.values() if cell.kept == "given"}
_TOUCHED: set[str] = set()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the two options."""
    parser.addoption("--mutation", default="", help="the name of what is to be made wrong")
    parser.addoption("--touched", default="", help="where to note what each test touches")


def pytest_configure(config: pytest.Config) -> None:
    """Put the mutation in force, or watch."""
    if name := config.getoption("--mutation"):
        mutations()[name].apply()
    if config.getoption("--touched"):
        _watch()


def _watch() -> None:
    read, fire, sends = NodeView.read, Tables.fire, Tables._sends
    may_send, in_window = NodeCore._may_send, NodeCore._in_window
    last: dict[int, tuple[object, str]] = {}

    def watched_read(self: NodeView, cell: str, index: Any) -> Any:
        value = read(self, cell, index)
        if cell in self.providers:
            others = (other for other in VALUES[cell] if other != value)
            _TOUCHED.update(f"fact {cell} is not {other}" for other in others)
        return value

    def watched_fire(self: Tables, trigger: str, **arguments: Any) -> Any:
        rule = fire(self, trigger, **arguments)
        if self.turn is not None:
            kind, name = self.turn.entry.kind, self.turn.entry.names[self.turn.step]
            _TOUCHED.update((f"step {kind} {name}", f"trigger {name} {trigger}"))
            place = (self.turn.step, self.turn.again)
            turn, before = last.get(id(self), (None, ""))
            if turn == (self.turn, place):
                _TOUCHED.add(f"pair {name} {before} {trigger}")
            last[id(self)] = ((self.turn, place), trigger)
        return rule

    def watched_sends(self: Tables, change: Any, to: Any) -> Any:
        _TOUCHED.add(f"message {change.cell}")
        return sends(self, change, to)

    def watched_sender(self: NodeCore, rule: str, entry: Any) -> bool:
        allowed = may_send(self, rule, entry)
        if not allowed:
            _TOUCHED.add(f"sender {entry.kind}")
        return allowed

    def watched_window(self: NodeCore, rule: str, entry: Any) -> bool:
        allowed = in_window(self, rule, entry)
        if not allowed:
            _TOUCHED.add(f"window {entry.kind}")
        return allowed

    NodeView.read, Tables.fire, Tables._sends = watched_read, watched_fire, watched_sends
    NodeCore._may_send, NodeCore._in_window = watched_sender, watched_window


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: object) -> Iterator[None]:
    """Note what one test touched, its fixtures among it."""
    _TOUCHED.clear()
    started = os.times().elapsed
    result = yield
    if file := item.config.getoption("--touched"):
        line = {
            "test": item.nodeid,
            "seconds": round(os.times().elapsed - started, 3),
            "marks": sorted(_TOUCHED),
        }
        with open(f"{file}.{os.getpid()}", "a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
    return result
