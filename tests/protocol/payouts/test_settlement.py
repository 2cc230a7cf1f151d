"""Payouts on their way to the chain, and the books of the swaps."""

from __future__ import annotations

from typing import Any

from tests.simulation.hostile import MIDDLE, OUTSIDER
from tests.simulation.simulator import Simulation, with_key


def signed(seed: int) -> tuple[Simulation, dict[str, Any]]:
    """Return a network with one signed payout that nobody has mined."""
    sim = with_key(seed)
    sim.run(0.3)
    sim.deposit()
    sim.run(0.4)
    sim.users.mine()
    sim.run_until(lambda: len(sim.noted("payout.signed")) == 4, 6.0, "all know the payout")
    sim.run(0.3)
    return sim, sim.core(MIDDLE).report()["payouts"][0]


def state(sim: Simulation, number: int = MIDDLE) -> str:
    """Return the state of the newest payout at a node."""
    return str(sim.core(number).report()["payouts"][-1]["state"])


def test_a_payout_goes_from_signed_to_completed() -> None:
    """Catches a payout called final before it is deep enough, or never."""
    sim, _ = signed(1)
    sim.run(1.2)
    assert state(sim) == "BROADCAST"
    sim.users.mine()
    sim.run(1.5)
    assert {state(sim, number) for number in range(4)} == {"COMPLETED"}
    swaps = sim.core(MIDDLE).report()["swaps"]
    assert [swap["state"] for swap in swaps] == ["Completed"]


def test_a_payout_that_the_mempool_dropped_is_sent_again() -> None:
    """Catches a payout forgotten with the mempool: never fresh inputs, the same transaction."""
    sim, payout = signed(2)
    sim.run(1.2)
    mempool = sim.users.ledger.mempool
    assert bytes.fromhex(payout["txid"]) in mempool.entries
    mempool.clear()
    sim.run(2.0)
    assert list(mempool.entries) == [bytes.fromhex(payout["txid"])]
    assert state(sim) == "BROADCAST"


def test_a_payout_is_kept_with_its_signatures_over_a_restart() -> None:
    """Catches a signed payout lost in a crash before it was mined."""
    sim, payout = signed(3)
    for number in range(4):
        sim.crash(number)
    sim.users.ledger.mempool.clear()
    sim.start_all()
    sim.run(2.5)
    assert sim.core(MIDDLE).report()["payouts"][0]["txid"] == payout["txid"]
    sim.mine_every(0.7)
    sim.settle()


def test_a_peer_that_comes_up_is_told_of_the_newest_payouts() -> None:
    """Catches a node that stays behind because it was away when the signature was announced."""
    sim = with_key(4)
    sim.run(0.3)
    sim.deposit()
    sim.run(0.4)
    sim.users.mine()
    sim.run(0.4)
    sim.partition([OUTSIDER])
    sim.run_until(lambda: len(sim.noted("payout.signed")) == 3, 6.0, "three know the payout")
    assert not sim.core(OUTSIDER).report()["payouts"]
    sim.heal()
    sim.run(0.5)
    assert sim.core(OUTSIDER).report()["payouts"]


def test_signatures_that_come_before_their_block_wait_for_it() -> None:
    """Catches a late chain view that refuses a real payout for good."""
    sim = with_key(5)
    sim.nodes[OUTSIDER].chain.set_down(True)
    sim.run(0.3)
    sim.deposit()
    sim.run(0.4)
    sim.users.mine()
    sim.run_until(lambda: len(sim.noted("payout.signed")) == 3, 6.0, "three know the payout")
    sim.run(0.3)
    assert not sim.core(OUTSIDER).report()["payouts"]
    sim.nodes[OUTSIDER].chain.set_down(False)
    sim.users.mine()
    sim.run(2.0)
    assert sim.core(OUTSIDER).report()["payouts"]


def test_a_refund_ends_as_a_refund_and_a_release_as_a_release() -> None:
    """Catches books that say one thing while the chain did the other."""
    sim = with_key(6)
    sim.run(0.3)
    sim.deposit(900_000)
    sim.deposit(800_000, "refund")
    sim.mine_every(0.7)
    sim.settle()
    states = sorted(swap["state"] for swap in sim.core(MIDDLE).report()["swaps"])
    assert states == ["Completed", "Refunded"]


def test_the_rewards_reach_every_member() -> None:
    """Catches a reward that only the signers get: the roster earns, not the threshold set."""
    sim = with_key(7)
    sim.run(0.3)
    sim.deposit(50_000_000)
    sim.mine_every(0.7)
    sim.settle()
    from metanode.custody.scripts import key_script

    rewards = [sim.users.received(key_script(node.node_id)) for node in sim.nodes]
    assert all(len(coins) == 2 for coins in rewards), "the stake and one reward each"
    assert len({min(coins) for coins in rewards}) == 1
