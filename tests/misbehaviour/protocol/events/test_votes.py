"""Certificates that are none, and votes that contradict each other."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.errors import PeerFault
from metanode.protocol.context import Context
from metanode.protocol.events.votes import VoteBook, certificate_fault
from metanode.protocol.tables.view import Quorum
from spec import messages as m
from tests.simulation.checkers import CODEC
from tests.simulation.hostile import certificate, quorum_of
from tests.simulation.simulator import NETWORK_ID, Simulation

EVENT, DIGEST, OTHER = (bytes([i]) * 32 for i in (1, 2, 3))
QUORUM = quorum_of(4, 3, 1)
SIM = Simulation(seed=1)
REAL = certificate(SIM, [0, 1, 2], event=EVENT, digest=DIGEST, attempt=5)
ALL = certificate(SIM, [0, 1, 2, 3], event=EVENT, digest=DIGEST, attempt=5)
STRANGER = m.SignedVote(b"\x02" + bytes(31) + b"\x07", bytes(64))


def fault(made: m.Certificate, quorum: Quorum = QUORUM, needs_all: bool = False) -> str | None:
    """Judge a certificate."""
    return certificate_fault(made, CODEC, NETWORK_ID, quorum, needs_all)


def test_a_real_certificate_has_no_fault() -> None:
    """Catches a check that refuses everything."""
    assert fault(REAL) is None
    assert fault(ALL, needs_all=True) is None


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (evolve(REAL, votes=REAL.votes[:2]), "2 votes, 3 are needed"),
        (evolve(REAL, votes=()), "0 votes"),
        (evolve(REAL, votes=(REAL.votes[0], *REAL.votes[:2])), "twice"),
        (evolve(REAL, votes=(*REAL.votes[:2], STRANGER)), "not in the roster"),
        (evolve(REAL, digest=OTHER), "signature"),
        (evolve(REAL, event=OTHER), "signature"),
        (evolve(REAL, attempt=6), "signature"),
        (evolve(REAL, key_epoch=2), "signature"),
        (evolve(REAL, members=REAL.members[:2]), "signature"),
        (
            evolve(REAL, votes=(*REAL.votes[:2], evolve(REAL.votes[2], signature=bytes(64)))),
            "signature",
        ),
        (
            evolve(
                REAL,
                votes=(
                    *REAL.votes[:2],
                    m.SignedVote(REAL.votes[2].voter, REAL.votes[1].signature),
                ),
            ),
            "signature",
        ),
    ],
)
def test_certificates_that_are_none(made: m.Certificate, reason: str) -> None:
    """SAFE-SIGN 3: catches fewer than t, repeated, foreign or transplanted votes."""
    found = fault(made)
    assert found is not None
    assert reason in found


def test_t_votes_are_not_all_votes() -> None:
    """Catches a key generation that begins without one of its members."""
    assert fault(REAL, needs_all=True) is not None


def test_a_certificate_of_another_network_is_none() -> None:
    """Catches votes replayed from a network with the same members."""
    assert certificate_fault(REAL, CODEC, bytes(32), QUORUM) is not None


def book() -> tuple[VoteBook, Context]:
    """Return a fresh vote book and its context."""
    sim = Simulation(seed=2)
    sim.start(0)
    core = sim.core(0)
    core.ctx.tables.view.quorum = QUORUM
    return core.votes, core.ctx


def seen(ctx: Context, voter: bytes, digest: bytes) -> bool:
    """Return whether the node's view holds a vote."""
    return bool(ctx.tables.view.get("vote", voter, EVENT, 5, digest))


def test_the_first_of_two_votes_counts_and_the_second_is_reported() -> None:
    """Catches a vote that is silently replaced: evidence would be lost."""
    votes, ctx = book()
    voter = QUORUM.holders[1]
    first = m.Vote(1, EVENT, 5, DIGEST, QUORUM.holders)
    assert votes.add(voter, first, bytes(64)) is None
    assert votes.add(voter, first, bytes(64)) is None, "a repetition is no contradiction"
    earlier = votes.add(voter, evolve(first, digest=OTHER), b"\1" * 64)
    assert earlier is not None
    assert earlier[0] == first
    assert seen(ctx, voter, DIGEST)
    assert not seen(ctx, voter, OTHER)


def test_an_equivocators_vote_counts_inside_a_certificate() -> None:
    """SAFE-SIGN 4: catches a lock that can never move here, because one of t voters lied to us.

    A certificate that was verified stands for itself, whatever its voters told this node before.
    """
    votes, ctx = book()
    liar = REAL.votes[0].voter
    votes.add(liar, m.Vote(1, EVENT, 5, OTHER, QUORUM.holders), bytes(64))
    votes.add_certificate(REAL)
    assert all(seen(ctx, vote.voter, DIGEST) for vote in REAL.votes)


def test_one_voter_cannot_fill_the_book_for_the_others() -> None:
    """Catches memory that grows with a flood, and honest votes refused because of it."""
    votes, ctx = book()
    flooder, honest = QUORUM.holders[1:3]
    with pytest.raises(PeerFault) as refused:
        for number in range(10_000):
            event = number.to_bytes(32, "big")
            votes.add(flooder, m.Vote(1, event, 5, DIGEST, QUORUM.holders), bytes(64))
    assert refused.value.culprits() == (flooder,)
    votes.add(honest, m.Vote(1, EVENT, 5, DIGEST, QUORUM.holders), bytes(64))
    assert seen(ctx, honest, DIGEST)


def test_a_shown_certificate_never_blames_its_voters() -> None:
    """Catches an innocent voter named because somebody else showed many of its certificates."""
    votes, _ = book()
    for number in range(80):
        made = evolve(REAL, event=number.to_bytes(32, "big"))
        votes.add_certificate(made)
