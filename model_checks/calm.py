"""Disturbances that end: what "if nothing goes wrong for long enough" means in a network.

A promise that something comes in the end cannot be kept while nodes crash without end, blocks are
undone without end, or runs fail without end. Such steps are named as a network's disturbances: they
happen as often as they like, until it is calm, which is a fair move and lasts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
