"""Liars among those who sign what operators ask for: nothing is signed that was not asked for here,
and nobody can keep it from being signed by voting and falling silent.
"""

from __future__ import annotations

from itertools import combinations

import pytest
from attrs import evolve

from metanode.protocol.requests.request import request_event
from spec import messages as m
from tests.simulation.asking import (
    DIGEST,
    OTHER,
    all_signed,
    ask_to_sign,
    quiet,
    sign_document,
    signature,
)
from tests.simulation.hostile import changes, forged
from tests.simulation.simulator import NETWORK_ID, QUICK, Simulation, Tamper

ROUND_S = QUICK.round_period_s


def coordinator(sim: Simulation, later: int = 0) -> int:
    """Return the number of the coordinator of the round that is so many rounds ahead."""
    ids = sorted(node.node_id for node in sim.nodes)
    attempt = int(sim.now // ROUND_S) + later
    return sim.number_of(ids[(1 + attempt) % len(ids)])


def others(bad: int, members: int = 4) -> tuple[int, ...]:
    """Return the numbers of all nodes but one."""
    return tuple(number for number in range(members) if number != bad)


def never_signs(sim: Simulation, bad: int) -> None:
    """Let a node vote like any other and say nothing in the sessions that come of it."""
    sim.tamper[bad] = changes((m.Release, m.Step), lambda message: [])


# --- SETUP ---


def test_a_setup_for_what_no_operator_asked_for_here_is_ignored() -> None:
    """F-17: catches a node that signs because a coordinator says that somebody wants it."""
    sim = quiet(1)
    sim.run(1.95)
    bad = coordinator(sim, 1)
    sim.checkers.honest -= {sim.nodes[bad].node_id}
    sim.run(0.1)
    key = sim.core(bad).ctx.epoch
    document = sign_document(sim, DIGEST)
    event = request_event(NETWORK_ID, "sign", document)
    attempt = int(sim.now // ROUND_S)
    setup = m.Setup(1, event, attempt, DIGEST, "sign", document, key.roster)
    for to in others(bad):
        sim.inject(bad, setup, to)
    sim.run(1.0)
    for number in others(bad):
        core, disk = sim.core(number), sim.nodes[number].disk
        assert core.book.status(event) == "UNKNOWN"
        assert all(index[1] != event for index in disk.cells.get("voted", {}))
    assert not sim.noted("session.begun")


@pytest.mark.parametrize(
    "field", ["document", "members", "key_epoch", "event", "attempt", "purpose", "locked"]
)
def test_a_setup_that_differs_in_a_field_gets_no_vote_and_costs_a_round(field: str) -> None:
    """F-17: catches a document, a roster or an epoch that is taken from the coordinator."""
    sim = quiet(2)
    bad = coordinator(sim)
    sim.checkers.honest -= {sim.nodes[bad].node_id}
    other = sign_document(sim, OTHER)

    def lie(message: m.Setup) -> list[object]:
        change = {
            "document": other,
            "members": message.members[:3],
            "key_epoch": 2,
            "event": request_event(NETWORK_ID, "sign", other),
            "attempt": message.attempt + 4,  # its turn as well, but not yet
            "purpose": "lock_in",
            "locked": m.LockedCandidate(message.document, forged(_certificate(sim, message))),
        }[field]
        return [evolve(message, **{field: change})]

    sim.tamper[bad] = changes(m.Setup, lie)
    event = ask_to_sign(sim, range(4))
    sim.run(1.2)
    for number in others(bad):
        voted = sim.nodes[number].disk.cells.get("voted", {})
        assert all(index[1] != event for index in voted), f"node {number} voted"
    assert bool(sim.faults_of(bad)) == (field == "locked"), "a forged lock is proved to be one"
    sim.run_until(lambda: all_signed(sim, event, others(bad)), 3 * ROUND_S, "signed without it")


def _certificate(sim: Simulation, message: m.Setup) -> m.Certificate:
    from tests.simulation.hostile import certificate

    return certificate(sim, range(3), event=message.event, digest=DIGEST, attempt=message.attempt)


# --- BEGIN ---


def test_a_begin_without_votes_begins_nothing_and_names_its_sender() -> None:
    """SAFE-SIGN 3: catches a share that is released on the coordinator's word."""
    sim = quiet(3)
    bad = coordinator(sim)
    sim.checkers.honest -= {sim.nodes[bad].node_id}
    sim.tamper[bad] = changes(m.Begin, lambda begin: [m.Begin(forged(begin.certificate))])
    event = ask_to_sign(sim, range(4))
    sim.run(1.2)
    assert not any(sim.noted("session.begun", number) for number in others(bad))
    assert sim.faults_of(bad)
    sim.run_until(lambda: all_signed(sim, event, others(bad)), 3 * ROUND_S, "signed without it")


# --- voters ---


@pytest.mark.parametrize("bad", range(4))
def test_a_member_who_votes_first_and_never_signs_is_left_out_soon(bad: int) -> None:
    """F-34: catches a BEGIN of the first voters: the quickest liar would be in every session."""
    sim = quiet(4, dishonest={bad})
    never_signs(sim, bad)
    events = [ask_to_sign(sim, range(4), digest) for digest in (DIGEST, OTHER)]
    honest = others(bad)
    done = lambda: all(all_signed(sim, event, honest) for event in events)  # noqa: E731 - used once
    sim.run_until(done, 4 * ROUND_S, "signed without the liar")


@pytest.mark.parametrize("apart", [2, 3])
def test_two_silent_voters_who_sit_apart_are_left_out_together(apart: int) -> None:
    """F-34: catches a choice in turn alone: it leaves out neighbours only, whatever the round."""
    sim = quiet(5, members=7, threshold=5, byzantine=2)
    order = sorted(range(7), key=lambda number: sim.nodes[number].node_id)
    bad = {order[0], order[apart]}
    for number in bad:
        sim.checkers.honest -= {sim.nodes[number].node_id}
        never_signs(sim, number)
    event = ask_to_sign(sim, range(7))
    honest = [number for number in range(7) if number not in bad]
    sim.run_until(lambda: all_signed(sim, event, honest), 8 * ROUND_S, "signed by the five others")


def test_a_coordinator_who_sets_up_and_never_begins_costs_one_round() -> None:
    """F-21: catches voters who wait for one coordinator until their session idles out."""
    sim = quiet(6)
    bad = coordinator(sim)
    sim.checkers.honest -= {sim.nodes[bad].node_id}
    sim.tamper[bad] = changes(m.Begin, lambda begin: [])
    event = ask_to_sign(sim, range(4))
    sim.run(1.0)
    assert {sim.core(n).book.status(event) for n in others(bad)} == {"IN_PROGRESS"}
    sim.run_until(lambda: all_signed(sim, event, others(bad)), 2 * ROUND_S, "the next one begins")


def test_an_attempt_that_fails_before_a_release_is_followed_by_another() -> None:
    """F-35: catches a request that is stranded by an attempt in which nothing left a node."""
    sim = quiet(13)
    bad = coordinator(sim)
    sim.checkers.honest -= {sim.nodes[bad].node_id}
    sim.tamper[bad] = changes(m.Begin, lambda begin: [])
    event = ask_to_sign(sim, range(4))
    sim.run(0.5)
    for number in others(bad):
        sim.core(number).ctx.fire("event.ProtocolError", e=event)
        assert sim.core(number).book.status(event) == "FAILED"
    sim.run_until(lambda: all_signed(sim, event, others(bad)), 3 * ROUND_S, "signed after all")


def test_the_silent_are_remembered_until_a_run_with_them_ends_well() -> None:
    """Catches a member that is left out for ever because of one bad minute."""
    sim = quiet(7)
    bad = others(coordinator(sim))[0]
    never_signs(sim, bad)
    event = ask_to_sign(sim, range(4))
    sim.run_until(lambda: all_signed(sim, event, others(bad)), 4 * ROUND_S, "signed")
    spoilt = [sim.core(n).sessions.silences(sim.nodes[bad].node_id) for n in others(bad)]
    sim.tamper.clear()
    if not any(spoilt):
        return  # the turn had left it out at once
    for number in range(1, 9):
        again = ask_to_sign(sim, range(4), bytes([number]) * 32)
        sim.run_until(lambda e=again: all_signed(sim, e), 4 * ROUND_S, "signed")
        sim.crash(others(bad)[number % 3])
        sim.run(0.3)
        sim.start_all()
        sim.run(0.6)
    late = [sim.core(n).sessions.silences(sim.nodes[bad].node_id) for n in others(bad)]
    assert not any(late)


# --- signatures ---


def not_to(deaf: bytes) -> Tamper:
    """Return a tamper function that keeps finished signatures from one node."""

    def tamper(to: bytes, message: object) -> list[object]:
        return [] if to == deaf and isinstance(message, m.SignatureFound) else [message]

    return tamper


def caught(sim: Simulation, numbers: tuple[int, ...] = (0, 1, 2)) -> m.SignatureFound:
    """Return the signature of a request that some nodes have, the fourth not having asked."""
    event = ask_to_sign(sim, numbers)
    sim.run_until(lambda: all_signed(sim, event, numbers), 4 * ROUND_S, "signed")
    return sim.core(0).book.found[event]


@pytest.mark.parametrize(
    "change", ["r", "high s", "two", "none", "digest", "another digest", "garbage"]
)
def test_a_signature_that_does_not_verify_is_its_senders_fault(change: str) -> None:
    """Catches a signature that counts because a holder sent it, or one for another digest."""
    sim = quiet(8)
    for number in (0, 1, 2):  # the fourth node hears of it from the liar first
        sim.tamper[number] = not_to(sim.nodes[3].node_id)
    real = caught(sim)
    other = sign_document(sim, OTHER)
    event = request_event(NETWORK_ID, "sign", other)
    rs = real.signatures[0].rs
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    high = (order - int.from_bytes(rs[32:], "big")).to_bytes(32, "big")
    sign = m.EcdsaSignature
    lie = {
        "r": evolve(real, signatures=(sign(rs[32:] * 2),)),
        "high s": evolve(real, signatures=(sign(rs[:32] + high),)),
        "two": evolve(real, signatures=real.signatures * 2),
        "none": evolve(real, signatures=()),
        "digest": evolve(real, event=event, document=other, digest=OTHER),
        "another digest": evolve(real, digest=OTHER),
        "garbage": evolve(
            real, document=b"\xa0", event=request_event(NETWORK_ID, "sign", b"\xa0")
        ),
    }[change]
    sim.inject(1, lie, 3)
    sim.run(0.05)
    assert [fault.culprits() for fault in sim.faults_of(1)] == [(sim.nodes[1].node_id,)]
    assert not {real.event, lie.event} & set(sim.core(3).book.found)
    assert lie.event not in sim.core(3).requests._heard


def test_rubbish_about_unknown_requests_takes_no_room() -> None:
    """Catches memory that one member fills with announcements of its own making."""
    sim = quiet(9)
    for number in range(50):
        document = sign_document(sim, number.to_bytes(32, "big"))
        event = request_event(NETWORK_ID, "sign", document)
        digest = number.to_bytes(32, "big")
        rubbish = m.SignatureFound(event, digest, document, (), (m.EcdsaSignature(bytes(64)),))
        sim.inject(1, rubbish, 0)
    sim.run(0.2)
    assert not sim.core(0).requests._heard
    assert len(sim.faults_of(1)) == 50


def test_a_signature_for_a_document_of_another_event_is_not_of_a_request() -> None:
    """Catches an event id that need not fit what it is about."""
    sim = quiet(10)
    real = caught(sim)
    ask_to_sign(sim, (3,), OTHER)
    event = next(event for event, _ in sim.core(3).requests.open() if event != real.event)
    sim.inject(1, evolve(real, event=event), 3)
    sim.run(0.3)
    assert signature(sim, 3, event) is None


def test_a_late_signature_is_taken_by_those_who_gave_up() -> None:
    """F-15: catches a node in PENDING that ignores a verified signature of the others."""
    sim = quiet(11)
    slow = others(coordinator(sim))[0]
    for number in others(slow):
        sim.tamper[number] = not_to(sim.nodes[slow].node_id)
    never_signs(sim, slow)
    event = ask_to_sign(sim, range(4))
    sim.run_until(lambda: all_signed(sim, event, others(slow)), 4 * ROUND_S, "signed by three")
    assert sim.core(slow).book.status(event) in ("PENDING", "IN_PROGRESS")
    first = others(slow)[0]
    sim.inject(first, sim.core(first).book.found[event], slow)
    sim.run(0.1)
    assert all_signed(sim, event)


def test_every_pair_of_three_is_enough_to_convince_the_last() -> None:
    """Catches a signature that only its signers may announce."""
    sim = quiet(12)
    event = ask_to_sign(sim, range(4))
    sim.run_until(lambda: all_signed(sim, event), 4 * ROUND_S, "signed")
    found = sim.core(0).book.found[event]
    for first, second in combinations(range(4), 2):
        core = sim.core(second)
        core.requests.heard(sim.nodes[first].node_id, found)
        assert core.book.found[event] == found
