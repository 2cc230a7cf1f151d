"""Were the runs that nodes traced runs of the protocol? ``python -m model_checks.conformance``.

Each node's trace is replayed row by row: the record must be in the row's source state, every
conjunct of the guard must be true on what the line says it read, what it read of the node's own
cells must be what the lines before left there, and writes and sends must be the row's effects. All
traces together are replayed in an order in which causes come first: a message that one node had
seen must stand in its sender's trace. In that order the invariants of ``spec/invariants.py`` are
evaluated on the whole network, and locks and votes may only move forward.

What a trace cannot show is given the benefit of the doubt: facts from outside (chain, clock,
checked signatures), memory of old rounds that the node has dropped, and the last writes before a
crash, which may have reached the disk and not the trace. Where no ``started`` record marks the
starts of a node, its memory may be empty at any line. A file alone that begins in the middle of a
trace is judged for itself, without the network's invariants. Whole lines cut off the end show only
if another node saw what they sent.

Exit code 0: all is legal; 1: refused, naming file, line, row and conjunct; 2: nothing to judge.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import define, field, frozen

from model_checks.trace_log import (
    STARTED,
    Line,
    Place,
    RecordedView,
    Refusal,
    Unusable,
    changes_of,
    false_conjunct,
    first_value,
    number,
    read_lines,
    show,
    wrong_effects,
)
from spec.assembly import Protocol, cells_read
from spec.interpreter import Change, Index, Value, evaluate
from spec.invariants import FORMULAS
from spec.ir import Node as Formula
from spec.language import Enum
from spec.parameters import faults_tolerated, threshold
from spec.protocol import PROTOCOL
from spec.trace_format import REPAIRED
from spec.trace_format import show as text

NEEDS_ALL_TRACES = ("NoDoubleSignLocal", "NoStepBeforeBegin", "KeyAvailable")
"""These speak of what other peers sent or stored, so they need every peer's whole trace."""


@frozen
class Settings:
    """The numbers of the network, where the traces do not name them; None: those of the spec."""

    threshold: int | None = None
    faulty: int | None = None


