"""Events of which nothing can come any more: they end on disk."""

from __future__ import annotations

from metanode.protocol.context import keygen_event, lock_in_event, regroup_event
from tests.simulation.asking import quiet
from tests.simulation.simulator import NETWORK_ID, QUICK, Simulation


def open_events(sim: Simulation, number: int) -> dict[bytes, str]:
    """Return what is not decided on a node's disk."""
    cells = sim.nodes[number].disk.cells["status"]
    return {
        index[-1]: str(value) for index, value in cells.items()
        if value not in ("UNKNOWN", "SUCCESS", "EXPIRED")
    }


def test_slots_that_come_to_nothing_do_not_stay_pending() -> None:
    """Catches a store that gathers an open event every five minutes until all members are there,
    and a slot that ends while it goes on.
    """
    sim = Simulation(seed=7, keygen_s=4.0)
    sim.start_all((0, 1, 2))
    sim.run(6 * QUICK.keygen_period_s + 1.0)
    for number in range(3):
        slot = sim.core(number).ctx.keygen_slot()
        assert set(open_events(sim, number)) <= {keygen_event(NETWORK_ID, slot)}
        lapsed = [note for note in sim.noted("event.lapsed", number) if note["kind"] == "keygen"]
        assert len(lapsed) <= 7
    sim.start(3)
    everyone = {node.node_id for node in sim.nodes}
    sim.run_until(lambda: set(sim.checkers.locked_keys) == everyone, 30.0, "a key is made later")


def test_what_a_node_finds_open_after_a_restart_ends_too() -> None:
    """Catches events that stay pending for ever because a restart has forgotten what they are; and
    one that ends although it can be signed.
    """
    sim = quiet(3)
    core, node = sim.core(0), sim.nodes[0]
    slot, round_number = core.ctx.keygen_slot() - 5, core.ctx.round_number() - 50
    key_id = core.ctx.epoch.key_id
    old = {
        keygen_event(NETWORK_ID, slot): "PENDING",
        regroup_event(NETWORK_ID, key_id, round_number): "FAILED",
        bytes([7]) * 32: "PENDING",
    }
    sim.crash(0)
    for event, status in old.items():
        node.disk.cells["status"][node.node_id, event] = status
    voted = (node.node_id, regroup_event(NETWORK_ID, key_id, round_number), round_number)
    node.disk.cells["voted"][voted] = bytes(32)
    assert len(open_events(sim, 0)) == 3
    sim.start(0)
    sim.run(2 * QUICK.round_period_s)
    assert open_events(sim, 0) == {bytes([7]) * 32: "PENDING"}, "nobody knows what that one is"
    assert len(sim.noted("event.lapsed", 0)) == 2
    lock_in = lock_in_event(NETWORK_ID)
    assert sim.core(0).book.status(lock_in) == "SUCCESS"
