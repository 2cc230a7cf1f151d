"""Key generation against cheaters: every field of every message, then the smart ones."""

from __future__ import annotations

import attrs
import pytest

from metanode.tss import curve, pair_setup, proofs
from metanode.tss.keygen import KeygenSession
from metanode.tss.messages import DealingShapes, Message
from metanode.tss.oracle import Tag
from metanode.tss.ot_extension import delta_bits
from metanode.tss.pair_setup import SendingSetup
from metanode.tss.parameters import LEAVES_PER_TREE, SEED_BYTES
from tests.misbehaviour.tss.cases import (
    CHEATER,
    VICTIM,
    Case,
    answers_of,
    check_outcome,
    fields_of,
    nobody_blames_the_honest,
    tamper_with,
    transfers,
)
from tests.misbehaviour.tss.cheats import guessing_extension
from tests.tss.ideal import ideal_transfers
from tests.tss.support import deliver, edit, keygen_sessions, other_point, plus_one, seeded, zero

ROUNDS = DealingShapes(2, chain=True)
RECEIVER = 3
"""It receives the cheater's base transfers; the cheater receives those of the victim, party 1."""
TREE = 42


def every_byte(data: bytes) -> bytes:
    """Change all bytes, so that whichever half the receiver uses is wrong."""
    return bytes(byte ^ 1 for byte in data)


def first_not_a_point(data: bytes) -> bytes:
    """Replace the first point by zero bytes: no encoding, nor one of infinity."""
    return bytes(33) + data[33:]


def order(_: bytes) -> bytes:
    """Return n, which has no business in a scalar field."""
    return curve.ORDER.to_bytes(32, "big")


def response_n(data: bytes) -> bytes:
    """Replace the response of the first proof by n, which is zero with a second encoding."""
    return data[:33] + curve.ORDER.to_bytes(32, "big") + data[65:]


def response_0(data: bytes) -> bytes:
    """Replace the response of the first proof by zero."""
    return data[:33] + bytes(32) + data[65:]


B, D = "broadcast", "direct"
TABLE = [
    Case(1, B, "sid", "commitment", True, transferable=True),
    Case(1, B, "commitment", "commitment", True, transferable=True),
    Case(1, B, "chain_commitment", "commitment", True, transferable=True),
    Case(1, B, "sid", "equivocation", False, label="-in-flight", in_flight=True),
    Case(2, B, "echo", "equivocation", False),
    Case(2, B, "coefficients", "commitment", True, transferable=True),
    Case(2, B, "salt", "commitment", True, transferable=True),
    Case(2, B, "proofs", "proof", True, transferable=True),
    Case(2, B, "proofs", "proof", True, transferable=True, change=zero, label="-zero"),
    Case(2, B, "proofs", "proof", True, transferable=True, change=response_n, label="-order"),
    Case(2, B, "proofs", "proof", True, transferable=True, change=response_0, label="-no-response"),
    Case(2, D, "echo", "equivocation", False),
    Case(2, D, "zero_commitment", "commitment", True, transferable=True),
    Case(2, D, "ot_points", "malformed", True, transferable=True, change=first_not_a_point),
    Case(3, D, "echo", "equivocation", False),
    Case(3, D, "ot_key", "ot_consistency", True, ban=True, change=other_point),
    Case(3, D, "ot_key", "malformed", True, transferable=True, change=zero, label="-identity"),
    Case(3, D, "ggm_corrections", "ot_consistency", True, ban=True, change=every_byte),
    Case(3, D, "ggm_corrections", "ot_consistency", True, ban=True, change=zero, label="-zero"),
    Case(3, D, "ggm_sums", "ot_consistency", True, ban=True),
    Case(3, D, "ggm_digest", "ot_consistency", True, ban=True),
    Case(3, D, "ext_salt", "ot_consistency", True, ban=True),
    Case(3, D, "ext_columns", "ot_consistency", True, ban=True),
    Case(3, D, "ext_columns", "ot_consistency", True, ban=True, change=zero, label="-zero"),
    Case(3, D, "ext_x_check", "ot_consistency", True, ban=True),
    Case(3, D, "ext_t_check", "ot_consistency", True, ban=True),
    Case(3, D, "ext_t_check", "ot_consistency", True, ban=True, change=zero, label="-zero"),
    Case(3, D, "zero_seed", "commitment", True, transferable=True),
    Case(3, D, "zero_salt", "commitment", True, transferable=True),
    Case(3, D, "share", "share", True, transferable=True, change=plus_one),
    Case(3, D, "share", "share", True, transferable=True, change=zero, label="-zero"),
    Case(3, D, "share", "malformed", True, transferable=True, change=order, label="-order"),
    Case(3, D, "chain_code", "commitment", True, transferable=True),
    Case(3, D, "chain_salt", "commitment", True, transferable=True),
    Case(4, B, "echo", "equivocation", False),
    Case(4, B, "public_share", "share", True, transferable=True, change=other_point),
    Case(4, B, "public_share", "share", True, transferable=True, change=zero, label="-identity"),
    Case(4, B, "proof", "proof", True, transferable=True),
    Case(4, B, "proof", "proof", True, transferable=True, change=zero, label="-zero"),
    Case(4, B, "proof", "proof", True, transferable=True, change=response_n, label="-order"),
    Case(4, D, "echo", "equivocation", False),
    Case(4, D, "ggm_corrections", "ot_consistency", True, ban=True, change=every_byte),
    Case(4, D, "ggm_corrections", "ot_consistency", True, ban=True, change=zero, label="-zero"),
    Case(4, D, "ggm_sums", "ot_consistency", True, ban=True),
    Case(4, D, "ggm_digest", "ot_consistency", True, ban=True),
]


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_tampered_field(case: Case) -> None:
    """Catches a field that nobody checks, a wrong culprit and a wrong ban."""
    sessions = keygen_sessions(2, 3)
    with transfers(case):
        tamper_with(case, ROUNDS, sessions)
    check_outcome(case, sessions)


