"""The whole node without sockets, files or a clock: inputs in, effects out.

The shell calls one ``on_…`` method per input, then takes the effects and carries them out in their
order: flush the writes, append the trace, send, call. The same core runs on real sockets and in the
simulator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field

from metanode.chains.base import ChainUpdate
from metanode.custody.errors import LedgerMismatch
from metanode.custody.ledger import Ledger
from metanode.custody.types import Outpoint
from metanode.errors import Equivocation, PeerFault
from metanode.identity import Identity
from metanode.protocol.blame.book import BlameBook
from metanode.protocol.context import Context, Settings, outpoint_of, outpoint_ref
from metanode.protocol.events.coordinator import Coordinators, Task
from metanode.protocol.events.runs import Runs
from metanode.protocol.events.sessions import Sessions
from metanode.protocol.events.votes import VoteBook, frame_of
from metanode.protocol.keys.epoch_chain import EpochChain
from metanode.protocol.keys.keygen import Keygen
from metanode.protocol.operator_view import Events
from metanode.protocol.payouts.settlement import Settlement
from metanode.protocol.peers.peer_list import Pings
from metanode.protocol.report import report_of
from metanode.protocol.requests.expiry import Expiry
from metanode.protocol.requests.requests import Requests
from metanode.protocol.reshare.handover import Handover
from metanode.protocol.reshare.regroup import Regroups
from metanode.protocol.reshare.shown_locks import TakenOver
from metanode.protocol.restored import Memory
from metanode.protocol.rounds.candidate import Candidates
from metanode.protocol.rounds.inbox import Hearing
from metanode.protocol.rounds.round import Rounds
from metanode.protocol.tables.runner import Effects, Tables
from metanode.protocol.tables.view import NodeView
from metanode.protocol.wire.codec import Codec
from metanode.protocol.wire.envelope import Envelope
from spec import messages as m
from spec.protocol import PROTOCOL

FROM_ANYONE = (m.Ping, m.Keepalive)


@define
class NodeCore:
    """One node. ``entropy(n)`` gives n secret random octets; ``now`` is unix time in seconds."""

    settings: Settings
    identity: Identity
    entropy: Callable[[int], bytes] = field(repr=False)
    codec: Codec = field(factory=lambda: Codec(m.MESSAGES))
    ctx: Context = field(init=False)
    ledger: Ledger = field(init=False)
    candidates: Candidates = field(init=False)
    votes: VoteBook = field(init=False)
    pings: Pings = field(init=False)
    settlement: Settlement = field(init=False)
    requests: Requests = field(init=False)
    expiry: Expiry = field(init=False)
    hearing: Hearing = field(init=False)
    blames: BlameBook = field(init=False)
    runs: Runs = field(init=False)
    sessions: Sessions = field(init=False)
    keygen: Keygen = field(init=False)
    regroups: Regroups = field(init=False)
    handover: Handover = field(init=False)
    chain: EpochChain = field(init=False)
    coordinators: Coordinators = field(init=False)
    rounds: Rounds = field(init=False)
    events: Events = field(init=False)
    _round_seen: int = -1

    def __attrs_post_init__(self) -> None:
        tables = Tables(PROTOCOL, NodeView(PROTOCOL))
        ctx = self.ctx = Context(self.settings, self.identity, self.codec, tables, self.entropy)
        self.ledger = Ledger(self.settings.custody)
        self.candidates = Candidates(ctx, self.ledger)
        self.votes = VoteBook(ctx)
        self.pings = Pings(ctx)
        self.settlement = Settlement(ctx, self.candidates)
        self.requests = Requests(ctx, self.settlement, self.pings.members, self.pings.stake_fault)
        self.expiry = Expiry(ctx, self.settlement, self.requests)
        self.hearing = Hearing(ctx)
        self.keygen = Keygen(
            ctx,
            self.pings.members,
            self.settlement.create,
            lambda: bool(self.requests.open("keygen")),
        )
        self.regroups = Regroups(ctx, self.pings.staked, self.requests, self.settlement.create)
        self.handover = self.regroups.handover = Handover(
            ctx,
            self.votes,
            self.settlement.locks_to_show,
            self.settlement.create,
            self.regroups.wanted,
        )
        self.chain = EpochChain(
            ctx,
            self.handover,
            self.settlement.create,
            self.keygen.announce_to,
            lambda: self.keygen.announcement,
        )
        self.blames = BlameBook(ctx, self.pings)
        self.runs = Runs(
            ctx,
            self.hearing,
            self.settlement,
            self.keygen,
            self.regroups,
            self.requests,
            self.blames,
        )
        self.sessions = self.runs.sessions
        self.coordinators = Coordinators(
            ctx,
            self.votes,
            self._task,
            self.settlement.prepare,
            self.settlement.lock_of,
            self.settlement.recover,
            self.runs.begin_task,
            self.sessions.silences,
        )
        self.rounds = Rounds(
            ctx,
            self.hearing,
            self.candidates,
            self.votes,
            self.settlement.locks,
            self.settlement.open_payout,
            self.settlement.prepare,
            self.settlement.recover,
            self.runs.begin_round,
            self.sessions.drop,
        )
        self.runs.finished = self.rounds.finished
        self.events = Events(ctx, self.expiry, self.regroups, self.votes, self.coordinators)

    # --- inputs ---

    def start(self, now: float, memory: Memory) -> None:
        """Begin with what the store holds: sessions are lost, locks are not."""
        ctx = self.ctx
        ctx.now = now
        for cell, values in memory.cells.items():
            for index, value in values.items():
                ctx.tables.view.put(cell, index, value)
        self.rounds.began_in = ctx.round_number()
        self.pings.blocks = dict(memory.blocks)
        self.blames.lists, self.blames.bans = dict(memory.blames), dict(memory.bans)
        found = self.requests.restore(memory.requests, memory.signatures)
        self.settlement.restore(list(memory.locks), found)
        for (_, event), status in ctx.tables.view.entries("status"):
            if status == "IN_PROGRESS" and isinstance(event, bytes):
                self.settlement.recover(event)
        for (_, slot), state in ctx.tables.view.entries("key"):
            if state == "generating" and isinstance(slot, int):
                self.keygen.failed(slot)
        self.keygen.restore(list(memory.keys), memory.announcement)
        for signature in memory.signatures:
            self.chain.remember(signature)
        self.chain.restore()
        self.handover.restore(list(memory.epochs), self.chain.successors())
        ctx.note("node.started", node_id=ctx.me.hex(), has_key=ctx.key is not None)

    def on_tick(self, now: float) -> None:
        """Move with the clock."""
        ctx = self.ctx
        ctx.now = now
        number = ctx.round_number()
        if number != self._round_seen:
            self._boundary(number)
        self.pings.tick()
        self.handover.tick()
        self.regroups.settle_requests()
        self.expiry.tick()
        due = (self.keygen.tick(), self.regroups.due(), self.handover.due())
        for task in (*due, *self.requests.tick()):
            if task is not None:
                self.coordinators.propose(task)
        self.coordinators.tick()
        self.sessions.tick()
        self.rounds.tick()
        self.settlement.tick()

    def on_link(self, peer: bytes, up: bool) -> None:
        """A link to a peer was established, or ended."""
        if not up:
            self.ctx.links.discard(peer)
            return
        self.ctx.links.add(peer)
        self.keygen.on_link(peer)
        self.handover.on_link(peer)
        self.settlement.announce_to(peer)
        self.requests.announce_to(peer)
        self.expiry.announce_to(peer)
        self._publish(self.candidates.seen_by(self.ctx.me)[-m.TRANSFERS_LIMIT :], to=peer)

    def on_message(self, now: float, sender: bytes, message: Any, envelope: Envelope) -> None:
        """Take a message that ``sender`` signed; raises PeerFault when it must not have sent it."""
        self.ctx.now = now
        self.ctx.frame = envelope.raw
        try:
            self._dispatch(sender, message, envelope)
        except Equivocation as fault:
            if not self.pings.is_blocked(sender):
                self.pings.block(sender, fault.reason, fault.frames)
            raise
        self.rounds.tick()

    def on_chain(self, now: float, update: ChainUpdate, sightings: Sequence[Outpoint]) -> None:
        """Take new blocks and unconfirmed deposits of the custody address."""
        self.ctx.now = now
        news = [o for o in sightings if self.candidates.note_seen(o, self.ctx.me)]
        self._publish(news)
        try:
            for block_hash in update.disconnected:
                self.settlement.disconnected(self.ledger.disconnect(block_hash))
            for block in update.connected:
                self.ledger.connect(block)
                self.settlement.connected(block)
        except LedgerMismatch as fault:
            self.ctx.note("chain.reindex", reason=str(fault))
            self.ctx.call("reindex")
            return
        self.settlement.resume()

    def reset_ledger(self) -> None:
        """Forget the chain index; the shell scans the chain again."""
        self.ledger = self.candidates.ledger = Ledger(self.settings.custody)

    def on_stake(self, now: float, peer: bytes, stake: Outpoint, reason: str, height: int) -> None:
        """Take the chain's answer about a stake."""
        self.ctx.now = now
        self.pings.on_stake(peer, stake, reason, height)

    def on_payout(self, now: float, event: bytes, state: str) -> None:
        """Take the chain's answer about a payout."""
        self.ctx.now = now
        self.settlement.on_status(event, state)

    def take(self) -> Effects:
        """Return the effects since the last call."""
        effects = self.ctx.tables.take()
        for write in effects.writes:
            if isinstance(write.attachment, m.LockedCandidate):
                self.settlement.note_lock(write.attachment)
            elif isinstance(write.attachment, TakenOver):
                self.settlement.note_lock(write.attachment.candidate)
            elif isinstance(write.attachment, m.SignatureFound):
                self.chain.remember(write.attachment)
        return effects

    # --- messages ---

    def _is_member(self, sender: bytes) -> bool:
        """Return whether a node may take part: it holds a share, or may get one."""
        key = self.ctx.key
        if key is None:
            return self.pings.is_listed(sender)
        return sender in key.roster or sender in self.regroups.parties()

    def _dispatch(self, sender: bytes, message: Any, envelope: Envelope) -> None:
        if not isinstance(message, FROM_ANYONE) and not self._is_member(sender):
            # A stranger may ping, gossip, and show what the key itself has signed: who was away
            # for long knows none of today's holders.
            if isinstance(message, m.SignatureFound) and self.pings.is_listed(sender):
                self.chain.on_signature(message)
            return
        match message:
            case m.Ping():
                self.pings.on_ping(sender, message)
                self.chain.on_ping(sender, message)
            case m.Release() | m.Step():
                self.sessions.receive(sender, message)
            case m.Offer():
                self.hearing.on_offer(sender, message)
            case m.Proposal():
                self.hearing.on_proposal(sender, message)
            case m.SigningSet():
                self.hearing.on_set(sender, message)
            case m.Vote():
                self._on_vote(sender, message, envelope)
            case m.Setup():
                self.requests.tell(sender, message.event)
                self.coordinators.on_setup(sender, message)
            case m.Begin():
                self.coordinators.on_begin(sender, message)
            case m.Publish():
                self._on_publish(sender, message)
            case m.SignatureFound():
                self._on_signature(sender, message)
            case m.Confirmation():
                self.keygen.on_confirmation(sender, message, envelope.signature)
            case m.Confirmations():
                self.keygen.on_confirmations(sender, message)
            case m.KeyLocked():
                self._on_key_locked(sender, message)
            case m.SharePrepared():
                self.handover.on_prepared(sender, message, envelope.signature)
            case m.LockShown():
                self.handover.books.on_lock_shown(sender, message)
            case m.HandedOver():
                self.handover.on_handed_over(sender, message)
            case m.Missed():
                self.regroups.on_missed(sender, message)
            case m.Renounced():
                self.expiry.on_renounced(sender, message)
            case m.Keepalive():
                self.ctx.call("keepalive", peer=sender, endpoints=message.endpoints)
            case _:
                raise PeerFault("a message that does not belong inside an envelope", sender)

    def _on_vote(self, sender: bytes, vote: m.Vote, envelope: Envelope) -> None:
        limit = self.ctx.round_number() + 1
        if self.ctx.key is not None and not limit - 3 <= vote.attempt <= limit:
            return
        earlier = self.votes.add(sender, vote, envelope.signature)
        if earlier is not None:
            first = frame_of(self.codec, earlier[0], sender, earlier[1].signature)
            frames = (first, envelope.raw)
            raise Equivocation("two votes in one attempt", sender, frames)
        self.coordinators.on_vote(vote)

    def _on_publish(self, sender: bytes, message: m.Publish) -> None:
        self.ctx.tables.view.deliver("published", sender)
        for reference in message.seen:
            self.candidates.note_seen(outpoint_of(reference), sender)

    def _publish(self, outpoints: Sequence[Outpoint], to: bytes | None = None) -> None:
        if outpoints:
            message = m.Publish(tuple(outpoint_ref(o) for o in outpoints[: m.TRANSFERS_LIMIT]))
            self.ctx.tables.fire(
                "peer", "Publish", p=self.ctx.me, carry={"published": [(to, message)]}
            )

    def _on_signature(self, sender: bytes, message: m.SignatureFound) -> None:
        if self.chain.on_signature(message):
            return
        if message.event == self.keygen.lock_in and self.ctx.key is None:
            self.runs.on_lock_in(message)
            return
        if self.requests.concerns(message):
            self.requests.on_signature(sender, message)
            return
        document = self.settlement.on_signature(sender, message)
        if document is not None:
            self.rounds.finished(document.event, document.digest)

    def _on_key_locked(self, sender: bytes, message: m.KeyLocked) -> None:
        mine = self.keygen.on_key_locked(sender, message)
        if mine is not None:
            self.runs.lock_in(*mine, ())

    def _task(self, purpose: str, event: bytes, attempt: int) -> Task | None:
        """Return an attempt as this node itself would set it up (F-17)."""
        for part in (self.keygen, self.regroups, self.handover, self.requests):
            task = part.task(purpose, event, attempt)
            if task is not None:
                return task
        return None

    # --- the clock ---

    def _boundary(self, number: int) -> None:
        self._round_seen = number
        self.requests.boundary(number)
        if self.ctx.key is not None:
            self.pings.boundary()
        self.keygen.show_all()
        slot, lock_in = self.ctx.keygen_slot(), self.keygen.lock_in
        rounds_only = self.ctx.key is not None
        self.votes.forget(
            lambda event, attempt: (
                attempt >= (number if rounds_only or event == lock_in else slot) - 2
            )
        )
        limits = {"keygen": slot, "lock_in": number, "sign": number}
        limits |= {"regroup": number - 1, "succession": number}
        for task in self.coordinators.overdue(limits):
            waited_for = self.runs.give_up(task.purpose, task.event, task.attempt)
            if task.purpose == "regroup":
                voted = self.votes.of(task.event, task.attempt)
                silent = [member for member in task.members if member not in voted]
                self.regroups.failed(task.attempt, silent or waited_for)
        self.expiry.boundary(number)

    def report(self) -> dict[str, Any]:
        """Return the node's state as plain values: no secrets."""
        return report_of(self)
