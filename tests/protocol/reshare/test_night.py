"""Who holds shares after a night: a pure function, asked about every reason to come and to go."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from metanode.custody.types import Outpoint
from metanode.protocol.context import outpoint_ref
from metanode.protocol.keys.epoch import KeyEpoch, Member
from metanode.protocol.reshare.night import Roster, Stakeholders, Words, next_roster
from spec import messages as m
from spec.night_messages import Attendance, Candidacy, Silence, Withheld
from spec.parameters import MAINNET, faults_tolerated, quorum_fault, threshold
from tests.protocol.reshare.support import FIRST, epoch
from tests.protocol.support import IDENTITIES, members_of

ALL = members_of(8)
BY_ID = {member.node_id: member for member in ALL}
HOLDERS = tuple(IDENTITIES[n].node_id for n in range(4))
CANDIDATES = tuple(IDENTITIES[n].node_id for n in range(4, 8))


def stakes(spent: Iterable[bytes] = (), heights: dict[bytes, int] | None = None) -> Stakeholders:
    """Return what the chain says: these stakes are spent, the others are good."""
    gone, heights = set(spent), heights or {}

    def candidate(node: bytes, stake: Outpoint) -> Member | None:
        member = BY_ID[node]
        good = node not in gone and stake == member.stake
        return evolve(member, height=heights.get(node, member.height)) if good else None

    return Stakeholders(lambda member: member.node_id not in gone, candidate)


def attendance(
    heard: Iterable[bytes] = (), silent: Iterable[bytes] = (), nights: int = 3
) -> Attendance:
    """Return a statement."""
    return Attendance(
        1, tuple(Candidacy(node, outpoint_ref(BY_ID[node].stake)) for node in heard),
        tuple(Silence(node, nights) for node in silent),
    )


def words(*said: object, by: Iterable[bytes] = HOLDERS[:3]) -> Words:
    """Return what these holders all say."""
    return Words.of([(holder, word) for holder in by for word in said], MAINNET.absent_nights)


def after(
    said: Words, chain: Stakeholders | None = None, seats: int = 4, key: KeyEpoch = FIRST
) -> Roster:
    """Return the roster of the next epoch."""
    return next_roster(key, said, chain or stakes(), seats, MAINNET)


def holders(roster: Roster) -> set[bytes]:
    """Return who holds shares."""
    return {member.node_id for member in roster.members}


def test_a_quiet_night_changes_nothing() -> None:
    """Catches a roster that differs although nothing happened."""
    same = Roster(FIRST.members, FIRST.threshold, FIRST.byzantine, ())
    assert after(Words()) == same
    assert after(words(attendance(CANDIDATES))) == same, "there is no free seat"


def test_a_free_seat_goes_to_the_oldest_stake() -> None:
    """Catches seats by order of arrival, by id alone, or more of them than one a night."""
    said = words(attendance(CANDIDATES))
    oldest = {CANDIDATES[2]: 1}
    roster = after(said, stakes(heights=oldest), seats=7)
    assert holders(roster) == {*HOLDERS, CANDIDATES[2]}
    assert (roster.threshold, roster.byzantine) == (4, 1)
    equal = after(said, stakes(heights=dict.fromkeys(CANDIDATES, 9)), seats=7)
    assert holders(equal) == {*HOLDERS, min(CANDIDATES)}


@pytest.mark.parametrize("by", [HOLDERS[:2], (*HOLDERS[:2], CANDIDATES[0])])
def test_fewer_than_t_holders_bring_nobody_in_and_prune_nobody(by: tuple[bytes, ...]) -> None:
    """F-44: catches a cartel of f that seats its own, and strangers whose word counts."""
    said = words(attendance(CANDIDATES, HOLDERS[3:]), Withheld(9, HOLDERS[3]), by=by)
    assert holders(after(said, seats=7)) == set(HOLDERS)


def test_a_stake_that_does_not_count_brings_nobody_in() -> None:
    """Catches a candidate whose stake is spent, or is another one than it pings with."""
    assert holders(after(words(attendance(CANDIDATES)), stakes(CANDIDATES), seats=7)) == {*HOLDERS}
    other = Candidacy(CANDIDATES[0], m.OutpointRef(bytes(32), 9))
    assert holders(after(words(Attendance(1, (other,), ())), seats=7)) == set(HOLDERS)


def test_who_spends_its_stake_is_replaced() -> None:
    """Catches a stake without teeth."""
    roster = after(words(attendance(CANDIDATES[:1])), stakes(HOLDERS[1:2]))
    assert holders(roster) == {HOLDERS[0], *HOLDERS[2:], CANDIDATES[0]}
    assert (roster.threshold, roster.byzantine) == (3, 1)


def test_without_a_candidate_who_spends_its_stake_goes_only_if_the_others_bear_it() -> None:
    """F-38: catches a holder without a stake whose leaving puts the key into a liar's hand."""
    assert holders(after(Words(), stakes(HOLDERS[1:2]))) == set(HOLDERS)
    five = epoch(1, range(5), follows=0)
    gone = IDENTITIES[2].node_id
    roster = next_roster(five, Words(), stakes([gone]), 5, MAINNET)
    assert gone not in holders(roster)
    assert (len(roster.members), roster.threshold, roster.byzantine) == (4, 3, 1)


