"""Which rosters a member makes a share for: the guard on the last row, and plans of other nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from metanode.custody.stakes import Stake
from metanode.custody.types import BlockSummary
from metanode.protocol.context import outpoint_ref
from metanode.protocol.reshare.plans import Plan, document_digest
from metanode.protocol.wire.envelope import seal
from spec.messages import Missed
from spec.night_messages import Attendance, Candidacy, Silence, Withheld
from tests.protocol.reshare.support import FIRST, Holder, epoch, ids_of
from tests.protocol.reshare.test_attendance import DAY, MIDNIGHT, NIGHT
from tests.protocol.support import CODEC, IDENTITIES, NETWORK_ID, members_of

ALL = members_of(8)
CUTOFF = (108, bytes([108]) * 32)
LATER = MIDNIGHT + 10
ATTEMPT = int(LATER // 2)


def night(*known: int) -> Holder:
    """Return a holder in a night, whose chain has the good stakes of these nodes."""
    holder = Holder.at(now=LATER)
    ledger = holder.attendance.stakes.ledger()
    parent = bytes(32)
    for at in range(88, 112):
        name = bytes([at]) * 32
        ledger.connect(BlockSummary(at, name, parent, 1, (), (), (), int(MIDNIGHT) - 60))
        parent = name
    for number in known:
        member, since = ALL[number], int(MIDNIGHT) - 4 * DAY
        ledger.stakes.know(Stake(member.stake, member.node_id, 10**9, member.height, since))
    return holder


def heard(number: int) -> Attendance:
    """Return a statement that a candidate was heard."""
    candidacy = Candidacy(ALL[number].node_id, outpoint_ref(ALL[number].stake))
    return Attendance(NIGHT, (candidacy,), ())


def silent(number: int) -> Attendance:
    """Return a statement that a holder was not heard for three nights."""
    return Attendance(NIGHT, (), (Silence(ALL[number].node_id, 3),))


def frames(word: object, by: Iterable[int] = (0, 1, 2)) -> tuple[bytes, ...]:
    """Return a word as each of these holders signs it."""
    return tuple(seal(IDENTITIES[n], NETWORK_ID, CODEC, word) for n in by)


def prepares(
    holder: Holder, numbers: Sequence[int], words: tuple[bytes, ...] = (), *, asked: bool = False,
    cutoff: tuple[int, bytes] | None = CUTOFF,
) -> bool:
    """Return whether a node keeps its share of an epoch of these holders."""
    number = holder.node.ctx.round_number()
    draft = epoch(number, numbers)
    plan = Plan(
        1, FIRST.roster, draft.members, draft.threshold, draft.byzantine, (), cutoff, words, asked
    )
    holder.plans.keep(number, plan, document_digest(plan.document(bytes(32))))
    holder.makes(draft, fair=False)
    return holder.holding(number) == "prepared"


def test_the_same_holders_are_always_fair() -> None:
    """Catches a guard that refuses an ordinary night."""
    fair = prepares(night(), range(4), cutoff=None)
    assert fair


@pytest.mark.parametrize(("by", "fair"), [((0, 1, 2), True), ((0, 1), False), ((0, 1, 5), False)])
def test_a_newcomer_needs_statements_of_t_holders(by: tuple[int, ...], fair: bool) -> None:
    """F-44: catches a share for a node that some few brought in."""
    found = prepares(night(4), range(5), frames(heard(4), by))
    assert found == fair


def test_a_newcomer_needs_a_stake_that_this_node_knows() -> None:
    """Catches a share for a node without a stake, or whose stake is put out with somebody."""
    fair = prepares(night(), range(5), frames(heard(4)))
    assert not fair
    holder = night(4)
    book = holder.attendance.stakes.ledger().stakes
    book.connect(BlockSummary(105, bytes(32), bytes(32), 1, (), (), (), 0, (ALL[4].stake,)))
    fair = prepares(holder, range(5), frames(heard(4)))
    assert not fair


@pytest.mark.parametrize(
    "word", [silent(3), Withheld(ATTEMPT, ALL[3].node_id), Missed(ATTEMPT, ALL[3].node_id)],
    ids=lambda word: type(word).__name__,
)
def test_a_holder_goes_by_the_word_of_t_holders(word: object) -> None:
    """F-44: catches a holder that loses its seat to fewer than t, and one that t cannot remove."""
    fair = prepares(night(), range(3), frames(word))
    assert fair
    fair = prepares(night(), range(3), frames(word, (0, 1)))
    assert not fair
    fair = prepares(night(), range(3), frames(word, (0, 1, 1)))
    assert not fair


def test_nobody_goes_without_a_reason_but_by_the_operators_word() -> None:
    """Catches a roster that nothing explains, and an operator who is not obeyed."""
    fair = prepares(night(), range(3))
    assert not fair
    fair = prepares(night(), range(3), asked=True)
    assert fair
    holder = night()
    holder.attendance.stakes.ledger().stakes.lose(ALL[3].stake)
    fair = prepares(holder, range(3))
    assert fair, "its stake is spent"


def test_another_nodes_plan_is_taken_if_it_follows_from_what_it_shows() -> None:
    """F-17: catches a coordinator that chooses the holders of the next epoch."""
    holder = night(4)
    object.__setattr__(holder.node.ctx.settings, "seats", 5)
    good = holder.plans.nightly(FIRST, CUTOFF, frames(heard(4)))
    assert good.holders == ids_of(range(5))
    own = holder.plans.nightly(FIRST, CUTOFF, ())

    def judged(plan: Plan) -> Plan | None:
        return holder.plans.judged(FIRST, plan.document(bytes(32)), own)

    assert judged(good) == good
    swapped = Plan(1, FIRST.roster, good.members, 4, 1, (), CUTOFF, frames(heard(4), (0, 1)))
    assert judged(swapped) == own, "two statements bring nobody in"
    for cutoff in ((108, bytes(32)), (95, bytes([95]) * 32), (199, bytes(32))):
        other = Plan(1, FIRST.roster, good.members, 4, 1, (), cutoff, good.words)
        assert judged(other) is None, "a block of another chain, or an old one"
    assert holder.plans.judged(FIRST, b"rubbish", own) == own
    assert holder.plans.judged(FIRST, own.document(bytes(32)), good) is None, "it hides a change"
