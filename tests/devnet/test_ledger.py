"""The embedded chain: consensus, mempool, reorganisations, time, and its journal."""

from __future__ import annotations

from pathlib import Path

import pytest
from btclib.block import Block

from metanode.custody.types import Outpoint
from metanode.devnet.chain import POW_LIMIT_BITS
from metanode.devnet.faucet import (
    FAUCET_SCRIPT,
    STAKE_AGE_S,
    found_chain,
    pay_from_faucet,
)
from metanode.devnet.ledger import BLOCK_FILE_NAME, DevnetLedger
from metanode.devnet.types import DevnetError, RpcCode, UnspentCoin
from metanode.devnet.validation import parse_transaction
from metanode.errors import UserError
from spec.chains import CHAINS
from tests.devnet.support import COIN, NOW, founded_ledger, script_of, spend
from tests.support import key_of

USER = key_of("user")
OTHER = key_of("other")


def submit(ledger: DevnetLedger, raw: bytes) -> bytes:
    """Submit raw bytes as a client would."""
    return ledger.submit(parse_transaction(raw.hex()))


def coins(ledger: DevnetLedger) -> dict[tuple[bytes, int], tuple[int, bytes, int | None, bool]]:
    """Return the unspent coins as plain values."""

    def plain(coin: UnspentCoin) -> tuple[int, bytes, int | None, bool]:
        return (coin.amount, coin.script, coin.height, coin.coinbase)

    return {ref: plain(coin) for ref, coin in ledger.tree.coins.items()}


def funded(ledger: DevnetLedger, amount: int = COIN) -> Outpoint:
    """Give the user a confirmed coin."""
    paid = pay_from_faucet(ledger, [(amount, script_of(USER))])
    ledger.mine(FAUCET_SCRIPT)
    return Outpoint(paid.txid, 0)


def test_the_first_block_is_like_no_other() -> None:
    """Catches a node of the embedded chain that takes a real daemon's regtest for it."""
    ledger = DevnetLedger(lambda: NOW)
    assert ledger.tree.tip.hash == CHAINS["devnet"].genesis
    assert len({(chain.genesis, chain.daemon) for chain in CHAINS.values()}) == len(CHAINS)
    Block.parse(ledger.tree.tip.raw, check_validity=False).assert_valid(POW_LIMIT_BITS)
    assert ledger.tree.coins == {}


def test_blocks_are_valid_by_btclib() -> None:
    """Catches a block with a wrong merkle root, witness commitment, work or height."""
    ledger, _ = founded_ledger()
    funded(ledger)
    for node in (ledger.tree.tip, ledger.tree.active[1]):
        block = Block.parse(node.raw, check_validity=False)
        block.assert_valid(POW_LIMIT_BITS)
        block.assert_valid_coinbase_height(node.height)


def test_stakes_are_73_hours_old_and_the_tip_is_now() -> None:
    """Catches a devnet on which the real 72 h rule cannot be met, or whose median time lags."""
    ledger, (stake,) = founded_ledger(((script_of(USER), COIN),))
    mined = ledger.tree.coins[(stake.txid, stake.index)]
    assert mined.height is not None
    tip = ledger.tree.tip
    age = tip.median_time - ledger.tree.active[mined.height].time
    assert STAKE_AGE_S <= age < STAKE_AGE_S + 600
    assert abs(tip.median_time - NOW) < 60


def test_median_time_only_grows() -> None:
    """Catches a block dated before the median of the eleven before it."""
    ledger, _ = founded_ledger()
    ledger.set_mock_time(NOW - 1000)
    for _ in range(15):
        parent = ledger.tree.tip
        node = ledger.mine(FAUCET_SCRIPT)
        assert node.time > parent.median_time
        assert node.median_time >= parent.median_time


def test_coinbase_needs_a_hundred_blocks() -> None:
    """Catches coins from nowhere: a coinbase that is spent at once."""
    ledger = DevnetLedger(lambda: NOW)
    node = ledger.mine(script_of(USER))
    coinbase = ledger.tree.transactions(node)[0]
    payments = [(50 * COIN - 1000, script_of(USER))]
    raw, _ = spend(USER, [(Outpoint(coinbase.txid, 0), 50 * COIN)], payments)
    for _ in range(98):
        ledger.mine(FAUCET_SCRIPT)
    with pytest.raises(DevnetError, match="premature"):
        submit(ledger, raw)
    ledger.mine(FAUCET_SCRIPT)
    submit(ledger, raw)


