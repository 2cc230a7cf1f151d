"""Pings and the peer list, as one node keeps them.

A ping carries the phase, the stake and a proof of the share; each correct one makes the node look
up the stake on its own chain, and only a peer whose stake holds is listed. A node takes its own
pings as it takes those of others.
"""

from __future__ import annotations

from typing import Any

from attrs import define, field

from metanode.chains.base import StakeReason
from metanode.custody.types import Outpoint
from metanode.hashing import tagged_hash
from metanode.protocol.context import Context, outpoint_of, outpoint_ref, whole
from metanode.protocol.inputs import Endpoints, Received, StakeAnswer
from metanode.protocol.keys.epoch import Member
from metanode.protocol.peers.block_list import BlockList
from metanode.protocol.peers.health import Health
from metanode.protocol.peers.stakes import Stakes
from metanode.protocol.tables.effects import CheckStake, LearnEndpoints
from metanode.protocol.tables.registry import admits, fact, handles, message
from metanode.tss.proofs import prove_share, verify_share
from spec.messages import Keepalive, Ping


def ping_proof_context(network_id: bytes, peer: bytes, sequence: int) -> bytes:
    """Return what the share proof of a ping is bound to: an old one proves nothing (F-13)."""
    return tagged_hash("ping-proof", network_id, peer, whole(sequence))


PRESENCE_KEPT = 4096
"""Peers whose pings are remembered; those that were silent longest are forgotten first."""


@define
class Heard:
    """The last good ping of a peer, and what the chain said of its stake."""

    sequence: int
    at: float
    stake: Outpoint
    phase: str
    relayed: bool = False
    health: str = "ok"
    asked: float = 0.0
    member: Member | None = None
    refused: StakeReason | None = None
    amount: int = 0


