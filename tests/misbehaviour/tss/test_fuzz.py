"""Random and mutated messages to every kind of session: it answers, ignores or aborts; no raise.

Dealings run on ideal base transfers, so that hundreds of examples take seconds; what bytes do to
the real ones is in ``test_session.py`` and ``test_transfers.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import attrs
import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metanode.tss.abort import RULES, AbortKind
from metanode.tss.batch import BatchSignSession
from metanode.tss.messages import Message
from metanode.tss.session import Session
from tests.misbehaviour.tss.cases import VICTIM
from tests.tss.support import (
    deal,
    deliver,
    digests_of,
    keygen_sessions,
    lanes_sessions,
    refresh_sessions,
    reshare_sessions,
    sign_sessions,
)

pytestmark = pytest.mark.usefixtures("ideal_base_transfers", "_short_parts")


@pytest.fixture(scope="module")
def _short_parts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("metanode.tss.sign_run.LANES", 2)
        yield


KINDS: dict[str, Callable[[], Mapping[int, Session[Any]]]] = {
    "keygen": lambda: keygen_sessions(2, 3),
    "refresh": lambda: refresh_sessions(deal(2, 3)),
    "reshare": lambda: reshare_sessions(deal(2, 3), [1, 2], [1, 3, 4], 2),
    "sign": lambda: sign_sessions(deal(3, 3), (1, 2, 3)),
    "lanes": lambda: lanes_sessions(deal(3, 3), (1, 2, 3), digests_of(2)),
    "batch": lambda: lanes_sessions(deal(2, 2), (1, 2), digests_of(6), kind=BatchSignSession),
}
"""A batch has parts of two digests here, so that it has a part more than are in flight."""
EACH = pytest.mark.parametrize("kind", KINDS)
SESSIONS = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "batch"])
"""A batch ignores what it hears too early of a part; of its parts' slots, ``lanes`` tells."""
STATES = {
    *(f"round-{number}" for number in range(1, 5)),
    *(f"part-{number}" for number in range(1, 4)),
    "finished",
    "aborted",
}


@lru_cache(maxsize=4)
def arriving(kind: str) -> tuple[Message, ...]:
    """Return what the victim receives in an honest run, in order."""
    arrived: list[Message] = []

    def record(recipient: int, message: Message) -> Message:
        if recipient == VICTIM:
            arrived.append(message)
        return message

    sessions = KINDS[kind]()
    deliver(sessions, tamper=record)
    assert sessions[VICTIM].state == "finished"
    return tuple(arrived)


def play(kind: str, messages: list[Any]) -> Session[Any]:
    """Return the victim after these messages; whatever they are, nothing may be raised."""
    session = KINDS[kind]()[VICTIM]
    session.start()
    for message in messages:
        ended = session.state in {"finished", "aborted"}
        out = session.receive(message)
        assert all(isinstance(answer, Message) for answer in out)
        assert session.state in STATES
        assert not (ended and out)
    return session


def check_blame(session: Session[Any], suspects: set[Any]) -> None:
    """Assert that an abort is well formed and names nobody but who sent what was changed."""
    assert (session.abort is None) or (session.result is None)
    if session.abort is not None:
        rule = RULES[AbortKind(session.abort.kind)]
        assert set(session.abort.culprits) <= suspects
        assert rule.attributed or not session.abort.culprits
        assert not session.abort.ban or (rule.ban and session.abort.culprits)
        ids = getattr(session, "session_ids", None) or (session.session_id,)
        assert cbor2.loads(session.abort.evidence)[0] in ids


ODD = st.one_of(
    st.none(), st.booleans(), st.floats(), st.text(max_size=4), st.binary(max_size=40), st.just([])
)
NUMBERS = st.one_of(st.integers(-2, 6), st.integers(), st.just(2**4000))
ENVELOPES: dict[str, st.SearchStrategy[Any]] = {
    "session_id": st.one_of(st.binary(max_size=40), st.just(bytes(32)), ODD),
    "round": st.one_of(NUMBERS, ODD),
    "sender": st.one_of(NUMBERS, ODD),
    "recipient": st.one_of(NUMBERS, ODD),
    "payload": st.one_of(st.binary(max_size=120), ODD),
}


@EACH
@settings(max_examples=100)
@given(data=st.data())
def test_envelopes(kind: str, data: st.DataObject) -> None:
    """Catches a wrong round, sender, recipient or session that raises, or blames a bystander."""
    messages: list[Any] = list(arriving(kind))
    suspects: set[Any] = set()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(messages) - 1))
        name = data.draw(st.sampled_from(sorted(ENVELOPES)))
        changed = attrs.evolve(messages[at], **{name: data.draw(ENVELOPES[name])})
        if data.draw(st.booleans()):
            messages.insert(at, changed)
        else:
            messages[at] = changed
        suspects |= {changed.sender} if isinstance(changed.sender, int) else set()
    check_blame(play(kind, messages), suspects)


def cut_and_pasted(payload: bytes, other: bytes, data: st.DataObject) -> bytes:
    """Return some change of a payload: bits, cuts, noise, or parts of another message."""
    at = data.draw(st.integers(0, len(payload)))
    noise = data.draw(st.binary(min_size=1, max_size=40))
    return data.draw(
        st.sampled_from(
            [
                payload[:at] + noise + payload[at + len(noise) :],
                payload[:at] + noise + payload[at:],
                payload[:at] + payload[at + len(noise) :],
                payload[:at],
                payload[:at] + other[at:],
                payload + payload,
                other,
                noise,
            ]
        )
    )


