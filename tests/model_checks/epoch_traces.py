"""Made-up traces of a key that is handed on: rows fired one by one, with the facts that they ask.

No core runs here. What a row is given is what the test wants a node to believe, true or not, so a
run can be made in which each line is legal and the whole is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from metanode.protocol.tables.runner import Tables
from metanode.protocol.tables.view import NodeView, Quorum
from spec.language.interpreter import Value
from spec.protocol import PROTOCOL
from tests.conformance.recording import Record, Traces
from tests.protocol.tables.support import MESSAGES

SLOT, LOCK_IN = 1, b"L" * 32
_CALM: Mapping[str, Any] = {
    "event_known": True, "event_over": False, "is_coordinator": False, "from_coordinator": True,
    "members_valid": True, "digest_rebuilt": True, "is_member": True, "needs_all": False,
    "keygen_open": True, "keygen_certificate": True, "same_roster": True, "share_verified": True,
    "lock_in_valid": True, "share_checked": True, "locks_all_shown": True, "locks_taken": True,
}


def node_id(name: str) -> bytes:
    """Return the id of a node that has a letter for a name."""
    return name.encode() * 33


def quorum(names: str, threshold: int) -> Quorum:
    """Return holders, in order, with t and the f that it allows."""
    return Quorum(tuple(map(node_id, names)), threshold, 2 * threshold - len(names) - 1)


class Made:
    """A run that grows line by line; ``epochs`` are rosters and thresholds by number."""

    def __init__(self, epochs: Mapping[int, tuple[str, int]]) -> None:
        self.epochs = {number: quorum(*epoch) for number, epoch in epochs.items()}
        names = sorted({name for roster, _ in epochs.values() for name in roster})
        self.nodes = {name: Tables(PROTOCOL, NodeView(PROTOCOL)) for name in names}
        self.traces: Traces = {name: [{"kind": "started", "at": 0.0}] for name in names}
        self.now = 0.0

    def fire(self, name: str, table: str, event: str, counts: Quorum, /, **said: Any) -> Record:
        """Run a row at a node, tell the others what it sent, and return the line.

        ``said`` are parameters, and facts that differ from those of a calm network.
        """
        tables, me = self.nodes[name], node_id(name)
        machine = PROTOCOL.machines[table]
        wanted = machine.signatures[event]
        parameters: dict[str, Value] = {"p": me, **{k: said[k] for k in wanted if k != "p"}}
        facts = {**_CALM, **{k: v for k, v in said.items() if k not in wanted}}
        rules = machine.rules_for(tables.state(table, *(parameters[s] for s in machine.subject)),
                                  event)
        sent = {e.cell.name for rule in rules for e in rule.effects if e.cell.kept == "network"}
        carry = {cell: MESSAGES[cell] for cell in sent}
        tables.fire(table, event, given=facts, quorum=counts, carry=carry, **parameters)
        for cell in sent:
            for index, value in tables.view.entries(cell):
                for other in self.nodes.values():
                    if value and index[0] == me and other is not tables:
                        other.view.deliver(cell, *index)
        self.now += 0.01
        line = {"kind": "transition", "at": round(self.now, 3), **tables.take().trace[-1]}
        self.traces[name].append(line)
        return line

    # --- what happens in a run ---

    def found(self, number: int = 1) -> None:
        """Make the key, lock it in, and put the shares of its first epoch in force."""
        holders = self.epochs[number]
        roster = [name for name in self.nodes if node_id(name) in holders.holders]
        for name in roster:
            self.fire(name, "peer", "KeygenTick", holders)
            self.fire(name, "keygen", "Start", holders, k=SLOT)
        for event in ("Store", "Certify"):
            for name in roster:
                self.fire(name, "keygen", event, holders, k=SLOT)
        self.vote(roster, number, LOCK_IN, 1, b"k" * 32, without_epoch=True)
        self.sign(roster, number, LOCK_IN, 1, b"k" * 32, without_epoch=True)
        for name in roster:
            self.fire(name, "keygen", "LockIn", holders, k=SLOT)
            facts = {"first_epoch": {(number,): True}, "roster_has": True}
            self.fire(name, "regroup", "Found", holders, h=number, **facts)

    def vote(
        self, names: Sequence[str], number: int, event: bytes, attempt: int, digest: bytes,
        **facts: Any,
    ) -> None:
        """Let nodes vote for a digest with the shares of an epoch."""
        about = {**self._about(number, event, attempt, digest), **facts}
        for name in names:
            counts = self.epochs[number]
            if self.nodes[name].state("event", node_id(name), event) == "UNKNOWN":
                self.fire(name, "event", "Create", counts, **about)
            else:
                self.fire(name, "event", "Recover", counts, **about)
            for table, row in (("session", "Setup"), ("event", "Setup"), ("session", "Ack")):
                self.fire(name, table, row, counts, **about)

    def lock(
        self, names: Sequence[str], number: int, event: bytes, attempt: int, digest: bytes,
        counts: Quorum | None = None, **facts: Any,
    ) -> None:
        """Let nodes lock on a digest that is certified; ``counts`` if they count otherwise."""
        about = {**self._about(number, event, attempt, digest), **facts}
        for name in names:
            self.fire(name, "session", "Begin", counts or self.epochs[number], **about)

    def sign(
        self, names: Sequence[str], number: int, event: bytes, attempt: int, digest: bytes,
        **facts: Any,
    ) -> None:
        """Let nodes lock on a digest that is certified, release it, and come to no result."""
        self.lock(names, number, event, attempt, digest, **facts)
        about = {**self._about(number, event, attempt, digest), **facts}
        for name in names:
            instance = sha256(event + digest + bytes([attempt])).digest()
            self.fire(name, "session", "Release", self.epochs[number], i=instance, **about)
        for name in names:
            self.fire(name, "session", "Expire", self.epochs[number], session_idle=True, **about)

    def succeed(
        self, old: int, new: int, locks: Sequence[tuple[bytes, int, bytes, int]] = (),
        counts: Mapping[str, Quorum] | None = None,
    ) -> None:
        """Hand the key over: each lock is event, attempt, digest and the epoch that certified it.

        ``counts`` are the holders that a row counts in the place of those whom it should.
        """
        before, after = self.epochs[old], self.epochs[new]
        counts = counts or {}
        facts = {
            "first_epoch": False, "follows": {(new, old): True}, "succession": False,
            "roster_has": {(holder, new): True for holder in after.holders},
        }
        stay = [name for name in self.nodes if node_id(name) in before.holders]
        come = [name for name in self.nodes if node_id(name) in after.holders]
        for name in come:
            self.fire(name, "regroup", "Prepare", after, h=new, **facts)
        for name in stay:
            fence = counts.get("Fence", after)
            self.fire(name, "regroup", "Fence", fence, h=old, k=new, **facts)
            for event, attempt, digest, _ in locks:
                if self.nodes[name].view.get("lock_attempt", node_id(name), event) == attempt:
                    self.fire(name, "regroup", "ShowLock", after, h=old, k=new, e=event, a=attempt,
                              d=digest, **facts)
            self.fire(name, "regroup", "HandOver", after, h=old, k=new, **facts)
        facts["succession"] = {(new,): True}
        for name in come:
            for event, attempt, digest, certified in locks:
                locked = self.nodes[name].view.get("lock_attempt", node_id(name), event)
                shown = [s for s in stay if self.nodes[s].view.get(
                    "lock_shown", node_id(s), new, event, attempt, digest)]
                if isinstance(locked, int) and locked >= attempt:
                    continue
                count = counts.get("TakeOver", self.epochs[certified])
                self.fire(name, "regroup", "TakeOver", count, h=new, q=node_id(shown[0]), e=event,
                          a=attempt, d=digest, **facts)
            self.fire(name, "regroup", "Activate", after, h=new, **facts)
        for name in stay:
            self.fire(name, "regroup", "Erase", after, h=old, k=new, **facts)

    def _about(self, number: int, event: bytes, attempt: int, digest: bytes) -> dict[str, Any]:
        signs = {"without_epoch": False, "epoch_signs": {(number, event, attempt): True}}
        return {"e": event, "a": attempt, "d": digest, **signs}
