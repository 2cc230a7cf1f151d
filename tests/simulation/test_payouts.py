"""Payouts in a whole network: forged and late signatures, rewards, and a chain that lags."""

from __future__ import annotations

from attrs import evolve

from metanode.custody.scripts import key_script
from spec import messages as m
from tests.simulation.hostile import MIDDLE, OLDEST, OUTSIDER, YOUNGEST, changes, network
from tests.simulation.simulator import with_key

OTHER = bytes([5]) * 32


def test_forged_signatures_settle_nothing() -> None:
    """Catches a payout believed without verifying it: the deposit would never be paid."""
    sim = network(1, bad=OLDEST)
    sim.settle()
    real = list(sim.core(MIDDLE).payouts.payouts.values())[-1].found
    sim.deposit(700_000)
    sim.run_until(lambda: len(sim.core(MIDDLE).report()["swaps"]) == 2, 4.0, "it is confirmed")
    forged = evolve(real, signatures=(m.EcdsaSignature(bytes(31) + b"\1" + bytes(31) + b"\1"),))
    for message in (forged, evolve(real, event=OTHER), evolve(real, signatures=())):
        for to in (OUTSIDER, YOUNGEST, MIDDLE):
            sim.inject(OLDEST, message, to)
    sim.settle()
    assert len(sim.core(YOUNGEST).report()["payouts"]) == 2
    assert not sim.refusals


def test_a_forged_signature_amid_a_round_does_not_keep_out_the_real_one() -> None:
    """Catches an event that a forger closes: signatures for a known document must verify."""
    sim = network(2)

    def forge(message: object) -> list[object]:
        core = sim.core(OLDEST)
        document = core.inbox.book(core.ctx.round_number()).document
        fake = m.SignatureFound(
            document.event, document.digest, document.encode(), (), (m.EcdsaSignature(bytes(64)),)
        )
        return [fake, message]

    sim.tamper[OLDEST] = changes(m.Vote, forge)
    sim.settle()
    assert not sim.refusals


def test_a_signature_of_the_lock_in_after_the_lock_in_is_ignored() -> None:
    """Catches an announcement of the lock-in event that is taken for a payout's."""
    sim = network(5)
    event = sim.core(MIDDLE).lock_in.event
    fake = m.SignatureFound(event, OTHER, b"x", (), (m.EcdsaSignature(bytes(64)),))
    sim.inject(OLDEST, fake, MIDDLE)
    sim.settle()
    assert not sim.refusals


def test_a_chain_that_lags_gets_its_payouts_all_the_same() -> None:
    """Catches a late chain view that refuses a real payout for good; and a flood before it."""
    sim = network(4)
    sim.nodes[OUTSIDER].chain.set_down(True)
    for number in range(300):
        fake = m.SignatureFound(number.to_bytes(32, "big"), OTHER, b"no document", (), ())
        sim.inject(OLDEST, fake, OUTSIDER)
    sim.run_until(lambda: bool(sim.noted("payout.signed", MIDDLE)), 8.0, "a payout is signed")
    sim.run(0.2)
    sim.nodes[OUTSIDER].chain.set_down(False)
    sim.settle()
    sim.run(1.0)
    assert len(sim.core(OUTSIDER).report()["payouts"]) == 1


def test_a_node_that_was_away_hears_of_the_payout_and_all_keep_it_over_a_restart() -> None:
    """Catches a payout lost to who was away, or in a crash before it was mined."""
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
    (payout,) = sim.core(OUTSIDER).report()["payouts"]
    for number in range(4):
        sim.crash(number)
    sim.users.ledger.mempool.clear()
    sim.start_all()
    sim.run(2.5)
    assert sim.core(MIDDLE).report()["payouts"][0]["txid"] == payout["txid"]
    sim.mine_every(0.7)
    sim.settle()


def test_the_rewards_reach_every_member() -> None:
    """Catches a reward that only the signers get: the roster earns, not the threshold set."""
    sim = with_key(7)
    sim.run(0.3)
    sim.deposit(50_000_000)
    sim.deposit(800_000, "refund")
    sim.mine_every(0.7)
    sim.settle()
    rewards = [sim.users.received(key_script(node.node_id)) for node in sim.nodes]
    assert all(len(coins) == 2 for coins in rewards), "the stake and one reward each"
    assert len({min(coins) for coins in rewards}) == 1
    states = sorted(swap["state"] for swap in sim.core(MIDDLE).report()["swaps"])
    assert states == ["Completed", "Refunded"]
