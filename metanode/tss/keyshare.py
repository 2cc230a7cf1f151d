"""One party's result of key generation, and its bytes for the encrypted keystore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import cbor2
from attrs import field, fields, frozen

from metanode.errors import UserError
from metanode.tss import curve, older_share, oracle
from metanode.tss.latch import Latch
from metanode.tss.oracle import Tag
from metanode.tss.parameters import (
    BASE_OTS,
    HASH_BYTES,
    LEAVES_PER_TREE,
    MAX_PARTIES,
    MIN_PARTIES,
    MIN_THRESHOLD,
    POINT_BYTES,
    SCALAR_BYTES,
    SEED_BYTES,
    TREES,
    ZERO_SEED_BYTES,
)

_VERSION, _OLDER_VERSION = 2, 1
"""Formats: that of suite v3, and of v2, which is read but not written."""
MAX_EPOCH = 2**32 - 1

_PAIR_LENGTHS = {
    "leaves": TREES * LEAVES_PER_TREE * SEED_BYTES,
    "punctured": TREES * (LEAVES_PER_TREE - 1) * SEED_BYTES,
    "delta": BASE_OTS // 8,
    "zero_seed": ZERO_SEED_BYTES,
}


@frozen
class PairState:
    """What one party keeps for one other party, from key generation until the next refresh.

    ``leaves`` (as Bob) are 256 seeds, ``punctured`` (as Alice) 192 seeds ordered by e⊕Δ,
    ``delta`` the 128 bits of Δ; ``zero_seed`` is common to both parties.
    """

    leaves: bytes = field(repr=False)
    punctured: bytes = field(repr=False)
    delta: bytes = field(repr=False)
    zero_seed: bytes = field(repr=False)


@frozen
class PublicPackage:
    """What everybody may know of one key in one epoch; the same at all its members.

    ``key_id`` 32 bytes, the same in every epoch; ``public_key`` and ``public_shares`` (position
    j-1 is party j's S_j) 33 bytes each; ``chain_code`` 32 bytes.
    """

    key_id: bytes
    epoch: int
    threshold: int
    public_key: bytes
    public_shares: tuple[bytes, ...]
    chain_code: bytes = field(repr=False)

    @property
    def parties(self) -> tuple[int, ...]:
        """All share indices of this epoch, 1..n."""
        return tuple(range(1, len(self.public_shares) + 1))


def _freeze(pairs: Mapping[int, PairState]) -> Mapping[int, PairState]:
    return MappingProxyType(dict(sorted(pairs.items())))


@frozen
class Keyshare:
    """Party ``party_index``'s share of one key in one epoch. Sessions read it, and close its latch.

    ``key_id`` 32 bytes, the same in every epoch; ``secret_share`` s_i, a scalar; ``public_key`` and
    ``public_shares`` (position j-1 is party j's S_j) 33 bytes each; ``chain_code`` 32 bytes;
    ``pair_state`` other party index → :class:`PairState`. ``latch`` says with whom the share is not
    used any more; it is not part of the bytes, and equal shares have their own.
    """

    key_id: bytes
    epoch: int
    threshold: int
    party_index: int
    secret_share: int = field(repr=False)
    public_key: bytes
    public_shares: tuple[bytes, ...]
    chain_code: bytes = field(repr=False)
    pair_state: Mapping[int, PairState] = field(repr=False, converter=_freeze, hash=False)
    latch: Latch = field(factory=Latch, init=False, repr=False, eq=False)

    @property
    def parties(self) -> tuple[int, ...]:
        """All share indices of this epoch, 1..n."""
        return tuple(range(1, len(self.public_shares) + 1))

    @property
    def package(self) -> PublicPackage:
        """The public part."""
        return PublicPackage(
            self.key_id, self.epoch, self.threshold, self.public_key, self.public_shares,
            self.chain_code,
        )

    def to_bytes(self) -> bytes:
        """Return the canonical CBOR encoding. It holds secrets: encrypt it before it is stored."""
        pairs = {
            party: {name: getattr(state, name) for name in _PAIR_LENGTHS}
            for party, state in self.pair_state.items()
        }
        plain = {name: getattr(self, name) for name in _names()}
        secret, shares = curve.encode_scalar(self.secret_share), list(self.public_shares)
        plain.update(secret_share=secret, public_shares=shares, pair_state=pairs)
        return cbor2.dumps({"version": _VERSION, **plain}, canonical=True)

    @classmethod
    def from_bytes(cls, data: bytes) -> Keyshare:
        """Return the share of :meth:`to_bytes`; ``UserError`` when anything about it is wrong.

        Checked: exact types and lengths, canonical form, ranges, every point, that the secret
        share belongs to its public share and that the public shares lie on one polynomial through
        the key. A share of the suite before is taken over (:mod:`metanode.tss.older_share`).
        """
        try:
            raw = cbor2.loads(data)
            canonical = cbor2.dumps(raw, canonical=True)
        except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise _damaged("not CBOR") from error
        if canonical != data or type(raw) is not dict or set(raw) != {"version", *_names()}:
            raise _damaged("not a key share")
        share = _decode(raw)
        _check_public_shares(share)
        return share


def _names() -> list[str]:
    return [attribute.name for attribute in fields(Keyshare) if attribute.init]


def confirmation_digest(keyshare: Keyshare | PublicPackage) -> bytes:
    """Return the 32 bytes that all n parties sign before anybody may use the key.

    It covers key id, epoch, threshold, public key, chain code and the list of public shares.
    """
    return oracle.digest(
        Tag.CONFIRMATION, keyshare.key_id, keyshare.epoch.to_bytes(8, "big"),
        oracle.index(keyshare.threshold), keyshare.public_key, keyshare.chain_code,
        *keyshare.public_shares,
    )


def _damaged(reason: str) -> UserError:
    return UserError(f"the key share is damaged ({reason}); restore it from its backup")


def _take_bytes(raw: Mapping[str, Any], name: str, length: int) -> bytes:
    value = raw[name]
    if type(value) is not bytes or len(value) != length:
        raise _damaged(f"{name} is not {length} bytes")
    return value


def _take_int(raw: Mapping[str, Any], name: str, low: int, high: int) -> int:
    value = raw[name]
    if type(value) is not int or not low <= value <= high:
        raise _damaged(f"{name} is not a number from {low} to {high}")
    return value


def _decode(raw: Mapping[str, Any]) -> Keyshare:
    older = _is_older(raw["version"])
    shares = raw["public_shares"]
    if type(shares) is not list or not MIN_PARTIES <= len(shares) <= MAX_PARTIES:
        raise _damaged("public_shares is not a list of parties")
    for share in shares:
        if type(share) is not bytes or curve.parse_point(share) is None:
            raise _damaged("a public share is not a point")
    party = _take_int(raw, "party_index", 1, len(shares))
    secret = curve.decode_scalar(_take_bytes(raw, "secret_share", SCALAR_BYTES))
    if secret is None or secret == 0:
        raise _damaged("secret_share is not a scalar")
    pairs = raw["pair_state"]
    wanted = {other for other in range(1, len(shares) + 1) if other != party}
    # Keys are compared as numbers below; a boolean key would pass as 1.
    if type(pairs) is not dict or set(pairs) != wanted or any(type(p) is not int for p in pairs):
        raise _damaged("pair_state does not name every other party")
    return Keyshare(
        key_id=_take_bytes(raw, "key_id", HASH_BYTES),
        epoch=_take_int(raw, "epoch", 0, MAX_EPOCH),
        threshold=_take_int(raw, "threshold", MIN_THRESHOLD, len(shares)),
        party_index=party,
        secret_share=secret,
        public_key=_take_bytes(raw, "public_key", POINT_BYTES),
        public_shares=tuple(shares),
        chain_code=_take_bytes(raw, "chain_code", HASH_BYTES),
        pair_state={other: _decode_pair(state, older) for other, state in pairs.items()},
    )


def _is_older(version: object) -> bool:
    """Return whether a share is of the suite before; ``UserError`` if it is of an unknown one."""
    if type(version) is not int:
        raise _damaged("version is not a number")
    if version not in (_VERSION, _OLDER_VERSION):
        raise UserError(
            f"the key share has format {version}, this version reads {_OLDER_VERSION} and "
            f"{_VERSION}: use the version that wrote it, or restore the share from its backup"
        )
    return version == _OLDER_VERSION


def _decode_pair(raw: object, older: bool) -> PairState:
    lengths = older_share.LENGTHS if older else _PAIR_LENGTHS
    if type(raw) is not dict or set(raw) != set(lengths):
        raise _damaged("pair_state has wrong fields")
    values = {name: _take_bytes(raw, name, length) for name, length in lengths.items()}
    return PairState(**(older_share.taken_over(values) if older else values))


def _check_public_shares(share: Keyshare) -> None:
    own = curve.encode_point(curve.generator_mult(share.secret_share))
    if own != share.public_shares[share.party_index - 1]:
        raise _damaged("secret_share does not belong to its public share")
    few = range(1, share.threshold)
    if _combined(share, few) == share.public_key:
        raise _damaged("threshold is larger than the key's")
    for last in range(share.threshold, len(share.public_shares) + 1):
        # t-1 fixed shares and any one more give the key: so every share is on the polynomial.
        if _combined(share, (*few, last)) != share.public_key:
            raise _damaged("public shares do not combine to the public key")


def _combined(share: Keyshare, chosen: Sequence[int]) -> bytes | None:
    """Return the public key that the public shares of these parties interpolate to."""
    terms = []
    for party in chosen:
        point = curve.parse_point(share.public_shares[party - 1])
        weight = curve.lagrange_at_zero(party, chosen)
        terms.append(None if point is None else curve.public_mult(weight, point))
    points = [term for term in terms if term is not None]
    total = curve.combine(points) if points else None
    return None if total is None else curve.encode_point(total)
