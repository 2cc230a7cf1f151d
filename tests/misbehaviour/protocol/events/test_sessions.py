"""A dishonest member in a signing run: foreign instances, wrong lanes, garbage, floods."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.errors import PeerFault
from metanode.protocol.events import sessions as session
from metanode.protocol.events.run import KeygenPlan, instance_of
from spec import messages as m
from tests.protocol.events.support import IDS, Events, running
from tests.protocol.support import EVENT

OTHER = bytes([9]) * 32


def test_steps_of_another_attempt_enter_no_run() -> None:
    """F-23: catches messages of attempt 1 that reach attempt 2: the instance names the attempt."""
    plan = KeygenPlan(IDS[:2], 2, 1)
    name = instance_of(OTHER, 1, OTHER, plan, IDS[:2])
    assert name != instance_of(OTHER, 2, OTHER, plan, IDS[:2])
    assert name != instance_of(OTHER, 1, OTHER, plan, IDS[1::-1])
    events, (lane,), _ = running(0, 0, 1, 2)
    assert events.node.receive(1, m.Release(name, 0, 1, b"old", 0)) is None
    assert not lane.heard


@pytest.mark.parametrize(
    ("sender", "change", "words"),
    [
        (3, {}, "outside the session"),
        (1, {"lane": 63}, "lane"),
        (1, {"recipient": 3}, "another party"),
    ],
)
def test_what_a_run_has_no_place_for_is_its_senders_fault(
    sender: int, change: dict[str, int], words: str
) -> None:
    """Catches a holder that is no member and yet heard, an index error, a message of others."""
    events, (lane,), run = running(0, 0, 1, 2)
    good = m.Release(run.instance, 0, 1, b"x", 0)
    found = events.node.receive(sender, evolve(good, **change))
    assert found is not None
    assert words in found.reason
    assert found.culprits() == (IDS[sender],)
    assert not lane.heard
    assert events.node.receive(2, good) is None
    assert len(lane.heard) == 1


def test_an_early_message_from_outside_does_not_spoil_the_begin() -> None:
    """Catches a begin that stops at the first bad early message and loses those of the members.

    An outsider can foretell the run: document, round and members are no secret.
    """
    events, (lane,), run = running(0, 0, 1, 2, begin=False)
    for sender in (3, 1, 2):
        events.node.receive(sender, m.Release(run.instance, 0, 1, b"x", 0))
    events.node.tick()
    assert [message.sender for message in lane.heard] == [2, 3]
    (note,) = events.node.noted("session.early_fault")
    assert note.fields["peer"] == IDS[3].hex()[:16]


def test_a_flood_of_unknown_runs_pushes_out_only_its_own_senders_messages() -> None:
    """Catches an early buffer that one member fills: the others' early messages must survive."""
    events = Events.at(0)
    early = m.Release(OTHER, 0, 1, b"early", 0)
    events.node.receive(1, early)
    for number in range(1000):
        flood = m.Release(number.to_bytes(32, "big"), 0, 1, bytes(1000), 0)
        events.sessions._wait((IDS[3], flood, b""))
    kept = events.sessions._early
    assert [message for _, message, _ in kept[IDS[1]][OTHER]] == [early]
    assert sum(map(len, kept[IDS[3]].values())) <= session.EARLY_PER_SENDER


def test_early_messages_of_one_sender_are_bounded_in_octets() -> None:
    """Catches a buffer bounded in messages only: each may have a megabyte."""
    events, big = Events.at(0), bytes(m.PAYLOAD_OCTETS)
    for number in range(12):
        events.sessions._wait((IDS[3], m.Step(OTHER, number, 2, big, 0), b""))
    held = events.sessions._early.get(IDS[3], {})
    octets = sum(len(one.payload) for messages in held.values() for _, one, _ in messages)
    assert octets <= session.EARLY_OCTETS_PER_SENDER + len(big)


def test_messages_after_the_end_are_ignored() -> None:
    """Catches a finished run that is entered again by a late or repeated message."""
    events, (lane,), run = running(0, 0, 1, 2)
    lane.finish()
    events.node.receive(1, m.Step(run.instance, 0, 2, b"bye", 0))
    assert events.session() == "finished"
    events.node.take()
    for payload in (b"bye", b"late"):
        assert events.node.receive(1, m.Step(run.instance, 0, 2, payload, 0)) is None
    assert len(lane.heard) == 1
    assert run.instance not in events.sessions._early.get(IDS[1], {})
    effects = events.node.take()
    assert (effects.writes, effects.sends) == ([], [])
    assert events.aim.done.count(("finished", EVENT)) == 1


@pytest.mark.parametrize(
    "field",
    [
        {"lane": m.INPUTS_LIMIT}, {"lane": -1}, {"stage": 16},
        {"payload": bytes(m.PAYLOAD_OCTETS + 1)},
    ],
)
def test_fields_out_of_bounds_cannot_be_built(field: dict[str, object]) -> None:
    """Catches a bound that only the sender keeps."""
    good = m.Step(OTHER, 0, 1, b"", 0)
    with pytest.raises((ValueError, PeerFault)):
        evolve(good, **field)
