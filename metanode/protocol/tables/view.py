"""What one node knows: the value of every cell as this node sees it.

Memory and disk cells hold the node's own truth; network cells hold what it sent and what it was
sent by authenticated peers; a given fact is asked of its one provider. Views lag behind the network
but never run ahead of it, because what was sent stays sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from attrs import define, field, frozen

from metanode.errors import LocalFault, check
from spec.language.assembly import Protocol
from spec.language.interpreter import Index, Value, View
from spec.parameters import refund_quorum
from spec.trace_format import reference


@frozen
class Quorum:
    """The share holders of a key epoch with the numbers of SAFE-SIGN 1: the meaning of Peer, N, T,
    F, R.
    """

    holders: tuple[bytes, ...]
    threshold: int
    faulty: int

    @property
    def constants(self) -> Mapping[str, int]:
        """The constants of the table language."""
        n, t, f = len(self.holders), self.threshold, self.faulty
        return {"N": n, "T": t, "F": f, "R": refund_quorum(n, t, f)}


NOBODY = Quorum((), 1, 0)


@define
class NodeView:
    """Implements ``spec.language.interpreter.View`` for one node."""

    protocol: Protocol
    quorum: Quorum = NOBODY
    _values: dict[str, dict[Index, Value]] = field(factory=dict, repr=False)
    _known: dict[str, set[Value]] = field(factory=dict, repr=False)
    _named: dict[str, set[Value]] = field(factory=dict, repr=False)
    providers: dict[str, Callable[..., Value]] = field(factory=dict, repr=False)
    """What answers for each given cell."""
    scopes: Callable[[tuple[str, ...], Index], Quorum | None] = field(default=lambda _s, _i: None)
    """Who signs an attempt, holds an epoch or makes a key: (sorts, index) → these, if known."""
    _firsts: dict[str, Value] = field(factory=dict, repr=False)
    _places: dict[str, tuple[tuple[int, str], ...]] = field(factory=dict, repr=False)
    _reads: dict[tuple[str, Index | None], Value] = field(factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        for cell in self.protocol.cells.values():
            self._values[cell.name] = {}
            self._places[cell.name] = tuple(
                (place, sort) for place, sort in enumerate(cell.index) if sort != "Peer"
            )
            words = {"False": False, "True": True, "none": None}
            self._firsts[cell.name] = words.get(cell.first, cell.first)

    def read(self, cell: str, index: Index) -> Value:
        """Return the value of a cell; a given cell without a provider is a defect."""
        if self.protocol.cells[cell].kept == "given":
            if (cell, index) in self._reads:
                return self._reads[cell, index]  # one firing asks for a fact once
            provider = self.providers.get(cell)
            check(provider is not None, f"the guard reads {cell}, and nothing here provides it")
            value = provider(*index) if provider is not None else None
        else:
            value = self._values[cell].get(index, self._firsts[cell])
        self._reads[cell, index] = value
        return value

    @property
    def reads(self) -> dict[str, Value]:
        """What was read since ``begin_reading``, as a trace names it."""
        return {
            name if index is None else reference(name, index): value
            for (name, index), value in self._reads.items()
        }

    def individuals(self, sort: str) -> Iterable[Value]:
        """Return the holders for Peer, else every individual that some cell mentions."""
        if sort != "Peer":
            return tuple(self._known.get(sort, ()))
        self.constant("N")  # how many were asked belongs to what was read
        return self.quorum.holders

    def constant(self, name: str) -> int:
        """Return N, T, F or R of the quorum in force."""
        return self.note(name, None, self.quorum)

    def note(self, name: str, index: Index | None, quorum: Quorum) -> int:
        """Return N, T, F or R of a quorum; the trace tells whose: an index, or that in force."""
        number = self._reads[name, index] = quorum.constants[name]
        return number

    def among(self, sorts: tuple[str, ...], index: Index) -> View | None:
        """Return the view with those whom the index names in the place of the quorum in force."""
        quorum = self.scopes(sorts, index)
        return None if quorum is None else Scoped(self, quorum, index)

    def get(self, cell: str, *index: Value) -> Value:
        """Return the value of a cell outside any guard."""
        return self._values[cell].get(index, self._firsts[cell])

    def entries(self, cell: str) -> Iterator[tuple[Index, Value]]:
        """Iterate over what a cell holds besides first values."""
        return iter(tuple(self._values[cell].items()))

    def put(self, cell: str, index: Index, value: Value) -> None:
        """Set a cell; only the table runner, recovery from disk and delivery call this."""
        self._values[cell][index] = value
        self._know(cell, index)

    def know(self, sort: str, individual: Value) -> None:
        """Note an individual that no cell mentions yet: quantifiers range over it from now on."""
        self._named.setdefault(sort, set()).add(individual)
        self._known.setdefault(sort, set()).add(individual)

    def deliver(self, cell: str, *index: Value) -> None:
        """Note an authenticated message of a peer: ``index[0]`` is its sender."""
        if self.protocol.cells[cell].kept != "network":
            raise LocalFault(f"{cell} is not a network cell")
        self.put(cell, index, True)

    def forget(self, sort: str, keep: Iterable[Value]) -> None:
        """Drop what memory and network cells hold about individuals that are not in ``keep``.

        Bounds memory: old rounds are dropped. Disk cells are never swept (SAFE-SIGN 2).
        """
        kept = set(keep)
        self._known = {sort: set(named) for sort, named in self._named.items()}
        for cell in self.protocol.cells.values():
            values = self._values[cell.name]
            if sort in cell.index and cell.kept != "disk":
                place = cell.index.index(sort)
                for index in [i for i in values if i[place] not in kept]:
                    del values[index]
            for index in values:
                self._know(cell.name, index)

    def _know(self, cell: str, index: Index) -> None:
        for place, sort in self._places[cell]:
            self._known.setdefault(sort, set()).add(index[place])

    def begin_reading(self) -> None:
        """Note, from here on, what one firing reads."""
        self._reads = {}


@frozen
class Scoped:
    """A view with another quorum: that of an attempt, an epoch or a key."""

    view: NodeView
    quorum: Quorum
    index: Index

    def read(self, cell: str, index: Index) -> Value:
        """Return the value of a cell."""
        return self.view.read(cell, index)

    def individuals(self, sort: str) -> Iterable[Value]:
        """Return the holders of the scope for Peer, else what the view knows."""
        if sort != "Peer":
            return self.view.individuals(sort)
        self.constant("N")
        return self.quorum.holders

    def constant(self, name: str) -> int:
        """Return N, T, F or R of the scope."""
        return self.view.note(name, self.index, self.quorum)

    def among(self, sorts: tuple[str, ...], index: Index) -> View | None:
        """Return the view with those whom the index names."""
        return self.view.among(sorts, index)
