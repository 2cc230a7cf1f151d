"""The bytes on the wire are frozen: peers of one suite version must understand each other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from metanode.tss.batch import BatchSignSession
from metanode.tss.messages import Message
from metanode.tss.parameters import SUITE
from metanode.tss.session import Session
from tests.tss.support import (
    deal,
    deliver,
    digests_of,
    generate,
    keygen_sessions,
    lanes_sessions,
    refresh_sessions,
    reshare_sessions,
    sign_sessions,
)

SEEDED: dict[str, Callable[[], Mapping[int, Session[Any]]]] = {
    "keygen": lambda: keygen_sessions(2, 2),
    "sign": lambda: sign_sessions(generate(2, 2), (1, 2)),
    "lanes": lambda: lanes_sessions(deal(2, 2), (1, 2), digests_of(2), tweaks=(0, 1)),
    "batch": lambda: lanes_sessions(deal(2, 2), (1, 2), digests_of(9), kind=BatchSignSession),
    "refresh": lambda: refresh_sessions(deal(2, 2)),
    "reshare": lambda: reshare_sessions(deal(2, 3), [1, 2], [2, 3], 2),
}
FROZEN = {
    b"metanode/dkls23/secp256k1/v3": {
        "keygen": "bf693f2d0a59ab74a3463e559fc39da3",
        "sign": "db5565938ab2660855020435ecf10ffb",
        "lanes": "d86634d33f0beaeaf5c08bdb63f651f6",
        "batch": "fd0512b596722408c519974c1156f5e9",
        "refresh": "c4fa9fcc6c9d33fccb7718cf25896e07",
        "reshare": "32f52a0e4d49981480a2fb60561d2a77",
    },
}


@pytest.mark.parametrize("protocol", SEEDED)
def test_transcript_of_a_seeded_run(protocol: str) -> None:
    """Catches an unwanted change of a hash, encoding or order; a wanted one is a new suite."""
    state = hashlib.sha256()

    def record(_: int, message: Message) -> Message:
        state.update(message.session_id + message.payload)
        return message

    deliver(SEEDED[protocol](), tamper=record)
    assert state.hexdigest()[:32] == FROZEN[SUITE][protocol]


def test_no_session_of_an_older_suite_has_the_same_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a suite version that does not keep old and new nodes apart."""
    new = {name: ids_of(make()) for name, make in SEEDED.items()}
    older = b"metanode/dkls23/secp256k1/v2"
    monkeypatch.setattr("metanode.tss.roles.SUITE", older)
    monkeypatch.setattr("metanode.tss.sign_run.SUITE", older)
    for name, make in SEEDED.items():
        assert not new[name] & ids_of(make())


def ids_of(sessions: Mapping[int, Any]) -> set[bytes]:
    """Return all session ids, of a batch those of its parts."""
    found = [getattr(s, "session_ids", None) or (s.session_id,) for s in sessions.values()]
    return {each for ids in found for each in ids}
