"""What cheaters try in any dealing, be it key generation, refresh or reshare.

Party 2 cheats, party 1 is its victim; parties 3 and 4 look on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
import cbor2
import pytest

from metanode.tss.dealing import Dealing
from metanode.tss.messages import DealingShapes, Message
from metanode.tss.parameters import POINT_BYTES, PROOF_BYTES
from tests.misbehaviour.tss.cases import CHEATER, VICTIM, answers_of, nobody_blames_the_honest
from tests.tss.support import (
    deal,
    deliver,
    edit,
    flip,
    keygen_sessions,
    refresh_sessions,
    reshare_sessions,
)

pytestmark = pytest.mark.usefixtures("ideal_base_transfers")

HONEST = (1, 3, 4)
DEALINGS: dict[str, tuple[Callable[[bytes], Mapping[int, Dealing]], DealingShapes]] = {
    "keygen": (lambda context: keygen_sessions(2, 4, context=context), DealingShapes(2, True)),
    "refresh": (lambda context: refresh_sessions(deal(2, 4), context=context), DealingShapes(1)),
    "reshare": (
        lambda context: reshare_sessions(
            deal(2, 3), [1, 2, 3], [1, 2, 3, 4], 2, context=context
        ),
        DealingShapes(2),
    ),
}
EACH = pytest.mark.parametrize("dealing", DEALINGS)


def sessions_of(dealing: str, context: bytes = b"context") -> Mapping[int, Dealing]:
    """Return new sessions of all four parties; equal for equal contexts."""
    return DEALINGS[dealing][0](context)


def check_aborts(
    sessions: Mapping[int, Dealing], kind: str, culprits: tuple[int, ...], transferable: bool
) -> None:
    """Assert what all honest parties conclude; nobody is ever banned here."""
    for party in HONEST:
        abort = sessions[party].abort
        assert abort is not None, f"party {party} noticed nothing"
        assert (abort.kind, abort.culprits) == (kind, culprits)
        assert (abort.transferable, abort.ban) == (transferable, False)
        assert sessions[party].result is None


ROUND_1 = [
    (dealing, name)
    for dealing, (_, shapes) in DEALINGS.items()
    for name, _ in shapes.rounds()[0].broadcast.fields
]


@pytest.mark.parametrize(("dealing", "name"), ROUND_1)
def test_equivocated_round_1_blames_and_bans_nobody(dealing: str, name: str) -> None:
    """Catches honest parties banning each other when a cheater shows them different broadcasts."""
    sessions, rounds = sessions_of(dealing), DEALINGS[dealing][1].rounds()

    def tamper(recipient: int, message: Message) -> Message:
        if message.round == 1 and message.sender == CHEATER and recipient == VICTIM:
            return edit(rounds, message, name, flip)
        return message

    deliver(sessions, tamper=tamper)
    check_aborts(sessions, "equivocation", (), transferable=False)


LENGTHS = {
    "long-F": (1, 0),
    "short-F": (-1, 0),
    "long-proofs": (0, 1),
    "short-proofs": (0, -1),
    "both-long": (1, 1),
    "both-short": (-1, -1),
    "no-proofs": (0, -9),
    "nothing": (-9, -9),
}


@EACH
@pytest.mark.parametrize("change", LENGTHS)
def test_wrong_lengths_of_f_and_its_proofs(dealing: str, change: str) -> None:
    """Catches a raised threshold, a truncated list of proofs and a coefficient without one."""
    sessions = sessions_of(dealing)

    def resized(data: bytes, size: int, more: int) -> bytes:
        return (data + data[:size] * max(more, 0))[: max(len(data) + more * size, 0)]

    def tamper(recipient: int, message: Message) -> Message:
        if message.sender != CHEATER or message.round != 2 or message.recipient is not None:
            return message
        values = cbor2.loads(message.payload)
        points, shown = LENGTHS[change]
        values["coefficients"] = resized(values["coefficients"], POINT_BYTES, points)
        values["proofs"] = resized(values["proofs"], PROOF_BYTES, shown)
        return attrs.evolve(message, payload=cbor2.dumps(values, canonical=True))

    deliver(sessions, tamper=tamper)
    check_aborts(sessions, "malformed", (CHEATER,), transferable=True)


@EACH
def test_a_copied_commitment_cannot_be_opened(dealing: str) -> None:
    """Catches a rogue key: party 2 repeats party 1's commitments and openings word for word."""
    sessions, rounds = sessions_of(dealing), DEALINGS[dealing][1].rounds()
    copied: dict[int, dict[str, bytes]] = {}

    def tamper(recipient: int, message: Message) -> Message:
        if message.recipient is not None or message.round > 2:
            return message
        if message.sender == VICTIM:
            copied[message.round] = cbor2.loads(message.payload)
        if message.sender != CHEATER:
            return message
        own = cbor2.loads(message.payload)
        values = {**copied[message.round], **({"echo": own["echo"]} if "echo" in own else {})}
        shape = rounds[message.round - 1].broadcast
        changed = attrs.evolve(message, payload=shape.encode(values))
        # Its own record changes too, so that its echo is the others'.
        sessions[CHEATER]._broadcasts[message.round, CHEATER] = changed.payload
        if message.round == 1:
            sessions[CHEATER]._round_1[CHEATER] = values
        return changed

    deliver(sessions, tamper=tamper)
    assert set(copied) == {1, 2}
    check_aborts(sessions, "commitment", (CHEATER,), transferable=True)


