"""Blocks and deposits, as the adapter sees them on the embedded chain and on a real daemon."""

from __future__ import annotations

import pytest

from metanode.custody.scripts import data_script
from metanode.custody.types import Outpoint
from metanode.errors import Unavailable
from spec.chains import CHAINS
from tests.daemons.coins import FEE, KINDS, Coin, Kind, script_of, signed
from tests.daemons.support import (
    AMOUNT,
    BULK_FEE,
    MEMO,
    PURSE,
    Chain,
    adapter,
    caught_up,
    deposits_in,
    spendable_from,
    watching,
)
from tests.support import key_of

pytestmark = pytest.mark.anyio


async def test_the_tip_is_that_of_the_daemon(chain: Chain) -> None:
    """Catches a tip that is a block behind, or a hash in wire order."""
    async with adapter(chain) as watcher:
        for _ in range(2):
            (block,) = chain.mine()
            assert await watcher.tip() == (chain.height(), block)


async def test_a_chain_is_known_by_its_first_block(chain: Chain) -> None:
    """Catches stakes and deposits that are looked for on another chain, and a wrong genesis block.

    The real daemon says here which first block is its own, for the table of chains.
    """
    genesis = bytes.fromhex(chain.call("getblockhash", 0))
    (own,) = (each.name for each in CHAINS.values() if each.genesis == genesis)
    assert CHAINS[own].hrp == chain.hrp
    for name, other in CHAINS.items():
        async with adapter(chain, chain=name) as watcher:
            if name == own:
                await watcher.check_daemon()
                continue
            said = rf"follows {CHAINS[own].title} \(regtest\), and this network is of {other.title}"
            with pytest.raises(Unavailable, match=said):
                await watcher.check_daemon()


async def test_a_poll_gives_every_block_once(chain: Chain) -> None:
    """Catches a block that is skipped between two pieces, given twice, or not linked to the last.

    The fee rate of a block without payments is 0, its times are those of its header.
    """
    custody = key_of("blocks: every block once")
    async with watching(chain, custody, blocks_per_poll=3) as watcher:
        assert (await watcher.poll()).connected == ()
        parent = (await watcher.tip())[1]
        hashes = chain.mine(7)
        pieces = [await watcher.poll() for _ in range(3)]
        assert [piece.caught_up for piece in pieces] == [False, False, True]
        blocks = [block for piece in pieces for block in piece.connected]
        assert [block.hash for block in blocks] == hashes
        assert [block.parent for block in blocks] == [parent, *hashes[:-1]]
        last = blocks[-1]
        assert (last.height, last.fee_rate) == (chain.height(), 0)
        assert deposits_in(blocks) == []


