"""The members' signed confirmations of keys, kept until the key is given up.

Equal confirmations of all n members make a key count (F-27). Two different ones of a member for one
key are evidence against it.
"""

from __future__ import annotations

from attrs import define, field

from metanode.errors import Equivocation, PeerFault
from metanode.protocol.context import Context
from metanode.protocol.events.votes import frame_of
from metanode.protocol.keys.epoch import KeyEpoch
from metanode.protocol.wire.envelope import SIGNATURE_TAG, verify_signed
from spec.messages import Confirmation, SignedConfirmation

SLOTS_KEPT = 64
PER_MEMBER = 2


@define
class ConfirmationBook:
    """Confirmations by slot and member, with the signatures of their envelopes."""

    ctx: Context
    _told: dict[int, dict[bytes, dict[Confirmation, bytes]]] = field(factory=dict)

    def __len__(self) -> int:
        return len(self._told)

    def note(self, member: bytes, confirmation: Confirmation, signature: bytes) -> None:
        """Keep a member's confirmation of a recent slot; raises Equivocation at a second, different
        one.

        The second is kept as well: a liar may have lied to this node and told others the truth.
        """
        now = self.ctx.keygen_slot()
        if not now - SLOTS_KEPT <= confirmation.key <= now + 1:
            return
        told = self._told.setdefault(confirmation.key, {}).setdefault(member, {})
        if confirmation in told or len(told) >= PER_MEMBER:
            return
        told[confirmation] = signature
        if len(told) > 1:
            codec = self.ctx.codec
            first, second = (frame_of(codec, c, member, s) for c, s in told.items())
            raise Equivocation("two confirmations of one key", member, (first, second))

    def sign(self, key: KeyEpoch) -> None:
        """Keep this node's own confirmation of a key that it has in store."""
        ctx = self.ctx
        body, network_id = ctx.codec.encode(key.confirmation), ctx.settings.network_id
        signature = ctx.identity.sign(SIGNATURE_TAG, network_id, ctx.me, body)
        self.note(ctx.me, key.confirmation, signature)

    def take(self, sender: bytes, key: KeyEpoch, shown: tuple[SignedConfirmation, ...]) -> None:
        """Take the confirmations of a key that a peer shows; each new one is checked."""
        ctx, wanted = self.ctx, key.confirmation
        body, network_id = ctx.codec.encode(wanted), ctx.settings.network_id
        for item in shown:
            if item.member not in key.roster or item.member in self.members(key):
                continue
            if not verify_signed(network_id, item.member, body, item.signature):
                raise PeerFault("a confirmation with a wrong signature", sender)
            try:
                self.note(item.member, wanted, item.signature)
            except Equivocation as fault:  # of that member, not of the one who shows it
                ctx.note("keygen.equivocation", peer=item.member.hex()[:16], reason=fault.reason)

    def members(self, key: KeyEpoch) -> tuple[bytes, ...]:
        """Return the holders of a key that confirmed what this node has in store."""
        told, wanted = self._told.get(key.slot, {}), key.confirmation
        return tuple(member for member in key.roster if wanted in told.get(member, {}))

    def signed(self, key: KeyEpoch) -> tuple[SignedConfirmation, ...]:
        """Return their confirmations, to be shown to anyone."""
        told, wanted = self._told.get(key.slot, {}), key.confirmation
        return tuple(SignedConfirmation(m, told[m][wanted]) for m in self.members(key))

    def forget(self, slot: int) -> None:
        """Drop a slot whose key was given up, and all that are too old."""
        self._told.pop(slot, None)
        oldest = self.ctx.keygen_slot() - SLOTS_KEPT
        self._told = {s: told for s, told in self._told.items() if s >= oldest}
