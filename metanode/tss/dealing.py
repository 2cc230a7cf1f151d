"""Dealing shares of one key to its holders: Feldman's VSS with commitments, proofs, pair set-up.

Key generation, refresh and reshare are this protocol. They differ in who deals, in the constant
terms of what is dealt, and in who holds a share afterwards (``roles``). Round 1 commits,
round 2 opens the commitments F and offers base transfers, round 3 deals shares and answers, round
4 publishes each holder's S_i with a proof. The shares may be used only after all holders have
signed :func:`metanode.tss.keyshare.confirmation_digest`, which the caller collects.
"""

from __future__ import annotations

import hmac
from abc import abstractmethod
from collections.abc import Mapping

from metanode.errors import LocalFault
from metanode.tss import curve, feldman, oracle, proofs
from metanode.tss.abort import AbortKind, Blame
from metanode.tss.curve import Entropy, Point
from metanode.tss.feldman import Commitments, Polynomial
from metanode.tss.keyshare import Keyshare, PairState, PublicPackage
from metanode.tss.messages import DealingShapes, Message, Round, Shape
from metanode.tss.oracle import Tag
from metanode.tss.pair_setup import PairSetup
from metanode.tss.parameters import HASH_BYTES
from metanode.tss.roles import Roles
from metanode.tss.session import Session, Values

_SHARE_PROOF_INDEX = 0xFFFF
"""Stands where the coefficient number stands, for the proof of S_i; no threshold reaches it."""

Failing = dict[int, tuple[bytes, ...]]
"""The parties that failed a check, with what shows it."""


