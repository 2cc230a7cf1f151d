"""A daemon that is killed, comes back with less, with another password, or without its index."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import pytest
from anyio import create_task_group

from metanode.chains.bitcoin import BitcoinAdapter
from metanode.chains.rpc import RpcClient
from metanode.custody.types import BlockSummary
from metanode.devnet.daemon import Daemon
from metanode.errors import Unavailable, UserError
from metanode.runtime.home.config import parse_config
from metanode.runtime.home.home import Home
from metanode.runtime.home.wiring import rpc_client
from tests.daemons.coins import script_of
from tests.daemons.proxy import Fault, edited, proxied, refusing
from tests.daemons.support import (
    PURSE,
    Chain,
    Embedded,
    adapter_of,
    caught_up,
    connected,
    deposits_in,
    watching,
)
from tests.runtime.support import document
from tests.support import key_of

pytestmark = [
    pytest.mark.anyio,
    # httpcore leaves the body of a request behind that a dead daemon does not read.
    pytest.mark.filterwarnings("ignore:Async generator 'httpcore:ResourceWarning"),
]

BACK_S = 30.0


async def once_back(watcher: BitcoinAdapter) -> None:
    """Ask until the daemon answers; what it says meanwhile must be ``Unavailable``."""
    with anyio.fail_after(BACK_S):
        while True:
            try:
                await watcher.tip()
                return
            except Unavailable:
                await anyio.sleep(0.05)


async def test_a_killed_daemon_comes_back_amid_polls(chain: Chain) -> None:
    """Catches an outage that ends the node, or blocks that are lost or told twice around it.

    The mempool is lost with the daemon; a deposit that was in it is sent again and counts.
    """
    custody = key_of("restarts: killed")
    async with watching(chain, custody, blocks_per_poll=2) as watcher:
        first = chain.deposit(custody)
        hashes = chain.mine(3)
        told = list((await watcher.poll()).connected)
        chain.flush()
        chain.server.kill()
        for ask in (watcher.poll, watcher.tip, watcher.mempool_deposits):
            with pytest.raises(Unavailable):
                await ask()
        chain.server.start()
        await once_back(watcher)
        assert await watcher.mempool_deposits() == ()
        second = chain.deposit(custody)
        assert await watcher.mempool_deposits() == (second,)
        hashes += chain.mine(2)
        update = await caught_up(watcher)
        told += update.connected
        assert update.disconnected == ()
        assert [block.hash for block in told] == hashes
        assert deposits_in(told) == [first, second]


async def test_polls_go_on_while_a_daemon_is_killed(chain: Chain) -> None:
    """Catches a poll that is cut off in the middle and moves the cursor all the same."""
    custody = key_of("restarts: killed amid polls")
    told: list[BlockSummary] = []
    outages = 0

    async def follow(watcher: BitcoinAdapter) -> None:
        nonlocal outages
        while True:
            try:
                update = await watcher.poll()
                assert update.disconnected == ()
                told.extend(update.connected)
            except Unavailable:
                outages += 1
                await anyio.sleep(0.01)

    async with watching(chain, custody, blocks_per_poll=2) as watcher, create_task_group() as tasks:
        tasks.start_soon(follow, watcher)
        hashes: list[bytes] = []
        deposits = []
        for kill in range(3):
            deposits.append(chain.deposit(custody))
            hashes += chain.mine(5)
            chain.flush()
            await anyio.sleep(0.002 * kill)  # so that a poll is under way
            chain.server.kill()
            with anyio.fail_after(BACK_S):
                while outages <= kill:
                    await anyio.sleep(0.005)
            chain.server.start()
        with anyio.fail_after(BACK_S):
            while len(told) < len(hashes):
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert [block.hash for block in told] == hashes
    assert deposits_in(told) == deposits


async def test_a_daemon_that_forgot_blocks_is_followed_back(daemon: Chain) -> None:
    """Catches a cursor that stays on blocks which a killed daemon had not yet written to disk.

    It knows them no more: not as a reorganisation, not at all.
    """
    custody = key_of("restarts: forgotten")
    async with watching(daemon, custody) as watcher:
        kept = daemon.mine(2)
        height = daemon.height()
        daemon.flush()
        daemon.deposit(custody)
        lost = daemon.mine(2)
        await caught_up(watcher)
        daemon.restart(flushed=False)
        await once_back(watcher)
        update = await caught_up(watcher)
        assert await watcher.tip() == (height, kept[-1])
        assert (update.disconnected, update.connected) == (tuple(reversed(lost)), ())
        new = daemon.mine(3)
        later = await caught_up(watcher)
        assert [block.hash for block in later.connected] == new
        assert deposits_in(later.connected) == []


# --- credentials ----------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Embedded]:
    """Return a small chain of this test's own, whose cookie changes with each start."""
    server = Embedded(tmp_path)
    server.start()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """Collect what a killed connection left, while its warning is ignored."""
    yield
    gc.collect()


