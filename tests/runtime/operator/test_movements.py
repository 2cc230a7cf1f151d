"""What moved: numbered, bounded, and each thing once."""

from __future__ import annotations

from metanode.runtime.operator.movements import KEPT, SAMPLE_S, Movements


def row(table: str, before: str, after: str) -> dict[str, str]:
    """Return a row of the trace."""
    return {"table": table, "from": before, "to": after}


def test_phases_and_rounds_come_in_order_and_once() -> None:
    """Catches a ping that counts as a phase, and a look that is told something twice or never."""
    moves = Movements(round_s=6)
    moves.rows(60.1, [row("ping", "a", "b"), row("peer", "Idle", "Idle"),
                      row("peer", "Idle", "Proposing"), row("peer", "Proposing", "SetBuilding")])
    moves.note(60.7, "payout.signed")
    moves.note(60.8, "deposit.confirmed")
    found = moves.since(0)
    assert [(m["number"], m["kind"]) for m in found] == [(1, "phase"), (2, "phase"), (3, "round")]
    assert (found[1]["phase"], found[2]["outcome"], found[2]["seconds"]) == (
        "SetBuilding", "signed", 0.7,
    )
    assert moves.since(2) == found[2:]
    assert moves.since(3) == []
    assert moves.since(99) == found, "a number of another run: all that there is"


def test_samples_come_at_their_time_also_when_the_clock_goes_back() -> None:
    """Catches a sample at each tick, and a plot that stands still for a step of the clock."""
    moves = Movements(round_s=6)
    for now in (100.0, 100.5, 100.0 + SAMPLE_S, 40.0, 40.5):
        moves.sample(now, links=3, queue=0, listed=4)
    assert [m["at"] for m in moves.since(0)] == [100.0, 101.0, 40.0]


def test_what_is_kept_is_bounded() -> None:
    """Catches a memory that grows for years."""
    moves = Movements(round_s=6)
    for number in range(KEPT + 10):
        moves.sample(number * SAMPLE_S, links=number, queue=0, listed=0)
    assert len(moves.since(0)) == KEPT
    assert [m["number"] for m in moves.since(KEPT + 8)] == [KEPT + 9, KEPT + 10]
    assert len(moves.since(1)) == KEPT, "what is gone is not made up"
