"""Exclusion bites strangers, spares holders, and cannot be turned against the honest."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.protocol.peers.endpoints import Endpoint
from metanode.protocol.peers.exclusion import ExclusionTable
from metanode.protocol.peers.mesh import Circle
from metanode.protocol.peers.peering import (
    KEEPALIVES_OF_A_FLOOD,
    Dial,
    Drop,
    Peering,
    SendKeepalive,
)
from metanode.protocol.peers.standing import BLOCKED, EXCLUDED, SHOWN
from spec.parameters import MAINNET, Preset
from tests.support import entropy, node

HOUR = 3600.0
HOLDER, STRANGER, OTHER = node(1), node(2), node(3)
WHERE = {peer: Endpoint(f"20.{peer[-1]}.1.1", 7000) for peer in (HOLDER, STRANGER, OTHER)}


def peering(preset: Preset = MAINNET, *peers: Endpoint, inside: bool = True) -> Peering:
    """Return peering of a network with one other holder, linked with it and with a stranger."""
    core = Peering(
        preset=preset, listening=Endpoint("0.0.0.0", 7000), preconfigured=peers,
        entropy=entropy(), now=0.0,
    )
    core.circle = Circle(frozenset({HOLDER, node(99)}), inside, True)
    for peer in (HOLDER, STRANGER):
        core.link_up(peer, WHERE[peer].host, WHERE[peer], 0.0)
    core.tick(0.0)
    return core


def offend(core: Peering, who: bytes | None, times: int = 2, now: float = 1.0) -> None:
    """Let a peer misbehave, or whoever is at the stranger's address."""
    host = WHERE[STRANGER if who is None else who].host
    for _ in range(times):
        core.standing.offend(now, "a bad frame", who, host)


def dropped(core: Peering, now: float = 2.0) -> dict[bytes, str]:
    """Return whose links are ended at a moment, and why."""
    return {each.node_id: each.reason for each in core.tick(now) if isinstance(each, Drop)}


def dialled(core: Peering, now: float) -> set[Endpoint]:
    """Return what is dialled at a moment."""
    return {each.endpoint for each in core.tick(now) if isinstance(each, Dial)}


def test_an_excluded_stranger_loses_its_link_and_is_neither_dialled_nor_admitted() -> None:
    """Catches a score that nobody asks about."""
    core = peering()
    offend(core, STRANGER, times=1)
    assert dropped(core) == {}
    offend(core, STRANGER, times=1)
    assert dropped(core) == {STRANGER: EXCLUDED}
    core.link_down(STRANGER, 2.0)
    assert core.admits("20.77.1.1", False, 3.0, STRANGER) == EXCLUDED
    assert WHERE[STRANGER] not in dialled(core, 1800.0)
    assert core.admits("20.77.1.1", False, HOUR + 2, STRANGER) is None
    assert WHERE[STRANGER] in dialled(core, HOUR + 2)


def test_a_holder_keeps_its_link_whatever_it_did_and_is_shown() -> None:
    """Catches an exclusion that decides who signs (F-08), and one that nobody sees."""
    core = peering()
    offend(core, HOLDER, times=1000)
    core.standing.blocked = frozenset({HOLDER})
    assert dropped(core) == {}
    core.link_down(HOLDER, 100.0)
    assert WHERE[HOLDER] in dialled(core, 105.0)
    assert core.admits(WHERE[HOLDER].host, False, 105.0, HOLDER) is None
    assert core.standing.refuses(WHERE[HOLDER].host, 105.0, None) is None
    [entry] = core.report(105.0)["exclusions"]
    assert entry["who"] == HOLDER.hex()
    assert entry["link"] == "kept: it holds a share"
    assert (entry["points"], entry["why"]) == (1000, "a bad frame")


def test_an_observer_keeps_its_links_with_holders_too() -> None:
    """Catches a node outside the circle that excludes the holders it follows."""
    core = peering(inside=False)
    offend(core, HOLDER)
    assert dropped(core) == {}
    assert core.admits("20.77.1.1", True, 2.0, HOLDER) is None


