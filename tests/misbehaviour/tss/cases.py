"""The form of a tampering table: which field of which message changes, and what must follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import attrs
from attrs import frozen

from metanode.tss.messages import DealingShapes, Message
from metanode.tss.session import Session
from tests.tss.ideal import ideal_transfers
from tests.tss.support import Rounds, deliver, edit, flip, shape_of

CHEATER = 2
VICTIM = 1


@frozen
class Case:
    """Party 2's field changes; broadcasts alike for everybody, direct messages for one party only.

    ``kind``, ``blamed``, ``ban`` and ``transferable`` are what that one, the ``victim``, must
    conclude, and party 3, too, of a broadcast.
    """

    round: int
    slot: str
    name: str
    kind: str
    blamed: bool
    ban: bool = False
    transferable: bool = False
    change: Callable[[bytes], bytes] = flip
    label: str = ""
    in_flight: bool = False

    def __str__(self) -> str:
        return f"r{self.round}-{self.slot}-{self.name}{self.label}"

    @property
    def of_sender(self) -> bool:
        """Whether only the sender of base transfers has this field."""
        names = ("ot_", "ggm_", "ext_")
        return self.slot == "direct" and self.round == 3 and self.name.startswith(names)

    @property
    def of_receiver(self) -> bool:
        """Whether only the receiver of base transfers has this field."""
        return self.slot == "direct" and (self.name == "ot_points" or self.round == 4)

    @property
    def victim(self) -> int:
        """Who gets a direct message: party 2 receives base transfers of 1, and sends them to 3."""
        return 3 if self.of_sender else VICTIM

    @property
    def culprits(self) -> tuple[int, ...]:
        return (CHEATER,) if self.blamed else ()


def transfers(case: Case) -> AbstractContextManager[None]:
    """Return real base transfers for a case about them, else ideal ones, which cost a tenth."""
    return nullcontext() if case.name.startswith("ot_") else ideal_transfers()


def tamper_with(case: Case, rounds: Rounds, sessions: Mapping[int, Session[Any]]) -> None:
    """Run the sessions with one field changed as a consistent cheater would change it.

    Unless the case says ``in_flight``, the cheater's own record of its broadcast changes too, so
    that its echo agrees with what the others saw: the change must be found by its own check, not by
    echo.
    """
    touched = 0

    def tamper(recipient: int, message: Message) -> Message:
        nonlocal touched
        public = message.recipient is None
        mine = message.sender == CHEATER and message.round == case.round
        if not mine or public != (case.slot == "broadcast"):
            return message
        if not public and recipient != case.victim:
            return message
        touched += 1
        changed = edit(rounds, message, case.name, case.change)
        if public and not case.in_flight:
            remember(sessions[CHEATER], changed, rounds)
        return changed

    deliver(sessions, tamper=tamper)
    assert touched


def remember(session: Session[Any], message: Message, rounds: Rounds) -> None:
    """Make the cheater believe that it broadcast this message."""
    if (message.round, CHEATER) in session._broadcasts:
        session._broadcasts[message.round, CHEATER] = message.payload
    if message.round == 1 and hasattr(session, "_round_1"):
        session._round_1[CHEATER] = shape_of(rounds, message).decode(message.payload)


def check_outcome(case: Case, sessions: Mapping[int, Session[Any]]) -> None:
    """Assert what the honest parties concluded."""
    watching = (VICTIM, 3) if case.slot == "broadcast" else (case.victim,)
    for party in watching:
        abort = sessions[party].abort
        assert sessions[party].result is None
        assert abort is not None, f"party {party} noticed nothing"
        assert (abort.kind, abort.culprits) == (case.kind, case.culprits)
        assert abort.ban is case.ban
        assert abort.transferable is case.transferable
    nobody_blames_the_honest(sessions)


def nobody_blames_the_honest(sessions: Mapping[int, Session[Any]]) -> None:
    """Assert that no honest party names or bans another honest one."""
    for party, session in sessions.items():
        if party != CHEATER and session.abort is not None:
            assert set(session.abort.culprits) <= {CHEATER}


def answers_of(session: Session[Any]) -> list[Message]:
    """Return a list that grows by what a session answers, which is never before a round is whole.
    """
    sent: list[Message] = []
    receive = session.receive

    def watched(message: Message) -> list[Message]:
        missing = session.waiting_for
        out = receive(message)
        assert not out or missing == (message.sender,), "an answer before the last message"
        sent.extend(out)
        return out

    session.receive = watched  # type: ignore[method-assign]  # looks on, changes nothing
    return sent


def fields_of(rounds: Rounds) -> set[tuple[int, str, str]]:
    """Return every (round, slot, field) of a protocol, of either side of the base transfers."""
    if isinstance(rounds, DealingShapes):
        return fields_of(rounds.rounds(receives=True)) | fields_of(rounds.rounds(receives=False))
    return {
        (number, slot, name)
        for number, plan in enumerate(rounds, start=1)
        for slot, shape in (("broadcast", plan.broadcast), ("direct", plan.direct))
        if shape is not None
        for name, _ in shape.fields
    }


def relabel(message: Message, **changes: Any) -> Message:
    """Return the message with some of its envelope changed."""
    return attrs.evolve(message, **changes)
