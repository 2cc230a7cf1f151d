"""Who is online by weight: asked, answered, silent; and how much of the stake is known."""

from __future__ import annotations

import pytest

from metanode.custody.types import Outpoint
from metanode.protocol.keys.epoch import Member
from metanode.protocol.peers.block_list import BlockList
from metanode.protocol.peers.crawler import Crawler
from metanode.protocol.peers.peer_list import Heard, PeerList
from tests.protocol.peers.support import FOURTH, ME, PEER, THIRD, context, epoch, stakes_of
from tests.protocol.support import PRESET

STAKE = Outpoint(b"s" * 32, 1)


def crawler(*weights: int, key: bool = True) -> Crawler:
    """Return the crawler of a node that is linked with three others, whose stakes it may know."""
    ctx = context(key=epoch() if key else None)
    ctx.links |= {PEER, THIRD, FOURTH}
    peers = PeerList(ctx, BlockList(ctx), stakes_of(ctx))
    for peer, amount in zip((ME, PEER, THIRD, FOURTH), weights, strict=False):
        member = Member(peer, STAKE, 100) if amount else None
        peers.heard[peer] = Heard(1, ctx.now, STAKE, "Idle", member=member, amount=amount)
    return Crawler(ctx, peers)


def crawl(core: Crawler, after: float = 0.0) -> list[bytes]:
    """Let time pass, and ask whoever is due."""
    core.ctx.now += after
    due = core.due()
    for peer in due:
        core.asked(peer)
    return due


def test_each_linked_peer_is_asked_once_and_again_when_its_answer_is_old() -> None:
    """Catches a crawler that floods its peers, and one that believes an old answer for ever."""
    core = crawler(1, 1, 1, 1)
    assert set(crawl(core)) == {PEER, THIRD, FOURTH}
    assert crawl(core, PRESET.crawl_fast_s) == []
    for peer in (PEER, THIRD, FOURTH):
        core.answered(peer)
    assert crawl(core, PRESET.crawl_slow_s) == []
    assert set(crawl(core, PRESET.crawl_patience_s)) == {PEER, THIRD, FOURTH}
    assert core.is_online(PEER), "its last answer counts until the next is overdue"


def test_a_peer_that_does_not_answer_is_not_online_and_is_asked_again() -> None:
    """Catches a dead peer that counts, and a question that stands for ever."""
    core = crawler(1, 1, 1, 1)
    crawl(core)
    core.answered(PEER)
    crawl(core, PRESET.crawl_patience_s)
    assert core.is_online(PEER)
    crawl(core, PRESET.crawl_patience_s)
    assert not core.is_online(PEER)
    core.ctx.links.discard(THIRD)
    core.answered(THIRD)
    assert not core.is_online(THIRD), "it has no link"
    assert core.is_online(ME)


@pytest.mark.parametrize(("answering", "period"), [([], "fast"), ([PEER, THIRD], "slow")])
def test_the_crawler_is_fast_until_enough_weight_is_known(
    answering: list[bytes], period: str
) -> None:
    """N: catches a crawler of one pace: 3 s until enough of the stake is known, then 7 s."""
    core = crawler(1, 1, 1, 1)
    for peer in answering:
        core.answered(peer)
    crawl(core)
    pace = {"fast": PRESET.crawl_fast_s, "slow": PRESET.crawl_slow_s}[period]
    core.ctx.links.add(b"\2" * 33)
    assert crawl(core, pace - 0.1) == []
    assert b"\2" * 33 in crawl(core, 0.1)


@pytest.mark.parametrize(
    ("weights", "online", "share"),
    [
        ((1, 1, 1, 1), [], 0.25),
        ((1, 1, 1, 1), [PEER, THIRD], 0.75),
        ((1, 7, 1, 1), [PEER], 0.8),
        ((2, 2, 0, 0), [PEER, THIRD], 0.5),
        ((1, 3), [PEER], 0.4),
        ((), [PEER], 0.0),
    ],
)
def test_the_known_share_is_that_of_the_members_stake(
    weights: tuple[int, ...], online: list[bytes], share: float
) -> None:
    """F-31: catches heads that are counted for stakes, and members without a known stake that are
    left out: a node that knows nobody else would believe that it knows all.
    """
    core = crawler(*weights)
    for peer in online:
        core.answered(peer)
    assert core.known_share() == pytest.approx(share)
    assert core.report()["online_percent"] == round(100 * share, 1)


def test_before_there_is_a_key_the_founders_are_the_members() -> None:
    """Catches a founder that believes to know all when it knows itself."""
    core = crawler(5, key=False)
    assert core.known_share() == 0.25
    assert not core.report()["known"]
    core = crawler(5, 5, 5, key=False)
    core.answered(PEER)
    core.answered(THIRD)
    assert core.report() == {"online_percent": 75.0, "minimum_percent": 67.0, "known": True}


def test_a_principal_has_a_thousandth_of_the_known_stake() -> None:
    """N: catches dust that counts as a principal, and a stake that is no longer good."""
    core = crawler(5000, 4989, 10, 1)
    assert [core.is_principal(peer) for peer in (ME, PEER, THIRD, FOURTH)] == [
        True, True, True, False
    ]
    core.peers.heard[THIRD].refused = "spent"
    assert core.describe(THIRD) == {"weight": 0, "online": False, "principal": False}