def test_a_holder_that_is_one_no_more_is_a_stranger() -> None:
    """Catches a past holder that stays exempt for ever."""
    core = peering()
    offend(core, HOLDER)
    core.circle = Circle(frozenset({node(99)}), True, True)
    assert dropped(core) == {HOLDER: EXCLUDED}


def test_a_blocked_stranger_loses_its_link_for_the_time_of_the_block() -> None:
    """Catches a peer that is convicted on evidence and stays linked."""
    core = peering()
    core.standing.blocked = frozenset({STRANGER})
    assert dropped(core) == {STRANGER: BLOCKED}
    assert core.admits(WHERE[STRANGER].host, False, 2.0, STRANGER) == BLOCKED
    core.standing.blocked = frozenset()
    assert core.admits(WHERE[STRANGER].host, False, 3.0, STRANGER) is None


def test_an_address_without_a_name_is_refused_before_any_work() -> None:
    """Catches a port scanner that costs a TLS handshake each time."""
    core = peering()
    core.link_down(STRANGER, 1.0)
    offend(core, None)
    assert core.standing.refuses(WHERE[STRANGER].host, 2.0, None) == EXCLUDED
    assert core.standing.refuses(WHERE[OTHER].host, 2.0, None) is None


def test_new_identities_from_one_address_exclude_the_address() -> None:
    """Catches a stranger that comes with a new identity after each exclusion."""
    core = peering()
    for number in range(2):
        for _ in range(2):
            core.standing.offend(1.0, "a bad frame", node(50 + number), "20.66.1.1")
    assert core.standing.refuses("20.66.1.1", 2.0, None) == EXCLUDED


def test_a_liar_cannot_exclude_the_address_of_a_holder_or_of_a_configured_peer() -> None:
    """Catches a liar behind the same router that keeps honest nodes out."""
    mine = Endpoint("20.44.1.1", 7000)
    core = peering(MAINNET, mine)
    for host in (WHERE[HOLDER].host, mine.host):
        for _ in range(10):
            core.standing.offend(1.0, "garbage", None, host)
            core.standing.offend(1.0, "garbage", node(60), host)
        assert core.standing.refuses(host, 2.0, None) is None
        assert core.admits(host, False, 2.0) is None
    assert core.standing.refuses(mine.host, 2.0, node(60)) == EXCLUDED


def test_a_liar_cannot_exclude_a_holder_that_only_comes_in() -> None:
    """Catches a holder behind a router, whose endpoint nobody knows, kept out by its neighbour."""
    core = peering()
    hidden = node(99)
    core.link_up(hidden, "20.55.1.1", None, 1.0)
    core.tick(4.0)
    core.link_down(hidden, 5.0)
    core.tick(9.0)
    for _ in range(10):
        core.standing.offend(10.0, "garbage", None, "20.55.1.1")
    assert core.standing.refuses("20.55.1.1", 11.0, None) is None
    assert core.admits("20.55.1.1", False, 11.0, hidden) is None


def test_the_loopback_of_a_local_network_is_nobodys_address() -> None:
    """Catches one bad client that cuts a whole local network apart."""
    core = Peering(
        preset=MAINNET, listening=Endpoint("127.0.0.1", 7000), preconfigured=(),
        entropy=entropy(), now=0.0,
    )
    for _ in range(10):
        core.standing.offend(0.0, "garbage", None, "127.0.0.1")
    assert core.standing.refuses("127.0.0.1", 1.0, None) is None
    assert core.report(1.0)["exclusions"] == []


