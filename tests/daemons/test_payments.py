"""Stakes, broadcasts and look-ups on the embedded chain and on a real daemon."""

from __future__ import annotations

import math

import pytest

from metanode.chains.base import StakeVerdict
from metanode.chains.bitcoin import BitcoinAdapter
from metanode.custody.transaction import virtual_size
from metanode.custody.types import Outpoint
from tests.daemons.coins import FEE, Coin, Kind, script_of, signed
from tests.daemons.support import AMOUNT, COIN, PURSE, Chain, adapter, refusal, sent
from tests.support import key_of

pytestmark = pytest.mark.anyio

OWNER = key_of("owner of a stake")
PAYEE = key_of("payee")


async def judged(
    watcher: BitcoinAdapter, stake: Outpoint, minimum: int = AMOUNT, age_s: int = 0
) -> StakeVerdict:
    """Judge an output as the owner's stake."""
    return await watcher.check_stake(stake, OWNER.public_key.format(), minimum, age_s)


def age_of(chain: Chain, height: int) -> int:
    """Return how old a block's coins are by the chain's own time."""
    tip = chain.call("getblockheader", chain.call("getbestblockhash"))
    made = chain.call("getblockheader", chain.call("getblockhash", height))
    return int(tip["mediantime"] - made["time"])


async def test_a_stake_is_judged_by_the_chain(chain: Chain) -> None:
    """Catches a verdict that is off by one block, one unit or one second, and a wrong seniority."""
    async with adapter(chain, stake_confirmations=2) as watcher:
        stake = chain.pay(script_of(OWNER))
        assert (await judged(watcher, stake)).reason == "unconfirmed"
        chain.mine()
        height = chain.height()
        assert (await judged(watcher, stake)).reason == "unconfirmed"
        chain.mine(12)
        age = age_of(chain, height)
        assert age > 0
        found = await judged(watcher, stake, AMOUNT, age)
        assert found == StakeVerdict(True, "ok", AMOUNT, age, height, found.since)
        assert found.since > 0
        assert await judged(watcher, stake, AMOUNT, age + 1) == StakeVerdict(
            False, "young", AMOUNT, age
        )
        assert await judged(watcher, stake, AMOUNT + 1) == StakeVerdict(False, "short", AMOUNT)


async def test_a_stake_of_others_or_of_nobody_is_none(chain: Chain) -> None:
    """Catches a stake that is accepted although another owns it, or it does not exist."""
    foreign, wrapped = chain.coin(PAYEE), chain.coin(OWNER, "p2sh-p2wpkh")
    async with adapter(chain) as watcher:
        assert (await judged(watcher, foreign.outpoint)).reason == "foreign"
        assert (await judged(watcher, wrapped.outpoint)).reason == "foreign"
        assert (await judged(watcher, Outpoint(bytes(32), 0))).reason == "spent"
        assert (await judged(watcher, Outpoint(foreign.outpoint.txid, 7))).reason == "spent"


async def test_a_stake_is_spent_when_its_spend_waits(chain: Chain) -> None:
    """Catches a stake that counts until its spend is mined."""
    stake = chain.coin(OWNER)
    chain.mine(12)
    async with adapter(chain) as watcher:
        assert (await judged(watcher, stake.outpoint)).ok
        raw, _ = signed([stake], [(stake.amount - FEE, script_of(PAYEE))])
        chain.send(raw)
        assert (await judged(watcher, stake.outpoint)).reason == "spent"
        chain.mine()
        assert (await judged(watcher, stake.outpoint)).reason == "spent"


async def test_a_payment_goes_from_sent_to_final(chain: Chain) -> None:
    """Catches a retry after a lost reply that is taken for a failure, mined (-27) or not."""
    async with adapter(chain) as watcher:
        coin = chain.coin()
        raw, txid = signed([coin], [(coin.amount - FEE, script_of(PAYEE))])
        assert (await watcher.lookup(txid)).state == "unknown"
        assert (await watcher.lookup(txid, [coin.outpoint])).state == "unknown"
        assert await sent(watcher, raw, txid) == "sent"
        assert await sent(watcher, raw, txid) == "known"
        assert (await watcher.lookup(txid, [coin.outpoint])).state == "pending"
        chain.mine()
        height = chain.height()
        assert await sent(watcher, raw, txid) == "known"
        for confirmations, state in ((1, "included"), (2, "included"), (3, "final")):
            found = await watcher.lookup(txid, [coin.outpoint])
            assert (found.state, found.confirmations, found.height) == (
                state, confirmations, height
            )
            chain.mine()


