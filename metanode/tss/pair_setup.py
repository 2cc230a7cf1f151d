"""Fresh correlations between two parties: base transfers, GGM trees and the zero-sharing seed.

Each party runs one :class:`PairSetup` per other party, in three moves (offer, answer, complete),
inside whatever protocol deals the shares. As Alice it is the base receiver and keeps Δ; as Bob it
is the base sender and keeps all leaves. Both directions run at once under distinct pair session
ids.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from metanode.errors import check
from metanode.tss import base_ot, curve, oracle
from metanode.tss.curve import Entropy
from metanode.tss.ggm import build_trees, evaluate_trees, xor
from metanode.tss.keyshare import PairState
from metanode.tss.oracle import Tag
from metanode.tss.ot_extension import pack_delta
from metanode.tss.parameters import HASH_BYTES, ZERO_SEED_BYTES


def pair_sid(sid: bytes, bob: int, alice: int) -> bytes:
    """Return the 32-byte session id of one ordered pair."""
    return oracle.digest(Tag.PAIR, sid, oracle.index(bob, alice))


def zero_commitment(sid: bytes, dealer: int, taker: int, seed: bytes, salt: bytes) -> bytes:
    """Return the commitment to the seed that ``dealer`` will open to ``taker``."""
    return oracle.digest(Tag.ZERO_COMMITMENT, sid, oracle.index(dealer, taker), seed, salt)


def zero_opening_holds(
    sid: bytes, dealer: int, taker: int, committed: bytes, fields: Mapping[str, bytes]
) -> bool:
    """Return whether the seed in ``fields`` is the one that the dealer committed to."""
    opened = zero_commitment(sid, dealer, taker, fields["zero_seed"], fields["zero_salt"])
    return hmac.compare_digest(opened, committed)


class PairSetup:
    """One party's side of the set-up with one peer; ``sid`` is the 32-byte full session id."""

    def __init__(self, sid: bytes, party: int, peer: int, entropy: Entropy) -> None:
        self._sid = sid
        self._party = party
        self._peer = peer
        self._entropy = entropy
        self._receiver = base_ot.BaseOtReceiver(pair_sid(sid, bob=peer, alice=party), entropy)
        self._seed = curve.draw(entropy, ZERO_SEED_BYTES)
        self._salt = curve.draw(entropy, HASH_BYTES)
        self._leaves = b""

    def offer(self) -> dict[str, bytes]:
        """Return the fields zero_commitment and ot_points."""
        commitment = zero_commitment(self._sid, self._party, self._peer, self._seed, self._salt)
        return {"zero_commitment": commitment, "ot_points": self._receiver.message}

    def answer(self, fields: Mapping[str, bytes]) -> dict[str, bytes] | None:
        """Answer the peer's offer; None when its points are malformed.

        Fields: ot_key, ggm_corrections, ggm_sums, ggm_digest, zero_seed, zero_salt.
        """
        context = pair_sid(self._sid, bob=self._party, alice=self._peer)
        sent = base_ot.send(context, fields["ot_points"], self._entropy)
        if sent is None:
            return None
        sender_key, keys = sent
        self._leaves, corrections, sums, digest = build_trees(context, keys)
        return {
            "ot_key": sender_key, "ggm_corrections": corrections, "ggm_sums": sums,
            "ggm_digest": digest, "zero_seed": self._seed, "zero_salt": self._salt,
        }

    def complete(self, fields: Mapping[str, bytes]) -> PairState | None:
        """Return the pair's state, or None when the peer's trees are inconsistent.

        ``ot_key`` must be a valid point (checked by the caller).
        """
        context = pair_sid(self._sid, bob=self._peer, alice=self._party)
        keys = self._receiver.keys(fields["ot_key"])
        check(keys is not None and bool(self._leaves), "pair set-up out of order")
        opened = evaluate_trees(
            context, self._receiver.choices, keys or [], fields["ggm_corrections"],
            fields["ggm_sums"], fields["ggm_digest"],
        )
        if opened is None:
            return None
        punctured, deltas = opened
        return PairState(
            leaves=self._leaves, punctured=punctured, delta=pack_delta(deltas),
            zero_seed=xor(self._seed, fields["zero_seed"]),
        )
