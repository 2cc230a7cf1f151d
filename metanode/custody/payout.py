"""Build the one transaction that settles a batch of transfers. Deterministic and pure.

Money flow, all in base units. Let F(x) be the agreed fee rate times the virtual size of x.

* Each transfer pays a charge: a release ``max(service fee, share)``, a refund ``max(refund cost,
  share)``, where ``share`` is an equal part, rounded up, of F(transfers with their own inputs).
* Releases and refunds receive their deposit less the charge; never less than the dust limit.
* Charges less the mining fee are the profit; ``reserve_bps`` of it stays in custody, the rest is
  split equally over the members whose stake holds at the agreed block. Rewards below the dust limit
  are not paid: they stay as change.
* Change coins of earlier payouts are swept in when they are worth more than their input costs. Each
  goes with the first deposit after it that waits to be paid, so that payouts that are on their way
  at once, and spend no deposit in common, spend no change in common either.
* Further versions offer twice, four times the fee, as long as the change can pay for it.

Every transfer's own deposit is an input. So two payouts that settle the same deposit spend the same
coin, and the chain takes at most one of them; and at most one version of each.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from attrs import asdict, frozen

from metanode.custody.document import (
    PayoutDocument,
    PayoutTerms,
    SignedVersion,
    attach,
    custody_address,
    custody_script,
    decode_document,
    document_digest,
    payout_event,
    roster_checksum,
)
from metanode.custody.errors import Unpayable
from metanode.custody.policy import BASIS_POINTS, CustodyPolicy
from metanode.custody.scripts import data_script, key_script, witness_script
from metanode.custody.transaction import Input, Output, UnsignedTransaction, virtual_size
from metanode.custody.transfers import Transfer
from metanode.custody.types import Coin, Deposit, Snapshot
from metanode.errors import check
from spec.parameters import LARGEST_ROSTER

__all__ = [
    "PayoutDocument", "PayoutTerms", "SignedVersion", "attach", "build_payout", "custody_address",
    "custody_script", "decode_document", "document_digest", "ordered_transfers",
    "payable_transfers", "payout_event", "roster_checksum",
]

# What every payout has besides its payments: a hash in OP_RETURN, and change. Only their lengths
# matter where this stands in for them.
_FIXED_SCRIPTS = (data_script(bytes(32)), witness_script(0, bytes(20)))


@frozen
class _Shares:
    """What each transfer receives, and what is left of the charges."""

    payments: tuple[Output, ...]
    charged: int


def ordered_transfers(transfers: Sequence[Transfer]) -> tuple[Transfer, ...]:
    """Return the transfers in the order of their deposits: height, place in the block, index."""
    return tuple(sorted(transfers, key=lambda transfer: transfer.deposit.order))


def payable_transfers(
    snapshot: Snapshot, transfers: Sequence[Transfer], policy: CustodyPolicy, fee_rate: int
) -> tuple[Transfer, ...]:
    """Return the first transfers that one payout can settle, in order, as many as may be.

    Left out are deposits that the snapshot does not have and those too small to bear their share at
    this fee rate (sat/vB): they wait, and do not keep later ones from being paid.
    """
    unspent = set(snapshot.deposits)
    waiting = [t for t in ordered_transfers(transfers) if t.deposit in unspent]
    while waiting:
        batch = waiting[: policy.transfers_per_payout]
        try:
            _charge(batch, policy, fee_rate)
        except Unpayable as too_small:
            waiting = [t for t in waiting if t.deposit.outpoint not in too_small.outpoints]
        else:
            return tuple(batch)
    return ()


def build_payout(
    snapshot: Snapshot, transfers: Sequence[Transfer], roster: Sequence[bytes],
    policy: CustodyPolicy, *, network_id: bytes, chain: str, key_id: bytes, key_epoch: int,
    public_key: bytes, part: int = 0, fee_floor: int = 0, waiting: Sequence[Transfer] = (),
    rewarded: Sequence[bytes] | None = None,
) -> PayoutDocument:
    """Build the payout of ``transfers`` from the coins of ``snapshot``.

    The same arguments give the same bytes on every node; the order of ``transfers``, ``roster``
    and of the snapshot's coins does not matter. ``part`` is its number among the payouts of the
    window in which all its deposits lie, ``fee_floor`` the least rate (sat/vB) that daemons take,
    ``waiting`` all that the snapshot's deposits ask for, ``rewarded`` the members of the roster
    whose stake holds at the snapshot (all of them by default).
    Raises :class:`Unpayable` (with the outpoints to leave out) when a transfer cannot bear its
    charge or its deposit is not in the snapshot, :class:`LocalFault` for a wrong roster, and for
    deposits of several windows.
    """
    transfers = ordered_transfers(transfers)
    _check_transfers(snapshot, transfers, policy)
    check(0 < len(roster) <= LARGEST_ROSTER, f"a payout rewards 1..{LARGEST_ROSTER} members")
    windows = {policy.window_of(t.deposit.height) for t in transfers}
    check(len(windows) == 1, "a payout settles deposits of one window")
    fee_rate = agreed_fee_rate(snapshot, policy, fee_floor)
    terms = PayoutTerms(
        network_id=network_id,
        chain=chain,
        key_id=key_id,
        key_epoch=key_epoch,
        public_key=public_key,
        roster_checksum=roster_checksum(roster),
        cutoff_height=snapshot.height,
        cutoff_hash=snapshot.hash,
        window=windows.pop(),
        part=part,
        fee_rate=fee_rate,
        transfers=tuple(t.deposit.outpoint for t in transfers),
    )
    shares = _charge(transfers, policy, fee_rate)
    change_coins = _change(snapshot, transfers, waiting or transfers, policy, fee_rate)
    inputs = sorted(
        [Input(t.deposit.outpoint, t.deposit.amount) for t in transfers]
        + [Input(coin.outpoint, coin.amount) for coin in change_coins],
        key=lambda spent: spent.outpoint,
    )
    paid = roster if rewarded is None else rewarded
    check(set(paid) <= set(roster), "a payout rewards members of its roster only")
    rewards = _rewards(shares, paid, policy, fee_rate, len(transfers)) if paid else []
    outputs = [*shares.payments, *rewards, Output(0, data_script(terms.commitment))]
    versions = _versions(tuple(inputs), tuple(outputs), terms, policy)
    return PayoutDocument(**asdict(terms, recurse=False), versions=versions)


def agreed_fee_rate(snapshot: Snapshot, policy: CustodyPolicy, fee_floor: int) -> int:
    """Return the fee rate of a payout's first version: what blocks ask, or daemons at least."""
    return policy.bounded_fee_rate(max(snapshot.fee_rate, fee_floor))


