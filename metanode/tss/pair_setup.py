"""Fresh correlations between two parties: base transfers, GGM trees and the zero-sharing seed.

A pair needs transfers both ways: for each order of the two Alice's choices Δ, and Bob's trees, of
which she knows all leaves but Δ. Transfers on the curve are dear, so that only one direction has
them; the other's come out of it by the extension that signing uses, too.

- Round 2: the *receiver* offers points for 128 base transfers.
- Round 3: the *sender* answers them and builds its trees (it is Bob). On top of those leaves it
  runs the extension with 128 choices of its own, which need nothing but symmetric work.
- Round 4: the receiver opens the trees (it is Alice), checks the extension with its Δ and so holds
  both keys of 128 further transfers, of which the sender holds one each. From them it builds the
  trees of the other direction (now it is Bob).
- At the end the sender opens those (now it is Alice).

What a cheat learns is what it learns by either part alone. The sender may guess at bits of the
receiver's Δ by a spoiled correction or a spoiled column: both are judged in one step with one
verdict, before anything leaves, and a wrong guess is the end. b bits of Δ guessed rightly (2^-b)
leave the keys that hang on the others as they are: each is a hash of a row and of the rest of Δ.
The receiver may guess at the sender's choices by its corrections in round 4, as any builder may.
Who receives alternates with the indices, so that a party of a large roster does each as often.

Each party runs one :class:`PairSetup` for each other party, in whatever protocol deals the shares.
"""

from __future__ import annotations

import hmac
from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from metanode.errors import check
from metanode.tss import base_ot, curve, oracle
from metanode.tss.curve import Entropy
from metanode.tss.fixed_key import Bytes
from metanode.tss.ggm import build_trees, evaluate_trees, xor
from metanode.tss.keyshare import PairState
from metanode.tss.oracle import Tag
from metanode.tss.ot_extension import Columns, extend_receiver, extend_sender, pack_delta
from metanode.tss.parameters import (
    BASE_OTS,
    CHECK_BYTES,
    HASH_BYTES,
    SEED_BYTES,
    ZERO_SEED_BYTES,
)

_NUMBERS = np.arange(BASE_OTS).astype(">u2").view(np.uint8).reshape(BASE_OTS, 2)


def receives(party: int, peer: int) -> bool:
    """Return whether ``party`` receives the base transfers of its pair with ``peer``.

    Of two parties one does: the lower index if both are even or both odd, else the higher one.
    """
    return (party < peer) == ((party + peer) % 2 == 0)


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


def _extended_keys(context: bytes, salt: bytes, rows: Bytes) -> list[bytes]:
    """Return the keys of extended transfers, one for each row: 16 bytes."""
    hashed = oracle.digest_each(Tag.EXTENDED, (context, salt), _NUMBERS, rows)
    return [key[:SEED_BYTES] for key in hashed]


class PairSetup(ABC):
    """One party's side of the set-up with one peer; ``sid`` is the 32-byte full session id.

    Moves that are told what the peer sent return None when it has cheated. What a side does not
    send in a round it returns as no fields.
    """

    def __init__(self, sid: bytes, party: int, peer: int, entropy: Entropy) -> None:
        self._sid = sid
        self._party = party
        self._peer = peer
        self._entropy = entropy
        self._seed = curve.draw(entropy, ZERO_SEED_BYTES)
        self._salt = curve.draw(entropy, HASH_BYTES)
        self._leaves = b""
        self._zero_seed = b""
        self._as_bob = pair_sid(sid, bob=party, alice=peer)
        self._as_alice = pair_sid(sid, bob=peer, alice=party)

    def offer(self) -> dict[str, bytes]:
        """Round 2: return the field zero_commitment; the receiver adds ot_points."""
        commitment = zero_commitment(self._sid, self._party, self._peer, self._seed, self._salt)
        return {"zero_commitment": commitment}

    def answer(self, fields: Mapping[str, bytes]) -> dict[str, bytes] | None:
        """Round 3: answer the peer's offer with zero_seed and zero_salt.

        The sender adds ot_key, its trees (ggm_corrections, ggm_sums, ggm_digest) and its extension
        (ext_salt, ext_columns, ext_x_check, ext_t_check); None when the points are malformed.
        """
        return {"zero_seed": self._seed, "zero_salt": self._salt}

    def complete(self, fields: Mapping[str, bytes]) -> dict[str, bytes] | None:
        """Round 4: take the answer; the receiver returns its trees, as of :meth:`answer`.

        None means inconsistent trees or columns. ``ot_key`` must be a valid point (checked by the
        caller).
        """
        self._zero_seed = xor(self._seed, fields["zero_seed"])
        return {}

    @abstractmethod
    def close(self, fields: Mapping[str, bytes]) -> PairState | None:
        """After round 4: return the pair's state, or None when the peer's trees are inconsistent.
        """

    def _build(self, keys: list[tuple[bytes, bytes]]) -> dict[str, bytes]:
        """Build our trees, as Bob, and return the fields that open them to the peer."""
        self._leaves, corrections, sums, digest = build_trees(self._as_bob, keys)
        return {"ggm_corrections": corrections, "ggm_sums": sums, "ggm_digest": digest}

    def _opened(
        self, choices: list[int], keys: list[bytes], fields: Mapping[str, bytes]
    ) -> tuple[bytes, bytes] | None:
        """Open the peer's trees, as Alice: return the punctured leaves and Δ."""
        opened = evaluate_trees(
            self._as_alice, choices, keys, fields["ggm_corrections"], fields["ggm_sums"],
            fields["ggm_digest"],
        )
        return None if opened is None else (opened[0], pack_delta(opened[1]))

    def _state(self, opened: tuple[bytes, bytes]) -> PairState:
        check(bool(self._leaves) and bool(self._zero_seed), "pair set-up out of order")
        punctured, delta = opened
        return PairState(
            leaves=self._leaves, punctured=punctured, delta=delta, zero_seed=self._zero_seed
        )


