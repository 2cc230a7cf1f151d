"""Many signatures by one call: sessions of a few digests each, two of them in flight.

Every party cuts the list of digests into the same parts and signs them in order; a part begins when
one before it has ended, so that memory does not grow with the list. Each part is a session with an
id of its own, which binds the whole list: parties who disagree about any digest or tweak of it, or
about their number, do not hear each other from the first message on.

A peer can be ahead of us by no more parts than are in flight, and in those it has said nothing
beyond round 1, as later rounds need ours. That is what is kept for a part that has not begun.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from metanode.errors import LocalFault, check
from metanode.tss import curve, oracle
from metanode.tss.abort import Abort, AbortKind, Blame
from metanode.tss.curve import Entropy
from metanode.tss.hedge import spent
from metanode.tss.keyshare import Keyshare
from metanode.tss.lane import Signature
from metanode.tss.messages import Message
from metanode.tss.oracle import Tag
from metanode.tss.parameters import (
    BATCH_DIGESTS,
    HASH_BYTES,
    PARTS_AT_ONCE,
    STANDARD,
    Parameters,
)
from metanode.tss.session import ABORTED, FINISHED, NEW
from metanode.tss.sign import LanesSession, members_of
from metanode.tss.sign_run import SignedKey, SignRun, in_lanes

Outcome = Signature | Abort


def batch_runs(
    key: SignedKey, signers: Sequence[int], digests: Sequence[bytes], instance: bytes,
    tweaks: Sequence[int] = (), parameters: Parameters = STANDARD,
) -> list[SignRun]:
    """Return the public side of each part of a batch, for who has to judge a fault in one of them.
    """
    check(1 <= len(digests) <= BATCH_DIGESTS, f"a batch has 1 to {BATCH_DIGESTS} digests")
    check(all(type(each) is bytes for each in digests), "a digest has 32 bytes")
    check(type(instance) is bytes and len(instance) == HASH_BYTES, "instance has 32 bytes")
    tweaks = tuple(tweaks) or tuple(0 for _ in digests)
    check(len(tweaks) == len(digests), "a tweak for each digest, or none")
    check(all(type(each) is int for each in tweaks), "a tweak is not a scalar")
    scalars = b"".join(map(curve.encode_scalar, tweaks))
    name = oracle.digest(Tag.BATCH, instance, b"".join(digests), scalars)
    parts = zip(in_lanes(digests), in_lanes(tweaks), strict=True)
    return [
        SignRun(
            key, signers, part, oracle.digest(Tag.PART, name, oracle.index(number)), own, parameters
        )
        for number, (part, own) in enumerate(parts)
    ]


class BatchSignSession:
    """One party's signing of 1 to ``BATCH_DIGESTS`` digests; single use.

    The arguments, and what is asked of the caller, are as of
    :class:`metanode.tss.sign.SignSession`; ``tweaks`` are as many as ``digests``, or none. The
    methods are those of a session, and so is the network: messages of all parts go through
    :meth:`receive`. An abort of a part ends the batch, as no part answers after a ban; what was
    signed before is in :attr:`outcomes`.
    """

    def __init__(
        self, keyshare: Keyshare, signers: Sequence[int], digests: Sequence[bytes],
        instance: bytes, entropy: Entropy, tweaks: Sequence[int] = (),
        parameters: Parameters = STANDARD,
    ) -> None:
        self._signers = members_of(keyshare, signers)
        key = SignedKey.of(keyshare.package)
        self._runs = batch_runs(key, self._signers, digests, instance, tweaks, parameters)
        self._numbers = {run.session_id: number for number, run in enumerate(self._runs)}
        self._keyshare: Keyshare | None = keyshare
        self._entropy = entropy
        self._parameters = parameters
        self._outcomes: list[Outcome | None] = [None for _ in digests]
        self._ended = self._begun = 0
        self._started = False
        self._closed: str | None = None
        self._abort: Abort | None = None
        self._parts: dict[int, LanesSession] = {0: self._made(0)}
        self._settle()  # a peer may be banned already

    @property
    def session_ids(self) -> tuple[bytes, ...]:
        """The ids that messages of this batch carry, part after part."""
        return tuple(self._numbers)

    @property
    def state(self) -> str:
        """Where the batch stands: new, part-N (the number of those ended, plus one), finished or
        aborted.
        """
        if self._closed is not None:
            return self._closed
        return f"part-{self._ended + 1}" if self._started else NEW

    @property
    def outcomes(self) -> tuple[Outcome | None, ...]:
        """What each digest has come to so far: a signature, an abort that names nobody, or None."""
        return tuple(self._outcomes)

    @property
    def result(self) -> tuple[Outcome, ...] | None:
        """The outcomes once all are there, else None."""
        found = tuple(each for each in self._outcomes if each is not None)
        return found if self._closed == FINISHED else None

    @property
    def abort(self) -> Abort | None:
        """Why the batch ended before its last digest, else None."""
        return self._abort

    @property
    def waiting_for(self) -> tuple[int, ...]:
        """The parties whose messages some part in flight is waiting for."""
        return tuple(sorted({party for part in self._parts.values() for party in part.waiting_for}))

    def start(self) -> list[Message]:
        """Return the first messages of the first parts. Once only; see ``Session.start``."""
        check(not self._started, "a session starts once")
        self._started = True
        return self._go_on([])

    def receive(self, message: Message) -> list[Message]:
        """Take one authenticated message of any part; see ``Session.receive``."""
        if self._closed is not None or type(message.session_id) is not bytes:
            return []
        number = self._numbers.get(message.session_id)
        if number is None or (number >= self._begun and not self._is_early(number, message)):
            return []
        part = self._parts.get(number)
        return [] if part is None else self._go_on(part.receive(message))

    def expire(self) -> None:
        """End the batch because the caller's clock says so; blames nobody."""
        if self._closed is None:
            missing = ", ".join(map(str, self.waiting_for))
            blame = Blame(AbortKind.TIMEOUT, f"no message from {missing or 'anybody'}")
            self._close(ABORTED, blame.abort(self._runs[self._ended].session_id))

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled, as a session does."""
        raise LocalFault("a session cannot be serialised")

    def _is_early(self, number: int, message: Message) -> bool:
        """Return whether an honest peer may have said this of a part that has not begun here, and
        keep room for it.
        """
        if number >= self._begun + PARTS_AT_ONCE or message.round != 1:
            return False
        if number not in self._parts:
            self._parts[number] = self._made(number)
        return True

    def _made(self, number: int) -> LanesSession:
        if self._keyshare is None:
            raise LocalFault("the session has ended")
        run = self._runs[number]
        return LanesSession(
            self._keyshare, self._signers, run.digests, run.instance, self._entropy, run.tweaks,
            self._parameters,
        )

    def _go_on(self, out: list[Message]) -> list[Message]:
        """Take what parts have come to and begin the next ones; return what is to be sent."""
        self._settle()
        while self._may_begin:
            number, self._begun = self._begun, self._begun + 1
            if number not in self._parts:
                self._parts[number] = self._made(number)
            out = out + self._parts[number].start()
            self._settle()
        return out

    @property
    def _may_begin(self) -> bool:
        in_flight = self._begun - self._ended
        more = self._begun < len(self._runs) and in_flight < PARTS_AT_ONCE
        return self._started and self._closed is None and more

    def _settle(self) -> None:
        for number, part in sorted(self._parts.items()):
            if part.abort is not None:
                self._close(ABORTED, part.abort)
                return
            if part.result is not None:
                at = sum(len(run.digests) for run in self._runs[:number])
                self._outcomes[at : at + len(part.result)] = part.result
                self._ended += 1
                del self._parts[number]
        if self._ended == len(self._runs):
            self._close(FINISHED)

    def _close(self, state: str, abort: Abort | None = None) -> None:
        self._closed, self._abort = state, abort
        for part in self._parts.values():
            part.expire()
        self._parts = {}
        self._keyshare = None
        self._entropy = spent
