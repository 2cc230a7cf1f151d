"""The cores of requests and of the regroup at one node, beside a key that the test signs with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import define, evolve, field

from metanode.custody.document import decode_document
from metanode.custody.ledger import Ledger
from metanode.custody.payout import document_digest, roster_checksum
from metanode.custody.types import Outpoint
from metanode.errors import Malformed
from metanode.protocol import inputs
from metanode.protocol.events.event_book import EventBook
from metanode.protocol.events.signatures import Signatures
from metanode.protocol.events.votes import VoteBook
from metanode.protocol.keys.epoch import KeyEpoch, Member
from metanode.protocol.keys.epoch_chain import EpochChain
from metanode.protocol.keys.epoch_name import naming_event
from metanode.protocol.peers.stakes import Stakes
from metanode.protocol.requests.expiry import Expiry
from metanode.protocol.requests.request import Request, holders_id, make_document
from metanode.protocol.requests.requests import Requests
from metanode.protocol.reshare.attendance import Attendances
from metanode.protocol.reshare.complaints import Complaints
from metanode.protocol.reshare.drafts import Drafts
from metanode.protocol.reshare.handover import Handover
from metanode.protocol.reshare.plans import Plans
from metanode.protocol.reshare.regroup import Regroups
from metanode.protocol.reshare.wishes import Wishes
from metanode.protocol.tables.effects import Effects
from metanode.protocol.tables.registry import ADMISSION
from metanode.protocol.wire.envelope import SIGNATURE_TAG
from metanode.tss import curve
from metanode.tss.keyshare import Keyshare, PublicPackage
from spec import messages as m
from spec.parameters import faults_tolerated
from spec.parameters import threshold as usual_threshold
from tests.custody.support import made_up
from tests.protocol.support import (
    CODEC,
    DIGEST,
    IDENTITIES,
    NETWORK_ID,
    ROUND,
    START,
    Alone,
    booked,
    members_of,
    signed,
)

SECRET = 0x5EC2E7
KEY = curve.encode_point(curve.generator_mult(SECRET))
KEY_ID = bytes([9]) * 32
NEXT = ROUND - 5
"""The number of an attempt that is a few rounds old."""

LATER = START + 1000 * 2
FOUNDERS = (0, 1, 2, 3)


def share_of(epoch: KeyEpoch, number: int) -> Keyshare:
    """Return what stands for a node's share of an epoch: nothing here signs with it."""
    package, party = epoch.package, epoch.index_of(IDENTITIES[number].node_id)
    return Keyshare(
        package.key_id, package.epoch, package.threshold, party, 1, package.public_key,
        package.public_shares, package.chain_code, {},
    )


def epoch(
    number: int,
    numbers: Iterable[int] = FOUNDERS,
    *,
    follows: int = 1,
    threshold: int | None = None,
    byzantine: int | None = None,
    share: int | None = None,
) -> KeyEpoch:
    """Return a sharing of the key among these nodes, with what stands for the share of one."""
    chosen = sorted(numbers)
    stakes: dict[bytes, Member] = {member.node_id: member for member in members_of(8)}
    points = [curve.generator_mult(number * 1000 + place + 1) for place in range(len(chosen))]
    package = PublicPackage(
        KEY_ID,
        number,
        usual_threshold(len(chosen)) if threshold is None else threshold,
        KEY,
        tuple(curve.encode_point(point) for point in points),
        bytes(32),
    )
    made = KeyEpoch(
        slot=int(START) // 4,
        follows=follows,
        members=tuple(stakes[IDENTITIES[each].node_id] for each in chosen),
        byzantine=faults_tolerated(len(chosen)) if byzantine is None else byzantine,
        package=package,
    )
    return made if share is None else evolve(made, keyshare=share_of(made, share))


FIRST = epoch(1, follows=0)


def by_the_key(digest: bytes, secret: int = SECRET) -> m.EcdsaSignature:
    """Return a signature of the key over a digest."""
    nonce = 0x5EED  # one for all signatures: nobody steals this key
    r = curve.affine(curve.generator_mult(nonce))[0] % curve.ORDER
    s = curve.inverse(nonce) * (int.from_bytes(digest, "big") + r * secret) % curve.ORDER
    return m.EcdsaSignature(r.to_bytes(32, "big") + min(s, curve.ORDER - s).to_bytes(32, "big"))


def named(draft: KeyEpoch, secret: int = SECRET) -> m.SignatureFound:
    """Return the signature of the key under the name of an epoch: it follows, for all to see."""
    digest = draft.digest(NETWORK_ID)
    rs = (by_the_key(digest, secret),)
    return m.SignatureFound(naming_event(NETWORK_ID, draft), digest, draft.encode(), (), rs)