def _versions(
    inputs: tuple[Input, ...], outputs: tuple[Output, ...], terms: PayoutTerms,
    policy: CustodyPolicy,
) -> tuple[UnsignedTransaction, ...]:
    """Return the transaction at the agreed fee rate, at twice that, and so on.

    They differ in their change alone, and end where it cannot pay for more.
    """
    home = custody_script(terms.public_key)
    size = virtual_size(len(inputs), [*(o.script for o in outputs), home])
    left = sum(i.amount for i in inputs) - sum(o.amount for o in outputs)
    check(left >= terms.fee_rate * size, "the charges do not cover the mining fee")
    versions: list[UnsignedTransaction] = []
    for number in range(policy.fee_versions):
        rate = min(terms.fee_rate << number, policy.fee_rate_cap)
        change = left - rate * size
        kept = (Output(change, home),) if change >= policy.dust_limit(home) else ()
        version = UnsignedTransaction(inputs, (*outputs, *kept), terms.cutoff_height)
        if change < 0 or version in versions:
            break
        versions.append(version)
    return tuple(versions)


def _check_transfers(
    snapshot: Snapshot, transfers: Sequence[Transfer], policy: CustodyPolicy
) -> None:
    """Raise :class:`Unpayable` unless the batch is 1..max distinct deposits of the snapshot."""
    if not transfers:
        raise Unpayable("there is no transfer to pay")
    if len(transfers) > policy.transfers_per_payout:
        surplus = [t.deposit.outpoint for t in transfers[policy.transfers_per_payout :]]
        raise Unpayable(f"a payout has at most {policy.transfers_per_payout} transfers", surplus)
    outpoints = [t.deposit.outpoint for t in transfers]
    check(len(set(outpoints)) == len(outpoints), "a payout settles each deposit once")
    unspent = {deposit.outpoint: deposit for deposit in snapshot.deposits}
    missing = [
        t.deposit.outpoint for t in transfers if unspent.get(t.deposit.outpoint) != t.deposit
    ]
    if missing:
        raise Unpayable("a deposit is spent, or not in the agreed block's chain", missing)


