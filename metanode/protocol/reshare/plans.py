"""Plans of attempts to make new shares, and the documents that everybody who takes part votes for.

What operators ask for is planned by their request. What the night changes follows from statements
that the document shows, each as its holder signed it, and from stakes at a block that it names: so
each voter computes the same roster, or does not vote (F-17).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from metanode.custody.types import ID_BYTES, Outpoint
from metanode.errors import Malformed
from metanode.hashing import tagged_hash
from metanode.protocol.context import Context
from metanode.protocol.keys.epoch import KeyEpoch, Member, members_plain, outpoints_plain
from metanode.protocol.peers.peer_list import PeerList
from metanode.protocol.peers.stakes import Stakes
from metanode.protocol.reshare.attendance import Attendances
from metanode.protocol.reshare.night import Roster, Stakeholders, Words, next_roster
from metanode.protocol.reshare.wishes import Wish, Wishes
from metanode.protocol.tables.registry import fact
from metanode.protocol.wire.codec import decode_canonical, encode_canonical
from metanode.protocol.wire.envelope import open_envelope
from spec.messages import DOCUMENT_OCTETS, MEMBERS_LIMIT, Missed
from spec.night_messages import Attendance, Withheld

Block = tuple[int, bytes]
"""Height and id."""

WORDS_LIMIT = 3 * MEMBERS_LIMIT
WORDS_OCTETS = DOCUMENT_OCTETS - (1 << 14)
"""What is left of a document beside its members."""
PLANS_KEPT = 8
OPENED_KEPT = 512


@frozen
class Plan:
    """One attempt: the epoch that it would follow, who deals, who will hold (in ascending order of
    ids), their t and f.

    ``cutoff`` is the block at which stakes are looked at, ``words`` are the statements, both absent
    where nothing but the shares changes, or where operators ask for the holders (``asked``).
    """

    follows: int
    dealers: tuple[bytes, ...]
    members: tuple[Member, ...]
    threshold: int
    byzantine: int
    barred: tuple[Outpoint, ...] = ()
    cutoff: Block | None = None
    words: tuple[bytes, ...] = field(default=(), repr=False)
    asked: bool = field(default=False, eq=False)

    @property
    def holders(self) -> tuple[bytes, ...]:
        """The ids of those who will hold shares."""
        return tuple(member.node_id for member in self.members)

    @property
    def parties(self) -> tuple[bytes, ...]:
        """Everybody who takes part, in ascending order."""
        return tuple(sorted({*self.dealers, *self.holders}))

    @property
    def outcome(self) -> tuple[Any, ...]:
        """What the epoch of this plan is told by."""
        return (self.members, self.threshold, self.byzantine, self.barred)

    def document(self, follows: bytes) -> bytes:
        """Return what is voted for; ``follows`` names the epoch before."""
        return encode_canonical(
            {
                "barred": outpoints_plain(self.barred),
                "byzantine": self.byzantine,
                "cutoff": None if self.cutoff is None else list(self.cutoff),
                "dealers": list(self.dealers),
                "follows": follows,
                "members": members_plain(self.members),
                "threshold": self.threshold,
                "words": list(self.words),
            }
        )


def document_digest(document: bytes) -> bytes:
    """Return the digest of a plan's document."""
    return tagged_hash("regroup-document", document)


