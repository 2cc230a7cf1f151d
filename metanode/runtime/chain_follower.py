"""The chain as the shell sees it: polls, stake checks, broadcasts, and waiting while it is away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
from attrs import define

from metanode.chains.base import ChainAdapter
from metanode.chains.rpc import RpcError
from metanode.errors import Unavailable
from metanode.protocol.node import NodeCore
from metanode.protocol.tables.effects import Broadcast, CheckStake, LookUp

POLL_S = 0.5
BACKOFF_LIMIT_S = 30.0


@define
class ChainFollower:
    """Asks the chain daemon and hands its answers to the core through ``put``."""

    chain: ChainAdapter
    core: NodeCore
    put: Callable[[Callable[[float], None]], Awaitable[None]]
    log: Any
    birth_height: int
    stake_minimum: int
    fault: str | None = None
    watching: bool = False

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
        """Follow the custody address of a key, from its birth or anew."""
        # The index starts a fee window early: all nodes must see the same fee rate.
        start = self.core.settings.custody.index_start(self.birth_height)
        self.chain.watch(public_key, start)
        self.watching = True

    async def check_stake(self, request: CheckStake) -> None:
        """Ask about a stake."""
        peer, stake, age_s = request.peer, request.stake, self.core.ctx.preset.stake_age_s
        verdict = await self.chain.check_stake(stake, peer, self.stake_minimum, age_s)
        await self.put(
            lambda now: self.core.on_stake(now, peer, stake, verdict.reason, verdict.height)
        )

    async def broadcast(self, request: Broadcast) -> None:
        """Send a payout, then ask what became of it."""
        result = await self.chain.broadcast(request.raw, request.txid)
        self.log.info("payout.broadcast", txid=request.txid.hex(), result=result)
        await self.look_up(LookUp(request.event, request.txid))

    async def look_up(self, request: LookUp) -> None:
        """Ask where a payout stands."""
        status = await self.chain.lookup(request.txid)
        await self.put(lambda now: self.core.on_payout(now, request.event, status.state))

    async def outside(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something that fails while the daemon is away; the core asks again by itself."""
        try:
            await work()
        except (Unavailable, RpcError) as fault:
            self.fault = str(fault)
            self.log.debug("chain.unavailable", reason=str(fault))

    async def _poll(self) -> None:
        if not self.watching:
            await self.chain.tip()
            return
        caught_up = False
        while not caught_up:
            update = await self.chain.poll()
            caught_up = update.caught_up
            sightings = await self.chain.mempool_deposits() if caught_up else ()
            if update.connected or update.disconnected or sightings:
                await self.put(partial(self.core.on_chain, update=update, sightings=sightings))
