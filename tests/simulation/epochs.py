"""Key epochs that no session made: drafts, the members' words, signatures of the simulated key.

A test holds the shares of all nodes, so it can sign what no single member could: with it a test
shows a node a history that would take many nights.
"""

from __future__ import annotations

from collections.abc import Iterable

from metanode.custody.payout import (
    document_digest,
    roster_checksum,
)
from metanode.custody.types import Outpoint
from metanode.identity import Identity
from metanode.protocol.context import succession_event
from metanode.protocol.keys.epoch import KeyEpoch, Member
from metanode.protocol.requests.request import Request, make_document
from metanode.protocol.wire.envelope import SIGNATURE_TAG
from metanode.tss import curve
from metanode.tss.keyshare import PublicPackage
from spec import messages as m
from spec.parameters import faults_tolerated
from spec.parameters import threshold as usual_threshold
from tests.custody.support import made_up
from tests.simulation.checkers import CODEC
from tests.simulation.hostile import certificate
from tests.simulation.simulator import NETWORK_ID, Simulation


def members_of(sim: Simulation, numbers: Iterable[int]) -> tuple[Member, ...]:
    """Return nodes as they stand in a roster; all stakes have one height."""
    founders = {member.node_id: member for member in first_epoch(sim).members}
    height = first_epoch(sim).members[0].height
    found = []
    for node in (sim.nodes[number] for number in numbers):
        joiner = Member(node.node_id, node.settings.stake, height)
        found.append(founders.get(node.node_id, joiner))
    return tuple(sorted(found, key=lambda member: member.node_id))


def draft_of(
    sim: Simulation,
    number: int,
    numbers: Iterable[int] = range(4),
    *,
    after: KeyEpoch | None = None,
    threshold: int | None = None,
    byzantine: int | None = None,
) -> KeyEpoch:
    """Return an epoch that would follow another one, by default the first.

    Its shares fit nobody.
    """
    before = first_epoch(sim) if after is None else after
    chosen = tuple(numbers)
    shares = tuple(
        curve.encode_point(curve.generator_mult(number * 1000 + place))
        for place in range(1, len(chosen) + 1)
    )
    package = PublicPackage(
        before.key_id,
        number,
        usual_threshold(len(chosen)) if threshold is None else threshold,
        before.public_key,
        shares,
        before.package.chain_code,
    )
    faulty = faults_tolerated(len(chosen)) if byzantine is None else byzantine
    return KeyEpoch(
        slot=before.slot,
        follows=before.number,
        members=members_of(sim, chosen),
        byzantine=faulty,
        package=package,
    )


def wish(
    sim: Simulation,
    number: int,
    members: Iterable[int] | None = None,
    threshold: int = 3,
    byzantine: int = 1,
    epoch: int = 1,
) -> None:
    """Let a node's operator ask for a refresh, or for these holders, and for nothing else."""
    core = sim.core(number)
    fields = {"key_id": first_epoch(sim).key_id.hex(), "epoch": epoch}
    kind = "keyrefresh"
    if members is not None:
        kind = "quorumchange"
        ids = sorted(sim.nodes[member].node_id.hex() for member in members)
        fields |= {"members": ids, "threshold": threshold, "byzantine": byzantine}
    request = Request(kind, make_document(kind, fields), int(core.ctx.now), 1 << 40)
    event = request.event(NETWORK_ID)
    core.book.create(event, "key_request")
    core.requests.asked.clear()
    core.requests.asked[event] = request


def first_epoch(sim: Simulation) -> KeyEpoch:
    """Return what key generation made."""
    return sim.checkers.epochs[1]


def said(sim: Simulation, number: int, draft: KeyEpoch) -> m.SignedConfirmation:
    """Return a node's word that its share of a draft is on its disk."""
    return said_by(sim.nodes[number].identity, draft)


def said_by(identity: Identity, draft: KeyEpoch) -> m.SignedConfirmation:
    """Return anybody's word that its share of a draft is on its disk."""
    body = CODEC.encode(m.SharePrepared(draft.number, draft.encode()))
    signature = identity.sign(SIGNATURE_TAG, NETWORK_ID, identity.node_id, body)
    return m.SignedConfirmation(identity.node_id, signature)


def signed_by_the_key(sim: Simulation, digest: bytes) -> bytes:
    """Return r ‖ s of the key over a digest, made of the shares of t founders."""
    disks = [node.disk for node in sim.nodes[: sim.threshold]]
    shares = [key.keyshare for disk in disks for key in disk.attachments["key_share"].values()]
    parties = [share.party_index for share in shares]
    secret = sum(
        curve.lagrange_at_zero(share.party_index, parties) * share.secret_share for share in shares
    )
    nonce = 0x5EED  # one for all signatures: nobody steals a simulated key
    r = curve.affine(curve.generator_mult(nonce))[0] % curve.ORDER
    s = curve.inverse(nonce) * (int.from_bytes(digest, "big") + r * secret) % curve.ORDER
    low = min(s, curve.ORDER - s)
    return r.to_bytes(32, "big") + low.to_bytes(32, "big")


def succession(sim: Simulation, epoch: KeyEpoch) -> m.SignatureFound:
    """Return the proof that an epoch follows the one before; the checkers hear of the epoch."""
    sim.checkers.epochs[epoch.number] = epoch
    rs = signed_by_the_key(sim, epoch.digest(NETWORK_ID))
    event = succession_event(NETWORK_ID, epoch.key_id, epoch.follows)
    signers = tuple(node.node_id for node in sim.nodes[: sim.threshold])
    digest = epoch.digest(NETWORK_ID)
    return m.SignatureFound(event, digest, epoch.encode(), signers, (m.EcdsaSignature(rs),))


def payout_lock(
    sim: Simulation,
    voters: Iterable[int],
    *,
    attempt: int,
    document: bytes | None = None,
    event: bytes | None = None,
    digest: bytes | None = None,
    deposit: int = 1,
    variant: int = 0,
) -> m.LockedCandidate:
    """Return a lock of a payout in the first epoch, with real votes of these nodes.

    ``deposit`` names the event, ``variant`` makes another payout of it.
    """
    key = first_epoch(sim)
    payout = made_up(
        Outpoint(deposit.to_bytes(32, "big"), 0),
        network_id=NETWORK_ID,
        key_id=key.key_id,
        key_epoch=key.number,
        public_key=key.public_key,
        roster_checksum=roster_checksum(key.roster),
        cutoff_height=100 + variant,
        window=deposit,
    )
    encoded = payout.encode() if document is None else document
    certified = certificate(
        sim,
        voters,
        event=payout.event if event is None else event,
        digest=document_digest(encoded) if digest is None else digest,
        attempt=attempt,
    )
    return m.LockedCandidate(encoded, certified)


def give_lock(sim: Simulation, number: int, candidate: m.LockedCandidate) -> None:
    """Put a lock into a node and onto its disk, as if the node had been in that session."""
    core, certificate = sim.core(number), candidate.certificate
    index = (core.ctx.me, certificate.event)
    core.book.create(certificate.event, "payout")
    core.book.hold(certificate.event, candidate)
    disk, view = sim.nodes[number].disk, core.ctx.tables.view
    for cell, value in (("lock", certificate.digest), ("lock_attempt", certificate.attempt)):
        view.put(cell, index, value)
        disk.cells.setdefault(cell, {})[index] = value
    stored = (candidate.document, CODEC.encode(m.Begin(certificate)))
    disk.attachments.setdefault("lock", {})[index] = stored
