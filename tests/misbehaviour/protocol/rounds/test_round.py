"""A dishonest member in a signing round: equivocation, forged locks, odd sets, wrong votes."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from metanode.custody.payout import PayoutDocument
from metanode.errors import Equivocation, PeerFault
from metanode.protocol.context import outpoint_ref
from metanode.protocol.rounds.threshold_set import signing_order
from metanode.tss.proofs import verify_share
from spec import messages as m
from spec.parameters import MAINNET
from tests.custody.support import ident
from tests.protocol.rounds.support import IDS, ME, ROUND, THRESHOLD, Holder, convinces, epoch

OTHER = bytes([7]) * 32
LIAR, NEXT, LAST = (place for place in range(4) if place != ME)


def waiting(*names: str) -> Holder:
    """Return a node with a chain on which deposits wait."""
    node = Holder.make()
    for _ in range(3):
        node.mine()
    node.mine(*(names or ("a deposit",)))
    return node


def heard(node: Holder, place: int) -> str:
    """Return how far the node has come with a peer in this round."""
    return node.ctx.state("round", IDS[place], node.ctx.round_number())


def document_of(node: Holder) -> PayoutDocument:
    """Return what the node has proposed."""
    document = node.inbox.book(node.ctx.round_number()).document
    if document is None:
        raise AssertionError("nothing was proposed")
    return document


def equivocates(node: Holder, message: Any) -> Equivocation:
    """Return the evidence that a message makes, whose frames convince anybody."""
    with pytest.raises(Equivocation) as caught:
        node.hear(LIAR, message)
    node.ctx.tables.turn = None
    assert caught.value.culprits() == (IDS[LIAR],)
    assert convinces(caught.value.frames, IDS[LIAR])
    return caught.value


def test_two_proposals_are_evidence_and_the_others_go_on() -> None:
    """F-05: catches an equivocation that is not noticed, not provable, or that stops the round."""
    node = waiting()
    node.offered()
    document = document_of(node)
    proposal = node.proposal_of(LIAR, document)
    node.hear(LIAR, proposal)
    assert heard(node, LIAR) == "accepted"
    node.hear(LIAR, proposal)
    assert not node.rows(), "a repetition is none"
    equivocates(node, evolve(proposal, document_hash=OTHER))
    assert heard(node, LIAR) == "equivocated"
    for place in (NEXT, LAST):
        node.hear(place, node.proposal_of(place, document))
    node.tick(MAINNET.propose_share)
    (said,) = node.sent(m.SigningSet)
    assert IDS[LIAR] not in said.members
    assert len(said.members) == THRESHOLD


def test_another_proposal_to_this_node_alone_hinders_nobody() -> None:
    """F-05: catches a split round; no one node holds two bodies, so nobody may be blocked."""
    node = waiting()
    node.offered()
    document = document_of(node)
    node.hear(LIAR, node.proposal_of(LIAR, document, document_hash=OTHER))
    assert heard(node, LIAR) == "heard_proposal"
    for place in (NEXT, LAST):
        node.hear(place, node.proposal_of(place, document))
    node.tick(MAINNET.propose_share)
    assert node.phase == "SetBuilding"


@pytest.mark.parametrize("with_proposal", [True, False])
def test_two_signing_sets_are_evidence(with_proposal: bool) -> None:
    """Catches a second set that replaces the first, or ends a node that knows no proposal."""
    node = waiting()
    if with_proposal:
        node.proposed()
    node.hear(LIAR, m.SigningSet(ROUND, 1, IDS))
    equivocates(node, m.SigningSet(ROUND, 1, IDS[1:]))
    assert heard(node, LIAR) == "equivocated"
    assert node.inbox.book(ROUND).sets[IDS[LIAR]].members == IDS


ODD = {
    "small": IDS[LIAR - 1 : LIAR + 1],
    "strangers": (*IDS, b"\x02" + bytes(32)),
    "duplicates": (*IDS, IDS[0]),
    "without itself": tuple(node_id for node_id in IDS if node_id != IDS[LIAR]),
    "empty": (),
}


@pytest.mark.parametrize("kind", ODD)
def test_signing_sets_that_are_none_are_ignored(kind: str) -> None:
    """F-18: catches a set under t, with strangers or duplicates, that shapes the threshold set."""
    node = waiting()
    node.proposed()
    node.hear(LIAR, m.SigningSet(ROUND, 1, ODD[kind]))
    assert heard(node, LIAR) == "accepted"
    for place in (NEXT, LAST):
        node.hear(place, m.SigningSet(ROUND, 1, IDS))
    assert IDS[LIAR] not in (node.inbox.threshold_set(ROUND) or ())
    node.tick(MAINNET.set_share - 0.001)
    assert IDS[LIAR] not in node.vote_of().members
    assert len(node.vote_of().members) == THRESHOLD


def test_messages_of_another_epoch_are_not_of_this_round() -> None:
    """F-19: catches a proposal or a set that was made with other shares."""
    node = waiting()
    node.offered()
    document = document_of(node)
    node.hear(LIAR, node.proposal_of(LIAR, document, key_epoch=2))
    node.hear(LIAR, m.SigningSet(ROUND, 2, IDS))
    assert heard(node, LIAR) == "silent"
    assert not node.inbox.book(ROUND).sets


def test_who_holds_no_share_keeps_nothing_of_a_round() -> None:
    """Catches memory, or a phase, of a round that this node takes no part in."""
    node = waiting()
    offer = node.offer_of(LIAR)
    node.ctx.use(epoch(None))
    for message in (offer, m.SigningSet(ROUND, 1, IDS),
                    m.Proposal(ROUND, 1, OTHER, OTHER, bytes(65))):
        node.hear(LIAR, message)
        assert not node.rows()
    book = node.inbox.book(ROUND)
    assert (book.offers, book.proposals, book.sets) == ({}, {}, {})


def test_a_banned_peer_is_not_signed_with() -> None:
    """Catches a round beside a peer that guessed at this node's secrets."""
    node = waiting()
    node.offered()
    document = document_of(node)
    node.ctx.tables.view.put("pair_banned", (IDS[ME], IDS[LIAR]), True)
    for place in (LIAR, NEXT, LAST):
        node.hear(place, node.proposal_of(place, document))
    assert heard(node, LIAR) == "heard_proposal"
    assert [heard(node, place) for place in (NEXT, LAST)] == ["accepted", "accepted"]


