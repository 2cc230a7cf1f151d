"""Nights that renew the pool: newcomers, spent stakes, absence, and dealings that are spoilt."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from attrs import evolve

from metanode.custody.scripts import key_script
from spec import messages as m
from spec import night_messages as m_night
from tests.simulation.nights import DAY_S, SHORT_DAYS, hold, network, roster, spend_stake
from tests.simulation.simulator import Simulation
from tests.simulation.test_regroup import pays


def test_a_staked_newcomer_gets_a_free_seat_by_itself() -> None:
    """Catches a night that never brings anybody in, and a key that changes with its holders."""
    sim = network(71, seats=5, joiners=1)
    sim.join(4)
    epoch = sim.core(0).ctx.epoch.number
    sim.run_until(hold(sim, range(5), epoch), 40.0, "the fifth holds a share")
    key = sim.core(4).ctx.epoch
    assert (key.threshold, key.byzantine) == (4, 1)
    pays(sim)
    assert not sim.refusals


def test_a_holder_whose_stake_is_spent_gets_no_reward_and_is_replaced() -> None:
    """Catches a stake without teeth: rewards that go on, and a seat that stays."""
    sim = network(72, joiners=1)
    sim.join(4)
    spend_stake(sim, 3)
    sim.run(2.5)
    before = len(sim.users.received(key_script(sim.nodes[3].node_id)))
    sim.deposit(2_000_000)
    sim.settle()
    paid = [len(sim.users.received(key_script(sim.nodes[n].node_id))) for n in range(4)]
    assert paid[3] == before
    assert min(paid[:3]) > 1, "the others have their stakes and rewards"
    epoch = sim.core(0).ctx.epoch.number
    sim.run_until(hold(sim, (0, 1, 2, 4), epoch), 40.0, "the newcomer has the seat")
    assert roster(sim, 3) == [0, 1, 2, 4]
    assert not sim.core(3).ctx.holds_share
    pays(sim)


def test_a_holder_that_is_gone_is_replaced_after_so_many_nights() -> None:
    """Catches a holder that is dropped at once, and one that keeps its seat for ever."""
    sim = network(73, joiners=1, preset=evolve(SHORT_DAYS, absent_nights=2))
    sim.join(4)
    sim.run(1.0)
    sim.crash(3)
    epoch, began = sim.core(0).ctx.epoch.number, sim.now
    sim.run_until(hold(sim, (0, 1, 2, 4), epoch), 150.0, "the newcomer has the seat")
    assert sim.now - began > 2 * DAY_S
    pays(sim)


def test_without_a_candidate_nobody_who_is_silent_loses_a_seat() -> None:
    """Catches F-38 by the back door: a holder that is away is dropped, and the liars stay."""
    sim = network(74, preset=evolve(SHORT_DAYS, absent_nights=1))
    sim.run(1.0)
    sim.crash(3)
    sim.run(2.5 * DAY_S)
    assert roster(sim) == [0, 1, 2, 3]


def hides(sim: Simulation, victim: int, *kinds: type) -> Callable[[bytes, object], list[object]]:
    """Return what a liar sends that hides messages of dealings from one member."""
    hidden = sim.nodes[victim].node_id

    def tamper(to: bytes, message: object) -> list[object]:
        return [] if to == hidden and isinstance(message, kinds) else [message]

    return tamper


@pytest.mark.parametrize("kinds", [(m.Release,), (m.Step,), (m.Release, m.Step)])
def test_a_liar_that_hides_messages_of_a_dealing_is_out_the_same_night(
    kinds: tuple[type, ...]
) -> None:
    """Catches a night that one liar can stop by starving one member, and a victim that is blamed.

    It answers no complaint.
    """
    sim = network(75, dishonest={3})
    liar = hides(sim, 1, *kinds)
    sim.tamper[3] = lambda to, said: [] if isinstance(said, m.Answer) else liar(to, said)
    sim.run(10.0)
    epoch = sim.core(0).ctx.epoch.number
    sim.run_until(hold(sim, (0, 1, 2), epoch - 1), 28.0, "the others go on the same night")
    key = sim.core(0).ctx.epoch
    assert (key.threshold, key.byzantine) == (3, 0)
    assert key.barred == (sim.nodes[3].settings.stake,)
    told = {note["of"] for note in sim.noted("regroup.withheld")}
    assert told == {sim.nodes[3].node_id.hex()[:16]}
    pays(sim)


def test_a_coordinator_that_keeps_the_beginning_from_one_member_stops_nothing() -> None:
    """Catches a member that can be shut out by whoever coordinates: the others tell it."""
    kept_back = 0
    for liar in range(4):
        sim = network(83, dishonest={liar})
        victim = (liar + 1) % 4
        hide = hides(sim, victim, m.Begin)

        def count(
            to: bytes, said: object, hide: Callable[[bytes, object], list[object]] = hide
        ) -> list[object]:
            nonlocal kept_back
            sent = hide(to, said)
            kept_back += not sent
            return sent

        sim.tamper[liar] = count
        sim.run(10.0)
        epoch = sim.core(victim).ctx.epoch.number
        sim.run_until(hold(sim, range(4), epoch), 30.0, "the victim goes on with the others")
        assert roster(sim, victim) == [0, 1, 2, 3]
        assert not sim.noted("regroup.withheld")
    assert kept_back


def test_an_answer_that_holds_rubbish_is_none() -> None:
    """Catches a liar that goes free because only its victim can read what it has sealed."""
    sim = network(76, dishonest={3})
    liar = hides(sim, 1, m.Step)
    sim.tamper[3] = lambda to, said: (
        [evolve(said, sealed=said.sealed[:40] + bytes(30))] if isinstance(said, m.Answer)
        else liar(to, said)
    )
    sim.run(10.0)
    epoch = sim.core(0).ctx.epoch.number
    sim.run_until(hold(sim, (0, 1, 2), epoch - 1), 28.0, "the others go on the same night")
    assert sim.noted("dealing.opened")
    pays(sim)


def test_a_false_complaint_costs_traffic_and_nothing_else() -> None:
    """Catches a complaint that is believed: a liar would put out whom it likes."""
    sim = network(77, dishonest={3})
    sim.run(7.0)
    for number in range(900):
        sim.after(0.01 * number, lambda: complain_falsely(sim))
    epoch = sim.core(0).ctx.epoch.number
    sim.run_until(hold(sim, range(4), epoch), 30.0, "all go on")
    assert not sim.noted("regroup.withheld")
    assert sim.sent.get("Answer", 0) <= 200


def complain_falsely(sim: Simulation) -> None:
    """Let node 3 complain of node 0, whatever goes on."""
    core = sim.core(0)
    runs = core.sessions.dealings()
    instance = runs[0].instance if runs else bytes(32)
    word = m.Complaint(core.ctx.round_number(), sim.nodes[0].node_id, instance, 2, None)
    for to in (0, 1, 2):
        sim.inject(3, word, to)


def test_a_liar_that_deals_a_wrong_share_to_one_member_is_out_the_same_night() -> None:
    """Catches evidence that only its holder acts on: to all others the victim is silent."""
    sim = network(78, dishonest={3})

    def deal_wrongly(to: bytes, message: object) -> list[object]:
        wrong = isinstance(message, m.Step) and message.stage == 3 and message.recipient
        if wrong and to == sim.nodes[1].node_id:
            return [evolve(message, payload=bytes(32) + message.payload[32:])]
        return [message]

    sim.tamper[3] = deal_wrongly
    sim.run(10.0)
    epoch = sim.core(0).ctx.epoch.number
    sim.run_until(hold(sim, (0, 1, 2), epoch - 1), 28.0, "the others go on the same night")
    assert sim.core(2).ctx.epoch.barred == (sim.nodes[3].settings.stake,)
    pays(sim)


def test_two_members_that_hear_each_other_no_more_deal_through_the_others() -> None:
    """Catches an honest member that is put out because one link is broken."""
    sim = network(79)
    sim.run(7.0)
    for pair in ((0, 1), (0, 2)):
        sim.cut.add(frozenset(pair))
    lost = {frozenset((0, 1)), frozenset((0, 2))}
    for a, b in map(sorted, lost):
        sim._link(sim.nodes[a], sim.nodes[b], False)
    epoch = sim.core(0).ctx.epoch.number
    sim.run(24.0)
    assert not sim.noted("regroup.withheld")
    assert sim.noted("dealing.answered")
    assert not sim.noted("dealing.opened"), "what was sealed stays secret"
    assert roster(sim) == [0, 1, 2, 3]
    assert sim.core(0).ctx.epoch.number >= epoch


@pytest.mark.parametrize("moment", [0.2, 2.2, 2.4])
def test_a_stake_that_is_spent_amid_a_night_leaves_all_with_one_roster(moment: float) -> None:
    """Catches voters who look at stakes at their own blocks, so that no attempt is agreed on; and
    a newcomer that spent its stake amid the night and keeps its seat.
    """
    sim = network(80, seats=5, joiners=1)
    sim.join(4)
    sim.run(8.5 + moment)
    spend_stake(sim, 4)
    epoch = sim.core(0).ctx.epoch.number
    sim.run(24.0)
    assert sim.core(0).ctx.epoch.number >= epoch
    seen = {tuple(roster(sim, number)) for number in range(5)}
    assert len(seen) == 1
    sim.run_until(lambda: roster(sim) == [0, 1, 2, 3], 60.0, "it is out after the next night")
    pays(sim)


def test_two_statements_for_one_night_are_evidence() -> None:
    """Catches a holder that tells some this and others that, and is blamed for nothing."""
    sim = network(81, dishonest={3})
    sim.run(8.6)
    night = sim.core(0).wishes.night()
    assert night is not None
    for silent in ((), (m_night.Silence(sim.nodes[1].node_id, 9),)):
        sim.inject(3, m_night.Attendance(night, (), silent), 0)
    sim.run(0.2)
    assert sim.core(0).blocks.is_blocked(sim.nodes[3].node_id)
