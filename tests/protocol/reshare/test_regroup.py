"""Who deals and who will hold new shares, who is left out, and what an attempt makes."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from metanode.protocol.context import regroup_event
from metanode.protocol.events.purpose import Task
from metanode.protocol.events.run import Run
from metanode.protocol.keys.epoch import KeyEpoch
from metanode.protocol.tables.view import Quorum
from metanode.protocol.wire.codec import decode_canonical
from metanode.tss.dealing import Dealing
from metanode.tss.keyshare import Keyshare, PublicPackage
from spec import messages as m
from spec.night_messages import Complaint, Withheld
from tests.protocol.reshare.support import (
    FIRST,
    FOUNDERS,
    KEY_ID,
    NEXT,
    Holder,
    epoch,
    ids_of,
    messages,
    share_of,
    word,
)
from tests.protocol.support import IDENTITIES, NETWORK_ID

SIX = epoch(1, range(6), follows=0, threshold=4, byzantine=1)
"""Numbers that keep SAFE-SIGN 1 with one holder fewer as well."""


def asked(*change: Any, key: KeyEpoch = FIRST, number: int = 0) -> Holder:
    """Return a node whose operator asks for a refresh, or for other holders."""
    holder = Holder.at(number, key)
    holder.asks("quorumchange", *change) if change else holder.asks()
    holder.node.take()
    return holder


def attempt(holder: Holder) -> Task | None:
    """Return the attempt of the current round as a node sees it."""
    number = holder.node.ctx.round_number()
    return holder.regroups.rebuild(regroup_event(NETWORK_ID, KEY_ID, number), number)


def tried(holder: Holder) -> Task:
    """Return the attempt of the current round, of which there must be one."""
    task = attempt(holder)
    assert task is not None
    return task


def plan(task: Task) -> tuple[list[bytes], list[bytes], int, int]:
    """Return dealers, holders, t and f of an attempt."""
    fields = decode_canonical(task.document)
    holders = [member["node"] for member in fields["members"]]
    return fields["dealers"], holders, fields["threshold"], fields["byzantine"]


def test_a_refresh_is_dealt_by_all_for_all() -> None:
    """Catches a refresh that changes the holders or their numbers."""
    task, everybody = tried(asked()), [*ids_of(FOUNDERS)]
    assert plan(task) == (everybody, everybody, 3, 1)
    assert task.members == tuple(everybody)
    assert task.votes_needed == 4, "who holds a share must have agreed to it"


def test_who_stays_deals_and_who_joins_holds() -> None:
    """Catches a joiner that must deal what it does not have."""
    task = tried(asked((0, 1, 2, 4)))
    assert plan(task) == ([*ids_of((0, 1, 2))], [*ids_of((0, 1, 2, 4))], 3, 1)
    assert task.members == ids_of((0, 1, 2, 4))


def test_leavers_deal_only_where_too_few_stay() -> None:
    """Catches fewer dealers than the old threshold, and a leaver that is asked for nothing."""
    dealers, holders, *numbers = plan(tried(asked((0, 1), 2, 0)))
    assert (holders, numbers) == ([*ids_of((0, 1))], [2, 0])
    oldest = next(each for each in FIRST.seniority if each in ids_of((2, 3)))
    assert dealers == sorted([*holders, oldest])
    assert plan(tried(asked((0, 1, 2), 3, 0)))[0] == [*ids_of((0, 1, 2))]


def test_a_joiner_without_a_proved_stake_is_waited_for() -> None:
    """Catches a holder that no stake stands for."""
    holder = asked((0, 1, 2, 4))
    holder.peers.unproved.update(ids_of([4]))
    assert attempt(holder) is None


def test_who_has_no_part_in_an_attempt_makes_none() -> None:
    """Catches a leaver that sets up, or votes in, an attempt of others."""
    assert attempt(asked((1, 2, 3), 3, 0)) is None


def test_who_has_lost_its_share_deals_none() -> None:
    """Catches a member with an old disk that ends in an error as an attempt begins."""
    holder = asked()
    holder.node.ctx.use(FIRST)
    assert attempt(holder) is None


def test_an_attempt_is_of_its_round_and_of_nothing_else() -> None:
    """F-17: catches a set-up that is rebuilt for another event or round."""
    holder = asked()
    task, rebuild = tried(holder), holder.regroups.rebuild
    assert rebuild(task.event, task.attempt) == task
    assert rebuild(bytes(32), task.attempt) is None
    for other in (task.attempt - 2, task.attempt + 1):
        assert rebuild(regroup_event(NETWORK_ID, KEY_ID, other), other) is None


def test_no_attempt_begins_late_in_a_round() -> None:
    """Catches a session that its round cannot hold."""
    holder = asked()
    ctx = holder.node.ctx
    period, share = ctx.preset.round_period_s, ctx.preset.offer_share
    begin = (ctx.round_number() + 1) * period
    ctx.now = begin + period * (share + 0.01)
    assert not list(holder.regroups.due())
    ctx.now = begin + period * (share - 0.01)
    assert list(holder.regroups.due())


def test_every_document_of_an_attempt_differs() -> None:
    """Catches members that agree on two plans without noticing."""
    changes = [((0, 1, 2), 3, 0), ((0, 1, 2), 2, 0), ((0, 1), 2, 0), ((0, 1, 2, 3), 3, 0)]
    digests = {tried(asked(*each)).digest for each in changes}
    digests.add(tried(asked()).digest)
    assert len(digests) == len(changes) + 1


# --- what an attempt makes ---


class Made(Dealing):
    """A dealing that has come to an end, or not yet."""

    def __init__(self, made: PublicPackage, share: Keyshare | None, state: str) -> None:
        """Take what it has made."""
        self._made, self._mine, self._now = made, share, state

    @property
    def package(self) -> PublicPackage | None:
        """The public part of the shares."""
        return self._made

    @property
    def result(self) -> Keyshare | None:
        """This node's share."""
        return self._mine

    @property
    def state(self) -> str:
        """How far it is."""
        return self._now

    def _constant_term(self) -> int:
        return 0

    def _publish(self, public_key: object, shares: object) -> PublicPackage:
        return self._made


