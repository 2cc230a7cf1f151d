"""Dishonest members of a key generation: confirmations that differ, forged locks, floods."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest
from attrs import evolve

from metanode.errors import Equivocation, PeerFault
from metanode.protocol.context import Context, keygen_event
from metanode.protocol.events.purpose import Task
from metanode.protocol.events.run import KeygenPlan, Run
from metanode.protocol.events.votes import sign_vote
from metanode.protocol.wire.envelope import SIGNATURE_TAG, open_envelope
from spec import messages as m
from tests.protocol.events.support import Lane
from tests.protocol.keys.support import Change, Maker, Makers
from tests.protocol.support import CODEC, IDENTITIES, NETWORK_ID, PRESET, START, epoch_of, ids
from tests.tss.support import flip

OTHER = bytes([6]) * 32
LIAR, HONEST = 0, [1, 2, 3]
SLOT = int(START) // PRESET.keygen_period_s


def changes(kind: type, change: Any, to: list[int] | None = None) -> Change:
    """Return what changes the messages of one class, to all or to some nodes."""
    return lambda number, message: (
        change(message)
        if isinstance(message, kind) and (to is None or number in to)
        else [message]
    )


def differing(confirmation: m.Confirmation) -> list[object]:
    """Confirm something else."""
    return [evolve(confirmation, digest=OTHER)]


def consistent_liar(_to: int, message: object) -> list[object]:
    """Confirm something else, and never show the true confirmation either."""
    if isinstance(message, m.Confirmations):
        return []
    return differing(message) if isinstance(message, m.Confirmation) else [message]


def start(change: Change, seconds: float = 3.0) -> Makers:
    """Return makers of whom one lies; their window for keys is so long."""
    return Makers.of({LIAR: change}, keygen_until=int(START + seconds))


def has_key(makers: Makers) -> bool:
    """Return whether all have a key in force."""
    return makers.with_key() == [0, 1, 2, 3]


def test_a_confirmation_that_differs_certifies_nothing() -> None:
    """F-27: catches a key that counts although one member stored another one."""
    makers = start(consistent_liar, 4.0)
    makers.run(7.0)
    assert not set(makers.with_key()) & set(HONEST)
    assert not set(makers.noted("keygen.certified")) & set(HONEST)


def test_a_key_that_waits_for_a_liar_binds_its_members() -> None:
    """F-33: catches a node that makes a key with others while one is in the making or in store.

    The liar confirms late on purpose: if its victims have made a key with others meanwhile, both
    keys come to count, each with signers enough.
    """
    maker, others = Maker.at(1), tuple(sorted((*ids(3), ids(5)[4])))
    ctx, fact = maker.node.ctx, maker.keygen.same_roster
    ctx.keys[SLOT - 1] = evolve(epoch_of(1, 4, 3, 1), slot=SLOT - 1)
    put = ctx.tables.view.put
    for roster, allowed in ((ids(4), True), (others, False)):
        for stored in (True, False):  # in store, or in the making
            if not stored:
                ctx.keys.clear()
                maker.keygen._making[SLOT - 1] = voted(ctx, slot=SLOT - 1, roster=ids(4))
            maker.keygen._making[SLOT] = voted(ctx, slot=SLOT, roster=roster)
            assert fact(ctx.me, SLOT) == allowed
            put("phase", (ctx.me,), "Keygen")
            put("session", (ctx.me, maker.keygen._making[SLOT][0].event, SLOT), "begun")
            assert (ctx.tables.why_not("keygen.Start", k=SLOT) is None) == allowed
            ctx.keys[SLOT - 1] = evolve(epoch_of(1, 4, 3, 1), slot=SLOT - 1)
            del maker.keygen._making[SLOT]
            maker.keygen._making.pop(SLOT - 1, None)


def voted(ctx: Context, *, slot: int, roster: tuple[bytes, ...]) -> tuple[Task, m.Certificate]:
    """Return a key generation with the votes of these members, whose signatures nobody reads."""
    task = Task(
        purpose="keygen", event=slot.to_bytes(32, "big"), attempt=slot, key_epoch=1, document=b"",
        digest=OTHER, members=roster, quorum=epoch_of(1, 4, 3, 1).quorum, needs_all=True,
    )
    votes = tuple(evolve(sign_vote(ctx, task.vote), voter=member) for member in roster)
    return task, m.Certificate(1, task.event, slot, OTHER, roster, votes)


@pytest.mark.parametrize(("voters", "begins"), [(4, True), (3, False)])
def test_a_key_generation_begins_with_the_votes_of_all_members(voters: int, begins: bool) -> None:
    """Catches a dealing whose members have not all agreed on threshold and roster."""
    maker = Maker.at(1)
    ctx = maker.node.ctx
    task, certificate = voted(ctx, slot=SLOT, roster=ids(4))
    maker.keygen._making[SLOT] = (task, evolve(certificate, votes=certificate.votes[:voters]))
    ctx.tables.view.put("phase", (ctx.me,), "Keygen")
    assert ctx.tables.why_not("keygen.Start", k=SLOT) is not None, "its session has not begun"
    ctx.tables.view.put("session", (ctx.me, task.event, SLOT), "begun")
    assert (ctx.tables.why_not("keygen.Start", k=SLOT) is None) == begins


@pytest.mark.parametrize(
    ("change", "stored"),
    [
        ({}, True), ({"threshold": 2}, False), ({"epoch": 2}, False), ({"party_index": 1}, False),
        ({"secret_share": 5}, False), (None, False),
    ],
)
def test_a_share_that_is_none_is_not_stored(change: dict[str, int] | None, stored: bool) -> None:
    """Catches a key that is confirmed although its run gave no share of it."""
    maker = founded().nodes[1]
    share, again = maker.node.ctx.epoch.share, Maker.at(1)
    ctx = again.node.ctx
    ctx.tables.view.put("key", (ctx.me, SLOT), "generating")
    lane = Lane(state="round-2" if change is None else "finished")
    lane.result = evolve(share, **(change or {}))
    run = Run(
        "keygen", 1, OTHER, SLOT, OTHER, ids(4), ids(4), epoch_of(1, 4, 3, 1).quorum,
        (lane,), plan=KeygenPlan(ids(4), 3, 1),
    )
    again.keygen._made[SLOT] = run
    ctx.keys[SLOT] = maker.node.ctx.epoch
    assert again.keygen.verifies(run) == stored
    assert (ctx.tables.why_not("keygen.Store", k=SLOT) is None) == stored


@pytest.mark.parametrize("change", [{}, {"document": b"no key"}, {"signatures": ()}, None])
def test_a_key_is_locked_in_by_its_own_signature_alone(change: dict[str, object] | None) -> None:
    """F-27: catches a key in force that has signed nothing, or another key's name."""
    maker = founded().nodes[1]
    found = maker.book.found[maker.lock_in.event]
    key, again = maker.node.ctx.epoch, Maker.at(1)
    ctx = again.node.ctx
    ctx.keys[SLOT] = key
    ctx.tables.view.put("key", (ctx.me, SLOT), "certified_by_all")
    if change is not None:
        again.book.found[again.lock_in.event] = evolve(found, **change)
    assert (ctx.tables.why_not("keygen.LockIn", k=SLOT) is None) == (change == {})


