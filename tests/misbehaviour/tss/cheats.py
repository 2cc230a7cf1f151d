"""The two cheaters of the multiplication: Bob who guesses at Δ, Alice with an input of its own in
one row. Each is the honest function but for one change, and can stand in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from metanode.tss import multiplication, ot_extension
from metanode.tss.curve import ORDER, Entropy
from metanode.tss.multiplication import BobState, Link, alice_multiply
from metanode.tss.ot_extension import Columns
from metanode.tss.parameters import BASE_OTS, CHECK_BYTES, TREE_DEPTH
from tests.tss.support import seeded

HONEST_BOB = multiplication.bob_start


def guessing_extension(tree: int, guess: int) -> Callable[..., tuple[Columns, ot_extension.Bytes]]:
    """Return an ``extend_receiver`` that uses another x in one tree, as if Δ were ``guess`` there.

    With the right guess it corrects its rows, and whatever is built on them ends well.
    """

    def extend_receiver(
        choice_bits: int, context: bytes, salt: bytes, leaves: bytes, masked_choices: bytes
    ) -> tuple[Columns, ot_extension.Bytes]:
        width = choice_bits // 8 + CHECK_BYTES
        x = np.frombuffer(masked_choices, np.uint8)
        error = np.frombuffer(seeded("error")(width), np.uint8)
        streams = ot_extension._expand(context, salt, leaves, ot_extension.ALL_PLACES, width)
        columns = np.bitwise_xor.reduce(streams, axis=1) ^ x
        columns[tree] ^= error
        folded = ot_extension._fold(streams, 0, width)
        for bit in range(TREE_DEPTH):
            if guess >> bit & 1:
                folded[tree, bit] ^= error
        flat = folded.reshape(BASE_OTS, width)
        matrix = ot_extension._CheckMatrix(context, salt, columns.tobytes(), choice_bits)
        x_check, t_check = matrix.apply(x[None, :]).tobytes(), matrix.hash(matrix.apply(flat))
        rows = ot_extension._transpose(flat, choice_bits // 8)
        return Columns(columns.tobytes(), x_check, t_check), rows

    return extend_receiver


def guessing_bob(tree: int, guess: int) -> Callable[..., tuple[BobState, dict[str, bytes]]]:
    """Return a ``bob_start`` on such an extension."""

    def bob_start(link: Link, leaves: bytes, entropy: Entropy) -> tuple[BobState, dict[str, bytes]]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(multiplication, "extend_receiver", guessing_extension(tree, guess))
            return HONEST_BOB(link, leaves, entropy)

    return bob_start


def per_row_alice(row: int) -> Callable[..., Any]:
    """Return an ``alice_multiply`` whose first input is one higher in one row."""

    def multiply(
        link: Link,
        punctured: bytes,
        delta: bytes,
        inputs: Any,
        fields: Mapping[str, bytes],
        entropy: Entropy,
    ) -> Any:
        original = multiplication.hash_rows
        def other_input(key: bytes, row_sets: Any, size: int) -> list[ot_extension.Bytes]:
            zeros, ones = original(key, row_sets, size)
            # Taking one from what masks β = 1 adds one to a, in this row only.
            value = (int.from_bytes(ones[row, :32].tobytes(), "big") - 1) % ORDER
            ones[row, :32] = np.frombuffer(value.to_bytes(32, "big"), np.uint8)
            return [zeros, ones]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(multiplication, "hash_rows", other_input)
            return alice_multiply(link, punctured, delta, inputs, fields, entropy)

    return multiply
