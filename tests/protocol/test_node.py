"""The whole core: what it starts from, what it tells, and what it refuses."""

from __future__ import annotations

import json
import random

import pytest

from metanode.chains.base import StakeReason
from metanode.custody.types import Outpoint
from metanode.errors import PeerFault
from metanode.protocol.context import keygen_event
from metanode.protocol.keys.epoch import Member
from metanode.protocol.node import NodeCore
from metanode.protocol.peers.peer_list import Heard
from metanode.protocol.restored import Restored
from metanode.protocol.tables.effects import Note
from metanode.protocol.wire.envelope import Envelope
from spec import messages as m
from tests.simulation.hostile import MIDDLE
from tests.simulation.simulator import NETWORK_ID, START, Simulation, with_key

EVENT = bytes([4]) * 32


def core() -> NodeCore:
    """Return a core that was never started."""
    node = Simulation(seed=1).nodes[0]
    return NodeCore(node.settings, node.identity, random.Random(1).randbytes)


def test_a_start_from_nothing_sends_and_writes_nothing() -> None:
    """Catches a node that speaks before its first tick."""
    made = core()
    made.start(START, Restored())
    effects = made.take()
    assert not effects.writes
    assert not effects.sends
    assert [type(request) for request in effects.requests] == [Note]


def test_events_in_progress_go_back_to_pending_at_a_start() -> None:
    """F-14: catches an event that waits for a session which died with the process."""
    made = core()
    me = made.ctx.me
    made.start(
        START,
        Restored(
            cells={
                "status": {(me, EVENT): "IN_PROGRESS", (me, EVENT[::-1][:31] + b"x"): "SUCCESS"},
                "lock": {(me, EVENT): EVENT},
                "lock_attempt": {(me, EVENT): 3},
            }
        ),
    )
    assert made.book.status(EVENT) == "PENDING"
    assert made.ctx.tables.view.get("lock", me, EVENT) == EVENT, "the lock is kept"
    writes = {(write.cell, write.after) for write in made.take().writes}
    assert writes == {("status", "PENDING")}


def test_a_key_half_made_is_abandoned_at_a_start() -> None:
    """Catches a key generation continued after a crash, with messages of both runs."""
    made = core()
    me, slot = made.ctx.me, 7
    event = keygen_event(NETWORK_ID, slot)
    made.start(
        START,
        Restored(cells={"key": {(me, slot): "generating"}, "status": {(me, event): "IN_PROGRESS"}}),
    )
    assert made.ctx.tables.view.get("key", me, slot) == "abandoned"


def test_effects_are_handed_over_once() -> None:
    """Catches a write or a send that is carried out twice."""
    made = core()
    made.start(START, Restored())
    made.take()
    made.on_tick(START)
    assert made.take().sends
    assert not made.take().sends


@pytest.mark.parametrize(
    "message",
    [
        m.Hello(1, bytes(32), b"\x02" * 33, bytes(32)),
        m.Proof(bytes(32), bytes(64)),
        m.Ready(),
        "no message at all",
    ],
)
def test_messages_that_belong_elsewhere_are_their_senders_fault(message: object) -> None:
    """Catches a handshake message accepted inside an envelope, and an unknown one."""
    sim = with_key(1)
    made, sender = sim.core(MIDDLE), sim.nodes[0].node_id
    with pytest.raises(PeerFault) as refused:
        made.on_message(sim.now, sender, message, Envelope(sender, b"", b"", b""))
    assert refused.value.culprits() == (sender,)
    assert not made.take().writes