# --- votes ---


def member(node: Holder, inside: bool = True) -> int:
    """Return a holder that is, or is not, in the threshold set that the node has voted for."""
    members = node.vote_of().members
    return next(p for p in (LIAR, NEXT, LAST) if (IDS[p] in members) == inside)


def test_a_wrong_vote_ends_the_round_and_blocks_nobody() -> None:
    """F-06: catches a block, or a certificate, that comes of a mismatch."""
    node = waiting()
    document = node.voted()
    assert "votes_conflict" in node.refused("peer.Mismatch", r=ROUND)
    node.hear(member(node), evolve(node.vote_of(), digest=OTHER))
    assert node.rows() == ["peer.Mismatch", "event.Recover"]
    assert node.phase == "Cooldown"
    assert node.book.status(document.event) == "PENDING"


def test_a_wrong_vote_that_came_before_the_set_was_known_ends_the_round() -> None:
    """F-06: catches a node that votes beside a checksum which cannot become a certificate."""
    ahead = waiting()
    ahead.voted()
    node = waiting()
    node.proposed()
    node.hear(member(ahead), evolve(ahead.vote_of(), digest=OTHER))
    for place in (LIAR, NEXT, LAST):
        node.hear(place, m.SigningSet(ROUND, 1, IDS))
    assert node.phase == "Cooldown"


def test_a_vote_for_the_same_digest_by_other_members_is_another_checksum() -> None:
    """F-06: catches a checksum that does not say who signs."""
    node = waiting()
    node.voted()
    node.hear(member(node), evolve(node.vote_of(), members=IDS[1:]))
    assert node.phase == "Cooldown"


