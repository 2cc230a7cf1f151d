"""Holders are a full mesh, everybody else has a few links: on a clock of our own."""

from __future__ import annotations

from attrs import evolve

from metanode.protocol.peers.endpoints import Endpoint
from metanode.protocol.peers.mesh import NO_ROOM, Circle
from metanode.protocol.peers.peering import Dial, Drop, Peering, SendKeepalive
from spec.parameters import LARGEST_ROSTER, MAINNET
from tests.support import entropy, node

HOLDERS = tuple(node(number) for number in range(30))
OTHERS = tuple(node(number) for number in range(100, 150))
FREE = evolve(MAINNET, attempts_per_address=1000, links_per_address=1000, links_per_network=1000)
DEGREE = MAINNET.degree_beyond


def endpoint(node_id: bytes) -> Endpoint:
    """Return where a node listens."""
    number = (*HOLDERS, *OTHERS).index(node_id)
    return Endpoint(f"20.{number}.1.1", 7000)


def peering(circle: Circle, known: tuple[bytes, ...], linked: tuple[bytes, ...] = ()) -> Peering:
    """Return peering that has reached each of ``known`` once and is linked with some."""
    core = Peering(
        preset=FREE, listening=None, preconfigured=(), entropy=entropy(), now=0.0,
    )
    core.circle = circle
    for node_id in known:
        core.dial_answered(endpoint(node_id), node_id, 0.0)
    for node_id in linked:
        core.link_up(node_id, endpoint(node_id).host, endpoint(node_id), 0.0)
    return core


def dialled(core: Peering) -> set[Endpoint]:
    """Return what is dialled at once."""
    return {each.endpoint for each in core.tick(0.0) if isinstance(each, Dial)}


def test_a_holder_dials_every_holder_and_no_crowd_of_others() -> None:
    """Catches a node that stops at 12 links because many are about."""
    core = peering(Circle(frozenset(HOLDERS), True, True), HOLDERS + OTHERS)
    found = dialled(core)
    assert {endpoint(each) for each in HOLDERS} <= found
    assert len(found) == len(HOLDERS)


def test_an_observer_has_a_few_links() -> None:
    """Catches an observer that links with all, or dials holders without end."""
    core = peering(Circle(frozenset(HOLDERS), False, True), HOLDERS + OTHERS)
    assert len(dialled(core)) == DEGREE


def test_a_holder_looks_for_a_holder_whose_endpoint_nobody_has_named() -> None:
    """Catches a holder that never meets another one behind an endpoint that only hearsay names."""
    circle = Circle(frozenset(HOLDERS), True, True)
    core = peering(circle, HOLDERS[1:20] + OTHERS, linked=HOLDERS[1:20])
    hearsay = Endpoint("30.1.1.1", 7000)
    core.keepalive_received(HOLDERS[1], [str(hearsay)], 0.0)
    assert dialled(core) == {hearsay}
    complete = peering(circle, HOLDERS, linked=HOLDERS[1:])
    complete.keepalive_received(HOLDERS[1], [str(hearsay)], 0.0)
    assert dialled(complete) == {endpoint(HOLDERS[0])}


def test_a_founder_dials_all_until_the_founders_are_known() -> None:
    """Catches a network that stays at 12 links a node and never comes to a key."""
    core = peering(Circle(frozenset(HOLDERS[:5]), True, False), HOLDERS + OTHERS)
    assert len(dialled(core)) == min(FREE.attempts_at_once, len(HOLDERS + OTHERS))
    assert Circle().room(MAINNET, LARGEST_ROSTER) == 0


def test_others_do_not_crowd_a_holder_out() -> None:
    """Catches strangers of one /24, or many of them, that keep a holder out of the mesh."""
    core = Peering(preset=MAINNET, listening=None, preconfigured=(), entropy=entropy(), now=0.0)
    core.circle = Circle(frozenset(HOLDERS), True, True)
    for number, peer in enumerate(OTHERS[: MAINNET.links_per_network]):
        core.link_up(peer, f"20.1.1.{number}", None, 0.0)
    assert core.admits("20.1.1.99", False, 0.0, OTHERS[20]) == "too many links with one subnet"
    assert core.admits("20.1.1.99", False, 0.0, HOLDERS[3]) is None
    few = evolve(FREE, links_inbound=LARGEST_ROSTER + 2)
    circle = Circle(frozenset(HOLDERS), True, True)
    assert circle.refuses(few, OTHERS[5], OTHERS[:1], outbound=False) is None
    assert circle.refuses(few, OTHERS[5], OTHERS[:2], outbound=False) == NO_ROOM
    assert circle.refuses(few, HOLDERS[5], OTHERS[:2], outbound=False) is None


def test_an_observer_takes_no_more_links_than_its_few() -> None:
    """Catches an observer that everybody else may burden."""
    circle = Circle(frozenset(HOLDERS), False, True)
    assert circle.refuses(MAINNET, OTHERS[20], OTHERS[: DEGREE - 1], outbound=False) is None
    assert circle.refuses(MAINNET, OTHERS[20], OTHERS[:DEGREE], outbound=False) == NO_ROOM
    assert circle.refuses(MAINNET, HOLDERS[0], OTHERS[:DEGREE], outbound=True) == NO_ROOM


def test_a_holder_that_is_one_no_more_gives_its_places_free() -> None:
    """Catches an observer that keeps the links of the holder that it was."""
    linked = HOLDERS[:20]
    core = peering(Circle(frozenset(HOLDERS), False, True), linked, linked)
    drops = {each.node_id for each in core.tick(0.0) if isinstance(each, Drop)}
    assert len(drops) == len(linked) - DEGREE
    assert drops <= set(linked)
    still = peering(Circle(frozenset(HOLDERS), True, True), linked, linked)
    assert not [each for each in still.tick(0.0) if isinstance(each, Drop)]


def test_a_holder_is_told_of_holders_first() -> None:
    """Catches holders that look for each other among hundreds of others."""
    core = peering(Circle(frozenset(HOLDERS), False, True), HOLDERS[:9] + OTHERS)
    [greeting] = core.link_up(HOLDERS[9], "20.9.1.1", None, 0.0)
    assert isinstance(greeting, SendKeepalive)
    assert set(greeting.endpoints) < {endpoint(each) for each in HOLDERS[:9]}
