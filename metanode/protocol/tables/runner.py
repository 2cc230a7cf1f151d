"""Runs the tables: one synchronous ``transitions`` machine per table, shared by all its records.

``Tables.fire`` checks the guard of a row on the node's view, applies the effects and returns them
sorted into writes and sends. An effect on a disk cell is a write, an effect on a network cell is a
send, and nothing else writes or sends for the protocol. The shell flushes the writes before it
sends anything, so DurableBeforeSend holds by construction. A pair (state, event) without a row, and
a row whose guard is false, raise and change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen
from transitions import EventData, State
from transitions import Machine as Automaton

from metanode.errors import MetanodeError, check
from metanode.protocol.tables.view import Facts, NodeView, Quorum
from spec.language.assembly import Guard, Machine, Protocol, Rule
from spec.language.interpreter import Change, Environment, Index, Value, holds, outcome
from spec.messages import MESSAGE_OF_CELL
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


@frozen
class Write:
    """A disk cell to flush, compare-and-set on ``before``; ``attachment`` is stored with it."""

    cell: str
    index: Index
    before: Value
    after: Value
    attachment: object = field(default=None, repr=False)


@frozen
class Send:
    """A message to one peer, or to all (``to`` is None)."""

    cell: str
    message: object
    to: bytes | None = None


@frozen
class Call:
    """Something for the shell that is neither a write nor a send, such as asking the chain."""

    name: str
    arguments: Mapping[str, Any] = field(factory=dict, repr=False)


@define
class Effects:
    """What the shell must do, in this order: writes, trace, sends, calls."""

    writes: list[Write] = field(factory=list)
    sends: list[Send] = field(factory=list)
    calls: list[Call] = field(factory=list)
    trace: list[dict[str, Any]] = field(factory=list, repr=False)

    def clear(self) -> None:
        """Forget everything, after the shell took it."""
        self.writes, self.sends, self.calls, self.trace = [], [], [], []


Carried = object | Sequence[tuple[bytes | None, object]]
"""What rides on an effect: one message for all, a list of (recipient, message), or a disk
attachment.
"""


@define(slots=False)  # the library hangs its own methods on the model
class _Record:
    """The model that ``transitions`` moves: the record of the moment, kept by nobody."""

    view: NodeView
    state: str = ""
    environment: Environment = field(factory=dict)
    rule: Rule | None = None
    changes: tuple[Change, ...] = ()
    refusals: list[str] = field(factory=list)

    def load(self, state: str, environment: Environment) -> None:
        """Take on the record that an event is about."""
        self.state, self.environment = state, environment
        self.rule, self.changes, self.refusals = None, (), []


class TableRunner:
    """One table as a ``transitions`` machine."""

    def __init__(self, machine: Machine, view: NodeView) -> None:
        self.machine = machine
        self._record = _Record(view)
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
        self, state: str, event: str, environment: Environment
    ) -> tuple[Rule, tuple[Change, ...]]:
        """Return the rule that runs and its changes; raises without having changed anything."""
        name = self.machine.table.name
        if not self.machine.rules_for(state, event):
            raise Undefined(name, state, event)
        record = self._record
        record.load(state, environment)
        if not self._trigger(event) or record.rule is None:
            raise Refused(name, state, event, record.refusals)
        return record.rule, record.changes


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
    """All tables of a protocol on the view of one node."""

    protocol: Protocol
    view: NodeView
    effects: Effects = field(factory=Effects)
    _runners: dict[str, TableRunner] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._runners = {
            name: TableRunner(machine, self.view)
            for name, machine in self.protocol.machines.items()
        }

    def state(self, table: str, *subject: Value) -> str:
        """Return the state of a record."""
        return str(self.view.get(self.protocol.machines[table].cell.name, *subject))

    def fire(
        self,
        table: str,
        event: str,
        *,
        given: Facts | None = None,
        quorum: Quorum | None = None,
        carry: Mapping[str, Carried] | None = None,
        **parameters: Value,
    ) -> Rule:
        """Run the row of ``event`` for the record that the parameters name; return the rule that
        ran.

        ``given`` are facts from outside, ``quorum`` the holders if not those in force, ``carry``
        what rides on effects, by cell. Raises :class:`Undefined` or :class:`Refused` and changes
        nothing.
        """
        runner = self._runners[table]
        machine = runner.machine
        signature = machine.signatures.get(event)
        check(
            signature is not None and set(signature) == set(parameters),
            f"{table}.{event} takes {signature}, not {sorted(parameters)}",
        )
        subject = tuple(parameters[name] for name in machine.subject)
        state = self.state(table, *subject)
        with self.view.given(given or {}, quorum):
            rule, found = runner.step(state, event, parameters)
            changes = [change for change in found if change.kept != "ghost"]
            reads = {name: show(value) for name, value in self.view.reads.items()}
        moved = Change(machine.cell.name, machine.cell.kept, subject, state, rule.target)
        all_changes = (moved, *changes) if rule.target != state else changes
        writes, sends = self._sort(rule, all_changes, carry or {})
        for change in all_changes:
            self.view.put(change.cell, change.index, change.after)
        self.effects.writes += writes
        self.effects.sends += sends
        self.effects.trace.append(
            {
                "table": table,
                "row": rule.number,
                "event": event,
                "from": state,
                "to": rule.target,
                "parameters": {name: show(value) for name, value in parameters.items()},
                "reads": reads,
                "writes": [reference(w.cell, w.index) for w in writes],
                "sends": sorted({s.cell for s in sends}),
            }
        )
        return rule

    def may(self, table: str, event: str, **arguments: Any) -> bool:
        """Return whether ``fire`` would run a row, without running it."""
        return self.why_not(table, event, **arguments) is None

    def why_not(
        self,
        table: str,
        event: str,
        *,
        given: Facts | None = None,
        quorum: Quorum | None = None,
        **parameters: Value,
    ) -> TransitionError | None:
        """Return the error that ``fire`` would raise now, or None."""
        runner = self._runners[table]
        subject = tuple(parameters[name] for name in runner.machine.subject)
        with self.view.given(given or {}, quorum):
            try:
                runner.step(self.state(table, *subject), event, parameters)
            except TransitionError as error:
                return error
        return None

    def take(self) -> Effects:
        """Return the effects collected so far and begin anew."""
        taken, self.effects = self.effects, Effects()
        return taken

    def _sort(
        self, rule: Rule, changes: Sequence[Change], carry: Mapping[str, Carried]
    ) -> tuple[list[Write], list[Send]]:
        touched = {change.cell for change in changes}
        check(set(carry) <= touched, f"{rule.name} does not touch {set(carry) - touched}")
        writes: list[Write] = []
        sends: list[Send] = []
        for change in changes:
            check(change.kept not in ("given", "ghost"), f"{rule.name} writes {change.cell}")
            if change.kept == "disk" and (change.before != change.after or change.cell in carry):
                writes.append(
                    Write(
                        change.cell,
                        change.index,
                        change.before,
                        change.after,
                        carry.get(change.cell),
                    )
                )
            elif change.kept == "network":
                check(change.cell in carry, f"{rule.name} sends {change.cell} without a message")
                sends += _sends(change.cell, carry[change.cell])
        return writes, sends


def _sends(cell: str, carried: Carried) -> list[Send]:
    items = carried if isinstance(carried, list | tuple) else [(None, carried)]
    wanted = MESSAGE_OF_CELL[cell]
    check(bool(items), f"{cell} is sent, so there must be a message")
    for _, message in items:
        check(type(message) is wanted, f"{cell} is sent as {wanted.__name__}")
    return [Send(cell, message, to) for to, message in items]