def test_a_member_outside_the_threshold_set_cannot_end_the_round() -> None:
    """Catches a round that any holder can spoil with a vote nobody asked it for."""
    node = waiting()
    node.voted()
    node.hear(member(node, inside=False), evolve(node.vote_of(), digest=OTHER))
    assert node.phase == "ThresholdSet"


def test_a_vote_from_outside_the_threshold_set_does_not_push_a_member_out() -> None:
    """F-18: catches a run with a signer that the signing sets have not settled on."""
    node = waiting()
    node.voted()
    vote = node.vote_of()
    node.hear(member(node, inside=False), vote)
    for place in (p for p in (LIAR, NEXT, LAST) if IDS[p] in vote.members):
        if node.phase == "ThresholdSet":
            node.hear(place, vote)
    assert node.phase == "Signing"


# --- locks ---


@pytest.mark.parametrize("fault", ["forged", "too few", "strangers", "twice"])
def test_a_lock_without_a_certificate_is_the_offerers_fault(fault: str) -> None:
    """SAFE-SIGN 4: catches a lock taken on somebody's word; the state stays as it was."""
    node = waiting()
    document = node.candidates.choose(ROUND, {peer: node.offer_of(1) for peer in IDS}, ())
    assert document is not None
    real = node.certificate((1, 2, 3), document.event, document.digest, ROUND - 1)
    stranger = m.SignedVote(b"\x02" + bytes(32), bytes(64))
    shown = {
        "forged": evolve(real, members=()),
        "too few": evolve(real, votes=real.votes[:2]),
        "strangers": evolve(real, votes=(*real.votes[:2], stranger)),
        "twice": evolve(real, votes=(real.votes[0], real.votes[0], real.votes[1])),
    }
    for certificate, good in ((shown[fault], False), (real, True)):
        offer = node.offer_of(LIAR, locked=m.LockedCandidate(document.encode(), certificate))
        if good:
            node.hear(LIAR, offer)
            continue
        with pytest.raises(PeerFault) as caught:
            node.hear(LIAR, offer)
        assert not isinstance(caught.value, Equivocation), "nothing convinces a third party"
        assert caught.value.culprits() == (IDS[LIAR],)
        assert not node.inbox.book(ROUND).offers
    assert node.inbox.book(ROUND).offers[IDS[LIAR]].locked is not None


def test_a_certificate_for_one_document_does_not_lock_another() -> None:
    """Catches a real certificate shown with a foreign document: its holder would choose the
    payout.
    """
    node = waiting("one", "two")
    one = {peer: node.offer_of(1, transfers=node.offer_of(1).transfers[:1]) for peer in IDS}
    chosen = node.candidates.choose(ROUND, one, ())
    assert chosen is not None
    real = node.certificate((1, 2, 3), chosen.event, OTHER, ROUND - 1)
    shown = m.LockedCandidate(chosen.encode(), real)
    with pytest.raises(PeerFault, match="another document"):
        node.hear(LIAR, node.offer_of(LIAR, locked=shown))
    node.offered()
    assert len(document_of(node).transfers) == 2, "not what one member wishes"


