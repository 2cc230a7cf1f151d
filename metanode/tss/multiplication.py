"""Random vector OLE (DKLs23): additive shares of a·χ, with checks against both sides.

Bob ends with χ and d, Alice with c, so that c_i + d_i = a_i·χ mod n for Alice's two inputs a. χ
is the inner product of Bob's choice bits β and a public random gadget vector g. Each transfer j
carries a_0, a_1 and a check scalar η masked by row hashes; the random combination θ of the three
must agree with μ in every row, so Alice cannot use different inputs in different rows.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import mul

import numpy as np
from attrs import field, frozen

from metanode.tss import curve, oracle
from metanode.tss.curve import ORDER, Entropy
from metanode.tss.oracle import Tag
from metanode.tss.ot_extension import (
    Bytes,
    Columns,
    extend_receiver,
    extend_sender,
    hash_rows,
    row_key,
)
from metanode.tss.parameters import (
    CHECK_BYTES,
    HASH_BYTES,
    ROW_SCALARS,
    SCALAR_BYTES,
    Parameters,
)

_ROW_BYTES = ROW_SCALARS * SCALAR_BYTES
_ORDER_TOP = np.frombuffer(ORDER.to_bytes(SCALAR_BYTES, "big")[:8], ">u8")[0]


@lru_cache(maxsize=512)
def gadget(pair_id: bytes, choice_bits: int) -> tuple[int, ...]:
    """Return the public vector g of a pair; cached, immutable, nothing secret in it."""
    data = oracle.stream(Tag.GADGET, choice_bits * 48, pair_id)
    return tuple(
        int.from_bytes(data[start : start + 48], "big") % ORDER
        for start in range(0, len(data), 48)
    )


@frozen
class Link:
    """One ordered pair (Bob, Alice) in one session.

    ``sid`` is the pair session id, fresh per session and direction; ``gadget`` is the pair's g.
    """

    parameters: Parameters
    sid: bytes
    gadget: tuple[int, ...] = field(repr=False)


@frozen
class BobState:
    """What Bob keeps between his message and Alice's answer. ``chi`` is his share χ."""

    chi: int = field(repr=False)
    choices: list[int] = field(repr=False)
    rows: Bytes = field(repr=False, eq=False)


def bob_start(link: Link, leaves: bytes, entropy: Entropy) -> tuple[BobState, dict[str, bytes]]:
    """Return Bob's state and the fields of his message (salt, columns, x_check, t_check)."""
    salt = curve.draw(entropy, HASH_BYTES)
    choices = curve.draw(entropy, link.parameters.choice_bytes)
    masked = choices + curve.draw(entropy, CHECK_BYTES)
    message, rows = extend_receiver(link.parameters, link.sid, salt, leaves, masked)
    packed = np.frombuffer(choices, np.uint8)
    bits: list[int] = np.unpackbits(packed, bitorder="little").tolist()
    state = BobState(chi=sum(map(mul, link.gadget, bits)) % ORDER, choices=bits, rows=rows)
    return state, {
        "salt": salt,
        "columns": message.columns,
        "x_check": message.x_check,
        "t_check": message.t_check,
    }


def _combination(link: Link, salt: bytes, masked: bytes) -> tuple[int, int]:
    """Return θ_0, θ_1, drawn after Alice has fixed her masked rows."""
    common = oracle.digest(Tag.THETA, link.sid, salt, masked)
    return (
        oracle.scalar(Tag.THETA, common, oracle.index(0)),
        oracle.scalar(Tag.THETA, common, oracle.index(1)),
    )


def _verdict(link: Link, salt: bytes, values: Sequence[int]) -> bytes:
    """Return μ: one hash over the check scalar of every row."""
    encoded = b"".join([(value % ORDER).to_bytes(SCALAR_BYTES, "big") for value in values])
    return oracle.wide(Tag.MU, link.sid, salt, encoded)


