"""The Bitcoin-family adapter against a real devnet over HTTP, on asyncio and on trio."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from metanode.chains import bitcoin
from metanode.chains.base import ChainAdapter, Cursor, StakeVerdict, TooDeep
from metanode.chains.bitcoin import BitcoinAdapter
from metanode.custody.ledger import Ledger
from metanode.custody.policy import CustodyPolicy
from metanode.custody.types import Outpoint
from metanode.devnet import wallet
from metanode.devnet.faucet import FAUCET_KEY
from metanode.errors import LocalFault, Unavailable
from spec.parameters import MAINNET
from tests.devnet.support import (
    COIN,
    NOW,
    Devnet,
    address,
    devnet,
    one_by_one,
    public,
    script_of,
    spend,
)
from tests.support import key_of

pytestmark = pytest.mark.anyio

CUSTODY = key_of("custody")
USER = key_of("user")
OWNER = key_of("owner")
MEMO = b"pay:" + address(key_of("payee")).encode()
HOURS_72 = 72 * 3600


async def deposit(net: Devnet, amount: int = COIN, memo: bytes | None = MEMO) -> Outpoint:
    """Fund the user and send one deposit, unconfirmed."""
    await net.fund(USER, 2 * amount)
    txid = await wallet.deposit(net.rpc, USER, script_of(CUSTODY), amount, memo)
    return Outpoint(txid, 0)


async def test_deposit_is_seen_unconfirmed_then_confirmed() -> None:
    """Catches a deposit that is missed, seen twice, or loses its memo or refund script."""
    async with devnet() as net:
        birth = net.ledger.tree.tip.height + 1
        net.adapter.watch(CUSTODY.public_key.format(), birth)
        outpoint = await deposit(net)
        assert await net.adapter.mempool_deposits() == (outpoint,)
        before = await net.adapter.poll()
        assert [block.deposits for block in before.connected] == [()]
        net.mine()
        update = await net.adapter.poll()
        (block,) = update.connected
        (found,) = block.deposits
        assert (found.outpoint, found.amount, found.memo) == (outpoint, COIN, MEMO)
        assert found.refund_script == script_of(USER)
        assert found.position == 1
        assert found.block_hash == block.hash
        assert block.fee_rate == 0  # it has room: who paid what says nothing
        assert update.caught_up
        assert await net.adapter.mempool_deposits() == ()
        assert (await net.adapter.poll()).connected == ()


async def test_tip_is_height_and_hash() -> None:
    """Catches a tip whose hash is in wire order or whose height is off by one."""
    async with devnet() as net:
        tip = net.ledger.tree.tip
        adapter: ChainAdapter = net.adapter  # the interface that a node is written against
        assert adapter.parameters.hrp == "bcrt"
        assert await adapter.tip() == (tip.height, tip.hash)


async def test_poll_comes_in_pieces() -> None:
    """Catches a rescan that reads everything at once, or skips a block between two pieces."""
    async with devnet(blocks_per_poll=50) as net:
        net.adapter.watch(CUSTODY.public_key.format(), 1)
        heights: list[int] = []
        flags = []
        for _ in range(3):
            update = await net.adapter.poll()
            heights += [block.height for block in update.connected]
            flags.append(update.caught_up)
        assert heights == list(range(1, net.ledger.tree.tip.height + 1))
        assert flags == [False, False, True]


async def test_reorganisation_removes_and_adds_again() -> None:
    """Catches a cursor that keeps a deposit of a block that left the chain."""
    policy = CustodyPolicy.of(MAINNET, minimum_deposit=10_000, fee_window_blocks=1)
    async with devnet() as net:
        net.adapter.watch(CUSTODY.public_key.format(), net.ledger.tree.tip.height + 1)
        index = Ledger(policy)
        outpoint = await deposit(net)
        net.mine(2)
        for block in (await net.adapter.poll()).connected:
            index.connect(block)
        height, tip_hash = await net.adapter.tip()
        assert [d.outpoint for d in index.snapshot(height).deposits] == [outpoint]
        stale = net.ledger.tree.active[-2].hash

        await net.rpc.call("invalidateblock", stale.hex())
        update = await net.adapter.poll()
        assert update.disconnected == (tip_hash, stale)
        assert update.connected == ()
        for block_hash in update.disconnected:
            index.disconnect(block_hash)
        assert index.snapshot(height - 2).deposits == ()
        # The deposit went back to the mempool, as in a real node, and is mined again.
        assert await net.adapter.mempool_deposits() == (outpoint,)
        net.mine()
        for block in (await net.adapter.poll()).connected:
            index.connect(block)
        assert [d.outpoint for d in index.snapshot(height - 1).deposits] == [outpoint]

        await net.rpc.call("reconsiderblock", stale.hex())
        back = await net.adapter.poll()
        assert len(back.disconnected) == 1
        assert [block.hash for block in back.connected] == [stale, tip_hash]


async def test_spend_makes_change_not_a_deposit() -> None:
    """Catches change that is taken for a deposit, which would be paid out again."""
    async with devnet() as net:
        net.adapter.watch(CUSTODY.public_key.format(), net.ledger.tree.tip.height + 1)
        outpoint = await deposit(net)
        net.mine()
        await net.adapter.poll()
        payments = [(COIN // 2, script_of(USER)), (COIN // 2 - 1000, script_of(CUSTODY))]
        raw, txid = spend(CUSTODY, [(outpoint, COIN)], payments)
        assert (await net.adapter.broadcast(raw, txid)).result == "sent"
        assert await net.adapter.mempool_deposits() == ()
        net.mine()
        (block,) = (await net.adapter.poll()).connected
        assert block.deposits == ()
        assert [(c.outpoint, c.amount) for c in block.change] == [
            (Outpoint(txid, 1), COIN // 2 - 1000)
        ]
        assert [(s.outpoint, s.txid) for s in block.spends] == [(outpoint, txid)]


async def test_a_failed_poll_loses_nothing() -> None:
    """Catches a cursor that moves although the caller never received the blocks."""
    async with devnet() as net:
        net.adapter.watch(CUSTODY.public_key.format(), 1)
        call = net.rpc.call
        calls = 0

        async def failing(method: str, *params: object) -> object:
            nonlocal calls
            calls += method == "getblock"
            if method == "getblock" and calls == 7:
                raise Unavailable("cut off")
            return await call(method, *params)

        net.rpc.call = failing  # type: ignore[method-assign]  # the link that breaks
        one_by_one(net.rpc)
        with pytest.raises(Unavailable, match="cut off"):
            await net.adapter.poll()
        update = await net.adapter.poll()
        assert [block.height for block in update.connected] == list(range(1, 51))


async def test_blocks_that_do_not_concern_us_are_read_in_few_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Catches a first scan that asks more than it must, or takes every block apart.

    What a place in a block cost is asked only of one that may be full: else it is 0.
    """
    async with devnet() as net:
        net.adapter.watch(CUSTODY.public_key.format(), 1)
        post, asked = net.rpc._exchange, []

        async def counted(method: str, content: Any) -> Any:
            asked.append((method, content))
            return await post(method, content)

        monkeypatch.setattr(net.rpc, "_exchange", counted)
        update = await net.adapter.poll()
        assert len(update.connected) == 50
        assert [method for method, _ in asked] == [
            "getblockcount", "getblockhash", *13 * ["getblock"]
        ]
        assert {each["params"][1] for batch in asked[2:] for each in batch[1]} == {0}
        monkeypatch.setattr(bitcoin, "FULL_BLOCK_WEIGHT", 4 * 100)  # then these are large
        assert len((await net.adapter.poll()).connected) == 50
        assert [method for method, _ in asked].count("getblockstats") == 50


