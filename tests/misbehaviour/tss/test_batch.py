"""A batch against cheaters: the first ban ends all parts, and nothing of one part serves another.

Parts have two digests here, so that a short list has many of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import cbor2
import pytest

from metanode.tss import sign
from metanode.tss.abort import Abort, AbortKind, Evidence
from metanode.tss.batch import BatchSignSession, batch_runs
from metanode.tss.evidence import proves
from metanode.tss.keyshare import Keyshare
from metanode.tss.lane import Signature
from metanode.tss.messages import Message, sign_rounds
from metanode.tss.ot_extension import delta_bits
from metanode.tss.parameters import LEAVES_PER_TREE, PARTS_AT_ONCE, STANDARD
from metanode.tss.sign_run import SignedKey
from metanode.tss.verify import verify_signature
from tests.misbehaviour.tss.cases import CHEATER, VICTIM, nobody_blames_the_honest
from tests.misbehaviour.tss.cheats import HONEST_BOB, guessing_bob
from tests.tss.support import deal, deliver, digests_of, edit, flip, lanes_sessions

ROUNDS = sign_rounds(STANDARD, 2)
DIGESTS = digests_of(9)


@pytest.fixture(autouse=True)
def _short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metanode.tss.sign_run.LANES", 2)


def batches(
    shares: dict[int, Keyshare] | None = None, digests: tuple[bytes, ...] = DIGESTS, **more: Any
) -> dict[int, BatchSignSession]:
    """Return the batches of three signers."""
    return lanes_sessions(
        shares or deal(3, 3), (1, 2, 3), digests, kind=BatchSignSession, **more
    )


def emitted(session: BatchSignSession) -> list[Message]:
    """Return the list in which everything that a party sends will be found."""
    sent: list[Message] = []
    receive = session.receive

    def watched(message: Message) -> list[Message]:
        out = receive(message)
        sent.extend(out)
        return out

    session.receive = watched  # type: ignore[method-assign]  # looks on, changes nothing
    return sent


def spoil(session_id: bytes, number: int, name: str) -> Callable[[int, Message], Message]:
    """Return how party 2 spoils a field of its direct message to party 1 in one part."""

    def tamper(recipient: int, message: Message) -> Message:
        mine = message.sender == CHEATER and message.recipient == VICTIM == recipient
        if not mine or message.round != number or message.session_id != session_id:
            return message
        return edit(ROUNDS, message, name, flip)

    return tamper


@pytest.mark.parametrize("part", [0, 1, 3])
@pytest.mark.parametrize(
    ("number", "name", "kind"),
    [(1, "x_check", "ot_consistency"), (2, "mu", "mul_check")],
    ids=["columns", "multiplication"],
)
def test_no_part_answers_after_the_first_ban(
    part: int, number: int, name: str, kind: str
) -> None:
    """Catches a part in flight, or a later one, that gives a caught peer another try."""
    shares = deal(3, 3)
    sessions = batches(shares)
    victim, sent = sessions[VICTIM], emitted(sessions[VICTIM])
    over: list[int] = []
    spoilt = spoil(victim.session_ids[part], number, name)

    def tamper(recipient: int, message: Message) -> Message:
        if victim.state == "aborted" and not over:
            over.append(len(sent))
        return spoilt(recipient, message)

    deliver(sessions, tamper=tamper)
    abort = victim.abort
    assert abort is not None
    assert (abort.kind, abort.culprits, abort.ban) == (kind, (CHEATER,), True)
    assert over == [len(sent)], "something leaves after the end"
    assert shares[VICTIM].latch.closed == (CHEATER,)
    begun = {message.session_id for message in sent} | set(victim.session_ids[:PARTS_AT_ONCE])
    assert begun <= set(victim.session_ids[: part + PARTS_AT_ONCE])
    nobody_blames_the_honest(sessions)
    key = shares[1].public_key
    before = victim.outcomes[: 2 * max(0, part - 1)]
    for digest, outcome in zip(DIGESTS, before, strict=False):
        assert isinstance(outcome, Signature), "what was signed before stays"
        assert verify_signature(key, digest, outcome.r, outcome.s)


def test_a_ban_elsewhere_ends_a_batch_and_begins_none() -> None:
    """Catches a batch whose later parts do not ask the share's latch, and one that begins."""
    shares = deal(3, 3)
    sessions = batches(shares)
    sent = emitted(sessions[VICTIM])
    seen: list[int] = []

    def tamper(_: int, message: Message) -> Message:
        if sessions[VICTIM].state == "part-2" and not seen:
            shares[VICTIM].latch.close([CHEATER])
            seen.append(len(sent))
        return message

    deliver(sessions, tamper=tamper)
    assert seen == [len(sent)]
    abort = sessions[VICTIM].abort
    assert abort is not None
    assert (abort.kind, abort.culprits, abort.ban) == ("ot_consistency", (CHEATER,), True)
    later = batches(shares, instance=b"\x01" * 32)[VICTIM]
    assert later.state == "aborted"
    assert later.start() == []


