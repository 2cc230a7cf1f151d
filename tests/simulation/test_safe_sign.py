"""SAFE-SIGN in a whole network: locks, retries, and what a lock permits (rules 2 to 6)."""

from __future__ import annotations

from spec import messages as m
from tests.simulation.simulator import Crash, Simulation, sends, turns, with_key


def locked_without_signature(seed: int) -> Simulation:
    """Return a network in which three signers locked on a payout and the run then fell silent."""
    sim = with_key(seed)
    signers = turns(sim)[:3]

    def mute(_to: bytes, message: object) -> list[object]:
        return [] if isinstance(message, m.Release | m.Step) else [message]

    for number in signers:
        sim.tamper[number] = mute
    sim.mine_every(0.7)
    sim.run(0.3)
    sim.deposit()
    sim.run_until(lambda: len(sim.noted("round.signing")) == 3, 6.0, "three begin to sign")
    return sim


def digests(sim: Simulation) -> list[set[bytes]]:
    """Return the digests with a release, by event."""
    return [set(found) for found in sim.checkers.releases.values()]


def test_a_locked_digest_is_tried_again_and_no_other() -> None:
    """SAFE-SIGN 4: catches a retry with a new cut-off, which is another digest for one event."""
    sim = locked_without_signature(1)
    sim.run(2.5)
    sim.tamper.clear()
    sim.settle()
    assert [len(found) for found in digests(sim)] == [1]
    attempts = {note["round"] for note in sim.noted("round.signing")}
    assert len(attempts) >= 2, "it took another round"


def test_a_new_deposit_does_not_change_what_is_tried_again() -> None:
    """Catches a retry that takes the new deposit along: the same event with another document."""
    sim = locked_without_signature(2)
    sim.deposit(650_000)
    sim.run(2.5)
    sim.tamper.clear()
    sim.settle()
    assert sorted(len(found) for found in digests(sim)) == [1, 1]
    inputs = [p["transfers"] for p in sim.core(0).report()["payouts"]]
    assert [len(transfers) for transfers in inputs] == [1, 1]


def test_the_lock_survives_a_restart_of_all_who_hold_it() -> None:
    """SAFE-SIGN 2: catches a lock kept in memory: another digest would be signed after it."""
    sim = locked_without_signature(3)
    sim.deposit(650_000)
    for number in range(4):
        sim.crash(number)
    sim.tamper.clear()
    sim.run(0.5)
    sim.start_all()
    sim.settle()
    assert sorted(len(found) for found in digests(sim)) == [1, 1]


def test_a_node_without_the_lock_follows_those_who_show_it() -> None:
    """Catches a round split between the locked candidate and a fresh one of the fourth node."""
    sim = locked_without_signature(4)
    sim.deposit(650_000)
    sim.crash(turns(sim)[0])
    sim.run(2.5)
    sim.tamper.clear()
    sim.settle()
    assert sorted(len(found) for found in digests(sim)) == [1, 1]


def test_one_node_alone_holds_the_lock() -> None:
    """SAFE-SIGN 3: catches a certificate that is known to one node only and then contradicted."""
    sim = with_key(5)
    first, second, third = turns(sim)[:3]
    for number in (second, third):
        sim.crashes.append(Crash(node=number, when=sends(m.Vote), point="amid", restart_s=0.5))
    sim.mine_every(0.7)
    sim.run(0.3)
    sim.deposit()
    sim.run(2.0)
    sim.deposit(650_000)
    sim.settle()
    assert all(len(found) == 1 for found in digests(sim))
    assert first in [node.number for node in sim.running()]


def test_a_late_signature_is_taken_by_those_who_gave_up() -> None:
    """F-15: catches a node that ignores a verified signature after its own session expired."""
    sim = with_key(6)
    slow, second, third = turns(sim)[:3]
    held: list[object] = []

    def hold(_to: bytes, message: object) -> list[object]:
        if isinstance(message, m.SignatureFound):
            held.append(message)
            return []
        return [message]

    for number in (second, third):
        sim.tamper[number] = hold
    sim.crashes.append(Crash(node=slow, when=sends(m.Step), point="amid", restart_s=0.4))
    sim.run(0.3)
    sim.deposit()
    sim.run(0.4)
    sim.users.mine()
    sim.run(4.0)
    sim.mine_every(0.7)
    sim.settle()
    assert not [fault for _, _, fault in sim.faults]