async def test_a_payment_is_known_when_its_outputs_are_spent(chain: Chain) -> None:
    """Catches a payout that is lost from sight because nothing of it is unspent any more."""
    async with adapter(chain) as watcher:
        coin = chain.coin()
        raw, txid = signed([coin], [(coin.amount - FEE, script_of(PAYEE))])
        chain.send(raw)
        chain.mine()
        spent, _ = signed(
            [Coin(Outpoint(txid, 0), coin.amount - FEE, PAYEE)],
            [(coin.amount - 2 * FEE, script_of(PURSE))],
        )
        chain.send(spent)
        chain.mine()
        assert (await watcher.lookup(txid, [coin.outpoint])).state == "included"
        assert await sent(watcher, raw, txid) == "known"


async def test_a_double_spend_is_a_conflict(chain: Chain) -> None:
    """Catches a double spend that is reported as sent, or as merely rejected."""
    async with adapter(chain) as watcher:
        coin = chain.coin()
        first, first_id = signed([coin], [(coin.amount - 2 * FEE, script_of(PAYEE))])
        second, second_id = signed([coin], [(coin.amount - FEE, script_of(OWNER))])
        assert await sent(watcher, first, first_id) == "sent"
        assert await sent(watcher, second, second_id) == "conflict"
        chain.mine()
        assert await sent(watcher, second, second_id) == "conflict"
        assert (await watcher.lookup(second_id)).state == "unknown"
        assert (await watcher.lookup(second_id, [coin.outpoint])).state == "replaced"
        assert (await watcher.lookup(first_id, [coin.outpoint])).state == "included"


REFUSED = [
    ("fee", "fee"),
    ("dust", "dust"),
    ("signature", "script"),
    ("immature", "coinbase"),
]


def refused(chain: Chain, why: str) -> tuple[bytes, bytes, Outpoint]:
    """Return a transaction that no daemon takes (raw, txid), and what it spends."""
    coin = chain.coin()
    payee = script_of(PAYEE)
    if why == "fee":
        raw, txid = signed([coin], [(coin.amount - 1, payee)])
    elif why == "dust":
        raw, txid = signed([coin], [(200, payee), (coin.amount - FEE, payee)])
    elif why == "signature":
        raw, txid = signed([coin], [(coin.amount - FEE, payee)])
        raw = raw.replace(coin.key.public_key.format(), PAYEE.public_key.format())
    else:
        (block,) = chain.mine()
        coinbase = chain.call("getblock", block.hex(), 2)["tx"][0]
        out = next(o for o in coinbase["vout"] if o["value"] > 0)
        amount = int(out["value"] * COIN)
        coin = Coin(Outpoint(bytes.fromhex(coinbase["txid"]), out["n"]), amount, PURSE)
        raw, txid = signed([coin], [(amount - FEE, payee)])
    return raw, txid, coin.outpoint


@pytest.mark.parametrize("why", [why for why, _ in REFUSED])
async def test_what_no_daemon_takes_is_rejected(chain: Chain, why: str) -> None:
    """Catches a refusal that is taken for a conflict or an outage: its coin is still unspent."""
    async with adapter(chain) as watcher:
        raw, txid, spent = refused(chain, why)
        assert await sent(watcher, raw, txid) == "rejected"
        assert (await watcher.lookup(txid, [spent])).state == "unknown"


@pytest.mark.parametrize(("why", "word"), REFUSED)
async def test_a_refusal_keeps_its_reason(chain: Chain, why: str, word: str) -> None:
    """Catches a payout that waits for ever without a word of what the daemon has against it."""
    async with adapter(chain) as watcher:
        raw, txid, _ = refused(chain, why)
        assert word in await refusal(watcher, raw, txid)


