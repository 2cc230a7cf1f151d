"""Payouts: the run that signs one, signatures that others show, and the way to the chain."""

from __future__ import annotations

from attrs import evolve

from metanode.custody.payout import PayoutDocument
from metanode.custody.types import BlockSummary
from metanode.protocol import inputs
from metanode.protocol.events.run import lane_nonce
from metanode.protocol.payouts.payouts import TOLD_AGAIN
from metanode.protocol.tables.effects import Broadcast, LookUp
from metanode.tss.parameters import LANES
from spec import messages as m
from spec.parameters import MAINNET
from tests.custody.support import ident
from tests.protocol.payouts.support import spends, state, waiting
from tests.protocol.rounds.support import IDS, ME, ROUND, SHARES, Holder
from tests.tss.support import deliver, lanes_sessions

THIEF = ident("thief")


# --- runs ---


def test_a_certificate_begins_the_run_of_its_voters() -> None:
    """Catches a run of other signers, or for another document, than the certificate says."""
    node = waiting("a", "b")
    document = node.certified()
    task, certificate = node.sessions.entered[document.event, ROUND]
    run = node.payouts.begin(task, certificate)
    assert run is not None
    assert run.members == tuple(vote.voter for vote in certificate.votes)
    assert run.plan.digests == document.sighashes()
    assert (run.event, run.attempt, run.digest) == (document.event, ROUND, document.digest)
    assert len(run.lanes) == 1, "a few inputs share a session"
    assert node.payouts.begin(evolve(task, key_epoch=9), certificate) is None, "no such share"


def test_the_results_of_a_run_are_verified_and_taken() -> None:
    """Catches a payout that is announced unverified, or made and never announced."""
    node = waiting()
    document = node.certified()
    run = node.payouts.begin(*node.sessions.entered[document.event, ROUND])
    assert run is not None
    assert not node.payouts.verifies(run), "there is no result yet"
    signers = [IDS.index(member) + 1 for member in run.members]
    (lane,) = run.lanes
    nonce = lane_nonce(run.instance, 0)
    others = lanes_sessions(SHARES, signers, document.sighashes(), instance=nonce)
    others[ME + 1] = lane
    deliver(others)
    assert node.payouts.verifies(run)
    assert not node.payouts.verifies(evolve(run, digest=ident("another digest")))
    node.payouts.finished(run)
    effects = node.ctx.tables.take()
    (send,) = [s for s in effects.sends if isinstance(s.message, m.SignatureFound)]
    assert (send.message.digest, send.message.signers) == (document.digest, run.members)
    assert node.book.status(document.event) == "SUCCESS"


def test_many_inputs_are_signed_a_few_in_a_session() -> None:
    """Catches signatures that are put to another input, or an input that is left out."""
    node = waiting(*(f"deposit {number}" for number in range(LANES + 1)))
    document = node.certified()
    digests, count = document.sighashes(), (LANES + 1) * len(document.versions)
    run = node.payouts.begin(*node.sessions.entered[document.event, ROUND])
    assert run is not None
    assert len(digests) == count > LANES + 1
    signers = [IDS.index(member) + 1 for member in run.members]
    for number, lane in enumerate(run.lanes):
        part, nonce = digests[number * LANES :][:LANES], lane_nonce(run.instance, number)
        others = lanes_sessions(SHARES, signers, part, instance=nonce)
        assert others[ME + 1].session_id == lane.session_id
        others[ME + 1] = lane
        assert not node.payouts.verifies(run)
        deliver(others)
    assert node.payouts.verifies(run)
    assert len(run.results or ()) == count


def test_attempts_of_a_round_are_over_when_its_time_for_signing_is() -> None:
    """Catches a session that outlives its round, or one that ends before it."""
    node = waiting()
    node.tick(0.0)
    assert node.payouts.oldest() == ROUND
    node.tick(MAINNET.signing_share)
    assert node.payouts.oldest() == ROUND + 1
    assert not list(node.payouts.due())
    assert node.payouts.rebuild(bytes(32), ROUND) is None


def test_a_document_says_which_payout_it_is_about() -> None:
    """F-17: catches an event that is taken from somebody's word, or one of another network."""
    node = waiting()
    document = node.proposed()
    assert node.payouts.concerns(document.event, document.encode(), None)
    assert not node.payouts.concerns(ident("other"), document.encode(), None)
    assert not node.payouts.concerns(document.event, b"no document", None)
    other = evolve(document, part=1)
    assert not node.payouts.concerns(document.event, other.encode(), None)
    assert not node.payouts.concerns(other.event, other.encode(), None), "it is not signed for that"


# --- signatures ---