def test_an_event_about_a_key_ends_when_the_key_is_made() -> None:
    """Catches a key generation or a request that is met before its share is in store."""
    maker = Maker.at(1)
    ctx = maker.node.ctx
    event = keygen_event(NETWORK_ID, SLOT)
    for about, kind in ((event, "keygen"), (OTHER, "key_request")):
        maker.book.create(about, kind)
        assert ctx.tables.why_not("event.KeyMade", e=about) is not None
    ctx.keys[SLOT] = evolve(epoch_of(1, 4, 3, 1), slot=SLOT)
    assert ctx.tables.why_not("event.KeyMade", e=event) is not None, "it is not in store"
    ctx.tables.view.put("key", (ctx.me, SLOT), "stored")
    maker.asked.met.add(OTHER)
    for about in (event, OTHER):
        assert ctx.tables.why_not("event.KeyMade", e=about) is None


@lru_cache
def founded() -> Makers:
    """Return makers with a key in force; nobody changes them."""
    makers = Makers.of(keygen_until=int(START) + 3)
    makers.run(5.0)
    assert has_key(makers)
    return makers


def test_two_confirmations_of_one_key_are_evidence() -> None:
    """Catches a member that may say first one thing and then another."""
    makers = start(changes(m.Confirmation, lambda c: [c, *differing(c)]))
    makers.run(1.0)
    found = [fault for _, fault in makers.faults if isinstance(fault, Equivocation)]
    assert len(found) == 3
    for fault in found:
        opened = [open_envelope(NETWORK_ID, CODEC, frame) for frame in fault.frames]
        assert {sender for sender, _, _ in opened} == {ids(1)[LIAR]}
        assert len({message.digest for _, message, _ in opened}) == 2


