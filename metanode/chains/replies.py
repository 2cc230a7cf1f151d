"""The shapes of a daemon's replies: what is not of its shape is :class:`Unavailable`, nothing else.

A reply is JSON of a foreign program, and versions and forks differ: Litecoin lists MWEB outputs
that have no locking script, and inputs that name no output. Fields that nothing here reads are
ignored; each that is read is checked for its type and bounds before anybody sees it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from types import GenericAlias
from typing import Any, NewType, TypeVar

import cattrs
from attrs import field, frozen
from cattrs.gen import make_dict_structure_fn, override

from metanode.chains.json_decimal import base_units
from metanode.custody.types import ID_BYTES, MAX_MONEY, MAX_OUTPUT_INDEX, Outpoint
from metanode.errors import Unavailable
from spec.parameters import FULL_BLOCK_WEIGHT

MAX_HEIGHT = 2**31 - 1
MAX_TIME = 2**32 - 1  # a block header's time has four bytes
MAX_SCRIPT_BYTES = 4_000_000  # no script is larger than a block
BLOCK_BYTES = range(81, 32_000_000)  # a header and something more; Litecoin's have MWEB besides

Id = NewType("Id", bytes)
"""A transaction's or block's id: 32 bytes in display order."""
Amount = NewType("Amount", int)
"""Base units, at most MAX_MONEY."""
Height = NewType("Height", int)
Time = NewType("Time", int)
"""Unix seconds."""
Count = NewType("Count", int)
Rate = NewType("Rate", int)
"""Base units per vbyte."""
Raw = NewType("Raw", bytes)
"""A serialised block."""

Shape = TypeVar("Shape")


@frozen
class Script:
    """A locking script."""

    hex: bytes = field(repr=False)


@frozen
class Output:
    """An output: ``script`` is None for one that pays no script, as MWEB's."""

    n: Count
    value: Amount
    locking: Script | None

    @property
    def script(self) -> bytes | None:
        """Return the locking script."""
        return None if self.locking is None else self.locking.hex


_OF_MWEB = Output(Count(0), Amount(0), None)


@frozen
class SpentOutput:
    """An output as an input tells it, where a daemon does so."""

    locking: Script


@frozen
class Spending:
    """An input: it names no output in a coinbase, and where MWEB coins are spent.

    ``prevout`` is the output that it spends, where a daemon tells that (``getblock`` with 3).
    """

    txid: Id | None = None
    vout: Count | None = None
    coinbase: str | None = field(default=None, repr=False)
    prevout: SpentOutput | None = None
    ismweb: bool = False

    def __attrs_post_init__(self) -> None:
        if self.coinbase is None and not self.ismweb and self.outpoint is None:
            raise ValueError("an input that names no output")

    @property
    def outpoint(self) -> Outpoint | None:
        """Return the output that is spent."""
        if self.txid is None or self.vout is None:
            return None
        return Outpoint(self.txid, self.vout)


@frozen
class Transaction:
    """A transaction; ``confirmations`` and ``blockhash`` are there when it is in a block."""

    txid: Id
    vin: list[Spending] = field(repr=False)
    vout: list[Output] = field(repr=False)
    confirmations: int = 0
    blockhash: Id | None = None

    def __attrs_post_init__(self) -> None:
        if self.confirmations > 0 and self.blockhash is None:
            raise ValueError("a confirmed transaction without its block")

    @property
    def is_coinbase(self) -> bool:
        """Return whether it makes new coins, which are spendable only at maturity."""
        return any(entry.coinbase is not None for entry in self.vin)

    @property
    def spent(self) -> list[Outpoint]:
        """Return what its inputs spend, in order."""
        return [entry.outpoint for entry in self.vin if entry.outpoint is not None]


@frozen
class Header:
    """A block's header; ``confirmations`` is -1 when it is not in the active chain."""

    hash: Id
    height: Height
    confirmations: int
    time: Time
    mediantime: Time
    previousblockhash: Id | None = None

    def __attrs_post_init__(self) -> None:
        if self.height > 0 and self.previousblockhash is None:
            raise ValueError("a block that follows none")


@frozen
class Block(Header):
    """A block with its transactions."""

    tx: list[Transaction] = field(kw_only=True, repr=False)


@frozen
class BlockStats:
    """Fee rates of a block in sat/vB: the percentiles 10, 25, 50, 75, 90 of its weight."""

    feerate_percentiles: list[Rate]
    total_weight: Count

    @property
    def price(self) -> int:
        """Return what a place in the block cost: the median fee rate, or 0 if it was not full.

        Whoever wants to move it must fill blocks. In a block with room a few transactions with odd
        fees say nothing of what others had to pay.
        """
        return self.feerate_percentiles[2] if self.total_weight >= FULL_BLOCK_WEIGHT else 0


