"""What a node says of itself to its operator: plain values, no secrets.

Bytes are in hex, times in unix seconds, ages in seconds.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from attrs import define, field
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from metanode.custody.payout import custody_address
from metanode.protocol.context import (
    Context,
    keygen_event,
    lock_in_event,
    regroup_event,
    succession_event,
)
from metanode.protocol.events.event_book import UNKNOWN
from metanode.protocol.keys.epoch import KeyEpoch
from metanode.tss.verify import recovery_id
from spec.parameters import Preset

if TYPE_CHECKING:  # the node imports this module
    from metanode.protocol.node import NodeCore

SHOWN = 1000
"""Events of a list: a node that has run for years knows more than anybody reads."""


def periods(preset: Preset) -> dict[str, float]:
    """Return how long rounds, slots and attempts are in a network of this many members, in s."""
    return {
        "round_s": preset.round_period_s,
        "keygen_slot_s": preset.keygen_period_s,
        "regroup_s": preset.round_period_s * (1 + preset.attempt_rounds),
    }


@define
class OperatorView:
    """Reads the cores of a node and changes nothing; what it returns is fit for JSON."""

    core: NodeCore
    _attempts: dict[bytes, list[int]] = field(factory=dict)
    _kinds: dict[bytes, str] = field(factory=dict)
    _votes_read: int = 0

    @property
    def ctx(self) -> Context:
        """What the cores of the node share."""
        return self.core.ctx

    def report(self) -> dict[str, Any]:
        """Return the state: phase, peers, key, payouts, swaps, and how far the chain goes."""
        core, ctx, key = self.core, self.core.ctx, self.core.ctx.key
        tip = core.candidates.ledger.tip
        swaps = [
            {"swap": swap.hex(), "state": state}
            for (_, swap), state in ctx.tables.view.entries("swap")
            if isinstance(swap, bytes)
        ][-SHOWN:]
        return {
            "node_id": ctx.me.hex(),
            "phase": ctx.state("peer"),
            "round": ctx.round_number(),
            "periods": periods(ctx.preset),
            "links": sorted(peer.hex() for peer in ctx.links),
            "stake": core.stakes.report(),
            "peers": [
                {**peer, **core.crawler.describe(bytes.fromhex(peer["node_id"]))}
                for peer in core.peers.report()
            ],
            "clock": {**core.clock.report(), "off_s": core.peers.health.off_s()},
            "health": core.peers.health.word(),
            "weight": core.crawler.report(),
            "key": None if key is None else _key(key, ctx.settings.hrp),
            "regroup": core.regroups.report(),
            "keys": core.keygen.status(),
            "keygen": {"mode": ctx.settings.keygen, "until": ctx.settings.keygen_until,
                       "members": ctx.settings.members},
            "payouts": core.payouts.report(),
            "payouts_made": len(core.payouts.payouts),
            "sightings": core.candidates.unconfirmed(),
            "deposits": core.waiting.report(),
            "swaps": swaps,
            "chain": None if tip is None else {"height": tip[0], "block": tip[1].hex()},
        }

    def events(self) -> list[dict[str, Any]]:
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

    def event(self, event: bytes) -> dict[str, Any] | None:
        """Return one event, or None if this node does not know it."""
        status = self.core.book.status(event)
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
        request, began = self.core.requests.asked.get(event), self._began(event)
        locked = self.core.book.lock_of(event)
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
                "overdue": self.core.requests.is_overdue(event),
                "expiry": self.core.expiry.describe(event),
                "result": self._result(event, status),
            }
        return entry

    def _carried_out_by(self, event: bytes) -> bytes:
        """Return the event whose attempts carry a request out: keys and shares have their own."""
        request = self.core.requests.asked.get(event)
        if request is None or not self.core.requests.is_open(event):
            return event
        if request.kind == "sign":
            return event
        if request.kind == "keygen":
            network_id = self.ctx.settings.network_id
            slot = keygen_event(network_id, self.ctx.keygen_slot())
            return slot if self.core.coordinators.latest(slot) else lock_in_event(network_id)
        return self.core.regroups.going_on() or event

    def _kind(self, event: bytes) -> str:
        request = self.core.requests.asked.get(event)
        if request is not None:
            return request.kind
        attempts = self._attempts.get(event, [])
        if event not in self._kinds and attempts:
            self._kinds[event] = self._find_kind(event, attempts)
        return self._kinds.get(event) or self._find_kind(event, attempts)

    def _find_kind(self, event: bytes, attempts: list[int]) -> str:
        network_id, key = self.ctx.settings.network_id, self.ctx.key
        known = self.core.book.kinds.get(event, UNKNOWN)
        if known != UNKNOWN:
            return "keygen_slot" if known == "keygen" else known
        # What was neither locked nor signed before the node started again is told by its attempts.
        if event == lock_in_event(network_id):
            return "lock_in"
        if any(event == keygen_event(network_id, attempt) for attempt in attempts):
            return "keygen_slot"
        if key is not None:
            if any(event == regroup_event(network_id, key.key_id, a) for a in attempts):
                return "regroup"
            if any(event == succession_event(network_id, key.key_id, n) for n in self.ctx.epochs):
                return "succession"
        # A payout comes with a vote; a slot may pass without one.
        return "payout" if attempts else "keygen_slot"

    def _began(self, event: bytes) -> float | None:
        request, preset = self.core.requests.asked.get(event), self.ctx.preset
        if request is not None:
            return request.made
        slot = self._kind(event) == "keygen_slot"
        period = preset.keygen_period_s if slot else preset.round_period_s
        attempts = self._attempts.get(event)
        return min(attempts) * period if attempts else None

    def _attempt(self, event: bytes) -> dict[str, Any] | None:
        """Return how far the attempt has come that is going on."""
        task = self.core.coordinators.latest(event)
        if task is None:
            return None
        ctx = self.ctx
        return {
            "number": task.attempt,
            "purpose": task.purpose,
            "coordinator": task.coordinator.hex(),
            "votes": len(self.core.votes.voters(task.vote)),
            "votes_needed": task.votes_needed,
            "session": ctx.state("session", event, task.attempt),
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
        found = self.core.book.found.get(event)
        if found is None:
            return {**result, "epoch": key.number, "threshold": key.quorum.threshold}
        digest = self.core.requests.asked[event].fields["digest"]
        rs = found.signatures[0].rs
        r, s = int.from_bytes(rs[:32], "big"), int.from_bytes(rs[32:], "big")
        return {
            **result,
            "digest": digest.hex(),
            "r": rs[:32].hex(),
            "s": rs[32:].hex(),
            "recovery_id": recovery_id(key.public_key, digest, r, s),
            "der": encode_dss_signature(r, s).hex(),
            "signers": [signer.hex() for signer in found.signers],
        }


def _key(key: KeyEpoch, hrp: str) -> dict[str, Any]:
    return {
        "slot": key.slot,
        "epoch": key.number,
        "key_id": key.key_id.hex(),
        "public_key": key.public_key.hex(),
        "custody_address": custody_address(key.public_key, hrp),
        "threshold": key.threshold,
        "byzantine": key.byzantine,
        "roster": [member.hex() for member in key.roster],
        "holds_share": key.keyshare is not None,
    }
