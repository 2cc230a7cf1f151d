"""Answers that nobody asked for, votes that nobody cast, and questions without end."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from metanode.errors import PeerFault
from spec import messages as m
from spec.parameters import MAINNET
from tests.protocol.events.inquirer import Inquirer
from tests.protocol.rounds.support import IDS
from tests.protocol.support import OTHER


def waiting() -> tuple[Inquirer, int, int, m.ConfirmReq]:
    """Return a node that has asked the two others of its set, their places, and the question to the
    first of them.
    """
    node = Inquirer.ready()
    members = node.vote_of().members
    first, second = (IDS.index(member) for member in members if member != node.ctx.me)
    return node, first, second, node.waits()[first]


def state(node: Inquirer) -> Any:
    """Return what an answer might change."""
    number = node.ctx.round_number()
    votes = dict(node.votes.of(node.vote_of().event, number))
    return votes, node.phase, [node.crawler.is_online(peer) for peer in IDS]


LIES = {
    "another's vote that is forged": lambda node, mine: evolve(
        mine, votes=(mine.votes[0], evolve(mine.votes[1], signature=bytes(64)))
    ),
    "another's vote under one's own signature": lambda node, mine: evolve(
        mine, votes=(mine.votes[0], evolve(mine.votes[0], voter=mine.votes[1].voter))
    ),
    "one vote twice": lambda node, mine: evolve(mine, votes=(mine.votes[0], mine.votes[0])),
    "a vote of a stranger": lambda node, mine: node.shown(5),
    "a vote for another digest": lambda node, mine: node.shown(1, digest=OTHER),
    "a vote for another event": lambda node, mine: node.shown(1, event=OTHER),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_an_answer_with_what_nobody_signed_changes_nothing_and_names_its_sender(lie: Any) -> None:
    """Catches a certificate out of votes that were never cast, and a liar that nobody names."""
    node, first, second, asked = waiting()
    before = state(node)
    mine = node.shown(first, second)
    with pytest.raises(PeerFault, match="an answer with votes that") as found:
        node.hear(first, m.ConfirmAck(asked.nonce, (mine, lie(node, mine))))
    assert found.value.culprits() == (IDS[first],)
    assert state(node) == before
    node.hear(first, m.ConfirmAck(asked.nonce, (mine,)))
    node.tick()
    assert node.phase == "Signing", "the truth counts after a lie"


def test_an_answer_to_no_question_or_to_anothers_is_its_senders_fault() -> None:
    """Catches a replay, and a relay: what is told again proves nobody alive."""
    node, first, second, asked = waiting()
    mine = node.shown(first, second)
    before = state(node)
    for place, nonce in ((first, bytes(32)), (second, asked.nonce)):
        with pytest.raises(PeerFault, match="not asked") as found:
            node.hear(place, m.ConfirmAck(nonce, (mine,)))
        assert found.value.culprits() == (IDS[place],)
        assert state(node) == before
    node.hear(first, m.ConfirmAck(asked.nonce, ()))
    node.hear(first, m.ConfirmAck(asked.nonce, (mine,)))
    node.tick()
    assert node.phase == "ThresholdSet", "a repetition counts for nothing, and is no fault"


def test_votes_of_another_attempt_or_set_are_passed_over() -> None:
    """Catches votes that count where their voters did not cast them; who shows them is no liar."""
    for changes in ({"attempt": 1}, {"key_epoch": 2}, {"members": IDS[1:]}):
        node, first, second, asked = waiting()
        votes = state(node)[0]
        node.hear(first, m.ConfirmAck(asked.nonce, (node.shown(first, second, **changes),)))
        node.tick()
        assert state(node)[0] == votes
        assert node.phase == "ThresholdSet"


def test_questions_beyond_the_bound_are_not_answered_until_the_next_round() -> None:
    """Catches a peer that keeps a node busy with questions, and one that is never answered again.

    Another peer is answered all the same.
    """
    node = Inquirer.ready()
    answers = [len(node.asks(1, [], nonce)) for nonce in range(MAINNET.confirm_answers + 20)]
    assert sum(answers) == MAINNET.confirm_answers
    assert len(node.asks(2, [])) == 1
    node.tick(0.0, node.ctx.round_number() + 1)
    assert len(node.asks(1, [])) == 1


def test_one_question_about_everything_gets_an_answer_of_bounded_size() -> None:
    """Catches an answer that no frame holds: the link would fall, or the memory."""
    node = Inquirer.ready()
    pairs = []
    for number in range(m.CONFIRMS_ASKED):
        event = number.to_bytes(32, "big")
        node.votes.take_shown(node.shown(1, 2, 3, event=event))
        pairs.append(m.EventDigest(event, node.vote_of().digest))
    (answer,) = node.asks(1, pairs)
    assert len(answer.votes) == m.CONFIRMS_ANSWERED
    full = m.Certificate(
        1, OTHER, 1, OTHER, (IDS[0],) * m.MEMBERS_LIMIT,
        (m.SignedVote(IDS[0], bytes(64)),) * m.MEMBERS_LIMIT,
    )
    codec, largest = node.ctx.codec, m.ConfirmAck(OTHER, (full,) * m.CONFIRMS_ANSWERED)
    assert codec.decode(codec.encode(largest)) == largest
    assert len(codec.encode(largest)) < MAINNET.frame_octets - 4096
