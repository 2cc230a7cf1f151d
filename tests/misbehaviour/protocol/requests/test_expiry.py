"""Liars among those who renounce requests: they may say anything, and nothing that is signed, or
can still be signed, expires.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from metanode.protocol.requests.expiry import HEARD_PER_SENDER
from metanode.protocol.requests.request import request_event
from spec import messages as m
from tests.simulation.asking import DIGEST, all_signed, ask_to_sign, sign_document, signature
from tests.simulation.expiring import LATE_S, expired, expiry, hasty, silence, statuses
from tests.simulation.hostile import changes
from tests.simulation.simulator import NETWORK_ID, QUICK, Crash, Simulation, writes_cell

ROUND_S = QUICK.round_period_s
LIAR = 3


def say(sim: Simulation, liar: int, event: bytes) -> None:
    """Let a node tell all others that it has renounced an event."""
    for node in sim.nodes:
        if node.number != liar:
            sim.inject(liar, m.Renounced(event), node.number)


def test_a_liar_who_renounces_and_signs_spoils_nothing() -> None:
    """F-16: catches an event that expires while a liar's share and those of two others are out."""
    sim = hasty(1, dishonest={LIAR})
    event = request_event(NETWORK_ID, "sign", sign_document(sim, DIGEST))
    say(sim, LIAR, event)
    sim.run(0.1)
    # Whoever finishes keeps the signature to itself; the coordinator of this round signs, too.
    silence(sim, m.SignatureFound)
    assert ask_to_sign(sim, range(4)) == event
    for _ in range(3):
        say(sim, LIAR, event)
        sim.run(LATE_S / 2)
    honest = [number for number in range(4) if number != LIAR]
    assert "EXPIRED" not in statuses(sim, event, honest)
    signed = [number for number in range(4) if signature(sim, number, event) is not None]
    assert len(signed) == 3
    sim.tamper.clear()
    for number in honest:
        sim.inject(LIAR, sim.core(signed[0]).book.found[event], number)
    sim.run(0.2)
    assert all_signed(sim, event, honest)


def test_a_statement_counts_once_however_often_it_is_made() -> None:
    """Catches a liar who makes R statements by itself."""
    sim = hasty(2, dishonest={LIAR})
    silence(sim)
    event = ask_to_sign(sim, (0,))
    for _ in range(6):
        say(sim, LIAR, event)
        sim.run(LATE_S / 4)
    assert statuses(sim, event, (0,)) == ["PENDING"]
    assert expiry(sim, 0, event)["renounced"] == 2


def test_r_statements_end_nothing_before_the_time_is_over_here() -> None:
    """Catches a node that gives a request up while its own operator still wants it tried."""
    sim = hasty(3)
    silence(sim)
    event = ask_to_sign(sim, (0,))
    for number in (1, 2, 3):
        say(sim, number, event)
    sim.run(0.5)
    assert expiry(sim, 0, event)["renounced"] == 3
    assert sim.core(0).requests.is_open(event)
    sim.run_until(lambda: expired(sim, event, (0,)), LATE_S, "expired in its time")


def test_who_holds_no_share_has_no_say() -> None:
    """Catches statements of strangers with a stake: they could make up any number of them."""
    sim = hasty(4, joiners=2)
    silence(sim)
    event = ask_to_sign(sim, (0,))
    for stranger in (4, 5):
        sim.join(stranger)
    sim.run(LATE_S)
    for stranger in (4, 5):
        sim.inject(stranger, m.Renounced(event), 0)
        sim.inject(stranger, m.Renounced(bytes(32)), 0)
    sim.run(2 * ROUND_S)
    assert statuses(sim, event, (0,)) == ["PENDING"]
    assert expiry(sim, 0, event)["renounced"] == 1
    assert not sim.core(0).expiry._heard


def test_statements_about_what_nobody_asked_for_take_little_room() -> None:
    """Catches memory and disk that one member fills with events of its own making."""
    sim = hasty(5, dishonest={LIAR})
    before = dict(sim.nodes[0].disk.cells.get("status", {}))
    for number in range(3 * HEARD_PER_SENDER):
        sim.inject(LIAR, m.Renounced(number.to_bytes(32, "big")), 0)
    sim.run(0.2)
    heard = sim.core(0).expiry._heard[sim.nodes[LIAR].node_id]
    assert len(heard) == HEARD_PER_SENDER
    assert list(heard)[-1] == (3 * HEARD_PER_SENDER - 1).to_bytes(32, "big")
    assert sim.nodes[0].disk.cells.get("status", {}) == before
    assert not list(sim.core(0).ctx.tables.view.entries("renounced_said"))


