"""Drafts of the next epoch, and which of their members have their share on disk.

A member's word is its envelope around ``SharePrepared``; whoever holds the signatures of all
members can show them to anyone. Two documents of one member for one epoch are evidence against it.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from metanode.errors import Equivocation, Malformed, PeerFault
from metanode.protocol.context import Context
from metanode.protocol.envelope import SIGNATURE_TAG, verify_signed
from metanode.protocol.epoch import KeyEpoch, decode_epoch
from metanode.protocol.votes import frame_of
from spec.messages import SharePrepared, SignedConfirmation

DRAFTS_PER_MEMBER = 8


@define
class Drafts:
    """What would follow the epoch in force; ``known`` are the drafts by number.

    Only words about a draft that is ``wanted`` here are kept: a liar could make up any other one,
    with members of its own who all say yes. What comes too early for that is told again.
    """

    ctx: Context
    wanted: Callable[[KeyEpoch], bool]
    known: dict[int, KeyEpoch] = field(factory=dict)
    _said: dict[int, dict[bytes, tuple[bytes, bytes]]] = field(factory=dict)

    def keep(self, draft: KeyEpoch) -> None:
        """Take up a draft, and the words about it that came before it."""
        self.known[draft.number] = draft
        for member in self._agreeing(draft):
            self.ctx.tables.view.deliver("ready_said", member, draft.number)

    def is_ready(self, draft: KeyEpoch) -> bool:
        """Return whether every member of a draft has its share on disk."""
        return not self.unready(draft)

    def unready(self, draft: KeyEpoch) -> list[bytes]:
        """Return the members of a draft who have not said that their share is on disk."""
        agreeing = self._agreeing(draft)
        return [member for member in draft.roster if member not in agreeing]

    def statements(self, draft: KeyEpoch) -> tuple[SignedConfirmation, ...]:
        """Return the members' words about a draft, to be shown to anyone."""
        agreeing = self._agreeing(draft)
        return tuple(SignedConfirmation(m, agreeing[m]) for m in draft.roster if m in agreeing)

    def _agreeing(self, draft: KeyEpoch) -> dict[bytes, bytes]:
        document = draft.encode()
        said = self._said.get(draft.number, {})
        return {m: signature for m, (told, signature) in said.items() if told == document}

    def sign(self, message: SharePrepared) -> None:
        """Note this node's own word, which it is about to send."""
        ctx = self.ctx
        body = ctx.codec.encode(message)
        signature = ctx.identity.sign(SIGNATURE_TAG, ctx.settings.network_id, ctx.me, body)
        self.note(ctx.me, message, signature)

    def note(self, member: bytes, message: SharePrepared, signature: bytes) -> None:
        """Take a member's word; raises Equivocation at a second, different one."""
        ctx, number = self.ctx, message.epoch
        if ctx.key is None or number <= ctx.key.number:
            return
        draft = self.known.get(number) or self._decode(member, message)
        if draft is None or member not in draft.roster:
            return
        said = self._said.setdefault(number, {})
        before = said.get(member)
        if before is None:
            self._make_room(member)
        if before is not None and before[0] != message.document:
            earlier = frame_of(ctx.codec, SharePrepared(number, before[0]), member, before[1])
            later = frame_of(ctx.codec, message, member, signature)
            raise Equivocation("two documents of one epoch", member, (earlier, later))
        said[member] = (message.document, signature)
        if number in self.known:
            if message.document == draft.encode():
                ctx.tables.view.deliver("ready_said", member, number)
        elif self.is_ready(draft):
            self.keep(draft)  # who had no part in making it knows it from all its members

    def take(
        self, sender: bytes, message: SharePrepared, shown: tuple[SignedConfirmation, ...]
    ) -> None:
        """Take the words of members that a peer shows; each new one is checked."""
        ctx = self.ctx
        body, network_id = ctx.codec.encode(message), ctx.settings.network_id
        for item in shown:
            known = self._said.get(message.epoch, {}).get(item.member)
            if known is not None and known[0] == message.document:
                continue
            if not verify_signed(network_id, item.member, body, item.signature):
                raise PeerFault("a wrong signature under a member's word on its share", sender)
            try:
                self.note(item.member, message, item.signature)
            except Equivocation as fault:  # of that member, not of the one who shows it
                ctx.note("epoch.equivocation", peer=item.member.hex()[:16], reason=fault.reason)

    def forget(self, before: int) -> None:
        """Drop the drafts up to the epoch that is in force now."""
        self.known = {n: draft for n, draft in self.known.items() if n > before}
        self._said = {n: said for n, said in self._said.items() if n > before}

    def _make_room(self, member: bytes) -> None:
        """Drop a member's oldest word: attempts fail, and the latest is the one that may succeed."""
        numbers = sorted(number for number, said in self._said.items() if member in said)
        if len(numbers) >= DRAFTS_PER_MEMBER:
            del self._said[numbers[0]][member]

    def _decode(self, sender: bytes, message: SharePrepared) -> KeyEpoch | None:
        key = self.ctx.epoch
        try:
            draft = decode_epoch(message.document)
        except Malformed as fault:
            raise PeerFault(f"a share of an unusable epoch: {fault.reason}", sender) from fault
        found = (draft.slot, draft.key_id, draft.public_key, draft.follows, draft.number)
        wanted = (key.slot, key.key_id, key.public_key, key.number, message.epoch)
        return draft if found == wanted and self.wanted(draft) else None
