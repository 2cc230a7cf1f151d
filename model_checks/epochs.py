"""N, T and F in a run: each key epoch has its own holders, so a line says whose numbers it means.

Numbers of an attempt, an epoch or a key (``T[e, a]``) must be the same at every node. Those of an
attempt are those of the epoch that signs it, by ``epoch_signs``: as this line has read it, or this
node before, or else another node. What is done without an epoch, such as key generation, has
numbers of its own. All numbers must keep SAFE-SIGN 1, also those of no scope, which are those of
the epoch in force.
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
    named: dict[Scope, dict[str, tuple[int, str]]] = field(factory=lambda: defaultdict(dict))
    """By name, the number and the place where it was named first."""
    parts: dict[Index, dict[Value, set[Value]]] = field(
        factory=lambda: defaultdict(lambda: defaultdict(set))
    )
    """Of an attempt of an event: by node, the epochs with whose shares it took part."""

    def agree(self, line: Line, own: Value) -> None:
        """Note what a line of a node says; refuse it if its numbers are others, or unsafe."""
        signs = [i for (cell, i), v in line.reads.items() if cell == "epoch_signs" and v is True]
        for epoch, *attempt in signs:
            self.parts[tuple(attempt)][own].add(epoch)
        wanted = self.settings.threshold
        for (sorts, index), said in line.numbers.items():
            if wanted is not None and said.get("T", wanted) != wanted:
                raise line.refuse(f"T is {said['T']}, but {wanted} by the command line")
            parts = self.parts.get(index, {})
            now = {epoch for epoch, *attempt in signs if tuple(attempt) == index}
            epochs = now or parts.get(own) or set().union(*parts.values())
            meant: list[Scope] = [(EPOCH, (h,)) for h in sorted(epochs, key=str)]
            meant = meant or [(sorts, index)]
            self._must_be_same(line, meant, said)
            self._must_be_safe(line, said, strict=meant[0][0] in (EPOCH, ()))

    def _must_be_same(self, line: Line, meant: list[Scope], said: Mapping[str, int]) -> None:
        """Refuse numbers that are those of none of the scopes that can be meant."""
        faults = [self._difference(scope, said) for scope in meant if scope[1]]
        if faults and all(faults):
            raise line.refuse(str(faults[0]))
        if len(faults) == 1:
            for name, value in said.items():
                self.named[meant[0]].setdefault(name, (value, line.where))

    def _difference(self, scope: Scope, said: Mapping[str, int]) -> str | None:
        for name, value in said.items():
            first, where = self.named.get(scope, {}).get(name, (value, ""))
            if value != first:
                inside = f" in epoch {show(scope[1][0])}" if scope[0] == EPOCH else ""
                return f"{name} is {value}, but {first}{inside} by {where}"
        return None

    def _must_be_safe(self, line: Line, said: Mapping[str, int], *, strict: bool) -> None:
        if not {"N", "T"} <= said.keys():
            return
        holders, shares = said["N"], said["T"]
        faulty = self.settings.faulty or 0
        if not strict:  # where all take part, one who is silent does stop them: no signing waits
            faulty = min(faulty, max(0, holders - shares))
        if fault := quorum_fault(holders, shares, faulty):
            raise line.refuse(fault)

    def epochs_of(self, event: Value, attempt: Value) -> list[Value]:
        """Return the epochs in which an attempt was signed, and None for those who say of none."""
        return [None, *sorted(set().union(*self.parts.get((event, attempt), {}).values()), key=str)]

    def took_part(self, node: Value, event: Value, attempt: Value, epoch: Value) -> bool:
        """Return whether a node took part with the shares of this epoch; of none, if it is None."""
        mine = self.parts.get((event, attempt), {}).get(node)
        return epoch in mine if mine else epoch is None

    def numbers(self, scope: Scope) -> Mapping[str, int]:
        """Return the numbers of a scope: those that it named, else those that the spec has."""
        named = {name: value for name, (value, _) in self.named.get(scope, {}).items()}
        n = named.get("N", self.traced)
        t = self.settings.threshold or named.get("T", threshold(n))
        largest = max(0, min(2 * t - n - 1, n - t))
        return {"N": n, "T": t, "F": largest if self.settings.faulty is None
                else self.settings.faulty}
