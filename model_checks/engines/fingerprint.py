"""Which states are new: states sorted by a 64-bit key, and the keys of all states seen.

A state that fits in one word, or whose code does, is its own key. Longer states are known by a
fingerprint, so that two of N states may be taken for one with a probability below N^2 / 2^65; the
search reports that bound, and two states of one batch with one fingerprint are an error, never a
silent loss.
"""

from __future__ import annotations

import numpy as np
from attrs import define, field
from numpy.typing import NDArray

from model_checks.engines.packed import Words

Keys = NDArray[np.uint64]

# splitmix64 (Steele, Lea, Flood 2014): its finaliser maps the 64-bit words one to one.
_STEP, _FIRST, _SECOND = (
    np.uint64(value) for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


class FingerprintCollision(Exception):
    """Two different states have one fingerprint: the search cannot tell them apart."""


def keys_of(states: Words) -> Keys:
    """Return the key of each state."""
    if len(states) == 1:
        single: Keys = states[0]
        return single
    key = np.zeros(states.shape[1], np.uint64)
    for word in states:
        key = _mixed((key ^ word) + _STEP)
    return key


def _mixed(word: Keys) -> Keys:
    word = (word ^ (word >> np.uint64(30))) * _FIRST
    word = (word ^ (word >> np.uint64(27))) * _SECOND
    return word ^ (word >> np.uint64(31))


def collision_bound(states: int, words: int) -> float:
    """Return an upper bound of the probability that two different states had one key."""
    return 0.0 if words == 1 else min(1.0, states**2 / 2.0**65)


def distinct(states: Words) -> tuple[Words, Keys]:
    """Return each state once, sorted by key, with the keys."""
    if len(states) == 1:
        # Sorting and comparing neighbours is several times faster than numpy's unique.
        ordered = np.sort(states[0])
        once = ordered.take(np.flatnonzero(_first_of_run(ordered)))
        return once.reshape(1, -1), once
    keys = keys_of(states)
    order = np.argsort(keys)
    keys, states = keys[order], states[:, order]
    first = _first_of_run(keys)
    repeated = np.flatnonzero(~first)
    if (states[:, repeated] != states[:, repeated - 1]).any():
        raise FingerprintCollision("two different states have the same fingerprint")
    return states[:, first], keys[first]


def _first_of_run(ordered: Keys) -> NDArray[np.bool_]:
    first = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return first


def member(keys: Keys, ordered: Keys) -> NDArray[np.bool_]:
    """Return which keys occur in ``ordered``."""
    if not len(ordered):
        return np.zeros(len(keys), np.bool_)
    place = np.searchsorted(ordered, keys)
    place[place == len(ordered)] = len(ordered) - 1
    return np.asarray(ordered[place] == keys)


class Recent:
    """A filter that drops most repetitions before they are sorted, which costs the most.

    A table remembers one key for each hash: what is equal to its entry was let through before. Of
    the rest nothing is lost, because an entry is only written for a state that is let through.
    """

    def __init__(self, bits: int = 19) -> None:
        self._shift = np.uint64(64 - bits)
        self._table = np.zeros(1 << bits, np.uint64)
        self._table[0] = 1  # key 0 belongs here, key 1 elsewhere: no key has an entry yet

    def new(self, states: Words) -> Words:
        """Return the states without those let through a short while ago."""
        keys = keys_of(states)
        places = ((keys * _STEP) >> self._shift).view(np.int64)
        unknown = np.flatnonzero(self._table.take(places) != keys)
        self._table[places.take(unknown)] = keys.take(unknown)
        return states.take(unknown, axis=1)


@define
class Seen:
    """The keys of all states seen, in sorted runs that are merged as they grow."""

    runs: list[Keys] = field(factory=list)

    def fresh(self, states: Words, keys: Keys) -> tuple[Words, Keys]:
        """Return the states that were not seen, given keys in order."""
        for run in self.runs:
            if not len(keys):
                break
            new = np.flatnonzero(~member(keys, run))
            states, keys = states.take(new, axis=1), keys.take(new)
        return states, keys

    def add(self, keys: Keys) -> None:
        """Remember keys that are in order and new."""
        self.runs.append(keys)
        # A run is at least twice as long as the next one: few runs to search, little to merge.
        while len(self.runs) > 1 and 2 * len(self.runs[-1]) >= len(self.runs[-2]):
            merged = np.concatenate(self.runs[-2:])
            merged.sort(kind="stable")  # timsort: one merge of two sorted runs
            self.runs[-2:] = [merged]
