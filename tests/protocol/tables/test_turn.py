"""What an input may fire, and in which order: the text of ``spec/inputs.py`` and nothing else."""

from __future__ import annotations

import pytest

from metanode.errors import LocalFault
from metanode.protocol.tables.turn import Turn


def at(kind: str, step: str) -> Turn:
    """Return the turn of an input at one of its steps."""
    turn = Turn.of(kind)
    turn.begin(turn.entry.names.index(step))
    return turn


def test_the_triggers_of_a_step_come_in_their_order() -> None:
    """Catches a row that runs before one that stands before it, or that the step does not name."""
    turn = at("ping", "ping_taken")
    turn.advance("ping.Ping")
    turn.advance("ping.Ping")
    turn.advance("block_list.GoodPing")
    with pytest.raises(LocalFault, match="step ping_taken: ping.Ping may not follow"):
        turn.advance("ping.Ping")
    with pytest.raises(LocalFault, match=r"input ping, step ping_taken: block_list.Block may not"):
        at("ping", "ping_taken").advance("block_list.Block")


def test_each_individual_begins_the_list_anew() -> None:
    """Catches a second peer whose rows are refused because of the first, and a lost number."""
    turn, numbers = at("tick", "silence"), []
    for _ in turn.each("ab"):
        turn.advance("ping.Silence")
        turn.advance("block_list.Silence")
        numbers.append(turn.again)
    assert numbers == [1, 2]


def test_steps_only_go_on_and_nothing_runs_outside_them() -> None:
    """Catches an input that does its steps twice, or fires before the first one."""
    turn = at("tick", "silence")
    with pytest.raises(LocalFault, match="steps only go on"):
        turn.begin(turn.step)
    with pytest.raises(LocalFault, match="input tick runs ping.Silence in no step"):
        Turn.of("tick").advance("ping.Silence")