async def test_a_deposit_is_seen_in_the_mempool_and_in_its_block(chain: Chain) -> None:
    """Catches a deposit that is missed or seen twice, and a wrong amount, memo, place or refund."""
    custody = key_of("blocks: a deposit")
    async with watching(chain, custody) as watcher:
        outpoint = chain.deposit(custody)
        assert await watcher.mempool_deposits() == (outpoint,)
        (block_hash,) = chain.mine()
        (block,) = (await caught_up(watcher)).connected
        (found,) = block.deposits
        assert (found.outpoint, found.amount, found.memo) == (outpoint, AMOUNT, MEMO)
        assert (found.height, found.block_hash) == (chain.height(), block_hash)
        assert found.position == 1
        assert found.refund_script == script_of(PURSE)
        assert block.fee_rate == 0  # of a block that is far from full
        assert await watcher.mempool_deposits() == ()
        assert (await watcher.poll()).connected == ()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refund_goes_to_what_the_first_input_spent(chain: Chain, kind: Kind) -> None:
    """Catches a refund script that is guessed from the input: P2SH and P2PKH look different."""
    custody = key_of(f"blocks: from {kind}")
    sender = key_of(f"sender of {kind}")
    first, second = chain.coin(sender, kind), chain.coin(key_of("another sender"))
    async with watching(chain, custody) as watcher:
        change = first.amount + second.amount - AMOUNT - FEE
        outputs = [(AMOUNT, script_of(custody)), (0, data_script(MEMO))]
        raw, txid = signed([first, second], [*outputs, (change, script_of(PURSE))])
        chain.send(raw)
        assert await watcher.mempool_deposits() == (Outpoint(txid, 0),)
        chain.mine()
        ((found,),) = [b.deposits for b in (await caught_up(watcher)).connected]
        assert found.refund_script == script_of(sender, kind)


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_memo_counts_in_any_place(chain: Chain, place: int) -> None:
    """Catches a memo that is looked for in one place, and an output index that does not count it.

    A transaction may pay custody twice: both are deposits with this memo.
    """
    custody = key_of(f"blocks: memo {place}")
    coin = chain.coin()
    rest = coin.amount - 2 * AMOUNT - FEE
    outputs = [(AMOUNT, script_of(custody)), (AMOUNT, script_of(custody)), (rest, script_of(PURSE))]
    outputs.insert(place, (0, data_script(MEMO)))
    async with watching(chain, custody) as watcher:
        raw, txid = signed([coin], outputs)
        chain.send(raw)
        paid = [n for n, (_, script) in enumerate(outputs) if script == script_of(custody)]
        wanted = [Outpoint(txid, n) for n in paid]
        assert list(await watcher.mempool_deposits()) == wanted
        chain.mine()
        (block,) = (await caught_up(watcher)).connected
        assert [(d.outpoint, d.memo) for d in block.deposits] == [(o, MEMO) for o in wanted]


async def test_a_deposit_without_a_memo_has_none(chain: Chain) -> None:
    """Catches a memo that is carried over from another transaction of the block."""
    custody = key_of("blocks: no memo")
    async with watching(chain, custody) as watcher:
        chain.deposit(custody)
        outpoint = chain.pay(script_of(custody))
        chain.mine()
        found = {d.outpoint: d for b in (await caught_up(watcher)).connected for d in b.deposits}
        assert len(found) == 2
        assert found[outpoint].memo is None


async def test_a_miners_payment_to_custody_is_a_deposit(chain: Chain) -> None:
    """Catches a coinbase that is skipped, or that ends the scan for it spends no output.

    Each block of today commits to its witnesses in an OP_RETURN of the coinbase: that is no memo.
    """
    custody = key_of("blocks: coinbase")
    async with watching(chain, custody) as watcher:
        (block_hash,) = chain.mine(1, custody)
        (block,) = (await caught_up(watcher)).connected
        (found,) = block.deposits
        coinbase = chain.call("getblock", block_hash.hex(), 2)["tx"][0]
        assert found.outpoint.txid.hex() == coinbase["txid"]
        assert (found.position, found.memo, found.refund_script) == (0, None, None)


async def test_a_coinbase_deposit_says_when_it_can_be_spent(chain: Chain) -> None:
    """Catches custody that waits 100 blocks for one deposit, and pays nobody else meanwhile."""
    custody = key_of("blocks: maturity")
    async with watching(chain, custody) as watcher:
        chain.mine(1, custody)
        chain.deposit(custody)
        chain.mine()
        mined, paid = (d for b in (await caught_up(watcher)).connected for d in b.deposits)
        assert spendable_from(mined) == mined.height + 100
        assert spendable_from(paid) == paid.height + 1


async def test_the_price_is_that_of_full_blocks(chain: Chain) -> None:
    """Catches a fee rate that is bought with a few dear transactions in blocks that have room."""
    custody = key_of("blocks: price")
    async with watching(chain, custody) as watcher:
        for _ in range(9):
            coin = chain.coin()
            raw, _ = signed([coin], [(coin.amount - 600 * 111, script_of(PURSE))])
            chain.send(raw)
        chain.deposit(custody)
        (small,) = chain.mine()
        for _ in range(16):
            chain.send_bulk(3 * BULK_FEE)
        (full,) = chain.mine()
        found = {block.hash: block for block in (await caught_up(watcher)).connected}
        assert found[small].fee_rate == 0
        size = chain.call("getblock", full.hex())["size"]
        assert found[full].fee_rate == 16 * 3 * BULK_FEE // size


