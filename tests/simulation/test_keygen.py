"""From nothing to one locked key: slots, coordinators, confirmations, lock-in, late comers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from attrs import evolve

from metanode.protocol.context import keygen_event
from spec import messages as m
from tests.conformance.recording import recorded
from tests.simulation.hostile import MIDDLE, OLDEST
from tests.simulation.simulator import (
    NETWORK_ID,
    QUICK,
    Crash,
    Simulation,
    Weather,
    sends,
    writes_cell,
)


def locked(sim: Simulation, count: int = 4) -> bool:
    """Return whether so many running nodes have the key in force."""
    return sum(node.core.ctx.key is not None for node in sim.running() if node.core) >= count


def coordinator_of(sim: Simulation, slot_offset: int) -> int:
    """Return the number of the coordinator of the keygen slot that begins after the start."""
    ids = sorted(node.node_id for node in sim.nodes)
    slot = int(sim.begin // QUICK.keygen_period_s) + slot_offset
    return sim.number_of(ids[(1 + slot) % len(ids)])


def states(sim: Simulation) -> list[str]:
    """Return the states of all keys at all nodes."""
    return sorted({s for n in sim.running() for s in sim.core(n.number).report()["keys"].values()})


@pytest.mark.real_transfers
def test_keygen_repeats_until_its_end_and_one_key_is_locked_in() -> None:
    """Catches a second key in force, and keys that are made but never retired."""
    sim = Simulation(seed=1, keygen_s=9.0)
    sim.start_all()
    sim.run_until(lambda: locked(sim), 20.0, "a key is locked in")
    sim.run(1.0)
    made = [note["slot"] for note in sim.noted("keygen.certified", 0)]
    assert len(made) == 3, "slots at 0, 4 and 8 s"
    assert {note["slot"] for note in sim.noted("key.locked_in")} == {made[-1]}
    assert states(sim) == ["locked_in"], "the shares of the others are erased"


def test_a_dead_coordinator_costs_one_slot() -> None:
    """F-21: catches a key generation that waits for one coordinator for ever."""
    sim = Simulation(seed=2)
    dead = coordinator_of(sim, 0)
    ids = sorted(node.node_id for node in sim.nodes)

    def mute(_to: bytes, message: object) -> list[object]:
        return [] if isinstance(message, m.Setup) else [message]

    sim.tamper[dead] = mute
    sim.start_all()
    sim.run_until(lambda: locked(sim), 20.0, "a key is locked in")
    slots = {note["slot"] for note in sim.noted("key.locked_in")}
    assert len(slots) == 1
    assert slots.pop() > sim.begin // QUICK.keygen_period_s
    assert dead == sim.number_of(ids[(1 + int(sim.begin // 4)) % 4])


def test_a_member_that_finishes_last_certifies_at_once() -> None:
    """Catches a key that waits for another confirmation although all of them are in already."""
    sim = Simulation(seed=11, keygen_s=17.0)
    last = sim.nodes[2].node_id

    def slowly(number: int) -> Callable[[bytes, object], list[object]]:
        def later(to: bytes, message: object) -> list[object]:
            if to != last or not isinstance(message, m.Step):
                return [message]
            sim.after(0.2, lambda: sim.inject(number, message, 2))
            return []

        return later

    for number in (0, 1, 3):
        sim.tamper[number] = slowly(number)
    traces = recorded(sim)
    sim.start_all()
    sim.run_until(lambda: locked(sim), 30.0, "a key is locked in")
    at_once = [r for r in traces["node-2"] if r.get("event") == "Certify" and r["input"] == "step"]
    assert len(at_once) == len(sim.noted("keygen.certified", 2)) == 5
    assert states(sim) == ["locked_in"]


@pytest.mark.parametrize("reached", [0, 1, 3])
def test_a_coordinator_that_dies_in_the_lock_in_costs_one_round(reached: int) -> None:
    """F-21: catches a certified key that is never locked in because one node fell silent.

    Its set-up reached so many members before: they have voted, and their attempt never begins.
    """
    sim = Simulation(seed=3, keygen_s=2.0)
    sim.start_all()
    heard: list[bytes] = []

    def die(number: int) -> None:
        def partly(to: bytes, message: object) -> list[object]:
            if isinstance(message, m.Setup) and message.purpose == "lock_in":
                sim.after(0.0, lambda: sim.crash(number))
                heard.append(to)
                return [message] if len(heard) <= reached else []
            return [message]

        sim.tamper[number] = partly

    ids = sorted(node.node_id for node in sim.nodes)
    die(sim.number_of(ids[(1 + int(sim.begin // 2) + 1) % 4]))
    sim.run_until(lambda: len(sim.running()) == 3, 8.0, "the coordinator died")
    sim.run_until(lambda: locked(sim, 3), 12.0, "a key is locked in by the three others")


@pytest.mark.parametrize("silent", [0, 2])
def test_a_key_that_one_member_never_confirms_does_not_count(silent: int) -> None:
    """F-27: catches a key in force that one member may not have: its deposits could get stuck."""
    sim = Simulation(seed=4, keygen_s=2.0)

    def mute(_to: bytes, message: object) -> list[object]:
        return [] if isinstance(message, m.Confirmation | m.Confirmations) else [message]

    sim.tamper[silent] = mute
    sim.start_all()
    sim.run(4.0)
    assert not locked(sim, 1)
    assert sim.noted("keygen.stored")
    sim.tamper.clear()
    sim.run_until(lambda: locked(sim), 20.0, "a key is locked in")


@pytest.mark.parametrize("point", ["before", "after", "amid"])
def test_a_crash_while_the_share_is_stored(point: str) -> None:
    """Catches a share that was confirmed and lost, or kept and never confirmed again."""
    sim = Simulation(seed=5, keygen_s=2.0)
    sim.crashes.append(Crash(node=1, when=writes_cell("key_share"), point=point))
    sim.start_all()
    sim.run_until(lambda: locked(sim), 24.0, "a key is locked in")


@pytest.mark.parametrize("point", ["before", "after", "amid"])
def test_a_crash_amid_the_lock_in(point: str) -> None:
    """Catches two keys in force around a restart: the lock-in is one event under SAFE-SIGN."""
    sim = Simulation(seed=6, keygen_s=5.0)
    for number in (0, 2):
        sim.crashes.append(Crash(node=number, when=writes_cell("released"), point=point))
    sim.start_all()
    sim.run_until(lambda: locked(sim), 40.0, "a key is locked in")


def test_a_node_that_was_down_during_the_lock_in_catches_up() -> None:
    """Catches a holder that keeps its share but never learns that the key counts."""
    sim = Simulation(seed=7, keygen_s=2.0)
    sim.start_all()
    sim.run_until(lambda: len(sim.noted("keygen.certified")) == 4, 8.0, "a certified key")
    sim.crash(3)
    sim.run_until(lambda: locked(sim, 3), 20.0, "three lock it in")
    sim.start(3)
    sim.run_until(lambda: locked(sim), 4.0, "the fourth hears of it")
    sim.deposit()
    sim.mine_every(0.7)
    sim.settle()


def test_a_node_that_missed_the_last_confirmation_learns_it_with_the_lock() -> None:
    """Catches a holder stuck in `stored`: the announcement carries all confirmations."""
    sim = Simulation(seed=8, keygen_s=2.0)
    deaf = 1

    def skip(to: bytes, message: object) -> list[object]:
        lost = isinstance(message, m.Confirmation | m.Confirmations)
        lost = lost and to == sim.nodes[deaf].node_id
        return [] if lost else [message]

    for number in (0, 2, 3):
        sim.tamper[number] = skip
    sim.start_all()
    sim.run_until(lambda: locked(sim), 20.0, "a key is locked in, at the deaf node too")


def test_a_member_down_for_a_slot_delays_the_key_only() -> None:
    """Catches a key of fewer members than the network has: n and t belong to the configuration."""
    sim = Simulation(seed=9)
    sim.start_all([0, 1, 2])
    sim.run(6.0)
    assert not sim.noted("setup.sent")
    sim.start(3)
    sim.run_until(lambda: locked(sim), 20.0, "a key is locked in")
    assert len(sim.core(0).report()["key"]["roster"]) == 4


def test_a_crash_in_the_keygen_session_leaves_that_key_abandoned() -> None:
    """Catches a restarted node that goes on with a half-made key, or tries the same slot again."""
    sim = Simulation(seed=10)
    sim.crashes.append(Crash(node=2, when=sends(m.Step), point="amid", restart_s=0.2))
    sim.start_all()
    sim.run_until(lambda: locked(sim), 30.0, "a key is locked in")
    first = int(sim.begin // QUICK.keygen_period_s)
    assert keygen_event(NETWORK_ID, first) != keygen_event(NETWORK_ID, first + 1)
    assert sim.core(2).report()["key"]["slot"] > first


def test_a_slow_network_repeats_until_it_works() -> None:
    """Catches an attempt that spoils the next one: votes and set-ups of both are on their way."""
    sim = Simulation(seed=2, keygen_s=2.0, weather=Weather(latency=(0.1, 0.9)))
    sim.start_all()
    sim.run(9.0)
    sim.weather = Weather()
    sim.run_until(lambda: locked(sim), 30.0, "the key")


def test_a_stranger_takes_no_part_in_the_key_generation() -> None:
    """Catches votes, set-ups or confirmations of a node without a proved stake."""
    sim = Simulation(seed=8, dishonest={OLDEST})
    real = sim.nodes[OLDEST].settings
    sim.nodes[OLDEST].settings = evolve(real, stake=sim.nodes[MIDDLE].settings.stake)
    sim.start_all()
    sim.run(6.0)
    assert not sim.noted("setup.sent", MIDDLE)
    assert not sim.noted("session.begun")
    listed = {member.node_id for member in sim.core(MIDDLE).peers.members()}
    assert sim.nodes[OLDEST].node_id not in listed
