"""A whole network of real cores on simulated machines: the main job, and what may disturb it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve

from spec.parameters import DEVNET, MAINNET
from tests.simulation.simulator import QUICK, START, Simulation, Weather, turns, with_key

ROOT = Path(__file__).resolve().parents[2]


def payouts(sim: Simulation) -> set[str]:
    """Return the ids of the payouts that the running nodes report."""
    return {p["txid"] for n in sim.running() for p in sim.core(n.number).report()["payouts"]}


@pytest.mark.real_transfers
def test_the_main_job_from_no_key_to_the_second_payout() -> None:
    """Catches any break in the chain keygen, lock-in, deposits, payout, finality, change."""
    sim = Simulation(seed=1)
    sim.start_all()
    everyone = {node.node_id for node in sim.nodes}
    sim.run_until(lambda: set(sim.checkers.locked_keys) == everyone, 20, "a key is locked in")
    sim.run(0.2)
    sim.deposit(1_000_000)
    sim.deposit(800_000, "refund")
    sim.mine_every(1.0)
    sim.settle()
    first = payouts(sim)
    third = sim.deposit(3_000_000)
    sim.settle()
    (second,) = payouts(sim) - first
    assert len(first) == 1, "one payout settles the release and the refund together"
    tree = sim.users.ledger.tree
    block, place = tree.locations[bytes.fromhex(second)]
    spent = tree.transactions(block)[place].spent()
    assert (third.outpoint.txid, 0) in spent
    assert any(txid.hex() in first for txid, _ in spent), "the change of the first is an input"
    assert sim.faults == []
    assert not sim.noted("session.aborted")


REPLAY = """
from tests.simulation.campaign import campaign
from tests.tss.ideal import ideal_transfers
with ideal_transfers():
    print(campaign(5).digest())
