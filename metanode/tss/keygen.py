"""Distributed key generation, t of n: Pedersen's DKG with commitments, proofs and pair set-up.

Round 1 commits, round 2 opens the Feldman commitments F and offers base transfers, round 3 deals
shares and answers, round 4 publishes S_i with a proof. The key may be used only after all n
parties have signed :func:`metanode.tss.keyshare.confirmation_digest`, which the caller collects.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence

from metanode.errors import LocalFault, check
from metanode.tss import curve, oracle, proofs
from metanode.tss.abort import AbortKind, Blame
from metanode.tss.curve import Entropy, Point
from metanode.tss.keyshare import MAX_EPOCH, Keyshare, PairState, confirmation_digest
from metanode.tss.messages import Message, keygen_rounds
from metanode.tss.oracle import Tag
from metanode.tss.pair_setup import PairSetup
from metanode.tss.parameters import (
    HASH_BYTES,
    MAX_PARTIES,
    MIN_PARTIES,
    MIN_THRESHOLD,
    POINT_BYTES,
    PROOF_BYTES,
    STANDARD,
    SUITE,
    Parameters,
)
from metanode.tss.session import Session, Values

__all__ = ["KeygenSession", "confirmation_digest"]

_PURPOSE = b"keygen"
_SHARE_PROOF_INDEX = 0xFFFF
"""Stands where the coefficient number stands, for the proof of S_i; no threshold reaches it."""


def dealing_session_id(
    purpose: bytes,
    parameters: Parameters,
    threshold: int,
    identity_keys: Sequence[bytes],
    epoch: int,
    session_context: bytes,
) -> bytes:
    """Return the 32 bytes that address a dealing's messages, before any nonce is known."""
    return oracle.digest(
        Tag.ADDRESS,
        SUITE,
        parameters.encode(),
        purpose,
        oracle.index(threshold),
        epoch.to_bytes(8, "big"),
        session_context,
        *identity_keys,
    )


