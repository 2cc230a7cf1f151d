"""What must look uniform does: no bit of χ, of u or of anything masked leans one way.

Seeded, so that a red run stays red. Bounds are five standard deviations or more; a field that is
constant, or a mask that covers too few bits, is hundreds away.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache

import numpy as np
import pytest

from metanode.tss.messages import Message, sign_rounds
from metanode.tss.multiplication import Link, bob_start, gadget
from tests.tss.support import COMPACT, deal, deal_pair, deliver, seeded, shape_of, sign_sessions

ROUNDS = sign_rounds(COMPACT)
RUNS = 48
UNIFORM = {"columns", "x_check", "t_check", "masked", "eta", "mu", "psi", "u", "w"}
"""Fields that are masked or hashed: who knows no secret must see noise."""


def ones_per_bit(values: list[bytes]) -> np.ndarray:
    """Return, for each bit position, in how many of the values it is set."""
    rows = np.frombuffer(b"".join(values), np.uint8).reshape(len(values), -1)
    return np.unpackbits(rows, axis=1).sum(axis=0, dtype=np.int64)


def check_unbiased(values: list[bytes], deviations: float) -> None:
    """Assert that every bit position is set about half of the time."""
    away = np.abs(ones_per_bit(values) - len(values) / 2).max()
    assert away < deviations * len(values) ** 0.5 / 2


def test_no_bit_of_chi_is_biased() -> None:
    """Catches a χ that misses a part of the gadget vector: 256 values, bit by bit."""
    leaves, _, _ = deal_pair(0)
    link = Link(COMPACT, bytes(32), gadget(bytes(32), COMPACT.choice_bits))
    drawn = [bob_start(link, leaves, seeded("chi", k))[0].chis[0] for k in range(256)]
    check_unbiased([chi.to_bytes(32, "big") for chi in drawn], 5)
    assert len(set(drawn)) == 256


@lru_cache(maxsize=1)
def fields_on_the_wire() -> dict[str, list[bytes]]:
    """Return every value of every field in some runs of two signers."""
    values: dict[str, list[bytes]] = defaultdict(list)

    def look(_: int, message: Message) -> Message:
        decoded = shape_of(ROUNDS, message).decode(message.payload)
        for name, value in decoded.items():
            values[name].append(value)
        return message

    for run in range(RUNS):
        instance = run.to_bytes(32, "big")
        sessions = sign_sessions(deal(2, 2), (1, 2), instance=instance, parameters=COMPACT)
        deliver(sessions, tamper=look)
        assert sessions[1].state == "finished"
    return values


@pytest.mark.parametrize("name", ["u", "w", "psi", "eta"])
def test_no_bit_of_a_published_scalar_is_biased(name: str) -> None:
    """Catches u_i, w_i and masks with a bit that shows something of nonce, φ or χ."""
    values = fields_on_the_wire()[name]
    assert len(set(values)) == len(values) == 2 * RUNS
    check_unbiased(values, 5)


@pytest.mark.parametrize("name", sorted(UNIFORM))
def test_masked_fields_are_noise(name: str) -> None:
    """Catches a mask that leaves some of the secret's bits bare, over all runs and bits at once."""
    data = np.frombuffer(b"".join(fields_on_the_wire()[name]), np.uint8)
    bits = np.unpackbits(data)
    assert abs(int(bits.sum()) - bits.size / 2) < 5 * bits.size**0.5 / 2


def test_the_list_of_masked_fields_is_whole() -> None:
    """Catches a new field that nobody has decided about."""
    plain = {"echo", "salt", "commitment", "nonce_point", "key_point", "gamma_u", "gamma_v"}
    assert set(fields_on_the_wire()) == UNIFORM | plain
