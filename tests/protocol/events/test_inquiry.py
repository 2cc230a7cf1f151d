"""What a node asks of others when it lacks a vote or a signature, and what it answers."""

from __future__ import annotations

from spec import messages as m
from tests.protocol.events.inquirer import Inquirer
from tests.protocol.rounds.support import IDS
from tests.protocol.support import OTHER


def quiet(node: Inquirer) -> Inquirer:
    """Let the crawler ask nobody from now on: all have just answered it."""
    for peer in node.ctx.links:
        node.crawler.answered(peer)
    return node


def test_a_vote_that_is_waited_for_is_asked_of_its_voter_and_of_others() -> None:
    """Catches a node that asks at once, never, for ever, or only the one that may be a liar."""
    node = quiet(Inquirer.ready())
    vote = node.vote_of()
    first, second = (IDS.index(member) for member in vote.members if member != node.ctx.me)
    node.tick()
    assert not node.questions()
    node.hear(first, vote)
    asked = node.waits()
    assert set(asked) == {first, second}, "the voter that is missing, and one that has voted"
    assert {each.asked for each in asked.values()} == {
        (m.EventDigest(vote.event, vote.digest),)
    }
    assert len({each.nonce for each in asked.values()}) == 2
    assert not node.tick().sends, "not before it has waited once more"
    assert set(node.waits()) == {first, second}


def test_the_votes_of_an_answer_make_the_certificate() -> None:
    """Catches an answer that is checked and not used: the round would be lost all the same."""
    node = quiet(Inquirer.ready())
    vote = node.vote_of()
    first, second = (IDS.index(member) for member in vote.members if member != node.ctx.me)
    asked = node.waits()
    answer = m.ConfirmAck(asked[first].nonce, (node.shown(first, second),))
    node.hear(first, answer)
    node.tick()
    assert node.phase == "Signing"
    assert "peer.Certified" in node.rows()
    assert node.crawler.is_online(IDS[first])


def test_the_answer_is_what_was_signed_and_nothing_else() -> None:
    """Catches an answer that claims what nobody signed, leaves a vote out, or goes to all."""
    node = Inquirer.ready()
    vote = node.vote_of()
    first = next(IDS.index(member) for member in vote.members if member != node.ctx.me)
    node.hear(first, vote)
    pair, unknown = m.EventDigest(vote.event, vote.digest), m.EventDigest(vote.event, OTHER)
    (answer,) = node.asks(3, [unknown, pair])
    assert answer.nonce == bytes(32)
    (shown,) = answer.votes
    mine = node.shown(0, first)
    assert (shown.members, set(shown.votes)) == (mine.members, set(mine.votes))
    (empty,) = node.asks(3, [], nonce=1)
    assert empty == m.ConfirmAck(b"\1" * 32, ())


def test_finished_signatures_are_told_to_who_asks_for_them() -> None:
    """Catches a node that keeps what the asker lacks, or tells it of another digest."""
    node = Inquirer.ready()
    document = node.inbox.book(node.ctx.round_number()).document
    assert document is not None
    vote = node.vote_of()
    for place in (IDS.index(member) for member in vote.members if member != node.ctx.me):
        node.hear(place, vote)
    found = node.signatures(document)
    node.hear(1, found)
    assert found not in node.asks(3, [m.EventDigest(document.event, OTHER)])
    assert found in node.asks(3, [m.EventDigest(document.event, document.digest)])


def test_an_event_that_was_tried_is_asked_about_once_a_round_of_one_honest_holder() -> None:
    """Catches a node that never hears of a signature, or that asks all of them, all the time."""
    node = quiet(Inquirer.ready())
    vote = node.vote_of()
    node.tick(0.97)
    quiet(node)
    node.tick(0.01, node.ctx.round_number() + 1)
    asked = node.questions()
    assert len(asked) == 2, "f + 1 of them"
    assert all(m.EventDigest(vote.event, vote.digest) in each.asked for each in asked.values())
    assert not [s for s in node.tick(0.3).sends if isinstance(s.message, m.ConfirmReq)]


def test_the_crawler_asks_each_peer_that_was_linked() -> None:
    """Catches a peer that counts as online though nobody has asked it, or that is asked always."""
    node = Inquirer.ready()
    assert not any(node.crawler.is_online(peer) for peer in node.ctx.links)
    sends = [send for effects in node.taken for send in effects.sends]
    asked = {s.to: s.message for s in sends if isinstance(s.message, m.ConfirmReq)}
    assert set(asked) == set(IDS[1:])
    node.hear(1, m.ConfirmAck(asked[IDS[1]].nonce, ()))
    assert [node.crawler.is_online(IDS[place]) for place in (1, 2, 3)] == [True, False, False]
