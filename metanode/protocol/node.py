"""The whole node without sockets, files or a clock: inputs in, effects out.

The shell calls one ``on_…`` method per input, then takes the effects and carries them out in their
order: flush the writes, append the trace, send, call. The same core runs on real sockets and in the
simulator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from metanode.chains.base import ChainUpdate
from metanode.custody.errors import LedgerMismatch
from metanode.custody.ledger import Ledger
from metanode.custody.payout import PayoutDocument
from metanode.custody.types import Outpoint
from metanode.errors import Equivocation, PeerFault
from metanode.protocol.candidate import Candidates
from metanode.protocol.codec import Codec
from metanode.protocol.context import Context, Settings, keygen_event, outpoint_of, outpoint_ref
from metanode.protocol.coordinator import Coordinators, Task
from metanode.protocol.envelope import Envelope
from metanode.protocol.identity import Identity
from metanode.protocol.keygen import Keygen, StoredKey
from metanode.protocol.machine import Effects, Tables, TransitionError
from metanode.protocol.ping import Evidence, Pings
from metanode.protocol.round import Rounds
from metanode.protocol.session import Run, Sessions, instance_of, lane_nonce
from metanode.protocol.settlement import Settlement
from metanode.protocol.view import NodeView
from metanode.protocol.votes import VoteBook, frame_of
from metanode.tss.keygen import KeygenSession
from metanode.tss.sign import Signature, SignSession
from metanode.tss.verify import verify_signature
from spec import messages as m
from spec.interpreter import Index, Value
from spec.protocol import PROTOCOL

SEEN_LIMIT = 8192


@frozen(kw_only=True)
class Memory:
    """What a node brings with it from its store when it starts."""

    cells: Mapping[str, Mapping[Index, Value]] = field(factory=dict)
    keys: Sequence[StoredKey] = ()
    announcement: m.KeyLocked | None = None
    locks: Sequence[m.LockedCandidate] = ()
    signatures: Sequence[m.SignatureFound] = ()
    blocks: Mapping[bytes, Evidence] = field(factory=dict)


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
    sessions: Sessions = field(init=False)
    keygen: Keygen = field(init=False)
    coordinators: Coordinators = field(init=False)
    rounds: Rounds = field(init=False)
    _round_seen: int = -1

    def __attrs_post_init__(self) -> None:
        tables = Tables(PROTOCOL, NodeView(PROTOCOL))
        ctx = self.ctx = Context(self.settings, self.identity, self.codec, tables, self.entropy)
        self.ledger = Ledger(self.settings.custody)
        self.candidates = Candidates(ctx, self.ledger)
        self.votes = VoteBook(ctx)
        self.pings = Pings(ctx)
        self.settlement = Settlement(ctx, self.candidates)
        self.sessions = Sessions(ctx, self._on_result, self._on_abort)
        self.keygen = Keygen(ctx, self.pings.members, self.settlement.create)
        self.coordinators = Coordinators(
            ctx,
            self.votes,
            self.keygen.task,
            self.settlement.prepare,
            self.settlement.lock_of,
            self._begin_task,
        )
        self.rounds = Rounds(
            ctx,
            self.candidates,
            self.votes,
            self.settlement.locks,
            self.settlement.open_payout,
            self.settlement.prepare,
            self.settlement.recover,
            self._begin_round,
            self.sessions.drop,
        )

    # --- inputs
    # --------------------------------------------------------------------------------------

    def start(self, now: float, memory: Memory) -> None:
        """Begin with what the store holds: sessions are lost, locks are not."""
        ctx = self.ctx
        ctx.now = now
        for cell, values in memory.cells.items():
            for index, value in values.items():
                ctx.tables.view.put(cell, index, value)
        self.rounds.began_in = ctx.round_number()
        self.pings.blocks = dict(memory.blocks)
        self.settlement.restore(list(memory.locks), list(memory.signatures))
        for (_, event), status in ctx.tables.view.entries("status"):
            if status == "IN_PROGRESS" and isinstance(event, bytes):
                self.settlement.recover(event)
        for (_, slot), state in ctx.tables.view.entries("key"):
            if state == "generating" and isinstance(slot, int):
                self.keygen.failed(slot)
        self.keygen.restore(list(memory.keys), memory.announcement)
        ctx.note("node.started", node_id=ctx.me.hex(), has_key=ctx.key is not None)

    def on_tick(self, now: float) -> None:
        """Move with the clock."""
        ctx = self.ctx
        ctx.now = now
        number = ctx.round_number()
        if number != self._round_seen:
            self._boundary(number)
        self.pings.tick()
        self._end_old_keygen()
        task = self.keygen.tick()
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
        self.settlement.announce_to(peer)
        mine = [o for o, witnesses in self.candidates.seen.items() if self.ctx.me in witnesses]
        self._publish(mine[-m.TRANSFERS_LIMIT :], to=peer)

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
        return effects

    # --- messages
    # ------------------------------------------------------------------------------------

    def _dispatch(self, sender: bytes, message: Any, envelope: Envelope) -> None:
        match message:
            case m.Ping():
                self.pings.on_ping(sender, message)
                if self.ctx.key is not None and message.key_id is None:
                    self.keygen.announce_to(sender)
            case m.Release() | m.Step():
                self.sessions.receive(sender, message)
            case m.Offer():
                self.rounds.on_offer(sender, message)
            case m.Proposal():
                self.rounds.on_proposal(sender, message)
            case m.SigningSet():
                self.rounds.on_set(sender, message)
            case m.Vote():
                self._on_vote(sender, message, envelope)
            case m.Setup():
                self.coordinators.on_setup(sender, message)
            case m.Begin():
                self.coordinators.on_begin(sender, message)
            case m.Publish():
                self._on_publish(sender, message)
            case m.SignatureFound():
                self._on_signature(message)
            case m.Confirmation():
                self.keygen.on_confirmation(sender, message, envelope.signature)
            case m.KeyLocked():
                self._on_key_locked(sender, message)
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
            frames = (frame_of(self.codec, *earlier), envelope.raw)
            raise Equivocation("two votes in one attempt", sender, frames)
        self.coordinators.on_vote(vote)

    def _on_publish(self, sender: bytes, message: m.Publish) -> None:
        self.ctx.tables.view.deliver("published", sender)
        for reference in message.seen:
            self.candidates.note_seen(outpoint_of(reference), sender)
        while len(self.candidates.seen) > SEEN_LIMIT:
            self.candidates.seen.pop(next(iter(self.candidates.seen)))

    def _publish(self, outpoints: Sequence[Outpoint], to: bytes | None = None) -> None:
        if outpoints:
            message = m.Publish(tuple(outpoint_ref(o) for o in outpoints[: m.TRANSFERS_LIMIT]))
            self.ctx.tables.fire(
                "peer", "Publish", p=self.ctx.me, carry={"published": [(to, message)]}
            )

    def _on_signature(self, message: m.SignatureFound) -> None:
        if message.event == self.keygen.lock_in and self.ctx.key is None:
            for key in self.keygen.certified():
                if message.signatures:
                    rs = message.signatures[0].rs
                    self._lock_in(
                        key,
                        int.from_bytes(rs[:32], "big"),
                        int.from_bytes(rs[32:], "big"),
                        message.signers,
                    )
            return
        document = self.settlement.on_signature(message)
        if document is not None:
            self.rounds.finished(document.event, document.digest)

    def _on_key_locked(self, sender: bytes, message: m.KeyLocked) -> None:
        mine = self.keygen.on_key_locked(sender, message)
        if mine is not None:
            self._lock_in(*mine, ())

    # --- sessions
    # ------------------------------------------------------------------------------------

    def _begin_round(self, certificate: m.Certificate, document: PayoutDocument) -> Run:
        ctx, key = self.ctx, self.ctx.epoch
        members = tuple(vote.voter for vote in certificate.votes)
        ctx.tables.fire(
            "session",
            "Certified",
            p=ctx.me,
            e=document.event,
            a=certificate.attempt,
            d=document.digest,
            given={"is_member": ctx.me in members},
        )
        instance = instance_of(document.event, certificate.attempt, document.digest, members)
        signers = [key.index_of(member) for member in members]
        lanes = tuple(
            SignSession(key.keyshare, signers, digest, lane_nonce(instance, lane), self.entropy)
            for lane, digest in enumerate(document.sighashes())
        )
        run = Run(
            "payout",
            document.event,
            certificate.attempt,
            document.digest,
            members,
            key.roster,
            key.quorum,
            lanes,
        )
        ctx.note(
            "round.signing",
            round=certificate.attempt,
            inputs=len(lanes),
            signers=[member.hex()[:16] for member in members],
        )
        self.sessions.begin(run)
        return run

    def _begin_task(self, task: Task, certificate: m.Certificate) -> None:
        members = tuple(vote.voter for vote in certificate.votes)
        instance = instance_of(task.event, task.attempt, task.digest, members)
        me, roster = self.ctx.me, task.members
        lane: KeygenSession | SignSession
        if task.purpose == "keygen":
            self.keygen.begin(task)
            parties = list(range(1, len(roster) + 1))
            lane = KeygenSession(
                roster.index(me) + 1,
                parties,
                task.quorum.threshold,
                instance,
                roster,
                task.key_epoch,
                self.entropy,
            )
        else:
            key = self.keygen.key_of(task.digest)
            if key is None:
                return
            signers = [roster.index(member) + 1 for member in members]
            lane = SignSession(
                key.keyshare, signers, task.digest, lane_nonce(instance, 0), self.entropy
            )
        self.ctx.note("session.begun", purpose=task.purpose, attempt=task.attempt)
        self.sessions.begin(
            Run(
                task.purpose,
                task.event,
                task.attempt,
                task.digest,
                members,
                roster,
                task.quorum,
                (lane,),
            )
        )

    def _on_result(self, run: Run) -> None:
        results = run.results or ()
        if run.purpose == "keygen":
            self.keygen.made(run.attempt, results[0])
            self._finish(run, True)
            self.ctx.tables.fire(
                "event", "KeyMade", p=self.ctx.me, e=run.event, given={"key_made": True}
            )
        elif run.purpose == "lock_in":
            key = self.keygen.key_of(run.digest)
            if key is not None:
                self._finish(run, True)
                self._lock_in(key, results[0].r, results[0].s, run.members)
        else:
            self._on_payout_result(run, results)

    def _on_payout_result(self, run: Run, results: Sequence[Signature]) -> None:
        document = self.candidates.rebuild(self._document_of(run), spent_too=True)
        pairs = tuple((signature.r, signature.s) for signature in results)
        if document is None or not self.settlement.signed(document, run.members, pairs):
            self.ctx.note("round.result_unusable", event_id=run.event.hex()[:16])
            return
        self._finish(run, True)
        self.rounds.finished(run.event, run.digest)

    def _document_of(self, run: Run) -> bytes:
        candidate = self.settlement.lock_of(run.event)
        if candidate is not None and candidate.certificate.digest == run.digest:
            return candidate.document
        book = self.rounds.book(run.attempt)
        return book.document.encode() if book.document is not None else b""

    def _finish(self, run: Run, valid: bool) -> None:
        self.ctx.tables.fire(
            "session",
            "Finish",
            p=self.ctx.me,
            e=run.event,
            a=run.attempt,
            d=run.digest,
            given={"result_valid": valid},
        )
        self.ctx.note(
            "session.finished",
            purpose=run.purpose,
            attempt=run.attempt,
            seconds=round(self.ctx.now - run.started, 3),
        )

    def _lock_in(self, key: StoredKey, r: int, s: int, signers: Sequence[bytes]) -> None:
        from metanode.protocol.keygen import lock_in_digest

        ctx, event = self.ctx, self.keygen.lock_in
        digest = lock_in_digest(self.settings.network_id, key)
        if ctx.key is not None or not verify_signature(key.keyshare.public_key, digest, r, s):
            return
        if ctx.tables.state("keygen", ctx.me, key.slot) != "certified_by_all":
            return
        self.settlement.create(event)
        rs = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        found = m.SignatureFound(
            event, key.keyshare.public_key, tuple(signers), (m.EcdsaSignature(rs),)
        )
        if self.settlement.status(event) != "SUCCESS":
            ctx.tables.fire(
                "event",
                "Signature",
                p=ctx.me,
                e=event,
                d=digest,
                given={"signature_valid": True},
                carry={"announced": found, "signature_kept": found},
            )
        self.keygen.lock(key, Signature(r, s, 0))

    def _on_abort(self, run: Run) -> None:
        ctx, abort = self.ctx, run.abort
        culprits = [run.roster[i - 1] for i in abort.culprits] if abort else []
        ctx.note(
            "session.aborted",
            purpose=run.purpose,
            attempt=run.attempt,
            kind=abort.kind if abort else "timeout",
            culprits=[culprit.hex()[:16] for culprit in culprits],
        )
        if abort is not None and abort.ban:
            for culprit in culprits:
                self.pings.ban(culprit)
        try:
            ctx.tables.fire("event", "ProtocolError", p=ctx.me, e=run.event)
        except TransitionError:
            ctx.note("event.over", event_id=run.event.hex()[:16])
        if run.purpose == "keygen":
            self.keygen.failed(run.attempt)

    # --- the clock
    # -----------------------------------------------------------------------------------

    def _boundary(self, number: int) -> None:
        self._round_seen = number
        if self.ctx.key is not None:
            self.pings.boundary()
        slot = self.ctx.keygen_slot()
        self.coordinators.forget({"keygen": slot - 1, "lock_in": number - 1})

    def _end_old_keygen(self) -> None:
        ctx, slot = self.ctx, self.ctx.keygen_slot()
        event = keygen_event(self.settings.network_id, slot - 1)
        run = self.sessions.running(event)
        if run is not None:
            self.sessions.drop(event, run.attempt)
            self.keygen.failed(run.attempt)
        if self.settlement.status(event) == "IN_PROGRESS":
            self.settlement.recover(event)

    # --- for the operator
    # ----------------------------------------------------------------------------

    def report(self) -> dict[str, Any]:
        """Return the node's state as plain values: no secrets."""
        ctx, key = self.ctx, self.ctx.key
        tip = self.ledger.tip
        swaps = [
            {"swap": swap.hex(), "state": state}
            for (_, swap), state in ctx.tables.view.entries("swap")
            if isinstance(swap, bytes)
        ]
        return {
            "node_id": ctx.me.hex(),
            "phase": self.rounds.phase(),
            "round": ctx.round_number(),
            "links": sorted(peer.hex() for peer in ctx.links),
            "peers": self.pings.report(),
            "key": None
            if key is None
            else {
                "slot": key.slot,
                "epoch": key.number,
                "key_id": key.key_id.hex(),
                "public_key": key.public_key.hex(),
                "threshold": key.quorum.threshold,
                "roster": [member.hex() for member in key.roster],
            },
            "keys": self.keygen.status(),
            "payouts": self.settlement.report(),
            "swaps": swaps,
            "chain": None if tip is None else {"height": tip[0], "block": tip[1].hex()},
        }
