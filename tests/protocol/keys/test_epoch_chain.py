"""The signed epochs: what convinces a node of one, and who is told of them."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.protocol.context import lock_in_event, succession_event
from metanode.protocol.keys.epoch_chain import epoch_signed
from spec import messages as m
from tests.simulation.epochs import draft_of, first_epoch, signed_by_the_key, succession
from tests.simulation.simulator import NETWORK_ID, Simulation, with_key

FAR = 10**6
"""Numbers of epochs that no attempt has yet: every attempt's is its round."""


def ping(sim: Simulation, epoch: int) -> m.Ping:
    """Return what a node that knows this epoch says of itself."""
    return m.Ping(1, int(sim.now * 1000), "Idle", m.OutpointRef(bytes(32), 0), None, None, epoch)


def shown_to(sim: Simulation, number: int, kind: type) -> list[object]:
    """Return what a node is about to send of one kind, and forget it."""
    sends = sim.core(number).take().sends
    return [send.message for send in sends if isinstance(send.message, kind)]


def test_the_key_signs_the_name_of_an_epoch() -> None:
    """F-37: catches an epoch that somebody else named."""
    sim = with_key(61)
    draft = draft_of(sim, FAR)
    assert epoch_signed(NETWORK_ID, succession(sim, draft)) == draft
    assert epoch_signed(bytes(32), succession(sim, draft)) is None


def test_the_lock_in_names_the_first_epoch() -> None:
    """Catches a first epoch that a joiner cannot check."""
    sim = with_key(62)
    key = first_epoch(sim)
    rs = signed_by_the_key(sim, key.digest(NETWORK_ID))
    found = m.SignatureFound(
        lock_in_event(NETWORK_ID), key.encode(), (), (m.EcdsaSignature(rs),)
    )
    assert epoch_signed(NETWORK_ID, found) == key
    other = succession_event(NETWORK_ID, key.key_id, 0)
    assert epoch_signed(NETWORK_ID, evolve(found, event=other)) is None


@pytest.mark.parametrize("fault", ["document", "event", "none", "two", "signature", "garbage"])
def test_what_names_no_epoch_is_none(fault: str) -> None:
    """Catches an epoch that is believed with a signature of something else."""
    sim = with_key(63)
    real = succession(sim, draft_of(sim, FAR))
    change = {
        "document": {"document": draft_of(sim, FAR + 1).encode()},
        "event": {"event": succession_event(NETWORK_ID, first_epoch(sim).key_id, 7)},
        "none": {"signatures": ()},
        "two": {"signatures": real.signatures * 2},
        "signature": {"signatures": (m.EcdsaSignature(b"\xff" * 64),)},
        "garbage": {"document": b"\xa0"},
    }[fault]
    assert epoch_signed(NETWORK_ID, evolve(real, **change)) is None


def test_a_joiner_believes_the_key_that_its_operator_named() -> None:
    """Catches a joiner that stays outside, and one that does not watch the key's deposits."""
    sim = with_key(64, joiners=1)
    sim.join(4)
    core, draft = sim.core(4), draft_of(sim, FAR)
    assert core.ctx.key is None
    core.chain.on_signature(succession(sim, draft))
    assert core.ctx.epoch == draft
    assert not core.ctx.holds_share
    calls = [call for call in core.take().calls if call.name == "watch"]
    assert [call.arguments["public_key"] for call in calls] == [draft.public_key]


def test_a_node_that_was_away_follows_epoch_by_epoch() -> None:
    """Catches a node that jumps, or waits for epochs in an order that nobody tells them in."""
    sim = with_key(65)
    first = draft_of(sim, FAR, (1, 2, 3), threshold=2, byzantine=0)
    second = draft_of(sim, FAR + 5, (2, 3), after=first)
    core = sim.core(0)
    core.chain.on_signature(succession(sim, second))
    assert core.ctx.epoch.number == 1
    core.chain.on_signature(succession(sim, first))
    assert core.ctx.epoch == second
    assert not core.ctx.holds_share
    view = core.ctx.tables.view
    assert view.get("holding", core.ctx.me, 1) == "erased"
    assert [c.arguments["epoch"] for c in core.take().calls if c.name == "erase_share"] == [1]


def test_a_peer_that_is_behind_is_shown_each_epoch_now_and_then() -> None:
    """Catches a peer that is never told, is told all at every ping, or is told what it knows."""
    sim = with_key(66)
    first = draft_of(sim, FAR, (1, 2, 3), threshold=2, byzantine=0)
    second = draft_of(sim, FAR + 5, (2, 3), after=first)
    core, peer = sim.core(0), sim.nodes[1].node_id
    for epoch in (first, second):
        core.chain.on_signature(succession(sim, epoch))
        core.take()
    core.chain.on_ping(peer, ping(sim, 1))
    told = shown_to(sim, 0, m.SignatureFound)
    assert [found.document for found in told] == [first.encode(), second.encode()]
    core.chain.on_ping(peer, ping(sim, 1))
    assert not shown_to(sim, 0, m.SignatureFound), "not at every ping"
    core.ctx.now += core.ctx.preset.stake_query_s
    core.chain.on_ping(peer, ping(sim, FAR))
    told = shown_to(sim, 0, m.SignatureFound)
    assert [found.document for found in told] == [second.encode()]
    core.chain.on_ping(sim.nodes[2].node_id, ping(sim, FAR + 5))
    assert not core.take().sends


def test_who_knows_no_key_is_shown_how_it_was_made() -> None:
    """Catches a joiner that nobody shows the first epoch."""
    sim = with_key(67, joiners=1)
    core, joiner = sim.core(0), sim.nodes[4].node_id
    core.take()
    core.chain.on_ping(joiner, ping(sim, 0))
    sends = core.take().sends
    assert {send.to for send in sends} == {joiner}
    found = [send.message for send in sends if isinstance(send.message, m.SignatureFound)]
    assert [epoch_signed(NETWORK_ID, each) for each in found] == [first_epoch(sim)]


def test_a_node_without_a_share_knows_its_epoch_after_a_restart() -> None:
    """Catches a leaver, or a joiner, that forgets the key and what follows."""
    sim = with_key(68, joiners=1)
    sim.join(4)
    sim.run(1.5)
    draft = draft_of(sim, FAR, (1, 2, 3), threshold=2, byzantine=0)
    for number in (0, 4):
        sim.inject(1, succession(sim, draft), number)
    sim.run(0.1)
    for number in (0, 4):
        assert sim.core(number).ctx.epoch == draft
        sim.crash(number)
        sim.start(number)
        assert sim.core(number).ctx.epoch == draft
        assert not sim.core(number).ctx.holds_share
