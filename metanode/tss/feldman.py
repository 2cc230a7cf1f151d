"""Secret polynomials and what everybody may know of them (Feldman 1987).

A dealer commits to each coefficient a_k by F_k = a_k·G and proves that it knows it. A share f(x) is
then checked against Σ x^k·F_k. The terms below ``first_degree`` are zero and have no commitment.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import field, frozen

from metanode.tss import curve, oracle, proofs
from metanode.tss.curve import Entropy, Point
from metanode.tss.oracle import Tag
from metanode.tss.parameters import POINT_BYTES, PROOF_BYTES


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def _context(context: bytes, dealer: int, k: int) -> bytes:
    """Return what binds a proof to session, prover and coefficient number."""
    return context + oracle.index(dealer, k)


@frozen
class Polynomial:
    """A dealer's secret polynomial: ``coefficients`` from ``first_degree`` (0 or 1) upwards."""

    coefficients: tuple[int, ...] = field(repr=False)
    first_degree: int = 0

    def value_at(self, x: int) -> int:
        """Return f(x) mod n."""
        value = curve.evaluate_polynomial(self.coefficients, x)
        return curve.multiply(value, x) if self.first_degree else value

    def commitments(self) -> bytes:
        """Return F: each coefficient times G, 33 bytes each."""
        return b"".join(curve.encode_point(curve.generator_mult(c)) for c in self.coefficients)

    def proofs(self, encoded: bytes, context: bytes, dealer: int, entropy: Entropy) -> bytes:
        """Return one proof of knowledge for each coefficient, 65 bytes each; ``encoded`` is F."""
        points = _cut(encoded, POINT_BYTES)
        return b"".join(
            proofs.prove(Tag.DLOG, _context(context, dealer, k), coefficient, point, entropy)
            for k, (coefficient, point) in enumerate(zip(self.coefficients, points, strict=True))
        )


@frozen
class Commitments:
    """F of one dealer, or the sum of all dealers' F."""

    points: tuple[Point, ...]
    first_degree: int = 0

    @classmethod
    def parse(cls, data: bytes, first_degree: int = 0) -> Commitments | None:
        """Return the commitments of their bytes; None when some are no points."""
        points = [curve.parse_point(item) for item in _cut(data, POINT_BYTES)]
        valid = tuple(point for point in points if point is not None)
        return cls(valid, first_degree) if len(valid) == len(points) else None

    def value_at(self, x: int) -> Point | None:
        """Return f(x)·G; None is infinity."""
        value = curve.evaluate_commitments(self.points, x)
        if value is None or not self.first_degree:
            return value
        return curve.public_mult(x, value)

    def opens_to(self, x: int, share: int) -> bool:
        """Return whether ``share`` is f(x); a share of zero never is."""
        expected = self.value_at(x)
        if expected is None or share == 0:
            return False
        dealt = curve.encode_point(curve.generator_mult(share))
        return dealt == curve.encode_point(expected)

    def all_proved(self, context: bytes, dealer: int, shown: bytes) -> bool:
        """Return whether ``shown`` proves that the dealer knows every coefficient."""
        listed = zip(self.points, _cut(shown, PROOF_BYTES), strict=True)
        return all(
            proofs.verify(
                Tag.DLOG, _context(context, dealer, k), curve.encode_point(point), point, proof
            )
            for k, (point, proof) in enumerate(listed)
        )

    def encode(self) -> bytes:
        """Return the bytes of all points."""
        return b"".join(map(curve.encode_point, self.points))


def total(dealt: Sequence[Commitments]) -> Commitments | None:
    """Return the commitments to the sum of all polynomials; None when a sum is infinity."""
    sums = [curve.combine(terms) for terms in zip(*(f.points for f in dealt), strict=True)]
    points = tuple(point for point in sums if point is not None)
    return Commitments(points, dealt[0].first_degree) if len(points) == len(sums) else None
