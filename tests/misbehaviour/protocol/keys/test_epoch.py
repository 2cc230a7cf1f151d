"""Documents of epochs that a liar writes: they end in one named fault, and change nothing."""

from __future__ import annotations

import pytest

from metanode.protocol.wire.codec import decode_canonical, encode_canonical
from spec import messages as m
from tests.simulation.epochs import draft_of, succession, wish
from tests.simulation.hostile import OLDEST, network
from tests.simulation.simulator import Simulation

NEXT = 10**6
VICTIM = next(number for number in range(4) if number != OLDEST)


def changed(sim: Simulation, **fields: object) -> bytes:
    """Return the document of a draft with other fields."""
    plain = decode_canonical(draft_of(sim, NEXT).encode())
    return encode_canonical({**plain, **fields})


def documents(sim: Simulation) -> list[bytes]:
    """Return what is no document, or one that no honest node would write."""
    return [
        b"",
        b"\xa0",
        b"\x9f" * 4000,
        bytes(m.DOCUMENT_OCTETS),
        changed(sim, threshold=2),
        changed(sim, byzantine=2),
        changed(sim, members=[]),
        changed(sim, public_shares=[b"\x02" + bytes(32)] * 4),
        changed(sim, epoch=1 << 32),
    ]


def test_a_word_about_a_document_that_is_none_is_its_senders_fault() -> None:
    """Catches a traceback, a draft, or a memory of what nobody can hold."""
    sim = network(1, deposit=False)
    wish(sim, VICTIM)
    for document in documents(sim):
        sim.inject(OLDEST, m.SharePrepared(NEXT, document), VICTIM)
        sim.inject(OLDEST, m.HandedOver(NEXT, bytes(32), document, ()), VICTIM)
    sim.run(0.1)
    drafts = sim.core(VICTIM).handover.drafts
    assert not sim.core(VICTIM).ctx.drafts
    assert not drafts._said
    assert len(sim.faults_of(OLDEST)) == 2 * len(documents(sim))
    assert {type(fault).__name__ for fault in sim.faults_of(OLDEST)} == {"PeerFault"}
    assert not sim.refusals


def test_a_signature_found_for_such_a_document_changes_nothing() -> None:
    """Catches an epoch with unsafe numbers, even if the key itself had signed it."""
    sim = network(2, deposit=False)
    before = sim.core(VICTIM).report()["key"]
    unsafe = [
        draft_of(sim, NEXT, threshold=2),
        draft_of(sim, NEXT, byzantine=2),
        draft_of(sim, NEXT, (0,), threshold=1, byzantine=1),
    ]
    for epoch in unsafe:
        sim.inject(OLDEST, succession(sim, epoch), VICTIM)
    sim.run(0.1)
    assert sim.core(VICTIM).report()["key"] == before
    assert not sim.refusals


@pytest.mark.parametrize("octets", [m.DOCUMENT_OCTETS + 1, m.PAYLOAD_OCTETS])
def test_longer_documents_cannot_be_built(octets: int) -> None:
    """Catches a document without a bound."""
    with pytest.raises(ValueError, match="document"):
        m.SharePrepared(NEXT, bytes(octets))
    with pytest.raises(ValueError, match="document"):
        m.HandedOver(NEXT, bytes(32), bytes(octets), ())
