"""Many digests by one call, between honest parties: order, bounds, states and results."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from metanode.errors import LocalFault
from metanode.tss import curve
from metanode.tss.batch import BatchSignSession
from metanode.tss.lane import tweaked_key
from metanode.tss.messages import Message
from metanode.tss.parameters import BATCH_DIGESTS, LANES, PARTS_AT_ONCE
from metanode.tss.verify import verify_signature
from tests.tss.support import DIGEST, deal, deliver, digests_of, lanes_sessions, seeded
from tests.tss.test_lane import signatures


def batches(shares: Any, signers: Any, digests: Any, **more: Any) -> dict[int, BatchSignSession]:
    """Return one batch per signer."""
    return lanes_sessions(shares, signers, digests, kind=BatchSignSession, **more)


@pytest.fixture
def _short_parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Cut lists into parts of two digests, so that a short one has many."""
    monkeypatch.setattr("metanode.tss.sign_run.LANES", 2)
    return


@pytest.mark.parametrize("count", [1, LANES, LANES + 1, 3 * LANES])
def test_every_digest_is_signed_in_its_place(count: int) -> None:
    """Catches a part that is lost or put into another's place, and a tweak of another digest."""
    shares, digests = deal(2, 3), digests_of(count)
    tweaks = [number % 3 for number in range(count)]
    sessions = batches(shares, (1, 3), digests, tweaks=tweaks)
    deliver(sessions)
    made = signatures(sessions)
    assert len(made) == count
    for digest, tweak, signature in zip(digests, tweaks, made, strict=True):
        key = tweaked_key(shares[1].public_key, tweak)
        assert verify_signature(key, digest, signature.r, signature.s)
    assert {session.outcomes for session in sessions.values()} == {made}


@pytest.mark.usefixtures("_short_parts")
@pytest.mark.parametrize("seed", range(4))
def test_order_and_repetition_do_not_matter(seed: int) -> None:
    """Catches a batch that loses what a faster peer says of a part that has not begun here."""
    shares, digests = deal(3, 4), digests_of(9)
    sessions = batches(shares, (1, 2, 4), digests)
    deliver(sessions, shuffle=Random(seed), copies=2)
    assert len(set(signatures(sessions))) == 9


@pytest.mark.usefixtures("_short_parts")
def test_few_parts_are_there_at_any_time() -> None:
    """Catches memory that grows with the list: parts in flight, and parts that peers began."""
    sessions = batches(deal(3, 3), (1, 2, 3), digests_of(40))
    most = 0

    def look(_: int, message: Message) -> Message:
        nonlocal most
        for session in sessions.values():
            most = max(most, len(session._parts))
            assert session._begun - session._ended <= PARTS_AT_ONCE
        return message

    deliver(sessions, tamper=look, shuffle=Random(5))
    assert len(signatures(sessions)) == 40
    assert PARTS_AT_ONCE <= most <= 2 * PARTS_AT_ONCE


@pytest.mark.usefixtures("_short_parts")
def test_states_are_reported_in_order() -> None:
    """Catches a state that does not say how far it is, and secrets that stay at the end."""
    sessions = batches(deal(2, 2), (1, 2), digests_of(5))
    one = sessions[1]
    assert (one.state, one.waiting_for, len(one.session_ids)) == ("new", (), 3)
    states: list[str] = []

    def look(_: int, message: Message) -> Message:
        if not states or states[-1] != one.state:
            states.append(one.state)
        if one.state == "part-2":
            assert one.waiting_for in ((), (2,))
            assert sum(each is not None for each in one.outcomes) == 2
            assert one.result is None
        return message

    deliver(sessions, tamper=look)
    assert states == ["part-1", "part-2", "part-3", "finished"]
    assert (one.state, one.abort, one.waiting_for) == ("finished", None, ())
    assert one._keyshare is None
    assert not one._parts
    assert one.receive(Message(one.session_ids[0], 1, 2, None, b"")) == []


