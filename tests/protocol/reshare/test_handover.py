"""The handing over at one node: what it says, to whom, in which order, and what it waits for."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve

from metanode.protocol.events.event_book import TakenOver
from metanode.protocol.keys.epoch import KeyEpoch
from metanode.protocol.tables.runner import Effects
from spec import messages as m
from tests.simulation.epochs import draft_of, give_lock, payout_lock, said, succession, wish
from tests.simulation.simulator import Simulation, with_key

NEXT = 10**6
ME = 0


def asked(seed: int, numbers: Iterable[int] | None = None, joiners: int = 0) -> Simulation:
    """Return a network that stands still; all operators ask for a refresh, or for these holders."""
    sim = with_key(seed, joiners=joiners)
    for node in sim.running():
        wish(sim, node.number, numbers)
        node.core.take()
    return sim


def made(sim: Simulation, draft: KeyEpoch, number: int = ME) -> Effects:
    """Let a node make a draft; it carries the node's old share, which nothing here uses."""
    core = sim.core(number)
    sim.checkers.epochs[draft.number] = draft
    core.handover.made(evolve(draft, keyshare=core.ctx.epoch.keyshare))
    return flushed(sim, number)


def flushed(sim: Simulation, number: int = ME) -> Effects:
    """Return the effects of a node; its disk keeps what it wrote."""
    effects = sim.core(number).take()
    sim.nodes[number].disk.flush(effects.writes)
    return effects


def hear_all(sim: Simulation, draft: KeyEpoch, numbers: Iterable[int]) -> Effects:
    """Let the node hear that these nodes have their shares."""
    for number in numbers:
        word = said(sim, number, draft)
        message = m.SharePrepared(draft.number, draft.encode())
        sim.core(ME).handover.on_prepared(word.member, message, word.signature)
    return flushed(sim)


def messages(effects: Effects, kind: type) -> dict[bytes | None, object]:
    """Return the messages of one kind by recipient."""
    return {send.to: send.message for send in effects.sends if isinstance(send.message, kind)}


def holding(sim: Simulation, number: int) -> object:
    """Return what the node's disk says of its share of an epoch."""
    return sim.nodes[ME].disk.get("holding", sim.nodes[ME].node_id, number)


def test_a_share_is_on_disk_before_anybody_is_told() -> None:
    """DurableBeforeSend: catches a member whose word outlives its share."""
    sim = asked(71)
    draft = draft_of(sim, NEXT)
    effects = made(sim, draft)
    assert holding(sim, NEXT) == "prepared"
    (kept,) = [w.attachment for w in effects.writes if w.cell == "holding"]
    assert kept == draft
    assert messages(effects, m.SharePrepared) == {None: m.SharePrepared(NEXT, draft.encode())}


def test_nobody_steps_back_before_all_have_their_shares() -> None:
    """F-25: catches an old epoch that stops for an attempt that never ends."""
    sim = asked(72)
    draft = draft_of(sim, NEXT)
    made(sim, draft)
    effects = hear_all(sim, draft, (1, 2))
    assert holding(sim, 1) == "active"
    assert not messages(effects, m.HandedOver)
    effects = hear_all(sim, draft, (3,))
    assert holding(sim, 1) == "fenced"
    assert set(messages(effects, m.HandedOver)) == {n.node_id for n in sim.nodes[1:]}


def test_locks_go_to_the_new_holders_and_the_word_to_all() -> None:
    """F-24: catches a joiner without the locks, and a leaver that is left in the dark."""
    sim = asked(73, (0, 1, 2, 4), joiners=1)
    draft = draft_of(sim, NEXT, (0, 1, 2, 4))
    shown = payout_lock(sim, (0, 1, 2), attempt=7)
    give_lock(sim, ME, shown)
    made(sim, draft)
    effects = hear_all(sim, draft, (1, 2, 4))
    locks, words = messages(effects, m.LockShown), messages(effects, m.HandedOver)
    assert set(locks) == {sim.nodes[n].node_id for n in (1, 2, 4)}
    assert set(locks.values()) == {m.LockShown(NEXT, shown)}
    assert set(words) == {sim.nodes[n].node_id for n in (1, 2, 3, 4)}
    (word,) = set(words.values())
    assert {s.member for s in word.prepared} == set(draft.roster)
    order = [type(send.message) for send in effects.sends]
    assert order.index(m.HandedOver) > order.index(m.LockShown)