def said(number: int, draft: KeyEpoch) -> m.SignedConfirmation:
    """Return a node's word that its share of a draft is on its disk."""
    identity = IDENTITIES[number]
    body = CODEC.encode(m.SharePrepared(draft.number, draft.encode()))
    signature = identity.sign(SIGNATURE_TAG, NETWORK_ID, identity.node_id, body)
    return m.SignedConfirmation(identity.node_id, signature)


def word(draft: KeyEpoch) -> m.SharePrepared:
    """Return what a member says when its share of a draft is on its disk."""
    return m.SharePrepared(draft.number, draft.encode())


def payout_lock(
    voters: Iterable[int] = (0, 1, 2),
    *,
    attempt: int = 7,
    deposit: int = 1,
    variant: int = 0,
    key: KeyEpoch = FIRST,
    document: bytes | None = None,
    event: bytes | None = None,
    digest: bytes | None = None,
) -> m.LockedCandidate:
    """Return the lock of a payout with real votes: ``deposit`` names the event, ``variant`` makes
    another payout of it.
    """
    payout = made_up(
        Outpoint(deposit.to_bytes(32, "big"), 0),
        network_id=NETWORK_ID,
        key_id=KEY_ID,
        key_epoch=key.number,
        public_key=KEY,
        roster_checksum=roster_checksum(key.roster),
        cutoff_height=100 + variant,
        window=deposit,
    )
    encoded = payout.encode() if document is None else document
    certificate = signed(
        voters,
        event=payout.event if event is None else event,
        digest=document_digest(encoded) if digest is None else digest,
        attempt=attempt,
        members=key.roster,
        key_epoch=key.number,
    )
    return m.LockedCandidate(encoded, certificate)


def sign_document(digest: bytes = DIGEST, label: str = "", key: KeyEpoch = FIRST) -> bytes:
    """Return the document of a request to sign for the holders of an epoch."""
    return make_document(
        "sign",
        {"key_id": KEY_ID.hex(), "digest": digest.hex(), "label": label,
         "holders": holders_id(key.quorum).hex()},
    )


@define
class Peers:
    """Who is listed, with stakes proved: all nodes of the test, but those that a test takes out."""

    unproved: set[bytes] = field(factory=set)
    presence: dict[bytes, tuple[float, Outpoint]] = field(factory=dict)

    def patience(self, _peer: bytes) -> float:
        """Return after how many seconds a peer is missing."""
        return 3.0

    def members(self) -> tuple[Member, ...]:
        """Return those who may make a key."""
        return self.staked()

    def staked(self) -> tuple[Member, ...]:
        """Return those whose stakes are proved."""
        return tuple(each for each in members_of(8) if each.node_id not in self.unproved)

    def stake_fault(self, peer: bytes) -> str | None:
        """Return why a node may not become a holder."""
        return "its stake is not proved" if peer in self.unproved else None


@define
class Maker:
    """Stands for key generation: no key was announced here."""

    announcement: m.KeyLocked | None = None


class NoRuns:
    """Stands for the sessions: no dealing goes on."""

    def dealings(self) -> list[Any]:
        """Return nothing."""
        return []


@define
class NoBlame:
    """Stands for the blame book: nobody did anything."""

    lists: dict[bytes, Any] = field(factory=dict)


class Payouts:
    """Knows payouts by their documents, and nothing else of a purpose."""

    kind = "payout"

    def concerns(self, event: bytes, document: bytes, attempt: int | None) -> bool:
        """Return whether a document is that of a payout of this event."""
        try:
            return decode_document(document).event == event
        except Malformed:
            return False

    def waiting(self) -> list[Any]:
        """Return nothing."""
        return []

    def tells(self, entry: inputs.Input) -> list[Any]:
        """Return nothing."""
        return []


class Pinged:
    """Stands for the peer list: it takes every ping."""

    def admit(self, sender: bytes, ping: m.Ping) -> bool:
        """Take a ping."""
        return True


Pinged.admit.__dict__["__homes__"] = ((ADMISSION, "ping"),)


