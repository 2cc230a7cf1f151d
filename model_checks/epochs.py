"""N, T and F in a run: each key epoch has its own holders, so a line says whose numbers it means.

Numbers of an attempt, an epoch or a key (``T[e, a]``) must be the same at every node. Those of an
attempt are those of the epoch that signs it, by ``epoch_signs``, as this line has read it or this
node before. What a node counted of an attempt in which it took no part must be by the numbers of an
epoch that signs it elsewhere, if it came to a certificate: by which others it may have been told
before, by liars too. What is done without an epoch, such as key generation, has numbers of its own
for each digest. All numbers must keep SAFE-SIGN 1, also those of no scope, which are those of the
epoch in force.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from attrs import define, field, frozen

from model_checks.trace_log import Line, Scope
from spec.language.interpreter import Index, Value
from spec.parameters import quorum_fault, threshold
from spec.trace_format import show

EPOCH: tuple[str, ...] = ("Epoch",)
Named = dict[str, tuple[int, str]]
"""By name, the number and the place where it was named first."""


@frozen
class Settings:
    """The numbers that the network was given; None: what its traces say, else those of the spec."""

    threshold: int | None = None
    faulty: int | None = None


@define
class Epochs:
    """The numbers that the lines have named so far, and in which epochs each node took part."""

    settings: Settings
    traced: int
    """How many nodes left a trace: N, where no line names it."""
    named: dict[Scope, dict[Value, Named]] = field(factory=lambda: defaultdict(dict))
    """For each digest, or for None where an epoch or a key says it all."""
    parts: dict[Index, dict[Value, set[Value]]] = field(
        factory=lambda: defaultdict(lambda: defaultdict(set))
    )
    """Of an attempt of an event: by node, the epochs with whose shares it took part."""

    def agree(self, line: Line, own: Value) -> None:
        """Note what a line of a node says; refuse it if its numbers are others, or unsafe."""
        signs = [i for (cell, i), v in line.reads.items() if cell == "epoch_signs" and v is True]
        for epoch, *attempt in signs:
            self.parts[tuple(attempt)][own] |= {epoch}
        wanted = self.settings.threshold
        for scope, said in line.numbers.items():
            if wanted is not None and said.get("T", wanted) != wanted:
                raise line.refuse(f"T is {said['T']}, but {wanted} by the command line")
            now = {epoch for epoch, *attempt in signs if tuple(attempt) == scope[1]}
            meant = self._meant(line, own, scope, now)
            alone = meant == [scope] and "Attempt" in scope[0]
            self._must_be_same(line, meant, line.parameters.get("d") if alone else None, said)
            _must_be_safe(line, said, self.settings.faulty or 0, strict=not alone)

    def _meant(self, line: Line, own: Value, scope: Scope, now: set[Value]) -> list[Scope]:
        """Return whose numbers these may be; none of them if nothing tells."""
        parts = self.parts.get(scope[1], {})
        epochs = now or parts.get(own) or set()
        if parts and not epochs:
            votes = sum(
                cell == "vote" and value is True and index[1:3] == scope[1]
                for (cell, index), value in line.reads.items()
            )
            epochs = set().union(*parts.values())
            if votes < line.numbers[scope].get("T", votes + 1):
                return []
        return [(EPOCH, (h,)) for h in sorted(epochs, key=str)] or [scope] * bool(scope[1])

    def _must_be_same(
        self, line: Line, meant: list[Scope], digest: Value, said: Mapping[str, int]
    ) -> None:
        """Refuse numbers that are those of none of the scopes that can be meant."""
        faults = [_difference(scope, self.named[scope].get(digest, {}), said) for scope in meant]
        if faults and all(faults):
            raise line.refuse(str(faults[0]))
        if len(meant) == 1:
            for name, value in said.items():
                self.named[meant[0]].setdefault(digest, {}).setdefault(name, (value, line.where))

    def epochs_of(self, event: Value, attempt: Value) -> list[Value]:
        """Return the epochs in which an attempt was signed, and None for those who say of none."""
        return [None, *sorted(set().union(*self.parts.get((event, attempt), {}).values()), key=str)]

    def took_part(self, node: Value, event: Value, attempt: Value, epoch: Value) -> bool:
        """Return whether a node took part with the shares of this epoch; of none, if it is None."""
        mine = self.parts.get((event, attempt), {}).get(node)
        return epoch in mine if mine else epoch is None

    def numbers(self, scope: Scope) -> Mapping[str, int]:
        """Return the numbers of a scope, of the largest T that it named, else those of the spec."""
        named: Named = max(self.named[scope].values(), key=lambda each: each.get("T", (0, "")),
                           default={})
        n = named["N"][0] if "N" in named else self.traced
        t = self.settings.threshold or (named["T"][0] if "T" in named else threshold(n))
        f, largest = self.settings.faulty, max(0, min(2 * t - n - 1, n - t))
        return {"N": n, "T": t, "F": largest if f is None else f}


def _difference(scope: Scope, named: Named, said: Mapping[str, int]) -> str | None:
    for name, value in said.items():
        first, where = named.get(name, (value, ""))
        if value != first:
            inside = f" in epoch {show(scope[1][0])}" if scope[0] == EPOCH else ""
            return f"{name} is {value}, but {first}{inside} by {where}"
    return None


def _must_be_safe(line: Line, said: Mapping[str, int], faulty: int, *, strict: bool) -> None:
    if not {"N", "T"} <= said.keys():
        return
    holders, shares = said["N"], said["T"]
    if not strict:  # where all take part, one who is silent does stop them: no signing waits
        faulty = min(faulty, max(0, holders - shares))
    if fault := quorum_fault(holders, shares, faulty):
        raise line.refuse(fault)