"""


def test_equal_seeds_give_equal_runs_whatever_the_hash_seed_is() -> None:
    """Catches an order that comes from a set or a dict of hashes: no seed could be replayed."""
    found = {
        subprocess.run(
            [sys.executable, "-c", REPLAY],
            cwd=ROOT,
            env={"PYTHONHASHSEED": hash_seed, "PATH": ""},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "77")
    }
    assert len(found) == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_tenth_of_all_messages_is_lost_for_a_while(seed: int) -> None:
    """Catches a round that a lost message leaves stuck for good, and votes or locks out of step."""
    sim = with_key(seed)
    sim.weather = Weather(loss=0.1, duplicate=0.05, reorder=0.1)
    sim.at(0.3, sim.deposit)
    sim.at(3.0, lambda: sim.deposit(700_000, "refund"))
    sim.mine_every(0.7)
    sim.run(8.0)
    sim.weather = Weather()
    sim.settle()
    assert not [f for _, _, f in sim.faults if f.culprits()], "loss is nobody's fault"


@pytest.mark.parametrize("number", range(4))
def test_a_node_cut_off_for_several_rounds_catches_up(number: int) -> None:
    """Catches a lonely node that signs, blocks a silent peer, or never hears of the payout."""
    sim = with_key(number)
    sim.mine_every(0.7)
    sim.run(0.3)
    sim.partition([number])
    sim.deposit()
    sim.run(7.0)
    others = [n for n in range(4) if n != number]
    assert all(sim.core(n).report()["payouts"] for n in others), "three of four can pay"
    assert not sim.noted("round.signing", number)
    sim.heal()
    sim.run(1.0)
    sim.deposit(600_000)
    sim.settle()
    states = {p["state"] for p in sim.core(number).report()["payouts"]}
    assert states == {"COMPLETED"}
    assert not any(core.blocks.entries for core in map(sim.core, range(4)))


def test_without_a_quorum_nothing_is_signed_until_it_is_back() -> None:
    """Catches a certificate of fewer than t: two and two nodes must both stand still."""
    sim = with_key(3)
    sim.mine_every(0.7)
    sim.run(0.3)
    sim.deposit()
    sim.partition([0, 1])
    sim.run(6.0)
    assert not sim.noted("round.signing")
    sim.heal()
    sim.settle()


@pytest.mark.parametrize("offset", [2.0, -2.0])
@pytest.mark.parametrize("place", [0, 3])
def test_a_clock_two_seconds_off_hinders_nobody_in_minute_rounds(offset: float, place: int) -> None:
    """F-12: catches messages of the next round being dropped, or a round started too late."""
    sim = with_key(1, begin_s=115.0, preset=evolve(MAINNET, session_idle_s=60))
    sim.nodes[turns(sim)[place]].offset = offset
    sim.run(0.5)
    sim.deposit()
    sim.mine_every(1.9)
    sim.run(50.0)
    assert all(p["state"] == "COMPLETED" for n in range(4) for p in sim.core(n).report()["payouts"])
    sim.settle(1.0)
    if place == 0:
        signers = sim.core(0).report()["payouts"][0]["signers"]
        assert sim.nodes[turns(sim)[0]].node_id.hex() in signers, "it takes part nevertheless"


@pytest.mark.parametrize("offset", [2.0, -2.0])
def test_a_clock_a_third_of_a_round_off_costs_only_that_node(offset: float) -> None:
    """F-12: catches one wrong clock that stops the rounds of the three others."""
    sim = with_key(2, begin_s=95.0, preset=DEVNET)
    sim.nodes[turns(sim)[0]].offset = offset
    sim.run(0.5)
    sim.deposit()
    sim.mine_every(1.0)
    sim.run(8.0)
    sim.deposit(400_000)
    sim.settle(14.0)


def test_a_node_that_was_down_during_a_payout_learns_of_it() -> None:
    """Catches a restarted node that offers a deposit again that the others have paid."""
    sim = with_key(4)
    absent = turns(sim)[1]
    sim.mine_every(0.7)
    sim.run(0.3)
    sim.deposit()
    sim.crash(absent)
    sim.settle()
    sim.start(absent)
    sim.run(1.0)
    sim.deposit(600_000)
    sim.settle()
    assert [p["state"] for p in sim.core(absent).report()["payouts"]] == ["COMPLETED"] * 2


def test_a_whole_network_that_lost_power_goes_on() -> None:
    """Catches state that only the memory of the others kept: locks and votes are on each disk."""
    sim = with_key(5)
    sim.mine_every(0.7)
    sim.run(0.3)
    sim.deposit()
    sim.run_until(lambda: bool(sim.noted("round.signing")), 6.0, "a round signs")
    locked = {event for node in sim.nodes for event in node.disk.attachments.get("lock", {})}
    for number in range(4):
        sim.crash(number)
    assert locked
    sim.run(1.0)
    sim.start_all()
    sim.settle()


def test_a_chain_daemon_that_is_away_delays_only_its_own_node() -> None:
    """Catches a node that votes without a view of the chain, or blocks the others' round."""
    sim = with_key(6)
    for number in (0, 1):
        sim.nodes[number].chain.set_down(True)
    sim.mine_every(0.7)
    sim.run(0.3)
    sim.deposit()
    sim.run(5.0)
    assert not sim.noted("round.signing"), "two daemons of four are away: no quorum has a view"
    sim.nodes[0].chain.set_down(False)
    sim.run(4.0)
    assert sim.noted("round.signing", 2)
    assert not sim.noted("round.signing", 1)
    sim.nodes[1].chain.set_down(False)
    sim.settle()


def test_five_nodes_settle_what_four_do() -> None:
    """Catches numbers of the four-node network written into the code: here t = 4 of n = 5."""
    sim = with_key(7, members=5, threshold=4, byzantine=1)
    sim.mine_every(0.7)
    sim.run(0.3)
    sim.deposit()
    first, second = turns(sim)[:2]
    sim.crash(first)
    sim.settle()
    assert len(sim.core(second).report()["payouts"][0]["signers"]) == 4


def test_dust_moves_nothing_and_hinders_nobody() -> None:
    """Catches a deposit below the minimum that stops the payout of the others."""
    sim = with_key(8)
    sim.mine_every(0.7)
    sim.run(0.3)
    dust = sim.deposit(20_000)
    sim.users.deposits.remove(dust)
    sim.deposit()
    sim.settle()
    assert sim.noted("deposit.declined")
    assert not sim.users.received(dust.script)


def test_quick_rounds_begin_with_the_simulation() -> None:
    """Catches a start time that is no boundary: the scenarios' seconds would mean other shares."""
    assert START % QUICK.round_period_s == START % QUICK.keygen_period_s == 0
    assert START % MAINNET.round_period_s == START % MAINNET.keygen_period_s == 0
