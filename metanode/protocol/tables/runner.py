"""Runs the tables: one synchronous ``transitions`` machine per table, shared by all its records.

``Tables.fire`` checks the guard of a row on the node's view, applies the effects and returns them
sorted into writes and sends. An effect on a disk cell is a write, an effect on a network cell is a
send, and nothing else writes or sends for the protocol. The shell flushes the writes before it
sends anything, so DurableBeforeSend holds by construction. A pair (state, event) without a row, and
a row whose guard is false, raise and change nothing.

No caller tells the tables anything: facts, messages and what is stored beside a cell come from
their one home each (``registry.py``), and what is fired at all is the matter of the input at hand
(``turn.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from attrs import define, field
from transitions import EventData, State
from transitions import Machine as Automaton

from metanode.errors import LocalFault, MetanodeError, check
from metanode.protocol.tables.effects import Effects, Send, Write
from metanode.protocol.tables.registry import ATTACHMENT, FACT, MESSAGE, homes_in
from metanode.protocol.tables.turn import Turn
from metanode.protocol.tables.view import NodeView
from spec.attached import ATTACHED
from spec.language.assembly import Guard, Machine, Protocol, Rule
from spec.language.interpreter import Change, Environment, Index, Value, holds, outcome
from spec.messages import MESSAGE_OF_CELL, index_of
from spec.trace_format import reference, show


class TransitionError(MetanodeError):
    """An event that the tables do not allow now; the state is unchanged."""

    table: str


class Undefined(TransitionError):
    """The table has no row for this event in this state."""

    def __init__(self, table: str, state: str, event: str) -> None:
        super().__init__(f"{table}: no row for {event} in {state}")
        self.table, self.state, self.event = table, state, event


class Refused(TransitionError):
    """There is a row, but a conjunct of its guard is false; ``conjuncts`` has one per row tried."""

    def __init__(self, table: str, state: str, event: str, conjuncts: Sequence[str]) -> None:
        super().__init__(f"{table}: {event} in {state} refused: not {' / not '.join(conjuncts)}")
        self.table, self.state, self.event = table, state, event
        self.conjuncts = tuple(conjuncts)


Recipients = bytes | Sequence[bytes] | None
"""To whom a message goes: one peer, several, or everybody."""


@define(slots=False)  # the library hangs its own methods on the model
class _Record:
    """The model that ``transitions`` moves: the record of the moment, kept by nobody."""

    view: NodeView = field(init=False)
    state: str = ""
    environment: Environment = field(factory=dict)
    rule: Rule | None = None
    changes: tuple[Change, ...] = ()
    refusals: list[str] = field(factory=list)

    def load(self, view: NodeView, state: str, environment: Environment) -> None:
        """Take on the record that an event is about."""
        self.view, self.state, self.environment = view, state, environment
        self.rule, self.changes, self.refusals = None, (), []


class TableRunner:
    """One table as a ``transitions`` machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._record = _Record()
        self._pairs = {(rule.source, rule.event) for rule in machine.rules}
        self._automaton = Automaton(
            self._record,
            states=[State(name) for name in machine.states],
            initial=machine.first,
            auto_transitions=False,
            send_event=True,
            queued=False,
        )
        for rule in machine.rules:
            self._automaton.add_transition(
                rule.event,
                rule.source,
                rule.target,
                conditions=[_condition(guard) for guard in rule.guards],
                after=[_after(rule)],
            )

        self._trigger: Callable[[str], bool] = vars(self._record)["trigger"]

    def step(
        self, view: NodeView, state: str, event: str, environment: Environment
    ) -> tuple[Rule, tuple[Change, ...]]:
        """Return the rule that runs and its changes; raises without having changed anything."""
        name = self.machine.table.name
        if (state, event) not in self._pairs:
            raise Undefined(name, state, event)
        record = self._record
        record.load(view, state, environment)
        if not self._trigger(event) or record.rule is None:
            raise Refused(name, state, event, record.refusals)
        return record.rule, record.changes


