"""The events that a node knows, for its operator: what each is about, and where it stands."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from metanode.custody.payout import custody_address
from metanode.custody.transaction import der_signature
from metanode.protocol.context import (
    Context,
    keygen_event,
    lock_in_event,
    regroup_event,
    succession_event,
)
from metanode.protocol.coordinator import Coordinators
from metanode.protocol.regroup import KINDS, Regroups
from metanode.protocol.requests import Requests
from metanode.protocol.settlement import Settlement
from metanode.protocol.votes import VoteBook
from metanode.tss.verify import recovery_id


@frozen
class Events:
    """Reads the cores of a node and changes nothing; what it returns is fit for JSON, no secrets.

    Bytes are in hex, times in unix seconds, ages in seconds.
    """

    ctx: Context
    settlement: Settlement
    requests: Requests
    regroups: Regroups
    votes: VoteBook
    coordinators: Coordinators

    def all(self) -> list[dict[str, Any]]:
        """Return every event that this node knows, the oldest first; an unknown age is the
        greatest.
        """
        attempts = self._attempts()
        known = [
            self._describe(event, str(status), attempts.get(event, []))
            for (_, event), status in self.ctx.tables.view.entries("status")
            if isinstance(event, bytes)
        ]
        return sorted(known, key=lambda entry: (entry["age_s"] is not None, -(entry["age_s"] or 0)))

    def one(self, event: bytes) -> dict[str, Any] | None:
        """Return one event, or None if this node does not know it."""
        status = self.settlement.status(event)
        if status == "UNKNOWN":
            return None
        return self._describe(event, status, self._attempts().get(event, []))

    def _attempts(self) -> dict[bytes, list[int]]:
        """Return the attempts that this node has voted in, by event."""
        found: dict[bytes, list[int]] = {}
        for (_, event, attempt), _digest in self.ctx.tables.view.entries("voted"):
            if isinstance(event, bytes) and isinstance(attempt, int):
                found.setdefault(event, []).append(attempt)
        return found

    def _describe(self, event: bytes, status: str, attempts: list[int]) -> dict[str, Any]:
        request = self.requests.asked.get(event)
        kind = request.kind if request is not None else self._kind(event, attempts)
        began = request.made if request is not None else self._began(kind, attempts)
        locked = self.settlement.lock_of(event)
        entry = {
            "event": event.hex(),
            "kind": kind,
            "status": status,
            "age_s": None if began is None else max(0, round(self.ctx.now - began)),
            "attempts": len(attempts),
            "attempt": self._attempt(self._carried_out_by(event)),
            "lock": None
            if locked is None
            else {
                "digest": locked.certificate.digest.hex(),
                "attempt": locked.certificate.attempt,
                "voters": [vote.voter.hex() for vote in locked.certificate.votes],
            },
        }
        if request is not None:
            entry |= {
                "asked": request.shown,
                "expires": request.expires,
                "overdue": self.requests.is_overdue(event),
                "result": self._result(event, status),
            }
        return entry

    def _carried_out_by(self, event: bytes) -> bytes:
        """Return the event whose attempts carry a request out: keys and shares have their own."""
        request = self.requests.asked.get(event)
        if request is None or not self.requests.is_open(event):
            return event
        if request.kind in KINDS:
            return self.regroups.going_on() or event
        if request.kind == "keygen":
            network_id = self.ctx.settings.network_id
            slot = keygen_event(network_id, self.ctx.keygen_slot())
            return slot if self.coordinators.latest(slot) else lock_in_event(network_id)
        return event

    def _kind(self, event: bytes, attempts: list[int]) -> str:
        network_id = self.ctx.settings.network_id
        if event == lock_in_event(network_id):
            return "lock_in"
        if any(event == keygen_event(network_id, attempt) for attempt in attempts):
            return "keygen_slot"
        if self.ctx.key is not None:
            key_id = self.ctx.key.key_id
            if any(event == regroup_event(network_id, key_id, attempt) for attempt in attempts):
                return "regroup"
            epochs = self.ctx.epochs
            if any(event == succession_event(network_id, key_id, number) for number in epochs):
                return "succession"
        # A payout comes with a vote or with its signatures; a slot may pass without either.
        if attempts or event in self.settlement.payouts:
            return "payout"
        return "regroup" if event in self.regroups.events else "keygen_slot"

    def _began(self, kind: str, attempts: list[int]) -> float | None:
        preset = self.ctx.preset
        period = preset.keygen_period_s if kind == "keygen_slot" else preset.round_period_s
        return min(attempts) * period if attempts else None

    def _attempt(self, event: bytes) -> dict[str, Any] | None:
        """Return how far the attempt has come that is going on."""
        task = self.coordinators.latest(event)
        if task is None:
            return None
        ctx = self.ctx
        return {
            "number": task.attempt,
            "purpose": task.purpose,
            "coordinator": task.coordinator.hex(),
            "votes": len(self.votes.voters(task.vote)),
            "votes_needed": task.votes_needed,
            "session": ctx.tables.state("session", ctx.me, event, task.attempt),
        }

    def _result(self, event: bytes, status: str) -> dict[str, Any] | None:
        """Return what a finished request has brought: a signature, or the key in force."""
        key = self.ctx.key
        if status != "SUCCESS" or key is None:
            return None
        result: dict[str, Any] = {
            "public_key": key.public_key.hex(),
            "address": custody_address(key.public_key, self.ctx.settings.hrp),
        }
        found = self.requests.found.get(event)
        if found is None:
            return {**result, "epoch": key.number, "threshold": key.quorum.threshold}
        digest = self.requests.asked[event].fields["digest"]
        rs = found.signatures[0].rs
        r, s = int.from_bytes(rs[:32], "big"), int.from_bytes(rs[32:], "big")
        return {
            **result,
            "digest": digest.hex(),
            "r": rs[:32].hex(),
            "s": rs[32:].hex(),
            "recovery_id": recovery_id(key.public_key, digest, r, s),
            "der": der_signature(r, s).hex(),
            "signers": [signer.hex() for signer in found.signers],
        }