def test_not_everybody_goes_in_one_night() -> None:
    """Catches a key that loses its holders faster than it gets new ones."""
    seven = epoch(1, range(7), follows=0, threshold=5, byzantine=1)
    spent = stakes(IDENTITIES[n].node_id for n in range(6))
    assert len(next_roster(seven, Words(), spent, 7, MAINNET).members) == 6
    assert len(after(words(attendance(CANDIDATES)), stakes(HOLDERS)).members) >= 3


def test_who_was_silent_for_nights_is_replaced_and_never_dropped() -> None:
    """F-44: catches a holder that one silent night costs its seat, and a seat that is lost."""
    said = words(attendance(CANDIDATES[:1], HOLDERS[3:]))
    assert holders(after(said)) == {*HOLDERS[:3], CANDIDATES[0]}
    assert holders(after(words(attendance((), HOLDERS[3:])))) == set(HOLDERS)
    short = words(attendance(CANDIDATES[:1], HOLDERS[3:], nights=2))
    assert holders(after(short)) == set(HOLDERS)


def test_who_spoils_dealings_is_out_and_its_stake_brings_it_in_no_more() -> None:
    """F-43: catches a liar that is back the next night."""
    roster = after(words(Withheld(9, HOLDERS[3])))
    assert (holders(roster), roster.threshold, roster.byzantine) == ({*HOLDERS[:3]}, 3, 0)
    assert roster.barred == (BY_ID[HOLDERS[3]].stake,)
    three = evolve(epoch(2, range(3)), barred=roster.barred)
    said = words(attendance([HOLDERS[3], CANDIDATES[0]]))
    assert holders(after(said, key=three)) == {*HOLDERS[:3], CANDIDATES[0]}
    assert after(said, key=three).barred == roster.barred


def test_a_candidate_that_spoilt_attempts_is_passed_over() -> None:
    """Catches a newcomer that never takes part, and is chosen again in each attempt."""
    said = words(attendance(CANDIDATES[:2]), m.Missed(9, min(CANDIDATES[:2])))
    assert holders(after(said, seats=5)) == {*HOLDERS, max(CANDIDATES[:2])}


_SETS = st.frozensets(st.sampled_from(HOLDERS), max_size=4)


@given(
    heard=st.dictionaries(st.sampled_from(CANDIDATES), _SETS),
    silent=st.dictionaries(st.sampled_from(HOLDERS), _SETS),
    withheld=st.dictionaries(st.sampled_from(HOLDERS), _SETS),
    missed=st.dictionaries(st.sampled_from((*HOLDERS, *CANDIDATES)), _SETS),
    spent=st.frozensets(st.sampled_from((*HOLDERS, *CANDIDATES))),
    seats=st.integers(2, 8),
)
def test_whatever_is_said_the_numbers_are_safe_and_the_night_is_slow(
    heard: dict[bytes, frozenset[bytes]], silent: dict[bytes, frozenset[bytes]],
    withheld: dict[bytes, frozenset[bytes]], missed: dict[bytes, frozenset[bytes]],
    spent: frozenset[bytes], seats: int,
) -> None:
    """Catches unsafe n, t, f, two seats for one node, more newcomers than one a night, and a
    holder that goes though no T holders and no chain say so.
    """
    said = Words({(n, BY_ID[n].stake): by for n, by in heard.items()}, silent, withheld, missed)
    roster = after(said, stakes(spent), seats)
    ids = [member.node_id for member in roster.members]
    n, t, f = len(ids), roster.threshold, roster.byzantine
    assert quorum_fault(n, t, f) is None
    assert ids == sorted(set(ids))
    assert len(set(ids) - set(HOLDERS)) <= 1
    for newcomer in set(ids) - set(HOLDERS):
        assert newcomer not in spent
        assert len(heard[newcomer]) >= 3
    for gone in set(HOLDERS) - set(ids):
        said_of = (silent, withheld, missed)
        assert gone in spent or any(len(each.get(gone, ())) >= 3 for each in said_of)
    assert (t, f) == (threshold(n), faults_tolerated(n))
    assert roster == after(said, stakes(spent), seats), "it is a function"
