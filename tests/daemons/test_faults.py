"""Every question of the adapter × every way to spoil the answer: it says so, and loses nothing.

The adapter may give the right answer or raise ``Unavailable``; nothing else. Its state is as
before: what it tells once the daemon is well again is what it would have told without the fault.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from attrs import define, field, frozen

from metanode.chains import bitcoin
from metanode.chains.bitcoin import BitcoinAdapter
from metanode.custody.types import Outpoint
from metanode.errors import Unavailable, UserError
from tests.daemons.coins import FEE, Coin, script_of, signed
from tests.daemons.proxy import FAULTS, Fault, Memory, Proxy, proxied, without
from tests.daemons.support import (
    AMOUNT,
    PURSE,
    Chain,
    adapter,
    adapter_of,
    connected,
    sent,
)
from tests.support import key_of

pytestmark = pytest.mark.anyio

CUSTODY, OWNER, PAYEE = key_of("faults: custody"), key_of("faults: owner"), key_of("faults: payee")
HANG_TIMEOUT_S = 0.2
HEAL_S = 10.0


@frozen
class Stage:
    """A chain that stands still: one block behind, one to come, and something of everything."""

    chain: Chain
    birth: int
    stake: Outpoint
    waiting: tuple[bytes, bytes]  # raw and id of a payment in the mempool
    conflict: tuple[bytes, bytes]  # of another payment of the same coin
    coin: Coin  # which both spend
    mined: bytes  # id of a payment in a block
    memory: Memory = field(factory=dict, repr=False)


Ask = Callable[[BitcoinAdapter, Stage], Awaitable[Any]]


async def _stake(watcher: BitcoinAdapter, stage: Stage) -> Any:
    return await watcher.check_stake(stage.stake, OWNER.public_key.format(), AMOUNT, 1)


ASKED: dict[str, Ask] = {
    "tip": lambda watcher, _: watcher.tip(),
    "poll": lambda watcher, _: watcher.poll(),
    "mempool": lambda watcher, _: watcher.mempool_deposits(),
    "stake": _stake,
    "lookup": lambda watcher, stage: watcher.lookup(stage.mined),
    "lookup of a replaced one": lambda watcher, stage: watcher.lookup(
        stage.conflict[1], [stage.coin.outpoint]
    ),
    "broadcast": lambda watcher, stage: sent(watcher, *stage.waiting),
    "broadcast of a conflict": lambda watcher, stage: sent(watcher, *stage.conflict),
}

METHODS: dict[str, tuple[str, ...]] = {
    "tip": ("getbestblockhash", "getblockheader"),
    "poll": (
        "getblockheader", "getblockcount", "getblockhash", "getblock", "getblockstats",
        "getrawtransaction",
    ),
    "mempool": ("getrawmempool", "getrawtransaction"),
    "stake": ("gettxout", "getblockheader", "getblockhash"),
    "lookup": ("getrawtransaction", "getblockheader"),
    "lookup of a replaced one": ("getrawtransaction", "gettxout"),
    "broadcast": ("getrawtransaction", "sendrawtransaction"),
    "broadcast of a conflict": ("getrawtransaction", "sendrawtransaction", "gettxout"),
}
"""What each question calls: :func:`test_the_matrix_knows_every_call` keeps this true."""

FIELDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("tip", "getblockheader"): ("height",),
    ("poll", "getblockheader"): ("confirmations",),
    ("poll", "getblock"): (
        "hash", "height", "time", "mediantime", "previousblockhash", "tx", "tx.txid", "tx.vin",
        "tx.vout", "tx.vout.n", "tx.vout.value", "tx.vout.scriptPubKey.hex", "tx.vin.vout",
    ),
    ("poll", "getblockstats"): ("feerate_percentiles", "total_weight"),
    ("poll", "getrawtransaction"): ("vout", "vout.scriptPubKey.hex"),
    ("mempool", "getrawtransaction"): (
        "txid", "vin", "vin.vout", "vout", "vout.n", "vout.scriptPubKey.hex",
    ),
    ("stake", "gettxout"): ("bestblock", "confirmations", "value", "scriptPubKey.hex"),
    ("stake", "getblockheader"): ("height", "time", "mediantime"),
    ("lookup", "getrawtransaction"): ("blockhash",),
    ("lookup", "getblockheader"): ("height",),
}
"""The fields that are read of each reply."""

OF_THE_ANSWER = ("null", "other type", "odd values", "refused")
"""The faults that depend on what is asked; the others are those of the way between."""

ON_ITS_WAY = [
    *(("poll", method) for method in METHODS["poll"]), ("tip", "getbestblockhash"),
    ("mempool", "getrawmempool"), ("mempool", "getrawtransaction"), ("stake", "gettxout"),
    ("broadcast", "sendrawtransaction"), ("broadcast", "getrawtransaction"),
    ("broadcast of a conflict", "gettxout"),
]  # every method, and where a question is answered in part already


@define
class Watch:
    """An adapter behind a proxy, and what it has told."""

    stage: Stage
    proxy: Proxy
    watcher: BitcoinAdapter
    told: list[Any] = field(factory=list)

    async def ask(self, asked: str) -> Any:
        """Ask one question; what a poll tells is kept."""
        answer = await ASKED[asked](self.watcher, self.stage)
        if asked == "poll":
            self.told.append(answer)
        return answer

    async def ask_until_answered(self, asked: str) -> Any:
        """Ask as a node does: again when the daemon was away."""
        with anyio.fail_after(HEAL_S):
            while True:
                try:
                    return await self.ask(asked)
                except Unavailable:
                    await anyio.sleep(0.01)


@pytest.fixture(autouse=True, scope="module")
def _every_block_may_be_full() -> Iterator[None]:
    """Have the adapter ask what a place in each block cost, as it does for large ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bitcoin, "FULL_BLOCK_WEIGHT", 0)
        yield


