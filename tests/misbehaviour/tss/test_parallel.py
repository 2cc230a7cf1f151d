"""Sessions side by side on one share: what a banned peer could learn from the others' answers."""

from __future__ import annotations

import hashlib

import pytest
from attrs import frozen

from metanode.tss.abort import AbortKind
from metanode.tss.keyshare import Keyshare, confirmation_digest
from metanode.tss.messages import Message, sign_rounds
from metanode.tss.multiplication import Link, gadget
from metanode.tss.ot_extension import delta_bits
from metanode.tss.pair_setup import pair_sid
from metanode.tss.parameters import LEAVES_PER_TREE, STANDARD
from metanode.tss.session import Session
from metanode.tss.sign import SignSession
from tests.misbehaviour.tss.cases import CHEATER, VICTIM
from tests.misbehaviour.tss.cheats import guessing_bob
from tests.tss.support import deal, deliver, edit, flip, seeded, sign_sessions

ROUNDS = sign_rounds(STANDARD)
GUESSED = 8


@frozen
class Guess:
    """One session of the victim, and the cheater's first messages in it: Δ of a tree, guessed."""

    tree: int
    value: int
    session: SignSession
    messages: tuple[Message, Message]


def lane(share: Keyshare, label: str) -> SignSession:
    """Return one of the victim's sessions with the cheater."""
    digest = hashlib.sha256(label.encode()).digest()
    instance = hashlib.sha256(b"instance " + label.encode()).digest()
    return SignSession(share, (VICTIM, CHEATER), digest, instance, seeded("lane", label))


def guesses() -> tuple[Keyshare, list[Guess]]:
    """Return the victim's share and sessions on it for every guess at some trees, all begun."""
    shares = deal(2, 2)
    victim, leaves = shares[VICTIM], shares[CHEATER].pair_state[VICTIM].leaves
    sharing = confirmation_digest(victim)
    vector = gadget(pair_sid(sharing, CHEATER, VICTIM), STANDARD.choice_bits)
    found = []
    for tree in range(GUESSED):
        for value in range(LEAVES_PER_TREE):
            session = lane(victim, f"{tree} {value}")
            session.start()
            sid = session.session_id
            link = Link(STANDARD, pair_sid(sid, CHEATER, VICTIM), vector)
            _, fields = guessing_bob(tree, value)(link, leaves, seeded("bob", tree, value))
            first = ROUNDS[0]
            commitment = first.broadcast.encode({"commitment": bytes(32)})
            found.append(
                Guess(
                    tree,
                    value,
                    session,
                    (
                        Message(sid, 1, CHEATER, None, commitment),
                        Message(sid, 1, CHEATER, VICTIM, first.direct.encode(fields)),
                    ),
                )
            )
    return victim, found


def learned(victim: Keyshare, found: list[Guess]) -> tuple[list[int], int]:
    """Deliver the guesses; return the trees whose Δ they told, and how many sessions answered."""
    trees, answered, failed = [], 0, False
    truth = delta_bits(victim.pair_state[CHEATER].delta)
    for guess in found:
        out = [m for message in guess.messages for m in guess.session.receive(message)]
        answered += bool(out)
        right = truth[guess.tree, 0] + 2 * truth[guess.tree, 1] == guess.value
        if out:
            assert right
            assert not failed, "a session answered after the peer's ban"
            trees.append(guess.tree)
        else:
            abort = guess.session.abort
            assert abort is not None
            assert (abort.kind, abort.culprits, abort.ban) == ("ot_consistency", (CHEATER,), True)
            failed = True
    return trees, answered


def test_guesses_in_parallel_sessions_end_with_the_first_wrong_one() -> None:
    """Catches a share whose sessions answer a peer that one of them has caught.

    Answered one by one, four sessions tell two bits of Δ, and 64 trees the whole key.
    """
    victim, found = guesses()
    truth = delta_bits(victim.pair_state[CHEATER].delta)
    right_at_once = 0
    while right_at_once < len(found) and (
        truth[found[right_at_once].tree, 0] + 2 * truth[found[right_at_once].tree, 1]
        == found[right_at_once].value
    ):
        right_at_once += 1
    trees, answered = learned(victim, found)
    assert answered == len(trees) == right_at_once < GUESSED
    assert victim.latch.closed == (CHEATER,)


