"""One lane of a signing session: what one party computes for one digest, and for no other.

Nonce, φ and key part are the lane's own, as is the χ that each multiplication has for it: what two
lanes shared of these would give the key away (``PROTOCOL.md``). A lane sees points and scalars of
its own index only.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field, frozen

from metanode.errors import LocalFault
from metanode.tss import curve, oracle
from metanode.tss.abort import AbortKind, Blame
from metanode.tss.curve import ORDER, Entropy, Point
from metanode.tss.oracle import Tag
from metanode.tss.verify import verify_signature


@frozen
class Signature:
    """An ECDSA signature with low s. ``recovery_id`` is 0..3 (SEC 1, 4.1.6)."""

    r: int
    s: int
    recovery_id: int


def tweaked_key(public_key: bytes, tweak: int) -> bytes:
    """Return the 33 bytes of public_key + tweak·G; ``LocalFault`` if there is no such key."""
    point = curve.parse_point(public_key)
    moved = None if point is None else curve.offset_generator(point, tweak)
    if moved is None:
        raise LocalFault("the tweaked key is not a point")
    return curve.encode_point(moved)


@define(eq=False)
class Lane:
    """The state of one lane. ``public_key`` is the key that its tweak makes of the share's."""

    number: int
    digest: bytes
    tweak: int
    public_key: bytes
    nonce: int = field(default=0, init=False, repr=False)
    phi: int = field(default=0, init=False, repr=False)
    key_part: int = field(default=0, init=False, repr=False)
    sum_u: int = field(default=0, init=False, repr=False)
    sum_v: int = field(default=0, init=False, repr=False)
    u: int = field(default=0, init=False, repr=False)
    w: int = field(default=0, init=False, repr=False)
    nonce_point: Point = field(init=False)
    key_point: Point = field(init=False)
    _r_x: int = field(default=0, init=False)
    _recovery: int = field(default=0, init=False)

    def draw(self, entropy: Entropy) -> None:
        """Draw nonce and φ."""
        self.nonce = curve.random_scalar(entropy)
        self.phi = curve.random_scalar(entropy)
        self.nonce_point = curve.generator_mult(self.nonce)

    def zero_value(self, seed: bytes, session_id: bytes) -> int:
        """Return what a pair's common seed gives this lane: one of them adds it, the other one
        subtracts it. The first lane of a session has the session's name, the others add theirs.
        """
        own = (oracle.index(self.number),) if self.number else ()
        return oracle.scalar(Tag.ZERO, seed, session_id, *own)

    def take_key_part(self, weighted_share: int, zero_share: int, signers: int) -> None:
        """Keep our part of the tweaked key: λ·s + ζ, and one of equal parts of the tweak."""
        part = weighted_share + zero_share
        part += curve.multiply(self.tweak, curve.inverse(signers))
        self.key_part = part % ORDER
        self.key_point = curve.generator_mult(self.key_part)

    def add(self, shares: tuple[int, ...]) -> None:
        """Add our shares of one multiplication, of the nonces' and of the keys' products."""
        self.sum_u += shares[0]
        self.sum_v += shares[1]

    def gammas(self, shares: tuple[int, ...]) -> tuple[bytes, bytes]:
        """Return Γ_u and Γ_v for our shares as Alice."""
        first, second = (curve.generator_mult(share) for share in shares)
        return curve.encode_point(first), curve.encode_point(second)

    def sum_points(self, nonce_points: Iterable[Point], key_points: Iterable[Point]) -> None:
        """Take R = ΣR_j after checking Σpk_j = PK."""
        key = curve.combine([self.key_point, *key_points])
        if key is None or curve.encode_point(key) != self.public_key:
            raise Blame(AbortKind.KEY_MISMATCH, "key shares do not sum to the public key")
        nonce = curve.combine([self.nonce_point, *nonce_points])
        if nonce is None:
            raise Blame(AbortKind.INVALID_SIGNATURE, "nonce points sum to infinity")
        x, y = curve.affine(nonce)
        self._r_x = x % ORDER
        self._recovery = (y & 1) | (2 if x >= ORDER else 0)

    def contribute(self, psis: Iterable[int]) -> None:
        """Make u_i and w_i, once every check of round 2 has been passed in every lane."""
        mask = self.phi + sum(psis)
        self.u = (curve.multiply(self.nonce, mask) + self.sum_u) % ORDER
        own_v = curve.multiply(self.key_part, mask) + self.sum_v
        digest = int.from_bytes(self.digest, "big")
        signed = curve.multiply(self.phi, digest) + curve.multiply(own_v, self._r_x)
        self.w = signed % ORDER

    def assemble(self, others: Iterable[tuple[int, int]]) -> Signature | Blame:
        """Return the signature, verified, or that these sums give none; ``others`` are the other
        parties' u and w.
        """
        total_u, total_w = self.u, self.w
        for u, w in others:
            total_u += u
            total_w += w
        if total_u % ORDER == 0:
            return Blame(AbortKind.INVALID_SIGNATURE, "sum of u is zero")
        s = total_w * curve.inverse(total_u) % ORDER
        recovery = self._recovery
        if s > ORDER // 2:
            s, recovery = ORDER - s, recovery ^ 1
        if not verify_signature(self.public_key, self.digest, self._r_x, s):
            return Blame(AbortKind.INVALID_SIGNATURE, "signature does not verify")
        return Signature(r=self._r_x, s=s, recovery_id=recovery)

    def forget(self) -> None:
        """Drop the secrets."""
        self.nonce = self.phi = self.key_part = 0
        self.sum_u = self.sum_v = self.u = self.w = 0
