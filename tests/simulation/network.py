"""The simulated network: nodes that start and crash, links, and a chain, driven by one clock."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import define, evolve, field

from metanode.custody.scripts import key_script
from metanode.errors import Malformed, PeerFault, Unavailable
from metanode.protocol.node import NodeCore
from metanode.protocol.tables.effects import (
    Broadcast,
    CheckStake,
    Effects,
    LookUp,
    Note,
    PassOn,
    Reindex,
    Request,
    Watch,
)
from metanode.protocol.tables.runner import TransitionError
from metanode.protocol.tables.view import Quorum
from spec.parameters import Preset
from tests.devnet.founding import founded
from tests.simulation.chain import ChainClient, Paid, Users
from tests.simulation.checkers import Checkers
from tests.simulation.clockwork import Clockwork
from tests.simulation.disk import FakeDisk
from tests.simulation.parts import (
    CALM,
    COMMON,
    FOUNDING_HEIGHT,
    NETWORK_ID,
    POLL_S,
    QUICK,
    RELINK_S,
    STAKE,
    START,
    TICK_S,
    Crash,
    Node,
    Tamper,
    Weather,
    identities_of,
    opened,
    sealed,
)


@define(repr=False)
class Simulation(Clockwork):
    """A network of ``members`` founders; ``threshold`` and ``byzantine`` are t and f.

    ``joiners`` more nodes have a stake and no share.
    """

    members: int = 4
    threshold: int = 3
    byzantine: int = 1
    joiners: int = 0
    preset: Preset = QUICK
    keygen_s: float = 4.0
    keygen: str = "clock"
    weather: Weather = CALM
    dishonest: set[int] = field(factory=set)
    nodes: list[Node] = field(init=False)
    users: Users = field(init=False)
    checkers: Checkers = field(init=False)
    faults: list[tuple[float, int, PeerFault]] = field(factory=list)
    refusals: list[tuple[float, int, TransitionError]] = field(factory=list)
    tamper: dict[int, Tamper] = field(factory=dict)
    crashes: list[Crash] = field(factory=list)
    sent: dict[str, int] = field(factory=dict)
    cut: set[frozenset[int]] = field(factory=set)
    _arrivals: dict[tuple[int, int], float] = field(factory=dict)
    _transcript: Any = field(factory=hashlib.sha256)
    _by_id: dict[bytes, int] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.now = self.begin
        self._rng = random.Random(f"network {self.seed}")
        identities = identities_of(self.members + self.joiners)
        owners = tuple((key_script(identity.node_id), STAKE) for identity in identities)
        ledger, stakes = founded(lambda: self.now, owners, int(START))
        self.users = Users(ledger, random.Random(f"users {self.seed}"))
        common = evolve(
            COMMON,
            preset=self.preset,
            members=self.members,
            threshold=self.threshold,
            byzantine=self.byzantine,
            keygen_until=int(START + self.keygen_s),
            keygen=self.keygen,
        )
        self.nodes = [
            Node(number, identity, evolve(common, stake=stake), FakeDisk(), ChainClient(ledger))
            for number, (identity, stake) in enumerate(zip(identities, stakes, strict=True))
        ]
        self._by_id = {node.node_id: node.number for node in self.nodes}
        ids = tuple(sorted(node.node_id for node in self.nodes[: self.members]))
        self.checkers = Checkers(
            NETWORK_ID,
            Quorum(ids, self.threshold, self.byzantine),
            {n.node_id for n in self.nodes if n.number not in self.dishonest},
            {n.node_id: n.disk for n in self.nodes},
        )

    # --- running ---

    def start_all(self, numbers: Iterable[int] | None = None) -> None:
        """Start nodes, link them, and let the chain be followed."""
        for number in range(self.members) if numbers is None else numbers:
            self.start(number)

    def mine_every(self, seconds: float) -> None:
        """Mine a block now and then from now on."""

        def block() -> None:
            self.users.mine()
            self.checkers.on_chain(self.users)
            self.after(seconds, block)

        self.after(seconds, block)

    def settle(self, limit_s: float = 30.0) -> None:
        """Run until every deposit is settled at every running node; then check the accounts."""
        self.run_until(self.all_settled, limit_s, "every deposit is settled")
        self._guarded(lambda: self.checkers.finish(self.users))

    def all_settled(self) -> bool:
        """Return whether the money of all deposits has arrived and all nodes know it."""
        if not all(self.users.is_settled(deposit) for deposit in self.users.deposits):
            return False
        cores = [self.core(node.number) for node in self.running()]
        swaps = {state for core in cores for _, state in core.ctx.tables.view.entries("swap")}
        payouts = {payout["state"] for core in cores for payout in core.payouts.report()}
        waiting = swaps & {"PendingRelease", "PendingRefund"}
        return not waiting and payouts <= {"COMPLETED", "REVERTED"}

    def digest(self) -> str:
        """Return a hash of every flush and frame so far: equal runs have equal digests."""
        return self._transcript.hexdigest()

    # --- nodes ---

    def running(self) -> list[Node]:
        """Return the nodes that are up."""
        return [node for node in self.nodes if node.core is not None]

    def all_running(self) -> bool:
        """Return whether every node that was ever started is up."""
        return all(node.core is not None for node in self.nodes if node.starts)

    def core(self, number: int) -> NodeCore:
        """Return the core of a running node."""
        core = self.nodes[number].core
        assert core is not None, f"node {number} is down"
        return core

    def number_of(self, node_id: bytes) -> int:
        """Return the number of a node."""
        return self._by_id[node_id]

    def start(self, number: int, before: NodeCore | None = None) -> None:
        """Start a node from its disk and link it with all that run.

        ``before`` is its core if it is the same process, whose clock went back.
        """
        node = self.nodes[number]
        if node.core is not None:
            return
        node.starts += 1
        random_octets = random.Random(f"node {number}, start {node.starts}, {self.seed}").randbytes
        node.core = NodeCore(node.settings, node.identity, random_octets)
        node.chain.watching = False
        node.core.start(self._clock(node), node.disk.load(), self.now, before)
        self._carry_out(node, node.core.take())
        for other in self.running():
            if other is not node and frozenset((number, other.number)) not in self.cut:
                self._link(node, other, True)
        self._every(node, node.starts, TICK_S, lambda: self._input(node, NodeCore.on_tick))
        self._every(node, node.starts, POLL_S, lambda: self._poll(node))

    def join(self, number: int) -> None:
        """Start a node that wants a share of the key that is locked in."""
        node = self.nodes[number]
        node.settings = evolve(node.settings, joins=self.public_key)
        self.start(number)

    def crash(self, number: int) -> None:
        """Kill a node: its core is gone, its links fall, frames on their way to it are lost."""
        node = self.nodes[number]
        if node.core is None:
            return
        node.core = None
        self._note(node, {"event": "crash"})
        for other in self.running():
            self._link_end(other, node.node_id, False)

    def restart_after(self, number: int, delay: float) -> None:
        """Start a node again after a delay."""
        self.after(delay, lambda: self.start(number))

    def partition(self, numbers: Iterable[int]) -> None:
        """Cut these nodes off from all others; links fall at both ends."""
        inside = set(numbers)
        for a in inside:
            for b in set(range(self.members)) - inside:
                self.cut.add(frozenset((a, b)))
                if self.nodes[a].core is not None and self.nodes[b].core is not None:
                    self._link(self.nodes[a], self.nodes[b], False)

    def heal(self) -> None:
        """End every partition."""
        pairs, self.cut = sorted(sorted(pair) for pair in self.cut), set()
        for a, b in pairs:
            if self.nodes[a].core is not None and self.nodes[b].core is not None:
                self._link(self.nodes[a], self.nodes[b], True)

    def inject(self, number: int, message: object, to: int) -> None:
        """Send a message in a node's name, whatever its core thinks of it."""
        node = self.nodes[number]
        self._transmit(node, self.nodes[to], sealed(node.identity, message))

    def deposit(self, amount: int = 1_000_000, kind: str = "release") -> Paid:
        """Make a deposit to the locked-in key's address."""
        return self.users.deposit(self.public_key, amount, kind)

    @property
    def public_key(self) -> bytes:
        """The key that is locked in."""
        return next(iter(self.checkers.locked_keys.values()))

    def faults_of(self, culprit: int) -> list[PeerFault]:
        """Return the faults that name a node."""
        wanted = self.nodes[culprit].node_id
        return [fault for _, _, fault in self.faults if wanted in fault.culprits()]

    # --- inside ---

    def _clock(self, node: Node) -> float:
        return self.now + node.offset if node.frozen is None else node.frozen

    def _every(self, node: Node, start: int, period: float, action: Callable[[], None]) -> None:
        def again() -> None:
            if node.core is not None and node.starts == start:
                action()
                self.after(period, again)

        self.after(self._rng.random() * period, again)

    def _input(self, node: Node, entry: Callable[[NodeCore, float], None]) -> None:
        """Hand one input to a core and carry out what comes of it, like the real shell."""
        core = node.core
        if core is None:
            return
        if core.on_clock(self._clock(node), self.now):
            self._carry_out(node, core.take())
            self.crash(node.number)
            self.start(node.number, core)
            return
        try:
            entry(core, self._clock(node))
        except PeerFault as fault:
            self.faults.append((self.now, node.number, fault))
            if isinstance(fault, Malformed):
                for culprit in fault.culprits():
                    self._drop_link(node, culprit)
        except TransitionError as refusal:
            self.refusals.append((self.now, node.number, refusal))
        if node.core is core:
            self._carry_out(node, core.take())

    def _carry_out(self, node: Node, effects: Effects) -> None:
        node.watcher(effects)
        crash = next((c for c in self.crashes if c.node == node.number and c.when(effects)), None)
        if crash is not None:
            self.crashes.remove(crash)
            if crash.restart_s is not None:
                self.restart_after(node.number, crash.restart_s)
            if crash.point == "before":
                return self.crash(node.number)
        if effects.writes:
            node.disk.flush(effects.writes)
            self._transcript.update(repr((node.number, effects.writes)).encode())
            self.checkers.on_flush(node.node_id, effects.writes)
        if crash is not None and crash.point == "after":
            return self.crash(node.number)
        self.checkers.before_send(node.node_id, effects.sends)
        frames = self._frames(node, effects)
        if crash is not None:
            frames = frames[: len(frames) // 2]
        for to, frame in frames:
            self._transmit(node, to, frame)
        if crash is not None:
            return self.crash(node.number)
        for request in effects.requests:
            self._meet(node, request)
        return None

    def _frames(self, node: Node, effects: Effects) -> list[tuple[Node, bytes]]:
        frames: list[tuple[Node, bytes]] = []
        tamper = self.tamper.get(node.number, lambda _to, message: [message])
        for send in effects.sends:
            kind = type(send.message).__name__
            self.sent[kind] = self.sent.get(kind, 0) + 1
            for other in self.nodes:
                if other is not node and send.to in (None, other.node_id):
                    for message in tamper(other.node_id, send.message):
                        frames.append((other, sealed(node.identity, message)))
        return frames

    def _transmit(self, sender: Node, receiver: Node, frame: bytes) -> None:
        if frozenset((sender.number, receiver.number)) in self.cut or receiver.core is None:
            return
        self._transcript.update(frame)
        weather = self.weather
        if self._rng.random() < weather.loss:
            return
        copies = 2 if self._rng.random() < weather.duplicate else 1
        pair, start = (sender.number, receiver.number), receiver.starts
        for _ in range(copies):
            arrival = self.now + self._rng.uniform(*weather.latency)
            if self._rng.random() < weather.reorder:
                arrival += self._rng.uniform(*weather.latency) * 4
            else:
                arrival = max(arrival, self._arrivals.get(pair, 0.0))
                self._arrivals[pair] = arrival
            self._push(arrival, lambda: self._deliver(sender, receiver, start, frame))

    def _deliver(self, sender: Node, receiver: Node, start: int, frame: bytes) -> None:
        if receiver.starts != start or frozenset((sender.number, receiver.number)) in self.cut:
            return

        def take(core: NodeCore, now: float) -> None:
            signer, message, envelope = opened(frame)
            via = None if signer == sender.node_id else sender.node_id
            if via is None or core.flood.expects(envelope, via):
                core.on_message(now, signer, message, envelope, via)

        self._input(receiver, take)

    def _link(self, a: Node, b: Node, up: bool) -> None:
        self._link_end(a, b.node_id, up)
        self._link_end(b, a.node_id, up)

    def _link_end(self, node: Node, peer: bytes, up: bool) -> None:
        self._input(node, lambda core, now: core.on_link(now, peer, up))

    def _drop_link(self, node: Node, culprit: bytes) -> None:
        """A malformed message closes the link; it is dialled again after a while."""
        other = self.nodes[self.number_of(culprit)] if culprit in self._by_id else node
        if other is node or other.core is None:
            return
        self._link(node, other, False)
        pair = frozenset((node.number, other.number))
        self.cut.add(pair)

        def again() -> None:
            if pair in self.cut:
                self.cut.discard(pair)
                if node.core is not None and other.core is not None:
                    self._link(node, other, True)

        self.after(RELINK_S, again)

    def _poll(self, node: Node) -> None:
        if not node.chain.watching:
            return
        try:
            update, seen = node.chain.poll()
        except Unavailable:
            return
        if update.connected or update.disconnected or seen:
            self._input(node, lambda core, now: core.on_chain(now, update, seen))

    def _meet(self, node: Node, request: Request) -> None:
        """Do what a core asks for; shares are not erased here, and nobody dials."""
        match request:
            case Note():
                self._note(node, {"event": request.event, **request.fields})
            case Watch():
                start = node.settings.custody.index_start(FOUNDING_HEIGHT)
                node.chain.watch(request.public_key, start)
            case Reindex():
                core = self.core(node.number)
                core.reset_ledger()
                self._meet(node, Watch(core.ctx.epoch.public_key))
            case PassOn():
                for to in request.to:
                    self._transmit(node, self.nodes[self.number_of(to)], request.frame)
            case CheckStake() | Broadcast() | LookUp():
                self.after(self._rng.uniform(0.005, 0.02), lambda: self._ask(node, request))

    def _ask(self, node: Node, request: CheckStake | Broadcast | LookUp) -> None:
        if node.core is None:
            return
        try:
            if isinstance(request, CheckStake):
                peer, stake = request.peer, request.stake
                found = node.core.stakes.known(peer, stake)
                if found is None:
                    found = node.chain.check_stake(peer, stake, STAKE)
                self._input(node, lambda core, now: core.on_stake(now, peer, stake, found))
                return
            reason = ""
            if isinstance(request, Broadcast):
                reason = node.chain.broadcast(request.raw, request.txid).reason
            states = {txid: node.chain.lookup(txid) for txid in request.txids}
        except Unavailable:
            return
        txid = next((txid for txid in states if states[txid] != "unknown"), request.txids[0])
        event, state = request.event, states[txid]
        self._input(node, lambda core, now: core.on_payout(now, event, txid, state, reason))

    def _note(self, node: Node, fields: Mapping[str, Any]) -> None:
        self.notes.append((self.now, node.number, fields))
