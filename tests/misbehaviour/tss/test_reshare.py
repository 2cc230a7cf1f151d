"""Reshare against cheaters: every field of every role's messages, then the smart ones.

Three old members of 2-of-3; members 1 and 2 deal, members 2, 3 and 4 hold afterwards. So party 1
only deals, party 2 does both and cheats, parties 3 and 4 only hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from attrs import evolve

from metanode.tss import curve
from metanode.tss.messages import DealingShapes, Message
from metanode.tss.reshare import ReshareSession
from metanode.tss.session import Session
from tests.misbehaviour.tss.cases import (
    CHEATER,
    Case,
    fields_of,
    nobody_blames_the_honest,
    remember,
    transfers,
)
from tests.misbehaviour.tss.test_keygen import TABLE as KEYGEN_TABLE
from tests.tss.support import deal, deliver, edit, plus_one, reshare_sessions

SHAPES = DealingShapes(2)
BOTH = SHAPES
DEALS, HOLDS = SHAPES.rounds(holds=False), SHAPES.rounds(deals=False)
LEAVER, HOLDER, OTHER = 1, 3, 4
TABLE = [case for case in KEYGEN_TABLE if "chain" not in case.name]


def sessions_of() -> dict[int, ReshareSession]:
    """Return one session per participant."""
    return reshare_sessions(deal(2, 3), [1, 2], [2, 3, 4], 2)


def victim_of(case: Case) -> int:
    """Return a holder that gets the field: party 2 sends base transfers to 3, and receives 4's."""
    return OTHER if case.of_receiver else HOLDER


def tamper(
    case: Case,
    sessions: Mapping[int, Session[Any]],
    rounds: Any,
    author: int,
    victim: int,
) -> int:
    """Run the sessions with one field changed; return how often."""
    touched = 0

    def change(recipient: int, message: Message) -> Message:
        nonlocal touched
        public = message.recipient is None
        mine = message.sender == author and message.round == case.round
        if not mine or public != (case.slot == "broadcast") or not (public or recipient == victim):
            return message
        touched += 1
        changed = edit(rounds, message, case.name, case.change)
        if public and not case.in_flight and author == CHEATER:
            remember(sessions[CHEATER], changed, rounds)
        return changed

    deliver(sessions, tamper=change)
    return touched


def check_watchers(case: Case, sessions: Mapping[int, Session[Any]], author: int) -> None:
    """Assert what those conclude who saw the change: all for a broadcast, else the victim."""
    everybody = [party for party in sessions if party != author]
    for party in everybody if case.slot == "broadcast" else [victim_of(case)]:
        abort = sessions[party].abort
        assert abort is not None, f"party {party} noticed nothing"
        assert abort.kind == case.kind
        assert abort.culprits == ((author,) if case.blamed else ())
        assert (abort.ban, abort.transferable) == (case.ban, case.transferable)


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_tampered_field_of_who_deals_and_holds(case: Case) -> None:
    """Catches a field that nobody checks, a wrong culprit and a wrong ban; leavers look, too."""
    sessions = sessions_of()
    with transfers(case):
        assert tamper(case, sessions, BOTH, CHEATER, victim_of(case))
    check_watchers(case, sessions, CHEATER)
    nobody_blames_the_honest(sessions)


def test_the_table_covers_every_field_of_every_role() -> None:
    """Catches a new field, for any role, without a tampering case."""
    covered = {(case.round, case.slot, case.name) for case in TABLE}
    assert covered == fields_of(BOTH)
    assert fields_of(DEALS) < covered
    assert fields_of(HOLDS) < covered


ROLES = {"leaver": (DEALS, LEAVER), "joiner": (HOLDS, OTHER)}
OTHER_ROLES = [
    pytest.param(role, case, id=f"{role}-{case}")
    for role, (rounds, _) in ROLES.items()
    for case in TABLE
    if case.name in ("echo", "share", "proof")
    and (case.round, case.slot, case.name) in fields_of(rounds)
]


@pytest.mark.parametrize(("role", "case"), OTHER_ROLES)
def test_tampered_field_of_the_other_roles(role: str, case: Case) -> None:
    """Catches messages of leavers and joiners that are taken on trust, in flight."""
    rounds, author = ROLES[role]
    sessions = sessions_of()
    with transfers(case):
        assert tamper(evolve(case, in_flight=True), sessions, rounds, author, HOLDER)
    abort = sessions[HOLDER].abort
    assert abort is not None
    expected = ("equivocation", ()) if case.name == "echo" else (case.kind, (author,))
    assert (abort.kind, abort.culprits) == expected


@pytest.mark.parametrize("dealer", [1, 2])
def test_who_deals_another_constant_is_named(dealer: int) -> None:
    """Catches a check of the sum of all constants only: it fails, and cannot say who cheated.

    The dealer uses a share that is one too high, with commitments and proofs that fit it.
    """
    sessions = sessions_of()
    sessions[dealer]._old_share += 1
    deliver(sessions)
    for party in set(sessions) - {dealer}:
        abort = sessions[party].abort
        assert abort is not None
        assert (abort.kind, abort.culprits, abort.transferable) == ("share", (dealer,), True)


def test_two_dealers_who_cancel_each_other_out_are_both_named() -> None:
    """Catches the same when the sum is right: +1 here and -1 there, weighted."""
    sessions = sessions_of()
    weights = {p: curve.lagrange_at_zero(p, [1, 2]) for p in (1, 2)}
    sessions[1]._old_share += curve.inverse(weights[1])
    sessions[2]._old_share -= curve.inverse(weights[2])
    deliver(sessions)
    abort = sessions[HOLDER].abort
    assert abort is not None
    assert (abort.kind, abort.culprits) == ("share", (1, 2))


def test_a_joiner_cannot_deal_and_a_leaver_cannot_hold() -> None:
    """Catches a role that is taken by sending its messages."""
    sessions = sessions_of()
    shape = BOTH.broadcast(2, deals=True, holds=True)
    assert shape is not None
    payload = shape.encode({name: bytes(length) for name, length in shape.fields})

    def change(recipient: int, message: Message) -> Message:
        if message.sender == OTHER and message.round == 2 and message.recipient is None:
            return evolve(message, payload=payload)
        return message

    deliver(sessions, tamper=change)
    for party in (1, 2, 3):
        abort = sessions[party].abort
        assert abort is not None
        assert (abort.kind, abort.culprits) == ("malformed", (OTHER,))

    sessions = sessions_of()
    public = BOTH.broadcast(4, deals=True, holds=True)
    assert public is not None
    values = {name: bytes(length) for name, length in public.fields}
    for session in sessions.values():
        session.start()
    stray = Message(sessions[1].session_id, 4, LEAVER, None, public.encode(values))
    sessions[HOLDER].receive(stray)
    abort = sessions[HOLDER].abort
    assert abort is not None
    assert (abort.kind, abort.culprits) == ("malformed", (LEAVER,))


def test_a_changed_share_of_a_leaver_is_provable() -> None:
    """Catches a leaver's last revenge that cannot be shown to anybody."""
    sessions = sessions_of()
    case = Case(3, "direct", "share", "share", True, transferable=True, change=plus_one)
    assert tamper(case, sessions, DEALS, LEAVER, HOLDER)
    check_watchers(case, sessions, LEAVER)
