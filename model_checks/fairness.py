"""What must not be put off for ever, and what must not go on for ever, so that something comes.

A fair row or move is taken in the end. But nothing can be promised while nodes crash, blocks are
undone or runs fail without end. Such steps are named as a network's disturbances: they happen as
often as they like, until it is calm; that is a fair move, and lasts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from attrs import evolve

from spec.language.assembly import Guard
from spec.language.declarations import Cell, SpecError
from spec.language.ir import BOOL, Not, Read

if TYPE_CHECKING:
    from model_checks.system import Action, Network

CALM = Cell("calm", "bool", (), "False", "given", "nothing goes wrong any more")
NOT_CALM = f"not {CALM.name}"


def calmed(network: Network, actions: Iterable[Action]) -> Iterator[Action]:
    """Yield the actions; those that a network names as disturbances only while it is not calm.

    Raises:
        SpecError: a disturbance is no step of the network.
    """
    named = set(network.disturbances)
    until = Guard(NOT_CALM, Not(BOOL, Read(BOOL, CALM.name, ())))
    for action in actions:
        if action.name in network.disturbances:
            named.discard(action.name)
            yield evolve(action, guards=(*action.guards, until))
        else:
            yield action
    if named:
        what = ", ".join(sorted(named))
        raise SpecError(f"network {network.name}: disturbances name {what}, which is no step of it")


_FAIRNESS = re.compile(r"(weak|strong)(?: for some (\w+(?:, *\w+)*))?")


def fairness(
    event: str, parameters: Mapping[str, str], said: bool | str
) -> tuple[bool, bool, tuple[str, ...]]:
    """Return whether a move is fair, whether strongly, and for some of which parameters."""
    if isinstance(said, bool):
        return said, False, ()
    found = _FAIRNESS.fullmatch(str(said))
    if found is None:
        raise SpecError(
            f"{event}: fair={said!r} is none of True, 'weak', 'strong', 'weak for some q',"
            " 'strong for some q'"
        )
    some = tuple(re.findall(r"\w+", found[2] or ""))
    for name in some:
        if name not in parameters:
            raise SpecError(f"{event}: fair={said!r}: {name!r} is not one of its parameters")
    return True, found[1] == "strong", some
