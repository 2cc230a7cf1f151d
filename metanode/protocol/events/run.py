"""A run of a session's cryptography: its public parameters, and the name that binds them all.

Every message of a run carries its instance: H(suite, event, attempt, digest, plan, members). A node
computes it from what it knows itself. So one signed message of the run shows under which parameters
its sender took part, and nobody can be judged by other parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from attrs import define, field, frozen

from metanode.hashing import tagged_hash
from metanode.protocol.blame.frames import KeptFrames
from metanode.protocol.context import whole
from metanode.protocol.tables.view import Quorum
from metanode.protocol.wire.codec import Codec
from metanode.tss.abort import Abort, AbortKind
from metanode.tss.keygen import keygen_run
from metanode.tss.keyshare import PublicPackage
from metanode.tss.parameters import LANES, SUITE
from metanode.tss.public_run import PublicRun
from metanode.tss.refresh import RefreshRun
from metanode.tss.reshare import ReshareRun
from metanode.tss.session import FINISHED, Session
from metanode.tss.sign_run import SignedKey, SignRun, in_lanes
from spec.fields import many, natural, octets, part, text
from spec.messages import HASH_OCTETS, INPUTS_LIMIT, MEMBERS_LIMIT, NODE_ID_OCTETS

PURPOSE_CHARACTERS: Final = 16
THRESHOLD_LIMIT: Final = 1 << 16


class _Dealing:
    """The common part of the plans of dealings, whose purpose is their own kind."""

    __slots__ = ()
    KIND: ClassVar[str]

    @property
    def purpose(self) -> str:
        """What the run is for."""
        return self.KIND


class _OfOneRoster(_Dealing):
    """A dealing of one roster to itself."""

    __slots__ = ()
    roster: tuple[bytes, ...]

    @property
    def members(self) -> tuple[bytes, ...]:
        """The parties 1..n."""
        return self.roster


@frozen
class KeygenPlan(_OfOneRoster):
    """A key generation: ``roster`` are the node ids of the parties 1..n."""

    KIND: ClassVar[str] = "keygen"
    roster: tuple[bytes, ...] = many(MEMBERS_LIMIT, NODE_ID_OCTETS)
    threshold: int = natural(THRESHOLD_LIMIT)
    epoch: int = natural()

    def lane(self, instance: bytes, number: int, members: Sequence[bytes]) -> PublicRun:
        """Return the public side of one lane; ``LocalFault`` when the parameters are none."""
        parties = range(1, len(self.roster) + 1)
        return keygen_run(parties, self.threshold, instance, self.roster, self.epoch)


@frozen
class RefreshPlan(_OfOneRoster):
    """A refresh of the shares of ``old`` by all holders, in the order of their indices."""

    KIND: ClassVar[str] = "refresh"
    roster: tuple[bytes, ...] = many(MEMBERS_LIMIT, NODE_ID_OCTETS)
    old: PublicPackage = part(PublicPackage)  # noqa: RUF009 - declares a field, makes no value
    epoch: int = natural()

    def lane(self, instance: bytes, number: int, members: Sequence[bytes]) -> PublicRun:
        """Return the public side of one lane; ``LocalFault`` when the parameters are none."""
        return RefreshRun(self.old, instance, self.roster, self.epoch)


@frozen
class ResharePlan(_Dealing):
    """A reshare from ``old_members`` to ``new_members``; the fields as of ``ReshareSession``."""

    KIND: ClassVar[str] = "reshare"
    old: PublicPackage = part(PublicPackage)  # noqa: RUF009 - declares a field, makes no value
    old_members: tuple[bytes, ...] = many(MEMBERS_LIMIT, NODE_ID_OCTETS)
    dealers: tuple[int, ...] = many(MEMBERS_LIMIT)
    new_members: tuple[bytes, ...] = many(MEMBERS_LIMIT, NODE_ID_OCTETS)
    threshold: int = natural(THRESHOLD_LIMIT)
    epoch: int = natural()

    @property
    def members(self) -> tuple[bytes, ...]:
        """The parties 1..m: who deals and who holds."""
        dealing = [self.old_members[i - 1] for i in self.dealers if i <= len(self.old_members)]
        return tuple(sorted({*dealing, *self.new_members}))

    def lane(self, instance: bytes, number: int, members: Sequence[bytes]) -> PublicRun:
        """Return the public side of one lane; ``LocalFault`` when the parameters are none."""
        return ReshareRun(
            self.old, self.old_members, self.dealers, self.new_members, self.threshold, instance,
            self.epoch,
        )


@frozen
class SignPlan:
    """Signatures over ``digests`` by shares of one epoch of a key; a lane signs a few of them.

    ``members`` are the node ids of the holders 1..n, of whom the members of the run sign; the other
    fields say of the key what :class:`SignedKey` does.
    """

    KIND: ClassVar[str] = "sign"
    purpose: str = text(PURPOSE_CHARACTERS)
    members: tuple[bytes, ...] = many(MEMBERS_LIMIT, NODE_ID_OCTETS)
    key_id: bytes = octets(HASH_OCTETS)
    epoch: int = natural()
    public_key: bytes = octets(NODE_ID_OCTETS)
    sharing: bytes = octets(HASH_OCTETS)
    digests: tuple[bytes, ...] = many(INPUTS_LIMIT, HASH_OCTETS)

    @classmethod
    def of(
        cls, purpose: str, members: Sequence[bytes], package: PublicPackage,
        digests: Sequence[bytes],
    ) -> SignPlan:
        """Return the plan for the public part of the key's shares."""
        key = SignedKey.of(package)
        return cls(
            purpose, tuple(members), key.key_id, key.epoch, key.public_key, key.sharing,
            tuple(digests),
        )

    @property
    def lanes(self) -> list[Sequence[bytes]]:
        """What each lane signs."""
        return in_lanes(self.digests)

    def lane(self, instance: bytes, number: int, members: Sequence[bytes]) -> PublicRun:
        """Return the public side of one lane; ``LocalFault`` when the parameters are none."""
        key = SignedKey(
            key_id=self.key_id, epoch=self.epoch, public_key=self.public_key, sharing=self.sharing
        )
        signers = [self.members.index(member) + 1 for member in members]
        return SignRun(key, signers, self.lanes[number], lane_nonce(instance, number))


