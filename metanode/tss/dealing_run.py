"""The public side of a dealing: which messages it has, and what each of them must satisfy."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from functools import lru_cache

from metanode.tss import base_ot, curve, feldman, oracle, proofs
from metanode.tss.abort import AbortKind
from metanode.tss.curve import Point
from metanode.tss.feldman import Commitments
from metanode.tss.messages import DEALING_ROUNDS, DealingShapes, Round, Shape
from metanode.tss.oracle import Tag
from metanode.tss.pair_setup import pair_sid, receives, zero_opening_holds
from metanode.tss.public_run import Fault, Fields, PublicRun, Shown
from metanode.tss.roles import Roles

_SHARE_PROOF_INDEX = 0xFFFF
"""Stands where the coefficient number stands, for the proof of S_i; no threshold reaches it."""

# The slots of a dealing.
FIRST, SECOND, OFFER, ANSWER, LAST = (1, True), (2, True), (2, False), (3, False), (4, True)

OPENING = Fault(AbortKind.COMMITMENT, "opening of F", (FIRST, SECOND))
NO_POINTS = Fault(AbortKind.MALFORMED, "F is not a list of points", (FIRST, SECOND))
UNPROVED = Fault(AbortKind.PROOF, "proof for F", (FIRST, SECOND), seen=1)
CONSTANT = Fault(AbortKind.SHARE, "F_0 is not the dealer's part of the key", (FIRST, SECOND))
TRANSFERS = Fault(AbortKind.MALFORMED, "base transfer points", (OFFER,), seen=1)
NO_ANSWER = Fault(AbortKind.MALFORMED, "share or base transfer key", (ANSWER,))
CHAIN_OPENING = Fault(AbortKind.COMMITMENT, "opening of the chain code", (FIRST, ANSWER))
ZERO_OPENING = Fault(AbortKind.COMMITMENT, "opening of the zero seed", (OFFER, ANSWER), seen=1)
DEALT = Fault(AbortKind.SHARE, "dealt share", (SECOND, ANSWER))
PUBLIC_SHARE = Fault(AbortKind.SHARE, "public share", (LAST,), seen=2)
SHARE_UNPROVED = Fault(AbortKind.PROOF, "proof for the public share", (LAST,), seen=2, chain=True)


def _any_scalar(length: int) -> bytes:
    """Stand in for entropy: whether points are well formed does not depend on the sender's key."""
    return (1).to_bytes(length, "big")


@lru_cache(maxsize=64)
def _plans(shapes: DealingShapes) -> Mapping[tuple[bool, bool, bool], tuple[Round, ...]]:
    """Return the rounds by what sender and recipient do; sessions of one threshold share them."""
    return {
        (deals, holds, receiving): shapes.rounds(deals=deals, holds=holds, receives=receiving)
        for deals, holds in ((True, True), (True, False), (False, True))
        for receiving in (True, False)
    }


