"""Sign documents from hostile peers, and signatures that are not the key's."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.custody.document import MAX_DOCUMENT_BYTES, PayoutDocument, attach, decode_document
from metanode.custody.errors import BadSignature
from metanode.custody.transaction import CURVE_ORDER
from metanode.errors import LocalFault, Malformed
from tests.custody.support import (
    CUSTODY,
    deposit,
    payout,
    policy,
    public,
    signatures_of,
    snapshot_of,
    transfers_of,
)
from tests.support import key_of


def document() -> PayoutDocument:
    """Return a payout of three deposits."""
    snapshot = snapshot_of([deposit(f"d{i}", height=i + 1) for i in range(3)])
    return payout(snapshot, transfers_of(snapshot, policy()), policy())


GOOD = document().encode()
FIELDS: list[Any] = cbor2.loads(GOOD)


def with_field(position: int, value: Any) -> bytes:
    """Return the document with one field replaced."""
    return cbor2.dumps([*FIELDS[:position], value, *FIELDS[position + 1 :]], canonical=True)


@pytest.mark.parametrize("position", range(len(FIELDS)))
@pytest.mark.parametrize("value", [None, True, -1, 1.5, "text", b"", [], {}, [[b"", 0]], 2**80])
def test_wrong_types_are_malformed(position: int, value: Any) -> None:
    """Catches a field of another type that is accepted or crashes the receiver."""
    if (position, value) in [(2, "text"), (11, b"")]:
        # Of the right type: that they are wrong shows when the bytes are compared.
        assert decode_document(with_field(position, value)).transfers
        return
    with pytest.raises(Malformed):
        decode_document(with_field(position, value))


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        GOOD[:-1],
        GOOD + b"\x00",
        b"\x9f" + GOOD[1:] + b"\xff",  # an array of indefinite length
        bytes([0x98, len(FIELDS)]) + GOOD[1:],  # a length in more bytes than it needs
        cbor2.dumps({"a": 1}),
        cbor2.dumps(FIELDS[:-1]),
        cbor2.dumps([*FIELDS, 0]),
        b"\x81" * 20_000,  # nested deeply
        b"\xd8\x1c" * 5000 + b"\x00",  # shared references
        b"\x9b" + b"\xff" * 8,  # an array of 2^64 items
        b"\x00" * (MAX_DOCUMENT_BYTES + 1),
    ],
)
def test_other_encodings_are_malformed(encoded: bytes) -> None:
    """Catches a second encoding of one document, or bytes that take the node down."""
    with pytest.raises(Malformed):
        decode_document(encoded)


@given(st.binary(max_size=300))
def test_any_bytes_are_malformed(data: bytes) -> None:
    """Catches an exception other than Malformed."""
    with pytest.raises(Malformed):
        decode_document(data)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_changed_byte_never_passes_for_the_document(position: int, change: int) -> None:
    """Catches a part of the document that is neither checked nor compared."""
    bent = bytearray(GOOD)
    bent[position] ^= change
    try:
        decode_document(bytes(bent))
    except Malformed:
        return
    # A request for something else: what the receiver rebuilds can never be these bytes.
    assert bytes(bent) != document().encode()


@pytest.mark.parametrize(
    "transfers",
    [
        [],
        [[bytes(32), 0], [bytes(32), 0]],
        [[bytes(31), 0]],
        [[bytes(32), -1]],
        [[bytes(32), 2**32]],
        [[bytes(32), True]],
        [[bytes(32)]],
        [[bytes(32), 0, 0]],
        [bytes(32)],
        [["0" * 32, 0]],
    ],
)
def test_bad_transfers_are_malformed(transfers: list[Any]) -> None:
    """Catches a transfer that is named twice, or is no outpoint."""
    with pytest.raises(Malformed):
        decode_document(with_field(10, transfers))


def test_attach_refuses_every_wrong_signature() -> None:
    """Catches a payout that is broadcast, and so shown to the world, with a bad signature."""
    paid = document()
    good = signatures_of(paid)
    r, s = good[1]
    wrong = [
        good[:2],
        [*good, good[0]],
        [],
        [good[1], good[0], good[2]],
        [good[0], (r, s + 1 if s + 1 < CURVE_ORDER else 1), good[2]],
        [good[0], (r, 0), good[2]],
        [good[0], (0, s), good[2]],
        [good[0], (r, CURVE_ORDER), good[2]],
        [good[0], (2**256 + r, s), good[2]],
        [good[0], (s, r), good[2]],
        signatures_of(paid, key_of("thief")),
    ]
    for signatures in wrong:
        with pytest.raises(BadSignature):
            attach(paid, signatures, CUSTODY)
    with pytest.raises(LocalFault):
        attach(paid, good, public("thief"))
    assert attach(paid, good, CUSTODY).txid == paid.txid


def test_high_s_from_a_signer_is_normalised_not_spread() -> None:
    """Catches malleability: both forms of a signature must give the same bytes."""
    paid = document()
    good = signatures_of(paid)
    high = [(r, CURVE_ORDER - s) for r, s in good]
    assert attach(paid, high, CUSTODY) == attach(paid, good, CUSTODY)
