"""Reshare, or quorum change: the same key in the hands of other members, or of another threshold.

At least t old members deal their weighted shares anew: dealer i's constant term is λ_i·s_i, so
that the sum of all constant terms is the key. Each dealer's F_0 is checked against λ_i·S_i: a check
of the sum alone could name nobody. Members may leave (deal only), stay (both) or join (hold only).

A member that joins knows nothing yet: that the old public part is the right one, and, as with a
refresh, when the old shares may be erased, is the caller's concern.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from metanode.errors import check
from metanode.tss import curve
from metanode.tss.abort import AbortKind, Blame
from metanode.tss.curve import Entropy, Point
from metanode.tss.dealing import Dealing
from metanode.tss.keyshare import Keyshare, PublicPackage
from metanode.tss.parameters import STANDARD, Parameters


class ReshareSession(Dealing):
    """One participant's part in handing a key over; the epoch grows.

    ``identity`` is its 33-byte node id. ``old`` is the old public part, whose ``old_members`` are
    in the order of the old share indices, ascending like ``new_members``; ``dealers`` are the old
    share indices that deal, at least old t. ``keyshare`` is given by dealers, and by them only.
    ``threshold`` is that of the new shares; ``epoch`` is their number, by default the next: two
    rival runs need numbers of their own. Those who neither deal nor hold take no part.
    """

    _run: ReshareRun

    def __init__(
        self,
        identity: bytes,
        old: PublicPackage,
        old_members: Sequence[bytes],
        dealers: Sequence[int],
        new_members: Sequence[bytes],
        threshold: int,
        session_context: bytes,
        entropy: Entropy,
        keyshare: Keyshare | None = None,
        epoch: int | None = None,
        parameters: Parameters = STANDARD,
    ) -> None:
        run = ReshareRun(
            old, old_members, dealers, new_members, threshold, session_context, epoch, parameters
        )
        dealing = [old_members[index - 1] for index in dealers]
        check(identity in run.members, "we neither deal nor hold")
        check((keyshare is not None) == (identity in dealing), "exactly the dealers have shares")
        if keyshare is not None:
            check(keyshare.package == old, "the share is not of the old epoch")
            own = old_members[keyshare.party_index - 1]
            check(own == identity, "the share is another member's")
        super().__init__(run, run.members.index(identity) + 1, entropy)
        self._old = old
        self._old_share = keyshare.secret_share if keyshare is not None else 0

    @property
    def members(self) -> tuple[bytes, ...]:
        """The node ids of the parties 1..m of this session."""
        return self._run.members

    def _constant_term(self) -> int:
        return curve.multiply(self._old_share, self._run.weight(self._party))

    def _publish(self, public_key: Point | None, shares: tuple[bytes, ...]) -> PublicPackage:
        if public_key is None or curve.encode_point(public_key) != self._old.public_key:
            raise Blame(AbortKind.KEY_MISMATCH, "the dealt constants do not sum to the key")
        return evolve(
            self._old,
            epoch=self._roles.epoch,
            threshold=self._roles.threshold,
            public_shares=shares,
        )

    def _forget(self) -> None:
        super()._forget()
        self._old_share = 0
