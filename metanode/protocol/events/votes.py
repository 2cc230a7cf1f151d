"""Votes and certificates: the signatures behind SAFE-SIGN.

A vote is a ``Vote`` message in its sender's envelope. The signature of that envelope, together with
the fields of the vote, convinces anyone; t of them for equal fields are a certificate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import define, field

from metanode.errors import Equivocation, PeerFault
from metanode.identity import verify
from metanode.protocol.context import Context
from metanode.protocol.tables.registry import admits, message
from metanode.protocol.tables.view import Quorum
from metanode.protocol.wire.codec import Codec, encode_canonical
from metanode.protocol.wire.envelope import SIGNATURE_TAG
from spec.messages import Certificate, SignedVote, Vote

ATTEMPTS_PER_VOTER = 256
"""Of four rounds at once: payouts and operators' requests (``requests.AT_ONCE`` a round)."""


def vote_of(certificate: Certificate) -> Vote:
    """Return the vote that every signature of a certificate is about."""
    return Vote(
        certificate.key_epoch, certificate.event, certificate.attempt, certificate.digest,
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
    certificate: Certificate, codec: Codec, network_id: bytes, quorum: Quorum,
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


def shown_fault(shown: Certificate, codec: Codec, network_id: bytes) -> str | None:
    """Return what is wrong with votes that a peer shows, however few they are, or None."""
    voters = {vote.voter for vote in shown.votes}
    if len(voters) != len(shown.votes):
        return "a voter appears twice"
    if not voters <= set(shown.members):
        return "a voter is not among the members"
    body = codec.encode(vote_of(shown))
    for vote in shown.votes:
        if not verify(vote.voter, vote.signature, SIGNATURE_TAG, network_id, vote.voter, body):
            return "a vote's signature is wrong"
    return None


@define
class VoteBook:
    """The votes that this node has seen, with their signatures, by (event, attempt)."""

    ctx: Context
    _votes: dict[tuple[bytes, int], dict[bytes, tuple[Vote, SignedVote]]] = field(factory=dict)
    _voting: dict[bytes, Vote] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    # --- this node's own votes ---

    def voting(self, vote: Vote) -> None:
        """Put the vote at hand that a row is about to send: session.Ack or peer.SetFound."""
        self._voting[vote.event] = vote

    @message("vote")
    def vote(self, p: bytes, e: bytes, a: int, d: bytes) -> Vote:
        vote = self._voting.pop(e)
        self.add(self.ctx.me, vote, sign_vote(self.ctx, vote).signature)
        return vote

    # --- votes of others ---

    @admits("vote")
    def admit(self, sender: bytes, vote: Vote) -> bool:
        """Keep a vote; it counts if it is for the epoch that signs the attempt (F-19).

        Two votes of one sender in one attempt are evidence against it (SAFE-SIGN 3).
        """
        envelope = self.ctx.received.envelope
        earlier = self.add(sender, vote, envelope.signature)
        if earlier is not None:
            first = frame_of(self.ctx.codec, earlier[0], sender, earlier[1].signature)
            raise Equivocation("two votes in one attempt", sender, (first, envelope.raw))
        signers = self.ctx.attempts.get((vote.event, vote.attempt))
        return signers is None or signers.epoch == vote.key_epoch

    def add(self, sender: bytes, vote: Vote, signature: bytes) -> tuple[Vote, SignedVote] | None:
        """Keep a vote; return the sender's earlier, other vote in this attempt, if there is one.

        The first counts.
        """
        votes = self._votes.setdefault((vote.event, vote.attempt), {})
        earlier = votes.get(sender)
        if earlier is not None:
            return earlier if earlier[0] != vote else None
        if sum(sender in voters for voters in self._votes.values()) >= ATTEMPTS_PER_VOTER:
            raise PeerFault("votes in too many attempts at once", sender)
        votes[sender] = (vote, SignedVote(sender, signature))
        return None

    def taken_up(self, vote: Vote, quorum: Quorum, *, shown: bool = False) -> bool:
        """Note which epoch signs an attempt, and return as :meth:`Context.signed_by` does.

        From now on only the votes that name this epoch count in the attempt: another epoch may
        need more of them (F-19).
        """
        key = vote.event, vote.attempt
        if not self.ctx.signed_by(*key, vote.key_epoch, quorum, shown=shown):
            return False
        for voter, (other, _) in self._votes.get(key, {}).items():
            counts = other.key_epoch == vote.key_epoch
            self.ctx.tables.view.put("vote", (voter, *key, other.digest), counts)
        return True

    # --- certificates ---

    def show(
        self, certificate: Certificate, quorum: Quorum | None = None, *, needs_all: bool = False
    ) -> str | None:
        """Take a certificate that somebody shows; return what is wrong with it, or None.

        It is judged by the holders of its own epoch (F-19), or by ``quorum`` where shares are made.
        What cannot be judged, because that epoch is not known here, is not noted.
        """
        ctx = self.ctx
        known = quorum or ctx.quorum_of(certificate.key_epoch)
        if known is None:
            return None
        fault = certificate_fault(certificate, ctx.codec, ctx.settings.network_id, known, needs_all)
        if fault is None:
            self.add_certificate(certificate, known)
        return fault

    def add_certificate(self, certificate: Certificate, quorum: Quorum | None = None) -> None:
        """Note the votes of a certificate that has been verified by ``quorum``.

        Without one it was verified by the holders of its own epoch.
        """
        vote, known = vote_of(certificate), quorum or self.ctx.quorum_of(certificate.key_epoch)
        if known is not None and self.taken_up(vote, known, shown=True):
            self.take_shown(certificate)

    # --- votes that are shown on demand ---

    def newest(self, asked: Iterable[tuple[bytes, bytes]], at_most: int) -> tuple[Certificate, ...]:
        """Return the votes that are kept for pairs of event and digest: of each the newest attempt,
        as their voters signed them.
        """
        wanted, found = dict.fromkeys(asked), dict[tuple[bytes, bytes], int]()
        for (event, attempt), votes in self._votes.items():
            for digest in {vote.digest for vote, _ in votes.values()}:
                if (event, digest) in wanted:
                    found[event, digest] = max(attempt, found.get((event, digest), 0))
        shown = []
        for event, digest in [pair for pair in wanted if pair in found][:at_most]:
            votes = self._votes[event, found[event, digest]]
            equal = Counter(vote for vote, _ in votes.values() if vote.digest == digest)
            vote, _ = equal.most_common(1)[0]
            signed = tuple(mine for other, mine in votes.values() if other == vote)
            shown.append(Certificate(
                vote.key_epoch, vote.event, vote.attempt, vote.digest, vote.members, signed
            ))
        return tuple(shown)

    def take_shown(self, shown: Certificate) -> None:
        """Note votes that a peer shows and that the caller has checked."""
        vote = vote_of(shown)
        kept = self._votes.setdefault((vote.event, vote.attempt), {})
        for signed in shown.votes:
            kept.setdefault(signed.voter, (vote, signed))
            # A peer that showed this node another vote has voted for this digest all the same.
            self.ctx.hear(vote, signed.voter)

    # --- what is there ---

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
        # Banned peers come last: where enough others have voted, this node does without them.
        me, get = self.ctx.me, self.ctx.tables.view.get
        ranks = {voter: rank for rank, voter in enumerate(order)}
        ranked = sorted(
            voters, key=lambda v: (bool(get("pair_banned", me, v)), ranks.get(v, len(ranks)))
        )
        equal = [votes[voter][1] for voter in ranked]
        chosen = tuple(sorted(equal[:count], key=lambda signed: signed.voter))
        return Certificate(
            vote.key_epoch, vote.event, vote.attempt, vote.digest, vote.members, chosen
        )

    def forget(self, keep: Callable[[bytes, int], bool]) -> None:
        """Drop the votes of all (event, attempt) that ``keep`` does not name."""
        self._votes = {key: votes for key, votes in self._votes.items() if keep(*key)}
