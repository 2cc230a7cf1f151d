"""Blame in a running network: cheats are recorded, proved or not, blocked and banned."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.protocol.blame.book import RECORDS_PER_CULPRIT
from metanode.protocol.blame.record import WORD_ONLY, judge
from metanode.tss.messages import DealingShapes, sign_rounds
from metanode.tss.parameters import LANES, STANDARD
from spec import messages as m
from tests.protocol.blame.support import (
    CHEATS,
    KEYGEN,
    SIGN,
    ban,
    blamed,
    convicts,
    edited,
    running,
)
from tests.simulation.hostile import MIDDLE, OLDEST, OUTSIDER, YOUNGEST, changes, network
from tests.simulation.simulator import Simulation, with_key
from tests.simulation.test_regroup import CHANGE, ask, works
from tests.simulation.test_sessions import flipped
from tests.tss.support import flip, plus_one

REGROUP = DealingShapes(2)


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_cheat_in_signing_is_proved_and_the_payouts_go_on(cheat: str) -> None:
    """Catches a record that convinces nobody, a block without its proof, and a lost payout."""
    kind, change, name, reason = CHEATS[cheat]
    sim = network(21)
    sim.tamper[OLDEST] = changes(kind, change)
    record = blamed(sim, MIDDLE)
    assert (record.kind, record.reason) == (name, reason)
    assert record.transferable
    assert not record.ban
    assert convicts(record)
    assert record.purpose == "payout"
    core = sim.core(MIDDLE)
    assert core.blocks.is_blocked(record.culprit)
    assert not core.blames.bans.by_peer
    sim.settle(24.0)
    assert sim.nodes[OLDEST].node_id.hex() not in core.report()["payouts"][-1]["signers"]
    for number in (YOUNGEST, OUTSIDER, MIDDLE):
        assert set(sim.core(number).blames.lists) <= {record.culprit}
        for kept in sim.core(number).blames.lists.values():
            assert all(convicts(r) and r.transferable for r in kept.records)
            assert len(kept.records) <= RECORDS_PER_CULPRIT


def test_a_wrong_dealt_share_is_proved_and_only_that_share_is_shown() -> None:
    """Catches a Feldman complaint that nobody outside can check."""
    sim = Simulation(seed=22, dishonest={OLDEST}, keygen_s=2.0)
    sim.tamper[OLDEST] = changes(m.Step, edited(KEYGEN, 3, "share", plus_one))
    sim.start_all()
    record = blamed(sim, MIDDLE)
    assert (record.kind, record.reason, record.purpose) == ("share", "dealt share", "keygen")
    assert record.transferable
    assert convicts(record)
    assert len(record.frames) == 2
    assert not sim.core(MIDDLE).blocks.is_blocked(record.culprit), "all founders are needed"


def test_a_failed_multiplication_is_this_nodes_word_and_bans_for_good() -> None:
    """Catches a record that pretends to prove what only secrets show, and a ban lost in a crash."""
    sim = network(23)
    sim.tamper[OLDEST] = changes(m.Release, flipped)
    record = blamed(sim, MIDDLE)
    assert (record.kind, record.ban, record.transferable) == ("ot_consistency", True, False)
    assert record.frames == ()
    assert judge(record).reason == WORD_ONLY
    core, me = sim.core(MIDDLE), sim.nodes[MIDDLE].node_id
    assert not core.blocks.is_blocked(record.culprit)
    assert core.blames.bans.by_peer[record.culprit].epoch == core.ctx.epoch.number
    before = core.blames.report()
    sim.run(0.1)
    sim.crash(MIDDLE)
    sim.start(MIDDLE)
    again = sim.core(MIDDLE)
    assert again.blames.report() == before
    assert again.ctx.tables.view.get("pair_banned", me, record.culprit)
    sim.settle(24.0)
    assert sim.nodes[OLDEST].node_id.hex() not in again.report()["payouts"][-1]["signers"]


@pytest.mark.parametrize("lane", [0, 1])
def test_a_cheat_in_a_session_of_several_digests_is_proved(lane: int) -> None:
    """Catches a record that is judged by another session's digests, or by a single signature's."""
    sim = network(27, deposit=False)
    for number in range(LANES + 2):
        sim.deposit(1_000_000 + 100_000 * number)
    shapes = sign_rounds(STANDARD, 2 if lane else LANES)
    sim.tamper[OLDEST] = changes(m.Step, edited(shapes, 2, "salt", flip))
    record = blamed(sim, MIDDLE)
    assert (record.kind, record.reason, record.lane) == (
        "commitment", "opening of the nonce point", lane
    )
    assert record.transferable
    assert convicts(record)
    assert not convicts(evolve(record, lane=1 - lane))
    sim.settle(24.0)


def test_a_signature_that_nobody_can_be_named_for_is_made_by_others() -> None:
    """Catches a payout that waits for ever, or an honest node blamed, where the sums give none."""
    sim = network(28)
    sim.tamper[OLDEST] = changes(m.Step, edited(SIGN, 2, "psi", plus_one))
    sim.run_until(lambda: bool(sim.noted("session.aborted")), 8.0, "a run is aborted")
    for note in sim.noted("session.aborted"):
        assert (note["kind"], note["culprits"]) == ("invalid_signature", [])
    sim.settle(24.0)
    for number in (MIDDLE, YOUNGEST, OUTSIDER):
        assert not sim.core(number).blames.lists
        assert not sim.core(number).blames.bans.by_peer
    signers = sim.core(MIDDLE).report()["payouts"][-1]["signers"]
    assert sim.nodes[OLDEST].node_id.hex() not in signers


def test_an_equivocated_round_1_bans_and_blames_nobody() -> None:
    """Catches honest nodes that punish each other because a cheat showed them different things."""
    sim = network(24)
    wrong = edited(SIGN, 1, "commitment", flip)
    sim.tamper[OLDEST] = changes(m.Release, wrong, to=[sim.nodes[MIDDLE].node_id])
    sim.run_until(lambda: bool(sim.noted("session.aborted")), 8.0, "a run is aborted")
    sim.run(1.0)
    for number in (MIDDLE, YOUNGEST, OUTSIDER):
        assert not sim.core(number).blames.lists
        assert not sim.core(number).blames.bans.by_peer


def silent(seed: int) -> Simulation:
    """Return a network whose oldest member never says anything in a run."""
    sim = network(seed)
    sim.tamper[OLDEST] = changes(m.Release, lambda s: [])
    return sim


def test_a_run_with_a_peer_that_gets_banned_ends_at_once() -> None:
    """Catches a concurrent run in which a banned peer can try its next guess."""
    sim = silent(25)
    run, core = running(sim, MIDDLE), sim.core(MIDDLE)
    ban(core, sim.nodes[OUTSIDER].node_id, 1)
    sim.run(0.1)
    assert core.sessions.running(run.event) is run
    ban(core, sim.nodes[OLDEST].node_id, 1)
    sim.run(0.1)
    assert core.sessions.running(run.event) is None
    assert all(lane.state == "aborted" for lane in run.lanes)
    assert sim.noted("session.aborted", MIDDLE)[0]["kind"] == "banned"
    assert core.book.status(run.event) == "PENDING"
    assert core.book.lock_of(run.event) is not None


def test_a_certificate_that_names_a_banned_peer_begins_nothing() -> None:
    """Catches a member that was banned after the votes, and signs all the same."""
    sim = network(26)
    core = sim.core(MIDDLE)
    released: list[object] = []
    sim.tamper[MIDDLE] = changes(m.Release, lambda r: [released.append(r), r][1:])
    sim.run_until(lambda: core.rounds.phase() == "ThresholdSet", 8.0, "votes", exactly=True)
    ban(core, sim.nodes[OLDEST].node_id, 1)
    sim.run_until(lambda: bool(sim.noted("session.aborted", MIDDLE)), 8.0, "it is refused")
    assert sim.noted("session.aborted", MIDDLE)[0]["kind"] == "banned"
    assert not released
    sim.settle(24.0)
    assert sim.nodes[OLDEST].node_id.hex() not in core.report()["payouts"][-1]["signers"]


def test_a_banned_pair_makes_fresh_transfers_and_signs_again_after_a_pardon() -> None:
    """Catches a ban that keeps the pair from what would mend it, or that outlives the pardon."""
    sim = network(31, deposit=False)
    core, peer = sim.core(MIDDLE), sim.nodes[OLDEST].node_id
    ban(core, peer, core.ctx.epoch.number)
    before = ask(sim)
    sim.run_until(lambda: works(sim, range(4), before), 20.0, "new shares work")
    assert core.ctx.tables.view.get("pair_banned", core.ctx.me, peer)
    core.on_pardon(core.ctx.now, peer)

    def together() -> bool:
        payouts = core.report()["payouts"]
        return any({core.ctx.me.hex(), peer.hex()} <= set(p["signers"]) for p in payouts)

    for _ in range(4):
        if not together():
            sim.deposit()
            sim.settle(24.0)
    assert together()


@pytest.mark.parametrize("change", [None, CHANGE], ids=["refresh", "reshare"])
def test_a_wrong_share_in_a_regroup_is_proved(
    change: tuple[tuple[int, ...], int, int] | None
) -> None:
    """Catches a plan of new shares that a stranger cannot follow."""
    sim = with_key(32, joiners=1, dishonest={0})
    sim.tamper[0] = changes(m.Step, edited(REGROUP, 3, "share", plus_one))
    ask(sim, change)
    lists = sim.core(1).blames.lists
    sim.run_until(lambda: bool(lists), 20.0, "somebody is blamed")
    ((culprit, kept),) = lists.items()
    record = kept.records[0]
    assert culprit == sim.nodes[0].node_id
    assert (record.kind, record.reason) == ("share", "dealt share")
    assert record.purpose == ("refresh" if change is None else "reshare")
    assert record.transferable
    assert convicts(record)
