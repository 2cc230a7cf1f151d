"""Each payout comes to an end of its own, and none of them holds up the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from metanode.custody.payout import custody_script
from metanode.devnet.types import ChainTransaction, DevnetError, RpcCode
from model_checks.conformance import check_traces
from spec import messages as m
from tests.conformance.recording import recorded
from tests.model_checks.trace_files import Traces, written
from tests.simulation.chain import Paid
from tests.simulation.expiring import loses
from tests.simulation.reorganisations import reorganised
from tests.simulation.simulator import Simulation, at_fees, turns, with_key
from tests.simulation.throughput import SPARE_ROUNDS, sign_all


def signed(seed: int, *amounts: int) -> tuple[Simulation, list[Paid]]:
    """Return a network that has signed and sent the payout of some deposits."""
    sim = with_key(seed, begin_s=98.1, watch=at_fees(3))
    sim.run(0.4)
    paid = [sim.deposit(amount) for amount in amounts]
    sim.run(0.4)
    sim.users.mine()
    sim.run_until(lambda: len(sim.noted("payout.signed")) == 4, 8.0, "a payout is signed")
    return sim, paid


def states(sim: Simulation) -> list[set[str]]:
    """Return where each payout stands at the nodes, the oldest first."""
    reports = [sim.core(number).payouts.report() for number in range(sim.members)]
    return [{str(payout["state"]) for payout in row} for row in zip(*reports, strict=True)]


@pytest.mark.parametrize("seed", [1, 5, 9, 19])
def test_the_chain_may_change_its_mind_at_any_moment(seed: int, tmp_path: Path) -> None:
    """Catches a payout that a reorganisation leaves without an end, so that nothing is paid more.

    ``python -m tests.simulation.reorganisations`` runs many more of these.
    """
    traces: Traces = {}
    reorganised(seed, lambda sim: traces.update(recorded(sim, resumed=True)))
    assert check_traces(written(tmp_path, traces))[-1].endswith("every step legal")


def test_a_deposit_that_is_spent_elsewhere_stops_nothing() -> None:
    """F-40: catches a custody that stands still since one depositor took a deposit back."""
    sim, (kept, taken) = signed(3, 1_000_000, 2_000_000)
    ledger = sim.users.ledger
    ledger.invalidate(ledger.tree.locations[taken.outpoint.txid][0].hash)
    for number in range(sim.members):
        for payout in sim.core(number).payouts.payouts.values():
            for txid in payout.document.txids:
                ledger.mempool.forget(txid)
    ledger.mempool.forget(taken.outpoint.txid)
    sim.users.take_back(taken)
    sim.users.mine(2)
    sim.run_until(lambda: states(sim)[:1] == [{"REVERTED"}], 8.0, "it is given up")
    sim.mine_every(0.7)
    sim.settle()
    assert sim.users.is_settled(kept)
    assert states(sim) == [{"REVERTED"}, {"COMPLETED"}]


def test_a_payout_that_no_daemon_takes_stops_nothing_and_says_why() -> None:
    """F-40: catches a custody that stands still since one payout is refused, whatever for."""
    sim, (stuck,) = signed(4, 1_000_000)
    ledger, accept = sim.users.ledger, sim.users.ledger.submit
    txids = {t for p in sim.core(0).payouts.payouts.values() for t in p.document.txids}

    def submit(transaction: ChainTransaction, max_rate: int | None = None) -> object:
        if transaction.txid in txids:
            raise DevnetError(RpcCode.VERIFY_REJECTED, "scriptpubkey")
        return accept(transaction, max_rate)

    ledger.submit = submit  # type: ignore[assignment, method-assign]
    for txid in txids:
        ledger.mempool.forget(txid)
    sim.users.deposits.remove(stuck)
    for count in (8, 12):
        later = sim.deposit(3_000_000)
        sim.run(0.4)
        sim.users.mine()
        sim.run_until(lambda n=count: len(sim.noted("payout.signed")) == n, 8.0, "signed")
        sim.run(0.5)
        sim.users.mine(2)
        sim.run(1.5)
        assert sim.users.is_settled(later)
    assert states(sim) == [{"REFUSED"}, {"COMPLETED"}, {"COMPLETED"}]
    (reason,) = {(d["waits_for"], d["reason"]) for d in sim.core(1).waiting.report()}
    assert reason[0] == "daemon"
    assert reason[1].endswith("refuses it: scriptpubkey")


def test_fees_that_rise_after_the_signing_are_met_by_the_next_version() -> None:
    """F-41: catches a payout below what daemons demand, for which everybody waits for ever."""
    sim, (paid,) = signed(5, 5_000_000)
    payout = next(iter(sim.core(0).payouts.payouts.values()))
    mempool = sim.users.ledger.mempool
    first, second = payout.document.versions[:2]
    assert payout.document.txids[0] in mempool.entries
    mempool.raise_minimum(2 * 1000)
    assert payout.document.txids[0] not in mempool.entries, "it offers too little by now"
    sim.run_until(lambda: payout.document.txids[1] in mempool.entries, 5.0, "the next is sent")
    sim.mine_every(0.7)
    sim.settle()
    assert second.fee == 2 * first.fee
    assert {p["txid"] for n in range(4) for p in sim.core(n).payouts.report()} == {
        payout.document.txids[1].hex()
    }
    assert sim.users.received(paid.script)


def test_new_coins_that_cannot_be_spent_yet_hold_up_nobody() -> None:
    """Catches a miner who stops the custody for a hundred blocks by mining to its address."""
    sim = with_key(6, begin_s=98.1)
    sim.run(0.4)
    sim.users.ledger.mine(custody_script(sim.public_key))
    paid = sim.deposit(1_000_000)
    sim.run(0.4)
    sim.mine_every(0.7)
    sim.settle()
    assert sim.users.is_settled(paid)


def test_many_deposits_are_signed_before_the_first_payout_is_mined() -> None:
    """Catches a payout that waits until the last one is final: one an hour on Bitcoin.

    ``python -m tests.simulation.throughput`` does the same with 500 deposits.
    """
    sim, rounds = sign_all(70, versions=1)
    assert len(sim.core(0).payouts.payouts) == 3
    assert rounds <= 3 + SPARE_ROUNDS


def test_a_member_that_missed_a_signature_learns_of_it_from_who_has_it() -> None:
    """Catches a member that stays behind in a window, though its links never fall."""
    sim = with_key(7, begin_s=98.1)
    sim.run(0.4)
    outsider = turns(sim)[-1]
    for number in range(sim.members):
        sim.tamper[number] = loses(m.SignatureFound)
    paid = sim.deposit(1_000_000)
    sim.run(0.4)
    sim.users.mine()
    sim.run_until(lambda: len(sim.noted("payout.signed")) == 3, 8.0, "the others sign")
    sim.run(0.5)
    assert not sim.core(outsider).payouts.payouts
    sim.tamper.clear()
    sim.run_until(lambda: bool(sim.core(outsider).payouts.payouts), 5.0, "it has been told")
    sim.mine_every(0.7)
    sim.settle()
    assert sim.users.is_settled(paid)
