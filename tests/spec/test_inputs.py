"""The text of the inputs: what it may name, and which sequences it allows."""

from __future__ import annotations

import re
from typing import ClassVar

import pytest
from attrs import evolve, frozen

from spec.fields import natural
from spec.inputs import (
    INPUTS,
    STEPS,
    Input,
    check_inputs,
    check_message,
    position_after,
    step,
)
from spec.language.declarations import SpecError

WHERE = re.compile(r"\.py:[1-9]\d*: ")


def refusal(steps: dict[str, object], inputs: dict[str, Input]) -> str:
    """Return why a text with these steps and inputs is refused."""
    with pytest.raises(SpecError) as found:
        check_inputs({**STEPS, **steps}, {**INPUTS, **inputs})  # type: ignore[dict-item]
    return str(found.value)


def test_an_unknown_trigger_is_refused_with_its_line() -> None:
    """Catches a row that was renamed while the inputs still name it."""
    text = refusal({"evidence": step("evidence", "round.Equivocates", "x")}, {})
    assert WHERE.search(text)
    assert "step evidence: no table has round.Equivocates" in text


def test_an_unknown_step_or_rule_is_refused_with_its_line() -> None:
    """Catches an input that runs nothing, or that nobody may send, because of a slip."""
    vote = INPUTS["vote"]
    text = refusal({}, {"vote": evolve(vote, names=("evidences",))})
    assert WHERE.search(text)
    assert "input vote: there is no step evidences" in text
    for change in ({"sender": "everyone"}, {"window": "soon"}):
        text = refusal({}, {"vote": evolve(vote, **change)})
        assert "its sender or its window is no rule" in text


def test_a_row_that_no_input_can_fire_is_refused() -> None:
    """Catches a row that is proved and never run."""
    text = refusal({"pardon": step("pardon", "block_list.Ban", "x")}, {})
    assert "no step has the trigger block_list.Pardon" in text


def test_a_step_that_no_input_runs_is_refused() -> None:
    """Catches a handler that is never called."""
    text = refusal({"idle": step("idle", "peer.Ping", "x")}, {})
    assert "step idle: no input runs it" in text


@frozen
class Offered:
    """A message whose index names no field."""

    KIND: ClassVar[str] = "offer"
    CELL: ClassVar[str] = "offered"
    INDEX: ClassVar[tuple[str, ...]] = ("rounds",)
    round: int = natural()


@frozen
class Unindexed:
    """A message without the index of its cell."""

    KIND: ClassVar[str] = "offer"
    CELL: ClassVar[str] = "offered"
    INDEX: ClassVar[tuple[str, ...]] = ()
    round: int = natural()


@pytest.mark.parametrize(
    ("message", "reason"),
    [(Offered, "cell offered: there is no index field rounds"), (Unindexed, "has the index")],
)
def test_a_message_without_its_index_is_refused_with_its_line(message: type, reason: str) -> None:
    """Catches a message that could be sent by a row about something else."""
    with pytest.raises(SpecError, match=reason) as found:
        check_message(message, INPUTS)
    assert WHERE.search(str(found.value))


def test_sequences() -> None:
    """Catches a rule by which a row could run out of turn."""
    triggers = ("a.A", "b.B", "a.A", "c.C")
    assert position_after(triggers, "a.A", 0) == 0
    assert position_after(triggers, "a.A", 1) == 2
    assert position_after(triggers, "b.B", 1) == 1
    assert position_after(triggers, "b.B", 2) is None
    assert position_after(triggers, "d.D", 0) is None
