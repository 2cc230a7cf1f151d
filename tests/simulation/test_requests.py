"""Requests in a network that crashes and loses messages: signed once, and never forgotten."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from metanode.errors import UserError
from metanode.protocol.tables.effects import Effects
from spec import messages as m
from tests.simulation.asking import DIGEST, OTHER, all_signed, ask, ask_to_sign, quiet, signature
from tests.simulation.simulator import (
    CALM,
    QUICK,
    Crash,
    Simulation,
    Weather,
    sends,
    writes_cell,
)
from tests.simulation.test_regroup import CHANGE, works
from tests.simulation.test_regroup import ask as ask_for_shares

ROUND_S = QUICK.round_period_s
POINTS = ("before", "after", "amid")
MOMENTS: dict[str, Callable[[Effects], bool]] = {
    "set-up": sends(m.Setup),
    "vote": sends(m.Vote),
    "begin": sends(m.Begin),
    "lock and release": writes_cell("released"),
    "step": sends(m.Step),
    "signature": writes_cell("signature_kept"),
}


def by_turn(sim: Simulation) -> list[int]:
    """Return the numbers of the nodes, the coordinator of this round first, then in turn."""
    ids = sorted(node.node_id for node in sim.nodes)
    first = 1 + int(sim.now // ROUND_S)
    return [sim.number_of(ids[(first + place) % len(ids)]) for place in range(len(ids))]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("place", range(4))
def test_a_crash_at_each_moment_of_a_request(moment: str, place: int) -> None:
    """F-14: catches a lock or a request that a crash takes, and a second signature after it."""
    for point in POINTS:
        sim = quiet(place)
        victim = by_turn(sim)[place]
        crash = Crash(node=victim, when=MOMENTS[moment], point=point, restart_s=0.7)
        sim.crashes.append(crash)
        event = ask_to_sign(sim, range(4))
        sim.run_until(lambda e=event, s=sim: all_signed(s, e), 6 * ROUND_S, "all have it")
        if moment == "signature" or place == 0:
            assert not sim.crashes, "all write the signature down, the coordinator does it all"
        signed = signature(sim, victim, event)
        sim.run(2 * ROUND_S)
        assert {signature(sim, number, event) for number in range(4)} == {signed}
        assert [set(found) for found in sim.checkers.releases.values()] == [{DIGEST}]


@pytest.mark.parametrize("point", POINTS)
def test_what_an_operator_was_told_is_taken_survives_a_crash(point: str) -> None:
    """Catches a request that is confirmed before it is on disk."""
    sim = quiet(5)
    sim.crashes.append(Crash(node=0, when=writes_cell("asked"), point=point, restart_s=0.3))
    event = ask_to_sign(sim, (0,))
    asked = {(sim.nodes[0].node_id, event): True} if point != "before" else {}
    assert sim.nodes[0].disk.cells.get("asked", {}) == asked
    sim.run(0.6)
    known = [found for found, _ in sim.core(0).requests.open("sign")]
    assert known == ([event] if asked else [])


@pytest.mark.parametrize("point", POINTS)
def test_all_signers_crash_at_their_release_and_finish_later(point: str) -> None:
    """F-14: catches shares that are out and forgotten: the event must come to its one end."""
    sim = quiet(6)
    for number in range(4):
        crash = Crash(node=number, when=writes_cell("released"), point=point, restart_s=0.5)
        sim.crashes.append(crash)
    event = ask_to_sign(sim, range(4))
    sim.run_until(lambda: all_signed(sim, event), 8 * ROUND_S, "signed in the end")
    locked = sim.core(0).book.lock_of(event)
    assert locked is not None
    assert locked.certificate.digest == DIGEST
    assert locked.document == sim.core(0).requests.asked[event].document


def test_a_key_by_command_survives_crashes_of_those_who_make_it() -> None:
    """Catches a request for a key that is lost with the slot in which a member crashed."""
    sim = Simulation(seed=7, keygen="command")
    sim.start_all()
    sim.run(2.0)
    sim.crashes.append(Crash(node=1, when=sends(m.Step), point="amid"))
    sim.crashes.append(Crash(node=2, when=writes_cell("key_share"), point="after"))
    for number in range(4):
        ask(sim, number, "keygen")
    done = lambda: all(n.core and n.core.ctx.key for n in sim.nodes)  # noqa: E731 - a condition
    sim.run_until(done, 9 * QUICK.keygen_period_s, "the key is locked in")
    sim.run(0.5)
    assert not any(sim.core(number).requests.open() for number in range(4))


@pytest.mark.parametrize("seed", range(3))
def test_requests_and_payouts_through_a_storm(seed: int) -> None:
    """Catches requests and rounds that get into each other's way, in bad weather and crashes."""
    dice = random.Random(f"requests {seed}")
    sim = quiet(20 + seed)
    sim.weather = Weather(latency=(0.002, 0.03), loss=0.05, duplicate=0.1, reorder=0.1)
    sim.mine_every(0.7)
    sim.deposit()
    for moment in ("voted", "released", "signature_kept"):
        crash = Crash(
            node=dice.randrange(4),
            when=writes_cell(moment),
            point=dice.choice(POINTS),
            restart_s=dice.uniform(0.2, 2.0),
        )
        sim.crashes.append(crash)
    events = [ask_to_sign(sim, range(4), digest) for digest in (DIGEST, OTHER)]
    sim.run(7.0)
    sim.weather, sim.crashes = CALM, []
    sim.run_until(sim.all_running, 5.0, "every node is back")
    sim.settle()
    done = lambda: all(all_signed(sim, event) for event in events)  # noqa: E731 - a condition
    sim.run_until(done, 8 * ROUND_S, "both are signed")
    sim.require(not sim.refusals, f"honest nodes ran into refused transitions: {sim.refusals}")
    sim.require(not sim.faults, f"honest nodes blamed each other: {sim.faults}")


