"""Peering: who is dialled, told and remembered, on a clock of our own."""

from __future__ import annotations

from attrs import evolve

from metanode.protocol.peers.address_book import PeerRecord
from metanode.protocol.peers.endpoints import Endpoint
from metanode.protocol.peers.exclusion import ExclusionTable
from metanode.protocol.peers.peering import (
    Dial,
    Peering,
    SendKeepalive,
)
from spec.parameters import MAINNET, Preset
from tests.support import entropy, node

OWN = Endpoint("::", 7000)
FREE = evolve(MAINNET, attempts_per_address=1000, links_per_address=1000, links_per_network=1000)


def peering(*preconfigured: Endpoint, preset: Preset = MAINNET, local: bool = False) -> Peering:
    """Return peering at time 0."""
    return Peering(
        preset=preset,
        listening=Endpoint("127.0.0.1", 7000) if local else OWN,
        preconfigured=preconfigured,
        entropy=entropy(),
        now=0.0,
    )


def public(number: int, port: int = 7000) -> Endpoint:
    """Return a public address of its own /24."""
    return Endpoint(f"{20 + number // 200}.{number % 200}.1.1", port)


def dials(decisions: object) -> list[Endpoint]:
    """Return the dialled endpoints, sorted."""
    return sorted(each.endpoint for each in decisions if isinstance(each, Dial))


def test_preconfigured_peers_are_dialled_and_a_link_ends_the_dialling() -> None:
    """Catches a node that never starts, or dials a peer that it has."""
    core = peering(public(1))
    assert dials(core.tick(0.0)) == [public(1)]
    assert dials(core.tick(3.0)) == []
    core.link_up(node(1), "20.1.1.1", public(1), 3.0)
    for second in range(4, 40):
        assert dials(core.tick(float(second))) == []


def test_preconfigured_peers_rest_once_enough_weight_is_known() -> None:
    """Catches a node that keeps bothering the preconfigured peers (67 %)."""
    core = peering(public(1))
    assert dials(core.tick(0.0, known_weight_share=0.67)) == []
    assert dials(core.tick(7.0, known_weight_share=0.66)) == [public(1)]


def test_the_crawl_slows_down_when_enough_weight_is_known() -> None:
    """Catches a wrong period: 3 s, then 7 s."""
    for share, period in ((0.0, 3.0), (0.7, 7.0)):
        core = peering()
        core.link_up(node(9), "9.9.9.9", None, 0.0)
        core.tick(0.0, share)
        core.keepalive_received(node(9), [str(public(1))], 0.0)
        assert dials(core.tick(period - 0.1, share)) == []
        assert dials(core.tick(period, share)) == [public(1)]


def test_a_new_link_is_greeted_with_our_own_endpoint_first() -> None:
    """Catches a peer that never learns where we listen."""
    core = peering()
    [greeting] = core.link_up(node(1), "20.1.1.1", public(1), 0.0)
    assert greeting == SendKeepalive(node(1), (OWN,), "20.1.1.1")
    [greeting] = core.link_up(node(2), "20.2.1.1", public(2), 0.0)
    assert greeting == SendKeepalive(node(2), (OWN, public(1)), "20.2.1.1")


def test_a_self_announcement_is_dialled_at_the_address_of_its_link() -> None:
    """Catches a four-node network that never becomes a full mesh from one preconfigured peer."""
    core = peering(local=True)
    core.link_up(node(1), "127.0.0.1", None, 0.0)
    assert core.keepalive_received(node(1), ["[::]:7001"], 0.0) == ()
    assert dials(core.dial_now(0.0)) == [Endpoint("127.0.0.1", 7001)]


def test_keepalives_go_to_three_quarters_and_one_quarter_of_the_root() -> None:
    """Catches a wrong fan-out: of 100 peers, 8 hear of others and 3 of us, every 15 s."""
    core = peering(preset=FREE)
    for number in range(100):
        core.link_up(node(number), public(number).host, public(number), 0.0)
    first = [each for each in core.tick(0.0, 1.0) if isinstance(each, SendKeepalive)]
    assert len(first) == 8 + 3
    assert sum(OWN in each.endpoints for each in first) == 3
    assert all(len(each.endpoints) == 8 for each in first)
    assert len({each.node_id for each in first}) == 11
    assert not [each for each in core.tick(14.9, 1.0) if isinstance(each, SendKeepalive)]
    assert [each for each in core.tick(15.0, 1.0) if isinstance(each, SendKeepalive)]


def test_keepalives_come_at_the_crawlers_pace_until_enough_weight_is_known() -> None:
    """Catches a young network that takes a whole keepalive period for every hop of news."""
    core = peering(preset=FREE)
    core.link_up(node(1), public(1).host, public(1), 0.0)
    core.tick(0.0, 0.5)
    assert not [each for each in core.tick(2.9, 0.5) if isinstance(each, SendKeepalive)]
    assert [each for each in core.tick(3.0, 0.5) if isinstance(each, SendKeepalive)]