@define
class Node:
    """One node's own cells as its trace has left them."""

    lines: list[Line]
    protocol: Protocol
    settings: Settings
    own: Value = None
    values: dict[Place, Value] = field(factory=dict)
    sent: set[Place] = field(factory=set)
    doubtful: bool = False
    """Whether a crash may have kept disk writes out of the trace; each is asked about once."""
    asked: set[Place] = field(factory=set)
    latest: int = -1
    """The highest attempt that the trace has named so far."""
    earliest: int = 0
    """The lowest attempt that it names at all."""
    place: int = 0
    untraced: list[str] = field(factory=list)
    marked: bool = field(init=False)
    whole: bool = field(init=False)
    amid: bool = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.marked = any(line.kind == STARTED for line in self.lines)
        first = self.lines[0]
        self.amid = first.seq > 1
        self.whole = not self.amid and not first.resumed
        rules = [line for line in self.lines if line.rule is not None]
        if rules:
            machine = self.protocol.machines[rules[0].ran.table]
            self.own = rules[0].parameters[machine.subject[0]]
        self.earliest = min((a for line in rules for a in line.attempts), default=0)

    @property
    def next(self) -> Line | None:
        """The line that has not been replayed yet."""
        return self.lines[self.place] if self.place < len(self.lines) else None

    def value(self, place: Place) -> Value:
        """Return what a cell of this node holds."""
        return self.values.get(place, first_value(self.protocol, place[0]))

    def step(self, line: Line) -> list[tuple[Place, Value]]:
        """Replay the next line; returns the cells it changed. Raises :class:`Refusal`."""
        self.place += 1
        if line.kind in (STARTED, REPAIRED):  # both are written when the process begins
            return self._start(line)
        rule = line.ran
        machine = self.protocol.machines[rule.table]
        if line.parameters[machine.subject[0]] != self.own:
            raise line.refuse(f"it speaks of another node than the trace, {text(self.own)}")
        self.latest = max(self.latest, *line.attempts, -1)
        record = (machine.cell.name, tuple(line.parameters[name] for name in machine.subject))
        self._must_hold(line, record, rule.source)
        for place, value in line.reads.items():
            self._must_hold(line, place, value)
        view = RecordedView(line, self.protocol, self._on_disk, self.settings.threshold)
        wrong = false_conjunct(view)
        if wrong is not None:
            raise line.refuse(wrong)
        changes = changes_of(view)
        moved = Change(record[0], machine.cell.kept, record[1], rule.source, rule.target)
        if rule.target != rule.source:
            changes = (moved, *changes)
        wrong = wrong_effects(line, changes)
        if wrong is not None:
            raise line.refuse(wrong)
        return [self._set(line, change) for change in changes]

    def _start(self, line: Line) -> list[tuple[Place, Value]]:
        """Memory is empty; what else was on its way to the disk shows when it is read."""
        if not line.node.startswith(text(self.own) if line.node else ""):
            raise line.refuse(f"it is another node than the trace's, {text(self.own)}")
        kept = {name: cell.kept for name, cell in self.protocol.cells.items()}
        gone = [place for place in self.values if kept[place[0]] == "memory"]
        for place in gone:
            del self.values[place]
        self.sent, self.amid = set(), False
        self.doubtful, self.asked = line.seq > 1, set()
        return [(place, self.value(place)) for place in gone]

    def _on_disk(self, place: Place) -> Value:
        """Return a disk cell of this node for a formula that did not read it; else KeyError."""
        if self.protocol.cells[place[0]].kept != "disk" or place[1][0] != self.own:
            raise KeyError(place)
        return self.values[place]

    def _must_hold(self, line: Line, place: Place, value: Value) -> None:
        """Refuse what this node cannot have read of itself; learn what only a read can tell."""
        cell = self.protocol.cells[place[0]]
        if cell.kept == "ghost" and value != first_value(self.protocol, place[0]):
            raise line.refuse(f"{show(place)} is {text(value)}, but no node holds a ghost cell")
        if cell.kept in ("given", "ghost") or place[1][:1] != (self.own,):
            return
        if cell.kept == "network":
            self._must_have_sent(line, place, value)
            return
        held = self.value(place)
        if value != held:
            if cell.kept == "memory":
                allowed = self._may_be_dropped(place, value)
            else:
                allowed = self._may_be_untraced(place, held, value)
                if allowed and self.whole:
                    self.untraced.append(
                        f"{line.where}: {show(place)} was {text(held)}, is {text(value)}"
                    )
            if not allowed:
                raise line.refuse(
                    f"{show(place)} is {text(value)}, but the trace left it at {text(held)}"
                )
            self.values[place] = value
        self.asked.add(place)

    def _must_have_sent(self, line: Line, place: Place, value: Value) -> None:
        if value and self.whole and not self.value(place):
            raise line.refuse(f"{show(place)} is True, but this node had not sent it")
        if not value and place in self.sent and not self._may_be_dropped(place, False):
            raise line.refuse(f"{show(place)} is False, but this node had sent it")

    def _may_be_dropped(self, place: Place, value: Value) -> bool:
        """Memory of old attempts and closed links is dropped; unmarked starts empty all of it."""
        if self.amid and place not in self.values and place not in self.asked:
            return True
        if value != first_value(self.protocol, place[0]):
            return False
        index = dict(zip(self.protocol.cells[place[0]].index, place[1], strict=True))
        attempt = index.get("Attempt")
        old = isinstance(attempt, int) and attempt < self.latest
        return not self.marked or old or "Link" in index

    def _may_be_untraced(self, place: Place, held: Value, value: Value) -> bool:
        """A flush that a crash kept out of the trace, or a disk that is older than the trace."""
        if not self.whole and place not in self.values and place not in self.asked:
            return True
        if not self.doubtful or place in self.asked:
            return False
        if isinstance(held, bool) or held is None:
            return not held
        if isinstance(held, int):
            return isinstance(value, int) and held < value
        cell = self.protocol.cells[place[0]]
        if isinstance(cell.type, Enum):
            machines = (m for m in self.protocol.machines.values() if m.cell == cell)
            return any((r.source, r.target) == (held, value) for m in machines for r in m.rules)
        return place[0] == "lock"

    def _set(self, line: Line, change: Change) -> tuple[Place, Value]:
        place = (change.cell, change.index)
        before = self.value(place)
        if change.cell == "voted" and before not in (None, change.after):
            raise line.refuse(f"{show(place)} is {text(before)} already: a second vote")
        if change.cell == "lock_attempt" and isinstance(before, int):
            after = change.after if isinstance(change.after, int) else -1
            if after <= before:
                raise line.refuse(
                    f"{show(place)} goes from {before} to {after}: locks only move forward"
                )
        self.values[place] = change.after
        self.asked.add(place)
        if change.kept == "network":
            self.sent.add(place)
        return place, change.after


