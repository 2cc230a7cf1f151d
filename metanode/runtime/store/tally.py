"""How far a store has come: the number of its last write, and a sum over all that it holds.

The sum does not depend on the order in which records came, so it can be taken anew from what a file
holds: a row that was changed, lost or brought back shows, and an imported history can be compared
with what a node has written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import cbor2
from attrs import define, frozen

from metanode.errors import Malformed

SUM_BYTES = 32
_MODULUS = 1 << (8 * SUM_BYTES)


@frozen
class Head:
    """Where a store stands after its ``written``-th write: ``records`` of them, and their sum."""

    written: int = 0
    records: int = 0
    total: int = 0

    def plain(self) -> list[int | bytes]:
        """Return it as it is stored."""
        return [self.written, self.records, self.total.to_bytes(SUM_BYTES, "big")]

    @classmethod
    def of(cls, plain: object) -> Head:
        """Read what :meth:`plain` gave; Malformed for anything else."""
        if not isinstance(plain, list) or [type(part) for part in plain] != [int, int, bytes]:
            raise Malformed("no head of a store")
        return cls(plain[0], plain[1], int.from_bytes(plain[2], "big"))

    def holds_same(self, other: Head) -> bool:
        """Return whether the same records are behind both, however many writes it took."""
        return (self.records, self.total) == (other.records, other.total)


@define
class Tally:
    """A head in the making: what is added to a store and taken from it."""

    records: int = 0
    total: int = 0

    @classmethod
    def of(cls, head: Head) -> Tally:
        """Begin where a store stands."""
        return cls(head.records, head.total)

    def add(self, *parts: object) -> None:
        """Count a record in, by the table's name and the row."""
        self.records += 1
        self.total = (self.total + _value(parts)) % _MODULUS

    def remove(self, *parts: object) -> None:
        """Count a record out that was counted in before."""
        self.records -= 1
        self.total = (self.total - _value(parts)) % _MODULUS

    def head(self, written: int) -> Head:
        """Return the head of a store that holds this after so many writes."""
        return Head(written, self.records, self.total)


def tallied(rows: Iterable[tuple[object, ...]]) -> Tally:
    """Return the tally of rows, each of them with its table's name in front."""
    tally = Tally()
    for row in rows:
        tally.add(*row)
    return tally


def _value(parts: tuple[object, ...]) -> int:
    return int.from_bytes(hashlib.sha256(cbor2.dumps(list(parts), canonical=True)).digest(), "big")