def test_a_wrong_confirmation_for_one_member_does_not_lock_it_out() -> None:
    """KeyAvailable: catches an honest holder that can never use its share.

    The liar confirms truly to two nodes and falsely to the third. The two certify and lock the key
    in; the third is shown all true confirmations with it and must follow, or the key has one signer
    less for ever.
    """
    makers = start(changes(m.Confirmation, differing, to=[3]))
    makers.run(7.0)
    assert has_key(makers)


def test_a_false_confirmation_at_first_can_be_made_good() -> None:
    """Catches one bad slot that spoils all later ones."""
    first: list[object] = []

    def lie(_to: int, message: object) -> list[object]:
        if isinstance(message, m.Confirmation) and (not first or message is first[0]):
            first.append(message)
            return differing(message)
        return [message]

    makers = start(lie)
    makers.run(9.0)
    assert has_key(makers)


@pytest.mark.parametrize("field", ["signature", "public_key", "roster", "confirmations", "key"])
def test_a_forged_locked_key_is_not_believed(field: str) -> None:
    """Catches a key in force, and its address shown, on one member's word."""
    makers = certified()
    key = makers.nodes[LIAR].keygen.certified()[0]
    body = CODEC.encode(key.confirmation)
    confirmed = tuple(
        m.SignedConfirmation(i.node_id, i.sign(SIGNATURE_TAG, NETWORK_ID, i.node_id, body))
        for i in IDENTITIES[:4]
    )
    real = m.KeyLocked(
        key.slot, key.number, key.roster, key.public_key, key.confirmation.digest, confirmed,
        bytes(63) + b"\1",
    )
    change = {
        "signature": b"\xff" * 64,
        "public_key": b"\x02" + bytes(32),
        "roster": key.roster[:3],
        "confirmations": (m.SignedConfirmation(key.roster[0], bytes(64)),),
        "key": key.slot + 1,
    }[field]
    for to in HONEST:
        found = makers.inject(LIAR, evolve(real, **{field: change}), to)
        assert (found is not None) == (field in ("public_key", "roster"))
        assert makers.inject(LIAR, real, to) is None
    assert makers.with_key() == []


@lru_cache
def certified() -> Makers:
    """Return makers with a certified key, which is not locked in; lies must not change them."""
    makers = Makers.of(keygen_until=int(START) + 100)
    makers.run(1.0)
    assert sorted(makers.noted("keygen.certified")) == [0, 1, 2, 3]
    return makers


def test_a_lock_in_that_the_key_has_not_signed_is_not_believed() -> None:
    """F-27: catches a key in force by a signature of another key, event or name."""
    makers = certified()
    maker = makers.nodes[1]
    key = maker.keygen.certified()[0]
    digest = key.digest(NETWORK_ID)
    for found in (
        m.SignatureFound(maker.lock_in.event, digest, key.encode(), (), ()),
        m.SignatureFound(
            maker.lock_in.event, digest, key.encode(), (), (m.EcdsaSignature(bytes(63) + b"\1"),)
        ),
        m.SignatureFound(maker.lock_in.event, digest, b"no key", (), ()),
        m.SignatureFound(OTHER, digest, key.encode(), (), ()),
    ):
        makers.inject(LIAR, found, 1)
    assert makers.with_key() == []
    assert maker.state(key.slot) == "certified_by_all"


