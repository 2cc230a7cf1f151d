"""Operators in the simulator who take out what no round pays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from metanode.custody.scripts import address_of, key_script
from metanode.devnet.types import DEVNET_HRP
from metanode.errors import UserError
from metanode.protocol.node import NodeCore
from tests.simulation.asking import quiet
from tests.simulation.parts import POLL_S
from tests.simulation.simulator import Simulation
from tests.support import key_of

PAYEE = key_script(key_of("payee of a release").public_key.format())
ADDRESS = address_of(PAYEE, DEVNET_HRP)


def with_dust(seed: int, *amounts: int, **options: Any) -> tuple[Simulation, list[str]]:
    """Return a network with confirmed deposits that are too small to be paid, and which."""
    sim = quiet(seed, **options)
    made = [sim.deposit(amount) for amount in amounts]
    sim.users.deposits.clear()  # nobody is to be paid for them
    mine(sim)
    return sim, [str(each.outpoint) for each in made]


def mine(sim: Simulation, count: int = 1) -> None:
    """Mine blocks and let every node hear of them."""
    sim.users.mine(count)
    sim.run((2 + count // 25) * POLL_S)


def wanted(outpoints: Iterable[str], **changes: object) -> dict[str, object]:
    """Return a release as an operator writes it."""
    return {"outpoints": list(outpoints), "address": ADDRESS, **changes}


def release(sim: Simulation, numbers: Iterable[int], given: dict[str, object]) -> None:
    """Let the operators of some nodes ask for a release; UserError of one that refuses."""
    for number in numbers:
        refusals: list[UserError] = []

        def put(core: NodeCore, now: float, place: int, said: list[UserError] = refusals) -> None:
            try:
                core.on_release(now, given, place)
            except UserError as refusal:
                said.append(refusal)

        core = sim.core(number)
        for place in core.releases.missing(core.releases.check(given)):
            sim._input(sim.nodes[number], lambda core, now, at=place: put(core, now, at))
        if refusals:
            raise refusals[0]


def shown(sim: Simulation, number: int, given: dict[str, object]) -> dict[str, Any]:
    """Return how far a release is at a node."""
    releases = sim.core(number).releases
    return releases.describe(releases.check(given))
