"""One state for each orbit: individuals of a sort are interchangeable.

Peers: the record of a peer is one number, so sorting the records yields the same state for every
order of the peers. That is exact only where a peer's slots are all that changes with the order: no
cell is indexed by two peers, and none holds a peer. Anything else is refused.

Other sorts, such as digests, may be held by cells: the least of the states under all permutations
of the sort is taken, each with its records sorted. It is exact as well, because permutations of
different sorts commute. No formula can tell individuals apart: the language has no names for them,
and ordered sorts are refused.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from attrs import frozen

from model_checks.engines.ground import Ground
from model_checks.engines.packed import WORD_BITS, Layout, Place, Words
from spec.language.declarations import Opt, SpecError

MAX_PERMUTATIONS = 24


class SymmetryRefused(SpecError):
    """The system treats the individuals of a sort unequally, or in a way that has no exact form."""


@frozen
class Relabelling:
    """One permutation of individuals on packed states.

    ``moves`` are (from word, to word, shift to the left, mask of the bits in their old place);
    ``tables`` are (from, to, new value of each old one) for slots that hold an individual.
    """

    moves: tuple[tuple[int, int, int, int], ...]
    tables: tuple[tuple[Place, Place, tuple[int, ...]], ...]

    def __call__(self, states: Words) -> Words:
        """Return the states with the individuals renamed."""
        result = np.zeros_like(states)
        for source, target, shift, mask in self.moves:
            bits = states[source] & np.uint64(mask)
            result[target] |= bits << np.uint64(shift) if shift >= 0 else bits >> np.uint64(-shift)
        for old, new, table in self.tables:
            values = (states[old.word] >> np.uint64(old.shift)) & np.uint64((1 << old.width) - 1)
            result[new.word] |= np.array(table, np.uint64)[values] << np.uint64(new.shift)
        return result


@frozen
class Canonical:
    """Maps each state to the one that stands for its orbit."""

    layout: Layout
    sort_records: bool
    relabellings: tuple[Relabelling, ...]

    def __call__(self, states: Words) -> Words:
        """Return the canonical states."""
        best = self._sorted(states)
        for relabelling in self.relabellings:
            best = _least(best, self._sorted(relabelling(states)))
        return best

    def _sorted(self, states: Words) -> Words:
        if not self.sort_records:
            return states
        layout = self.layout
        mask = np.uint64((1 << layout.record_bits) - 1)
        columns = [(states[r.word] >> np.uint64(r.shift)) & mask for r in layout.records]
        for low, high in comparators(len(columns)):
            columns[low], columns[high] = (
                np.minimum(columns[low], columns[high]), np.maximum(columns[low], columns[high])
            )
        result = states.copy()
        for word in {record.word for record in layout.records}:
            bits = sum(record.mask for record in layout.records if record.word == word)
            result[word] &= np.uint64(((1 << WORD_BITS) - 1) & ~bits)
        for record, column in zip(layout.records, columns, strict=True):
            result[record.word] |= column << np.uint64(record.shift)
        return result


@cache
def comparators(count: int) -> tuple[tuple[int, int], ...]:
    """Return the comparators of Batcher's odd-even merge sort for ``count`` columns."""
    pairs = []
    step = 1
    while step < count:
        distance = step
        while distance >= 1:
            for low in range(distance % step, count - distance, 2 * distance):
                for place in range(low, min(low + distance, count - distance)):
                    if place // (2 * step) == (place + distance) // (2 * step):
                        pairs.append((place, place + distance))
            distance //= 2
        step *= 2
    return tuple(pairs)


def canonical(model: Ground, layout: Layout, sorts: Sequence[str]) -> Canonical:
    """Return the reduction by the symmetry of ``sorts``; raises :class:`SymmetryRefused`."""
    declared = model.instance.system.names.sorts
    for sort in sorts:
        if sort not in declared:
            raise SymmetryRefused(f"there is no sort {sort}")
        if declared[sort].ordered:
            raise SymmetryRefused(f"{sort} is ordered: its individuals are not interchangeable")
    by_records = layout.record_sort in sorts
    if by_records:
        _check_records(model, layout)
    others = [sort for sort in sorts if sort != layout.record_sort]
    count = math.prod(math.factorial(model.instance.sizes[sort]) for sort in others)
    if count > MAX_PERMUTATIONS:
        raise SymmetryRefused(
            f"{count} permutations of {', '.join(others)}; at most {MAX_PERMUTATIONS} are tried"
        )
    permutations = itertools.product(
        *(itertools.permutations(model.instance.individuals(sort)) for sort in others)
    )
    next(permutations)  # the first one changes nothing
    relabellings = tuple(
        _relabelling(model, layout, dict(zip(others, chosen, strict=True)))
        for chosen in permutations
    )
    return Canonical(layout, by_records, relabellings)


def _check_records(model: Ground, layout: Layout) -> None:
    sort = layout.record_sort
    for cell in model.instance.system.cells.values():
        if cell.index.count(sort) > 1:
            raise SymmetryRefused(
                f"cell {cell.name} is indexed by two of {sort}: sorting records is not exact"
            )
        if isinstance(cell.type, Opt) and cell.type.sort == sort:
            raise SymmetryRefused(f"cell {cell.name} holds a {sort}: sorting records is not exact")
    if len(layout.records) != model.instance.sizes.get(sort, 0):
        raise SymmetryRefused(
            f"the record of a {sort} has {layout.record_bits} bits, {WORD_BITS} can be sorted"
        )


def _relabelling(model: Ground, layout: Layout, renamed: dict[str, tuple[int, ...]]) -> Relabelling:
    cells = model.instance.system.cells
    bits: dict[tuple[int, int, int], int] = {}
    tables: list[tuple[Place, Place, tuple[int, ...]]] = []
    for slot, (name, index) in enumerate(model.slots):
        cell = cells[name]
        target = tuple(
            renamed[sort][value] if sort in renamed and isinstance(value, int) else value
            for value, sort in zip(index, cell.index, strict=True)
        )
        old, new = layout.places[slot], layout.places[model.numbers[name, target]]
        table = tuple(range(1 << old.width))
        if isinstance(cell.type, Opt) and cell.type.sort in renamed:
            individuals = renamed[cell.type.sort]
            values = (0, *(individual + 1 for individual in individuals))
            table = (*values, *table[len(values) :])
        order = _bit_order(table, old.width)
        if order is None:
            tables.append((old, new, table))
            continue
        for bit, place in enumerate(order):
            move = (old.word, new.word, new.shift + place - old.shift - bit)
            bits[move] = bits.get(move, 0) | 1 << (old.shift + bit)
    return Relabelling(tuple((*move, mask) for move, mask in bits.items()), tuple(tables))


def _bit_order(table: tuple[int, ...], width: int) -> tuple[int, ...] | None:
    """Return where each bit goes, if renaming values only moves bits: cheaper than a table."""
    order = tuple(table[1 << bit].bit_length() - 1 for bit in range(width))
    for value, new in enumerate(table):
        moved = sum(1 << order[bit] for bit in range(width) if value >> bit & 1)
        if moved != new:
            return None
    return order


def _least(first: Words, second: Words) -> Words:
    """Return the smaller of two states, column by column, the first word counting most."""
    if len(first) == 1:
        return np.minimum(first, second)
    smaller = np.zeros(first.shape[1], np.bool_)
    same = np.ones(first.shape[1], np.bool_)
    for one, other in zip(first, second, strict=True):
        smaller |= same & (other < one)
        same &= one == other
    return np.where(smaller, second, first)
