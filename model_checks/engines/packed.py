"""States packed into 64-bit words, and formulas compiled to operations on whole columns of them.

States are an array of shape (words, states). The slots of one peer stand side by side in a record,
so that ``symmetry.py`` can sort the records. No field straddles two words.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from model_checks.engines import ground
from model_checks.engines.ground import Formula, Ground, GroundAction, slot_and_value

WORD_BITS = 64
_ALL_ONES = (1 << WORD_BITS) - 1

Words = NDArray[np.uint64]
"""States, shape (words, states)."""
Mask = NDArray[np.bool_]
"""One truth value for each state."""
Predicate = Callable[[Words], Mask]
Values = Callable[[Words], Any]
"""Numbers, one for each state, or one for all."""

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal
}


@frozen
class Place:
    """Where a slot is: ``width`` bits of a word from bit ``shift`` on."""

    word: int
    shift: int
    width: int

    @property
    def mask(self) -> int:
        """The bits of the slot in its word."""
        return ((1 << self.width) - 1) << self.shift


@frozen
class Layout:
    """The places of all slots; ``records`` are those of each individual of the record sort."""

    places: tuple[Place, ...]
    words: int
    record_sort: str
    record_bits: int
    records: tuple[Place, ...]

    def record_of(self, slot: int) -> int | None:
        """Return the number of the record that a slot belongs to, if it belongs to one."""
        place = self.places[slot]
        for number, record in enumerate(self.records):
            if record.word == place.word and record.mask & place.mask:
                return number
        return None

    def pack(self, rows: list[list[int]]) -> Words:
        """Return states, given as numbers, as packed words."""
        packed = np.zeros((self.words, len(rows)), np.uint64)
        for column, row in enumerate(rows):
            words = [0] * self.words
            for place, value in zip(self.places, row, strict=True):
                words[place.word] |= value << place.shift
            packed[:, column] = words
        return packed

    def unpack(self, state: Words) -> list[int]:
        """Return one packed state, of shape (words,) or (words, 1), as numbers."""
        words = [int(word) for word in state.reshape(-1)]
        return [(words[p.word] & p.mask) >> p.shift for p in self.places]


def lay_out(model: Ground, record_sort: str = "Peer") -> Layout:
    """Return a layout with one record for each individual of a sort; other slots follow."""
    widths = [max(1, (len(values) - 1).bit_length()) for values in model.domains]
    cells = model.instance.system.cells
    members: dict[int, list[int]] = {}
    others: list[int] = []
    for number, (name, index) in enumerate(model.slots):
        owner = next(
            (i for i, s in zip(index, cells[name].index, strict=True) if s == record_sort), None
        )
        members.setdefault(owner, []).append(number) if isinstance(owner, int) else others.append(
            number
        )
    allocate = _Allocator()
    places: dict[int, Place] = {}
    records: list[Place] = []
    record_bits = 0
    for _, slots in sorted(members.items()):
        record_bits = sum(widths[slot] for slot in slots)
        if record_bits > WORD_BITS:  # too wide to be moved as one: its fields go where they fit
            others = [*slots, *others]
            continue
        record = allocate(record_bits)
        records.append(record)
        shift = record.shift
        for slot in slots:
            places[slot] = Place(record.word, shift, widths[slot])
            shift += widths[slot]
    for slot in others:
        places[slot] = allocate(widths[slot])
    ordered = tuple(places[slot] for slot in range(len(model.slots)))
    words = 1 + max((place.word for place in ordered), default=0)
    return Layout(ordered, words, record_sort, record_bits, tuple(records))


class _Allocator:
    """Hands out bits: the first word with room, else a new one."""

    def __init__(self) -> None:
        self.used: list[int] = []

    def __call__(self, width: int) -> Place:
        for word, used in enumerate(self.used):
            if used + width <= WORD_BITS:
                self.used[word] += width
                return Place(word, used, width)
        self.used.append(width)
        return Place(len(self.used) - 1, 0, width)


@frozen
class Write:
    """What becomes of a record: the bits that are kept, and those that are set."""

    record: int
    keep: int
    value: int


@frozen
class PackedAction:
    """A ground action on packed states."""

    ground: GroundAction
    enabled: Predicate
    changes: Predicate
    """Where the action changes the state; it may be said of too many states, never of too few."""
    apply: Callable[[Words], Words]
    """The states after the action, given states in which it is enabled."""
    records: tuple[int, ...]
    """Which records it writes."""
    write: Write | None
    """What it does to the one record that it writes, if that is all it does, with constants."""
    escapes: Mapping[str, Predicate]
    """By cell, where the step would leave its range; there it is not enabled."""


@frozen
class Compiler:
    """Turns ground formulas into functions of packed states.

    Actions share what their guards have in common: comparisons and disjunctions are computed once
    for each array of states. Their results are therefore never changed in place.
    """

    layout: Layout
    _shared: dict[Hashable, Predicate] = field(factory=dict)

    def action(self, action: GroundAction) -> PackedAction:
        """Return the compiled action."""
        keep = [_ALL_ONES] * self.layout.words
        constant = [0] * self.layout.words
        computed: list[tuple[Place, Values]] = []
        for slot, value in action.updates.items():
            place = self.layout.places[slot]
            keep[place.word] &= ~place.mask
            if isinstance(value, ground.Number):
                constant[place.word] |= value.value << place.shift
            else:
                computed.append((place, self.values(value)))
        kept = [np.uint64(word) for word in keep]
        fixed = [np.uint64(word) for word in constant]

        def apply(states: Words) -> Words:
            after = np.empty_like(states)
            for word, row in enumerate(states):
                np.bitwise_and(row, kept[word], out=after[word])
                if fixed[word]:
                    after[word] |= fixed[word]
            for place, values in computed:
                column = np.asarray(values(states)).astype(np.uint64)
                after[place.word] |= column << np.uint64(place.shift)
            return after

        wanted = self._differs(keep, constant)
        changes = wanted if not computed and wanted else _everywhere
        guard, records = self.predicate(action.guard), self._written(action)
        write = None if computed or not wanted else self._write(records, keep, constant)
        escapes = {cell: self.predicate(each) for cell, each in action.escapes.items()}
        return PackedAction(action, guard, changes, apply, records, write, escapes)

    def _written(self, action: GroundAction) -> tuple[int, ...]:
        records = {self.layout.record_of(slot) for slot in action.updates}
        return tuple(sorted(record for record in records if record is not None))

    def _write(
        self, records: tuple[int, ...], keep: list[int], constant: list[int]
    ) -> Write | None:
        """Return what constants in one word do to a record, if they touch nothing else."""
        if len(records) != 1:
            return None
        place = self.layout.records[records[0]]
        written = _ALL_ONES & ~keep[place.word]
        if not written or written & ~place.mask:
            return None
        kept = (keep[place.word] & place.mask) >> place.shift
        return Write(records[0], kept, constant[place.word] >> place.shift)

    def _differs(self, keep: list[int], constant: list[int]) -> Predicate | None:
        """Return where writing these constants changes a state, if they are all in one word."""
        written = [word for word, kept in enumerate(keep) if kept != _ALL_ONES]
        if len(written) != 1:
            return None
        word = written[0]
        return self._masked(word, _ALL_ONES & ~keep[word], constant[word], equal=False)

    def literal(self, formula: Formula) -> tuple[int, int, int] | None:
        """Return (word, mask, value) if the formula says that one slot has one value."""
        found = slot_and_value(formula)
        if found is None:
            return None
        place = self.layout.places[found[0]]
        return place.word, place.mask, found[1] << place.shift

    def _excluded(self, parts: tuple[Formula, ...]) -> tuple[int, int, int] | None:
        """Return the literal that must not hold, if all other values of one slot are allowed."""
        slots, values = set(), set()
        for part in parts:
            if not (isinstance(part, ground.Equality) and isinstance(part.left, ground.Slot)):
                return None
            slots.add(part.left)
            values.add(part.right)
        slot = slots.pop()
        missing = {ground.Number(value) for value in range(slot.size)} - values
        if slots or len(missing) != 1:
            return None
        return self.literal(ground.Equality(slot, missing.pop()))

    def predicate(self, formula: Formula) -> Predicate:
        """Return the function that tells in which states a formula holds."""
        literal = self.literal(formula)
        if literal is not None:
            return self._masked(*literal)
        match formula:
            case ground.Number(value):
                return lambda states: np.full(states.shape[1], bool(value))
            case ground.Negation(body):
                inner = self.predicate(body)
                return lambda states: ~inner(states)
            case ground.Conjunction(parts):
                return self._conjunction(parts)
            case ground.Disjunction(parts):
                excluded = self._excluded(parts)
                if excluded is not None:
                    return self._masked(*excluded, equal=False)
                return self._share(formula, _disjunction([self.predicate(part) for part in parts]))
            case ground.Conditional(test, then, otherwise):
                tests = [self.predicate(part) for part in (test, then, otherwise)]
                return lambda states: np.where(*(each(states) for each in tests))
            case ground.Equality(left, right):
                first, second = self.values(left), self.values(right)
                return lambda states: np.equal(first(states), second(states))
            case ground.Order(operator, left, right):
                comparison = _comparison(operator, self.values(left), self.values(right))
                return self._share(formula, comparison)
        raise TypeError(f"{type(formula).__name__} is not a truth value")

    def _masked(self, word: int, mask: int, value: int, *, equal: bool = True) -> Predicate:
        wanted_mask, wanted = np.uint64(mask), np.uint64(value)

        def holds(states: Words) -> Mask:
            return np.asarray((states[word] & wanted_mask) == wanted)

        def fails(states: Words) -> Mask:
            return np.asarray((states[word] & wanted_mask) != wanted)

        return self._share((word, mask, value, equal), holds if equal else fails)

    def _share(self, formula: Hashable, predicate: Predicate) -> Predicate:
        return self._shared.setdefault(formula, _Remembered(predicate))

    def _conjunction(self, parts: tuple[Formula, ...]) -> Predicate:
        merged: dict[int, tuple[int, int]] = {}
        rest: list[Predicate] = []
        for part in parts:
            literal = self.literal(part)
            if literal is None:
                rest.append(self.predicate(part))
                continue
            word, mask, value = literal
            old_mask, old_value = merged.get(word, (0, 0))
            merged[word] = (old_mask | mask, old_value | value)
        tests = [self._masked(word, mask, value) for word, (mask, value) in merged.items()] + rest

        def holds(states: Words) -> Mask:
            result = tests[0](states)
            for test in tests[1:]:
                if not np.count_nonzero(result):  # quicker than any()
                    break
                result = result & test(states)
            return result

        return holds

    def values(self, formula: Formula) -> Values:
        """Return the function that computes the number that a term stands for."""
        match formula:
            case ground.Number(value):
                return lambda states: value
            case ground.Slot(number, _):
                place = self.layout.places[number]
                shift, mask = np.uint64(place.shift), np.uint64((1 << place.width) - 1)
                return lambda states: (states[place.word] >> shift) & mask
            case ground.Conditional(test, then, otherwise):
                condition, first, second = (
                    self.predicate(test), self.values(then), self.values(otherwise)
                )
                if ground.extremes(formula)[0] < 0 or ground.Count in map(type, (then, otherwise)):
                    return lambda states: np.where(
                        condition(states), _signed(first(states)), _signed(second(states))
                    )
                return lambda states: np.where(condition(states), first(states), second(states))
            case ground.Count(parts, extra):
                return self._count(parts, extra)
            case ground.Sum(operator, left, right):
                one, other = self.values(left), self.values(right)
                sign = 1 if operator == "+" else -1
                return lambda states: _signed(one(states)) + sign * _signed(other(states))
        return self.predicate(formula)

    def _count(self, parts: tuple[Formula, ...], extra: int) -> Values:
        bits: dict[int, int] = {}
        rest: list[Predicate] = []
        for part in parts:
            literal = self.literal(part)
            single = literal is not None and literal[1].bit_count() == 1 and literal[2]
            if literal is not None and single and not bits.get(literal[0], 0) & literal[1]:
                bits[literal[0]] = bits.get(literal[0], 0) | literal[1]
            else:
                rest.append(self.predicate(part))

        def count(states: Words) -> Any:
            total = np.full(states.shape[1], extra, np.uint8)
            for word, mask in bits.items():
                total += np.bitwise_count(states[word] & np.uint64(mask))
            for holds in rest:
                total += holds(states).view(np.uint8)
            return total

        return count


class _Remembered:
    """Keeps the last result: the next action asks the same of the same states."""

    def __init__(self, predicate: Predicate) -> None:
        self._predicate = predicate
        self._states: Words | None = None
        self._result: Mask = np.zeros(0, np.bool_)

    def __call__(self, states: Words) -> Mask:
        if states is not self._states:
            self._states, self._result = states, self._predicate(states)
        return self._result


def _comparison(operator: str, left: Values, right: Values) -> Predicate:
    compare = _COMPARE[operator]
    return lambda states: np.asarray(compare(left(states), right(states)))


def _everywhere(states: Words) -> Mask:
    return np.ones(states.shape[1], np.bool_)


def _disjunction(tests: list[Predicate]) -> Predicate:
    def holds(states: Words) -> Mask:
        result = tests[0](states)
        for test in tests[1:]:
            result = result | test(states)
        return result

    return holds


def _signed(number: Any) -> Any:
    return number if isinstance(number, int) else np.asarray(number).astype(np.int64)