def test_rubbish_and_floods_of_endpoints_are_scored_and_private_addresses_are_not() -> None:
    """Catches gossip that costs its teller nothing, or that excludes a peer of another network."""
    core = peering()
    for _ in range(5):
        core.keepalive_received(STRANGER, ["10.0.0.1:7000", "127.0.0.1:22"], 1.0)
    assert core.report(1.0)["exclusions"] == []
    core.keepalive_received(STRANGER, ["rubbish", "more", ""], 1.0)
    [entry] = core.report(1.0)["exclusions"]
    assert (entry["points"], entry["link"]) == (1, "allowed")
    for _ in range(KEEPALIVES_OF_A_FLOOD + 100):
        core.keepalive_received(STRANGER, [], 1.0)
    whys = {entry["who"]: entry["why"] for entry in core.report(1.0)["exclusions"]}
    assert whys[STRANGER.hex()] == "a flood of keepalives"
    assert dropped(core) == {STRANGER: EXCLUDED}


def test_no_exclusion_is_longer_than_a_block_and_a_single_slip_is_forgiven() -> None:
    """Catches a holder's score that keeps it out for centuries, and slips that add up for years."""
    table = ExclusionTable(MAINNET)
    for _ in range(10_000):
        until = table.add("liar", 0.0)
    assert until == MAINNET.block_duration_s
    for week in range(50):
        table.add("honest", week * 7 * 24 * HOUR)
        assert not table.excluded("honest", week * 7 * 24 * HOUR)


def test_a_pardon_forgets_the_score_and_nothing_else() -> None:
    """Catches a pardon that leaves a peer one slip away from the same exclusion."""
    core = peering()
    offend(core, STRANGER)
    offend(core, OTHER)
    assert core.standing.pardon(STRANGER.hex())
    assert not core.standing.pardon(STRANGER.hex())
    offend(core, STRANGER, times=1)
    assert core.admits(WHERE[STRANGER].host, False, 2.0, STRANGER) is None
    assert core.admits(WHERE[OTHER].host, False, 2.0, OTHER) == EXCLUDED


def test_a_flood_of_offenders_is_bounded_in_memory_and_in_what_is_shown() -> None:
    """Catches a table, or a status page, that strangers fill."""
    core = peering(evolve(MAINNET, exclusion_entries=300))
    for number in range(1000):
        core.standing.offend(1.0, "x", number.to_bytes(33, "big"), f"30.{number % 200}.1.1")
    assert len(core.standing.table) == 300
    assert len(core.report(1.0)["exclusions"]) == SHOWN


MADE_UP = tuple(str(Endpoint(f"60.{number}.1.1", 7000)) for number in range(64))


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "by gossip"])
def test_made_up_endpoints_of_one_stranger_hold_nobody_up(stored: bool) -> None:
    """Catches a restarting node that dials 64 made-up endpoints while its own network waits.

    Every dial into the void takes its whole 60 seconds; honest nodes answer at once.
    """
    honest = {Endpoint(f"20.{n}.1.1", 7000): node(n) for n in range(1, 20)}
    first = next(iter(honest))
    old = Peering(preset=MAINNET, listening=None, preconfigured=(), entropy=entropy(), now=0.0)
    for endpoint, node_id in honest.items():
        old.link_up(node_id, endpoint.host, endpoint, 0.0)
    start = 30 * 86_400.0
    core = Peering(
        preset=MAINNET, listening=None, preconfigured=(first,), entropy=entropy(), now=start
    )
    core.circle = Circle(frozenset(honest.values()), True, True)
    if stored:
        core.restore(old.snapshot(1.0), start)
    core.link_up(node(200), "50.1.1.1", None, start)
    for turn in range(8):
        core.keepalive_received(node(200), MADE_UP[8 * turn : 8 * turn + 8], start)
    assert len([e for e in core.known if e.host.startswith("60.")]) == MAINNET.hearsay_per_source
    now, failing = start, dict[Endpoint, float]()
    while len(set(core.linked()) & set(honest.values())) < len(honest) and now < start + 60:
        for endpoint in [e for e, at in failing.items() if at <= now]:
            del failing[endpoint]
            core.dial_failed(endpoint, now)
        for decision in (*core.tick(now), *core.dial_now(now)):
            if isinstance(decision, Dial) and decision.endpoint in honest:
                node_id = honest[decision.endpoint]
                core.link_up(node_id, decision.endpoint.host, decision.endpoint, now)
                told = [str(e) for e in honest if honest[e] != node_id]
                core.keepalive_received(node_id, told[turn % 3 * 6 :][:8], now)
                turn += 1
            elif isinstance(decision, Dial):
                failing[decision.endpoint] = now + MAINNET.connect_timeout_s
        now += 0.25
    assert now - start < (1.0 if stored else 30.0)


