"""Lies about a run: a true record with one lie, and honest frames under any charge."""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import cbor2
import pytest
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from metanode.errors import Malformed
from metanode.protocol.blame.record import BlameRecord
from metanode.protocol.events.run import PLANS, KeygenPlan, Plan, Run, SignPlan, instance_of
from metanode.protocol.wire.envelope import open_envelope
from metanode.tss import dealing_run, sign_run
from metanode.tss.abort import RULES, AbortKind, Evidence
from metanode.tss.parameters import LANES
from metanode.tss.public_run import Fault
from metanode.tss.session import TWO_MESSAGES
from tests.protocol.blame.support import Step, convicts, running, true_record
from tests.simulation.hostile import MIDDLE, network
from tests.simulation.parts import CODEC, sealed
from tests.simulation.simulator import NETWORK_ID, Simulation

FAULTS = [
    fault for module in (dealing_run, sign_run) for fault in vars(module).values()
    if isinstance(fault, Fault)
]
CHARGES = [(fault.kind, fault.reason) for fault in FAULTS] + [
    (AbortKind.EQUIVOCATION, TWO_MESSAGES),
    (AbortKind.MALFORMED, "round 2 payload"),
    (AbortKind.OT_CONSISTENCY, "columns"),
]


OTHER = bytes([7]) * 32
LIES = {
    "network_id": OTHER,
    "accuser": bytes([2]) * 33,
    "culprit": bytes([2]) * 33,
    "event": OTHER,
    "attempt": 7,
    "digest": OTHER,
    "members": (),
    "lane": 1,
    "plan": PLANS.encode(KeygenPlan((bytes(33),), 1, 1)),
    "kind": "share",
    "reason": "dealt share",
    "ban": True,
    "evidence": b"\x80",
    "frames": (),
}
HARMLESS = {"version", "time", "transferable"}
"""What the judge does not ask; the version is asked when a record is read."""


@pytest.mark.parametrize("name", LIES)
def test_a_true_record_with_one_lie_convicts_nobody(name: str) -> None:
    """Catches a field of a record that is believed, though nothing binds it."""
    record = true_record()
    assert convicts(record)
    assert not convicts(evolve(record, **{name: LIES[name]}))


def test_every_field_of_a_record_has_its_lie() -> None:
    """Catches a new field that nobody has tried to lie about."""
    fields = {attribute.name for attribute in BlameRecord.__attrs_attrs__}
    assert fields == set(LIES) | HARMLESS


def test_members_in_another_order_or_somebody_elses_frame_convict_nobody() -> None:
    """Catches a binding that is loose: the instance must be the one that was signed."""
    record = true_record()
    assert not convicts(evolve(record, members=record.members[::-1]))
    others = [member for member in record.members if member != record.culprit]
    for other in others:
        assert not convicts(evolve(record, culprit=other))
    assert not convicts(evolve(record, frames=(*record.frames, record.frames[0][:-1])))
    assert not convicts(evolve(record, accuser=record.culprit))


@pytest.mark.parametrize("data", [b"", b"\xa0", b"\xff" * 9, bytes(100)])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    """Catches bytes from a stranger that crash the reader, or that are half read."""
    with pytest.raises(Malformed):
        BlameRecord.decode(data)


def test_a_record_of_another_version_or_with_a_byte_more_is_refused() -> None:
    """Catches a reader that guesses."""
    record = true_record()
    for data in (evolve(record, version=2).encode(), record.encode() + b"\x00"):
        with pytest.raises(Malformed):
            BlameRecord.decode(data)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_change_of_a_records_bytes_leaves_a_verdict(data: st.DataObject) -> None:
    """Catches a judge that raises, and one whom changed bytes convince of something else."""
    record = true_record()
    encoded = bytearray(record.encode())
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        changed = BlameRecord.decode(bytes(encoded))
    except Malformed:
        return
    told = ("culprit", "event", "attempt", "digest", "members", "plan", "kind", "reason")
    if convicts(changed):
        assert all(getattr(changed, name) == getattr(record, name) for name in told)


@frozen
class Honest:
    """All that an honest node signed in one run, and the run."""

    run: Run
    frames: tuple[bytes, ...]
    node_id: bytes