Plan = KeygenPlan | RefreshPlan | ResharePlan | SignPlan
PLANS: Final = Codec(
    {"keygen": KeygenPlan, "refresh": RefreshPlan, "reshare": ResharePlan, "sign": SignPlan}
)
"""How a plan is written: deterministic CBOR, as messages are."""


def instance_of(
    event: bytes, attempt: int, digest: bytes, plan: Plan, members: Sequence[bytes]
) -> bytes:
    """Return the 32-byte name of a run (F-23): steps of another attempt can never enter it.

    Nor can those of a node with another suite of the cryptography, or of one that cuts several
    digests into other lanes, whose honest messages would be read as malformed, and convict it.
    """
    encoded = PLANS.encode(plan)
    if isinstance(plan, SignPlan) and len(plan.digests) > 1:
        encoded += whole(LANES)
    return tagged_hash("instance", SUITE, event, whole(attempt), digest, encoded, *members)


def lane_nonce(instance: bytes, lane: int) -> bytes:
    """Return the nonce of one lane's session: 32 octets, used for nothing else."""
    return tagged_hash("lane", instance, whole(lane))


@define
class Run:
    """One instance in progress; ``roster`` gives the party indices, ``members`` are those who run
    it.
    """

    purpose: str
    key_epoch: int
    event: bytes
    attempt: int
    digest: bytes
    members: tuple[bytes, ...]
    roster: tuple[bytes, ...]
    quorum: Quorum
    lanes: tuple[Session[Any], ...] = field(repr=False)
    plan: Plan = field(repr=False, kw_only=True)
    frames: KeptFrames = field(factory=KeptFrames, repr=False, kw_only=True)
    instance: bytes = b""
    active: float = 0.0
    started: float = 0.0
    out: list[tuple[bytes, Any]] = field(factory=list, repr=False)
    """What this node is about to send: messages with their recipients."""
    sent: list[Any] = field(factory=list, repr=False)
    """What this node has sent in a dealing, each message once: it may have to be shown again."""

    def __attrs_post_init__(self) -> None:
        self.instance = instance_of(self.event, self.attempt, self.digest, self.plan, self.members)

    def party(self, node_id: bytes) -> int:
        """Return the party index of a member."""
        return self.roster.index(node_id) + 1

    @property
    def results(self) -> tuple[Any, ...] | None:
        """What every lane has come to, or None while something is missing."""
        made = self._made
        whole_run = all(lane.state == FINISHED for lane in self.lanes)
        return made if whole_run and not any(isinstance(each, Abort) for each in made) else None

    @property
    def _made(self) -> tuple[Any, ...]:
        """The results of the lanes that have finished; a lane of several digests has several."""
        done = [lane.result for lane in self.lanes if lane.state == FINISHED]
        several = [result if isinstance(result, tuple) else (result,) for result in done]
        return tuple(each for result in several for each in result)

    @property
    def waiting_for(self) -> list[bytes]:
        """The members whose messages some lane is waiting for."""
        parties = {party for lane in self.lanes for party in lane.waiting_for}
        return [self.roster[party - 1] for party in sorted(parties)]

    @property
    def abort(self) -> Abort | None:
        """What ended the run, if a lane did, or one digest of it: the others expire only because of
        it.
        """
        aborts = [lane.abort for lane in self.lanes if lane.abort is not None]
        aborts += [each for each in self._made if isinstance(each, Abort)]
        reasons = [abort for abort in aborts if abort.kind != AbortKind.TIMEOUT]
        return next(iter(reasons or aborts), None)
