"""Liars, cuts and bad weather while the key is handed over: the old shares or the new ones sign."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from attrs import evolve

from spec import messages as m
from tests.simulation.epochs import draft_of, give_lock, payout_lock, succession
from tests.simulation.hostile import OLDEST, changes, network
from tests.simulation.simulator import Simulation, Tamper, Weather
from tests.simulation.test_regroup import CHANGE, ask, pays, works

OTHER = bytes([6]) * 32
HONEST = tuple(number for number in range(4) if number != OLDEST)
EVERYBODY = (0, 1, 2, 3)
NOBODY = 99
"""No node has this number: all are honest."""

ROUGH = Weather(latency=(0.002, 0.03), loss=0.02, duplicate=0.1, reorder=0.1)


def regrouped(
    sim: Simulation, numbers: Iterable[int] = EVERYBODY, limit_s: float = 12.0, after: int = 1
) -> None:
    """Wait until these nodes work with new shares; they must pay, and agree on their epoch."""
    chosen = tuple(numbers)
    sim.run_until(lambda: works(sim, chosen, after), limit_s, "new shares work")
    sim.run_until(lambda: len({sim.core(n).ctx.epoch.number for n in chosen}) == 1, 12.0, "one")
    pays(sim)
    assert not sim.refusals
    assert {sim.core(number).ctx.epoch.public_key for number in chosen} == {sim.public_key}


LIES: dict[str, Tamper] = {
    "a wrong hash": changes(m.HandedOver, lambda word: [evolve(word, locks=OTHER)]),
    "no locks": changes(m.LockShown, lambda shown: []),
    "no statements": changes(m.HandedOver, lambda word: [evolve(word, prepared=())]),
    "another epoch": changes(m.HandedOver, lambda word: [evolve(word, epoch=word.epoch + 1)]),
    "another document": changes(m.HandedOver, lambda word: [evolve(word, document=b"\xa0")]),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_holder_that_hands_over_badly_keeps_nobody_back(lie: str) -> None:
    """F-24: catches a member that waits for a liar, or that forgets what a liar kept back."""
    sim = network(41, deposit=False)
    lock = payout_lock(sim, EVERYBODY, attempt=5)
    for number in EVERYBODY:
        give_lock(sim, number, lock)
    sim.tamper[OLDEST] = LIES[lie]
    ask(sim)
    regrouped(sim)
    for number in HONEST:
        node = sim.nodes[number]
        assert node.disk.get("lock", node.node_id, lock.certificate.event) == (
            lock.certificate.digest
        )


def test_a_lock_that_one_honest_holder_has_reaches_the_joiner() -> None:
    """F-24: catches a joiner that begins without it, or with a document that fits nothing.

    The liar shows the same certificate beside another document, and comes first in the roster.
    """
    liar, holder = 2, 0
    sim = network(42, bad=liar, deposit=False, joiners=1)
    assert sim.nodes[liar].node_id < sim.nodes[holder].node_id
    lock = payout_lock(sim, (0, 1, 2), attempt=5)
    for number in (liar, holder):
        give_lock(sim, number, lock)
    spoilt = evolve(lock, document=b"nothing")
    sim.tamper[liar] = changes(m.LockShown, lambda shown: [evolve(shown, locked=spoilt)])
    ask(sim, CHANGE)
    regrouped(sim, (0, 1, 4), 20.0)
    found = [sim.nodes[n].disk.lock(lock.certificate.event) for n in (0, 1, 4)]
    assert found == [lock] * 3


def fenced(sim: Simulation) -> bool:
    """Return whether somebody has stepped back."""
    return bool(sim.noted("epoch.fenced"))


def test_a_liar_that_votes_for_the_succession_and_never_signs_does_not_stop_it() -> None:
    """F-22: catches a network that has stepped back and waits for one member's signature."""
    sim = network(43, deposit=False)

    def silent(to: bytes, message: object) -> Iterable[object]:
        return [] if fenced(sim) and isinstance(message, m.Release | m.Step) else [message]

    sim.tamper[OLDEST] = silent
    ask(sim)
    regrouped(sim, limit_s=40.0)


def test_a_liar_that_keeps_the_succession_to_itself_does_not_stop_it() -> None:
    """Catches members that never learn a signature that one of them has."""
    sim = network(44, deposit=False)
    sim.tamper[OLDEST] = changes(m.SignatureFound, lambda found: [])
    ask(sim)
    regrouped(sim)


@pytest.mark.parametrize("inside", [(0, 1), (0,)])
def test_a_cut_while_the_key_is_handed_over_heals(inside: tuple[int, ...]) -> None:
    """Catches two halves with an epoch each, and holders that stay fenced after the cut."""
    sim = network(45, deposit=False, bad=NOBODY)
    ask(sim)
    sim.run_until(lambda: bool(sim.noted("epoch.handed_over")), 8.0, "one hands over", exactly=True)
    sim.partition(inside)
    sim.after(5.0, sim.heal)
    regrouped(sim, limit_s=20.0)