@pytest.fixture(scope="module")
def stage(each_chain: Chain) -> Iterator[Stage]:
    """Set the stage on each chain; no block is mined until all tests on it are done."""
    chain = each_chain
    stake = chain.coin(OWNER)
    chain.mine(12)
    birth = chain.height() + 1
    chain.deposit(CUSTODY)
    coin = chain.coin()
    raw, mined = signed([coin], [(coin.amount - FEE, script_of(PAYEE))])
    chain.send(raw)
    chain.mine()
    chain.deposit(CUSTODY)
    chain.mine()
    chain.deposit(CUSTODY)
    coin = chain.coin()
    waiting = signed([coin], [(coin.amount - 2 * FEE, script_of(PAYEE))])
    conflict = signed([coin], [(coin.amount - FEE, script_of(PAYEE))])
    chain.send(waiting[0])
    yield Stage(chain, birth, stake.outpoint, waiting, conflict, coin, mined)
    chain.mine()


@asynccontextmanager
async def watched(stage: Stage, timeout_s: float = 20.0) -> AsyncIterator[Watch]:
    """Begin to watch through a proxy: the first block has been told, the second has not."""
    async with (
        proxied(stage.chain.server.url, stage.memory) as proxy,
        connected(stage.chain, proxy.url, timeout_s=timeout_s) as rpc,
    ):
        watch = Watch(stage, proxy, adapter_of(stage.chain, rpc, blocks_per_poll=1))
        watch.watcher.watch(CUSTODY.public_key.format(), stage.birth)
        await watch.ask_until_answered("poll")
        proxy.seen.clear()
        yield watch


@pytest.fixture(scope="module")
def right(stage: Stage, anyio_backend: str) -> dict[str, Any]:
    """Return the right answer to each question, asked without a proxy."""

    async def ask_all() -> dict[str, Any]:
        answers = {}
        for asked, ask in ASKED.items():
            async with adapter(stage.chain, blocks_per_poll=1) as watcher:
                watcher.watch(CUSTODY.public_key.format(), stage.birth)
                await watcher.poll()
                answers[asked] = await ask(watcher, stage)
        return answers

    return anyio.run(ask_all, backend=anyio_backend)


def test_the_answers_are_what_the_stage_says(stage: Stage, right: dict[str, Any]) -> None:
    """Catches a matrix that compares nothing with nothing."""
    (block,) = right["poll"].connected
    assert (len(block.deposits), right["poll"].caught_up) == (1, True)
    assert block.deposits[0].refund_script == script_of(PURSE)
    assert len(right["mempool"]) == 1
    assert right["stake"].reason == "ok"
    assert right["lookup"].state == "included"
    assert right["lookup of a replaced one"].state == "replaced"
    assert right["broadcast"] == "known"
    assert right["broadcast of a conflict"] == "conflict"


