"""The own address: what peers of several networks see, what is announced, and whether it works."""

from __future__ import annotations

from metanode.protocol.peers.endpoints import Endpoint
from metanode.protocol.peers.own_address import OwnAddress
from metanode.protocol.peers.peering import Dial, Peering
from spec.parameters import MAINNET
from tests.support import entropy, node

EVERYWHERE, SELF = Endpoint("0.0.0.0", 7000), Endpoint("20.7.7.7", 7000)
PEER = Endpoint("20.1.1.1", 7000)


def own(listening: Endpoint = EVERYWHERE, advertised: tuple[Endpoint, ...] = ()) -> OwnAddress:
    """Return the own address of a node that starts now."""
    return OwnAddress(MAINNET, listening, 0.0, advertised)


def test_what_peers_of_three_networks_see_is_learnt_and_announced() -> None:
    """Catches a node behind a router that cannot be found by the peers of its peers."""
    core = own()
    core.seen(node(1), "20.1.1.1", "20.7.7.7")
    core.seen(node(2), "20.2.1.1", "::ffff:20.7.7.7")
    assert (core.learnt, core.announced()) == (None, (EVERYWHERE,))
    core.seen(node(3), "20.3.1.1", "20.7.7.7")
    assert (core.learnt, core.announced()) == ("20.7.7.7", (EVERYWHERE, SELF))
    core.unlinked(node(3))
    assert core.learnt is None


def test_liars_of_one_network_and_minorities_teach_nothing() -> None:
    """Catches a stranger with many links who makes a node announce somebody else's address."""
    core = own()
    for number in range(10):
        core.seen(node(number), f"20.1.1.{number}", "9.9.9.9")
    assert core.learnt is None
    core = own()
    for number in range(6):
        core.seen(node(number), f"20.{number}.1.1", "9.9.9.9" if number % 2 else "20.7.7.7")
    assert core.learnt is None


def test_only_addresses_that_could_be_ours_count() -> None:
    """Catches rubbish, names and addresses of another kind of network in an announcement."""
    core = own()
    for text in ("", "x", "example.org", "127.0.0.1", "10.0.0.1", "0.0.0.0", "9" * 300):
        for number in range(5):
            core.seen(node(number), f"20.{number}.1.1", text)
        assert core.learnt is None


def test_an_advertised_address_is_announced_alone() -> None:
    """Catches an operator's word that peers overrule."""
    core = own(advertised=(PEER,))
    for number in range(5):
        core.seen(node(number), f"20.{number}.1.1", "20.7.7.7")
    assert core.announced() == (PEER,)


def test_a_port_that_was_left_to_the_system_is_announced_once_it_is_known() -> None:
    """Catches a keepalive with port 0, which every peer refuses."""
    core = own(Endpoint("0.0.0.0", 0), (Endpoint("20.7.7.7", 0),))
    assert core.announced() == ()
    core.listening = Endpoint("0.0.0.0", 7123)
    assert core.announced() == (Endpoint("20.7.7.7", 7123),)


def peering(advertised: Endpoint = SELF) -> Peering:
    """Return peering with one link that it made itself."""
    core = Peering(
        preset=MAINNET, listening=EVERYWHERE, preconfigured=(), entropy=entropy(), now=0.0,
        advertised=advertised,
    )
    core.link_up(node(1), PEER.host, PEER, 0.0)
    return core


def probes(core: Peering, now: float) -> list[Endpoint]:
    """Return the own endpoints that are dialled at a moment."""
    dials = [each.endpoint for each in core.tick(now) if isinstance(each, Dial)]
    return [each for each in dials if each == SELF]


def test_an_advertised_address_that_nobody_reaches_is_noticed_and_said() -> None:
    """Catches an operator who learns from a missing reward that the port was closed."""
    core = peering()
    assert probes(core, 599.0) == []
    assert core.report(599.0)["address"]["fault"] is None
    assert probes(core, 606.0) == [SELF]
    core.dial_failed(SELF, 666.0)
    assert "no peer has come in by 20.7.7.7:7000" in core.report(666.0)["address"]["fault"]
    assert probes(core, 700.0) == []
    core.link_up(node(2), "20.2.1.1", None, 800.0)
    assert core.report(800.0)["address"]["fault"] is None


def test_an_address_that_leads_to_another_node_is_said() -> None:
    """Catches a forwarded port that ends at the wrong machine."""
    core = peering()
    assert probes(core, 606.0) == [SELF]
    core.dial_answered(SELF, node(5), 607.0)
    assert "leads to another node" in core.report(607.0)["address"]["fault"]


def test_who_has_come_in_or_reaches_itself_proves_the_address() -> None:
    """Catches an alarm about an address that works."""
    core = peering()
    core.link_up(node(2), "20.2.1.1", None, 5.0)
    assert probes(core, 606.0) == []
    core = peering()
    assert probes(core, 606.0) == [SELF]
    core.dial_reached_self(SELF)
    assert core.report(700.0)["address"]["fault"] is None
    assert SELF not in core.known
