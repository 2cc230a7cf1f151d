"""The chain as the shell sees it: polls, stake checks, broadcasts, and waiting while it is away."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
from attrs import define, field

from metanode.chains.base import ChainAdapter, ChainUpdate
from metanode.chains.rpc import RpcError
from metanode.custody.types import Outpoint
from metanode.errors import Unavailable
from metanode.protocol.node import NodeCore
from metanode.protocol.tables.effects import Broadcast, CheckStake, LookUp

POLL_S = 0.5
BACKOFF_LIMIT_S = 30.0
CHECK_S = 60.0
"""How long a daemon that was found fit is taken for it."""
MEMPOOL_REST = 50
"""The mempool is read again after so many times what reading it took: 2 % of a core at most."""


@define
class ChainFollower:
    """Asks the chain daemon and hands its answers to the core through ``put``."""

    chain: ChainAdapter
    core: NodeCore
    put: Callable[[Callable[[float], None]], Awaitable[None]]
    log: Any
    birth_height: int
    stake_minimum: int
    clock: Callable[[], float] = time.monotonic
    fault: str | None = None
    watching: bool = False
    _wanted: bytes | None = None
    _asked: anyio.Event = field(factory=anyio.Event)
    _mempool_due: float = 0.0
    _check_due: float = 0.0
    _under_way: set[tuple[str, bytes]] = field(factory=set)

    async def run(self) -> None:
        """Poll the chain once a key is locked in; while the daemon is away, wait ever longer."""
        wait = POLL_S
        while True:
            try:
                await self._poll()
                wait, self.fault = POLL_S, None
            except (Unavailable, RpcError) as fault:
                if self.fault is None:
                    self.log.warning("chain.unavailable", reason=str(fault))
                wait, self.fault = min(2 * wait, BACKOFF_LIMIT_S), str(fault)
            await anyio.sleep(wait)

    def watch(self, public_key: bytes) -> None:
        """Follow the custody address of a key, from its birth or anew, from the next poll on."""
        self._wanted = public_key
        self._asked.set()

    async def check_stake(self, request: CheckStake) -> None:
        """Ask about a stake."""
        await self._check()
        peer, stake, age_s = request.peer, request.stake, self.core.ctx.preset.stake_age_s
        verdict = await self.chain.check_stake(stake, peer, self.stake_minimum, age_s)
        await self.put(
            lambda now: self.core.on_stake(now, peer, stake, verdict.reason, verdict.height)
        )

    async def broadcast(self, request: Broadcast) -> None:
        """Send a payout, then tell what became of it."""
        sent = await self.chain.broadcast(request.raw, request.txid)
        said = {"reason": sent.reason} if sent.reason else {}
        self.log.info("payout.broadcast", txid=request.txid.hex(), result=sent.result, **said)
        await self._tell_status(request.event, request.txids, sent.reason)

    async def look_up(self, request: LookUp) -> None:
        """Ask where a payout stands."""
        await self._tell_status(request.event, request.txids)

    async def _tell_status(self, event: bytes, txids: Sequence[bytes], reason: str = "") -> None:
        """Tell which version of a payout the chain has: the first one, or none."""
        txid, state = txids[0], (await self.chain.lookup(txids[0])).state
        for other in txids[1:]:
            if state == "unknown":
                txid, state = other, (await self.chain.lookup(other)).state
        await self.put(lambda now: self.core.on_payout(now, event, txid, state, reason))

    async def outside(self, about: tuple[str, bytes], work: Callable[[], Awaitable[None]]) -> None:
        """Do something that fails while the daemon is away; the core asks again by itself.

        One question ``about`` one thing is under way at a time: a slow daemon is not asked the same
        again.
        """
        if about in self._under_way:
            return
        self._under_way.add(about)
        try:
            await work()
        except (Unavailable, RpcError) as fault:
            self.fault = str(fault)
            self.log.debug("chain.unavailable", reason=str(fault))
        finally:
            self._under_way.discard(about)

    async def _check(self) -> None:
        """Ask now and then whether the daemon can serve; else what it says means nothing."""
        if self.clock() >= self._check_due:
            await self.chain.check_daemon()
            self._check_due = self.clock() + CHECK_S

    async def _poll(self) -> None:
        await self._check()
        if (public_key := self._wanted) is not None:
            self._wanted, self._asked = None, anyio.Event()
            # The index starts a fee window early: all nodes must see the same fee rate.
            start = self.core.settings.custody.index_start(self.birth_height)
            self.chain.watch(public_key, start)
            self.watching = True
        if not self.watching:
            await self.chain.tip()
            return
        caught_up = False
        while not caught_up and self._wanted is None:
            update = await self.chain.poll()
            caught_up = update.caught_up
            # At once: the adapter's cursor has moved, and what fails next must not lose the blocks.
            if update.connected or update.disconnected:
                await self._tell(update)
        if self._wanted is None and self.clock() >= self._mempool_due:
            began = self.clock()
            sightings = await self.chain.mempool_deposits()
            ended = self.clock()
            self._mempool_due = ended + MEMPOOL_REST * (ended - began)
            if sightings:
                await self._tell(ChainUpdate((), (), True), sightings)

    async def _tell(self, update: ChainUpdate, sightings: tuple[Outpoint, ...] = ()) -> None:
        """Hand news to the core and wait until it has taken them.

        If they do not fit into its index, it asks to be shown the chain anew: nothing else may come
        to it before.
        """
        taken, fits = anyio.Event(), True

        def take(now: float) -> None:
            nonlocal fits
            try:
                self.core.on_chain(now, update, sightings)
            finally:
                fits = self.core.candidates.is_indexed
                taken.set()

        if self._wanted is not None:
            return
        await self.put(take)
        await taken.wait()
        if not fits:
            await self._asked.wait()