class KeygenSession(Session[Keyshare]):
    """One party's key generation.

    ``parties`` are 1..n; ``identity_keys`` are their 33-byte node ids in that order, which is
    ascending; ``epoch`` numbers the key's share sets; ``session_context`` is whatever makes this
    run unique to its caller. A configuration that breaks these rules is a ``LocalFault``.
    """

    def __init__(
        self,
        party_index: int,
        parties: Sequence[int],
        threshold: int,
        session_context: bytes,
        identity_keys: Sequence[bytes],
        epoch: int,
        entropy: Entropy,
        parameters: Parameters = STANDARD,
    ) -> None:
        count = len(parties)
        check(MIN_PARTIES <= count <= MAX_PARTIES, "number of parties out of range")
        check(list(parties) == list(range(1, count + 1)), "parties must be 1..n in order")
        check(party_index in parties, "party index is not among the parties")
        check(MIN_THRESHOLD <= threshold <= count, "threshold out of range")
        check(0 <= epoch <= MAX_EPOCH, "epoch out of range")
        keys = list(identity_keys)
        check(len(keys) == count and len(set(keys)) == count, "one identity key per party")
        check(all(len(key) == POINT_BYTES for key in keys), "identity keys have 33 bytes")
        check(keys == sorted(keys), "identity keys must be in ascending order")
        address = dealing_session_id(
            _PURPOSE, parameters, threshold, keys, epoch, session_context
        )
        super().__init__(address, party_index, parties, keygen_rounds(threshold))
        self._threshold = threshold
        self._epoch = epoch
        self._entropy = entropy
        self._sid = b""
        self._commitments: dict[int, list[Point]] = {}
        self._round_1: dict[int, Mapping[str, bytes]] = {}
        self._totals: list[Point] = []
        self._pairs: dict[int, PairSetup] = {}
        self._pair_states: dict[int, PairState] = {}
        self._secret_share = 0
        self._chain_code = b""

    def _begin(self) -> list[Message]:
        entropy = self._entropy
        self._coefficients = [curve.random_scalar(entropy) for _ in range(self._threshold)]
        self._encoded = b"".join(
            curve.encode_point(curve.generator_mult(c)) for c in self._coefficients
        )
        self._salt = curve.draw(entropy, HASH_BYTES)
        self._chain_part = curve.draw(entropy, HASH_BYTES)
        self._chain_salt = curve.draw(entropy, HASH_BYTES)
        nonce = curve.draw(entropy, HASH_BYTES)
        own = {
            "sid": nonce,
            "commitment": self._commit(self._party, nonce, self._encoded, self._salt),
            "chain_commitment": self._commit_chain(
                self._party, nonce, self._chain_part, self._chain_salt
            ),
        }
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
            return self._collect(directs)
        self._finish(broadcasts)
        return []

    def _open(self, broadcasts: Values) -> list[Message]:
        """After round 1: fix the session id, open F and offer base transfers."""
        self._round_1.update(broadcasts)
        nonces = [self._round_1[party]["sid"] for party in self._parties]
        self._sid = oracle.digest(Tag.SID, self._session_id, *nonces)
        echo = self._echo(1)
        evidence = [
            proofs.prove(
                Tag.DLOG,
                self._proof_context(self._party, k),
                coefficient,
                self._encoded[k * POINT_BYTES : (k + 1) * POINT_BYTES],
                self._entropy,
            )
            for k, coefficient in enumerate(self._coefficients)
        ]
        opening = {
            "echo": echo,
            "coefficients": self._encoded,
            "salt": self._salt,
            "proofs": b"".join(evidence),
        }
        out = [self._broadcast(2, opening)]
        for peer in self._others:
            pair = PairSetup(self._sid, self._party, peer, self._entropy)
            self._pairs[peer] = pair
            out.append(self._direct(2, peer, {"echo": echo, **pair.offer()}))
        return out

    def _proof_context(self, party: int, number: int) -> bytes:
        """Return what binds a proof to session, prover and coefficient number."""
        return self._sid + oracle.index(party, number)

    def _deal(self, broadcasts: Values, directs: Values) -> list[Message]:
        """After round 2: check echo, openings and proofs, then deal shares and answer offers."""
        self._check_echo(self._echo(1), broadcasts, directs)
        self._check_openings(broadcasts)
        own = [self._encoded[k : k + POINT_BYTES] for k in self._cuts(POINT_BYTES)]
        parsed = [curve.parse_point(point) for point in own]
        self._commitments[self._party] = [point for point in parsed if point is not None]
        self._totals = self._sum_commitments()
        answers: dict[int, dict[str, bytes]] = {}
        malformed: dict[int, tuple[bytes, ...]] = {}
        for peer, pair in self._pairs.items():
            answer = pair.answer(directs[peer])
            if answer is None:
                malformed[peer] = ()
            else:
                answers[peer] = answer
        self._blame_failing(AbortKind.MALFORMED, "base transfer points", malformed)
        echo = self._echo(2)
        return [
            self._direct(
                3,
                peer,
                {
                    "echo": echo,
                    "share": curve.encode_scalar(
                        curve.evaluate_polynomial(self._coefficients, peer)
                    ),
                    "chain_code": self._chain_part,
                    "chain_salt": self._chain_salt,
                    **answers[peer],
                },
            )
            for peer in self._others
        ]

    def _cuts(self, item_bytes: int) -> range:
        return range(0, self._threshold * item_bytes, item_bytes)

    def _check_openings(self, broadcasts: Values) -> None:
        commitment: dict[int, tuple[bytes, ...]] = {}
        malformed: dict[int, tuple[bytes, ...]] = {}
        unproved: dict[int, tuple[bytes, ...]] = {}
        for party, values in broadcasts.items():
            first = self._round_1[party]
            encoded = values["coefficients"]
            frames = (self._broadcasts[1, party], self._broadcasts[2, party])
            opened = self._commit(party, first["sid"], encoded, values["salt"])
            if not hmac.compare_digest(opened, first["commitment"]):
                commitment[party] = frames
                continue
            points = [encoded[k : k + POINT_BYTES] for k in self._cuts(POINT_BYTES)]
            parsed = [curve.parse_point(point) for point in points]
            valid = [point for point in parsed if point is not None]
            if len(valid) != self._threshold:
                malformed[party] = frames
                continue
            shown = [values["proofs"][k : k + PROOF_BYTES] for k in self._cuts(PROOF_BYTES)]
            for k, (data, point, proof) in enumerate(zip(points, valid, shown, strict=True)):
                context = self._proof_context(party, k)
                if not proofs.verify(Tag.DLOG, context, data, point, proof):
                    unproved[party] = frames
            self._commitments[party] = valid
        self._blame_failing(AbortKind.COMMITMENT, "opening of F", commitment)
        self._blame_failing(AbortKind.MALFORMED, "F is not a list of points", malformed)
        self._blame_failing(AbortKind.PROOF, "proof for F", unproved)

    def _sum_commitments(self) -> list[Point]:
        totals = []
        for k in range(self._threshold):
            total = curve.combine([self._commitments[party][k] for party in self._parties])
            if total is None:
                raise Blame(AbortKind.KEY_MISMATCH, "commitments sum to infinity")
            totals.append(total)
        return totals

    def _collect(self, directs: Values) -> list[Message]:
        """After round 3: check openings, shares and trees; publish S_i with a proof."""
        self._check_echo(self._echo(2), directs)
        self._check_round_3_openings(directs)
        self._secret_share = self._sum_shares(directs)
        self._complete_pairs(directs)
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
        failing: dict[int, tuple[bytes, ...]] = {}
        malformed: dict[int, tuple[bytes, ...]] = {}
        for party, values in directs.items():
            first = self._round_1[party]
            chain = self._commit_chain(
                party, first["sid"], values["chain_code"], values["chain_salt"]
            )
            if not hmac.compare_digest(chain, first["chain_commitment"]):
                frame = self._broadcasts[1, party]
                failing[party] = (frame, values["chain_code"], values["chain_salt"])
            elif not self._pairs[party].zero_opening_holds(values):
                failing[party] = self._pairs[party].zero_evidence(values)
            share = curve.decode_scalar(values["share"])
            if share is None or curve.parse_point(values["ot_key"]) is None:
                malformed[party] = (values["share"], values["ot_key"])
        self._blame_failing(AbortKind.MALFORMED, "share or base transfer key", malformed)
        self._blame_failing(AbortKind.COMMITMENT, "opening of round 3", failing)

    def _sum_shares(self, directs: Values) -> int:
        """Return s_i, the sum of all dealt shares, each checked against its dealer's F (Feldman).
        """
        failing: dict[int, tuple[bytes, ...]] = {}
        total = curve.evaluate_polynomial(self._coefficients, self._party)
        for party, values in directs.items():
            share = int.from_bytes(values["share"], "big")
            expected = curve.evaluate_commitments(self._commitments[party], self._party)
            if expected is None or share == 0:
                matches = False
            else:
                dealt = curve.encode_point(curve.generator_mult(share))
                matches = dealt == curve.encode_point(expected)
            if not matches:
                failing[party] = (self._broadcasts[2, party], values["share"])
            total += share
        self._blame_failing(AbortKind.SHARE, "dealt share", failing)
        return total % curve.ORDER

    def _complete_pairs(self, directs: Values) -> None:
        failing: dict[int, tuple[bytes, ...]] = {}
        for party, pair in self._pairs.items():
            state = pair.complete(directs[party])
            if state is None:
                failing[party] = ()
            else:
                self._pair_states[party] = state
        self._blame_failing(AbortKind.OT_CONSISTENCY, "GGM trees", failing)

    def _join_chain_code(self, directs: Values) -> bytes:
        parts = {party: values["chain_code"] for party, values in directs.items()}
        parts[self._party] = self._chain_part
        ordered = [parts[party] for party in self._parties]
        return oracle.digest(Tag.CHAIN_CODE, self._sid, *ordered)

    def _final_context(self, party: int) -> bytes:
        """Bind the proof of S_i to session, chain code and the summed commitments."""
        totals = b"".join(map(curve.encode_point, self._totals))
        context = self._proof_context(party, _SHARE_PROOF_INDEX)
        return context + self._chain_code + totals

    def _finish(self, broadcasts: Values) -> None:
        """After round 4: check every S_j and its proof; build the key share."""
        self._check_echo(self._echo(2), broadcasts)
        shares: dict[int, bytes] = {}
        wrong: dict[int, tuple[bytes, ...]] = {}
        unproved: dict[int, tuple[bytes, ...]] = {}
        for party in self._parties:
            expected = curve.evaluate_commitments(self._totals, party)
            if expected is None:
                raise Blame(AbortKind.KEY_MISMATCH, "a public share is infinity")
            shares[party] = curve.encode_point(expected)
            if party == self._party:
                continue
            values = broadcasts[party]
            if values["public_share"] != shares[party]:
                wrong[party] = (self._broadcasts[4, party],)
            elif not proofs.verify(
                Tag.DLOG,
                self._final_context(party),
                shares[party],
                expected,
                values["proof"],
            ):
                unproved[party] = (self._broadcasts[4, party],)
        self._blame_failing(AbortKind.SHARE, "public share", wrong)
        self._blame_failing(AbortKind.PROOF, "proof for the public share", unproved)
        own = curve.encode_point(curve.generator_mult(self._secret_share))
        if own != shares[self._party]:
            raise LocalFault("own share does not fit the checked commitments")
        public_key = curve.encode_point(self._totals[0])
        self._result = Keyshare(
            key_id=oracle.digest(Tag.KEY_ID, self._sid, public_key, self._chain_code),
            epoch=self._epoch,
            threshold=self._threshold,
            party_index=self._party,
            secret_share=self._secret_share,
            public_key=public_key,
            public_shares=tuple(shares[party] for party in self._parties),
            chain_code=self._chain_code,
            pair_state=self._pair_states,
        )

    def _forget(self) -> None:
        self._coefficients = []
        self._secret_share = 0
        self._pairs = {}
        self._pair_states = {}
