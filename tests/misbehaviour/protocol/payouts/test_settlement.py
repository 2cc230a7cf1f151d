"""Forged signatures, unknown documents and hostile chain news."""

from __future__ import annotations

import pytest
from attrs import evolve

from spec import messages as m
from tests.simulation.hostile import MIDDLE, OLDEST, OUTSIDER, YOUNGEST, changes, network
from tests.simulation.simulator import Simulation

OTHER = bytes([5]) * 32


def announced(sim: Simulation) -> m.SignatureFound:
    """Return the announcement of the newest payout."""
    return list(sim.core(MIDDLE).settlement.payouts.values())[-1].found


def test_forged_signatures_settle_nothing() -> None:
    """Catches a payout believed without verifying it: the deposit would never be paid."""
    sim = network(1, bad=OLDEST)
    sim.settle()
    real = announced(sim)
    sim.deposit(700_000)
    sim.run_until(lambda: len(sim.core(MIDDLE).report()["swaps"]) == 2, 4.0, "it is confirmed")
    forged = evolve(real, signatures=(m.EcdsaSignature(bytes(31) + b"\1" + bytes(31) + b"\1"),))
    flipped = bytearray(real.signatures[0].rs)
    flipped[40] ^= 1
    bad = evolve(real, signatures=(m.EcdsaSignature(bytes(flipped)),))
    for message in (forged, bad, evolve(real, event=OTHER), evolve(real, signatures=())):
        for to in (OUTSIDER, YOUNGEST, MIDDLE):
            sim.inject(OLDEST, message, to)
    sim.settle()
    assert len(sim.core(YOUNGEST).report()["payouts"]) == 2
    assert not sim.refusals


@pytest.mark.parametrize("signature", [bytes(64), b"\xff" * 64])
def test_a_forged_signature_that_comes_first_does_not_keep_out_the_real_one(
    signature: bytes,
) -> None:
    """Catches an event that a forger closes: signatures for a known document must verify."""
    sim = network(2)

    def forge(message: object) -> list[object]:
        book = sim.core(OLDEST).hearing.book(sim.core(OLDEST).ctx.round_number())
        document = book.document
        fake = m.SignatureFound(
            document.event, document.encode(), (), (m.EcdsaSignature(signature),)
        )
        return [fake, message]

    sim.tamper[OLDEST] = changes(m.Vote, forge)
    sim.settle()
    assert not sim.refusals


def test_signatures_for_unknown_documents_wait_in_bounded_room() -> None:
    """Catches memory that grows with what a member claims was signed."""
    sim = network(3)
    for number in range(300):
        message = m.SignatureFound(number.to_bytes(32, "big"), b"no document", (), ())
        sim.inject(OLDEST, message, MIDDLE)
    sim.run(0.3)
    assert len(sim.core(MIDDLE).settlement._waiting) <= 64
    sim.settle()


def test_waiting_room_filled_by_one_member_does_not_keep_out_the_real_signatures() -> None:
    """Catches a node that never hears of a payout because a flood came before it.

    The node's chain lags, so real signatures must wait for their block; the flood came first.
    """
    sim = network(4)
    lagging = OUTSIDER
    sim.nodes[lagging].chain.set_down(True)
    for number in range(300):
        message = m.SignatureFound(number.to_bytes(32, "big"), b"no document", (), ())
        sim.inject(OLDEST, message, lagging)
    sim.run_until(lambda: bool(sim.noted("payout.signed", MIDDLE)), 8.0, "a payout is signed")
    sim.run(0.2)
    sim.nodes[lagging].chain.set_down(False)
    sim.settle()
    sim.run(1.0)
    assert len(sim.core(lagging).report()["payouts"]) == 1


def test_a_signature_of_the_lock_in_after_the_lock_in_is_ignored() -> None:
    """Catches an announcement of the lock-in event that is taken for a payout's."""
    sim = network(5)
    event = sim.core(MIDDLE).keygen.lock_in
    sim.inject(OLDEST, m.SignatureFound(event, b"x", (), (m.EcdsaSignature(bytes(64)),)), MIDDLE)
    sim.settle()
    assert not sim.refusals


@pytest.mark.parametrize(
    "change",
    [
        {"signatures": (m.EcdsaSignature(bytes(64)),) * (m.INPUTS_LIMIT + 1)},
        {"signers": (b"\x02" * 33,) * (m.MEMBERS_LIMIT + 1)},
        {"document": bytes(m.DOCUMENT_OCTETS + 1)},
        {"event": b"short"},
    ],
)
def test_oversized_announcements_cannot_be_built_or_read(change: dict[str, object]) -> None:
    """Catches a list or a document without a bound."""
    good = m.SignatureFound(OTHER, b"", (), ())
    with pytest.raises(ValueError):
        evolve(good, **change)


def test_sightings_of_deposits_that_never_come_are_bounded() -> None:
    """Catches memory that grows with what a member claims to have seen."""
    sim = network(6)
    for number in range(30):
        refs = tuple(m.OutpointRef((number * 256 + i).to_bytes(32, "big"), 0) for i in range(256))
        sim.inject(OLDEST, m.Publish(refs), MIDDLE)
    sim.run(0.3)
    assert len(sim.core(MIDDLE).candidates.seen) <= 4 * 2048 + 8
    sim.settle()


def test_one_members_word_does_not_make_a_deposit_seen() -> None:
    """Catches a deposit that f members alone vouch for: f + 1 must have seen it, or this node."""
    sim = network(7, deposit=False)
    for number in (OUTSIDER, YOUNGEST, MIDDLE):
        sim.nodes[number].chain.set_down(True)
    made = sim.deposit()
    sim.run(1.0)
    assert sim.users.ledger.tree.coins.get((made.outpoint.txid, 0)), "it was mined unseen"
    for number in (OUTSIDER, YOUNGEST, MIDDLE):
        sim.nodes[number].chain.set_down(False)
    sim.run(4.0)
    assert not sim.noted("round.proposed", MIDDLE), "one witness of four is not enough for f = 1"
    sim.settle(40.0)