def _charge(transfers: Sequence[Transfer], policy: CustodyPolicy, fee_rate: int) -> _Shares:
    """Take each transfer's charge; :class:`Unpayable` names those that cannot bear it."""
    scripts = [*(t.script for t in transfers), *_FIXED_SCRIPTS]
    share = -(-fee_rate * virtual_size(len(transfers), scripts) // len(transfers))
    payments, too_small = [], []
    for transfer in transfers:
        amount = transfer.deposit.amount
        fixed = policy.service_fee(amount) if transfer.kind == "release" else policy.refund_cost
        payment = amount - max(fixed, share)
        too_dear = share * BASIS_POINTS > amount * policy.fee_share_cap_bps
        if too_dear or payment < policy.dust_limit(transfer.script):
            too_small.append(transfer.deposit.outpoint)
        payments.append(Output(payment, transfer.script))
    if too_small:
        raise Unpayable(f"too small to be paid at {fee_rate} sat/vB", too_small)
    charged = sum(t.deposit.amount for t in transfers) - sum(p.amount for p in payments)
    return _Shares(tuple(payments), charged)


def _rewards(
    shares: _Shares, rewarded: Sequence[bytes], policy: CustodyPolicy, fee_rate: int,
    transfer_count: int,
) -> list[Output]:
    """Split the profit equally over members, to each one's own key; nothing if dust."""
    scripts = [key_script(node_id) for node_id in sorted(rewarded)]
    with_rewards = [*(p.script for p in shares.payments), *_FIXED_SCRIPTS, *scripts]
    profit = shares.charged - fee_rate * virtual_size(transfer_count, with_rewards)
    reward = profit * (BASIS_POINTS - policy.reserve_bps) // BASIS_POINTS // len(rewarded)
    if reward < policy.dust_limit(scripts[0]):
        return []
    return [Output(reward, script) for script in scripts]


def _change(
    snapshot: Snapshot, transfers: Sequence[Transfer], waiting: Sequence[Transfer],
    policy: CustodyPolicy, fee_rate: int,
) -> list[Coin]:
    """Return the oldest change coins that go with a transfer and bring in more than they cost."""
    cost = fee_rate * (virtual_size(2, []) - virtual_size(1, []) + 1)
    later = sorted((_spendable(t.deposit), t.deposit.outpoint) for t in waiting)
    paid = {t.deposit.outpoint for t in transfers}
    taken = []
    for coin in sorted(snapshot.change, key=lambda coin: (coin.height, coin.outpoint)):
        place = bisect_right(later, coin.height, key=lambda entry: entry[0][0])
        if coin.amount > cost and place < len(later) and later[place][1] in paid:
            taken.append(coin)
    return taken[: policy.change_inputs]


def _spendable(deposit: Deposit) -> tuple[int, tuple[int, int, int]]:
    """Return the order in which deposits can be spent: new ones never come before older ones."""
    return max(deposit.height, deposit.matures - 1), deposit.order
