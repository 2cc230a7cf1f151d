"""Whom a holder heard before a night, and what it states of that."""

from __future__ import annotations

import pytest
from attrs import evolve

from metanode.custody.stakes import Stake
from metanode.custody.types import BlockSummary, Outpoint
from metanode.errors import Equivocation
from metanode.protocol import inputs
from spec.night_messages import Attendance, Silence
from spec.parameters import MAINNET
from tests.protocol.reshare.support import Holder, epoch
from tests.protocol.support import IDENTITIES, START, members_of

DAY = MAINNET.regroup_period_s
NIGHT = int(START // DAY) + 1
MIDNIGHT = float(NIGHT * DAY)
ALL = members_of(8)


def before_night(number: int = 0) -> Holder:
    """Return a holder at the hour of a night, which has heard nobody yet."""
    holder = Holder.at(number, now=MIDNIGHT)
    holder.attendance.restore(MIDNIGHT - 10 * DAY, {})
    return holder


def chain_of(holder: Holder, *known: int, height: int = 20) -> None:
    """Let the node have read a chain in which these nodes' stakes are four days old."""
    ledger = holder.attendance.stakes.ledger()
    parent = bytes(32)
    for at in range(height - 12, height + 6):
        name = bytes([at]) * 32
        ledger.connect(BlockSummary(at, name, parent, 1, (), (), (), int(MIDNIGHT) - 60))
        parent = name
    for number in known:
        member, since = ALL[number], int(MIDNIGHT) - 4 * DAY
        ledger.stakes.know(Stake(member.stake, member.node_id, 10**9, 1, since))


def heard(holder: Holder, number: int, ago: float = 0.0, stake: Outpoint | None = None) -> None:
    """Let a node have pinged so many seconds ago."""
    member = ALL[number]
    holder.peers.presence[member.node_id] = (MIDNIGHT - ago, stake or member.stake)


def stated(holder: Holder) -> Attendance:
    """Return the statement that a holder makes with the next tick."""
    holder.node.tick()
    (found,) = holder.node.sent(Attendance)
    assert isinstance(found, Attendance)
    return found


def test_a_holder_states_whom_it_heard_and_whom_not() -> None:
    """Catches a holder that is called silent though it pinged, and days that are counted wrong."""
    holder = before_night()
    heard(holder, 1)
    heard(holder, 2, ago=2.5 * DAY)
    word = stated(holder)
    assert word.night == NIGHT
    assert word.silent == (Silence(ALL[3].node_id, 10), Silence(ALL[2].node_id, 2))
    assert not word.heard


def test_candidates_have_good_stakes_and_pinged_a_moment_ago() -> None:
    """Catches a newcomer without a stake, with another one's, too young, or gone since."""
    holder = before_night()
    chain_of(holder, 4, 5, 6, 7)
    heard(holder, 4)
    heard(holder, 5, ago=60.0)
    heard(holder, 6, stake=ALL[7].stake)
    book = holder.attendance.stakes.ledger().stakes
    book._stakes[ALL[7].stake] = evolve(book.get(ALL[7].stake), time=int(MIDNIGHT) - DAY)
    heard(holder, 7)
    assert [each.node for each in stated(holder).heard] == [ALL[4].node_id]


def test_there_is_one_statement_a_night_and_it_is_told_again() -> None:
    """Catches a second statement, which would be evidence against an honest holder."""
    holder = before_night()
    word = stated(holder)
    heard(holder, 1)
    holder.node.ctx.now += holder.node.ctx.preset.round_period_s
    assert stated(holder) == word
    holder.node.take_in(inputs.LinkUp(ALL[2].node_id))
    assert holder.node.sent(Attendance) == [word]
    assert holder.node.ctx.tables.view.get("attested", holder.node.ctx.me, NIGHT)


def test_after_a_restart_the_statement_is_the_same_and_silence_goes_on() -> None:
    """Catches a holder that forgets what it said, and one that is never long silent for a node
    that restarts every day.
    """
    holder = before_night()
    word = stated(holder)
    again = Holder.at(now=MIDNIGHT + 5)
    again.node.ctx.tables.view.put("attested", (again.node.ctx.me, NIGHT), True)
    again.attendance.restore(MIDNIGHT + 5, {NIGHT: word})
    assert stated(again) == word
    later = Holder.at(now=MIDNIGHT + DAY)
    later.attendance.restore(MIDNIGHT + DAY - 60, {NIGHT: word})
    assert {each.nights for each in stated(later).silent} == {11}
    fresh = Holder.at(now=MIDNIGHT)
    fresh.attendance.restore(MIDNIGHT - 60, {})
    assert stated(fresh).silent == (), "it knows nothing of the time before it was started"


def test_by_day_nobody_states_anything() -> None:
    """Catches statements that come too early to say anything about the day."""
    holder = Holder.at(now=MIDNIGHT - 1)
    holder.node.tick()
    assert holder.node.sent(Attendance) == []
    stranger = Holder.at(5, now=MIDNIGHT)
    stranger.node.tick()
    assert stranger.node.sent(Attendance) == [], "it is no holder"


def test_statements_of_holders_are_kept_for_the_night_at_hand() -> None:
    """Catches old statements in a new night, and two different ones that both count."""
    holder = before_night()
    word = Attendance(NIGHT, (), (Silence(ALL[2].node_id, 3),))
    holder.node.receive(1, word)
    holder.node.receive(1, word)
    holder.node.receive(2, Attendance(NIGHT - 1, (), ()))
    assert set(holder.attendance.frames(NIGHT)) == {ALL[1].node_id}
    assert isinstance(holder.node.receive(1, Attendance(NIGHT, (), ())), Equivocation)
    assert set(holder.attendance.frames(NIGHT)) == {ALL[1].node_id}
    holder.node.ctx.use(epoch(holder.node.ctx.round_number() + 1))
    holder.node.receive(3, word)
    later = set(holder.attendance.frames(NIGHT))
    assert IDENTITIES[3].node_id not in later, "the night is over"


@pytest.mark.parametrize("nights", [0, 1])
def test_a_holder_that_pings_again_is_silent_no_more(nights: int) -> None:
    """Catches a count that one ping does not end."""
    holder = before_night()
    for number in (1, 2, 3):
        heard(holder, number, ago=nights * DAY + 5.0)
    assert len(stated(holder).silent) == (3 if nights else 0)
