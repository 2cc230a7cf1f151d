"""Refresh: the same key, members and threshold, and nothing that an old share is good for.

Everybody deals a polynomial that is zero at 0 and adds what it gets to its share, so that the key
does not change. All pairs get fresh base transfers and zero seeds. Shares of two epochs do not
combine. The old share may be erased only once enough members have the new one on disk, which is
the caller's concern.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from metanode.errors import LocalFault
from metanode.tss import curve
from metanode.tss.curve import Entropy, Point
from metanode.tss.dealing import Dealing
from metanode.tss.dealing_run import DealingRun
from metanode.tss.keyshare import Keyshare, PublicPackage, confirmation_digest
from metanode.tss.parameters import STANDARD, Parameters
from metanode.tss.roles import Roles, check_identity_keys, dealing_session_id, next_epoch


class RefreshRun(DealingRun):
    """The public side of a refresh; the arguments as of :class:`RefreshSession`."""

    def __init__(
        self, package: PublicPackage, session_context: bytes, identity_keys: Sequence[bytes],
        epoch: int | None = None, parameters: Parameters = STANDARD,
    ) -> None:
        check_identity_keys(identity_keys, len(package.parties))
        everybody, epoch = package.parties, next_epoch(package.epoch, epoch)
        roles = Roles(everybody, everybody, everybody, package.threshold, epoch, first_degree=1)
        roles.check()
        address = dealing_session_id(
            b"refresh", parameters, package.threshold, epoch, session_context,
            confirmation_digest(package), *identity_keys,
        )
        super().__init__(address, roles, package.chain_code)
        self._old = package

    def kept_point(self, holder: int) -> Point | None:
        """Return the old S_j: the dealt part is added to it."""
        return curve.parse_point(self._old.public_shares[holder - 1])


class RefreshSession(Dealing):
    """One member's refresh of ``keyshare``, by all members of its epoch; the epoch grows.

    ``identity_keys`` are the 33-byte node ids in the order of the share indices, ascending;
    ``session_context`` is whatever makes this run unique to its caller; ``epoch`` is the number of
    the new one, by default the next: two rival runs need numbers of their own.
    """

    def __init__(
        self, keyshare: Keyshare, session_context: bytes, identity_keys: Sequence[bytes],
        entropy: Entropy, epoch: int | None = None, parameters: Parameters = STANDARD,
    ) -> None:
        run = RefreshRun(keyshare.package, session_context, identity_keys, epoch, parameters)
        secret = curve.encode_scalar(keyshare.secret_share)
        super().__init__(run, keyshare.party_index, entropy, secret)
        self._old = keyshare.package
        self._old_share = keyshare.secret_share

    def _constant_term(self) -> int:
        raise LocalFault("a refresh deals no constant term")

    def _kept(self) -> int:
        return self._old_share

    def _publish(self, public_key: Point | None, shares: tuple[bytes, ...]) -> PublicPackage:
        return evolve(self._old, epoch=self._roles.epoch, public_shares=shares)

    def _forget(self) -> None:
        super()._forget()
        self._old_share = 0
