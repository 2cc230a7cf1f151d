"""The payout: same bytes everywhere, no coin lost or made, every deposit an input."""

from __future__ import annotations

import random

import pytest
from btclib.script.engine import verify_transaction
from btclib.tx import Tx, TxOut
from hypothesis import given
from hypothesis import strategies as st

from metanode.custody.errors import Unpayable
from metanode.custody.payout import (
    attach,
    custody_address,
    decode_document,
    document_digest,
    payable_transfers,
    payout_event,
    roster_checksum,
)
from metanode.custody.policy import CustodyPolicy
from metanode.custody.scripts import data_script, key_script, script_of_address
from metanode.custody.transaction import virtual_size
from metanode.custody.types import Coin, Outpoint, Snapshot
from metanode.devnet.validation import STANDARD_FLAGS
from metanode.errors import LocalFault
from tests.custody.support import (
    COIN,
    CUSTODY,
    HOME,
    HRP,
    KEY_ID,
    NETWORK_ID,
    ROSTER,
    coin,
    deposit,
    ident,
    payout,
    policy,
    public,
    signatures_of,
    snapshot_of,
    transfers_of,
)

USER_SCRIPT = key_script(public("user"))
PAYEE_SCRIPT = key_script(public("payee"))


@st.composite
def situations(draw: st.DrawFn) -> tuple[Snapshot, CustodyPolicy, tuple[bytes, ...]]:
    """Draw deposits and change, a policy, and a roster."""
    good_memo = b"pay:" + custody_address(public("payee"), HRP).encode()
    amounts = draw(st.lists(st.integers(10_000, 50 * COIN), min_size=1, max_size=8))
    found = []
    for i, amount in enumerate(amounts):
        memo = draw(st.sampled_from([good_memo, None, b"?"]))
        height = draw(st.integers(1, 50))
        found.append(deposit(f"d{i}", amount, height=height, position=i, memo=memo))
    change = tuple(
        coin(f"c{i}", amount, height=draw(st.integers(1, 50)))
        for i, amount in enumerate(draw(st.lists(st.integers(1, COIN), max_size=4)))
    )
    rules = policy(
        service_fee_bps=draw(st.integers(0, 5000)),
        refund_cost=draw(st.integers(0, 5000)),
        reserve_bps=draw(st.integers(0, 10_000)),
        change_inputs=draw(st.integers(0, 3)),
        transfers_per_payout=draw(st.integers(1, 8)),
    )
    roster = ROSTER[: draw(st.integers(1, 4))]
    snapshot = snapshot_of(found, change, fee_rate=draw(st.integers(1, 100)))
    return snapshot, rules, roster


@given(situations(), st.randoms(use_true_random=False))
def test_money_is_conserved_and_order_does_not_matter(
    situation: tuple[Snapshot, CustodyPolicy, tuple[bytes, ...]], shuffler: random.Random
) -> None:
    """Catches a payout that makes or loses coins, underpays the miner, or differs by node."""
    snapshot, rules, roster = situation
    transfers = payable_transfers(
        snapshot, transfers_of(snapshot, rules), rules, snapshot.fee_rate
    )
    if not transfers:
        return
    document = payout(snapshot, transfers, rules, roster)
    built = document.transaction
    total_in = sum(i.amount for i in built.inputs)
    assert total_in == sum(o.amount for o in built.outputs) + built.fee
    size = virtual_size(len(built.inputs), [o.script for o in built.outputs])
    assert built.fee >= snapshot.fee_rate * size
    # What is beyond the rate is less than one change output and its own bytes would be.
    assert built.fee < snapshot.fee_rate * (size + 31) + rules.dust_limit(HOME)
    data = [o for o in built.outputs if o.amount < rules.dust_limit(o.script)]
    assert [(o.amount, o.script) for o in data] == [(0, data_script(document.commitment))]

    inputs = [i.outpoint for i in built.inputs]
    assert inputs == sorted(set(inputs))
    assert {t.deposit.outpoint for t in transfers} <= set(inputs)
    for transfer, output in zip(transfers, built.outputs, strict=False):
        assert output.script == transfer.script
        assert output.amount < transfer.deposit.amount
    homes = [position for position, o in enumerate(built.outputs) if o.script == HOME]
    assert homes in ([], [len(built.outputs) - 1])

    # Another node: everything arrives in another order.
    shuffled, members, change = list(transfers), list(roster), list(snapshot.change)
    for items in (shuffled, members, change):
        shuffler.shuffle(items)
    elsewhere = snapshot_of(list(snapshot.deposits), tuple(change), snapshot.fee_rate)
    other = payout(elsewhere, tuple(shuffled), rules, tuple(members))
    assert other.encode() == document.encode()
    assert other.digest == document.digest == document_digest(document.encode())


