"""Votes and the certificates that are made of them."""

from __future__ import annotations

from attrs import evolve

from metanode.protocol.events.votes import certificate_fault, frame_of, sign_vote, vote_of
from metanode.protocol.wire.envelope import open_envelope
from spec import messages as m
from tests.simulation.checkers import CODEC
from tests.simulation.hostile import certificate, quorum_of
from tests.simulation.simulator import NETWORK_ID, Simulation

EVENT, DIGEST, OTHER = (bytes([i]) * 32 for i in (1, 2, 3))
QUORUM = quorum_of(4, 3, 1)


def started() -> Simulation:
    """Return a network in which one node runs."""
    sim = Simulation(seed=1)
    sim.start(0)
    return sim


def test_votes_become_a_certificate_at_exactly_t() -> None:
    """Catches a certificate of fewer votes, or of votes that are not equal."""
    sim = started()
    book = sim.core(0).votes
    real = certificate(sim, range(4), event=EVENT, digest=DIGEST, attempt=5)
    vote = vote_of(real)
    for signed in real.votes[:3]:
        assert book.certificate(vote, 3) is None
        book.add(signed.voter, vote, signed.signature)
    made = book.certificate(vote, 3)
    assert made is not None
    assert certificate_fault(made, CODEC, NETWORK_ID, QUORUM) is None
    assert book.certificate(evolve(vote, digest=OTHER), 3) is None
    assert book.certificate(evolve(vote, members=vote.members[:3]), 3) is None


def test_the_first_t_voters_are_named_in_order_of_their_ids() -> None:
    """F-22: catches a certificate of the last voters, or one whose order differs between nodes."""
    sim = started()
    book = sim.core(0).votes
    real = certificate(sim, range(4), event=EVENT, digest=DIGEST, attempt=5)
    late, *first = real.votes
    for signed in (*first[::-1], late):
        book.add(signed.voter, vote_of(real), signed.signature)
    made = book.certificate(vote_of(real), 3)
    assert [v.voter for v in made.votes] == sorted(v.voter for v in first)


def test_a_vote_alone_and_in_its_envelope_have_one_signature() -> None:
    """Catches a vote that convinces its receiver and nobody else."""
    sim = started()
    ctx = sim.core(0).ctx
    vote = m.Vote(1, EVENT, 5, DIGEST, QUORUM.holders)
    frame = frame_of(CODEC, vote, ctx.me, sign_vote(ctx, vote).signature)
    sender, message, _ = open_envelope(NETWORK_ID, CODEC, frame)
    assert (sender, message) == (ctx.me, vote)


def test_a_certificate_survives_the_wire() -> None:
    """Catches a field that is lost on the way: the certificate would not verify any more."""
    sim = started()
    real = certificate(sim, [0, 1, 2], event=EVENT, digest=DIGEST, attempt=5)
    again = CODEC.decode(CODEC.encode(m.Begin(real))).certificate
    assert again == real
    assert certificate_fault(again, CODEC, NETWORK_ID, QUORUM) is None


def test_old_attempts_are_forgotten() -> None:
    """Catches a book that grows with every round."""
    sim = started()
    book = sim.core(0).votes
    for attempt in range(60):
        vote = m.Vote(1, EVENT, attempt, DIGEST, QUORUM.holders)
        book.add(QUORUM.holders[0], vote, bytes(64))
    book.forget(lambda event, attempt: attempt >= 50)
    assert not book.of(EVENT, 49)
    assert book.of(EVENT, 50)
