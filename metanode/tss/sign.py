"""Threshold signing in three rounds (DKLs23) by exactly t parties of one key epoch.

Round 1 commits to nonce points and starts every multiplication as Bob; round 2 opens them and
answers as Alice; round 3 publishes u_i and w_i after every check. s = Σw / Σu. A failure of a sum
over all parties names nobody: the caller retries with other quorums. Nothing secret of round 3 is
ever opened to find out.

A session signs one digest, or several side by side, a lane for each (:mod:`metanode.tss.lane`). The
lanes share messages, salts, echo and the extension of each pair with its check. Up to round 2 they
stand or fall together: a failed check ends the session, whichever lane it is in, and nothing of
round 3 leaves. After that each lane is for itself.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TypeVar

from metanode.errors import LocalFault, check
from metanode.tss import curve, sign_run
from metanode.tss.abort import Abort, AbortKind, Blame
from metanode.tss.curve import Entropy
from metanode.tss.hedge import HedgedEntropy, spent
from metanode.tss.keyshare import Keyshare
from metanode.tss.lane import Lane, Signature, tweaked_key
from metanode.tss.messages import Message
from metanode.tss.multiplication import (
    BobState,
    Link,
    alice_multiply,
    bob_finish,
    bob_start,
    gadget,
)
from metanode.tss.pair_setup import pair_sid
from metanode.tss.parameters import HASH_BYTES, STANDARD, Parameters
from metanode.tss.public_run import Fault
from metanode.tss.session import Session, Values
from metanode.tss.sign_run import Opening, SignedKey, SignRun

Result = TypeVar("Result")
Answer = tuple[tuple[tuple[int, ...], ...], dict[str, bytes]]
"""Our shares as Alice, lane by lane, and the fields that answer Bob."""


def members_of(keyshare: Keyshare, signers: Sequence[int]) -> tuple[int, ...]:
    """Return the signers in order; ``LocalFault`` if this share cannot sign with them."""
    check(all(type(signer) is int for signer in signers), "a signer is not a number")
    members = tuple(sorted(signers))
    check(len(set(members)) == len(members) == keyshare.threshold, "need t distinct signers")
    check(set(members) <= set(keyshare.parties), "a signer holds no share of this epoch")
    check(keyshare.party_index in members, "we are not among the signers")
    return members


class SigningSession(Session[Result]):
    """One party's signing of some digests; single use. Its two forms differ in the result only."""

    _run: SignRun

    def __init__(
        self, keyshare: Keyshare, signers: Sequence[int], digests: Sequence[bytes],
        instance: bytes, entropy: Entropy, tweaks: Sequence[int], parameters: Parameters,
    ) -> None:
        members = members_of(keyshare, signers)
        check(type(instance) is bytes and len(instance) == HASH_BYTES, "instance has 32 bytes")
        key = SignedKey.of(keyshare.package)
        run = SignRun(key, members, digests, instance, tweaks, parameters)
        super().__init__(run, keyshare.party_index)
        self._keyshare: Keyshare | None = keyshare
        self._sharing = key.sharing
        self._latch = keyshare.latch
        self._parameters = parameters
        keys = {tweak: tweaked_key(keyshare.public_key, tweak) for tweak in set(run.tweaks)}
        self._lanes = tuple(
            Lane(number, digest, tweak, keys[tweak])
            for number, (digest, tweak) in enumerate(zip(run.digests, run.tweaks, strict=True))
        )
        secret = curve.encode_scalar(keyshare.secret_share)
        self._entropy: Entropy = HedgedEntropy(entropy, run.session_id, self._party, secret)
        self._links: dict[tuple[int, int], Link] = {}
        self._bobs: dict[int, BobState] = {}
        self._commitments: dict[int, bytes] = {}
        self._echo_1 = b""
        try:
            self._ask_latch()
        except Blame as blame:
            self._close(blame)

    @abstractmethod
    def _released(self, outcomes: Sequence[Signature | Blame]) -> Result:
        """Return the result for what the lanes have come to, or raise Blame."""

    def _link(self, bob: int, alice: int) -> Link:
        link = self._links.get((bob, alice))
        if link is None:
            link = self._links[bob, alice] = Link(
                parameters=self._parameters,
                sid=pair_sid(self._session_id, bob, alice),
                gadget=gadget(pair_sid(self._sharing, bob, alice), self._parameters.choice_bits),
                lanes=len(self._lanes),
            )
        return link

    def _share(self) -> Keyshare:
        if self._keyshare is None:
            raise LocalFault("the session has ended")
        return self._keyshare

    def _commit(self, party: int, points: bytes, salt: bytes) -> bytes:
        return self._run.commitment(party, points, salt)

    def _begin(self) -> list[Message]:
        for lane in self._lanes:
            lane.draw(self._entropy)
        self._salt = curve.draw(self._entropy, HASH_BYTES)
        self._nonce_points = b"".join(curve.encode_point(lane.nonce_point) for lane in self._lanes)
        commitment = self._commit(self._party, self._nonce_points, self._salt)
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

    def _zero_share(self, lane: Lane) -> int:
        """Return ζ_i of a lane; over all signers these sum to zero."""
        total = 0
        for peer in self._others:
            value = lane.zero_value(self._share().pair_state[peer].zero_seed, self._session_id)
            total += value if peer > self._party else -value
        return total

    def _answer(self, broadcasts: Values, directs: Values) -> list[Message]:
        """After round 1: run every multiplication as Alice; open the nonce points."""
        share = self._share()
        self._commitments = {p: values["commitment"] for p, values in broadcasts.items()}
        weight = curve.lagrange_at_zero(self._party, self._parties)
        weighted = curve.multiply(share.secret_share, weight)
        for lane in self._lanes:
            lane.take_key_part(weighted, self._zero_share(lane), len(self._parties))
        inputs = [(lane.nonce, lane.key_part) for lane in self._lanes]
        answers: dict[int, Answer] = {}
        failing: list[int] = []
        for peer in self._others:
            state = share.pair_state[peer]
            answer = alice_multiply(
                self._link(peer, self._party), state.punctured, state.delta, inputs,
                directs[peer], self._entropy,
            )
            if answer is None:
                failing.append(peer)
            else:
                answers[peer] = answer
        self._blame_failing(AbortKind.OT_CONSISTENCY, "columns", failing)
        return self._open(answers)

    def _open(self, answers: Mapping[int, Answer]) -> list[Message]:
        self._echo_1 = self._echo(1)
        opening = {
            "echo": self._echo_1, "nonce_point": self._nonce_points, "salt": self._salt,
            "key_point": b"".join(curve.encode_point(lane.key_point) for lane in self._lanes),
        }
        out = [self._broadcast(2, opening)]
        for peer, (shares, fields) in answers.items():
            gammas = []
            for lane, own in zip(self._lanes, shares, strict=True):
                lane.add(own)
                gammas.append(lane.gammas(own))
            chis = zip(self._lanes, self._bobs[peer].chis, strict=True)
            mine = {
                "echo": self._echo_1,
                "gamma_u": b"".join(gamma_u for gamma_u, _ in gammas),
                "gamma_v": b"".join(gamma_v for _, gamma_v in gammas),
                "psi": b"".join(curve.encode_scalar(lane.phi - chi) for lane, chi in chis),
            }
            out.append(self._direct(2, peer, {**mine, **fields}))
        return out

    def _combine(self, broadcasts: Values, directs: Values) -> list[Message]:
        """After round 2: check echo, openings, multiplications and sums; publish u_i, w_i."""
        self._check_echo(self._echo_1, broadcasts, directs)
        openings = self._parse_openings(broadcasts, directs)
        self._finish_multiplications(openings, directs)
        opened = openings.values()
        for n, lane in enumerate(self._lanes):
            lane.sum_points((o.nonce_points[n] for o in opened), (o.key_points[n] for o in opened))
        for n, lane in enumerate(self._lanes):
            lane.contribute(o.psis[n] for o in opened)
        values = {
            "echo": self._echo_1,
            "u": b"".join(curve.encode_scalar(lane.u) for lane in self._lanes),
            "w": b"".join(curve.encode_scalar(lane.w) for lane in self._lanes),
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
            if shares is None or not self._inputs_hold(opening, state, shares):
                failing.append(peer)
        self._blame_failing(AbortKind.MUL_CHECK, "multiplication", failing)

    def _inputs_hold(
        self, opening: Opening, state: BobState, shares: tuple[tuple[int, ...], ...]
    ) -> bool:
        """Take our shares as Bob; return whether χ·R_j and χ·pk_j are what they belong to, in every
        lane: one verdict for all of them.
        """
        good = True
        for n, (lane, own) in enumerate(zip(self._lanes, shares, strict=True)):
            expected_u = curve.offset_generator(opening.gammas_u[n], own[0])
            expected_v = curve.offset_generator(opening.gammas_v[n], own[1])
            chi = state.chis[n]
            same_u = curve.secret_mult_equals(chi, opening.nonce_points[n], expected_u)
            same_v = curve.secret_mult_equals(chi, opening.key_points[n], expected_v)
            good = same_u and same_v and good
            lane.add(own)
        return good

    def _finish(self, broadcasts: Values) -> None:
        """After round 3: assemble each lane's signature, verified before it is released."""
        self._check_echo(self._echo_1, broadcasts)
        faults: dict[int, Fault | None] = {}
        heard: list[tuple[tuple[int, int], ...]] = []
        for party, values in broadcasts.items():
            scalars = self._run.scalars(values)
            if isinstance(scalars, Fault):
                faults[party] = scalars
            else:
                heard.append(scalars)
        self._blame_faults(faults, (sign_run.NO_SCALAR,))
        by_lane = zip(self._lanes, zip(*heard, strict=True), strict=True)
        self._result = self._released([lane.assemble(sums) for lane, sums in by_lane])

    def _forget(self) -> None:
        self._keyshare = None
        self._entropy = spent
        self._bobs = {}
        for lane in self._lanes:
            lane.forget()


class SignSession(SigningSession[Signature]):
    """One party's signing of one 32-byte ``digest``; single use.

    ``signers`` are exactly t distinct indices including ours; ``instance`` is 32 bytes that the
    caller never uses twice; ``tweak`` is a public scalar added to the key. Sessions on one key
    share may run side by side if they all hold the one ``keyshare`` object: everything that they
    derive from it depends on the session id, and its latch stops all of them with a peer that one
    of them bans. A caller that loads the share again closes the latch again.
    """

    def __init__(
        self, keyshare: Keyshare, signers: Sequence[int], digest: bytes, instance: bytes,
        entropy: Entropy, tweak: int = 0, parameters: Parameters = STANDARD,
    ) -> None:
        super().__init__(
            keyshare, signers, (digest,), instance, entropy, (tweak,), parameters
        )

    def _released(self, outcomes: Sequence[Signature | Blame]) -> Signature:
        (outcome,) = outcomes
        if isinstance(outcome, Blame):
            raise outcome
        return outcome


class LanesSession(SigningSession[tuple[Signature | Abort, ...]]):
    """One party's signing of up to ``LANES`` digests at once; as :class:`SignSession` otherwise.

    ``tweaks`` are as many as ``digests``, or none. The result has a signature for each digest, or
    an abort, which names nobody, where the parties' sums give none: the others are good all the
    same. Digests may be equal: each has its own nonce.
    """

    def __init__(
        self, keyshare: Keyshare, signers: Sequence[int], digests: Sequence[bytes],
        instance: bytes, entropy: Entropy, tweaks: Sequence[int] = (),
        parameters: Parameters = STANDARD,
    ) -> None:
        super().__init__(keyshare, signers, digests, instance, entropy, tweaks, parameters)

    def _released(self, outcomes: Sequence[Signature | Blame]) -> tuple[Signature | Abort, ...]:
        return tuple(
            each.abort(self._session_id) if isinstance(each, Blame) else each for each in outcomes
        )