def test_the_table_covers_every_field() -> None:
    """Catches a new field without a tampering case."""
    assert {(case.round, case.slot, case.name) for case in TABLE} == fields_of(ROUNDS)


def test_a_changed_base_transfer_hurts_only_its_author() -> None:
    """Catches an honest party punished for a receiver that spoils its own offer.

    Other valid points give keys that the offerer cannot follow: the failure shows at the offerer,
    who may claim what it likes; the honest parties go on and wait for its round 4.
    """
    sessions = keygen_sessions(2, 3)
    case = Case(2, D, "ot_points", "", False, change=lambda d: other_point(d[:33]) + d[33:])
    tamper_with(case, ROUNDS, sessions)
    own = sessions[CHEATER].abort
    assert own is not None
    assert (own.kind, own.culprits) == ("ot_consistency", (VICTIM,))
    assert sessions[VICTIM].state == sessions[3].state == "round-4"
    assert sessions[VICTIM].waiting_for == (CHEATER,)


def test_equivocated_round_2_is_seen_before_any_share_is_used() -> None:
    """Catches proofs shown differently to two parties slipping through the second echo."""
    sessions = keygen_sessions(2, 3)
    other = proofs.prove(Tag.DLOG, b"", 5, bytes(33), seeded("p"))

    def tamper(recipient: int, message: Message) -> Message:
        mine = message.round == 2 and message.sender == CHEATER and message.recipient is None
        if mine and recipient == VICTIM:
            return edit(ROUNDS, message, "proofs", lambda d: other + d[65:])
        return message

    deliver(sessions, tamper=tamper)
    abort = sessions[VICTIM].abort
    assert abort is not None
    assert (abort.kind, abort.culprits) == ("proof", (CHEATER,))
    assert sessions[3].result is None
    nobody_blames_the_honest(sessions)


