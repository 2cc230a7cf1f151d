"""The sign document: everything that the members agree on before they sign, in one canonical form.

A document holds one payout at several fees, its *versions*: transactions with the same coins and
payments, of which the chain takes at most one. Each commits to the document in an output of its
own, so that the custody's signature binds all of it.

A document from a peer is only ever a claim: a node votes for one that it has built itself, and
takes one from elsewhere when a certificate or the custody's signatures prove that others did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

import attrs
import cbor2
from attrs import field, frozen

from metanode.custody.scripts import address_of, data_script, key_script
from metanode.custody.transaction import UnsignedTransaction
from metanode.custody.types import ID_BYTES, MAX_MONEY, NODE_ID_BYTES, Outpoint
from metanode.errors import Malformed, check
from metanode.hashing import tagged_hash

FORMAT_VERSION = 2
MAX_DOCUMENT_BYTES = 65_536  # the largest payout that the policy allows has less than that
MAX_NAME_CHARACTERS = 32
MAX_NUMBER = 2**32 - 1  # no height or epoch comes near
MAX_VERSIONS = 8

_TERMS: tuple[tuple[str, type], ...] = (
    ("format", int), ("network_id", bytes), ("chain", str), ("key_id", bytes), ("key_epoch", int),
    ("public_key", bytes), ("roster_checksum", bytes), ("cutoff_height", int),
    ("cutoff_hash", bytes), ("window", int), ("part", int), ("fee_rate", int), ("transfers", list),
)
_SHAPE = (*_TERMS, ("input_amounts", list), ("versions", list))


@frozen(kw_only=True)
class PayoutTerms:
    """What a payout is about, without its transactions.

    ``transfers`` are the deposits that it settles, in order, all of one ``window`` of blocks, of
    whose payouts it is the one with number ``part``. ``fee_rate`` is that of the first version, in
    sat/vB, agreed at the block ``cutoff_height``.
    """

    network_id: bytes
    chain: str
    key_id: bytes
    key_epoch: int
    public_key: bytes
    roster_checksum: bytes
    cutoff_height: int
    cutoff_hash: bytes
    window: int
    part: int
    fee_rate: int
    transfers: tuple[Outpoint, ...]

    @cached_property
    def event(self) -> bytes:
        """The event of the payout: 32 bytes."""
        return payout_event(self.network_id, self.key_id, self.window, self.part)

    @cached_property
    def commitment(self) -> bytes:
        """What each version carries in its OP_RETURN output: 32 bytes."""
        return tagged_hash("payout-terms", cbor2.dumps(self.values(), canonical=True))

    def values(self) -> list[Any]:
        """Return the terms in the order and the form in which they are encoded."""
        built = {
            "format": FORMAT_VERSION,
            "transfers": [[outpoint.txid, outpoint.index] for outpoint in self.transfers],
        }
        return [built[n] if n in built else getattr(self, n) for n, _ in _TERMS]


@frozen(kw_only=True)
class PayoutDocument(PayoutTerms):
    """One payout as it is agreed on; the first version is the cheapest."""

    versions: tuple[UnsignedTransaction, ...] = field(repr=False)

    def encode(self) -> bytes:
        """Return canonical CBOR (RFC 8949, 4.2.3): an array in the order of ``_SHAPE``."""
        return self._encoded

    @cached_property
    def _encoded(self) -> bytes:
        amounts = [spent.amount for spent in self.transaction.inputs]
        versions = [version.serialize() for version in self.versions]
        return cbor2.dumps([*self.values(), amounts, versions], canonical=True)

    @cached_property
    def digest(self) -> bytes:
        """The 32-byte digest of the document: what votes and locks name."""
        return document_digest(self.encode())

    @property
    def transaction(self) -> UnsignedTransaction:
        """The cheapest version."""
        return self.versions[0]

    @cached_property
    def inputs(self) -> tuple[Outpoint, ...]:
        """The coins that every version spends."""
        return tuple(spent.outpoint for spent in self.transaction.inputs)

    @cached_property
    def txids(self) -> tuple[bytes, ...]:
        """The ids that the signed versions will have, in display order, the cheapest first."""
        return tuple(version.txid for version in self.versions)

    def sighashes(self) -> tuple[bytes, ...]:
        """Return what the key signs: one BIP143 digest (32 bytes) per input, version by version."""
        return self._sighashes

    @cached_property
    def _sighashes(self) -> tuple[bytes, ...]:
        return tuple(
            digest for version in self.versions for digest in version.sighashes(self.public_key)
        )


@frozen
class SignedVersion:
    """A transaction that is ready to be broadcast: its bytes and its id (display order)."""

    raw: bytes
    txid: bytes


def document_digest(encoded: bytes) -> bytes:
    """Return the 32-byte digest of an encoded document."""
    return tagged_hash("sign-document", encoded)


@lru_cache(maxsize=16)
def decode_document(encoded: bytes) -> PayoutDocument:
    """Read a document.

    Raises :class:`Malformed` for bytes that are too long, not canonical CBOR or of another shape,
    and for one whose versions do not spend each deposit that it settles, differ in more than their
    last output, or do not commit to it. That its payments are right is not known of that.
    The last ones are kept: each peer shows the same document with its lock.
    """
    if len(encoded) > MAX_DOCUMENT_BYTES:
        raise Malformed(f"a sign document has at most {MAX_DOCUMENT_BYTES} bytes")
    fields = _decoded_fields(encoded)
    _check_terms(fields)
    transfers = tuple(_outpoint(entry) for entry in fields["transfers"])
    if not transfers or len(set(transfers)) != len(transfers):
        raise Malformed("sign document: transfers must be present and distinct")
    versions = _versions(fields)
    asked = {attribute.name: fields[attribute.name] for attribute in attrs.fields(PayoutTerms)}
    document = PayoutDocument(**{**asked, "transfers": transfers}, versions=versions)
    if not set(transfers) <= set(document.inputs):
        raise Malformed("sign document: a deposit that it settles is not spent")
    _check_versions(document)
    return document


def attach(
    document: PayoutDocument, signatures: Sequence[tuple[int, int]], public_key: bytes
) -> tuple[SignedVersion, ...]:
    """Put the signatures (r, s) into the versions: one per input, version by version.

    s is brought to its low form and every signature is verified first. Raises :class:`BadSignature`
    when one is wrong or missing, :class:`LocalFault` when the key is not the document's.
    """
    check(public_key == document.public_key, "the document was built for another key")
    count = len(document.inputs)
    parts = [signatures[i * count : (i + 1) * count] for i in range(len(document.versions))]
    if len(signatures) > count * len(parts):
        parts[-1] = signatures[(len(parts) - 1) * count :]  # too many: refused as such
    return tuple(
        SignedVersion(version.sign(public_key, part), version.txid)
        for version, part in zip(document.versions, parts, strict=True)
    )


def payout_event(network_id: bytes, key_id: bytes, window: int, part: int) -> bytes:
    """Return the event id (32 bytes) of one of the payouts of a window of blocks.

    A deposit lies in one window, and the parts of a window are signed one after the other, each
    without the deposits of those before (F-40).
    """
    number = window.to_bytes(8, "big") + part.to_bytes(8, "big")
    return tagged_hash("payout-event", network_id, key_id, number)


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
    if not canonical or type(values) is not list or len(values) != len(_SHAPE):
        raise Malformed("sign document: not canonical, or another shape")
    for value, (name, kind) in zip(values, _SHAPE, strict=True):
        if type(value) is not kind:
            raise Malformed(f"sign document: {name} is not of type {kind.__name__}")
    return {name: value for value, (name, _) in zip(values, _SHAPE, strict=True)}


def _check_terms(fields: Mapping[str, Any]) -> None:
    if fields["format"] != FORMAT_VERSION:
        raise Malformed(f"sign document of format {fields['format']!r}, not {FORMAT_VERSION}")
    for name, length in (
        ("network_id", ID_BYTES), ("key_id", ID_BYTES), ("roster_checksum", ID_BYTES),
        ("cutoff_hash", ID_BYTES), ("public_key", NODE_ID_BYTES),
    ):
        if len(fields[name]) != length:
            raise Malformed(f"sign document: {name} must have {length} bytes")
    if not 0 < len(fields["chain"]) <= MAX_NAME_CHARACTERS:
        raise Malformed(f"sign document: a chain's name has 1..{MAX_NAME_CHARACTERS} characters")
    numbers = ("cutoff_height", "key_epoch", "window", "part", "fee_rate")
    if not all(0 <= fields[name] <= MAX_NUMBER for name in numbers):
        raise Malformed(f"sign document: a number is out of range: {', '.join(numbers)}")
    amounts = fields["input_amounts"]
    if not amounts or not all(type(a) is int and 0 <= a <= MAX_MONEY for a in amounts):
        raise Malformed("sign document: input amounts must be present and in range")


def _versions(fields: Mapping[str, Any]) -> tuple[UnsignedTransaction, ...]:
    stripped = fields["versions"]
    if not 0 < len(stripped) <= MAX_VERSIONS or any(type(each) is not bytes for each in stripped):
        raise Malformed(f"sign document: there must be 1..{MAX_VERSIONS} versions")
    try:
        return tuple(UnsignedTransaction.parse(each, fields["input_amounts"]) for each in stripped)
    except ValueError as fault:
        raise Malformed(f"sign document: {fault}") from fault


def _check_versions(document: PayoutDocument) -> None:
    first, commitment = document.transaction, data_script(document.commitment)
    place = next((i for i, o in enumerate(first.outputs) if o.script == commitment), None)
    if place is None:
        raise Malformed("sign document: a version does not commit to it")
    if len(set(document.inputs)) != len(document.inputs) or len(set(document.txids)) != len(
        document.versions
    ):
        raise Malformed("sign document: an input or a version stands twice")
    home = key_script(document.public_key)
    for version in document.versions:
        change = version.outputs[place + 1 :]
        if (
            version.inputs != first.inputs
            or version.outputs[: place + 1] != first.outputs[: place + 1]
            or version.locktime != document.cutoff_height
            or len(change) > 1
            or any(output.script != home for output in change)
        ):
            raise Malformed("sign document: its versions differ in more than their change")


def _outpoint(entry: object) -> Outpoint:
    if type(entry) is not list or len(entry) != 2:
        raise Malformed("sign document: a transfer is [id, index]")
    try:
        return Outpoint(entry[0], entry[1])
    except ValueError as fault:
        raise Malformed(f"sign document: {fault}") from fault
