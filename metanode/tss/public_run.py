"""The public side of a run: its slots and echoes, and the checks that need no secret.

A session runs these checks on what it receives. A stranger runs the same ones on what it is shown
(:mod:`metanode.tss.evidence`): whatever the others did, the messages that an honest party signed
pass all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

from attrs import field, frozen

from metanode.tss import oracle
from metanode.tss.abort import AbortKind, Slot
from metanode.tss.messages import Shape
from metanode.tss.oracle import Tag

Fields = Mapping[str, bytes]
"""The decoded payload of one message."""
Broadcasts = Mapping[tuple[int, int], bytes]
"""Payloads by (round, party)."""


@frozen
class Fault:
    """A public check that one party's messages fail.

    ``slots`` are the messages of that party that show it; ``seen`` is the last round whose
    broadcasts of all parties belong to the evidence, 0 for none; ``chain`` says whether the
    openings of the chain code do.
    """

    kind: AbortKind
    reason: str
    slots: tuple[Slot, ...]
    seen: int = 0
    chain: bool = False


@frozen
class Shown:
    """What is shown of a run to accuse one party: its messages by slot, and what binds them.

    Messages that are no broadcasts went to the party ``recipient``.
    """

    messages: Mapping[Slot, Fields] = field(repr=False)
    recipient: int
    broadcasts: Broadcasts = field(factory=dict, repr=False)
    chain_parts: Mapping[int, tuple[bytes, bytes]] = field(factory=dict, repr=False)


class PublicRun(ABC):
    """One run as anybody sees it. ``session_id`` addresses its messages and binds its public
    parameters.
    """

    def __init__(self, session_id: bytes, parties: Sequence[int], rounds: int) -> None:
        self.session_id = session_id
        self.parties = tuple(sorted(parties))
        self.rounds = rounds

    @abstractmethod
    def shape(self, number: int, sender: int, recipient: int | None) -> Shape | None:
        """Return what ``sender`` says in a round to one party, or to all; None is nothing."""

    @abstractmethod
    def faults(self, accused: int, shown: Shown) -> Iterator[Fault]:
        """Yield the faults that what is shown proves."""

    def decode(
        self, number: int, sender: int, recipient: int | None, payload: bytes
    ) -> dict[str, bytes] | Fault:
        """Return the fields of a payload, or why there are none."""
        slot = (number, recipient is None)
        if not 1 <= number <= self.rounds:
            return Fault(AbortKind.MALFORMED, "unknown round", (slot,))
        shape = self.shape(number, sender, recipient)
        if shape is None:
            return Fault(AbortKind.MALFORMED, "no such slot in this round", (slot,))
        values = shape.decode(payload)
        if values is None:
            return Fault(AbortKind.MALFORMED, f"round {number} payload", (slot,))
        return values

    def echo(self, last_round: int, broadcasts: Broadcasts) -> bytes | None:
        """Return the hash of every party's broadcasts of rounds 1..last_round; None if one is
        missing.
        """
        places = [
            (number, party) for number in range(1, last_round + 1) for party in self.parties
            if self.shape(number, party, None)
        ]
        if not all(place in broadcasts for place in places):
            return None
        seen = [broadcasts[place] for place in places]
        return oracle.digest(Tag.ECHO, self.session_id, oracle.index(last_round), *seen)
