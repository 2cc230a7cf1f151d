"""A deterministic simulation of a whole network: node cores, links, clocks, disks and a chain.

Everything that happens is an entry of one heap, ordered by time; every random choice comes from one
seed. A node that crashes loses all but its :class:`FakeDisk`, and a crash may fall before a flush,
between the flush and the first send, or amid the sends. The checkers look at every flush and send.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from attrs import evolve

from metanode.protocol.rounds.threshold_set import signing_order
from tests.simulation.clockwork import SimulationFailure
from tests.simulation.disk import FakeDisk
from tests.simulation.network import Simulation
from tests.simulation.parts import (
    CALM,
    NETWORK_ID,
    QUICK,
    START,
    Crash,
    Tamper,
    Weather,
    identities_of,
    sends,
    writes_cell,
)

__all__ = [
    "CALM",
    "NETWORK_ID",
    "QUICK",
    "START",
    "Crash",
    "Simulation",
    "SimulationFailure",
    "Tamper",
    "Weather",
    "at_fees",
    "identities_of",
    "sends",
    "turns",
    "with_key",
    "writes_cell",
]


@lru_cache
def _locked_in(
    members: int, threshold: int, byzantine: int, joiners: int
) -> tuple[tuple[FakeDisk, ...], bytes]:
    """Run key generation and lock-in once; return the disks and the public key.

    The chain is founded with the stakes of all, so that they are the same ones later.
    """
    sim = Simulation(
        seed=0, members=members, threshold=threshold, byzantine=byzantine, joiners=joiners,
        keygen_s=2.0,
    )
    sim.start_all()
    everyone = {node.node_id for node in sim.nodes[:members]}
    sim.run_until(lambda: set(sim.checkers.locked_keys) == everyone, 30.0, "a key is locked in")
    sim.run(0.1)
    return tuple(node.disk for node in sim.nodes[:members]), sim.public_key


def with_key(
    seed: int,
    begin_s: float = 98.5,
    watch: Callable[[Simulation], None] = lambda _sim: None,
    **options: Any,
) -> Simulation:
    """Return a network whose key was locked in a while ago, started ``begin_s`` after the founding.

    With two-second rounds the first boundary comes half a second later; nodes sit out the round in
    which they start. ``watch`` gets the network before any node runs.
    """
    sim = Simulation(seed=seed, begin=START + begin_s, **options)
    disks, public_key = _locked_in(sim.members, sim.threshold, sim.byzantine, sim.joiners)
    for node, disk in zip(sim.nodes[: sim.members], disks, strict=True):
        copied = disk.clone()
        node.disk.cells, node.disk.attachments = copied.cells, copied.attachments
        sim.checkers.locked_keys[node.node_id] = public_key
        sim.checkers.epochs |= {key.number: key for key in node.disk.usable_keys()}
    watch(sim)
    sim.start_all()
    return sim


def at_fees(versions: int) -> Callable[[Simulation], None]:
    """Return what lets a network sign each payout at so many fees, before any node runs."""

    def settle(sim: Simulation) -> None:
        for node in sim.nodes:
            custody = evolve(node.settings.custody, fee_versions=versions)
            node.settings = evolve(node.settings, custody=custody)

    return settle


def turns(sim: Simulation) -> Sequence[int]:
    """Return the numbers of the nodes in the order of the next round: the first t of them sign."""
    ctx = sim.core(0).ctx
    spare = len(ctx.epoch.roster) - ctx.epoch.threshold
    order = signing_order(ctx.epoch.seniority, ctx.round_number() + 1, spare)
    return [sim.number_of(node_id) for node_id in order]