async def test_the_height_before_a_time_is_below_all_that_was_mined_since() -> None:
    """Catches a first scan that begins after a deposit, or at the first block of all.

    The devnet's blocks are three days old, but for the last dozen.
    """
    async with devnet() as net:
        blocks = net.ledger.tree.active
        today = next(node.height for node in blocks if node.time >= NOW)
        assert 0 < today - 30 < await net.adapter.height_before(NOW) < today
        assert await net.adapter.height_before(NOW - 3600) < today
        assert await net.adapter.height_before(0) == 0
        # A chain whose clock is behind tells nothing: all of it may have been mined since.
        assert await net.adapter.height_before(NOW + 2 * 24 * 3600) == 0
        assert await net.adapter.genesis() == blocks[0].hash


async def test_a_daemon_may_prune_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches deposits in blocks that are gone, and a node that stops though it needs none of them.
    """
    async with devnet() as net:
        call = net.rpc.call

        async def pruned(method: str, *params: object) -> Any:
            reply = await call(method, *params)
            news = {"pruned": True, "pruneheight": 60}
            return {**reply, **news} if method == "getblockchaininfo" else reply

        monkeypatch.setattr(net.rpc, "call", pruned)
        net.adapter.watch(CUSTODY.public_key.format(), 50)
        with pytest.raises(Unavailable, match="pruned its blocks below 60.* from block 50 on"):
            await net.adapter.check_daemon()
        await net.adapter.poll()
        await net.adapter.check_daemon()
        net.adapter.watch(CUSTODY.public_key.format(), 60)
        await net.adapter.check_daemon()


async def test_an_adapter_goes_on_where_another_stood() -> None:
    """Catches a restart that reads the chain again, or that takes change for a deposit."""
    async with devnet() as net:
        birth = net.ledger.tree.tip.height + 1
        net.adapter.watch(CUSTODY.public_key.format(), birth)
        outpoint = await deposit(net)
        net.mine(2)
        told = (await net.adapter.poll()).connected
        payments = [(COIN // 2, script_of(USER)), (COIN // 2 - 1000, script_of(CUSTODY))]
        raw, txid = spend(CUSTODY, [(outpoint, COIN)], payments)
        await net.adapter.broadcast(raw, txid)
        net.mine()
        cursor = Cursor(told, [outpoint])
        again = BitcoinAdapter(net.rpc, net.adapter.parameters)
        again.watch(CUSTODY.public_key.format(), birth, cursor)
        (block,) = (await again.poll()).connected
        assert [coin.outpoint for coin in block.change] == [Outpoint(txid, 1)]
        assert block.deposits == ()
        await net.rpc.call("invalidateblock", told[-1].hash.hex())
        gone = BitcoinAdapter(net.rpc, net.adapter.parameters)
        gone.watch(CUSTODY.public_key.format(), birth, cursor)
        assert (await gone.poll()).disconnected == (told[-1].hash,)


async def test_poll_without_a_script_is_a_fault() -> None:
    """Catches an adapter that scans for nothing and reports that there is nothing."""
    async with devnet() as net:
        with pytest.raises(LocalFault, match="no script"):
            await net.adapter.poll()


async def test_reorganisation_deeper_than_the_window_is_reported() -> None:
    """Catches a cursor that silently starts anew and leaves old deposits in the index."""
    async with devnet() as net:
        net.adapter.watch(CUSTODY.public_key.format(), 1)
        while not (await net.adapter.poll()).caught_up:
            pass
        deep = net.ledger.tree.active[-30].hash
        await net.rpc.call("invalidateblock", deep.hex())
        with pytest.raises(TooDeep, match="none of the newest 20 blocks in the index"):
            await net.adapter.poll()


# --- stakes ---------------------------------------------------------------------------------------


async def verdict(net: Devnet, outpoint: Outpoint, minimum: int = COIN) -> StakeVerdict:
    """Judge an output as the owner's stake."""
    return await net.adapter.check_stake(outpoint, public(OWNER), minimum, HOURS_72)