def test_signatures_that_a_peer_shows_end_the_round_and_go_to_the_chain() -> None:
    """F-15: catches a node that waits for its own run although the payout is signed."""
    node = waiting()
    document = node.paid()
    assert node.rows() == ["event.Signature", "payout.Finish", "peer.Signed"]
    assert node.phase == "Cooldown"
    (broadcast,) = node.asked(Broadcast)
    assert (broadcast.event, broadcast.txid) == (document.event, document.txids[0])
    (found,) = node.sent(m.SignatureFound)
    assert found == node.signatures(document)
    node.hear(2, found)
    assert not node.effects.trace, "what is known is news to nobody"


def test_signatures_of_another_document_do_not_end_the_round() -> None:
    """SAFE-SIGN 4: catches a round called signed by signatures of what this node did not lock."""
    node = waiting("a", "b")
    document = node.certified()
    few = node.candidates.eligible()[:1]
    other = node.candidates._build(document.cutoff_height, document.window, few, 0)
    assert other is not None
    assert (other.event, other.digest != document.digest) == (document.event, True)
    node.hear(1, node.signatures(other))
    assert node.book.status(document.event) == "SUCCESS"
    assert node.phase == "Signing"


def test_signatures_that_come_before_their_block_are_taken() -> None:
    """Catches a late chain view that refuses a real payout for good, or gives it up at once."""
    ahead = waiting()
    document = ahead.proposed()
    node = Holder.make()
    for block in ahead.blocks[:-1]:
        node.news(block)
    node.hear(1, ahead.signatures(document))
    assert "payout.Finish" in node.rows()
    node.answer(document.event, "unknown")
    assert state(node, document) == "SIGNED"
    node.news(ahead.blocks[-1])
    node.tick(0.01, ROUND + 1)
    assert not node.sent(m.Offer), "its deposit is taken"


def test_signatures_of_another_key_or_for_other_terms_are_none() -> None:
    """Catches a document of any other key, or one whose terms are not what the key signed."""
    node = waiting()
    document = node.proposed()
    found = node.signatures(document)
    for changed in (
        evolve(document, public_key=IDS[1]),
        evolve(document, key_epoch=document.key_epoch + 1),
        evolve(document, network_id=bytes(32)),
    ):
        node.hear(
            1,
            evolve(
                found, event=changed.event, digest=changed.digest, document=changed.encode()
            ),
        )
        assert "event.Signature" not in node.rows()
    node.hear(1, found)
    assert "event.Signature" in node.rows()


def test_a_payout_is_kept_with_its_signatures_over_a_restart() -> None:
    """Catches a signed payout lost in a crash before it was mined, or before it was booked."""
    before = waiting()
    document = before.paid()
    (found,) = before.sent(m.SignatureFound)
    for settlement in ("SIGNED", "UNSIGNED"):
        node = Holder.make()
        for cell, value in (("status", "SUCCESS"), ("settlement", settlement)):
            node.ctx.tables.view.put(cell, (IDS[ME], document.event), value)
        node.ctx.tables.view.put(
            "signature_kept", (IDS[ME], document.event, document.digest), True
        )
        node.book.restore([], [found])
        node.news(*before.blocks)
        assert ("payout.Finish" in node.rows()) == (settlement == "UNSIGNED")
        assert state(node, document) == "SIGNED"
        node.tick()
        assert [look.txids for look in node.asked(LookUp)] == [document.txids[::-1]]
        node.answer(document.event, "unknown")
        assert [sent.txid for sent in node.asked(Broadcast)] == [document.txids[0]]


def test_a_peer_that_comes_up_is_told_of_the_newest_payouts() -> None:
    """Catches a node that stays behind because it was away when the signature was announced."""
    node = waiting()
    document = node.paid()
    assert list(node.payouts.tells(inputs.LinkUp(IDS[1]))) == [(document.event, IDS[1])]
    assert not list(node.payouts.tells(inputs.Tick()))
    for number in range(2 * TOLD_AGAIN):
        node.payouts.payouts[bytes([number])] = node.payouts.payouts[document.event]
    told = [event for event, _ in node.payouts.tells(inputs.LinkUp(IDS[1]))]
    assert len(told) == TOLD_AGAIN + 1
    assert told[0] == document.event, "it is on its way"


# --- the chain ---


