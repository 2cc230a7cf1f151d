"""Drafts of the next epoch, and which of their members have their share on disk.

A member's word is its envelope around ``SharePrepared``; a node that has the signatures of all
members can show them to anyone. Two documents of one member for one epoch are evidence against it.
"""

from __future__ import annotations

from attrs import define, field

from metanode.errors import Equivocation, Malformed, PeerFault, check
from metanode.protocol.context import Context
from metanode.protocol.events.votes import frame_of
from metanode.protocol.inputs import Received
from metanode.protocol.keys.epoch import KeyEpoch, decode_epoch
from metanode.protocol.reshare.wishes import Wishes
from metanode.protocol.tables.registry import admits, message
from metanode.protocol.wire.envelope import SIGNATURE_TAG, verify_signed
from spec.messages import SharePrepared, SignedConfirmation

DRAFTS_PER_MEMBER = 8


@define
class Drafts:
    """Keeps ``ctx.drafts``: the epochs that may follow the one in force.

    Only words about a draft that is wanted here are kept: a liar could make up any other one, with
    members of its own who all say yes.
    """

    ctx: Context
    wishes: Wishes
    _said: dict[int, dict[bytes, tuple[bytes, bytes]]] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)

    @message("ready_said")
    def ready_said(self, p: bytes, h: int) -> SharePrepared:
        return SharePrepared(h, self.ctx.drafts[h].encode())

    @admits("share_prepared")
    def hear(self, sender: bytes, word: SharePrepared) -> bool:
        """Take a member's word that its share is on disk, if it is about a draft known here."""
        entry = self.ctx.input
        check(isinstance(entry, Received), "a member's word comes in an envelope")
        if isinstance(entry, Received):
            self.note(sender, word, entry.envelope.signature)
        draft = self.ctx.drafts.get(word.epoch)
        return draft is not None and sender in self._agreeing(draft)

    def keep(self, draft: KeyEpoch) -> None:
        """Take up a draft, and the words about it that came before it."""
        self.ctx.drafts[draft.number] = draft
        for member in self._agreeing(draft):
            self.ctx.hear(SharePrepared(draft.number, draft.encode()), member)

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

    def sign(self, draft: KeyEpoch) -> None:
        """Note this node's own word, whose share is on its disk."""
        ctx, word = self.ctx, SharePrepared(draft.number, draft.encode())
        body = ctx.codec.encode(word)
        signature = ctx.identity.sign(SIGNATURE_TAG, ctx.settings.network_id, ctx.me, body)
        self.note(ctx.me, word, signature)

    def note(self, member: bytes, word: SharePrepared, signature: bytes) -> None:
        """Take a member's word; raises Equivocation at a second, different one."""
        ctx, number = self.ctx, word.epoch
        before = self._said.get(number, {}).get(member)
        if before is not None and before[0] != word.document:
            earlier = frame_of(ctx.codec, SharePrepared(number, before[0]), member, before[1])
            later = frame_of(ctx.codec, word, member, signature)
            raise Equivocation("two documents of one epoch", member, (earlier, later))
        draft = self._draft(member, word)
        if before is not None or draft is None or member not in draft.roster:
            return
        self._make_room(member)
        self._said.setdefault(number, {})[member] = (word.document, signature)
        if self.is_ready(draft) or draft is ctx.drafts.get(number):
            # A node that had no part in making a draft knows it from all its members.
            self.keep(ctx.drafts.get(number, draft))

    def take(
        self, sender: bytes, word: SharePrepared, shown: tuple[SignedConfirmation, ...]
    ) -> None:
        """Take the words of all members of a draft that a peer shows; fewer count for nothing.

        A draft that all members signed is ready, even if one of them told this node otherwise: a
        liar with two documents could keep some from stepping back, and others from going on.
        """
        ctx, number = self.ctx, word.epoch
        draft = self._draft(sender, word)
        if draft is None or self.is_ready(draft):
            return
        body, network_id = ctx.codec.encode(word), ctx.settings.network_id
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
            if member in said and said[member][0] != word.document:
                ctx.note("epoch.equivocation", epoch=number, peer=member.hex()[:16])
            said[member] = (word.document, signature)
        self.keep(ctx.drafts.get(number, draft))

    def forget(self, before: int) -> None:
        """Drop the drafts up to the epoch that is in force now."""
        self.ctx.drafts = {n: draft for n, draft in self.ctx.drafts.items() if n > before}
        self._said = {n: said for n, said in self._said.items() if n > before}

    def _make_room(self, member: bytes) -> None:
        """Drop a member's oldest word: the latest attempt is the one that may succeed."""
        numbers = sorted(number for number, said in self._said.items() if member in said)
        if len(numbers) >= DRAFTS_PER_MEMBER:
            del self._said[numbers[0]][member]

    def _draft(self, sender: bytes, word: SharePrepared) -> KeyEpoch | None:
        """Return the draft that a word is about, or None if it is of no use here."""
        if self.ctx.key is None or word.epoch <= self.ctx.key.number:
            return None
        known = self.ctx.drafts.get(word.epoch)
        if known is not None and known.encode() == word.document:
            return known
        key = self.ctx.epoch
        try:
            draft = decode_epoch(word.document)
        except Malformed as fault:
            raise PeerFault(f"a share of an unusable epoch: {fault.reason}", sender) from fault
        found = (draft.slot, draft.key_id, draft.public_key, draft.follows, draft.number)
        wanted = (key.slot, key.key_id, key.public_key, key.number, word.epoch)
        return draft if found == wanted and self.wishes.wanted(draft) else None
