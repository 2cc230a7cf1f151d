"""Pings and the peer list among honest nodes."""

from __future__ import annotations

from metanode.protocol.peers.peer_list import Evidence, ping_proof_context
from tests.simulation.simulator import Simulation, with_key


def listing(sim: Simulation, number: int, peer: int) -> str:
    """Return how a peer is listed at a node."""
    core = sim.core(number)
    return core.ctx.tables.state("ping", core.ctx.me, sim.nodes[peer].node_id)


def standing(sim: Simulation, number: int, peer: int) -> str:
    """Return a peer's standing at a node."""
    core = sim.core(number)
    return core.ctx.tables.state("block_list", core.ctx.me, sim.nodes[peer].node_id)


def test_all_honest_nodes_list_each_other_and_themselves() -> None:
    """Catches a stake that is not found, or a node that does not count itself."""
    sim = Simulation(seed=1)
    sim.start_all()
    sim.run(1.5)
    ids = {node.node_id for node in sim.nodes}
    for number in range(4):
        members = sim.core(number).pings.members()
        assert {member.node_id for member in members} == ids
        assert list(members) == sorted(members, key=lambda m: (m.height, m.node_id))


def test_the_sequence_grows_over_a_restart() -> None:
    """F-13: catches a restarted node whose pings are taken for replays."""
    sim = with_key(2)
    sim.run(2.0)
    node_id = sim.nodes[1].node_id
    before = sim.core(0).pings.heard[node_id].sequence
    sim.crash(1)
    sim.run(0.1)
    sim.start(1)
    sim.run(1.5)
    assert sim.core(0).pings.heard[node_id].sequence > before


def test_silence_makes_missing_and_suspect_and_a_ping_clears_both() -> None:
    """F-09, SuspectClears: catches a silence that is taken for guilt."""
    sim = with_key(3)
    sim.run(2.0)
    sim.crash(2)
    sim.run(5.0)
    assert listing(sim, 0, 2) != "listed"
    assert standing(sim, 0, 2) == "suspect"
    sim.start(2)
    sim.run(2.0)
    assert listing(sim, 0, 2) == "listed"
    assert standing(sim, 0, 2) == "clear"


def test_a_block_runs_out() -> None:
    """Catches a block for ever: 72 hours, by the clock."""
    sim = with_key(4)
    pings = sim.core(0).pings
    peer = sim.nodes[1].node_id
    pings.block(peer, "a test", (b"one", b"two"))
    sim.run(1.0)
    assert pings.is_blocked(peer)
    period = sim.preset.block_duration_s
    assert pings.blocks[peer].until - sim.now <= period
    sim.nodes[0].offset = period + 10.0
    sim.run(0.2)
    assert not pings.is_blocked(peer)
    assert standing(sim, 0, 1) in ("clear", "suspect")


def test_evidence_is_kept_whole() -> None:
    """Catches evidence in the store that convinces nobody after a restart."""
    evidence = Evidence("two proposals", 1_800_000_000.5, (b"first", b"second"))
    again = Evidence("two proposals", 1_800_000_000, (b"first", b"second"))
    assert evidence.encode() == again.encode(), "whole seconds are enough"


def test_proofs_name_network_peer_and_sequence() -> None:
    """F-10: catches a share proof that fits another ping."""
    inputs = [(b"n" * 32, b"p" * 33, 1), (b"m" * 32, b"p" * 33, 1), (b"n" * 32, b"q" * 33, 1),
              (b"n" * 32, b"p" * 33, 2)]
    assert len({ping_proof_context(*one) for one in inputs}) == 4


def test_the_list_is_rebuilt_after_each_round_boundary() -> None:
    """Catches an old entry that lives on after its node is gone."""
    sim = with_key(5)
    sim.run(0.3)
    sim.crash(3)
    sim.run(3.0)
    assert listing(sim, 0, 3) == "unlisted"
    assert listing(sim, 0, 1) == "listed"