def test_amounts_of_a_small_example() -> None:
    """Catches any change in who gets what; worked out by hand below."""
    found = [deposit("a", 1_000_000, height=1), deposit("b", 500_000, height=2, memo=b"?")]
    swept = coin("old change", 40_000, height=0)
    snapshot = snapshot_of(found, (swept,), fee_rate=10)
    rules = policy(service_fee_bps=200, refund_cost=3_000, reserve_bps=1000)
    document = payout(snapshot, transfers_of(snapshot, rules), rules)
    built = document.transaction

    # Two inputs, payee, user, event and change: 10.5 + 2*68 + 31*2 + 43 + 31 = 282.5, so 283 vB,
    # 2830 in all, 1415 each: below both charges.
    payee, user = built.outputs[:2]
    assert (payee.amount, payee.script) == (1_000_000 - 20_000, PAYEE_SCRIPT)
    assert (user.amount, user.script) == (500_000 - 3_000, USER_SCRIPT)

    # Profit: 23 000 less 10 * 407 (282.5 + 4*31 = 406.5 vB) is 18 930. 90 % of it is 17 037, and a
    # quarter of that 4 259.
    rewards = built.outputs[2:6]
    assert [(o.amount, o.script) for o in rewards] == [
        (4_259, key_script(node_id)) for node_id in sorted(ROSTER)
    ]
    assert built.outputs[6].script == data_script(document.commitment)
    # Fee: three inputs, 474.5, so 475 vB. Change: the rest.
    assert built.fee == 4_750
    assert built.outputs[7].amount == 1_540_000 - 980_000 - 497_000 - 4 * 4_259 - 4_750
    assert built.outputs[7].script == HOME
    assert len(built.outputs) == 8


def test_dust_rewards_stay_as_change() -> None:
    """Catches an output of a few satoshi, which no node would relay."""
    snapshot = snapshot_of([deposit("a", 120_000)], (coin("change", 5_000, height=0),), fee_rate=1)
    document = payout(snapshot, transfers_of(snapshot, policy()), policy())
    scripts = [o.script for o in document.transaction.outputs]
    assert scripts == [PAYEE_SCRIPT, data_script(document.commitment), HOME]
    assert document.transaction.outputs[-1].amount > 5_000


def test_dust_change_goes_to_the_miner() -> None:
    """Catches a change output of a few satoshi."""
    snapshot = snapshot_of([deposit("a", 20_000)], fee_rate=1)
    rules = policy(service_fee_bps=0)
    document = payout(snapshot, transfers_of(snapshot, rules), rules)
    assert [o.script for o in document.transaction.outputs] == [
        PAYEE_SCRIPT,
        data_script(document.commitment),
    ]


def test_worthless_change_is_left_alone() -> None:
    """Catches a payout that pays more for an input than the input brings in."""
    tiny, oldest, newer = coin("tiny", 690), coin("oldest", 691, 1), coin("newer", COIN, 2)
    snapshot = snapshot_of([deposit("a", height=3)], (newer, tiny, oldest), fee_rate=10)
    rules = policy(change_inputs=1)
    spent = {
        i.outpoint
        for i in payout(snapshot, transfers_of(snapshot, rules), rules).transaction.inputs
    }
    assert spent == {deposit("a").outpoint, oldest.outpoint}


def test_transfers_that_cannot_pay_are_named() -> None:
    """Catches a negative or dust payment, and one small deposit that stops all others."""
    small, large = deposit("small", 10_000, height=1), deposit("large", height=2)
    snapshot = snapshot_of([small, large], fee_rate=100)
    transfers = transfers_of(snapshot, policy())
    with pytest.raises(Unpayable) as refusal:
        payout(snapshot, transfers, policy())
    assert refusal.value.outpoints == (small.outpoint,)
    assert [t.deposit for t in payable_transfers(snapshot, transfers, policy(), 100)] == [large]
    assert payable_transfers(snapshot_of([small]), transfers, policy(), 100) == ()


