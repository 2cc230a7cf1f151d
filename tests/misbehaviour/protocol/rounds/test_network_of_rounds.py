"""A dishonest member in the signing rounds of a whole network: blocked on evidence, or sat out."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from attrs import evolve

from metanode.identity import Identity
from metanode.protocol.wire.envelope import open_envelope, seal
from spec import messages as m
from tests.simulation.checkers import CODEC
from tests.simulation.hostile import (
    MIDDLE,
    OLDEST,
    OUTSIDER,
    YOUNGEST,
    certificate,
    changes,
    frames_speak_for_themselves,
    network,
)
from tests.simulation.simulator import NETWORK_ID, Simulation, with_key

OTHER = bytes([7]) * 32


def blocked(sim: Any, peer: int) -> list[int]:
    """Return the nodes that have a peer on their block list."""
    node_id = sim.nodes[peer].node_id
    honest = [node.number for node in sim.nodes if node.number not in sim.dishonest]
    return [number for number in honest if sim.core(number).blocks.is_blocked(node_id)]


@pytest.mark.parametrize("kind", [m.Proposal, m.SigningSet, m.Vote])
def test_who_says_two_things_is_blocked_on_evidence_that_outlives_a_restart(kind: type) -> None:
    """F-05: catches evidence that no node keeps, or a block list in memory only."""
    sim = network(2)
    liar = sim.nodes[OLDEST].node_id
    field = {m.Proposal: "document_hash", m.SigningSet: "members", m.Vote: "digest"}[kind]

    def two(message: Any) -> list[object]:
        other = message.members[:-1] if field == "members" else OTHER
        return [message, evolve(message, **{field: other})]

    sim.tamper[OLDEST] = changes(kind, two)
    sim.settle()
    honest = sorted([OUTSIDER, YOUNGEST, MIDDLE])
    assert blocked(sim, OLDEST) == honest if kind is not m.Vote else blocked(sim, OLDEST)
    assert not sim.refusals
    victim = blocked(sim, OLDEST)[0]
    sim.crash(victim)
    sim.start(victim)
    blocks = sim.core(victim).blocks
    assert blocks.is_blocked(liar)
    assert frames_speak_for_themselves(blocks.entries[liar].frames, liar)


@pytest.mark.parametrize("votes", ["wrong", "none"])
def test_a_member_that_votes_wrong_or_never_does_not_stop_the_payouts(votes: str) -> None:
    """RoundProgress: catches a senior liar that is chosen again in every round for ever."""
    sim = network(8)
    said = {"wrong": lambda v: [evolve(v, digest=OTHER)], "none": lambda v: []}[votes]
    sim.tamper[OLDEST] = changes(m.Vote, said)
    sim.settle(24.0)
    assert blocked(sim, OLDEST) == []


def test_different_proposals_to_different_peers_block_nobody_and_hinder_nobody() -> None:
    """F-05: catches a split round; no one node holds two bodies, so nobody may be blocked."""
    sim = network(3)
    deceived = [sim.nodes[YOUNGEST].node_id]
    sim.tamper[OLDEST] = changes(
        m.Proposal, lambda p: [evolve(p, document_hash=OTHER)], to=deceived
    )
    sim.settle()
    assert blocked(sim, OLDEST) == []


def test_messages_before_there_is_a_key_are_ignored() -> None:
    """Catches a node without a key that fails on the messages of a signing round."""
    sim = Simulation(seed=16, dishonest={OLDEST})
    sim.start_all()
    sim.run(0.1)
    number = sim.core(0).ctx.round_number()
    ids = tuple(sorted(node.node_id for node in sim.nodes))
    ballot = certificate(sim, [3], event=OTHER, digest=OTHER, attempt=number)
    for message in (
        m.Offer(number, 1, OTHER, 0, (), m.LockedCandidate(b"", ballot)),
        m.Proposal(number, 1, OTHER, OTHER, bytes(65)),
        m.SigningSet(number, 1, ids),
        m.Release(OTHER, 0, 1, b"", 0),
        m.Step(OTHER, 63, 15, b"", 2),
        m.SignatureFound(OTHER, OTHER, b"", (), ()),
        m.Begin(ballot),
    ):
        sim.inject(OLDEST, message, OUTSIDER)
    sim.run_until(
        lambda: all(n.core is not None and n.core.ctx.key is not None for n in sim.nodes), 20.0
    )
    assert not sim.refusals


@pytest.mark.parametrize(
    ("sender", "shift", "kept"),
    [("holder", 0, True), ("holder", 1, True), ("holder", 2, False), ("holder", -1, False),
     ("stranger", 0, False), ("itself", 0, False)],
)
def test_a_round_hears_holders_and_in_time(sender: str, shift: int, kept: bool) -> None:
    """F-12: catches a round that strangers take part in, or memory for rounds far away."""
    sim = with_key(17)
    core = sim.core(0)
    number = core.ctx.round_number() + shift
    identity = {
        "holder": sim.nodes[1].identity,
        "itself": sim.nodes[0].identity,
        "stranger": Identity.generate(Random("a stranger").randbytes),
    }[sender]
    book = core.inbox.book(number)
    for message, heard in (
        (m.Offer(number, 1, OTHER, 0, ()), book.offers),
        (m.Proposal(number, 1, OTHER, OTHER, bytes(65)), book.proposals),
        (m.SigningSet(number, 1, ()), book.sets),
    ):
        frame = seal(identity, NETWORK_ID, CODEC, message)
        _, opened, envelope = open_envelope(NETWORK_ID, CODEC, frame)
        core.on_message(core.ctx.now, identity.node_id, opened, envelope)
        assert (identity.node_id in heard) == kept
