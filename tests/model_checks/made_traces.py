"""Made-up traces of a key that is handed on: rows fired one by one, with the facts that they ask.

No node runs here: the interpreter does, on what the test wants a node to believe, true or not. So a
run can be made in which each line is legal and the whole is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from attrs import define, evolve, field, frozen

from model_checks.trace_log import Place, first_value
from spec.inputs import INPUTS, STEPS, position_after
from spec.language.interpreter import Change, Index, Value, first_false, outcome
from spec.parameters import refund_quorum
from spec.protocol import PROTOCOL
from spec.trace_format import reference, show

SLOT, LOCK_IN = 1, b"L" * 32
Record = dict[str, Any]
CALM: Mapping[str, Any] = {
    "kind": "payout", "members_valid": True, "digest_rebuilt": True, "is_member": True,
    "keygen_open": True, "keygen_certificate": True, "same_roster": True, "share_verified": True,
    "lock_in_valid": True, "share_checked": True, "asked_for": True, "locks_all_shown": True,
    "locks_taken": True,
}


def node_id(name: str) -> bytes:
    """Return the id of a node that has a letter for a name."""
    return name.encode() * 33


@frozen
class Quorum:
    """Holders with their numbers."""

    holders: tuple[bytes, ...]
    numbers: Mapping[str, int]


def quorum(names: str, t: int) -> Quorum:
    """Return holders, in order, with t and the f that it allows."""
    n, f = len(names), 2 * t - len(names) - 1
    return Quorum(tuple(map(node_id, names)), {"N": n, "T": t, "F": f, "R": refund_quorum(n, t, f)})


@define
class Mind:
    """What one node believes, as a view that notes what is read of it."""

    me: bytes
    values: dict[Place, Value] = field(factory=dict)
    signers: dict[Index, Quorum] = field(factory=dict)
    """Who signs an attempt of an event, as this node has it."""
    facts: Mapping[str, Any] = field(factory=dict)
    counts: Quorum = field(default=quorum("A", 1))
    about: Index = ()
    """The attempt that ``counts`` signs; every other one has its ``signers``."""
    scope: Index = ()
    reads: dict[str, str] = field(factory=dict)
    input: tuple[str, int, int, int] = ("", 0, 0, 0)
    """Kind, number, step and position in its list."""

    def read(self, cell: str, index: Index) -> Value:
        """Return a fact that was told, or what the node has in a cell."""
        value = self.values.get((cell, index), first_value(PROTOCOL, cell))
        if PROTOCOL.cells[cell].kept == "given":
            value = self.facts.get(cell, value)
            value = value.get(index, first_value(PROTOCOL, cell)) if isinstance(value, dict) \
                else value
        self.reads[reference(cell, index)] = show(value)
        return value

    def individuals(self, sort: str) -> Iterable[Value]:
        """Return the holders who are meant, else whomever a cell names."""
        if sort == "Peer":
            self.constant("N")
            return self.counts.holders
        named = (zip(PROTOCOL.cells[c].index, index, strict=True) for c, index in self.values)
        return sorted({part for pairs in named for s, part in pairs if s == sort}, key=str)

    def constant(self, name: str) -> int:
        """Return a number of those who are meant."""
        number = self.counts.numbers[name]
        self.reads[reference(name, self.scope) if self.scope else name] = str(number)
        return number

    def among(self, sorts: tuple[str, ...], index: Index) -> Mind | None:
        """Return the view of those whom the index names."""
        other = sorts == ("Event", "Attempt") and index != self.about
        counts = self.signers.get(index) if other else self.counts
        return None if counts is None else evolve(self, counts=counts, scope=index)

    def place(self, trigger: str, under: str | None) -> tuple[str, list[int]]:
        """Return input and turn for a row: the input at hand goes on, or another one begins."""
        kind, number, step, position = self.input
        if under is None or under != kind:
            kind = under or next(k for k, i in INPUTS.items() if trigger in sum(i.steps, ()))
            number, step, position = number + 1, 0, 0
        names = INPUTS[kind].names
        while (at := position_after(STEPS[names[step]].triggers, trigger, position)) is None:
            step, position = step + 1, 0
        self.input = (kind, number, step, at)
        return kind, [number, step, 1]


class Made:
    """A run that grows line by line; ``epochs`` are rosters and thresholds by number."""

    def __init__(self, epochs: Mapping[int, tuple[str, int]]) -> None:
        self.epochs = {number: quorum(*epoch) for number, epoch in epochs.items()}
        names = sorted({name for roster, _ in epochs.values() for name in roster})
        self.nodes = {name: Mind(node_id(name)) for name in names}
        self.traces: dict[str, list[Record]] = {
            name: [{"kind": "started", "at": 0.0}] for name in names
        }
        self.leads: dict[tuple[bytes, int, bytes, int], bytes] = {}
        self.now = 0.0

    def fire(
        self, name: str, trigger: str, counts: Quorum, /, under: str | None = None, **said: Any
    ) -> Record:
        """Run a row at a node, tell the others what it sent, and return the line.

        ``said`` are parameters, and facts that differ from those of a calm network.
        """
        mind, (table, event) = self.nodes[name], trigger.split(".")
        machine = PROTOCOL.machines[table]
        wanted = machine.signatures[event]
        values = {"p": mind.me, **{k: said[k] for k in wanted if k != "p"}}
        mind.facts = {**CALM, **{k: v for k, v in said.items() if k not in wanted}}
        mind.counts, mind.about = counts, (values.get("e"), values.get("a"))
        state = (machine.cell.name, tuple(values[each] for each in machine.subject))
        source = str(mind.values.get(state, machine.first))
        for rule in machine.rules_for(source, event):
            mind.reads.clear()
            if first_false(rule, mind, values) is None:
                break
        else:
            raise AssertionError(f"{name} does not run {trigger} in {source}: {mind.reads}")
        changes = [c for c in outcome(rule, mind, values) if c.kept != "ghost"]
        if rule.target != source:
            changes.insert(0, Change(state[0], machine.cell.kept, state[1], source, rule.target))
        for change in changes:
            for other in self.nodes.values() if change.kept == "network" else (mind,):
                other.values[change.cell, change.index] = change.after
        self.now += 0.01
        kind, turn = mind.place(trigger, under)
        line = {
            "kind": "transition", "at": round(self.now, 3), "table": table, "row": rule.number,
            "event": event, "from": source, "to": rule.target, "reads": dict(mind.reads),
            "parameters": {k: show(v) for k, v in values.items()}, "input": kind, "turn": turn,
            "writes": [reference(c.cell, c.index) for c in changes
                       if c.kept == "disk" and c.before != c.after],
            "sends": sorted({c.cell for c in changes if c.kept == "network"}),
        }
        self.traces[name].append(line)
        return line

    # --- what happens in a run ---

    def found(self, number: int = 1) -> None:
        """Make the key, lock it in, and put the shares of its first epoch in force."""
        holders = self.epochs[number]
        roster = [name for name in self.nodes if node_id(name) in holders.holders]
        for name in roster:
            self.fire(name, "peer.KeygenTick", holders)
            self.fire(name, "keygen.Start", holders, k=SLOT)
        for event in ("Store", "Certify"):
            for name in roster:
                self.fire(name, f"keygen.{event}", holders, k=SLOT)
        self.vote(roster, number, LOCK_IN, 1, b"k" * 32, kind="lock_in")
        self.sign(roster, number, LOCK_IN, 1, b"k" * 32, kind="lock_in")
        for name in roster:
            self.fire(name, "keygen.LockIn", holders, k=SLOT)
            self.fire(name, "regroup.Found", holders, h=number, roster_has=True)
            self.fire(name, "peer.KeygenOver", holders)

    def vote(
        self, names: Sequence[str], number: int, event: bytes, attempt: int, digest: bytes,
        **facts: Any,
    ) -> None:
        """Let nodes vote for a digest with the shares of an epoch; the first one asks the others.

        A set-up is one input of three rows; that of the coordinator is a tick.
        """
        self.leads.setdefault((event, attempt, digest, number), node_id(names[0]))
        about = {**self._about(number, event, attempt, digest), **facts}
        counts = self.epochs[number]
        for name in names:
            mind = self.nodes[name]
            mind.signers[event, attempt] = counts
            status = mind.values.get(("status", (mind.me, event)))
            leads = self.leads[event, attempt, digest, number] == mind.me
            if status != "PENDING":
                self.fire(name, "event.Recover" if status else "event.Create", counts, **about)
            kind, first = ("tick", "Coordinate") if leads else ("setup", "Setup")
            mind.input = ("", *mind.input[1:])
            for trigger in (f"session.{first}", "event.Setup", "session.Ack"):
                self.fire(name, trigger, counts, under=kind, **about)

    def lock(
        self, names: Sequence[str], number: int, event: bytes, attempt: int, digest: bytes,
        counts: Quorum | None = None, **facts: Any,
    ) -> None:
        """Let nodes lock on a digest that is certified; ``counts`` if they count otherwise."""
        about = {**self._about(number, event, attempt, digest), **facts}
        lead = self.leads[event, attempt, digest, number]
        for name in sorted(names, key=lambda each: node_id(each) != lead):
            row = "session.Convene" if node_id(name) == lead else "session.Begin"
            self.fire(name, row, counts or self.epochs[number], **about)

    def sign(
        self, names: Sequence[str], number: int, event: bytes, attempt: int, digest: bytes,
        **facts: Any,
    ) -> None:
        """Let nodes lock on a digest that is certified, release it, and come to no result."""
        self.lock(names, number, event, attempt, digest, **facts)
        about = {**self._about(number, event, attempt, digest), **facts}
        for name in names:
            instance = sha256(event + digest + bytes([attempt])).digest()
            self.fire(name, "session.Release", self.epochs[number], i=instance, **about)
        for name in names:
            self.fire(name, "session.Expire", self.epochs[number], run="silent_run", **about)

    def succeed(
        self, old: int, new: int, locks: Sequence[tuple[bytes, int, bytes, int]] = (),
        counts: Mapping[str, Quorum] | None = None,
    ) -> None:
        """Hand the key over: each lock is event, attempt, digest and the epoch that certified it.

        ``counts`` are the holders that a row counts in the place of those whom it should.
        """
        before, after = self.epochs[old], self.epochs[new]
        counts = counts or {}
        facts: dict[str, Any] = {
            "follows": {(new, old): True},
            "roster_has": {(holder, new): True for holder in after.holders},
        }
        stay = [name for name in self.nodes if node_id(name) in before.holders]
        come = [name for name in self.nodes if node_id(name) in after.holders]
        for name in come:
            self.nodes[name].values.setdefault(("holding", (node_id(name), old)), "no_share")
            self.fire(name, "regroup.Prepare", after, h=new, **facts)
        for name in stay:
            fence = counts.get("Fence", after)
            self.fire(name, "regroup.Fence", fence, h=old, k=new, **facts)
            for event, attempt, digest, _ in locks:
                if self._locked_at(name, event) == attempt:
                    self.fire(name, "regroup.ShowLock", after, h=old, k=new, e=event, a=attempt,
                              d=digest, **facts)
            self.fire(name, "regroup.HandOver", after, h=old, k=new, **facts)
        facts["succession_signed"] = {(new,): True}
        for name in come:
            for event, attempt, digest, certified in locks:
                shown = [s for s in stay if self.nodes[name].values.get(
                    ("lock_shown", (node_id(s), new, event, attempt, digest)))]
                if self._locked_at(name, event) >= attempt:
                    continue
                count = counts.get("TakeOver", self.epochs[certified])
                self.fire(name, "regroup.TakeOver", count, h=new, q=node_id(shown[0]), e=event,
                          a=attempt, d=digest, **facts)
            self.fire(name, "regroup.Activate", after, h=new, **facts)
        for name in stay:
            self.fire(name, "regroup.Erase", after, h=old, k=new, **facts)

    def _locked_at(self, name: str, event: bytes) -> int:
        found = self.nodes[name].values.get(("lock_attempt", (node_id(name), event)))
        return found if isinstance(found, int) else -1

    def _about(self, number: int, event: bytes, attempt: int, digest: bytes) -> dict[str, Any]:
        return {
            "e": event, "a": attempt, "d": digest, "epoch_signs": {(number, event, attempt): True},
            "coordinator": {(event, attempt): self.leads[event, attempt, digest, number]},
        }
