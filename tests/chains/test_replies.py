"""What a daemon may answer, and what is refused before anybody reads it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from metanode.chains.replies import (
    BlockStats,
    ChainInfo,
    Header,
    Height,
    Id,
    Transaction,
    UnspentOutput,
    read,
)
from metanode.custody.types import Outpoint
from metanode.errors import Unavailable

TXID, OTHER = "ab" * 32, "cd" * 32
OUTPUT = {"n": 0, "value": Decimal("1.5"), "scriptPubKey": {"hex": "0014" + "00" * 20, "asm": ""}}
TRANSACTION: dict[str, Any] = {
    "txid": TXID, "vin": [{"txid": OTHER, "vout": 1, "sequence": 0}], "vout": [OUTPUT],
}
HEADER: dict[str, Any] = {
    "hash": TXID, "height": 7, "confirmations": -1, "time": 1, "mediantime": 1,
    "previousblockhash": OTHER,
}


def test_an_extension_block_is_read_around() -> None:
    """Catches a node that one MWEB transaction in Litecoin's mempool ends."""
    mweb = {
        **TRANSACTION,
        "vin": [{"ismweb": True, "output_id": OTHER}, *TRANSACTION["vin"]],
        "vout": [{"ismweb": True, "output_id": OTHER}, OUTPUT],
    }
    found = read(Transaction, "getrawtransaction", mweb)
    assert found.spent == [Outpoint(bytes.fromhex(OTHER), 1)]
    assert [output.script for output in found.vout] == [None, bytes(1) + b"\x14" + bytes(20)]
    assert [output.value for output in found.vout] == [0, 150_000_000]
    assert not found.is_coinbase
    assert read(Transaction, "x", {**TRANSACTION, "vin": [{"coinbase": "00"}]}).is_coinbase


def test_a_block_that_left_the_chain_and_the_first_one_have_headers() -> None:
    """Catches a header that is refused because it counts down, or has nothing before it."""
    found = read(Header, "getblockheader", HEADER)
    assert (found.confirmations, found.previousblockhash) == (-1, bytes.fromhex(OTHER))
    first = {name: value for name, value in HEADER.items() if name != "previousblockhash"}
    assert read(Header, "getblockheader", {**first, "height": 0}).previousblockhash is None


@pytest.mark.parametrize(
    ("shape", "reply"),
    [
        (Transaction, None),
        (Transaction, []),
        (Transaction, "text"),
        (Transaction, {**TRANSACTION, "txid": 7}),
        (Transaction, {**TRANSACTION, "txid": "zz" * 32}),
        (Transaction, {**TRANSACTION, "txid": "ab" * 31}),
        (Transaction, {**TRANSACTION, "vin": None}),
        (Transaction, {**TRANSACTION, "vin": [None]}),
        (Transaction, {**TRANSACTION, "vout": {}}),
        (Transaction, {**TRANSACTION, "vout": "text"}),
        (Transaction, {**TRANSACTION, "vout": [7]}),
        (Transaction, {**TRANSACTION, "vout": [{**OUTPUT, "n": True}]}),
        (Transaction, {**TRANSACTION, "vout": [{**OUTPUT, "n": -1}]}),
        (Transaction, {**TRANSACTION, "vout": [{**OUTPUT, "value": "1"}]}),
        (Transaction, {**TRANSACTION, "vout": [{**OUTPUT, "value": Decimal("84000001")}]}),
        (Transaction, {**TRANSACTION, "vout": [{**OUTPUT, "value": Decimal("-1")}]}),
        (Transaction, {**TRANSACTION, "vout": [{**OUTPUT, "scriptPubKey": {"hex": "0"}}]}),
        (Transaction, {**TRANSACTION, "vout": [{**OUTPUT, "scriptPubKey": {"asm": ""}}]}),
        (Transaction, {**TRANSACTION, "confirmations": Decimal("1.5")}),
        (Transaction, {"txid": TXID, "vin": []}),
        (Transaction, {**TRANSACTION, "vin": [{"txid": OTHER}]}),
        (Transaction, {**TRANSACTION, "vin": [{}]}),
        (Transaction, {**TRANSACTION, "vout": [{"n": 0, "value": 1}]}),
        (Transaction, {**TRANSACTION, "vout": [{"n": 0, "scriptPubKey": {"hex": ""}}]}),
        (Transaction, {**TRANSACTION, "confirmations": 1}),
        (Header, {**HEADER, "previousblockhash": None}),
        (Header, {**HEADER, "height": 2**31}),
        (Header, {**HEADER, "time": 2**32}),
        (Header, {name: value for name, value in HEADER.items() if name != "mediantime"}),
        (UnspentOutput, []),
        (Height, "7"),
        (Height, True),
        (Id, None),
        (list[Id], None),
        (list[Id], TXID),
        (list[Id], {}),
        (BlockStats, {}),
        (BlockStats, {"feerate_percentiles": [1, 2, 3, 4]}),
        (BlockStats, {"feerate_percentiles": [1, 2, -3, 4, 5]}),
        (ChainInfo, {"chain": "main"}),
    ],
)
def test_what_is_of_another_shape_is_unavailable(shape: Any, reply: object) -> None:
    """Catches a reply that ends the node, or that is believed although it makes no sense."""
    with pytest.raises(Unavailable, match=r"the chain daemon answers getsomething (oddly|without)"):
        read(shape, "getsomething", reply)


def test_what_is_wrong_is_said_in_one_line_of_some_length() -> None:
    """Catches a megabyte of a daemon's answer in the log."""
    with pytest.raises(Unavailable) as fault:
        read(Id, "getbestblockhash", "x" * 1_000_000)
    assert len(str(fault.value)) < 200
    assert "\n" not in str(fault.value)
