"""SETUP, ACK and BEGIN among honest nodes."""

from __future__ import annotations

from metanode.protocol.events.coordinator import Task
from metanode.protocol.tables.view import Quorum
from spec import messages as m
from tests.simulation.simulator import Simulation, Weather

IDS = tuple(number.to_bytes(33, "big") for number in range(4))


def task(attempt: int, *, epoch: int = 1, needs_all: bool = False) -> Task:
    """Return a task of four members."""
    return Task(
        purpose="lock_in", event=bytes(32), attempt=attempt, key_epoch=epoch, document=b"",
        digest=bytes(32), members=IDS, quorum=Quorum(IDS, 3, 1), needs_all=needs_all,
    )


def test_the_coordinator_rotates_with_the_attempts() -> None:
    """F-20, F-21: catches a coordinator by block number: it could be silent for 1000 blocks."""
    turns = [task(attempt).coordinator for attempt in range(8)]
    assert turns[:4] != sorted(turns[:4]), "the epoch shifts the turns"
    assert sorted(turns[:4]) == list(IDS)
    assert turns[4:] == turns[:4]
    assert task(0, epoch=2).coordinator == task(1, epoch=1).coordinator


def test_a_key_generation_needs_all_votes_and_a_signature_t() -> None:
    """Catches a key generation without a member, and a lock-in that waits for everybody."""
    assert task(1, needs_all=True).votes_needed == 4
    assert task(1).votes_needed == 3


def test_the_vote_says_everything_that_is_agreed_on() -> None:
    """F-17, F-22: catches an ACK that fits another set-up."""
    vote = task(5).vote
    assert (vote.attempt, vote.event, vote.digest, vote.members) == (5, bytes(32), bytes(32), IDS)


def test_exactly_t_of_those_who_were_asked_begin_the_lock_in() -> None:
    """F-22: catches a session of all voters, or one that a dead member stalls."""
    sim = Simulation(seed=1, keygen_s=2.0)
    sim.start_all()
    sim.run_until(lambda: len(sim.noted("key.locked_in")) == 4, 20.0, "the key")
    begun = [note for note in sim.noted("session.begun") if note["purpose"] == "lock_in"]
    assert len(begun) == 3


def test_a_slow_network_repeats_until_it_works() -> None:
    """Catches an attempt that spoils the next one: votes and set-ups of both are on their way."""
    sim = Simulation(seed=2, keygen_s=2.0, weather=Weather(latency=(0.1, 0.9)))
    sim.start_all()
    sim.run(9.0)
    sim.weather = Weather()
    sim.run_until(lambda: len(sim.noted("key.locked_in")) == 4, 30.0, "the key")


def test_set_ups_are_sent_once_an_attempt() -> None:
    """Catches a coordinator that asks again with every tick."""
    sim = Simulation(seed=3, keygen_s=2.0)
    counted: list[tuple[str, int]] = []

    def count(_to: bytes, message: object) -> list[object]:
        if isinstance(message, m.Setup):
            counted.append((message.purpose, message.attempt))
        return [message]

    for number in range(4):
        sim.tamper[number] = count
    sim.start_all()
    sim.run_until(lambda: len(sim.noted("key.locked_in")) == 4, 20.0, "the key")
    assert len(counted) == 3 * len(set(counted))
