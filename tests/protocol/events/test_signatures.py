"""Finished signatures of others, handed to the purposes that they are of."""

from __future__ import annotations

from attrs import define, evolve, field

from metanode.protocol import inputs
from metanode.protocol.events.signatures import Signatures
from spec import messages as m
from tests.protocol.events.support import task_of
from tests.protocol.support import DIGEST, EVENT, OTHER, Aim, Alone, booked, ids

FOUND = m.SignatureFound(EVENT, DIGEST, b"document", (), (m.EcdsaSignature(bytes(64)),))


@define
class Waits(Aim):
    """A purpose where signatures wait, and that knows what peers have missed."""

    kept: list[tuple[bytes, m.SignatureFound]] = field(factory=list)
    missed_by: list[tuple[bytes, bytes]] = field(factory=list)

    def waiting(self) -> list[tuple[bytes, m.SignatureFound]]:
        """Return what waited; it waits no more."""
        kept, self.kept = self.kept, []
        return kept

    def tells(self, entry: inputs.Input) -> list[tuple[bytes, bytes]]:
        """Return what a peer that came up has missed."""
        return self.missed_by if isinstance(entry, inputs.LinkUp) else []


def node_with(aim: Waits) -> Alone:
    """Return a node that has one event of a purpose."""
    aim.tasks = {(EVENT, 1): task_of(1)}
    node = Alone.of()
    book = booked(node, aim)
    book.know(EVENT, aim.kind)
    node.cores.append(Signatures(node.ctx, book, book.purposes))
    return node


def test_signatures_reach_their_purpose_whoever_sends_them() -> None:
    """F-15: catches a finished signature that is not taken, or taken for another event's."""
    aim = Waits()
    node = node_with(aim)
    assert node.receive(5, FOUND) is None
    assert node.receive(5, evolve(FOUND, event=OTHER)) is None, "no purpose knows it"
    assert aim.done == [("heard", EVENT)]


def test_what_is_over_is_not_judged_again() -> None:
    """Catches signatures verified again for each of n peers who announce them."""
    for status, heard in (("PENDING", 1), ("FAILED", 1), ("SUCCESS", 0), ("EXPIRED", 0)):
        aim = Waits()
        node = node_with(aim)
        node.ctx.tables.view.put("status", (node.ctx.me, EVENT), status)
        node.receive(1, FOUND)
        assert len(aim.done) == heard


def test_a_false_signature_is_its_senders_fault_and_keeps_no_other_waiting() -> None:
    """Catches a liar whose signature spoils those that waited for the chain."""
    aim = Waits(good=False, kept=[(ids(8)[6], FOUND), (ids(8)[7], FOUND)])
    fault = node_with(aim).receive(5, FOUND)
    assert fault is not None
    assert fault.culprits() == (ids(8)[6],), "the first one of them"
    assert aim.done == [("heard", EVENT)] * 3
    assert not aim.kept


def test_a_peer_is_told_what_it_missed_and_nobody_else() -> None:
    """Catches an announcement to all that one peer needs, or that nobody gets."""
    aim = Waits(missed_by=[(EVENT, ids(8)[3]), (OTHER, ids(8)[3])])
    node = node_with(aim)
    book = node.cores[0]
    book.take(FOUND, aim.kind)  # type: ignore[attr-defined]  # the event book
    assert [send.to for send in node.take().sends] == [None], "it is news"
    node.take_in(inputs.LinkUp(ids(8)[3]))
    assert [(send.to, send.message) for send in node.take().sends] == [(ids(8)[3], FOUND)]
    node.take_in(inputs.Tick())
    assert not node.take().sends