@lru_cache
def honest(purpose: str) -> Honest:
    """Return what an honest node said in a payout, or in a key generation."""
    if purpose == "keygen":
        sim = Simulation(seed=30, keygen_s=2.0)
    else:
        sim = network(30, deposit=False)
        for number in range(LANES + 1):
            sim.deposit(1_000_000 + 100_000 * number)
    said: list[Step] = []

    def listen(_to: bytes, message: object) -> list[object]:
        if isinstance(message, Step):
            said.append(message)
        return [message]

    sim.tamper[MIDDLE] = listen
    if purpose == "keygen":
        sim.start_all()
    run = running(sim, MIDDLE)
    sim.run_until(lambda: not sim.core(MIDDLE).sessions._runs, 8.0, "the run ends")
    assert run.results is not None
    frames = dict.fromkeys(
        sealed(sim.nodes[MIDDLE].identity, message)
        for message in said
        if message.instance == run.instance
    )
    return Honest(run, tuple(frames), sim.nodes[MIDDLE].node_id)


def other_plans(run: Run) -> list[Plan]:
    """Return the run's plan, and some that it does not have."""
    plan = run.plan
    if isinstance(plan, SignPlan):
        return [plan, evolve(plan, key_id=OTHER), evolve(plan, members=plan.members[::-1])]
    return [plan, evolve(plan, epoch=plan.epoch + 1), evolve(plan, threshold=2)]


def accusation(found: Honest, plan: Plan, lane: int, reason: str, *frames: bytes) -> BlameRecord:
    """Return a record against an honest node that is whole in itself, whatever it says."""
    run = found.run
    instance = instance_of(run.event, run.attempt, run.digest, plan, run.members)
    session_id = plan.lane(instance, lane, run.members).session_id
    kind = {name: kind for kind, name in CHARGES}[reason]
    return BlameRecord(
        version=1,
        network_id=NETWORK_ID,
        time=0,
        accuser=next(member for member in run.members if member != found.node_id),
        culprit=found.node_id,
        event=run.event,
        attempt=run.attempt,
        digest=run.digest,
        members=run.members,
        lane=lane,
        plan=PLANS.encode(plan),
        kind=kind.value,
        reason=reason,
        ban=RULES[kind].ban,
        transferable=True,
        evidence=cbor2.dumps(Evidence(session_id=session_id, reason=reason).plain()),
        frames=frames,
    )


@pytest.mark.parametrize("purpose", ["keygen", "payout"])
def test_true_frames_under_other_parameters_convict_nobody(purpose: str) -> None:
    """Catches an opening that is held against another key, epoch, roster, threshold or lane."""
    found = honest(purpose)
    reason = "opening of F" if purpose == "keygen" else "opening of the nonce point"
    lanes = len(found.run.lanes)
    assert lanes == (1 if purpose == "keygen" else 2)
    opened = [open_envelope(NETWORK_ID, CODEC, frame) for frame in found.frames]
    public = [(e.raw, step) for _, step, e in opened if step.recipient == 0]
    firsts = [raw for raw, step in public if step.stage == 1]
    seconds = [raw for raw, step in public if step.stage == 2]
    assert len(firsts) == len(seconds) == lanes
    for plan, lane, first, second in product(
        other_plans(found.run), range(lanes), firsts, seconds
    ):
        assert not convicts(accusation(found, plan, lane, reason, first, second))


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_record_about_an_honest_node_convicts(data: st.DataObject) -> None:
    """Catches an honest node framed: any of its frames, whoever they were for, under any charge.

    Most charges need few frames, so small selections are tried as well as large ones.
    """
    found = honest(data.draw(st.sampled_from(("keygen", "payout"))))
    run = found.run
    plan = data.draw(st.sampled_from(other_plans(run)))
    frames = data.draw(st.lists(st.sampled_from(found.frames), min_size=1, max_size=6, unique=True))
    _, reason = data.draw(st.sampled_from(CHARGES))
    lane = data.draw(st.integers(0, len(run.lanes) - 1))
    record = accusation(found, plan, lane, reason, *frames)
    others = [member for member in run.members if member != found.node_id]
    members = data.draw(st.sampled_from((run.members, run.members[::-1], run.roster)))
    accuser = data.draw(st.sampled_from(others))
    assert not convicts(evolve(record, accuser=accuser, members=members))


@pytest.mark.parametrize("purpose", ["keygen", "payout"])
def test_what_two_peers_were_told_is_no_equivocation(purpose: str) -> None:
    """Catches two colluders who show the different messages that they got for the same slot."""
    found = honest(purpose)
    for first, second in product(found.frames, found.frames):
        record = accusation(found, found.run.plan, 0, TWO_MESSAGES, first, second)
        assert not convicts(record)
