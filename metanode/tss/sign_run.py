"""The public side of signing: which messages a run has, and what each of them must satisfy."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from typing import TypeVar

from attrs import field, frozen

from metanode.errors import check
from metanode.tss import curve, oracle
from metanode.tss.abort import AbortKind
from metanode.tss.curve import ORDER, Point
from metanode.tss.keyshare import PublicPackage, confirmation_digest
from metanode.tss.messages import Shape, sign_rounds
from metanode.tss.multiplication import masked_in_range
from metanode.tss.oracle import Tag
from metanode.tss.parameters import HASH_BYTES, LANES, STANDARD, SUITE, Parameters
from metanode.tss.public_run import Fault, Fields, PublicRun, Shown

Item = TypeVar("Item")

# The slots that public checks read.
FIRST, SECOND, ANSWER, THIRD = (1, True), (2, True), (2, False), (3, True)

OPENING = Fault(AbortKind.COMMITMENT, "opening of the nonce point", (FIRST, SECOND))
NO_OPENING = Fault(AbortKind.MALFORMED, "point or scalar of round 2", (SECOND, ANSWER))
NO_SCALAR = Fault(AbortKind.MALFORMED, "scalar of round 3", (THIRD,))


@frozen(kw_only=True)
class SignedKey:
    """What a signing session id says of the key: key id 32 bytes, public key 33 bytes.

    ``sharing`` is the 32-byte confirmation digest of the shares. Two runs of a refresh can end with
    one key, epoch and public key, but never with one list of public shares: without it their
    holders would meet, find each other's multiplications wrong and ban each other.
    """

    key_id: bytes
    epoch: int
    public_key: bytes
    sharing: bytes

    @classmethod
    def of(cls, package: PublicPackage) -> SignedKey:
        """Return what stands for the shares with this public part."""
        return cls(
            key_id=package.key_id, epoch=package.epoch, public_key=package.public_key,
            sharing=confirmation_digest(package),
        )


@frozen
class Opening:
    """What one other party revealed in round 2, parsed: of each field one for each lane."""

    nonce_points: tuple[Point, ...]
    key_points: tuple[Point, ...]
    gammas_u: tuple[Point, ...]
    gammas_v: tuple[Point, ...]
    psis: tuple[int, ...] = field(repr=False)

    @classmethod
    def parse(cls, public: Fields, private: Fields) -> Opening | Fault:
        """Return the points and scalars of round 2, or the fault that one is not in range."""
        nonce_points = curve.parse_points(public["nonce_point"])
        key_points = curve.parse_points(public["key_point"])
        gammas_u = curve.parse_points(private["gamma_u"])
        gammas_v = curve.parse_points(private["gamma_v"])
        psis = curve.decode_scalars(private["psi"])
        if nonce_points is None or key_points is None or gammas_u is None or gammas_v is None:
            return NO_OPENING
        if psis is None or curve.decode_scalars(private["eta"]) is None:
            return NO_OPENING
        if not masked_in_range(private["masked"]):
            return NO_OPENING
        return cls(nonce_points, key_points, gammas_u, gammas_v, psis)


def in_lanes(items: Sequence[Item]) -> list[Sequence[Item]]:
    """Return what is to be signed session by session: ``LANES`` in each, the last what is left."""
    return [items[start : start + LANES] for start in range(0, len(items), LANES)]


class SignRun(PublicRun):
    """The checks of one signing run: ``digests`` of 32 bytes, a lane for each, ``instance`` 32
    bytes used once, ``tweaks`` as many as digests, or none.

    The session id binds all digests and all tweaks in their order, each list as one component: its
    length says how many lanes there are.
    """

    def __init__(
        self, key: SignedKey, signers: Sequence[int], digests: Sequence[bytes], instance: bytes,
        tweaks: Sequence[int] = (), parameters: Parameters = STANDARD,
    ) -> None:
        check(1 <= len(digests) <= LANES, f"a session signs 1 to {LANES} digests")
        check(all(type(d) is bytes and len(d) == HASH_BYTES for d in digests), "digest: 32 bytes")
        tweaks = tuple(tweaks) or tuple(0 for _ in digests)
        check(len(tweaks) == len(digests), "a tweak for each digest, or none")
        check(all(type(t) is int and 0 <= t < ORDER for t in tweaks), "tweak is not a scalar")
        self.digests, self.tweaks, self.instance = tuple(digests), tweaks, instance
        members = tuple(sorted(signers))
        session_id = oracle.digest(
            Tag.SIGN_SID, SUITE, parameters.encode(), key.key_id, key.epoch.to_bytes(8, "big"),
            key.public_key, key.sharing, oracle.index(*members), b"".join(digests),
            b"".join(map(curve.encode_scalar, tweaks)), instance,
        )
        self._plan = sign_rounds(parameters, len(digests))
        super().__init__(session_id, members, len(self._plan))

    def shape(self, number: int, sender: int, recipient: int | None) -> Shape | None:
        """Return the shape of a slot; all signers do the same."""
        plan = self._plan[number - 1]
        return plan.broadcast if recipient is None else plan.direct

    def commitment(self, party: int, points: bytes, salt: bytes) -> bytes:
        """Return C of round 1, to the nonce points of all lanes."""
        own = oracle.index(party)
        return oracle.digest(Tag.SIGN_COMMITMENT, self.session_id, own, points, salt)

    def opening_fault(self, party: int, committed: bytes, second: Fields) -> Fault | None:
        """Return what is wrong with the nonce points that round 2 opens."""
        opened = self.commitment(party, second["nonce_point"], second["salt"])
        return None if hmac.compare_digest(opened, committed) else OPENING

    def scalars(self, third: Fields) -> tuple[tuple[int, int], ...] | Fault:
        """Return u and w of round 3, for each lane."""
        us, ws = curve.decode_scalars(third["u"]), curve.decode_scalars(third["w"])
        return NO_SCALAR if us is None or ws is None else tuple(zip(us, ws, strict=True))

    def faults(self, accused: int, shown: Shown) -> Iterator[Fault]:
        """Yield the faults that what is shown proves."""
        first, second = shown.messages.get(FIRST), shown.messages.get(SECOND)
        answer, third = shown.messages.get(ANSWER), shown.messages.get(THIRD)
        found: list[object] = []
        if first is not None and second is not None:
            found.append(self.opening_fault(accused, first["commitment"], second))
        if second is not None and answer is not None:
            found.append(Opening.parse(second, answer))
        if third is not None:
            found.append(self.scalars(third))
        yield from (each for each in found if isinstance(each, Fault))
