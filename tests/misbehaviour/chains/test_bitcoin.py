"""A daemon that lies, and transactions that the chain refuses, as the adapter sees them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from metanode.chains.base import DEVNET
from metanode.chains.bitcoin import BitcoinAdapter
from metanode.chains.replies import BlockStats, read
from metanode.chains.rpc import RpcError
from metanode.custody.types import Outpoint
from metanode.devnet import wallet
from metanode.errors import Unavailable, UserError
from tests.devnet.support import (
    COIN,
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

USER = key_of("user")
THIEF = key_of("thief")


def lie(net: Devnet, bend: Callable[[str, Any], Any]) -> None:
    """Pass every reply of the daemon through ``bend(method, reply)``."""
    call = net.rpc.call

    async def bent(method: str, *params: Any) -> Any:
        return bend(method, await call(method, *params))

    net.rpc.call = bent  # type: ignore[method-assign]  # the daemon that lies
    one_by_one(net.rpc)


async def test_stolen_spend_is_rejected() -> None:
    """Catches a bad signature that is reported as anything but rejected."""
    async with devnet() as net:
        coin = await net.fund(USER, COIN)
        raw, _ = spend(USER, [(coin, COIN)], [(COIN - 1000, script_of(USER))])
        position = raw.index(public(USER)) - 10  # within s
        forged = raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]
        txid = spend(USER, [(coin, COIN)], [(COIN - 1000, script_of(USER))])[1]
        assert (await net.adapter.broadcast(forged, txid)).result == "rejected"
        assert (await net.adapter.lookup(txid, [coin])).state == "unknown"
        stolen, stolen_id = spend(THIEF, [(coin, COIN)], [(COIN - 1000, script_of(THIEF))])
        assert (await net.adapter.broadcast(stolen, stolen_id)).result == "rejected"


async def test_accepted_reply_is_not_believed() -> None:
    """Catches a payout that counts as sent because the daemon said so."""
    async with devnet() as net:
        coin = await net.fund(USER, COIN)
        raw, txid = spend(USER, [(coin, COIN)], [(COIN - 1000, script_of(USER))])
        call = net.rpc.call

        async def swallowing(method: str, *params: Any) -> Any:
            return txid.hex() if method == "sendrawtransaction" else await call(method, *params)

        net.rpc.call = swallowing  # type: ignore[method-assign]  # the daemon that lies
        assert (await net.adapter.broadcast(raw, txid)).result == "rejected"


async def test_refused_reply_is_not_believed() -> None:
    """Catches a payout that counts as failed although it is in the mempool."""
    async with devnet() as net:
        coin = await net.fund(USER, COIN)
        raw, txid = spend(USER, [(coin, COIN)], [(COIN - 1000, script_of(USER))])
        call = net.rpc.call

        async def denying(method: str, *params: Any) -> Any:
            reply = await call(method, *params)
            if method == "sendrawtransaction":
                raise RpcError(-26, "no")
            return reply

        net.rpc.call = denying  # type: ignore[method-assign]  # the daemon that lies
        assert (await net.adapter.broadcast(raw, txid)).result == "known"


async def test_block_that_does_not_follow_is_not_taken() -> None:
    """Catches a chain with a gap, from a tip that moved between two calls."""
    async with devnet() as net:
        net.adapter.watch(USER.public_key.format(), 1)
        await net.adapter.poll()
        foreign = net.ledger.tree.active[70].hash.hex()

        def bend(method: str, reply: Any) -> Any:
            real = net.ledger.tree.active[60].hash.hex()
            return foreign if (method, reply) == ("getblockhash", real) else reply

        lie(net, bend)
        update = await net.adapter.poll()
        assert [block.height for block in update.connected] == list(range(51, 60))
        assert not update.caught_up


async def test_odd_amounts_are_unavailable() -> None:
    """Catches a stake or a deposit with an amount that is no whole number of base units."""
    async with devnet() as net:
        coin = await net.fund(USER, COIN)
        lie(net, lambda m, r: {**r, "value": Decimal("1E-9")} if m == "gettxout" else r)
        with pytest.raises(Unavailable, match="amount"):
            await net.adapter.check_stake(coin, public(USER), 1, 0)


@pytest.mark.parametrize("stats", [{}, {"feerate_percentiles": []}, {"feerate_percentiles": 7}])
def test_missing_fee_rates_are_unavailable(stats: dict[str, Any]) -> None:
    """Catches a fee that differs between nodes because one daemon left it out."""
    with pytest.raises(Unavailable):
        read(BlockStats, "getblockstats", {"total_weight": 7, **stats})


async def test_stake_of_another_key_is_foreign_whatever_its_size() -> None:
    """Catches ten members that present one stake (F-13): it belongs to one key only."""
    stakes = ((script_of(USER), 100 * COIN),)
    async with devnet(stakes) as net:
        verdict = await net.adapter.check_stake(net.stakes[0], public(THIEF), 1, 0)
        assert (verdict.ok, verdict.reason) == (False, "foreign")


async def test_wallet_without_coins_says_so() -> None:
    """Catches a wallet that sends an empty transaction, or spends a coin twice."""
    async with devnet() as net:
        with pytest.raises(UserError, match="do not cover"):
            await wallet.deposit(net.rpc, USER, script_of(THIEF), COIN, None)
        await net.fund(USER, COIN)
        await wallet.deposit(net.rpc, USER, script_of(THIEF), COIN // 2, None)
        with pytest.raises(UserError, match="do not cover"):
            await wallet.deposit(net.rpc, USER, script_of(THIEF), COIN // 4, None)


async def test_memo_forms_of_a_hostile_depositor() -> None:
    """Catches a scan that stops at an odd OP_RETURN, or takes custody's output for the memo."""
    async with devnet() as net:
        net.adapter.watch(USER.public_key.format(), net.ledger.tree.tip.height + 1)
        coin = await net.fund(THIEF, COIN)
        odd = b"\x6a\x05abc"  # its push runs past the end
        raw, txid = spend(
            THIEF, [(coin, COIN)], [(0, odd), (10_000, script_of(USER)), (20_000, script_of(USER))]
        )
        assert "scriptpubkey" in (await net.adapter.broadcast(raw, txid)).reason
        net.mine_by_hand(raw)  # a miner takes what no daemon relays
        deposits = [d for b in (await net.adapter.poll()).connected for d in b.deposits]
        assert [(d.outpoint, d.amount, d.memo) for d in deposits] == [
            (Outpoint(txid, 1), 10_000, None),
            (Outpoint(txid, 2), 20_000, None),
        ]


