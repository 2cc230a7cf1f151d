"""Transactions offered to a chain, and what it answers: code and reason of a refusal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from metanode.custody.types import Outpoint
from metanode.devnet.daemon import DaemonError
from tests.daemons.coins import FEE, Coin, script_of, signed
from tests.daemons.support import COIN, PURSE, Chain
from tests.support import key_of

Answer = tuple[int, str]
ACCEPTED: Answer = (0, "")
PAYEE = key_of("policy: payee")
HOME = script_of(PAYEE)


def answer(chain: Chain, raw: bytes) -> Answer:
    """Send a transaction; return code and reason of the refusal."""
    try:
        chain.call("sendrawtransaction", raw.hex())
    except DaemonError as refusal:
        return refusal.code, str(refusal).removeprefix("sendrawtransaction: ")
    return ACCEPTED


def spend(coin: Coin, fee: int = FEE, **form: int) -> bytes:
    """Return an ordinary payment of a whole coin."""
    return signed([coin], [(coin.amount - fee, HOME)], **form)[0]


def sent(
    chain: Chain, coins: Sequence[Coin], outputs: Sequence[int], **form: int
) -> list[Coin]:
    """Put a transaction with these amounts into the mempool; return what it makes."""
    raw, txid = signed(coins, [(amount, script_of(PURSE)) for amount in outputs], **form)
    chain.send(raw)
    return [Coin(Outpoint(txid, n), amount, PURSE) for n, amount in enumerate(outputs)]


def least_relay_fee(chain: Chain) -> int:
    """Return what :func:`spend` must pay; a signature has a byte more or less, so it may be two."""
    rate = int(chain.call("getmempoolinfo")["minrelaytxfee"] * COIN)
    return math.ceil(rate * 111 / 1000)
