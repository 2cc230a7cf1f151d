"""Turns: order of inputs and of what reaches the disk, and what a node does that is behind."""

from __future__ import annotations

import time
from collections.abc import Iterator

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metanode.protocol.tables.effects import Effects, EraseShare, Write
from metanode.runtime.store.disk import LOG_CELLS
from metanode.runtime.turns import QUEUE, TURN_S, Input, InputQueue, flushes

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Run on the backend of the nodes."""
    return "trio"


@pytest.fixture
def queue() -> Iterator[InputQueue]:
    """Return a queue that is closed in the end."""
    made = InputQueue()
    yield made
    made.close()


def said(log: list[object], name: object) -> Input:
    """Return an input that notes that it was handed over."""
    return lambda now: log.append(name)


def hand_over(entry: Input) -> Effects:
    """Do an input that has no effects."""
    entry(0.0)
    return Effects()


async def test_one_turn_takes_all_that_waits_in_its_order(queue: InputQueue) -> None:
    """Catches a node that flushes once for each of a thousand inputs, and never catches up."""
    log: list[object] = []
    for number in range(50):
        await queue.put(said(log, number))
    assert len(await queue.turn(hand_over)) == 50
    assert log == list(range(50))


async def test_a_turn_waits_for_its_first_input_and_for_no_other(queue: InputQueue) -> None:
    """Catches a loop that spins, and one that keeps an input back until more come."""
    log: list[object] = []
    turns: list[int] = []

    async def work() -> None:
        turns.append(len(await queue.turn(hand_over)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await anyio.wait_all_tasks_blocked()
        assert turns == []
        await queue.put(said(log, "late"))
    assert (turns, log) == ([1], ["late"])


async def test_a_turn_ends_when_it_has_used_its_time(queue: InputQueue) -> None:
    """Catches links that are not served while a node works off what costs much."""

    def slow(now: float) -> None:
        begun = time.thread_time()
        while time.thread_time() - begun < 0.6 * TURN_S:
            pass

    for _ in range(4):
        await queue.put(slow)
    assert [len(await queue.turn(hand_over)) for _ in range(2)] == [2, 2]


async def test_a_turn_ends_with_a_share_that_is_to_be_erased(queue: InputQueue) -> None:
    """Catches a share that a later input writes and an earlier one then erases."""
    log: list[object] = []
    effects = iter((Effects(), Effects(requests=[EraseShare(bytes(32), 3, bytes(33))]), Effects()))

    def erasing(entry: Input) -> Effects:
        entry(0.0)
        return next(effects)

    for number in range(3):
        await queue.put(said(log, number))
    await queue.turn(erasing)
    assert log == [0, 1]
    await queue.turn(erasing)
    assert log == [0, 1, 2]


async def test_what_is_put_once_waits_once_and_may_come_again(queue: InputQueue) -> None:
    """Catches ticks that pile up behind a slow input, and a clock that stops after the first."""
    log: list[object] = []
    tick = said(log, "tick")
    for _ in range(3):
        await queue.put_once(tick)
    assert len(await queue.turn(hand_over)) == 1
    await queue.put_once(tick)
    assert len(await queue.turn(hand_over)) == 1


async def test_a_full_queue_holds_back_and_says_so(queue: InputQueue) -> None:
    """Catches a peer that fills the memory with frames."""
    log: list[object] = []
    for number in range(QUEUE):
        assert queue.put_now(said(log, number))
    assert not queue.put_now(said(log, "too much"))
    with anyio.move_on_after(0.05) as timer:
        await queue.put(said(log, "too much"))
    assert timer.cancelled_caught
    taken = 0
    while taken < QUEUE:
        taken += len(await queue.turn(hand_over))
    assert log == list(range(QUEUE))


CELLS = st.sampled_from((*LOG_CELLS, "standing", "kept_alive", "key"))


@given(st.lists(st.lists(CELLS, max_size=4), max_size=12))
def test_writes_reach_the_disk_in_the_order_of_their_inputs(inputs: list[list[str]]) -> None:
    """Catches a vote on disk before what an earlier input made of the event it is about."""
    turn = [
        Effects(writes=[Write(c, (number, place), None, True) for place, c in enumerate(cells)])
        for number, cells in enumerate(inputs)
    ]

    def on_disk(writes: list[Write]) -> list[Write]:  # one flush: the log, then the other cells
        return sorted(writes, key=lambda write: write.cell not in LOG_CELLS)

    alone = [write for effects in turn for write in on_disk(effects.writes)]
    joined = [write for flush in flushes(turn) for write in on_disk(list(flush))]
    assert joined == alone
    with_log = sum(any(cell in LOG_CELLS for cell in cells) for cells in inputs)
    assert len(list(flushes(turn))) <= with_log + 1
