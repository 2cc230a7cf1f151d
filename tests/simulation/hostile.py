"""Dishonest members for the simulator: what they send instead of what an honest core would."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from attrs import evolve

from metanode.protocol.events.votes import sign_vote
from metanode.protocol.tables.view import Quorum
from metanode.protocol.wire.envelope import open_envelope
from spec import messages as m
from tests.simulation.checkers import CODEC
from tests.simulation.simulator import (
    NETWORK_ID,
    QUICK,
    START,
    Simulation,
    Tamper,
    identities_of,
    with_key,
)

Change = Callable[[Any], Iterable[object]]

FIRST_ROUND = int(START + 98.5) // QUICK.round_period_s + 1
_BY_SENIORITY = sorted(range(4), key=lambda number: identities_of(4)[number].node_id)
OLDEST, MIDDLE, YOUNGEST, OUTSIDER = (
    _BY_SENIORITY[(place + FIRST_ROUND) % 4] for place in range(4)
)
"""Numbers of the four nodes in the first round of :func:`network`: all but the outsider sign.

All stakes have one height, so that the ids decide; each round begins with the next one.
"""


def changes(
    kind: type | tuple[type, ...], change: Change, to: Iterable[bytes] | None = None
) -> Tamper:
    """Return a tamper function that replaces messages of some kinds, to all or to some peers."""
    chosen = None if to is None else set(to)

    def tamper(recipient: bytes, message: object) -> Iterable[object]:
        if isinstance(message, kind) and (chosen is None or recipient in chosen):
            return change(message)
        return [message]

    return tamper


def once(change: Change) -> Change:
    """Return a change that is made to the messages of one moment only: later ones pass as they are.

    A broadcast is one message object for all its recipients, so it counts once.
    """
    first: list[object] = []

    def changed(message: Any) -> Iterable[object]:
        if not first:
            first.append(message)
        return change(message) if message is first[0] else [message]

    return changed


def network(seed: int, *, bad: int = OLDEST, deposit: bool = True, **options: Any) -> Simulation:
    """Return a network with a key, one dishonest member, blocks, and a deposit on its way."""
    sim = with_key(seed, dishonest={bad}, **options)
    sim.mine_every(0.7)
    sim.run(0.3)
    if deposit:
        sim.deposit()
    return sim


def certificate(
    sim: Simulation, voters: Iterable[int], *, event: bytes, digest: bytes, attempt: int,
    members: Iterable[int] | None = None, key_epoch: int = 1,
) -> m.Certificate:
    """Return a certificate really signed by these nodes: more than f of them means collusion."""
    named = tuple(sorted(sim.nodes[n].node_id for n in (voters if members is None else members)))
    vote = m.Vote(key_epoch, event, attempt, digest, named)
    ordered = sorted(voters, key=lambda n: sim.nodes[n].node_id)
    signed = tuple(sign_vote(_Signer(sim, n), vote) for n in ordered)
    return m.Certificate(key_epoch, event, attempt, digest, named, signed)


def forged(real: m.Certificate) -> m.Certificate:
    """Return a certificate with the signatures of a real one over another digest."""
    return evolve(real, digest=bytes(32))


def frames_speak_for_themselves(frames: Iterable[bytes], culprit: bytes) -> bool:
    """Return whether evidence convinces anyone: two valid, different messages of one node."""
    opened = [open_envelope(NETWORK_ID, CODEC, frame) for frame in frames]
    bodies = {envelope.body for _, _, envelope in opened}
    kinds = {type(message) for _, message, _ in opened}
    return len(bodies) == 2 and len(kinds) == 1 and {s for s, _, _ in opened} == {culprit}


def quorum_of(members: int, threshold: int, faulty: int) -> Quorum:
    """Return a quorum of the simulator's identities."""
    holders = tuple(sorted(identity.node_id for identity in identities_of(members)))
    return Quorum(holders, threshold, faulty)


class _Signer:
    """What ``sign_vote`` needs of a context, for any node of a simulation."""

    def __init__(self, sim: Simulation, number: int) -> None:
        node = sim.nodes[number]
        self.codec, self.identity = CODEC, node.identity
        self.settings, self.me = node.settings, node.node_id
