"""The shell around the node core: sockets, disk, chain and clock on anyio, on either backend.

Inputs of all kinds go through one queue to one task, which hands them to the core one by one, some
in a turn (``turns.py``), and carries the effects out in their order: flush the writes, append the
trace, send, ask. Nothing else touches the core, so nothing is sent before what it rests on is on
disk.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup
from attrs import define, field

from metanode.chains.bitcoin import BitcoinAdapter
from metanode.chains.rpc import RpcClient
from metanode.errors import Malformed, PeerFault
from metanode.identity import Identity
from metanode.protocol.node import NodeCore
from metanode.protocol.peers.conduct import Conduct
from metanode.protocol.peers.endpoints import Endpoint
from metanode.protocol.peers.peering import Peering
from metanode.protocol.tables.effects import (
    Broadcast,
    CheckStake,
    Effects,
    EraseShare,
    LearnEndpoints,
    LookUp,
    Note,
    PassOn,
    Reindex,
    Request,
    Watch,
)
from metanode.protocol.tables.runner import TransitionError
from metanode.protocol.wire.envelope import seal
from metanode.runtime.chain_follower import ChainFollower
from metanode.runtime.clock import Clock, ClockWentBack
from metanode.runtime.home.config import Config
from metanode.runtime.home.home import Home
from metanode.runtime.home.owner import Owner
from metanode.runtime.home.process_lock import ProcessLock
from metanode.runtime.home.wiring import chain_parameters, open_disk, rpc_client, settings_of
from metanode.runtime.net.certificates import make_credentials
from metanode.runtime.net.dialer import Dialer
from metanode.runtime.net.links import LinkCallbacks, LinkManager
from metanode.runtime.net.names import loopback_fault, resolve_own
from metanode.runtime.net.peer_store import PeerStore
from metanode.runtime.observer import Observer
from metanode.runtime.operator.admin import Action, AdminServer
from metanode.runtime.operator.desk import Desk
from metanode.runtime.operator.logs import LOGS_KEPT, RotatingLog, logger, set_up_logs
from metanode.runtime.operator.metrics import Metrics
from metanode.runtime.operator.movements import ROUND_OUTCOMES, Movements
from metanode.runtime.operator.peers import PeersDesk
from metanode.runtime.operator.public import page_headers, public_pages
from metanode.runtime.operator.readiness import readiness
from metanode.runtime.operator.view import NodeView
from metanode.runtime.secrets.keystore import Passphrase, load_identity
from metanode.runtime.service import ServiceManager
from metanode.runtime.store.chain_index import ChainIndex
from metanode.runtime.store.disk import Disk
from metanode.runtime.store.trace import MAX_FILE_BYTES, TraceWriter
from metanode.runtime.turns import Input, InputQueue, flushes
from spec.trace_format import STARTED


@define
class NodeShell:
    """One running node."""

    home: Home
    config: Config
    identity: Identity
    passphrase: Passphrase = field(repr=False)
    clock: Clock = field(factory=Clock)
    before: NodeCore | None = None
    manager: ServiceManager = field(factory=ServiceManager)
    core: NodeCore = field(init=False)
    disk: Disk = field(init=False)
    index: ChainIndex = field(init=False)
    trace: TraceWriter = field(init=False)
    links: LinkManager = field(init=False)
    dialer: Dialer = field(init=False)
    chain: ChainFollower = field(init=False)
    metrics: Metrics = field(factory=Metrics)
    movements: Movements = field(init=False)
    conduct: Conduct = field(factory=Conduct)
    observer: Observer | None = None
    log: Any = field(init=False, repr=False)
    port: int = 0
    _tasks: TaskGroup = field(init=False, repr=False)
    _inputs: InputQueue = field(factory=InputQueue)
    _started: float = 0.0
    _ticked: float = 0.0
    _said_started: bool = False
    _resumed: bool = False
    _recent: list[dict[str, Any]] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.log = logger(node=self.identity.node_id.hex()[:10])
        self.core = NodeCore(settings_of(self.config), self.identity, os.urandom)
        owner = Owner(self.config.network_id(), self.identity.node_id)
        with ExitStack() as undo:
            undo.callback(self._inputs.close)
            self.disk = open_disk(
                self.home, self.config, self.identity, self.passphrase, self.core.codec
            )
            undo.callback(self.disk.close)
            self.index = ChainIndex(self.home.chain_index, owner)
            kept = max(2, (self.config.node.trace_mib << 20) // MAX_FILE_BYTES)
            self.trace = TraceWriter(self.home.trace, kept_files=kept)
            undo.pop_all()
        self.movements = Movements(self.core.ctx.preset.round_period_s)

    async def run(self, rpc: RpcClient) -> None:
        """Run until cancelled."""
        self.chain = ChainFollower(
            BitcoinAdapter(rpc, chain_parameters(self.config)), self.core, self.index,
            self._inputs.put, self.log, self.config.chain.birth_height, self.config.stake.minimum,
        )
        self._started, self._ticked = self.clock.steady(), anyio.current_time()
        restored = self.disk.load()
        # A trace that begins later than the store says so: its reader must know what it misses.
        self._resumed = self.trace.end.seq == 0 and any(restored.cells.values())
        self.core.start(self.clock(), restored, self.clock.steady(), self.before)
        self.before = None
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            self.observer = Observer.of(self.home, self.core, self._note)
            await self._open_network(tasks)
            peers = PeersDesk(self.core, self.dialer, self.links, self.clock)
            desk = Desk(self.core, self._inputs.put, partial(self.chain.send, tasks))
            view = NodeView(
                "this node", int(self.clock()), self.status, self.movements, self.clock
            )
            self.metrics.watch(self.status, lambda: self._inputs.waiting)
            admin = AdminServer(
                self.home, self.config.admin.listen, self.status, self.metrics.render,
                pages={
                    "events": desk.events, "blame": desk.blame, "held": desk.held,
                    "peers": peers.page, "view": view.page,
                },
                actions={
                    "requests": self._unless_observing(desk.ask),
                    "releases": self._unless_observing(desk.release),
                    "pardon": desk.pardon, "peers": peers.act,
                },
                public=public_pages(
                    lambda: readiness(self.status()), lambda: anyio.current_time() - self._ticked
                ),
                begin=view.begin, headers=page_headers(),
            )
            await tasks.start(admin.serve)
            tasks.start_soon(self._ticks)
            tasks.start_soon(self.chain.run)
            tasks.start_soon(self.dialer.run)
            await self._work()

    async def _open_network(self, tasks: TaskGroup) -> None:
        network_id, preset = self.config.network_id(), self.core.ctx.preset
        callbacks = LinkCallbacks(
            on_frame=self._on_frame,
            on_up=self._on_up,
            on_down=self._on_down,
            admit=lambda *args: self.dialer.admit(*args),
            admit_connection=lambda host: self.dialer.admit_connection(host),
            on_fault=lambda *args: self.dialer.misbehaved(*args),
            on_trace=self._trace,
        )
        self.links = LinkManager(
            make_credentials(self.identity, network_id), preset, callbacks, os.urandom
        )
        self.links.start(tasks)
        listen, advertised = self.config.node.listen, self.config.node.advertise
        peering = Peering(
            preset=preset, listening=listen, advertised=advertised, seeds=self.config.network.seeds,
            preconfigured=self.config.node.peers, entropy=os.urandom, now=self.clock(),
        )
        key = "node.listen" if advertised is None else "node.advertise"
        await resolve_own(key, advertised or listen)
        store = PeerStore(self.home.peers, lambda text: self.log.warning(text))
        self.dialer = Dialer(
            peering, self.links, self._send_keepalive, self.clock, store, say=self._note
        )
        self.port = await self.links.listen(listen.host, listen.port)
        peering.bound_to(self.port)
        self.log.info("listening", host=listen.host, port=self.port)
        fault = loopback_fault(self.config.network.preset, listen, advertised)
        if fault is not None:
            self.log.warning("address.loopback", reason=fault)

    # --- inputs ---

    async def _work(self) -> None:
        """Hand inputs to the core turn by turn, and carry out what comes of each."""
        await self._carry_out([self.core.take()])
        while True:
            await self._carry_out(await self._inputs.turn(self._hand_over))

    def _hand_over(self, entry: Input) -> Effects:
        """Do an input to the core and return its effects; what must not be is told and refused."""
        now = self.clock()
        if self.core.on_clock(now, self.clock.steady()):
            self._say_notes()
            raise ClockWentBack
        try:
            entry(now)
        except Malformed as fault:
            self.metrics.refused_frame("malformed")
            self._tell("peer.malformed", fault)
            self._close(fault)
        except TransitionError as refusal:
            # A pair (state, event) that the tables do not allow has changed nothing.
            self.metrics.rejected(refusal.table)
            self.log.warning("refused", reason=str(refusal))
        except PeerFault as fault:
            self.metrics.refused_frame("fault")
            self._tell("peer.fault", fault)
        return self.core.take()

    def _say_notes(self) -> None:
        """Say what the core has to say before it is given up."""
        for request in self.core.take().requests:
            if isinstance(request, Note):
                self._note(request.event, request.fields)

    def _tell(self, event: str, fault: PeerFault) -> None:
        """Write a peer's fault into the log, unless it has many."""
        if self.conduct.is_told(b"".join(fault.culprits()), self.clock.steady()):
            self.log.warning(event, reason=str(fault), culprits=_ids(fault))

    def _input_now(self, entry: Input) -> None:
        if not self._inputs.put_now(entry):
            self._tasks.start_soon(self._inputs.put, entry)

    async def _on_frame(self, node_id: bytes, frame: bytes) -> None:
        self.metrics.frame("in", len(frame))

        if self.observer is not None:
            self.observer.hear(frame, node_id)

        def take(now: float) -> None:
            repeats = self.conduct.repeats(node_id, frame, now)
            if repeats > 1:
                return  # it has been said, and the peer has been scored for it
            try:
                if repeats:
                    raise PeerFault("the same frame again and again", node_id)
                self.core.on_frame(now, frame, node_id)
            except PeerFault as fault:
                # What others signed and this peer passed on may be old: it is no offence of theirs.
                if node_id in fault.culprits():
                    self.dialer.misbehaved(node_id, None, fault.reason)
                raise

        await self._inputs.put(take)

    def _on_up(self, node_id: bytes, host: str, dialled: Endpoint | None) -> None:
        self.dialer.link_up(node_id, host, dialled)
        self.log.info("link.up", peer=node_id.hex()[:16])
        self._input_now(partial(self.core.on_link, peer=node_id, up=True))

    def _on_down(self, node_id: bytes, reason: str) -> None:
        self.dialer.link_down(node_id, reason)
        self.log.info("link.down", peer=node_id.hex()[:16], reason=reason)
        self._input_now(partial(self.core.on_link, peer=node_id, up=False))

    def _close(self, fault: PeerFault) -> None:
        for culprit in fault.culprits():
            self.links.close(culprit, "malformed")

    async def _ticks(self) -> None:
        while True:
            await self._inputs.put_once(self._tick)
            listed = len(self.core.peers.members())
            self.dialer.known_weight_share = self.core.crawler.known_share()
            self.dialer.know(self.core.circle(), self.core.blocks.blocked())
            self.movements.sample(
                self.clock(), len(self.links.established()), self._inputs.waiting, listed
            )
            await anyio.sleep(self.core.ctx.preset.tick_s)

    def _tick(self, now: float) -> None:
        self._ticked = anyio.current_time()
        health = self.core.peers.health
        health.chain_away = self.chain.fault is not None
        health.disk_free = shutil.disk_usage(self.home.path).free
        self.core.on_tick(now)
        if self.observer is not None:
            self.observer.tick()
        self.manager.tick(self._ticked, self._doing)

    def _doing(self) -> str:
        """Return what the service manager is told."""
        tip = self.core.candidates.ledger.tip
        return ", ".join((
            f"phase {self.core.ctx.state('peer')}", f"{len(self.links.established())} links",
            "no block yet" if tip is None else f"block {tip[0]}",
            f"health {self.core.peers.health.word()}",
        ))

    # --- effects ---

    async def _carry_out(self, turn: list[Effects]) -> None:
        for writes in flushes(turn):
            await anyio.to_thread.run_sync(self.disk.flush, writes)
        for effects in turn:
            self._trace(effects.trace)
            self._ask_and_send(effects)

    def _unless_observing(self, action: Action) -> Action:
        """Return an action that a node refuses while it observes."""
        observer = self.observer
        return action if observer is None else observer.refuse

    def _ask_and_send(self, effects: Effects) -> None:
        # A node that observes says nothing: what it might contradict it has perhaps forgotten.
        for send in effects.sends if self.observer is None else ():
            frame = seal(
                self.identity, self.core.settings.network_id, self.core.codec, send.message
            )
            targets = self.links.established() if send.to is None else (send.to,)
            for target in targets:
                self._send(target, frame)
        for request in effects.requests:
            self._meet(request)

    def _send(self, target: bytes, frame: bytes) -> None:
        """Send a frame, which this node or another one has signed."""
        if self.links.send(target, frame):
            self.metrics.frame("out", len(frame))

    def _trace(self, records: list[dict[str, Any]]) -> None:
        """Write the transitions of one input."""
        now = round(self.clock(), 3)
        if records and not self._said_started:
            # The state in memory began anew: a reader of the trace must know where.
            self._said_started = True
            resumed = {"resumed": True} if self._resumed else {}
            node_id = self.identity.node_id.hex()
            self.trace.append({"kind": STARTED, "at": now, "node": node_id, **resumed})
        for record in records:
            self.metrics.transition(record["table"])
        self.movements.rows(now, records)
        self.trace.append_input(records, now)

    def _meet(self, request: Request) -> None:
        """Do what the core asks for; requests that take time run as tasks of their own."""
        chain = self.chain
        match request:
            case Note():
                self._note(request.event, request.fields)
            case CheckStake():
                about = "stake", request.peer
                self._tasks.start_soon(chain.outside, about, partial(chain.check_stake, request))
            case Broadcast():
                about = "send", request.event
                self._tasks.start_soon(chain.outside, about, partial(chain.broadcast, request))
            case LookUp():
                about = "payout", request.event
                self._tasks.start_soon(chain.outside, about, partial(chain.look_up, request))
            case Watch():
                chain.watch(request.public_key)
            case Reindex():
                chain.scan_anew()
            case EraseShare():
                self.disk.keystore.erase(request.key_id, request.epoch, request.public_key)
            case LearnEndpoints():
                self.dialer.keepalive_received(request.peer, request.endpoints, request.seen)
            case PassOn():
                for target in request.to:
                    self._send(target, request.frame)

    def _note(self, event: str, fields: Mapping[str, Any]) -> None:
        quiet = event in ("round.not_yet", "attempt.refused", "ping.refused")
        (self.log.debug if quiet else self.log.info)(event, **fields)
        if not quiet:
            self._recent = [*self._recent[-199:], {"at": self.clock(), "event": event, **fields}]
        if event in ROUND_OUTCOMES:
            now = self.clock()
            self.movements.note(now, event)
            into = now % self.core.ctx.preset.round_period_s
            self.metrics.round(ROUND_OUTCOMES[event], into)

    def _send_keepalive(self, node_id: bytes, addresses: tuple[str, ...], host: str) -> None:
        self._input_now(
            partial(self.core.on_endpoints, peer=node_id, addresses=addresses, seen=host)
        )

    def status(self) -> dict[str, Any]:
        """Return what the operator sees: no secrets."""
        statistics = self.links.statistics
        return {
            **self.core.report(),
            "port": self.port,
            "started": round(self.clock() - self.clock.steady() + self._started, 3),
            "uptime_s": round(self.clock.steady() - self._started),
            "chain_fault": self.chain.fault,
            "observing": None if self.observer is None else self.observer.report(),
            "frames_in": statistics.frames_received,
            "frames_out": statistics.frames_sent,
            "refused": dict(statistics.refusals),
            **self.dialer.peering.report(self.clock()),
            "blocked": self.core.blocks.report(),
            "trace": {"seq": self.trace.end.seq, "hash": self.trace.end.hash},
            "recent": self._recent[-60:],
        }

    def close(self) -> None:
        """Close the stores and the trace."""
        self._inputs.close()
        self.trace.close()
        self.index.close()
        self.disk.close()


