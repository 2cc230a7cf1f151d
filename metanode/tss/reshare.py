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
from metanode.tss import curve, oracle
from metanode.tss.abort import AbortKind, Blame
from metanode.tss.curve import Entropy, Point
from metanode.tss.dealing import Dealing
from metanode.tss.dealing_run import DealingRun
from metanode.tss.feldman import Commitments
from metanode.tss.keyshare import Keyshare, PublicPackage, confirmation_digest
from metanode.tss.parameters import STANDARD, Parameters
from metanode.tss.roles import Roles, check_identity_keys, dealing_session_id, next_epoch


class ReshareRun(DealingRun):
    """The public side of a reshare; the arguments as of :class:`ReshareSession`."""

    def __init__(
        self, old: PublicPackage, old_members: Sequence[bytes], dealers: Sequence[int],
        new_members: Sequence[bytes], threshold: int, session_context: bytes,
        epoch: int | None = None, parameters: Parameters = STANDARD,
    ) -> None:
        check_identity_keys(old_members, len(old.public_shares))
        check_identity_keys(new_members, len(new_members))
        check(all(type(dealer) is int for dealer in dealers), "a dealer is not a number")
        check(list(dealers) == sorted(set(dealers)), "dealers must be distinct and ascending")
        check(set(dealers) <= set(old.parties), "a dealer holds no share of the old epoch")
        check(len(dealers) >= old.threshold, "fewer dealers than the old threshold")
        dealing = [old_members[index - 1] for index in dealers]
        self.members = tuple(sorted({*dealing, *new_members}))
        number = {member: place for place, member in enumerate(self.members, start=1)}
        roles = Roles(
            parties=tuple(number.values()),
            dealers=tuple(sorted(number[member] for member in dealing)),
            holders=tuple(number[member] for member in new_members),
            threshold=threshold,
            epoch=next_epoch(old.epoch, epoch),
        )
        roles.check()
        address = dealing_session_id(
            b"reshare", parameters, threshold, roles.epoch, session_context,
            confirmation_digest(old), oracle.index(len(old_members), *dealers), *old_members,
            *new_members,
        )
        super().__init__(address, roles, old.chain_code)
        self._old = old
        self._old_index = {number[old_members[index - 1]]: index for index in dealers}

    def weight(self, dealer: int) -> int:
        """Return λ_i of a dealer among all dealers."""
        return curve.lagrange_at_zero(self._old_index[dealer], self._old_index.values())

    def deals_right_constant(self, dealer: int, commitments: Commitments) -> bool:
        """Return whether F_0 is λ_i·S_i."""
        share = curve.parse_point(self._old.public_shares[self._old_index[dealer] - 1])
        expected = None if share is None else curve.public_mult(self.weight(dealer), share)
        return expected is not None and (
            curve.encode_point(commitments.points[0]) == curve.encode_point(expected)
        )


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
        self, identity: bytes, old: PublicPackage, old_members: Sequence[bytes],
        dealers: Sequence[int], new_members: Sequence[bytes], threshold: int,
        session_context: bytes, entropy: Entropy, keyshare: Keyshare | None = None,
        epoch: int | None = None, parameters: Parameters = STANDARD,
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
        self._old = old
        self._old_share = keyshare.secret_share if keyshare is not None else 0
        secret = curve.encode_scalar(self._old_share)
        super().__init__(run, run.members.index(identity) + 1, entropy, secret)

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
            self._old, epoch=self._roles.epoch, threshold=self._roles.threshold,
            public_shares=shares,
        )

    def _forget(self) -> None:
        super()._forget()
        self._old_share = 0
