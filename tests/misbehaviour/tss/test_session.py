"""Envelopes, duplicates and garbage: whatever arrives, a session answers and never raises."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import attrs
import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metanode.errors import LocalFault
from metanode.tss.abort import RULES, Abort, AbortKind, Blame, Evidence
from metanode.tss.messages import DEALING_ROUNDS, DealingShapes, Message, sign_rounds
from metanode.tss.parameters import STANDARD
from metanode.tss.session import Session
from tests.misbehaviour.tss.cases import CHEATER, VICTIM
from tests.tss.support import (
    Rounds,
    deal,
    deliver,
    edit,
    flip,
    keygen_sessions,
    shape_of,
    sign_sessions,
)

PROTOCOLS = ("keygen", "sign")
ROUNDS: dict[str, Rounds] = {"keygen": DealingShapes(2, chain=True), "sign": sign_rounds(STANDARD)}
LAST = {"keygen": DEALING_ROUNDS, "sign": 3}


def fresh(protocol: str) -> dict[int, Session[Any]]:
    """Return new sessions of two parties; equal every time."""
    if protocol == "keygen":
        return dict(keygen_sessions(2, 2))
    return dict(sign_sessions(deal(2, 2), (1, 2)))


@lru_cache(maxsize=2)
def transcript(protocol: str) -> tuple[Message, ...]:
    """Return what party 1 receives in an honest run, in order."""
    arrived: list[Message] = []

    def record(recipient: int, message: Message) -> Message:
        if recipient == VICTIM:
            arrived.append(message)
        return message

    sessions = fresh(protocol)
    deliver(sessions, tamper=record)
    assert sessions[VICTIM].state == "finished"
    return tuple(arrived)


def expect(session: Session[Any], kind: str, culprits: tuple[int, ...]) -> Abort:
    """Assert how the session ended."""
    assert session.state == "aborted"
    assert session.result is None
    assert session.abort is not None
    assert (session.abort.kind, session.abort.culprits) == (kind, culprits)
    assert not session.abort.ban
    return session.abort


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_envelopes_of_others_are_ignored(protocol: str) -> None:
    """Catches a stranger, a wrong recipient or an old session disturbing this one."""
    session = fresh(protocol)[VICTIM]
    session.start()
    message = transcript(protocol)[0]
    for change in (
        {"session_id": bytes(32)},
        {"session_id": b""},
        {"sender": VICTIM},
        {"sender": 3},
        {"sender": 0},
        {"sender": True},
        {"sender": None},
        {"sender": [2]},
        {"recipient": 3},
        {"recipient": "1"},
    ):
        assert session.receive(attrs.evolve(message, **change)) == []
        assert session.state == "round-1"
    assert session.waiting_for == (CHEATER,)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "change",
    [
        {"round": 0},
        {"round": 9},
        {"round": -1},
        {"round": True},
        {"round": None},
        {"payload": b""},
        {"payload": None},
        {"payload": "text"},
        {"payload": b"\xa0"},
        {"payload": b"\xff" * 70},
    ],
    ids=str,
)
def test_malformed_messages_blame_their_sender(protocol: str, change: dict[str, object]) -> None:
    """Catches a crash or silence on an impossible round or payload."""
    session = fresh(protocol)[VICTIM]
    session.start()
    assert session.receive(attrs.evolve(transcript(protocol)[0], **change)) == []
    assert expect(session, "malformed", (CHEATER,)).transferable


def test_a_slot_that_the_round_does_not_have() -> None:
    """Catches a direct message where a broadcast belongs, and the other way round."""
    session = fresh("keygen")[VICTIM]
    session.start()
    session.receive(attrs.evolve(transcript("keygen")[0], recipient=VICTIM))
    expect(session, "malformed", (CHEATER,))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_two_messages_for_one_slot_are_equivocation(protocol: str) -> None:
    """Catches a second, different message replacing the first, early or late."""
    for position, message in enumerate(transcript(protocol)[:-1]):
        session = fresh(protocol)[VICTIM]
        session.start()
        for earlier in transcript(protocol)[: position + 1]:
            session.receive(earlier)
        name = next(name for name, _ in shape_of(ROUNDS[protocol], message).fields)
        session.receive(edit(ROUNDS[protocol], message, name, flip))
        abort = expect(session, "equivocation", (CHEATER,))
        assert abort.transferable
        evidence = Evidence.from_plain(cbor2.loads(abort.evidence))
        assert evidence.session_id == session.session_id
        assert evidence.slots == ((message.round, message.recipient is None),)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_early_messages_wait_and_duplicates_do_nothing(protocol: str) -> None:
    """Catches a session that loses early rounds, or answers a repeated message twice."""
    sessions = fresh(protocol)
    session = sessions[VICTIM]
    outgoing = []
    for message in reversed(transcript(protocol)):
        assert session.receive(message) == []
        assert session.receive(message) == []
    assert session.state == "new"
    outgoing = session.start()
    # Deterministic entropy: the recorded peer's answers fit, so the whole run happens at once.
    assert session.state == "finished"
    assert {message.round for message in outgoing} == set(range(1, LAST[protocol] + 1))
    assert session.receive(transcript(protocol)[0]) == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_peer_that_is_early_and_malformed_cannot_make_start_raise(protocol: str) -> None:
    """Catches an exception in ``start`` that a peer's bytes have caused before it."""
    session = fresh(protocol)[VICTIM]
    session.receive(attrs.evolve(transcript(protocol)[0], payload=b""))
    assert session.start() == []
    expect(session, "malformed", (CHEATER,))
    with pytest.raises(LocalFault):
        session.start()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_end_is_final(protocol: str) -> None:
    """Catches a finished session that a late or conflicting message can still undo."""
    sessions = fresh(protocol)
    deliver(sessions)
    session = sessions[VICTIM]
    result = session.result
    last = transcript(protocol)[-1]
    session.receive(edit(ROUNDS[protocol], last, "echo", flip))
    session.receive(attrs.evolve(last, payload=b""))
    session.expire()
    assert session.state == "finished"
    assert session.result is result is not None
    assert session.abort is None


