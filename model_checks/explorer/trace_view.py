"""The traces of nodes as the page shows them: what each step changed, and whether it was legal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from model_checks.conformance import Network, nodes_of
from model_checks.console import Unusable
from model_checks.epochs import Settings
from model_checks.explorer.view import (
    Answer,
    Held,
    Refused,
    around,
    meanings,
    row_of,
    tables,
    told_changes,
    whole_number,
)
from model_checks.replay import Node
from model_checks.trace_log import Line, Place, Refusal, first_value, show
from model_checks.trace_log import Unusable as NoTrace
from model_checks.traces import Change, written
from spec.language.assembly import Rule
from spec.language.interpreter import Value
from spec.protocol import PROTOCOL

MAX_LINES = 50_000


@frozen
class Recorded:
    """One line of a trace, with what it changed and in whose lane it stands."""

    line: Line
    lane: str
    changes: tuple[Change, ...]


class TraceView:
    """Answers about the traces of one run, replayed with causes before effects.

    Several nodes have a lane each; of one node, each table has.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        try:
            nodes = nodes_of(paths, PROTOCOL)
        except (NoTrace, Refusal) as error:
            raise Unusable(str(error)) from None
        lines = sum(len(node.lines) for node in nodes.values())
        if lines > MAX_LINES:
            raise Unusable(f"{lines:,} lines, more than {MAX_LINES:,}: name one file of a trace")
        self.names = _names(nodes)
        self.steps: list[Recorded] = []
        self.refused = ""
        try:
            self._replay(nodes)
        except Refusal as error:
            self.refused = str(error)
        self.lanes = list(self.names.values())
        if len(nodes) == 1:
            self.lanes = list(dict.fromkeys(recorded.lane for recorded in self.steps))
        self.lines = lines

    def _replay(self, nodes: Mapping[Path, Node]) -> None:
        held: dict[Place, Value] = {}
        network = Network({node.own: node for node in nodes.values()}, PROTOCOL, Settings())
        for node, line, changed in network.replay():
            changes = []
            for place, after in changed:
                before = held.get(place, first_value(PROTOCOL, place[0]))
                if before != after:
                    changes.append(Change(place, before, after))
                held[place] = after
            table = line.rule.table if line.rule is not None else "the process"
            lane = self.names[node.own] if len(nodes) > 1 else table
            self.steps.append(Recorded(line, lane, tuple(changes)))

    def about(self) -> Answer:
        """Return which nodes and rows there are, and whether the run was legal."""
        rules = {_name(r.line): r.line.rule for r in self.steps if r.line.rule is not None}
        said = f"{len(self.steps):,} of {self.lines:,} lines replayed"
        return {
            "mode": "trace",
            "title": "Traces of " + ", ".join(self.names.values()),
            "doc": f"{said}, every step legal" if not self.refused else said,
            "refused": self.refused,
            "size": ", ".join(f"{name}: {written(own)}" for own, name in self.names.items()),
            "starts": [], "more_starts": False,
            "rows": {name: self._row(rule) for name, rule in rules.items()},
        }

    def _row(self, rule: Rule) -> Answer:
        defined = ((d.signature, d.text) for d in PROTOCOL.names.definitions.values())
        means = meanings(rule.row.only_if, defined)
        return {**row_of(rule), "added": [], "dropped": [], "fair": False, "means": means}

    def at(self, question: Mapping[str, Any]) -> Answer:
        """Return the state after ``position`` lines, and the lines around it."""
        position = whole_number(question, "position", len(self.steps))
        begin, end = around(position, len(self.steps))
        state: dict[Place, Value] = {}
        last: dict[Place, Change] = {}
        for recorded in self.steps[:position]:
            last = {change.slot: change for change in recorded.changes}
            for change in recorded.changes:
                state.pop(change.slot, None)  # what changed last stands last
                state[change.slot] = change.after
        held = (Held(place, value, last.get(place)) for place, value in state.items())
        return {
            "position": position, "total": len(self.steps), "begin": begin, "lanes": self.lanes,
            "steps": [_step(n, self.steps[n]) for n in range(begin, end)],
            "tables": tables(held, PROTOCOL.cells, self._label, tuple(self.names.values())),
            "line": _line(self.steps[position - 1].line) if position else {},
        }

    def _label(self, sort: str, value: Value) -> str:
        """Name a node as its lane does; other individuals by sort and id."""
        if sort == "Peer" and value in self.names:
            return self.names[value]
        return f"{sort} {written(value)}"

    def checks(self) -> Answer:
        """Refuse: a run that has happened is all there is."""
        raise Refused("a trace has no checks to run: they were made when it was opened")


def _names(nodes: Mapping[Path, Node]) -> dict[Value, str]:
    """Return a name for each node: of its trace's folder, with its id where two are the same."""
    short = {path: path.parent.name if path.name == "trace" else path.name for path in nodes}
    taken = list(short.values())
    return {
        node.own: f"{short[path]} {written(node.own)}" if taken.count(short[path]) > 1
        else short[path]
        for path, node in nodes.items()
    }


def _name(line: Line) -> str:
    rule = line.rule
    return f"{rule.table}.{rule.event}-{rule.number}" if rule is not None else ""


def _step(number: int, recorded: Recorded) -> Answer:
    line = recorded.line
    text = line.kind
    if line.rule is not None:
        own = ", ".join(
            f"{name}={written(value)}" for name, value in line.parameters.items() if name != "p"
        )
        text = f"{line.rule.table}.{line.rule.event}({own})"
    return {
        "number": number + 1, "text": text, "row": _name(line), "lane": recorded.lane,
        "changes": told_changes(recorded.changes),
    }


def _line(line: Line) -> Answer:
    """Return what a line says beside its step."""
    return {
        "where": line.where, "input": line.input, "sends": ", ".join(line.sends),
        "reads": [f"{show(place)} is {written(value)}" for place, value in line.reads.items()],
    }