def test_guesses_in_the_parts_of_a_batch_end_with_the_first_wrong_one() -> None:
    """Catches parts in flight that each tell a bit of Δ: a guess costs the whole batch."""
    shares = deal(3, 3)
    truth = delta_bits(shares[VICTIM].pair_state[CHEATER].delta)
    sessions = batches(shares, digests_of(60))
    calls, right = [0], []

    def bob_start(link: Any, leaves: bytes, entropy: Any) -> Any:
        cheats = leaves == shares[CHEATER].pair_state[VICTIM].leaves
        if not cheats:
            return HONEST_BOB(link, leaves, entropy)
        tree, guess = divmod(calls[0], LEAVES_PER_TREE)
        calls[0] += 1
        right.append(guess == truth[tree, 0] + 2 * truth[tree, 1])
        return guessing_bob(tree, guess)(link, leaves, entropy)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sign, "bob_start", bob_start)
        deliver(sessions)
    abort = sessions[VICTIM].abort
    assert abort is not None
    assert (abort.kind, abort.culprits, abort.ban) == ("ot_consistency", (CHEATER,), True)
    answered = right.index(False)
    signed = [outcome for outcome in sessions[VICTIM].outcomes if outcome is not None]
    assert len(signed) <= 2 * answered
    assert calls[0] <= answered + PARTS_AT_ONCE


def test_a_lane_that_gives_no_signature_does_not_end_the_batch() -> None:
    """Catches signatures lost, parts not begun and blame for a sum that anybody may have spoilt."""
    shares = deal(3, 3)
    sessions = batches(shares)
    for number in (0, 2):
        sessions[CHEATER]._parts.setdefault(number, sessions[CHEATER]._made(number))
    sessions[CHEATER]._parts[0]._lanes[1].digest = bytes(32)
    for lane in sessions[CHEATER]._parts[2]._lanes:
        lane.digest = bytes(32)
    deliver(sessions)
    for party in (VICTIM, 3):
        assert (sessions[party].state, sessions[party].abort) == ("finished", None)
        result = sessions[party].result
        assert result is not None
        for number, (digest, outcome) in enumerate(zip(DIGESTS, result, strict=True)):
            if number in (1, 4, 5):
                assert isinstance(outcome, Abort)
                assert (outcome.kind, outcome.culprits) == ("invalid_signature", ())
            else:
                assert isinstance(outcome, Signature)
                r, s = outcome.r, outcome.s
                assert verify_signature(shares[1].public_key, digest, r, s)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_replay_from_another_part_is_caught(number: int) -> None:
    """Catches messages of one part that serve in another, and an ended part that hears anything."""
    sessions = batches()
    ids = sessions[VICTIM].session_ids
    first: dict[bool, Message] = {}

    def tamper(recipient: int, message: Message) -> Message:
        if message.sender != CHEATER or message.round != number or recipient != VICTIM:
            return message
        public = message.recipient is None
        if message.session_id == ids[0]:
            first[public] = message
        if message.session_id == ids[2] and public in first:
            assert sessions[VICTIM].receive(first[public]) == [], "that part has ended"
            return attrs.evolve(message, payload=first[public].payload)
        return message

    deliver(sessions, tamper=tamper)
    abort = sessions[VICTIM].abort
    assert abort is not None
    assert abort.kind == {1: "ot_consistency", 2: "equivocation", 3: "equivocation"}[number]
    assert abort.culprits == ((CHEATER,) if number == 1 else ())
    nobody_blames_the_honest(sessions)


