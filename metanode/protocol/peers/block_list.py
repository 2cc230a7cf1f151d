"""The peers that this node refuses to talk to: suspects, and blocks on evidence.

A block rests on two messages that contradict each other, or on the record of a run that convinces
a stranger. Whatever it rests on is judged here again before a row believes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field, frozen

from metanode.errors import Equivocation, Malformed
from metanode.protocol.blame.record import BlameRecord
from metanode.protocol.context import Context
from metanode.protocol.inputs import Received
from metanode.protocol.tables.registry import attachment, fact, handles
from metanode.protocol.wire.codec import decode_canonical, encode_canonical
from metanode.protocol.wire.envelope import open_envelope
from spec.inputs import INPUTS
from spec.messages import Proposal, SigningSet, index_of
from spec.protocol import PROTOCOL


@frozen
class Block:
    """Why a peer is blocked, and until when (unix seconds)."""

    reason: str
    until: float
    frames: tuple[bytes, ...] = field(repr=False)

    def encode(self) -> bytes:
        """Return the canonical CBOR that is kept in store."""
        return encode_canonical(
            {"frames": list(self.frames), "reason": self.reason, "until": int(self.until)}
        )

    @classmethod
    def decode(cls, data: bytes) -> Block:
        """Return the block in ``data``; Malformed for anything else."""
        plain = decode_canonical(data)
        if type(plain) is not dict or set(plain) != {"frames", "reason", "until"}:
            raise Malformed("not a block")
        return cls(plain["reason"], plain["until"], tuple(plain["frames"]))


@define
class BlockList:
    """The block list of a node; ``entries`` by blocked peer."""

    ctx: Context
    entries: dict[bytes, Block] = field(factory=dict)
    _record: BlameRecord | None = None

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    def restore(self, blocks: Mapping[bytes, Block]) -> None:
        """Take the blocks that the store holds."""
        self.entries.update(blocks)

    def standing(self, peer: bytes) -> str:
        """Return how a peer stands with this node."""
        return self.ctx.state("block_list", peer)

    def is_blocked(self, peer: bytes) -> bool:
        """Return whether a peer is on the block list: its pings count for nothing (F-08)."""
        return self.standing(peer) == "blocked"

    def blocked(self) -> frozenset[bytes]:
        """Return the peers that are blocked."""
        return frozenset(peer for peer in self.entries if self.is_blocked(peer))

    def report(self) -> list[dict[str, Any]]:
        """Return who is blocked, of what, and until when."""
        return [
            {"node_id": peer.hex(), "reason": entry.reason, "until": round(entry.until)}
            for peer, entry in sorted(self.entries.items())
            if self.is_blocked(peer)
        ]

    # --- what the tables are told ---

    @fact
    def evidence_verified(self, p: bytes, q: bytes) -> bool:
        shown = self._shown(q)
        if isinstance(shown, BlameRecord):
            return shown.transferable
        return shown is not None and self._contradict(q, shown.frames)

    @fact
    def block_over(self, p: bytes, q: bytes) -> bool:
        entry = self.entries.get(q)
        return entry is not None and entry.until <= self.ctx.now

    @attachment("block_until")
    def block_until(self, p: bytes, q: bytes) -> Block | None:
        shown = self._shown(q)
        if shown is None:
            return None
        until = self.ctx.now + self.ctx.preset.block_duration_s
        self.entries[q] = Block(shown.reason, until, shown.frames)
        return self.entries[q]

    def _shown(self, peer: bytes) -> Equivocation | BlameRecord | None:
        """Return what is at hand against a peer: the record of a run, or the message's evidence."""
        if self._record is not None and self._record.culprit == peer:
            return self._record
        entry = self.ctx.input
        found = entry.evidence if isinstance(entry, Received) else None
        return found if found is not None and peer in found.culprits() else None

    def _contradict(self, peer: bytes, frames: tuple[bytes, bytes]) -> bool:
        """Return whether a peer signed both frames, and only one of them is allowed."""
        network_id, codec = self.ctx.settings.network_id, self.ctx.codec
        try:
            opened = [open_envelope(network_id, codec, frame) for frame in frames]
        except Malformed:
            return False
        (first, one, _), (second, other, _) = opened
        return (
            first == second == peer
            and one != other
            and type(one) is type(other)
            and "evidence" in INPUTS[one.KIND].names
            and _place(one) == _place(other)
        )

    # --- what happens ---

    @handles("evidence")
    def on_evidence(self) -> None:
        entry = self.ctx.input
        if not isinstance(entry, Received) or entry.evidence is None:
            return
        for peer in self.ctx.each(entry.evidence.culprits()):
            if isinstance(entry.message, Proposal | SigningSet):
                self.ctx.tries("round.Equivocate", q=peer, r=entry.message.round)
            # A peer that is blocked already could make this node write once for each message.
            if not self.is_blocked(peer):
                self._block(peer)

    def convict(self, record: BlameRecord) -> None:
        """Block the culprit of a record, if it convinces a stranger: step ``run_aborted``."""
        self._record = record
        self._block(record.culprit)
        self._record = None

    def _block(self, peer: bytes) -> None:
        if self.ctx.tries("block_list.Block", q=peer):
            reason = self.entries[peer].reason
            self.ctx.note("peer.blocked", peer=peer.hex()[:16], reason=reason)

    @handles("blocks_over")
    def on_blocks_over(self) -> None:
        me = self.ctx.me
        for peer in self.ctx.each([p for p in self.entries if self.block_over(me, p)]):
            if self.ctx.tries("block_list.Over", q=peer):
                del self.entries[peer]


def _place(message: object) -> tuple[object, ...]:
    """Return where a message stands, whatever it says there: its index without the digest."""
    sorts = PROTOCOL.cells[vars(type(message))["CELL"]].index[1:]
    return tuple(
        part for sort, part in zip(sorts, index_of(message), strict=True) if sort != "Digest"
    )
