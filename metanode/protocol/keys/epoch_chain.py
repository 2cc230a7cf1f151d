"""Which epoch is in force, as the key itself says it: its signature stands under each epoch's name.

A node that was away, or that joins, is shown these signatures. Who joins knows the public key from
its operator, and by it the holders of every epoch; nobody else's word counts.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from metanode.errors import Malformed
from metanode.protocol.context import Context, lock_in_event, succession_event
from metanode.protocol.keys.epoch import NONE_BEFORE, KeyEpoch, decode_epoch
from metanode.protocol.reshare.handover import Handover
from metanode.tss.verify import verify_signature
from spec.messages import KeyLocked, Ping, SignatureFound


def epoch_signed(network_id: bytes, found: SignatureFound) -> KeyEpoch | None:
    """Return the epoch whose name a key signed, if that is what was found; else None."""
    try:
        epoch = decode_epoch(found.document)
    except Malformed:
        return None
    event = succession_event(network_id, epoch.key_id, epoch.follows)
    if epoch.follows == NONE_BEFORE:
        event = lock_in_event(network_id)
    if event != found.event or len(found.signatures) != 1:
        return None
    rs = found.signatures[0].rs
    r, s = int.from_bytes(rs[:32], "big"), int.from_bytes(rs[32:], "big")
    valid = verify_signature(epoch.public_key, epoch.digest(network_id), r, s)
    return epoch if valid else None


@define
class EpochChain:
    """The signed epochs that one node knows.

    ``create`` makes an event known; ``announce_key`` shows a peer how the key was made.
    """

    ctx: Context
    handover: Handover
    create: Callable[[bytes], None]
    announce_key: Callable[[bytes], None]
    announcement: Callable[[], KeyLocked | None]
    _found: dict[int, tuple[KeyEpoch, SignatureFound]] = field(factory=dict)
    _told: dict[bytes, float] = field(factory=dict)

    def remember(self, found: SignatureFound) -> KeyEpoch | None:
        """Keep a finished signature if it stands under an epoch's name; return that epoch."""
        epoch = epoch_signed(self.ctx.settings.network_id, found)
        if epoch is not None:
            self._found[epoch.number] = (epoch, found)
        return epoch

    def successors(self) -> list[KeyEpoch]:
        """Return the epochs that followed another one."""
        return [epoch for epoch, _ in self._found.values() if epoch.follows != NONE_BEFORE]

    def restore(self) -> None:
        """A node that holds no share any more knows the epoch in force from its store."""
        if self.ctx.key is None and self._found and self._pinned() is not None:
            self._put_in_force(self._found[min(self._found)][0])

    def on_signature(self, found: SignatureFound) -> bool:
        """Take a signature that a peer shows; return whether it stands under an epoch's name."""
        ctx = self.ctx
        epoch = epoch_signed(ctx.settings.network_id, found)
        if epoch is None:
            return False
        if epoch.public_key != self._pinned() or epoch.number in self._found:
            return ctx.key is not None or ctx.settings.joins is not None
        if ctx.key is None:
            self._keep(epoch, found)
            self._put_in_force(epoch)
        elif epoch.number > ctx.key.number:
            self.handover.decided(epoch, found.signers, found.signatures[0].rs)
        return True

    def _pinned(self) -> bytes | None:
        """Return the public key that this node has reason to believe in."""
        if self.ctx.key is not None:
            return self.ctx.key.public_key
        made = self.announcement()
        return made.public_key if made is not None else self.ctx.settings.joins

    def _keep(self, epoch: KeyEpoch, found: SignatureFound) -> None:
        ctx = self.ctx
        self.create(found.event)
        if ctx.tables.state("event", ctx.me, found.event) != "SUCCESS":
            ctx.tables.fire(
                "event",
                "Signature",
                p=ctx.me,
                e=found.event,
                d=epoch.digest(ctx.settings.network_id),
                given={"signature_valid": True},
                carry={"announced": found, "signature_kept": found},
            )

    def _put_in_force(self, epoch: KeyEpoch) -> None:
        ctx = self.ctx
        ctx.use(epoch)
        ctx.call("watch", public_key=epoch.public_key)
        ctx.note("epoch.known", epoch=epoch.number, members=len(epoch.members))

    def on_ping(self, peer: bytes, message: Ping) -> None:
        """A peer is an epoch behind, or knows no key: show it how the key got where it is."""
        ctx = self.ctx
        key = ctx.key
        if key is None or message.key_epoch >= key.number:
            return
        if ctx.now - self._told.get(peer, 0.0) < ctx.preset.stake_query_s:
            return
        self._told[peer] = ctx.now
        if message.key_epoch == 0:
            self.announce_key(peer)
        later = sorted(n for n in self._found if n > message.key_epoch)
        for number in later if message.key_epoch else later[-1:]:  # who joins needs the newest
            epoch, found = self._found[number]
            ctx.tables.fire(
                "event",
                "Announce",
                p=ctx.me,
                e=found.event,
                d=epoch.digest(ctx.settings.network_id),
                carry={"announced": [(peer, found)]},
            )
        self.handover.catch_up(peer)
