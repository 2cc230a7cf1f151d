"""Certificates that are none, and votes that contradict each other."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.errors import Equivocation, PeerFault
from metanode.protocol.context import Context
from metanode.protocol.events.votes import VoteBook, certificate_fault
from metanode.protocol.tables.view import Quorum
from metanode.protocol.wire.envelope import parse_envelope
from spec import messages as m
from tests.protocol.support import (
    CODEC,
    DIGEST,
    EVENT,
    NETWORK_ID,
    OTHER,
    Alone,
    epoch_of,
    ids,
    quorum_of,
    signed,
)

QUORUM = quorum_of(4, 3, 1)
REAL, ALL = signed([0, 1, 2]), signed([0, 1, 2, 3])
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


def book() -> tuple[VoteBook, Context, Alone]:
    """Return a fresh vote book at a holder, its context and its node."""
    node = Alone.of()
    node.ctx.use(epoch_of(1, 4, 3, 1))
    votes = VoteBook(node.ctx)
    node.cores.append(votes)
    return votes, node.ctx, node


def seen(ctx: Context, voter: bytes, digest: bytes, attempt: int = 5) -> bool:
    """Return whether the node's view holds a vote."""
    return bool(ctx.tables.view.get("vote", voter, EVENT, attempt, digest))


def test_the_first_of_two_votes_counts_and_the_second_is_reported() -> None:
    """Catches a vote that is silently replaced: evidence would be lost."""
    votes, ctx, node = book()
    voter = QUORUM.holders[1]
    first = m.Vote(1, EVENT, 5, DIGEST, QUORUM.holders)
    assert node.receive(1, first) is None
    assert node.receive(1, first) is None, "a repetition is no contradiction"
    second = node.receive(1, evolve(first, digest=OTHER))
    assert isinstance(second, Equivocation)
    assert second.culprits() == (voter,)
    assert [CODEC.decode(parse_envelope(f).body) for f in second.frames] == [
        first, evolve(first, digest=OTHER)
    ]
    assert votes.of(EVENT, 5)[voter][0] == first
    assert seen(ctx, voter, DIGEST)
    assert not seen(ctx, voter, OTHER)


def test_an_equivocators_vote_counts_inside_a_certificate() -> None:
    """SAFE-SIGN 4: catches a lock that can never move here, because one of t voters lied to us.

    A certificate that was verified stands for itself, whatever its voters told this node before.
    """
    votes, ctx, _ = book()
    liar = REAL.votes[0].voter
    votes.add(liar, m.Vote(1, EVENT, 5, OTHER, QUORUM.holders), bytes(64))
    assert votes.show(REAL) is None
    assert all(seen(ctx, vote.voter, DIGEST) for vote in REAL.votes)


def test_one_voter_cannot_fill_the_book_for_the_others() -> None:
    """Catches memory that grows with a flood, and honest votes refused because of it."""
    votes, ctx, node = book()
    flooder = QUORUM.holders[1]
    with pytest.raises(PeerFault) as refused:
        for number in range(10_000):
            event = number.to_bytes(32, "big")
            votes.add(flooder, m.Vote(1, event, 5, DIGEST, QUORUM.holders), bytes(64))
    assert refused.value.culprits() == (flooder,)
    node.receive(2, m.Vote(1, EVENT, 5, DIGEST, QUORUM.holders))
    assert seen(ctx, QUORUM.holders[2], DIGEST)


def test_a_shown_certificate_never_blames_its_voters() -> None:
    """Catches an innocent voter named because somebody else showed many of its certificates."""
    votes, _, _ = book()
    for number in range(80):
        made = evolve(REAL, event=number.to_bytes(32, "big"))
        votes.add_certificate(made)


# --- epochs (F-19) ---


