"""The shell around the node core: sockets, disk, chain and clock on anyio, on either backend.

Inputs of all kinds go through one queue to one task, which hands them to the core one by one and
carries the effects out in their order: flush the writes, append the trace, send, call. Nothing else
touches the core, so nothing is sent before what it rests on is on disk.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup
from attrs import define, field

from metanode.chains.base import ChainParameters, ChainUpdate
from metanode.chains.bitcoin import BitcoinAdapter
from metanode.chains.rpc import RpcClient, RpcError
from metanode.custody.policy import CustodyPolicy
from metanode.custody.scripts import key_script
from metanode.custody.types import Outpoint
from metanode.errors import LocalFault, Malformed, PeerFault, Unavailable, UserError
from metanode.protocol import endpoints
from metanode.protocol.codec import Codec
from metanode.protocol.context import Settings
from metanode.protocol.envelope import open_envelope, seal
from metanode.protocol.identity import Identity
from metanode.protocol.machine import Effects
from metanode.protocol.node import NodeCore
from metanode.protocol.peering import Peering
from metanode.runtime.admin import AdminServer
from metanode.runtime.certificates import make_credentials
from metanode.runtime.config import Config
from metanode.runtime.dialer import Dialer
from metanode.runtime.disk import FIRST_VALUES, Disk
from metanode.runtime.files import read_bounded
from metanode.runtime.home import Home
from metanode.runtime.keystore import COST_OF_PRESET, Keystore, Passphrase, load_identity
from metanode.runtime.links import LinkCallbacks, LinkManager
from metanode.runtime.logs import logger, set_up_logs
from metanode.runtime.metrics import Metrics
from metanode.runtime.peer_store import PeerStore
from metanode.runtime.process_lock import ProcessLock
from metanode.runtime.signing_log import SigningLog
from metanode.runtime.store import CellStore
from metanode.runtime.trace import TraceWriter
from spec import messages as m

TICK_S = 0.05
CHAIN_POLL_S = 0.5
BACKOFF_LIMIT_S = 30.0
QUEUE = 4096

Input = Callable[[float], None]


@define
class NodeShell:
    """One running node."""

    home: Home
    config: Config
    identity: Identity
    passphrase: Passphrase = field(repr=False)
    clock: Callable[[], float] = time.time
    core: NodeCore = field(init=False)
    disk: Disk = field(init=False)
    trace: TraceWriter = field(init=False)
    links: LinkManager = field(init=False)
    dialer: Dialer = field(init=False)
    chain: BitcoinAdapter = field(init=False)
    metrics: Metrics = field(factory=Metrics)
    log: Any = field(init=False, repr=False)
    port: int = 0
    _tasks: TaskGroup = field(init=False, repr=False)
    _send_input: Any = field(init=False, repr=False)
    _receive_input: Any = field(init=False, repr=False)
    _watching: bool = False
    _chain_fault: str | None = None
    _started: float = 0.0
    _recent: list[dict[str, Any]] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.log = logger(node=self.identity.node_id.hex()[:10])
        self.core = NodeCore(settings_of(self.config), self.identity, os.urandom)
        self.disk = open_disk(
            self.home, self.config, self.identity, self.passphrase, self.core.codec
        )
        self.trace = TraceWriter(self.home.trace)
        self._send_input, self._receive_input = anyio.create_memory_object_stream[Input](QUEUE)

    async def run(self, rpc: RpcClient) -> None:
        """Run until cancelled."""
        self.chain = BitcoinAdapter(rpc, chain_parameters(self.config))
        self._started = self.clock()
        self.core.start(self._started, self.disk.load())
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            await self._open_network(tasks)
            admin = AdminServer(
                self.home, self.config.admin.listen, self.status, self.metrics.render
            )
            await tasks.start(admin.serve)
            tasks.start_soon(self._ticks)
            tasks.start_soon(self._follow_chain)
            tasks.start_soon(self.dialer.run)
            await self._work()

    async def _open_network(self, tasks: TaskGroup) -> None:
        network_id, preset = self.config.network_id(), self.core.ctx.preset
        callbacks = LinkCallbacks(
            on_frame=self._on_frame,
            on_up=self._on_up,
            on_down=self._on_down,
            admit=lambda host, outbound: self.dialer.admit(host, outbound),
            admit_connection=lambda host: self.dialer.admit_connection(host),
            on_trace=lambda record: self._trace([record]),
        )
        self.links = LinkManager(
            make_credentials(self.identity, network_id), preset, callbacks, os.urandom
        )
        self.links.start(tasks)
        listen = self.config.node.listen
        advertised = self.config.node.advertise or listen
        peering = Peering(
            preset=preset,
            listening=endpoints.Endpoint(advertised.host, advertised.port),
            preconfigured=[endpoints.Endpoint(p.host, p.port) for p in self.config.node.peers],
            entropy=os.urandom,
            now=self.clock(),
            allow_private=self.config.network.preset == "devnet",
        )
        store = PeerStore(self.home.peers, lambda text: self.log.warning(text))
        self.dialer = Dialer(peering, self.links, self._send_keepalive, self.clock, store)
        self.port = await self.links.listen(listen.host, listen.port)
        self.log.info("listening", host=listen.host, port=self.port)

    # --- inputs
    # --------------------------------------------------------------------------------------

    async def _work(self) -> None:
        """Hand inputs to the core one at a time, and carry out what comes of each."""
        await self._carry_out(self.core.take())
        async for entry in self._receive_input:
            try:
                entry(self.clock())
            except Malformed as fault:
                self.metrics.refused_frame("malformed")
                self.log.warning("peer.malformed", reason=str(fault), culprits=_ids(fault))
                self._close(fault)
            except PeerFault as fault:
                self.metrics.refused_frame("fault")
                self.log.warning("peer.fault", reason=str(fault), culprits=_ids(fault))
            await self._carry_out(self.core.take())

    async def _input(self, entry: Input) -> None:
        await self._send_input.send(entry)

    def _input_now(self, entry: Input) -> None:
        try:
            self._send_input.send_nowait(entry)
        except anyio.WouldBlock:
            self._tasks.start_soon(self._input, entry)

    async def _on_frame(self, node_id: bytes, frame: bytes) -> None:
        self.metrics.frame("in", len(frame))

        def take(now: float) -> None:
            network_id = self.core.settings.network_id
            sender, message, envelope = open_envelope(network_id, self.core.codec, frame, node_id)
            if sender != node_id:
                raise Malformed("an envelope of another sender than the link's peer", node_id)
            self.core.on_message(now, sender, message, envelope)

        await self._input(take)

    def _on_up(self, node_id: bytes, host: str, dialled: endpoints.Endpoint | None) -> None:
        self.dialer.link_up(node_id, host, dialled)
        self.metrics.links(len(self.links.established()))
        self.log.info("link.up", peer=node_id.hex()[:16])
        self._input_now(lambda now: self.core.on_link(node_id, True))

    def _on_down(self, node_id: bytes, reason: str) -> None:
        self.dialer.link_down(node_id, reason)
        self.metrics.links(len(self.links.established()))
        self.log.info("link.down", peer=node_id.hex()[:16], reason=reason)
        self._input_now(lambda now: self.core.on_link(node_id, False))

    def _close(self, fault: PeerFault) -> None:
        for culprit in fault.culprits():
            self.links.close(culprit, "malformed")

    async def _ticks(self) -> None:
        while True:
            await self._input(self.core.on_tick)
            listed = len(self.core.pings.members())
            self.dialer.known_weight_share = listed / self.config.network.members
            self.metrics.listed(listed)
            await anyio.sleep(TICK_S)

    # --- the chain
    # -----------------------------------------------------------------------------------

    async def _follow_chain(self) -> None:
        """Poll the chain once a key is locked in; while the daemon is away, wait longer each time."""
        wait = CHAIN_POLL_S
        while True:
            try:
                await self._poll()
                wait, self._chain_fault = CHAIN_POLL_S, None
            except (Unavailable, RpcError) as fault:
                if self._chain_fault is None:
                    self.log.warning("chain.unavailable", reason=str(fault))
                wait, self._chain_fault = min(2 * wait, BACKOFF_LIMIT_S), str(fault)
            await anyio.sleep(wait)

    async def _poll(self) -> None:
        if not self._watching:
            await self.chain.tip()
            return
        caught_up = False
        while not caught_up:
            update = await self.chain.poll()
            caught_up = update.caught_up
            sightings = await self.chain.mempool_deposits() if caught_up else ()
            if update.connected or update.disconnected or sightings:
                await self._input(partial(self._chain_news, update, sightings))

    def _chain_news(self, update: ChainUpdate, sightings: Sequence[Outpoint], now: float) -> None:
        self.core.on_chain(now, update, sightings)

    def _watch(self, public_key: bytes) -> None:
        # The index starts a fee window early: all nodes must see the same fee rate.
        start = self.core.settings.custody.index_start(self.config.chain.birth_height)
        self.chain.watch(key_script(public_key), start)
        self._watching = True

    async def _check_stake(self, peer: bytes, stake: Outpoint) -> None:
        verdict = await self.chain.check_stake(
            stake, peer, self.config.stake.minimum, self.core.ctx.preset.stake_age_s
        )
        await self._input(
            lambda now: self.core.on_stake(now, peer, stake, verdict.reason, verdict.height)
        )

    async def _broadcast(self, event: bytes, raw: bytes, txid: bytes) -> None:
        result = await self.chain.broadcast(raw, txid)
        self.log.info("payout.broadcast", txid=txid.hex(), result=result)
        await self._lookup(event, txid)

    async def _lookup(self, event: bytes, txid: bytes) -> None:
        status = await self.chain.lookup(txid)
        await self._input(lambda now: self.core.on_payout(now, event, status.state))

    # --- effects
    # -------------------------------------------------------------------------------------

    async def _carry_out(self, effects: Effects) -> None:
        if effects.writes:
            await anyio.to_thread.run_sync(self.disk.flush, effects.writes)
        self._trace(effects.trace)
        for send in effects.sends:
            frame = seal(
                self.identity, self.core.settings.network_id, self.core.codec, send.message
            )
            targets = self.links.established() if send.to is None else (send.to,)
            for target in targets:
                if self.links.send(target, frame):
                    self.metrics.frame("out", len(frame))
        for call in effects.calls:
            self._call(call.name, call.arguments)

    def _trace(self, records: list[dict[str, Any]]) -> None:
        now = round(self.clock(), 3)
        for record in records:
            self.metrics.transition(record["table"])
            self.trace.append({"kind": "transition", "at": now, **record})

    def _call(self, name: str, arguments: Mapping[str, Any]) -> None:
        work: dict[str, Callable[..., Awaitable[None]]] = {
            "check_stake": self._check_stake,
            "broadcast": self._broadcast,
            "lookup": self._lookup,
        }
        if name in work:
            self._tasks.start_soon(self._outside, partial(work[name], **arguments))
        elif name == "note":
            self._note(**arguments)
        elif name == "watch":
            self._watch(**arguments)
        elif name == "keepalive":
            self.dialer.keepalive_received(arguments["peer"], arguments["endpoints"])
        elif name == "reindex":
            self.core.reset_ledger()
            if self.core.ctx.key is not None:
                self._watch(self.core.ctx.key.public_key)
        else:
            raise LocalFault(f"the core asks for {name}, which no shell knows")

    async def _outside(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something that may fail because a daemon is away; the core asks again by itself."""
        try:
            await work()
        except (Unavailable, RpcError) as fault:
            self._chain_fault = str(fault)
            self.log.debug("chain.unavailable", reason=str(fault))

    def _note(self, event: str, **fields: Any) -> None:
        quiet = event in ("round.not_yet", "attempt.refused", "ping.refused")
        (self.log.debug if quiet else self.log.info)(event, **fields)
        if not quiet:
            self._recent = [*self._recent[-199:], {"at": self.clock(), "event": event, **fields}]
        if event == "round.ended":
            self.metrics.round("ended")
        elif event == "payout.signed":
            self.metrics.round("signed")

    def _send_keepalive(self, node_id: bytes, addresses: tuple[str, ...]) -> None:
        def fire(now: float) -> None:
            self.core.ctx.tables.fire(
                "peer",
                "Keepalive",
                p=self.core.ctx.me,
                carry={"kept_alive": [(node_id, m.Keepalive(addresses))]},
            )

        self._input_now(fire)

    def status(self) -> dict[str, Any]:
        """Return what the operator sees: no secrets."""
        statistics = self.links.statistics
        return {
            **self.core.report(),
            "port": self.port,
            "uptime_s": round(self.clock() - self._started),
            "chain_fault": self._chain_fault,
            "frames_in": statistics.frames_received,
            "frames_out": statistics.frames_sent,
            "refused": dict(statistics.refusals),
            "trace": {"seq": self.trace.end.seq, "hash": self.trace.end.hash},
            "recent": self._recent[-60:],
        }

    def close(self) -> None:
        """Close the stores and the trace."""
        self.trace.close()
        self.disk.close()


