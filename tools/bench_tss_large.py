#!/usr/bin/env python3
"""Measure what one party of a large roster does: 32 of 60, as ``bench_tss.py --large``.

Key generation: party 1 is a real session. The other 59 deal for real and set up their pair with it,
but none among themselves and check nothing, so that it takes seconds and not minutes. Refresh and
reshare are the same dealing with one more or less coefficient. Signing: all 32 signers run, on
shares from a dealer, and the figure is a signer's part of the whole.

Where a party's key generation goes: base transfers take most, in libsecp256k1. Of each pair one
party receives and the other sends: 128 or 256 multiplications with a secret and as many hashings to
the curve, about 256 square roots, and 128 k·G for the receiver. Proofs and shares come next, then
GGM trees and the extension that gives the other direction. Lower would be: a library that
multiplies many points by one secret at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

# A checkout must be measurable before the package is installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from metanode.tss import curve
from metanode.tss.feldman import Commitments
from metanode.tss.keygen import KeygenSession
from metanode.tss.keyshare import Keyshare, PairState
from metanode.tss.messages import Message, Shape
from metanode.tss.ot_extension import pack_delta
from metanode.tss.parameters import LEAVES_PER_TREE, SEED_BYTES, TREES
from metanode.tss.session import Values
from tools.bench_tss import identity_keys, sign

THRESHOLD, PARTIES = 32, 60
MEASURED = 1
SIGN_RUNS = 3
Result = TypeVar("Result")


class Peer(KeygenSession):
    """A party that does for the measured one what the protocol asks, and nothing for others."""

    everybody: Mapping[int, Peer | KeygenSession]

    @property
    def _other_holders(self) -> list[int]:
        return [MEASURED]

    def _shape(self, number: int, sender: int, recipient: int | None) -> Shape | None:
        if recipient is not None and MEASURED not in (sender, recipient):
            return None
        return super()._shape(number, sender, recipient)

    def _check_openings(self, broadcasts: Values) -> None:
        # What another peer has parsed is good enough, and the sum over all is one per process.
        for dealer in self._roles.dealers:
            encoded = self._encoded if dealer == self._party else broadcasts[dealer]["coefficients"]
            self._commitments[dealer] = _parse(encoded)

    def _sum_shares(self, directs: Values) -> int:
        polynomials = [session._polynomial for session in self.everybody.values()]
        return sum(p.value_at(self._party) for p in polynomials if p is not None) % curve.ORDER

    def _join_chain_code(self, directs: Values) -> bytes:
        parts = {j: {"chain_code": s._chain_part} for j, s in self.everybody.items()}
        return super()._join_chain_code({j: p for j, p in parts.items() if j != self._party})


_parsed: dict[bytes, Commitments] = {}


def _parse(encoded: bytes) -> Commitments:
    known = _parsed.get(encoded) or Commitments.parse(encoded)
    if known is None:
        raise SystemExit("a peer's commitments are not points")
    _parsed[encoded] = known
    return known


class Clock:
    """Adds up the CPU seconds of the calls that are made through it."""

    def __init__(self) -> None:
        self.spent = 0.0

    def __call__(self, call: Callable[[], Result]) -> Result:
        """Make one call."""
        begun = time.process_time()
        result = call()
        self.spent += time.process_time() - begun
        return result


def keygen_per_party() -> tuple[float, int]:
    """Return the CPU seconds of one party's key generation and the bytes that it receives."""
    keys, context = identity_keys(PARTIES), os.urandom(32)
    clock, received = Clock(), 0

    def session(kind: type[KeygenSession], party: int) -> KeygenSession:
        parties = range(1, PARTIES + 1)
        return kind(party, parties, THRESHOLD, context, keys, 0, os.urandom)

    measured = clock(lambda: session(KeygenSession, MEASURED))
    peers = {p: session(Peer, p) for p in range(1, PARTIES + 1) if p != MEASURED}
    everybody = {MEASURED: measured, **peers}
    for peer in peers.values():
        if isinstance(peer, Peer):
            peer.everybody = everybody
    queue: list[Message] = clock(measured.start)
    queue += [message for peer in peers.values() for message in peer.start()]
    for message in queue:  # grows while it is walked
        if message.sender != MEASURED and message.recipient in (None, MEASURED):
            received += len(message.payload)
            queue += clock(partial(measured.receive, message))
        if message.round < 4:  # peers need not end
            for party, peer in peers.items():
                if party != message.sender and message.recipient in (None, party):
                    queue += peer.receive(message)
    if measured.result is None:
        raise SystemExit(f"the session did not finish: {measured.state}, {measured.abort}")
    return clock.spent, received


def dealt_pair() -> tuple[bytes, bytes, bytes]:
    """Return (leaves, punctured, delta) of one ordered pair, as key generation leaves them."""
    leaves = np.frombuffer(os.urandom(TREES * LEAVES_PER_TREE * SEED_BYTES), np.uint8)
    deltas = np.frombuffer(os.urandom(TREES), np.uint8) % LEAVES_PER_TREE
    kept = np.arange(1, LEAVES_PER_TREE) ^ deltas[:, None]
    shaped = leaves.reshape(TREES, LEAVES_PER_TREE, SEED_BYTES)
    punctured = np.take_along_axis(shaped, kept[:, :, None].astype(np.intp), axis=1)
    return leaves.tobytes(), punctured.tobytes(), pack_delta(deltas.tolist())


def dealt() -> dict[int, Keyshare]:
    """Return the signers' key shares from a dealer, with the pairs among signers only."""
    coefficients = [curve.random_scalar(os.urandom) for _ in range(THRESHOLD)]
    parties, signers = range(1, PARTIES + 1), range(1, THRESHOLD + 1)
    secrets = {p: curve.evaluate_polynomial(coefficients, p) for p in parties}
    public = tuple(curve.encode_point(curve.generator_mult(secrets[p])) for p in parties)
    pairs = {(bob, alice): dealt_pair() for bob in signers for alice in signers if bob != alice}

    def state(party: int, other: int) -> PairState:
        _, punctured, delta = pairs[other, party]
        zero = hashlib.sha256(bytes((min(party, other), max(party, other)))).digest()
        return PairState(pairs[party, other][0], punctured, delta, zero)

    return {
        p: Keyshare(
            key_id=hashlib.sha256(public[0]).digest(),
            epoch=0,
            threshold=THRESHOLD,
            party_index=p,
            secret_share=secrets[p],
            public_key=curve.encode_point(curve.generator_mult(coefficients[0])),
            public_shares=public,
            chain_code=bytes(32),
            pair_state={j: state(p, j) for j in signers if j != p},
        )
        for p in signers
    }


def run_large(json_path: str | None) -> None:
    """Measure, print, and write the numbers as JSON when given a path."""
    shares = dealt()
    sign(shares, THRESHOLD)
    signed = [sign(shares, THRESHOLD) for _ in range(SIGN_RUNS)]
    sign_s, sign_bytes = min(signed)
    del shares
    keygen_s, keygen_bytes = keygen_per_party()
    report = {
        "threshold": THRESHOLD,
        "parties": PARTIES,
        "sign_per_party_ms": round(sign_s * 1e3 / THRESHOLD, 1),
        "keygen_per_party_s": round(keygen_s, 3),
        "sign_pair_bytes": sign_bytes // (THRESHOLD * (THRESHOLD - 1)),
        "keygen_pair_bytes": keygen_bytes // (PARTIES - 1),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    for name, value in report.items():
        print(f"{name:20} {value}")
    if json_path is not None:
        Path(json_path).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_large(sys.argv[1] if len(sys.argv) > 1 else None)