def test_a_payout_goes_from_signed_to_completed() -> None:
    """Catches a payout called final before it is deep enough, or never."""
    node = waiting()
    document = node.paid()
    assert state(node, document) == "SIGNED"
    node.asked(Broadcast)
    node.ctx.now += node.ctx.preset.payout_query_s
    node.answer(document.event, "unknown")
    assert state(node, document) == "SIGNED"
    assert node.asked(Broadcast), "the reply to a broadcast alone is never trusted"
    node.answer(document.event, "unknown", version=1)
    assert node.payouts.report()[0]["version"] == 0, "which version was asked for says nothing"
    for answer, wanted in (
        ("pending", "BROADCAST"), ("included", "BROADCAST"), ("final", "COMPLETED")
    ):
        node.answer(document.event, answer)
        assert state(node, document) == wanted
        assert not node.asked(Broadcast)
    assert node.notes() == ["payout.final"]
    node.tick()
    assert not node.asked(LookUp)


def test_a_refused_payout_is_sent_less_and_less_and_says_why() -> None:
    """Catches a daemon that is asked a thousand times a second to take what it refuses."""
    node = waiting()
    document = node.paid()
    node.asked(Broadcast)
    sent, notes, limit = 0, list[str](), node.ctx.preset.payout_resend_s
    for _ in range(600):
        node.ctx.now += 1.0
        node.answer(document.event, "unknown", "dust" if sent else "")
        notes += node.notes()
        sent += len(node.asked(Broadcast))
    assert 600 / limit <= sent <= 600 / limit + 7
    assert notes == ["payout.refused"]
    (shown,) = node.payouts.report()
    assert (shown["reason"], shown["state"]) == ("dust", "REFUSED")
    node.answer(document.event, "pending")
    assert node.payouts.report()[0]["reason"] == ""
    assert state(node, document) == "BROADCAST"


def test_a_payout_that_was_given_up_may_be_mined_all_the_same() -> None:
    """Catches a book that differs from the chain for ever: the chain is right."""
    node = waiting("a", "b")
    document = node.paid()
    before = node.blocks[-1]
    gone = node.block("b", branch="other", parent=node.blocks[-2])
    node.news(gone, gone=[before])
    node.answer(document.event, "unknown")
    assert state(node, document) == "REVERTED"
    node.news(before, node.block(spends=spends(document, document.txids[0]), parent=before),
              gone=[gone])
    node.ctx.now += 60
    node.tick()
    assert node.asked(LookUp)
    node.answer(document.event, "unknown")
    assert state(node, document) == "COMPLETED"


def given_up() -> tuple[Holder, PayoutDocument, BlockSummary, BlockSummary]:
    """Return a node that gave up a payout, the block that left with its deposit, and the other."""
    node = waiting("a")
    document = node.paid()
    (before,) = node.blocks[-1:]
    other = node.block(branch="other", parent=node.blocks[-2])
    node.news(other, gone=[before])
    node.answer(document.event, "unknown")
    assert state(node, document) == "REVERTED"
    return node, document, before, other


def test_a_payout_whose_coins_come_back_is_sent_again() -> None:
    """F-40: catches a deposit that is taken for ever by a payout which nobody sends any more."""
    node, document, before, gone = given_up()
    node.tick()
    assert not node.asked(LookUp), "it can never be mined"
    node.news(before, gone=[gone])
    node.ctx.now += 60
    node.tick()
    assert node.asked(LookUp)
    node.answer(document.event, "unknown")
    assert node.rows() == ["payout.Returned"]
    assert node.asked(Broadcast)
    node.answer(document.event, "pending")
    assert state(node, document) == "BROADCAST"


def test_a_payout_whose_coins_come_back_may_be_refused_at_once() -> None:
    """Catches a refusal that is not booked because the payout was given up until then."""
    node, document, before, gone = given_up()
    node.news(before, gone=[gone])
    node.answer(document.event, "unknown", "dust")
    assert node.rows() == ["payout.Returned", "payout.Refused"]
    assert state(node, document) == "REFUSED"


def test_who_offers_what_is_signed_away_is_told_once_a_round() -> None:
    """Catches a member that missed a signature, and votes for no later part of that window."""
    node = waiting("a", "b")
    offer = node.offer_of(1)
    document = node.paid()
    assert node.payouts._missed_by(IDS[1]) == [], "it offered that before it was signed"
    node.tick(0.01, ROUND + 1)
    node.hear(1, evolve(offer, round=ROUND + 1))
    assert node.payouts._missed_by(IDS[1]) == [(document.event, IDS[1])]
    assert node.payouts._missed_by(IDS[1]) == []
    node.hear(2, evolve(offer, round=ROUND + 1, transfers=()))
    assert node.payouts._missed_by(IDS[2]) == [], "it offers nothing that is taken"
    node.tick(0.01, ROUND + 2)
    assert node.payouts._missed_by(IDS[1]) == [], "it has not offered in this round"


