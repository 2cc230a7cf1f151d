"""Making the key: keygen slots and confirmations, until one key is locked in.

Key generation repeats in every slot until ``keygen_until``; a key counts when all n members
confirmed the same public key and shares. Which one is used the lock-in decides (``lock_in.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from attrs import define, field

from metanode.hashing import tagged_hash
from metanode.protocol.context import Context, keygen_event, lock_in_event, regroup_event
from metanode.protocol.events.event_book import EventBook
from metanode.protocol.events.purpose import Purpose, Task
from metanode.protocol.events.run import KeygenPlan, Run, instance_of
from metanode.protocol.inputs import LinkUp, Received
from metanode.protocol.keys.confirmations import ConfirmationBook
from metanode.protocol.keys.epoch import FIRST_EPOCH, KeyEpoch, Member, members_plain
from metanode.protocol.peers.peer_list import PeerList
from metanode.protocol.requests.requests import Requests
from metanode.protocol.tables.effects import EraseShare, Watch
from metanode.protocol.tables.registry import admits, attachment, fact, handles, message
from metanode.protocol.tables.view import Quorum
from metanode.protocol.wire.codec import encode_canonical
from metanode.tss import curve
from metanode.tss.keygen import KeygenSession
from metanode.tss.keyshare import Keyshare
from spec.messages import Certificate, Confirmation, Confirmations, KeyLocked, Ping

USABLE = ("stored", "certified_by_all", "locked_in")
"""The states of a key whose share is in store."""

ROSTERS_KEPT = 4


def keygen_document(
    network_id: bytes, slot: int, members: tuple[Member, ...], threshold: int, byzantine: int
) -> bytes:
    """Return what the members of a key generation agree on, in canonical CBOR."""
    return encode_canonical(
        {
            "byzantine": byzantine,
            "epoch": FIRST_EPOCH,
            "members": members_plain(members),
            "network": network_id,
            "slot": slot,
            "threshold": threshold,
        }
    )


@define
class Keygen(Purpose):
    """The purpose of key generations; the keys themselves are in ``ctx.keys``, by slot.

    ``announcement`` is what shows everybody the key that was locked in.
    """

    ctx: Context
    book: EventBook
    peers: PeerList
    requests: Requests
    kind: str = "keygen"
    announcement: KeyLocked | None = None
    confirmations: ConfirmationBook = field(init=False)
    _rosters: dict[bytes, tuple[Member, ...]] = field(factory=dict)
    _making: dict[int, tuple[Task, Certificate]] = field(factory=dict)
    _made: dict[int, Run] = field(factory=dict)
    _told: dict[bytes, float] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.confirmations = ConfirmationBook(self.ctx)
        self.ctx.tables.bind(self)

    # --- what the tables are told ---

    @fact
    def keygen_open(self, p: bytes) -> bool:
        ctx = self.ctx
        early = ctx.slot_share() < ctx.preset.setup_share and not self._tried(ctx.keygen_slot())
        return early and ctx.settings.joins is None and self.is_wanted()

    def is_wanted(self) -> bool:
        """Return whether another key may be made: before ``keygen_until``, or while none counts.

        By command, no key is made before the operator asks, and one that counts is enough.
        """
        settings = self.ctx.settings
        wanted = settings.keygen == "clock" or bool(self.requests.open("keygen"))
        return wanted and (settings.keygen_window(self.ctx.now) or not self.certified())

    @fact
    def keygen_certificate(self, p: bytes, k: int) -> bool:
        if k not in self._making:
            return False
        task, certificate = self._making[k]
        voters = {vote.voter for vote in certificate.votes}
        return voters == set(task.members) and self.ctx.state("session", task.event, k) == "begun"

    @fact
    def same_roster(self, p: bytes, k: int) -> bool:
        return k in self._making and self._is_roster(self._making[k][0].members)

    def _is_roster(self, ids: tuple[bytes, ...]) -> bool:
        """Return whether these members make, or made, every key that is here (F-33).

        Two rosters could each lock a key in, because their quorums need not meet. A key that only
        some members know to count is in store here all the same.
        """
        making = [task.members for task, _ in self._making.values()]
        stored = [key.roster for key in self.ctx.keys.values()]
        return all(roster == ids for roster in (*making, *stored))

    @fact
    def before_lock_in(self, p: bytes) -> bool:
        return self.ctx.settings.keygen_window(self.ctx.now)

    @fact
    def share_verified(self, p: bytes, k: int) -> bool:
        run = self._made.get(k)
        return run is not None and self.verifies(run)

    @fact
    def key_made(self, e: bytes) -> bool:
        kind, ctx = self.book.kind(e), self.ctx
        network_id, state = ctx.settings.network_id, ctx.state
        if kind == "keygen":
            stored = [slot for slot in ctx.keys if state("keygen", slot) in USABLE]
            return e in {keygen_event(network_id, slot) for slot in stored}
        if kind == "regroup" and ctx.key is not None:
            made = [d for d in ctx.drafts.values() if self._has_part_in(d)]
            return e in {regroup_event(network_id, ctx.key.key_id, d.number) for d in made}
        return kind == "key_request" and self.requests.is_met(e)

    def _has_part_in(self, draft: KeyEpoch) -> bool:
        """Return whether this node's share of a draft is in store, or none is meant for it."""
        kept = self.ctx.state("regroup", draft.number) != "no_share"
        return kept or self.ctx.me not in draft.roster

    # --- what is said and stored ---

    @attachment("key_share")
    def key_share(self, p: bytes, k: int) -> KeyEpoch:
        return self.ctx.keys[k]

    @message("confirmed")
    def confirmed(self, p: bytes, k: int) -> Confirmation:
        return self.ctx.keys[k].confirmation

    @message("confirmations_shown")
    def confirmations_shown(self, p: bytes, k: int) -> Confirmations:
        key = self.ctx.keys[k]
        wanted, shown = key.confirmation, self.confirmations.signed(key)
        return Confirmations(k, wanted.key_epoch, wanted.digest, shown)

    @message("key_announced")
    def key_announced(self, p: bytes, k: int) -> KeyLocked | None:
        return self.locked(p, k)

    @attachment("key")
    def locked(self, p: bytes, k: int) -> KeyLocked | None:
        """Return what shows that a key is locked in, or None while its signature is missing."""
        if self.announcement is not None and self.announcement.key == k:
            return self.announcement
        key, found = self.ctx.keys.get(k), self.book.found.get(self.lock_in)
        if key is None or found is None or found.document != key.encode():
            return None
        return KeyLocked(
            k, key.number, key.roster, key.public_key, key.confirmation.digest,
            self.confirmations.signed(key), found.signatures[0].rs,
        )

    # --- slots ---

    @handles("slot_begun")
    def begin_slot(self) -> None:
        if self.ctx.key is None and self.ctx.tries("peer.KeygenTick"):
            slot = self.ctx.keygen_slot()
            self.book.create(keygen_event(self.ctx.settings.network_id, slot), self.kind)

    @handles("slot_over")
    def end_slot(self) -> None:
        ctx = self.ctx
        late = ctx.slot_share() > ctx.preset.slot_share
        if late or not self._tried(ctx.keygen_slot()):
            self._over()

    @handles("keys_given_up")
    def give_up(self) -> None:
        for (_, slot), state in self.ctx.each(self.ctx.tables.view.entries("key")):
            if state == "generating":
                self.ctx.tries("keygen.Fail", k=slot)

    def _tried(self, slot: int) -> bool:
        return self.book.status(keygen_event(self.ctx.settings.network_id, slot)) != "UNKNOWN"

    def _over(self) -> None:
        if self.ctx.state("peer") == "Keygen":
            self.ctx.tries("peer.KeygenOver")

    # --- the purpose ---

    def due(self) -> Iterable[Task]:
        """Return the key generation of this slot, if it is still early enough."""
        ctx = self.ctx
        slot = ctx.keygen_slot()
        task = self.rebuild(keygen_event(ctx.settings.network_id, slot), slot)
        return [] if task is None else [task]

    def rebuild(self, event: bytes, attempt: int) -> Task | None:
        """Return the key generation of a slot as this node sees it."""
        ctx, settings = self.ctx, self.ctx.settings
        if ctx.state("peer") != "Keygen" or ctx.key is not None or not self._tried(attempt):
            return None
        if attempt != ctx.keygen_slot() or event != keygen_event(settings.network_id, attempt):
            return None
        members = self.peers.members()[: settings.members]
        ids = tuple(sorted(member.node_id for member in members))
        if len(members) < settings.members or ctx.me not in ids or not self._is_roster(ids):
            return None
        document = keygen_document(
            settings.network_id, attempt, members, settings.threshold, settings.byzantine
        )
        digest = tagged_hash("keygen-document", document)
        self._rosters[digest] = tuple(sorted(members, key=lambda m: m.node_id))
        while len(self._rosters) > ROSTERS_KEPT:
            self._rosters.pop(next(iter(self._rosters)))
        return Task(
            purpose=self.kind, event=event, attempt=attempt, key_epoch=FIRST_EPOCH,
            document=document, digest=digest, members=ids,
            quorum=Quorum(ids, settings.threshold, settings.byzantine), needs_all=True,
        )

    def oldest(self) -> int:
        """Return the slot that goes on."""
        return self.ctx.keygen_slot()

    def begin(self, task: Task, certificate: Certificate) -> Run | None:
        """Begin to make a key: ``keygen.Start``."""
        ctx, slot, roster, threshold = self.ctx, task.attempt, task.members, task.quorum.threshold
        self._making[slot] = (task, certificate)
        if task.digest not in self._rosters or not ctx.tries("keygen.Start", k=slot):
            del self._making[slot]
            return None
        members = tuple(vote.voter for vote in certificate.votes)
        plan = KeygenPlan(roster, threshold, task.key_epoch)
        instance = instance_of(task.event, slot, task.digest, plan, members)
        parties, mine = range(1, len(roster) + 1), roster.index(ctx.me) + 1
        lane = KeygenSession(
            mine, parties, threshold, instance, roster, task.key_epoch, ctx.entropy
        )
        return Run(
            self.kind, task.key_epoch, task.event, slot, task.digest, members, roster, task.quorum,
            (lane,), plan=plan,
        )

    def verifies(self, run: Run) -> bool:
        """Return whether a run has made a share of a key of the members who voted for it."""
        share, settings = (run.results or (None,))[0], self.ctx.settings
        if not isinstance(share, Keyshare):
            return False
        mine = run.party(self.ctx.me)
        found = (share.epoch, share.threshold, len(share.public_shares), share.party_index)
        if found != (FIRST_EPOCH, settings.threshold, len(run.roster), mine):
            return False
        point = curve.encode_point(curve.generator_mult(share.secret_share))
        return point == share.public_shares[mine - 1]

    def finished(self, run: Run) -> None:
        """Put the share that a run made in store and confirm it."""
        ctx, slot = self.ctx, run.attempt
        (share,) = run.results or (None,)
        self._making.pop(slot, None)
        self._made[slot] = run
        ctx.keys[slot] = KeyEpoch(
            slot=slot, members=self._rosters[run.digest], byzantine=ctx.settings.byzantine,
            package=share.package, keyshare=share,
        )
        stored = ctx.tries("keygen.Store", k=slot)
        del self._made[slot]
        if not stored:
            del ctx.keys[slot]
            return
        ctx.note("keygen.stored", slot=slot)
        self.confirmations.sign(ctx.keys[slot])
        certified = self._certify(slot)
        ctx.tries("event.KeyMade", e=run.event)
        if certified:
            self._over()

    def ended(self, event: bytes, attempt: int, missed: Sequence[bytes]) -> None:
        """A key generation came to nothing: the next slot makes another key."""
        self._making.pop(attempt, None)
        self.ctx.note(
            "keygen.failed", slot=attempt, slot_s=self.ctx.preset.keygen_period_s,
            missed=[peer.hex()[:16] for peer in missed],
        )
        self.ctx.tries("keygen.Fail", k=attempt)
        self._over()

    def concerns(self, event: bytes, document: bytes, attempt: int | None) -> bool:
        """Return whether an event is the key generation of a slot."""
        return attempt is not None and event == keygen_event(self.ctx.settings.network_id, attempt)

    # --- confirmations ---

    @property
    def lock_in(self) -> bytes:
        """The event of the lock-in."""
        return lock_in_event(self.ctx.settings.network_id)

    def certified(self) -> list[KeyEpoch]:
        """Return the keys that all members confirmed, the newest first."""
        keys = self.ctx.keys
        slots = [s for s in keys if self.ctx.state("keygen", s) == "certified_by_all"]
        return [keys[slot] for slot in sorted(slots, reverse=True)]

    @admits("confirmation")
    def admit_confirmation(self, sender: bytes, message: Confirmation) -> bool:
        """Keep a member's confirmation; it counts if it is of what this node has in store."""
        self.confirmations.note(sender, message, self.ctx.received.envelope.signature)
        key = self.ctx.keys.get(message.key)
        return key is not None and message == key.confirmation and sender in key.roster

    @admits("confirmations")
    def admit_confirmations(self, sender: bytes, message: Confirmations) -> bool:
        """Take the confirmations that a peer shows; each new one is checked."""
        key = self.ctx.keys.get(message.key)
        if key is None or message.digest != key.confirmation.digest:
            return False
        self.confirmations.take(sender, key, message.confirmations)
        return True

    @handles("key_certified")
    def certify(self) -> None:
        for slot in self.ctx.each(tuple(self.ctx.keys)):
            if slot in self.ctx.keys and self._certify(slot):
                self._over()

    def _certify(self, slot: int) -> bool:
        """Certify a key in store if all members confirmed it; return whether that is so now."""
        ctx, key = self.ctx, self.ctx.keys[slot]
        if ctx.state("keygen", slot) != "stored":
            return False
        for member in self.confirmations.members(key):
            ctx.hear(key.confirmation, member)
        if not ctx.tries("keygen.Certify", k=slot):
            return False
        ctx.note("keygen.certified", slot=slot, public_key=key.public_key.hex())
        for other in [k for k in ctx.keys if k < slot]:
            self.abandon(other, "keygen.Outdate")
        return True

    def abandon(self, slot: int, trigger: str) -> None:
        """Give a key up and erase its share, if the table allows it."""
        key = self.ctx.keys[slot]
        if self.ctx.tries(trigger, k=slot):
            del self.ctx.keys[slot]
            self.confirmations.forget(slot)
            self.ctx.ask(EraseShare(key.key_id, key.number, key.public_key))

    @handles("keys_shown")
    def show(self) -> None:
        ctx, entry = self.ctx, self.ctx.input
        to = entry.peer if isinstance(entry, LinkUp) else None
        if to is None and (ctx.key is not None or not ctx.boundary):
            return  # once a round, while no key is locked in, or to a peer that came up
        for slot, key in ctx.each(tuple(ctx.keys.items())):
            if to is None or to in key.roster:
                ctx.tries("keygen.Show", to=to, k=slot)

    # --- the key that was locked in ---

    def use(self, key: KeyEpoch) -> None:
        """Put a locked key in force."""
        self.ctx.use(key)
        self.ctx.ask(Watch(key.public_key))
        self.ctx.note("key.locked_in", slot=key.slot, public_key=key.public_key.hex())

    def end(self) -> None:
        """Give up all keys but the one that was locked in; no more are made."""
        for slot in tuple(self.ctx.keys):
            self.abandon(slot, "keygen.Retire")
        self._over()

    @handles("key_told")
    def tell(self) -> None:
        ctx, entry, key = self.ctx, self.ctx.input, self.ctx.key
        if not isinstance(entry, Received) or not isinstance(entry.message, Ping):
            return
        peer = entry.sender
        if key is None or self.announcement is None or peer not in key.roster:
            return
        recently = ctx.steady - self._told.get(peer, 0.0) < ctx.preset.stake_query_s
        if entry.message.key_epoch == 0 and not recently:
            self._told[peer] = ctx.steady
            ctx.tries("keygen.Announce", to=peer, k=self.announcement.key)

    def restore(self, keys: Sequence[KeyEpoch], announcement: KeyLocked | None) -> None:
        """Take the keys from the store after a start."""
        self.ctx.keys.update({key.slot: key for key in keys})
        self.announcement = announcement
        for key in keys:
            self.confirmations.sign(key)
            if self.ctx.state("keygen", key.slot) == "locked_in":
                self.use(key)

    def status(self) -> dict[str, Any]:
        """Return the keys by slot with their states, for the operator."""
        state = self.ctx.state
        return {str(slot): state("keygen", slot) for slot in sorted(self.ctx.keys)[-8:]}