class DealingRun(PublicRun):
    """The checks of a dealing; ``roles`` say who deals and who holds.

    The names of the arguments: ``first`` and ``second`` are a party's broadcasts of rounds 1 and 2,
    ``offer`` and ``answer`` its messages of rounds 2 and 3 to one holder, ``last`` its broadcast of
    round 4. ``sid`` is the session id that all nonces of round 1 fix. ``kept_chain_code`` is that
    of the key, empty while the key is being made.
    """

    def __init__(self, session_id: bytes, roles: Roles, kept_chain_code: bytes = b"") -> None:
        roles.check()
        super().__init__(session_id, roles.parties, DEALING_ROUNDS)
        self.kept_chain_code = kept_chain_code
        self.roles = roles
        self._plans = _plans(DealingShapes(roles.coefficients, roles.chain))

    def shape(self, number: int, sender: int, recipient: int | None) -> Shape | None:
        """Return the shape of a slot, which depends on what sender and recipient do, and on which
        of them receives the base transfers.
        """
        roles = self.roles
        receiving = recipient is not None and receives(sender, recipient)
        does = (sender in roles.dealers, sender in roles.holders, receiving)
        plan = self._plans[does][number - 1]
        if recipient is None:
            return plan.broadcast
        return plan.direct if recipient in roles.holders else None

    # What refresh and reshare add

    def deals_right_constant(self, dealer: int, commitments: Commitments) -> bool:
        """Return whether a dealer's F_0 is what it had to deal."""
        return True

    def kept_point(self, holder: int) -> Point | None:
        """Return what of a holder's old share stays in the new one, as a point; None is nothing."""
        return None

    # What everybody computes alike

    def commitment(self, party: int, nonce: bytes, encoded: bytes, salt: bytes) -> bytes:
        """Return C of round 1."""
        return oracle.digest(
            Tag.COMMITMENT, self.session_id, oracle.index(party), nonce, encoded, salt
        )

    def chain_commitment(self, party: int, nonce: bytes, part: bytes, salt: bytes) -> bytes:
        """Return the commitment to a part of the chain code."""
        return oracle.digest(
            Tag.CHAIN_COMMITMENT, self.session_id, oracle.index(party), nonce, part, salt
        )

    def sid(self, firsts: Mapping[int, Fields]) -> bytes:
        """Return the session id that the nonces of round 1 fix."""
        nonces = [firsts[party]["sid"] for party in self.parties]
        return oracle.digest(Tag.SID, self.session_id, *nonces)

    def chain_code(self, sid: bytes, parts: Mapping[int, bytes]) -> bytes:
        """Return the chain code of all parts."""
        return oracle.digest(Tag.CHAIN_CODE, sid, *(parts[party] for party in self.parties))

    def public_share(self, holder: int, total: Commitments | None) -> Point | None:
        """Return S_j as it follows from the sum of all F and what is kept; None is infinity."""
        dealt = total.value_at(self.roles.share_index(holder)) if total else None
        terms = [point for point in (dealt, self.kept_point(holder)) if point is not None]
        return curve.combine(terms) if terms else None

    def final_context(self, sid: bytes, holder: int, chain_code: bytes, total: bytes) -> bytes:
        """Bind the proof of S_i to session, chain code and the summed commitments."""
        return sid + oracle.index(holder, _SHARE_PROOF_INDEX) + chain_code + total

    # The checks

    def dealt(self, dealer: int, encoded: bytes) -> Commitments | Fault:
        """Return F, if it is a list of points with the right constant term."""
        points = Commitments.parse(encoded, self.roles.first_degree)
        if points is None:
            return NO_POINTS
        return points if self.deals_right_constant(dealer, points) else CONSTANT

    def opened(
        self, dealer: int, first: Fields, second: Fields, sid: bytes | None
    ) -> Commitments | Fault:
        """Return F of a dealer as round 2 opens it; the proofs are skipped without ``sid``."""
        coefficients = second["coefficients"]
        opened = self.commitment(dealer, first["sid"], coefficients, second["salt"])
        if not hmac.compare_digest(opened, first["commitment"]):
            return OPENING
        points = Commitments.parse(coefficients, self.roles.first_degree)
        if points is None:
            return NO_POINTS
        if sid is not None and not points.all_proved(sid, dealer, second["proofs"]):
            return UNPROVED
        return points if self.deals_right_constant(dealer, points) else CONSTANT

    def offer_fault(self, party: int, holder: int, offer: Fields, sid: bytes) -> Fault | None:
        """Return what is wrong with the base transfers that a party offers, if it offers any."""
        if "ot_points" not in offer:
            return None
        context = pair_sid(sid, bob=holder, alice=party)
        sent = base_ot.send(context, offer["ot_points"], _any_scalar)
        return TRANSFERS if sent is None else None

    def answer_fault(
        self, party: int, holder: int, first: Fields | None, offer: Fields | None, answer: Fields,
        sid: bytes | None,
    ) -> Fault | None:
        """Return what is wrong with an answer, as far as what is there can tell."""
        share, key = answer.get("share"), answer.get("ot_key")
        no_scalar = share is not None and curve.decode_scalar(share) is None
        no_point = key is not None and curve.parse_point(key) is None
        if no_scalar or no_point:
            return NO_ANSWER
        if self.roles.chain and first is not None:
            opening = (answer["chain_code"], answer["chain_salt"])
            if not self.chain_opening_holds(party, first, *opening):
                return CHAIN_OPENING
        if offer is not None and sid is not None and "zero_seed" in answer:
            committed = offer["zero_commitment"]
            if not zero_opening_holds(sid, party, holder, committed, answer):
                return ZERO_OPENING
        return None

    def chain_opening_holds(self, party: int, first: Fields, part: bytes, salt: bytes) -> bool:
        """Return whether a part of the chain code is the one that was committed to."""
        opened = self.chain_commitment(party, first["sid"], part, salt)
        return hmac.compare_digest(opened, first["chain_commitment"])

    def share_fault(self, holder: int, commitments: Commitments, answer: Fields) -> Fault | None:
        """Return what is wrong with a dealt share (Feldman)."""
        share = int.from_bytes(answer["share"], "big")
        at = self.roles.share_index(holder)
        return None if commitments.opens_to(at, share) else DEALT

    def last_fault(
        self, holder: int, last: Fields, expected: Point, context: bytes | None
    ) -> Fault | None:
        """Return what is wrong with a published S_j; its proof is skipped without ``context``."""
        public = curve.encode_point(expected)
        if last["public_share"] != public:
            return PUBLIC_SHARE
        if context is None:
            return None
        proved = proofs.verify(Tag.DLOG, context, public, expected, last["proof"])
        return None if proved else SHARE_UNPROVED

    # A stranger's view

    def faults(self, accused: int, shown: Shown) -> Iterator[Fault]:
        """Yield the faults that what is shown proves.

        The session id and all F are believed only as the accused's own echo names them.
        """
        messages, holder = shown.messages, shown.recipient
        first, second, offer = messages.get(FIRST), messages.get(SECOND), messages.get(OFFER)
        answer, last = messages.get(ANSWER), messages.get(LAST)
        found: list[Commitments | Fault | None] = []
        if first is not None and second is not None and accused in self.roles.dealers:
            found.append(self.opened(accused, first, second, self._echoed_sid(second, 1, shown)))
        sid = None if offer is None else self._echoed_sid(offer, 1, shown)
        if offer is not None and sid is not None and answer is None:
            # Beside an answer the offer is there to be opened; whether it is sound costs more.
            found.append(self.offer_fault(accused, holder, offer, sid))
        if answer is not None:
            fault = self.answer_fault(accused, holder, first, offer, answer, sid)
            found.append(fault)
            if fault is None and second is not None and "share" in answer:
                points = Commitments.parse(second["coefficients"], self.roles.first_degree)
                found.append(points and self.share_fault(holder, points, answer))
        if last is not None:
            found.append(self._echoed_last_fault(accused, last, shown))
        yield from (each for each in found if isinstance(each, Fault))

    def _echoed(self, message: Fields, last_round: int, shown: Shown) -> bool:
        return message["echo"] == self.echo(last_round, shown.broadcasts)

    def _echoed_sid(self, message: Fields, last_round: int, shown: Shown) -> bytes | None:
        """Return the session id, if the accused has seen these broadcasts of round 1."""
        firsts = self._broadcasts(1, shown) if self._echoed(message, last_round, shown) else None
        return None if firsts is None else self.sid(firsts)

    def _broadcasts(self, number: int, shown: Shown) -> dict[int, Fields] | None:
        """Return every party's broadcast of a round; None when one is no such message."""
        found: dict[int, Fields] = {}
        for party in self.parties:
            values = self.decode(number, party, None, shown.broadcasts.get((number, party), b""))
            if isinstance(values, Fault):
                return None
            found[party] = values
        return found

    def _echoed_last_fault(self, accused: int, last: Fields, shown: Shown) -> Fault | None:
        sid = self._echoed_sid(last, 2, shown)
        firsts, seconds = self._broadcasts(1, shown), self._broadcasts(2, shown)
        if sid is None or firsts is None or seconds is None:
            return None
        degree = self.roles.first_degree
        parsed = [Commitments.parse(seconds[d]["coefficients"], degree) for d in self.roles.dealers]
        points = [each for each in parsed if each is not None]
        total = feldman.total(points) if len(points) == len(parsed) else None
        expected = None if total is None else self.public_share(accused, total)
        if total is None or expected is None:
            return None
        chain_code: bytes | None = self.kept_chain_code
        if self.roles.chain:
            chain_code = self._shown_chain_code(sid, firsts, shown)
        context = None
        if chain_code is not None:
            context = self.final_context(sid, accused, chain_code, total.encode())
        return self.last_fault(accused, last, expected, context)

    def _shown_chain_code(
        self, sid: bytes, firsts: Mapping[int, Fields], shown: Shown
    ) -> bytes | None:
        """Return the chain code, if what is shown opens every party's commitment to it."""
        parts = shown.chain_parts
        if set(parts) != set(self.parties):
            return None
        if not all(self.chain_opening_holds(p, firsts[p], *parts[p]) for p in parts):
            return None
        return self.chain_code(sid, {party: part for party, (part, _) in parts.items()})