def settings_of(config: Config) -> Settings:
    """Return the core's settings from a configuration."""
    preset, network = config.parameters(), config.network
    if config.stake.outpoint is None:
        raise UserError("stake.outpoint is missing")
    policy = CustodyPolicy(
        service_fee_bps=preset.service_fee_bps,
        minimum_deposit=preset.minimum_deposit,
        refund_cost=preset.refund_cost,
        dust_limit=preset.dust_limit,
        fee_rate_floor=preset.fee_rate_floor,
        fee_rate_cap=preset.fee_rate_cap,
        fee_window_blocks=preset.fee_window_blocks,
        max_transfers=preset.transfers_per_payout,
        max_change_inputs=preset.change_inputs,
        reserve_bps=preset.reserve_bps,
    )
    stake = Outpoint(bytes.fromhex(config.stake.outpoint.txid), config.stake.outpoint.index)
    return Settings(
        network_id=config.network_id(),
        preset=preset,
        members=network.members,
        threshold=network.threshold,
        byzantine=network.byzantine,
        keygen_until=network.keygen_until,
        stake=stake,
        chain=config.chain.kind,
        hrp=config.chain.hrp,
        confirmations=config.chain.confirmations,
        custody=policy,
    )


def chain_parameters(config: Config) -> ChainParameters:
    """Return the adapter's parameters from a configuration."""
    return ChainParameters(
        name=config.chain.kind, hrp=config.chain.hrp, final_confirmations=config.chain.confirmations
    )


