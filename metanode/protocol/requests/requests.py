"""The operator's requests: sign a digest, make a key, refresh it, change its quorum.

A request is an event that each operator creates at their own node, never taken from another node's
word (F-17); equal documents meet in the same event, and t nodes whose operators asked make it
happen. A request to sign goes through SETUP, ACK and BEGIN, one attempt a round, under the same
lock as a payout (SAFE-SIGN); those for the key are listed here for the cores that carry them out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attrs import define, evolve, field

from metanode.custody.payout import custody_address
from metanode.errors import Malformed, PeerFault, UserError
from metanode.protocol.context import Context
from metanode.protocol.events.coordinator import Task, coordinator_of
from metanode.protocol.keys.epoch import Member
from metanode.protocol.payouts.settlement import Settlement
from metanode.protocol.requests.request import (
    NO_KEY,
    Request,
    holders_id,
    make_document,
    read_document,
    request_event,
)
from metanode.protocol.rounds.threshold_set import in_turn
from metanode.protocol.tables.runner import TransitionError
from metanode.tss.sign import Signature
from metanode.tss.verify import verify_signature
from spec.messages import EcdsaSignature, SignatureFound
from spec.parameters import quorum_fault

OPEN = ("PENDING", "IN_PROGRESS")
DONE = "SUCCESS"
FINISHED = (DONE, "EXPIRED")
OPEN_LIMIT = 64
AT_ONCE = 48
"""Requests that are tried in one round, so that their votes find room at every other node."""

HEARD_LIMIT = 256
ANNOUNCED_TO_NEWCOMERS = 16


@define
class Requests:
    """The requests of a node. ``candidates`` are the listed members, the oldest stake first.

    ``stake_fault`` tells why a node may not become a holder, or None if it may.
    """

    ctx: Context
    settlement: Settlement
    candidates: Callable[[], tuple[Member, ...]]
    stake_fault: Callable[[bytes], str | None]
    asked: dict[bytes, Request] = field(factory=dict)
    found: dict[bytes, SignatureFound] = field(factory=dict)
    _heard: dict[bytes, tuple[bytes, SignatureFound]] = field(factory=dict)
    _told: set[tuple[bytes, bytes]] = field(factory=set)
    _tried: set[bytes] = field(factory=set)
    _round: int = -1

    # --- what an operator asks ---

    def check(self, kind: str, given: Mapping[str, object]) -> Request:
        """Return the request that ``given`` describes, in hex, or the finished one that it repeats.

        UserError names cause and mend when it cannot be met now; nothing is changed either way.
        """
        if kind == "sign":
            if self.ctx.key is None:
                raise UserError(NO_KEY)
            given = {"holders": holders_id(self.ctx.key.quorum).hex(), **given}
        now = int(self.ctx.now)
        lifetime = int(self.ctx.preset.request_lifetime_s)
        request = Request(kind, make_document(kind, given), now, now + lifetime)
        event = request.event(self.ctx.settings.network_id)
        known = self.asked.get(event)
        if known is not None and self.settlement.status(event) == DONE:
            return known
        if self.settlement.status(event) == "EXPIRED" or self.has_renounced(event):
            raise UserError("this node has renounced the request permanently: use another --label")
        if known is None and len(self.open()) >= OPEN_LIMIT:
            raise UserError(f"{OPEN_LIMIT} requests are open here: wait until `events` shows fewer")
        {
            "sign": self._check_sign,
            "keygen": self._check_keygen,
            "keyrefresh": self._check_epoch,
            "quorumchange": self._check_quorum,
        }[kind](request)
        return request if known is None else evolve(request, made=known.made)

    def ask(self, kind: str, given: Mapping[str, object]) -> Request:
        """Take a request of this node's operator; asking again gives it more time.

        UserError as :meth:`check`; the caller flushes before it tells the operator.
        """
        request = self.check(kind, given)
        ctx = self.ctx
        event = request.event(ctx.settings.network_id)
        if self.settlement.status(event) == DONE:
            return request
        self.settlement.create(event)
        ctx.tables.fire(
            "event",
            "Ask",
            p=ctx.me,
            e=event,
            given={"event_known": True},
            carry={"asked": request},
        )
        self.asked[event] = request
        ctx.note("request.asked", kind=kind, event_id=event.hex()[:16])
        heard = self._heard.pop(event, None)
        if heard is not None:
            self._take(event, request, heard[1])
        return request

    # --- for the cores that carry requests out ---

    def open(self, kind: str | None = None) -> list[tuple[bytes, Request]]:
        """Return the requests that are still to be met, with their events, the oldest first."""
        found = [
            (event, request)
            for event, request in self.asked.items()
            if kind in (None, request.kind) and self.is_open(event)
        ]
        return sorted(found, key=lambda item: (item[1].made, item[0]))

    def met(self, event: bytes) -> None:
        """What a request for the key asked for is in force."""
        ctx = self.ctx
        ctx.tables.fire("event", "KeyMade", p=ctx.me, e=event, given={"key_made": True})
        ctx.note("request.met", kind=self.asked[event].kind, event_id=event.hex()[:16])

    def is_open(self, event: bytes) -> bool:
        """Return whether a request is still to be met."""
        in_time = self.ctx.now < self.asked[event].expires
        return in_time and self.settlement.status(event) in OPEN

    def is_overdue(self, event: bytes) -> bool:
        """Return whether a request has run out of time: it is not tried any more."""
        late = self.asked[event].expires <= self.ctx.now
        return late and self.settlement.status(event) not in FINISHED

    def has_renounced(self, event: bytes) -> bool:
        """Return whether this node takes no part in an event any more (F-16)."""
        return bool(self.ctx.tables.view.get("renounced", self.ctx.me, event))

    # --- signing, as the coordinators ask for it ---

    def boundary(self, number: int) -> None:
        """A round begins: its number is that of the attempts that may be made now."""
        if self._tried:  # memory of old attempts; what is on disk is never swept
            self.ctx.tables.view.forget("Attempt", range(number - 2, number + 3))
        self._round = number
        self._told.clear()
        self._tried.clear()

    def tick(self) -> list[Task]:
        """Settle what is met by now; return the attempts that this node would set up."""
        ctx = self.ctx
        key = ctx.key
        if key is None:
            return []
        for event, _ in self.open("keygen"):
            self.met(event)
        enough = len(ctx.live_holders()) >= key.quorum.threshold
        late = ctx.round_share() >= ctx.preset.vote_share  # it would not end with its round
        if late or not enough or ctx.me != coordinator_of(key.roster, key.number, self._round):
            return []
        events = [event for event, _ in self.open("sign")]
        turn = in_turn(events, self._round * AT_ONCE)
        tasks = [self.task("sign", event, self._round) for event in turn]
        return [task for task in tasks if task is not None]

    def task(self, purpose: str, event: bytes, attempt: int) -> Task | None:
        """Return the attempt of a request to sign as this node sees it, or None."""
        key, request = self.ctx.key, self.asked.get(event)
        if purpose != "sign" or key is None or request is None or request.kind != purpose:
            return None
        if attempt != self._round or not self.is_open(event):
            return None
        fields = request.fields
        room = event in self._tried or len(self._tried) < AT_ONCE
        if fields["key_id"] != key.key_id or not request.names(key.quorum) or not room:
            return None
        self._tried.add(event)
        return Task(
            purpose=purpose,
            event=event,
            attempt=attempt,
            key_epoch=key.number,
            document=request.document,
            digest=fields["digest"],
            members=key.roster,
            quorum=key.quorum,
            needs_all=False,
        )

    def signed(self, event: bytes, signature: Signature, signers: Sequence[bytes]) -> bool:
        """Take the result of a run; return whether it is a signature of what was asked for."""
        request = self.asked.get(event)
        if request is None:
            return False
        rs = signature.r.to_bytes(32, "big") + signature.s.to_bytes(32, "big")
        found = SignatureFound(event, request.document, tuple(signers), (EcdsaSignature(rs),))
        if not self._verifies(found):
            return False
        self._take(event, request, found)
        return True

    # --- signatures of others ---

    def concerns(self, message: SignatureFound) -> bool:
        """Return whether announced signatures are those of a request."""
        network_id = self.ctx.settings.network_id
        return message.event == request_event(network_id, "sign", message.document)

    def on_signature(self, sender: bytes, message: SignatureFound) -> None:
        """Take a finished signature, whoever sends it and however late (F-15).

        What nobody asked for here is kept for a while: the operator may be about to ask. It costs
        t signers to make one, so nobody can fill that room with rubbish.
        """
        ctx = self.ctx
        if ctx.key is None or self.settlement.status(message.event) in FINISHED:
            return
        try:
            fields = read_document("sign", message.document)
        except Malformed as fault:
            raise PeerFault(f"a signature of no request: {fault}", sender) from fault
        if fields["key_id"] != ctx.key.key_id:
            return
        if not self._verifies(message):
            raise PeerFault("a signature that does not verify", sender)
        request = self.asked.get(message.event)
        if request is not None:
            self._take(message.event, request, message)
            return
        self._heard[message.event] = (sender, message)
        if len(self._heard) > HEARD_LIMIT:
            self._heard.pop(next(iter(self._heard)))

    def tell(self, peer: bytes, event: bytes) -> None:
        """Tell a peer that is behind, once a round, that an event is done already."""
        if event in self.found and (peer, event) not in self._told:
            self._told.add((peer, event))
            self._announce(event, peer)

    def announce_to(self, peer: bytes) -> None:
        """Tell a peer that came up about the newest signatures, which it may have missed."""
        for event in list(self.found)[-ANNOUNCED_TO_NEWCOMERS:]:
            self._announce(event, peer)

    # --- start ---

    def restore(
        self, asked: Sequence[Request], found: Sequence[SignatureFound]
    ) -> list[SignatureFound]:
        """Take what the store holds; return the signatures that belong to no request."""
        network_id = self.ctx.settings.network_id
        self.asked = {request.event(network_id): request for request in asked}
        self.found = {message.event: message for message in found if message.event in self.asked}
        return [message for message in found if message.event not in self.found]

    # --- helpers ---

    def _announce(self, event: bytes, peer: bytes) -> None:
        digest = self.asked[event].fields["digest"]
        carry = {"announced": [(peer, self.found[event])]}
        self.ctx.tables.fire("event", "Announce", p=self.ctx.me, e=event, d=digest, carry=carry)

    def _verifies(self, message: SignatureFound) -> bool:
        if len(message.signatures) != 1:
            return False
        rs = message.signatures[0].rs
        r, s = int.from_bytes(rs[:32], "big"), int.from_bytes(rs[32:], "big")
        digest = read_document("sign", message.document)["digest"]
        return verify_signature(self.ctx.epoch.public_key, digest, r, s)

    def _take(self, event: bytes, request: Request, found: SignatureFound) -> None:
        """Keep and announce a verified signature, if it is new; of what is over nothing is kept."""
        ctx = self.ctx
        if self.settlement.status(event) in FINISHED:
            return
        try:
            ctx.tables.fire(
                "event",
                "Signature",
                p=ctx.me,
                e=event,
                d=request.fields["digest"],
                given={"signature_valid": True},
                carry={"announced": found, "signature_kept": found},
            )
        except TransitionError as refusal:
            ctx.note("request.refused", event_id=event.hex()[:16], reason=str(refusal))
            return
        self.found[event] = found
        ctx.note(
            "request.signed",
            event_id=event.hex()[:16],
            signers=[signer.hex()[:16] for signer in found.signers],
        )

    # --- what an operator may ask for ---

    def _check_sign(self, request: Request) -> None:
        self._check_key(request)
        self._check_share()
        if not request.names(self.ctx.epoch.quorum):
            raise UserError("others hold the key now: leave the field `holders` out")
        self._check_up()

    def _check_keygen(self, _request: Request) -> None:
        ctx = self.ctx
        if ctx.key is not None:
            address = custody_address(ctx.key.public_key, ctx.settings.hrp)
            raise UserError(
                f"a key is locked in already, its address is {address}: "
                "`keyrefresh` renews its shares, `quorumchange` its holders"
            )
        listed = {member.node_id for member in self.candidates()}
        up, needed = len(listed & {*ctx.links, ctx.me}), ctx.settings.members
        if up < needed:
            raise UserError(
                f"{up} of {needed} members are up with their stakes proved, {needed} are needed: "
                "start the others, or wait until `status` lists them"
            )

    def _check_epoch(self, request: Request) -> None:
        self._check_key(request)
        epoch, current = request.fields["epoch"], self.ctx.epoch.number
        if epoch != current:
            raise UserError(f"epoch {epoch} is not in force: ask for epoch {current}, which is")
        if request.kind == "keyrefresh":
            self._check_share()
            self._check_all_up()

    def _check_quorum(self, request: Request) -> None:
        self._check_epoch(request)
        wanted, key = request.fields, self.ctx.epoch
        members = wanted["members"]
        numbers = (wanted["threshold"], wanted["byzantine"])
        fault = quorum_fault(len(members), *numbers)
        if fault is not None:
            raise UserError(f"these numbers are unsafe: {fault}: choose other numbers")
        now = (list(key.roster), key.quorum.threshold, key.quorum.faulty)
        if (members, *numbers) == now:
            raise UserError("that is the quorum already: `keyrefresh` renews the shares alone")
        staying = {m for m in members if m in key.roster}
        down = sorted(staying - self.ctx.live_holders())
        if down:
            raise UserError(f"{down[0].hex()} is to hold a share, but it is not up: start it")
        self._check_up()
        for member in [m for m in members if m not in key.roster]:
            reason = self.stake_fault(member)
            if reason is None and member not in {*self.ctx.links, self.ctx.me}:
                reason = "it is not up: start it"
            if reason is not None:
                raise UserError(f"{member.hex()} cannot become a holder: {reason}")

    def _check_key(self, request: Request) -> None:
        if self.ctx.key is None:
            raise UserError(NO_KEY)
        if request.fields["key_id"] != self.ctx.key.key_id:
            raise UserError(
                f"this node knows another key, {self.ctx.key.key_id.hex()}: ask a node that holds "
                "the one you named"
            )

    def _check_share(self) -> None:
        if not self.ctx.holds_share:
            raise UserError("this node holds no share of the key: ask at a node that does")

    def _check_all_up(self) -> None:
        key = self.ctx.epoch
        up = len(self.ctx.live_holders())
        if up < len(key.roster):
            raise UserError(
                f"{up} of {len(key.roster)} holders are up, and all must deal: start the others, "
                "or leave them out with `quorumchange`"
            )

    def _check_up(self) -> None:
        key = self.ctx.epoch
        up, needed = len(self.ctx.live_holders()), key.quorum.threshold
        if up < needed:
            raise UserError(
                f"{up} of {len(key.roster)} holders are up, {needed} are needed: start the others"
            )