def test_the_succession_is_proposed_by_who_stepped_back() -> None:
    """F-37: catches a vote for an epoch without the fence, or for an old attempt."""
    sim = asked(74)
    core, draft = sim.core(ME), draft_of(sim, NEXT)
    made(sim, draft)
    assert core.handover.due() is None
    hear_all(sim, draft, (1, 2, 3))
    task = core.handover.due()
    assert task is not None
    assert (task.document, task.members) == (draft.encode(), core.ctx.epoch.roster)
    assert core.handover.named(task.digest) == draft
    assert core.handover.task("payout", task.event, task.attempt) is None
    assert core.handover.task("succession", bytes(32), task.attempt) is None
    assert core.handover.task("succession", task.event, task.attempt - 2) is None
    assert core.handover.task("succession", task.event, task.attempt + 1) is None


def test_of_two_rivals_the_locked_one_is_proposed() -> None:
    """SAFE-SIGN: catches a second digest of one succession, or a night that a lock blocks."""
    sim = asked(75)
    core, first, second = sim.core(ME), draft_of(sim, NEXT), draft_of(sim, NEXT + 1)
    for draft in (second, first):
        made(sim, draft)
        hear_all(sim, draft, (1, 2, 3))
    assert core.handover.ready() == [first, second]
    task = core.handover.due()
    assert task.document == first.encode()
    name = core.handover.named(second.digest(core.settings.network_id))
    core.ctx.tables.view.put("lock", (core.ctx.me, task.event), name.digest(
        core.settings.network_id
    ))
    assert core.handover.due().document == second.encode()


def succeed(sim: Simulation, draft: KeyEpoch) -> Effects:
    """Let the node learn that a draft follows."""
    sim.core(ME).chain.on_signature(succession(sim, draft))
    return flushed(sim)


def hand_over(sim: Simulation, number: int, draft: KeyEpoch, *locks: m.LockedCandidate) -> None:
    """Let another node step back for a draft, as an honest one does."""
    other, me = sim.core(number), sim.core(ME)
    for candidate in locks:
        give_lock(sim, number, candidate)
    made(sim, draft, number)
    for each in range(4):
        word = said(sim, each, draft)
        message = m.SharePrepared(draft.number, draft.encode())
        other.handover.on_prepared(word.member, message, word.signature)
    for send in flushed(sim, number).sends:
        if send.to == me.ctx.me and isinstance(send.message, m.LockShown):
            me.handover.books.on_lock_shown(other.ctx.me, send.message)
        elif send.to == me.ctx.me and isinstance(send.message, m.HandedOver):
            me.handover.on_handed_over(other.ctx.me, send.message)


def test_a_member_goes_on_when_t_holders_handed_over() -> None:
    """F-24: catches a new share that works before the locks are known, and one that never works."""
    sim = asked(76)
    core, draft = sim.core(ME), draft_of(sim, NEXT)
    shown = payout_lock(sim, (1, 2, 3), attempt=7)
    made(sim, draft)
    hear_all(sim, draft, (1, 2, 3))
    succeed(sim, draft)
    assert core.ctx.epoch.number == 1
    hand_over(sim, 1, draft, shown)
    assert core.ctx.epoch.number == 1, "two have handed over, itself among them"
    hand_over(sim, 2, draft)
    core.handover.settle()
    effects = flushed(sim)
    assert core.ctx.epoch.number == NEXT
    assert (holding(sim, 1), holding(sim, NEXT)) == ("erased", "active")
    (taken,) = [w.attachment for w in effects.writes if w.cell == "lock"]
    assert taken == TakenOver(shown)
    assert [c.arguments["epoch"] for c in effects.calls if c.name == "erase_share"] == [1]


