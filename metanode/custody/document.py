"""The sign document: everything that the members agree on before they sign, in one canonical form.

A document from a peer is only ever a *request*: it names the block and the transfers, the receiver
builds its own document from its own ledger, and signs only when the bytes are equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import attrs
import cbor2
from attrs import field, frozen

from metanode.custody.scripts import address_of, key_script
from metanode.custody.transaction import UnsignedTransaction
from metanode.custody.types import ID_BYTES, MAX_MONEY, NODE_ID_BYTES, Outpoint
from metanode.errors import Malformed, check
from metanode.hashing import tagged_hash

FORMAT_VERSION = 1
MAX_DOCUMENT_BYTES = 65_536  # the largest payout that the policy allows has less than half of that
MAX_NAME_CHARACTERS = 32
MAX_NUMBER = 2**32 - 1  # no height or epoch comes near

_REQUEST_TYPES: tuple[tuple[str, type], ...] = (
    ("format", int), ("network_id", bytes), ("chain", str), ("key_id", bytes), ("key_epoch", int),
    ("public_key", bytes), ("event", bytes), ("roster_checksum", bytes), ("cutoff_height", int),
    ("cutoff_hash", bytes), ("transfers", list), ("transaction", bytes), ("input_amounts", list),
)


@frozen(kw_only=True)
class PayoutRequest:
    """What a peer's document asks to be rebuilt. Nothing in it is trusted."""

    network_id: bytes
    chain: str
    key_id: bytes
    key_epoch: int
    event: bytes
    cutoff_height: int
    cutoff_hash: bytes
    transfers: tuple[Outpoint, ...]


@frozen(kw_only=True)
class PayoutDocument(PayoutRequest):
    """One payout as it is agreed on; ``transfers`` are the deposits that it settles, in order."""

    public_key: bytes
    roster_checksum: bytes
    transaction: UnsignedTransaction = field(repr=False)

    def encode(self) -> bytes:
        """Return canonical CBOR (RFC 8949, 4.2.3): an array in the order of ``_REQUEST_TYPES``."""
        return self._encoded

    @cached_property
    def _encoded(self) -> bytes:
        built = {
            "format": FORMAT_VERSION,
            "transfers": [[outpoint.txid, outpoint.index] for outpoint in self.transfers],
            "transaction": self.transaction.serialize(),
            "input_amounts": [spent.amount for spent in self.transaction.inputs],
        }
        parts = [built[n] if n in built else getattr(self, n) for n, _ in _REQUEST_TYPES]
        return cbor2.dumps(parts, canonical=True)

    @cached_property
    def digest(self) -> bytes:
        """The 32-byte digest of the document: what votes and locks name."""
        return document_digest(self.encode())

    @property
    def txid(self) -> bytes:
        """Return the id that the signed transaction will have, in display order."""
        return self.transaction.txid

    def sighashes(self) -> tuple[bytes, ...]:
        """Return what the key signs: one BIP143 digest (32 bytes) per input, in order."""
        return self.transaction.sighashes(self.public_key)


@frozen
class SignedPayout:
    """A transaction that is ready to be broadcast: its bytes and its id (display order)."""

    raw: bytes
    txid: bytes


def document_digest(encoded: bytes) -> bytes:
    """Return the 32-byte digest of an encoded document."""
    return tagged_hash("sign-document", encoded)