@define
class Network:
    """All nodes together, as far as their traces have been replayed."""

    nodes: dict[Value, Node]
    protocol: Protocol
    settings: Settings
    cells: dict[Place, Value] = field(factory=dict)
    of_event: dict[Value, dict[str, set[Value]]] = field(
        factory=lambda: defaultdict(lambda: defaultdict(set))
    )
    keys: set[Value] = field(factory=set)

    def __attrs_post_init__(self) -> None:
        nodes = self.nodes.values()
        marked = all(node.marked for node in nodes)
        whole = all(node.whole for node in nodes)
        begun = not any(node.amid for node in nodes)
        self.watched = {
            name: (formula, read)
            for name, formula in FORMULAS.items()
            if formula is not None
            for read in (cells_read(formula),)
            if begun
            and (whole or name not in NEEDS_ALL_TRACES)
            and (marked or not any(self.protocol.cells[c].kept == "memory" for c in read))
        }

    watched: dict[str, tuple[Formula, set[str]]] = field(init=False)

    def replay(self) -> int:
        """Replay every line, causes first; returns their number. Raises :class:`Refusal`."""
        done = 0
        while waiting := [node for node in self.nodes.values() if node.next is not None]:
            ready = [(n, line) for n in waiting if (line := n.next) and not self._missing(n, line)]
            if not ready:
                raise self._stuck(waiting)
            node, line = min(ready, key=lambda entry: entry[1].at)
            self._after(node, line, node.step(line))
            done += 1
        return done

    def _missing(self, reader: Node, line: Line) -> Place | None:
        """Return a message that the line has read and that its traced sender has not sent yet."""
        for place, value in line.reads.items():
            cell = self.protocol.cells[place[0]]
            if cell.kept != "network" or value is not True or "Link" in cell.index:
                continue  # links are numbered by each node for itself
            sender = self.nodes.get(place[1][0])
            if sender is None or sender is reader or self.cells.get(place) is True:
                continue
            attempts = [i for s, i in zip(cell.index, place[1], strict=True) if s == "Attempt"]
            older = not attempts or any(number(a) < sender.earliest for a in attempts)
            if sender.whole or not older:
                return place
        return None

    def _stuck(self, waiting: Sequence[Node]) -> Refusal:
        """Return the refusal of the line that waits for what nobody is going to send."""
        wants = [(line, self._missing(node, line)) for node in waiting if (line := node.next)]
        found = [(line, place, self.nodes[place[1][0]]) for line, place in wants if place]
        line, place, sender = next((e for e in found if e[2].next is None), found[0])
        where = sender.lines[-1].where.rpartition(":")[0]
        told = "does not send it" if sender.next is None else "sends it later, if at all"
        return line.refuse(f"{show(place)} was seen, but the sender's trace, {where}, {told}")

    def _after(self, node: Node, line: Line, changed: Sequence[tuple[Place, Value]]) -> None:
        for place, value in changed:
            self.cells[place] = value
        event = line.parameters.get("e")
        for place in (*line.reads, *(place for place, _ in changed)):
            index = dict(zip(self.protocol.cells[place[0]].index, place[1], strict=True))
            self.keys |= {index[s] for s in ("Key",) if s in index}
            if index.get("Event") == event and event is not None:
                for sort in ("Attempt", "Digest"):
                    self.of_event[event][sort] |= {index[sort]} if sort in index else set()
        touched = {place[0] for place, _ in changed if line.rule is not None}
        for name, (formula, read) in self.watched.items():
            if touched & read and not evaluate(formula, _NetworkView(self, line), {}):
                raise line.refuse(f"after it, {name} does not hold in the network")


