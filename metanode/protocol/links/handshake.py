"""The node_id handshake, sans-IO: runs the rows of ``spec/tables/link.py``.

Each end sends ``Hello`` with a cookie, answers with ``Proof``, a signature over everything that
distinguishes this link, and says ``Ready`` when the other's proof has held. What an input may do
stands in ``spec/inputs.py``, as for the node; this module judges the facts that the guards read and
builds the messages that the effects send.

What a proof covers (F-28): version, the signer's role, network id, the ids of dialler and listener,
both cookies, a salt, the fingerprints of both certificates. A relay has other fingerprints and
another id, so a proof made for it holds nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from attrs import define, evolve, field, frozen

from metanode.errors import LocalFault, Malformed, check
from metanode.identity import Identity, verify
from metanode.protocol.links.cookies import COOKIE_BYTES, NONCE_BYTES, Cookies
from metanode.protocol.tables.registry import (
    ADMISSION,
    STEP,
    admits,
    fact,
    handles,
    homes_in,
    message,
)
from metanode.protocol.tables.runner import Tables
from metanode.protocol.tables.turn import Turn
from metanode.protocol.tables.view import NodeView
from metanode.protocol.wire.codec import Codec
from spec.language.interpreter import Value
from spec.messages import HANDSHAKE_MESSAGES, Hello, Proof, Ready
from spec.parameters import Preset
from spec.protocol import PROTOCOL

VERSION: Final = 4
PROOF_TAG: Final = "link-proof"
SALT_BYTES: Final = 32
MAX_LINKS_PER_PEER: Final = 3
"""A dialler may hold that many links while it moves from one to another."""
OWN_ID: Final = "own_id"
"""The refusal of a hello with this node's own id: it has dialled itself."""
_VERSION_BYTES: Final = 2
_DIALLER, _LISTENER = b"dialler", b"listener"
_GARBAGE: Final = "malformed"
OFFENCES: Final = frozenset({
    _GARBAGE, "other_identity", "second_hello", "second_proof", "proof_bad", "out_of_turn"
})
"""The refusals that only the other end's misbehaviour can bring about."""
_REFUSALS: Final = {
    "Garbage": _GARBAGE,
    "Overdue": "timeout",
    "Quiet": "idle",
    "Supersede": "duplicate",
    "End": "ended",
}


@define(eq=False)
class Link:
    """What rides along with a link's record in the table.

    ``hello`` is the one that this end has answered, ``proof_holds`` what became of the last proof,
    ``heard_at`` when the last frame came (the same clock as ``opened_at``).
    """

    number: int
    outbound: bool
    host: str
    peer_fingerprint: bytes = field(repr=False)
    certified_id: bytes = field(repr=False)
    cookie: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    opened_at: float
    heard_at: float
    hello: Hello | None = field(default=None, repr=False)
    proof_holds: bool = False
    refusal: str | None = None


@frozen
class _Input:
    """What has happened to a link; ``rival`` is another link with the same peer."""

    link: Link
    now: float
    message: Hello | Proof | Ready | None = None
    rival: Link | None = None


@frozen
class LinkTerms:
    """What is the same for all links of a node: who we are, where, and our channel key."""

    identity: Identity
    network_id: bytes
    fingerprint: bytes
    preset: Preset


