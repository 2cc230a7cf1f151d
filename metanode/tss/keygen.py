"""Distributed key generation, t of n: everybody deals a random polynomial to everybody (Pedersen).
"""

from __future__ import annotations

from collections.abc import Sequence

from metanode.errors import LocalFault, check
from metanode.tss import curve, oracle
from metanode.tss.curve import Entropy, Point
from metanode.tss.dealing import Dealing
from metanode.tss.dealing_run import DealingRun
from metanode.tss.keyshare import PublicPackage
from metanode.tss.oracle import Tag
from metanode.tss.parameters import STANDARD, Parameters
from metanode.tss.roles import Roles, check_identity_keys, dealing_session_id


def keygen_run(
    parties: Sequence[int], threshold: int, session_context: bytes, identity_keys: Sequence[bytes],
    epoch: int, parameters: Parameters = STANDARD,
) -> DealingRun:
    """Return the public side of a key generation; the arguments as of :class:`KeygenSession`."""
    everybody = tuple(range(1, len(parties) + 1))
    check(tuple(parties) == everybody, "parties must be 1..n in order")
    check(all(type(party) is int for party in parties), "a party is not a number")
    check_identity_keys(identity_keys, len(parties))
    roles = Roles(everybody, everybody, everybody, threshold, epoch, chain=True)
    roles.check()
    address = dealing_session_id(
        b"keygen", parameters, threshold, epoch, session_context, *identity_keys
    )
    return DealingRun(address, roles)


class KeygenSession(Dealing):
    """One party's key generation.

    ``parties`` are 1..n; ``identity_keys`` are their 33-byte node ids in that order, which is
    ascending; ``epoch`` numbers the key's share sets; ``session_context`` is whatever makes this
    run unique to its caller. A configuration that breaks these rules is a ``LocalFault``.
    """

    def __init__(
        self, party_index: int, parties: Sequence[int], threshold: int, session_context: bytes,
        identity_keys: Sequence[bytes], epoch: int, entropy: Entropy,
        parameters: Parameters = STANDARD,
    ) -> None:
        check(type(party_index) is int, "party index is not a number")
        check(party_index in parties, "party index is not among the parties")
        run = keygen_run(parties, threshold, session_context, identity_keys, epoch, parameters)
        super().__init__(run, party_index, entropy)

    def _constant_term(self) -> int:
        return curve.random_scalar(self._entropy)

    def _publish(self, public_key: Point | None, shares: tuple[bytes, ...]) -> PublicPackage:
        if public_key is None:
            raise LocalFault("a key generation deals constant terms")
        encoded = curve.encode_point(public_key)
        return PublicPackage(
            key_id=oracle.digest(Tag.KEY_ID, self._sid, encoded, self._chain_code),
            epoch=self._roles.epoch, threshold=self._roles.threshold, public_key=encoded,
            public_shares=shares, chain_code=self._chain_code,
        )
