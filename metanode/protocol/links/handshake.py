"""The node_id handshake, sans-IO: runs the rows of ``spec/tables/link.py``.

Each end sends ``Hello`` with a cookie, answers with ``Proof``, a signature over everything that
makes this link this link, and says ``Ready`` when the other's proof has held. The table decides;
this module judges the facts that its guards read and builds the messages that its effects send.

What a proof covers (F-28): version, the signer's role, network id, the ids of dialler and listener,
both cookies, a salt, the fingerprints of both certificates. A relay has other fingerprints and
another id, so a proof made for it holds nowhere else.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from attrs import define, evolve, field, frozen

from metanode.errors import Malformed, check
from metanode.hashing import tagged_hash
from metanode.identity import Identity, verify
from metanode.protocol.tables.runner import Tables
from metanode.protocol.tables.view import NodeView
from metanode.protocol.wire.codec import Codec
from spec.language.interpreter import Value, enabled
from spec.messages import HANDSHAKE_MESSAGES, Hello, Proof, Ready
from spec.parameters import Preset
from spec.protocol import PROTOCOL

VERSION: Final = 1
PROOF_TAG: Final = "link-proof"
SALT_BYTES: Final = 32
COOKIE_BYTES: Final = 32
MAX_LINKS_PER_PEER: Final = 3
"""A dialler may hold that many links while it moves from one to another."""
_TIME_BYTES, _NONCE_BYTES, _MAC_BYTES = 8, 8, 16
_VERSION_BYTES: Final = 2
_TABLE: Final = "link"
_DIALLER, _LISTENER = b"dialler", b"listener"


class Cookies:
    """Stateless cookies (F-30): time, nonce and a MAC that binds them to one channel.

    Nothing is kept per endpoint, so half-open dials cannot use up the cookies of others behind the
    same address. Layout: time in ms (8 bytes), nonce (8), MAC (16).
    """

    def __init__(self, secret: bytes, lifetime_s: float) -> None:
        """Take the node's cookie key (32 secret bytes of this run) and the lifetime in seconds."""
        check(len(secret) == COOKIE_BYTES, "the cookie key has 32 bytes")
        self._secret = secret
        self._lifetime_s = lifetime_s

    def issue(self, host: str, fingerprint: bytes, nonce: bytes, now: float) -> bytes:
        """Return a cookie of 32 bytes for the channel to ``host`` with that peer certificate."""
        check(len(nonce) == _NONCE_BYTES, "a cookie's nonce has 8 bytes")
        head = int(now * 1000).to_bytes(_TIME_BYTES, "big") + nonce
        return head + self._mac(head, host, fingerprint)

    def in_time(self, cookie: bytes, host: str, fingerprint: bytes, now: float) -> bool:
        """Tell whether a cookie was issued for this channel, at most the lifetime ago."""
        head = cookie[: _TIME_BYTES + _NONCE_BYTES]
        expected = head + self._mac(head, host, fingerprint)
        age_s = now - int.from_bytes(cookie[:_TIME_BYTES], "big") / 1000
        # The time was cut to whole milliseconds, so that a cookie may look a little older.
        return hmac.compare_digest(cookie, expected) and 0 <= age_s <= self._lifetime_s + 0.001

    def _mac(self, head: bytes, host: str, fingerprint: bytes) -> bytes:
        name = host.encode("utf-8", "surrogatepass")
        return tagged_hash("link-cookie", self._secret, head, name, fingerprint)[:_MAC_BYTES]


