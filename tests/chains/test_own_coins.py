"""The coins of a script, as a daemon tells of them, or does not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from metanode.chains.own_coins import SCAN_UNDER_WAY, coins_of_script
from metanode.chains.rpc import Daemon, RpcError
from metanode.errors import Unavailable

pytestmark = pytest.mark.anyio
COIN = {"txid": "ab" * 32, "vout": 0, "amount": Decimal("0.5"), "height": 1}


class Refusing(Daemon):
    """A daemon that finds one coin, and refuses one method."""

    def __init__(self, method: str, code: int) -> None:
        self.method, self.code = method, code

    async def call(self, method: str, *params: Any) -> Any:
        """Answer."""
        if method == self.method:
            raise RpcError(self.code, "no")
        return {"unspents": [COIN]}


@pytest.mark.parametrize(
    ("method", "code", "complaint"),
    [
        ("scantxoutset", SCAN_UNDER_WAY, "looks for other coins now: try again"),
        ("scantxoutset", -32601, "refuses scantxoutset: no"),
        ("gettxout", -32601, "refuses gettxout: no"),
    ],
)
async def test_a_refusal_is_one_line(method: str, code: int, complaint: str) -> None:
    """Catches a daemon's refusal that ends in a traceback, or that is taken for no coins."""
    with pytest.raises(Unavailable, match=complaint):
        await coins_of_script(Refusing(method, code), b"\0\x14" + bytes(20))
