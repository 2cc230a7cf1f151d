"""A source of randomness that repeats itself: no nonce, mask or salt does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from metanode.errors import LocalFault
from metanode.tss.hedge import HedgedEntropy, spent
from metanode.tss.keygen import KeygenSession
from metanode.tss.messages import DealingShapes, Message, sign_rounds
from metanode.tss.parameters import STANDARD
from metanode.tss.refresh import RefreshSession
from metanode.tss.session import Session
from metanode.tss.sign import SignSession
from tests.tss.support import DIGEST, Rounds, deal, deliver, identity_keys, shape_of

SHARES = deal(2, 2)
KEYS = identity_keys(2)
AGREED = {"echo", "key_point", "public_share"}
"""What parties agree on, or what follows from the key alone."""


def stuck(length: int) -> bytes:
    """Return the same bytes for ever."""
    return bytes(range(1, 33))[:length].ljust(length, b"\x07")


MAKERS: dict[str, tuple[Callable[[bytes], Mapping[int, Session[Any]]], Rounds]] = {
    "sign": (
        lambda label: {
            party: SignSession(share, (1, 2), DIGEST, label.ljust(32), stuck)
            for party, share in SHARES.items()
        },
        sign_rounds(STANDARD),
    ),
    "refresh": (
        lambda label: {
            party: RefreshSession(share, label, KEYS, stuck) for party, share in SHARES.items()
        },
        DealingShapes(1),
    ),
    "keygen": (
        lambda label: {
            party: KeygenSession(party, (1, 2), 2, label, KEYS, 0, stuck) for party in (1, 2)
        },
        DealingShapes(2, chain=True),
    ),
}


def sent(protocol: str, label: bytes) -> list[tuple[str, bytes]]:
    """Return (field, value) of every field in a run whose parties draw from the stuck source."""
    make, rounds = MAKERS[protocol]
    found: list[tuple[str, bytes]] = []

    def look(_: int, message: Message) -> Message:
        decoded = shape_of(rounds, message).decode(message.payload)
        found.extend(decoded.items())
        return message

    sessions = make(label)
    deliver(sessions, tamper=look)
    assert {session.state for session in sessions.values()} == {"finished"}
    return found


@pytest.mark.parametrize("protocol", MAKERS)
def test_runs_on_a_stuck_source_have_nothing_in_common(protocol: str) -> None:
    """Catches a nonce, mask or salt that comes from the source alone.

    Two runs for one key and one digest: where a nonce came twice, two signatures would give the
    key away.
    """
    values = [
        value
        for label in (b"one", b"two")
        for name, value in sent(protocol, label)
        if name not in AGREED
    ]
    assert [value for value, count in Counter(values).items() if count > 1] == []


def test_two_parties_and_two_shares_draw_differently() -> None:
    """Catches a key of the hedge without the party or the secret: two cloned nodes."""
    drawn = {
        HedgedEntropy(stuck, sid, party, secret)(32)
        for sid in (bytes(32), b"\x01" * 32)
        for party in (1, 2)
        for secret in (b"", bytes(32), b"\x02" * 32)
    }
    assert len(drawn) == 12
    one = HedgedEntropy(stuck, bytes(32), 1, b"")
    assert len({one(32) for _ in range(100)}) == 100


def test_fresh_bytes_count() -> None:
    """Catches a hedge that is a function of the share alone: a repeated session would repeat."""
    sources = (stuck, lambda length: b"\x09" * length)
    assert len({HedgedEntropy(source, bytes(32), 1, b"")(32) for source in sources}) == 2


def test_a_short_source_is_a_local_fault() -> None:
    """Catches a source whose silence the hedge would cover up."""
    with pytest.raises(LocalFault):
        HedgedEntropy(lambda length: b"", bytes(32), 1, b"")(32)


def test_an_ended_session_draws_nothing() -> None:
    """Catches the key of the hedge, which hangs on the share, being kept after the end."""
    make, _ = MAKERS["sign"]
    sessions = make(b"ended")
    deliver(sessions)
    for session in sessions.values():
        assert session._entropy is spent
    with pytest.raises(LocalFault):
        spent(32)
