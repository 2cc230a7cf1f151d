"""The name of an epoch, signed by the key itself: in the lock-in, later by the epoch before."""

from __future__ import annotations

from metanode.errors import Malformed
from metanode.protocol.context import lock_in_event, succession_event
from metanode.protocol.keys.epoch import NONE_BEFORE, KeyEpoch, decode_epoch
from metanode.tss.verify import verify_compact
from spec.messages import SignatureFound


def naming_event(network_id: bytes, epoch: KeyEpoch) -> bytes:
    """Return the event in which the key signs an epoch's name."""
    if epoch.follows == NONE_BEFORE:
        return lock_in_event(network_id)
    return succession_event(network_id, epoch.key_id, epoch.follows)


def epoch_named(network_id: bytes, event: bytes, document: bytes) -> KeyEpoch | None:
    """Return the epoch of a document whose name is what an event signs, or None."""
    try:
        epoch = decode_epoch(document)
    except Malformed:
        return None
    return epoch if naming_event(network_id, epoch) == event else None


def epoch_signed(network_id: bytes, found: SignatureFound) -> KeyEpoch | None:
    """Return the epoch whose name a key signed, if that is what was found; else None."""
    epoch = epoch_named(network_id, found.event, found.document)
    if epoch is None or len(found.signatures) != 1:
        return None
    digest, rs = epoch.digest(network_id), found.signatures[0].rs
    signed = found.digest == digest and verify_compact(epoch.public_key, digest, rs)
    return epoch if signed else None
