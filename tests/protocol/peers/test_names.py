"""Names: all addresses are dialled, and names are asked about again when none of them is well."""

from __future__ import annotations

from itertools import pairwise

from metanode.protocol.peers.endpoints import Endpoint
from metanode.protocol.peers.names import MAX_ADDRESSES, Names, Resolve
from metanode.protocol.peers.peering import Dial, Peering, SendKeepalive
from spec.parameters import MAINNET
from tests.support import entropy, node

NAME = Endpoint("peer.example.org", 7000)
FIRST, SECOND, THIRD = (Endpoint(f"20.{number}.1.1", 7000) for number in (1, 2, 3))


def peering(*peers: Endpoint, advertised: Endpoint | None = None, **more: object) -> Peering:
    """Return peering at time 0 that listens on all addresses."""
    return Peering(
        preset=MAINNET, listening=Endpoint("0.0.0.0", 7000), preconfigured=peers,
        entropy=entropy(), now=0.0, advertised=advertised, **more,  # type: ignore[arg-type]
    )


def dials(core: Peering, now: float, share: float = 0.0) -> list[Endpoint]:
    """Return what is dialled at a moment."""
    return sorted(each.endpoint for each in core.tick(now, share) if isinstance(each, Dial))


def asks(core: Peering, now: float, share: float = 0.0) -> bool:
    """Return whether a name is asked about at a moment."""
    return any(isinstance(each, Resolve) for each in core.tick(now, share))


def test_all_addresses_of_a_name_are_dialled() -> None:
    """Catches a peer that is down at the first of its addresses only, and never found."""
    core = peering(NAME)
    assert asks(core, 0.0)
    core.word.resolved(NAME, (FIRST, SECOND), 0.0)
    assert dials(core, 3.0) == [FIRST, SECOND]
    assert NAME not in core.known


def test_a_name_is_asked_about_again_when_its_addresses_fail_and_not_before() -> None:
    """Catches a node that keeps to the old address of a peer that moved, or asks without end."""
    core = peering(NAME)
    core.tick(0.0)
    core.word.resolved(NAME, (FIRST, SECOND), 0.0)
    core.dial_failed(FIRST, 1.0)
    assert not asks(core, 60.0)
    core.dial_failed(SECOND, 61.0)
    assert asks(core, 62.0)
    assert not asks(core, 63.0)
    core.word.resolved(NAME, (THIRD,), 64.0)
    assert set(core.known) == {THIRD}
    core.link_up(node(3), THIRD.host, THIRD, 65.0)
    assert not any(asks(core, 66.0 + step) for step in range(600))
    core.link_down(node(3), 700.0)
    core.dial_failed(THIRD, 701.0)
    assert asks(core, 702.0)
    core.word.resolved(NAME, (THIRD,), 703.0)
    assert asks(core, 703.0 + MAINNET.backoff_first_s)  # the pauses have begun anew


def test_a_name_that_does_not_resolve_is_asked_about_with_growing_pauses_and_shown() -> None:
    """Catches a node that stops at a name, floods the resolver, or is silent about it."""
    core = peering(NAME)
    asked, now = [], 0.0
    while now < 2000.0:
        if asks(core, now):
            asked.append(now)
            news = core.names.unresolved(NAME, "it does not resolve", now)
            assert news == (len(asked) == 1)
        now += 1.0
    gaps = [later - sooner for sooner, later in pairwise(asked)]
    assert gaps == sorted(gaps)
    assert gaps[0] < 10
    assert gaps[-1] == MAINNET.backoff_longest_s
    assert core.report(now)["names"] == {str(NAME): "it does not resolve"}
    core.word.resolved(NAME, (FIRST,), now)
    assert core.report(now)["names"] == {}


def test_the_old_addresses_count_while_a_name_does_not_resolve() -> None:
    """Catches an outage of the DNS that costs a node its peers."""
    core = peering(NAME)
    core.tick(0.0)
    core.word.resolved(NAME, (FIRST,), 0.0)
    core.dial_failed(FIRST, 1.0)
    core.tick(10.0)
    core.names.unresolved(NAME, "no answer", 10.0)
    assert core.known == (FIRST,)


def test_an_address_of_two_names_stays_with_the_second() -> None:
    """Catches a peer that is lost with one of its names."""
    other = Endpoint("other.example.org", 7000)
    core = peering(NAME, other)
    core.tick(0.0)
    core.word.resolved(NAME, (FIRST,), 0.0)
    core.word.resolved(other, (FIRST,), 0.0)
    core.word.resolved(NAME, (SECOND,), 1.0)
    assert set(core.known) == {FIRST, SECOND}


def test_a_name_has_a_bounded_number_of_addresses() -> None:
    """Catches a DNS answer that fills the table."""
    names = Names(MAINNET)
    names.add(NAME)
    new, _ = names.resolved(NAME, [Endpoint(f"20.1.1.{n}", 1) for n in range(100)], 0.0)
    assert len(new) == MAX_ADDRESSES


def test_an_advertised_name_is_announced_as_addresses_and_followed() -> None:
    """Catches gossip with a name, which all refuse, and an address that changed and is told on."""
    core = peering(advertised=NAME)
    assert core.own.announced() == (Endpoint("0.0.0.0", 7000),)
    assert asks(core, 0.0)
    core.word.resolved(NAME, (FIRST,), 0.0)
    [greeting] = core.link_up(node(1), "20.9.1.1", None, 0.0)
    assert greeting == SendKeepalive(node(1), (FIRST,), "20.9.1.1")
    assert asks(core, 400.0)
    core.word.resolved(NAME, (SECOND,), 400.0)
    assert core.own.announced() == (SECOND,)
    assert core.known == ()


def test_a_private_address_behind_the_operators_name_opens_private_networks_only() -> None:
    """Catches nodes in containers that never meet, and a DNS answer that opens the loopback."""
    core = peering(NAME)
    core.tick(0.0)
    core.word.resolved(NAME, (Endpoint("172.18.0.2", 7000), Endpoint("127.0.0.1", 7000)), 0.0)
    core.link_up(node(1), "172.18.0.2", None, 0.0)
    assert core.keepalive_received(node(1), ["172.18.0.3:7000", "127.0.0.1:22"], 0.0) == (
        "127.0.0.1:22",
    )


def test_seeds_are_asked_when_too_few_are_known_and_rest_when_many_are() -> None:
    """Catches a seed that carries a whole network, or one that nobody ever asks."""
    core = peering(seeds=(FIRST, NAME))
    assert asks(core, 0.0)
    core.word.resolved(NAME, (SECOND,), 0.0)
    assert dials(core, 3.0) == [SECOND]
    for endpoint in (FIRST, SECOND):
        core.dial_failed(endpoint, 4.0)
    assert dials(core, 100.0, share=0.67) == []
    assert not asks(core, 101.0, share=0.67)
    assert set(dials(core, 108.0)) == {FIRST, SECOND}
    for number in range(MAINNET.degree_beyond):
        there = Endpoint(f"30.{number}.1.1", 7000)
        core.link_up(node(number), there.host, there, 110.0)
    for endpoint in (FIRST, SECOND):
        core.dial_failed(endpoint, 110.0)
    assert dials(core, 1000.0) == []
