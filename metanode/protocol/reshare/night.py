"""Who holds shares after a night: a pure function of what every voter can check.

It takes the epoch in force, statements of holders that an attempt shows, and the stakes at the
block that it names. Nobody's block list enters, nobody's word counts alone, and of what one night
changes there is a limit: a cartel pays in stake and in weeks (F-44).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import field, frozen

from metanode.custody.types import Outpoint
from metanode.protocol.context import outpoint_of
from metanode.protocol.keys.epoch import KeyEpoch, Member
from spec.messages import Missed
from spec.night_messages import Attendance, Withheld
from spec.parameters import Preset, faults_tolerated, quorum_fault, threshold

Candidate = tuple[bytes, Outpoint]
"""A peer without a share, and its stake."""


@frozen
class Words:
    """What holders of the epoch in force have signed about others: each counts once about each.

    ``heard`` by candidate, ``silent`` (those that may be replaced), ``withheld`` and ``missed`` by
    node: who says so.
    """

    heard: Mapping[Candidate, frozenset[bytes]] = field(factory=dict)
    silent: Mapping[bytes, frozenset[bytes]] = field(factory=dict)
    withheld: Mapping[bytes, frozenset[bytes]] = field(factory=dict)
    missed: Mapping[bytes, frozenset[bytes]] = field(factory=dict)

    @classmethod
    def of(cls, said: Iterable[tuple[bytes, Any]], absent_nights: int) -> Words:
        """Sort statements, each with the holder that signed it."""
        words: dict[str, dict[Any, set[bytes]]] = {
            "heard": {}, "silent": {}, "withheld": {}, "missed": {}
        }
        for holder, word in said:
            about: list[tuple[str, Any]] = []
            if isinstance(word, Attendance):
                about += [("heard", (each.node, outpoint_of(each.stake))) for each in word.heard]
                long = (each for each in word.silent if each.nights >= absent_nights)
                about += [("silent", each.node) for each in long]
            elif isinstance(word, Withheld):
                about.append(("withheld", word.accused))
            elif isinstance(word, Missed):
                about.append(("missed", word.absent))
            for kind, subject in about:
                words[kind].setdefault(subject, set()).add(holder)
        return cls(**{
            kind: {subject: frozenset(by) for subject, by in found.items()}
            for kind, found in words.items()
        })


@frozen
class Roster:
    """Who will hold shares, their t and f, and the stakes of those who were put out for good."""

    members: tuple[Member, ...]
    threshold: int
    byzantine: int
    barred: tuple[Outpoint, ...] = ()


@frozen
class Stakeholders:
    """What the chain says at the block of an attempt: pure functions.

    ``holds`` tells whether a member's stake is unspent, ``candidate`` gives a peer with a stake as
    the member that it would be, or None if the stake does not count.
    """

    holds: Callable[[Member], bool]
    candidate: Callable[[bytes, Outpoint], Member | None]


BARRED_KEPT = 64
"""So many stakes of nodes that were put out are remembered in the epoch."""


def next_roster(
    key: KeyEpoch, words: Words, stakes: Stakeholders, seats: int, preset: Preset
) -> Roster:
    """Return the holders that follow those of an epoch; the same for all who have the same.

    Those that spoilt dealings go, and their stakes do not come back. Holders whose stake is spent
    go, and those that were silent for nights are replaced, in both cases by a candidate; without
    one, only a holder without a stake goes, and only where the others tolerate as many liars as
    before (F-38). Free seats go to candidates, the oldest stake first.
    """
    seating = _Seating(key, words, stakes, preset)
    seating.put_out()
    for member in [m for m in seating.members if not stakes.holds(m)]:
        if not seating.replace(member):
            seating.let_go(member)
    for member in [m for m in seating.members if seating.is_absent(m)]:
        seating.replace(member)
    while len(seating.members) < seats and seating.take_in():
        pass
    return seating.roster()


class _Seating:
    """The seats of a night while they change hands."""

    def __init__(
        self, key: KeyEpoch, words: Words, stakes: Stakeholders, preset: Preset
    ) -> None:
        self._key, self._words, self._preset = key, words, preset
        self.members = list(key.members)
        self._barred = list(key.barred)
        self._newcomers = preset.seats_a_night
        self._leavers = preset.seats_a_night
        heard = sorted(self._said_by_quorum(words.heard), key=lambda c: (c[0], c[1].encode()))
        missed = set(self._said_by_quorum(words.missed))
        found = (
            stakes.candidate(node, stake)
            for node, stake in heard
            if node not in key.roster and node not in missed and stake not in key.barred
        )
        by_node = {member.node_id: member for member in found if member is not None}
        order = sorted(by_node.values(), key=lambda member: (member.height, member.node_id))
        self._waiting = order[::-1]  # the next one stands last

    def _said_by_quorum(self, said: Mapping[Any, frozenset[bytes]]) -> list[Any]:
        holders = set(self._key.roster)
        return [each for each, by in said.items() if len(by & holders) >= self._key.threshold]

    def put_out(self) -> None:
        """Take away the seats of those whom T holders saw withholding their part (F-43), and of
        those whom T holders missed, if the others bear all liars among them (F-38).
        """
        withheld = self._said_by_quorum(self._words.withheld)
        for member in [m for m in self.members if m.node_id in withheld]:
            if len(self.members) > self._preset.members_least:
                self.members.remove(member)
                self._barred.append(member.stake)
        missed = self._said_by_quorum(self._words.missed)
        rest = [m for m in self.members if m.node_id not in missed]
        if quorum_fault(len(rest), self._key.threshold, self._key.byzantine) is None:
            self.members = rest

    def is_absent(self, member: Member) -> bool:
        """Return whether T holders did not hear a member for several nights."""
        silent = self._words.silent.get(member.node_id, frozenset())
        return len(silent & set(self._key.roster)) >= self._key.threshold

    def replace(self, member: Member) -> bool:
        """Give a member's seat to the next candidate, if there is one and the night has room."""
        if not self._waiting or self._newcomers == 0:
            return False
        self.members.remove(member)
        return self.take_in()

    def let_go(self, member: Member) -> None:
        """Take a seat away without a replacement, if the others bear as many liars as before."""
        rest = len(self.members) - 1
        if self._leavers == 0 or rest < self._preset.members_least:
            return
        if faults_tolerated(rest) >= self._key.byzantine:
            self.members.remove(member)
            self._leavers -= 1

    def take_in(self) -> bool:
        """Give a free seat to the next candidate; return whether there was one."""
        if not self._waiting or self._newcomers == 0:
            return False
        self.members.append(self._waiting.pop())
        self._newcomers -= 1
        return True

    def roster(self) -> Roster:
        """Return the outcome: t and f stay while they fit the number of holders."""
        key, n = self._key, len(self.members)
        numbers = (threshold(n), faults_tolerated(n))
        usual = key.threshold == threshold(len(key.members))
        kept = not usual and quorum_fault(n, key.threshold, key.byzantine) is None
        if n == len(key.members) or kept:
            numbers = (key.threshold, key.byzantine)
        members = tuple(sorted(self.members, key=lambda member: member.node_id))
        return Roster(members, *numbers, tuple(self._barred[-BARRED_KEPT:]))
