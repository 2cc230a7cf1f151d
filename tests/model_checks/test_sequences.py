"""Sequences: what becomes of them, what is not there, and what is refused."""

from __future__ import annotations

import pytest
from attrs import evolve

from model_checks.engines.oracle import Instance, Oracle, Step
from model_checks.system import Move, Property, close
from spec.language.declarations import (
    Cell,
    Enum,
    Opt,
    Range,
    Seq,
    SpecError,
)
from tests.model_checks.counter import COUNTER, run

KIND = Enum("Kind", ("small", "large"))
QUEUE = evolve(
    COUNTER,
    name="queue",
    cells=(
        Cell("queue", Seq("Client", 2), (), "empty", "disk", "-"),
        Cell("kinds", Seq(KIND, 2), ("Turn",), "empty", "disk", "-"),
        Cell("served", Opt("Client"), (), "none", "disk", "-"),
        Cell("kind", KIND, (), "large", "disk", "-"),
    ),
    moves=(
        Move("Join(c: Client)", ("len(queue) < 2",), {"queue": "append(queue, c)"}),
        Move("Serve()", ("len(queue) > 0",), {"served": "head(queue)", "queue": "tail(queue)"}),
    ),
    properties=(),
)


def test_first_come_first_served() -> None:
    """Catches a queue that is a stack, or that forgets somebody."""
    instance = Instance(close(QUEUE), {"Client": 3, "Turn": 1}, {"Most": 2})
    oracle = Oracle(evolve(instance, system=close(evolve(QUEUE, properties=(
        Property("Read", "served == none and len(queue) == 0 and head(queue) == at(queue, 2)"),
    )))))
    (start,) = oracle.initial()
    joins = [Step("Join", {"c": 2}), Step("Join", {"c": 0})]
    told = [
        dict(zip(oracle.slots, state, strict=True))
        for state in oracle.replay(start, [*joins, Step("Serve", {}), *joins[:1]])
    ]
    found = [(s["queue.len", ()], s["queue.1", ()], s["queue.2", ()], s["served", ()])
             for s in told]
    assert found == [(0, None, None, None), (1, 2, None, None), (2, 2, 0, None),
                     (1, 0, None, 2), (2, 0, 2, 2)]


@pytest.mark.parametrize(
    ("move", "steps"),
    [
        (Move("Clear()", ("len(queue) == 2",), {"queue": "empty"}), 0),
        (Move("Skip()", ("len(queue) == 2",), {"queue": "remove(queue, 2)"}), 0),
        (Move("Turn()", ("len(queue) == 2",), {"queue": "append(tail(queue), head(queue))"}), 0),
        (Move("Some()", (), {"queue": "(tail(queue) if len(queue) > 0 else queue)"}), 0),
        (Move("Lose()", (), {"queue": "tail(queue)"}), 1),
        (Move("Skip()", (), {"queue": "remove(queue, 2)"}), 1),
        (Move("Push(c: Client)", (), {"queue": "append(queue, c)"}), 3),
    ],
)
def test_a_sequence_stays_within_its_length(move: Move, steps: int) -> None:
    """Catches an element that is lost where there is no place, or taken where there is none."""
    result = run(QUEUE, moves=(*QUEUE.moves, move))
    found = {name: len(way) for name, way in result.violated.items()}
    assert found == ({"len(queue) in 0..2": steps} if steps else {})


def test_equal_sequences_are_equal_states() -> None:
    """Catches a rest of what has left the queue in the states: 1 + 2 + 4 queues, 3 served."""
    properties = (Property("P", "len(queue) <= 2 and implies(served != none, len(queue) < 2)"),)
    result = run(QUEUE, properties=properties)
    assert result.distinct == 1 + 2 + 4 + 2 * (1 + 2 + 4)
    assert len(result.violated["P"]) == 4


def test_an_element_that_is_not_there_is_equal_to_nothing() -> None:
    """Catches a place beyond the end that is read as the value that stands there."""
    moves = (
        Move("Put(t: Turn)", ("len(kinds[t]) == 0",), {"kinds[t]": "append(kinds[t], small)"}),
        Move("Take(t: Turn)", (), {"kind": "head(kinds[t])"}),
        Move("Look(t: Turn)", ("head(kinds[t]) != large",), {"kind": "(large if kind == small"
                                                             " else at(kinds[t], 1))"}),
    )
    result = run(QUEUE, moves=moves, properties=(
        Property("Small", "kind == small", "reachable"),
        Property("NotThere", "any(at(kinds[t], 2) == small or at(kinds[t], 2) != small"
                             " for t in Turn)", "reachable"),
        Property("Grows", "all(len(after(kinds[t])) >= len(kinds[t]) for t in Turn)", "step"),
    ))
    assert [len(steps) for steps in result.reached.values()] == [2]
    assert not result.violated


@pytest.mark.parametrize(
    "then",
    [
        {"queue": "append(queue, head(other))"},
        {"queue": "(append(queue, at(other, 2)) if served == none else empty)"},
        {"number": "min(head(numbers), 0)"},
        {"number": "(head(numbers) if served == none else 0) + 1"},
        {"seen[c] for c in Client": "head(numbers)"},
    ],
)
def test_a_move_that_would_copy_what_is_not_there_cannot_be_made(then: dict[str, str]) -> None:
    """Catches a copy of what stands at a place beyond the end."""
    cells = (
        *QUEUE.cells, Cell("other", Seq("Client", 2), (), "empty", "disk", "-"),
        Cell("numbers", Seq(Range(1, 3), 2), (), "empty", "disk", "-"),
        Cell("number", Range(0, 3), (), "0", "disk", "-"),
        Cell("seen", Range(0, 3), ("Client",), "0", "disk", "-"),
    )
    result = run(QUEUE, cells=cells, moves=(Move("Copy()", (), then),))
    assert result.fired == {"Copy": 0}
    assert not result.violated


@pytest.mark.parametrize(
    ("then", "message"),
    [
        ({"queue": "append(queue, small)"}, "optional Client is needed"),
        ({"queue": "append(kinds, c)"}, "takes 1 indices"),
        ({"queue": "served"}, "'served' is not a sequence"),
        ({"queue": "remove(queue, 3)"}, "is not a place in queue: 1 to 2"),
        ({"served": "queue"}, "queue is a sequence of a network"),
        ({"served": "head(served)"}, "'served' is not a sequence"),
        ({"kinds[t] for t in Turn": "append(kinds[c], small)"}, "c is not a Turn"),
        ({"queue": "head(queue) +"}, "is not an expression"),
        ({"queue": "append(queue)"}, "is not a sequence|not a reference"),
    ],
)
def test_an_effect_on_a_sequence_that_has_no_meaning_is_refused(
    then: dict[str, str], message: str
) -> None:
    """Catches a traceback, and a sequence of other things."""
    with pytest.raises(SpecError, match=message):
        run(QUEUE, moves=(Move("Go(c: Client)", (), then),))


@pytest.mark.parametrize(
    "cell",
    [
        Cell("queue", Seq("Client", 0), (), "empty", "disk", "-"),
        Cell("queue", Seq("Client", 17), (), "empty", "disk", "-"),
        Cell("queue", Seq("Client", 2), (), "none", "disk", "-"),
    ],
)
def test_a_sequence_begins_empty_and_is_short(cell: Cell) -> None:
    """Catches a sequence that no engine could hold."""
    with pytest.raises(SpecError, match="a sequence begins 'empty', and has 1 to 16 places"):
        run(QUEUE, cells=(cell, *QUEUE.cells[1:]))
