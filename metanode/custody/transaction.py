"""Version-2 P2WPKH transactions: serialisation, BIP143 digests, virtual size, DER signatures.

``btclib`` writes the bytes and the digests; this module fixes what may vary (version, sequence,
SIGHASH_ALL), so that no two nodes can build the same payout differently.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen
from btclib.exceptions import BTClibException
from btclib.hashes import hash160
from btclib.script.sig_hash import PrecomputedTxData, segwit_v0
from btclib.script.witness import Witness
from btclib.tx import OutPoint, Tx, TxIn, TxOut
from coincurve import PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from metanode.custody.errors import BadSignature
from metanode.custody.scripts import key_script
from metanode.custody.types import Outpoint
from metanode.errors import check

VERSION = 2
SEQUENCE = (
    0xFFFFFFFD  # opts in to replacement (BIP125): a stuck payout is sent again with a higher fee
)
SIGHASH_ALL = 1
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

_STRIPPED_INPUT_BYTES = 36 + 1 + 4  # outpoint, empty scriptSig, sequence
# Items, signature of 72 bytes (the longest with low s) and key of 33, each with its length.
_WITNESS_BYTES = 1 + (1 + 72) + (1 + 33)
_SEGWIT_MARKER_BYTES = 2


@frozen
class Input:
    """A custody coin to spend and its amount, which BIP143 signs."""

    outpoint: Outpoint
    amount: int


@frozen
class Output:
    """A payment: amount in base units, and the locking script."""

    amount: int
    script: bytes


@frozen
class UnsignedTransaction:
    """Inputs and outputs in their final order; every input is a P2WPKH coin of one key.

    No block up to height ``locktime`` takes it.
    """

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    locktime: int = 0

    @classmethod
    def parse(cls, stripped: bytes, amounts: Sequence[int]) -> UnsignedTransaction:
        """Read what :meth:`serialize` wrote, with the amounts of the inputs.

        Raises ``ValueError`` for anything that :meth:`serialize` would not write.
        """
        try:
            parsed = Tx.parse(stripped)
            inputs = tuple(
                Input(Outpoint(i.prev_out.tx_id, i.prev_out.vout), amount)
                for i, amount in zip(parsed.vin, amounts, strict=True)
            )
            outputs = tuple(Output(o.value, o.script_pub_key.script) for o in parsed.vout)
        except (BTClibException, ValueError, IndexError, OverflowError) as fault:
            raise ValueError(f"not a transaction: {fault}") from fault
        read = cls(inputs, outputs, parsed.lock_time)
        if not inputs or read.serialize() != stripped:
            raise ValueError("not a transaction of ours")
        return read

    @property
    def fee(self) -> int:
        """Return the mining fee: inputs less outputs."""
        return sum(i.amount for i in self.inputs) - sum(o.amount for o in self.outputs)

    @property
    def txid(self) -> bytes:
        """Return the id in display order; signatures do not change it (BIP141)."""
        return self._transaction().id

    def serialize(self) -> bytes:
        """Return the bytes without witnesses."""
        return self._transaction().serialize(include_witness=False, check_validity=False)

    def sighashes(self, public_key: bytes) -> tuple[bytes, ...]:
        """Return the BIP143 digest (32 bytes) of each input, for SIGHASH_ALL."""
        transaction = self._transaction()
        script = key_script(public_key)
        spent = [TxOut(i.amount, script, check_validity=False) for i in self.inputs]
        shared = PrecomputedTxData(transaction, spent)
        code = (
            b"\x76\xa9\x14" + hash160(public_key) + b"\x88\xac"
        )  # BIP143: the script code of P2WPKH
        return tuple(
            segwit_v0(code, transaction, position, SIGHASH_ALL, spending.amount, shared)
            for position, spending in enumerate(self.inputs)
        )

    def sign(self, public_key: bytes, signatures: Sequence[tuple[int, int]]) -> bytes:
        """Return the signed bytes; ``signatures`` are (r, s), one per input in order.

        s is brought to its low form. Raises :class:`BadSignature` when the count is wrong or one
        does not verify with libsecp256k1.
        """
        if len(signatures) != len(self.inputs):
            raise BadSignature(f"{len(signatures)} signatures for {len(self.inputs)} inputs")
        key = PublicKey(public_key)
        transaction = self._transaction()
        for position, digest in enumerate(self.sighashes(public_key)):
            der = der_signature(*signatures[position], position)
            if not key.verify(der, digest, hasher=None):
                raise BadSignature(f"the signature of input {position} does not verify", position)
            witness = Witness([der + bytes([SIGHASH_ALL]), public_key])
            transaction.vin[position].script_witness = witness
        return transaction.serialize(include_witness=True)

    def _transaction(self) -> Tx:
        return Tx(
            VERSION,
            self.locktime,
            [TxIn(OutPoint(i.outpoint.txid, i.outpoint.index), b"", SEQUENCE) for i in self.inputs],
            [TxOut(o.amount, o.script, check_validity=False) for o in self.outputs],
            check_validity=False,
        )


def virtual_size(input_count: int, output_scripts: Sequence[bytes]) -> int:
    """Return the size in vB of a transaction of P2WPKH inputs, with signatures of 72 bytes.

    Real signatures are at most that long, so the rate that a fee was set for is never undercut.
    """
    outputs = sum(8 + _count_bytes(len(script)) + len(script) for script in output_scripts)
    stripped = 4 + _count_bytes(input_count) + _STRIPPED_INPUT_BYTES * input_count
    stripped += _count_bytes(len(output_scripts)) + outputs + 4
    weight = 4 * stripped + _SEGWIT_MARKER_BYTES + _WITNESS_BYTES * input_count
    return -(-weight // 4)


def der_signature(r: int, s: int, position: int | None = None) -> bytes:
    """Return the strict DER form (BIP66) of (r, s) with s brought to its low form (BIP62).

    Raises :class:`BadSignature` when r or s is not in 1..order-1.
    """
    if not (0 < r < CURVE_ORDER and 0 < s < CURVE_ORDER):
        raise BadSignature("r or s is outside of 1..order-1", position)
    return encode_dss_signature(r, min(s, CURVE_ORDER - s))


def input_outpoints(stripped: bytes) -> tuple[Outpoint, ...]:
    """Return what a serialised transaction spends; raises ``ValueError`` if malformed."""
    try:
        parsed = Tx.parse(stripped)
    except BTClibException as fault:
        raise ValueError(f"not a transaction: {fault}") from fault
    return tuple(Outpoint(i.prev_out.tx_id, i.prev_out.vout) for i in parsed.vin)


def _count_bytes(count: int) -> int:
    check(0 <= count <= 0xFFFF, "a payout has fewer than 65536 parts")
    return 1 if count < 0xFD else 3
