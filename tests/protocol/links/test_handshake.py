"""The handshake as two honest nodes run it, on the rows of ``spec/tables/link.py``."""

from __future__ import annotations

import pytest

from metanode.errors import LocalFault
from metanode.protocol.links.cookies import Cookies
from spec.messages import Hello, Proof, Ready
from spec.protocol import PROTOCOL
from tests.protocol.links.support import CODEC, Node, linked, ordered


def test_two_nodes_establish_a_link() -> None:
    """Catches a handshake that does not end, or ends at one side only."""
    alice, bob = Node("alice"), Node("bob")
    dialled, accepted = linked(alice, bob)
    assert alice.table.established(dialled)
    assert bob.table.established(accepted)
    assert dialled.refusal is None


def test_each_end_sends_hello_proof_ready() -> None:
    """Catches a changed order or number of messages."""
    alice, bob = Node("alice"), Node("bob")
    dialled, first = alice.connect(bob, outbound=True)
    accepted, second = bob.connect(alice, outbound=False)
    proof = bob.table.receive(accepted, first[0], 0.0)
    ready = alice.table.receive(dialled, second[0], 0.0) + alice.table.receive(
        dialled, proof[0], 0.0
    )
    kinds = [type(CODEC.decode(frame)) for frame in (*first, *ready)]
    assert kinds == [Hello, Proof, Ready]
    assert [type(CODEC.decode(frame)) for frame in (*second, *proof)] == [Hello, Proof]


def test_every_step_is_a_row_of_the_table() -> None:
    """Catches link state that moves outside the table: the trace names each row that ran, and the
    input under which it ran.
    """
    alice, bob = Node("alice"), Node("bob")
    linked(alice, bob)
    lines = [line for (line,) in alice.trace]
    steps = [(line["event"], line["from"], line["to"]) for line in lines]
    assert steps == [
        ("Connect", "closed", "connected"),
        ("Hello", "connected", "challenged"),
        ("Proof", "challenged", "challenged"),
        ("Ready", "challenged", "established"),
    ]
    assert [line["input"] for line in lines] == ["connect", "hello", "proof", "ready"]
    assert [line["sends"] for line in lines] == [
        ["hello_sent"],
        ["proof_sent"],
        ["ready_sent"],
        [],
    ]


def test_links_are_independent() -> None:
    """Catches a record that leaks into another link's."""
    alice, bob, carol = Node("alice"), Node("bob"), Node("carol")
    with_bob, _ = linked(alice, bob)
    with_carol, _ = linked(alice, carol)
    alice.table.end(with_bob)
    assert alice.table.closed(with_bob)
    assert alice.table.established(with_carol)


def test_a_closed_link_is_forgotten_and_stays_closed() -> None:
    """Catches memory that grows with each link, and a link that opens again."""
    alice, bob = Node("alice"), Node("bob")
    dialled, accepted = linked(alice, bob)
    with pytest.raises(LocalFault):
        alice.table.forget(dialled)
    alice.table.end(dialled)
    alice.table.end(dialled)
    alice.table.forget(dialled)
    for cell in ("link", "other_end", "cookie_spent", "hello_sent", "proof_sent"):
        assert list(alice.table._tables.view.entries(cell)) == []
    assert alice.table.closed(dialled)
    assert alice.table.receive(dialled, CODEC.encode(Ready()), 0.0) == ()
    assert bob.table.established(accepted)


def test_the_link_that_the_smaller_id_dialled_is_kept_by_both() -> None:
    """Catches F-29: each end closes the other's link and none is left."""
    small, large = ordered("alice", "bob")
    kept, kept_there = linked(small, large)
    lost_there, lost = linked(large, small)
    assert not small.table.on_clock(kept, 0.0, lost)
    assert not large.table.on_clock(kept_there, 0.0, lost_there)
    assert small.table.on_clock(lost, 0.0, kept)
    assert large.table.on_clock(lost_there, 0.0, kept_there)
    assert small.table.best([lost, kept]) is kept
    assert small.table.established(kept)
    assert large.table.established(kept_there)
    assert lost.refusal == "duplicate"


def test_the_loser_is_kept_until_the_winner_is_up() -> None:
    """Catches F-29's other half: the loser is dropped while the winner is still shaking hands."""
    small, large = ordered("alice", "bob")
    winner, _ = small.connect(large, outbound=True)
    _, lost = linked(large, small)
    assert not small.table.on_clock(lost, 0.0, winner)
    assert small.table.established(lost)


def test_of_links_dialled_by_one_side_that_side_keeps_the_newest() -> None:
    """Catches two ends that keep different ones of two equal links."""
    alice, bob = Node("alice"), Node("bob")
    old, old_there = linked(alice, bob)
    new, new_there = linked(alice, bob)
    assert not bob.table.on_clock(old_there, 0.0, new_there)
    assert not bob.table.on_clock(new_there, 0.0, old_there)
    assert not alice.table.on_clock(new, 0.0, old)
    assert alice.table.on_clock(old, 0.0, new)
    assert bob.table.best([old_there, new_there]) is new_there


def test_another_peers_link_supersedes_nothing() -> None:
    """Catches a table that compares links of different peers."""
    small, large, other = ordered("alice", "bob", "carol")
    kept, _ = linked(small, large)
    _, foreign = linked(other, small)
    assert not small.table.on_clock(foreign, 0.0, kept)


def test_the_table_closes_idle_and_overdue_links_only_in_their_time() -> None:
    """Catches a timeout that fires early, never, or in the wrong state."""
    alice, bob = Node("alice"), Node("bob")
    half_open, _ = alice.connect(bob, outbound=True, now=10.0)
    half_open.heard_at = 0.0
    assert not alice.table.on_clock(half_open, 14.9)
    assert alice.table.on_clock(half_open, 15.0)
    assert half_open.refusal == "timeout"
    dialled, _ = linked(alice, bob)
    dialled.heard_at = 900.0
    assert not alice.table.on_clock(dialled, 1019.9)
    assert alice.table.on_clock(dialled, 1020.0)
    assert dialled.refusal == "idle"


def test_cookies_need_no_memory_and_hold_for_their_channel_and_time() -> None:
    """Catches F-30: a table of cookies per endpoint that four half-open dials can fill."""
    cookies = Cookies(bytes(32), 5.0)
    issued = [cookies.issue("1.2.3.4", b"f", n.to_bytes(8, "big"), 100.0) for n in range(1000)]
    assert len(set(issued)) == 1000
    assert {len(cookie) for cookie in issued} == {32}
    for cookie in (issued[0], issued[-1]):
        assert cookies.in_time(cookie, "1.2.3.4", b"f", 105.0)
        assert not cookies.in_time(cookie, "1.2.3.4", b"f", 105.1)
        assert not cookies.in_time(cookie, "1.2.3.4", b"f", 99.0)
        assert not cookies.in_time(cookie, "1.2.3.5", b"f", 100.0)
        assert not cookies.in_time(cookie, "1.2.3.4", b"g", 100.0)
        assert not Cookies(b"\x01" * 32, 5.0).in_time(cookie, "1.2.3.4", b"f", 100.0)


def test_each_state_has_a_row_for_each_event_of_the_wire() -> None:
    """Catches a frame that an open link has no answer to."""
    machine = PROTOCOL.machines["link"]
    for state in ("connected", "challenged", "established"):
        for event in ("Hello", "Proof", "Ready", "Garbage", "End"):
            assert machine.rules_for(state, event), (state, event)