def ran(holder: Holder, state: str = "finished", share: bool = True) -> tuple[Run, KeyEpoch]:
    """Return the run of the attempt of this round, and what it has made."""
    task = tried(holder)
    draft = epoch(task.attempt)
    lane = Made(draft.package, share_of(draft, 0) if share else None, state)
    certificate = m.Certificate(1, task.event, task.attempt, task.digest, task.members, ())
    begun = holder.regroups.begin(task, certificate)
    assert begun is not None
    return evolve_lanes(begun, lane), draft


def evolve_lanes(run: Run, lane: Made) -> Run:
    """Return a run with another lane."""
    run.lanes = (lane,)
    return run


def test_a_share_that_was_made_and_checked_is_kept() -> None:
    """Catches a run that ends well and leaves nothing."""
    holder = asked()
    run, draft = ran(holder)
    assert holder.regroups.verifies(run)
    holder.regroups.finished(run)
    assert holder.holding(draft.number) == "prepared"
    assert holder.node.ctx.drafts == {draft.number: draft}
    effects = holder.node.take()
    assert [w.attachment for w in effects.writes if w.cell == "holding"] == [draft]
    assert messages(effects, m.SharePrepared) == {None: word(draft)}


def test_nobody_says_that_it_has_a_share_which_no_run_made() -> None:
    """F-25: catches a member whose word is worth nothing, so that all step back for nothing."""
    holder = asked()
    for state, share in (("round-4", True), ("finished", False)):
        run, draft = ran(holder, state, share)
        holder.regroups.finished(run)
        assert holder.holding(draft.number) == "no_share"
        assert not messages(holder.node.take(), m.SharePrepared)
    holder.handover.made(epoch(NEXT, share=0))
    assert holder.holding(NEXT) == "no_share", "no run at all"
    unlike, draft = ran(holder)
    holder.regroups._ended = unlike
    holder.handover.made(epoch(draft.number, share=0, byzantine=0))
    assert holder.holding(draft.number) == "no_share", "other numbers than the run's"


def test_what_a_run_made_for_an_epoch_that_is_over_is_not_kept() -> None:
    """Catches a draft that would follow what nobody holds any more, or that nobody voted for."""
    holder = asked()
    run, draft = ran(holder)
    holder.node.ctx.use(epoch(draft.number - 1, share=0))
    holder.regroups.finished(run)
    assert not holder.node.ctx.drafts
    other = asked()
    run, draft = ran(other)
    run.digest = bytes(32)
    other.regroups.finished(run)
    assert not other.node.ctx.drafts


def test_old_shares_are_dealt_by_those_who_were_asked() -> None:
    """Catches a run with other members or numbers than those that were voted for."""
    holder = asked()
    task = tried(holder)
    assert task.quorum == Quorum(task.members, 4, 0)
    assert holder.regroups.oldest() == holder.node.ctx.round_number() - 1
    assert holder.regroups.concerns(task.event, b"", task.attempt)
    assert not holder.regroups.concerns(task.event, b"", task.attempt + 1)
    assert not holder.regroups.concerns(task.event, b"", None)


# --- who was missed ---


def missed(holder: Holder, by: int, absent: int, epoch: int | None = None) -> None:
    """Let a node say that it missed another one; the node itself does so as well."""
    number = holder.node.ctx.round_number() if epoch is None else epoch
    said = m.Missed(number, IDENTITIES[absent].node_id)
    holder.node.receive(by, said)