async def test_a_reorganised_payment_waits_again(chain: Chain) -> None:
    """Catches a status that stays included after its block left the chain."""
    async with adapter(chain) as watcher:
        coin = chain.coin()
        raw, txid = signed([coin], [(coin.amount - FEE, script_of(PAYEE))])
        await sent(watcher, raw, txid)
        (block,) = chain.mine()
        assert (await watcher.lookup(txid)).state == "included"
        chain.set_aside(block)
        assert (await watcher.lookup(txid)).state == "pending"


async def test_a_dearer_payment_replaces_a_waiting_one(chain: Chain) -> None:
    """Catches a payout that is thought to wait although a dearer one of the same coins does."""
    async with adapter(chain) as watcher:
        coin = chain.coin()
        first, first_id = signed([coin], [(coin.amount - FEE, script_of(PAYEE))])
        second, second_id = signed([coin], [(coin.amount - 5 * FEE, script_of(PAYEE))])
        assert await sent(watcher, first, first_id) == "sent"
        assert await sent(watcher, second, second_id) == "sent"
        assert (await watcher.lookup(first_id, [coin.outpoint])).state == "replaced"
        assert (await watcher.lookup(second_id, [coin.outpoint])).state == "pending"


STALE_INDEX = "an index keeps what left the chain: no confirmations, and not in the mempool"


async def reorganised_away(chain: Chain) -> tuple[bytes, bytes, Coin]:
    """Mine a payment, reorganise it away, and spend its coin otherwise: return raw, id and coin."""
    coin = chain.coin()
    raw, txid = signed([coin], [(coin.amount - FEE, script_of(PAYEE))])
    chain.send(raw)
    (block,) = chain.mine()
    chain.set_aside(block)
    double, _ = signed([coin], [(coin.amount - 5 * FEE, script_of(PURSE))])
    chain.send(double)
    chain.mine(2)
    return raw, txid, coin


async def test_a_payment_that_was_reorganised_away_is_replaced(chain: Chain) -> None:
    """Catches a payout that waits for ever for a transaction which is nowhere, and can never be."""
    async with adapter(chain) as watcher:
        _, txid, coin = await reorganised_away(chain)
        assert (await watcher.lookup(txid)).state == "unknown"
        assert (await watcher.lookup(txid, [coin.outpoint])).state == "replaced"


async def test_a_payment_that_was_reorganised_away_is_a_conflict(chain: Chain) -> None:
    """Catches a broadcast that calls a transaction known which the daemon has just refused."""
    async with adapter(chain) as watcher:
        raw, txid, _ = await reorganised_away(chain)
        assert await sent(watcher, raw, txid) == "conflict"


DUST = {"bcrt": {"p2pkh": 546, "p2wpkh": 294}, "rltc": {"p2pkh": 5_460, "p2wpkh": 2_940}}
"""The least amounts that daemons relay: Litecoin's are ten times Bitcoin's."""


@pytest.mark.parametrize("kind", ["p2pkh", "p2wpkh"])
async def test_dust_is_what_this_chain_calls_dust(chain: Chain, kind: Kind) -> None:
    """Catches a payout with an output that this chain's daemons never relay, a unit too small."""
    least = DUST[chain.hrp][kind]
    async with adapter(chain) as watcher:
        coin = chain.coin()
        for amount, outcome in ((least - 1, "rejected"), (least, "sent")):
            rest = coin.amount - FEE - amount
            outputs = [(amount, script_of(PAYEE, kind)), (rest, script_of(PURSE))]
            assert await sent(watcher, *signed([coin], outputs)) == outcome


async def test_the_least_fee_is_what_the_daemon_says(chain: Chain) -> None:
    """Catches a size that daemons count otherwise, and an embedded chain that is lenient."""
    rate = chain.call("getnetworkinfo")["relayfee"] * COIN / 1000
    async with adapter(chain) as watcher:
        coin = chain.coin()
        least = math.ceil(rate * virtual_size(1, [script_of(PAYEE)]))
        for fee, outcome in ((least - 2, "rejected"), (least, "sent")):
            raw, txid = signed([coin], [(coin.amount - fee, script_of(PAYEE))])
            assert await sent(watcher, raw, txid) == outcome
