"""What one line of a trace has read, as the interpreter's view: its guard and effects anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from attrs import evolve, frozen

from model_checks.substitution import rebuild
from model_checks.trace_log import Line, Place, Scope, show
from spec.language.assembly import Protocol
from spec.language.interpreter import Change, Environment, Index, Value, evaluate, outcome
from spec.language.ir import BOOL, INT, Among, Literal, Node, Quantified, Read
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


@frozen
class RecordedView:
    """One line's reads as the interpreter's view; a cell that was not read raises KeyError.

    A line records the cells that the node's formula asked for, not the individuals it ranged over.
    So a quantifier ranges over those for which the line has read what its body asks for: enough,
    because a formula that came out true has asked about all that could have made it false.

    ``on_disk`` answers for the node's own disk cells, which the lines before tell; ``scope`` says
    whose numbers are meant. Among those whose numbers the line has not read nothing holds: the node
    did not know them.
    """

    line: Line
    protocol: Protocol
    on_disk: Callable[[Place], Value]
    scope: Scope = ((), ())

    @property
    def numbers(self) -> Mapping[str, int]:
        """The numbers that the line has read of those who are meant."""
        return self.line.numbers.get(self.scope, {})

    def read(self, cell: str, index: Index) -> Value:
        """Return what the line read."""
        if (cell, index) in self.line.reads:
            return self.line.reads[cell, index]
        if cell == _EVERYONE:
            raise KeyError((cell, None))
        return self.on_disk((cell, index))

    def individuals(self, sort: str) -> Iterable[Value]:
        """Return the individuals of a sort that the line's reads mention."""
        cells = self.protocol.cells
        pairs = (zip(cells[name].index, index, strict=True) for name, index in self.line.reads)
        return sorted({individual for pair in pairs for s, individual in pair if s == sort},
                      key=str)

    def constant(self, name: str) -> int:
        """Return a number that the line names."""
        if name not in self.numbers:
            raise KeyError((name, self.scope[1] or None))
        return self.numbers[name]

    def among(self, sorts: tuple[str, ...], index: Index) -> RecordedView | None:
        """Return the view with the numbers of those whom the index names, if the line read any."""
        known = (sorts, index) in self.line.numbers
        return evolve(self, scope=(sorts, index)) if known else None


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
    if isinstance(node, Among):
        named = tuple(evaluate(term, view, environment) for term in node.index)
        inside = view.among(node.sorts, named)
        return evolve(node, body=_settle(node.body, inside, environment)) if inside else node
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
    if node.sort == "Peer" and not settled:
        # What holds of all may be read of more than the members: that asks for more, not for less.
        asked, everybody = len(tests), view.numbers.get("N")
        whole = everybody is not None and node.kind == "all" and asked >= everybody
        if asked != everybody and not whole:
            return Read(BOOL, _EVERYONE, ())
    if node.kind == "count":
        return Literal(INT, sum(tests))
    return Literal(BOOL, all(tests) if node.kind == "all" else any(tests))