@define(eq=False)
class Link:
    """What rides along with a link's record in the table: nothing here decides anything."""

    number: int
    outbound: bool
    host: str
    peer_fingerprint: bytes = field(repr=False)
    certified_id: bytes = field(repr=False)
    cookie: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    opened_at: float
    hello: Hello | None = field(default=None, repr=False)
    refusal: str | None = None


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
        self,
        terms: LinkTerms,
        entropy: Callable[[int], bytes],
        on_trace: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """Start without links; ``entropy(n)`` gives n random bytes, ``on_trace`` takes steps."""
        self._terms = terms
        self._entropy = entropy
        self._on_trace = on_trace
        self._cookies = Cookies(entropy(COOKIE_BYTES), terms.preset.cookie_lifetime_s)
        self._codec = Codec(HANDSHAKE_MESSAGES)
        only_links = evolve(PROTOCOL, machines={_TABLE: PROTOCOL.machines[_TABLE]})
        self._tables = Tables(only_links, NodeView(only_links))
        self._links: dict[int, Link] = {}
        self._next_number = 0

    @property
    def own_id(self) -> bytes:
        """This node's id."""
        return self._terms.identity.node_id

    # ---------------------------------------------------------------------------------- questions

    def state(self, link: Link) -> str:
        """Return the link's state in the table."""
        return self._tables.state(_TABLE, self.own_id, link.number)

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

    # -------------------------------------------------------------------------------------- events

    def connect(
        self, *, outbound: bool, host: str, certified_id: bytes, peer_fingerprint: bytes, now: float
    ) -> tuple[Link, tuple[bytes, ...]]:
        """Start on a fresh channel; returns the link and the frame payloads to send."""
        nonce = self._entropy(_NONCE_BYTES)
        link = Link(
            number=self._next_number,
            outbound=outbound,
            host=host,
            peer_fingerprint=peer_fingerprint,
            certified_id=certified_id,
            cookie=self._cookies.issue(host, peer_fingerprint, nonce, now),
            salt=self._entropy(SALT_BYTES),
            opened_at=now,
        )
        self._next_number += 1
        self._links[link.number] = link
        terms = self._terms
        hello = Hello(VERSION, terms.network_id, self.own_id, link.cookie)
        return link, self._fire(link, "Connect", None, {"hello_sent": lambda: hello})

    def receive(self, link: Link, frame: bytes, now: float) -> tuple[bytes, ...]:
        """Take a frame payload of the handshake and return the payloads to send.

        A frame that the table refuses closes the link; ``link.refusal`` then says why.
        """
        try:
            message = self._codec.decode(frame)
        except Malformed:
            return self.garbage(link)
        if isinstance(message, Hello):
            return self._hello(link, message)
        if isinstance(message, Proof):
            return self._proof(link, message, now)
        return self._ready(link)

    def garbage(self, link: Link) -> tuple[bytes, ...]:
        """Close the link after an empty, oversized or undecodable frame."""
        return self._fire(link, "Garbage")

    def end(self, link: Link) -> None:
        """Close the link for a reason outside the table, if it is still up."""
        self._fire(link, "End")

    def overdue(self, link: Link, now: float) -> bool:
        """Close the link if its handshake takes longer than a cookie lives; returns whether."""
        late = now - link.opened_at >= self._terms.preset.cookie_lifetime_s
        return self._closes(link, "Overdue", {"handshake_overdue": late})

    def quiet(self, link: Link, last_frame_at: float, now: float) -> bool:
        """Close an established link without a frame for the idle timeout; returns whether."""
        silent = now - last_frame_at >= self._terms.preset.idle_timeout_s
        return self._closes(link, "Quiet", {"link_silent": silent})

    def supersede(self, loser: Link, winner: Link) -> bool:
        """Close ``loser`` if the established ``winner`` outranks it; returns whether."""
        facts = {"outranks": self._outranks(winner, loser)}
        return self._closes(loser, "Supersede", facts, w=winner.number)

    def forget(self, link: Link) -> None:
        """Drop the record of a closed link."""
        check(self.closed(link), "only a closed link is forgotten")
        del self._links[link.number]
        self._tables.view.forget("Link", tuple(self._links))

    # ----------------------------------------------------------------------------- what is judged

    def _hello(self, link: Link, hello: Hello) -> tuple[bytes, ...]:
        certified = hello.node_id == link.certified_id
        if certified:
            self._tables.view.deliver("hello_sent", hello.node_id, link.number)
        facts = {
            "same_version": hello.version == VERSION,
            "same_network": hello.network == self._terms.network_id,
            "own_cookie_back": hello.cookie == link.cookie,
            "certified": certified,
        }
        if self.state(link) == "connected":
            link.hello = hello
        answer = {"proof_sent": lambda: Proof(link.salt, self._sign(link, hello))}
        return self._fire(link, "Hello", facts, answer, q=hello.node_id)

    def _proof(self, link: Link, proof: Proof, now: float) -> tuple[bytes, ...]:
        holds = self._proof_holds(link, proof)
        if holds:
            self._tables.view.deliver("proof_sent", link.certified_id, link.number)
        facts = {
            "cookie_in_time": self._cookies.in_time(
                link.cookie, link.host, link.peer_fingerprint, now
            ),
            "proof_holds": holds,
        }
        return self._fire(link, "Proof", facts, {"ready_sent": Ready}, q=link.certified_id)

    def _ready(self, link: Link) -> tuple[bytes, ...]:
        if self._tables.view.get("link_proved", self.own_id, link.number):
            self._tables.view.deliver("ready_sent", link.certified_id, link.number)
        return self._fire(link, "Ready", q=link.certified_id)

    def _sign(self, link: Link, hello: Hello) -> bytes:
        role = _DIALLER if link.outbound else _LISTENER
        covered = self._covered(link, hello, role, link.salt)
        return self._terms.identity.sign(PROOF_TAG, *covered)

    def _proof_holds(self, link: Link, proof: Proof) -> bool:
        if link.hello is None:
            return False
        role = _LISTENER if link.outbound else _DIALLER
        covered = self._covered(link, link.hello, role, proof.salt)
        return verify(link.hello.node_id, proof.signature, PROOF_TAG, *covered)

    def _covered(self, link: Link, hello: Hello, role: bytes, salt: bytes) -> tuple[bytes, ...]:
        """Return what a proof signs; everything about the ends is listed dialler first."""
        ours = (self.own_id, link.cookie, self._terms.fingerprint)
        theirs = (hello.node_id, hello.cookie, link.peer_fingerprint)
        dialler, listener = (ours, theirs) if link.outbound else (theirs, ours)
        version = VERSION.to_bytes(_VERSION_BYTES, "big")
        return (version, role, self._terms.network_id, *dialler, *listener, salt)

    def _outranks(self, winner: Link, loser: Link) -> bool:
        if self.preferred(winner) != self.preferred(loser):
            return self.preferred(winner)
        # Of links that one end dialled, that end alone decides: it knows which of them still works.
        return winner.outbound and winner.number > loser.number

    # ------------------------------------------------------------------------------- the table

    def _closes(self, link: Link, event: str, facts: Mapping[str, bool], **others: Value) -> bool:
        """Run a row that depends on a given fact, if it may run; returns whether it did."""
        arguments: dict[str, Any] = {"p": self.own_id, "l": link.number, **others}
        if not self._tables.may(_TABLE, event, given=facts, **arguments):
            return False
        self._fire(link, event, facts, None, **others)
        return True

    def _fire(
        self,
        link: Link,
        event: str,
        given: Mapping[str, bool] | None = None,
        messages: Mapping[str, Callable[[], object]] | None = None,
        **others: Value,
    ) -> tuple[bytes, ...]:
        """Run the row of ``event`` and return the payloads that it sends; () on a closed link.

        ``messages`` makes the message of a network cell. It is called only when the row that is
        about to run sends it: a proof must not even be signed for a hello that is refused.
        """
        if self.closed(link) and event != "Connect":
            return ()
        facts = given or {}
        arguments: dict[str, Any] = {"p": self.own_id, "l": link.number, **others}
        carry = {
            cell: make()
            for cell, make in (messages or {}).items()
            if cell in self._cells_written(link, event, facts, arguments)
        }
        rule = self._tables.fire(_TABLE, event, given=facts, carry=carry, **arguments)
        effects = self._tables.take()
        if rule.target == "closed":
            link.refusal = rule.row.why.partition(":")[0]
        if self._on_trace is not None:
            for line in effects.trace:
                self._on_trace(line)
        return tuple(self._codec.encode(send.message) for send in effects.sends)

    def _cells_written(
        self, link: Link, event: str, facts: Mapping[str, bool], arguments: Mapping[str, Value]
    ) -> set[str]:
        machine, view = PROTOCOL.machines[_TABLE], self._tables.view
        with view.given(facts):
            rules = enabled(machine, self.state(link), event, view, arguments)
        return {effect.cell.name for rule in rules for effect in rule.effects}