def test_what_is_no_news_any_more_travels_at_the_pace_of_keepalives() -> None:
    """Catches nodes that know each other and talk of nothing else, before all stakes are proved."""
    core = peering(preset=FREE)
    core.link_up(node(1), public(1).host, public(1), 0.0)
    told = [
        now for now in range(60)
        if any(isinstance(each, SendKeepalive) for each in core.tick(float(now), 0.5))
    ]
    assert told == [0, 3, 6, 9, 12, 15, 30, 45]


def test_a_clock_that_goes_back_makes_no_news() -> None:
    """Catches keepalives at the crawler's pace until a clock is where it was, may be for years."""
    core = peering(preset=FREE)
    core.link_up(node(1), public(1).host, public(1), 1000.0)
    core.tick(1000.0, 0.5)
    told = [
        now for now in range(60)
        if any(isinstance(each, SendKeepalive) for each in core.tick(float(now), 0.5))
    ]
    assert len(told) <= 5


def test_a_newcomer_is_made_known_at_once() -> None:
    """Catches endpoints that were reached just now and are passed on only a period later."""
    core = peering(preset=FREE)
    core.link_up(node(1), public(1).host, public(1), 0.0)
    core.tick(0.0, 1.0)
    core.dial_answered(public(2), node(2), 5.0)
    assert not [each for each in core.tick(5.4, 1.0) if isinstance(each, SendKeepalive)]
    news = [each for each in core.tick(5.5, 1.0) if isinstance(each, SendKeepalive)]
    assert [public(2) in each.endpoints for each in news] == [True]


def test_only_endpoints_that_we_reached_are_passed_on_and_never_to_themselves() -> None:
    """Catches gossip that spreads addresses nobody has tried."""
    core = peering()
    core.link_up(node(1), "20.1.1.1", public(1), 0.0)
    core.keepalive_received(node(1), [str(public(5))], 0.0)
    [greeting] = core.link_up(node(2), "20.2.1.1", None, 0.0)
    assert greeting == SendKeepalive(node(2), (OWN, public(1)), "20.2.1.1")
    [again] = core.link_up(node(1), "20.1.1.1", public(1), 0.0)
    assert again == SendKeepalive(node(1), (OWN,), "20.1.1.1")


def test_a_failed_dial_waits_longer_each_time() -> None:
    """Catches a retry storm."""
    core = peering(public(1))
    gaps, now, last = [], 0.0, 0.0
    while len(gaps) < 6:
        if dials(core.tick(now)):
            gaps.append(now - last)
            last = now
            core.dial_failed(public(1), now)
        now += 0.5
    assert gaps[1] >= 1.5
    assert gaps[5] > 3 * gaps[2]
    for _ in range(40):
        core.dial_failed(public(1), now)
    assert dials(core.tick(now + 149)) == []
    assert dials(core.tick(now + 310)) == [public(1)]


def test_a_lost_stable_link_is_dialled_at_once_and_an_unstable_one_is_not() -> None:
    """Catches a slow recovery, and a tight loop with a peer that accepts and hangs up."""
    core = peering(public(1))
    core.tick(0.0)
    core.link_up(node(1), "20.1.1.1", public(1), 0.0)
    core.link_down(node(1), 100.0)
    assert dials(core.dial_now(100.0)) == [public(1)]
    core.link_up(node(1), "20.1.1.1", public(1), 100.0)
    core.link_down(node(1), 101.0)
    assert dials(core.dial_now(101.0)) == []
    assert dials(core.dial_now(104.1)) == [public(1)]


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    """Catches a node that neither dials nor keeps alive until the old time comes again."""
    core = peering(public(1), public(2))
    core.tick(100_000.0)
    core.dial_failed(public(1), 100_000.0)
    core.link_up(node(2), "20.2.1.1", public(2), 100_000.0)
    decisions = core.tick(50_000.0)
    assert dials(decisions) == [public(1)]
    assert any(isinstance(each, SendKeepalive) for each in decisions)


def test_our_own_endpoint_is_dialled_once() -> None:
    """Catches a node that keeps finding itself."""
    core = peering(public(1))
    core.tick(0.0)
    core.dial_reached_self(public(1))
    core.link_up(node(1), "20.2.1.1", None, 0.0)
    core.keepalive_received(node(1), [str(public(1))], 0.0)
    assert core.known == ()


