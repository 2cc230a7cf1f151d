"""Under which public parameters a node can have begun the run of a certificate."""

from __future__ import annotations

from collections.abc import Iterator

from btclib.hashes import hash160
from btclib.script.sig_hash import PrecomputedTxData, segwit_v0
from btclib.tx import Tx, TxOut

from metanode.custody.scripts import key_script
from metanode.protocol.events.run import KeygenPlan, Plan, RefreshPlan, ResharePlan, SignPlan
from metanode.protocol.keys.epoch import FIRST_EPOCH, KeyEpoch
from metanode.protocol.tables.view import Quorum
from metanode.protocol.wire.codec import decode_canonical
from spec import messages as m


def candidates(lock: m.LockedCandidate, founders: Quorum, known: list[KeyEpoch]) -> Iterator[Plan]:
    """Yield every plan that fits a lock, for the epochs that somebody has."""
    certificate = lock.certificate
    yield KeygenPlan(certificate.members, founders.threshold, FIRST_EPOCH)
    for epoch in known:
        for purpose in ("lock_in", "succession", "sign"):
            yield SignPlan.of(purpose, epoch.roster, epoch.package, [certificate.digest])
        yield RefreshPlan(epoch.roster, epoch.package, certificate.attempt)
        yield from _of_document(lock, epoch)


def _of_document(lock: m.LockedCandidate, epoch: KeyEpoch) -> Iterator[Plan]:
    plain = decode_canonical(lock.document)
    if isinstance(plain, list):
        *_, amounts, versions = plain
        digests = [d for raw in versions for d in _sighashes(raw, amounts, epoch.public_key)]
        yield SignPlan.of("payout", epoch.roster, epoch.package, digests)
    elif set(plain) >= {"dealers", "members"} and set(plain["dealers"]) <= set(epoch.roster):
        yield ResharePlan(
            epoch.package,
            epoch.roster,
            tuple(epoch.index_of(dealer) for dealer in plain["dealers"]),
            tuple(member["node"] for member in plain["members"]),
            plain["threshold"],
            lock.certificate.attempt,
        )


def _sighashes(raw: bytes, amounts: list[int], public_key: bytes) -> list[bytes]:
    """Return what each input of a payout signs (BIP143, SIGHASH_ALL)."""
    transaction = Tx.parse(raw)
    script = key_script(public_key)
    shared = PrecomputedTxData(transaction, [TxOut(a, script) for a in amounts])
    code = b"\x76\xa9\x14" + hash160(public_key) + b"\x88\xac"
    return [
        segwit_v0(code, transaction, place, 1, amount, shared)
        for place, amount in enumerate(amounts)
    ]
