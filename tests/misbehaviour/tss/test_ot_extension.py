"""The extension's consistency check and μ: each byte of either message counts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pytest

from metanode.tss.curve import ORDER
from metanode.tss.multiplication import Link, alice_multiply, bob_finish, bob_start, gadget
from metanode.tss.ot_extension import Words, _CheckMatrix
from metanode.tss.parameters import (
    BASE_OTS,
    CHECK_BYTES,
    HASH_BYTES,
    ROW_SCALARS,
    SCALAR_BYTES,
    TREES,
)
from tests.tss.support import COMPACT, deal_pair, plus_one, seeded

SID = hashlib.sha256(b"extension").digest()
LINK = Link(COMPACT, SID, gadget(SID, COMPACT.choice_bits))
LEAVES, PUNCTURED, DELTA = deal_pair("extension")
STATE, FIRST = bob_start(LINK, LEAVES, seeded("bob"))


def answered(fields: Mapping[str, bytes]) -> bool:
    """Return whether Alice goes on after Bob's message."""
    return alice_multiply(LINK, PUNCTURED, DELTA, [(3, 5)], fields, seeded("alice")) is not None


def flipped(data: bytes, at: int) -> bytes:
    """Return the bytes with one bit changed."""
    return data[:at] + bytes((data[at] ^ 1 << at % 8,)) + data[at + 1 :]


def test_every_column_of_the_check_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a hash over some columns of t̃ only, or a check of x̃ only where Δ is set."""
    assert answered(FIRST)
    honest = _CheckMatrix.hash
    for column in range(BASE_OTS):

        def other(self: _CheckMatrix, check: Words, column: int = column) -> bytes:
            changed = check.copy()
            changed[column, column % 2] ^= 1 << column % 64
            return honest(self, changed)

        with monkeypatch.context() as patch:
            patch.setattr(_CheckMatrix, "hash", other)
            _, fields = bob_start(LINK, LEAVES, seeded("bob"))
        assert fields["columns"] == FIRST["columns"]
        assert not answered(fields)
    for at in range(HASH_BYTES):
        assert not answered({**FIRST, "t_check": flipped(FIRST["t_check"], at)})
    for at in range(CHECK_BYTES):
        assert not answered({**FIRST, "x_check": flipped(FIRST["x_check"], at)})


def test_every_tree_counts() -> None:
    """Catches a column c_T that may differ from what the check was made for."""
    width = COMPACT.choice_bytes + CHECK_BYTES
    for tree in range(TREES):
        for at in (tree * width, tree * width + width - 1):
            assert not answered({**FIRST, "columns": flipped(FIRST["columns"], at)})


def test_every_row_of_the_answer_counts() -> None:
    """Catches a row, an input or a check scalar that Alice may change without being seen."""
    done = alice_multiply(LINK, PUNCTURED, DELTA, [(3, 5)], FIRST, seeded("alice"))
    assert done is not None
    (shares,), second = done
    finished = bob_finish(LINK, STATE, second)
    assert finished is not None
    for a, c, d in zip((3, 5), shares, finished[0], strict=True):
        assert (c + d - a * STATE.chis[0]) % ORDER == 0
    for row in range(0, COMPACT.choice_bits, 7):
        for scalar in range(ROW_SCALARS):
            at = (row * ROW_SCALARS + scalar) * SCALAR_BYTES
            masked = second["masked"]
            moved = plus_one(masked[at : at + SCALAR_BYTES])
            changed = masked[:at] + moved + masked[at + SCALAR_BYTES :]
            assert bob_finish(LINK, STATE, {**second, "masked": changed}) is None


@pytest.mark.parametrize("name", ["salt", "columns", "x_check", "t_check"])
def test_zeros_are_refused(name: str) -> None:
    """Catches a field whose absence the check does not notice."""
    assert not answered({**FIRST, name: bytes(len(FIRST[name]))})
