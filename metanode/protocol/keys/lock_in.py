"""The lock-in: one event per network, in which the newest key that counts signs its own name.

The signature tests the key, and SAFE-SIGN sees to it that no second key is locked in.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field

from metanode.errors import Malformed, PeerFault
from metanode.protocol.context import Context
from metanode.protocol.events.event_book import EventBook
from metanode.protocol.events.purpose import Purpose, Task, signatures_of, signing_run
from metanode.protocol.events.run import Run
from metanode.protocol.keys.epoch import KeyEpoch, decode_epoch
from metanode.protocol.keys.keygen import Keygen
from metanode.protocol.tables.registry import admits, fact
from metanode.tss.verify import verify_compact
from spec.messages import Certificate, EcdsaSignature, KeyLocked, SignatureFound


@define
class LockIn(Purpose):
    """The purpose of the lock-in."""

    ctx: Context
    book: EventBook
    keygen: Keygen
    kind: str = "lock_in"
    _shown: dict[bytes, SignatureFound] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.ctx.tables.bind(self)
        self.book.know(self.event, self.kind)

    @property
    def event(self) -> bytes:
        """The event of the lock-in."""
        return self.keygen.lock_in

    @fact
    def lock_in_valid(self, k: int) -> bool:
        key, found = self.ctx.keys.get(k), self.book.found.get(self.event)
        if key is None or found is None:
            return False
        return found.document == key.encode() and self.verified(found)

    # --- the purpose ---

    def due(self) -> Iterable[Task]:
        """Return the attempt of this round, once no more keys are made."""
        ctx = self.ctx
        if ctx.key is not None or ctx.state("peer") != "Idle" or self.keygen.is_wanted():
            return []
        task = self.rebuild(self.event, ctx.round_number())
        return [] if task is None else [task]

    def rebuild(self, event: bytes, attempt: int) -> Task | None:
        """Return the attempt of a round at locking in the newest key that the lock permits."""
        ctx, network_id = self.ctx, self.ctx.settings.network_id
        if event != self.event or not 0 <= ctx.round_number() - attempt <= 1:
            return None
        locked = ctx.tables.view.get("lock", ctx.me, event)
        fitting = [k for k in self.keygen.certified() if locked in (None, k.digest(network_id))]
        if ctx.key is not None or ctx.settings.keygen_window(ctx.now) or not fitting:
            return None
        key = fitting[0]
        return Task(
            purpose=self.kind, event=event, attempt=attempt, key_epoch=key.number,
            document=key.encode(), digest=key.digest(network_id), members=key.roster,
            quorum=key.quorum,
        )

    def oldest(self) -> int:
        """Return the attempt of this round."""
        return self.ctx.round_number()

    def begin(self, task: Task, certificate: Certificate) -> Run | None:
        """Return the run in which a key signs its own name."""
        key = self._key_of(task.document)
        return None if key is None else signing_run(self.ctx, task, certificate, key.share)

    def verifies(self, run: Run) -> bool:
        """Return whether a run has made a signature of the key that it is about."""
        key = self._key_signed_by(run)
        return key is not None and self.verified(signatures_of(run, key.encode()))

    def finished(self, run: Run) -> None:
        """Lock the key in that a run has signed with."""
        key = self._key_signed_by(run)
        if key is not None:
            self._take(key, signatures_of(run, key.encode()))

    def concerns(self, event: bytes, document: bytes, attempt: int | None) -> bool:
        """Return whether an event is the lock-in of this network."""
        return event == self.event

    def verified(self, found: SignatureFound) -> bool:
        """Return whether a key has signed its own name."""
        try:
            key = decode_epoch(found.document)
        except Malformed:
            return False
        if found.digest != key.digest(self.ctx.settings.network_id) or len(found.signatures) != 1:
            return False
        return verify_compact(key.public_key, found.digest, found.signatures[0].rs)

    def heard(self, sender: bytes, found: SignatureFound) -> None:
        """Lock a key in, if a peer shows the signature of one that counts here.

        A node that joins knows the key from its operator, and has no share of it.
        """
        ctx = self.ctx
        if ctx.key is not None or not self.verified(found):
            return
        key, shown = self._key_of(found.document), decode_epoch(found.document)
        if key is not None:
            self._take(key, found)
        elif ctx.settings.joins == shown.public_key and self.book.take(found, self.kind):
            self.keygen.use(shown)

    def waiting(self) -> Iterable[tuple[bytes, SignatureFound]]:
        """Yield the signatures of keys that peers have shown with all confirmations."""
        shown, self._shown = self._shown, {}
        return shown.items()

    @admits("key_locked")
    def admit_locked(self, sender: bytes, message: KeyLocked) -> bool:
        """Take what shows a locked key: the confirmations that this node missed are in it."""
        key = self.ctx.keys.get(message.key)
        if key is None or self.ctx.key is not None:
            return False
        if message.public_key != key.public_key or message.roster != key.roster:
            raise PeerFault("a locked key that differs from the share in store", sender)
        self.keygen.confirmations.take(sender, key, message.confirmations)
        digest = key.digest(self.ctx.settings.network_id)
        self._shown[sender] = SignatureFound(
            self.event, digest, key.encode(), (), (EcdsaSignature(message.signature),)
        )
        return True

    # --- helpers ---

    def _key_of(self, document: bytes) -> KeyEpoch | None:
        """Return the key of a document, if all members confirmed it."""
        keys = self.keygen.certified()
        return next((key for key in keys if key.encode() == document), None)

    def _key_signed_by(self, run: Run) -> KeyEpoch | None:
        network_id = self.ctx.settings.network_id
        keys = self.keygen.certified()
        return next((key for key in keys if key.digest(network_id) == run.digest), None)

    def _take(self, key: KeyEpoch, found: SignatureFound) -> None:
        """Keep a key's signature over its own name, and lock that key in."""
        ctx, keygen = self.ctx, self.keygen
        self.book.take(found, self.kind)
        if not ctx.tries("keygen.LockIn", k=key.slot):
            return
        keygen.announcement = keygen.locked(ctx.me, key.slot)
        keygen.use(key)
        ctx.tries("regroup.Found", h=key.number)
        keygen.end()