def test_a_newer_certificate_moves_a_lock_and_an_older_one_does_not() -> None:
    """SAFE-SIGN 4: catches a vote against the lock; what the others show is what permits it."""
    for attempt, votes in ((ROUND - 1, True), (ROUND - 3, False)):
        node = waiting("one", "two")
        few = {peer: node.offer_of(1, transfers=node.offer_of(1).transfers[:1]) for peer in IDS}
        mine = node.candidates.choose(ROUND, {peer: node.offer_of(1) for peer in IDS}, ())
        other = node.candidates.choose(ROUND, few, ())
        assert mine is not None
        assert other is not None
        assert mine.event == other.event
        put = node.ctx.tables.view.put
        put("lock", (IDS[ME], mine.event), mine.digest)
        put("lock_attempt", (IDS[ME], mine.event), ROUND - 2)
        put("status", (IDS[ME], mine.event), "PENDING")
        certificate = node.certificate((1, 2, 3), mine.event, mine.digest, ROUND - 2)
        node.book.restore([m.LockedCandidate(mine.encode(), certificate)], [])
        newer = node.certificate((1, 2, 3), other.event, other.digest, attempt)
        shown = m.LockedCandidate(other.encode(), newer)
        node.tick(0.01)
        for place in (1, 2, 3):
            node.hear(place, node.offer_of(place, locked=shown))
        document = document_of(node)
        assert document == (other if votes else mine)
        for place in (1, 2, 3):
            node.hear(place, node.proposal_of(place, document))
        for place in (1, 2, 3):
            node.hear(place, m.SigningSet(ROUND, 1, IDS))
        assert node.phase == "ThresholdSet"


# --- proofs ---


def test_a_copied_share_proof_counts_for_nothing_and_prunes_nobody_else() -> None:
    """F-10: catches a senior that pushes a junior out by showing its proof."""
    seniority = epoch().seniority
    for number in range(ROUND, ROUND + 4):
        node = waiting()
        node.ctx.now = number * MAINNET.round_period_s
        node.offered()
        document = document_of(node)
        order = [IDS.index(peer) for peer in seniority if peer != IDS[ME]]
        copier, victim, third = order
        copied = node.proposal_of(victim, document).share_proof
        node.hear(copier, node.proposal_of(copier, document, share_proof=copied))
        assert heard(node, copier) == "heard_proposal"
        assert not verify_share(
            epoch().public_share(IDS[copier]), b"whatever it is bound to", copied
        )
        for place in (victim, third):
            node.hear(place, node.proposal_of(place, document))
        node.tick(MAINNET.propose_share)
        for place in (copier, victim, third):
            node.hear(place, m.SigningSet(number, 1, IDS))
        assert set(node.inbox.threshold_set(number) or ()) == set(IDS) - {IDS[copier]}
        assert signing_order(seniority, number, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"id_hash": OTHER},
        {"share_proof": bytes(65)},
        {"round": ROUND + 1},
    ],
)
def test_a_proposal_that_is_not_this_rounds_or_this_peers_counts_for_nothing(
    change: dict[str, Any],
) -> None:
    """F-11: catches a proposal of another round, or of another peer, that is accepted here."""
    node = waiting()
    node.offered()
    document = document_of(node)
    node.hear(LIAR, node.proposal_of(LIAR, document, **change))
    assert heard(node, LIAR) in ("silent", "heard_proposal")
    others = node.proposal_of(NEXT, document)
    node.hear(LAST, others)
    assert heard(node, LAST) == "heard_proposal", "that of another peer"


def test_a_replayed_proposal_counts_for_nothing() -> None:
    """F-11: catches a proposal of an old round that is accepted in a new one, renumbered."""
    node = waiting()
    node.offered()
    old = node.proposal_of(LIAR, document_of(node))
    node.tick(0.0, ROUND + 1)
    node.offered()
    assert document_of(node).digest == old.document_hash
    node.hear(LIAR, evolve(old, round=ROUND + 1))
    assert heard(node, LIAR) == "heard_proposal"


def test_offers_of_deposits_that_do_not_exist_change_nothing() -> None:
    """Catches a candidate with a transfer that only a liar has seen."""
    node = waiting()
    ghost = m.OutpointRef(OTHER, 0)
    node.tick(0.01)
    honest = node.offer_of(LIAR)
    node.hear(
        LIAR, evolve(honest, height=honest.height + 1000, transfers=(ghost, *honest.transfers))
    )
    node.hear(LIAR, honest)
    for place in (NEXT, LAST):
        node.hear(place, node.offer_of(place))
    real = outpoint_ref(document_of(node).transfers[0])
    assert (len(document_of(node).transfers), real.txid) == (1, ident("a deposit"))