@frozen
class _NetworkView:
    """The network for an invariant; events, attempts, digests and links are those of one line."""

    network: Network
    line: Line

    def read(self, cell: str, index: Index) -> Value:
        """Return the value of a cell at its node."""
        return self.network.cells.get((cell, index), first_value(self.network.protocol, cell))

    def individuals(self, sort: str) -> Iterator[Value]:
        """Return the individuals that the line may have changed something about."""
        event = self.line.parameters.get("e")
        if sort == "Peer":
            yield from self.network.nodes
        elif sort == "Key":
            yield from self.network.keys
        elif sort in ("Attempt", "Digest"):
            yield from tuple(self.network.of_event[event][sort])
        else:
            name = {"Event": "e", "Link": "l"}.get(sort, "")
            yield from (self.line.parameters[n] for n in (name,) if n in self.line.parameters)

    def constant(self, name: str) -> int:
        """Return N, T or F: those given, or those that the spec has for so many nodes."""
        holders, settings = len(self.network.nodes), self.network.settings
        return {
            "N": holders,
            "T": settings.threshold or threshold(holders),
            "F": faults_tolerated(holders) if settings.faulty is None else settings.faulty,
        }[name]


def check_traces(
    paths: Sequence[Path], settings: Settings | None = None, protocol: Protocol = PROTOCOL
) -> list[str]:
    """Check the traces of the nodes of one run; returns what to say about each.

    Raises :class:`Refusal` at the first line that is not legal, :class:`Unusable` when there is
    nothing to judge.
    """
    settings = settings or Settings()
    nodes: dict[Value, Node] = {}
    places: dict[Value, Path] = {}
    for path in paths:
        node = Node(read_lines(path, protocol), protocol, settings)
        if node.own in nodes:
            raise Unusable(f"{path}: the trace of the same node as {places[node.own]}")
        nodes[node.own], places[node.own] = node, path
    Network(nodes, protocol, settings).replay()
    return [said for own, node in nodes.items() for said in _verdict(places[own], node)]


def _verdict(path: Path, node: Node) -> Iterator[str]:
    starts = sum(line.kind == STARTED for line in node.lines)
    marked = f"{starts} starts" if node.marked else "starts not marked"
    yield f"{path}: legal, {len(node.lines)} lines, {marked}, node {text(node.own)}"
    yield from (f"  written before a crash, not traced: {text}" for text in node.untraced)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m model_checks.conformance", description="Are these traces legal runs?"
    )
    parser.add_argument("traces", nargs="+", type=Path, metavar="TRACE", help="directory or file")
    parser.add_argument("--threshold", type=int, help="t of the network, if not floor(2n/3) + 1")
    parser.add_argument("--faulty", type=int, help="f of the network")
    chosen = parser.parse_args(arguments)
    try:
        said = check_traces(chosen.traces, Settings(chosen.threshold, chosen.faulty))
    except Refusal as refusal:
        sys.stderr.write(f"{refusal}\n")
        return 1
    except Unusable as nothing:
        sys.stderr.write(f"{nothing}\n")
        return 2
    sys.stdout.write("\n".join(said) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
