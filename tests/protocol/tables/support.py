"""Random views of a node, and the comparison of a table runner with the interpreter on them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import product
from types import SimpleNamespace
from typing import Any

from metanode.errors import LocalFault
from metanode.protocol.tables.registry import MESSAGE
from metanode.protocol.tables.runner import Refused, Tables, Undefined
from metanode.protocol.tables.view import NodeView, Quorum
from spec.language.assembly import Machine, Rule
from spec.language.declarations import Cell, Enum, Opt
from spec.language.interpreter import Value, enabled, first_false, holds, outcome
from spec.messages import MESSAGE_OF_CELL
from spec.protocol import PROTOCOL

HOLDERS = tuple(bytes([number]) * 33 for number in range(1, 5))
QUORUM = Quorum(HOLDERS, 3, 1)
INDIVIDUALS: Mapping[str, tuple[Value, ...]] = {
    "Peer": HOLDERS,
    "Event": (b"e" * 32,),
    "Attempt": (0, 1, 2),
    "Digest": (b"d" * 32, b"x" * 32),
    "Instance": (b"i" * 32,),
    "Key": (1, 2, 3, 4, 5),
    "Swap": (b"s" * 32,),
    "Link": (8, 9),
    "Epoch": (1, 5),
}
Facts = dict[str, Any]
"""The values of the given cells, by name and index."""


def message_about(cell: str, *index: Value) -> object:
    """Return a message of a cell that carries this index, and nothing else."""
    cls = MESSAGE_OF_CELL[cell]
    message, sorts = object.__new__(cls), PROTOCOL.cells[cell].index
    said = [part for part, sort in zip(index, sorts, strict=True) if sort != "Link"][1:]
    for path, value in zip(cls.INDEX, said, strict=True):
        *outer, last = path.split(".")
        place = message
        for name in outer:
            if not hasattr(place, name):
                object.__setattr__(place, name, SimpleNamespace())
            place = getattr(place, name)
        object.__setattr__(place, last, value)
    return message


def with_messages(tables: Tables) -> Tables:
    """Give tables a builder for each message, as the cores would."""
    for cell in MESSAGE_OF_CELL:
        tables._builders[MESSAGE, cell] = partial(message_about, cell)
    return tables


def told(view: NodeView, facts: Facts) -> None:
    """Give a view a provider for each given cell, which answers from these values."""
    for name in facts:
        view.providers[name] = lambda *index, name=name: facts[name][index]


class Recording(NodeView):
    """A view that remembers which cells a formula read, so that they can be changed."""

    def read(self, cell: str, index: tuple[Value, ...]) -> Value:
        """Read, and remember."""
        vars(self).setdefault("seen", []).append((cell, index))
        return super().read(cell, index)


def random_value(rng: random.Random, cell: Cell, likely: float = 0.5) -> Value:
    """Return a value of a cell's type."""
    if isinstance(cell.type, Enum):
        return rng.choice(cell.type.values)
    if isinstance(cell.type, Opt):
        return rng.choice((None, *INDIVIDUALS[cell.type.sort]))
    return rng.random() < likely


def sampled(seed: int) -> tuple[Recording, Facts]:
    """Return a view whose every cell has a random value, and random given facts.

    Of those whom an index names some are unknown, and some have another quorum.
    """
    rng = random.Random(seed)
    view, facts, likely = Recording(PROTOCOL, QUORUM), {}, rng.random()
    for cell in PROTOCOL.cells.values():
        places = product(*(INDIVIDUALS[sort] for sort in cell.index))
        values = {index: random_value(rng, cell, likely) for index in places}
        if cell.kept == "given":
            facts[cell.name] = values
            continue
        for index, value in values.items():
            view.put(cell.name, index, value)
    told(view, facts)
    scopes: dict[object, Quorum | None] = {}
    choice = (QUORUM, QUORUM, Quorum(HOLDERS[1:], 2, 0), None)
    view.scopes = lambda sorts, index: scopes.setdefault((sorts, index), rng.choice(choice))
    return view, facts


