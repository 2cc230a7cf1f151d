"""Making the key: keygen slots, confirmations, and the lock-in by the key's own signature.

Key generation repeats in every slot until ``keygen_until``; a key counts when all n members
confirmed the same public key and shares. Then one event per network, the lock-in, is signed by the
newest such key: the signature tests the key, and SAFE-SIGN sees to it that no second key is locked
in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field

from metanode.errors import PeerFault
from metanode.hashing import tagged_hash
from metanode.protocol.context import (
    Context,
    keygen_event,
    lock_in_event,
)
from metanode.protocol.events.coordinator import Task
from metanode.protocol.keys.confirmations import ConfirmationBook
from metanode.protocol.keys.epoch import FIRST_EPOCH, KeyEpoch, Member
from metanode.protocol.keys.key import USABLE, keygen_document
from metanode.protocol.tables.runner import TransitionError
from metanode.protocol.tables.view import Quorum
from metanode.protocol.wire.envelope import SIGNATURE_TAG
from metanode.tss.keyshare import Keyshare
from metanode.tss.sign import Signature
from metanode.tss.verify import verify_signature
from spec.messages import Confirmation, Confirmations, KeyLocked


@define
class Keygen:
    """The keygen core of a node; ``candidates`` are the listed members, the oldest stake first.

    ``asked`` tells whether the operator has asked for a key.
    """

    ctx: Context
    candidates: Callable[[], tuple[Member, ...]]
    create: Callable[[bytes], None]
    asked: Callable[[], bool]
    keys: dict[int, KeyEpoch] = field(factory=dict)
    announcement: KeyLocked | None = None
    _confirmations: ConfirmationBook = field(init=False)
    _making: dict[int, tuple[Member, ...]] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._confirmations = ConfirmationBook(self.ctx)

    @property
    def lock_in(self) -> bytes:
        """The event of the lock-in."""
        return lock_in_event(self.ctx.settings.network_id)

    def certified(self) -> list[KeyEpoch]:
        """Return the keys that all members confirmed, the newest first."""
        state = self.ctx.tables.state
        slots = [s for s in self.keys if state("keygen", self.ctx.me, s) == "certified_by_all"]
        return [self.keys[slot] for slot in sorted(slots, reverse=True)]

    def is_open(self) -> bool:
        """Return whether another key may be made: before ``keygen_until``, or while none counts.

        By command, no key is made before the operator asks, and one that counts is enough.
        """
        settings = self.ctx.settings
        wanted = settings.keygen == "clock" or self.asked()
        return wanted and (settings.keygen_window(self.ctx.now) or not self.certified())

    def tick(self) -> Task | None:
        """Move with the clock; return the task that this node would coordinate now, if any."""
        ctx = self.ctx
        if ctx.key is not None or ctx.settings.joins is not None:
            return None
        phase, slot = ctx.tables.state("peer", ctx.me), ctx.keygen_slot()
        if phase == "Keygen":
            return self._in_slot(slot)
        if phase != "Idle":
            return None
        if self.is_open():
            if ctx.slot_share() < ctx.preset.setup_share and not self._tried(slot):
                ctx.tables.fire("peer", "KeygenTick", p=ctx.me, given={"keygen_open": True})
                self.create(keygen_event(ctx.settings.network_id, slot))
                return self._in_slot(slot)
            return None
        return self.task("lock_in", self.lock_in, ctx.round_number())

    def task(self, purpose: str, event: bytes, attempt: int) -> Task | None:
        """Return the task of an attempt as this node sees it, or None if there is nothing to do."""
        if self.ctx.key is not None:
            return None
        if purpose == "keygen":
            return self._keygen_task(event, attempt)
        return self._lock_in_task(event, attempt) if purpose == "lock_in" else None

    def begin(self, task: Task) -> None:
        """A certificate of all members begins the key generation of a slot."""
        self.ctx.tables.fire(
            "keygen",
            "Start",
            p=self.ctx.me,
            k=task.attempt,
            given={"keygen_certificate": True, "same_roster": self._is_roster(task.members)},
        )
        self._making[task.attempt] = task.roster

    def made(self, slot: int, keyshare: Keyshare) -> None:
        """A key generation ended well: put the share in store, then confirm it."""
        ctx, settings = self.ctx, self.ctx.settings
        key = KeyEpoch(
            slot=slot,
            members=tuple(sorted(self._making.pop(slot), key=lambda m: m.node_id)),
            byzantine=settings.byzantine,
            package=keyshare.package,
            keyshare=keyshare,
        )
        confirmation = key.confirmation
        ctx.tables.fire(
            "keygen",
            "Store",
            p=ctx.me,
            k=slot,
            given={"share_verified": True},
            carry={"key_share": key, "confirmed": confirmation},
        )
        self.keys[slot] = key
        body = ctx.codec.encode(confirmation)
        signature = ctx.identity.sign(SIGNATURE_TAG, settings.network_id, ctx.me, body)
        self._confirmations.note(ctx.me, confirmation, signature)
        ctx.note("keygen.stored", slot=slot)
        self._certify(slot)

    def failed(self, slot: int) -> None:
        """A key generation came to nothing."""
        self._making.pop(slot, None)
        if self.ctx.tables.state("keygen", self.ctx.me, slot) == "generating":
            self.ctx.tables.fire("keygen", "Fail", p=self.ctx.me, k=slot)
        self._over()

    def on_confirmation(self, sender: bytes, message: Confirmation, signature: bytes) -> None:
        """Take a member's confirmation; the signature is that of its envelope."""
        try:
            self._confirmations.note(sender, message, signature)
        finally:
            self._certify(message.key)

    def on_link(self, peer: bytes) -> None:
        """Tell a peer that came up what it may have missed."""
        for key in self.keys.values():
            if peer in key.roster:
                self._show(key, peer)

    def show_all(self) -> None:
        """Tell everybody again, once a round, while no key is locked in."""
        if self.ctx.key is None:
            for key in self.keys.values():
                self._show(key, None)

    def _show(self, key: KeyEpoch, peer: bytes | None) -> None:
        wanted = key.confirmation
        shown = self._confirmations.signed(key)
        message = Confirmations(key.slot, wanted.key_epoch, wanted.digest, shown)
        carry = {"confirmations_shown": [(peer, message)]}
        if self._state(key.slot) in USABLE:
            self.ctx.tables.fire("keygen", "Show", p=self.ctx.me, k=key.slot, carry=carry)

    def on_confirmations(self, sender: bytes, message: Confirmations) -> None:
        """Take the confirmations that a peer shows; each new one is checked."""
        key = self.keys.get(message.key)
        if key is None or message.digest != key.confirmation.digest:
            return
        self._confirmations.take(sender, key, message.confirmations)
        self._certify(message.key)

    def announce_to(self, peer: bytes) -> None:
        """Send the locked key's certificate to a holder that does not have it yet."""
        key = self.ctx.key
        if key is not None and self.announcement is not None and peer in key.roster:
            self.ctx.tables.fire(
                "keygen",
                "Announce",
                p=self.ctx.me,
                k=key.slot,
                carry={"key_announced": [(peer, self.announcement)]},
            )

    def on_key_locked(self, sender: bytes, message: KeyLocked) -> tuple[KeyEpoch, int, int] | None:
        """Check the certificate of a locked key; return the own share of it and r, s of its
        signature.

        The confirmations that this node missed are in it. Returns None when this node has no share
        of it.
        """
        key = self.keys.get(message.key)
        if key is None or self.ctx.key is not None:
            return None
        if message.public_key != key.public_key or message.roster != key.roster:
            raise PeerFault("a locked key that differs from the share in store", sender)
        self._confirmations.take(sender, key, message.confirmations)
        self._certify(message.key)
        r = int.from_bytes(message.signature[:32], "big")
        s = int.from_bytes(message.signature[32:], "big")
        return (key, r, s)

    def lock(self, key: KeyEpoch, signature: Signature) -> None:
        """Lock a key in: its signature over its own name has been verified and stored."""
        ctx = self.ctx
        valid = verify_signature(
            key.public_key, key.digest(ctx.settings.network_id), signature.r, signature.s
        )
        confirmations = self._confirmations.signed(key)
        message = KeyLocked(
            key.slot,
            key.number,
            key.roster,
            key.public_key,
            key.confirmation.digest,
            confirmations,
            signature.r.to_bytes(32, "big") + signature.s.to_bytes(32, "big"),
        )
        ctx.tables.fire(
            "keygen",
            "LockIn",
            p=ctx.me,
            k=key.slot,
            given={"lock_in_valid": valid},
            carry={"key_announced": message, "key": message},
        )
        self.announcement = message
        self.use(key)
        ctx.tables.fire(
            "regroup",
            "Found",
            p=ctx.me,
            h=key.number,
            given={"first_epoch": True, "roster_has": True},
        )
        for other in [k for k in self.keys if k != key.slot]:
            self._abandon(other, "Retire")
        self._over()

    def use(self, key: KeyEpoch) -> None:
        """Put a locked key in force."""
        self.ctx.use(key)
        self.ctx.call("watch", public_key=key.public_key)
        self.ctx.note("key.locked_in", slot=key.slot, public_key=key.public_key.hex())

    # --- helpers ---

    def _state(self, slot: int) -> str:
        return self.ctx.tables.state("keygen", self.ctx.me, slot)

    def _is_roster(self, ids: tuple[bytes, ...]) -> bool:
        """Return whether these members make, or made, every key that is here (F-33).

        Two rosters could each lock a key in, because their quorums need not meet. A key that only
        some members know to count is in store here all the same.
        """
        making = [tuple(sorted(m.node_id for m in members)) for members in self._making.values()]
        stored = [key.roster for key in self.keys.values()]
        return all(roster == ids for roster in (*making, *stored))

    def _tried(self, slot: int) -> bool:
        event = keygen_event(self.ctx.settings.network_id, slot)
        return self.ctx.tables.state("event", self.ctx.me, event) != "UNKNOWN"

    def _in_slot(self, slot: int) -> Task | None:
        ctx = self.ctx
        event = keygen_event(ctx.settings.network_id, slot)
        if not self._tried(slot) or ctx.slot_share() > ctx.preset.slot_share:
            self._over()
            return None
        return self.task("keygen", event, slot)

    def _over(self) -> None:
        if self.ctx.tables.state("peer", self.ctx.me) == "Keygen":
            self.ctx.tables.fire("peer", "KeygenOver", p=self.ctx.me)

    def _keygen_task(self, event: bytes, slot: int) -> Task | None:
        ctx, settings = self.ctx, self.ctx.settings
        if slot != ctx.keygen_slot() or event != keygen_event(settings.network_id, slot):
            return None
        members = self.candidates()[: settings.members]
        ids = tuple(sorted(member.node_id for member in members))
        if len(members) < settings.members or ctx.me not in ids or not self._is_roster(ids):
            return None
        if ctx.tables.state("peer", ctx.me) != "Keygen":
            return None
        document = keygen_document(
            settings.network_id, slot, members, settings.threshold, settings.byzantine
        )
        return Task(
            purpose="keygen",
            event=event,
            attempt=slot,
            key_epoch=FIRST_EPOCH,
            document=document,
            digest=tagged_hash("keygen-document", document),
            members=ids,
            quorum=Quorum(ids, settings.threshold, settings.byzantine),
            needs_all=True,
            roster=members,
        )

    def _lock_in_task(self, event: bytes, attempt: int) -> Task | None:
        ctx = self.ctx
        if event != self.lock_in or not 0 <= ctx.round_number() - attempt <= 1:
            return None
        certified, network = self.certified(), ctx.settings.network_id
        locked = ctx.tables.view.get("lock", ctx.me, event)
        fitting = [k for k in certified if locked in (None, k.digest(network))]
        if ctx.settings.keygen_window(ctx.now) or not fitting:
            return None
        key = fitting[0]
        self.create(event)
        return Task(
            purpose="lock_in",
            event=event,
            attempt=attempt,
            key_epoch=key.number,
            document=key.encode(),
            digest=key.digest(network),
            members=key.roster,
            quorum=key.quorum,
            needs_all=False,
        )

    def key_of(self, digest: bytes) -> KeyEpoch | None:
        """Return the key whose lock-in digest this is."""
        network = self.ctx.settings.network_id
        return next((k for k in self.keys.values() if k.digest(network) == digest), None)

    def _certify(self, slot: int) -> None:
        key = self.keys.get(slot)
        if key is None or self._state(slot) != "stored":
            return
        ctx = self.ctx
        for member in self._confirmations.members(key):
            ctx.tables.view.deliver("confirmed", member, slot)
        try:
            ctx.tables.fire("keygen", "Certify", p=ctx.me, k=slot, quorum=key.quorum)
        except TransitionError:
            return  # confirmations are missing
        ctx.note("keygen.certified", slot=slot, public_key=key.public_key.hex())
        for other in [k for k in self.keys if k < slot]:
            self._abandon(other, "Outdate")
        self._over()

    def _abandon(self, slot: int, event: str) -> None:
        """Give a key up and erase its share, if the table allows it."""
        key = self.keys[slot]
        try:
            open_still = self.ctx.settings.keygen_window(self.ctx.now)
            facts = {"before_lock_in": open_still} if event == "Outdate" else {}
            self.ctx.tables.fire("keygen", event, p=self.ctx.me, k=slot, given=facts)
        except TransitionError:
            return
        del self.keys[slot]
        self._confirmations.forget(slot)
        self.ctx.call(
            "erase_share", key_id=key.key_id, epoch=key.number, public_key=key.public_key
        )

    def restore(self, keys: list[KeyEpoch], announcement: KeyLocked | None) -> None:
        """Take the keys from the store after a start."""
        self.keys = {key.slot: key for key in keys}
        self.announcement = announcement
        for key in keys:
            if self._state(key.slot) == "locked_in":
                self.use(key)

    def status(self) -> dict[str, Any]:
        """Return the keys by slot with their states, for the operator."""
        return {str(slot): self._state(slot) for slot in sorted(self.keys)[-8:]}