def test_hearsay_never_takes_more_than_half_of_the_attempts() -> None:
    """Catches many strangers whose made-up endpoints keep every place busy for a minute."""
    core = peering(evolve(MAINNET, hearsay_per_source=8))
    for number in range(20):
        core.link_up(node(100 + number), f"50.{number}.1.1", None, 0.0)
        told = [f"{60 + number}.{each}.1.1:1" for each in range(8)]
        core.keepalive_received(node(100 + number), told, 0.0)
    core.circle = Circle(frozenset({HOLDER}), True, False)
    made_up = dialled(core, 4.0)
    assert len(made_up) == MAINNET.attempts_at_once // 2
    tellers = {endpoint.host.split(".")[0] for endpoint in made_up}
    assert len(tellers) == 20
    core.link_down(STRANGER, 60.0)
    assert WHERE[STRANGER] in dialled(core, 60.0)


def test_a_tellers_own_dead_endpoints_make_room_for_its_news() -> None:
    """Catches an honest peer whose news are not taken because what it once told has died."""
    core = peering(evolve(MAINNET, hearsay_per_source=2))
    core.keepalive_received(OTHER, ["60.1.1.1:1"], 0.0)
    core.link_up(OTHER, WHERE[OTHER].host, None, 0.0)
    core.keepalive_received(OTHER, ["60.1.1.1:1", "60.2.1.1:1", "60.3.1.1:1"], 0.0)
    assert Endpoint("60.3.1.1", 1) not in core.known
    core.dial_failed(Endpoint("60.2.1.1", 1), 1.0)
    core.keepalive_received(OTHER, ["60.3.1.1:1"], 2.0)
    assert Endpoint("60.3.1.1", 1) in core.known
    assert Endpoint("60.2.1.1", 1) not in core.known


def test_a_peer_of_a_private_network_says_where_it_listens_and_opens_nothing_else() -> None:
    """Catches members of a private network that the first of them never passes on."""
    core = peering()
    core.link_up(OTHER, "10.0.0.2", None, 0.0)
    refused = core.keepalive_received(OTHER, ["0.0.0.0:7000", "10.0.0.3:22", "127.0.0.1:22"], 0.0)
    assert refused == ("10.0.0.3:22", "127.0.0.1:22")
    assert Endpoint("10.0.0.2", 7000) in core.known
    core.link_up(node(9), "127.0.0.1", None, 0.0)
    assert core.keepalive_received(node(9), ["0.0.0.0:22"], 0.0) == ("0.0.0.0:22",)


def test_the_templates_private_example_is_dialled_and_told_on() -> None:
    """Catches a mainnet network in 10.0.0.0/8 whose members refuse each other's endpoints."""
    core = peering(MAINNET, Endpoint("10.0.0.1", 7000))
    core.link_up(OTHER, "10.0.0.1", Endpoint("10.0.0.1", 7000), 0.0)
    assert core.keepalive_received(OTHER, ["10.0.0.5:7000"], 0.0) == ()
    assert Endpoint("10.0.0.5", 7000) in dialled(core, 4.0)
    told = [e for d in core.tick(60.0) if isinstance(d, SendKeepalive) for e in d.endpoints]
    assert Endpoint("10.0.0.1", 7000) in told
