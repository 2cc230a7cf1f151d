"""Every way in which one fact, one step, one input or one message is made wrong.

A mutation has a name, from which it is made again, and a *mark*: what a test must have touched to
be able to notice it. It changes the node that runs in this process, and nothing on disk.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from attrs import evolve, frozen

from metanode.protocol.tables.registry import MESSAGE
from metanode.protocol.tables.runner import Tables
from spec.inputs import INPUTS, STEPS
from spec.language.declarations import Cell, Enum, Opt
from spec.messages import MESSAGE_OF_CELL
from spec.protocol import PROTOCOL


@frozen
class Mutation:
    """One thing that is wrong; ``apply`` puts it in force in this process."""

    name: str
    mark: str
    apply: Callable[[], None]


def mutations() -> dict[str, Mutation]:
    """Return all of them by name."""
    found = (*_facts(), *_steps(), *_inputs(), *_messages())
    return {each.name: each for each in found}


def values_of(cell: Cell) -> tuple[Any, ...]:
    """Return the constants that a provider may be replaced by."""
    if isinstance(cell.type, Enum):
        return cell.type.values
    return (None,) if isinstance(cell.type, Opt) else (True, False)


def _facts() -> Iterator[Mutation]:
    for cell in PROTOCOL.cells.values():
        if cell.kept == "given":
            for value in values_of(cell):
                yield Mutation(
                    f"fact {cell.name} is {value}",
                    f"fact {cell.name} is not {value}",
                    lambda cell=cell, value=value: _tell(cell.name, value),
                )


def _tell(name: str, value: Any) -> None:
    bind = Tables.bind

    def wrong(self: Tables, core: object) -> None:
        bind(self, core)
        if name in self.view.providers:
            self.view.providers[name] = lambda *_index: value

    Tables.bind = wrong  # type: ignore[method-assign]


def _steps() -> Iterator[Mutation]:
    for name, step in STEPS.items():
        triggers = step.triggers
        for place, trigger in enumerate(triggers):
            rest = (*triggers[:place], *triggers[place + 1 :])
            yield Mutation(
                f"step {name}: no {trigger} ({place + 1})",
                f"trigger {name} {trigger}",
                lambda name=name, rest=rest: _rewrite(name, rest),
            )
        for place, (first, second) in enumerate(itertools.pairwise(triggers)):
            if first != second:
                swapped = (*triggers[:place], second, first, *triggers[place + 2 :])
                yield Mutation(
                    f"step {name}: {second} ({place + 2}) before {first}",
                    f"pair {name} {first} {second}",
                    lambda name=name, swapped=swapped: _rewrite(name, swapped),
                )


def _rewrite(name: str, triggers: tuple[str, ...]) -> None:
    STEPS[name] = evolve(STEPS[name], triggers=triggers)


def _inputs() -> Iterator[Mutation]:
    for kind, entry in INPUTS.items():
        if entry.sender not in ("anyone", "itself", "channel"):
            yield Mutation(
                f"input {kind}: anyone may send it",
                f"sender {kind}",
                lambda kind=kind: _replace(kind, sender="anyone"),
            )
        if entry.window != "always":
            yield Mutation(
                f"input {kind}: at any time",
                f"window {kind}",
                lambda kind=kind: _replace(kind, window="always"),
            )
        for place, name in enumerate(entry.names):
            rest = (*entry.names[:place], *entry.names[place + 1 :])
            yield Mutation(
                f"input {kind}: no step {name}",
                f"step {kind} {name}",
                lambda kind=kind, rest=rest: _replace(kind, names=rest),
            )


def _replace(kind: str, **changes: Any) -> None:
    INPUTS[kind] = evolve(INPUTS[kind], **changes)


def _messages() -> Iterator[Mutation]:
    for cell, cls in MESSAGE_OF_CELL.items():
        if vars(cls)["INDEX"]:
            yield Mutation(
                f"message {cell}: of another index",
                f"message {cell}",
                lambda cell=cell: _misbuild(cell),
            )


def _misbuild(cell: str) -> None:
    bind = Tables.bind

    def wrong(self: Tables, core: object) -> None:
        builders = self._builders
        before = builders.get((MESSAGE, cell))
        bind(self, core)
        builder = builders.get((MESSAGE, cell))
        if builder is not None and builder is not before:  # once: two wrongs make a right
            builders[MESSAGE, cell] = lambda *index: builder(*map(_other, index))

    Tables.bind = wrong  # type: ignore[method-assign]


def _other(part: Any) -> Any:
    """Return another individual of the same sort."""
    if isinstance(part, bytes):
        return bytes([part[0] ^ 1]) + part[1:]
    return part + 1 if isinstance(part, int) else part