def test_rivals_of_the_epoch_that_follows_are_erased() -> None:
    """Catches a share of a failed attempt that stays on disk."""
    sim = asked(77)
    first, second = draft_of(sim, NEXT), draft_of(sim, NEXT + 1)
    made(sim, first)
    made(sim, second)
    hear_all(sim, second, (1, 2, 3))
    for number in (1, 2):
        hand_over(sim, number, second)
    effects = succeed(sim, second)
    assert (holding(sim, NEXT), holding(sim, NEXT + 1)) == ("erased", "active")
    erased = [c.arguments["epoch"] for c in effects.calls if c.name == "erase_share"]
    assert erased == [1, NEXT]
    assert not sim.core(ME).handover.drafts.known


def test_a_leaver_erases_its_share_and_tells_what_it_has() -> None:
    """Catches a leaver that can still sign, and locks that leave with it."""
    sim = asked(78, (1, 2, 3))
    draft = draft_of(sim, NEXT, (1, 2, 3), threshold=3, byzantine=0)
    shown = payout_lock(sim, (0, 1, 2), attempt=7)
    give_lock(sim, ME, shown)
    effects = succeed(sim, draft)
    assert holding(sim, 1) == "erased"
    assert not sim.core(ME).ctx.holds_share
    assert set(messages(effects, m.LockShown).values()) == {m.LockShown(NEXT, shown)}
    assert set(messages(effects, m.HandedOver)) == {n.node_id for n in sim.nodes[1:]}


def test_a_member_that_was_away_for_two_epochs_lets_the_share_of_the_first_go() -> None:
    """Catches a node that waits for ever for others to hand over to an epoch that is over."""
    sim = asked(79)
    core, first = sim.core(ME), draft_of(sim, NEXT)
    second = draft_of(sim, NEXT + 5, (1, 2, 3), after=first, byzantine=0)
    made(sim, first)
    succeed(sim, first)
    assert core.ctx.epoch.number == 1
    succeed(sim, second)
    assert core.ctx.epoch == second
    assert not core.ctx.holds_share
    assert (holding(sim, 1), holding(sim, NEXT)) == ("erased", "erased")


def test_a_peer_that_came_up_is_told_what_it_may_have_missed() -> None:
    """Catches a member that a lost message keeps out."""
    sim = asked(80)
    core, peer, draft = sim.core(ME), sim.nodes[1].node_id, draft_of(sim, NEXT)
    made(sim, draft)
    core.on_link(peer, True)
    assert messages(flushed(sim), m.SharePrepared) == {peer: m.SharePrepared(NEXT, draft.encode())}
    hear_all(sim, draft, (1, 2, 3))
    core.on_link(peer, True)
    assert set(messages(flushed(sim), m.HandedOver)) == {peer}


def test_who_has_not_stepped_back_is_reminded_once_a_round() -> None:
    """Catches a handing over that one lost message stops, or an operator who asked late."""
    sim = asked(83)
    core, draft = sim.core(ME), draft_of(sim, NEXT)
    made(sim, draft)
    hear_all(sim, draft, (1, 2, 3))
    hand_over(sim, 1, draft)
    core.handover.tick()
    assert not messages(flushed(sim), m.HandedOver)
    core.ctx.now += core.ctx.preset.round_period_s
    for _ in range(2):
        core.handover.tick()
    sent = [send.to for send in flushed(sim).sends if isinstance(send.message, m.HandedOver)]
    assert sent == sorted(sim.nodes[number].node_id for number in (2, 3))


def test_a_member_counts_its_own_word_after_a_restart() -> None:
    """Catches an attempt that all members have and none knows to be ready."""
    sim = asked(81)
    draft = draft_of(sim, NEXT)
    made(sim, draft)
    sim.crash(ME)
    sim.start(ME)
    wish(sim, ME)
    hear_all(sim, draft, (1, 2, 3))
    assert sim.core(ME).handover.ready() == [draft]


def test_a_later_epochs_lock_can_be_judged_on_the_way_there() -> None:
    """Catches a late member that blames honest peers for the locks of the epoch that follows."""
    sim = asked(82)
    core, draft = sim.core(ME), draft_of(sim, NEXT)
    made(sim, draft)
    assert core.ctx.quorum_of(NEXT) is None
    succeed(sim, draft)
    assert core.ctx.epoch.number == 1
    assert core.ctx.quorum_of(NEXT) == draft.quorum
