"""Exact one-word codes of states whose peers have few different records.

A long state does not fit in a word, but few of all possible records are ever met: the signing
network's record of 17 bits has some 150 values. They are numbered as they are met, and a state is
the numbers of its peers' records side by side, with the bits that belong to no peer above them. So
states are told apart by one word, without fingerprints. Small numbers are also quick to sort, which
is all that the symmetry of peers asks for; other sorts rename records by a table.

Where the numbers run out, :class:`TooManyRecords` is raised: the states are then used as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np
from attrs import define, evolve, field, frozen
from numpy.typing import NDArray

from model_checks.engines.packed import WORD_BITS, Layout, Words, Write
from model_checks.engines.symmetry import Canonical, Relabelling, comparators

MAX_RECORD_BITS = 24
"""Longer records are not numbered: there is a table of all values that a record might have."""
NUMBER_BITS = range(4, 17)
"""How many bits a number may have; with fewer, hardly any model would do."""

Numbers = NDArray[np.uint16]


class TooManyRecords(Exception):
    """There are more different records than numbers for them."""


@frozen
class Rest:
    """The bits of a word from ``low`` on, which belong to no record, and their place in a code."""

    word: int
    low: int
    width: int
    place: int


@define
class Codes:
    """Turns states into codes and back; the code of a state is that of its orbit."""

    layout: Layout
    sort_records: bool
    relabellings: tuple[Relabelling, ...]
    width: int
    """Bits of a number."""
    rests: tuple[Rest, ...]
    numbers: Numbers
    """The number of each record; 0: not met yet."""
    records: NDArray[np.uint64]
    """The record of each number."""
    renamed: list[Numbers]
    """For each relabelling, the number of each number's record after it."""
    met: int = field(default=0)
    _written: dict[tuple[int, int], Numbers] = field(factory=dict)
    """For each write, the number of each number's record after it; 0: not met yet."""

    @classmethod
    def of(cls, layout: Layout, canonical: Canonical | None) -> Self | None:
        """Return codes for states of this layout, or None where they would not do."""
        count, bits = len(layout.records), layout.record_bits
        rests, place = _rests(layout)
        width = min((WORD_BITS - place) // count, NUMBER_BITS[-1]) if count else 0
        if width not in NUMBER_BITS or bits > MAX_RECORD_BITS:
            return None
        relabellings = canonical.relabellings if canonical else ()
        return cls(
            layout,
            canonical is not None and canonical.sort_records,
            relabellings,
            width,
            tuple(evolve(rest, place=rest.place + count * width) for rest in rests),
            np.zeros(1 << bits, np.uint16),
            np.zeros(1 << width, np.uint64),
            [np.zeros(1 << width, np.uint16) for _ in relabellings],
        )

    def encode(self, states: Words) -> Words:
        """Return the codes, of shape (1, states); raises :class:`TooManyRecords`."""
        return self.codes(self.read(states), states if self.rests else None)

    def read(self, states: Words) -> Numbers:
        """Return the number of each record of each state."""
        numbers = np.empty((len(self.layout.records), states.shape[1]), np.uint16)
        self.read_again(numbers, states, range(len(numbers)))
        return numbers

    def read_again(self, numbers: Numbers, states: Words, records: Iterable[int]) -> None:
        """Correct the numbers of records that were written."""
        mask = np.uint64((1 << self.layout.record_bits) - 1)
        for place in records:
            record = self.layout.records[place]
            column = (states[record.word] >> np.uint64(record.shift)) & mask
            numbers[place] = self._numbered(_index(column))

    def _numbered(self, records: NDArray[np.int64]) -> Numbers:
        found = self.numbers.take(records)
        if not found.all():
            self._meet(np.unique(records[found == 0]).tolist())
            found = self.numbers.take(records)
        return found

    def after(self, numbers: Numbers, write: Write) -> None:
        """Let one record of each state be written."""
        table = self._written.get((write.keep, write.value))
        if table is None:
            table = self._written[write.keep, write.value] = np.zeros_like(self.records, np.uint16)
        old = numbers[write.record]
        new = table.take(old)
        if not new.all():
            unknown = np.unique(old[new == 0])
            records = (self.records[unknown] & np.uint64(write.keep)) | np.uint64(write.value)
            table[unknown] = self._numbered(_index(records))
            new = table.take(old)
        numbers[write.record] = new

    def codes(self, numbers: Numbers, states: Words | None = None) -> Words:
        """Return the codes of states whose records have these numbers.

        Without ``rests``, the numbers are all there is to know.
        """
        best = self._code(numbers)
        if states is not None:
            best |= self._rest(states)
        for relabelling, table in zip(self.relabellings, self.renamed, strict=True):
            other = self._code(table.take(numbers))
            if states is not None:
                other |= self._rest(relabelling(states))
            np.minimum(best, other, out=best)
        return best.reshape(1, -1)

    def decode(self, codes: Words) -> Words:
        """Return the states that stand for their orbits."""
        states = np.zeros((self.layout.words, codes.shape[1]), np.uint64)
        mask = np.uint64((1 << self.width) - 1)
        for place, record in enumerate(self.layout.records):
            numbers = (codes[0] >> np.uint64(place * self.width)) & mask
            states[record.word] |= self.records.take(_index(numbers)) << np.uint64(record.shift)
        for rest in self.rests:
            bits = (codes[0] >> np.uint64(rest.place)) & np.uint64((1 << rest.width) - 1)
            states[rest.word] |= bits << np.uint64(rest.low)
        return states

    def _meet(self, records: Sequence[int]) -> None:
        """Number records, and what they become by relabelling."""
        orbits = {*records}
        for relabelling in self.relabellings:
            orbits.update(self._renamed(relabelling, records))
        new = sorted(record for record in orbits if not self.numbers[record])
        first, self.met = self.met + 1, self.met + len(new)
        if self.met >= len(self.records):
            raise TooManyRecords(f"more than {len(self.records) - 1} different records")
        self.numbers[new] = range(first, self.met + 1)
        self.records[first : self.met + 1] = new
        for relabelling, table in zip(self.relabellings, self.renamed, strict=True):
            table[first : self.met + 1] = self.numbers[self._renamed(relabelling, new)]

    def _renamed(self, relabelling: Relabelling, records: Sequence[int]) -> list[int]:
        """Return what records become: all peers' records have one form, so the first one tells."""
        place = self.layout.records[0]
        states = np.zeros((self.layout.words, len(records)), np.uint64)
        states[place.word] = np.array(records, np.uint64) << np.uint64(place.shift)
        after = relabelling(states)[place.word] >> np.uint64(place.shift)
        return list((after & np.uint64((1 << self.layout.record_bits) - 1)).tolist())

    def _code(self, numbers: Numbers) -> NDArray[np.uint64]:
        columns = list(numbers)
        if self.sort_records:
            for low, high in comparators(len(columns)):
                columns[low], columns[high] = (
                    np.minimum(columns[low], columns[high]), np.maximum(columns[low], columns[high])
                )
        code: NDArray[np.uint64] = columns[0].astype(np.uint64)
        for place, each in enumerate(columns[1:], start=1):
            column = each.astype(np.uint64)
            column <<= np.uint64(place * self.width)
            code |= column
        return code

    def _rest(self, states: Words) -> NDArray[np.uint64]:
        code = np.zeros(states.shape[1], np.uint64)
        for rest in self.rests:
            code |= (states[rest.word] >> np.uint64(rest.low)) << np.uint64(rest.place)
        return code


def _rests(layout: Layout) -> tuple[list[Rest], int]:
    """Return where the bits of no record are, which stand above the records of each word."""
    found, place = [], 0
    for word in range(layout.words):
        low = max((r.shift + r.width for r in layout.records if r.word == word), default=0)
        high = max((p.shift + p.width for p in layout.places if p.word == word), default=0)
        if high > low:
            found.append(Rest(word, low, high - low, place))
            place += high - low
    return found, place


def _index(column: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return numbers below 2**63 as indices, without copying them."""
    return column.view(np.int64)
