"""Questions that were answered without being asked: moves that never fire, conditions never met.

``implies(a, b)`` holds where ``a`` never does, and a network holds in which the move that would
break it cannot happen. Both look like a promise that is kept. So each search also looks for a state
in which each condition holds, and counts the steps of each action.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve, frozen

from model_checks.engines.induction import outer
from model_checks.engines.oracle import Instance, Result
from model_checks.system import Checked, Property, System
from model_checks.two_states import AFTER
from spec.language.assembly import cells_read
from spec.language.ir import BOOL, Implies, Quantified

ASKED = ("invariant", "lemma", "step", "liveness")
_MARK = ": its condition"


@frozen
class Unasked:
    """What a search has said nothing about: names of actions, and of properties."""

    never_taken: tuple[str, ...]
    vacuous: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """Yield a line for each, with what to do."""
        for name in self.never_taken:
            yield f"{name}: NEVER TAKEN at this size: give it a way, more individuals, or none"
        for name in self.vacuous:
            yield f"{name}: VACUOUS at this size: its condition holds in no state"


def with_conditions(instance: Instance) -> Instance:
    """Return the instance with a witness for each condition of its properties."""
    system = instance.system
    conditions = tuple(_conditions(system))
    return evolve(instance, system=evolve(system, properties=(*system.properties, *conditions)))


def _conditions(system: System) -> Iterator[Checked]:
    for checked in system.properties:
        variables, body = outer(checked.formula)
        if checked.property.kind not in ASKED or not isinstance(body, Implies):
            continue
        condition = body.left
        if any(cell.startswith(AFTER) for cell in cells_read(condition)):
            continue  # of two states: no single one has it
        for name, sort in reversed(variables.items()):
            condition = Quantified(BOOL, "any", name, sort, condition)
        found = Property(checked.property.name + _MARK, "", "reachable")
        yield Checked(found, condition)


def unasked(instance: Instance, result: Result) -> Unasked:
    """Take the witnesses of conditions out of a result, and return what was never asked.

    ``instance`` is the one without them. A search that stopped early has said nothing of this.
    """
    met = {name for name in result.reached if name.endswith(_MARK)}
    for name in met:
        del result.reached[name]
        result.starts.pop(name, None)
    if not result.complete:
        return Unasked((), ())
    asked = (checked.property.name for checked in _conditions(instance.system))
    vacuous = tuple(name.removesuffix(_MARK) for name in asked if name not in met)
    actions = {action.name for action in instance.system.actions if action.origin != "crash"}
    idle = (name for name, count in result.fired.items() if not count and name in actions)
    return Unasked(tuple(idle), vacuous)
