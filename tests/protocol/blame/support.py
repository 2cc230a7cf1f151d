"""Cheats for the simulator, and the records that they leave."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from attrs import evolve

from metanode.protocol.blame.record import BlameRecord, judge
from metanode.protocol.events.run import Run
from metanode.protocol.node import NodeCore
from metanode.tss.messages import DealingShapes, sign_rounds
from metanode.tss.parameters import STANDARD
from metanode.tss.session import TWO_MESSAGES
from spec import messages as m
from tests.simulation.hostile import MIDDLE, OLDEST, changes, network
from tests.simulation.simulator import Simulation
from tests.tss.support import Rounds, flip

SIGN, KEYGEN = sign_rounds(STANDARD), DealingShapes(3, chain=True)
Step = m.Release | m.Step


def edited(
    rounds: Rounds, stage: int, name: str, change: Callable[[bytes], bytes]
) -> Callable[[Step], list[object]]:
    """Return what changes one field of the messages of one round that have it."""

    def edit(step: Step) -> list[object]:
        sides = [rounds]
        if isinstance(rounds, DealingShapes):
            sides = [rounds.rounds(receives=side) for side in (True, False)]
        for plan in (side[stage - 1] for side in sides):
            shape = plan.broadcast if step.recipient == 0 else plan.direct
            values = None if step.stage != stage or shape is None else shape.decode(step.payload)
            if values is not None and name in values:
                return [evolve(step, payload=shape.encode({**values, name: change(values[name])}))]
        return [step]

    return edit


def twice(step: Step) -> list[object]:
    """Send a second, different commitment after the first."""
    (other,) = edited(SIGN, 1, "commitment", flip)(step)
    return [step] if other is step else [step, other]


def blamed(sim: Simulation, victim: int) -> BlameRecord:
    """Run until a node has a record, and return it as a stranger reads it."""
    lists = sim.core(victim).blames.lists
    sim.run_until(lambda: bool(lists), 12.0, "somebody is blamed")
    ((culprit, kept),) = lists.items()
    assert culprit == sim.nodes[OLDEST].node_id == kept.records[0].culprit
    return BlameRecord.decode(kept.records[0].encode())


def convicts(record: BlameRecord) -> bool:
    """Judge a record."""
    verdict = judge(record)
    assert verdict.reason
    return verdict.convicted


CHEATS = {
    "opening": (m.Step, edited(SIGN, 2, "salt", flip), "commitment", "opening of the nonce point"),
    "scalar": (m.Step, edited(SIGN, 2, "psi", lambda d: b"\xff" * 32), "malformed",
               "point or scalar of round 2"),
    "garbage": (m.Step, lambda s: [evolve(s, payload=b"garbage")], "malformed", "round 2 payload"),
    "twice": (m.Release, twice, "equivocation", TWO_MESSAGES),
    "round": (m.Release, lambda s: [evolve(s, stage=9)], "malformed", "unknown round"),
}


@lru_cache
def true_record() -> BlameRecord:
    """Return a record that convicts."""
    sim = network(29)
    sim.tamper[OLDEST] = changes(m.Step, CHEATS["opening"][1])
    return blamed(sim, MIDDLE)


def ban(core: NodeCore, peer: bytes, epoch: int) -> None:
    """Let a node ban a peer, as at the end of a run in which a check of the transfers failed."""
    core.blames._judged = evolve(true_record(), culprit=peer, ban=True)
    assert core.blames.bans.ban(peer, epoch, core.ctx.now)
    core.blames._judged = None


def running(sim: Simulation, number: int) -> Run:
    """Run until a node is in a run, and return it."""
    found: list[Run] = []

    def begun() -> bool:
        found[:] = sim.core(number).sessions._runs.values()
        return bool(found)

    sim.run_until(begun, 8.0, "a run begins", exactly=True)
    return found[0]
