"""Complaints, answers and proofs that are none: bounded, named, and nothing changes."""

from __future__ import annotations

import pytest

from metanode.errors import PeerFault
from metanode.protocol.context import regroup_event
from metanode.protocol.reshare.complaints import KEPT_PER_SENDER
from metanode.sealing import seal_to
from spec.night_messages import Answer, Complaint, Opened, Proven, Withheld
from tests.protocol.reshare.support import Holder
from tests.protocol.support import IDENTITIES
from tests.support import entropy

INSTANCE = bytes([3]) * 32


def now(holder: Holder) -> int:
    """Return the number of the attempt that goes on."""
    return holder.node.ctx.round_number()


def complaint(holder: Holder, of: int, stage: int = 2, epoch: int | None = None) -> Complaint:
    """Return a complaint of a node."""
    number = now(holder) if epoch is None else epoch
    return Complaint(number, IDENTITIES[of].node_id, INSTANCE, stage, None)


def asked() -> Holder:
    """Return a holder whose operator asks for new shares."""
    holder = Holder.at()
    holder.asks()
    holder.node.take()
    return holder


def test_complaints_are_bounded_and_of_now() -> None:
    """Catches a member that fills another one's memory, and one that digs up old attempts."""
    holder = asked()
    for stage in range(16):
        for of in (0, 2, 3):
            assert holder.node.receive(1, complaint(holder, of, stage)) is None
    for epoch in (0, now(holder) - 2, now(holder) + 1):
        holder.node.receive(1, complaint(holder, 2, epoch=epoch))
    holder.node.receive(1, complaint(holder, 1))
    made = holder.complaints._made
    assert len(made) == 48
    assert {about.epoch for about in made} == {now(holder)}
    for number in range(KEPT_PER_SENDER + 50):
        word = Complaint(now(holder), IDENTITIES[2].node_id, number.to_bytes(32, "big"), 1, None)
        holder.node.receive(1, word)
    assert len(made) == KEPT_PER_SENDER
    assert holder.node.sent(Answer) == [], "there is nothing to show"


def test_a_false_complaint_names_nobody_who_answers() -> None:
    """Catches a member that is put out though it has answered, or that was starved itself."""
    holder = asked()
    holder.node.receive(1, complaint(holder, 2))
    assert holder.complaints.spoilers(now(holder)) == [IDENTITIES[2].node_id]
    sealed = seal_to(IDENTITIES[1].node_id, b"anything", entropy("x"))
    answer = Answer(now(holder), IDENTITIES[1].node_id, INSTANCE, 2, sealed)
    holder.node.receive(2, answer)
    assert holder.complaints.spoilers(now(holder)) == []
    holder.node.receive(1, complaint(holder, 3, stage=3))
    holder.node.receive(3, complaint(holder, 2, stage=3))
    assert holder.complaints.spoilers(now(holder)) == [
        IDENTITIES[2].node_id, IDENTITIES[3].node_id
    ], "a complaint of the same stage excuses nobody"


def test_who_lacked_an_earlier_message_is_excused() -> None:
    """Catches a victim that is put out in the place of the liar that starved it."""
    holder = asked()
    holder.node.receive(1, complaint(holder, 3, stage=2))
    for by in (2, 3):
        holder.node.receive(by, complaint(holder, 1, stage=3))
    assert holder.complaints.spoilers(now(holder)) == [IDENTITIES[3].node_id]


def test_an_answer_counts_once_and_only_as_it_was_first_shown() -> None:
    """Catches a second answer that takes the place of the first."""
    holder = asked()
    holder.node.receive(1, complaint(holder, 2))
    for text in (b"one", b"two"):
        sealed = seal_to(IDENTITIES[1].node_id, text, entropy("x"))
        holder.node.receive(2, Answer(now(holder), IDENTITIES[1].node_id, INSTANCE, 2, sealed))
    (kept,) = holder.complaints._answers.values()
    assert kept.sealed == seal_to(IDENTITIES[1].node_id, b"one", entropy("x"))


def test_an_opening_that_shows_nothing_is_its_senders_fault() -> None:
    """Catches a complaint that convicts by a made-up opening."""
    holder = asked()
    holder.node.receive(1, complaint(holder, 2))
    opened = Opened(now(holder), IDENTITIES[2].node_id, INSTANCE, 2, bytes(97))
    assert holder.node.receive(1, opened) is None, "nothing was answered yet"
    sealed = seal_to(IDENTITIES[1].node_id, b"text", entropy("x"))
    holder.node.receive(2, Answer(now(holder), IDENTITIES[1].node_id, INSTANCE, 2, sealed))
    fault = holder.node.receive(1, opened)
    assert isinstance(fault, PeerFault)
    assert fault.culprits() == (IDENTITIES[1].node_id,)
    assert holder.complaints.spoilers(now(holder)) == []


@pytest.mark.parametrize("record", [b"", b"rubbish", bytes(2000)])
def test_a_proof_that_is_none_is_its_senders_fault(record: bytes) -> None:
    """Catches a record that is believed unread, and a traceback from one."""
    holder = asked()
    fault = holder.node.receive(1, Proven(now(holder), IDENTITIES[2].node_id, record))
    assert isinstance(fault, PeerFault)
    assert fault.culprits() == (IDENTITIES[1].node_id,)
    assert not holder.complaints.is_proven(now(holder), IDENTITIES[2].node_id)


def test_the_word_of_one_holder_puts_nobody_out() -> None:
    """Catches a liar that says of a correct member that it withheld its part."""
    holder = asked()
    number = now(holder)
    for by in (1, 2):
        for _ in range(2):
            holder.node.receive(by, Withheld(number, IDENTITIES[3].node_id))
    holder.node.receive(1, Withheld(number, IDENTITIES[1].node_id))
    holder.node.receive(5, Withheld(number, IDENTITIES[3].node_id))
    holder.node.receive(2, Withheld(number, IDENTITIES[6].node_id))
    assert holder.regroups.report()["withheld"] == {IDENTITIES[3].node_id.hex(): 2}
    ctx = holder.node.ctx
    event = regroup_event(ctx.settings.network_id, ctx.epoch.key_id, number)
    task = holder.regroups.rebuild(event, number)
    assert task is not None
    assert len(task.members) == 4
