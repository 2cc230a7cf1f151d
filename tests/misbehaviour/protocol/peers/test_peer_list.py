"""Dishonest pings: replayed, dated ahead, with another's stake or a proof that proves nothing."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.protocol.context import outpoint_ref
from spec import messages as m
from spec.parameters import DEVNET
from tests.simulation.hostile import MIDDLE, OLDEST, OUTSIDER, changes, network
from tests.simulation.simulator import Simulation


def heard(sim: Simulation, number: int, peer: int) -> int:
    """Return the sequence number of the last good ping of a peer at a node."""
    known = sim.core(number).pings.heard.get(sim.nodes[peer].node_id)
    return known.sequence if known else -1


def listing(sim: Simulation, number: int, peer: int) -> str:
    """Return how a peer is listed at a node."""
    node = sim.core(number)
    return node.ctx.tables.state("ping", node.ctx.me, sim.nodes[peer].node_id)


def captured(sim: Simulation) -> list[m.Ping]:
    """Collect the pings of the dishonest node, and send none of them."""
    found: list[m.Ping] = []

    def keep(message: m.Ping) -> list[object]:
        found.append(message)
        return []

    sim.tamper[OLDEST] = changes(m.Ping, keep)
    return found


def test_an_old_ping_is_refused() -> None:
    """F-13: catches a replay that keeps a dead node in everybody's list."""
    sim = network(1, deposit=False)
    found = captured(sim)
    sim.run(2.5)
    first, last = found[0], found[-1]
    sim.inject(OLDEST, last, MIDDLE)
    sim.run(0.1)
    assert heard(sim, MIDDLE, OLDEST) == last.sequence
    at = sim.core(MIDDLE).pings.heard[sim.nodes[OLDEST].node_id].at
    for again in (first, last):
        sim.inject(OLDEST, again, MIDDLE)
    sim.run(0.1)
    assert sim.core(MIDDLE).pings.heard[sim.nodes[OLDEST].node_id].at == at


TOO_FAR_MS = int(DEVNET.clock_skew_s * 1000) + 2000


@pytest.mark.parametrize("shift", [TOO_FAR_MS, -TOO_FAR_MS])
def test_a_ping_far_from_now_is_refused(shift: int) -> None:
    """Catches a ping from the future: its sequence would outbid every honest one to come."""
    sim = network(2, deposit=False)
    sim.tamper[OLDEST] = changes(
        m.Ping, lambda p: [evolve(p, time_ms=p.time_ms + shift, sequence=p.sequence + shift)]
    )
    before = heard(sim, MIDDLE, OLDEST)
    sim.run(3.5)
    assert heard(sim, MIDDLE, OLDEST) == before


def test_a_high_sequence_harms_only_its_own_sender() -> None:
    """Catches a sequence space that one peer can exhaust for the others."""
    sim = network(3, deposit=False)
    sim.tamper[OLDEST] = changes(m.Ping, lambda p: [evolve(p, sequence=(1 << 63) - 1)])
    sim.run(2.0)
    sim.run_until(lambda: listing(sim, MIDDLE, OUTSIDER) == "listed", 9.0, "an honest peer")


@pytest.mark.parametrize("proof", ["copied", "old", "none", "garbage"])
def test_a_ping_needs_its_own_fresh_share_proof(proof: str) -> None:
    """F-10, F-13: catches a proof that is bound to nobody, or to no sequence number."""
    sim = network(4, deposit=False)
    others: list[m.Ping] = []
    sim.tamper[MIDDLE] = changes(m.Ping, lambda p: [others.append(p), p][1:])
    found = captured(sim)
    sim.run(2.5)
    made = found[-1]
    sequence, changed = (
        heard(sim, OUTSIDER, OLDEST),
        {
            "copied": others[-1].share_proof,
            "old": found[0].share_proof,
            "none": None,
            "garbage": bytes(65),
        }[proof],
    )
    sim.inject(OLDEST, evolve(made, share_proof=changed), OUTSIDER)
    sim.run(0.1)
    assert heard(sim, OUTSIDER, OLDEST) == sequence
    sim.inject(OLDEST, made, OUTSIDER)
    sim.run(0.1)
    assert heard(sim, OUTSIDER, OLDEST) == made.sequence, "the real one was good"


@pytest.mark.parametrize("stake", ["another's", "made up", "spent"])
def test_a_stake_that_is_not_the_senders_lists_nobody(stake: str) -> None:
    """F-13: catches ten peers that present one stake, or one that is not there."""
    sim = Simulation(seed=5, dishonest={OLDEST})
    shown = {
        "another's": outpoint_ref(sim.nodes[MIDDLE].settings.stake),
        "made up": m.OutpointRef(bytes(32), 0),
        "spent": m.OutpointRef(sim.users.ledger.tree.active[1].hash, 0),
    }[stake]
    sim.tamper[OLDEST] = changes(m.Ping, lambda p: [evolve(p, stake=shown)])
    sim.start_all()
    sim.run(3.0)
    assert listing(sim, MIDDLE, OLDEST) != "listed"
    assert listing(sim, MIDDLE, OUTSIDER) == "listed"


def test_silence_makes_suspect_and_one_good_ping_clears() -> None:
    """F-09: catches a short silence that becomes a long block."""
    sim = network(6, deposit=False)
    captured(sim)
    sim.run(5.0)
    core = sim.core(MIDDLE)
    assert core.ctx.tables.state("block_list", core.ctx.me, sim.nodes[OLDEST].node_id) == "suspect"
    sim.tamper.clear()
    sim.run(1.2)
    assert core.ctx.tables.state("block_list", core.ctx.me, sim.nodes[OLDEST].node_id) == "clear"


def test_advertised_states_move_nothing() -> None:
    """F-02: catches a round that ends, or never begins, because a liar advertises Signing."""
    sim = network(7)
    sim.tamper[OLDEST] = changes(m.Ping, lambda p: [evolve(p, phase="Signing")])
    sim.settle()
    assert len({note["round"] for note in sim.noted("round.signing")}) == 1


@pytest.mark.parametrize("change", [{"phase": "x" * 17}, {"sequence": 1 << 63}, {"time_ms": -1}])
def test_fields_out_of_bounds_cannot_be_built(change: dict[str, object]) -> None:
    """Catches a field without a bound."""
    good = m.Ping(1, 1, "Idle", m.OutpointRef(bytes(32), 0), None, None, 0)
    with pytest.raises(ValueError):
        evolve(good, **change)
