"""A signing round at one node: its steps, and when there is none."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.protocol.context import Signers, outpoint_ref
from metanode.protocol.rounds.inbox import proposal_id_hash, share_proof_context
from metanode.protocol.rounds.threshold_set import signing_order
from spec import messages as m
from spec.parameters import MAINNET
from tests.protocol.payouts.support import waiting
from tests.protocol.rounds.support import IDS, ME, ROUND, THRESHOLD, Holder, deposit, epoch

OTHER = bytes([7]) * 32


def test_a_signer_goes_through_all_phases_in_one_round() -> None:
    """Catches a phase that is skipped: each has a guard that rests on the one before."""
    node, moved = waiting(), []
    node.watcher = lambda effects: moved.extend(
        line["to"] for line in effects.trace
        if line["table"] == "peer" and line["from"] != line["to"]
    )
    document = node.paid()
    assert node.ctx.state("session", document.event, ROUND) == "begun"
    node.tick(0.99)
    assert node.phase == "Cooldown"
    node.tick(0.01, ROUND + 1)
    assert moved == ["Proposing", "SetBuilding", "ThresholdSet", "Signing", "Cooldown", "Idle"]


def test_who_is_not_chosen_waits_for_the_signature() -> None:
    """F-34: catches a node that votes although t others sign, or that stays in the round."""
    seniority = epoch().seniority
    number = next(
        n for n in range(ROUND, ROUND + 10) if IDS[ME] not in signing_order(seniority, n, 1)[:3]
    )
    node = waiting()
    node.ctx.now = number * MAINNET.round_period_s
    node.voted()
    assert node.phase == "Cooldown"
    assert not node.sent(m.Vote)
    assert node.rounds.inbox.book(number).task is None


def test_every_transition_says_what_its_guard_read() -> None:
    """Catches a trace from which nobody can see why a vote was given."""
    node = waiting()
    node.voted()
    (vote,) = [line for line in node.effects.trace if line["event"] == "SetFound"]
    assert vote["sends"] == ["vote"]
    assert any(w.startswith("voted[") for w in vote["writes"])
    for read in ("lock[", "in_threshold_set[", "epoch_signs[", "holding["):
        assert any(name.startswith(read) for name in vote["reads"]), read


def test_without_a_transfer_the_round_is_skipped() -> None:
    """Catches empty payouts, and messages that nobody needs."""
    node = Holder.make()
    node.tick(0.01)
    assert not node.effects.sends, "there is no chain yet"
    for _ in range(5):
        node.mine()
    node.tick(0.01)
    assert not node.effects.sends
    assert "transfer_eligible" in node.refused("peer.Offer", r=ROUND)


def test_offers_come_early_in_a_round_or_not_at_all() -> None:
    """F-12: catches an offer that the others cannot wait for any more."""
    node = waiting()
    node.tick(MAINNET.offer_share)
    assert not node.effects.sends
    node.tick(0.01, ROUND + 1)
    assert node.sent(m.Offer)
    node.tick()
    assert not node.effects.sends, "once a round"


def test_who_was_started_in_a_round_sits_it_out() -> None:
    """Catches a node that speaks twice in one round: it may have spoken before its crash."""
    node = waiting()
    node.rounds.began_in = ROUND
    node.tick(0.01)
    assert not node.effects.sends
    node.tick(0.01, ROUND + 1)
    assert node.sent(m.Offer)


def test_a_candidate_is_proposed_when_all_have_offered_or_their_time_is_over() -> None:
    """Catches a proposal from one offer, while the others are still on their way."""
    node = waiting()
    node.tick(0.01)
    for place in (1, 2):
        node.hear(place, node.offer_of(place))
        assert not node.sent(m.Proposal)
    node.tick(MAINNET.offer_share - 0.01)
    assert not node.sent(m.Proposal), "one that is linked has not offered yet"
    node.tick(MAINNET.offer_share)
    assert node.sent(m.Proposal)


def test_the_next_payout_does_not_wait_for_the_last_one() -> None:
    """F-40: catches a payout that nobody mines and that keeps everybody else from being paid."""
    node = waiting()
    document = node.paid()
    node.tick(0.01, ROUND + 1)
    assert not node.sent(m.Offer), "its deposit is taken"
    node.mine("another")
    for state in ("pending", "unknown"):
        node.answer(document.event, state)
    node.tick(0.02)
    (offer,) = node.sent(m.Offer)
    assert len(offer.transfers) == 1


def test_a_payout_that_is_signed_after_the_offer_is_not_proposed_again() -> None:
    """F-40: catches a proposal with deposits that others have signed away since this node offered.
    """
    ahead = waiting("first", "second")
    signed = ahead.signatures(ahead.proposed())
    node = waiting("first", "second")
    node.tick(0.01)
    assert node.sent(m.Offer)
    offers = [(place, node.offer_of(place)) for place in (1, 2, 3)]
    node.hear(1, signed)
    assert "payout.Finish" in node.rows()
    for place, offer in offers:
        node.hear(place, offer)
        assert node.phase == "Idle"
    node.tick(MAINNET.offer_share)
    assert node.phase == "Idle"
    assert not node.sent(m.Proposal)
    assert "transfer_eligible" in node.refused("peer.RoundTick", r=ROUND, d=OTHER)


def lock_on(node: Holder, document: bytes, event: bytes, digest: bytes) -> m.LockedCandidate:
    """Return a lock of the round before."""
    return m.LockedCandidate(document, node.certificate((1, 2, 3), event, digest, ROUND - 1))


def test_what_can_be_paid_is_looked_at_again_before_the_proposal() -> None:
    """Catches a proposal of a node that has nothing to pay any more: the facts of its offer are
    old. The others show a lock on a deposit that this node has not seen.
    """
    node = waiting("unseen")
    locked = node.candidates.choose(ROUND, {i: node.offer_of(1) for i in IDS}, ())
    assert locked is not None
    node = Holder.make()
    for _ in range(3):
        node.mine()
    node.news(node.block("unseen"))
    node.mine("seen")
    node.tick(0.01)
    assert len(node.sent(m.Offer)[0].transfers) == 1
    shown = lock_on(node, locked.encode(), locked.event, locked.digest)
    seen = deposit("seen", 104).outpoint
    node.news(node.block(spends=[(seen, OTHER)]))
    assert list(node.windows.locks([shown]))
    for place in (1, 2, 3):
        node.hear(place, node.offer_of(place, transfers=(outpoint_ref(seen),), locked=shown))
    assert not node.sent(m.Proposal)
    assert "transfer_eligible" in node.refused("peer.RoundTick", r=ROUND, d=locked.digest)


def test_a_lock_is_tried_again_although_its_deposit_is_no_news() -> None:
    """SAFE-SIGN 4: catches a locked payout that is given up: it is offered, and it goes first."""
    node = waiting("a", "b")
    document = node.certified()
    node.tick(MAINNET.signing_share)
    assert node.phase == "Cooldown"
    assert node.book.status(document.event) == "PENDING"
    node.mine("c")
    node.tick(0.01, ROUND + 1)
    (offer,) = node.sent(m.Offer)
    assert offer.locked is not None
    assert offer.locked.certificate.digest == document.digest
    for place in (1, 2, 3):
        node.hear(place, node.offer_of(place))
    (proposal,) = node.sent(m.Proposal)
    assert proposal.document_hash == document.digest


def test_no_round_begins_next_to_midnight() -> None:
    """Catches a round that runs into the time of the nightly regroup."""
    node = waiting()
    midnight = (ROUND * MAINNET.round_period_s // MAINNET.regroup_period_s + 1)
    last = midnight * MAINNET.regroup_period_s // MAINNET.round_period_s
    node.tick(0.01, last - 1)
    assert not node.effects.sends
    assert "regroup_near" in node.refused("peer.Offer", r=last - 1)
    node.tick(0.01, last)
    assert node.sent(m.Offer)


@pytest.mark.parametrize(
    ("go_on", "share", "phase"),
    [
        ("offered", MAINNET.propose_share, "Proposing"),
        ("proposed", MAINNET.set_share, "SetBuilding"),
        ("voted", MAINNET.vote_share, "ThresholdSet"),
        ("certified", MAINNET.signing_share, "Signing"),
    ],
)
def test_each_phase_ends_with_its_share_of_the_round(go_on: str, share: float, phase: str) -> None:
    """Catches a node that stays in a phase when the others fell silent."""
    node = waiting()
    getattr(node, go_on)()
    node.tick(share - 0.01)
    assert node.phase == phase
    node.tick(share)
    assert node.phase == "Cooldown"
    assert node.notes().count("round.ended") == 1


@pytest.mark.parametrize("go_on", ["offered", "proposed", "voted", "certified"])
def test_the_next_round_ends_every_phase(go_on: str) -> None:
    """Catches a node that takes a phase over into a round that it is not about."""
    node = waiting()
    getattr(node, go_on)()
    node.tick(0.0, ROUND + 1)
    assert node.phase == "Cooldown"
    node.tick(0.001)
    assert node.phase == "Idle"


def test_a_round_that_falls_short_of_votes_leaves_its_event_open() -> None:
    """Catches an event that stays in progress, or a session that outlives its round."""
    node = waiting()
    document = node.voted()
    node.hear(1, node.vote_of())
    assert node.book.status(document.event) == "IN_PROGRESS"
    node.tick(MAINNET.vote_share)
    assert node.book.status(document.event) == "PENDING"
    assert node.ctx.tables.view.get("lock", IDS[ME], document.event) is None


@pytest.mark.parametrize("status", ["IN_PROGRESS", "FAILED"])
def test_a_session_ends_with_its_round_and_its_event_is_tried_again(status: str) -> None:
    """F-35: catches a session that outlives its round, or an event that fails with it for good."""
    node = waiting()
    document = node.certified()
    assert node.ctx.state("session", document.event, ROUND) == "begun"
    node.ctx.tables.view.put("status", (IDS[ME], document.event), status)
    node.tick(MAINNET.signing_share)
    assert node.ctx.state("session", document.event, ROUND) == "expired"
    assert node.book.status(document.event) == "PENDING"


@pytest.mark.parametrize("status", ["IN_PROGRESS", "FAILED"])
def test_an_event_whose_session_was_lost_is_tried_again(status: str) -> None:
    """F-35: catches an event that no round takes up again, because a crash cut the last one off."""
    node = waiting()
    document = node.proposed()
    node.ctx.tables.view.put("status", (IDS[ME], document.event), status)
    for place in (1, 2, 3):
        node.hear(place, m.SigningSet(ROUND, 1, IDS))
    assert node.phase == "ThresholdSet"
    assert node.book.status(document.event) == "IN_PROGRESS"


def test_a_node_that_slept_for_rounds_lets_go_of_the_one_it_was_in() -> None:
    """Catches an event that stays in progress because its round was forgotten before it ended."""
    node = waiting()
    document = node.voted()
    node.tick(0.5, ROUND + 9)
    assert node.phase == "Cooldown"
    assert node.book.status(document.event) == "PENDING"


def test_signing_sets_settle_only_who_see_each_other() -> None:
    """Catches a vote for a set of which some member does not see another one."""
    node = waiting()
    node.proposed()
    one, two, three = (IDS[place] for place in (1, 2, 3))
    node.hear(1, m.SigningSet(ROUND, 1, (IDS[ME], one, two)))
    node.hear(2, m.SigningSet(ROUND, 1, (IDS[ME], two, three)))
    node.hear(3, m.SigningSet(ROUND, 1, (one, two, three)))
    assert node.phase == "SetBuilding"
    assert node.inbox.book(ROUND).task is None
    for row in ("peer.SetFound", "peer.SetElsewhere"):
        about = {"e": OTHER, "d": OTHER} if row == "peer.SetFound" else {}
        assert "threshold_set_known" in node.refused(row, r=ROUND, **about)


def test_votes_may_come_before_the_set_is_known_here() -> None:
    """Catches a vote that is lost because its receiver is a step behind."""
    ahead = waiting()
    ahead.voted()
    vote = ahead.vote_of()
    node = waiting()
    node.proposed()
    others = [IDS.index(member) for member in vote.members if member != IDS[ME]]
    for place in others:
        node.hear(place, vote)
    for place in (1, 2, 3):
        node.hear(place, m.SigningSet(ROUND, 1, IDS))
    assert node.phase == "Signing"
    (lock,) = [w.attachment for w in node.effects.writes if w.cell == "lock"]
    assert {signed.voter for signed in lock.certificate.votes} == set(vote.members)


def test_a_fenced_holder_votes_for_no_payout() -> None:
    """F-24: catches payouts that ignore the fence of an epoch, as what makes its shares must."""
    node = waiting()
    node.proposed()
    node.ctx.tables.view.put("holding", (IDS[ME], 1), "fenced")
    for place in (1, 2, 3):
        node.hear(place, m.SigningSet(ROUND, 1, IDS))
    assert node.phase == "SetBuilding"
    assert not node.sent(m.Vote)
    assert "round.not_yet" in node.notes()
    assert "works" in str(node.effects.requests[-1])
    node.tick(MAINNET.set_share)
    assert node.phase == "Cooldown"


def test_a_fence_between_vote_and_certificate_keeps_the_lock_from_moving() -> None:
    """F-24: catches a lock that the hand-over has not shown, because it was written after it."""
    node = waiting()
    document = node.voted()
    node.ctx.tables.view.put("holding", (IDS[ME], 1), "fenced")
    vote = node.vote_of()
    for place in (1, 2):
        node.hear(place, vote)
    assert node.phase == "ThresholdSet"
    assert node.ctx.tables.view.get("lock", IDS[ME], document.event) is None


def test_a_fenced_holder_offers_nothing() -> None:
    """F-24: catches a round that begins without a share that works."""
    node = waiting()
    node.ctx.tables.view.put("holding", (IDS[ME], 1), "fenced")
    node.tick(0.01)
    assert not node.effects.sends


def test_an_attempt_that_another_epoch_signs_is_left_alone() -> None:
    """F-19: catches two epochs, with numbers of their own, in one attempt."""
    node = waiting()
    document = node.proposed()
    quorum = evolve(epoch().quorum, threshold=4)
    node.ctx.attempts[document.event, ROUND] = Signers(0, quorum, shown=True)
    for place in (1, 2, 3):
        node.hear(place, m.SigningSet(ROUND, 1, IDS))
    assert node.phase == "SetBuilding"
    assert not node.sent(m.Vote)


def test_a_share_of_another_epoch_does_not_sign_for_this_one() -> None:
    """F-19, F-24: catches a vote in an epoch whose share does not work here yet; an old one does.
    """
    node = waiting()
    node.proposed()
    key = epoch()
    share = evolve(key.share, epoch=2)
    node.ctx.use(evolve(key, follows=1, package=share.package, keyshare=share))
    for place in (1, 2, 3):
        node.hear(place, m.SigningSet(ROUND, 2, IDS))
    assert node.phase == "SetBuilding"
    assert not node.sent(m.Vote)
    assert "works" in str(node.effects.requests[-1])


def test_messages_of_a_round_move_nothing_in_an_idle_node() -> None:
    """Catches a step that does something when nothing is due: each message runs it."""
    node = waiting()
    node.tick(0.5)
    vote = m.Vote(1, OTHER, ROUND, OTHER, IDS[:THRESHOLD])
    proposal = m.Proposal(ROUND, 1, OTHER, OTHER, bytes(65))
    for message in (vote, m.SigningSet(ROUND, 1, IDS), proposal):
        node.hear(1, message)
        assert set(node.rows()) <= {"round.Hear"}
        assert not node.effects.requests


def test_old_rounds_are_forgotten() -> None:
    """LimitsHeld: catches books of rounds that nobody asks for any more."""
    node = waiting()
    for number in range(ROUND, ROUND + 6):
        node.tick(0.01, number)
        node.hear(1, node.offer_of(1, round=number))
    assert len(node.inbox._books) <= 3


def test_hashes_and_proofs_name_peer_round_and_epoch() -> None:
    """F-10, F-11: catches a proposal that fits another peer, round, epoch or network."""
    base = (b"p" * 33, 5, 1, b"document")
    others = [(b"q" * 33, *base[1:]), (base[0], 6, *base[2:]), (*base[:2], 2, base[3]),
              (*base[:3], b"other")]
    assert len({proposal_id_hash(*one) for one in (base, *others)}) == 5
    proofs = [
        (b"n" * 32, b"p" * 33, 1, 5),
        (b"m" * 32, b"p" * 33, 1, 5),
        (b"n" * 32, b"q" * 33, 1, 5),
        (b"n" * 32, b"p" * 33, 2, 5),
        (b"n" * 32, b"p" * 33, 1, 6),
    ]
    assert len({share_proof_context(*one) for one in proofs}) == 5
    # no two splits of the same octets are one input
    assert proposal_id_hash(b"p" * 33 + b"x", 5, 1, b"y") != proposal_id_hash(
        b"p" * 33, 5, 1, b"xy"
    )
