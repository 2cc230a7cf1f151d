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

import numpy as np
import numpy.typing as npt
from attrs import field, frozen

from metanode.tss import curve, oracle, vectors
from metanode.tss.curve import ORDER, Entropy
from metanode.tss.fixed_key import Bytes
from metanode.tss.oracle import Tag
from metanode.tss.ot_extension import (
    Columns,
    extend_receiver,
    extend_sender,
    hash_rows,
    row_key,
)
from metanode.tss.parameters import CHECK_BYTES, HASH_BYTES, ROW_SCALARS, SCALAR_BYTES, Parameters

Gadget = npt.NDArray[np.uint16]
"""The form of g that :mod:`metanode.tss.vectors` takes."""

_ROW_BYTES = ROW_SCALARS * SCALAR_BYTES
_ORDER_TOP = np.frombuffer(ORDER.to_bytes(SCALAR_BYTES, "big")[:8], ">u8")[0]


@lru_cache(maxsize=1024)
def gadget(pair_id: bytes, choice_bits: int) -> Gadget:
    """Return the public vector g of a pair; cached, immutable, nothing secret in it."""
    data = oracle.stream(Tag.GADGET, choice_bits * 48, pair_id)
    return vectors.pack_weights(
        int.from_bytes(data[start : start + 48], "big") % ORDER for start in range(0, len(data), 48)
    )


@frozen
class Link:
    """One ordered pair (Bob, Alice) in one session of ``lanes`` digests.

    ``sid`` is the pair session id, fresh per session and direction; ``gadget`` is the pair's g.
    """

    parameters: Parameters
    sid: bytes
    gadget: Gadget = field(repr=False, eq=False)
    lanes: int = 1

    @property
    def rows(self) -> int:
        """How many transfers there are in all lanes, with a choice bit of Bob's for each."""
        return self.parameters.rows(self.lanes)


@frozen
class BobState:
    """What Bob keeps between his message and Alice's answer.

    ``chis`` are his shares χ, one for each lane; ``choices`` his choice bits, one byte each.
    """

    chis: tuple[int, ...] = field(repr=False)
    choices: bytes = field(repr=False)
    rows: Bytes = field(repr=False, eq=False)


def bob_start(link: Link, leaves: bytes, entropy: Entropy) -> tuple[BobState, dict[str, bytes]]:
    """Return Bob's state and the fields of his message (salt, columns, x_check, t_check)."""
    salt = curve.draw(entropy, HASH_BYTES)
    choices = curve.draw(entropy, link.rows // 8)
    masked = choices + curve.draw(entropy, CHECK_BYTES)
    message, rows = extend_receiver(link.rows, link.sid, salt, leaves, masked)
    bits = np.unpackbits(np.frombuffer(choices, np.uint8), bitorder="little")
    chis = vectors.weighted_bits(bits, link.gadget)
    state = BobState(chis=chis, choices=bits.tobytes(), rows=rows)
    return state, {
        "salt": salt, "columns": message.columns, "x_check": message.x_check,
        "t_check": message.t_check,
    }


def _combination(link: Link, salt: bytes, masked: bytes) -> tuple[int, int]:
    """Return θ_0, θ_1, drawn after Alice has fixed her masked rows."""
    # SHA-512 is the faster one where the processor knows neither, and a lane is 48 KiB.
    common = oracle.wide(Tag.THETA, link.sid, salt, masked)
    return (
        oracle.scalar(Tag.THETA, common, oracle.index(0)),
        oracle.scalar(Tag.THETA, common, oracle.index(1)),
    )


def _verdict(link: Link, salt: bytes, check_scalars: bytes) -> bytes:
    """Return μ: one hash over the check scalar of every row."""
    return oracle.wide(Tag.MU, link.sid, salt, check_scalars)


def alice_multiply(
    link: Link, punctured: bytes, delta: bytes, inputs: Sequence[tuple[int, int]],
    fields: Mapping[str, bytes], entropy: Entropy,
) -> tuple[tuple[tuple[int, ...], ...], dict[str, bytes]] | None:
    """Return Alice's shares (c_0, c_1) of each lane and the fields of her answer (salt, masked,
    eta, mu); ``inputs`` are her two of each lane.

    None means that Bob's columns are inconsistent: he guessed at Δ and must be banned.
    """
    message = Columns(fields["columns"], fields["x_check"], fields["t_check"])
    salt = fields["salt"]
    rows = extend_sender(link.rows, link.sid, salt, punctured, delta, message)
    if rows is None:
        return None
    salt = curve.draw(entropy, HASH_BYTES)
    key = row_key(link.sid, salt)
    both = hash_rows(key, (rows, rows ^ np.frombuffer(delta, np.uint8)), _ROW_BYTES)
    zeros, ones = (hashed.tobytes() for hashed in both)
    checks = [curve.random_scalar(entropy) for _ in inputs]
    addends = [(*own, check) for own, check in zip(inputs, checks, strict=True)]
    masked = vectors.subtract_rows(zeros, ones, addends)
    theta = _combination(link, salt, masked)
    split = vectors.split_rows(zeros)
    mu = _verdict(link, salt, vectors.combine_rows(split, theta))
    eta = b"".join(
        curve.encode_scalar(check + sum(map(curve.multiply, own, theta)))
        for own, check in zip(inputs, checks, strict=True)
    )
    products = vectors.inner_products(split[0], link.gadget)
    shares = tuple(tuple(-share % ORDER for share in lane) for lane in products)
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
) -> tuple[tuple[int, ...], ...] | None:
    """Return Bob's shares (d_0, d_1) of each lane, or None when Alice's rows contradict μ: she must
    be banned.
    """
    masked, salt = fields["masked"], fields["salt"]
    eta = curve.decode_scalars(fields["eta"])
    if eta is None:
        return None
    theta = _combination(link, salt, masked)
    (hashed,) = hash_rows(row_key(link.sid, salt), (state.rows,), _ROW_BYTES)
    bits = np.frombuffer(state.choices, np.uint8)
    own, other = vectors.split_rows(hashed.tobytes()), vectors.split_rows(masked)
    opened = vectors.add_chosen(own, other, bits, eta)
    verdict = _verdict(link, salt, vectors.combine_rows(opened, theta))
    if not hmac.compare_digest(verdict, fields["mu"]):
        return None
    return vectors.inner_products(opened[0], link.gadget)
