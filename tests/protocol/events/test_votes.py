"""Votes and the certificates that are made of them."""

from __future__ import annotations

from attrs import evolve

from metanode.protocol.events.votes import (
    VoteBook,
    certificate_fault,
    frame_of,
    sign_vote,
    vote_of,
)
from metanode.protocol.wire.envelope import open_envelope
from spec import messages as m
from tests.protocol.support import (
    CODEC,
    DIGEST,
    EVENT,
    NETWORK_ID,
    OTHER,
    Alone,
    quorum_of,
    signed,
)

QUORUM = quorum_of(4, 3, 1)


def test_votes_become_a_certificate_at_exactly_t() -> None:
    """Catches a certificate of fewer votes, or of votes that are not equal."""
    book, real = VoteBook(Alone.of().ctx), signed(range(4))
    vote = vote_of(real)
    for each in real.votes[:3]:
        assert book.certificate(vote, 3) is None
        book.add(each.voter, vote, each.signature)
    made = book.certificate(vote, 3)
    assert made is not None
    assert certificate_fault(made, CODEC, NETWORK_ID, QUORUM) is None
    assert book.certificate(evolve(vote, digest=OTHER), 3) is None
    assert book.certificate(evolve(vote, members=vote.members[:3]), 3) is None


def test_the_first_t_voters_are_named_in_order_of_their_ids() -> None:
    """F-22: catches a certificate of the last voters, or one whose order differs between nodes."""
    book, real = VoteBook(Alone.of().ctx), signed(range(4))
    late, *first = real.votes
    for each in (*first[::-1], late):
        book.add(each.voter, vote_of(real), each.signature)
    made = book.certificate(vote_of(real), 3)
    assert made is not None
    assert [v.voter for v in made.votes] == sorted(v.voter for v in first)


def test_a_vote_alone_and_in_its_envelope_have_one_signature() -> None:
    """Catches a vote that convinces its receiver and nobody else."""
    ctx = Alone.of().ctx
    vote = m.Vote(1, EVENT, 5, DIGEST, QUORUM.holders)
    frame = frame_of(CODEC, vote, ctx.me, sign_vote(ctx, vote).signature)
    sender, message, _ = open_envelope(NETWORK_ID, CODEC, frame)
    assert (sender, message) == (ctx.me, vote)


def test_a_certificate_survives_the_wire() -> None:
    """Catches a field that is lost on the way: the certificate would not verify any more."""
    real = signed([0, 1, 2])
    again = CODEC.decode(CODEC.encode(m.Begin(real))).certificate
    assert again == real
    assert certificate_fault(again, CODEC, NETWORK_ID, QUORUM) is None


def test_old_attempts_are_forgotten() -> None:
    """Catches a book that grows with every round."""
    book = VoteBook(Alone.of().ctx)
    for attempt in range(60):
        vote = m.Vote(1, EVENT, attempt, DIGEST, QUORUM.holders)
        book.add(QUORUM.holders[0], vote, bytes(64))
    book.forget(lambda event, attempt: attempt >= 50)
    assert not book.of(EVENT, 49)
    assert book.of(EVENT, 50)