@settings(max_examples=40)
@given(st.sampled_from(PROTOCOLS), st.data())
def test_fuzzed_payloads_never_raise(protocol: str, data: st.DataObject) -> None:
    """Catches any exception that a peer's bytes can cause, at any point of the run."""
    messages = transcript(protocol)
    position = data.draw(st.integers(min_value=0, max_value=len(messages) - 1))
    target = messages[position]
    at = data.draw(st.integers(min_value=0, max_value=len(target.payload)))
    noise = data.draw(st.binary(min_size=1, max_size=80))
    cut = data.draw(st.sampled_from([0, len(noise)]))
    payload = target.payload[:at] + noise + target.payload[at + cut :]
    session = fresh(protocol)[VICTIM]
    session.start()
    for message in messages[:position]:
        session.receive(message)
    session.receive(attrs.evolve(target, payload=payload))
    for message in messages[position + 1 :]:
        session.receive(message)
    assert session.state in {"finished", "aborted"}
    if session.abort is not None:
        assert set(session.abort.culprits) <= {CHEATER}
        assert AbortKind(session.abort.kind) in RULES


def test_every_kind_has_its_rule() -> None:
    """Catches a kind that does not decide whom it blames and whether it bans."""
    assert set(RULES) == set(AbortKind)
    banning = {kind for kind, rule in RULES.items() if rule.ban}
    assert banning == {AbortKind.OT_CONSISTENCY, AbortKind.MUL_CHECK}
    for kind, rule in RULES.items():
        assert rule.why
        assert rule.attributed or not (rule.ban or rule.transferable), kind


def test_unattributable_kinds_cannot_name_anybody() -> None:
    """Catches our own code blaming a party for a failure that proves nothing about it."""
    with pytest.raises(LocalFault):
        Blame(AbortKind.KEY_MISMATCH, "sum", [CHEATER]).abort(bytes(32))
    abort = Blame(AbortKind.EQUIVOCATION, "echo").abort(bytes(32))
    assert (abort.culprits, abort.ban, abort.transferable) == ((), False, False)
    assert "evidence" not in repr(abort)
