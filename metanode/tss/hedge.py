"""What a session draws: fresh bytes, hashed with its share, its session id and a counter.

ECDSA gives the key away when one nonce serves two digests. A source of randomness that repeats
itself (a virtual machine resumed twice, a forked process, a broken driver) must not do that, nor
let two multiplications use one mask. So nothing is used as it comes: what is drawn are pieces, each
used once, of SHAKE-256(key, counter, 32 fresh bytes) where key = H(session id, party, secret). With
a good source this is as good as the source; with one that repeats, no two sessions and no two draws
of one have an output in common, and who knows what it repeats knows nothing of what is drawn
without the share. A key generation has no share yet: there the session id and the counter must do.
"""

from __future__ import annotations

from typing import NoReturn

from metanode.errors import LocalFault
from metanode.tss import curve, oracle
from metanode.tss.curve import Entropy
from metanode.tss.oracle import Tag
from metanode.tss.parameters import HASH_BYTES

_COUNTER_BYTES = 8
_AT_ONCE_BYTES = 1024
"""A dealing draws a scalar or point some hundred times: one hash serves thirty of them."""


class HedgedEntropy:
    """An :data:`Entropy` for one session of one party; ``secret`` is its share's 32 bytes, if any.
    """

    __slots__ = ("_count", "_entropy", "_key", "_left")

    def __init__(self, entropy: Entropy, session_id: bytes, party: int, secret: bytes) -> None:
        self._entropy = entropy
        self._key = oracle.digest(Tag.HEDGE_KEY, session_id, oracle.index(party), secret)
        self._count = 0
        self._left = b""

    def __call__(self, length_bytes: int) -> bytes:
        """Return uniform bytes."""
        if len(self._left) < length_bytes:
            self._count += 1
            counter = self._count.to_bytes(_COUNTER_BYTES, "big")
            fresh = curve.draw(self._entropy, HASH_BYTES)
            size = max(length_bytes, _AT_ONCE_BYTES)
            self._left = oracle.stream(Tag.HEDGE, size, self._key, counter, fresh)
        drawn, self._left = self._left[:length_bytes], self._left[length_bytes:]
        return drawn


def spent(length_bytes: int) -> NoReturn:
    """Stand for the entropy of a session that has ended, whose key is forgotten."""
    raise LocalFault("a session that has ended draws nothing")
