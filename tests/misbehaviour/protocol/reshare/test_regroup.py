"""Set-ups nobody asked for, parties that leave, and members that are missed for no reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from attrs import evolve

from metanode.protocol.context import regroup_event
from metanode.protocol.wire.codec import decode_canonical, encode_canonical
from spec import messages as m
from tests.simulation.epochs import wish
from tests.simulation.hostile import OLDEST, changes, network
from tests.simulation.simulator import NETWORK_ID, Simulation
from tests.simulation.test_regroup import CHANGE, ask, pays, works

EVERYBODY = (0, 1, 2, 3)
HONEST = tuple(number for number in EVERYBODY if number != OLDEST)
OTHER = bytes([6]) * 32


def regrouped(sim: Simulation, numbers: Iterable[int], limit_s: float = 30.0) -> None:
    """Wait until these nodes work with new shares that pay."""
    chosen = tuple(numbers)
    sim.run_until(lambda: works(sim, chosen, 1), limit_s, "new shares work")
    pays(sim)
    assert not sim.refusals


def regroup_votes(sim: Simulation, numbers: Iterable[int]) -> list[object]:
    """Return the attempts at new shares that these nodes have voted in."""
    found: list[object] = []
    for number in numbers:
        node = sim.nodes[number]
        key_id = sim.checkers.epochs[1].key_id
        voted = node.disk.cells.get("voted", {})
        found += [
            attempt
            for (_, event, attempt), digest in voted.items()
            if digest is not None and event == regroup_event(NETWORK_ID, key_id, attempt)
        ]
    return found


def test_nobody_votes_for_new_shares_that_nobody_asked_for() -> None:
    """F-17: catches new shares, or new holders, on a coordinator's word."""
    sim = network(61, deposit=False)
    wish(sim, OLDEST)
    sim.run(9.0)
    assert regroup_votes(sim, [OLDEST]), "its turn came, and it did ask the others"
    assert regroup_votes(sim, HONEST) == []
    pays(sim)
    assert not sim.refusals


def plan_with(**change: object) -> Callable[[m.Setup], Iterable[object]]:
    """Return a lie about the plan of an attempt."""

    def lie(setup: m.Setup) -> Iterable[object]:
        if setup.purpose != "regroup":
            return [setup]
        plan = {**decode_canonical(setup.document), **change}
        return [evolve(setup, document=encode_canonical(plan))]

    return lie


def fewer(setup: m.Setup) -> Iterable[object]:
    """Ask fewer members, all of whom would have to agree."""
    return [evolve(setup, members=setup.members[1:]) if setup.purpose == "regroup" else setup]


PLANS: dict[str, Callable[[m.Setup], Iterable[object]]] = {
    "threshold": plan_with(threshold=1),
    "dealers": plan_with(dealers=[]),
    "another epoch": plan_with(follows=OTHER),
    "fewer members": fewer,
    "no document": lambda setup: [evolve(setup, document=b"")],
}


@pytest.mark.parametrize("fault", PLANS)
def test_a_plan_that_is_not_rebuilt_alike_gets_no_vote(fault: str) -> None:
    """F-17: catches holders, dealers or numbers that a coordinator chose."""
    sim = network(62, deposit=False)
    sim.tamper[OLDEST] = changes(m.Setup, PLANS[fault])
    ask(sim)
    regrouped(sim, EVERYBODY)
    assert {(e.threshold, e.byzantine) for e in sim.checkers.epochs.values()} == {(3, 1)}


def test_a_joiner_that_votes_and_leaves_costs_nothing() -> None:
    """Catches an old epoch that steps back for a joiner who never gets its share."""
    sim = network(63, bad=4, deposit=False, joiners=1)
    sim.tamper[4] = lambda to, message: (
        [] if isinstance(message, m.Step | m.Release | m.SharePrepared) else [message]
    )
    ask(sim, CHANGE)
    sim.run_until(lambda: bool(sim.noted("session.begun")), 12.0, "the joiner has voted")
    sim.run(6.0)
    pays(sim)
    assert {sim.core(number).ctx.epoch.number for number in EVERYBODY} == {1}
    assert not sim.noted("epoch.fenced")
    sim.tamper.clear()
    regrouped(sim, CHANGE[0], 40.0)


def test_one_liar_cannot_have_a_member_left_out() -> None:
    """F-26: catches a member that a flood of one voice, or of strangers, shuts out."""
    sim = network(64, deposit=False, joiners=1)
    ask(sim)
    sim.join(4)
    first = sim.core(HONEST[0]).ctx.round_number()
    for absent in HONEST:
        for number in range(first - 60, first + 60):
            for to in HONEST:
                told = m.Missed(number, sim.nodes[absent].node_id)
                sim.inject(OLDEST, told, to)
                sim.inject(4, told, to)
    sim.run(0.1)
    for number in HONEST:
        counts = sim.core(number).regroups.report()["missed"]
        assert set(counts.values()) == {1}
        missed = sim.core(number).regroups._words
        assert sum(len(told) for told in missed.values()) == 3, "one record for each pair"
    regrouped(sim, EVERYBODY)


@pytest.mark.parametrize("absent", [b"\x02" + bytes(32), b"\xff" * 33])
def test_strangers_are_not_missed(absent: bytes) -> None:
    """Catches memory of nodes that take no part."""
    sim = network(65, deposit=False)
    ask(sim)
    number = sim.core(HONEST[0]).ctx.round_number()
    for epoch in (0, 1, number, 1 << 62):
        sim.inject(OLDEST, m.Missed(epoch, absent), HONEST[0])
        sim.inject(OLDEST, m.Missed(epoch, sim.nodes[OLDEST].node_id), HONEST[0])
    sim.run(0.1)
    assert sim.core(HONEST[0]).regroups.report()["missed"] == {}, "nobody misses itself"
    assert not sim.refusals


def test_a_dealer_that_stops_in_the_middle_is_left_out() -> None:
    """F-26: catches a night that ends with one member who deals half of its part."""
    sim = network(66, deposit=False, members=6, threshold=4, byzantine=1)
    sim.tamper[OLDEST] = changes(m.Step, lambda step: [])
    ask(sim)
    others = [number for number in range(6) if number != OLDEST]
    regrouped(sim, others, 60.0)
    assert sim.nodes[OLDEST].node_id not in sim.core(others[0]).ctx.epoch.roster


def test_a_liar_cannot_have_a_correct_member_left_out() -> None:
    """F-38: catches a veto: the liar hides its messages from one member, so that all miss that one.

    With it left out, the liar would be one of the t that are needed for every payout.
    """
    sim = network(68, deposit=False)
    hidden = sim.nodes[HONEST[0]].node_id
    sim.tamper[OLDEST] = lambda to, message: (
        [] if to == hidden and isinstance(message, m.Step) else [message]
    )
    ask(sim)
    sim.run(30.0)
    assert sim.noted("regroup.failed")
    assert {sim.core(number).ctx.epoch.number for number in HONEST} == {1}
    pays(sim)
    sim.tamper.clear()
    regrouped(sim, EVERYBODY, 200.0)


def test_garbage_in_a_dealing_costs_attempts_and_not_the_night() -> None:
    """Catches shares of an attempt that one member spoilt."""
    sim = network(67, deposit=False, members=6, threshold=4, byzantine=1)
    sim.tamper[OLDEST] = changes(
        m.Step, lambda s: [evolve(s, payload=s.payload[:-1] + bytes([s.payload[-1] ^ 1]))]
    )
    ask(sim)
    regrouped(sim, [number for number in range(6) if number != OLDEST], 60.0)