class Handshakes:
    """The link table of one node, with a record for each of its links."""

    def __init__(
        self, terms: LinkTerms, entropy: Callable[[int], bytes],
        on_trace: Callable[[list[dict[str, Any]]], None] | None = None,
    ) -> None:
        """Start without links; ``entropy(n)`` gives n random bytes; ``on_trace`` takes the steps
        of one input.
        """
        self._terms = terms
        self._entropy = entropy
        self._on_trace = on_trace
        self._cookies = Cookies(entropy(COOKIE_BYTES), terms.preset.cookie_lifetime_s)
        self._codec = Codec(HANDSHAKE_MESSAGES)
        only_links = evolve(PROTOCOL, machines={"link": PROTOCOL.machines["link"]})
        self._tables = Tables(only_links, NodeView(only_links), self.own_id)
        self._tables.bind(self)
        homes = {(kind, name): method for kind, name, method in homes_in(self)}
        self._steps = {name: method for (kind, name), method in homes.items() if kind == STEP}
        self._admissions = {n: method for (kind, n), method in homes.items() if kind == ADMISSION}
        self._links: dict[int, Link] = {}
        self._next_number = 0
        self._at_hand: _Input | None = None

    @property
    def own_id(self) -> bytes:
        """This node's id."""
        return self._terms.identity.node_id

    # --- questions ---

    def state(self, link: Link) -> str:
        """Return the link's state in the table."""
        return self._tables.state("link", link.number)

    def established(self, link: Link) -> bool:
        """Tell whether frames of the protocol may flow."""
        return self.state(link) == "established"

    def closed(self, link: Link) -> bool:
        """Tell whether the link is over."""
        return self.state(link) == "closed"

    def preferred(self, link: Link) -> bool:
        """Tell whether the smaller id dialled this link: of two, that one is kept (F-29)."""
        return link.outbound == (self.own_id < link.certified_id)

    def best(self, links: Iterable[Link]) -> Link | None:
        """Return the link to send on: a preferred one before others, then the newest."""
        ranked = sorted(links, key=lambda link: (self.preferred(link), link.number))
        return ranked[-1] if ranked else None

    # --- inputs ---

    def connect(
        self, *, outbound: bool, host: str, certified_id: bytes, peer_fingerprint: bytes, now: float
    ) -> tuple[Link, tuple[bytes, ...]]:
        """Start on a fresh channel; returns the link and the frame payloads to send."""
        nonce = self._entropy(NONCE_BYTES)
        link = Link(
            number=self._next_number, outbound=outbound, host=host,
            peer_fingerprint=peer_fingerprint, certified_id=certified_id,
            cookie=self._cookies.issue(host, peer_fingerprint, nonce, now),
            salt=self._entropy(SALT_BYTES), opened_at=now, heard_at=now,
        )
        self._next_number += 1
        self._links[link.number] = link
        return link, self._take_in("connect", _Input(link, now))

    def receive(self, link: Link, frame: bytes, now: float) -> tuple[bytes, ...]:
        """Take a frame payload of the handshake and return the payloads to send.

        A frame that the table refuses closes the link; ``link.refusal`` then says why.
        """
        try:
            message = self._codec.decode(frame)
        except Malformed:
            return self.garbage(link)
        return self._take_in(message.KIND, _Input(link, now, message))

    def garbage(self, link: Link) -> tuple[bytes, ...]:
        """Close the link after an empty, oversized or undecodable frame."""
        return self._take_in("garbage", _Input(link, link.heard_at))

    def end(self, link: Link) -> None:
        """Close the link for a reason outside the table, if it is still up."""
        self._take_in("hang_up", _Input(link, link.heard_at))

    def on_clock(self, link: Link, now: float, rival: Link | None = None) -> bool:
        """Close a link that is silent for too long, or that an established rival outranks.

        Returns whether the link is over.
        """
        self._take_in("link_clock", _Input(link, now, rival=rival))
        return self.closed(link)

    def forget(self, link: Link) -> None:
        """Drop the record of a closed link."""
        check(self.closed(link), "only a closed link is forgotten")
        del self._links[link.number]
        self._tables.view.forget("Link", tuple(self._links))

    def _take_in(self, kind: str, entry: _Input) -> tuple[bytes, ...]:
        """Run the text of an input and return the payloads to send.

        What is admitted is noted as sent by the owner of the channel's key: the hello may name
        somebody else.
        """
        link, message, tables = entry.link, entry.message, self._tables
        self._at_hand = entry
        if message is not None and self._admissions[kind](link.certified_id, message):
            tables.view.deliver(message.CELL, link.certified_id, link.number)
        turn = tables.turn = Turn.of(kind)
        for number, name in enumerate(turn.entry.names):
            turn.begin(number)
            self._steps[name]()
        tables.turn = self._at_hand = None
        effects = tables.take()
        if effects.trace and self._on_trace is not None:
            self._on_trace(effects.trace)
        return tuple(self._codec.encode(send.message) for send in effects.sends)

    @property
    def _entry(self) -> _Input:
        """The input at hand; a defect if nothing is."""
        check(self._at_hand is not None, "no input of a link is at hand")
        return self._at_hand  # type: ignore[return-value]  # checked above

    # --- what the table is told ---

    @fact
    def hello(self, p: bytes, number: int) -> str:
        link, terms = self._links[number], self._terms
        hello = link.hello
        if hello is None:
            return "other_identity"
        faults = {
            "old_version": hello.version != VERSION,
            "wrong_network": hello.network != terms.network_id,
            "own_nonce": hello.cookie == link.cookie,
            "other_identity": hello.node_id != link.certified_id,
        }
        return next((name for name, found in faults.items() if found), "welcome")

    @fact
    def proof(self, p: bytes, number: int) -> str:
        link, now = self._links[number], self._entry.now
        if not self._cookies.in_time(link.cookie, link.host, link.peer_fingerprint, now):
            return "proof_late"
        return "proof_good" if link.proof_holds else "proof_bad"

    @fact
    def link_silent(self, p: bytes, number: int) -> bool:
        link, now, preset = self._links[number], self._entry.now, self._terms.preset
        if self.established(link):
            return now - link.heard_at >= preset.idle_timeout_s
        return now - link.opened_at >= preset.cookie_lifetime_s

    @fact
    def outranks(self, p: bytes, winner: int, loser: int) -> bool:
        first, second = self._links[winner], self._links[loser]
        if self.preferred(first) != self.preferred(second):
            return self.preferred(first)
        # Of links that one end dialled, that end alone decides: it knows which of them still works.
        return first.outbound and winner > loser

    # --- what is said ---

    @message("hello_sent")
    def hello_sent(self, p: bytes, number: int) -> Hello:
        return Hello(VERSION, self._terms.network_id, p, self._links[number].cookie)

    @message("proof_sent")
    def proof_sent(self, p: bytes, number: int) -> Proof:
        link = self._links[number]
        role = _DIALLER if link.outbound else _LISTENER
        signature = self._terms.identity.sign(PROOF_TAG, *self._covered(link, role, link.salt))
        return Proof(link.salt, signature)

    @message("ready_sent")
    def ready_sent(self, p: bytes, number: int) -> Ready:
        return Ready()

    def _covered(self, link: Link, role: bytes, salt: bytes) -> tuple[bytes, ...]:
        """Return what a proof signs; everything about the ends is listed dialler first."""
        hello = link.hello
        if hello is None:
            raise LocalFault("a proof needs the other end's hello")
        ours = (self.own_id, link.cookie, self._terms.fingerprint)
        theirs = (hello.node_id, hello.cookie, link.peer_fingerprint)
        dialler, listener = (ours, theirs) if link.outbound else (theirs, ours)
        version = VERSION.to_bytes(_VERSION_BYTES, "big")
        return (version, role, self._terms.network_id, *dialler, *listener, salt)

    # --- what happens ---

    @admits("hello")
    def admit_hello(self, sender: bytes, hello: Hello) -> bool:
        """Keep the hello that is going to be answered."""
        link = self._entry.link
        if self.state(link) == "connected":
            link.hello = hello
        return True

    @admits("proof")
    def admit_proof(self, sender: bytes, proof: Proof) -> bool:
        """Check the other end's proof, and keep what came of it."""
        link = self._entry.link
        role = _LISTENER if link.outbound else _DIALLER
        link.proof_holds = link.hello is not None and verify(
            link.hello.node_id, proof.signature, PROOF_TAG, *self._covered(link, role, proof.salt)
        )
        return link.proof_holds

    @admits("ready")
    def admit_ready(self, sender: bytes, ready: Ready) -> bool:
        """Take the word of an end that has proved itself."""
        return bool(self._tables.view.get("link_proved", self.own_id, self._entry.link.number))

    @handles("link_opened")
    def on_opened(self) -> None:
        self._tries("Connect")

    @handles("hello_judged")
    def on_hello(self) -> None:
        hello = self._entry.message
        if isinstance(hello, Hello):
            self._tries("Hello", q=hello.node_id)

    @handles("proof_judged")
    def on_proof(self) -> None:
        self._tries("Proof", q=self._entry.link.certified_id)

    @handles("ready_judged")
    def on_ready(self) -> None:
        self._tries("Ready", q=self._entry.link.certified_id)

    @handles("link_garbage")
    def on_garbage(self) -> None:
        self._tries("Garbage")

    @handles("link_late")
    def on_silence(self) -> None:
        self._tries("Overdue")
        self._tries("Quiet")

    @handles("link_superseded")
    def on_rival(self) -> None:
        if self._entry.rival is not None:
            self._tries("Supersede", w=self._entry.rival.number)

    @handles("link_ended")
    def on_end(self) -> None:
        self._tries("End")

    def _tries(self, event: str, **others: Any) -> None:
        """Run a row of the link at hand; a link that it closes learns why."""
        link = self._entry.link
        refusal = self._refusal(event, link, others.get("q"))
        if self._tables.tries(f"link.{event}", l=link.number, **others) and self.closed(link):
            link.refusal = refusal

    def _refusal(self, event: str, link: Link, peer: Value) -> str:
        """Return what it means if an event closes the link now: a label for counters."""
        if event in _REFUSALS:
            return _REFUSALS[event]
        state, me, number = self.state(link), self.own_id, link.number
        if event == "Hello":
            if state != "connected":
                return "second_hello"
            verdict = self.hello(me, number)
            own = peer == me and verdict not in ("old_version", "wrong_network")
            return OWN_ID if own else verdict
        if event == "Proof" and state == "challenged":
            spent = self._tables.view.get("cookie_spent", me, number)
            return "second_proof" if spent else self.proof(me, number)
        return "out_of_turn"