async def test_stake_dated_73_hours_back_is_valid() -> None:
    """Catches an age by the local clock, and a devnet whose stakes are too young to start with."""
    async with devnet(((script_of(OWNER), COIN),)) as net:
        found = await verdict(net, net.stakes[0])
        assert (found.ok, found.reason, found.amount) == (True, "ok", COIN)
        assert HOURS_72 < found.age_s < HOURS_72 + 2 * 3600
        mined = net.ledger.tree.coins[(net.stakes[0].txid, net.stakes[0].index)]
        assert found.height == mined.height  # seniority is read off it


async def test_a_good_stake_is_followed_and_its_block_tells_when_it_is_spent() -> None:
    """Catches a stake that costs nothing once it was looked at, and one that a restart forgets."""
    async with devnet(((script_of(OWNER), COIN), (script_of(USER), COIN))) as net:
        net.adapter.watch(CUSTODY.public_key.format(), net.ledger.tree.tip.height + 1)
        assert (await verdict(net, net.stakes[0])).ok
        assert (await verdict(net, net.stakes[1])).reason == "foreign"
        for key, stake in ((OWNER, net.stakes[0]), (USER, net.stakes[1])):
            raw, _ = spend(key, [(stake, COIN)], [(COIN - 1000, script_of(CUSTODY))])
            await net.rpc.call("sendrawtransaction", raw.hex())
        net.mine(2)
        blocks = (await net.adapter.poll()).connected
        assert [block.stakes for block in blocks] == [(net.stakes[0],), ()]
        assert blocks[0].time == net.ledger.tree.active[-2].time
        net.adapter.watch(
            CUSTODY.public_key.format(), blocks[0].height, Cursor(stakes=[net.stakes[0]])
        )
        assert (await net.adapter.poll()).connected[0].stakes == (net.stakes[0],)


async def test_stake_reasons() -> None:
    """Catches a stake that is accepted although it is short, foreign, or does not exist."""
    stakes = ((script_of(OWNER), COIN), (script_of(USER), COIN))
    async with devnet(stakes) as net:
        assert (await verdict(net, net.stakes[0], COIN + 1)).reason == "short"
        assert (await verdict(net, net.stakes[1])).reason == "foreign"
        assert (await verdict(net, Outpoint(bytes(32), 0))).reason == "spent"
        assert (await verdict(net, evolve(net.stakes[0], index=9))).reason == "spent"