def test_attempts_at_once_are_bounded_in_all_and_per_address() -> None:
    """Catches a dialler that floods the net or one host."""
    many = evolve(FREE, attempts_at_once=5)
    core = peering(*(public(number) for number in range(20)), preset=many)
    assert len(dials(core.tick(0.0))) == 5
    same = [Endpoint("20.1.1.1", 7000 + number) for number in range(5)]
    core = peering(*same)
    [only] = dials(core.tick(0.0))
    core.dial_failed(only, 0.0)
    [other] = dials(core.dial_now(0.0))
    assert other != only


def test_links_are_limited_by_address_network_and_number() -> None:
    """Catches one network that takes all links (4 per IP, 16 per /24, 2048 each way)."""
    core = peering()
    for number in range(4):
        assert core.admits("20.1.1.1", False, 0.0) is None
        core.link_up(node(number), "20.1.1.1", None, 0.0)
    assert core.admits("20.1.1.1", False, 0.0) == "too many links with one IP"
    for number in range(4, 16):
        core.link_up(node(number), f"20.1.1.{number}", None, 0.0)
    assert core.admits("20.1.1.99", True, 0.0) == "too many links with one subnet"
    assert core.admits("20.1.2.1", True, 0.0) is None
    full = peering(preset=evolve(FREE, links_inbound=2, links_outbound=1))
    full.link_up(node(1), "20.1.1.1", public(1), 0.0)
    assert full.admits("20.9.1.1", True, 0.0) == "too many links"
    assert full.admits("20.9.1.1", False, 0.0) is None


def test_the_loopback_is_free_of_limits_in_a_local_network() -> None:
    """Catches a local network that cannot have more than five nodes."""
    core = peering(local=True)
    for number in range(20):
        assert core.admits("127.0.0.1", False, 0.0) is None
        core.link_up(node(number), "127.0.0.1", None, 0.0)


def test_the_store_brings_back_what_answered_whatever_its_age() -> None:
    """Catches a node that knows nobody after an outage, or a clock that went back and hides all."""
    core = peering()
    now = 10_000_000.0
    records = [
        PeerRecord(public(1), now - 30 * 86_400, node(1)),
        PeerRecord(public(2), now + 86_400, node(2)),
        PeerRecord(public(3), now),
    ]
    core.restore(records, now)
    assert dials(core.tick(now)) == [public(1), public(2)]
    core.tick(now + 7200)
    assert set(core.known) == {public(1), public(2)}


def test_hearsay_is_forgotten_after_an_hour() -> None:
    """Catches gossip that lives for ever (1 h)."""
    core = peering()
    core.link_up(node(9), "9.9.9.9", None, 0.0)
    core.keepalive_received(node(9), [str(public(1))], 0.0)
    core.tick(3599.0)
    assert core.known == (public(1),)
    core.dial_failed(public(1), 3600.0)
    core.tick(3606.0)
    assert core.known == ()


def test_the_snapshot_has_what_we_reached_and_dates_links_now() -> None:
    """Catches a store full of hearsay, or one that forgets a peer during a long link."""
    core = peering(public(9))
    core.link_up(node(1), "20.1.1.1", public(1), 0.0)
    core.link_up(node(2), "20.2.1.1", public(2), 1.0)
    core.link_down(node(2), 5.0)
    core.keepalive_received(node(1), [str(public(5))], 0.0)
    assert core.snapshot(5000.0) == (
        PeerRecord(public(1), 5000.0, node(1)), PeerRecord(public(2), 5.0, node(2))
    )


def test_linked_and_preconfigured_peers_are_never_forgotten() -> None:
    """Catches a node that loses the peers it needs."""
    core = peering(public(9))
    core.link_up(node(1), "20.1.1.1", public(1), 0.0)
    core.tick(1e6)
    assert set(core.known) == {public(1), public(9)}


def test_exclusion_starts_at_two_points_and_grows() -> None:
    """Catches a wrong time: score 2 is one hour, then 1 h x score x 2."""
    table = ExclusionTable(MAINNET)
    table.add("key", 0.0)
    assert not table.excluded("key", 0.0)
    assert table.add("key", 0.0) == 3600.0
    assert table.excluded("key", 3599.9)
    assert not table.excluded("key", 3600.0)
    assert table.add("key", 0.0) == 3 * 2 * 3600.0
    assert not table.excluded("other", 0.0)


def test_an_excluded_address_gets_no_link() -> None:
    """Catches a score that changes nothing."""
    core = peering()
    core.link_up(node(9), "9.9.9.9", None, 0.0)
    core.keepalive_received(node(9), [str(public(1))], 0.0)
    core.standing.table.add("20.1.1.1/32", 0.0)
    core.standing.table.add("20.1.1.1/32", 0.0)
    assert core.admits("20.1.1.1", False, 0.0) == "excluded after misbehaviour"
    assert dials(core.tick(0.0)) == []
    core.keepalive_received(node(9), [str(public(1))], 3601.0)
    assert dials(core.tick(3601.0)) == [public(1)]
