"""The events that a node knows, for its operator: what each is about, and where it stands."""

from __future__ import annotations

from itertools import islice
from typing import Any

from attrs import define, field

from metanode.custody.payout import custody_address
from metanode.custody.transaction import der_signature
from metanode.protocol.context import (
    Context,
    keygen_event,
    lock_in_event,
    regroup_event,
    succession_event,
)
from metanode.protocol.events.coordinator import Coordinators
from metanode.protocol.events.votes import VoteBook
from metanode.protocol.requests.expiry import Expiry
from metanode.protocol.reshare.regroup import KINDS, Regroups
from metanode.tss.verify import recovery_id

SHOWN = 1000
"""Events of a list: a node that has run for years knows more than anybody reads."""


@define
class Events:
    """Reads the cores of a node and changes nothing; what it returns is fit for JSON, no secrets.

    Bytes are in hex, times in unix seconds, ages in seconds.
    """

    ctx: Context
    expiry: Expiry
    regroups: Regroups
    votes: VoteBook
    coordinators: Coordinators
    _attempts: dict[bytes, list[int]] = field(factory=dict)
    _kinds: dict[bytes, str] = field(factory=dict)
    _votes_read: int = 0

    def all(self) -> list[dict[str, Any]]:
        """Return the newest events that this node knows, the oldest of them first; of an unknown
        age are the oldest.
        """
        self._read_votes()
        known = [
            (self._began(event) or 0, event, str(status))
            for (_, event), status in self.ctx.tables.view.entries("status")
            if isinstance(event, bytes)
        ]
        return [self._describe(event, status) for _, event, status in sorted(known)[-SHOWN:]]

    def one(self, event: bytes) -> dict[str, Any] | None:
        """Return one event, or None if this node does not know it."""
        status = self.expiry.settlement.status(event)
        if status == "UNKNOWN":
            return None
        self._read_votes()
        return self._describe(event, status)

    def _read_votes(self) -> None:
        """Take in the attempts that this node has voted in since the last time: none goes away."""
        for (_, event, attempt), _digest in islice(
            self.ctx.tables.view.entries("voted"), self._votes_read, None
        ):
            self._votes_read += 1
            if isinstance(event, bytes) and isinstance(attempt, int):
                self._attempts.setdefault(event, []).append(attempt)

    def _describe(self, event: bytes, status: str) -> dict[str, Any]:
        request, began = self.expiry.requests.asked.get(event), self._began(event)
        locked = self.expiry.settlement.lock_of(event)
        entry = {
            "event": event.hex(),
            "kind": self._kind(event),
            "status": status,
            "age_s": None if began is None else max(0, round(self.ctx.now - began)),
            "attempts": len(self._attempts.get(event, [])),
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
                "overdue": self.expiry.requests.is_overdue(event),
                "expiry": self.expiry.describe(event),
                "result": self._result(event, status),
            }
        return entry

    def _carried_out_by(self, event: bytes) -> bytes:
        """Return the event whose attempts carry a request out: keys and shares have their own."""
        request = self.expiry.requests.asked.get(event)
        if request is None or not self.expiry.requests.is_open(event):
            return event
        if request.kind in KINDS:
            return self.regroups.going_on() or event
        if request.kind == "keygen":
            network_id = self.ctx.settings.network_id
            slot = keygen_event(network_id, self.ctx.keygen_slot())
            return slot if self.coordinators.latest(slot) else lock_in_event(network_id)
        return event

    def _kind(self, event: bytes) -> str:
        request = self.expiry.requests.asked.get(event)
        if request is not None:
            return request.kind
        attempts = self._attempts.get(event, [])
        if event not in self._kinds and attempts:
            self._kinds[event] = self._find_kind(event, attempts)
        return self._kinds.get(event) or self._find_kind(event, attempts)

    def _find_kind(self, event: bytes, attempts: list[int]) -> str:
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
        if attempts or event in self.expiry.settlement.payouts:
            return "payout"
        return "regroup" if event in self.regroups.events else "keygen_slot"

    def _began(self, event: bytes) -> float | None:
        request, preset = self.expiry.requests.asked.get(event), self.ctx.preset
        if request is not None:
            return request.made
        slot = self._kind(event) == "keygen_slot"
        period = preset.keygen_period_s if slot else preset.round_period_s
        attempts = self._attempts.get(event)
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
        found = self.expiry.requests.found.get(event)
        if found is None:
            return {**result, "epoch": key.number, "threshold": key.quorum.threshold}
        digest = self.expiry.requests.asked[event].fields["digest"]
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
