"""The address book: what is kept, what is told on, and what goes when a peer moves."""

from __future__ import annotations

import pytest

from metanode.protocol.peers import address_book
from metanode.protocol.peers.address_book import DOUBTFUL_FAILURES, AddressBook, PeerRecord
from metanode.protocol.peers.endpoints import Endpoint
from spec.parameters import MAINNET
from tests.support import node

DAY = 86_400.0
OLD, NEW, SIXTH = Endpoint("20.1.1.1", 7000), Endpoint("20.9.1.1", 7000), Endpoint("2600::1", 7000)


def book() -> AddressBook:
    """Return an empty book without randomness."""
    return AddressBook(MAINNET, lambda: 0.0)


def test_a_peer_that_moved_loses_its_old_endpoint() -> None:
    """Catches an endpoint that nobody listens at any more, and that is told on for ever."""
    core = book()
    core.answered(OLD, node(1), 10.0, linked_since=10.0)
    core.answered(SIXTH, node(1), 11.0, linked_since=10.0)
    core.answered(NEW, node(1), 500.0, linked_since=400.0)
    assert core.endpoints_of(node(1)) == [NEW, SIXTH]


def test_two_endpoints_of_one_link_both_stay() -> None:
    """Catches a peer with two addresses whose endpoints push each other out, dial after dial."""
    core = book()
    core.answered(OLD, node(1), 410.0, linked_since=400.0)
    core.answered(NEW, node(1), 500.0, linked_since=400.0)
    assert core.endpoints_of(node(1)) == [NEW, OLD]


def test_the_operators_word_stays_when_a_peer_moves() -> None:
    """Catches a configured peer that is lost because it once answered elsewhere."""
    core = book()
    core.pin(OLD, 0.0)
    core.answered(OLD, node(1), 10.0, linked_since=10.0)
    core.answered(NEW, node(1), 500.0, linked_since=400.0)
    core.failed(OLD, 600.0, {node(1)})
    assert OLD in core


def test_an_endpoint_that_fails_goes_only_when_its_node_is_known_elsewhere() -> None:
    """Catches an outage that costs a node the only endpoints it has."""
    core = book()
    core.answered(OLD, node(1), 10.0, linked_since=10.0)
    for day in range(30):
        core.failed(OLD, day * DAY, ())
    assert OLD in core
    core.failed(OLD, 31 * DAY, {node(1)})
    assert OLD not in core


def test_another_node_at_an_endpoint_takes_it_over() -> None:
    """Catches an endpoint that is kept for the node that used to listen there."""
    core = book()
    core.answered(OLD, node(1), 10.0, linked_since=10.0)
    core.answered(OLD, node(2), 20.0, linked_since=20.0)
    assert (core.endpoints_of(node(1)), core.endpoints_of(node(2))) == ([], [OLD])


def test_only_what_answered_lately_is_told_and_one_place_of_each_node() -> None:
    """Catches gossip about the dead, and places in keepalives that one node fills alone."""
    core = book()
    core.answered(OLD, node(1), 10.0, linked_since=10.0)
    core.answered(SIXTH, node(1), 20.0, linked_since=10.0)
    core.answered(NEW, node(2), 20.0, linked_since=20.0)
    assert core.fresh(30.0, node(9), ()) == [SIXTH, NEW]
    assert core.fresh(30.0, node(2), ()) == [SIXTH]
    later = 30.0 + MAINNET.peer_forget_s
    assert core.fresh(later, node(9), {node(2)}) == [NEW]


def test_hearsay_is_dialled_last_and_so_is_what_fails_again_and_again() -> None:
    """Catches a table of dead endpoints that keeps the living waiting."""
    core = book()
    core.holders = frozenset({node(2)})
    core.pin(OLD, 0.0)
    core.answered(NEW, node(1), 1.0, linked_since=1.0)
    core.answered(SIXTH, node(2), 1.0, linked_since=1.0)
    heard = Endpoint("20.5.1.1", 7000)
    core.hear(heard, node(1), 1.0)
    assert [core.rank(each) for each in (OLD, SIXTH, NEW, heard)] == [0, 0, 1, 2]
    for _ in range(DOUBTFUL_FAILURES):
        core.failed(NEW, 2.0, ())
        core.failed(SIXTH, 2.0, ())
    assert [core.rank(each) for each in (SIXTH, NEW)] == [0, 2]


def test_the_store_gets_additions_then_holders_then_the_newest() -> None:
    """Catches a bounded file that has room for everybody but the holders."""
    core = book()
    core.holders = frozenset({node(1)})
    core.answered(OLD, node(1), 1.0, linked_since=1.0)
    core.answered(NEW, node(2), 9.0, linked_since=9.0)
    core.answered(SIXTH, node(3), 5.0, linked_since=5.0)
    added = Endpoint("peer.example.org", 7000)
    assert [each.endpoint for each in core.records([added])] == [added, OLD, NEW, SIXTH]
    assert core.records([added])[0] == PeerRecord(added, 0.0, None, True)


def test_what_is_kept_for_good_is_bounded_and_holders_are_never_pushed_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Catches memory that strangers fill by answering, and holders that they push out."""
    monkeypatch.setattr(address_book, "MAX_REACHED", 8)
    core = book()
    core.holders = frozenset({node(0)})
    for number in range(30):
        core.answered(Endpoint(f"20.{number}.1.1", 7000), node(number), float(number), 0.0)
    assert len(core.entries) == 8 + 1
    assert core.endpoints_of(node(0))
    assert core.endpoints_of(node(29))
