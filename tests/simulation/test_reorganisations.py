"""The chain changes its mind: a deposit goes before it is paid, a payout after it was mined."""

from __future__ import annotations

from tests.simulation.chain import Paid
from tests.simulation.simulator import Simulation, with_key


def block_of(sim: Simulation, txid: bytes) -> bytes:
    """Return the hash of the active block with a transaction."""
    return sim.users.ledger.tree.locations[txid][0].hash


def waiting_deposit(seed: int) -> tuple[Simulation, Paid]:
    """Return a network that has a confirmed deposit and sits in the round it was started in."""
    sim = with_key(seed, begin_s=98.1)
    sim.run(0.4)
    paid = sim.deposit()
    sim.run(0.4)
    sim.users.mine()
    sim.run(0.4)
    assert len(sim.noted("deposit.confirmed")) == 4
    return sim, paid


def test_a_deposit_that_a_reorganisation_removes_is_not_paid_until_it_is_back() -> None:
    """Catches a payout of money that is no longer there."""
    sim, paid = waiting_deposit(1)
    ledger = sim.users.ledger
    ledger.invalidate(block_of(sim, paid.outpoint.txid))
    ledger.mempool.clear()  # nobody relays it for now
    sim.users.mine(2)
    sim.users.deposits.remove(paid)
    sim.run(4.0)
    assert not sim.noted("round.signing")
    swaps = {s["state"] for n in range(4) for s in sim.core(n).report()["swaps"]}
    assert swaps == {"none_yet"}
    again = sim.deposit(700_000)
    sim.mine_every(0.7)
    sim.settle()
    assert sim.users.is_settled(again)
    assert not sim.users.received(paid.script)


def test_a_deposit_that_moves_to_another_block_is_paid_once() -> None:
    """Catches a document of the old branch being signed, and the deposit counted twice."""
    sim, paid = waiting_deposit(2)
    sim.users.ledger.invalidate(block_of(sim, paid.outpoint.txid))  # it is in the mempool again
    sim.mine_every(0.7)
    sim.settle()


def test_a_reorganisation_amid_the_signing_does_not_pay_twice() -> None:
    """Catches a lock on a document of a lost block that is neither signed nor ever given up.

    The payout that was signed spends the deposit wherever it is mined, so both ways are sound.
    """
    sim, paid = waiting_deposit(3)
    sim.run_until(lambda: bool(sim.noted("round.signing")), 6.0, "a round signs")
    sim.users.ledger.invalidate(block_of(sim, paid.outpoint.txid))
    sim.mine_every(0.7)
    sim.settle()


def test_a_swap_whose_deposit_and_payout_share_a_block_is_completed() -> None:
    """Catches a settled swap that the nodes' books leave open.

    After a reorganisation the deposit and the payout that spends it may be mined in one block, so
    that the deposit is in no snapshot of unspent coins.
    """
    sim, paid = waiting_deposit(3)
    sim.run_until(lambda: bool(sim.noted("round.signing")), 6.0, "a round signs")
    sim.users.ledger.invalidate(block_of(sim, paid.outpoint.txid))
    sim.mine_every(0.7)
    sim.settle()
    sim.run(1.5)
    swaps = {s["state"] for n in range(4) for s in sim.core(n).report()["swaps"]}
    assert swaps == {"Completed"}


def test_a_payout_that_a_reorganisation_removes_is_sent_again() -> None:
    """Catches a payout taken for final for ever: the same transaction must be mined again."""
    sim, _ = waiting_deposit(4)
    sim.run_until(lambda: bool(sim.noted("payout.signed")), 6.0, "a payout is signed")
    sim.run(0.3)
    sim.users.mine()
    sim.run(1.5)
    (txid,) = {p["txid"] for n in range(4) for p in sim.core(n).report()["payouts"]}
    ledger = sim.users.ledger
    ledger.invalidate(block_of(sim, bytes.fromhex(txid)))
    ledger.mempool.clear()  # the block's transactions are gone: only the nodes can bring them back
    sim.users.mine(2)
    sim.run(1.0)
    states = {p["state"] for n in range(4) for p in sim.core(n).report()["payouts"]}
    assert "COMPLETED" not in states
    assert bytes.fromhex(txid) in ledger.mempool.entries, "the nodes sent it again"
    sim.mine_every(0.7)
    sim.settle()
    assert {p["txid"] for n in range(4) for p in sim.core(n).report()["payouts"]} == {txid}


def test_a_reorganisation_while_a_node_is_down_is_noticed_at_its_start() -> None:
    """Catches a node that continues its index on a block which has left the chain."""
    sim, _ = waiting_deposit(5)
    sim.run_until(lambda: bool(sim.noted("payout.signed")), 6.0, "a payout is signed")
    sim.run(0.3)
    sim.users.mine()
    sim.run(1.5)
    (txid,) = {p["txid"] for n in range(4) for p in sim.core(n).report()["payouts"]}
    sim.crash(2)
    sim.users.ledger.invalidate(block_of(sim, bytes.fromhex(txid)))
    sim.users.mine(2)
    sim.run(1.0)
    sim.start(2)
    sim.deposit(400_000)
    sim.mine_every(0.7)
    sim.settle()


def test_a_deep_reorganisation_of_deposit_and_payout_settles_in_the_end() -> None:
    """Catches a swap marked done although both its deposit and its payout left the chain."""
    sim, paid = waiting_deposit(6)
    sim.run_until(lambda: bool(sim.noted("payout.signed")), 6.0, "a payout is signed")
    sim.run(0.3)
    sim.users.mine()
    sim.run(1.5)
    sim.users.ledger.invalidate(block_of(sim, paid.outpoint.txid))
    sim.run(0.5)
    sim.mine_every(0.7)
    sim.settle()