def test_disconnect_restores_every_coin() -> None:
    """Catches an undo that loses or invents coins, also when a block spends its own outputs."""
    ledger, _ = founded_ledger()
    outpoint = funded(ledger)
    before = coins(ledger)
    first, first_id = spend(USER, [(outpoint, COIN)], [(COIN - 1000, script_of(OTHER))])
    second, _ = spend(
        OTHER, [(Outpoint(first_id, 0), COIN - 1000)], [(COIN - 2000, script_of(USER))]
    )
    submit(ledger, first)
    submit(ledger, second)
    node = ledger.mine(FAUCET_SCRIPT)
    after = coins(ledger)
    assert node.transaction_count == 3
    ledger.invalidate(node.hash)
    assert coins(ledger) == before
    assert len(ledger.mempool.entries) == 2
    ledger.reconsider(node.hash)
    assert coins(ledger) == after
    assert ledger.mempool.entries == {}


def test_longest_branch_wins_and_the_first_one_ties() -> None:
    """Catches a reorganisation to a branch that is not longer, or none to one that is."""
    ledger, _ = founded_ledger()
    fork = ledger.tree.tip
    old = [ledger.mine(FAUCET_SCRIPT) for _ in range(2)]
    ledger.invalidate(old[0].hash)
    assert ledger.tree.tip is fork
    new = [ledger.mine(FAUCET_SCRIPT) for _ in range(2)]
    ledger.reconsider(old[0].hash)
    assert ledger.tree.tip is new[1]
    assert {node.hash for node in ledger.tree.tips()} == {old[1].hash, new[1].hash}
    ledger.invalidate(new[1].hash)
    assert ledger.tree.tip is old[1]
    ledger.reconsider(new[0].hash)
    assert ledger.tree.tip is old[1]


def test_conflict_in_a_new_branch_drops_the_old_payment() -> None:
    """Catches a mempool that keeps a payment whose coin the new branch spends otherwise."""
    ledger, _ = founded_ledger()
    outpoint = funded(ledger)
    first, first_id = spend(USER, [(outpoint, COIN)], [(COIN - 1000, script_of(OTHER))])
    second, second_id = spend(USER, [(outpoint, COIN)], [(COIN - 9000, script_of(USER))])
    submit(ledger, first)
    stale = ledger.mine(FAUCET_SCRIPT)
    ledger.invalidate(stale.hash)
    assert first_id in ledger.mempool.entries
    submit(ledger, second)  # pays more, and the first one opted in to replacement
    assert set(ledger.mempool.entries) == {second_id}
    ledger.mine(FAUCET_SCRIPT)
    ledger.mine(FAUCET_SCRIPT)
    with pytest.raises(DevnetError) as refusal:
        submit(ledger, first)
    assert refusal.value.code == RpcCode.VERIFY_ERROR
    ledger.invalidate(ledger.tree.tip.hash)
    ledger.invalidate(ledger.tree.tip.hash)
    ledger.reconsider(stale.hash)
    assert ledger.tree.tip is stale
    assert ledger.mempool.entries == {}
    assert (outpoint.txid, outpoint.index) not in ledger.tree.coins


def test_replacement_needs_a_higher_fee_and_takes_the_children_along() -> None:
    """Catches a free replacement, and a child that stays without its parent."""
    ledger, _ = founded_ledger()
    outpoint = funded(ledger)
    parent, parent_id = spend(USER, [(outpoint, COIN)], [(COIN - 1000, script_of(OTHER))])
    child, _ = spend(
        OTHER, [(Outpoint(parent_id, 0), COIN - 1000)], [(COIN - 3000, script_of(USER))]
    )
    submit(ledger, parent)
    submit(ledger, child)
    for fee in (1000, 1001, 3000):
        cheap, _ = spend(USER, [(outpoint, COIN)], [(COIN - fee, script_of(USER))])
        with pytest.raises(DevnetError, match="insufficient fee"):
            submit(ledger, cheap)
    rich, rich_id = spend(USER, [(outpoint, COIN)], [(COIN - 5000, script_of(USER))])
    submit(ledger, rich)
    assert set(ledger.mempool.entries) == {rich_id}


