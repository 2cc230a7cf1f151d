"""What the picture of a table is made of: what is said once, and the arrows between its states."""

from __future__ import annotations

from collections.abc import Mapping

from spec.language.assembly import Machine, Rule


def everywhere(machine: Machine) -> list[str]:
    """Return the events that leave every state as it is, in the order of the table."""

    def stays(rules: list[Rule]) -> bool:
        return {rule.source for rule in rules} == set(machine.states) and all(
            rule.source == rule.target for rule in rules
        )

    return [e for e in machine.signatures if stays([r for r in machine.rules if r.event == e])]


def arrows(machine: Machine) -> Mapping[tuple[str, str], list[str]]:
    """Return the events that lead from a state to another, or back to it, each once.

    What may happen in every state without leaving it is not among them.
    """
    common, found = everywhere(machine), dict[tuple[str, str], list[str]]()
    for rule in machine.rules:
        if rule.event not in common:
            events = found.setdefault((rule.source, rule.target), [])
            if rule.event not in events:
                events.append(rule.event)
    return found
