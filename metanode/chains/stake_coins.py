"""The coins that stakes are, as a daemon's set of unspent outputs tells of them.

A node that starts asks about every member at once, and its daemon is asked one thing at a time. So
what waits meanwhile goes into one request, and the blocks' headers are asked for once.
"""

from __future__ import annotations

from typing import Any, Final

import anyio

from metanode.chains.replies import Header, Id, UnspentOutput
from metanode.chains.rpc import Daemon, RpcError
from metanode.custody.types import Outpoint
from metanode.errors import Unavailable

HEADERS_KEPT: Final = 64
AT_ONCE: Final = 128
"""Outputs asked about in one request: a reply about one of them has about 500 octets."""


class StakeCoins:
    """Asks one daemon about outputs and their blocks."""

    def __init__(self, rpc: Daemon) -> None:
        self._rpc = rpc
        self._waiting: dict[Outpoint, int] = {}  # how many callers wait for each
        self._answers: dict[Outpoint, UnspentOutput | None] = {}
        self._headers: dict[tuple[Id, int], tuple[Header, Header]] = {}
        self._outputs_turn = anyio.Lock(fast_acquire=True)
        self._headers_turn = anyio.Lock(fast_acquire=True)

    async def unspent(self, outpoint: Outpoint) -> UnspentOutput | None:
        """Return an output unless it is spent, in a block or in the mempool.

        Those who wait for one output at one time share an answer. Raises Unavailable.
        """
        self._waiting[outpoint] = self._waiting.get(outpoint, 0) + 1
        try:
            async with self._outputs_turn:
                if outpoint not in self._answers:
                    await self._ask_for_all(outpoint)
                return self._answers[outpoint]
        finally:
            self._waiting[outpoint] -= 1
            if not self._waiting[outpoint]:
                del self._waiting[outpoint]
                self._answers.pop(outpoint, None)

    async def _ask_for_all(self, first: Outpoint) -> None:
        """Ask about an output, and about the others that somebody waits for."""
        others = (each for each in self._waiting if each != first and each not in self._answers)
        wanted = [first, *others][:AT_ONCE]
        shape: Any = UnspentOutput | None  # null for an output that is spent
        params = [(each.txid.hex(), each.index, True) for each in wanted]
        replies = await self._rpc.ask_all(shape, "gettxout", params)
        for outpoint, reply in zip(wanted, replies, strict=True):
            if isinstance(reply, RpcError):
                if outpoint == first:
                    raise Unavailable(f"the chain daemon refuses gettxout: {reply}") from reply
            elif outpoint in self._waiting:
                self._answers[outpoint] = reply

    async def headers(self, coin: UnspentOutput) -> tuple[Header, Header]:
        """Return the headers of the tip that was asked and of a coin's block.

        They are kept, because many stakes lie in few blocks; of a block, its height and its times
        never change. Raises Unavailable.
        """
        wanted = coin.bestblock, coin.confirmations
        async with self._headers_turn:
            if wanted in self._headers:
                return self._headers[wanted]
            tip = await self._header(coin.bestblock)
            height = tip.height - coin.confirmations + 1
            block = await self._header(await self._ask(Id, "getblockhash", height))
            if block.confirmations == coin.confirmations:  # else another block has come meanwhile
                if len(self._headers) >= HEADERS_KEPT:
                    self._headers.clear()
                self._headers[wanted] = tip, block
            return tip, block

    async def _header(self, block_hash: Id) -> Header:
        found: Header = await self._ask(Header, "getblockheader", block_hash.hex())
        return found

    async def _ask(self, shape: Any, method: str, *params: Any) -> Any:
        try:
            return await self._rpc.ask(shape, method, *params)
        except RpcError as fault:
            raise Unavailable(f"the chain daemon refuses {method}: {fault}") from fault
