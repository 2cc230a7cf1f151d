"""The follower of the chain between a real server and a real core: nothing is lost between them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog
from attrs import define, evolve, field

from metanode.chains.base import DEVNET, Broadcasted
from metanode.chains.bitcoin import BitcoinAdapter
from metanode.chains.rpc import RpcClient
from metanode.custody.types import Outpoint
from metanode.devnet.server import DevnetSettings, serve_ledger
from metanode.errors import Unavailable, UserError
from metanode.protocol.node import NodeCore
from metanode.protocol.tables.effects import CheckStake, Reindex, Watch
from metanode.runtime import chain_follower
from metanode.runtime.chain_follower import MEMPOOL_REST, ChainFollower
from metanode.runtime.home.owner import Owner
from metanode.runtime.store.chain_index import ChainIndex
from tests.devnet.support import one_by_one
from tests.simulation.parts import FOUNDING_HEIGHT
from tests.simulation.simulator import Simulation, with_key

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Run on the backend that the node runs on."""
    return "trio"


WINDOW = 20
"""How many blocks are remembered here."""


@define
class Following:
    """A core whose chain is followed; ``failing`` counts, by method, the calls that fail next."""

    sim: Simulation
    core: NodeCore
    follower: ChainFollower
    reindexed: int = 0
    logs: list[Any] = field(factory=list)
    failing: dict[str, int] = field(factory=dict)
    calls: list[str] = field(factory=list)

    def carry_out(self) -> None:
        """Write to the disk and meet the core's requests, as the node does."""
        effects = self.core.take()
        self.sim.nodes[0].disk.flush(effects.writes)
        for request in effects.requests:
            if isinstance(request, Reindex):
                self.reindexed += 1
                self.follower.scan_anew()
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

    async def caught_up(self) -> None:
        """Wait until the core knows the chain as it is, and the mempool."""
        tree, candidates = self.sim.users.ledger.tree, self.core.candidates
        await self.until(lambda: candidates.ledger.tip == (tree.tip.height, tree.tip.hash))
        self.follower._mempool_due = 0.0
        for method in ("getrawmempool", "getblockcount"):  # the next poll comes after all is told
            calls = self.calls.count(method)
            await self.until(lambda m=method, c=calls: self.calls.count(m) > c)

    def said(self, event: str) -> list[str]:
        """Return the reasons with which an event was logged."""
        return [entry.get("reason", "") for entry in self.logs if entry["event"] == event]

    def knows(self) -> Any:
        """Return what a node knows of the chain, comparable between two of them."""
        core, ledger = self.core, self.core.candidates.ledger
        made = [(coin, ledger.spent_by(coin.outpoint)) for coin in ledger.coins]
        found = sorted(made, key=lambda each: each[0].outpoint)
        return ledger.blocks[-WINDOW:], found, core.swaps.deposits, core.candidates.cutoff()


@asynccontextmanager
async def following(
    monkeypatch: pytest.MonkeyPatch, index: Path, sim: Simulation | None = None, **failing: int
) -> AsyncIterator[Following]:
    """Follow the chain of a network that holds a key."""
    monkeypatch.setattr(chain_follower, "DEFAULT_WINDOW_BLOCKS", WINDOW)
    sim = sim or with_key(7)
    node = sim.nodes[0]
    kept = ChainIndex(index, Owner(node.settings.network_id, node.node_id))
    quick = evolve(node.settings.preset, chain_poll_s=0.02)
    core = NodeCore(evolve(node.settings, preset=quick), node.identity, os.urandom)
    core.start(sim.now, node.disk.load())
    send, inbox = anyio.create_memory_object_stream[Callable[[float], object]](4096)
    async with send, inbox, anyio.create_task_group() as tasks:

        async def serve(*, task_status: anyio.abc.TaskStatus[int]) -> None:
            settings = DevnetSettings(directory=None, block_interval_s=0)
            await serve_ledger(sim.users.ledger, settings, task_status=task_status)

        port = await tasks.start(serve)
        async with RpcClient(f"http://127.0.0.1:{port}") as rpc:
            parameters = evolve(
                DEVNET, final_confirmations=1, blocks_per_poll=4, reorg_window_blocks=WINDOW
            )
            adapter = BitcoinAdapter(rpc, parameters)
            capture = structlog.testing.LogCapture()
            log = structlog.wrap_logger(None, processors=[capture])
            found = Following(
                sim, core, ChainFollower(adapter, core, kept, send.send, log, FOUNDING_HEIGHT, 1),
                failing=failing, logs=capture.entries,
            )
            call = rpc.call

            async def watched(method: str, *params: Any) -> Any:
                found.calls.append(method)
                if found.failing.get(method, 0):
                    found.failing[method] -= 1
                    raise Unavailable("HTTP status 503: work queue depth exceeded")
                return await call(method, *params)

            monkeypatch.setattr(rpc, "call", watched)
            one_by_one(rpc)

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
    kept.close()