@pytest.mark.parametrize("asked", ASKED)
async def test_the_matrix_knows_every_call(
    stage: Stage, right: dict[str, Any], asked: str
) -> None:
    """Catches a call that the adapter makes and no fault is tried on, and a proxy that changes."""
    async with watched(stage) as watch:
        assert await watch.ask(asked) == right[asked]
        assert set(watch.proxy.seen) == set(METHODS[asked])


async def holds(
    stage: Stage, right: dict[str, Any], asked: str, method: str, fault: Fault, name: str
) -> None:
    """Ask while the fault lasts, then while it does not."""
    async with watched(stage, HANG_TIMEOUT_S if fault.how == "hang" else 20.0) as watch:
        watch.proxy.faults[method] = fault
        accepted = (Unavailable, UserError) if name == "401" else (Unavailable,)
        try:
            assert await watch.ask(asked) == right[asked]
        except accepted:
            if name == "delay":
                raise
        assert watch.proxy.struck > 0, "the fault was never met"
        watch.proxy.faults.clear()
        if asked != "poll":
            assert await watch.ask_until_answered(asked) == right[asked]
        while len(watch.told) < 2 or not watch.told[-1].caught_up:
            await watch.ask_until_answered("poll")
        assert watch.told[1:] == [right["poll"]]
        if asked == "poll":  # which decides what is change and what is a deposit
            assert await watch.ask_until_answered("mempool") == right["mempool"]


@pytest.mark.parametrize("each_chain", ["embedded"], indirect=True, scope="session")
@pytest.mark.parametrize("name", [name for name in FAULTS if name not in OF_THE_ANSWER])
@pytest.mark.parametrize(("asked", "method"), ON_ITS_WAY)
async def test_an_answer_that_is_spoilt_on_its_way_is_none(
    stage: Stage, right: dict[str, Any], asked: str, method: str, name: str,
) -> None:
    """Catches an outage that ends the node, or that loses what it knew or was being told."""
    await holds(stage, right, asked, method, FAULTS[name], name)


@pytest.mark.parametrize("name", OF_THE_ANSWER)
@pytest.mark.parametrize(
    ("asked", "method"), [(asked, method) for asked in ASKED for method in METHODS[asked]]
)
async def test_an_answer_of_another_shape_is_none(
    stage: Stage, right: dict[str, Any], asked: str, method: str, name: str,
) -> None:
    """Catches an answer that ends the node, changes what it knows, or is taken for another."""
    if (method, name) == ("gettxout", "null"):
        return  # so it answers for a spent output
    await holds(stage, right, asked, method, FAULTS[name], name)


@pytest.mark.parametrize("each_chain", ["embedded"], indirect=True, scope="session")
@pytest.mark.parametrize(
    ("method", "name"),
    [("getblockhash", "null"), ("getblockhash", "wrong id"), *(("getblock", n) for n in FAULTS)],
)
async def test_many_blocks_that_are_asked_for_at_once_are_all_told_or_none(
    stage: Stage, method: str, name: str
) -> None:
    """Catches a block that is lost, told twice or out of its order when answers come in batches."""
    start = stage.birth - 4

    async def told(watcher: BitcoinAdapter) -> Any:
        watcher.watch(CUSTODY.public_key.format(), start)
        return await watcher.poll()

    async with adapter(stage.chain) as watcher:
        right = await told(watcher)
    assert [block.height for block in right.connected] == list(range(start, start + 6))
    timeout_s = HANG_TIMEOUT_S if FAULTS[name].how == "hang" else 20.0
    async with (
        proxied(stage.chain.server.url) as proxy,
        connected(stage.chain, proxy.url, timeout_s=timeout_s) as rpc,
    ):
        watcher = adapter_of(stage.chain, rpc)
        proxy.faults[method] = FAULTS[name]
        try:
            assert await told(watcher) == right
        except Unavailable:
            if name == "delay":
                raise
        assert proxy.struck > 0
        proxy.faults.clear()
        assert await told(watcher) == right


@pytest.mark.parametrize("each_chain", ["embedded"], indirect=True, scope="session")
@pytest.mark.parametrize(
    ("asked", "method", "path"), [(*key, path) for key, paths in FIELDS.items() for path in paths]
)
async def test_an_answer_without_a_field_is_no_answer(
    stage: Stage, right: dict[str, Any], asked: str, method: str, path: str,
) -> None:
    """Catches a default that stands for what the daemon did not say: a height, a time, a value."""
    await holds(stage, right, asked, method, without(*path.split(".")), path)
