"""Floods among holders and observers: real peering and real floods on a clock of our own.

    python -m tests.simulation.flooding [--observers 200] [--holders 7] [--floods 50] [--seed 1]

Nodes find each other from three holders' endpoints by what peering decides; then a tenth of them
dies at one moment, each frame is lost with 1 %, and holders say something. It prints whom each
flood reached, how many links nodes have, and how many frames a flood took.
"""

from __future__ import annotations

import argparse
import random
from collections import deque
from collections.abc import Iterable
from typing import Any

from attrs import Factory, define, field, frozen

from metanode.protocol.inputs import Received
from metanode.protocol.peers.endpoints import Endpoint
from metanode.protocol.peers.flood import Flood
from metanode.protocol.peers.mesh import Circle
from metanode.protocol.peers.peering import Decision, Dial, Drop, Peering, SendKeepalive
from metanode.protocol.tables.effects import PassOn
from metanode.protocol.wire.envelope import Envelope
from spec.messages import Publish
from spec.parameters import MAINNET, Preset
from tests.support import entropy, node

SEEDS = 3


@frozen
class Roster:
    """What a flood asks of the key."""

    roster: tuple[bytes, ...]


@define
class Surroundings:
    """What a flood asks of a node's context."""

    me: bytes
    key: Roster
    preset: Preset = MAINNET
    now: float = 0.0
    links: set[bytes] = Factory(set)
    asked: list[Any] = Factory(list)

    @property
    def steady(self) -> float:
        """The clock for waits; nobody sets the other one here."""
        return self.now

    def round_number(self) -> int:
        """Return the round of the clock."""
        return int(self.now // self.preset.round_period_s)

    def ask(self, request: Any) -> None:
        """Keep what is asked of the shell."""
        self.asked.append(request)


@define(eq=False)
class Member:
    """One node: its peering, its floods, what it has heard."""

    number: int
    peering: Peering
    ctx: Surroundings
    flood: Flood
    heard: set[bytes] = Factory(set)

    @property
    def endpoint(self) -> Endpoint:
        """Where the node listens: each in a network of its own."""
        return endpoint_of(self.number)


def endpoint_of(number: int) -> Endpoint:
    """Return a public endpoint."""
    return Endpoint(f"{20 + number // 200}.{number % 200}.1.1", 7000)


@frozen
class Outcome:
    """What came of the floods: the fewest live nodes that one reached, of how many."""

    reached: int
    alive: int
    links_of_observers: int
    frames_a_flood: float
    mesh: bool


@define
class World:
    """All nodes, on one clock."""

    holders: int
    observers: int
    seed: int
    nodes: dict[bytes, Member] = field(init=False)
    now: float = 0.0
    frames: int = 0

    def __attrs_post_init__(self) -> None:
        ids = [node(number) for number in range(self.holders + self.observers)]
        roster = tuple(sorted(ids[: self.holders]))
        self.nodes = {}
        for number, node_id in enumerate(ids):
            ctx: Any = Surroundings(node_id, Roster(roster))
            book: Any = None
            peers: Any = Heard()
            peering = Peering(
                preset=MAINNET, listening=endpoint_of(number), now=0.0,
                preconfigured=[endpoint_of(seed) for seed in range(SEEDS) if seed != number],
                entropy=entropy(f"{self.seed} {number}"),
            )
            peering.circle = Circle(frozenset(roster), node_id in roster, complete=True)
            self.nodes[node_id] = Member(number, peering, ctx, Flood(ctx, book, peers))

    @property
    def by_endpoint(self) -> dict[Endpoint, bytes]:
        """Return who listens where."""
        return {member.endpoint: node_id for node_id, member in self.nodes.items()}

    # --- links ---

    def form(self, seconds: int) -> None:
        """Let the nodes find each other."""
        places = self.by_endpoint
        for _ in range(seconds):
            self.now += 1.0
            for node_id, member in self.nodes.items():
                self._decide(node_id, member.peering.tick(self.now), places)

    def _decide(
        self, node_id: bytes, decisions: Iterable[Decision], places: dict[Endpoint, bytes]
    ) -> None:
        for decision in decisions:
            match decision:
                case Dial(endpoint=endpoint):
                    self._dial(node_id, endpoint, places)
                case SendKeepalive(node_id=to, endpoints=endpoints):
                    other = self.nodes[to].peering
                    other.keepalive_received(node_id, [str(each) for each in endpoints], self.now)
                case Drop(node_id=to):
                    self._part(node_id, to)

    def _dial(self, node_id: bytes, endpoint: Endpoint, places: dict[Endpoint, bytes]) -> None:
        one, there = self.nodes[node_id], places[endpoint]
        other = self.nodes[there]
        one.peering.dial_answered(endpoint, there, self.now)
        if there in one.ctx.links:
            return
        mine = one.peering.admits(endpoint.host, True, self.now, there)
        if mine or other.peering.admits(one.endpoint.host, False, self.now, node_id):
            return
        one.ctx.links.add(there)
        other.ctx.links.add(node_id)
        greetings = one.peering.link_up(there, endpoint.host, endpoint, self.now)
        self._decide(node_id, greetings, places)
        greetings = other.peering.link_up(node_id, one.endpoint.host, None, self.now)
        self._decide(there, greetings, places)

    def _part(self, one: bytes, other: bytes) -> None:
        for a, b in ((one, other), (other, one)):
            self.nodes[a].ctx.links.discard(b)
            self.nodes[a].peering.link_down(b, self.now)

    def kill(self, share: float, rng: random.Random) -> None:
        """Let nodes die: their links fall, and nobody has dialled anew."""
        for node_id in rng.sample(sorted(self.nodes), round(share * len(self.nodes))):
            for peer in tuple(self.nodes[node_id].ctx.links):
                self._part(node_id, peer)
            del self.nodes[node_id]

    # --- floods ---

    def say(self, signer: bytes, body: bytes, loss: float, rng: random.Random) -> int:
        """Let a holder say something; return how many of the nodes have heard it in the end."""
        envelope = Envelope(signer, body, bytes(64), body)
        self.nodes[signer].heard.add(body)
        under_way = deque((signer, peer) for peer in sorted(self.nodes[signer].ctx.links))
        while under_way:
            sender, receiver = under_way.popleft()
            self.frames += 1
            if rng.random() >= loss:
                under_way.extend((receiver, to) for to in self._take(receiver, sender, envelope))
        return sum(body in member.heard for member in self.nodes.values())

    def _take(self, receiver: bytes, sender: bytes, envelope: Envelope) -> tuple[bytes, ...]:
        member = self.nodes[receiver]
        member.ctx.now = self.now
        passed_on = sender != envelope.sender
        if passed_on and not member.flood.expects(envelope, sender):
            return ()
        via = sender if passed_on else None
        news = envelope.body not in member.heard
        member.heard.add(envelope.body)
        member.flood.took(Received(envelope.sender, Publish(()), envelope, via=via), news)
        asked, member.ctx.asked = member.ctx.asked, []
        return tuple(to for each in asked if isinstance(each, PassOn) for to in each.to)


@frozen
class Heard:
    """Nobody is heard of but holders."""

    heard: frozenset[bytes] = frozenset()


def run(
    holders: int, observers: int, floods: int, seed: int, dead: float = 0.1, loss: float = 0.01
) -> Outcome:
    """Form a network, let a part of it die, flood it, and say what came of it."""
    world, rng = World(holders, observers, seed), random.Random(f"floods {seed}")
    world.form(60)
    roster = next(iter(world.nodes.values())).ctx.key.roster
    links = {node_id: set(member.ctx.links) for node_id, member in world.nodes.items()}
    mesh = all(set(roster) - {each} <= links[each] for each in roster)
    most = max(len(found) for node_id, found in links.items() if node_id not in roster)
    world.kill(dead, rng)
    speakers = [each for each in roster if each in world.nodes]
    reached = []
    for number in range(floods):
        world.now += 1.0
        body = number.to_bytes(4, "big")
        reached.append(world.say(speakers[number % len(speakers)], body, loss, rng))
    return Outcome(min(reached), len(world.nodes), most, world.frames / floods, mesh)


def main() -> None:
    """Parse the command line, flood and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, default in (("observers", 200), ("holders", 7), ("floods", 50), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    found = run(arguments.holders, arguments.observers, arguments.floods, arguments.seed)
    print(f"each flood reached at least {found.reached} of {found.alive} live nodes")
    print(f"links of an observer, at most: {found.links_of_observers}")
    print(f"holders are a full mesh: {'yes' if found.mesh else 'no'}")
    print(f"frames a flood: {found.frames_a_flood:.0f}")


if __name__ == "__main__":
    main()
