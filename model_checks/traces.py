"""Runs with their states: where a run begins, what each of its steps changes, and how it ends.

An engine gives steps. Here they are taken once more on the interpreter, which refuses a step that
is not legal, and the states beside them are what command line, report and explorer show. Who acts
in a step, and which row it is, is told here too.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from model_checks.engines.oracle import (
    Instance,
    Oracle,
    ReplayError,
    Result,
    Slot,
    State,
    Step,
)
from model_checks.system import Action, System
from spec.language.assembly import Machine, Rule
from spec.language.interpreter import Value
from spec.trace_format import reference
from spec.trace_format import show as short

WIDTH = 100
WORLD = "the world"
"""The lane of steps in which no individual of the lanes' sort acts."""


def written(value: Value) -> str:
    """Return a value as the table language writes it."""
    return "none" if value is None else short(value)


def place(slot: Slot) -> str:
    """Return a cell at its index; a cell without an index is its name."""
    return reference(*slot) if slot[1] else slot[0]


@frozen
class Change:
    """What a step does to one cell at one index."""

    slot: Slot
    before: Value
    after: Value

    def __str__(self) -> str:
        return f"{place(self.slot)}: {written(self.before)} -> {written(self.after)}"


@frozen
class Moved:
    """One step with the cells that it changes, in the order of the cells."""

    step: Step
    changes: tuple[Change, ...]


@frozen
class Trace:
    """A run: ``loop`` is what is repeated for ever after ``steps``; None: the run ends there.

    An empty loop says that nothing has to happen any more. ``chosen`` is what the first state holds
    where the model leaves a choice, as text; what is False or none there is left out.
    """

    name: str
    kind: str
    first: Mapping[Slot, Value]
    chosen: tuple[str, ...]
    steps: tuple[Moved, ...]
    loop: tuple[Moved, ...] | None = None
    has_choice: bool = False

    def lines(self) -> list[str]:
        """Return what to print: each step, and below it what it changed."""
        told = [f"  {self.name}: {length(len(self.steps), self.loop)}"]
        if self.has_choice:
            told += wrapped("      0  at the start: ", self.chosen or ("nothing that is chosen",))
        told += _numbered(self.steps, 1)
        if self.loop:
            told += ["         from here for ever:", *_numbered(self.loop, len(self.steps) + 1)]
        return told + [f"         {self.end}"] * bool(self.end)

    @property
    def end(self) -> str:
        """What the last state has to do with the property, where that does not show in it."""
        if self.loop is not None:
            return "" if self.loop else "from here nothing has to happen any more"
        return "from here it cannot come any more" if self.kind == "always_can" else ""

    def as_json(self) -> dict[str, Any]:
        """Return the states for machines: the first, and what each step and the loop's change.

        A loop says itself how the run ends; where there is none, ``end`` says it if need be.
        """
        return {
            "end": self.end,
            "first": {place(slot): value for slot, value in self.first.items()},
            "changed": [
                {place(change.slot): [change.before, change.after] for change in moved.changes}
                for moved in (*self.steps, *(self.loop or ()))
            ],
        }


def length(steps: int, loop: Sequence[object] | None) -> str:
    """Return how long a run is, in words."""
    told = "1 step" if steps == 1 else f"{steps} steps"
    if loop is None:
        return told
    return f"{told}, then {len(loop)} for ever" if loop else f"{told}, then nothing has to happen"


def _numbered(steps: Sequence[Moved], first: int) -> Iterator[str]:
    for number, moved in enumerate(steps, start=first):
        yield f"    {number:>3}  {moved.step}"
        yield from wrapped(" " * 11, [str(change) for change in moved.changes])


def wrapped(begin: str, parts: Sequence[str]) -> list[str]:
    """Return parts with commas between them, in lines as wide as a page."""
    text, margin = ", ".join(parts), " " * 11
    return textwrap.wrap(
        text, WIDTH, initial_indent=begin, subsequent_indent=margin, break_long_words=False,
        break_on_hyphens=False,
    )


