"""Votes and certificates: the signatures behind SAFE-SIGN.

A vote is a ``Vote`` message in its sender's envelope. The signature of that envelope, together with
the fields of the vote, convinces anyone; t of them for equal fields are a certificate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field

from metanode.errors import PeerFault
from metanode.identity import verify
from metanode.protocol.context import Context
from metanode.protocol.tables.view import Quorum
from metanode.protocol.wire.codec import Codec, encode_canonical
from metanode.protocol.wire.envelope import SIGNATURE_TAG
from spec.messages import Certificate, SignedVote, Vote

ATTEMPTS_PER_VOTER = 256
"""Of four rounds at once: payouts and operators' requests (``requests.AT_ONCE`` a round)."""


def vote_of(certificate: Certificate) -> Vote:
    """Return the vote that every signature of a certificate is about."""
    return Vote(
        certificate.key_epoch,
        certificate.event,
        certificate.attempt,
        certificate.digest,
        certificate.members,
    )


def sign_vote(ctx: Context, vote: Vote) -> SignedVote:
    """Return this node's signature over a vote: the same octets as in the envelope that is sent."""
    body = ctx.codec.encode(vote)
    parts = (ctx.settings.network_id, ctx.me, body)
    return SignedVote(ctx.me, ctx.identity.sign(SIGNATURE_TAG, *parts))


def frame_of(codec: Codec, message: Any, sender: bytes, signature: bytes) -> bytes:
    """Return the envelope in which a message travelled, to be shown as evidence."""
    body = codec.encode(message)
    return encode_canonical({"body": body, "sender": sender, "signature": signature})


def certificate_fault(
    certificate: Certificate,
    codec: Codec,
    network_id: bytes,
    quorum: Quorum,
    needs_all: bool = False,
) -> str | None:
    """Return what is wrong with a certificate, or None.

    Its voters must be distinct holders, at least t of them (all n when ``needs_all``), and every
    signature must verify over the same vote.
    """
    voters = [vote.voter for vote in certificate.votes]
    needed = len(quorum.holders) if needs_all else quorum.threshold
    if len(set(voters)) != len(voters):
        return "a voter appears twice"
    if not set(voters) <= set(quorum.holders):
        return "a voter is not in the roster"
    if len(voters) < needed:
        return f"{len(voters)} votes, {needed} are needed"
    body = codec.encode(vote_of(certificate))
    for vote in certificate.votes:
        if not verify(vote.voter, vote.signature, SIGNATURE_TAG, network_id, vote.voter, body):
            return "a vote's signature is wrong"
    return None


@define
class VoteBook:
    """The votes that this node has seen, with their signatures, by (event, attempt)."""

    ctx: Context
    _votes: dict[tuple[bytes, int], dict[bytes, tuple[Vote, SignedVote]]] = field(factory=dict)

    def add(self, sender: bytes, vote: Vote, signature: bytes) -> tuple[Vote, SignedVote] | None:
        """Keep a vote; return the sender's earlier vote for another digest, if there is one.

        Two votes of one sender in one attempt are evidence against it (SAFE-SIGN 3); the first
        counts.
        """
        votes = self._votes.setdefault((vote.event, vote.attempt), {})
        earlier = votes.get(sender)
        if earlier is not None:
            return earlier if earlier[0] != vote else None
        if sum(sender in voters for voters in self._votes.values()) >= ATTEMPTS_PER_VOTER:
            raise PeerFault("votes in too many attempts at once", sender)
        votes[sender] = (vote, SignedVote(sender, signature))
        self.ctx.tables.view.deliver("vote", sender, vote.event, vote.attempt, vote.digest)
        return None

    def add_certificate(self, certificate: Certificate) -> None:
        """Keep the votes of a certificate that has been verified."""
        vote = vote_of(certificate)
        kept = self._votes.setdefault((vote.event, vote.attempt), {})
        for signed in certificate.votes:
            kept.setdefault(signed.voter, (vote, signed))
            # Who voted otherwise to this node has voted for this digest all the same.
            self.ctx.tables.view.deliver(
                "vote", signed.voter, vote.event, vote.attempt, vote.digest
            )

    def of(self, event: bytes, attempt: int) -> Mapping[bytes, tuple[Vote, SignedVote]]:
        """Return the votes of one attempt by voter, in the order in which they came."""
        return self._votes.get((event, attempt), {})

    def voters(self, vote: Vote) -> tuple[bytes, ...]:
        """Return those whose votes equal ``vote``, in the order in which they came."""
        votes = self.of(vote.event, vote.attempt)
        return tuple(voter for voter, (other, _) in votes.items() if other == vote)

    def certificate(
        self, vote: Vote, count: int, order: Sequence[bytes] = ()
    ) -> Certificate | None:
        """Return a certificate of ``count`` votes equal to ``vote``, if there are so many.

        The voters are the first ones in ``order``, or those who came first.
        """
        votes, voters = self.of(vote.event, vote.attempt), self.voters(vote)
        if len(voters) < count:
            return None
        # Whom this node would not sign with comes last: with enough others it can do without.
        me, get = self.ctx.me, self.ctx.tables.view.get
        ranks = {voter: rank for rank, voter in enumerate(order)}
        ranked = sorted(
            voters,
            key=lambda v: (bool(get("pair_banned", me, v)), ranks.get(v, len(ranks))),
        )
        equal = [votes[voter][1] for voter in ranked]
        chosen = tuple(sorted(equal[:count], key=lambda signed: signed.voter))
        return Certificate(
            vote.key_epoch, vote.event, vote.attempt, vote.digest, vote.members, chosen
        )

    def forget(self, keep: Callable[[bytes, int], bool]) -> None:
        """Drop the votes of all (event, attempt) that ``keep`` does not name."""
        self._votes = {key: votes for key, votes in self._votes.items() if keep(*key)}