@pytest.mark.parametrize("method", ["getrawmempool", "getblockcount", "getblockhash", "getblock"])
async def test_a_call_that_fails_loses_no_block(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str
) -> None:
    """Catches blocks that are behind the cursor and were never told, and a node that ends of it."""
    async with following(monkeypatch, tmp_path / "index", **{method: 1}) as found:
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


async def test_many_stakes_at_once_check_the_daemon_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Catches a node that asks whether its daemon can serve once for each member that it meets."""
    async with following(monkeypatch, tmp_path / "index") as found:
        await found.until(lambda: found.follower._check_due)
        found.follower._check_due = 0.0
        before = found.calls.count("getblockchaininfo")
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                request = CheckStake(bytes([2, *[number] * 32]), Outpoint(bytes([number] * 32), 0))
                tasks.start_soon(found.follower.check_stake, request)
        assert found.calls.count("gettxout") >= 20
        assert found.calls.count("getblockchaininfo") == before + 1


async def test_an_index_that_does_not_fit_is_made_anew_from_the_beginning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Catches news that come in between: the index would begin at whatever block was told next."""
    async with following(monkeypatch, tmp_path / "index") as found:
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
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Catches a full mempool that takes a core for itself."""
    async with following(monkeypatch, tmp_path / "index") as found:
        await found.until(lambda: found.tip == found.height)
        adapter, read, seconds = found.follower.chain, found.follower.chain.mempool_deposits, 0.0
        monkeypatch.setattr(found.follower, "clock", lambda: seconds)
        found.follower._mempool_due = 0.0

        async def slow() -> Any:
            nonlocal seconds
            seen = await read()
            seconds += 2.0
            return seen

        monkeypatch.setattr(adapter, "mempool_deposits", slow)
        await found.until(lambda: seconds == 2.0)
        seconds = 2.0 + MEMPOOL_REST * 2.0 - 0.001
        polls = found.calls.count("getblockcount")
        await found.until(lambda: found.calls.count("getblockcount") > polls + 5)
        assert seconds < 2.0 + MEMPOOL_REST * 2.0
        seconds = 2.0 + MEMPOOL_REST * 2.0
        await found.until(lambda: seconds > 2.0 + MEMPOOL_REST * 2.0)


# --- a node that was down -------------------------------------------------------------------------


async def scanned(monkeypatch: pytest.MonkeyPatch, sim: Simulation, empty: Path) -> Any:
    """Return what a node knows that scans the chain from the key's birth."""
    async with following(monkeypatch, empty, sim) as found:
        await found.caught_up()
        return found.knows()


