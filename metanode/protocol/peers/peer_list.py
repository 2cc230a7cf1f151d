"""Pings, the peer list, suspects and blocks, as one node keeps them.

A ping carries the phase, the stake and a proof of the share; each correct one makes the node look
up the stake on its own chain, and only a peer whose stake holds is listed.
"""

from __future__ import annotations

from typing import Any

from attrs import define, field

from metanode.custody.types import Outpoint
from metanode.hashing import tagged_hash
from metanode.protocol.context import Context, outpoint_of, outpoint_ref, whole
from metanode.protocol.keys.epoch import Member
from metanode.protocol.tables.runner import TransitionError
from metanode.protocol.wire.codec import encode_canonical
from metanode.tss.share_proof import prove_share, verify_share
from spec.messages import Ping


def ping_proof_context(network_id: bytes, peer: bytes, sequence: int) -> bytes:
    """Return what the share proof of a ping is bound to: an old one proves nothing (F-13)."""
    return tagged_hash("ping-proof", network_id, peer, whole(sequence))


@define
class Heard:
    """The last good ping of a peer, and what the chain said of its stake."""

    sequence: int
    at: float
    stake: Outpoint
    phase: str
    has_key: bool
    asked: float = 0.0
    member: Member | None = None
    refused: str = ""


@define
class Evidence:
    """Why a peer is blocked, and until when (unix seconds)."""

    reason: str
    until: float
    frames: tuple[bytes, ...] = field(repr=False)

    def encode(self) -> bytes:
        """Return the canonical CBOR that is kept in store."""
        return encode_canonical(
            {"frames": list(self.frames), "reason": self.reason, "until": int(self.until)}
        )


