"""The follower of the chain between a real server and a real core: nothing is lost between them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import structlog
from attrs import define, evolve, field

from metanode.chains.base import DEVNET
from metanode.chains.bitcoin import BitcoinAdapter
from metanode.chains.rpc import RpcClient
from metanode.devnet.server import DevnetSettings, serve_ledger
from metanode.errors import Unavailable
from metanode.protocol.node import NodeCore
from metanode.protocol.tables.effects import Reindex, Watch
from metanode.runtime import chain_follower
from metanode.runtime.chain_follower import MEMPOOL_REST, ChainFollower
from tests.simulation.parts import FOUNDING_HEIGHT
from tests.simulation.simulator import Simulation, with_key

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Run on the backend that the node runs on."""
    return "trio"


@define
class Following:
    """A core whose chain is followed; ``failing`` counts, by method, the calls that fail next."""

    sim: Simulation
    core: NodeCore
    follower: ChainFollower
    reindexed: int = 0
    failing: dict[str, int] = field(factory=dict)
    calls: list[str] = field(factory=list)

    def carry_out(self) -> None:
        """Meet the core's requests, as the node does."""
        for request in self.core.take().requests:
            if isinstance(request, Reindex):
                self.reindexed += 1
                self.core.reset_ledger()
                self.follower.watch(self.core.ctx.epoch.public_key)
            elif isinstance(request, Watch):
                self.follower.watch(request.public_key)

    async def until(self, done: Callable[[], object]) -> None:
        """Wait until something is the case."""
        with anyio.fail_after(20):
            while not done():
                await anyio.sleep(0.01)

    @property
    def tip(self) -> int:
        """The newest block that the core knows; -1 before the first."""
        return -1 if self.core.candidates.ledger.tip is None else self.core.candidates.ledger.tip[0]

    @property
    def height(self) -> int:
        """The newest block of the chain."""
        return self.sim.users.ledger.tree.tip.height


@asynccontextmanager
async def following(monkeypatch: pytest.MonkeyPatch, **failing: int) -> AsyncIterator[Following]:
    """Follow the chain of a network that holds a key."""
    monkeypatch.setattr(chain_follower, "POLL_S", 0.02)
    sim = with_key(7)
    node = sim.nodes[0]
    core = NodeCore(node.settings, node.identity, os.urandom)
    core.start(sim.now, node.disk.load())
    send, inbox = anyio.create_memory_object_stream[Callable[[float], object]](4096)
    async with send, inbox, anyio.create_task_group() as tasks:

        async def serve(*, task_status: anyio.abc.TaskStatus[int]) -> None:
            settings = DevnetSettings(directory=None, block_interval_s=0)
            await serve_ledger(sim.users.ledger, settings, task_status=task_status)

        port = await tasks.start(serve)
        async with RpcClient(f"http://127.0.0.1:{port}") as rpc:
            parameters = evolve(DEVNET, final_confirmations=1, blocks_per_poll=4)
            adapter = BitcoinAdapter(rpc, parameters)
            log = structlog.get_logger()
            found = Following(
                sim,
                core,
                ChainFollower(adapter, core, send.send, log, FOUNDING_HEIGHT, 1),
                failing=failing,
            )
            call = rpc.call

            async def watched(method: str, *params: Any) -> Any:
                found.calls.append(method)
                if found.failing.get(method, 0):
                    found.failing[method] -= 1
                    raise Unavailable("HTTP status 503: work queue depth exceeded")
                return await call(method, *params)

            monkeypatch.setattr(rpc, "call", watched)

            async def work() -> None:
                found.carry_out()
                async for entry in inbox:
                    entry(sim.now)
                    found.carry_out()

            tasks.start_soon(work)
            tasks.start_soon(found.follower.run)
            try:
                yield found
            finally:
                async with rpc._turn:  # no answer is half read when all ends
                    tasks.cancel_scope.cancel()


@pytest.mark.parametrize("method", ["getrawmempool", "getblockhash", "getblock", "getblockstats"])
async def test_a_call_that_fails_loses_no_block(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Catches blocks that are behind the cursor and were never told, and a node that ends of it."""
    async with following(monkeypatch, **{method: 1}) as found:
        found.sim.deposit(1_000_000)
        found.sim.users.mine(3)
        await found.until(lambda: found.tip == found.height)
        found.failing[method] = 2
        made = found.sim.deposit(2_000_000)
        found.sim.users.mine(6)
        await found.until(lambda: found.tip == found.height)
        assert found.reindexed == 0
        assert found.core.candidates.ledger.coin(made.outpoint) is not None
        await found.until(lambda: found.follower.fault is None)


async def test_an_index_that_does_not_fit_is_made_anew_from_the_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Catches news that come in between: the index would begin at whatever block was told next."""
    async with following(monkeypatch) as found:
        found.sim.users.mine(2)
        await found.until(lambda: found.tip == found.height)
        begin = found.core.candidates.ledger._blocks[0].height
        _, newest = found.core.candidates.ledger.tip or (0, b"")
        found.core.candidates.ledger.disconnect(newest)  # as if its memory were damaged
        found.sim.users.mine(3)
        await found.until(lambda: found.reindexed and found.tip == found.height)
        assert found.reindexed == 1
        assert found.core.candidates.ledger._blocks[0].height == begin


async def test_reading_the_mempool_rests_in_proportion_to_what_it_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Catches a full mempool that takes a core for itself."""
    async with following(monkeypatch) as found:
        await found.until(lambda: found.tip == found.height)
        adapter, read, seconds = found.follower.chain, found.follower.chain.mempool_deposits, 0.0
        monkeypatch.setattr(found.follower, "clock", lambda: seconds)
        found.follower._mempool_due = 0.0

        async def slow() -> Any:
            nonlocal seconds
            seconds += 2.0
            return await read()

        monkeypatch.setattr(adapter, "mempool_deposits", slow)
        await found.until(lambda: seconds == 2.0)
        seconds = 2.0 + MEMPOOL_REST * 2.0 - 0.001
        polls = found.calls.count("getblockcount")
        await found.until(lambda: found.calls.count("getblockcount") > polls + 5)
        assert seconds < 2.0 + MEMPOOL_REST * 2.0
        seconds = 2.0 + MEMPOOL_REST * 2.0
        await found.until(lambda: seconds > 2.0 + MEMPOOL_REST * 2.0)
