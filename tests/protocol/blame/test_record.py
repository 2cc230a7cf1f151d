"""Records, bans and kept frames: what is stored comes back, and nothing grows without bound."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.errors import Malformed
from metanode.protocol.blame.book import Ban, BlameList, report_of
from metanode.protocol.blame.frames import PER_SLOT, KeptFrames
from metanode.protocol.blame.record import ID_OCTETS, BlameRecord, decode_records, encode_records
from metanode.protocol.events.run import (
    PLANS,
    KeygenPlan,
    RefreshPlan,
    ResharePlan,
    SignPlan,
    instance_of,
)
from metanode.protocol.events.votes import sign_vote
from metanode.protocol.wire.codec import encode_canonical
from spec import messages as m
from tests.protocol.blame.support import ban, true_record
from tests.simulation.hostile import MIDDLE, OLDEST
from tests.simulation.simulator import with_key
from tests.tss.support import deal, identity_keys

ID, HASH = bytes([2]) * 33, bytes([1]) * 32
KEYS = tuple(identity_keys(3))
PACKAGE = deal(2, 3)[1].package
ALL_PLANS = [
    KeygenPlan(KEYS, 2, 1),
    RefreshPlan(KEYS, PACKAGE, 4),
    ResharePlan(PACKAGE, KEYS, (1, 2), KEYS[1:], 2, 4),
    SignPlan.of("payout", KEYS, PACKAGE, [HASH]),
]


@pytest.mark.parametrize("plan", ALL_PLANS, ids=lambda plan: plan.KIND)
def test_a_plan_comes_back_and_names_its_run(plan: object) -> None:
    """Catches a plan that a stranger cannot read, or that gives him another session id."""
    assert PLANS.decode(PLANS.encode(plan)) == plan
    members = plan.members[:2]
    instance = instance_of(HASH, 1, HASH, plan, members)
    run = plan.lane(instance, 0, members)
    assert set(run.parties) <= set(range(1, len(plan.members) + 1))
    other = plan.lane(instance_of(HASH, 2, HASH, plan, members), 0, members)
    assert run.session_id != other.session_id


def test_a_record_comes_back_and_its_id_is_that_of_its_bytes() -> None:
    """Catches a record that changes in store, and two records with one name."""
    record = true_record()
    assert BlameRecord.decode(record.encode()) == record
    assert decode_records(encode_records([record, record])) == (record, record)
    assert len(record.id) == 2 * ID_OCTETS
    assert record.id != evolve(record, time=record.time + 1).id
    assert record.summary()["purpose"] == "payout"
    assert evolve(record, plan=b"\x00").purpose == "unknown"


@pytest.mark.parametrize(
    "plain", [[], {"epoch": 1}, {"epoch": 1, "since": None}, {"epoch": True, "since": 1}, 7]
)
def test_what_is_no_ban_is_refused(plain: object) -> None:
    """Catches a damaged ban that is taken for one with an epoch."""
    with pytest.raises(Malformed):
        Ban.decode(encode_canonical(plain))


def test_lists_and_bans_come_back() -> None:
    """Catches a loss on the way to the disk and back."""
    stored, kept = Ban(3, 1_700_000_000), BlameList((true_record(),))
    assert Ban.decode(stored.encode()) == stored
    assert BlameList.decode(kept.encode()) == kept
    with pytest.raises(Malformed):
        BlameList.decode(encode_canonical([7]))
    report = report_of({true_record().culprit: kept}, {ID: stored})
    assert [r["id"] for r in report["records"]] == [true_record().id]
    assert report["bans"] == [{"node_id": ID.hex(), "epoch": 3, "since": 1_700_000_000}]


def step(payload: bytes, *, lane: int = 0, stage: int = 1, to: int = 0) -> m.Step:
    """Return a signing message."""
    return m.Step(HASH, lane, stage, payload, to)


def test_frames_are_kept_by_slot_and_two_at_most() -> None:
    """Catches the frames of one slot that are shown for another, and a flood that is kept."""
    kept = KeptFrames()
    for number in range(9):
        kept.keep(ID, step(bytes([number])), b"frame %d" % number)
    kept.keep(ID, step(b"\x00"), b"the same again")
    kept.keep(ID, step(b"direct", to=2), b"direct")
    kept.keep(ID, step(b"lane", lane=1), b"lane")
    assert kept.of(0, ID, [(1, True)]) == (b"frame 0", b"frame 1")
    assert len(kept.of(0, ID, [(1, True)])) == PER_SLOT
    assert kept.of(0, ID, [(1, False), (1, True)])[0] == b"direct"
    assert kept.of(1, ID, [(1, True)]) == (b"lane",)
    assert kept.of(0, KEYS[0], [(1, True)]) == ()
    assert kept.of(0, ID, [(2, True)]) == ()


def test_a_certificate_is_made_without_a_banned_voter_if_it_can_be() -> None:
    """Catches a coordinator that begins with the one peer it will not sign with."""
    sim = with_key(41)
    core = sim.core(MIDDLE)
    members = core.ctx.epoch.roster
    vote = m.Vote(core.ctx.epoch.number, HASH, 7, HASH, members)
    banned = sim.nodes[OLDEST].node_id
    ban(core, banned, 1)
    order = sorted(sim.nodes, key=lambda node: node.node_id != banned)
    for count, node in enumerate(order, start=1):
        signer = sim.core(node.number).ctx
        core.votes.add(node.node_id, vote, sign_vote(signer, vote).signature)
        made = core.votes.certificate(vote, 3)
        voters = {signed.voter for signed in made.votes} if made else set()
        assert (banned in voters) == (count == 3), "only while there is no other third"
