"""What of a network matters: cells that nothing reads drop out, with the effects on them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from attrs import evolve

from model_checks.two_states import AFTER
from spec.language.assembly import cells_read
from spec.language.ir import Node

if TYPE_CHECKING:
    from model_checks.system import Action, Checked


def cone(
    actions: list[Action], properties: Iterable[Checked], assumptions: Iterable[Node],
    asked: Iterable[str],
) -> set[str]:
    """Return the cells that something reads, and those that are asked for anyway; reads of a
    dropped cell's effects do not count.
    """
    kept = {
        cell.removeprefix(AFTER) for checked in properties for cell in cells_read(checked.formula)
    }
    kept |= {cell for formula in assumptions for cell in cells_read(formula)} | set(asked)
    kept |= {cell for a in actions for g in a.guards for cell in cells_read(g.formula)}
    while True:
        more = {
            cell for a in actions for u in a.updates if u.cell in kept
            for node in (u.value, u.where, *u.index) for cell in cells_read(node)
        }
        if more <= kept:
            return kept
        kept |= more


def prune(action: Action, kept: set[str]) -> Action:
    """Return an action without its effects on other cells."""
    return evolve(action, updates=tuple(u for u in action.updates if u.cell in kept))


def named_apart(actions: list[Action]) -> tuple[Action, ...]:
    """Return the actions with distinct names: rows of one event get a number."""
    counts: dict[str, int] = {}
    result = []
    for action in actions:
        counts[action.name] = counts.get(action.name, 0) + 1
        number = counts[action.name]
        result.append(action if number == 1 else evolve(action, name=f"{action.name}#{number}"))
    return tuple(result)
