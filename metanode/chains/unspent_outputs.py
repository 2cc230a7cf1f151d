"""Outputs as a daemon's set of unspent outputs tells of them, several in one request.

A node that starts asks about every member at once, and its daemon is asked one thing at a time. So
what waits meanwhile goes into one request, and the blocks' headers are asked for once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from metanode.chains.replies import Header, Id, UnspentOutput
from metanode.chains.rpc import Daemon, RpcError
from metanode.custody.types import Outpoint
from metanode.errors import Unavailable

HEADERS_KEPT: Final = 256
AT_ONCE: Final = 128
"""Outputs asked about in one request: a reply about one of them has about 500 octets."""


class Lock(Protocol):
    """What the adapter needs of ``anyio.Lock``. That one needs an event loop: a shell that runs
    one call at a time without a loop gives another.
    """

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, kind: Any, error: Any, trace: Any, /) -> None: ...

    def locked(self) -> bool:
        """Return whether somebody holds it."""


async def unspent_outputs(
    rpc: Daemon, outpoints: Sequence[Outpoint]
) -> list[UnspentOutput | RpcError | None]:
    """Return outputs in order; None for one that is spent, in a block or in the mempool.

    Raises Unavailable, also when a single reply cannot be read.
    """
    shape: Any = UnspentOutput | None
    params = [(each.txid.hex(), each.index, True) for each in outpoints]
    return await rpc.ask_all(shape, "gettxout", params)


class StakeCoins:
    """Asks one daemon about stakes and their blocks, for many callers at once."""

    def __init__(self, rpc: Daemon, lock: Callable[[], Lock]) -> None:
        self._rpc = rpc
        self._waiting: dict[Outpoint, int] = {}  # how many callers wait for each
        self._answers: dict[Outpoint, UnspentOutput | None] = {}
        self._alone: set[Outpoint] = set()  # those that were in a request that failed
        self._headers: dict[Id, Header] = {}
        self._tip: Id | None = None
        self._blocks: dict[int, Id] = {}  # at this tip: height → block
        self._outputs_turn = lock()
        self._headers_turn = lock()

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
                self._alone.discard(outpoint)

    async def _ask_for_all(self, first: Outpoint) -> None:
        """Ask about an output, and about the others that somebody waits for.

        Who staked an output chooses what the reply about it looks like: one that is too long, or
        of no shape that we read, takes no answer from others. After a failure each is asked about
        alone, as long as somebody waits for it.
        """
        wanted = [first]
        if first not in self._alone:
            tried = self._alone | self._answers.keys() | {first}
            wanted += [each for each in self._waiting if each not in tried][: AT_ONCE - 1]
        try:
            replies = await unspent_outputs(self._rpc, wanted)
        except Unavailable:
            if len(wanted) == 1:
                raise
            self._alone.update(each for each in wanted if each in self._waiting)
            wanted = [first]
            replies = await unspent_outputs(self._rpc, wanted)
        for outpoint, reply in zip(wanted, replies, strict=True):
            if outpoint in self._waiting and not isinstance(reply, RpcError):
                self._answers[outpoint] = reply
        if isinstance(replies[0], RpcError):
            raise Unavailable(f"the chain daemon refuses gettxout: {replies[0]}") from replies[0]

    async def headers(self, coin: UnspentOutput) -> tuple[Header, Header]:
        """Return the headers of the tip that was asked and of a coin's block.

        They are kept, because many stakes lie in few blocks and are asked about again and again; of
        a block, its height and its times never change. Raises Unavailable.
        """
        async with self._headers_turn:
            if coin.bestblock != self._tip:
                self._tip, self._blocks = coin.bestblock, {}
            tip = await self._header(coin.bestblock)
            height = tip.height - coin.confirmations + 1
            if height not in self._blocks:
                self._blocks[height] = await self._rpc.require(Id, "getblockhash", height)
            return tip, await self._header(self._blocks[height])

    async def _header(self, block_hash: Id) -> Header:
        if block_hash not in self._headers:
            if len(self._headers) >= HEADERS_KEPT:
                self._headers.clear()
            found = await self._rpc.require(Header, "getblockheader", block_hash.hex())
            self._headers[block_hash] = found
        return self._headers[block_hash]