async def _run(home: Home, config: Config, identity: Identity, passphrase: Passphrase) -> None:
    clock, before, again = Clock(), None, True
    manager = ServiceManager.of(os.environ, os.getpid())
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        while again:
            shell = NodeShell(home, config, identity, passphrase, clock, before, manager)
            again = await _run_shell(shell, signals)
            before = shell.core


async def _run_shell(shell: NodeShell, signals: AsyncIterator[signal.Signals]) -> bool:
    """Run a node until a signal; returns whether its clock went back, so that it begins anew."""
    went_back = False
    try:
        async with rpc_client(shell.home, shell.config) as rpc, anyio.create_task_group() as tasks:
            tasks.start_soon(shell.run, rpc)
            async for _ in signals:
                shell.manager.stopping()
                tasks.cancel_scope.cancel()
                break
    except* ClockWentBack:
        went_back = True
    finally:
        shell.close()
    return went_back


def run_node(home: Home, config: Config, passphrase: Passphrase) -> int:
    """Run the node of a home until SIGINT or SIGTERM; return the exit code."""
    log_bytes = (config.node.log_mib << 20) // (LOGS_KEPT + 1)
    with ProcessLock(home.lock), RotatingLog(home.log, log_bytes) as stream:
        set_up_logs(stream, as_json=True)
        identity = load_identity(home.identity, passphrase)
        anyio.run(_run, home, config, identity, passphrase, backend="trio")
    return 0


def _ids(fault: PeerFault) -> list[str]:
    return [culprit.hex()[:16] for culprit in fault.culprits()]