@pytest.mark.usefixtures("_short_parts")
def test_what_is_signed_stays_when_the_time_is_over() -> None:
    """Catches signatures thrown away because later ones do not come, and blame for silence."""
    sessions = batches(deal(2, 2), (1, 2), digests_of(6))
    ids = sessions[1].session_ids

    def lose(_: int, message: Message) -> Message | None:
        return None if message.session_id in ids[2:] else message

    deliver(sessions, tamper=lose)
    one = sessions[1]
    assert one.waiting_for == (2,)
    one.expire()
    assert (one.state, one.result) == ("aborted", None)
    assert one.abort is not None
    assert (one.abort.kind, one.abort.culprits, one.abort.ban) == ("timeout", (), False)
    assert [each is not None for each in one.outcomes] == [True] * 4 + [False] * 2


def test_session_ids_depend_on_the_whole_list() -> None:
    """Catches parties who disagree about the end of the list and sign its beginning."""
    shares, digests = deal(2, 3), digests_of(2 * LANES + 1)
    variants = [
        batches(shares, (1, 2), digests)[1],
        batches(shares, (1, 3), digests)[1],
        batches(shares, (1, 2), digests[:-1])[1],
        batches(shares, (1, 2), (*digests[:-1], DIGEST))[1],
        batches(shares, (1, 2), digests, tweaks=[0] * 2 * LANES + [1])[1],
        batches(shares, (1, 2), digests, instance=b"\x01" * 32)[1],
    ]
    ids = [each for session in variants for each in session.session_ids]
    assert len(ids) == 6 * 3 - 1
    assert len(set(ids)) == len(ids)


def test_the_parts_of_equal_digests_differ() -> None:
    """Catches parts with one session id, and nonces that repeat from part to part."""
    sessions = batches(deal(2, 2), (1, 2), [DIGEST] * (LANES + 2))
    assert len(set(sessions[1].session_ids)) == 2
    deliver(sessions)
    assert len({signature.r for signature in signatures(sessions)}) == LANES + 2


@pytest.mark.parametrize(
    "change",
    [
        {"digests": ()},
        {"digests": (DIGEST,) * (BATCH_DIGESTS + 1)},
        {"digests": (*digests_of(20), bytes(31))},
        {"digests": (*digests_of(20), 7)},
        {"digests": DIGEST},
        {"tweaks": (1,)},
        {"tweaks": (0,) * 20 + (curve.ORDER,)},
        {"tweaks": (0,) * 20 + (-1,)},
        {"tweaks": (0,) * 20 + (0.0,)},
        {"signers": (1, 1)},
        {"signers": (1.0, 2)},
        {"signers": (1, 2, 3)},
        {"instance": bytes(31)},
    ],
    ids=lambda change: f"{next(iter(change))}-{len(next(iter(change.values())))}",
)
def test_bad_configuration_is_refused(change: dict[str, Any]) -> None:
    """Catches an empty list, one that is too long, and what only a late part would stumble over."""
    good: dict[str, Any] = {
        "keyshare": deal(2, 3)[1],
        "signers": (1, 2),
        "digests": digests_of(21),
        "instance": bytes(32),
        "entropy": seeded("x"),
    }
    assert BatchSignSession(**good).state == "new"
    with pytest.raises(LocalFault):
        BatchSignSession(**{**good, **change})


def test_the_longest_list_is_taken() -> None:
    """Catches a bound that is one too low."""
    session = batches(deal(2, 2), (1, 2), [DIGEST] * BATCH_DIGESTS)[1]
    assert len(session.start()) == 2 * PARTS_AT_ONCE
    session.expire()


def test_single_use_and_not_serialisable() -> None:
    """Catches a batch run twice from one state."""
    sessions = batches(deal(2, 2), (1, 2), digests_of(2))
    deliver(sessions)
    with pytest.raises(LocalFault):
        sessions[1].start()
    with pytest.raises(LocalFault):
        pickle.dumps(sessions[1])