async def test_a_miner_deposits_with_a_memo() -> None:
    """Catches a coinbase deposit that counts at once: no daemon takes its spend for 100 blocks."""
    async with devnet() as net:
        net.adapter.watch(USER.public_key.format(), net.ledger.tree.tip.height + 1)
        memo = b"pay:" + address(THIEF).encode()
        net.mine_with_memo(script_of(USER), memo)
        (block,) = (await net.adapter.poll()).connected
        (made,) = block.deposits
        assert (made.memo, made.refund_script, made.matures) == (memo, None, made.height + 100)
        coins = [(made.outpoint, made.amount)]
        raw, txid = spend(USER, coins, [(made.amount - 1000, script_of(THIEF))])
        net.mine(98)
        refused = await net.adapter.broadcast(raw, txid)
        assert refused.result == "rejected"
        assert refused.reason.startswith("bad-txns-premature-spend-of-coinbase, ")
        net.mine()
        assert (await net.adapter.broadcast(raw, txid)).result == "sent"


BITCOIN = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
INFO = {"chain": "main", "initialblockdownload": False}


@pytest.mark.parametrize(
    ("hrp", "genesis", "changes", "said"),
    [
        ("bc", BITCOIN, {}, None),
        ("bc", BITCOIN, {"headers": 10**6}, "is catching up: it has block .* of 1000000"),
        ("bc", BITCOIN, {"initialblockdownload": True}, "is catching up"),
        ("bc", BITCOIN, {"pruned": True, "pruneheight": 10**6}, "pruned its blocks below 1000000"),
        ("bc", BITCOIN, {"pruned": True, "pruneheight": 3}, None),
        ("ltc", BITCOIN, {}, r"follows Bitcoin \(main\), and this network is of Litecoin: correct"),
        ("tb", BITCOIN, {"chain": "test"}, "testnet3 or Bitcoin testnet4 or Bitcoin signet"),
        ("bcrt", BITCOIN, {}, "of Bitcoin regtest or the embedded chain: correct chain.rpc_url or"),
        ("abc", BITCOIN, {}, "this network is of a regtest chain: correct"),
        ("abc", BITCOIN, {"chain": "regtest"}, None),
        ("bc", "ab" * 32, {}, "follows a chain whose first block is abababab"),
        ("bcrt", "ab" * 32, {"chain": "regtest", "initialblockdownload": True}, None),
    ],
)
async def test_a_daemon_that_cannot_serve_is_named(
    hrp: str, genesis: str, changes: dict[str, Any], said: str | None
) -> None:
    """Catches stakes and deposits that are judged by the wrong chain, or by half of the right one.
    """
    async with devnet() as net:

        def bend(method: str, reply: Any) -> Any:
            if method == "getblockhash":
                return genesis
            return {**reply, **INFO, **changes} if method == "getblockchaininfo" else reply

        lie(net, bend)
        adapter = BitcoinAdapter(net.rpc, evolve(DEVNET, hrp=hrp))
        adapter.watch(public(USER), 5)
        if said is None:
            await adapter.check_daemon()
        else:
            with pytest.raises(Unavailable, match=said):
                await adapter.check_daemon()
