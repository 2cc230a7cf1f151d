"""The campaign's judge of deposits: what it calls settled once, and what not.

The campaign itself takes minutes: ``python -m tests.daemons.campaign --payouts 6 --restarts 2``.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from metanode.custody.types import Outpoint
from tests.daemons.campaign import Deposit, verdict

PAYEE, HOME, CUSTODY = b"\x00\x14" + b"p" * 20, b"\x00\x14" + b"h" * 20, b"\x00\x14" + b"c" * 20
FUNDING, PAID_IN = b"\xf0" * 32, b"\xd0" * 32
MADE = Deposit(Outpoint(PAID_IN, 0), 1_000_000, PAYEE, HOME, FUNDING, b"")


def tx(name: str, spent: list[tuple[str, int]], *outputs: tuple[bytes, int]) -> dict[str, Any]:
    """Return a transaction as a block shows it."""
    return {
        "txid": name,
        "vin": [{"txid": txid, "vout": n} for txid, n in spent],
        "vout": [
            {"n": n, "value": Decimal(amount).scaleb(-8), "scriptPubKey": {"hex": script.hex()}}
            for n, (script, amount) in enumerate(outputs)
        ],
    }


COINBASE = {"txid": "cb", "vin": [{"coinbase": "51"}], "vout": []}
HIDDEN = {"txid": "aa", "vin": [{"ismweb": True, "vout": 0}], "vout": [{"ismweb": True}]}
SPLIT = tx(FUNDING.hex(), [("00" * 32, 1)], (HOME, 1_001_000))
DEPOSIT = tx(PAID_IN.hex(), [(FUNDING.hex(), 0)], (CUSTODY, 1_000_000))
BEFORE = [COINBASE, HIDDEN, SPLIT, DEPOSIT]
SPEND = [(PAID_IN.hex(), 0)]
GOOD = tx("01", SPEND, (PAYEE, 995_000), (CUSTODY, 100))


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ([GOOD], ""),
        ([], "is spent 0 times"),
        ([GOOD, tx("02", SPEND, (PAYEE, 995_000))], "is spent 2 times: 01, 02"),
        ([tx("01", SPEND, (CUSTODY, 1_000_000))], "is paid 0 times, and 0 times to the wrong one"),
        ([tx("01", SPEND, (PAYEE, 400_000), (PAYEE, 400_000))], "is paid 2 times"),
        ([GOOD, tx("02", [("bb" * 32, 0)], (PAYEE, 5))], "is paid 2 times"),
        ([tx("01", SPEND, (PAYEE, 995_000), (HOME, 5))], "and 1 times to the wrong one"),
        ([tx("01", SPEND, (PAYEE, 1_000_001))], "held 1000000 and paid 1000001"),
        ([tx("01", [(PAID_IN.hex(), 1)], (PAYEE, 995_000))], "is spent 0 times"),
    ],
)
def test_a_deposit_is_settled_exactly_once(after: list[dict[str, Any]], said: str) -> None:
    """Catches a campaign that is content although money went twice, nowhere or astray."""
    found = verdict(MADE, [*BEFORE, *after])
    assert (said in found, bool(found)) == (True, bool(said)), found
