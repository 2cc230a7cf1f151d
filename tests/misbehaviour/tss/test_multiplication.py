"""The two selective-failure attacks on the multiplication: each buys one bit and costs a ban."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from metanode.tss.curve import ORDER
from metanode.tss.multiplication import Link, alice_multiply, bob_finish, bob_start, gadget
from metanode.tss.ot_extension import delta_bits
from metanode.tss.pair_setup import pair_sid
from metanode.tss.parameters import CHECK_BYTES, LANES, LEAVES_PER_TREE, STANDARD, TREES
from tests.misbehaviour.tss.cheats import guessing_bob, per_row_alice
from tests.tss.support import deal_pair, seeded

SID = hashlib.sha256(b"attack").digest()
LINK = Link(STANDARD, SID, gadget(SID, STANDARD.choice_bits))
WIDE = Link(STANDARD, SID, LINK.gadget, LANES)
ROWS = [(LINK, row) for row in (0, 1, 2, 3, 300, 511)] + [
    (WIDE, row) for row in (0, 511, 512, 2100, 2101, 2102, 4095)
]


@pytest.mark.parametrize("tree", [0, 45])
@pytest.mark.parametrize("link", [LINK, WIDE], ids=["one", "many"])
def test_guessing_bob_is_accepted_only_when_right(link: Link, tree: int) -> None:
    """Catches a consistency check weaker, or stronger, than the protocol says.

    Exactly the true Δ of the tree passes: so accept-or-reject is one oracle query, and a rejection
    must be terminal for the pair.
    """
    leaves, punctured, delta = deal_pair("bob")
    first, second = delta_bits(delta)[tree].tolist()
    accepted = []
    inputs = [(1, 2) for _ in range(link.lanes)]
    for guess in range(LEAVES_PER_TREE):
        state, fields = guessing_bob(tree, guess)(link, leaves, seeded("bob"))
        answered = alice_multiply(link, punctured, delta, inputs, fields, seeded("alice"))
        if answered is not None:
            accepted.append(guess)
            bob = bob_finish(link, state, answered[1])
            assert bob is not None
            for alices, bobs, chi in zip(answered[0], bob, state.chis, strict=True):
                assert (alices[1] + bobs[1] - 2 * chi) % ORDER == 0
    assert accepted == [first + 2 * second]


@pytest.mark.parametrize(("link", "row"), ROWS)
def test_per_row_alice_is_accepted_only_where_the_choice_bit_is_zero(link: Link, row: int) -> None:
    """Catches a μ check that misses another input in one row, or an attack that costs nothing."""
    leaves, punctured, delta = deal_pair("alice")
    state, fields = bob_start(link, leaves, seeded("bob"))
    inputs = [(5, 7) for _ in range(link.lanes)]
    answered = per_row_alice(row)(link, punctured, delta, inputs, fields, seeded("a"))
    assert answered is not None
    accepted = bob_finish(link, state, answered[1]) is not None
    assert accepted is (state.choices[row] == 0)


@pytest.mark.parametrize("link", [LINK, WIDE], ids=["one", "many"])
def test_both_outcomes_occur_above(link: Link) -> None:
    """Catches a seed for which the previous test would only ever see one outcome."""
    leaves, _, _ = deal_pair("alice")
    state, _ = bob_start(link, leaves, seeded("bob"))
    assert {state.choices[row] for used, row in ROWS if used is link} == {0, 1}


def test_what_is_made_for_other_lanes_does_not_serve() -> None:
    """Catches lanes that can be moved within a message, or cut off it: each has rows of its own."""
    leaves, punctured, delta = deal_pair("lanes")
    link = Link(STANDARD, SID, LINK.gadget, 2)
    state, fields = bob_start(link, leaves, seeded("bob"))
    answered = alice_multiply(link, punctured, delta, [(1, 2), (1, 2)], fields, seeded("a"))
    assert answered is not None
    answer = answered[1]
    for name in ("masked", "eta"):
        half = len(answer[name]) // 2
        swapped = answer[name][half:] + answer[name][:half]
        twice = answer[name][:half] * 2
        for other in (swapped, twice):
            assert bob_finish(link, state, {**answer, name: other}) is None
    assert bob_finish(link, state, answer) is not None
    columns = np.frombuffer(fields["columns"], np.uint8).reshape(TREES, -1)
    first, second, masks = np.split(columns, [64, 128], axis=1)
    assert masks.shape == (TREES, CHECK_BYTES)
    moved = {**fields, "columns": np.concatenate((second, first, masks), axis=1).tobytes()}
    inputs = [(1, 2), (1, 2)]
    assert alice_multiply(link, punctured, delta, inputs, moved, seeded("a")) is None


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
