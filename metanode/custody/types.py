"""Coins, deposits and blocks as custody sees them: frozen values, amounts in base units (satoshi).

Transaction and block ids are 32 bytes in display order, the order that explorers and RPC print.
"""

from __future__ import annotations

import re
from typing import Any

from attrs import Attribute, field, frozen
from attrs.validators import deep_iterable, ge, instance_of, le, optional

ID_BYTES = 32
NODE_ID_BYTES = 33
MAX_MONEY = 84_000_000 * 100_000_000  # the highest consensus bound on an amount: Litecoin's
MAX_OUTPUT_INDEX = 0xFFFFFFFF
_TXID = re.compile(r"[0-9a-f]{64}")


def exact_bytes(length: int) -> Any:
    """Return an attrs validator: ``bytes`` of exactly ``length``."""

    def validate(_instance: object, attribute: Attribute[bytes], value: object) -> None:
        if type(value) is not bytes or len(value) != length:
            raise ValueError(f"{attribute.name} must be {length} bytes")

    return validate


def whole(minimum: int, maximum: int) -> Any:
    """Return an attrs validator: an ``int`` (no ``bool``) within the closed range."""

    def validate(_instance: object, attribute: Attribute[int], value: object) -> None:
        if type(value) is not int or not minimum <= value <= maximum:
            raise ValueError(f"{attribute.name} must be a whole number {minimum}..{maximum}")

    return validate


@frozen(order=True)
class Outpoint:
    """One output of one transaction: 32-byte id in display order, and the output's index."""

    txid: bytes = field(validator=exact_bytes(ID_BYTES))
    index: int = field(validator=whole(0, MAX_OUTPUT_INDEX))

    @classmethod
    def parse(cls, text: str) -> Outpoint:
        """Read ``txid:index`` as an operator writes it; ValueError when it is something else."""
        txid, _, index = text.partition(":")
        if not _TXID.fullmatch(txid) or not (index.isascii() and index.isdigit()):
            raise ValueError(f"{text!r} is not txid:index (64 lower-case hex digits, a number)")
        return cls(bytes.fromhex(txid), int(index))

    def encode(self) -> bytes:
        """Return 36 bytes, id then 4-byte big-endian index: the form that is hashed."""
        return self.txid + self.index.to_bytes(4, "big")

    def __str__(self) -> str:
        return f"{self.txid.hex()}:{self.index}"


@frozen
class Deposit:
    """A confirmed output that somebody else paid to the custody script.

    ``position`` is the transaction's place in its block; ``memo`` the payload of its OP_RETURN
    output; ``refund_script`` the script that its first input spent (where money goes back to), if
    known. New coins may be spent only in the block at height ``matures`` or later.
    """

    outpoint: Outpoint
    amount: int = field(validator=whole(0, MAX_MONEY))
    height: int = field(validator=[instance_of(int), ge(0)])
    block_hash: bytes = field(validator=exact_bytes(ID_BYTES))
    position: int = field(validator=[instance_of(int), ge(0)])
    memo: bytes | None = field(validator=optional(instance_of(bytes)))
    refund_script: bytes | None = field(validator=optional(instance_of(bytes)))
    matures: int = field(default=0, validator=[instance_of(int), ge(0)])

    @property
    def order(self) -> tuple[int, int, int]:
        """Return the sort key that is the same on every node: height, place in the block, index."""
        return (self.height, self.position, self.outpoint.index)


@frozen
class Coin:
    """A confirmed output that a payout of ours paid back to the custody script (change)."""

    outpoint: Outpoint
    amount: int = field(validator=whole(0, MAX_MONEY))
    height: int = field(validator=[instance_of(int), ge(0)])


@frozen
class Spend:
    """The transaction ``txid`` spent the custody coin ``outpoint``."""

    outpoint: Outpoint
    txid: bytes = field(validator=exact_bytes(ID_BYTES))


@frozen
class BlockSummary:
    """Everything of one block that custody needs.

    ``fee_rate`` is the median fee rate of the block's transactions in sat/vB, 0 when it has none;
    ``time`` is that of its header (unix seconds), ``stakes`` are followed stakes that it spent.
    """

    height: int = field(validator=[instance_of(int), ge(0)])
    hash: bytes = field(validator=exact_bytes(ID_BYTES))
    parent: bytes = field(validator=exact_bytes(ID_BYTES))
    fee_rate: int = field(validator=[instance_of(int), ge(0), le(MAX_MONEY)])
    deposits: tuple[Deposit, ...] = field(validator=deep_iterable(instance_of(Deposit)))
    change: tuple[Coin, ...] = field(validator=deep_iterable(instance_of(Coin)))
    spends: tuple[Spend, ...] = field(validator=deep_iterable(instance_of(Spend)))
    time: int = field(default=0, validator=[instance_of(int), ge(0)])
    stakes: tuple[Outpoint, ...] = field(
        default=(), validator=deep_iterable(instance_of(Outpoint))
    )

    @property
    def coins(self) -> tuple[Deposit | Coin, ...]:
        """Return every custody coin that the block made: deposits, then change."""
        return (*self.deposits, *self.change)


@frozen
class Snapshot:
    """The custody coins as of one block: the same on every node that has this block.

    ``deposits`` are unspent at that height, may be spent in the next block, and are ordered by
    (height, position, index); ``change`` by
    (height, outpoint); ``fee_rate`` in sat/vB, bounded by the policy on both sides.
    """

    height: int
    hash: bytes
    deposits: tuple[Deposit, ...]
    change: tuple[Coin, ...]
    fee_rate: int
