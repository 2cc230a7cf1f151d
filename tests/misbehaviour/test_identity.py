"""Bytes that are no signature, no key, or a second form of one, are quietly refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.identity import Identity, verify

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
FIELD = 2**256 - 2**32 - 977
IDENTITY = Identity.from_secret(42)
SIGNATURE = IDENTITY.sign("t", b"m")
R, S = SIGNATURE[:32], SIGNATURE[32:]


def number(value: int) -> bytes:
    """Return 32 bytes big-endian."""
    return value.to_bytes(32, "big")


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        SIGNATURE[:-1],
        SIGNATURE + b"\0",
        bytes(64),
        R + bytes(32),
        bytes(32) + S,
        R + number(ORDER - int.from_bytes(S, "big")),
        R + number(ORDER),
        number(ORDER) + S,
        number(int.from_bytes(R, "big") ^ 1) + S,
        b"\xff" * 64,
        S + R,
        bytearray(SIGNATURE),
        None,
    ],
)
def test_other_forms_of_a_signature_are_refused(signature: Any) -> None:
    """Catches malleability: high s, out of range, wrong length, swapped halves."""
    assert verify(IDENTITY.node_id, SIGNATURE, "t", b"m")
    assert not verify(IDENTITY.node_id, signature, "t", b"m")


@pytest.mark.parametrize(
    "node_id",
    [
        b"",
        IDENTITY.node_id[:-1],
        IDENTITY.node_id + b"\0",
        b"\x04" + IDENTITY.node_id[1:],
        b"\x00" + IDENTITY.node_id[1:],
        bytes(33),
        b"\x02" + number(5),
        b"\x02" + number(FIELD),
        b"\x02" + b"\xff" * 32,
        b"\x05" + IDENTITY.node_id[1:],
        None,
        5,
    ],
)
def test_what_is_no_compressed_point_is_no_node_id(node_id: Any) -> None:
    """Catches points off the curve, coordinates beyond the field and other encodings."""
    assert not verify(node_id, SIGNATURE, "t", b"m")


@given(st.integers(0, 511))
def test_one_changed_bit_breaks_a_signature(bit: int) -> None:
    """Catches a verifier that ignores part of the signature."""
    changed = (int.from_bytes(SIGNATURE, "big") ^ (1 << bit)).to_bytes(64, "big")
    assert not verify(IDENTITY.node_id, changed, "t", b"m")


@given(st.binary(min_size=33, max_size=33), st.binary(min_size=64, max_size=64))
def test_noise_never_raises(node_id: bytes, signature: bytes) -> None:
    """Catches an exception from a library on odd bytes."""
    assert not verify(node_id, signature, "t", b"m")
