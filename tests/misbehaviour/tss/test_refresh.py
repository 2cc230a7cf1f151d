"""Refresh against cheaters: every field of every message, then what only a refresh can suffer."""

from __future__ import annotations

import pytest

from metanode.tss import curve
from metanode.tss.feldman import Polynomial
from metanode.tss.keyshare import Keyshare
from metanode.tss.messages import DealingShapes, Message
from tests.misbehaviour.tss.cases import (
    CHEATER,
    VICTIM,
    Case,
    check_outcome,
    fields_of,
    nobody_blames_the_honest,
    tamper_with,
    transfers,
)
from tests.misbehaviour.tss.test_keygen import TABLE as KEYGEN_TABLE
from tests.tss.support import (
    deal,
    deliver,
    edit,
    refresh_sessions,
    results_of,
    sign_sessions,
)

ROUNDS = DealingShapes(1)
"""t = 2: one coefficient, and no chain code."""
TABLE = [case for case in KEYGEN_TABLE if "chain" not in case.name]


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_tampered_field(case: Case) -> None:
    """Catches a field that nobody checks in a refresh, a wrong culprit and a wrong ban."""
    sessions = refresh_sessions(deal(2, 3))
    with transfers(case):
        tamper_with(case, ROUNDS, sessions)
    check_outcome(case, sessions)


def test_the_table_covers_every_field() -> None:
    """Catches a new field without a tampering case."""
    assert {(case.round, case.slot, case.name) for case in TABLE} == fields_of(ROUNDS)


def plus_five(data: bytes) -> bytes:
    """Add five to a scalar."""
    return curve.encode_scalar(int.from_bytes(data, "big") + 5)


def test_a_dealer_cannot_move_the_key() -> None:
    """Catches a refresh that takes a constant term: the key would be the dealer's to move.

    The cheater deals f(x) + 5 to party 1 in place of f(x), where f(0) = 0.
    """
    sessions = refresh_sessions(deal(2, 3))

    def tamper(recipient: int, message: Message) -> Message:
        if message.sender == CHEATER and message.round == 3 and recipient == VICTIM:
            return edit(ROUNDS, message, "share", plus_five)
        return message

    deliver(sessions, tamper=tamper)
    abort = sessions[VICTIM].abort
    assert abort is not None
    assert (abort.kind, abort.culprits, abort.transferable) == ("share", (CHEATER,), True)
    nobody_blames_the_honest(sessions)


def test_who_refreshes_another_share_is_not_heard() -> None:
    """Catches members of two epochs, or of two keys, that refresh together."""
    shares, others = deal(2, 3), deal(2, 3, "another key")
    mixed = {**refresh_sessions(shares), 3: refresh_sessions(others)[3]}
    deliver(mixed)
    assert {session.state for session in mixed.values()} == {"round-1"}


def test_shares_of_two_refreshes_with_one_number_do_not_meet() -> None:
    """Catches two honest parties that ban each other: two attempts end with one key and epoch.

    Each kept the shares of another attempt; nothing but the list of public shares tells them apart.
    """
    kept: dict[int, Keyshare] = {}
    for party, context in ((VICTIM, b"one attempt"), (CHEATER, b"another")):
        sessions = refresh_sessions(deal(2, 3), seed=context, context=context)
        deliver(sessions)
        kept[party] = results_of(sessions)[party]
    assert kept[VICTIM].epoch == kept[CHEATER].epoch
    assert kept[VICTIM].public_key == kept[CHEATER].public_key
    sessions = sign_sessions(kept, (VICTIM, CHEATER))
    deliver(sessions)
    assert {session.state for session in sessions.values()} == {"round-1"}
    assert sessions[VICTIM].session_id != sessions[CHEATER].session_id
    assert all(share.latch.closed == () for share in kept.values())


def test_a_wrong_old_share_shows_at_once() -> None:
    """Catches a party that adds its part to a damaged share: its S does not fit, and it is named.

    Party 2 begins from a share that is one too high.
    """
    shares = deal(2, 3)
    sessions = refresh_sessions(shares)
    sessions[CHEATER]._old_share += 1

    def spare_the_cheater(recipient: int, message: Message) -> Message | None:
        return None if recipient == CHEATER and message.round == 4 else message

    deliver(sessions, tamper=spare_the_cheater)
    for party in (1, 3):
        abort = sessions[party].abort
        assert abort is not None
        assert (abort.kind, abort.culprits, abort.transferable) == ("share", (CHEATER,), True)


def test_secrets_are_gone_after_the_end() -> None:
    """Catches a session that keeps the old share, its polynomial or a pair once it is over."""
    sessions = refresh_sessions(deal(2, 2))
    deliver(sessions)
    for session in sessions.values():
        assert session._old_share == session._secret_share == 0
        assert session._polynomial is None
        assert not session._pairs
    assert "1234567" not in repr(Polynomial((1234567,)))
