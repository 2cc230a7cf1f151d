"""What dealings and signing have in common: slots, order of messages, echo and abort.

A session runs rounds 1..R. In each round every other party fills one or two slots, its broadcast
and its message to us; when all slots of the current round are full, one step runs and yields the
messages of the next round. A message for a later round waits in its slot (one per sender and
round, of exactly the expected length, so the buffer is bounded); a repeated message is ignored; a
second, different message for one slot ends the session. Whatever a peer sends, ``receive``
returns and never raises.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, NoReturn, TypeVar

from metanode.errors import LocalFault, check
from metanode.tss.abort import RULES, Abort, AbortKind, Blame
from metanode.tss.latch import Latch
from metanode.tss.messages import Message, Shape
from metanode.tss.public_run import Fault, PublicRun

Result = TypeVar("Result")
Values = Mapping[int, Mapping[str, bytes]]
"""The decoded payloads of one slot: sender → field → bytes."""

NEW = "new"
FINISHED = "finished"
ABORTED = "aborted"
TWO_MESSAGES = "two messages for one slot"
BANNED_ELSEWHERE = "the peer failed in another session on this share"


class Session(ABC, Generic[Result]):
    """A party's side of one run. ``state`` is new, round-1 … round-R, finished or aborted."""

    def __init__(self, run: PublicRun, party_index: int) -> None:
        self._run = run
        self._session_id = run.session_id
        self._party = party_index
        self._parties = run.parties
        self._others = tuple(party for party in self._parties if party != party_index)
        self._started = False
        self._current = 0
        self._closed: str | None = None
        self._result: Result | None = None
        self._abort: Abort | None = None
        self._seen: dict[tuple[int, int, bool], bytes] = {}
        self._values: dict[tuple[int, bool], dict[int, dict[str, bytes]]] = {}
        self._broadcasts: dict[tuple[int, int], bytes] = {}
        self._latch: Latch | None = None
        """That of the share whose correlations this session uses; dealings make their own."""

    @property
    def session_id(self) -> bytes:
        """The 32 bytes that address this session's messages."""
        return self._session_id

    @property
    def state(self) -> str:
        """Where the session stands: new, round-N (waiting for round N), finished or aborted."""
        if self._closed is not None:
            return self._closed
        return NEW if self._current == 0 else f"round-{self._current}"

    @property
    def result(self) -> Result | None:
        """The outcome once finished, else None."""
        return self._result

    @property
    def abort(self) -> Abort | None:
        """Why the session ended without a result, else None."""
        return self._abort

    @property
    def waiting_for(self) -> tuple[int, ...]:
        """The parties whose messages of the current round are still missing."""
        if self._closed is not None or self._current == 0:
            return ()
        return tuple(j for j in self._others if not self._has_all_of(j))

    def start(self) -> list[Message]:
        """Return the messages of round 1 (and later ones, if peers were early). Once only.

        Nothing is sent when a peer's early message, or the caller's clock, has ended the session,
        nor when a peer has been banned from the share.
        """
        check(not self._started, "a session starts once")
        self._started = True
        if self._closed is not None:
            return []
        try:
            self._ask_latch()
            out = self._begin()
            self._ask_latch()
        except Blame as blame:
            self._close(blame)
            return []
        self._current = 1
        return out + self._advance()

    def receive(self, message: Message) -> list[Message]:
        """Take one authenticated message; return the messages to send, in order.

        Messages of another session, to another party or from a stranger are ignored, as is
        everything after the end. A fault of the sender shows in ``state`` and ``abort``.
        """
        addressed = message.recipient is None or message.recipient == self._party
        if self._closed is not None or message.session_id != self._session_id or not addressed:
            return []
        if type(message.sender) is not int or message.sender not in self._others:
            return []
        try:
            if not self._store(message):
                return []
        except Blame as blame:
            self._close(blame)
            return []
        return [] if self._current == 0 else self._advance()

    def expire(self) -> None:
        """End the session because the caller's clock says so; blames nobody."""
        if self._closed is None:
            missing = ", ".join(map(str, self.waiting_for))
            self._close(Blame(AbortKind.TIMEOUT, f"no message from {missing or 'anybody'}"))

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: a session run twice from one state gives its secrets away."""
        raise LocalFault("a session cannot be serialised")

    @abstractmethod
    def _begin(self) -> list[Message]:
        """Return the messages of round 1."""

    @abstractmethod
    def _step(self, number: int, broadcasts: Values, directs: Values) -> list[Message]:
        """Check round ``number`` as a whole and return the next round's messages, or raise Blame.

        The last step sets ``_result`` and returns nothing.
        """

    @abstractmethod
    def _forget(self) -> None:
        """Drop the secrets; called once, when the session ends either way."""

    def _store(self, message: Message) -> bool:
        """Fill the message's slot; return whether it is new. Raises Blame for the sender's
        faults.
        """
        sender, number, public = message.sender, message.round, message.recipient is None
        payload = message.payload
        if type(number) is not int or not isinstance(payload, bytes):
            raise Blame(AbortKind.MALFORMED, "no round, or no payload", [sender])
        slot, recipient = (number, public), None if public else self._party
        known = self._seen.get((number, sender, public))
        if known is not None:
            if known == payload:
                return False
            raise Blame(AbortKind.EQUIVOCATION, TWO_MESSAGES, [sender], slots=(slot,))
        values = self._run.decode(number, sender, recipient, payload)
        if isinstance(values, Fault):
            raise Blame(values.kind, values.reason, [sender], slots=values.slots)
        self._seen[number, sender, public] = payload
        self._values.setdefault((number, public), {})[sender] = values
        if public:
            self._broadcasts[number, sender] = payload
        return True

    def says(self, number: int, sender: int, recipient: int | None) -> bool:
        """Return whether a party has something to say in a round, to one party or to all."""
        return 0 < number <= self._run.rounds and self._shape(number, sender, recipient) is not None

    def _shape(self, number: int, sender: int, recipient: int | None) -> Shape | None:
        """Return what ``sender`` says in a round to one party, or to all; None is nothing."""
        return self._run.shape(number, sender, recipient)

    def _has_all_of(self, sender: int) -> bool:
        number = self._current
        slots = ((True, None), (False, self._party))
        wanted = [public for public, to in slots if self._shape(number, sender, to)]
        return all((number, sender, public) in self._seen for public in wanted)

    def _advance(self) -> list[Message]:
        """Run every step whose round is complete."""
        out: list[Message] = []
        while self._closed is None and all(map(self._has_all_of, self._others)):
            number = self._current
            broadcasts = self._ordered(number, True)
            directs = self._ordered(number, False)
            try:
                # Before the work and after it: another thread's session may fail meanwhile.
                self._ask_latch()
                messages = self._step(number, broadcasts, directs)
                self._ask_latch()
            except Blame as blame:
                self._close(blame)
                break
            out += messages
            if number == self._run.rounds:
                self._closed = FINISHED
                self._erase()
            else:
                self._current = number + 1
        return out

    def _ordered(self, number: int, public: bool) -> Values:
        """Take one round's values out of their slots, in party order."""
        values = self._values.pop((number, public), {})
        return {sender: values[sender] for sender in self._others if sender in values}

    def _ask_latch(self) -> None:
        """End the session if a peer has been banned from the share: every answer is a try."""
        found = None if self._latch is None else self._latch.reason(self._others)
        if found is not None:
            kind, banned = found
            raise Blame(kind, BANNED_ELSEWHERE, banned)

    def _close(self, blame: Blame) -> None:
        if self._latch is not None and RULES[blame.kind].ban:
            self._latch.close(blame.culprits, blame.kind)
        self._abort = blame.abort(self._session_id)
        self._closed = ABORTED
        self._result = None
        self._erase()

    def _erase(self) -> None:
        self._values.clear()
        self._broadcasts.clear()
        self._seen.clear()
        self._forget()

    def _broadcast(self, number: int, values: Mapping[str, bytes]) -> Message:
        """Return our broadcast of a round and keep it for the echo."""
        shape = self._shape(number, self._party, None)
        if shape is None:
            raise LocalFault("this round has no broadcast")
        payload = shape.encode(values)
        self._broadcasts[number, self._party] = payload
        return Message(self._session_id, number, self._party, None, payload)

    def _direct(self, number: int, recipient: int, values: Mapping[str, bytes]) -> Message:
        """Return our message of a round to one party."""
        shape = self._shape(number, self._party, recipient)
        if shape is None:
            raise LocalFault("this round has no message to this party")
        payload = shape.encode(values)
        return Message(self._session_id, number, self._party, recipient, payload)

    def _echo(self, last_round: int) -> bytes:
        """Return the hash of every party's broadcasts of rounds 1..last_round."""
        echo = self._run.echo(last_round, self._broadcasts)
        if echo is None:
            raise LocalFault("an echo of broadcasts that are not all there")
        return echo

    def _check_echo(self, expected: bytes, *slots: Values) -> None:
        """Refuse to go on unless everybody saw the same broadcasts.

        Nobody is named: a wrong echo and an equivocated broadcast look the same from here, and the
        peers' own frames of the round are needed to tell them apart.
        """
        for slot in slots:
            for sender, values in slot.items():
                if values["echo"] != expected:
                    reason = f"broadcasts seen differ from those that party {sender} saw"
                    raise Blame(AbortKind.EQUIVOCATION, reason)

    def _blame_failing(self, kind: AbortKind, reason: str, failing: Iterable[int]) -> None:
        """End the session if anybody failed a check that depends on our secrets."""
        culprits = list(failing)
        if culprits:
            raise Blame(kind, reason, culprits)

    def _blame_faults(
        self, faults: Mapping[int, Fault | None], order: Sequence[Fault],
        chain_parts: Mapping[int, tuple[bytes, bytes]] | None = None,
    ) -> None:
        """End the session for the first fault of ``order`` that anybody has, naming all who do."""
        for fault in order:
            culprits = [party for party, found in faults.items() if found is fault]
            if culprits:
                raise Blame(
                    fault.kind,
                    fault.reason,
                    culprits,
                    slots=fault.slots,
                    broadcasts={p: b for p, b in self._broadcasts.items() if p[0] <= fault.seen},
                    chain_parts=dict(chain_parts or {}) if fault.chain else {},
                )
