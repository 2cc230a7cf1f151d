"""The operator's requests: sign a digest, make a key, refresh it, change its quorum.

A request is an event that each operator creates at their own node, never taken from another node's
word (F-17); equal documents meet in the same event, and t nodes whose operators asked make it
happen. A request to sign goes through SETUP, ACK and BEGIN, one attempt a round, under the same
lock as a payout (SAFE-SIGN); those for the key are listed here for the cores that carry them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import define, evolve, field

from metanode.custody.payout import custody_address
from metanode.custody.release import LABEL as RELEASE_LABEL
from metanode.errors import LocalFault, Malformed, PeerFault, UserError
from metanode.protocol.context import Context
from metanode.protocol.events.event_book import FINISHED, EventBook
from metanode.protocol.events.purpose import (
    Purpose,
    Task,
    coordinator_of,
    signatures_of,
    signing_run,
)
from metanode.protocol.events.run import Run
from metanode.protocol.inputs import Input, LinkUp, OperatorRequest, Received
from metanode.protocol.peers.peer_list import PeerList
from metanode.protocol.requests.request import (
    NO_KEY,
    Request,
    holders_id,
    make_document,
    read_document,
    request_event,
)
from metanode.protocol.rounds.threshold_set import in_turn
from metanode.protocol.tables.registry import attachment, handles
from metanode.tss.verify import verify_compact
from spec.messages import Certificate, Renounced, Setup, SignatureFound
from spec.parameters import quorum_fault

OPEN = ("PENDING", "IN_PROGRESS")
DONE = "SUCCESS"
OPEN_LIMIT = 64
AT_ONCE = 48
"""Requests that are tried in one round, so that their votes find room at every other node."""

HEARD_LIMIT = 256
ANNOUNCED_TO_NEWCOMERS = 16


@define
class Requests(Purpose):
    """The requests of a node; the purpose of those to sign."""

    ctx: Context
    book: EventBook
    peers: PeerList
    kind: str = "sign"
    asked: dict[bytes, Request] = field(factory=dict)
    _heard: dict[bytes, SignatureFound] = field(factory=dict)
    _told: set[tuple[bytes, bytes]] = field(factory=set)
    _tried: set[bytes] = field(factory=set)
    _round: int = -1

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    # --- what an operator asks ---

    def check(
        self, kind: str, given: Mapping[str, object], *, of_release: bool = False
    ) -> Request:
        """Return the request that ``given`` describes, in hex, or the finished one that it repeats.

        UserError names cause and mend when it cannot be met now; nothing is changed either way.
        Only a release that this node has built itself has the label of one.
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
        if known is not None and self.book.status(event) == DONE:
            return known
        expired = self.book.status(event) == "EXPIRED" or self.has_renounced(event)
        if expired and kind == "sign":
            other = "fee rate" if of_release else "--label"
            raise UserError(f"this node has renounced the request permanently: use another {other}")
        if not of_release and str(request.fields.get("label", "")).startswith(RELEASE_LABEL):
            raise UserError(
                f"labels that begin with {RELEASE_LABEL!r} are for what this node has built itself:"
                " use `custody release`, or another --label"
            )
        if known is None and len(self.open()) >= OPEN_LIMIT:
            raise UserError(f"{OPEN_LIMIT} requests are open here: wait until `events` shows fewer")
        {
            "sign": self._check_sign,
            "keygen": self._check_keygen,
            "keyrefresh": self._check_epoch,
            "quorumchange": self._check_quorum,
        }[kind](request)
        return request if known is None else evolve(request, made=known.made)

    @handles("asked")
    def take(self) -> None:
        request = self._at_hand
        event = request.event(self.ctx.settings.network_id)
        if self.book.status(event) in FINISHED:
            return
        self._know(event, request)
        self.book.create(event, self.book.kinds[event])
        self.ctx.fire("event.Ask", e=event)  # asking again gives it more time
        self.ctx.note("request.asked", kind=request.kind, event_id=event.hex()[:16])
        heard = self._heard.pop(event, None)
        if heard is not None:
            self._take(heard)

    @attachment("asked")
    def stored(self, p: bytes, e: bytes) -> Request:
        return self._at_hand

    @property
    def _at_hand(self) -> Request:
        if not isinstance(self.ctx.input, OperatorRequest):
            raise LocalFault("no operator has asked for anything")
        return self.ctx.input.request

    def _know(self, event: bytes, request: Request) -> None:
        self.asked[event] = request
        self.book.know(event, "sign" if request.kind == "sign" else "key_request")
        if request.kind == "sign":  # those for the key do not expire
            self.book.deadlines[event] = request.expires
            self.ctx.named[event] = request.fields["holders"]

    # --- for the cores that carry requests out ---

    def open(self, kind: str | None = None) -> list[tuple[bytes, Request]]:
        """Return the requests that are still to be met, with their events, the oldest first."""
        found = [
            (event, request)
            for event, request in self.asked.items()
            if kind in (None, request.kind) and self.is_open(event)
        ]
        return sorted(found, key=lambda item: (item[1].made, item[0]))

    def is_met(self, event: bytes) -> bool:
        """Return whether what a request for the key asks for is in force."""
        request, key = self.asked.get(event), self.ctx.key
        return request is not None and key is not None and request.is_met_by(key)

    @handles("requests_met")
    def settle(self) -> None:
        for event, request in self.ctx.each(self.open()):
            if request.kind != "sign" and self.ctx.tries("event.KeyMade", e=event):
                self.ctx.note("request.met", kind=request.kind, event_id=event.hex()[:16])

    def is_open(self, event: bytes) -> bool:
        """Return whether a request is still to be met."""
        in_time = self.ctx.now < self.asked[event].expires
        return in_time and self.book.status(event) in OPEN

    def is_overdue(self, event: bytes) -> bool:
        """Return whether a request has run out of time: it is not tried any more."""
        late = self.asked[event].expires <= self.ctx.now
        return late and self.book.status(event) not in FINISHED

    def has_renounced(self, event: bytes) -> bool:
        """Return whether this node takes no part in an event any more (F-16)."""
        return bool(self.ctx.tables.view.get("renounced", self.ctx.me, event))

    # --- signing: the purpose ---

    def due(self) -> Iterable[Task]:
        """Return the attempts of this round, if they are this node's to coordinate."""
        ctx, key = self.ctx, self.ctx.key
        self._follow_round()
        if key is None or ctx.round_share() >= ctx.preset.vote_share:
            return []  # an attempt that begins so late would not end with its round
        enough = len(ctx.live_holders()) >= key.quorum.threshold
        if not enough or ctx.me != coordinator_of(key.roster, key.number, self._round):
            return []
        turn = in_turn([event for event, _ in self.open("sign")], self._round * AT_ONCE)
        tasks = [self.rebuild(event, self._round) for event in turn]
        return [task for task in tasks if task is not None]

    def rebuild(self, event: bytes, attempt: int) -> Task | None:
        """Return the attempt of a request to sign as this node sees it, or None."""
        key, request = self.ctx.key, self.asked.get(event)
        if key is None or request is None or request.kind != "sign" or not self.is_open(event):
            return None
        self._follow_round()
        fields, room = request.fields, event in self._tried or len(self._tried) < AT_ONCE
        if attempt != self._round or not room:
            return None
        if fields["key_id"] != key.key_id or not request.names(key.quorum):
            return None
        self._tried.add(event)
        return Task(
            purpose="sign", event=event, attempt=attempt, key_epoch=key.number,
            document=request.document, digest=fields["digest"], members=key.roster,
            quorum=key.quorum,
        )

    def oldest(self) -> int:
        """Return the attempt of this round."""
        return self.ctx.round_number()

    def begin(self, task: Task, certificate: Certificate) -> Run | None:
        """Return the run that signs what was asked for, if this node has a share."""
        keyshare = self.ctx.epoch.keyshare
        return None if keyshare is None else signing_run(self.ctx, task, certificate, keyshare)

    def verifies(self, run: Run) -> bool:
        """Return whether a run has made a signature of what was asked for."""
        request = self.asked.get(run.event)
        return request is not None and self.verified(signatures_of(run, request.document))

    def finished(self, run: Run) -> None:
        """Take the signature of a run."""
        self._take(signatures_of(run, self.asked[run.event].document))

    def _follow_round(self) -> None:
        """Forget what belongs to the attempts of another round."""
        number = self.ctx.round_number()
        if number == self._round:
            return
        if self._tried:  # memory of old attempts; what is on disk is never swept
            self.ctx.tables.view.forget("Attempt", range(number - 2, number + 3))
        self._round = number
        self._told.clear()
        self._tried.clear()

    # --- signatures of others ---

    def concerns(self, event: bytes, document: bytes, attempt: int | None) -> bool:
        """Return whether an event is a request to sign with this document."""
        return event == request_event(self.ctx.settings.network_id, "sign", document)

    def verified(self, found: SignatureFound) -> bool:
        """Return whether the key has signed what a document asks for."""
        try:
            asked = read_document("sign", found.document)
        except Malformed:
            return False
        key = self.ctx.key
        if key is None or asked["key_id"] != key.key_id or len(found.signatures) != 1:
            return False
        digest, rs = asked["digest"], found.signatures[0].rs
        return found.digest == digest and verify_compact(key.public_key, digest, rs)

    def heard(self, sender: bytes, found: SignatureFound) -> None:
        """Take a finished signature from any sender and however late (F-15).

        One that nobody asked for here is kept for a while: the operator may be about to ask. It
        takes t signers to make one, so nobody can fill that room with rubbish.
        """
        key = self.ctx.key
        if key is None or self.book.status(found.event) in FINISHED:
            return
        try:
            if read_document("sign", found.document)["key_id"] != key.key_id:
                return
        except Malformed as fault:
            raise PeerFault(f"a signature of no request: {fault}", sender) from fault
        if not self.verified(found):
            raise PeerFault("a signature that does not verify", sender)
        if found.event in self.asked:
            self._take(found)
            return
        self._heard[found.event] = found
        if len(self._heard) > HEARD_LIMIT:
            self._heard.pop(next(iter(self._heard)))

    def tells(self, entry: Input) -> Iterable[tuple[bytes, bytes]]:
        """Yield the newest signatures for a peer that came up, or one that a peer lacks."""
        if isinstance(entry, LinkUp):
            mine = [event for event in self.book.found if event in self.asked]
            yield from ((event, entry.peer) for event in mine[-ANNOUNCED_TO_NEWCOMERS:])
        elif isinstance(entry, Received) and isinstance(entry.message, Setup | Renounced):
            self._follow_round()
            told = (entry.message.event, entry.sender)
            known = told[0] in self.asked and told[0] in self.book.found
            if known and told not in self._told:
                self._told.add(told)
                yield told

    def _take(self, found: SignatureFound) -> None:
        """Keep and announce a verified signature, if it is new and the event is not over."""
        if self.book.take(found, self.kind):
            self.ctx.note(
                "request.signed",
                event_id=found.event.hex()[:16],
                signers=[signer.hex()[:16] for signer in found.signers],
            )

    # --- start ---

    def restore(self, requests: Sequence[Request]) -> None:
        """Take what the store holds."""
        for request in requests:
            self._know(request.event(self.ctx.settings.network_id), request)

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
        if ctx.settings.joins is not None:
            raise UserError(
                f"this node joins the key {ctx.settings.joins.hex()} and makes none: it learns it "
                "from its peers, and gets a share when the holders give it one"
            )
        listed = {member.node_id for member in self.peers.members()}
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
            reason = self.peers.stake_fault(member)
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