async def test_change_of_a_payout_is_no_deposit(chain: Chain) -> None:
    """Catches change that is taken for a deposit, which would be paid out again."""
    custody = key_of("blocks: change")
    async with watching(chain, custody) as watcher:
        outpoint = chain.deposit(custody)
        chain.mine()
        await caught_up(watcher)
        back = AMOUNT // 2
        outputs = [(AMOUNT - back - FEE, script_of(PURSE)), (back, script_of(custody))]
        raw, txid = signed([Coin(outpoint, AMOUNT, custody)], outputs)
        chain.send(raw)
        assert await watcher.mempool_deposits() == ()
        chain.mine()
        (block,) = (await caught_up(watcher)).connected
        assert block.deposits == ()
        assert [(c.outpoint, c.amount) for c in block.change] == [(Outpoint(txid, 1), back)]
        assert [(s.outpoint, s.txid) for s in block.spends] == [(outpoint, txid)]


@pytest.mark.parametrize("depth", [1, 4])
async def test_a_reorganisation_takes_back_and_gives_again(chain: Chain, depth: int) -> None:
    """Catches a cursor that keeps blocks which left the chain, or drops too many.

    The deposit goes back to the mempool, is mined anew, and the first branch comes back as well.
    """
    custody = key_of(f"blocks: reorganised {depth}")
    async with watching(chain, custody) as watcher:
        outpoint = chain.deposit(custody)
        first = chain.mine(depth)
        assert deposits_in((await caught_up(watcher)).connected) == [outpoint]
        chain.set_aside(first[0])
        gone = await watcher.poll()
        assert (gone.disconnected, gone.connected) == (tuple(reversed(first)), ())
        assert await watcher.mempool_deposits() == (outpoint,)
        (other,) = chain.mine()
        came = await caught_up(watcher)
        assert [block.hash for block in came.connected] == [other]
        assert deposits_in(came.connected) == [outpoint]
        chain.set_aside(other)
        chain.take_back(first[0])
        back = await caught_up(watcher)
        assert back.disconnected == (other,)
        assert [block.hash for block in back.connected] == first
        assert deposits_in(back.connected) == [outpoint]


async def test_a_reorganisation_can_double_spend_a_deposit(chain: Chain) -> None:
    """Catches a deposit that stays in the index after its coin was spent elsewhere.

    What is spent from it can then never be mined: the look-up says so.
    """
    custody = key_of("blocks: double-spent")
    async with watching(chain, custody) as watcher:
        coin = chain.coin()
        home = [(coin.amount - AMOUNT - FEE, script_of(PURSE))]
        raw, txid = signed([coin], [(AMOUNT, script_of(custody)), *home])
        deposit = Outpoint(txid, 0)
        chain.send(raw)
        (block,) = chain.mine()
        assert deposits_in((await caught_up(watcher)).connected) == [deposit]
        _, payout = signed([Coin(deposit, AMOUNT, custody)], [(AMOUNT - FEE, script_of(PURSE))])
        assert (await watcher.lookup(payout, [deposit])).state == "unknown"
        chain.set_aside(block)
        double, double_id = signed([coin], [(coin.amount - 5 * FEE, script_of(PURSE))])
        chain.send(double)
        chain.mine(2)
        update = await caught_up(watcher)
        assert update.disconnected == (block,)
        assert len(update.connected) == 2
        assert deposits_in(update.connected) == []
        assert await watcher.mempool_deposits() == ()
        assert (await watcher.lookup(payout, [deposit])).state == "replaced"
        assert (await watcher.lookup(double_id)).state == "included"