def test_a_cut_before_all_are_ready_leaves_the_old_shares_at_work() -> None:
    """F-25: catches a fence for an attempt that can never be decided, and payouts that stop."""
    sim = network(46, deposit=False, bad=NOBODY)
    ask(sim)
    sim.run_until(
        lambda: bool(sim.noted("epoch.prepared")), 8.0, "one is prepared", exactly=True
    )
    sim.partition([0])
    sim.deposit()
    sim.run_until(
        lambda: all(sim.users.is_settled(deposit) for deposit in sim.users.deposits),
        20.0,
        "three of four still pay, with old shares or new ones",
    )
    sim.heal()
    regrouped(sim, limit_s=30.0)


def late_words() -> Tamper:
    """Keep a node's first word on a prepared share back, until it says the second one."""
    kept: dict[int, object] = {}

    def tamper(_to: bytes, message: object) -> Iterable[object]:
        if isinstance(message, m.SharePrepared):
            kept[message.epoch] = message
            return list(kept.values()) if len(kept) > 1 else []
        return [message]

    return tamper


def test_of_two_attempts_that_are_ready_at_once_one_follows() -> None:
    """F-37: catches two epochs after one, or a night that ends with none."""
    sim = network(47, bad=NOBODY, deposit=False)
    for number in EVERYBODY:
        sim.tamper[number] = late_words()
    ask(sim)
    regrouped(sim, limit_s=30.0)
    assert len({note["next"] for note in sim.noted("epoch.handed_over")}) == 2
    for number in EVERYBODY:
        states = list(sim.nodes[number].disk.cells["holding"].values())
        assert sorted(states) == ["active", "erased", "erased"]


def test_a_leaver_counts_for_nothing_after_it_left() -> None:
    """Catches a leaver whose votes, words or shares still shape what the others do."""
    sim = network(48, bad=3, deposit=False, joiners=1)
    ask(sim, CHANGE)
    regrouped(sim, CHANGE[0], 20.0)
    number = sim.core(1).ctx.epoch.number
    liar = sim.nodes[3].node_id
    for epoch in (number, number + 1):
        lock = payout_lock(sim, EVERYBODY, attempt=5)
        for message in (
            m.SharePrepared(epoch, draft_of(sim, epoch).encode()),
            m.LockShown(epoch, lock),
            m.HandedOver(epoch, OTHER, draft_of(sim, epoch).encode(), ()),
            m.Missed(epoch, sim.nodes[2].node_id),
            m.Vote(number, OTHER, sim.core(1).ctx.round_number(), OTHER, ()),
        ):
            for to in CHANGE[0]:
                sim.inject(3, message, to)
    sim.run(0.2)
    for to in CHANGE[0]:
        core = sim.core(to)
        assert core.ctx.epoch.number == number
        assert not core.handover.drafts._said
        assert number + 1 not in core.handover.books._books
        assert liar not in core.ctx.epoch.roster
        assert core.regroups.report()["missed"] == {}
    pays(sim)
    assert not sim.refusals


def test_a_node_that_was_away_for_two_epochs_comes_back_without_a_share() -> None:
    """Catches a node that waits for others to hand over what they have long left behind."""
    sim = network(49, bad=NOBODY, deposit=False, joiners=1)
    sim.run(0.4)
    ask(sim)
    sim.run_until(lambda: bool(sim.noted("epoch.prepared", 3)), 8.0, "it is prepared", exactly=True)
    sim.run(0.01)
    sim.crash(3)
    sim.run_until(lambda: works(sim, (0, 1, 2), 1), 12.0, "the others go on")
    first = sim.core(0).ctx.epoch.number
    key = sim.core(0).ctx.epoch
    later = draft_of(sim, first + 1, (0, 1, 2), after=key, threshold=3, byzantine=0)
    for number in (0, 1, 2):
        sim.inject((number + 1) % 3, succession(sim, later), number)
    sim.run(0.1)
    sim.start(3)
    sim.run_until(lambda: sim.core(3).ctx.epoch.number > first, 12.0, "it knows the newest epoch")
    assert not sim.core(3).ctx.holds_share
    assert sim.nodes[3].disk.get("holding", sim.nodes[3].node_id, first) == "erased"


@pytest.mark.parametrize(("kind", "seed"), [("refresh", 53), ("reshare", 52), ("reshare", 54)])
def test_bad_weather_does_not_stop_a_night(kind: str, seed: int) -> None:
    """Catches an order of messages, a lost or a doubled one, that ends a handing over."""
    joiners = 0 if kind == "refresh" else 1
    sim = network(seed, bad=NOBODY, deposit=False, joiners=joiners)
    change = None if kind == "refresh" else CHANGE
    ask(sim, change)
    sim.weather = ROUGH
    sim.run_until(
        lambda: works(sim, EVERYBODY if change is None else CHANGE[0], 1), 60.0, "new shares"
    )
    sim.weather = Weather()
    pays(sim)
    assert not sim.refusals
