"""Questions that would be answered wrongly in silence: they are refused before anything is checked.

A property that another one of its name hides, a wish that holds because its condition does not yet,
an effect that the next one undoes, a network in which nothing moves: each of them "holds".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import TYPE_CHECKING

from spec.language import ir
from spec.language.assembly import cells_read
from spec.language.declarations import SpecError

if TYPE_CHECKING:
    from model_checks.system import Action, Checked, Network, System, Update

WISHES = ("always_can", "liveness")


def check_questions(
    network: Network, actions: Iterable[Action], properties: Iterable[Checked]
) -> None:
    """Raise SpecError for the first question about a network that would be answered wrongly."""
    for action in actions:
        _check_effects(network, action)
    seen: set[str] = set()
    for checked in properties:
        name = checked.property.name
        if name in seen:
            raise SpecError(f"network {network.name}: two properties are named {name!r}:"
                            " one would hide the other")
        seen.add(name)
        if checked.property.kind in WISHES:
            _check_wish(network, checked)


def check_moves(system: System) -> None:
    """Raise SpecError for a network in which nothing changes what its properties read."""
    if not system.actions:
        raise SpecError(
            f"network {system.name!r}: nothing moves, so only its first states would be checked:"
            " give it rows or moves that change what its properties read"
        )


def _check_effects(network: Network, action: Action) -> None:
    for one, two in combinations(action.updates, 2):
        if one.cell == two.cell and not _are_apart(one, two, action):
            raise SpecError(
                f"network {network.name}: {action.name!r} has two effects on {one.cell}, and where"
                " both are on one place the last would win: write one of them, or a condition that"
                " keeps the places apart"
            )


def _are_apart(one: Update, two: Update, action: Action) -> bool:
    """Return whether two effects are on different places, by their indices or by a condition."""
    unequal = {
        frozenset((part.body.left, part.body.right))
        for formula in (*(guard.formula for guard in action.guards), one.where, two.where)
        for part in _conjuncts(formula)
        if isinstance(part, ir.Not) and isinstance(part.body, ir.Equal)
    }
    for left, right in zip(one.index, two.index, strict=True):
        if isinstance(left, ir.Literal) and isinstance(right, ir.Literal) and left != right:
            return True
        if frozenset((left, right)) in unequal:
            return True
    return False


def _conjuncts(formula: ir.Node) -> Iterator[ir.Node]:
    if isinstance(formula, ir.And):
        for part in formula.parts:
            yield from _conjuncts(part)
    else:
        yield formula


def _check_wish(network: Network, checked: Checked) -> None:
    """Refuse a wish whose condition stands inside a quantifier: it would hold at once, where the
    condition does not. One on what is chosen once and never changes is a restriction, no condition.
    """
    formula, quantified = checked.formula, False
    while isinstance(formula, ir.Quantified):
        formula, quantified = formula.body, True
    if not quantified or not isinstance(formula, ir.Implies):
        return
    changing = cells_read(formula.left) - set(network.rigid)
    if changing:
        prop = checked.property
        raise SpecError(
            f"network {network.name}: property {prop.name!r}: what {prop.kind} asks for is"
            f" conditional on {min(changing)} inside a quantifier, so that a state in which nobody"
            " meets the condition would do: " + (
                "ask it of each by itself, with all(leads_to(…, …) for …)"
                if prop.kind == "liveness" else
                "put implies(…) outermost, about an individual that a rigid cell picks"
            )
        )
