"""What goes over the wire: messages and the exact shape of their payloads.

A payload is a CBOR map from text keys to byte strings, canonical (RFC 8949, 4.2.1), with a fixed
set of keys and a fixed length for each value. Its encoding is therefore a template: decoding
compares the bytes between the values with the template, so there is no parser to attack, and one
value has one encoding.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import cbor2
from attrs import field, frozen

from metanode.errors import check
from metanode.tss.ggm import CORRECTION_BYTES, SUM_BYTES
from metanode.tss.parameters import (
    BASE_OTS,
    CHECK_BYTES,
    GGM_DIGEST_BYTES,
    HASH_BYTES,
    POINT_BYTES,
    PROOF_BYTES,
    ROW_SCALARS,
    SCALAR_BYTES,
    TREES,
    ZERO_SEED_BYTES,
    Parameters,
)


@frozen
class Message:
    """One message of one session. ``recipient`` None is a broadcast. The sender is authenticated
    by the channel that carries it; nothing in here proves it."""

    session_id: bytes
    round: int
    sender: int
    recipient: int | None
    payload: bytes = field(repr=False)


@frozen
class Shape:
    """The fields of one payload: name → length in bytes, in canonical order."""

    fields: tuple[tuple[str, int], ...]
    _heads: tuple[bytes, ...] = field(init=False, repr=False, eq=False)
    encoded_bytes: int = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        empty = {name: bytes(length) for name, length in self.fields}
        pairs = [cbor2.dumps(name) + cbor2.dumps(value) for name, value in empty.items()]
        whole, heads = cbor2.dumps(empty), []
        start = whole[: len(whole) - sum(map(len, pairs))]
        for pair, value in zip(pairs, empty.values(), strict=True):
            heads.append(start + pair[: len(pair) - len(value)])
            start = b""
        object.__setattr__(self, "_heads", tuple(heads))
        object.__setattr__(self, "encoded_bytes", len(whole))

    @classmethod
    def of(cls, **lengths: int) -> Shape:
        """Return the shape with these lengths, fields put into canonical order."""
        return cls(tuple(sorted(lengths.items(), key=lambda item: cbor2.dumps(item[0]))))

    def encode(self, values: Mapping[str, bytes]) -> bytes:
        """Return the payload; missing, unknown or wrongly sized values are a local fault."""
        check(set(values) == {name for name, _ in self.fields}, "payload fields do not match")
        parts: list[bytes] = []
        for head, (name, length) in zip(self._heads, self.fields, strict=True):
            check(len(values[name]) == length, f"payload field {name} has a wrong length")
            parts += (head, values[name])
        return b"".join(parts)

    def decode(self, payload: bytes) -> dict[str, bytes] | None:
        """Return the values, or None when the payload is anything but this shape's encoding."""
        if len(payload) != self.encoded_bytes:
            return None
        values: dict[str, bytes] = {}
        at = 0
        for head, (name, length) in zip(self._heads, self.fields, strict=True):
            start = at + len(head)
            if payload[at:start] != head:
                return None
            at = start + length
            values[name] = payload[start:at]
        return values


@frozen
class Round:
    """What each other party sends in one round: a broadcast, a message to each recipient, or
    both.
    """

    broadcast: Shape | None
    direct: Shape | None


_TREES = {
    "ggm_corrections": CORRECTION_BYTES, "ggm_sums": SUM_BYTES, "ggm_digest": GGM_DIGEST_BYTES
}
_EXTENSION = {
    "ext_salt": HASH_BYTES, "ext_columns": TREES * (BASE_OTS // 8 + CHECK_BYTES),
    "ext_x_check": CHECK_BYTES, "ext_t_check": HASH_BYTES,
}


@frozen
class DealingShapes:
    """The payloads of a dealing's four rounds, by what sender and recipient do in it.

    A dealer publishes ``coefficients`` points; a holder ends with a share, and sets up a pair with
    each other holder. ``chain`` says whether a chain code is made: only with a new key.
    """

    coefficients: int
    chain: bool = False

    def broadcast(self, number: int, *, deals: bool, holds: bool) -> Shape | None:
        """Return what one party says to all in a round; None when it has nothing to say."""
        count = self.coefficients
        if number == 1:
            fields = {"sid": HASH_BYTES}
            if deals:
                fields["commitment"] = HASH_BYTES
            if self.chain:
                fields["chain_commitment"] = HASH_BYTES
            return Shape.of(**fields)
        if number == 2:
            opening = {
                "coefficients": POINT_BYTES * count,
                "salt": HASH_BYTES,
                "proofs": PROOF_BYTES * count,
            }
            return Shape.of(echo=HASH_BYTES, **(opening if deals else {}))
        if number == 4 and holds:
            return Shape.of(echo=HASH_BYTES, public_share=POINT_BYTES, proof=PROOF_BYTES)
        return None

    def direct(self, number: int, *, deals: bool, holds: bool, receives: bool) -> Shape | None:
        """Return what one party says to a holder in a round; None when it has nothing to say.

        ``receives`` says which side of the pair's base transfers it is, if it holds a share.
        """
        if number == 2 and holds:
            points = {"ot_points": 2 * POINT_BYTES * BASE_OTS} if receives else {}
            return Shape.of(echo=HASH_BYTES, zero_commitment=HASH_BYTES, **points)
        if number == 4 and holds and receives:
            return Shape.of(echo=HASH_BYTES, **_TREES)
        if number != 3:
            return None
        fields = {"echo": HASH_BYTES}
        if deals:
            fields["share"] = SCALAR_BYTES
        if self.chain:
            fields |= {"chain_code": HASH_BYTES, "chain_salt": HASH_BYTES}
        if holds:
            fields |= {"zero_seed": ZERO_SEED_BYTES, "zero_salt": HASH_BYTES}
        if holds and not receives:
            fields |= {"ot_key": POINT_BYTES, **_TREES, **_EXTENSION}
        return Shape.of(**fields)

    def rounds(
        self, *, deals: bool = True, holds: bool = True, receives: bool = True
    ) -> tuple[Round, ...]:
        """Return what a party of one role sends to everybody and to a holder."""
        return tuple(
            Round(
                self.broadcast(number, deals=deals, holds=holds),
                self.direct(number, deals=deals, holds=holds, receives=receives),
            )
            for number in range(1, DEALING_ROUNDS + 1)
        )


DEALING_ROUNDS = 4


@lru_cache(maxsize=64)
def sign_rounds(parameters: Parameters, lanes: int = 1) -> tuple[Round, ...]:
    """Return the three rounds of signing ``lanes`` digests. What each lane has of its own stands
    lane after lane in one field.
    """
    rows = parameters.rows(lanes)
    points, scalars = lanes * POINT_BYTES, lanes * SCALAR_BYTES
    first = Round(
        broadcast=Shape.of(commitment=HASH_BYTES),
        direct=Shape.of(
            salt=HASH_BYTES, columns=TREES * (rows // 8 + CHECK_BYTES), x_check=CHECK_BYTES,
            t_check=HASH_BYTES,
        ),
    )
    second = Round(
        broadcast=Shape.of(
            echo=HASH_BYTES, nonce_point=points, salt=HASH_BYTES, key_point=points
        ),
        direct=Shape.of(
            echo=HASH_BYTES, salt=HASH_BYTES, masked=ROW_SCALARS * SCALAR_BYTES * rows,
            eta=scalars, mu=2 * HASH_BYTES, gamma_u=points, gamma_v=points, psi=scalars,
        ),
    )
    third = Round(broadcast=Shape.of(echo=HASH_BYTES, u=scalars, w=scalars), direct=None)
    return first, second, third