@frozen
class MempoolInfo:
    """What a transaction must pay to be taken, in base units per 1,000 vB."""

    mempoolminfee: Amount
    minrelaytxfee: Amount

    @property
    def fee_floor(self) -> int:
        """Return that in base units per vB, rounded up."""
        return -(-max(self.mempoolminfee, self.minrelaytxfee) // 1000)


@frozen
class UnspentOutput:
    """What ``gettxout`` tells of an unspent output."""

    bestblock: Id
    confirmations: Count
    value: Amount
    locking: Script
    coinbase: bool = False


@frozen
class ScannedCoin:
    """A coin that ``scantxoutset`` has found."""

    txid: Id
    vout: Count
    amount: Amount
    height: Height


@frozen
class ScannedCoins:
    """What ``scantxoutset`` has found."""

    unspents: list[ScannedCoin]


@frozen
class ScanProgress:
    """How far a scan of ``scantxoutset`` has come, in percent."""

    progress: int


@frozen
class Index:
    """How far an index of a daemon is, of those that ``getindexinfo`` lists."""

    synced: bool
    best_block_height: Height


@frozen
class Indexes:
    """The indexes of a daemon: without ``txindex`` it finds no confirmed transaction by its id."""

    txindex: Index | None = None


@frozen
class NetworkInfo:
    """What ``getnetworkinfo`` tells: the daemon's version, as 230100 of 23.1.0."""

    version: int | None = None


@frozen
class ChainInfo:
    """What ``getblockchaininfo`` tells: the chain's name, and how far the daemon has come."""

    chain: str
    blocks: Height
    headers: Height
    bestblockhash: Id
    initialblockdownload: bool = False
    pruned: bool = False
    pruneheight: Height = Height(0)


def read(shape: type[Shape] | Any, method: str, reply: object) -> Any:
    """Return a reply in its shape; :class:`Unavailable` names the method and what is wrong."""
    try:
        return _CONVERTER.structure(reply, shape)
    except Unavailable as fault:
        raise Unavailable(f"the chain daemon answers {method} oddly: {fault}") from fault
    except KeyError as fault:
        raise Unavailable(f"the chain daemon answers {method} without {fault}") from fault
    except (TypeError, ValueError, AttributeError, ArithmeticError) as fault:
        reason = str(fault)[:200] or type(fault).__name__
        raise Unavailable(f"the chain daemon answers {method} oddly: {reason}") from fault


def _whole(most: int) -> Callable[[object, type], int]:
    def structure(value: object, _shape: type) -> int:
        if type(value) is not int or not 0 <= value <= most:
            raise ValueError(f"{str(value)[:40]!r} is no whole number of 0..{most}")
        return value

    return structure


def _exact(kind: type) -> Callable[[object, type], Any]:
    def structure(value: object, _shape: type) -> Any:
        if type(value) is not kind:
            raise ValueError(f"{str(value)[:40]!r} is no {kind.__name__}")
        return value

    return structure


def _id(value: object, _shape: type) -> Id:
    if type(value) is not str or len(value) != 2 * ID_BYTES:
        raise ValueError(f"{str(value)[:40]!r} is no id of 64 hexadecimal digits")
    return Id(bytes.fromhex(value))


def _octets(value: object, _shape: type) -> bytes:
    if type(value) is not str or len(value) > 2 * MAX_SCRIPT_BYTES:
        raise ValueError("a script that is no hexadecimal text")
    return bytes.fromhex(value)


def _raw(value: object, _shape: type) -> Raw:
    if type(value) is not str or len(value) // 2 not in BLOCK_BYTES:
        raise ValueError("a block that is no hexadecimal text")
    return Raw(bytes.fromhex(value))


def _amount(value: object, _shape: type) -> Amount:
    units = base_units(value)
    if not 0 <= units <= MAX_MONEY:
        raise ValueError(f"{value} is no amount of coins")
    return Amount(units)


def _percentiles(value: object, _shape: type) -> list[Rate]:
    if not isinstance(value, list) or len(value) != 5:
        raise ValueError("no five fee rate percentiles")
    rate = _whole(MAX_MONEY)
    return [Rate(rate(each, int)) for each in value]


def _object(structure: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def checked(value: object, shape: type) -> Any:
        if type(value) is not dict:
            raise ValueError(f"{str(value)[:40]!r} is no object")
        return structure(value, shape)

    return checked


def _list(converter: cattrs.Converter, element: Any) -> Callable[[Any, Any], Any]:
    def structure(value: object, _shape: type) -> Any:
        if type(value) is not list:
            raise ValueError(f"{str(value)[:40]!r} is no list")
        return [converter.structure(each, element) for each in value]

    return structure


def _converter() -> cattrs.Converter:
    # Without detail: a block has ten thousand outputs, and one line names what is wrong.
    converter = cattrs.Converter(detailed_validation=False)
    hooks: dict[Any, Callable[[Any, Any], Any]] = {
        Id: _id, Amount: _amount, Height: _whole(MAX_HEIGHT), Time: _whole(MAX_TIME),
        Count: _whole(MAX_OUTPUT_INDEX), bytes: _octets, int: _exact(int), str: _exact(str),
        bool: _exact(bool), Raw: _raw,
    }
    for shape, hook in hooks.items():
        converter.register_structure_hook(shape, hook)
    converter.register_structure_hook_func(
        partial(operator.eq, GenericAlias(list, (Rate,))), _percentiles
    )
    for element in (Id, Spending, Output, Transaction, ScannedCoin):
        converter.register_structure_hook_func(
            partial(operator.eq, GenericAlias(list, (element,))), _list(converter, element)
        )
    renamed = {Output: "locking", SpentOutput: "locking", UnspentOutput: "locking"}
    for shape in (
        Script, Output, SpentOutput, Spending, Transaction, Header, Block, BlockStats,
        UnspentOutput, Index, Indexes, NetworkInfo, ChainInfo,
        ScannedCoin, ScannedCoins, ScanProgress,
    ):
        names: Any = {renamed[shape]: override(rename="scriptPubKey")} if shape in renamed else {}
        made = make_dict_structure_fn(shape, converter, _cattrs_detailed_validation=False, **names)
        converter.register_structure_hook(shape, _object(made))
    output = converter.get_structure_hook(Output)
    converter.register_structure_hook(Output, lambda value, shape: (
        _OF_MWEB if isinstance(value, dict) and value.get("ismweb") is True
        else output(value, shape)
    ))
    return converter


_CONVERTER = _converter()
