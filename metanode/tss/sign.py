"""Threshold signing in three rounds (DKLs23) by exactly t parties of one key epoch.

Round 1 commits to nonce points and starts every multiplication as Bob; round 2 opens them and
answers as Alice; round 3 publishes u_i and w_i after every check. s = Σw / Σu. A failure of a sum
over all parties names nobody: the caller retries with other quorums. Nothing secret of round 3 is
ever opened to find out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from metanode.errors import LocalFault, check
from metanode.tss import curve, oracle, sign_run
from metanode.tss.abort import AbortKind, Blame
from metanode.tss.curve import ORDER, Entropy, Point
from metanode.tss.hedge import HedgedEntropy, spent
from metanode.tss.keyshare import Keyshare
from metanode.tss.messages import Message
from metanode.tss.multiplication import (
    BobState,
    Link,
    alice_multiply,
    bob_finish,
    bob_start,
    gadget,
)
from metanode.tss.oracle import Tag
from metanode.tss.pair_setup import pair_sid
from metanode.tss.parameters import HASH_BYTES, STANDARD, Parameters
from metanode.tss.public_run import Fault
from metanode.tss.session import Session, Values
from metanode.tss.sign_run import Opening, SignedKey, SignRun
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


class SignSession(Session[Signature]):
    """One party's signing of one 32-byte ``digest``; single use.

    ``signers`` are exactly t distinct indices including ours; ``instance`` is 32 bytes that the
    caller never uses twice; ``tweak`` is a public scalar added to the key. Sessions on one key
    share may run side by side if they all hold the one ``keyshare`` object: everything that they
    derive from it depends on the session id, and its latch stops all of them with a peer that one
    of them bans. A caller that loads the share again closes the latch again.
    """

    _run: SignRun

    def __init__(
        self, keyshare: Keyshare, signers: Sequence[int], digest: bytes, instance: bytes,
        entropy: Entropy, tweak: int = 0, parameters: Parameters = STANDARD,
    ) -> None:
        check(all(type(signer) is int for signer in signers), "a signer is not a number")
        members = tuple(sorted(signers))
        check(len(set(members)) == len(members) == keyshare.threshold, "need t distinct signers")
        check(set(members) <= set(keyshare.parties), "a signer holds no share of this epoch")
        check(keyshare.party_index in members, "we are not among the signers")
        check(type(digest) is bytes and len(digest) == HASH_BYTES, "digest must have 32 bytes")
        check(type(instance) is bytes and len(instance) == HASH_BYTES, "instance has 32 bytes")
        check(type(tweak) is int and 0 <= tweak < ORDER, "tweak is not a scalar")
        key = SignedKey.of(keyshare.package)
        run = SignRun(key, members, digest, instance, tweak, parameters)
        super().__init__(run, keyshare.party_index)
        self._keyshare: Keyshare | None = keyshare
        self._sharing = key.sharing
        self._latch = keyshare.latch
        self._public_key = tweaked_key(keyshare.public_key, tweak)
        self._parameters = parameters
        self._digest = digest
        self._tweak = tweak
        secret = curve.encode_scalar(keyshare.secret_share)
        self._entropy: Entropy = HedgedEntropy(entropy, run.session_id, self._party, secret)
        self._links: dict[tuple[int, int], Link] = {}
        self._bobs: dict[int, BobState] = {}
        self._commitments: dict[int, bytes] = {}
        self._echo_1 = b""
        self._nonce = self._phi = self._key_part = 0
        self._sum_u = self._sum_v = 0
        self._u = self._w = 0
        self._r_x = self._recovery = 0
        try:
            self._ask_latch()
        except Blame as blame:
            self._close(blame)

    def _link(self, bob: int, alice: int) -> Link:
        link = self._links.get((bob, alice))
        if link is None:
            link = self._links[bob, alice] = Link(
                parameters=self._parameters,
                sid=pair_sid(self._session_id, bob, alice),
                gadget=gadget(pair_sid(self._sharing, bob, alice), self._parameters.choice_bits),
            )
        return link

    def _share(self) -> Keyshare:
        if self._keyshare is None:
            raise LocalFault("the session has ended")
        return self._keyshare

    def _commit(self, party: int, point: bytes, salt: bytes) -> bytes:
        return self._run.commitment(party, point, salt)

    def _begin(self) -> list[Message]:
        self._nonce = curve.random_scalar(self._entropy)
        self._phi = curve.random_scalar(self._entropy)
        self._nonce_point = curve.generator_mult(self._nonce)
        self._salt = curve.draw(self._entropy, HASH_BYTES)
        encoded = curve.encode_point(self._nonce_point)
        commitment = self._commit(self._party, encoded, self._salt)
        out = [self._broadcast(1, {"commitment": commitment})]
        for peer in self._others:
            leaves = self._share().pair_state[peer].leaves
            state, fields = bob_start(self._link(self._party, peer), leaves, self._entropy)
            self._bobs[peer] = state
            out.append(self._direct(1, peer, fields))
        return out

    def _step(self, number: int, broadcasts: Values, directs: Values) -> list[Message]:
        if number == 1:
            return self._answer(broadcasts, directs)
        if number == 2:
            return self._combine(broadcasts, directs)
        self._finish(broadcasts)
        return []

    def _zero_share(self) -> int:
        """Return ζ_i; over all signers these sum to zero."""
        total = 0
        for peer in self._others:
            seed = self._share().pair_state[peer].zero_seed
            value = oracle.scalar(Tag.ZERO, seed, self._session_id)
            total += value if peer > self._party else -value
        return total

    def _answer(self, broadcasts: Values, directs: Values) -> list[Message]:
        """After round 1: run every multiplication as Alice; open the nonce point."""
        share = self._share()
        self._commitments = {p: values["commitment"] for p, values in broadcasts.items()}
        weight = curve.lagrange_at_zero(self._party, self._parties)
        part = curve.multiply(share.secret_share, weight) + self._zero_share()
        part += curve.multiply(self._tweak, curve.inverse(len(self._parties)))
        self._key_part = part % ORDER
        answers: dict[int, tuple[tuple[int, int], dict[str, bytes]]] = {}
        failing: list[int] = []
        for peer in self._others:
            state = share.pair_state[peer]
            answer = alice_multiply(
                self._link(peer, self._party), state.punctured, state.delta,
                (self._nonce, self._key_part), directs[peer], self._entropy,
            )
            if answer is None:
                failing.append(peer)
            else:
                answers[peer] = answer
        self._blame_failing(AbortKind.OT_CONSISTENCY, "columns", failing)
        return self._open(answers)

    def _open(
        self, answers: Mapping[int, tuple[tuple[int, int], dict[str, bytes]]]
    ) -> list[Message]:
        self._echo_1 = self._echo(1)
        self._key_point = curve.generator_mult(self._key_part)
        opening = {
            "echo": self._echo_1, "nonce_point": curve.encode_point(self._nonce_point),
            "salt": self._salt, "key_point": curve.encode_point(self._key_point),
        }
        out = [self._broadcast(2, opening)]
        for peer, ((share_u, share_v), fields) in answers.items():
            self._sum_u += share_u
            self._sum_v += share_v
            own = {
                "echo": self._echo_1,
                "gamma_u": curve.encode_point(curve.generator_mult(share_u)),
                "gamma_v": curve.encode_point(curve.generator_mult(share_v)),
                "psi": curve.encode_scalar(self._phi - self._bobs[peer].chi),
            }
            out.append(self._direct(2, peer, {**own, **fields}))
        return out

    def _combine(self, broadcasts: Values, directs: Values) -> list[Message]:
        """After round 2: check echo, openings, multiplications and sums; publish u_i, w_i."""
        self._check_echo(self._echo_1, broadcasts, directs)
        openings = self._parse_openings(broadcasts, directs)
        mask = self._phi + sum(opening.psi for opening in openings.values())
        self._finish_multiplications(openings, directs)
        nonce_point = self._sum_points(openings)
        x, y = curve.affine(nonce_point)
        self._r_x = x % ORDER
        self._recovery = (y & 1) | (2 if x >= ORDER else 0)
        self._u = (curve.multiply(self._nonce, mask) + self._sum_u) % ORDER
        own_v = curve.multiply(self._key_part, mask) + self._sum_v
        digest = int.from_bytes(self._digest, "big")
        signed = curve.multiply(self._phi, digest) + curve.multiply(own_v, self._r_x)
        self._w = signed % ORDER
        values = {
            "echo": self._echo_1,
            "u": curve.encode_scalar(self._u),
            "w": curve.encode_scalar(self._w),
        }
        return [self._broadcast(3, values)]

    def _parse_openings(self, broadcasts: Values, directs: Values) -> dict[int, Opening]:
        faults: dict[int, Fault | None] = {}
        openings: dict[int, Opening] = {}
        for party in self._others:
            second, committed = broadcasts[party], self._commitments[party]
            opening = Opening.parse(second, directs[party])
            faults[party] = self._run.opening_fault(party, committed, second)
            if isinstance(opening, Opening):
                openings[party] = opening
            else:
                faults[party] = faults[party] or opening
        self._blame_faults(faults, (sign_run.OPENING, sign_run.NO_OPENING))
        return openings

    def _finish_multiplications(self, openings: Mapping[int, Opening], directs: Values) -> None:
        """Check μ, then that R_j and pk_j are the inputs that j multiplied; for everybody."""
        failing: list[int] = []
        for peer, opening in openings.items():
            state = self._bobs[peer]
            shares = bob_finish(self._link(self._party, peer), state, directs[peer])
            if shares is None:
                failing.append(peer)
                continue
            share_u, share_v = shares
            expected_u = curve.offset_generator(opening.gamma_u, share_u)
            expected_v = curve.offset_generator(opening.gamma_v, share_v)
            same_u = curve.secret_mult_equals(state.chi, opening.nonce_point, expected_u)
            same_v = curve.secret_mult_equals(state.chi, opening.key_point, expected_v)
            if not (same_u and same_v):
                failing.append(peer)
            self._sum_u += share_u
            self._sum_v += share_v
        self._blame_failing(AbortKind.MUL_CHECK, "multiplication", failing)

    def _sum_points(self, openings: Mapping[int, Opening]) -> Point:
        """Return R = ΣR_j after checking Σpk_j = PK."""
        key = curve.combine([self._key_point, *(o.key_point for o in openings.values())])
        if key is None or curve.encode_point(key) != self._public_key:
            raise Blame(AbortKind.KEY_MISMATCH, "key shares do not sum to the public key")
        nonce = curve.combine([self._nonce_point, *(o.nonce_point for o in openings.values())])
        if nonce is None:
            raise Blame(AbortKind.INVALID_SIGNATURE, "nonce points sum to infinity")
        return nonce

    def _finish(self, broadcasts: Values) -> None:
        """After round 3: assemble the signature and verify it before it is released."""
        self._check_echo(self._echo_1, broadcasts)
        total_u, total_w = self._u, self._w
        faults: dict[int, Fault | None] = {}
        for party, values in broadcasts.items():
            scalars = self._run.scalars(values)
            if isinstance(scalars, Fault):
                faults[party] = scalars
                continue
            total_u += scalars[0]
            total_w += scalars[1]
        self._blame_faults(faults, (sign_run.NO_SCALAR,))
        if total_u % ORDER == 0:
            raise Blame(AbortKind.INVALID_SIGNATURE, "sum of u is zero")
        s = total_w * curve.inverse(total_u) % ORDER
        recovery = self._recovery
        if s > ORDER // 2:
            s, recovery = ORDER - s, recovery ^ 1
        if not verify_signature(self._public_key, self._digest, self._r_x, s):
            raise Blame(AbortKind.INVALID_SIGNATURE, "signature does not verify")
        self._result = Signature(r=self._r_x, s=s, recovery_id=recovery)

    def _forget(self) -> None:
        self._keyshare = None
        self._entropy = spent
        self._bobs = {}
        self._nonce = self._phi = self._key_part = 0
        self._sum_u = self._sum_v = self._u = self._w = 0
