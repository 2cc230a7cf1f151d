"""One node's trace, replayed row by row on the node's own cells.

The record must be in the row's source state, every conjunct of the guard must be true on what the
line says it read, what it read of the node's own cells must be what the lines before left there,
and writes and sends must be the row's effects. Locks and votes may only move forward. Each input
must have fired what its text allows (``turns``).
"""

from __future__ import annotations

from attrs import define, field

from model_checks.recorded_view import RecordedView, changes_of, false_conjunct, wrong_effects
from model_checks.trace_log import STARTED, Line, Place, first_value, show
from model_checks.turns import Turns
from spec.language.assembly import Protocol
from spec.language.declarations import Enum
from spec.language.interpreter import Change, Value
from spec.trace_format import REPAIRED, SHOWN_OCTETS
from spec.trace_format import show as text

ROWS_IN_ONE_INPUT = 2
"""So many rows of one record at most are fired by one input, whose flush a crash may part from the
trace: an event that is new is created and begun at once."""


@define
class Node:
    """One node's own cells as its trace has left them."""

    lines: list[Line]
    protocol: Protocol
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
    turns: Turns = field(factory=Turns)
    marked: bool = field(init=False)
    whole: bool = field(init=False)
    amid: bool = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.marked = any(line.kind == STARTED for line in self.lines)
        first = self.lines[0]
        self.amid = first.seq > 1
        self.whole = not self.amid and not first.resumed
        self.own = first.node[: 2 * SHOWN_OCTETS] or first.where  # if no line says more
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
        if not self.marked and line.turn[0] < self.turns.turn[0]:
            self.turns = Turns()
        self.turns.follow(line)
        rule = line.ran
        machine = self.protocol.machines[rule.table]
        if line.parameters[machine.subject[0]] != self.own:
            raise line.refuse(f"it speaks of another node than the trace, {text(self.own)}")
        self.latest = max(self.latest, *line.attempts, -1)
        record = (machine.cell.name, tuple(line.parameters[name] for name in machine.subject))
        self._must_hold(line, record, rule.source)
        for place, value in line.reads.items():
            self._must_hold(line, place, value)
        view = RecordedView(line, self.protocol, self._on_disk)
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
        self.sent, self.amid, self.turns = set(), False, Turns()
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
            rules = [
                rule for m in self.protocol.machines.values() if m.cell == cell for rule in m.rules
            ]
            reached = {held}
            for _ in range(ROWS_IN_ONE_INPUT):
                reached |= {rule.target for rule in rules if rule.source in reached}
            return value in reached
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