@define
class Pings:
    """The ping core of a node."""

    ctx: Context
    heard: dict[bytes, Heard] = field(factory=dict)
    blocks: dict[bytes, Evidence] = field(factory=dict)
    _sequence: int = 0
    _last: float = 0.0

    def tick(self) -> None:
        """Send a ping when it is due; notice silence and blocks that have run out."""
        ctx = self.ctx
        if ctx.now - self._last >= ctx.preset.ping_period_s:
            self._last = ctx.now
            self._send()
        patience = ctx.preset.ping_period_s * ctx.preset.pings_missed_limit
        for peer, heard in self.heard.items():
            if ctx.now - heard.at > patience:
                self._silent(peer)
        for peer in [p for p, e in self.blocks.items() if e.until <= ctx.now]:
            del self.blocks[peer]
            ctx.tables.fire("block_list", "Over", p=ctx.me, q=peer, given={"block_over": True})

    def boundary(self) -> None:
        """Clear the peer list; the pings of the new round rebuild it."""
        for peer in self.heard:
            self.ctx.tables.fire("ping", "Boundary", p=self.ctx.me, q=peer)

    def on_ping(self, sender: bytes, message: Ping) -> None:
        """Take a peer's ping."""
        ctx = self.ctx
        if self.is_blocked(sender):
            return
        ctx.tables.view.deliver("pinged", sender)
        before = self.heard.get(sender)
        newer = before is None or message.sequence > before.sequence
        near = abs(message.time_ms / 1000 - ctx.now) <= ctx.preset.clock_skew_s
        facts = {
            "ping_fresh": newer and near,
            "ping_proof_valid": self._proof_holds(sender, message),
        }
        try:
            ctx.tables.fire("ping", "Ping", p=ctx.me, q=sender, given=facts)
        except TransitionError as refusal:
            ctx.note("ping.refused", peer=sender.hex()[:16], reason=str(refusal))
            return
        stake = outpoint_of(message.stake)
        known = before if before is not None and before.stake == stake else None
        heard = Heard(
            message.sequence,
            ctx.now,
            stake,
            message.phase,
            message.key_id is not None,
            known.asked if known else 0.0,
            known.member if known else None,
            known.refused if known else "",
        )
        self.heard[sender] = heard
        if ctx.tables.state("block_list", ctx.me, sender) == "suspect":
            ctx.tables.fire("block_list", "GoodPing", p=ctx.me, q=sender, given=facts)
        if (
            self._listing(sender) == "checking"
            and ctx.now - heard.asked >= ctx.preset.stake_query_s
        ):
            heard.asked = ctx.now
            ctx.call("check_stake", peer=sender, stake=stake)

    def on_stake(self, peer: bytes, stake: Outpoint, reason: str, height: int) -> None:
        """Take the chain's answer: ok, spent, short, young, foreign or unconfirmed."""
        heard = self.heard.get(peer)
        if heard is None or heard.stake != stake:
            return
        heard.asked = 0.0
        if self._listing(peer) != "checking":
            return  # the list was cleared meanwhile: the next ping asks again
        facts = {
            "stake_unspent": reason != "spent",
            "stake_enough": reason != "short",
            "stake_aged": reason not in ("young", "unconfirmed"),
            "stake_owned": reason != "foreign",
        }
        self.ctx.tables.fire("ping", "Stake", p=self.ctx.me, q=peer, given=facts)
        if reason == "ok":
            heard.member = Member(peer, stake, height)
        elif heard.refused != reason:
            self.ctx.note("stake.refused", peer=peer.hex()[:16], reason=reason)
        heard.refused = "" if reason == "ok" else reason

    def members(self) -> tuple[Member, ...]:
        """Return the listed peers, this node among them, the oldest stake first."""
        listed = [
            h.member
            for p, h in self.heard.items()
            if h.member is not None and self._listing(p) == "listed"
        ]
        return tuple(sorted(listed, key=lambda m: (m.height, m.node_id)))

    def staked(self) -> tuple[Member, ...]:
        """Return the peers whose stake held when the chain was last asked, also between rounds."""
        found = self.heard.values()
        return tuple(h.member for h in found if h.member is not None and not h.refused)

    def is_listed(self, peer: bytes) -> bool:
        """Return whether a peer's stake has been proved and it is alive."""
        return self._listing(peer) == "listed"

    def stake_fault(self, peer: bytes) -> str | None:
        """Return why a node's stake does not count, with the mend, or None if it does.

        A stake that was proved counts on while the list is rebuilt at a round's boundary.
        """
        heard = self.heard.get(peer)
        if heard is None:
            return "it has never pinged this node: check the id, and start it with a funded stake"
        if heard.refused:
            return f"its stake is refused ({heard.refused}): mend its stake"
        if heard.member is None:
            return "its stake is not proved yet: wait until `status` lists it"
        return None

    def is_blocked(self, peer: bytes) -> bool:
        """Return whether a peer is on the block list: its pings count for nothing (F-08)."""
        return self.ctx.tables.state("block_list", self.ctx.me, peer) == "blocked"

    def block(self, peer: bytes, reason: str, frames: tuple[bytes, ...]) -> None:
        """Block a peer on evidence: frames that it signed and that contradict each other."""
        ctx = self.ctx
        evidence = Evidence(reason, ctx.now + ctx.preset.block_duration_s, frames)
        self.blocks[peer] = evidence
        ctx.tables.fire(
            "block_list",
            "Block",
            p=ctx.me,
            q=peer,
            given={"evidence_verified": True},
            carry={"block_until": evidence},
        )
        ctx.note("peer.blocked", peer=peer.hex()[:16], reason=reason)

    def report(self) -> list[dict[str, Any]]:
        """Return the peers as this node sees them, for the operator."""
        state = self.ctx.tables.state
        return [
            {
                "node_id": peer.hex(),
                "listing": self._listing(peer),
                "phase": heard.phase,
                "standing": state("block_list", self.ctx.me, peer),
                "stake": str(heard.stake),
                "last_ping_s": round(self.ctx.now - heard.at, 1),
                "linked": peer in self.ctx.links,
                "self": peer == self.ctx.me,
            }
            for peer, heard in sorted(self.heard.items())
        ]

    def _send(self) -> None:
        ctx, key = self.ctx, self.ctx.key
        # The clock makes the sequence grow across restarts without a record of its own.
        self._sequence = max(self._sequence + 1, int(ctx.now * 1000))
        proof = None
        if key is not None and key.keyshare is not None:
            context = ping_proof_context(ctx.settings.network_id, ctx.me, self._sequence)
            proof = prove_share(
                key.keyshare.secret_share, key.public_share(ctx.me), context, ctx.entropy
            )
        message = Ping(
            self._sequence,
            int(ctx.now * 1000),
            ctx.tables.state("peer", ctx.me),
            outpoint_ref(ctx.settings.stake),
            key.key_id if key is not None and proof is not None else None,
            proof,
            key.number if key is not None else 0,
        )
        ctx.tables.fire("peer", "Ping", p=ctx.me, carry={"pinged": message})
        self.on_ping(ctx.me, message)

    def _proof_holds(self, sender: bytes, message: Ping) -> bool:
        current = self.ctx.key
        if current is None or message.key_id is None:
            return True  # nothing to prove yet, on one side or the other
        # Who is an epoch behind, or ahead, proves the share that it has.
        key = self.ctx.epochs.get(message.key_epoch, current)
        if message.key_id != key.key_id or sender not in key.roster:
            return message.share_proof is None or sender not in key.roster
        if message.share_proof is None:
            return False
        context = ping_proof_context(self.ctx.settings.network_id, sender, message.sequence)
        return verify_share(key.public_share(sender), context, message.share_proof)

    def _listing(self, peer: bytes) -> str:
        return self.ctx.tables.state("ping", self.ctx.me, peer)

    def _silent(self, peer: bytes) -> None:
        ctx, facts = self.ctx, {"pings_missed": True}
        if self._listing(peer) == "listed":
            ctx.tables.fire("ping", "Silence", p=ctx.me, q=peer, given=facts)
        if ctx.tables.state("block_list", ctx.me, peer) == "clear":
            ctx.tables.fire("block_list", "Silence", p=ctx.me, q=peer, given=facts)
