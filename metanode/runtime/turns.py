"""Turns: what waits for the core is handed over in its order, several inputs at a time.

One flush serves all the inputs of a turn, and the more of them wait, the more one turn takes: a
node that has fallen behind works with less effort for each, and catches up. Nothing of a turn is
sent before all that the turn rests on is on disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from attrs import define, field

from metanode.protocol.tables.effects import Effects, EraseShare, Write
from metanode.runtime.store.disk import LOG_CELLS

QUEUE = 4096
TURN_S = 0.05
"""So much processor time may a turn take before the sockets are served again."""

Input = Callable[[float], object]
"""What is done to the core in its turn: one of its ``on_…`` methods, with the clock's reading."""

_Streams = tuple[MemoryObjectSendStream[Input], MemoryObjectReceiveStream[Input]]


def _streams() -> _Streams:
    return anyio.create_memory_object_stream[Input](QUEUE)


@define(eq=False)
class InputQueue:
    """The inputs that wait, first come first served."""

    _ends: _Streams = field(factory=_streams)
    _once: set[Input] = field(factory=set)

    @property
    def waiting(self) -> int:
        """How many inputs wait."""
        return self._ends[1].statistics().current_buffer_used

    async def put(self, entry: Input) -> None:
        """Add an input; waits while the queue is full."""
        await self._ends[0].send(entry)

    def put_now(self, entry: Input) -> bool:
        """Add an input; returns False when the queue is full."""
        try:
            self._ends[0].send_nowait(entry)
        except anyio.WouldBlock:
            return False
        return True

    async def put_once(self, entry: Input) -> None:
        """Add an input unless it waits already: two looks at one clock tell no more than one."""
        if entry not in self._once:
            self._once.add(entry)
            await self.put(entry)

    async def turn(self, hand_over: Callable[[Input], Effects]) -> list[Effects]:
        """Wait for an input, hand over what waits, and return the effects of each.

        A turn ends early with a share to be erased, lest a later input's be written before that.
        """
        first = await self._ends[1].receive()
        started = time.thread_time()
        effects = [hand_over(self._took(first))]
        while time.thread_time() - started < TURN_S and not _erases(effects[-1]):
            try:
                entry = self._ends[1].receive_nowait()
            except anyio.WouldBlock:
                break
            effects.append(hand_over(self._took(entry)))
        return effects

    def close(self) -> None:
        """Let go of what waits."""
        for end in self._ends:
            end.close()

    def _took(self, entry: Input) -> Input:
        self._once.discard(entry)
        return entry


def _erases(effects: Effects) -> bool:
    return any(isinstance(request, EraseShare) for request in effects.requests)


def flushes(turn: Iterable[Effects]) -> Iterator[Sequence[Write]]:
    """Yield the writes of a turn, as few times as keep their order on disk.

    Within one flush the signing log comes before the other cells; so what an input writes into the
    log never joins cells of an input before it.
    """
    joined: list[Write] = []
    for effects in turn:
        logs = any(write.cell in LOG_CELLS for write in effects.writes)
        if logs and any(write.cell not in LOG_CELLS for write in joined):
            yield joined
            joined = []
        joined += effects.writes
    if joined:
        yield joined
