"""What goes over the wire: messages and the exact shape of their payloads.

A payload is a CBOR map from text keys to byte strings, canonical (RFC 8949, 4.2.1), with a fixed
set of keys and a fixed length for each value. Its encoding is therefore a template: decoding
compares the bytes between the values with the template, so there is no parser to attack, and one
value has one encoding.
"""

from __future__ import annotations

from collections.abc import Mapping

import cbor2
from attrs import field, frozen

from metanode.errors import check
from metanode.tss.parameters import (
    BASE_OTS,
    CHECK_BYTES,
    GGM_DIGEST_BYTES,
    HASH_BYTES,
    POINT_BYTES,
    PROOF_BYTES,
    ROW_SCALARS,
    SCALAR_BYTES,
    SEED_BYTES,
    TREE_DEPTH,
    TREES,
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
        heads = []
        for position, (name, length) in enumerate(self.fields):
            start = _head(0xA0, len(self.fields)) if position == 0 else b""
            heads.append(start + cbor2.dumps(name) + _head(0x40, length))
        total = sum(map(len, heads)) + sum(length for _, length in self.fields)
        object.__setattr__(self, "_heads", tuple(heads))
        object.__setattr__(self, "encoded_bytes", total)

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


def _head(major: int, length: int) -> bytes:
    """Return the shortest CBOR head of a byte string or map (RFC 8949, 3)."""
    if length < 24:
        return bytes((major | length,))
    if length < 1 << 8:
        return bytes((major | 24, length))
    if length < 1 << 16:
        return bytes((major | 25,)) + length.to_bytes(2, "big")
    return bytes((major | 26,)) + length.to_bytes(4, "big")


@frozen
class Round:
    """What each other party sends in one round: a broadcast, a message to each recipient, or
    both.
    """

    broadcast: Shape | None
    direct: Shape | None


def keygen_rounds(threshold: int) -> tuple[Round, ...]:
    """Return the four rounds of key generation."""
    first = Round(
        broadcast=Shape.of(
            sid=HASH_BYTES, commitment=HASH_BYTES, chain_commitment=HASH_BYTES
        ),
        direct=None,
    )
    second = Round(
        broadcast=Shape.of(
            echo=HASH_BYTES,
            coefficients=POINT_BYTES * threshold,
            salt=HASH_BYTES,
            proofs=PROOF_BYTES * threshold,
        ),
        direct=Shape.of(
            echo=HASH_BYTES,
            zero_commitment=HASH_BYTES,
            ot_points=2 * POINT_BYTES * BASE_OTS,
        ),
    )
    third = Round(
        broadcast=None,
        direct=Shape.of(
            echo=HASH_BYTES,
            ot_key=POINT_BYTES,
            ggm_corrections=2 * SEED_BYTES * TREES * (TREE_DEPTH - 1),
            ggm_proof=2 * GGM_DIGEST_BYTES * TREES,
            zero_seed=SEED_BYTES,
            zero_salt=HASH_BYTES,
            share=SCALAR_BYTES,
            chain_code=HASH_BYTES,
            chain_salt=HASH_BYTES,
        ),
    )
    fourth = Round(
        broadcast=Shape.of(echo=HASH_BYTES, public_share=POINT_BYTES, proof=PROOF_BYTES),
        direct=None,
    )
    return first, second, third, fourth


def sign_rounds(parameters: Parameters) -> tuple[Round, ...]:
    """Return the three rounds of signing."""
    first = Round(
        broadcast=Shape.of(commitment=HASH_BYTES),
        direct=Shape.of(
            salt=HASH_BYTES,
            columns=TREES * parameters.column_bytes,
            x_check=CHECK_BYTES,
            t_check=BASE_OTS * CHECK_BYTES,
        ),
    )
    second = Round(
        broadcast=Shape.of(
            echo=HASH_BYTES, nonce_point=POINT_BYTES, salt=HASH_BYTES, key_point=POINT_BYTES
        ),
        direct=Shape.of(
            echo=HASH_BYTES,
            salt=HASH_BYTES,
            masked=ROW_SCALARS * SCALAR_BYTES * parameters.choice_bits,
            eta=SCALAR_BYTES,
            mu=2 * HASH_BYTES,
            gamma_u=POINT_BYTES,
            gamma_v=POINT_BYTES,
            psi=SCALAR_BYTES,
        ),
    )
    third = Round(
        broadcast=Shape.of(echo=HASH_BYTES, u=SCALAR_BYTES, w=SCALAR_BYTES), direct=None
    )
    return first, second, third