@define
class Holder:
    """A node that holds a share of the key, and its cores that look after requests and shares."""

    node: Alone
    book: EventBook
    votes: VoteBook
    peers: Peers
    requests: Requests
    expiry: Expiry
    wishes: Wishes
    handover: Handover
    regroups: Regroups
    chain: EpochChain
    attendance: Attendances
    plans: Plans
    complaints: Complaints

    @classmethod
    def at(
        cls, number: int = 0, key: KeyEpoch | None = FIRST, now: float = LATER, **changes: Any
    ) -> Holder:
        """Return a node that works with a share of an epoch, if it is among its holders."""
        node, peers = Alone.of(number, now, **changes), Peers()
        ctx, book = node.ctx, booked(node, Payouts())
        votes, requests = VoteBook(ctx), Requests(ctx, book, peers)  # type: ignore[arg-type]
        expiry, wishes = Expiry(ctx, book, requests), Wishes(ctx, requests)
        handover = Handover(ctx, book, votes, wishes, Drafts(ctx, wishes))
        ledger = Ledger(ctx.settings.custody)
        stakes = Stakes(ctx, lambda: ledger)
        attendance = Attendances(ctx, peers, stakes, wishes)  # type: ignore[arg-type]
        plans = Plans(ctx, peers, stakes, attendance, wishes)  # type: ignore[arg-type]
        complaints = Complaints(ctx, NoRuns(), None, NoBlame())  # type: ignore[arg-type]
        regroups = Regroups(ctx, book, wishes, handover, plans, complaints)
        chain = EpochChain(ctx, book, handover, Maker())  # type: ignore[arg-type]
        for purpose in (regroups, handover, requests):
            book.purposes.add(purpose)
        signatures = Signatures(ctx, book, book.purposes)
        node.cores += [
            votes, requests, expiry, wishes, handover, handover.drafts, handover.books, regroups,
            chain, signatures, attendance, plans, complaints, Pinged(),
        ]
        ctx.tables.view.providers["key_made"] = requests.is_met
        if key is not None:
            mine = ctx.me in key.roster
            ctx.use(evolve(key, keyshare=share_of(key, number)) if mine else key)
            if mine:
                ctx.tables.view.put("holding", (ctx.me, key.number), "active")
        return cls(
            node, book, votes, peers, requests, expiry, wishes, handover, regroups, chain,
            attendance, plans, complaints,
        )

    def asks(
        self, kind: str = "keyrefresh", numbers: Iterable[int] = FOUNDERS, threshold: int = 3,
        byzantine: int = 1, after: int = 1, lifetime: int = 1 << 30,
    ) -> bytes:
        """Let the operator ask for new shares, or for other holders; return the event."""
        given: dict[str, Any] = {"key_id": KEY_ID.hex(), "epoch": after}
        if kind == "quorumchange":
            members = [IDENTITIES[number].node_id.hex() for number in numbers]
            given |= {"members": members, "threshold": threshold, "byzantine": byzantine}
        return self.takes(kind, make_document(kind, given), lifetime)

    def takes(self, kind: str, document: bytes, lifetime: int = 1 << 30) -> bytes:
        """Take a request as the operator's, whatever a node would answer to it."""
        now = int(self.node.ctx.now)
        request = Request(kind, document, now, now + lifetime)
        self.node.take_in(inputs.OperatorRequest(request))
        return request.event(NETWORK_ID)

    def holding(self, number: int) -> str:
        """Return what the tables say of this node's share of an epoch."""
        return self.handover.holding(number)

    def makes(self, draft: KeyEpoch, *, fair: bool = True) -> Effects:
        """Let the node end the making of a draft with a share of it.

        Whoever its holders are, they were asked for, unless ``fair`` leaves that to the node.
        """
        me = IDENTITIES.index(self.node.ctx.identity)
        providers = self.node.ctx.tables.view.providers
        truth = {name: providers[name] for name in ("share_checked", "asked_for")}
        self.node.told(share_checked=True, **({"asked_for": True} if fair else {}))
        self.handover.made(evolve(draft, keyshare=share_of(draft, me)))
        providers.update(truth)
        return self.node.take()

    def hears(self, draft: KeyEpoch, numbers: Iterable[int]) -> Effects:
        """Let the node hear that these nodes have their shares."""
        for number in numbers:
            self.node.receive(number, word(draft))
        return self.node.take()

    def pinged(self, number: int, epoch: int) -> Effects:
        """Take a ping of a node that knows this epoch; return what this node does about it."""
        stake = m.OutpointRef(bytes(32), 0)
        self.node.receive(number, m.Ping(1, 0, "Idle", stake, None, None, epoch, "ok"))
        return self.node.take()

    def locks(self, candidate: m.LockedCandidate) -> None:
        """Put a lock of a payout into the node, as if it had been in that session."""
        found = candidate.certificate
        self.book.create(found.event, "payout")
        self.book.hold(found.event, candidate)
        view, index = self.node.ctx.tables.view, (self.node.ctx.me, found.event)
        view.put("lock", index, found.digest)
        view.put("lock_attempt", index, found.attempt)

    def settled(self, candidate: m.LockedCandidate, state: str = "COMPLETED") -> None:
        """Let the payout of a lock have come so far on the chain."""
        index = (self.node.ctx.me, candidate.certificate.event)
        self.node.ctx.tables.view.put("settlement", index, state)


def messages(effects: Effects, kind: type) -> dict[bytes | None, Any]:
    """Return the messages of one kind by recipient."""
    return {send.to: send.message for send in effects.sends if isinstance(send.message, kind)}


def ids_of(numbers: Iterable[int]) -> tuple[bytes, ...]:
    """Return the ids of nodes, in ascending order."""
    return tuple(IDENTITIES[number].node_id for number in sorted(numbers))