def test_what_stays_open_is_said_again_less_and_less() -> None:
    """Catches links and traces that old statements fill, minute after minute, for years."""
    sim = hasty(6)
    silence(sim)
    event = ask_to_sign(sim, (0,))
    sim.run(LATE_S)
    said: list[float] = []

    def listen(message: m.Renounced) -> list[object]:
        assert message.event == event
        said.append(sim.now)
        return []

    sim.tamper[0] = changes(m.Renounced, listen)
    sim.run(30 * ROUND_S)
    rounds = sorted({int(moment // ROUND_S) for moment in said})
    assert 3 <= len(rounds) <= 5
    waits = [later - earlier for earlier, later in pairwise(rounds)]
    assert all(later == 2 * earlier for earlier, later in pairwise(waits))


def test_one_statement_is_answered_once_a_round() -> None:
    """Catches two nodes that answer each other without end, and a liar who makes others talk."""
    sim = hasty(12, dishonest={LIAR})
    silence(sim)
    event = ask_to_sign(sim, (0, 1))
    sim.run(LATE_S)
    sim.run(1.9)  # the round has just begun
    before = sim.sent.get("Renounced", 0)
    for _ in range(20):
        say(sim, LIAR, event)
    sim.run(0.5)
    assert before < sim.sent["Renounced"] <= before + 2


@pytest.mark.parametrize("point", ["before", "after", "amid"])
def test_a_crash_while_a_request_is_renounced(point: str) -> None:
    """Catches a statement that leaves before it is on disk, or that a crash keeps from leaving."""
    sim = hasty(7)
    silence(sim)
    sim.crashes.append(Crash(node=0, when=writes_cell("renounced"), point=point, restart_s=0.7))
    event = ask_to_sign(sim, range(4))
    sim.run_until(lambda: bool(sim.nodes[0].core is None), LATE_S, "it crashes")
    mine = sim.nodes[0].disk.get("renounced", sim.nodes[0].node_id, event)
    assert bool(mine) == (point != "before")
    sim.tamper.clear()
    sim.run_until(lambda: expired(sim, event), 3 * ROUND_S, "expired everywhere")


@pytest.mark.parametrize("point", ["before", "after", "amid"])
def test_a_crash_while_a_request_expires(point: str) -> None:
    """Catches an end that a crash undoes, or an event that is tried once more after it."""
    sim = hasty(8)
    silence(sim)
    event = ask_to_sign(sim, range(4))
    done = Crash(
        node=1,
        when=lambda effects: any(write.after == "EXPIRED" for write in effects.writes),
        point=point,
        restart_s=0.5,
    )
    sim.crashes.append(done)
    sim.run_until(lambda: not sim.crashes and expired(sim, event), 2 * LATE_S, "expired")


def test_a_begin_after_the_node_has_renounced_is_refused() -> None:
    """SAFE-SIGN: catches a vote from before the end that is turned into a share after it."""
    sim = hasty(9)
    silence(sim, m.Begin)
    caught: list[tuple[int, m.Begin]] = []
    for node in sim.nodes:

        def keep(begin: m.Begin, number: int = node.number) -> list[object]:
            caught.append((number, begin))
            return []

        sim.tamper[node.number] = changes(m.Begin, keep)
    event = ask_to_sign(sim, range(4))
    sim.run(1.0)
    assert caught, "all have voted, and the coordinator alone has begun"
    sim.run(2 * LATE_S)
    assert set(statuses(sim, event)) <= {"PENDING", "EXPIRED"}
    coordinators = {number for number, _ in caught}
    waiting = [number for number in range(4) if number not in coordinators]
    for sender, begin in caught:
        for number in waiting:
            sim.inject(sender, begin, number)
    sim.run(0.5)
    for number in waiting:
        node = sim.nodes[number]
        assert node.disk.get("renounced", node.node_id, event)
        assert not node.disk.get("released", node.node_id, event, DIGEST)
