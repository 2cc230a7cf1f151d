"""Attacks on the handshake: each closes the link with its own label, and none leaks a proof."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from metanode.identity import Identity
from metanode.protocol.links.handshake import VERSION, Link
from spec.language.interpreter import enabled
from spec.messages import Hello, Proof, Ready
from spec.protocol import PROTOCOL
from spec.tables.link import HELLO as HELLO_VERDICT
from tests.protocol.links.support import CODEC, NETWORK, Node, linked, relay


def start(name: str = "alice", now: float = 0.0) -> tuple[Node, Node, Link, Link, bytes, bytes]:
    """Return two nodes in ``connected`` with the hello that each has sent."""
    alice, bob = Node(name), Node("bob")
    dialled, first = alice.connect(bob, outbound=True, now=now)
    accepted, second = bob.connect(alice, outbound=False, now=now)
    return alice, bob, dialled, accepted, first[0], second[0]


def challenged() -> tuple[Node, Node, Link, Link, bytes, bytes]:
    """Return two nodes in ``challenged`` with the proof that each has sent."""
    alice, bob, dialled, accepted, first, second = start()
    [from_bob] = bob.table.receive(accepted, first, 0.0)
    [from_alice] = alice.table.receive(dialled, second, 0.0)
    return alice, bob, dialled, accepted, from_alice, from_bob


HELLO = Hello(VERSION, NETWORK, Node("bob").node_id, b"\x07" * 32)
BAD_HELLOS: dict[str, tuple[Hello, str]] = {
    "version 0": (evolve(HELLO, version=0), "old_version"),
    "the version before": (evolve(HELLO, version=VERSION - 1), "old_version"),
    "the next version": (evolve(HELLO, version=VERSION + 1), "old_version"),
    "another network": (evolve(HELLO, network=bytes(32)), "wrong_network"),
    "our own id": (evolve(HELLO, node_id=Node("alice").node_id), "own_id"),
    "a third node's id": (evolve(HELLO, node_id=Node("carol").node_id), "other_identity"),
    "no point": (evolve(HELLO, node_id=bytes(33)), "other_identity"),
}


@pytest.mark.parametrize(("hello", "label"), BAD_HELLOS.values(), ids=BAD_HELLOS.keys())
def test_a_bad_hello_closes_the_link_and_gets_no_proof(hello: Hello, label: str) -> None:
    """Catches a node that signs for whoever asks (version, network, own id, other identity)."""
    alice, _, dialled, _, _, _ = start()
    assert alice.table.receive(dialled, CODEC.encode(hello), 0.0) == ()
    assert alice.table.closed(dialled)
    assert dialled.refusal == label


def test_our_own_cookie_reflected_is_refused() -> None:
    """Catches reflection: we would answer our own question and then get the answer back."""
    alice, _, dialled, _, first, _ = start()
    reflected = evolve(HELLO, cookie=CODEC.decode(first).cookie)
    assert alice.table.receive(dialled, CODEC.encode(reflected), 0.0) == ()
    assert dialled.refusal == "own_nonce"


def test_our_own_proof_reflected_is_refused() -> None:
    """Catches a proof without the role or the ids in it."""
    alice, _, dialled, _, from_alice, _ = challenged()
    assert alice.table.receive(dialled, from_alice, 0.0) == ()
    assert dialled.refusal == "proof_bad"


def test_a_second_hello_closes_the_link() -> None:
    """Catches a node that signs as many cookies as it is asked."""
    alice, _, dialled, _, first, second = start()
    alice.table.receive(dialled, second, 0.0)
    assert alice.table.receive(dialled, second, 0.0) == ()
    assert dialled.refusal == "second_hello"
    alice, bob = Node("alice"), Node("bob")
    dialled, accepted = linked(alice, bob)
    assert bob.table.receive(accepted, first, 0.0) == ()
    assert accepted.refusal == "second_hello"


@pytest.mark.parametrize(
    "frame", [b"", b"\x00", b"garbage", CODEC.encode(Ready())[:-1], b"\xff" * 4096]
)
def test_garbage_closes_the_link_in_every_state(frame: bytes) -> None:
    """Catches an exception, or a link that survives an empty or undecodable message."""
    alice, _, dialled, _, _, _ = start()
    assert alice.table.receive(dialled, frame, 0.0) == ()
    assert dialled.refusal == "malformed"
    alice, _, dialled, _, _, _ = challenged()
    alice.table.receive(dialled, frame, 0.0)
    assert alice.table.closed(dialled)


def test_a_relayed_proof_does_not_hold() -> None:
    """Catches F-28: X lets A prove itself to X and shows that proof to B.

    X is a member with channels to both, so each sees X's certificate. Whatever X forwards, neither
    end may take the other for the peer of its channel.
    """
    alice, bob, mallory = Node("alice"), Node("bob"), Node("mallory")
    at_alice, hello_alice = alice.connect(mallory, outbound=True)
    at_bob, hello_bob = bob.connect(mallory, outbound=False)
    assert bob.table.receive(at_bob, hello_alice[0], 0.0) == ()
    assert at_bob.refusal == "other_identity"

    # X forwards the cookies under its own name, so that A signs B's cookie.
    at_alice, hello_alice = alice.connect(mallory, outbound=True)
    at_bob, hello_bob = bob.connect(mallory, outbound=False)
    for_alice = evolve(CODEC.decode(hello_bob[0]), node_id=mallory.node_id)
    for_bob = evolve(CODEC.decode(hello_alice[0]), node_id=mallory.node_id)
    [proof_of_alice] = alice.table.receive(at_alice, CODEC.encode(for_alice), 0.0)
    [proof_of_bob] = bob.table.receive(at_bob, CODEC.encode(for_bob), 0.0)
    assert bob.table.receive(at_bob, proof_of_alice, 0.0) == ()
    assert alice.table.receive(at_alice, proof_of_bob, 0.0) == ()
    assert (at_alice.refusal, at_bob.refusal) == ("proof_bad", "proof_bad")


def test_a_relay_that_steals_the_certificate_still_fails() -> None:
    """Catches a proof that covers ids but no channel keys: X's channels have other fingerprints.

    Here both ends are made to believe that the channel's certificate names the other (a broken TLS
    check), and the fingerprints in the proof are what is left.
    """
    alice, bob, mallory = Node("alice"), Node("bob"), Node("mallory")
    terms = {"host": "1.2.3.4", "peer_fingerprint": mallory.fingerprint, "now": 0.0}
    at_alice, first = alice.table.connect(outbound=True, certified_id=bob.node_id, **terms)
    at_bob, second = bob.table.connect(outbound=False, certified_id=alice.node_id, **terms)
    relay(alice, at_alice, bob, at_bob, first, second)
    assert alice.table.closed(at_alice)
    assert bob.table.closed(at_bob)


def test_a_proof_of_an_earlier_link_does_not_hold() -> None:
    """Catches replay: the cookie and the salt belong to one link."""
    *_, from_bob = challenged()
    alice, bob = Node("alice"), Node("bob")
    alice.connect(bob, outbound=True)
    dialled, _ = alice.connect(bob, outbound=True)
    _, second = bob.connect(alice, outbound=False)
    alice.table.receive(dialled, second[0], 0.0)
    assert alice.table.receive(dialled, from_bob, 0.0) == ()
    assert dialled.refusal == "proof_bad"


PROOFS: dict[str, Any] = {
    "salt": lambda proof: evolve(proof, salt=bytes(32)),
    "signature": lambda proof: evolve(proof, signature=bytes(64)),
    "another signer": lambda proof: evolve(
        proof, signature=Identity.from_secret(3).sign("link-proof", b"x")
    ),
}


@pytest.mark.parametrize("change", PROOFS.values(), ids=PROOFS.keys())
def test_a_bad_proof_spends_the_cookie(change: Any) -> None:
    """Catches a cookie that can be answered twice: after a bad answer the good one is too late."""
    alice, _, dialled, _, _, from_bob = challenged()
    bad: Proof = change(CODEC.decode(from_bob))
    assert alice.table.receive(dialled, CODEC.encode(bad), 0.0) == ()
    assert dialled.refusal == "proof_bad"
    assert alice.table.receive(dialled, from_bob, 0.0) == ()
    assert alice.table.closed(dialled)


def test_a_second_good_proof_closes_the_link() -> None:
    """Catches a cookie that is used twice."""
    alice, _, dialled, _, _, from_bob = challenged()
    assert len(alice.table.receive(dialled, from_bob, 0.0)) == 1
    assert alice.table.receive(dialled, from_bob, 0.0) == ()
    assert dialled.refusal == "second_proof"


def test_a_late_proof_is_refused() -> None:
    """Catches a cookie without a lifetime."""
    alice, _, dialled, _, _, from_bob = challenged()
    assert alice.table.receive(dialled, from_bob, 5.1) == ()
    assert dialled.refusal == "proof_late"


def test_messages_out_of_turn_close_the_link() -> None:
    """Catches a link that is established by a peer who proved nothing."""
    alice, _, dialled, _, _, _ = start()
    alice.table.receive(dialled, CODEC.encode(Ready()), 0.0)
    assert dialled.refusal == "out_of_turn"
    alice, _, dialled, _, _, _ = challenged()
    alice.table.receive(dialled, CODEC.encode(Ready()), 0.0)
    assert dialled.refusal == "out_of_turn"
    alice, _, dialled, _, _, _ = start()
    alice.table.receive(dialled, CODEC.encode(Proof(bytes(32), bytes(64))), 0.0)
    assert dialled.refusal == "out_of_turn"


@given(st.lists(st.integers(0, 7), min_size=1, max_size=8))
def test_no_order_of_messages_establishes_an_unproved_link(order: list[int]) -> None:
    """Catches AuthenticatedBeforeUse broken by an order nobody thought of."""
    alice, _, dialled, _, first, second = start()
    mallory = Node("mallory")
    frames = [
        first,
        second,
        CODEC.encode(HELLO),
        CODEC.encode(Ready()),
        CODEC.encode(Proof(bytes(32), mallory.identity.sign("link-proof", b""))),
        CODEC.encode(evolve(HELLO, node_id=mallory.node_id)),
        b"",
        b"\xa0",
    ]
    for choice in order:
        alice.table.receive(dialled, frames[choice], 0.0)
    assert not alice.table.established(dialled)


def test_the_rows_of_each_pair_exclude_each_other_and_cover_all_hellos() -> None:
    """Catches a hello that two rows answer, or none."""
    for verdict in HELLO_VERDICT.values:
        for own in (False, True):
            alice, bob, dialled, _, _, _ = start()
            view = alice.table._tables.view
            if verdict != "other_identity":
                view.deliver("hello_sent", bob.node_id, dialled.number)
            claimed = alice.node_id if own else bob.node_id
            view.providers["hello"] = lambda _p, _l, verdict=verdict: verdict
            environment = {"p": alice.node_id, "q": claimed, "l": dialled.number}
            rules = enabled(PROTOCOL.machines["link"], "connected", "Hello", view, environment)
            assert len(rules) == 1, (verdict, own)
            assert (rules[0].target == "challenged") == (verdict == "welcome" and not own)
