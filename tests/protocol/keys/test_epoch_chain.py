"""The signed epochs: what convinces a node of one, and who is told of them."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from metanode.protocol import inputs
from metanode.protocol.context import lock_in_event, succession_event
from metanode.protocol.keys.epoch import KeyEpoch
from metanode.protocol.keys.epoch_name import epoch_signed
from metanode.protocol.tables.effects import EraseShare, Watch
from spec import messages as m
from tests.protocol.reshare.support import FIRST, KEY, KEY_ID, NEXT, Holder, epoch, ids_of, named
from tests.protocol.support import NETWORK_ID


def shown(holder: Holder, number: int, knows: int) -> list[bytes]:
    """Return the documents of the epochs that a node is shown when it pings."""
    sends = holder.pinged(number, knows).sends
    found = [(s.to, s.message) for s in sends if isinstance(s.message, m.SignatureFound)]
    assert {to for to, _ in found} <= {*ids_of([number])}
    return [message.document for _, message in found]


def test_the_key_signs_the_name_of_an_epoch() -> None:
    """F-37: catches an epoch that somebody else named."""
    draft = epoch(NEXT)
    assert epoch_signed(NETWORK_ID, named(draft)) == draft
    assert epoch_signed(bytes(32), named(draft)) is None


def test_the_lock_in_names_the_first_epoch() -> None:
    """Catches a first epoch that a joiner cannot check."""
    found = named(FIRST)
    assert found.event == lock_in_event(NETWORK_ID)
    assert epoch_signed(NETWORK_ID, found) == FIRST
    other = succession_event(NETWORK_ID, KEY_ID, 0)
    assert epoch_signed(NETWORK_ID, evolve(found, event=other)) is None


@pytest.mark.parametrize(
    "fault", ["document", "event", "digest", "none", "two", "signature", "garbage"]
)
def test_what_names_no_epoch_is_none(fault: str) -> None:
    """Catches an epoch that is believed with a signature of something else."""
    real = named(epoch(NEXT))
    change: dict[str, Any] = {
        "document": {"document": epoch(NEXT + 1).encode()},
        "event": {"event": succession_event(NETWORK_ID, KEY_ID, 7)},
        "digest": {"digest": bytes(32)},
        "none": {"signatures": ()},
        "two": {"signatures": real.signatures * 2},
        "signature": {"signatures": (m.EcdsaSignature(b"\xff" * 64),)},
        "garbage": {"document": b"\xa0"},
    }[fault]
    assert epoch_signed(NETWORK_ID, evolve(real, **change)) is None


def test_a_joiner_believes_the_key_that_its_operator_named() -> None:
    """Catches a joiner that stays outside, and one that does not watch the key's deposits."""
    joiner, draft = Holder.at(4, None, joins=KEY), epoch(NEXT)
    joiner.node.receive(1, named(draft))
    assert joiner.node.ctx.epoch == draft
    assert not joiner.node.ctx.holds_share
    watched = [each for each in joiner.node.requests if isinstance(each, Watch)]
    assert watched == [Watch(KEY)]


@pytest.mark.parametrize("joins", [None, ids_of([1])[0]])
def test_who_was_told_of_another_key_or_of_none_believes_nobody(joins: bytes | None) -> None:
    """Catches a joiner that follows the first key that a peer shows."""
    joiner = Holder.at(4, None, joins=joins)
    joiner.node.receive(1, named(epoch(NEXT)))
    assert joiner.node.ctx.key is None
    assert not joiner.book.found


def test_a_node_that_was_away_follows_epoch_by_epoch() -> None:
    """Catches a node that jumps, or waits for epochs in an order that nobody tells them in."""
    first = epoch(NEXT, (1, 2, 3), threshold=2, byzantine=0)
    second = epoch(NEXT + 5, (2, 3), follows=NEXT)
    holder = Holder.at(0)
    holder.node.receive(1, named(second))
    assert holder.node.ctx.epoch.number == 1
    holder.node.receive(1, named(first))
    assert holder.node.ctx.epoch == second
    assert not holder.node.ctx.holds_share
    assert holder.holding(1) == "erased"
    erased = [each.epoch for each in holder.node.requests if isinstance(each, EraseShare)]
    assert erased == [1]


def test_a_peer_that_is_behind_is_shown_each_epoch_now_and_then() -> None:
    """Catches a peer that is never told, is told all at every ping, or is told what it knows."""
    first = epoch(NEXT, (1, 2, 3), threshold=2, byzantine=0)
    second = epoch(NEXT + 5, (2, 3), follows=NEXT)
    holder = Holder.at(0)
    for each in (first, second):
        holder.node.receive(1, named(each))
    holder.node.take()
    assert shown(holder, 1, 1) == [first.encode(), second.encode()]
    assert not shown(holder, 1, 1), "not at every ping"
    holder.node.ctx.now += holder.node.ctx.preset.stake_query_s
    assert shown(holder, 1, NEXT) == [second.encode()]
    assert not shown(holder, 2, NEXT + 5)


def test_who_knows_no_key_is_shown_the_newest_epoch() -> None:
    """Catches a joiner that nobody shows how the key got where it is."""
    holder = Holder.at(0)
    locked_in = named(FIRST)
    holder.book.know(locked_in.event, "lock_in")
    holder.book.found[locked_in.event] = locked_in
    view, me = holder.node.ctx.tables.view, holder.node.ctx.me
    view.put("status", (me, locked_in.event), "SUCCESS")
    view.put("signature_kept", (me, locked_in.event, locked_in.digest), True)
    assert shown(holder, 4, 0) == [FIRST.encode()]
    draft = epoch(NEXT, (1, 2, 3), threshold=2, byzantine=0)
    holder.node.receive(1, named(draft))
    holder.node.take()
    assert shown(holder, 5, 0) == [draft.encode()]


def restarted(number: int, *epochs: KeyEpoch, holding: str = "erased") -> Holder:
    """Return a node that starts again without any share, with what its store holds."""
    holder = Holder.at(number, None, joins=KEY)
    holder.node.ctx.tables.view.put("holding", (holder.node.ctx.me, 1), holding)
    signatures = [named(each) for each in epochs]
    holder.chain.restore(signatures)
    holder.handover.restore([], holder.chain.successors())
    holder.book.restore([], signatures)
    holder.node.take_in(inputs.Start())
    return holder


def test_a_node_without_a_share_knows_its_epoch_after_a_restart() -> None:
    """Catches a leaver, or a joiner, that forgets the key and what follows."""
    draft = epoch(NEXT, (1, 2, 3), threshold=2, byzantine=0)
    later = epoch(NEXT + 5, (2, 3), follows=NEXT)
    for number, known in ((0, (FIRST, draft, later)), (4, (draft, later)), (4, (later,))):
        holder = restarted(number, *known)
        assert holder.node.ctx.epoch == later
        assert not holder.node.ctx.holds_share
        assert Watch(KEY) in holder.node.requests
