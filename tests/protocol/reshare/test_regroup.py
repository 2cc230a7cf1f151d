"""When new shares are due, who deals and who will hold, and who is left out."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from metanode.protocol.context import regroup_event
from metanode.protocol.events.coordinator import Task
from metanode.protocol.node import NodeCore
from metanode.protocol.reshare.regroup import PURPOSE, Wish
from metanode.protocol.wire.codec import decode_canonical
from spec import messages as m
from tests.simulation.epochs import draft_of, first_epoch, wish
from tests.simulation.simulator import NETWORK_ID, START, Simulation, with_key

NEXT = 10**6
DAY = 86400
TO_MIDNIGHT = DAY - START % DAY


def ids(sim: Simulation, numbers: Sequence[int]) -> tuple[bytes, ...]:
    """Return the ids of nodes, in ascending order."""
    return tuple(sorted(sim.nodes[number].node_id for number in numbers))


def asked(sim: Simulation, *change: object) -> NodeCore:
    """Let the operator of node 0 ask for a refresh, or for other holders; return its core."""
    wish(sim, 0, *change)
    return sim.core(0)


def attempt(core: NodeCore) -> Task | None:
    """Return the attempt of the current round as a node sees it."""
    number = core.ctx.round_number()
    event = regroup_event(NETWORK_ID, core.ctx.epoch.key_id, number)
    return core.regroups.task(PURPOSE, event, number)


def plan(task: Task | None) -> tuple[list[bytes], list[bytes], int, int]:
    """Return dealers, holders, t and f of an attempt."""
    assert task is not None
    fields = decode_canonical(task.document)
    holders = [member["node"] for member in fields["members"]]
    return fields["dealers"], holders, fields["threshold"], fields["byzantine"]


def joiner_known(sim: Simulation, number: int) -> None:
    """Let the stake of a later node be proved at node 0."""
    sim.join(number)
    sim.run_until(
        lambda: sim.nodes[number].node_id in {x.node_id for x in sim.core(0).pings.staked()},
        5.0,
        "the stake is proved",
    )


def test_nothing_is_due_until_somebody_asks() -> None:
    """Catches new shares by day that nobody wants."""
    core = with_key(91).core(0)
    assert core.regroups.wish() is None
    assert attempt(core) is None
    assert core.regroups.due() is None


def test_a_refresh_is_dealt_by_all_for_all() -> None:
    """Catches a refresh that changes the holders or their numbers."""
    sim = with_key(92)
    core = asked(sim)
    everybody = list(ids(sim, range(4)))
    assert plan(attempt(core)) == (everybody, everybody, 3, 1)
    assert attempt(core).members == tuple(everybody)
    assert attempt(core).votes_needed == 4, "who holds a share must have agreed to it"


def test_who_stays_deals_and_who_joins_holds() -> None:
    """Catches a joiner that must deal what it does not have."""
    sim = with_key(93, joiners=1)
    joiner_known(sim, 4)
    core = asked(sim, (0, 1, 2, 4))
    assert plan(attempt(core)) == (
        list(ids(sim, (0, 1, 2))), list(ids(sim, (0, 1, 2, 4))), 3, 1
    )
    assert attempt(core).members == ids(sim, (0, 1, 2, 4))


def test_leavers_deal_only_where_too_few_stay() -> None:
    """Catches fewer dealers than the old threshold, and a leaver that is asked for nothing."""
    sim = with_key(94)
    core = asked(sim, (0, 1), 2, 0)
    dealers, holders, *numbers = plan(attempt(core))
    assert (holders, numbers) == (list(ids(sim, (0, 1))), [2, 0])
    oldest = next(m for m in first_epoch(sim).seniority if m in ids(sim, (2, 3)))
    assert dealers == sorted([*holders, oldest])
    core = asked(sim, (0, 1, 2), 3, 0)
    assert plan(attempt(core))[0] == list(ids(sim, (0, 1, 2)))


def test_a_joiner_without_a_proved_stake_is_waited_for() -> None:
    """Catches a holder that no stake stands for."""
    sim = with_key(95, joiners=1)
    core = asked(sim, (0, 1, 2, 4))
    assert attempt(core) is None


def test_who_has_no_part_in_an_attempt_makes_none() -> None:
    """Catches a leaver that sets up, or votes in, an attempt of others."""
    sim = with_key(96)
    assert attempt(asked(sim, (1, 2, 3), 3, 0)) is None


def test_who_has_lost_its_share_deals_none() -> None:
    """Catches a member with an old disk that ends in an error as an attempt begins."""
    sim = with_key(110)
    core = asked(sim)
    core.ctx.use(evolve(core.ctx.epoch, keyshare=None))
    assert attempt(core) is None


def test_an_attempt_is_of_its_round_and_of_nothing_else() -> None:
    """F-17: catches a set-up that is rebuilt for another event, round or purpose."""
    core = asked(with_key(97))
    task = attempt(core)
    rebuild = core.regroups.task
    assert rebuild(PURPOSE, task.event, task.attempt) == task
    assert rebuild("keygen", task.event, task.attempt) is None
    assert rebuild(PURPOSE, bytes(32), task.attempt) is None
    key_id, number = core.ctx.epoch.key_id, task.attempt
    for other in (number - 2, number + 1):
        assert rebuild(PURPOSE, regroup_event(NETWORK_ID, key_id, other), other) is None


def test_no_attempt_begins_late_in_a_round() -> None:
    """Catches a session that its round cannot hold."""
    core = asked(with_key(98))
    period, share = core.ctx.preset.round_period_s, core.ctx.preset.offer_share
    begin = (core.ctx.round_number() + 1) * period
    core.ctx.now = begin + period * (share + 0.01)
    assert core.regroups.due() is None
    core.ctx.now = begin + period * (share - 0.01)
    assert core.regroups.due() is not None


def test_every_document_of_an_attempt_differs() -> None:
    """Catches members that agree on two plans without noticing."""
    sim = with_key(99)
    changes = [((0, 1, 2), 3, 0), ((0, 1, 2), 2, 0), ((0, 1), 2, 0), ((0, 1, 2, 3), 3, 0)]
    digests = {attempt(asked(sim, *each)).digest for each in changes}
    digests.add(attempt(asked(sim)).digest)
    assert len(digests) == len(changes) + 1


def test_the_night_refreshes_once() -> None:
    """Catches a night without a refresh, and one that never ends."""
    sim = with_key(100, begin_s=TO_MIDNIGHT - 1)
    core = sim.core(0)
    assert core.regroups.wish() is None
    core.ctx.now += 1
    assert core.regroups.wish() == Wish(1)
    draft = draft_of(sim, core.ctx.round_number())
    assert core.regroups.wanted(draft)
    core.ctx.use(draft)
    assert core.regroups.wish() is None
    core.ctx.now += DAY
    assert core.regroups.wish() == Wish(draft.number)


def test_what_the_operator_asks_for_comes_before_the_night() -> None:
    """Catches an operator who must wait for a night that cannot succeed."""
    sim = with_key(101, begin_s=TO_MIDNIGHT + 1)
    core = asked(sim, (0, 1, 2), 3, 0)
    assert core.regroups.wish().members == ids(sim, (0, 1, 2))
    wish(sim, 0, epoch=7)
    assert core.regroups.wish() == Wish(1), "a wish for another epoch is none"


def test_only_what_was_asked_for_is_wanted() -> None:
    """Catches shares for holders, or with numbers, that the operator did not choose."""
    sim = with_key(102, joiners=1)
    regroups = asked(sim, (0, 1, 2, 4)).regroups
    chosen = (0, 1, 2, 4)
    assert regroups.wanted(draft_of(sim, NEXT, chosen))
    assert not regroups.wanted(draft_of(sim, NEXT))
    assert not regroups.wanted(draft_of(sim, NEXT, chosen, byzantine=0))
    assert not regroups.wanted(draft_of(sim, NEXT, chosen, threshold=4, byzantine=0))
    later = draft_of(sim, NEXT + 1, chosen, after=draft_of(sim, NEXT))
    assert not regroups.wanted(later)
    assert regroups.parties() == set(ids(sim, chosen))


def test_a_refresh_wants_the_same_holders_or_fewer() -> None:
    """F-26: catches a night that brings a new holder in, or counts on one liar less (F-38)."""
    sim = with_key(103, joiners=1)
    regroups = asked(sim).regroups
    three = (0, 1, 2)
    assert regroups.wanted(draft_of(sim, NEXT))
    assert not regroups.wanted(draft_of(sim, NEXT, three, threshold=3, byzantine=0))
    assert not regroups.wanted(draft_of(sim, NEXT, three, threshold=2, byzantine=0))
    assert not regroups.wanted(draft_of(sim, NEXT, (0, 1, 2, 4)))
    aged = draft_of(sim, NEXT)
    aged = evolve(aged, members=(evolve(aged.members[0], height=1), *aged.members[1:]))
    assert not regroups.wanted(aged), "a stake that is not what the roster says"
    assert regroups.parties() == set()


SPARE = {"members": 6, "threshold": 4, "byzantine": 1}
"""Numbers that keep SAFE-SIGN 1 with one holder fewer as well."""


def missed(core: NodeCore, sim: Simulation, by: int, absent: int, epoch: int | None = None) -> None:
    """Let a node say that it missed another one."""
    number = core.ctx.round_number() if epoch is None else epoch
    core.regroups.on_missed(sim.nodes[by].node_id, m.Missed(number, sim.nodes[absent].node_id))


def test_who_t_holders_missed_is_left_out() -> None:
    """F-26: catches one silent member that costs the night, and one that too few can shut out."""
    sim = with_key(104, **SPARE)
    core = asked(sim)
    for by in (0, 1, 2):
        missed(core, sim, by, 5)
        assert len(attempt(core).members) == 6
    missed(core, sim, 3, 5)
    five = list(ids(sim, range(5)))
    assert plan(attempt(core)) == (five, five, 4, 1), "all its liars may be among them"


def test_no_more_are_left_out_than_the_key_can_bear() -> None:
    """F-38: catches a roster in which the liars alone could refuse to sign."""
    sim = with_key(105, **SPARE)
    core = asked(sim)
    for absent in (4, 5):
        for by in range(6):
            missed(core, sim, by, absent)
    assert len(attempt(core).members) == 6


def test_with_no_member_to_spare_nobody_is_left_out() -> None:
    """F-38: catches the usual n, t and f: t + f = n, so that whoever stays is needed."""
    sim = with_key(106)
    core = asked(sim)
    for by in range(4):
        missed(core, sim, by, 3)
    dealers, holders, *numbers = plan(attempt(core))
    assert dealers == holders
    assert (len(holders), numbers) == (4, [3, 1])


def test_words_about_strangers_other_nights_and_one_voice_twice_do_not_count() -> None:
    """F-26: catches a member that fewer than T holders shut out."""
    sim = with_key(107, joiners=1)
    core = asked(sim)
    for epoch in (None, core.ctx.round_number() - 1):
        missed(core, sim, 1, 3, epoch)
        missed(core, sim, 2, 3, epoch)
    missed(core, sim, 4, 3)
    missed(core, sim, 0, 3, core.ctx.round_number() + 1)
    missed(core, sim, 0, 3, 1)
    missed(core, sim, 1, 4)
    assert core.regroups.report()["missed"] == {sim.nodes[3].node_id.hex(): 2}
    assert len(attempt(core).members) == 4


def test_a_member_is_missed_after_several_attempts() -> None:
    """Catches a member that one bad moment shuts out, and a word that is said every round."""
    sim = with_key(108)
    core = asked(sim)
    core.take()
    absent = sim.nodes[3].node_id
    patience = core.ctx.preset.regroup_patience
    for number in range(patience - 1):
        core.regroups.failed(NEXT + number, [absent])
        core.regroups.failed(NEXT + number, [absent])
    assert core.regroups.report()["missed"] == {}
    core.regroups.failed(NEXT + 10, [absent, core.ctx.me, bytes(33)])
    sent = [send.message for send in core.take().sends]
    assert sent == [m.Missed(NEXT + 10, absent)]
    core.regroups.failed(NEXT + 11, [absent])
    assert core.take().sends == []


def test_a_new_epoch_forgets_who_was_missed() -> None:
    """Catches a member that is shut out for good because of one night."""
    sim = with_key(109)
    core = asked(sim)
    for by in range(3):
        missed(core, sim, by, 3)
    core.ctx.use(draft_of(sim, NEXT))
    wish(sim, 0, epoch=NEXT)
    missed(core, sim, 1, 2)
    assert core.regroups.report()["missed"] == {sim.nodes[2].node_id.hex(): 1}