def open_disk(
    home: Home, config: Config, identity: Identity, passphrase: Passphrase, codec: Codec
) -> Disk:
    """Open the stores of a home; UserError names what is missing."""
    node_id = identity.node_id
    return Disk(
        node_id,
        SigningLog.open(home.signing_log, node_id),
        CellStore.open(home.events, node_id, FIRST_VALUES),
        Keystore(home.keyshares, passphrase, COST_OF_PRESET[config.network.preset]),
        codec,
    )


def rpc_client(home: Home, config: Config) -> RpcClient:
    """Return the client of the chain daemon."""
    chain = config.chain
    credentials = None
    if chain.rpc_password_file is not None:
        secret = read_bounded(home.path / chain.rpc_password_file, 4096)
        credentials = (chain.rpc_user, secret.decode("utf-8").strip())
    return RpcClient(chain.rpc_url, credentials)


async def _run(home: Home, config: Config, identity: Identity, passphrase: Passphrase) -> None:
    shell = NodeShell(home, config, identity, passphrase)
    try:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with rpc_client(home, config) as rpc, anyio.create_task_group() as tasks:
                tasks.start_soon(shell.run, rpc)
                async for _ in signals:
                    tasks.cancel_scope.cancel()
                    break
    finally:
        shell.close()


def run_node(home: Home, config: Config, passphrase: Passphrase) -> int:
    """Run the node of a home until SIGINT or SIGTERM; return the exit code."""
    with ProcessLock(home.lock), open(home.log, "a", encoding="utf-8", buffering=1) as stream:
        set_up_logs(stream, as_json=True)
        identity = load_identity(home.identity, passphrase)
        anyio.run(_run, home, config, identity, passphrase, backend="trio")
    return 0


def _ids(fault: PeerFault) -> list[str]:
    return [culprit.hex()[:16] for culprit in fault.culprits()]
