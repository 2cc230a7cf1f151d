"""The latch of a share in a running node: bans reach it from disk, and from the run that fails."""

from __future__ import annotations

import pytest

from metanode.protocol.node import NodeCore
from metanode.tss.sign import SignSession
from spec import messages as m
from tests.protocol.blame.support import ban, blamed
from tests.simulation.hostile import MIDDLE, OLDEST, OUTSIDER, YOUNGEST, changes, network
from tests.simulation.simulator import Simulation
from tests.simulation.test_regroup import ask, works
from tests.simulation.test_sessions import flipped
from tests.tss.support import seeded


def again(sim: Simulation) -> NodeCore:
    """Start a node once more from what it has on disk."""
    sim.crash(MIDDLE)
    sim.start(MIDDLE)
    return sim.core(MIDDLE)


def emitted(core: NodeCore, peer: bytes, others: list[bytes]) -> tuple[int, int]:
    """Return how many messages the share in force emits with a peer, and without it."""
    epoch = core.ctx.epoch
    counts = []
    for members in ([peer, *others[:1]], others):
        signers = [epoch.index_of(member) for member in (core.ctx.me, *members)]
        session = SignSession(epoch.share, signers, bytes(32), bytes(32), seeded("latch"))
        counts.append(len(session.start()))
        aborted = session.abort
        assert (aborted is None) == bool(counts[-1])
        if aborted is not None:
            assert (aborted.ban, aborted.culprits) == (True, (epoch.index_of(peer),))
    return counts[0], counts[1]


def test_a_ban_on_disk_closes_the_latch_until_a_refresh_and_for_that_share_only() -> None:
    """Catches a restart after which the share answers a banned peer's next guess.

    The ban itself outlives the refresh until the pardon; neither opens the latch of an old share.
    """
    sim = network(34, deposit=False)
    peer, others = sim.nodes[OLDEST].node_id, [sim.nodes[n].node_id for n in (YOUNGEST, OUTSIDER)]
    core = again(sim)
    assert core.ctx.epoch.share.latch.closed == ()
    assert all(emitted(core, peer, others))
    ban(core, peer, core.ctx.epoch.number)
    sim.run(0.1)
    core = again(sim)
    old, number = core.ctx.epoch.share, core.ctx.epoch.number
    assert old.latch.closed == (core.ctx.epoch.index_of(peer),)
    with_peer, without = emitted(core, peer, others)
    assert (with_peer, without > 0) == (0, True)
    ask(sim)
    sim.run_until(lambda: works(sim, range(4), number), 20.0, "new shares work")
    for core in (sim.core(MIDDLE), again(sim)):
        assert core.ctx.tables.view.get("pair_banned", core.ctx.me, peer)
        assert core.ctx.epoch.share.latch.closed == ()
        assert all(emitted(core, peer, others))
    core.on_pardon(core.ctx.now, peer)
    sim.run(0.1)
    assert again(sim).ctx.epoch.share.latch.closed == ()
    assert old.latch.closed != ()


@pytest.mark.parametrize("restarted", [False, True])
def test_the_latch_alone_keeps_a_share_from_a_banned_peer(restarted: bool) -> None:
    """Catches a node that its tables alone hold back: here they have lost the ban."""
    sim = network(23)
    sim.tamper[OLDEST] = changes(m.Release, flipped)
    assert blamed(sim, MIDDLE).ban
    core = sim.core(MIDDLE)
    sim.run(0.1)
    if restarted:
        core = again(sim)
    liar = sim.nodes[OLDEST].node_id
    assert core.ctx.epoch.share.latch.closed == (core.ctx.epoch.index_of(liar),)
    core.ctx.tables.view.put("pair_banned", (core.ctx.me, liar), value=False)
    sim.nodes[MIDDLE].disk.cells["pair_banned"][core.ctx.me, liar] = False
    heard: list[object] = []
    steps = (m.Release, m.Step)
    sim.tamper[MIDDLE] = changes(steps, lambda s: [heard.append(s), s][1:], to=[liar])
    sim.crash(YOUNGEST)  # whoever signs now, signs with both
    before = len(sim.noted("session.aborted", MIDDLE))
    sim.deposit()
    sim.run(8.0)
    later = sim.noted("session.aborted", MIDDLE)[before:]
    assert {(note["kind"], *note["culprits"]) for note in later} == {
        ("ot_consistency", liar.hex()[:16])
    }
    assert heard == []
