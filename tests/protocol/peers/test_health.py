"""What a node says of its own health."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.protocol.context import Context
from metanode.protocol.peers.health import Health
from spec import messages as m
from tests.protocol.peers.support import FOURTH, PEER, THIRD, context, epoch
from tests.protocol.support import PRESET

STRANGER = b"\2" * 33


def node(*, holds: bool = True) -> tuple[Context, Health]:
    """Return a holder that is linked with three others, with its share or without."""
    key = epoch()
    ctx = context(key=key if holds else evolve(key, keyshare=None))
    ctx.links |= {PEER, THIRD, FOURTH}
    return ctx, Health(ctx)


def test_a_node_that_is_well_says_so() -> None:
    """Catches a node that complains without a reason, and a word that no ping may carry."""
    _, health = node()
    assert health.word() == "ok"
    health.disk_free = PRESET.disk_least_octets
    assert health.word() == "ok"
    assert Health(context()).word() == "ok", "before there is a key there is no share to miss"


@pytest.mark.parametrize("word", m.HEALTH[1:])
def test_each_ailment_has_its_word_and_the_gravest_is_said(word: str) -> None:
    """Catches an ailment that nobody hears of, or that hides a graver one."""
    ctx, health = node(holds=word != "no_share")
    graver = m.HEALTH[1 : m.HEALTH.index(word)]
    for ailment in (word, *reversed(graver)):
        if ailment == "chain_away":
            health.chain_away = True
        elif ailment == "disk_full":
            health.disk_free = PRESET.disk_least_octets - 1
        elif ailment == "clock_off":
            for peer in (PEER, THIRD):
                health.compare(peer, ctx.now + PRESET.clock_skew_s + 1)
        assert health.word() == ailment


def test_a_minority_cannot_talk_a_node_into_a_wrong_clock() -> None:
    """Catches one liar, or peers without a link, that make a node say that its clock is off."""
    ctx, health = node()
    off = ctx.now - PRESET.clock_skew_s - 1
    health.compare(PEER, off)
    assert health.word() == "ok", "one peer alone is no majority"
    health.compare(THIRD, ctx.now + PRESET.clock_skew_s)
    health.compare(STRANGER, off)
    assert health.word() == "ok"
    health.compare(FOURTH, off)
    assert health.word() == "clock_off"
    ctx.links.discard(FOURTH)
    assert health.word() == "ok", "who is gone has no say"
    health.compare(FOURTH, off)
    assert health.word() == "ok"


def test_who_holds_no_share_by_right_lacks_none() -> None:
    """Catches a candidate that says it has lost a share."""
    ctx, health = node(holds=False)
    key = ctx.epoch
    ctx.key = evolve(key, members=key.members[1:])
    assert health.word() == "ok"