def test_a_deposit_waits_while_mining_would_cost_too_much_of_it() -> None:
    """Catches a depositor who is left with little because somebody drove the fees up."""
    found = deposit("small", 40_000)
    snapshot, rules = snapshot_of([found]), policy(fee_share_cap_bps=2500)
    transfers = transfers_of(snapshot, rules)
    share = virtual_size(1, [PAYEE_SCRIPT, data_script(bytes(32)), HOME])
    dearest = 10_000 // share
    assert [t.deposit for t in payable_transfers(snapshot, transfers, rules, dearest)] == [found]
    assert payable_transfers(snapshot, transfers, rules, dearest + 1) == ()


def test_batches_are_bounded_and_small_ones_do_not_starve_later_ones() -> None:
    """Catches an endless payout, and a queue whose head of dust keeps everybody waiting."""
    found = [deposit(f"s{i}", 10_000, height=1, position=i) for i in range(3)]
    found += [deposit(f"l{i}", COIN, height=2, position=i) for i in range(3)]
    snapshot = snapshot_of(found, fee_rate=100)
    rules = policy(transfers_per_payout=2)
    transfers = transfers_of(snapshot, rules)
    assert [t.deposit for t in payable_transfers(snapshot, transfers, rules, 100)] == found[3:5]
    with pytest.raises(Unpayable, match="at most 2") as refusal:
        payout(snapshot, transfers, rules)
    assert refusal.value.outpoints == tuple(d.outpoint for d in found[2:])


def test_spent_or_foreign_deposits_are_refused() -> None:
    """Catches a payout of a deposit that the agreed block does not have (paid already, reorged)."""
    both = snapshot_of([deposit("a"), deposit("b", height=2)])
    transfers = transfers_of(both, policy())
    with pytest.raises(Unpayable) as refusal:
        payout(snapshot_of([deposit("a")]), transfers, policy())
    assert refusal.value.outpoints == (deposit("b").outpoint,)
    altered = snapshot_of([deposit("a"), deposit("b", amount=COIN + 1, height=2)])
    with pytest.raises(Unpayable):
        payout(altered, transfers, policy())
    with pytest.raises(Unpayable, match="no transfer"):
        payout(both, (), policy())


def test_windows_and_roster_are_checked() -> None:
    """Catches a payout of deposits that belong to two events: both could spend them."""
    snapshot = snapshot_of([deposit("a", height=11), deposit("b", height=12)])
    transfers = transfers_of(snapshot, policy())
    with pytest.raises(LocalFault, match="one window"):
        payout(snapshot, transfers, policy(payout_window_blocks=12))
    with pytest.raises(LocalFault):
        payout(snapshot, transfers, policy(), roster=())
    with pytest.raises(LocalFault, match="once"):
        payout(snapshot, transfers, policy(), roster=(ROSTER[0], ROSTER[0]))
    with pytest.raises(LocalFault, match="each deposit once"):
        payout(snapshot, (transfers[0], transfers[0]), policy())


def test_event_and_checksum_depend_on_everything() -> None:
    """Catches identifiers that collide between networks, keys, windows, parts or rosters."""
    events = {
        payout_event(NETWORK_ID, KEY_ID, 1, 2),
        payout_event(KEY_ID, NETWORK_ID, 1, 2),
        payout_event(NETWORK_ID, KEY_ID, 2, 1),
        payout_event(NETWORK_ID, KEY_ID, 1, 0),
    }
    assert len(events) == 4
    assert roster_checksum(ROSTER) == roster_checksum(ROSTER[::-1]) != roster_checksum(ROSTER[:3])


def test_all_versions_spend_the_same_coins() -> None:
    """Catches two versions that could both be mined, or that differ in what anybody is paid."""
    snapshot = snapshot_of([deposit("a", height=2)], (coin("change", COIN),), fee_rate=5)
    document = payout(snapshot, transfers_of(snapshot, policy()), policy(fee_versions=4))
    cheapest, *dearer = document.versions
    size = virtual_size(len(cheapest.inputs), [o.script for o in cheapest.outputs])
    assert [version.fee for version in document.versions] == [5 * size * k for k in (1, 2, 4, 8)]
    for version in dearer:
        assert version.inputs == cheapest.inputs
        assert version.outputs[:-1] == cheapest.outputs[:-1]
        assert version.outputs[-1].script == HOME
        assert version.locktime == document.cutoff_height == 100
    assert len(set(document.txids)) == 4
    assert len(document.sighashes()) == 4 * len(document.inputs)


