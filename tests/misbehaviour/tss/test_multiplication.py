"""The two selective-failure attacks on the multiplication: each buys one bit and costs a ban."""

from __future__ import annotations

import hashlib

import pytest

from metanode.tss.curve import ORDER
from metanode.tss.multiplication import Link, alice_multiply, bob_finish, bob_start, gadget
from metanode.tss.ot_extension import delta_bits
from metanode.tss.pair_setup import pair_sid
from metanode.tss.parameters import LEAVES_PER_TREE, STANDARD
from tests.misbehaviour.tss.cheats import guessing_bob, per_row_alice
from tests.tss.support import deal_pair, seeded

SID = hashlib.sha256(b"attack").digest()
LINK = Link(STANDARD, SID, gadget(SID, STANDARD.choice_bits))


@pytest.mark.parametrize("tree", [0, 45])
def test_guessing_bob_is_accepted_only_when_right(tree: int) -> None:
    """Catches a consistency check weaker, or stronger, than the protocol says.

    Exactly the true Δ of the tree passes: so accept-or-reject is one oracle query, and a rejection
    must be terminal for the pair.
    """
    leaves, punctured, delta = deal_pair("bob")
    first, second = delta_bits(delta)[tree].tolist()
    accepted = []
    for guess in range(LEAVES_PER_TREE):
        state, fields = guessing_bob(tree, guess)(LINK, leaves, seeded("bob"))
        answered = alice_multiply(LINK, punctured, delta, [(1, 2)], fields, seeded("alice"))
        if answered is not None:
            accepted.append(guess)
            alice, answer = answered
            bob = bob_finish(LINK, state, answer)
            assert bob is not None
            assert (alice[1] + bob[1] - 2 * state.chi) % ORDER == 0
    assert accepted == [first + 2 * second]


@pytest.mark.parametrize("row", [0, 1, 2, 3, 300, 511])
def test_per_row_alice_is_accepted_only_where_the_choice_bit_is_zero(row: int) -> None:
    """Catches a μ check that misses another input in one row, or an attack that costs nothing."""
    leaves, punctured, delta = deal_pair("alice")
    state, fields = bob_start(LINK, leaves, seeded("bob"))
    answered = per_row_alice(row)(LINK, punctured, delta, (5, 7), fields, seeded("a"))
    assert answered is not None
    accepted = bob_finish(LINK, state, answered[1]) is not None
    assert accepted is (state.choices[row] == 0)


def test_both_outcomes_occur_above() -> None:
    """Catches a seed for which the previous test would only ever see one outcome."""
    leaves, _, _ = deal_pair("alice")
    state, _ = bob_start(LINK, leaves, seeded("bob"))
    assert {state.choices[row] for row in (0, 1, 2, 3, 300, 511)} == {0, 1}


def test_messages_do_not_serve_another_pair_session() -> None:
    """Catches columns or rows replayed into another session or the other direction."""
    leaves, punctured, delta = deal_pair("replay")
    state, fields = bob_start(LINK, leaves, seeded("bob"))
    other = Link(STANDARD, hashlib.sha256(b"other").digest(), LINK.gadget)
    assert alice_multiply(other, punctured, delta, [(1, 2)], fields, seeded("a")) is None
    answered = alice_multiply(LINK, punctured, delta, [(1, 2)], fields, seeded("a"))
    assert answered is not None
    assert bob_finish(other, state, answered[1]) is None
    assert bob_finish(LINK, state, answered[1]) is not None


def test_both_directions_of_a_pair_are_apart() -> None:
    """Catches one stream for two directions: a message mirrored to its author, and accepted."""
    assert len({pair_sid(SID, 1, 2), pair_sid(SID, 2, 1), SID}) == 3
    leaves, punctured, delta = deal_pair("mirror")
    there = Link(STANDARD, pair_sid(SID, 1, 2), LINK.gadget)
    back = Link(STANDARD, pair_sid(SID, 2, 1), LINK.gadget)
    _, fields = bob_start(there, leaves, seeded("bob"))
    assert alice_multiply(back, punctured, delta, [(1, 2)], fields, seeded("a")) is None
    assert alice_multiply(there, punctured, delta, [(1, 2)], fields, seeded("a")) is not None