class Dealing(Session[Keyshare]):
    """One party's side. ``result`` is its new share; a party that only deals ends with None.

    Once finished, ``package`` is the public part of the new shares.
    """

    def __init__(self, session_id: bytes, party: int, roles: Roles, entropy: Entropy) -> None:
        roles.check()
        shapes = DealingShapes(roles.coefficients, roles.chain)
        self._plans: dict[tuple[bool, bool], tuple[Round, ...]] = {
            (deals, holds): shapes.rounds(deals=deals, holds=holds)
            for deals, holds in ((True, True), (True, False), (False, True))
        }
        super().__init__(session_id, party, roles.parties, self._plans[True, True])
        self._roles = roles
        self._deals = party in roles.dealers
        self._holds = party in roles.holders
        self._entropy = entropy
        self._sid = b""
        self._polynomial: Polynomial | None = None
        self._round_1: dict[int, Mapping[str, bytes]] = {}
        self._commitments: dict[int, Commitments] = {}
        self._total: Commitments | None = None
        self._pairs: dict[int, PairSetup] = {}
        self._pair_states: dict[int, PairState] = {}
        self._secret_share = 0
        self._chain_code = b""
        self._package: PublicPackage | None = None

    @property
    def package(self) -> PublicPackage | None:
        """The public part of the new shares once finished, else None."""
        return self._package

    # What the three dealings do differently

    @abstractmethod
    def _constant_term(self) -> int:
        """Return what this dealer deals at 0; asked only where ``first_degree`` is 0."""

    @abstractmethod
    def _publish(self, public_key: Point | None, shares: tuple[bytes, ...]) -> PublicPackage:
        """Return the new public part from the dealt constant, if any, and all public shares."""

    def _deals_right_constant(self, dealer: int, commitments: Commitments) -> bool:
        """Return whether a dealer's F_0 is what it had to deal."""
        return True

    def _kept(self) -> int:
        """Return what of our old share stays in the new one."""
        return 0

    def _kept_point(self, holder: int) -> Point | None:
        """Return the same as a point, for any holder; None is nothing."""
        return None

    # Slots

    def _shape(self, number: int, sender: int, recipient: int | None) -> Shape | None:
        roles = self._roles
        plan = self._plans[sender in roles.dealers, sender in roles.holders][number - 1]
        if recipient is None:
            return plan.broadcast
        return plan.direct if recipient in roles.holders else None

    @property
    def _other_holders(self) -> list[int]:
        return [party for party in self._others if party in self._roles.holders]

    # Round 1: commit

    def _begin(self) -> list[Message]:
        entropy, roles = self._entropy, self._roles
        if self._deals:
            first = [] if roles.first_degree else [self._constant_term()]
            more = roles.coefficients - len(first)
            drawn = [curve.random_scalar(entropy) for _ in range(more)]
            self._polynomial = Polynomial((*first, *drawn), roles.first_degree)
            self._encoded = self._polynomial.commitments()
            self._salt = curve.draw(entropy, HASH_BYTES)
        if roles.chain:
            self._chain_part = curve.draw(entropy, HASH_BYTES)
            self._chain_salt = curve.draw(entropy, HASH_BYTES)
        nonce = curve.draw(entropy, HASH_BYTES)
        own = {"sid": nonce}
        if self._deals:
            own["commitment"] = self._commit(self._party, nonce, self._encoded, self._salt)
        if roles.chain:
            own["chain_commitment"] = self._commit_chain(
                self._party, nonce, self._chain_part, self._chain_salt
            )
        self._round_1[self._party] = own
        return [self._broadcast(1, own)]

    def _commit(self, party: int, nonce: bytes, encoded: bytes, salt: bytes) -> bytes:
        return oracle.digest(
            Tag.COMMITMENT, self._session_id, oracle.index(party), nonce, encoded, salt
        )

    def _commit_chain(self, party: int, nonce: bytes, part: bytes, salt: bytes) -> bytes:
        return oracle.digest(
            Tag.CHAIN_COMMITMENT, self._session_id, oracle.index(party), nonce, part, salt
        )

    def _step(self, number: int, broadcasts: Values, directs: Values) -> list[Message]:
        if number == 1:
            return self._open(broadcasts)
        if number == 2:
            return self._deal(broadcasts, directs)
        if number == 3:
            return self._collect(directs) if self._holds else []
        self._finish(broadcasts)
        return []

    # Round 2: open F, offer base transfers

    def _open(self, broadcasts: Values) -> list[Message]:
        """After round 1: fix the session id, open F and offer base transfers."""
        self._round_1.update(broadcasts)
        nonces = [self._round_1[party]["sid"] for party in self._parties]
        self._sid = oracle.digest(Tag.SID, self._session_id, *nonces)
        echo = self._echo(1)
        opening = {"echo": echo}
        if self._polynomial is not None:
            opening["coefficients"] = self._encoded
            opening["salt"] = self._salt
            opening["proofs"] = self._polynomial.proofs(self._sid, self._party, self._entropy)
        out = [self._broadcast(2, opening)]
        for peer in self._other_holders if self._holds else ():
            pair = PairSetup(self._sid, self._party, peer, self._entropy)
            self._pairs[peer] = pair
            out.append(self._direct(2, peer, {"echo": echo, **pair.offer()}))
        return out

    # Round 3: deal shares, answer base transfers

    def _deal(self, broadcasts: Values, directs: Values) -> list[Message]:
        """After round 2: check echo, openings and proofs, then deal shares and answer offers."""
        self._check_echo(self._echo(1), broadcasts, directs)
        self._check_openings(broadcasts)
        dealt = [self._commitments[dealer] for dealer in self._roles.dealers]
        self._total = feldman.total(dealt)
        if self._total is None:
            raise Blame(AbortKind.KEY_MISMATCH, "commitments sum to infinity")
        answers: dict[int, dict[str, bytes]] = {}
        malformed: Failing = {}
        for peer, pair in self._pairs.items():
            answer = pair.answer(directs[peer])
            if answer is None:
                malformed[peer] = ()
            else:
                answers[peer] = answer
        self._blame_failing(AbortKind.MALFORMED, "base transfer points", malformed)
        echo = {"echo": self._echo(2)}
        return [
            self._direct(3, peer, echo | self._dealt_to(peer) | answers.get(peer, {}))
            for peer in self._other_holders
        ]

    def _dealt_to(self, holder: int) -> dict[str, bytes]:
        fields: dict[str, bytes] = {}
        if self._polynomial is not None:
            share = self._polynomial.value_at(self._roles.share_index(holder))
            fields["share"] = curve.encode_scalar(share)
        if self._roles.chain:
            fields |= {"chain_code": self._chain_part, "chain_salt": self._chain_salt}
        return fields

    def _check_openings(self, broadcasts: Values) -> None:
        """Check every dealer's F against its commitment, its proofs and what it had to deal."""
        commitment: Failing = {}
        malformed: Failing = {}
        unproved: Failing = {}
        other: Failing = {}
        for dealer in self._roles.dealers:
            mine = dealer == self._party
            encoded = self._encoded if mine else broadcasts[dealer]["coefficients"]
            points = Commitments.parse(encoded, self._roles.first_degree)
            frames = (self._broadcasts[1, dealer], self._broadcasts[2, dealer])
            if not mine and not self._opening_holds(dealer, broadcasts[dealer]):
                commitment[dealer] = frames
            elif points is None:
                malformed[dealer] = frames
            elif not mine and not points.all_proved(
                self._sid, dealer, broadcasts[dealer]["proofs"]
            ):
                unproved[dealer] = frames
            elif not self._deals_right_constant(dealer, points):
                other[dealer] = frames
            else:
                self._commitments[dealer] = points
        self._blame_failing(AbortKind.COMMITMENT, "opening of F", commitment)
        self._blame_failing(AbortKind.MALFORMED, "F is not a list of points", malformed)
        self._blame_failing(AbortKind.PROOF, "proof for F", unproved)
        self._blame_failing(AbortKind.SHARE, "F_0 is not the dealer's part of the key", other)

    def _opening_holds(self, dealer: int, values: Mapping[str, bytes]) -> bool:
        first = self._round_1[dealer]
        opened = self._commit(dealer, first["sid"], values["coefficients"], values["salt"])
        return hmac.compare_digest(opened, first["commitment"])

    # Round 4: publish S_i

    def _collect(self, directs: Values) -> list[Message]:
        """After round 3: check openings, shares and trees; publish S_i with a proof."""
        self._check_echo(self._echo(2), directs)
        self._check_round_3_openings(directs)
        self._secret_share = self._sum_shares(directs)
        self._complete_pairs(directs)
        if self._roles.chain:
            self._chain_code = self._join_chain_code(directs)
        public = curve.encode_point(curve.generator_mult(self._secret_share))
        proof = proofs.prove(
            Tag.DLOG,
            self._final_context(self._party),
            self._secret_share,
            public,
            self._entropy,
        )
        values = {"echo": self._echo(2), "public_share": public, "proof": proof}
        return [self._broadcast(4, values)]

    def _check_round_3_openings(self, directs: Values) -> None:
        failing: Failing = {}
        malformed: Failing = {}
        for party, values in directs.items():
            pair = self._pairs.get(party)
            if self._roles.chain and not self._chain_opening_holds(party, values):
                frame = self._broadcasts[1, party]
                failing[party] = (frame, values["chain_code"], values["chain_salt"])
            elif pair is not None and not pair.zero_opening_holds(values):
                failing[party] = pair.zero_evidence(values)
            share, key = values.get("share"), values.get("ot_key")
            no_scalar = share is not None and curve.decode_scalar(share) is None
            no_point = key is not None and curve.parse_point(key) is None
            if no_scalar or no_point:
                malformed[party] = (share or b"", key or b"")
        self._blame_failing(AbortKind.MALFORMED, "share or base transfer key", malformed)
        self._blame_failing(AbortKind.COMMITMENT, "opening of round 3", failing)

    def _chain_opening_holds(self, party: int, values: Mapping[str, bytes]) -> bool:
        first = self._round_1[party]
        opened = self._commit_chain(party, first["sid"], values["chain_code"], values["chain_salt"])
        return hmac.compare_digest(opened, first["chain_commitment"])

    def _sum_shares(self, directs: Values) -> int:
        """Return our new share: what is kept and all that is dealt, checked against F (Feldman)."""
        at = self._roles.share_index(self._party)
        failing: Failing = {}
        total = self._kept() + (self._polynomial.value_at(at) if self._polynomial else 0)
        for dealer in self._roles.dealers:
            if dealer == self._party:
                continue
            shown = directs[dealer]["share"]
            share = int.from_bytes(shown, "big")
            if not self._commitments[dealer].opens_to(at, share):
                failing[dealer] = (self._broadcasts[2, dealer], shown)
            total += share
        self._blame_failing(AbortKind.SHARE, "dealt share", failing)
        return total % curve.ORDER

    def _complete_pairs(self, directs: Values) -> None:
        failing: Failing = {}
        for party, pair in self._pairs.items():
            state = pair.complete(directs[party])
            if state is None:
                failing[party] = ()
            else:
                self._pair_states[self._roles.share_index(party)] = state
        self._blame_failing(AbortKind.OT_CONSISTENCY, "GGM trees", failing)

    def _join_chain_code(self, directs: Values) -> bytes:
        parts = {party: values["chain_code"] for party, values in directs.items()}
        parts[self._party] = self._chain_part
        return oracle.digest(Tag.CHAIN_CODE, self._sid, *(parts[p] for p in self._parties))

    def _final_context(self, party: int) -> bytes:
        """Bind the proof of S_i to session, chain code and the summed commitments."""
        summed = self._total.encode() if self._total else b""
        context = self._sid + oracle.index(party, _SHARE_PROOF_INDEX)
        return context + self._chain_code + summed

    # The end

    def _finish(self, broadcasts: Values) -> None:
        """After round 4: check every S_j and its proof; build the key share."""
        self._check_echo(self._echo(2), broadcasts)
        shares: dict[int, Point] = {}
        wrong: Failing = {}
        unproved: Failing = {}
        for holder in self._roles.holders:
            expected = shares[holder] = self._public_share(holder)
            if holder == self._party:
                continue
            values, public = broadcasts[holder], curve.encode_point(expected)
            if values["public_share"] != public:
                wrong[holder] = (self._broadcasts[4, holder],)
            elif not proofs.verify(
                Tag.DLOG, self._final_context(holder), public, expected, values["proof"]
            ):
                unproved[holder] = (self._broadcasts[4, holder],)
        self._blame_failing(AbortKind.SHARE, "public share", wrong)
        self._blame_failing(AbortKind.PROOF, "proof for the public share", unproved)
        constant = self._total.value_at(0) if self._total and not self._roles.first_degree else None
        self._package = self._publish(
            constant, tuple(curve.encode_point(shares[holder]) for holder in self._roles.holders)
        )
        if self._holds:
            self._result = self._keyshare(self._package)

    def _public_share(self, holder: int) -> Point:
        """Return S_j as it follows from all F, and from what is kept of the old shares."""
        dealt = self._total.value_at(self._roles.share_index(holder)) if self._total else None
        terms = [point for point in (dealt, self._kept_point(holder)) if point is not None]
        point = curve.combine(terms) if terms else None
        if point is None:
            raise Blame(AbortKind.KEY_MISMATCH, "a public share is infinity")
        return point

    def _keyshare(self, package: PublicPackage) -> Keyshare:
        index = self._roles.share_index(self._party)
        own = curve.encode_point(curve.generator_mult(self._secret_share))
        if own != package.public_shares[index - 1]:
            raise LocalFault("own share does not fit the checked commitments")
        return Keyshare(
            key_id=package.key_id,
            epoch=package.epoch,
            threshold=package.threshold,
            party_index=index,
            secret_share=self._secret_share,
            public_key=package.public_key,
            public_shares=package.public_shares,
            chain_code=package.chain_code,
            pair_state=self._pair_states,
        )

    def _forget(self) -> None:
        self._polynomial = None
        self._secret_share = 0
        self._pairs = {}
        self._pair_states = {}