def test_a_flood_of_confirmations_does_not_push_out_the_real_ones() -> None:
    """Catches memory that grows with a flood, and a slot's confirmations lost to one."""
    makers = start(lambda _to, message: [message])
    for number in range(300):
        flood = m.Confirmation(10**9 + number, 1, OTHER)
        for to in HONEST:
            makers.inject(LIAR, flood, to)
    makers.run(5.0)
    assert has_key(makers)
    for number in HONEST:
        assert len(makers.nodes[number].keygen.confirmations) <= 70


def test_garbage_in_the_key_generation_costs_one_slot() -> None:
    """Catches a half-made key that counts, and a slot that is being made for ever."""
    spoilt: list[object] = []

    def spoil(_to: int, message: object) -> list[object]:
        if isinstance(message, m.Step) and (not spoilt or message in spoilt):
            spoilt.append(message)
            return [evolve(message, payload=flip(message.payload))]
        return [message]

    makers = start(spoil, 4.0)
    makers.run(2.0)
    assert makers.noted("session.aborted")
    assert not makers.noted("keygen.certified")
    makers.run(8.0)
    assert has_key(makers)


@pytest.mark.parametrize("until", [3.9, 4.3])
def test_a_begin_that_is_held_back_disturbs_no_later_slot(until: float) -> None:
    """Catches a late certificate that starts a key generation nobody waits for any more, or that
    uses the members of the next slot: 95 % of its slot are over, or the next one has begun.
    """
    held: list[tuple[int, m.Begin]] = []

    def hold(number: int) -> Change:
        return changes(m.Begin, lambda begin: [held.append((number, begin))][1:])

    makers = Makers.of({number: hold(number) for number in range(4)}, keygen_until=int(START) + 4)
    makers.run(until)
    makers.change.clear()
    number, begin = held[0]
    for to in (n for n in range(4) if n != number):
        makers.inject(number, begin, to)
        assert makers.nodes[to].state(SLOT) in ("no_key", "abandoned")
    makers.run(9.0)
    assert has_key(makers)


def test_a_member_who_never_signs_cannot_keep_the_key_from_being_locked_in() -> None:
    """F-34: catches a lock-in that the quickest voter is always in, or voters who, passed over
    once, never vote for it again.
    """
    makers = Makers.of(keygen_until=int(START) + 3)
    makers.run(2.0)
    assert len(makers.noted("keygen.certified")) == 4
    makers.change[LIAR] = lambda _to, message: (
        [] if isinstance(message, m.Release | m.Step) else [message]
    )
    makers.run(1.0 + 4.5 * PRESET.round_period_s)
    assert has_key(makers)


def test_confirmations_and_locks_after_the_lock_in_change_nothing() -> None:
    """Catches a locked key that is replaced: it is permanent (LockInAgreement)."""
    makers = founded()
    maker = makers.nodes[1]
    before, slot = maker.node.ctx.epoch, maker.node.ctx.epoch.slot
    for message in (
        m.Confirmation(slot, 1, OTHER),
        m.KeyLocked(slot, 1, (), b"\x02" + bytes(32), OTHER, (), bytes(64)),
        m.KeyLocked(slot + 1, 1, (), b"\x02" + bytes(32), OTHER, (), bytes(64)),
    ):
        makers.inject(LIAR, message, 1)
    assert maker.node.ctx.epoch == before
    assert maker.state(slot) == "locked_in"


@pytest.mark.parametrize(
    "change",
    [
        {"roster": (b"\x02" * 33,) * 257},
        {"confirmations": (m.SignedConfirmation(b"\x02" * 33, bytes(64)),) * 257},
        {"signature": bytes(63)},
        {"key": -1},
    ],
)
def test_oversized_locks_cannot_be_built(change: dict[str, object]) -> None:
    """Catches a list without a bound."""
    good = m.KeyLocked(1, 1, (), b"\x02" + bytes(32), OTHER, (), bytes(64))
    with pytest.raises((ValueError, PeerFault)):
        evolve(good, **change)