class ReceivingSetup(PairSetup):
    """The side that receives the base transfers."""

    def __init__(self, sid: bytes, party: int, peer: int, entropy: Entropy) -> None:
        super().__init__(sid, party, peer, entropy)
        self._receiver = base_ot.BaseOtReceiver(self._as_alice, entropy)
        self._kept: tuple[bytes, bytes] | None = None

    def offer(self) -> dict[str, bytes]:
        """Add the points."""
        return super().offer() | {"ot_points": self._receiver.message}

    def complete(self, fields: Mapping[str, bytes]) -> dict[str, bytes] | None:
        """Open the trees, check the extension and build the trees of the other direction."""
        super().complete(fields)
        keys = self._receiver.keys(fields["ot_key"])
        check(keys is not None, "pair set-up with a key that is no point")
        self._kept = self._opened(self._receiver.choices, keys or [], fields)
        if self._kept is None:
            return None
        salt = fields["ext_salt"]
        columns = Columns(fields["ext_columns"], fields["ext_x_check"], fields["ext_t_check"])
        rows = extend_sender(BASE_OTS, self._as_alice, salt, *self._kept, columns)
        if rows is None:
            return None
        others = rows ^ np.frombuffer(self._kept[1], np.uint8)
        both = (_extended_keys(self._as_alice, salt, each) for each in (rows, others))
        return self._build(list(zip(*both, strict=True)))

    def close(self, fields: Mapping[str, bytes]) -> PairState | None:
        """Return what the rounds before have left."""
        return None if self._kept is None else self._state(self._kept)


class SendingSetup(PairSetup):
    """The side that sends the base transfers."""

    def __init__(self, sid: bytes, party: int, peer: int, entropy: Entropy) -> None:
        super().__init__(sid, party, peer, entropy)
        self._choices: list[int] = []
        self._keys: list[bytes] = []

    def answer(self, fields: Mapping[str, bytes]) -> dict[str, bytes] | None:
        """Answer the transfers, build our trees and extend them with choices of our own."""
        sent = base_ot.send(self._as_bob, fields["ot_points"], self._entropy)
        if sent is None:
            return None
        sender_key, keys = sent
        trees = self._build(keys)
        return (super().answer(fields) or {}) | {"ot_key": sender_key, **trees, **self._extend()}

    def _extend(self) -> dict[str, bytes]:
        salt = curve.draw(self._entropy, HASH_BYTES)
        choices = curve.draw(self._entropy, BASE_OTS // 8)
        masked = choices + curve.draw(self._entropy, CHECK_BYTES)
        message, rows = extend_receiver(BASE_OTS, self._as_bob, salt, self._leaves, masked)
        packed = np.frombuffer(choices, np.uint8)
        self._choices = np.unpackbits(packed, bitorder="little").tolist()
        self._keys = _extended_keys(self._as_bob, salt, rows)
        return {
            "ext_salt": salt, "ext_columns": message.columns, "ext_x_check": message.x_check,
            "ext_t_check": message.t_check,
        }

    def close(self, fields: Mapping[str, bytes]) -> PairState | None:
        """Open the peer's trees."""
        opened = self._opened(self._choices, self._keys, fields)
        return None if opened is None else self._state(opened)


def pair_setup(sid: bytes, party: int, peer: int, entropy: Entropy) -> PairSetup:
    """Return a party's side of the set-up with a peer."""
    side = ReceivingSetup if receives(party, peer) else SendingSetup
    return side(sid, party, peer, entropy)
