"""Were the runs that nodes traced runs of the protocol? ``python -m model_checks.conformance``.

Each node's trace is replayed row by row (``replay``). All traces together are replayed in an order
in which causes come first: a message that one node had seen must stand in its sender's trace. In
that order the invariants of ``spec/invariants.py`` are evaluated on the whole network. N, T and F,
where guards ask for them, must be the same everywhere in one key epoch, and keep SAFE-SIGN 1
(``epochs``). What an input fired must be a sequence that ``spec/inputs.py`` declares (``turns``).

What a trace cannot show is given the benefit of the doubt: facts from outside (chain, clock,
checked signatures), memory of old rounds that the node has dropped, and the last writes before a
crash, which may have reached the disk and not the trace. Where no ``started`` record marks the
starts of a node, its memory may be empty at any line. A file alone that begins in the middle of a
trace is judged for itself, without the network's invariants. Whole lines cut off the end show if
another node saw what they sent, or by ``--end``: a hash that the node's status once showed must be
that of a line.

Exit code 0: all is legal; 1: refused, naming file, line, row and conjunct; 2: nothing to judge.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import define, field

from model_checks.epochs import Epochs, Settings
from model_checks.network_view import NetworkView, State
from model_checks.replay import Node
from model_checks.trace_log import (
    STARTED,
    Line,
    Place,
    Refusal,
    Unusable,
    number,
    read_lines,
    show,
)
from spec.invariants import FORMULAS
from spec.language.assembly import Protocol, cells_read
from spec.language.interpreter import Value, evaluate
from spec.language.ir import Node as Formula
from spec.protocol import PROTOCOL
from spec.trace_format import show as text

NEEDS_ALL_TRACES = ("NoDoubleSignLocal", "NoStepBeforeBegin", "KeyAvailable")
"""These speak of what other peers sent or stored, so they need every peer's whole trace."""

_COUNTED = ("vote", "confirmed", "renounced_said")
"""Whoever is asked for one of these is a holder or a member."""


@define
class Network:
    """All nodes together, as far as their traces have been replayed."""

    nodes: dict[Value, Node]
    protocol: Protocol
    settings: Settings
    epochs: Epochs = field(init=False)
    state: State = field(init=False)
    watched: dict[str, tuple[Formula, set[str]]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.epochs = Epochs(self.settings, len(self.nodes))
        self.state = State(self.protocol, self.nodes.keys())
        nodes = self.nodes.values()
        marked = all(node.marked for node in nodes)
        asked = {i[0] for n in nodes for line in n.lines for c, i in line.reads if c in _COUNTED}
        whole = all(node.whole for node in nodes) and asked <= self.nodes.keys()
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

    def replay(self) -> Iterator[tuple[Node, Line, Sequence[tuple[Place, Value]]]]:
        """Replay every line, causes first, and yield its node and the cells that it changed.

        Raises :class:`Refusal` at the first line that is not legal.
        """
        while waiting := [node for node in self.nodes.values() if node.next is not None]:
            ready = [(n, line) for n in waiting if (line := n.next) and not self._missing(n, line)]
            if not ready:
                raise self._stuck(waiting)
            node, line = min(ready, key=lambda entry: entry[1].at)
            self.epochs.agree(line, node.own)
            changed = node.step(line)
            self._after(line, changed)
            yield node, line, changed

    def _missing(self, reader: Node, line: Line) -> Place | None:
        """Return a message that the line has read and that its traced sender has not sent yet."""
        for place, value in line.reads.items():
            cell = self.protocol.cells[place[0]]
            if cell.kept != "network" or value is not True or "Link" in cell.index:
                continue  # links are numbered by each node for itself
            sender = self.nodes.get(place[1][0])
            if sender is None or sender is reader or self.state.cells.get(place) is True:
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

    def _after(self, line: Line, changed: Sequence[tuple[Place, Value]]) -> None:
        self.state.learn(line, dict(changed))
        touched = {place[0] for place, _ in changed if line.rule is not None}
        for name, (formula, read) in self.watched.items():
            if touched & read and not evaluate(
                formula, NetworkView(self.state, self.epochs, line), {}
            ):
                raise line.refuse(f"after it, {name} does not hold in the network")


def check_traces(
    paths: Sequence[Path], settings: Settings | None = None, protocol: Protocol = PROTOCOL,
    ends: Mapping[Path, str] | None = None,
) -> list[str]:
    """Check the traces of the nodes of one run; returns what to say about each, then about all.

    ``ends`` are hashes of lines that the traces must have: what their nodes' statuses have shown.
    Raises :class:`Refusal` at the first line that is not legal, :class:`Unusable` when there is
    nothing to judge.
    """
    places = nodes_of(paths, protocol, ends)
    nodes = {node.own: node for node in places.values()}
    lines = sum(1 for _ in Network(nodes, protocol, settings or Settings()).replay())
    told = [said for path, node in places.items() for said in _verdict(path, node)]
    return [*told, f"{_count(len(nodes), 'node')}, {lines:,} lines, every step legal"]


def nodes_of(
    paths: Sequence[Path], protocol: Protocol, ends: Mapping[Path, str] | None = None
) -> dict[Path, Node]:
    """Return the node of each trace, before its first line. Raises as ``check_traces`` does."""
    ends = ends or {}
    if strange := [path for path in ends if path not in paths]:
        raise Unusable(f"{strange[0]}: an end of a trace that is not among those to be judged")
    found: dict[Path, Node] = {}
    for path in paths:
        node = Node(read_lines(path, protocol, ends.get(path)), protocol)
        for other, known in found.items():
            if known.own == node.own:
                raise Unusable(f"{path}: the trace of the same node as {other}")
        found[path] = node
    return found


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _verdict(path: Path, node: Node) -> Iterator[str]:
    starts = sum(line.kind == STARTED for line in node.lines)
    marked = _count(starts, "start") if node.marked else "starts not marked"
    yield f"{path}: legal, {len(node.lines)} lines, {marked}, node {text(node.own)}"
    yield from (f"  written before a crash, not traced: {text}" for text in node.untraced)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m model_checks.conformance", description="Are these traces legal runs?"
    )
    parser.add_argument("traces", nargs="+", type=Path, metavar="TRACE", help="directory or file")
    parser.add_argument("--threshold", type=int, help="t, if it is one for all epochs")
    parser.add_argument("--faulty", type=int, help="f of each epoch; by default the largest")
    parser.add_argument(
        "--end", nargs=2, action="append", default=[], metavar=("TRACE", "HASH"),
        help="a hash that the status of the trace's node has shown: one of its lines has it",
    )
    chosen = parser.parse_args(arguments)
    settings = Settings(chosen.threshold, chosen.faulty)
    ends = {Path(path): hash_ for path, hash_ in chosen.end}
    try:
        said = check_traces(chosen.traces, settings, ends=ends)
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
