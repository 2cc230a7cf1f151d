"""Chain and custody together: deposits in, one payout out, mined by a chain that checks it."""

from __future__ import annotations

import pytest

from metanode.custody.document import PayoutDocument
from metanode.custody.ledger import Ledger
from metanode.custody.payout import (
    attach,
    build_payout,
    decode_document,
    payable_transfers,
)
from metanode.custody.policy import CustodyPolicy
from metanode.custody.transfers import Transfer, classify_all
from metanode.custody.types import Outpoint
from metanode.devnet import wallet
from spec.parameters import MAINNET
from tests.devnet.support import COIN, Devnet, address, devnet, public, script_of
from tests.support import key_of

pytestmark = pytest.mark.anyio

CUSTODY = key_of("custody")
USER = key_of("user")
PAYEE = key_of("payee")
MEMO = b"pay:" + address(PAYEE).encode()
ROSTER = tuple(public(key_of(f"node {i}")) for i in range(4))
POLICY = CustodyPolicy.of(
    MAINNET, service_fee_bps=100, minimum_deposit=10_000, refund_cost=2_000, fee_window_blocks=3,
    payout_window_blocks=1000,
)
NETWORK_ID, KEY_ID = b"n" * 32, b"k" * 32


async def follow(net: Devnet, index: Ledger) -> None:
    """Bring an index up to the tip."""
    while True:
        update = await net.adapter.poll()
        for block_hash in update.disconnected:
            index.disconnect(block_hash)
        for block in update.connected:
            index.connect(block)
        if update.caught_up:
            return


def transfers_at(index: Ledger, height: int) -> tuple[Transfer, ...]:
    """Return what a payout at a cut-off height can settle."""
    snapshot = index.snapshot(height)
    transfers, _ = classify_all(snapshot, POLICY, "bcrt", CUSTODY.public_key.format())
    return payable_transfers(snapshot, transfers, POLICY, snapshot.fee_rate)


def build(index: Ledger, height: int, transfers: tuple[Transfer, ...]) -> PayoutDocument:
    """Build a payout as every member does."""
    return build_payout(
        index.snapshot(height),
        transfers,
        ROSTER,
        POLICY,
        network_id=NETWORK_ID,
        chain="devnet",
        key_id=KEY_ID,
        key_epoch=1,
        public_key=public(CUSTODY),
    )


def signed(document: PayoutDocument) -> tuple[bytes, bytes]:
    """Sign with the whole key, in place of the threshold signature."""
    pairs = []
    for digest in document.sighashes():
        compact = CUSTODY.sign_recoverable(digest, hasher=None)
        pairs.append((int.from_bytes(compact[:32]), int.from_bytes(compact[32:64])))
    payout = attach(document, pairs, public(CUSTODY))[0]
    return payout.raw, payout.txid


async def test_release_refund_and_rewards_are_mined() -> None:
    """Catches any disagreement between what custody builds and what the chain accepts."""
    async with devnet() as net:
        birth = net.ledger.tree.tip.height + 1
        net.adapter.watch(CUSTODY.public_key.format(), POLICY.index_start(birth))
        index, peer = Ledger(POLICY), Ledger(POLICY)
        for memo in (MEMO, b"nonsense"):
            await net.fund(USER, 2 * COIN)
            await wallet.deposit(net.rpc, USER, script_of(CUSTODY), COIN, memo)
            net.mine()
        await follow(net, index)
        cutoff, _ = await net.adapter.tip()
        transfers = transfers_at(index, cutoff)
        assert [t.kind for t in transfers] == ["release", "refund"]
        document = build(index, cutoff, transfers)

        # A peer rebuilds it from the request and its own index, at a later tip.
        net.mine()
        net.adapter.watch(CUSTODY.public_key.format(), 100)
        await follow(net, peer)
        request = decode_document(document.encode())
        by_outpoint = {t.deposit.outpoint: t for t in transfers_at(peer, request.cutoff_height)}
        rebuilt = build(
            peer, request.cutoff_height, tuple(by_outpoint[o] for o in request.transfers)
        )
        assert rebuilt.encode() == document.encode()

        raw, txid = signed(document)
        assert (await net.adapter.broadcast(raw, txid)).result == "sent"
        net.mine(2)
        assert (await net.adapter.lookup(txid)).state == "final"
        await follow(net, peer)
        height, _ = await net.adapter.tip()
        after = peer.snapshot(height)
        assert after.deposits == ()
        assert [c.outpoint.txid for c in after.change] == [txid]
        assert {peer.spent_by(o) for o in request.transfers} == {txid}
        (payee,) = await wallet.coins_of(net.rpc, script_of(PAYEE))
        assert payee.amount == COIN - COIN // 100
        refund = [c.amount for c in await wallet.coins_of(net.rpc, script_of(USER))]
        assert COIN - 2_000 in refund
        for node in range(4):
            assert len(await wallet.coins_of(net.rpc, script_of(key_of(f"node {node}")))) == 1


async def test_two_payouts_of_one_deposit_exclude_each_other() -> None:
    """Catches a double payment: of two signed batches with a common deposit, one is mined."""
    async with devnet() as net:
        birth = net.ledger.tree.tip.height + 1
        net.adapter.watch(CUSTODY.public_key.format(), POLICY.index_start(birth))
        index = Ledger(POLICY)
        for _ in range(3):
            await net.fund(USER, 2 * COIN)
            await wallet.deposit(net.rpc, USER, script_of(CUSTODY), COIN, MEMO)
            net.mine()
        await follow(net, index)
        cutoff, _ = await net.adapter.tip()
        a, b, c = transfers_at(index, cutoff)
        first, first_id = signed(build(index, cutoff, (a, b)))
        second, second_id = signed(build(index, cutoff, (b, c)))
        assert (await net.adapter.broadcast(first, first_id)).result == "sent"
        assert (await net.adapter.broadcast(second, second_id)).result == "conflict"
        net.mine()
        assert (await net.adapter.broadcast(second, second_id)).result == "conflict"
        shared: list[Outpoint] = [b.deposit.outpoint]
        assert (await net.adapter.lookup(second_id, shared)).state == "replaced"
        await follow(net, index)
        tip, _ = await net.adapter.tip()
        assert [d.outpoint for d in index.snapshot(tip).deposits] == [c.deposit.outpoint]
