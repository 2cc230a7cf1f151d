"""Dealing shares of one key to its holders: Feldman's VSS with commitments, proofs, pair set-up.

Key generation, refresh and reshare are this protocol. They differ in who deals, in the constant
terms of what is dealt, and in who holds a share afterwards (``roles``). Round 1 commits,
round 2 opens the commitments F and offers base transfers, round 3 deals shares and answers, round
4 publishes each holder's S_i with a proof, and ends the set-up of pairs. The shares may be used
only after all holders have signed :func:`metanode.tss.keyshare.confirmation_digest`, which the
caller collects.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from metanode.errors import LocalFault
from metanode.tss import curve, dealing_run, feldman, proofs
from metanode.tss.abort import AbortKind, Blame
from metanode.tss.curve import Entropy, Point
from metanode.tss.dealing_run import DealingRun
from metanode.tss.feldman import Commitments, Polynomial
from metanode.tss.hedge import HedgedEntropy, spent
from metanode.tss.keyshare import Keyshare, PairState, PublicPackage
from metanode.tss.messages import Message
from metanode.tss.oracle import Tag
from metanode.tss.pair_setup import PairSetup, pair_setup
from metanode.tss.parameters import HASH_BYTES
from metanode.tss.public_run import Fault
from metanode.tss.session import Session, Values


class Dealing(Session[Keyshare]):
    """One party's side. ``result`` is its new share; a party that only deals ends with None.
    ``secret`` is its old share, if it has one, and hedges what it draws.

    Once finished, ``package`` is the public part of the new shares.
    """

    _run: DealingRun

    def __init__(
        self, run: DealingRun, party: int, entropy: Entropy, secret: bytes = b""
    ) -> None:
        super().__init__(run, party)
        self._roles = roles = run.roles
        self._deals = party in roles.dealers
        self._holds = party in roles.holders
        self._entropy: Entropy = HedgedEntropy(entropy, run.session_id, party, secret)
        self._sid = b""
        self._polynomial: Polynomial | None = None
        self._round_1: dict[int, Mapping[str, bytes]] = {}
        self._commitments: dict[int, Commitments] = {}
        self._total: Commitments | None = None
        self._pairs: dict[int, PairSetup] = {}
        self._pair_states: dict[int, PairState] = {}
        self._secret_share = 0
        self._chain_code = run.kept_chain_code
        self._zero_commitments: dict[int, bytes] = {}
        self._chain_parts: dict[int, tuple[bytes, bytes]] = {}
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

    def _kept(self) -> int:
        """Return what of our old share stays in the new one."""
        return 0

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
            own["chain_commitment"] = self._run.chain_commitment(
                self._party, nonce, self._chain_part, self._chain_salt
            )
        self._round_1[self._party] = own
        return [self._broadcast(1, own)]

    def _commit(self, party: int, nonce: bytes, encoded: bytes, salt: bytes) -> bytes:
        return self._run.commitment(party, nonce, encoded, salt)

    def _step(self, number: int, broadcasts: Values, directs: Values) -> list[Message]:
        if number == 1:
            return self._open(broadcasts)
        if number == 2:
            return self._deal(broadcasts, directs)
        if number == 3:
            return self._collect(directs) if self._holds else []
        self._finish(broadcasts, directs)
        return []

    # Round 2: open F, offer base transfers

    def _open(self, broadcasts: Values) -> list[Message]:
        """After round 1: fix the session id, open F and offer base transfers."""
        self._round_1.update(broadcasts)
        self._sid = self._run.sid(self._round_1)
        echo = self._echo(1)
        opening = {"echo": echo}
        if self._polynomial is not None:
            opening["coefficients"] = self._encoded
            opening["salt"] = self._salt
            opening["proofs"] = self._polynomial.proofs(
                self._encoded, self._sid, self._party, self._entropy
            )
        out = [self._broadcast(2, opening)]
        for peer in self._other_holders if self._holds else ():
            pair = pair_setup(self._sid, self._party, peer, self._entropy)
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
        faults: dict[int, Fault | None] = {}
        for peer, pair in self._pairs.items():
            answer = pair.answer(directs[peer])
            if answer is None:
                faults[peer] = dealing_run.TRANSFERS
            else:
                answers[peer] = answer
                self._zero_commitments[peer] = directs[peer]["zero_commitment"]
        self._blame_faults(faults, (dealing_run.TRANSFERS,))
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
        faults: dict[int, Fault | None] = {}
        for dealer in self._roles.dealers:
            if dealer == self._party:
                found = self._run.dealt(dealer, self._encoded)
            else:
                first, second = self._round_1[dealer], broadcasts[dealer]
                found = self._run.opened(dealer, first, second, self._sid)
            if isinstance(found, Fault):
                faults[dealer] = found
            else:
                self._commitments[dealer] = found
        self._blame_faults(
            faults,
            (
                dealing_run.OPENING, dealing_run.NO_POINTS, dealing_run.UNPROVED,
                dealing_run.CONSTANT,
            ),
        )

    # Round 4: publish S_i, send the trees of the other direction

    def _collect(self, directs: Values) -> list[Message]:
        """After round 3: check openings, shares, transfers; publish S_i with a proof."""
        self._check_echo(self._echo(2), directs)
        self._check_answers(directs)
        self._secret_share = self._sum_shares(directs)
        trees = self._complete_pairs(directs)
        if self._roles.chain:
            self._chain_code = self._join_chain_code(directs)
            self._chain_parts = {p: (v["chain_code"], v["chain_salt"]) for p, v in directs.items()}
            self._chain_parts[self._party] = (self._chain_part, self._chain_salt)
        public = curve.encode_point(curve.generator_mult(self._secret_share))
        proof = proofs.prove(
            Tag.DLOG, self._final_context(self._party), self._secret_share, public, self._entropy
        )
        echo = {"echo": self._echo(2)}
        out = [self._broadcast(4, {**echo, "public_share": public, "proof": proof})]
        return out + [self._direct(4, peer, echo | fields) for peer, fields in trees.items()]

    def _check_answers(self, directs: Values) -> None:
        faults: dict[int, Fault | None] = {}
        for party, values in directs.items():
            committed = self._zero_commitments.get(party)
            offer = None if committed is None else {"zero_commitment": committed}
            first = self._round_1[party]
            faults[party] = self._run.answer_fault(
                party, self._party, first, offer, values, self._sid
            )
        self._blame_faults(
            faults, (dealing_run.NO_ANSWER, dealing_run.CHAIN_OPENING, dealing_run.ZERO_OPENING)
        )

    def _sum_shares(self, directs: Values) -> int:
        """Return our new share: what is kept and all that is dealt, checked against F (Feldman)."""
        at = self._roles.share_index(self._party)
        faults: dict[int, Fault | None] = {}
        total = self._kept() + (self._polynomial.value_at(at) if self._polynomial else 0)
        for dealer in self._roles.dealers:
            if dealer == self._party:
                continue
            values, commitments = directs[dealer], self._commitments[dealer]
            faults[dealer] = self._run.share_fault(self._party, commitments, values)
            total += int.from_bytes(values["share"], "big")
        self._blame_faults(faults, (dealing_run.DEALT,))
        return total % curve.ORDER

    def _complete_pairs(self, directs: Values) -> dict[int, dict[str, bytes]]:
        """Return the trees for those whose base transfers we received."""
        failing: list[int] = []
        trees: dict[int, dict[str, bytes]] = {}
        for party, pair in self._pairs.items():
            fields = pair.complete(directs[party])
            if fields is None:
                failing.append(party)
            elif fields:
                trees[party] = fields
        self._blame_failing(AbortKind.OT_CONSISTENCY, "base transfers", failing)
        return trees

    def _close_pairs(self, directs: Values) -> None:
        failing: list[int] = []
        for party, pair in self._pairs.items():
            state = pair.close(directs.get(party, {}))
            if state is None:
                failing.append(party)
            else:
                self._pair_states[self._roles.share_index(party)] = state
        self._blame_failing(AbortKind.OT_CONSISTENCY, "trees of the other direction", failing)

    def _join_chain_code(self, directs: Values) -> bytes:
        parts = {party: values["chain_code"] for party, values in directs.items()}
        parts[self._party] = self._chain_part
        return self._run.chain_code(self._sid, parts)

    def _final_context(self, party: int) -> bytes:
        summed = self._total.encode() if self._total else b""
        return self._run.final_context(self._sid, party, self._chain_code, summed)

    # The end

    def _finish(self, broadcasts: Values, directs: Values) -> None:
        """After round 4: check every S_j, its proof and the last trees; build the key share."""
        self._check_echo(self._echo(2), broadcasts, directs)
        shares: dict[int, Point] = {}
        faults: dict[int, Fault | None] = {}
        for holder in self._roles.holders:
            point = self._run.public_share(holder, self._total)
            if point is None:
                raise Blame(AbortKind.KEY_MISMATCH, "a public share is infinity")
            shares[holder] = point
            if holder != self._party:
                context = self._final_context(holder)
                faults[holder] = self._run.last_fault(holder, broadcasts[holder], point, context)
        order = (dealing_run.PUBLIC_SHARE, dealing_run.SHARE_UNPROVED)
        self._blame_faults(faults, order, self._chain_parts)
        self._close_pairs(directs)
        constant = self._total.value_at(0) if self._total and not self._roles.first_degree else None
        self._package = self._publish(
            constant, tuple(curve.encode_point(shares[holder]) for holder in self._roles.holders)
        )
        if self._holds:
            self._result = self._keyshare(self._package)

    def _keyshare(self, package: PublicPackage) -> Keyshare:
        index = self._roles.share_index(self._party)
        own = curve.encode_point(curve.generator_mult(self._secret_share))
        if own != package.public_shares[index - 1]:
            raise LocalFault("own share does not fit the checked commitments")
        return Keyshare(
            key_id=package.key_id, epoch=package.epoch, threshold=package.threshold,
            party_index=index, secret_share=self._secret_share, public_key=package.public_key,
            public_shares=package.public_shares, chain_code=package.chain_code,
            pair_state=self._pair_states,
        )

    def _forget(self) -> None:
        self._polynomial = None
        self._secret_share = 0
        self._entropy = spent
        self._pairs = {}
        self._pair_states = {}
