"""The chain as the shell sees it: polls, the index on disk, stake checks, broadcasts, and waiting
while the daemon is away.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup
from attrs import define, field, frozen

from metanode.chains.base import Broadcasted, ChainAdapter, ChainUpdate, Cursor, TooDeep
from metanode.chains.rpc import RpcError
from metanode.custody.errors import LedgerMismatch
from metanode.custody.ledger import DEFAULT_WINDOW_BLOCKS, Ledger
from metanode.custody.types import Outpoint
from metanode.errors import Unavailable, UserError
from metanode.protocol.node import NodeCore
from metanode.protocol.tables.effects import Broadcast, CheckStake, LookUp
from metanode.runtime.store.chain_index import ChainIndex, Stored, Unfit

BACKOFF_LIMIT_S = 30.0
CHECK_S = 60.0
"""How long a daemon that was found fit is taken for it."""
SEND_S = 4.0
"""How long an operator waits for the daemon: shorter than for the answer of the node."""
MEMPOOL_REST = 50
"""The mempool is read again after so many times what reading it took: 2 % of a core at most."""


From = Literal["window", "whole", "anew"]
"""What is taken up of an index: its newest blocks, all of them, or nothing."""


@frozen(eq=False)
class _Wanted:
    """A key whose custody address is to be followed, and what for an index of it is taken up."""

    public_key: bytes
    index: From = "window"


@define
class ChainFollower:
    """Asks the chain daemon and hands its answers to the core through ``put``."""

    chain: ChainAdapter
    core: NodeCore
    index: ChainIndex
    put: Callable[[Callable[[float], None]], Awaitable[None]]
    log: Any
    birth_height: int
    stake_minimum: int
    clock: Callable[[], float] = time.monotonic
    fault: str | None = None
    watching: bool = False
    _wanted: _Wanted | None = None
    _asked: anyio.Event = field(factory=anyio.Event)
    _mempool_due: float = 0.0
    _check_due: float = 0.0
    _checking: anyio.Lock = field(factory=anyio.Lock)
    _fee_floor: int = -1  # as it was told last
    _under_way: set[tuple[str, bytes]] = field(factory=set)

    async def run(self) -> None:
        """Poll the chain once a key is locked in; while the daemon is away, wait ever longer."""
        period = wait = self.core.ctx.preset.chain_poll_s
        while True:
            try:
                await self._poll()
                wait, self.fault = period, None
            except (Unavailable, RpcError) as fault:
                if self.fault is None:
                    self.log.warning("chain.unavailable", reason=str(fault))
                wait, self.fault = min(2 * wait, BACKOFF_LIMIT_S), str(fault)
            await anyio.sleep(wait)

    def watch(self, public_key: bytes) -> None:
        """Follow the custody address of a key from the next poll on, from where its index ends."""
        self._wanted = _Wanted(public_key)
        self._asked.set()

    def scan_anew(self) -> None:
        """Forget the index and follow the custody address from its key's birth."""
        self.core.reset_ledger()
        self._want("anew")

    def _want(self, index: From) -> None:
        self._wanted = _Wanted(self.core.ctx.epoch.public_key, index)
        self._asked.set()

    async def check_stake(self, request: CheckStake) -> None:
        """Tell what blocks say of a stake that is followed; ask the daemon about any other."""
        peer, stake, age_s = request.peer, request.stake, self.core.ctx.preset.stake_age_s
        verdict = self.core.stakes.known(peer, stake)
        if verdict is None:
            await self._check()
            verdict = await self.chain.check_stake(stake, peer, self.stake_minimum, age_s)
        await self.put(lambda now: self.core.on_stake(now, peer, stake, verdict))

    async def broadcast(self, request: Broadcast) -> None:
        """Send a payout, then tell what became of it."""
        sent = await self.chain.broadcast(request.raw, request.txid)
        said = {"reason": sent.reason} if sent.reason else {}
        self.log.info("payout.broadcast", txid=request.txid.hex(), result=sent.result, **said)
        await self._tell_status(request.event, request.txids, sent.reason)

    async def send(self, tasks: TaskGroup, raw: bytes, txid: bytes) -> Broadcasted:
        """Send what the operators have signed; UserError when the daemon gives no answer in time.

        A daemon that takes longer is not cut off: the call goes on among the ``tasks``.
        """
        answers: list[Broadcasted] = []
        over = anyio.Event()

        async def ask() -> None:
            sent = await self.chain.broadcast(raw, txid)
            self.log.info(
                "release.broadcast", txid=txid.hex(), result=sent.result, reason=sent.reason
            )
            answers.append(sent)

        async def work() -> None:
            await self.outside(("release", txid), ask)
            over.set()

        tasks.start_soon(work)
        with anyio.move_on_after(SEND_S):
            await over.wait()
        if not answers:
            raise UserError(
                f"the chain daemon gives no answer ({self.fault or 'it takes too long'}): look at "
                "`chain_fault` in `status`, then run the same command again"
            )
        return answers[0]

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
        async with self._checking:  # many stakes are asked about at once: one asks for all
            if self.clock() >= self._check_due:
                await self.chain.check_daemon()
                self._check_due = self.clock() + CHECK_S

    async def _poll(self) -> None:
        await self._check()
        if self._wanted is not None:
            await self._begin(self._wanted)
        if not self.watching:
            await self.chain.tip()
            return
        try:
            await self._follow()
        except TooDeep as fault:
            # Blocks that no chain should lose: with the whole index, they are undone all the same.
            self.log.warning("index.rebuilt", reason=str(fault))
            self._want("whole")
        except Unfit as fault:
            self._rebuild(fault)

    async def _follow(self) -> None:
        """Tell the core what came and went, and keep it; then what waits in the mempool."""
        caught_up = False
        while not caught_up and self._wanted is None:
            update = await self.chain.poll()
            caught_up = update.caught_up
            # At once: the adapter's cursor has moved, and what fails next must not lose the blocks.
            if update.connected or update.disconnected or update.fee_floor != self._fee_floor:
                self._fee_floor = update.fee_floor
                await self._tell(update)
            await self._keep()
        if self._wanted is None and self.clock() >= self._mempool_due:
            began = self.clock()
            sightings = await self.chain.mempool_deposits()
            ended = self.clock()
            self._mempool_due = ended + MEMPOOL_REST * (ended - began)
            if sightings:
                await self._tell(ChainUpdate((), (), True, self._fee_floor), sightings)
                await self._keep()

    # --- the index ---

    async def _begin(self, wanted: _Wanted) -> None:
        """Take up the index of a key where its file ends, or begin one at the key's birth."""
        self._asked = anyio.Event()
        genesis = await self.chain.genesis()
        opened = self.index.renew if wanted.index == "anew" else self.index.open
        window = None if wanted.index == "whole" else DEFAULT_WINDOW_BLOCKS
        try:
            stored = await anyio.to_thread.run_sync(opened, wanted.public_key, genesis, window)
            ledger = self._ledger_of(stored)
        except (Unfit, LedgerMismatch) as fault:
            self._rebuild(fault)
            return
        start = stored.start
        if start is None:
            start = await self._birth()
            self.log.info("index.begun", height=start)
        else:
            self.log.info("index.resumed", start=start, tip=ledger.blocks[-1].height)
        await self._in_turn(lambda now: self.core.on_index(now, ledger, stored.seen))
        cursor = Cursor(
            ledger.blocks, [coin.outpoint for coin in ledger.coins],
            [stake.outpoint for stake in ledger.stakes.all],
        )
        self.chain.watch(wanted.public_key, start, cursor)
        self.watching, self._fee_floor = True, -1
        if self._wanted is wanted:
            self._wanted = None

    def _ledger_of(self, stored: Stored) -> Ledger:
        ledger = Ledger(self.core.settings.custody, past=self.index.spent)
        ledger.restore(stored.blocks, stored.unspent, stored.spent, stored.stakes)
        return ledger

    async def _birth(self) -> int:
        """Return where to begin: no deposit is older than its key, whose slot is a time.

        That is the same at every node and in every later epoch, and nobody has to note it. The
        index starts a fee window early: all nodes must see the same fee rate.
        """
        core = self.core
        made = core.ctx.epoch.slot * core.ctx.preset.keygen_period_s
        height = max(self.birth_height, await self.chain.height_before(int(made)))
        return core.settings.custody.index_start(height)

    def _rebuild(self, fault: Exception) -> None:
        """Scan the chain anew: the index is damaged, of something else, or of another chain."""
        self.log.warning("index.rebuilt", reason=str(fault))
        self.scan_anew()

    async def _keep(self) -> None:
        """Write what the core has taken, once all that came of it is on disk.

        So the index never knows more than the other stores: after a crash the core is told again.
        """
        core = self.core
        seen, stakes = core.candidates.seen_by(core.ctx.me), core.windows.ledger.stakes.all
        await anyio.to_thread.run_sync(self.index.flush, seen, stakes)

    async def _tell(self, update: ChainUpdate, sightings: tuple[Outpoint, ...] = ()) -> None:
        """Hand news to the core and wait until it has taken them.

        If they do not fit into its index, it asks to be shown the chain anew: nothing else may come
        to it before.
        """
        if self._wanted is not None:
            return
        fits = True

        def take(now: float) -> None:
            nonlocal fits
            try:
                self.core.on_chain(now, update, sightings)
            finally:
                fits = self.core.candidates.is_indexed

        await self._in_turn(take)
        if fits:
            self.index.tell(update)
        else:
            await self._asked.wait()

    async def _in_turn(self, entry: Callable[[float], None]) -> None:
        """Have the core take an input, and wait until what comes of it is carried out."""
        taken, over = anyio.Event(), anyio.Event()

        def take(now: float) -> None:
            try:
                entry(now)
            finally:
                taken.set()

        await self.put(take)
        await taken.wait()
        await self.put(lambda now: over.set())
        await over.wait()