@asynccontextmanager
async def configured(
    server: Embedded | Daemon, home: Path, user: str, file: Path
) -> AsyncIterator[RpcClient]:
    """Open a client as a node's configuration asks for it."""
    written = document("chain.rpc_url", server.url)
    written["chain"].update(rpc_user=user, rpc_password_file=str(file))
    async with rpc_client(Home(home), parse_config(written, "config.toml")) as rpc:
        yield rpc


@pytest.mark.parametrize("user", ["", "__cookie__"])
async def test_a_cookie_file_opens_the_daemon(
    chain: Chain, tmp_path: Path, user: str
) -> None:
    """Catches a documented setting that never works: a cookie file holds user and password."""
    async with configured(chain.server, tmp_path, user, chain.server.cookie) as rpc:
        assert await rpc.call("getblockcount") == chain.height()


async def test_a_password_file_opens_the_daemon(chain: Chain, tmp_path: Path) -> None:
    """Catches a password with the end of its line, or a user who is not the configured one."""
    user, password = chain.server.credentials()
    secret = tmp_path / "secret"
    secret.write_text(f"{password}\n", encoding="utf-8")
    async with configured(chain.server, tmp_path, user, secret) as rpc:
        assert await rpc.call("getblockcount") == chain.height()


async def test_a_new_cookie_is_read_after_a_restart(chain: Chain, tmp_path: Path) -> None:
    """Catches a node that a restart of its daemon locks out: every start makes a cookie."""
    async with configured(chain.server, tmp_path, "", chain.server.cookie) as rpc:
        watcher = adapter_of(chain, rpc)
        before = await watcher.tip()
        if isinstance(chain.server, Embedded):
            chain.server.change_password()
        chain.restart()
        await once_back(watcher)
        assert await watcher.tip() == before


async def test_a_changed_password_is_read_again(own: Embedded, tmp_path: Path) -> None:
    """Catches an operator who changes the password in both places and must restart the node too."""
    user, password = own.credentials()
    secret = tmp_path / "secret"
    secret.write_text(password, encoding="utf-8")
    async with configured(own, tmp_path, user, secret) as rpc:
        assert await rpc.call("getblockcount") == 0
        own.kill()
        own.change_password()
        own.start()
        with pytest.raises((Unavailable, UserError)):
            await rpc.call("getblockcount")
        secret.write_text(own.credentials()[1], encoding="utf-8")
        assert await rpc.call("getblockcount") == 0


# --- the transaction index ------------------------------------------------------------------------


@pytest.fixture
def unindexed(daemon: Chain) -> Iterator[Chain]:
    """Run a real daemon without a transaction index, as all do by default, for one test."""
    server = daemon.server
    assert isinstance(server, Daemon)
    server.settings["txindex"] = "0"
    daemon.restart()
    yield daemon
    del server.settings["txindex"]
    daemon.restart()
    daemon.wait_for_index()
    daemon.mine()


@contextmanager
def says_what_to_set() -> Iterator[None]:
    """Accept that a daemon without an index cannot tell, if that is said with what is missing."""
    try:
        yield
    except Unavailable as missing:
        if "txindex" not in str(missing):
            raise


async def test_without_an_index_a_deposit_has_its_refund_script(unindexed: Chain) -> None:
    """Catches a deposit that is held although its sender can be known, and nodes that disagree."""
    custody = key_of("restarts: no index")
    async with watching(unindexed, custody) as watcher:
        unindexed.deposit(custody)
        unindexed.mine()
        with says_what_to_set():
            (block,) = (await caught_up(watcher)).connected
            assert block.deposits[0].refund_script == script_of(PURSE)


async def test_a_sender_who_is_not_indexed_yet_is_waited_for(chain: Chain) -> None:
    """Catches a deposit that is held, or nodes that disagree, while one daemon makes its index."""
    custody = key_of("restarts: indexing")
    building = {"txindex": {"synced": False, "best_block_height": 7}}
    async with (
        proxied(chain.server.url) as proxy,
        connected(chain, proxy.url) as rpc,
    ):
        watcher = adapter_of(chain, rpc)
        watcher.watch(custody.public_key.format(), chain.height() + 1)
        chain.deposit(custody)
        chain.mine()
        proxy.faults["getrawtransaction"] = refusing(-5, "No such mempool transaction")
        proxy.faults["getindexinfo"] = Fault(edited(lambda reply: reply.update(result=building)))
        with pytest.raises(Unavailable, match="builds its index of transactions and is at block 7"):
            await watcher.poll()
        proxy.faults.clear()
        (block,) = (await caught_up(watcher)).connected
        assert block.deposits[0].refund_script == script_of(PURSE)