_RUNNERS: dict[int, TableRunner] = {}


def runner_of(machine: Machine) -> TableRunner:
    """Return the runner of a table: one in a process, as a step keeps nothing for the next one."""
    known = _RUNNERS.get(id(machine))
    if known is None:
        known = _RUNNERS[id(machine)] = TableRunner(machine)  # it keeps its machine: the id stays
    return known


def _record(event: EventData) -> _Record:
    record = event.model
    if not isinstance(record, _Record):
        raise TypeError("a table machine moves records only")
    return record


def _condition(guard: Guard) -> Callable[[EventData], bool]:
    def condition(event: EventData) -> bool:
        record = _record(event)
        true = holds(guard, record.view, record.environment)
        if not true:
            record.refusals.append(f"({guard.text})")
        return true

    return condition


def _after(rule: Rule) -> Callable[[EventData], None]:
    def after(event: EventData) -> None:
        record = _record(event)
        record.rule = rule
        record.changes = outcome(rule, record.view, record.environment)

    return after


@define
class Tables:
    """All tables of a protocol on the view of one node, whose rows are about that node."""

    protocol: Protocol
    view: NodeView
    me: bytes = b""
    effects: Effects = field(factory=Effects)
    turn: Turn | None = None
    """The input at hand; None only while nothing comes in, as in a test of one core."""
    refusal: TransitionError | None = None
    """Why the last trigger that was tried did not run."""
    _runners: dict[str, TableRunner] = field(init=False, repr=False)
    _builders: dict[tuple[str, str], Callable[..., Any]] = field(factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        self._runners = {
            name: runner_of(machine)
            for name, machine in self.protocol.machines.items()
        }

    def bind(self, core: object) -> None:
        """Take the facts, messages and attachments that a core declares."""
        for kind, name, method in homes_in(core):
            if kind == FACT:
                self.view.providers[name] = method
            elif kind in (MESSAGE, ATTACHMENT):
                self._builders[kind, name] = method

    def state(self, table: str, *subject: Value) -> str:
        """Return the state of a record; the node itself is its peer unless ``subject`` is whole."""
        cell = self.protocol.machines[table].cell
        whole = subject if len(subject) == len(cell.index) else (self.me, *subject)
        return str(self.view.get(cell.name, *whole))

    def fire(self, trigger: str, *, to: Recipients = None, **parameters: Value) -> Rule:
        """Run the row of ``table.Event`` for the record that the parameters name; return its rule.

        ``p`` is this node. Messages that the row sends go ``to`` these peers, or to all. Raises
        :class:`Undefined` or :class:`Refused` and changes nothing.
        """
        table, event, values = self._named(trigger, parameters)
        machine = self._runners[table].machine
        subject = tuple([values[name] for name in machine.subject])
        rule, found, state = self._step(table, event, subject, values)
        reads = {name: show(value) for name, value in self.view.reads.items()}
        if self.turn is not None:
            self.turn.advance(trigger)
        changes = [change for change in found if change.kept != "ghost"]
        if rule.target != state:
            moved = Change(machine.cell.name, machine.cell.kept, subject, state, rule.target)
            changes.insert(0, moved)
        writes, sends = self._sort(rule, changes, to)
        for change in changes:
            self.view.put(change.cell, change.index, change.after)
        self.effects.writes += writes
        self.effects.sends += sends
        turn = self.turn
        self.effects.trace.append(
            {
                "table": table,
                "row": rule.number,
                "event": event,
                "from": state,
                "to": rule.target,
                "parameters": {name: show(value) for name, value in values.items()},
                "reads": reads,
                "writes": [reference(w.cell, w.index) for w in writes],
                "sends": sorted({s.cell for s in sends}),
                "input": turn.entry.kind if turn is not None else "",
                "turn": [turn.step, turn.again] if turn is not None else [0, 0],
            }
        )
        return rule

    def tries(self, trigger: str, *, to: Recipients = None, **parameters: Value) -> bool:
        """Run a row if its table allows it now; return whether it ran. ``refusal`` says why not."""
        try:
            self.fire(trigger, to=to, **parameters)
        except TransitionError as refusal:
            self.refusal = refusal
            return False
        return True

    def why_not(self, trigger: str, **parameters: Value) -> TransitionError | None:
        """Return the error that ``fire`` would raise now, or None."""
        table, event, values = self._named(trigger, parameters)
        subject = tuple(values[name] for name in self._runners[table].machine.subject)
        try:
            self._step(table, event, subject, values)
        except TransitionError as error:
            return error
        return None

    def _step(
        self, table: str, event: str, subject: Index, values: Environment
    ) -> tuple[Rule, tuple[Change, ...], str]:
        """Return the rule that runs now, its changes and the state of the record."""
        runner, view = self._runners[table], self.view
        state = str(view.get(runner.machine.cell.name, *subject))
        view.begin_reading()
        return *runner.step(view, state, event, values), state

    def take(self) -> Effects:
        """Return the effects collected so far and begin anew."""
        taken, self.effects = self.effects, Effects()
        return taken

    def _named(
        self, trigger: str, parameters: Mapping[str, Value]
    ) -> tuple[str, str, dict[str, Value]]:
        table, _, event = trigger.partition(".")
        signature = self._runners[table].machine.signatures.get(event)
        values = {"p": self.me, **parameters}
        if signature is None or signature.keys() != values.keys():
            raise LocalFault(f"{trigger} takes {signature}, not {sorted(values)}")
        return table, event, values

    def _sort(
        self, rule: Rule, changes: Sequence[Change], to: Recipients
    ) -> tuple[list[Write], list[Send]]:
        after = {change.cell: change.after for change in changes}
        writes: list[Write] = []
        sends: list[Send] = []
        for change in changes:
            check(change.kept not in ("given", "ghost"), f"{rule.name} writes {change.cell}")
            if change.kept == "disk":
                kept = self._attachment(change, after)
                if change.before != change.after or kept is not None:
                    index, before = change.index, change.before
                    writes.append(Write(change.cell, index, before, change.after, kept))
            elif change.kept == "network":
                sends += self._sends(change, to)
        return writes, sends

    def _attachment(self, change: Change, after: Mapping[str, Value]) -> object:
        """Return what is stored beside a disk cell; it must say what the row writes."""
        builder = self._builders.get((ATTACHMENT, change.cell))
        kept = None if builder is None else builder(*change.index)
        tie = ATTACHED.get(change.cell)
        if kept is not None and tie is not None:
            said = {path: attrgetter(path)(kept) for path in (*tie.index, *tie.values.values())}
            check(
                tuple(said[path] for path in tie.index) == change.index[1:]
                and all(after.get(cell) == said[path] for cell, path in tie.values.items()),
                f"what is stored beside {change.cell} is not what the row writes",
            )
        return kept

    def _sends(self, change: Change, to: Recipients) -> list[Send]:
        """Return the messages of a network cell; each must carry the index of the row."""
        cell, wanted = change.cell, MESSAGE_OF_CELL[change.cell]
        builder = self._builders.get((MESSAGE, cell))
        check(builder is not None, f"{cell} is sent, and nothing here builds its message")
        made = builder(*change.index) if builder is not None else None
        targets = [to] if to is None or isinstance(to, bytes) else list(to)
        items = made if isinstance(made, list) else [(target, made) for target in targets]
        sorts = self.protocol.cells[cell].index
        index = tuple(
            part for part, sort in zip(change.index, sorts, strict=True) if sort != "Link"
        )
        check(bool(items), f"{cell} is sent, so there must be a message")
        for _, message in items:
            check(type(message) is wanted, f"{cell} is sent as {wanted.__name__}")
            check(
                index_of(message) == index[1:],
                f"{cell}: a {wanted.__name__} about {index_of(message)}, the row is about {index}",
            )
        return [Send(cell, message, target) for target, message in items]
