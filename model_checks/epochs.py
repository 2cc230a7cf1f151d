"""N, T and F in a run: each key epoch has its own holders, so every line counts by its own numbers.

Whose numbers a line counts by:

* a vote, a lock or a release: those of the epoch whose share it found in force (``works``);
* the fence, and the word that all is handed over: those of the epoch that would follow;
* a lock that is taken over: those of an epoch in which that attempt was signed, if a trace tells;
* what is done without an epoch, such as key generation: those of the others who did it in the same
  attempt for the same digest.

Within each of these the numbers must be the same at every node. They, and those of any other line,
must keep SAFE-SIGN 1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from attrs import define, field, frozen

from model_checks.trace_log import Line
from spec.language.interpreter import Value
from spec.parameters import quorum_fault, threshold
from spec.trace_format import show

Scope = tuple[Value, ...]
"""("epoch", h), or ("attempt", e, a, d) for what is done without an epoch."""

EPOCH, ATTEMPT = "epoch", "attempt"
_OF_THE_NEXT = ("Fence", "HandOver")


@frozen
class Settings:
    """The numbers that the network was given; None: what its traces say, else those of the spec."""

    threshold: int | None = None
    faulty: int | None = None


@frozen
class Numbers:
    """N, T and F, as a formula asks for them."""

    holders: int
    threshold: int
    faulty: int

    def constant(self, name: str) -> int:
        """Return N, T or F."""
        return {"N": self.holders, "T": self.threshold, "F": self.faulty}[name]


@define
class Epochs:
    """The numbers that the lines have named so far, and in which epochs each node took part."""

    settings: Settings
    traced: int
    """How many nodes left a trace: N, where no line names it."""
    named: dict[Scope, dict[str, tuple[int, str]]] = field(factory=lambda: defaultdict(dict))
    """By name, the number and the place where it was named first."""
    parts: dict[tuple[Value, Value], dict[Value, set[Value]]] = field(
        factory=lambda: defaultdict(lambda: defaultdict(set))
    )
    """Of an attempt of an event: by node, the epochs with whose shares it took part."""

    def agree(self, line: Line, own: Value) -> None:
        """Note what a line of a node says; refuse it if its numbers are others, or unsafe."""
        if line.rule is None:
            return
        about = individuals(line)
        part = (about.get("Event"), about.get("Attempt"))
        worked = _share_in_force(line, own)
        if worked is not None and None not in part:
            self.parts[part][own].add(worked)
        wanted, said = self.settings.threshold, line.constants.get("T")
        if wanted is not None and said not in (None, wanted):
            raise line.refuse(f"T is {said}, but {wanted} by the command line")
        scopes = self._scopes(line, own, about)
        faults = [self._difference(scope, line.constants) for scope in scopes]
        if faults and all(faults):
            raise line.refuse(str(faults[0]))
        if len(scopes) == 1:
            for name, value in line.constants.items():
                self.named[scopes[0]].setdefault(name, (value, line.where))
        self._must_be_safe(line, in_epoch=bool(scopes) and scopes[0][0] == EPOCH)

    def _scopes(self, line: Line, own: Value, about: Mapping[str, Value]) -> list[Scope]:
        """Return by whose numbers a line may count: one of these; none stands for anybody's."""
        if line.ran.table == "regroup":
            if line.ran.event in _OF_THE_NEXT:
                return [(EPOCH, line.parameters["k"])]
            parts = self.parts.get((about.get("Event"), about.get("Attempt")), {})
            return sorted({(EPOCH, h) for epochs in parts.values() for h in epochs}, key=str)
        if not {"Event", "Attempt", "Digest"} <= about.keys():
            return []
        mine = self.parts.get((about["Event"], about["Attempt"]), {}).get(own)
        if mine:
            worked = _share_in_force(line, own)
            return [(EPOCH, h) for h in sorted(mine, key=str) if worked in (None, h)]
        return [(ATTEMPT, about["Event"], about["Attempt"], about["Digest"])]

    def _difference(self, scope: Scope, said: Mapping[str, int]) -> str | None:
        for name, value in said.items():
            first, where = self.named.get(scope, {}).get(name, (value, ""))
            if value != first:
                inside = f" in epoch {show(scope[1])}" if scope[0] == EPOCH else ""
                return f"{name} is {value}, but {first}{inside} by {where}"
        return None

    def _must_be_safe(self, line: Line, *, in_epoch: bool) -> None:
        if not {"N", "T"} <= line.constants.keys():
            return
        holders, shares = line.constants["N"], line.constants["T"]
        faulty = self.settings.faulty or 0
        if not in_epoch:  # where all take part, one who is silent does stop them: no signing waits
            faulty = min(faulty, max(0, holders - shares))
        fault = quorum_fault(holders, shares, faulty)
        if fault is not None:
            raise line.refuse(fault)

    def epochs_of(self, event: Value, attempt: Value) -> list[Value]:
        """Return the epochs in which an attempt was signed, and None for those who say of none."""
        parts = self.parts.get((event, attempt), {})
        return [None, *sorted({h for epochs in parts.values() for h in epochs}, key=str)]

    def took_part(self, node: Value, event: Value, attempt: Value, epoch: Value) -> bool:
        """Return whether a node took part with the shares of this epoch; of none, if it is None."""
        mine = self.parts.get((event, attempt), {}).get(node)
        return epoch in mine if mine else epoch is None

    def numbers(self, scope: Scope) -> Numbers:
        """Return the numbers of a scope: those that it named, else those that the spec has."""
        named = {name: value for name, (value, _) in self.named.get(scope, {}).items()}
        return self._with_defaults(named.get("N"), named.get("T"))

    def least(self) -> Numbers:
        """Return numbers with the least T that any line named.

        For what is asked of a key, whose first epoch a trace need not name: no T is smaller, so
        nothing that was legal is refused by it.
        """
        shares = [named["T"][0] for named in self.named.values() if "T" in named]
        return self._with_defaults(None, min(shares, default=None))

    def _with_defaults(self, holders: int | None, shares: int | None) -> Numbers:
        n = self.traced if holders is None else holders
        t = self.settings.threshold
        if t is None:
            t = threshold(n) if shares is None else shares
        largest = max(0, min(2 * t - n - 1, n - t))
        return Numbers(n, t, largest if self.settings.faulty is None else self.settings.faulty)


def individuals(line: Line) -> dict[str, Value]:
    """Return the first parameter of each sort that a transition has."""
    found: dict[str, Value] = {}
    for name, sort in line.ran.parameters.items():
        found.setdefault(sort, line.parameters[name])
    return found


def _share_in_force(line: Line, own: Value) -> Value:
    """Return the epoch whose share a vote, a lock or a release has found in force, or None."""
    if line.ran.table == "regroup":
        return None
    working = (place[1] for place, value in line.reads.items()
               if place[0] == "holding" and value == "active")
    return next((epoch for node, epoch in working if node == own), None)