@EACH
@settings(max_examples=100)
@given(data=st.data())
def test_payloads(kind: str, data: st.DataObject) -> None:
    """Catches bytes that raise in a check, at any point of the run and in any order of arrival."""
    honest = list(arriving(kind))
    order = data.draw(st.permutations(range(len(honest))))
    target = data.draw(st.integers(0, len(honest) - 1))
    other = honest[data.draw(st.integers(0, len(honest) - 1))]
    payload = cut_and_pasted(honest[target].payload, other.payload, data)
    messages = [
        attrs.evolve(honest[at], payload=payload) if at == target else honest[at]
        for at in order
        for _ in range(data.draw(st.sampled_from([1, 1, 2])))
    ]
    session = play(kind, messages)
    check_blame(session, {honest[target].sender})
    if payload == honest[target].payload and kind != "batch":
        assert session.state == "finished"  # of a batch, later rounds of a later part may be early


@EACH
@settings(max_examples=60)
@given(data=st.data())
def test_valid_encodings_of_other_values(kind: str, data: st.DataObject) -> None:
    """Catches values of the right lengths that raise: points, scalars and proofs of any bytes."""
    honest = list(arriving(kind))
    target = data.draw(st.integers(0, len(honest) - 1))
    values = cbor2.loads(honest[target].payload)
    for name in data.draw(st.sets(st.sampled_from(sorted(values)), min_size=1)):
        filler = data.draw(st.sampled_from([0x00, 0x01, 0x02, 0x03, 0x7F, 0xFF]))
        head = data.draw(st.sampled_from([b"", b"\x02", b"\x03" + bytes(31)]))
        values[name] = (head + bytes([filler]) * len(values[name]))[: len(values[name])]
    payload = cbor2.dumps(values, canonical=True)
    messages = [*honest[:target], attrs.evolve(honest[target], payload=payload)]
    session = play(kind, messages + honest[target + 1 :])
    check_blame(session, {honest[target].sender})


def other_encodings(payload: bytes) -> list[bytes]:
    """Return CBOR that a lax parser would read as the payload or as something near it."""
    values = cbor2.loads(payload)
    first = min(values)
    rest = {name: value for name, value in values.items() if name != first}
    reversed_order = dict(reversed(list(values.items())))
    body = b"".join(cbor2.dumps(name) + cbor2.dumps(value) for name, value in values.items())
    changed: list[Any] = [
        rest,
        {**values, "more": b""},
        {**rest, first.upper(): values[first]},
        *({**values, first: odd} for odd in (None, 1, 2**70, 1.5, "x", [], {}, True)),
        {**values, first: values[first].hex()},
        {**values, first: bytes(len(values[first]) + 1)},
        {**values, first: cbor2.CBORTag(2, values[first])},
        {1: values[first], **rest},
        list(values.items()),
        cbor2.CBORTag(55799, values),
        {"payload": values},
    ]
    return [
        *(cbor2.dumps(value, canonical=True) for value in changed),
        *([cbor2.dumps(reversed_order)] if len(values) > 1 else []),
        b"\xbf" + body + b"\xff",
        b"\xb8" + bytes([len(values)]) + body,
        cbor2.dumps(first).join([payload[:1], payload[1:]]),
        b"",
        payload[:-1],
        payload[1:],
        payload + b"\x00",
        payload + payload,
        b"\xd9\xd9\xf7" + payload,
    ]


@SESSIONS
def test_other_encodings_are_malformed(kind: str) -> None:
    """Catches a second encoding of a value, and a field missing, unknown or of another type."""
    honest = arriving(kind)
    session = KINDS[kind]()[VICTIM]
    for message in honest[: len(honest) // 2]:
        for payload in other_encodings(message.payload):
            assert payload != message.payload
            session = KINDS[kind]()[VICTIM]
            session.receive(attrs.evolve(message, payload=payload))
            assert session.abort is not None
            assert (session.abort.kind, session.abort.culprits) == ("malformed", (message.sender,))


@SESSIONS
def test_every_message_in_every_wrong_place(kind: str) -> None:
    """Catches a message of one round taken for another's, or a direct one for a broadcast."""
    honest = arriving(kind)
    for message in honest:
        places = [(number, message.recipient) for number in range(6) if number != message.round]
        turned = VICTIM if message.recipient is None else None
        for number, recipient in [*places, (message.round, turned)]:
            session = KINDS[kind]()[VICTIM]
            session.receive(attrs.evolve(message, round=number, recipient=recipient))
            assert session.abort is not None
            assert (session.abort.kind, session.abort.culprits) == ("malformed", (message.sender,))
        session = KINDS[kind]()[VICTIM]
        for other in (0, 3, 9):
            session.receive(attrs.evolve(message, recipient=other))
        assert session.state == "new"


@SESSIONS
def test_reversed_and_repeated_messages_change_nothing(kind: str) -> None:
    """Catches a session that needs its messages in order, or counts one twice."""
    session = play(kind, [m for m in reversed(arriving(kind)) for _ in range(3)])
    assert session.state == "finished"
    again = play(kind, list(arriving(kind)))
    assert session.result == again.result


@EACH
@settings(max_examples=30)
@given(data=st.data())
def test_noise_before_the_start(kind: str, data: st.DataObject) -> None:
    """Catches a start that raises, or sends, after what peers did before it."""
    session = KINDS[kind]()[VICTIM]
    for message in data.draw(st.lists(st.sampled_from(arriving(kind)), max_size=4)):
        noise = data.draw(st.binary(max_size=10))
        session.receive(attrs.evolve(message, payload=message.payload[len(noise) :] + noise))
    out = session.start()
    assert session.state in STATES
    assert session.abort is None or out == []