def test_the_ladder_ends_where_nothing_can_pay_for_more() -> None:
    """Catches a version that takes from a depositor, or one above the cap, or one twice."""
    snapshot = snapshot_of([deposit("a", 200_000)], fee_rate=5)
    few = payout(snapshot, transfers_of(snapshot, policy()), policy(fee_versions=4))
    assert 0 < len(few.versions) < 4
    assert all(v.outputs[0] == few.transaction.outputs[0] for v in few.versions)
    rich = snapshot_of([deposit("a", height=2)], (coin("change", COIN),), fee_rate=5)
    capped = policy(fee_versions=4, fee_rate_cap=12)
    document = payout(rich, transfers_of(rich, capped), capped)
    size = virtual_size(2, [o.script for o in document.transaction.outputs])
    assert [version.fee // size for version in document.versions] == [5, 10, 12]


def test_what_daemons_demand_is_the_least_fee() -> None:
    """Catches a payout that no daemon relays though blocks are cheap, and one above the cap."""
    snapshot = snapshot_of([deposit("a")], fee_rate=2)
    transfers = transfers_of(snapshot, policy())
    rates = {f: payout(snapshot, transfers, policy(), fee_floor=f).fee_rate for f in (0, 7, 10**4)}
    assert rates == {0: 2, 7: 7, 10**4: 100}


def test_payouts_without_a_common_deposit_have_no_common_change() -> None:
    """Catches two payouts that are on their way at once and spend one coin of change."""
    found = [deposit(f"d{i}", height=height) for i, height in enumerate((10, 20, 30))]
    late = deposit("new coins", height=5, matures=25)
    change = tuple(coin(f"c{h}", COIN, height=h) for h in (3, 9, 10, 24, 29, 30))
    snapshot = snapshot_of([*found, late], change)
    waiting = transfers_of(snapshot, policy())
    taken = {}
    for transfer in waiting:
        document = payout(snapshot, (transfer,), policy(change_inputs=9), waiting=waiting)
        spent = {*document.inputs} - {transfer.deposit.outpoint}
        taken[transfer.deposit.outpoint] = sorted(c.height for c in change if c.outpoint in spent)
    outpoints = [*(each.outpoint for each in found), late.outpoint]
    # The coin of block 24 goes with the new coins that can be spent from block 25 on.
    assert [taken[o] for o in outpoints] == [[3, 9], [10], [24, 29], []]


def test_document_names_everything_agreed() -> None:
    """Catches a field that is missing from the bytes that members compare and sign."""
    snapshot = snapshot_of([deposit("a"), deposit("b", height=2)])
    document = payout(snapshot, transfers_of(snapshot, policy()), policy())
    request = decode_document(document.encode())
    assert request.cutoff_height == 100
    assert request.cutoff_hash == snapshot.hash
    assert request.transfers == (deposit("a").outpoint, deposit("b").outpoint)
    assert (request.network_id, request.chain) == (NETWORK_ID, "devnet")
    assert (request.key_id, request.key_epoch, request.event) == (KEY_ID, 1, document.event)
    changed = [
        payout(snapshot, transfers_of(snapshot, policy()), policy(), ROSTER[:3]),
        payout(snapshot, transfers_of(snapshot, policy()), policy(service_fee_bps=101)),
        payout(snapshot, transfers_of(snapshot, policy())[:1], policy()),
    ]
    changed.append(payout(snapshot, transfers_of(snapshot, policy()), policy(), part=1))
    assert len({d.digest for d in [document, *changed]}) == 5
    assert document == decode_document(document.encode())


def test_signed_payout_runs_under_the_script_engine() -> None:
    """Catches a payout that the chain would refuse: digests, order, witness, low s."""
    found = [deposit(f"d{i}", height=i + 1) for i in range(3)]
    snapshot = snapshot_of(found, (Coin(Outpoint(ident("c"), 3), COIN, 2),))
    document = payout(snapshot, transfers_of(snapshot, policy()), policy())
    signed = attach(document, signatures_of(document), CUSTODY)
    assert len(signed) == len(document.versions) > 1
    for version, txid in zip(signed, document.txids, strict=True):
        parsed = Tx.parse(version.raw)
        assert parsed.id == version.txid == txid
        spent = [TxOut(i.amount, HOME) for i in document.transaction.inputs]
        verify_transaction(spent, parsed, STANDARD_FLAGS)
        assert (parsed.version, parsed.lock_time) == (2, 100)
        assert {i.sequence for i in parsed.vin} == {0xFFFFFFFD}


def test_custody_address_is_the_script() -> None:
    """Catches an address shown to users that is not the script that the node watches."""
    assert script_of_address(custody_address(CUSTODY, HRP), HRP) == HOME
