"""The whole node without sockets, files or a clock: inputs in, effects out.

The shell calls one ``on_…`` method per input, then takes the effects and carries them out in their
order: flush the writes, append the trace, send, ask. The same core runs on real sockets and in the
simulator. What an input may do is not written here: :meth:`NodeCore.take_in` runs the text of
``spec/inputs.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import evolve

from metanode.chains.base import ChainUpdate, StakeVerdict, TxState
from metanode.custody.ledger import Ledger
from metanode.custody.types import Outpoint
from metanode.errors import Equivocation, Malformed, MetanodeError, PeerFault
from metanode.identity import Identity
from metanode.protocol import inputs
from metanode.protocol.blame.book import Ban, BlameBook
from metanode.protocol.clock import ClockWatch
from metanode.protocol.context import Context, Settings
from metanode.protocol.events.coordinator import Coordinators
from metanode.protocol.events.event_book import EventBook
from metanode.protocol.events.inquiry import Inquiry
from metanode.protocol.events.lapses import Lapses
from metanode.protocol.events.purpose import Purposes
from metanode.protocol.events.sessions import Sessions
from metanode.protocol.events.signatures import Signatures
from metanode.protocol.events.votes import VoteBook
from metanode.protocol.keys.epoch_chain import EpochChain
from metanode.protocol.keys.keygen import Keygen
from metanode.protocol.keys.lock_in import LockIn
from metanode.protocol.links import handshake  # noqa: F401 - what it declares counts below
from metanode.protocol.operator_view import OperatorView, periods
from metanode.protocol.payouts.payouts import Payouts
from metanode.protocol.payouts.releases import Releases
from metanode.protocol.payouts.swaps import Swaps
from metanode.protocol.payouts.waiting import Waiting
from metanode.protocol.payouts.windows import Windows
from metanode.protocol.peers.block_list import BlockList
from metanode.protocol.peers.crawler import Crawler
from metanode.protocol.peers.flood import Flood
from metanode.protocol.peers.mesh import Circle
from metanode.protocol.peers.peer_list import PeerList
from metanode.protocol.peers.stakes import Stakes
from metanode.protocol.requests.expiry import Expiry
from metanode.protocol.requests.request import Request
from metanode.protocol.requests.requests import Requests
from metanode.protocol.reshare.attendance import Attendances
from metanode.protocol.reshare.complaints import Complaints
from metanode.protocol.reshare.drafts import Drafts
from metanode.protocol.reshare.handover import Handover
from metanode.protocol.reshare.plans import Plans
from metanode.protocol.reshare.regroup import Regroups
from metanode.protocol.reshare.wishes import Wishes
from metanode.protocol.restored import Restored
from metanode.protocol.rounds.candidate import Candidates
from metanode.protocol.rounds.inbox import Inbox
from metanode.protocol.rounds.round import Rounds
from metanode.protocol.tables.effects import Effects
from metanode.protocol.tables.registry import ADMISSION, STEP, check_complete, homes_in
from metanode.protocol.tables.runner import Tables, TransitionError
from metanode.protocol.tables.turn import Turn
from metanode.protocol.tables.view import NodeView
from metanode.protocol.wire.codec import Codec
from metanode.protocol.wire.envelope import Envelope, open_parsed, parse_envelope
from spec import messages as m
from spec.inputs import INPUTS, PASSED_ON
from spec.protocol import PROTOCOL

check_complete()  # every fact, message, step and admission has its home, or nothing starts


class NodeCore:
    """One node. ``entropy(n)`` gives n secret random octets; ``now`` is unix time in seconds."""

    def __init__(
        self, settings: Settings, identity: Identity, entropy: Callable[[int], bytes]
    ) -> None:
        """Put the cores together, each after those that it builds on."""
        self.settings, self.codec = settings, Codec(m.MESSAGES)
        tables = Tables(PROTOCOL, NodeView(PROTOCOL))
        ctx = self.ctx = Context(settings, identity, self.codec, tables, entropy)
        purposes = Purposes(ctx)
        book = self.book = EventBook(ctx, purposes)
        self.votes, self.blocks, self.inbox = VoteBook(ctx), BlockList(ctx), Inbox(ctx)
        self.blames = BlameBook(ctx, self.blocks)
        self.windows = Windows(ctx, Ledger(settings.custody), book)
        self.stakes = Stakes(ctx, lambda: self.windows.ledger)
        self.peers = PeerList(ctx, self.blocks, self.stakes)
        self.flood = Flood(ctx, book, self.peers)
        self.candidates = Candidates(ctx, self.windows, self.stakes)
        self.sessions = Sessions(ctx, book, purposes, self.blames)
        self.coordinators = Coordinators(ctx, book, self.votes, purposes, self.sessions)
        self.signatures = Signatures(ctx, book, purposes)
        self.requests = Requests(ctx, book, self.peers)
        self.expiry = Expiry(ctx, book, self.requests)
        self.keygen = Keygen(ctx, book, self.peers, self.requests)
        self.lock_in = LockIn(ctx, book, self.keygen)
        self.wishes = Wishes(ctx, self.requests)
        self.drafts = Drafts(ctx, self.wishes)
        self.handover = Handover(ctx, book, self.votes, self.wishes, self.drafts)
        self.attendance = Attendances(ctx, self.peers, self.stakes, self.wishes)
        self.plans = Plans(ctx, self.peers, self.stakes, self.attendance, self.wishes)
        self.complaints = Complaints(ctx, self.sessions, self.coordinators, self.blames)
        self.regroups = Regroups(
            ctx, book, self.wishes, self.handover, self.plans, self.complaints
        )
        self.chain = EpochChain(ctx, book, self.handover, self.keygen)
        self.payouts = Payouts(ctx, book, self.candidates, self.inbox)
        self.waiting = Waiting(ctx, self.candidates, self.payouts)
        self.releases = Releases(ctx, self.candidates, self.requests)
        self.swaps = Swaps(ctx, self.candidates)
        self.rounds = Rounds(
            ctx, book, self.votes, self.inbox, self.candidates, self.payouts, self.waiting,
            self.sessions,
        )
        self.clock = ClockWatch(ctx)
        self.crawler = Crawler(ctx, self.peers)
        self.inquiry = Inquiry(
            ctx, book, self.votes, self.coordinators, self.inbox, self.crawler
        )
        self.lapses = Lapses(ctx, book, purposes, self.coordinators, self.requests)
        for purpose in (
            self.keygen, self.lock_in, self.regroups, self.handover, self.requests, self.payouts
        ):
            purposes.add(purpose)
        self.operator_view = OperatorView(self)
        cores = (*vars(self).values(), self.handover.books)
        homes = [home for core in cores for home in homes_in(core)]
        self._steps = {name: method for kind, name, method in homes if kind == STEP}
        self._admissions = {name: method for kind, name, method in homes if kind == ADMISSION}

    # --- inputs ---

    def take_in(self, now: float, entry: inputs.Input) -> None:
        """Run the text of an input: who may send it, its window, its admission, its steps.

        Raises PeerFault when the message must not have been sent, and the first TransitionError of
        a step that tried what its table does not allow; the other steps run all the same.
        """
        ctx, text = self.ctx, INPUTS[entry.kind]
        ctx.at(now, entry)
        fault: MetanodeError | None = None
        if isinstance(entry, inputs.Received):
            if not (self._may_send(text.sender, entry) and self._in_window(text.window, entry)):
                self.flood.took(entry, counted=False)
                return
            try:
                if not self._admissions[entry.kind](entry.sender, entry.message):
                    self.flood.took(entry, counted=False)
                    return
                if not entry.waits:
                    ctx.hear(entry.message, entry.sender)
            except Equivocation as found:
                entry.evidence = fault = found
        turn = ctx.tables.turn = Turn(text)
        for number, name in enumerate(text.names):
            turn.begin(number)
            try:
                self._steps[name]()
            except (TransitionError, PeerFault) as found:
                fault = fault or found
        ctx.tables.turn = None
        if isinstance(entry, inputs.Received):
            self.flood.took(entry, counted=fault is None)
        if fault is not None:
            raise fault

    def _may_send(self, rule: str, entry: inputs.Received) -> bool:
        """Return whether a message's sender may send it: the rules of ``spec.inputs.SENDERS``."""
        key, sender = self.ctx.key, entry.sender
        holder = key is not None and sender in key.roster
        if rule in ("anyone", "holder"):
            return rule == "anyone" or (holder and sender != self.ctx.me)
        if key is not None and (
            holder or sender in self.wishes.parties() or sender in self.plans.parties()
        ):
            return True
        open_to_all = rule == "staked" or key is None
        return open_to_all and self.peers.is_staked(sender) and not self.blocks.is_blocked(sender)

    def _in_window(self, rule: str, entry: inputs.Received) -> bool:
        """Return whether a message comes in time: the rules of ``spec.inputs.WINDOWS``."""
        now, preset = self.ctx.round_number(), self.ctx.preset
        if rule == "round":
            return bool(0 <= entry.message.round - now <= preset.rounds_buffered)
        if rule == "attempt" and self.ctx.key is not None:
            ahead, back = preset.rounds_buffered, preset.attempts_kept
            return bool(-back <= entry.message.attempt - now <= ahead)
        return True

    def start(
        self, now: float, restored: Restored, steady: float | None = None,
        before: NodeCore | None = None,
    ) -> None:
        """Begin with what the store holds: sessions are lost, locks are not.

        ``steady`` is the steady clock's reading; ``before`` the core that ran until the wall clock
        went back.
        """
        ctx = self.ctx
        ctx.tell_time(now, steady)
        if before is not None:
            self.rounds.spoken |= before.rounds.spoken
            self.clock = evolve(before.clock, ctx=ctx)
        self.clock.begin(now, ctx.steady)
        for cell, values in restored.cells.items():
            for index, value in values.items():
                ctx.tables.view.put(cell, index, value)
        self.rounds.began_in = ctx.round_number()
        self.blocks.restore(restored.blocks)
        shares = (*restored.keys, *restored.epochs)
        self.blames.restore(restored.blames, restored.bans, shares)
        self.requests.restore(restored.requests)
        self.attendance.restore(ctx.steady, restored.attested)
        self.keygen.restore(restored.keys, restored.announcement)
        self.chain.restore(restored.signatures)
        self.handover.restore(restored.epochs, self.chain.successors())
        self.book.restore(restored.locks, restored.signatures)
        self.lapses.restore()
        self.take_in(now, inputs.Start())
        ctx.note(
            "node.started", node_id=ctx.me.hex(), has_key=ctx.key is not None,
            **periods(ctx.preset),
        )

    def on_clock(self, now: float, steady: float) -> bool:
        """Take both clocks' readings before an input: the wall's, and that which no one sets.

        Returns whether the wall clock has gone back behind rounds that this node was in: then it
        must begin anew from its disk, as after a crash, and with this node's ``rounds.spoken``.
        """
        self.ctx.tell_time(now, steady)
        return self.clock.look(now, steady)

    def on_tick(self, now: float) -> None:
        """Move with the clock."""
        self.take_in(now, inputs.Tick())

    def on_link(self, now: float, peer: bytes, up: bool) -> None:
        """A link to a peer was established, or ended."""
        (self.ctx.links.add if up else self.ctx.links.discard)(peer)
        self.take_in(now, inputs.LinkUp(peer) if up else inputs.LinkDown(peer))

    def on_frame(self, now: float, frame: bytes, peer: bytes) -> None:
        """Take a frame that came over the link with ``peer``, signed by it or passed on by it.

        Raises Malformed, naming the peer, for what it must not have passed on.
        """
        envelope = parse_envelope(frame, peer)
        passed_on = envelope.sender != peer
        self.ctx.now = now
        if passed_on and not self.flood.expects(envelope, peer):
            return
        try:
            if passed_on:
                message = open_parsed(self.settings.network_id, self.codec, envelope, peer)
            else:
                message = self.codec.decode(envelope.body, peer)
        except Malformed as fault:  # who passes on what is no message has not read it
            raise Malformed(fault.reason, peer) from fault
        if passed_on and getattr(message, "KIND", None) not in PASSED_ON:
            raise Malformed("an envelope of another sender than the link's peer", peer)
        # The link has proved whose it is. Most frames are pings, which nobody shows to others: only
        # one that is passed on needs its signature.
        checked = passed_on or not isinstance(message, m.Ping)
        if checked and not passed_on:
            self.flood.check(envelope, peer)
        self.on_message(
            now, envelope.sender, message, envelope, peer if passed_on else None, checked
        )

    def on_message(
        self, now: float, sender: bytes, message: Any, envelope: Envelope,
        via: bytes | None = None, checked: bool = True,
    ) -> None:
        """Take a message that ``sender`` signed; raises PeerFault when it must not have sent it.

        ``via`` is the peer that passed it on, None if it came over the sender's own link;
        ``checked`` is whether the signature has been.
        """
        if type(message) not in m.ENVELOPED:
            raise PeerFault("a message that does not belong inside an envelope", sender)
        entry = inputs.Received(sender, message, envelope, via=via, checked=checked)
        self.take_in(now, entry)

    def on_chain(self, now: float, update: ChainUpdate, sightings: Sequence[Outpoint]) -> None:
        """Take new blocks and unconfirmed deposits of the custody address."""
        self.ctx.now = now
        if self.candidates.index(update, sightings):
            self.take_in(now, inputs.ChainNews(update, sightings))

    def on_index(self, now: float, ledger: Ledger, seen: Sequence[Outpoint]) -> None:
        """Take up the chain index and the sightings that were kept on disk."""
        self.ctx.now = now
        if self.candidates.resume(ledger, seen):
            self.take_in(now, inputs.ChainNews(ChainUpdate((), (), True), ()))

    def on_stake(self, now: float, peer: bytes, stake: Outpoint, found: StakeVerdict) -> None:
        """Take the chain's answer about a stake."""
        self.stakes.note(peer, stake, found)
        self.take_in(now, inputs.StakeAnswer(peer, stake, found))

    def on_payout(
        self, now: float, event: bytes, txid: bytes, state: TxState, reason: str = ""
    ) -> None:
        """Take the chain's answer about a payout."""
        self.take_in(now, inputs.PayoutAnswer(event, txid, state, reason))

    def on_endpoints(
        self, now: float, peer: bytes, addresses: tuple[str, ...], seen: str = ""
    ) -> None:
        """Tell a peer the endpoints that peering has for it, and where it is ``seen``."""
        self.take_in(now, inputs.Endpoints(peer, addresses, seen))

    def on_request(self, now: float, kind: str, fields: dict[str, Any]) -> Request:
        """Take a request of this node's operator; UserError says why it cannot be met."""
        self.ctx.now = now
        request = self.requests.check(kind, fields)
        self.take_in(now, inputs.OperatorRequest(request))
        return request

    def on_release(self, now: float, wanted: Mapping[str, object], place: int) -> Request:
        """Take the request for one digest of a release; UserError says why there can be none."""
        self.ctx.now = now
        request = self.releases.ask(wanted, place)
        self.take_in(now, inputs.OperatorRequest(request))
        return request

    def on_pardon(self, now: float, peer: bytes) -> Ban:
        """Lift the ban of a peer at the operator's word; UserError says why it stays."""
        self.ctx.now = now
        ban = self.blames.pardonable(peer)
        self.take_in(now, inputs.OperatorPardon(peer))
        return ban

    def reset_ledger(self) -> None:
        """Forget the chain index; the shell scans the chain again."""
        self.windows.ledger = Ledger(self.settings.custody)

    def circle(self) -> Circle:
        """Return who must be linked with whom: the holders, and those who are to become holders.

        Before there is a key, these are the founders: the oldest of the members that are listed.
        """
        ctx, settings = self.ctx, self.ctx.settings
        if ctx.key is not None:
            holders = frozenset(ctx.key.roster) | self.wishes.parties()
            return Circle(holders, ctx.me in holders, complete=True)
        listed = [member.node_id for member in self.peers.members()[: settings.members]]
        complete = len(listed) == settings.members
        may_found = settings.joins is None and (ctx.me in listed or not complete)
        return Circle(frozenset(listed), may_found, complete)

    def take(self) -> Effects:
        """Return the effects since the last call."""
        return self.ctx.tables.take()

    def report(self) -> dict[str, Any]:
        """Return the node's state as plain values: no secrets."""
        return self.operator_view.report()
