"""A dishonest member in the signing runs of a whole network: the payouts go on without it."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.protocol.tables.effects import Effects
from metanode.tss.abort import AbortKind
from spec import messages as m
from tests.simulation.asking import all_signed, ask_to_sign, quiet
from tests.simulation.hostile import MIDDLE, OLDEST, YOUNGEST, changes, network, once
from tests.simulation.simulator import Simulation


def aborts(sim: Simulation, number: int) -> list[str]:
    """Return the kinds of aborts that a node noted."""
    return [note["kind"] for note in sim.noted("session.aborted", number)]


def signers(sim: Simulation) -> list[str]:
    """Return the signers of the newest payout."""
    return sim.core(MIDDLE).report()["payouts"][-1]["signers"]


def test_garbage_in_a_step_ends_the_run_and_keeps_the_lock() -> None:
    """Catches an event lost, or signed with another digest, after an abort."""
    sim = network(1)
    sim.tamper[OLDEST] = changes(m.Step, once(lambda s: [evolve(s, payload=b"garbage")]))
    sim.run_until(lambda: bool(sim.noted("session.aborted")), 8.0, "a run is aborted")
    victim = next(n for _, n, note in sim.notes if note["event"] == "session.aborted")
    assert aborts(sim, victim) == [AbortKind.MALFORMED.value]
    assert sim.noted("session.aborted", victim)[0]["culprits"] == [
        sim.nodes[OLDEST].node_id.hex()[:16]
    ]
    (event,) = sim.checkers.releases
    assert sim.core(victim).book.status(event) == "PENDING"
    assert sim.nodes[victim].disk.lock(event) is not None
    sim.settle()
    assert len(sim.checkers.releases[event]) == 1, "the same digest was signed in the end"


def test_a_member_that_sends_garbage_in_every_run_does_not_stop_the_payouts() -> None:
    """RoundProgress: catches a culprit that is chosen again in every round for ever."""
    sim = network(2)
    sim.tamper[OLDEST] = changes(m.Step, lambda s: [evolve(s, payload=b"garbage")])
    sim.settle(24.0)
    assert sim.nodes[OLDEST].node_id.hex() not in signers(sim)


def test_a_member_that_never_steps_does_not_stop_the_payouts() -> None:
    """RoundProgress: catches a run that a silent member stalls in every round for ever."""
    sim = network(3)
    sim.tamper[OLDEST] = changes(m.Release, lambda s: [])
    sim.settle(24.0)
    assert sim.nodes[OLDEST].node_id.hex() not in signers(sim)


def flipped(step: m.Release | m.Step) -> list[object]:
    """Change one bit in the last fifth of a payload: inside the multiplication's vectors."""
    octets = bytearray(step.payload)
    octets[-len(octets) // 5] ^= 1
    return [evolve(step, payload=bytes(octets))]


@pytest.mark.parametrize("kind", [m.Release, m.Step])
def test_a_cheat_in_the_multiplication_is_caught_and_the_next_rounds_do_without(kind: type) -> None:
    """Catches a wrong signature being used, and a payout that never comes.

    A failed consistency check bans the pair until it has fresh base transfers.
    """
    sim = network(4)
    sim.tamper[OLDEST] = changes(kind, flipped)
    sim.settle(24.0)
    kinds = {kind for number in (YOUNGEST, MIDDLE) for kind in aborts(sim, number)}
    assert kinds
    bans = [n for n in (YOUNGEST, MIDDLE) if sim.noted("peer.banned", n)]
    cheat = {AbortKind.OT_CONSISTENCY.value, AbortKind.MUL_CHECK.value}
    for number in bans:
        liar = sim.nodes[OLDEST].node_id
        assert sim.nodes[number].disk.get("pair_banned", sim.nodes[number].node_id, liar)
    assert bool(bans) == bool(kinds & cheat)
    assert sim.nodes[OLDEST].node_id.hex() not in signers(sim)


def test_a_replayed_step_of_the_run_before_stops_nothing() -> None:
    """F-23: catches messages of attempt 1 that reach attempt 2."""
    sim = network(5)
    old: list[m.Release] = []

    def replay(message: m.Release) -> list[object]:
        if not old:
            old.append(message)
            return []  # the first run comes to nothing
        return [message, old[0], evolve(old[0], instance=message.instance)]

    sim.tamper[OLDEST] = changes(m.Release, replay)
    sim.settle(24.0)


def test_a_protocol_error_before_a_release_fails_the_event_until_it_is_tried_again() -> None:
    """F-35: catches a run with a banned peer that is not ended before this node's share is out, and
    an event that stays failed when others could sign it.
    """
    sim = quiet(21)
    down, victim, banned, third = range(4)
    view = sim.core(victim).ctx.tables.view
    view.put("pair_banned", (sim.nodes[victim].node_id, sim.nodes[banned].node_id), True)
    written: list[object] = []

    def watch(effects: Effects) -> None:
        written.extend(w.after for w in effects.writes if w.cell == "status")

    sim.nodes[victim].watcher = watch
    sim.crash(down)
    event = ask_to_sign(sim, [victim, banned, third])
    sim.run_until(lambda: "FAILED" in written, 4.0, "the run fails at the victim")
    released = [key for key, value in view.entries("released") if value and key[1] == event]
    assert released == []
    sim.start(down)
    sim.run(1.0)
    ask_to_sign(sim, [down])
    sim.run_until(lambda: all_signed(sim, event), 12.0, "the others sign without the banned one")
    assert written[-1] == "SUCCESS"