def test_a_request_ends_with_its_holders_and_is_asked_for_again() -> None:
    """F-16: catches holders who sign what was asked of others, who may have renounced it or have
    signed it; and a leaver who still has a say.
    """
    sim = quiet(8, joiners=1)
    sim.mine_every(0.7)
    old = ask_to_sign(sim, range(4), OTHER)
    sim.run_until(lambda: all_signed(sim, old), 4 * ROUND_S, "the first is signed")
    assert old not in sim.core(0).book.locks_to_show(), "its name holds for one digest only"
    event = ask_to_sign(sim, (0, 1))
    epoch = ask_for_shares(sim, CHANGE)
    sim.run_until(lambda: works(sim, CHANGE[0], epoch), 20.0, "the key is handed over")
    assert signature(sim, 0, event) is None
    with pytest.raises(UserError, match="this node holds no share of the key"):
        ask_to_sign(sim, (3,))
    with pytest.raises(UserError, match=f"epoch {epoch} is not in force"):
        key_id = sim.core(0).ctx.epoch.key_id.hex()
        ask(sim, 0, "keyrefresh", key_id=key_id, epoch=epoch)
    again = ask_to_sign(sim, (0, 1, 4))
    sim.run_until(lambda: all_signed(sim, again, (0, 1, 4)), 9 * ROUND_S, "signed by the new ones")
    assert signature(sim, 0, event) is None
    assert {sim.core(n).book.status(event) for n in (2, 4)} == {"UNKNOWN"}
    assert again != event
    assert not sim.faults


def test_a_request_that_is_locked_is_signed_with_the_new_shares() -> None:
    """F-24: catches a lock of the old epoch that keeps the new one from signing, and blame of an
    honest coordinator who shows it.
    """
    sim = quiet(30)
    sim.mine_every(0.7)
    silenced: set[type] = {m.Release, m.Step}

    def silent(_to: bytes, message: object) -> list[object]:
        sets_up = isinstance(message, m.Setup) and message.purpose == "sign"
        held = type(message) in silenced and (sets_up or not isinstance(message, m.Setup))
        return [] if held else [message]

    for number in range(4):
        sim.tamper[number] = silent
    event = ask_to_sign(sim, range(4))
    sim.run_until(lambda: len(sim.noted("session.begun")) == 3, 4 * ROUND_S, "three are locked")
    silenced ^= {m.Release, m.Step, m.Setup}
    epoch = ask_for_shares(sim)
    sim.run_until(lambda: works(sim, range(4), epoch), 20.0, "new shares work")
    assert signature(sim, 0, event) is None
    assert len([n for n in range(4) if sim.core(n).book.lock_of(event)]) == 3
    silenced.clear()
    sim.run_until(lambda: all_signed(sim, event), 9 * ROUND_S, "signed with the new shares")
    assert set(sim.checkers.releases[event]) == {DIGEST}
    assert not sim.faults
