"""Requests that run out of time in the simulator: they live for seconds, and nobody signs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from attrs import evolve

from spec import messages as m
from tests.simulation.asking import quiet
from tests.simulation.simulator import QUICK, Simulation, Tamper

LIFETIME_S = 3
HASTY = evolve(QUICK, request_lifetime_s=LIFETIME_S)
LATE_S = LIFETIME_S + 2 * QUICK.round_period_s
"""By then every request of the beginning is over, and the round that it ended in as well."""


def hasty(seed: int, **options: Any) -> Simulation:
    """Return a network with a key in which requests are tried for three seconds."""
    return quiet(seed, preset=HASTY, **options)


def loses(*kinds: type) -> Tamper:
    """Return a tamper function that lets no message of some kinds through."""
    return lambda _to, message: [] if isinstance(message, kinds) else [message]


def silence(sim: Simulation, *kinds: type) -> None:
    """Lose every message of some kinds, whoever sends it; of set-ups, if nothing else is said."""
    for node in sim.nodes:
        sim.tamper[node.number] = loses(*(kinds or (m.Setup,)))


def statuses(sim: Simulation, event: bytes, numbers: Iterable[int] = range(4)) -> list[str]:
    """Return where an event stands at some nodes."""
    return [sim.core(number).book.status(event) for number in numbers]


def expired(sim: Simulation, event: bytes, numbers: Sequence[int] = range(4)) -> bool:
    """Return whether these nodes run and have let the event go."""
    running = all(sim.nodes[number].core is not None for number in numbers)
    return running and set(statuses(sim, event, numbers)) == {"EXPIRED"}


def expiry(sim: Simulation, number: int, event: bytes) -> dict[str, Any]:
    """Return what a node tells its operator about the end of an event."""
    entry = sim.core(number).operator_view.event(event)
    assert entry is not None
    return dict(entry["expiry"])