class Traces:
    """Makes runs with states of what an engine found in an instance."""

    def __init__(self, instance: Instance) -> None:
        self.oracle = Oracle(instance)
        self.system = instance.system
        self.kinds = {c.property.name: c.property.kind for c in self.system.properties}
        rigid, first = self.system.rigid, self.system.first
        self.open = {name for name in self.system.cells if name in rigid or name not in first}
        """The cells whose first value the model leaves open."""

    def violated(self, result: Result) -> list[Trace]:
        """Return the counterexamples, by name."""
        return [self._found(n, steps, result) for n, steps in sorted(result.violated.items())]

    def reached(self, result: Result) -> list[Trace]:
        """Return the runs to the witnesses, by name."""
        return [self._found(n, steps, result) for n, steps in sorted(result.reached.items())]

    def _found(self, name: str, steps: Sequence[Step], result: Result) -> Trace:
        first = result.starts.get(name)
        return self.run(
            name, self._first(steps) if first is None else first, steps, result.loops.get(name)
        )

    def _first(self, steps: Sequence[Step]) -> State:
        """Return an initial state that a run may begin in, where an engine does not name it."""
        for state in self.oracle.initial():
            try:
                self.oracle.replay(state, steps)
            except ReplayError:
                continue
            return state
        raise ReplayError("the steps begin in no initial state")

    def run(
        self, name: str, first: State, steps: Sequence[Step], loop: Sequence[Step] | None = None
    ) -> Trace:
        """Return a run with its states; raises :class:`ReplayError` if a step is not legal."""
        states = self.oracle.replay(first, [*steps, *(loop or ())])
        pairs = zip((*steps, *(loop or ())), states, states[1:], strict=False)
        moved = [Moved(step, self.changes(before, after)) for step, before, after in pairs]
        return Trace(
            name, self.kinds.get(name, ""), dict(zip(self.oracle.slots, first, strict=True)),
            tuple(self.chosen(first)), tuple(moved[: len(steps)]),
            None if loop is None else tuple(moved[len(steps) :]), bool(self.open),
        )

    def changes(self, before: State, after: State) -> tuple[Change, ...]:
        """Return where two states differ."""
        values = zip(self.oracle.slots, before, after, strict=True)
        return tuple(Change(slot, old, new) for slot, old, new in values if old != new)

    def unusual(self, state: State) -> Iterator[tuple[str, Value]]:
        """Yield the cells that are not at their first value, by place; where that is chosen, those
        that are not False."""
        instance = self.oracle.instance
        for slot, value in zip(self.oracle.slots, state, strict=True):
            usual: Value = instance.first(*slot) if slot[0] in self.system.first else False
            if value != usual:
                yield place(slot), value

    def told(self, state: State) -> Iterator[str]:
        """Yield the same as text."""
        for where, value in self.unusual(state):
            yield f"{where} = {written(value)}"

    def chosen(self, first: State) -> Iterator[str]:
        """Yield what a first state holds where there is a choice; False and none are left out."""
        for slot, value in zip(self.oracle.slots, first, strict=True):
            # Not "in (False, None)": the individual 0 is a choice like any other.
            if slot[0] in self.open and value is not False and value is not None:
                yield place(slot) if value is True else f"{place(slot)} = {written(value)}"


def lane_sort(system: System) -> str:
    """Return the sort whose individuals have a lane each: of those who act in most actions."""
    acting = Counter(next(iter(a.parameters.values())) for a in system.actions if a.parameters)
    if "Peer" in acting or not acting:
        return "Peer"
    return acting.most_common(1)[0][0]


def actor(action: Action, sort: str) -> str:
    """Return the parameter that names who acts, or "" when the world does."""
    return next((name for name, of in action.parameters.items() if of == sort), "")


def rule_of(action: Action, machines: Mapping[str, Machine]) -> Rule | None:
    """Return the rule that an action of a network came from; None for moves and crashes.

    Rows between the same two states on one event have the same name: the guards tell them apart.
    """
    texts = {guard.text for guard in action.guards}
    rules = [r for m in machines.values() for r in m.rules if r.name == action.origin]
    return max(
        rules, key=lambda r: sum(1 if g.text in texts else -1 for g in r.guards), default=None
    )