def test_without_the_latch_the_attack_learns_every_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches an attack that has gone blunt, so that the test above would prove nothing."""
    monkeypatch.setattr(Session, "_ask_latch", lambda self: None)
    _, found = guesses()
    answering = []
    for guess in found:
        if any(guess.session.receive(message) for message in guess.messages):
            answering.append(guess.tree)
    assert answering == list(range(GUESSED))


def spoiled(share: Keyshare) -> None:
    """Let the cheater fail a check in one session on the share."""
    sessions = sign_sessions({**deal(2, 3), VICTIM: share}, (VICTIM, CHEATER), seed="spoiled")

    def tamper(recipient: int, message: Message) -> Message:
        if message.sender != CHEATER or message.recipient != VICTIM or message.round != 1:
            return message
        return edit(ROUNDS, message, "columns", flip)

    deliver(sessions, tamper=tamper)
    assert sessions[VICTIM].abort is not None


@pytest.mark.parametrize("stop", [0, 1, 2])
def test_a_ban_stops_the_other_sessions_in_every_round(stop: int) -> None:
    """Catches a round that does not ask: before the start, before round 2, before round 3."""
    shares = deal(2, 3)
    others = sign_sessions(shares, (VICTIM, CHEATER), instance=b"\x01" * 32)
    waiting: list[Message] = []
    for session in others.values():
        if stop:
            waiting += session.start()
    for _ in range(stop - 1):
        now, waiting = waiting, []
        for message in now:
            waiting += others[VICTIM if message.sender == CHEATER else CHEATER].receive(message)
    spoiled(shares[VICTIM])
    lane_of_victim = others[VICTIM]
    out = [] if stop else lane_of_victim.start()
    for message in waiting:
        if message.sender == CHEATER:
            out += lane_of_victim.receive(message)
    assert out == []
    abort = lane_of_victim.abort
    assert abort is not None
    assert (abort.kind, abort.culprits, abort.ban) == ("ot_consistency", (CHEATER,), True)
    assert not abort.transferable


def test_sessions_without_the_banned_peer_go_on() -> None:
    """Catches a ban of one peer that stops the share for everybody."""
    shares = deal(2, 3)
    spoiled(shares[VICTIM])
    sessions = sign_sessions(shares, (VICTIM, 3))
    deliver(sessions)
    assert {session.state for session in sessions.values()} == {"finished"}


def test_a_ban_in_the_middle_of_a_step_lets_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a latch asked only before the work: another thread's session fails meanwhile."""
    shares = deal(2, 2)
    sessions = sign_sessions(shares, (VICTIM, CHEATER))
    first = [m for session in sessions.values() for m in session.start()]
    original = SignSession._open

    def slow(self: SignSession, answers: object) -> list[Message]:
        shares[VICTIM].latch.close([CHEATER], AbortKind.MUL_CHECK)
        return original(self, answers)

    monkeypatch.setattr(SignSession, "_open", slow)
    out = [m for message in first for m in sessions[VICTIM].receive(message)]
    assert out == []
    abort = sessions[VICTIM].abort
    assert abort is not None
    assert (abort.kind, abort.culprits) == ("mul_check", (CHEATER,))


def test_a_failure_that_bans_nobody_closes_nothing() -> None:
    """Catches a latch that lets a peer stop a share by garbage, or by silence."""
    shares = deal(2, 2)
    sessions = sign_sessions(shares, (VICTIM, CHEATER))
    sessions[VICTIM].start()
    sid = sessions[VICTIM].session_id
    assert sessions[VICTIM].receive(Message(sid, 1, CHEATER, None, b"")) == []
    assert sessions[VICTIM].abort is not None
    late = sign_sessions(shares, (VICTIM, CHEATER), instance=b"\x02" * 32)
    late[VICTIM].start()
    late[VICTIM].expire()
    assert shares[VICTIM].latch.closed == ()


def test_the_latch_is_no_part_of_the_bytes() -> None:
    """Catches a ban that changes what is stored, or that a restored share quietly claims to hold.

    Who keeps bans across a restart is the caller; it closes the latch of the share it has loaded.
    """
    share = deal(2, 2)[VICTIM]
    before = share.to_bytes()
    share.latch.close([CHEATER])
    assert share.to_bytes() == before
    again = Keyshare.from_bytes(before)
    assert again == share
    assert again.latch.closed == ()
    again.latch.close([CHEATER])
    session = lane(again, "after a restart")
    assert session.abort is not None, "it is over before anything is asked of it"
    assert session.abort.culprits == (CHEATER,)
    assert session.start() == []