@EACH
def test_messages_of_an_older_run_are_of_no_use(dealing: str) -> None:
    """Catches replay: the cheater's messages of another run, as they were or with the new id."""
    recorded: dict[tuple[int, int, bool], Message] = {}

    def record(recipient: int, message: Message) -> Message:
        if message.sender == CHEATER:
            recorded[message.round, recipient, message.recipient is None] = message
        return message

    deliver(sessions_of(dealing, b"old"), tamper=record)
    fresh = sessions_of(dealing, b"new")
    fresh[VICTIM].start()
    for message in recorded.values():
        assert fresh[VICTIM].receive(message) == []
    assert fresh[VICTIM].state == "round-1"

    def replay(recipient: int, message: Message) -> Message:
        if message.sender != CHEATER:
            return message
        old = recorded[message.round, recipient, message.recipient is None]
        return attrs.evolve(old, session_id=message.session_id)

    fresh = sessions_of(dealing, b"new")
    deliver(fresh, tamper=replay)
    check_aborts(fresh, "equivocation", (), transferable=False)

    def replay_round_1(recipient: int, message: Message) -> Message:
        return replay(recipient, message) if message.round == 1 else message

    fresh = sessions_of(dealing, b"new")
    old = recorded[1, VICTIM, True]
    start = fresh[CHEATER].start

    def start_believing_the_old() -> list[Message]:
        out = start()
        fresh[CHEATER]._broadcasts[1, CHEATER] = old.payload
        fresh[CHEATER]._round_1[CHEATER] = cbor2.loads(old.payload)
        return out

    fresh[CHEATER].start = start_believing_the_old
    deliver(fresh, tamper=replay_round_1)
    check_aborts(fresh, "commitment", (CHEATER,), transferable=True)


@EACH
@pytest.mark.parametrize("number", [1, 2, 3])
def test_nothing_leaves_before_a_round_is_whole_nor_after_an_abort(
    dealing: str, number: int
) -> None:
    """Catches an answer to some of a round's messages, or one that follows a failed check."""
    sessions = sessions_of(dealing)
    victim, sent = sessions[VICTIM], answers_of(sessions[VICTIM])

    def cut(recipient: int, message: Message) -> Message:
        wanted = (CHEATER, number, VICTIM)
        if (message.sender, message.round, recipient) != wanted:
            return message
        return attrs.evolve(message, payload=message.payload[:-1])

    deliver(sessions, tamper=cut)
    assert {message.round for message in sent} == set(range(2, number + 1))
    assert victim.abort is not None
    assert (victim.abort.kind, victim.abort.culprits) == ("malformed", (CHEATER,))
    nobody_blames_the_honest(sessions)
