"""Who takes part in a dealing, as what, and what they must agree on before the first message.

Parties are numbered 1..m for the session, in the order of their identity keys. A holder's share
index is its place among the holders.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from metanode.errors import check
from metanode.tss import oracle
from metanode.tss.keyshare import MAX_EPOCH
from metanode.tss.oracle import Tag
from metanode.tss.parameters import (
    MAX_PARTIES,
    MIN_PARTIES,
    MIN_THRESHOLD,
    POINT_BYTES,
    SUITE,
    Parameters,
)


@frozen
class Roles:
    """Who does what in a dealing.

    ``parties`` are 1..m; ``dealers`` and ``holders`` are some of them, holders in the order of
    their share indices. ``threshold`` and ``epoch`` are those of the new shares. Dealt polynomials
    begin at ``first_degree`` (0 or 1). ``chain`` says whether a chain code is made: only with a new
    key.
    """

    parties: tuple[int, ...]
    dealers: tuple[int, ...]
    holders: tuple[int, ...]
    threshold: int
    epoch: int
    first_degree: int = 0
    chain: bool = False

    @property
    def coefficients(self) -> int:
        """How many coefficients a dealer draws and commits to."""
        return self.threshold - self.first_degree

    def share_index(self, holder: int) -> int:
        """Return where the dealt polynomials are evaluated for a holder, 1..n."""
        return self.holders.index(holder) + 1

    def check(self) -> None:
        """Refuse what no dealing can have; a ``LocalFault``."""
        check(MIN_PARTIES <= len(self.holders) <= MAX_PARTIES, "number of parties out of range")
        check(MIN_THRESHOLD <= self.threshold <= len(self.holders), "threshold out of range")
        check(0 <= self.epoch <= MAX_EPOCH, "epoch out of range")


def check_identity_keys(keys: Sequence[bytes], count: int) -> None:
    """Refuse identity keys that do not name ``count`` parties in one order; a ``LocalFault``."""
    check(len(keys) == count == len(set(keys)), "one identity key per party")
    check(all(len(key) == POINT_BYTES for key in keys), "identity keys have 33 bytes")
    check(list(keys) == sorted(keys), "identity keys must be in ascending order")


def next_epoch(old: int, wanted: int | None) -> int:
    """Return the number of the new epoch: ``wanted``, or the next one; a ``LocalFault`` if not new.

    A number is never used for two sharings, so that shares of two of them cannot mix.
    """
    epoch = old + 1 if wanted is None else wanted
    check(epoch > old, "the new epoch's number is not above the old one's")
    return epoch


def dealing_session_id(
    purpose: bytes, parameters: Parameters, threshold: int, epoch: int, *components: bytes
) -> bytes:
    """Return the 32 bytes that address a dealing's messages, before any nonce is known."""
    return oracle.digest(
        Tag.ADDRESS, SUITE, parameters.encode(), purpose, oracle.index(threshold),
        epoch.to_bytes(8, "big"), *components,
    )