def after_a_regroup() -> tuple[VoteBook, Context, Alone]:
    """Return the votes of a node whose key went from 7 holders with t = 5 to 4 with t = 3.

    It is locked on ``OTHER`` since attempt 3, and an attempt at ``DIGEST`` may be made in 9.
    """
    votes, ctx, node = book()
    ctx.use(epoch_of(1, 7, 5, 2))
    ctx.use(epoch_of(2, 4, 3, 1, follows=1))
    view = ctx.tables.view
    view.put("lock", (ctx.me, EVENT), OTHER)
    view.put("lock_attempt", (ctx.me, EVENT), 3)
    view.put("status", (ctx.me, EVENT), "PENDING")
    view.put("session", (ctx.me, EVENT, 9), "created")
    view.put("session_digest", (ctx.me, EVENT, 9), DIGEST)
    view.put("holding", (ctx.me, 2), "active")
    node.told(kind="payout", event_over=False)
    view.providers["epoch_signs"] = lambda h, _e, _a: h == 2
    votes.taken_up(m.Vote(2, EVENT, 9, DIGEST, ids(4)), quorum_of(4, 3, 1))
    return votes, ctx, node


def acknowledges(votes: VoteBook, ctx: Context) -> bool:
    """Return whether the tables of the node allow it to vote for ``DIGEST`` in attempt 9."""
    votes.voting(m.Vote(2, EVENT, 9, DIGEST, ids(4)))
    about = {"e": EVENT, "a": 9, "d": DIGEST}
    return ctx.tries("event.Setup", **about) and ctx.tries("session.Ack", **about)


@pytest.mark.parametrize(("voters", "fault"), [(3, "3 votes, 5 are needed"), (5, None)])
def test_a_certificate_needs_the_votes_that_its_own_epoch_needs(
    voters: int, fault: str | None
) -> None:
    """F-19: catches an old epoch's votes counted with today's t: three moved a lock that needs
    five.
    """
    votes, ctx, _ = after_a_regroup()
    shown = signed(range(voters), attempt=7, members=ids(7), key_epoch=1)
    assert votes.show(shown) == fault
    assert acknowledges(votes, ctx) == (fault is None)


@pytest.mark.parametrize("voters", [3, 5])
def test_votes_that_merely_came_count_with_the_numbers_of_their_epoch(voters: int) -> None:
    """F-19: catches a lock that moves by votes that an old epoch's threshold does not allow."""
    votes, ctx, node = after_a_regroup()
    votes.taken_up(m.Vote(1, EVENT, 7, DIGEST, ids(7)), quorum_of(7, 5, 2))
    for number in range(voters):
        node.receive(number, m.Vote(1, EVENT, 7, DIGEST, ids(7)))
    assert acknowledges(votes, ctx) == (voters == 5)


@pytest.mark.parametrize("before", [True, False])
def test_votes_of_another_epoch_count_in_no_attempt(before: bool) -> None:
    """F-19: catches old votes counted in an attempt that this node takes for the new epoch's."""
    votes, ctx, node = after_a_regroup()
    for number in range(3 if before else 0):
        node.receive(number, m.Vote(1, EVENT, 7, DIGEST, ids(7)))
    assert votes.taken_up(m.Vote(2, EVENT, 7, DIGEST, ids(4)), quorum_of(4, 3, 1))
    for number in range(0 if before else 3):
        node.receive(number, m.Vote(1, EVENT, 7, DIGEST, ids(7)))
    assert not any(seen(ctx, voter, DIGEST, 7) for voter in ids(7))
    assert not acknowledges(votes, ctx)


def test_a_voted_attempt_keeps_its_epoch() -> None:
    """F-19: catches an attempt whose signers change after this node has voted in it."""
    votes, ctx, _ = after_a_regroup()
    ctx.tables.view.put("voted", (ctx.me, EVENT, 9), DIGEST)
    shown = signed(range(5), attempt=9, members=ids(7), key_epoch=1)
    assert votes.show(shown) is None
    assert ctx.attempts[EVENT, 9].epoch == 2
    assert not any(seen(ctx, voter, DIGEST, 9) for voter in ids(7))


def test_a_certificate_of_an_epoch_that_is_not_known_here_is_left_alone() -> None:
    """Catches a lock that moves by votes of holders whom nobody can name."""
    votes, ctx, _ = book()
    assert votes.show(evolve(REAL, key_epoch=9)) is None
    assert not any(seen(ctx, vote.voter, DIGEST) for vote in REAL.votes)