async def test_a_restart_costs_what_happened_meanwhile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Catches a start that reads the chain again, or that knows less than one that does."""
    async with following(monkeypatch, tmp_path / "index") as found:
        for _ in range(3):
            found.sim.deposit()
            found.sim.users.mine(4)
        await found.caught_up()
        assert found.calls.count("getblock") > 12
    found.sim.deposit()
    found.sim.users.mine(2)
    async with following(monkeypatch, tmp_path / "index", found.sim) as again:
        await again.caught_up()
        assert again.calls.count("getblock") == 3  # two blocks, and the one with a deposit in full
        assert again.said("index.resumed") != []
        assert again.said("index.rebuilt") == []
        knows = again.knows()
        assert len(again.core.swaps.deposits) == 4
    assert knows == await scanned(monkeypatch, found.sim, tmp_path / "scanned")


@pytest.mark.parametrize("depth", [1, 3, WINDOW + 1])
async def test_a_reorganisation_while_a_node_is_down_is_undone_at_its_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, depth: int
) -> None:
    """Catches a deposit of a block that is gone, which the node would go on to pay, and a node that
    ends or stands still when more is gone than it remembers.
    """
    async with following(monkeypatch, tmp_path / "index") as found:
        kept = found.sim.deposit()
        found.sim.users.mine(4)
        undone = found.sim.deposit()
        found.sim.users.mine(depth)
        await found.caught_up()
        settled = found.core.candidates.settled
        assert {kept.outpoint, undone.outpoint} == set(found.core.swaps.deposits.values())
    sim, ledger = found.sim, found.sim.users.ledger
    assert settled == ledger.tree.tip.height - found.core.ctx.settings.confirmations + 1
    ledger.invalidate(ledger.tree.active[-depth].hash)
    ledger.mempool.entries.clear()  # what paid the deposit is not mined again
    ledger.mempool.spenders.clear()
    later = sim.deposit()
    sim.users.mine(depth + 2)
    async with following(monkeypatch, tmp_path / "index", sim) as again:
        await again.caught_up()
        assert bool(again.said("index.rebuilt")) == (depth > WINDOW)
        assert again.core.candidates.ledger.coin(undone.outpoint) is None
        assert set(again.core.swaps.deposits.values()) == {kept.outpoint, later.outpoint}
        knows = again.knows()
    assert knows == await scanned(monkeypatch, sim, tmp_path / "scanned")


@pytest.mark.parametrize("method", ["tell", "flush"])
async def test_a_kill_between_the_stores_tells_the_news_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str
) -> None:
    """Catches news that one store knows and the other never hears of, and money counted twice.

    The index stops, as a killed node does, after the core's own writes and before its commit.
    """
    patch = pytest.MonkeyPatch()
    async with following(monkeypatch, tmp_path / "index") as found:
        await found.caught_up()
        patch.setattr(ChainIndex, method, lambda *_: None)
        made = found.sim.deposit()
        found.sim.users.mine(3)
        await found.caught_up()
    patch.undo()
    sim, ledger = found.sim, found.sim.users.ledger
    assert made.outpoint in found.core.swaps.deposits.values()
    ledger.invalidate(ledger.tree.active[-1].hash)
    sim.users.mine(2)
    async with following(monkeypatch, tmp_path / "index", sim) as again:
        await again.caught_up()
        assert made.outpoint in again.core.swaps.deposits.values()
        assert again.said("index.rebuilt") == []
        knows = again.knows()
    assert knows == await scanned(monkeypatch, sim, tmp_path / "scanned")


@pytest.mark.parametrize("whose", ["another node's", "another chain's"])
async def test_a_file_that_does_not_fit_is_made_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, whose: str
) -> None:
    """Catches a node that ends on derived data, or that believes in coins that are not there."""
    async with following(monkeypatch, tmp_path / "index") as found:
        found.sim.deposit()
        found.sim.users.mine(WINDOW + 9)
        await found.caught_up()
    sim = found.sim
    if whose == "another node's":
        sim.nodes[0], sim.nodes[1] = sim.nodes[1], sim.nodes[0]
    else:  # the same key, node and first block, as on two regtest chains
        sim = with_key(8)
        sim.users.mine(2)
    async with following(monkeypatch, tmp_path / "index", sim) as again:
        await again.caught_up()
        assert len(again.said("index.rebuilt")) == 1
        assert again.follower.fault is None
        knows = again.knows()
    assert knows == await scanned(monkeypatch, sim, tmp_path / "scanned")


async def test_what_was_seen_unconfirmed_is_remembered_until_it_is_settled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Catches a deposit that all had seen and that waits long because they were restarted."""
    async with following(monkeypatch, tmp_path / "index") as found:
        await found.caught_up()
        made = found.sim.deposit()
        await found.until(lambda: found.core.candidates.seen_by(found.core.ctx.me))
        await found.caught_up()
    found.sim.users.mine(3)
    async with following(monkeypatch, tmp_path / "index", found.sim) as again:
        await again.caught_up()
        core = again.core
        assert core.candidates.seen_by(core.ctx.me) == [made.outpoint]
        assert [t.deposit.outpoint for t in core.candidates.eligible()] == [made.outpoint]


class Daemons:
    """A chain whose daemon takes what it is sent, fails, or gives no answer until it is let go."""

    def __init__(self, mood: str) -> None:
        self.mood = mood
        self.goes_on = anyio.Event()
        self.sent: list[bytes] = []

    async def broadcast(self, raw: bytes, txid: bytes) -> Broadcasted:
        """Answer by its mood."""
        if self.mood == "away":
            raise Unavailable("no answer from its port")
        if self.mood == "slow":
            await self.goes_on.wait()
        self.sent.append(raw)
        return Broadcasted("rejected", "dust")


@pytest.mark.parametrize(
    ("mood", "complaint"),
    [("", ""), ("away", "no answer from its port"), ("slow", "it takes too long")],
)
async def test_what_operators_send_is_answered_in_time(
    monkeypatch: pytest.MonkeyPatch, mood: str, complaint: str
) -> None:
    """Catches an operator who is not told what the daemon said, and a call that is cut off."""
    monkeypatch.setattr(chain_follower, "SEND_S", 0.05 if mood == "slow" else 20.0)
    daemons = Daemons(mood)
    log = structlog.wrap_logger(None, processors=[structlog.testing.LogCapture()])
    follower = ChainFollower(daemons, None, None, None, log, 0, 1)  # type: ignore[arg-type]
    async with anyio.create_task_group() as tasks:
        if complaint:
            with pytest.raises(UserError, match=complaint):
                await follower.send(tasks, b"raw", bytes(32))
        else:
            sent = await follower.send(tasks, b"raw", bytes(32))
            assert (sent.result, sent.reason) == ("rejected", "dust")
        daemons.goes_on.set()
    assert daemons.sent == ([] if mood == "away" else [b"raw"])
