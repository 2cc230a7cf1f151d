"""Sign documents from hostile peers, and signatures that are not the key's."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from attrs import evolve
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
@pytest.mark.parametrize("value", [None, True, -1, 1.5, "text", b"", [], {}, [[b"", 0]], 2**80, 0])
def test_wrong_types_are_malformed(position: int, value: Any) -> None:
    """Catches a field of another type that is accepted or crashes the receiver; or one of the right
    type that is not what the transactions commit to.
    """
    if value == FIELDS[position]:
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
    """Catches a part of the document that is neither checked nor signed: what is read from a bent
    one has other transactions, so no signature of the custody is for it.
    """
    bent = bytearray(GOOD)
    bent[position] ^= change
    try:
        read = decode_document(bytes(bent))
    except Malformed:
        return
    assert not set(read.sighashes()) & set(document().sighashes())


@pytest.mark.parametrize("kind", ["payment", "change", "order", "locktime", "none", "same", "many"])
def test_versions_that_differ_in_more_than_their_change_are_malformed(kind: str) -> None:
    """Catches a second version that pays somebody else, and so would be signed with the first."""
    good = document()
    first, second = good.versions[:2]
    paid, home = second.outputs[0], second.outputs[-1]
    bent = {
        "payment": evolve(second, outputs=(evolve(paid, amount=1), *second.outputs[1:])),
        "change": evolve(second, outputs=(*second.outputs[:-1], evolve(home, script=paid.script))),
        "order": evolve(second, inputs=second.inputs[::-1]),
        "locktime": evolve(second, locktime=0),
        "none": evolve(second, outputs=second.outputs[:1]),
        "same": first,
        "many": evolve(second, outputs=(*second.outputs, home)),
    }[kind]
    with pytest.raises(Malformed):
        decode_document(evolve(good, versions=(first, bent)).encode())


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
        decode_document(with_field(12, transfers))


def test_attach_refuses_every_wrong_signature() -> None:
    """Catches a payout that is broadcast, and so shown to the world, with a bad signature."""
    paid = document()
    good = signatures_of(paid)
    r, s = good[1]
    wrong = [
        good[:2],
        [*good, good[0]],
        [],
        [good[1], good[0], *good[2:]],
        [*good[3:], *good[:3]],  # those of one version for another
        *(
            [good[0], pair, *good[2:]]
            for pair in (
                (r, s + 1 if s + 1 < CURVE_ORDER else 1), (r, 0), (0, s), (r, CURVE_ORDER),
                (2**256 + r, s), (s, r),
            )
        ),
        signatures_of(paid, key_of("thief")),
    ]
    for signatures in wrong:
        with pytest.raises(BadSignature):
            attach(paid, signatures, CUSTODY)
    with pytest.raises(LocalFault):
        attach(paid, good, public("thief"))
    assert tuple(version.txid for version in attach(paid, good, CUSTODY)) == paid.txids


def test_high_s_from_a_signer_is_normalised_not_spread() -> None:
    """Catches malleability: both forms of a signature must give the same bytes."""
    paid = document()
    good = signatures_of(paid)
    high = [(r, CURVE_ORDER - s) for r, s in good]
    assert attach(paid, high, CUSTODY) == attach(paid, good, CUSTODY)