async def test_stake_grows_old_by_chain_time() -> None:
    """Catches a 72 h rule that is off by one at its boundary, or that counts confirmations."""
    async with devnet() as net:
        outpoint = await wallet.faucet(net.rpc, address(OWNER), COIN)
        assert (await verdict(net, outpoint)).reason == "unconfirmed"
        net.mine()
        assert (await verdict(net, outpoint)).reason == "young"
        mined_at = net.ledger.tree.tip.time
        net.ledger.set_mock_time(mined_at + HOURS_72 - 2)
        net.mine(6)  # six of eleven: the median is the first of them
        assert net.ledger.tree.tip.median_time == mined_at + HOURS_72 - 2
        assert (await verdict(net, outpoint)).reason == "young"
        net.ledger.set_mock_time(mined_at + HOURS_72)
        while net.ledger.tree.tip.median_time < mined_at + HOURS_72:
            assert (await verdict(net, outpoint)).reason == "young"
            net.mine()
        assert (await verdict(net, outpoint)).reason == "ok"


async def test_moved_stake_is_spent_even_if_unconfirmed() -> None:
    """Catches a stake that still counts while its spend waits in the mempool."""
    async with devnet(((script_of(OWNER), COIN),)) as net:
        raw, txid = spend(OWNER, [(net.stakes[0], COIN)], [(COIN - 1000, script_of(OWNER))])
        assert (await net.adapter.broadcast(raw, txid)).result == "sent"
        assert (await verdict(net, net.stakes[0])).reason == "spent"
        net.mine()
        assert (await verdict(net, net.stakes[0])).reason == "spent"
        assert (await verdict(net, Outpoint(txid, 0), COIN // 2)).reason == "young"


# --- broadcast and look-up ------------------------------------------------------------------------


async def test_broadcast_again_is_known() -> None:
    """Catches a retry after a lost reply that is taken for a failure, mined (-27) or not."""
    async with devnet() as net:
        coin = await net.fund(USER, COIN)
        raw, txid = spend(USER, [(coin, COIN)], [(COIN - 1000, script_of(USER))])
        assert (await net.adapter.lookup(txid)).state == "unknown"
        assert (await net.adapter.broadcast(raw, txid)).result == "sent"
        assert (await net.adapter.broadcast(raw, txid)).result == "known"
        assert (await net.adapter.lookup(txid)).state == "pending"
        net.mine()
        assert (await net.adapter.broadcast(raw, txid)).result == "known"
        status = await net.adapter.lookup(txid)
        assert (status.state, status.confirmations) == ("included", 1)
        assert status.height == net.ledger.tree.tip.height
        net.mine()
        assert (await net.adapter.lookup(txid)).state == "final"


async def test_double_spend_is_a_conflict() -> None:
    """Catches a double spend that is reported as sent, or as merely rejected."""
    async with devnet() as net:
        coin = await net.fund(USER, COIN)
        first, first_id = spend(USER, [(coin, COIN)], [(COIN - 2000, script_of(USER))])
        second, second_id = spend(USER, [(coin, COIN)], [(COIN - 1000, script_of(OWNER))])
        assert (await net.adapter.broadcast(first, first_id)).result == "sent"
        assert (await net.adapter.broadcast(second, second_id)).result == "conflict"
        net.mine()
        assert (await net.adapter.broadcast(second, second_id)).result == "conflict"
        assert (await net.adapter.lookup(second_id)).state == "unknown"
        assert (await net.adapter.lookup(second_id, [coin])).state == "replaced"
        assert (await net.adapter.lookup(first_id, [coin])).state == "included"


async def test_reorganised_payment_is_pending_again() -> None:
    """Catches a status that stays included after its block left the chain."""
    async with devnet() as net:
        coin = await net.fund(USER, COIN)
        raw, txid = spend(USER, [(coin, COIN)], [(COIN - 1000, script_of(USER))])
        await net.adapter.broadcast(raw, txid)
        net.mine()
        await net.rpc.call("invalidateblock", net.ledger.tree.tip.hash.hex())
        assert (await net.adapter.lookup(txid)).state == "pending"


async def test_faucet_coin_is_spendable_with_memo() -> None:
    """Catches a faucet that sends to the wrong index or swallows the memo."""
    async with devnet() as net:
        net.adapter.watch(CUSTODY.public_key.format(), net.ledger.tree.tip.height + 1)
        paid = await net.rpc.call("devnet_faucet", address(CUSTODY), 1, MEMO.decode())
        net.mine()
        (block,) = (await net.adapter.poll()).connected
        assert block.deposits[0].outpoint == Outpoint(bytes.fromhex(paid["txid"]), paid["vout"])
        assert block.deposits[0].memo == MEMO
        assert block.deposits[0].refund_script == script_of(FAUCET_KEY)