@define
class PeerList:
    """The ping core of a node; ``heard`` by peer.

    ``presence`` says when each peer's last good ping came, and with which stake: also of those that
    are blocked, because blocks have no say in who holds a share.
    """

    ctx: Context
    blocks: BlockList
    stakes: Stakes
    health: Health = field(init=False)
    heard: dict[bytes, Heard] = field(factory=dict)
    presence: dict[bytes, tuple[float, Outpoint]] = field(factory=dict)
    _at_hand: dict[bytes, Ping] = field(factory=dict)
    _proved: dict[bytes, tuple[int, bytes, int]] = field(factory=dict)
    _sequence: int = 0
    _last: float = 0.0

    def __attrs_post_init__(self) -> None:
        self.health = Health(self.ctx)
        self.ctx.tables.bind(self)

    # --- what the tables are told ---

    @fact
    def ping_good(self, p: bytes, q: bytes) -> bool:
        ping = self._at_hand.get(q)
        return ping is not None and self._is_fresh(q, ping) and self._proof_holds(q, ping)

    @fact
    def stake(self, p: bytes, q: bytes) -> str:
        answer = self._answer()
        if answer is None or answer.peer != q:
            return "stake_unconfirmed"
        return "stake_good" if answer.found.ok else f"stake_{answer.found.reason}"

    @fact
    def pings_missed(self, p: bytes, q: bytes) -> bool:
        heard = self.heard.get(q)
        return heard is not None and self.ctx.steady - heard.at > self.patience(q)

    # --- what is said ---

    @message("pinged")
    def pinged(self, p: bytes) -> Ping:
        ctx, key = self.ctx, self.ctx.key
        # The clock makes the sequence grow across restarts without a record of its own.
        self._sequence = max(self._sequence + 1, int(ctx.now * 1000))
        proof = None
        if key is not None and key.keyshare is not None:
            context = ping_proof_context(ctx.settings.network_id, ctx.me, self._sequence)
            proof = prove_share(
                key.keyshare.secret_share, key.public_share(ctx.me), context, ctx.entropy
            )
        self._at_hand[p] = Ping(
            self._sequence, int(ctx.now * 1000), ctx.state("peer"),
            outpoint_ref(ctx.settings.stake),
            key.key_id if key is not None and proof is not None else None, proof,
            key.number if key is not None else 0, self.health.word(),
        )
        return self._at_hand[p]

    @message("kept_alive")
    def kept_alive(self, p: bytes) -> Keepalive:
        entry = self.ctx.input
        said = entry if isinstance(entry, Endpoints) else Endpoints(p, ())
        return Keepalive(said.addresses, said.seen)

    # --- what happens ---

    @admits("ping")
    def admit_ping(self, sender: bytes, ping: Ping) -> bool:
        """Keep a peer's ping until its step, unless the peer is blocked."""
        self.health.compare(sender, ping.time_ms / 1000)
        self._at_hand[sender] = ping
        # Whoever pings is there, also without its share: the night sees who was silent, and the
        # list who can sign. A proof that is there and false is no sign of anybody.
        unproven = ping.share_proof is None and self._is_fresh(sender, ping)
        is_blocked = self.blocks.is_blocked(sender)
        if unproven or (is_blocked and self.ping_good(self.ctx.me, sender)):
            self._note_presence(sender, ping)
        if is_blocked:
            del self._at_hand[sender]
        return not is_blocked

    def _note_presence(self, sender: bytes, ping: Ping) -> None:
        stake = outpoint_of(ping.stake)
        self.presence.pop(sender, None)
        self.presence[sender] = (self.ctx.steady, stake)
        if len(self.presence) > PRESENCE_KEPT:
            del self.presence[next(iter(self.presence))]
        if self.blocks.is_blocked(sender):
            self.stakes.ask([(sender, stake)])

    @admits("keepalive")
    def admit_keepalive(self, sender: bytes, keepalive: Keepalive) -> bool:
        """Hand the endpoints that a peer knows to the shell."""
        self.ctx.ask(LearnEndpoints(sender, keepalive.endpoints, keepalive.seen_as))
        return True

    @handles("ping_sent")
    def on_ping_due(self) -> None:
        ctx = self.ctx
        if ctx.steady - self._last >= ctx.preset.ping_period_s:
            self._last = ctx.steady
            ctx.fire("peer.Ping")

    @handles("ping_taken")
    def on_ping(self) -> None:
        for peer in self.ctx.each(list(self._at_hand)):
            good = self.ctx.tries("ping.Ping", q=peer)
            refusal = self.ctx.tables.refusal
            self.ctx.tries("block_list.GoodPing", q=peer)
            ping = self._at_hand.pop(peer)
            if good:
                self._keep(peer, ping)
            else:
                self.ctx.note("ping.refused", peer=peer.hex()[:16], reason=str(refusal))

    def _keep(self, peer: bytes, ping: Ping) -> None:
        """Keep what a good ping says, and ask about a stake that is in question."""
        ctx, stake = self.ctx, outpoint_of(ping.stake)
        heard = self.heard.get(peer)
        if heard is None or heard.stake != stake:
            heard = self.heard[peer] = Heard(0, 0.0, stake, "")
        heard.sequence, heard.at, heard.phase = ping.sequence, ctx.steady, ping.phase
        heard.relayed = isinstance(ctx.input, Received) and ctx.input.via is not None
        heard.health = ping.health
        self._note_presence(peer, ping)
        in_question = self._listing(peer) == "checking"
        if in_question and ctx.steady - heard.asked >= ctx.preset.stake_query_s:
            heard.asked = ctx.steady
            ctx.ask(CheckStake(peer, stake))

    @handles("silence")
    def on_silence(self) -> None:
        me = self.ctx.me
        for peer in self.ctx.each([p for p in self.heard if self.pings_missed(me, p)]):
            self.ctx.tries("ping.Silence", q=peer)
            self.ctx.tries("block_list.Silence", q=peer)

    @handles("list_cleared")
    def on_boundary(self) -> None:
        self.stakes.look()
        if not self.ctx.boundary:
            return
        if self.ctx.key is not None:
            for peer in self.ctx.each(self.heard):
                self.ctx.tries("ping.Boundary", q=peer)
            return
        # Without a key the list names the members: it stays while the stakes are asked for again,
        # or a set-up would come too early.
        known = [peer for peer in self.heard if self._listing(peer) in ("listed", "missing")]
        for peer in known:
            self.ctx.ask(CheckStake(peer, self.heard[peer].stake))

    @handles("stake_judged")
    def on_stake(self) -> None:
        answer = self._answer()
        if answer is None:
            return
        peer, verdict = answer.peer, answer.found.reason
        heard = self.heard[peer]
        heard.asked = 0.0
        if not self.ctx.tries("ping.Stake", q=peer):
            return  # the list was cleared meanwhile: the next ping asks again
        if answer.found.ok:
            heard.member, heard.refused = Member(peer, heard.stake, answer.found.height), None
            heard.amount = answer.found.amount
        elif heard.refused != verdict:
            heard.refused = verdict
            self.ctx.note("stake.refused", peer=peer.hex()[:16], reason=verdict)

    @handles("endpoints_told")
    def on_endpoints(self) -> None:
        entry = self.ctx.input
        if isinstance(entry, Endpoints):
            self.ctx.fire("peer.Keepalive", to=entry.peer)

    def _answer(self) -> StakeAnswer | None:
        """Return the chain's answer at hand, unless that stake is the peer's no more."""
        answer = self.ctx.input
        if not isinstance(answer, StakeAnswer) or answer.peer not in self.heard:
            return None
        return answer if self.heard[answer.peer].stake == answer.stake else None

    def _is_fresh(self, sender: bytes, ping: Ping) -> bool:
        heard, now, skew = self.heard.get(sender), self.ctx.now, self.ctx.preset.clock_skew_s
        # A number is drawn from a clock: one of the future is of a clock that was wrong, and says
        # nothing about what a peer sends that was set right and started again.
        newer = heard is None or ping.sequence > heard.sequence or (
            heard.sequence > (now + skew) * 1000
        )
        return newer and abs(ping.time_ms / 1000 - now) <= skew

    def _proof_holds(self, sender: bytes, ping: Ping) -> bool:
        current = self.ctx.key
        if current is None:
            return True  # nothing can be proved yet
        # A peer that is an epoch behind, or ahead, proves the share that it has.
        key = self.ctx.epochs.get(ping.key_epoch, current)
        if ping.key_id != key.key_id or sender not in key.roster or ping.share_proof is None:
            return sender not in current.roster and (
                ping.share_proof is None or sender not in key.roster
            )
        now = self.ctx.round_number(), key.key_id, key.number
        if self._proved.get(sender) == now:
            return True  # the share does not go away within a round: one check is enough
        context = ping_proof_context(self.ctx.settings.network_id, sender, ping.sequence)
        holds = verify_share(key.public_share(sender), context, ping.share_proof)
        if holds:
            self._proved[sender] = now
        return holds

    def patience(self, peer: bytes) -> float:
        """Return how long a peer may be silent: one without a link here is heard once a round."""
        heard, preset = self.heard.get(peer), self.ctx.preset
        far = heard is not None and heard.relayed
        period = max(preset.ping_period_s, preset.round_period_s if far else 0)
        return period * preset.pings_missed_limit

    # --- who is there ---

    def members(self) -> tuple[Member, ...]:
        """Return the listed peers, this node among them, the oldest stake first."""
        listed = [
            h.member for p, h in self.heard.items() if h.member is not None and self.is_listed(p)
        ]
        return tuple(sorted(listed, key=lambda m: (m.height, m.node_id)))

    def staked(self) -> tuple[Member, ...]:
        """Return the peers whose stake held when the chain was last asked, also between rounds."""
        found = self.heard.values()
        return tuple(h.member for h in found if h.member is not None and h.refused is None)

    def is_staked(self, peer: bytes) -> bool:
        """Return whether a peer's stake held when the chain was last asked, however long the peer
        has been silent: one that speaks is there.
        """
        heard = self.heard.get(peer)
        return heard is not None and heard.member is not None and heard.refused is None

    def weight(self, peer: bytes) -> int:
        """Return the amount of a peer's stake, in base units; nothing if none is proved."""
        return self.heard[peer].amount if self.is_staked(peer) else 0

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
        if heard.refused is not None:
            return f"its stake is refused ({heard.refused}): mend its stake"
        if heard.member is None:
            return "its stake is not proved yet: wait until `status` lists it"
        return None

    def report(self) -> list[dict[str, Any]]:
        """Return the peers as this node sees them, for the operator."""
        return [
            {
                "node_id": peer.hex(),
                "listing": self._listing(peer),
                "phase": heard.phase,
                "health": heard.health,
                "standing": self.blocks.standing(peer),
                "stake": str(heard.stake),
                "last_ping_s": round(self.ctx.steady - heard.at, 1),
                "linked": peer in self.ctx.links,
                "self": peer == self.ctx.me,
            }
            for peer, heard in sorted(self.heard.items())
        ]

    def _listing(self, peer: bytes) -> str:
        return self.ctx.state("ping", peer)