def test_who_t_holders_missed_is_left_out() -> None:
    """F-26: catches one silent member that costs the night, and one that too few can shut out."""
    holder = asked(key=SIX)
    for by in (0, 1, 2):
        missed(holder, by, 5)
        assert len(tried(holder).members) == 6
    missed(holder, 3, 5)
    five = [*ids_of(range(5))]
    assert plan(tried(holder)) == (five, five, 4, 1), "all its liars may be among them"


def test_no_more_are_left_out_than_the_key_can_bear() -> None:
    """F-38: catches a roster in which the liars alone could refuse to sign."""
    holder = asked(key=SIX)
    for absent in (4, 5):
        for by in range(6):
            missed(holder, by, absent)
    assert len(tried(holder).members) == 6


def test_with_no_member_to_spare_nobody_is_left_out() -> None:
    """F-38: catches the usual n, t and f: t + f = n, so that whoever stays is needed."""
    holder = asked()
    for by in range(4):
        missed(holder, by, 3)
    dealers, holders, *numbers = plan(tried(holder))
    assert dealers == holders
    assert (len(holders), numbers) == (4, [3, 1])


def test_words_about_strangers_other_nights_and_one_voice_twice_do_not_count() -> None:
    """F-26: catches a member that fewer than T holders shut out."""
    holder = asked()
    now = holder.node.ctx.round_number()
    for number in (now, now - 1):
        missed(holder, 1, 3, number)
        missed(holder, 2, 3, number)
    missed(holder, 4, 3)
    missed(holder, 0, 3, now + 1)
    missed(holder, 0, 3, 1)
    missed(holder, 1, 4)
    assert holder.regroups.report()["missed"] == {ids_of([3])[0].hex(): 2}
    assert len(tried(holder).members) == 4


def test_a_member_is_missed_after_several_attempts() -> None:
    """Catches a member that one bad moment shuts out, and a word that is said every round."""
    holder = asked()
    regroups, ctx, (absent,) = holder.regroups, holder.node.ctx, ids_of([3])
    now, patience = ctx.round_number(), ctx.preset.regroup_patience
    begun = {}
    for number in range(now - patience, now + 2):
        ctx.now = number * ctx.preset.round_period_s + 0.1
        begun[number] = tried(holder)
    numbers = sorted(begun)[-patience - 1:]
    for number in numbers[:patience - 1]:
        for _ in range(2):
            regroups.ended(begun[number].event, number, [absent])
    assert regroups.report()["missed"] == {}
    assert "overdue" in str(ctx.tables.why_not("regroup.Miss", h=numbers[0], q=absent))
    last, after = numbers[patience - 1:]
    regroups.ended(begun[last].event, last, [absent, ctx.me, bytes(33)])
    assert holder.node.sent(m.Missed) == [m.Missed(last, absent)]
    regroups.ended(begun[after].event, after, [absent])
    assert holder.node.sent(m.Missed) == []


def test_who_never_says_that_it_has_its_share_is_missed_too() -> None:
    """F-26: catches a member that deals, keeps silent, and so costs every night."""
    holder = asked()
    ctx, (absent,) = holder.node.ctx, ids_of([3])
    numbers = [NEXT - n for n in range(ctx.preset.regroup_patience)]
    for number in numbers:
        assert not holder.regroups.report()["missed"]
        holder.makes(epoch(number))
        holder.hears(epoch(number), (1, 2))
        holder.node.tick()
    assert holder.regroups.report()["missed"] == {absent.hex(): 1}


def test_a_new_epoch_forgets_who_was_missed() -> None:
    """Catches a member that is shut out for good because of one night."""
    holder = asked()
    for by in range(3):
        missed(holder, by, 3)
    holder.node.ctx.use(evolve(epoch(NEXT), keyshare=share_of(epoch(NEXT), 0)))
    missed(holder, 1, 2)
    assert holder.regroups.report()["missed"] == {ids_of([2])[0].hex(): 1}


def test_a_spoiler_is_named_after_several_attempts() -> None:
    """F-43: catches a member that one unanswered complaint puts out, and one that none does."""
    holder = asked()
    regroups, ctx, (accused,) = holder.regroups, holder.node.ctx, ids_of([2])
    first, patience = ctx.round_number(), ctx.preset.regroup_patience
    for number in range(first, first + patience):
        ctx.now = number * ctx.preset.round_period_s + 0.1
        event = tried(holder).event
        holder.node.receive(1, Complaint(number, accused, bytes(32), 2, None))
        assert holder.node.sent(Withheld) == []
        regroups.ended(event, number, [])
    assert holder.node.sent(Withheld) == [Withheld(number, accused)]
    assert regroups.report()["withheld"] == {accused.hex(): 1}
