"""Values of the embedded chain, and its error type with Bitcoin Core's RPC codes."""

from __future__ import annotations

from enum import IntEnum

from attrs import define, field, frozen
from btclib.tx import Tx

from metanode.errors import MetanodeError

Ref = tuple[bytes, int]  # (transaction id in display order, output index): the key of a coin

DEVNET_HRP = "bcrt"  # of the embedded chain, unless it is told to follow another family
COIN = 100_000_000  # base units per coin
REPLACEABLE_BELOW = 0xFFFFFFFE  # a sequence below this opts in to replacement (BIP125)


class RpcCode(IntEnum):
    """The error codes of Bitcoin Core's JSON-RPC (rpc/protocol.h) that this chain answers with."""

    TYPE_ERROR = -3
    INVALID_ADDRESS_OR_KEY = -5
    INSUFFICIENT_FUNDS = -6
    INVALID_PARAMETER = -8
    DESERIALIZATION_ERROR = -22
    VERIFY_ERROR = -25
    VERIFY_REJECTED = -26
    ALREADY_IN_UTXO_SET = -27
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    PARSE_ERROR = -32700


class DevnetError(MetanodeError):
    """A request that the embedded chain refuses: a code of Bitcoin Core and a message."""

    def __init__(self, code: RpcCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def rejected(reason: str, detail: str = "") -> DevnetError:
    """Return a refusal of a transaction as ``sendrawtransaction`` words it: -26, reason, detail."""
    return DevnetError(RpcCode.VERIFY_REJECTED, f"{reason}, {detail}" if detail else reason)


@frozen(eq=False)
class ChainTransaction:
    """A parsed transaction with the values that btclib would compute again at every access."""

    tx: Tx = field(repr=False)
    txid: bytes
    raw: bytes = field(repr=False)
    vsize: int

    @classmethod
    def of(cls, tx: Tx) -> ChainTransaction:
        """Wrap a transaction that nobody will edit any more."""
        raw = tx.serialize(include_witness=True, check_validity=False)
        return cls(tx, tx.id, raw, tx.vsize)

    def spent(self) -> list[Ref]:
        """Return the coins that the inputs name (a coinbase names the null coin)."""
        return [(i.prev_out.tx_id, i.prev_out.vout) for i in self.tx.vin]

    def replaceable(self) -> bool:
        """Tell whether an input opts in to replacement (BIP125)."""
        return any(i.sequence < REPLACEABLE_BELOW for i in self.tx.vin)


@frozen(eq=False)
class UnspentCoin:
    """An unspent output; ``height`` is None while its transaction is in the mempool."""

    amount: int
    script: bytes
    height: int | None
    coinbase: bool


@define(eq=False)
class BlockNode:
    """A block in the tree of all blocks; ``undo`` are the coins that it spent, while it is active.

    Only the bytes are kept: parsed blocks of a chain that grows every second would fill the memory.
    """

    hash: bytes
    height: int
    parent: BlockNode | None = field(repr=False)
    time: int
    median_time: int
    raw: bytes = field(repr=False)
    transaction_count: int
    fee_rates: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    total_weight: int = 0
    invalid: bool = False
    undo: list[tuple[Ref, UnspentCoin]] = field(factory=list, repr=False)
