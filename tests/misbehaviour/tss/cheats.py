"""The two cheaters of the multiplication: Bob who guesses at Δ, Alice with an input of its own in
one row. Each is the honest function but for one change, and can stand in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from metanode.tss import multiplication, ot_extension, vectors
from metanode.tss.curve import ORDER, Entropy
from metanode.tss.multiplication import BobState, Link, alice_multiply
from metanode.tss.parameters import BASE_OTS, CHECK_BYTES, TREE_DEPTH
from tests.tss.support import seeded


def guessing_bob(tree: int, guess: int) -> Callable[..., tuple[BobState, dict[str, bytes]]]:
    """Return a ``bob_start`` that uses another x in one tree, as if Δ were ``guess`` there.

    With the right guess it corrects its rows, and the multiplication ends well.
    """

    def bob_start(
        link: Link, leaves: bytes, entropy: Entropy
    ) -> tuple[BobState, dict[str, bytes]]:
        parameters, salt = link.parameters, entropy(32)
        width = parameters.column_bytes
        choices = entropy(parameters.choice_bytes)
        x = np.frombuffer(choices + entropy(CHECK_BYTES), np.uint8)
        error = np.frombuffer(seeded("error")(width), np.uint8)
        streams = ot_extension._expand(link.sid, salt, leaves, ot_extension.ALL_PLACES, width)
        columns = np.bitwise_xor.reduce(streams, axis=1) ^ x
        columns[tree] ^= error
        folded = ot_extension._fold(streams, 0, width)
        for bit in range(TREE_DEPTH):
            if guess >> bit & 1:
                folded[tree, bit] ^= error
        flat = folded.reshape(BASE_OTS, width)
        matrix = ot_extension._CheckMatrix(link.sid, salt, columns.tobytes(), parameters)
        bits = np.unpackbits(np.frombuffer(choices, np.uint8), bitorder="little")
        state = BobState(
            chi=vectors.weighted_bits(bits, link.gadget),
            choices=bits.tobytes(),
            rows=ot_extension._transpose(flat, parameters.choice_bytes),
        )
        return state, {
            "salt": salt,
            "columns": columns.tobytes(),
            "x_check": matrix.apply(x[None, :]).tobytes(),
            "t_check": matrix.hash(matrix.apply(flat)),
        }

    return bob_start


def per_row_alice(row: int) -> Callable[..., Any]:
    """Return an ``alice_multiply`` whose first input is one higher in one row."""

    def multiply(
        link: Link,
        punctured: bytes,
        delta: bytes,
        inputs: tuple[int, int],
        fields: Mapping[str, bytes],
        entropy: Entropy,
    ) -> Any:
        original = multiplication.hash_rows
        calls = 0

        def other_input(key: bytes, rows: ot_extension.Bytes, size: int) -> ot_extension.Bytes:
            nonlocal calls
            calls += 1
            hashes = original(key, rows, size)
            if calls == 2:
                # The second call masks β = 1: taking one from it adds one to a, in this row only.
                value = (int.from_bytes(hashes[row, :32].tobytes(), "big") - 1) % ORDER
                hashes[row, :32] = np.frombuffer(value.to_bytes(32, "big"), np.uint8)
            return hashes

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(multiplication, "hash_rows", other_input)
            return alice_multiply(link, punctured, delta, inputs, fields, entropy)

    return multiply
