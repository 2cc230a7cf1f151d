"""What one line of a trace has read, as the interpreter's view: its guard and effects anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from attrs import define, field

from model_checks.substitution import rebuild
from model_checks.trace_log import Line, Place, show
from spec.language.assembly import Protocol
from spec.language.interpreter import Change, Environment, Index, Value, evaluate, outcome
from spec.language.ir import BOOL, INT, Literal, Node, Quantified, Read
from spec.trace_format import reference


def wrong_effects(line: Line, changes: Sequence[Change]) -> str | None:
    """Return how writes and sends of a line differ from the changes of its row, if they do."""
    disk = [change for change in changes if change.kept == "disk"]
    touched = [(change.cell, change.index) for change in disk]
    for place in line.writes:
        if place not in touched:
            return f"it writes {show(place)}, which is no effect of the row"
    for change in disk:
        if change.before != change.after and (change.cell, change.index) not in line.writes:
            return f"it does not write {show((change.cell, change.index))}, an effect of the row"
    if list(line.writes) != [place for place in touched if place in line.writes]:
        return "it writes in another order than the row, or twice"
    sends = sorted({change.cell for change in changes if change.kept == "network"})
    if list(line.sends) != sends:
        said, meant = (", ".join(names) or "nothing" for names in (line.sends, sends))
        return f"it sends {said}, the row sends {meant}"
    return None


def _missing(error: KeyError) -> str:
    """Return what a formula asked for and did not find: a cell, or what has no index."""
    name, index = error.args[0]
    return str(name) if index is None else reference(name, index)


_EVERYONE = "a read for every member"


@define
class RecordedView:
    """One line's reads as the interpreter's view; a cell that was not read raises KeyError.

    A line records the cells that the node's formula asked for, not the individuals it ranged over.
    So a quantifier ranges over those for which the line has read what its body asks for: enough,
    because a formula that came out true has asked about all that could have made it false.

    ``on_disk`` answers for the node's own disk cells, which the lines before tell.
    """

    line: Line
    protocol: Protocol
    on_disk: Callable[[Place], Value]
    known: Mapping[str, set[Value]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        known: dict[str, set[Value]] = {}
        for name, index in self.line.reads:
            cell = self.protocol.cells[name]
            for sort, individual in zip(cell.index, index, strict=True):
                known.setdefault(sort, set()).add(individual)
        self.known = known

    def read(self, cell: str, index: Index) -> Value:
        """Return what the line read."""
        if (cell, index) in self.line.reads:
            return self.line.reads[cell, index]
        if cell == _EVERYONE:
            raise KeyError((cell, None))
        return self.on_disk((cell, index))

    def individuals(self, sort: str) -> Iterable[Value]:
        """Return the individuals of a sort that the line's reads mention."""
        return sorted(self.known.get(sort, ()), key=str)

    def constant(self, name: str) -> int:
        """Return a constant that the line names."""
        if name not in self.line.constants:
            raise KeyError((name, None))
        return self.line.constants[name]


def false_conjunct(view: RecordedView) -> str | None:
    """Return what is wrong with the guard on the line's reads, or None when it holds."""
    for guard in view.line.ran.guards:
        try:
            settled = _settle(guard.formula, view, view.line.parameters)
            if not evaluate(settled, view, view.line.parameters):
                return f"{guard.text!r} is false on what the line read"
        except KeyError as missing:
            return f"{guard.text!r} asks for {_missing(missing)}, which the line did not read"
    return None


def changes_of(view: RecordedView) -> tuple[Change, ...]:
    """Return the changes that the row's effects make; raises :class:`Refusal`."""
    try:
        return outcome(view.line.ran, view, view.line.parameters)
    except KeyError as missing:
        asked = _missing(missing)
        raise view.line.refuse(f"an effect asks for {asked}, which the line did not read") from None


def _settle(node: Node, view: RecordedView, environment: Environment) -> Node:
    """Replace each quantifier by its value over the individuals that the line tells about."""
    if not isinstance(node, Quantified):
        return rebuild(node, lambda child: _settle(child, view, environment))
    tests: list[bool] = []
    for individual in view.individuals(node.sort):
        inner = {**environment, node.variable: individual}
        try:
            tests.append(bool(evaluate(_settle(node.body, view, inner), view, inner)))
        except KeyError:
            continue
    settled = {"all": False in tests, "any": True in tests}.get(node.kind, False)
    if node.sort == "Peer" and not settled and len(tests) != view.line.constants.get("N"):
        return Read(BOOL, _EVERYONE, ())
    if node.kind == "count":
        return Literal(INT, sum(tests))
    return Literal(BOOL, all(tests) if node.kind == "all" else any(tests))