def test_a_stranger_is_heard_in_pings_only() -> None:
    """NoForgedMember: catches votes, set-ups or signatures of a node without a share."""
    sim = with_key(2)
    made, stranger = sim.core(MIDDLE), b"\x02" + bytes(31) + b"\x09"
    number = made.ctx.round_number()
    made.take()
    for message in (
        m.Vote(1, EVENT, number, EVENT, (stranger,)),
        m.Proposal(number, 1, EVENT, EVENT, bytes(65)),
        m.SigningSet(number, 1, (stranger,)),
        m.Offer(number, 1, EVENT, 0, ()),
        m.Release(EVENT, 0, 1, b"", 0),
        m.Step(EVENT, 0, 1, b"", 0),
        m.Confirmation(made.ctx.keygen_slot(), 1, EVENT),
        m.Publish((m.OutpointRef(EVENT, 0),)),
        m.Setup(1, EVENT, number, bytes(32), "lock_in", b"", (stranger,)),
    ):
        made.on_message(sim.now, stranger, message, Envelope(stranger, b"", bytes(64), b"frame"))
    effects = made.take()
    assert not effects.writes
    assert not effects.sends
    assert not made.votes.of(EVENT, number)
    assert not made.candidates.seen
    assert not made.coordinators._setups
    assert stranger not in made.sessions._early
    assert all(stranger not in told for told in made.keygen.confirmations._told.values())


@pytest.mark.parametrize(
    ("listing", "refused", "heard"),
    [("listed", None, True), ("missing", None, True), ("missing", "spent", False)],
)
def test_without_a_key_who_has_a_good_stake_is_heard_also_after_silence(
    listing: str, refused: StakeReason | None, heard: bool
) -> None:
    """Catches a key generation that loses messages of founders too busy with it to ping in time."""
    made, founder, stake = core(), b"\x02" + bytes(31) + b"\x09", Outpoint(EVENT, 0)
    made.start(START, Restored())
    made.peers.heard[founder] = Heard(
        1, START, stake, "Keygen", member=Member(founder, stake, 1), refused=refused
    )
    made.ctx.tables.view.put("listing", (made.ctx.me, founder), listing)
    step = m.Step(EVENT, 0, 1, b"dealt", 0)
    made.on_message(START, founder, step, Envelope(founder, b"", bytes(64), b"frame"))
    assert (founder in made.sessions._early) == heard


@pytest.mark.parametrize(("ahead", "kept"), [(0, 1), (1, 1), (40, 0), (-40, 0)])
def test_a_vote_is_kept_in_its_time_only(ahead: int, kept: int) -> None:
    """Catches a memory that a holder fills with votes of attempts to come, or long gone."""
    sim = with_key(2)
    made, holder = sim.core(MIDDLE), sim.nodes[0].node_id
    number = made.ctx.round_number() + ahead
    vote = m.Vote(1, EVENT, number, EVENT, (holder,))
    made.on_message(sim.now, holder, vote, Envelope(holder, b"", bytes(64), b"frame"))
    assert len(made.votes.of(EVENT, number)) == kept


def test_the_report_is_plain_and_holds_no_secret() -> None:
    """Catches a key share or an identity's secret in the operator's view or in a repr."""
    sim = with_key(3)
    sim.run(0.3)
    sim.deposit()
    sim.mine_every(0.7)
    sim.settle()
    for number in range(4):
        made = sim.core(number)
        text = json.dumps(made.report()) + repr(made.ctx.epoch) + repr(made.ctx.identity)
        share = made.ctx.epoch.keyshare.secret_share
        for secret in (share, int.from_bytes(made.ctx.identity.secret_bytes(), "big")):
            assert str(secret) not in text
            assert f"{secret:064x}" not in text


def test_a_node_votes_for_nothing_it_was_not_started_for() -> None:
    """NoStepBeforeBegin: catches a restarted node that answers the votes of its last life."""
    sim = with_key(4)
    sim.run(0.2)
    made = sim.core(MIDDLE)
    before = dict(sim.nodes[MIDDLE].disk.cells.get("voted", {}))
    for number in range(4):
        sim.inject(number if number != MIDDLE else 0, m.Vote(1, EVENT, made.ctx.round_number(),
                   EVENT, made.ctx.epoch.roster), MIDDLE)
    sim.run(3.0)
    assert sim.nodes[MIDDLE].disk.cells.get("voted", {}) == before