def alice_multiply(
    link: Link,
    punctured: bytes,
    delta: bytes,
    inputs: tuple[int, int],
    fields: Mapping[str, bytes],
    entropy: Entropy,
) -> tuple[tuple[int, int], dict[str, bytes]] | None:
    """Return Alice's shares (c_0, c_1) and the fields of her answer (salt, masked, eta, mu).

    None means that Bob's columns are inconsistent: he guessed at Δ and must be banned.
    """
    message = Columns(fields["columns"], fields["x_check"], fields["t_check"])
    rows = extend_sender(link.parameters, link.sid, fields["salt"], punctured, delta, message)
    if rows is None:
        return None
    salt = curve.draw(entropy, HASH_BYTES)
    key = row_key(link.sid, salt)
    zeros = hash_rows(key, rows, _ROW_BYTES)
    ones = hash_rows(key, rows ^ np.frombuffer(delta, np.uint8), _ROW_BYTES)
    check_input = curve.random_scalar(entropy)
    first, second = inputs
    number = int.from_bytes
    columns: tuple[list[int], list[int], list[int]] = ([], [], [])
    masked_parts: list[bytes] = []
    keep_0, keep_1, keep_2 = columns[0].append, columns[1].append, columns[2].append
    emit = masked_parts.append
    for zero, one in zip(zeros, ones, strict=True):
        p, q, r = number(zero[:32], "big"), number(zero[32:64], "big"), number(zero[64:], "big")
        keep_0(p)
        keep_1(q)
        keep_2(r)
        emit(((p - number(one[:32], "big") + first) % ORDER).to_bytes(32, "big"))
        emit(((q - number(one[32:64], "big") + second) % ORDER).to_bytes(32, "big"))
        emit(((r - number(one[64:], "big") + check_input) % ORDER).to_bytes(32, "big"))
    masked = b"".join(masked_parts)
    theta_0, theta_1 = _combination(link, salt, masked)
    mu = _verdict(
        link, salt, [r + theta_0 * p + theta_1 * q for p, q, r in zip(*columns, strict=True)]
    )
    shares = (
        -sum(map(mul, link.gadget, columns[0])) % ORDER,
        -sum(map(mul, link.gadget, columns[1])) % ORDER,
    )
    eta = curve.encode_scalar(check_input + theta_0 * first + theta_1 * second)
    return shares, {"salt": salt, "masked": masked, "eta": eta, "mu": mu}


def masked_in_range(masked: bytes) -> bool:
    """Return whether every 32-byte scalar of Alice's rows is below n, so that it has one
    encoding.
    """
    tops = np.frombuffer(masked, ">u8").reshape(-1, 4)[:, 0]
    # Only scalars whose first eight bytes equal those of n can reach it: one in 2^64 when honest.
    for row in np.flatnonzero(tops >= _ORDER_TOP).tolist():
        start = row * SCALAR_BYTES
        if curve.decode_scalar(masked[start : start + SCALAR_BYTES]) is None:
            return False
    return True


def bob_finish(
    link: Link, state: BobState, fields: Mapping[str, bytes]
) -> tuple[int, int] | None:
    """Return Bob's shares (d_0, d_1), or None when Alice's rows contradict μ: she must be banned.
    """
    masked, salt = fields["masked"], fields["salt"]
    eta = curve.decode_scalar(fields["eta"])
    if eta is None:
        return None
    theta_0, theta_1 = _combination(link, salt, masked)
    hashes = hash_rows(row_key(link.sid, salt), state.rows, _ROW_BYTES)
    number = int.from_bytes
    column_0: list[int] = []
    column_1: list[int] = []
    checks: list[int] = []
    keep_0, keep_1, keep_check = column_0.append, column_1.append, checks.append
    start = 0
    for row, bit in zip(hashes, state.choices, strict=True):
        p = number(row[:32], "big") + bit * number(masked[start : start + 32], "big")
        q = number(row[32:64], "big") + bit * number(masked[start + 32 : start + 64], "big")
        tail = number(masked[start + 64 : start + 96], "big")
        keep_0(p)
        keep_1(q)
        keep_check(number(row[64:], "big") + bit * (tail - eta) + theta_0 * p + theta_1 * q)
        start += _ROW_BYTES
    if not hmac.compare_digest(_verdict(link, salt, checks), fields["mu"]):
        return None
    return (
        sum(map(mul, link.gadget, column_0)) % ORDER,
        sum(map(mul, link.gadget, column_1)) % ORDER,
    )
