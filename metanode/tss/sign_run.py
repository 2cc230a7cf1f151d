"""The public side of signing: which messages a run has, and what each of them must satisfy."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence

from attrs import field, frozen

from metanode.tss import curve, oracle
from metanode.tss.abort import AbortKind
from metanode.tss.curve import Point
from metanode.tss.keyshare import PublicPackage, confirmation_digest
from metanode.tss.messages import Shape, sign_rounds
from metanode.tss.multiplication import masked_in_range
from metanode.tss.oracle import Tag
from metanode.tss.parameters import STANDARD, SUITE, Parameters
from metanode.tss.public_run import Fault, Fields, PublicRun, Shown

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
    """What one other party revealed in round 2, parsed."""

    nonce_point: Point
    key_point: Point
    gamma_u: Point
    gamma_v: Point
    psi: int = field(repr=False)

    @classmethod
    def parse(cls, public: Fields, private: Fields) -> Opening | Fault:
        """Return the points and scalars of round 2, or the fault that one is not in range."""
        nonce_point = curve.parse_point(public["nonce_point"])
        key_point = curve.parse_point(public["key_point"])
        gamma_u = curve.parse_point(private["gamma_u"])
        gamma_v = curve.parse_point(private["gamma_v"])
        psi = curve.decode_scalar(private["psi"])
        if nonce_point is None or key_point is None or gamma_u is None or gamma_v is None:
            return NO_OPENING
        if psi is None or curve.decode_scalar(private["eta"]) is None:
            return NO_OPENING
        if not masked_in_range(private["masked"]):
            return NO_OPENING
        return cls(nonce_point, key_point, gamma_u, gamma_v, psi)


class SignRun(PublicRun):
    """The checks of one signing run: ``digest`` 32 bytes, ``instance`` 32 bytes used once."""

    def __init__(
        self, key: SignedKey, signers: Sequence[int], digest: bytes, instance: bytes,
        tweak: int = 0, parameters: Parameters = STANDARD,
    ) -> None:
        members = tuple(sorted(signers))
        session_id = oracle.digest(
            Tag.SIGN_SID, SUITE, parameters.encode(), key.key_id, key.epoch.to_bytes(8, "big"),
            key.public_key, key.sharing, oracle.index(*members), digest,
            curve.encode_scalar(tweak), instance,
        )
        self._plan = sign_rounds(parameters)
        super().__init__(session_id, members, len(self._plan))

    def shape(self, number: int, sender: int, recipient: int | None) -> Shape | None:
        """Return the shape of a slot; all signers do the same."""
        plan = self._plan[number - 1]
        return plan.broadcast if recipient is None else plan.direct

    def commitment(self, party: int, point: bytes, salt: bytes) -> bytes:
        """Return C of round 1."""
        return oracle.digest(Tag.SIGN_COMMITMENT, self.session_id, oracle.index(party), point, salt)

    def opening_fault(self, party: int, committed: bytes, second: Fields) -> Fault | None:
        """Return what is wrong with the nonce point that round 2 opens."""
        opened = self.commitment(party, second["nonce_point"], second["salt"])
        return None if hmac.compare_digest(opened, committed) else OPENING

    def scalars(self, third: Fields) -> tuple[int, int] | Fault:
        """Return u and w of round 3."""
        u, w = curve.decode_scalar(third["u"]), curve.decode_scalar(third["w"])
        return NO_SCALAR if u is None or w is None else (u, w)

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