def test_what_nobody_honest_says_yet_is_not_kept() -> None:
    """Catches memory that a peer fills: parts far ahead, later rounds, unknown sessions."""
    sessions = batches()
    victim = sessions[VICTIM]
    victim.start()
    ids = victim.session_ids
    shape = ROUNDS[0].broadcast
    assert shape is not None
    payload = shape.encode({"commitment": bytes(32)})
    for part, number, kept in [
        (2 * PARTS_AT_ONCE, 1, False),
        (2, 2, False),
        (2, 3, False),
        (2, 99, False),
        (2, 1, True),
        (2, 2, True),
    ]:
        assert victim.receive(Message(ids[part], number, CHEATER, None, payload)) == []
        assert (part in victim._parts) is kept
    odd: Any
    for odd in (bytes(32), b"", None, 7, [], "x"):
        assert victim.receive(Message(odd, 1, CHEATER, None, payload)) == []
    assert len(victim._parts) == PARTS_AT_ONCE + 1
    assert set(victim._parts[2]._values) == {(1, True)}, "of round 2 nothing is kept"
    assert victim.abort is None


@pytest.mark.parametrize(
    "other",
    [DIGESTS[:-1], (*DIGESTS, bytes(32)), (*DIGESTS[:-1], bytes(32)), DIGESTS[::-1]],
    ids=["fewer", "more", "last", "order"],
)
def test_a_party_with_another_list_is_not_heard(other: tuple[bytes, ...]) -> None:
    """Catches a list signed in part although its end is in dispute, and blame for that."""
    shares = deal(3, 3)
    sessions = batches(shares)
    sessions[CHEATER] = batches(shares, other)[CHEATER]
    deliver(sessions)
    assert {session.state for session in sessions.values()} == {"part-1"}
    assert all(set(session.outcomes) == {None} for session in sessions.values())


def test_provable_faults_are_named_and_end_the_batch() -> None:
    """Catches a bad opening in a later part that names nobody, or bans where nothing was guessed.
    """
    sessions = batches()
    session_id = sessions[VICTIM].session_ids[3]
    arrived: dict[tuple[int, bool], bytes] = {}

    def tamper(recipient: int, message: Message) -> Message:
        if message.sender != CHEATER or message.session_id != session_id:
            return message
        if message.round == 2 and message.recipient is None:
            message = edit(ROUNDS, message, "salt", flip)
            sessions[CHEATER]._parts[3]._broadcasts[2, CHEATER] = message.payload
        arrived[message.round, message.recipient is None] = message.payload
        return message

    deliver(sessions, tamper=tamper)
    for party in (VICTIM, 3):
        abort = sessions[party].abort
        assert abort is not None
        assert (abort.kind, abort.culprits) == ("commitment", (CHEATER,))
        assert abort.transferable
        assert not abort.ban
        assert None not in sessions[party].outcomes[:4]
    evidence = Evidence.from_plain(cbor2.loads(abort.evidence))
    shown = {slot: [arrived[slot]] for slot in evidence.slots}
    key = SignedKey.of(deal(3, 3)[1].package)
    runs = batch_runs(key, (1, 2, 3), DIGESTS, bytes(32))
    kind, honest = AbortKind.COMMITMENT, 3
    judged = [proves(run, kind, CHEATER, honest, shown, evidence) for run in runs]
    assert judged == [False, False, False, True, False]