def coax(
    rng: random.Random, view: Recording, facts: Facts, rule: Rule, here: dict[str, Value]
) -> None:
    """Change cells that the rule's first false conjunct reads, for a while, so that it may run.

    Rows with many conjuncts hardly ever run on a random view. What makes an earlier conjunct false
    is undone; the state itself stays.
    """
    own = PROTOCOL.machines[rule.table]
    record = (own.cell.name, tuple(here[name] for name in own.subject))

    def false() -> int:
        for number, guard in enumerate(rule.guards):
            vars(view)["seen"] = []
            view.begin_reading()
            if not holds(guard, view, here):
                return number
        return len(rule.guards)

    def put(name: str, index: tuple[Value, ...], value: Value) -> None:
        if name in facts:
            facts[name][index] = value
        else:
            view.put(name, index, value)

    reached = false()
    for _ in range(100):
        read = [each for each in vars(view).get("seen", ()) if each != record]
        if reached == len(rule.guards) or not read:
            return
        name, index = rng.choice(read)
        before = facts[name][index] if name in facts else view.get(name, *index)
        put(name, index, random_value(rng, PROTOCOL.cells[name]))
        now = false()
        if now < reached:
            put(name, index, before)
            now = false()
        reached = now


def snapshot(view: NodeView) -> dict[str, dict[tuple[Value, ...], Value]]:
    """Return everything that a view holds."""
    return {cell: dict(view.entries(cell)) for cell in PROTOCOL.cells}


def meant(
    machine: Machine, state: str, event: str, view: NodeView, here: dict[str, Value]
) -> tuple[str, object]:
    """Return what the interpreter says of an event: undefined, refused why, or the changes."""
    rules = machine.rules_for(state, event)
    if not rules:
        return "undefined", None
    view.begin_reading()
    able = enabled(machine, state, event, view, here)
    if not able:
        false = [first_false(rule, view, here) for rule in rules]
        return "refused", [f"({guard.text})" for guard in false if guard is not None]
    return "runs", (able[0], outcome(able[0], view, here))


def done(
    tables: Tables, machine: Machine, event: str, here: dict[str, Value]
) -> tuple[str, object]:
    """Return what the runner does with the same event, in the same words; the view is changed."""
    try:
        rule = tables.fire(f"{machine.table.name}.{event}", **here)
    except Undefined:
        return "undefined", None
    except Refused as refusal:
        return "refused", list(refusal.conjuncts)
    return "runs", rule


def cases(rng: random.Random, only: str) -> Iterator[tuple[Machine, str, str, dict[str, Value]]]:
    """Yield every (table, state, event) with random individuals for the event's parameters.

    ``only`` limits them to those of the rules with this name; empty means all.
    """
    for machine in PROTOCOL.machines.values():
        for state, event in product(machine.states, machine.signatures):
            names = {rule.name for rule in machine.rules_for(state, event)}
            if only and only not in names:
                continue
            signature = machine.signatures[event]
            yield (
                machine,
                state,
                event,
                {name: rng.choice(INDIVIDUALS[sort]) for name, sort in signature.items()},
            )


def disagreements(
    make: Callable[[NodeView], Tables], seeds: range, only: str = ""
) -> tuple[list[str], set[str]]:
    """Run every table on sampled views; return where runner and interpreter differ, and what ran.

    Every cell is compared after every event, so a change too many is seen as well as one too few.
    """
    found: list[str] = []
    ran: set[str] = set()
    for seed in seeds:
        view, facts = sampled(seed)
        tables, rng = with_messages(make(view)), random.Random(seed)
        for machine, state, event, here in cases(rng, only):
            subject = tuple(here[name] for name in machine.subject)
            view.put(machine.cell.name, subject, state)
            rules = machine.rules_for(state, event)
            if rules and rng.random() < 0.7:
                coax(rng, view, facts, rng.choice(rules), here)
            before = snapshot(view)
            verdict, detail = meant(machine, state, event, view, here)
            where = f"{machine.table.name}: {event} in {state}"
            try:
                did = done(tables, machine, event, here)
            except LocalFault as fault:
                did = ("fault", str(fault))
            after = snapshot(view)
            expected = {cell: dict(values) for cell, values in before.items()}
            if verdict == "runs":
                rule, changes = detail  # type: ignore[misc]  # a pair when the verdict is "runs"
                expected[machine.cell.name][subject] = rule.target
                for change in changes:
                    if change.kept == "ghost":
                        continue  # for properties only: a node holds no such cell
                    expected[change.cell][change.index] = change.after
                ran.add(rule.name)
                detail = rule
            if did != (verdict, detail):
                found.append(f"{where}: the interpreter says {verdict}, the runner {did[0]}")
            elif after != expected:
                found.append(f"{where}: other cells changed")
            for cell, values in before.items():
                for index, value in values.items():
                    view.put(cell, index, value)
    return found, ran
