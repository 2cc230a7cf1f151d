"""A second reader of the messages of threshold ECDSA, made from the page of the protocol alone.

Which fields a message has comes from the table in ``PROTOCOL.md``, how they are written from RFC
8949. Nothing of ``metanode.tss`` is imported: who understands the page understands the messages.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from tests.spec.vectors.support import DIRECTORY

PAGE = (DIRECTORY.parents[1] / "metanode" / "tss" / "PROTOCOL.md").read_text(encoding="utf-8")
ROW = re.compile(
    r"^\| (dealing|signing) (\d) \| (all|one) \| (\w+) \| (\S+) \| ([^|]+) \|$", re.MULTILINE
)
TABLE = ROW.findall(PAGE)


class Refused(Exception):
    """The octets are no such message."""


@frozen
class Hashed:
    """A value of which the file has the length and SHA-256 only."""

    octets: int
    sha256: str


Value = bytes | Hashed


def hashed(value: Value) -> Hashed:
    """Return what a file would have of a value."""
    if isinstance(value, Hashed):
        return value
    return Hashed(len(value), hashlib.sha256(value).hexdigest())


def head(major: int, count: int) -> bytes:
    """Return the shortest head of a CBOR item (RFC 8949, 3 and 4.2.1)."""
    if count < 24:
        return bytes((major << 5 | count,))
    length = next(size for size in (1, 2, 4) if count < 256**size)
    return bytes((major << 5 | {1: 24, 2: 25, 4: 26}[length],)) + count.to_bytes(length, "big")


def key(name: str) -> bytes:
    """Return the encoding of a field's name."""
    return head(3, len(name)) + name.encode("ascii")


@frozen
class Kind:
    """What a run is: ``coefficients`` a dealer commits to, 0 in signing; whether a key is new.

    A signing run is about one digest.
    """

    protocol: str
    coefficients: int = 0
    new_key: bool = False
    rounds: int = 4


def receives(sender: int, recipient: int) -> bool:
    """Return whether the sender receives the base transfers: the last sentence of the table."""
    lower_does = sender % 2 == recipient % 2
    return lower_does == (sender < recipient)


def length(size: str, numbers: Mapping[str, int]) -> int:
    """Return the length that the table gives: a sum of numbers, some of them times a letter."""
    terms = [term.partition("·") for term in size.split("+")]
    return sum(int(number) * (numbers[letter] if letter else 1) for number, _, letter in terms)


def fields(kind: Kind, number: int, sender: int, recipient: int | None) -> list[tuple[str, int]]:
    """Return name and length of what a party sends, in the order of the octets."""
    found = []
    side = "" if recipient is None else ("receiver" if receives(sender, recipient) else "sender")
    for protocol, row_round, to, name, size, senders in TABLE:
        here = (kind.protocol, str(number), "all" if recipient is None else "one")
        if (protocol, row_round, to) != here:
            continue
        who, _, condition = senders.partition(", ")
        if condition == "new key" and not kind.new_key:
            continue
        if who in ("everybody", "dealers", "holders", "signers") or who.split()[0] == side:
            found.append((name, length(size, {"t": kind.coefficients, "k": 1})))
    return sorted(found, key=lambda field: key(field[0]))


class _Octets:
    """What is left of a payload, piece by piece."""

    def __init__(self, pieces: Sequence[str | bytes | Mapping[str, Any]]) -> None:
        self._left: list[bytes | Hashed] = []
        for piece in pieces:
            if isinstance(piece, Mapping):
                self._left.append(Hashed(**piece))
            else:
                self._left.append(bytes.fromhex(piece) if isinstance(piece, str) else piece)

    def value(self, length: int) -> Value:
        first = self._left[0] if self._left else b""
        if isinstance(first, Hashed):
            if first.octets != length:
                raise Refused("a value of another length")
            return self._left.pop(0)
        if len(first) < length:
            raise Refused("too few octets")
        self._left[0] = first[length:]
        if not self._left[0]:
            del self._left[0]
        return first[:length]

    def expect(self, wanted: bytes) -> None:
        if self.value(len(wanted)) != wanted:
            raise Refused("other octets than the template has")

    def end(self) -> None:
        if self._left:
            raise Refused("more octets")


def read(
    kind: Kind, number: int, sender: int, recipient: int | None,
    pieces: Sequence[str | bytes | Mapping[str, Any]],
) -> dict[str, Value]:
    """Return the fields of a payload, given as octets or as the file has them."""
    template, octets = fields(kind, number, sender, recipient), _Octets(pieces)
    if not template:
        raise Refused("nothing is sent here")
    octets.expect(head(5, len(template)))
    found = {}
    for name, length in template:
        octets.expect(key(name) + head(2, length))
        found[name] = octets.value(length)
    octets.end()
    return found