def test_a_payout_may_be_final_when_it_is_first_looked_up() -> None:
    """Catches a payout that needs one answer for each of its states."""
    node = waiting()
    document = node.paid()
    node.answer(document.event, "final")
    assert node.rows() == ["payout.Accepted", "payout.Final"]
    assert state(node, document) == "COMPLETED"


def test_a_payout_that_the_mempool_dropped_is_sent_again() -> None:
    """Catches a payout forgotten with the mempool: never fresh inputs, the same transaction."""
    node = waiting()
    document = node.paid()
    node.answer(document.event, "pending")
    node.answer(document.event, "replaced")
    assert node.rows() == ["payout.Dropped"]
    assert state(node, document) == "SIGNED"
    (again,) = node.asked(Broadcast)
    assert again.raw == node.payouts.payouts[document.event].signed[0].raw


def test_the_chain_is_asked_about_an_open_payout_now_and_then() -> None:
    """Catches a node that asks with every tick, or asks once."""
    node = waiting()
    node.paid()
    asked = 0
    for _ in range(20):
        node.ctx.now += MAINNET.payout_query_s / 4
        node.tick()
        asked += len(node.asked(LookUp))
    assert 4 <= asked <= 6


def test_a_payout_whose_block_was_disconnected_is_sent_again() -> None:
    """Catches a payout that is final for ever, although the chain has let it go."""
    for answer in ("included", "final"):
        node = waiting()
        document = node.paid()
        node.answer(document.event, answer)
        node.mine(spends=spends(document, document.txids[0]))
        gone = node.blocks[-1]
        node.news(node.block(branch="other", parent=node.blocks[-2]), gone=[gone])
        assert "payout.Reorg" in node.rows()
        assert state(node, document) == "REORGED"
        assert [sent.txid for sent in node.asked(Broadcast)] == [document.txids[0]]
        node.mine()
        assert "payout.Reorg" not in node.rows(), "that news is old"
        node.answer(document.event, "pending")
        assert state(node, document) == "BROADCAST"


def test_a_block_with_other_payouts_disconnects_none_of_these() -> None:
    """Catches every payout sent again with every reorganisation."""
    node = waiting()
    document = node.paid()
    node.answer(document.event, "pending")
    node.mine()
    node.news(gone=node.blocks[-1:])
    assert not node.effects.trace
    assert state(node, document) == "BROADCAST"


def test_a_payout_that_lost_an_input_for_good_is_given_up() -> None:
    """Catches a conflict of the chain that is ignored: no later payout would ever begin."""
    node = waiting("a", "b", confirmations=3)
    document = node.paid()
    node.answer(document.event, "pending")
    lost = document.transaction.inputs[0].outpoint
    node.mine(spends=[(lost, THIEF)])
    for _ in range(2):
        node.answer(document.event, "unknown")
        assert state(node, document) == "SIGNED", "it may come back"
        node.mine()
    node.answer(document.event, "unknown")
    assert node.rows() == ["payout.Conflict"]
    assert node.notes() == ["payout.reverted"]
    assert not node.asked(Broadcast)
    assert state(node, document) == "REVERTED"
    node.tick(0.01, ROUND + 1)
    assert node.sent(m.Offer), "the deposit that remains is a new event"


def test_a_payout_that_spent_its_inputs_itself_has_no_conflict() -> None:
    """Catches a payout given up because of its own transaction."""
    node = waiting()
    document = node.paid()
    node.mine(spends=spends(document, document.txids[0]))
    for _ in range(3):
        node.mine()
    node.answer(document.event, "final")
    assert state(node, document) == "COMPLETED"


def test_a_daemon_that_finds_no_confirmed_transaction_holds_up_nothing() -> None:
    """Catches a payout that stays SIGNED for ever because the daemon has no txindex."""
    node = waiting(confirmations=2)
    document = node.paid()
    node.mine(spends=spends(document, document.txids[0]))
    node.answer(document.event, "unknown")
    assert state(node, document) == "BROADCAST"
    assert not node.asked(Broadcast)
    node.mine()
    node.answer(document.event, "unknown")
    assert state(node, document) == "COMPLETED"


def test_an_answer_about_another_payout_moves_nothing() -> None:
    """Catches an answer that is taken for whatever payout is open."""
    node = waiting()
    document = node.paid()
    node.answer(ident("another"), "final")
    assert state(node, document) == "SIGNED"


def test_the_operator_sees_what_was_signed() -> None:
    """Catches a report that is not about this payout."""
    node = waiting("a", "b")
    document = node.paid()
    (shown,) = node.payouts.report()
    assert (shown["event"], shown["txid"]) == (document.event.hex(), document.txids[0].hex())
    assert (shown["state"], shown["inputs"], len(shown["transfers"])) == ("SIGNED", 2, 2)