@define
class Plans:
    """Makes plans, and judges those of others; tells the tables what the one at hand rests on."""

    ctx: Context
    peers: PeerList
    stakes: Stakes
    attendance: Attendances
    wishes: Wishes
    kept: dict[tuple[int, bytes], Plan] = field(factory=dict)
    _opened: dict[bytes, tuple[bytes, Any] | None] = field(factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    # --- what the tables are told ---

    @fact
    def says_heard(self, p: bytes, q: bytes, h: int) -> bool:
        words = self._words(h)
        return any(p in by for (node, _), by in words.heard.items() if node == q)

    @fact
    def says_silent(self, p: bytes, q: bytes, h: int) -> bool:
        return p in self._words(h).silent.get(q, ())

    @fact
    def says_missed(self, p: bytes, q: bytes, h: int) -> bool:
        return p in self._words(h).missed.get(q, ())

    @fact
    def says_withheld(self, p: bytes, q: bytes, h: int) -> bool:
        return p in self._words(h).withheld.get(q, ())

    @fact
    def stake_holds(self, p: bytes, h: int) -> bool:
        plan, key = self.of(h), self.ctx.key
        if plan is None or key is None:
            return False
        known = {member.node_id: member for member in (*plan.members, *key.members)}
        member = known.get(p)
        if member is None or plan.cutoff is None:
            return member is not None
        chain = self._stakeholders(plan.cutoff)
        if p in key.roster:
            return chain.holds(member)
        fresh = chain.candidate(p, member.stake)
        return fresh == member and member.stake not in key.barred

    @fact
    def asked_for(self, h: int) -> bool:
        plan = self.of(h)
        return plan is not None and plan.asked

    def of(self, number: int) -> Plan | None:
        """Return the newest plan of an attempt that this node has made or taken up."""
        return next((p for (n, _), p in reversed(self.kept.items()) if n == number), None)

    def _words(self, number: int) -> Words:
        plan = self.of(number)
        return Words() if plan is None else self._read(plan.words)

    # --- plans ---

    def keep(self, number: int, plan: Plan, digest: bytes) -> None:
        """Keep a plan as long as its attempt may go on."""
        self.kept.pop((number, digest), None)
        self.kept[number, digest] = plan
        while len(self.kept) > PLANS_KEPT:
            del self.kept[next(iter(self.kept))]
        self.wishes.agreed = {}
        for (attempt, _), each in self.kept.items():
            self.wishes.agreed.setdefault(attempt, set()).add(each.outcome)

    def parties(self) -> set[bytes]:
        """Return who takes part in attempts without a share: their messages are heard."""
        found = {node for plan in self.kept.values() for node in plan.parties}
        if self.wishes.night() is not None:
            found |= {member.node_id for member in self.attendance.candidates()}
        return found

    def make(self, wish: Wish, key: KeyEpoch, said: Iterable[bytes]) -> Plan | None:
        """Return the plan for a wish as this node sees it; ``said`` are words about this night's
        attempts.
        """
        if wish.members is not None:
            return self._asked(wish, key)
        night = self.wishes.night()
        statements = {} if night is None else self.attendance.frames(night)
        frames = [*said, *(statements[holder] for holder in sorted(statements))]
        return self.nightly(key, self.cutoff(), self._fitting(frames))

    def _fitting(self, frames: Iterable[bytes]) -> tuple[bytes, ...]:
        kept, octets = [], 0
        for frame in frames:
            octets += len(frame) + 4
            if octets > WORDS_OCTETS:
                break
            kept.append(frame)
        return tuple(kept)

    def _asked(self, wish: Wish, key: KeyEpoch) -> Plan | None:
        members = wish.members or ()
        known = {m.node_id: m for m in (*self.peers.staked(), *key.members)}
        if not all(member in known for member in members):
            return None
        return Plan(
            key.number, _dealers(key, members), tuple(known[member] for member in members),
            wish.threshold, wish.byzantine, key.barred, asked=True,
        )

    def nightly(self, key: KeyEpoch, cutoff: Block | None, words: Sequence[bytes]) -> Plan:
        """Return the plan that follows from statements and a block; the same at all nodes.

        Where it changes nobody's seat it shows neither.
        """
        said, seats = self._read(words), self.ctx.settings.seats or self.ctx.settings.members
        roster = next_roster(key, said, self._stakeholders(cutoff), seats, self.ctx.preset)
        same = Roster(key.members, key.threshold, key.byzantine, key.barred)
        if roster == same:
            return Plan(
                key.number, key.roster, key.members, key.threshold, key.byzantine, key.barred
            )
        holders = tuple(member.node_id for member in roster.members)
        return Plan(
            key.number, _dealers(key, holders), roster.members, roster.threshold, roster.byzantine,
            roster.barred, cutoff, tuple(words),
        )

    def judged(self, key: KeyEpoch, document: bytes, own: Plan) -> Plan | None:
        """Return the plan of another node's document, if this node comes to the same.

        A plan that changes nothing is good unless this node knows of a change; one that does is
        judged by what it shows.
        """
        cutoff, words = _shown(document)
        if cutoff is None and not words:
            same = Plan(
                key.number, key.roster, key.members, key.threshold, key.byzantine, key.barred
            )
            return same if own.words == () or self.cutoff() is None else None
        if cutoff is not None and not self._is_good(cutoff):
            return None
        plan = self.nightly(key, cutoff, words)
        self.stakes.ask(candidate for candidate in self._read(words).heard)
        return plan

    def cutoff(self) -> Block | None:
        """Return the newest block that this node treats as settled."""
        height, ledger = self.stakes.settled(), self.stakes.ledger()
        block = ledger.block_hash(height)
        return None if block is None or ledger.median_time(height) is None else (height, block)

    def _is_good(self, cutoff: Block) -> bool:
        """Return whether a block is in this node's chain, and about as deep as its own cut-off."""
        height, block = cutoff
        near = abs(height - self.stakes.settled()) <= self.ctx.preset.cutoff_slack_blocks
        return near and self.stakes.ledger().block_hash(height) == block

    def _stakeholders(self, cutoff: Block | None) -> Stakeholders:
        if cutoff is None:
            return Stakeholders(lambda member: True, lambda node, stake: None)
        height = cutoff[0]
        return Stakeholders(
            lambda member: self.stakes.holds_at(member.stake, height),
            lambda node, stake: self.stakes.member_at(node, stake, height),
        )

    def _read(self, frames: Sequence[bytes]) -> Words:
        """Return what holders say in frames that verify; anything else in them counts for nothing.
        """
        key, night = self.ctx.key, self.wishes.night()
        said = []
        for frame in frames:
            found = self._open(frame)
            if found is None or key is None or found[0] not in key.roster:
                continue
            word = found[1]
            fresh = (
                word.night == night if isinstance(word, Attendance)
                else isinstance(word, Missed | Withheld) and word.epoch > key.number
            )
            if fresh:
                said.append(found)
        return Words.of(said, self.ctx.preset.absent_nights)

    def _open(self, frame: bytes) -> tuple[bytes, Any] | None:
        if frame not in self._opened:
            ctx = self.ctx
            if len(self._opened) >= OPENED_KEPT:
                self._opened.clear()
            try:
                sender, word, _ = open_envelope(ctx.settings.network_id, ctx.codec, frame)
                self._opened[frame] = (sender, word)
            except Malformed:
                self._opened[frame] = None
        return self._opened[frame]

    def report(self) -> Mapping[str, object]:
        """Return what a night would change now, for the operator."""
        key = self.ctx.key
        if key is None:
            return {}
        night = self.wishes.night()
        return {
            "night": night,
            "statements": 0 if night is None else len(self.attendance.frames(night)),
            "candidates": [member.node_id.hex() for member in self.attendance.candidates()],
            "barred": [str(stake) for stake in key.barred],
        }


def _dealers(key: KeyEpoch, holders: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return who deals: the holders who stay, and as many of the others as t asks for."""
    staying = [member for member in key.roster if member in holders]
    leaving = [member for member in key.seniority if member not in holders]
    missing = max(0, key.threshold - len(staying))
    return tuple(sorted([*staying, *leaving[:missing]]))


def _shown(document: bytes) -> tuple[Block | None, tuple[bytes, ...]]:
    """Return the block and the statements in a document; nothing where it is none."""
    try:
        plain = decode_canonical(document)
    except Malformed:
        return None, ()
    if type(plain) is not dict:
        return None, ()
    words, cutoff = plain.get("words"), plain.get("cutoff")
    if type(words) is not list or len(words) > WORDS_LIMIT:
        return None, ()
    if any(type(word) is not bytes for word in words):
        return None, ()
    block: Block | None = None
    if type(cutoff) is list and len(cutoff) == 2:
        height, name = cutoff
        if type(height) is int and type(name) is bytes and len(name) == ID_BYTES:
            block = (height, name)
    return block, tuple(words)