def test_fee_percentiles_of_a_block() -> None:
    """Catches a fee rate that is not the median by size, or is not zero for an empty block."""
    ledger, _ = founded_ledger()
    assert ledger.mine(FAUCET_SCRIPT).fee_rates == (0, 0, 0, 0, 0)
    outpoints = [funded(ledger) for _ in range(3)]
    for outpoint, rate in zip(outpoints, (3, 5, 9), strict=True):
        fee = 110 * rate + 5
        submit(ledger, spend(USER, [(outpoint, COIN)], [(COIN - fee, script_of(USER))])[0])
    assert ledger.mine(FAUCET_SCRIPT).fee_rates == (3, 3, 5, 9, 9)


def test_same_transaction_twice() -> None:
    """Catches a code that differs from Bitcoin Core's for a transaction that is there already."""
    ledger, _ = founded_ledger()
    raw, txid = spend(USER, [(funded(ledger), COIN)], [(COIN - 1000, script_of(USER))])
    assert submit(ledger, raw) == txid == submit(ledger, raw)
    ledger.mine(FAUCET_SCRIPT)
    with pytest.raises(DevnetError) as refusal:
        submit(ledger, raw)
    assert refusal.value.code == RpcCode.ALREADY_IN_UTXO_SET


def test_faucet_runs_dry_with_a_clear_error() -> None:
    """Catches a faucet that overspends."""
    ledger, _ = founded_ledger()
    with pytest.raises(DevnetError) as refusal:
        pay_from_faucet(ledger, [(10_000 * COIN, FAUCET_SCRIPT)])
    assert refusal.value.code == RpcCode.INSUFFICIENT_FUNDS


def test_reload_is_the_same_chain(tmp_path: Path) -> None:
    """Catches a restart that loses blocks, coins, branches or what was set aside."""
    ledger, _ = founded_ledger(((script_of(USER), COIN),), tmp_path)
    stale = [ledger.mine(FAUCET_SCRIPT) for _ in range(3)]
    ledger.invalidate(stale[1].hash)
    funded(ledger)
    ledger.mine(FAUCET_SCRIPT)
    ledger.mine(FAUCET_SCRIPT)
    pay_from_faucet(ledger, [(COIN, script_of(USER))])  # unconfirmed: forgotten
    expected = (ledger.tree.tip.hash, coins(ledger), set(ledger.tree.nodes))
    rates = [node.fee_rates for node in ledger.tree.active]
    ledger.close()
    again = DevnetLedger(lambda: NOW, tmp_path)
    assert (again.tree.tip.hash, coins(again), set(again.tree.nodes)) == expected
    assert [node.fee_rates for node in again.tree.active] == rates
    assert again.mempool.entries == {}
    again.reconsider(stale[1].hash)
    assert again.tree.tip.hash == expected[0]
    again.mine(FAUCET_SCRIPT)
    again.close()


def test_founding_is_all_or_nothing(tmp_path: Path) -> None:
    """Catches a folder with half a chain, and a founding that overwrites something."""
    home = tmp_path / "chain"
    (tmp_path / "chain.new").mkdir()
    (tmp_path / "chain.new" / BLOCK_FILE_NAME).write_bytes(b"left by a crash")
    stakes = [(script_of(USER), COIN), (script_of(OTHER), 2 * COIN)]
    outpoints = found_chain(home, stakes, NOW)
    assert [path.name for path in tmp_path.iterdir()] == ["chain"]
    ledger = DevnetLedger(lambda: NOW, home)
    found = [ledger.tree.coins[(o.txid, o.index)] for o in outpoints]
    assert [(coin.script, coin.amount) for coin in found] == stakes
    ledger.close()
    with pytest.raises(UserError, match="not empty"):
        found_chain(home, stakes, NOW)