def decode_document(encoded: bytes) -> PayoutRequest:
    """Read which payout a document is about.

    Raises :class:`Malformed` for bytes that are too long, not canonical CBOR or of another shape.
    The transaction inside is not looked at: the receiver builds its own and compares ``encode()``.
    """
    if len(encoded) > MAX_DOCUMENT_BYTES:
        raise Malformed(f"a sign document has at most {MAX_DOCUMENT_BYTES} bytes")
    fields = _decoded_fields(encoded)
    if fields["format"] != FORMAT_VERSION:
        raise Malformed(f"sign document of format {fields['format']!r}, not {FORMAT_VERSION}")
    for name, length in (
        ("network_id", ID_BYTES), ("key_id", ID_BYTES), ("event", ID_BYTES),
        ("roster_checksum", ID_BYTES), ("cutoff_hash", ID_BYTES), ("public_key", NODE_ID_BYTES),
    ):
        if len(fields[name]) != length:
            raise Malformed(f"sign document: {name} must have {length} bytes")
    if not 0 < len(fields["chain"]) <= MAX_NAME_CHARACTERS:
        raise Malformed(f"sign document: a chain's name has 1..{MAX_NAME_CHARACTERS} characters")
    if not all(0 <= fields[name] <= MAX_NUMBER for name in ("cutoff_height", "key_epoch")):
        raise Malformed("sign document: cut-off height or key epoch out of range")
    amounts = fields["input_amounts"]
    if not amounts or not all(type(a) is int and 0 <= a <= MAX_MONEY for a in amounts):
        raise Malformed("sign document: input amounts must be present and in range")
    transfers = tuple(_outpoint(entry) for entry in fields["transfers"])
    if not transfers or len(set(transfers)) != len(transfers):
        raise Malformed("sign document: transfers must be present and distinct")
    asked = {attribute.name: fields[attribute.name] for attribute in attrs.fields(PayoutRequest)}
    return PayoutRequest(**{**asked, "transfers": transfers})


def attach(
    document: PayoutDocument, signatures: Sequence[tuple[int, int]], public_key: bytes
) -> SignedPayout:
    """Put the signatures (r, s), one per input in order, into the payout.

    s is brought to its low form and every signature is verified first. Raises :class:`BadSignature`
    when one is wrong or missing, :class:`LocalFault` when the key is not the document's.
    """
    check(public_key == document.public_key, "the document was built for another key")
    return SignedPayout(document.transaction.sign(public_key, signatures), document.txid)


def payout_event(network_id: bytes, key_id: bytes, lead: Outpoint) -> bytes:
    """Return the event id (32 bytes) of a payout whose first transfer is ``lead``.

    The lead's outpoint is an input of every attempt of the event, so at most one can be mined.
    """
    return tagged_hash("payout-event", network_id, key_id, lead.encode())


def roster_checksum(roster: Sequence[bytes]) -> bytes:
    """Return the checksum (32 bytes) of a locked-in roster: node ids, distinct, in any order."""
    check(len(set(roster)) == len(roster), "a roster names each node once")
    return tagged_hash("roster", *sorted(roster))


def custody_script(public_key: bytes) -> bytes:
    """Return the P2WPKH script of the shared key (33 bytes, compressed)."""
    return key_script(public_key)


def custody_address(public_key: bytes, hrp: str) -> str:
    """Return the address that users deposit to, with the chain's prefix ``hrp``."""
    return address_of(key_script(public_key), hrp)


def _decoded_fields(encoded: bytes) -> dict[str, Any]:
    try:
        values = cbor2.loads(encoded)
        canonical = cbor2.dumps(values, canonical=True) == encoded
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as fault:
        raise Malformed("sign document: not CBOR") from fault
    if not canonical or type(values) is not list or len(values) != len(_REQUEST_TYPES):
        raise Malformed("sign document: not canonical, or another shape")
    for value, (name, kind) in zip(values, _REQUEST_TYPES, strict=True):
        if type(value) is not kind:
            raise Malformed(f"sign document: {name} is not of type {kind.__name__}")
    return {name: value for value, (name, _) in zip(values, _REQUEST_TYPES, strict=True)}


def _outpoint(entry: object) -> Outpoint:
    if type(entry) is not list or len(entry) != 2:
        raise Malformed("sign document: a transfer is [id, index]")
    try:
        return Outpoint(entry[0], entry[1])
    except ValueError as fault:
        raise Malformed(f"sign document: {fault}") from fault
