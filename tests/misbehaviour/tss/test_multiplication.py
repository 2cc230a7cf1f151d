"""The two selective-failure attacks on the multiplication: each buys one bit and costs a ban."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from metanode.tss import multiplication, ot_extension
from metanode.tss.curve import ORDER
from metanode.tss.multiplication import Link, alice_multiply, bob_finish, bob_start, gadget
from metanode.tss.ot_extension import delta_bits
from metanode.tss.parameters import BASE_OTS, LEAVES_PER_TREE, STANDARD, TREE_DEPTH, TREES
from tests.tss.support import deal_pair, seeded

SID = hashlib.sha256(b"attack").digest()
LINK = Link(STANDARD, SID, gadget(SID, STANDARD.choice_bits))
SALT = bytes(range(32))


def columns_with_a_guess(leaves: bytes, tree: int, guess: int) -> dict[str, bytes]:
    """Return a cheating Bob's message: in one tree another x, right only if Δ is ``guess``."""
    width = STANDARD.column_bytes
    x = np.frombuffer(seeded("x")(width), np.uint8)
    error = np.frombuffer(seeded("error")(width), np.uint8)
    streams = ot_extension._expand(SID, SALT, leaves, width)
    streams = streams.reshape(TREES, LEAVES_PER_TREE, width)
    columns = np.bitwise_xor.reduce(streams, axis=1) ^ x
    columns[tree] ^= error
    folded = ot_extension._fold(streams, 0, width)
    for bit in range(TREE_DEPTH):
        if guess >> bit & 1:
            folded[tree, bit] ^= error
    matrix = ot_extension._CheckMatrix(SID, SALT, columns.tobytes(), STANDARD)
    return {
        "salt": SALT,
        "columns": columns.tobytes(),
        "x_check": matrix.apply(x[None, :]).tobytes(),
        "t_check": matrix.apply(folded.reshape(BASE_OTS, width)).tobytes(),
    }


@pytest.mark.parametrize("tree", [0, 77])
def test_guessing_bob_is_accepted_only_when_right(tree: int) -> None:
    """Catches a consistency check weaker, or stronger, than the protocol says.

    Exactly the true Δ of the tree passes: so accept-or-reject is one oracle query, and a rejection
    must be terminal for the pair.
    """
    leaves, punctured, delta = deal_pair("bob")
    first, second = delta_bits(delta)[tree].tolist()
    accepted = []
    for guess in range(LEAVES_PER_TREE):
        fields = columns_with_a_guess(leaves, tree, guess)
        answered = alice_multiply(LINK, punctured, delta, (1, 2), fields, seeded("alice"))
        if answered is not None:
            accepted.append(guess)
    assert accepted == [first + 2 * second]


@pytest.mark.parametrize("row", [0, 1, 2, 3, 300, 511])
def test_per_row_alice_is_accepted_only_where_the_choice_bit_is_zero(
    row: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a μ check that misses another input in one row, or an attack that costs nothing."""
    leaves, punctured, delta = deal_pair("alice")
    state, fields = bob_start(LINK, leaves, seeded("bob"))
    original = multiplication.hash_rows
    calls = 0

    def other_input_in_one_row(key: bytes, rows: ot_extension.Bytes, size: int) -> list[bytes]:
        nonlocal calls
        calls += 1
        hashes = original(key, rows, size)
        if calls == 2:
            # The second call masks β = 1: adding to it is multiplying a + 1 in this row only.
            value = (int.from_bytes(hashes[row][:32], "big") - 1) % ORDER
            hashes[row] = value.to_bytes(32, "big") + hashes[row][32:]
        return hashes

    with monkeypatch.context() as patch:
        patch.setattr(multiplication, "hash_rows", other_input_in_one_row)
        answered = alice_multiply(LINK, punctured, delta, (5, 7), fields, seeded("a"))
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
    assert alice_multiply(other, punctured, delta, (1, 2), fields, seeded("a")) is None
    answered = alice_multiply(LINK, punctured, delta, (1, 2), fields, seeded("a"))
    assert answered is not None
    assert bob_finish(other, state, answered[1]) is None
    assert bob_finish(LINK, state, answered[1]) is not None
