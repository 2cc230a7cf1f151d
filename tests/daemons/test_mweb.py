"""Litecoin's MWEB: coins without scripts, in the mempool and in blocks beside ordinary deposits.

A wallet moves coins in (peg-in), on (no transparent part at all) and out (peg-out). The daemon
prints outputs without ``scriptPubKey`` and inputs without ``txid`` while they wait; in a block, an
integrating transaction spends the peg-ins, pays the peg-outs, and holds the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from attrs import frozen

from tests.daemons.coins import FEE, Coin, script_of, signed
from tests.daemons.support import (
    AMOUNT,
    MEMO,
    PURSE,
    Chain,
    caught_up,
    deposits_in,
    sent,
    spendable_from,
    watching,
)
from tests.support import key_of

pytestmark = pytest.mark.anyio

MATURITY = 6  # blocks until a peg-out can be spent (litecoin, PEGOUT_MATURITY)
OPEN, HIDDEN = "open", "hidden"  # wallets: of scripts only, and of MWEB coins only
NO_SCRIPT = "an MWEB output in the mempool has no scriptPubKey: KeyError ends the node"
Send = Callable[["Mweb"], str]


@frozen
class Mweb:
    """A chain, and the two wallets that move coins across its border."""

    chain: Chain

    def send(self, wallet: str, address: str, amount: int, *, whole: bool = False) -> str:
        """Send coins of a wallet, the fee out of them if they are ``whole``; return the id."""
        coins = Decimal(amount).scaleb(-8)
        asked = (address, coins, "", "", whole)
        return str(self.chain.server.call("sendtoaddress", *asked, wallet=wallet))

    def hidden_address(self) -> str:
        """Return a new MWEB address."""
        return str(self.chain.server.call("getnewaddress", "", "mweb", wallet=HIDDEN))

    def peg_in(self, amount: int = AMOUNT) -> str:
        """Move coins into MWEB, all that the wallet has: its change would be MWEB coins."""
        address = self.chain.server.call("getnewaddress", wallet=OPEN)
        told = self.chain.server.call("getaddressinfo", address, wallet=OPEN)
        self.chain.pay(bytes.fromhex(told["scriptPubKey"]), amount)
        self.chain.mine()
        return self.send(OPEN, self.hidden_address(), amount, whole=True)

    def pass_on(self) -> str:
        """Pay from one MWEB address to another."""
        return self.send(HIDDEN, self.hidden_address(), AMOUNT // 2)

    def peg_out(self, address: str | None = None) -> str:
        """Pay out of MWEB to an address, a stranger's if none is given."""
        return self.send(HIDDEN, address or self.chain.address(PURSE), AMOUNT // 2)


@pytest.fixture(scope="module")
def wallets(daemon: Chain) -> None:
    """Give both wallets coins, once."""
    if daemon.has_mweb:
        for name in (OPEN, HIDDEN):
            daemon.server.call("createwallet", name)
        for _ in range(3):
            Mweb(daemon).peg_in(4 * AMOUNT)
        daemon.mine()


@pytest.fixture
def mweb(wallets: None, litecoin: Chain) -> Mweb:
    """Return a chain with MWEB transactions to make."""
    return Mweb(litecoin)


WAYS: dict[str, Send] = {"peg-in": Mweb.peg_in, "passed on": Mweb.pass_on, "peg-out": Mweb.peg_out}


@pytest.mark.parametrize("way", WAYS)
async def test_mweb_in_the_mempool_hides_no_deposit(
    mweb: Mweb, way: str
) -> None:
    """Catches a node that ends, or that sees no deposits, while somebody else uses MWEB."""
    custody = key_of(f"mweb: mempool, {way}")
    async with watching(mweb.chain, custody) as watcher:
        WAYS[way](mweb)
        outpoint = mweb.chain.deposit(custody)
        assert await watcher.mempool_deposits() == (outpoint,)
        assert await watcher.mempool_deposits() == (outpoint,)


@pytest.mark.parametrize("way", WAYS)
async def test_mweb_in_a_block_hides_no_deposit(mweb: Mweb, way: str) -> None:
    """Catches a block with an integrating transaction that cannot be read, or shifts places."""
    custody = key_of(f"mweb: block, {way}")
    async with watching(mweb.chain, custody) as watcher:
        WAYS[way](mweb)
        outpoint = mweb.chain.deposit(custody)
        mweb.chain.mine()
        block = (await caught_up(watcher)).connected[-1]
        assert deposits_in([block]) == [outpoint]
        assert block.deposits[0].memo == MEMO
        assert block.deposits[0].refund_script == script_of(PURSE)


@pytest.mark.parametrize("way", WAYS)
async def test_an_mweb_transaction_is_looked_up(mweb: Mweb, way: str) -> None:
    """Catches a look-up that fails on a transaction without scripts; once mined, it has no id."""
    custody = key_of("mweb: look-up")
    async with watching(mweb.chain, custody) as watcher:
        txid = bytes.fromhex(WAYS[way](mweb))
        assert (await watcher.lookup(txid)).state == "pending"
        mweb.chain.mine()
        mined = "included" if way == "peg-in" else "unknown"
        assert (await watcher.lookup(txid)).state == mined


async def test_a_peg_out_to_custody_is_a_deposit(mweb: Mweb) -> None:
    """Catches a deposit out of MWEB that is lost: only the integrating transaction pays it."""
    custody = key_of("mweb: deposit")
    async with watching(mweb.chain, custody) as watcher:
        mweb.peg_out(mweb.chain.address(custody))
        (block_hash,) = mweb.chain.mine()
        (block,) = (await caught_up(watcher)).connected
        (found,) = block.deposits
        integrating = mweb.chain.call("getblock", block_hash.hex(), 2)["tx"][-1]
        assert found.outpoint.txid.hex() == integrating["txid"]
        assert (found.amount, found.memo) == (AMOUNT // 2, None)


async def test_a_peg_out_has_no_sender(mweb: Mweb) -> None:
    """Catches a refund to the chain's own MWEB output, from which nobody could take it."""
    custody = key_of("mweb: sender")
    async with watching(mweb.chain, custody) as watcher:
        mweb.peg_out(mweb.chain.address(custody))
        mweb.chain.mine()
        (block,) = (await caught_up(watcher)).connected
        assert block.deposits[0].refund_script is None


async def test_a_peg_out_cannot_be_spent_at_once(mweb: Mweb) -> None:
    """Catches a change of the daemon's rule for which custody must wait: six blocks, here too."""
    custody = key_of("mweb: maturity")
    async with watching(mweb.chain, custody) as watcher:
        mweb.peg_out(mweb.chain.address(custody))
        mweb.chain.mine()
        (block,) = (await caught_up(watcher)).connected
        (found,) = block.deposits
        raw, txid = signed(
            [Coin(found.outpoint, found.amount, custody)],
            [(found.amount - FEE, script_of(PURSE))],
        )
        for _ in range(MATURITY - 1):
            assert await sent(watcher, raw, txid) == "rejected"
            mweb.chain.mine()
        assert await sent(watcher, raw, txid) == "sent"


async def test_a_peg_out_says_when_it_can_be_spent(mweb: Mweb) -> None:
    """Catches custody that builds a payout with a peg-out that no daemon lets it spend yet."""
    custody = key_of("mweb: spendable")
    async with watching(mweb.chain, custody) as watcher:
        mweb.peg_out(mweb.chain.address(custody))
        mweb.chain.mine()
        (block,) = (await caught_up(watcher)).connected
        (found,) = block.deposits
        assert spendable_from(found) == found.height + MATURITY


async def test_a_reorganisation_with_mweb_gives_the_deposit_again(mweb: Mweb) -> None:
    """Catches an integrating transaction whose id is taken for that of the branch before.

    A peg-out that is mined anew has another id: the first deposit is gone, another one came.
    """
    custody = key_of("mweb: reorganised")
    async with watching(mweb.chain, custody) as watcher:
        mweb.peg_out(mweb.chain.address(custody))
        (first,) = mweb.chain.mine()
        before = deposits_in((await caught_up(watcher)).connected)
        mweb.chain.set_aside(first)
        mweb.pass_on()
        mweb.chain.mine()
        update = await caught_up(watcher)
        assert update.disconnected == (first,)
        after = deposits_in(update.connected)
        assert len(before) == len(after) == 1
        assert before != after