def test_echo_is_checked_before_any_transfer_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches oblivious-transfer work, and its blame, done on messages of an equivocated round."""
    sessions = keygen_sessions(2, 3)
    worked = []
    monkeypatch.setattr("metanode.tss.base_ot.send", lambda *args: worked.append(args) or None)
    case = Case(1, B, "sid", "equivocation", False, in_flight=True)
    tamper_with(case, ROUNDS, sessions)
    check_outcome(case, sessions)
    assert not worked


def commit_to(session: KeygenSession, encoded: bytes) -> None:
    """Make a session commit to these bytes in place of its own F."""
    original = KeygenSession._commit

    def commit(party: int, nonce: bytes, own: bytes, salt: bytes) -> bytes:
        chosen = encoded if party == CHEATER else own
        return original(session, party, nonce, chosen, salt)

    session._commit = commit


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        (bytes(33), "malformed"),
        (b"\x02" + (5).to_bytes(32, "big"), "malformed"),
        (b"\x02" + b"\xff" * 32, "malformed"),
        (curve.encode_point(curve.generator_mult(99)), "proof"),
    ],
    ids=["identity", "off-curve", "out-of-range", "unproved"],
)
def test_committed_but_bad_points(first: bytes, kind: str) -> None:
    """Catches identity or invalid points, and a key share whose logarithm was never shown."""
    sessions = keygen_sessions(2, 3)
    second = curve.encode_point(curve.generator_mult(3))
    commit_to(sessions[CHEATER], first + second)

    def tamper(recipient: int, message: Message) -> Message:
        if message.sender == CHEATER and message.round == 2 and message.recipient is None:
            return edit(ROUNDS, message, "coefficients", lambda _: first + second)
        return message

    deliver(sessions, tamper=tamper)
    for party in (1, 3):
        abort = sessions[party].abort
        assert abort is not None
        assert (abort.kind, abort.culprits, abort.transferable) == (kind, (CHEATER,), True)


@pytest.mark.parametrize("number", [3, 4], ids=["sender", "receiver"])
def test_a_guess_at_one_choice_of_the_transfers(number: int) -> None:
    """Catches a spoiled correction that goes unpunished, or a guess that pays off both ways.

    The cheater spoils the correction of one side of one tree, as the sender of base transfers or as
    their receiver, who builds the trees of the other direction. Its victim stops if and only if it
    chose that side: one bit for the cheater, and a ban if it was wrong.
    """
    accepted = []
    for side in (0, 1):
        sessions = keygen_sessions(2, 3)
        at = (2 * 45 + side) * SEED_BYTES

        def spoil(data: bytes, at: int = at) -> bytes:
            return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]

        case = Case(number, D, "ggm_corrections", "ot_consistency", True, ban=True, change=spoil)
        tamper_with(case, ROUNDS, sessions)
        accepted.append(sessions[case.victim].abort is None)
        if accepted[-1]:
            assert sessions[case.victim].result is not None
        else:
            check_outcome(case, sessions)
    assert sorted(accepted) == [False, True]


def test_a_guess_at_the_receivers_delta_by_the_extension() -> None:
    """Catches an extension that nobody checks, or a guess at Δ that pays off more than once.

    The sender uses another x in one tree, and corrects its rows as if Δ were what it guesses there.
    """
    honest = SendingSetup._extend
    right = []
    for guess in range(LEAVES_PER_TREE):

        def extend(self: SendingSetup, guess: int = guess) -> dict[str, bytes]:
            if (self._party, self._peer) != (CHEATER, RECEIVER):
                return honest(self)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(pair_setup, "extend_receiver", guessing_extension(TREE, guess))
                return honest(self)

        sessions = keygen_sessions(2, 3)
        with pytest.MonkeyPatch.context() as patch, ideal_transfers():
            patch.setattr(SendingSetup, "_extend", extend)
            deliver(sessions)
        result, abort = sessions[RECEIVER].result, sessions[RECEIVER].abort
        nobody_blames_the_honest(sessions)
        if abort is None:
            assert result is not None
            right.append((guess, result.pair_state[CHEATER].delta))
            assert {session.state for session in sessions.values()} == {"finished"}
        else:
            assert (abort.kind, abort.culprits, abort.ban) == ("ot_consistency", (CHEATER,), True)
            assert not abort.transferable
            assert result is None
    ((guess, delta),) = right
    first, second = delta_bits(delta)[TREE].tolist()
    assert guess == first + 2 * second


def test_nothing_leaves_after_a_failed_check_of_the_transfers() -> None:
    """Catches a public share, or trees for somebody else, sent beside a verdict."""
    sessions = keygen_sessions(2, 3)
    sent = answers_of(sessions[RECEIVER])
    case = Case(3, D, "ext_columns", "ot_consistency", True, ban=True)
    with ideal_transfers():
        tamper_with(case, ROUNDS, sessions)
    check_outcome(case, sessions)
    assert {message.round for message in sent} == {2, 3}


def test_a_side_may_not_send_what_is_the_other_sides() -> None:
    """Catches a party that offers, or answers, transfers that are not its to offer or answer."""
    for number, recipient in ((2, RECEIVER), (3, VICTIM), (4, RECEIVER)):
        sessions = keygen_sessions(2, 3)
        receives = recipient == VICTIM
        swapped = ROUNDS.rounds(receives=not receives)[number - 1].direct

        def tamper(
            to: int, message: Message, at: tuple[int, int] = (number, recipient), shape=swapped
        ) -> Message:
            public = message.recipient is None
            if message.sender != CHEATER or (message.round, to) != at or public == (at[0] != 4):
                return message
            fields = {} if shape is None else {name: bytes(size) for name, size in shape.fields}
            payload = b"" if shape is None else shape.encode(fields)
            return attrs.evolve(message, recipient=to, payload=payload)

        with ideal_transfers():
            deliver(sessions, tamper=tamper)
        abort = sessions[recipient].abort
        assert abort is not None, number
        assert (abort.kind, abort.culprits, abort.transferable) == ("malformed", (CHEATER,), True)
