"""The network of a run as the invariants see it, with every attempt taken in each of its epochs.

Votes of two epochs never make one certificate, and each epoch counts by its own numbers. So an
attempt of an event that was tried with the shares of two epochs is two attempts here: in each one
the nodes that took part with the epoch's shares did what they did, and the others nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from attrs import define, evolve, field, frozen

from model_checks.epochs import EPOCH, Epochs
from model_checks.trace_log import Line, Place, first_value
from spec.language.assembly import Protocol
from spec.language.interpreter import Index, Value
from spec.trace_format import show


@define
class State:
    """What the traces have left in the cells so far, and of which individuals they told."""

    protocol: Protocol
    nodes: Collection[Value]
    cells: dict[Place, Value] = field(factory=dict)
    of_event: dict[Value, dict[str, set[Value]]] = field(factory=dict)
    keys: set[Value] = field(factory=set)

    def learn(self, line: Line, changed: Mapping[Place, Value]) -> None:
        """Take the changes of a line, and the individuals that it tells of."""
        self.cells |= changed
        event = line.parameters.get("e")
        known = self.of_event.setdefault(event, {"Attempt": set(), "Digest": set()})
        for cell, index in (*line.reads, *changed):
            named = dict(zip(self.protocol.cells[cell].index, index, strict=True))
            self.keys |= {named[sort] for sort in ("Key",) if sort in named}
            if named.get("Event") == event and event is not None:
                for sort, individuals in known.items():
                    individuals |= {named[sort]} if sort in named else set()


@frozen
class NetworkView:
    """The network for an invariant; events, attempts, digests and links are those of one line."""

    state: State
    epochs: Epochs
    line: Line
    numbers: Mapping[str, int] | None = None
    attempts: dict[Value, tuple[Value, Value]] = field(factory=dict)
    """The attempt and the epoch that an individual stands for; formulas compare them by != only."""

    def read(self, cell: str, index: Index) -> Value:
        """Return the value of a cell at its node."""
        sorts = self.state.protocol.cells[cell].index
        first = first_value(self.state.protocol, cell)
        if "Attempt" in sorts:
            place = sorts.index("Attempt")
            attempt, epoch = self.attempts[index[place]]
            event = index[sorts.index("Event")]
            if not self.epochs.took_part(index[0], event, attempt, epoch):
                return first
            index = (*index[:place], attempt, *index[place + 1 :])
        return self.state.cells.get((cell, index), first)

    def individuals(self, sort: str) -> Iterator[Value]:
        """Return the individuals that the line may have changed something about."""
        event = self.line.parameters.get("e")
        if sort == "Peer":
            yield from self.state.nodes
        elif sort == "Key":
            yield from self.state.keys
        elif sort == "Digest":
            yield from tuple(self.state.of_event[event][sort])
        elif sort == "Attempt":
            for attempt in tuple(self.state.of_event[event][sort]):
                for epoch in self.epochs.epochs_of(event, attempt):
                    individual = f"{show(attempt)} in epoch {show(epoch)}"
                    self.attempts[individual] = (attempt, epoch)
                    yield individual
        else:
            name = {"Event": "e", "Link": "l"}.get(sort, "")
            yield from (self.line.parameters[n] for n in (name,) if n in self.line.parameters)

    def constant(self, name: str) -> int:
        """Return N, T or F of those who are meant."""
        return (self.numbers or self.epochs.numbers(((), ())))[name]

    def among(self, sorts: tuple[str, ...], index: Index) -> NetworkView:
        """Return the view with the numbers of an attempt's epoch, of an epoch or of a key."""
        scope = (sorts, index)
        if "Attempt" in sorts:
            attempt, epoch = self.attempts[index[1]]
            scope = (sorts, (index[0], attempt)) if epoch is None else (EPOCH, (epoch,))
        return evolve(self, numbers=self.epochs.numbers(scope))
