"""Drafts of the next epoch, and which of their members have their share on disk.

A member's word is its envelope around ``SharePrepared``; whoever holds the signatures of all
members can show them to anyone. Two documents of one member for one epoch are evidence against it.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from metanode.errors import Equivocation, Malformed, PeerFault
from metanode.protocol.context import Context
from metanode.protocol.events.votes import frame_of
from metanode.protocol.keys.epoch import KeyEpoch, decode_epoch
from metanode.protocol.wire.envelope import SIGNATURE_TAG, verify_signed
from spec.messages import SharePrepared, SignedConfirmation

DRAFTS_PER_MEMBER = 8


@define
class Drafts:
    """What would follow the epoch in force; ``known`` are the drafts by number.

    Only words about a draft that is ``wanted`` here are kept: a liar could make up any other one,
    with members of its own who all say yes.
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
        before = self._said.get(number, {}).get(member)
        if before is not None and before[0] != message.document:
            earlier = frame_of(ctx.codec, SharePrepared(number, before[0]), member, before[1])
            later = frame_of(ctx.codec, message, member, signature)
            raise Equivocation("two documents of one epoch", member, (earlier, later))
        draft = self._draft(member, message)
        if before is not None or draft is None or member not in draft.roster:
            return
        self._make_room(member)
        self._said.setdefault(number, {})[member] = (message.document, signature)
        if self.is_ready(draft) or draft is self.known.get(number):
            # Who had no part in making a draft knows it from all its members.
            self.keep(self.known.get(number, draft))

    def take(
        self, sender: bytes, message: SharePrepared, shown: tuple[SignedConfirmation, ...]
    ) -> None:
        """Take the words of all members of a draft that a peer shows; fewer count for nothing.

        What all members signed is ready, whatever one of them told this node: a liar with two
        documents could keep some from stepping back, and others from going on.
        """
        ctx, number = self.ctx, message.epoch
        draft = self._draft(sender, message)
        if draft is None or self.is_ready(draft):
            return
        body, network_id = ctx.codec.encode(message), ctx.settings.network_id
        words = self._agreeing(draft)
        for item in shown:
            if item.member not in draft.roster or item.member in words:
                continue
            if not verify_signed(network_id, item.member, body, item.signature):
                raise PeerFault("a wrong signature under a member's word on its share", sender)
            words[item.member] = item.signature
        if len(words) < len(draft.roster):
            return
        said = self._said.setdefault(number, {})
        for member, signature in words.items():
            if member in said and said[member][0] != message.document:
                ctx.note("epoch.equivocation", epoch=number, peer=member.hex()[:16])
            said[member] = (message.document, signature)
        self.keep(self.known.get(number, draft))

    def forget(self, before: int) -> None:
        """Drop the drafts up to the epoch that is in force now."""
        self.known = {n: draft for n, draft in self.known.items() if n > before}
        self._said = {n: said for n, said in self._said.items() if n > before}

    def _make_room(self, member: bytes) -> None:
        """Drop a member's oldest word: the latest attempt is the one that may succeed."""
        numbers = sorted(number for number, said in self._said.items() if member in said)
        if len(numbers) >= DRAFTS_PER_MEMBER:
            del self._said[numbers[0]][member]

    def _draft(self, sender: bytes, message: SharePrepared) -> KeyEpoch | None:
        """Return the draft that a word is about, or None if it is of no use here."""
        if self.ctx.key is None or message.epoch <= self.ctx.key.number:
            return None
        known = self.known.get(message.epoch)
        if known is not None and known.encode() == message.document:
            return known
        key = self.ctx.epoch
        try:
            draft = decode_epoch(message.document)
        except Malformed as fault:
            raise PeerFault(f"a share of an unusable epoch: {fault.reason}", sender) from fault
        found = (draft.slot, draft.key_id, draft.public_key, draft.follows, draft.number)
        wanted = (key.slot, key.key_id, key.public_key, key.number, message.epoch)
        return draft if found == wanted and self.wanted(draft) else None
